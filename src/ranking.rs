//! Which provider is active, and the order of the others.
//!
//! Reads what `core` knows of every provider; `route_plan` turns the order into slots.

use crate::moment::Moment;
use crate::order::ordered;
use crate::settings::{Failback, LastResort};

/// What the ranking needs to know of one provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Has an uplink with a carrier.
    pub usable: bool,
    /// Is reliable.
    pub reliable: bool,
    /// Is reliable, but beyond a limit of quality.
    pub degraded: bool,
    /// Nothing is known of it yet: better than one known to be bad.
    pub checking: bool,
    /// A cold standby of which nothing is known: nobody has asked, so that nothing speaks against it.
    pub spare: bool,
    /// `option priority`.
    pub priority: u32,
    /// When it may take over from a provider that works.
    pub failback_at: Option<Moment>,
    /// `option default`: may be active at all.
    pub default: bool,
    /// `option balance`: shares traffic with others of its priority.
    pub balance: bool,
    /// Does so already.
    pub sharing: bool,
    /// When it may begin to.
    pub join_at: Option<Moment>,
}

/// The policy, from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `option failback`.
    pub failback: Failback,
    /// `option last_resort`.
    pub last_resort: LastResort,
    /// The pinned candidate.
    pub pin: Option<usize>,
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// All candidates, best first; the active one leads, and those that share with it follow.
    pub order: Vec<usize>,
    /// How many of them, from the first on, share traffic; 0: the active one has all of it.
    pub shared: usize,
    /// The active one; `None`: no provider is usable.
    pub active: Option<usize>,
    /// Why it is the active one.
    pub why: Why,
    /// When the ranking will change by the passing of time alone.
    pub next: Option<Moment>,
}

/// Why the active provider is active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// There is none.
    #[default]
    NoneUsable,
    /// It is pinned.
    Pinned,
    /// It is the best of the good ones; of the reliable ones, where none is good.
    Best,
    /// It is good, and a better one has not been so for long enough, or may not take over by itself.
    Stays,
    /// No provider is reliable.
    LastResort,
    /// Nor is this one proven, but it was kept for the case.
    Spare,
}

/// Ranks the candidates, which come in file order. `active` is the one that holds the lowest metric now.
pub fn rank(now: Moment, candidates: &[Candidate], active: Option<usize>, policy: Policy) -> Ranking {
    let get = |index: usize| candidates.get(index).copied().unwrap_or_default();
    // Where all are degraded, none is better for it.
    let any_good = candidates.iter().any(|it| it.default && it.usable && it.reliable && !it.degraded);
    let poor = |it: Candidate| it.degraded && any_good;
    let mut order = ordered(0..candidates.len(), |&index| {
        let it = get(index);
        (!it.default, !it.usable, !it.reliable, poor(it), it.reliable || !it.checking, it.priority, index)
    });
    let usable = |index: &usize| get(*index).usable && get(*index).default;
    let good = |index: &usize| usable(index) && get(*index).reliable && !poor(get(*index));
    let best = order.first().copied().filter(usable);
    // Between two of which nothing is known there is no reason to move.
    let spare = active.filter(|index| usable(index) && get(*index).checking).or(best);
    let mut next = None;

    let (chosen, why) = if let Some(pinned) = policy.pin.filter(usable) {
        (Some(pinned), Why::Pinned)
    } else if let Some(best) = best.filter(good) {
        match active.filter(good) {
            Some(active) if get(best).priority < get(active).priority => {
                let mut better =
                    order.iter().copied().filter(good).filter(|&it| get(it).priority < get(active).priority);
                let due = better.clone().find(|&it| get(it).failback_at.is_some_and(|at| at <= now));
                match (policy.failback, due) {
                    (Failback::Auto, Some(due)) => (Some(due), Why::Best),
                    (Failback::Auto, None) => {
                        next = better.by_ref().filter_map(|it| get(it).failback_at).min();
                        (Some(active), Why::Stays)
                    }
                    (Failback::Manual, _) => (Some(active), Why::Stays),
                }
            }
            Some(active) => (Some(active), if active == best { Why::Best } else { Why::Stays }),
            None => (Some(best), Why::Best),
        }
    } else if let Some(spare) = spare.filter(|&it| get(it).spare) {
        (Some(spare), Why::Spare)
    } else {
        let kept = active.filter(usable).filter(|_| policy.last_resort == LastResort::Keep);
        let first = || order.iter().copied().filter(usable).min_by_key(|&index| (get(index).priority, index));
        let chosen = match policy.last_resort {
            LastResort::Keep => kept.or(best),
            LastResort::First => first(),
        };
        (chosen, if chosen.is_some() { Why::LastResort } else { Why::NoneUsable })
    };
    let mut shared = 0;
    if let Some(chosen) = chosen {
        let mut leading = vec![chosen];
        if matches!(why, Why::Best | Why::Stays) && get(chosen).balance {
            for peer in order.iter().copied().filter(good).filter(|&index| index != chosen) {
                let it = get(peer);
                if !it.balance || it.priority != get(chosen).priority {
                    continue;
                }
                if it.sharing || it.join_at.is_some_and(|at| at <= now) {
                    leading.push(peer);
                } else {
                    next = next.into_iter().chain(it.join_at).min();
                }
            }
        }
        shared = if leading.len() > 1 { leading.len() } else { 0 };
        order.retain(|index| !leading.contains(index));
        order.splice(0..0, leading);
    }
    Ranking { order, shared, active: chosen, why, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Moment = Moment::from_nanos(1_000_000_000_000);

    /// `s` a cold standby, `R` reliable for long, `P` presumed so, `r` only just, `D` degraded for long, `d` only just, `U` unreliable, `c` checking,
    /// `-` unusable; priorities by position.
    fn candidates(script: &str) -> Vec<Candidate> {
        let make = |(index, word): (usize, char)| Candidate {
            usable: word != '-',
            reliable: matches!(word, 'R' | 'r' | 'P' | 'D' | 'd'),
            degraded: matches!(word, 'D' | 'd'),
            checking: matches!(word, 'c' | 'P' | 's'),
            spare: word == 's',
            priority: u32::try_from(index).unwrap() + 1,
            failback_at: match word {
                'R' | 'D' => Some(NOW),
                'r' | 'd' => Some(NOW + Duration::from_secs(9)),
                _ => None,
            },
            default: true,
            balance: true,
            sharing: false,
            join_at: None,
        };
        script.chars().enumerate().map(make).collect()
    }

    #[test]
    fn who_is_active() {
        let auto = Policy { failback: Failback::Auto, last_resort: LastResort::Keep, pin: None };
        let manual = Policy { failback: Failback::Manual, ..auto };
        let first = Policy { last_resort: LastResort::First, ..auto };
        let pin2 = Policy { pin: Some(2), ..auto };
        for (script, active, policy, want, why, reason) in [
            ("RRR", None, auto, &[0, 1, 2][..], Why::Best, "the most preferred"),
            ("URR", Some(0), auto, &[1, 2, 0], Why::Best, "the active one failed: now, and it goes last"),
            ("rRR", Some(1), auto, &[1, 0, 2], Why::Stays, "a better one came back, but not for long enough"),
            ("RRR", Some(1), auto, &[0, 1, 2], Why::Best, "now it has"),
            (
                "RPU",
                None,
                auto,
                &[0, 1, 2],
                Why::Best,
                "one taken for reliable does not go before a proven one that is preferred",
            ),
            ("RRR", Some(1), manual, &[1, 0, 2], Why::Stays, "a person decides"),
            ("URR", Some(0), manual, &[1, 2, 0], Why::Best, "a failure moves traffic all the same"),
            ("rRR", Some(2), auto, &[1, 0, 2], Why::Best, "the best of those that may"),
            ("UUU", Some(1), auto, &[1, 0, 2], Why::LastResort, "none reliable: keep"),
            ("UUU", Some(1), first, &[0, 1, 2], Why::LastResort, "none reliable: first"),
            ("-Uc", Some(0), auto, &[2, 1, 0], Why::LastResort, "the active one is gone: unknown beats known bad"),
            ("UUU", None, auto, &[0, 1, 2], Why::LastResort, "any route is better than none"),
            ("Us", Some(0), auto, &[1, 0], Why::Spare, "a cold standby is there for this, and need not prove itself"),
            ("Us", Some(0), first, &[1, 0], Why::Spare, "whatever the last resort is"),
            ("UUs", Some(1), auto, &[2, 0, 1], Why::Spare, "when all the others are gone"),
            ("Uss", Some(0), auto, &[1, 2, 0], Why::Spare, "the preferred one of several"),
            ("Uss", Some(2), auto, &[2, 1, 0], Why::Spare, "but of two unknown ones the active one stays"),
            ("cs", None, auto, &[0, 1], Why::LastResort, "not before a better one has spoken"),
            ("Usc", Some(2), auto, &[2, 1, 0], Why::LastResort, "nor before the active one has"),
            ("URs", Some(0), auto, &[1, 2, 0], Why::Best, "not before"),
            ("---", Some(1), auto, &[0, 1, 2], Why::NoneUsable, "nothing to choose from"),
            ("RRU", Some(0), pin2, &[2, 0, 1], Why::Pinned, "whatever the checks say"),
            ("RR-", Some(0), pin2, &[0, 1, 2], Why::Best, "a pin without an uplink is not followed"),
            ("cRR", Some(1), auto, &[1, 2, 0], Why::Best, "one that came back must prove itself first"),
            ("DRR", Some(0), auto, &[1, 2, 0], Why::Best, "the active one degraded: now, and it goes behind the good"),
            ("DrU", Some(0), auto, &[1, 0, 2], Why::Best, "one that is good only just is good"),
            ("dRR", Some(0), manual, &[1, 2, 0], Why::Best, "as a failure does"),
            ("DRD", Some(1), auto, &[1, 0, 2], Why::Best, "a degraded one does not come back, whatever its priority"),
            ("DUc", Some(0), auto, &[0, 2, 1], Why::Best, "degraded is better than unknown, and than bad"),
            ("DcU", Some(1), auto, &[0, 1, 2], Why::Best, "and than one that failed"),
            ("DDD", Some(0), auto, &[0, 1, 2], Why::Best, "all are: as if none were"),
            ("DDU", Some(1), auto, &[0, 1, 2], Why::Best, "all are: the better one comes back"),
            ("dDU", Some(1), auto, &[1, 0, 2], Why::Stays, "all are: when it may"),
            ("DDU", Some(1), manual, &[1, 0, 2], Why::Stays, "all are: when a person says so"),
            ("DDU", Some(2), auto, &[0, 1, 2], Why::Best, "all are: a failure moves traffic to the most preferred"),
            ("DDR", Some(1), auto, &[2, 0, 1], Why::Best, "not all any more: the one that is good"),
            ("DRD", Some(0), pin2, &[2, 1, 0], Why::Pinned, "whatever the checks say, of quality too"),
            (
                "rDR",
                Some(2),
                auto,
                &[2, 0, 1],
                Why::Stays,
                "one that is good again waits, and goes before the degraded",
            ),
        ] {
            let got = rank(NOW, &candidates(script), active, policy);
            assert_eq!((got.order.as_slice(), got.why), (want, why), "{script} {active:?}: {reason}");
        }
    }

    #[test]
    fn failback_wakes_up_when_the_first_of_the_better_ones_may() {
        let policy = Policy { failback: Failback::Auto, last_resort: LastResort::Keep, pin: None };
        assert_eq!(rank(NOW, &candidates("rrR"), Some(2), policy).next, Some(NOW + Duration::from_secs(9)));
        assert_eq!(rank(NOW, &candidates("rRR"), Some(1), policy).next, Some(NOW + Duration::from_secs(9)));
        assert_eq!(rank(NOW, &candidates("RRR"), Some(0), policy).next, None);
    }

    /// As [`candidates`], all of priority 1; `J` reliable and free to join, `j` in 9 s, `S` shares already, `A` reliable and stays alone,
    /// `0` reliable, but not for what nobody has directed there.
    fn peers(script: &str) -> Vec<Candidate> {
        let plain: String = script.chars().map(|word| if "JjSA0".contains(word) { 'R' } else { word }).collect();
        let mut peers = candidates(&plain);
        for (it, word) in peers.iter_mut().zip(script.chars()) {
            it.priority = 1;
            it.balance = word != 'A';
            it.default = word != '0';
            it.sharing = word == 'S';
            it.join_at = match word {
                'J' => Some(NOW),
                'j' => Some(NOW + Duration::from_secs(9)),
                _ => None,
            };
        }
        peers
    }

    #[test]
    fn who_shares() {
        let auto = Policy { failback: Failback::Auto, last_resort: LastResort::Keep, pin: None };
        let manual = Policy { failback: Failback::Manual, ..auto };
        let pin0 = Policy { pin: Some(0), ..auto };
        for (script, active, policy, order, shared, next, why) in [
            ("SSS", Some(0), auto, &[0, 1, 2][..], 3, false, "all go on"),
            ("SSS", Some(2), auto, &[2, 0, 1], 3, false, "the active one leads"),
            ("JJJ", None, auto, &[0, 1, 2], 3, false, "all begin"),
            ("SjS", Some(0), auto, &[0, 2, 1], 2, true, "one waits, behind those that share"),
            ("Sj", Some(0), auto, &[0, 1], 0, true, "one alone does not share"),
            ("SJ", Some(0), manual, &[0, 1], 2, false, "to join is no failback"),
            ("SUS", Some(0), auto, &[0, 2, 1], 2, false, "one that failed leaves"),
            ("SDS", Some(0), auto, &[0, 2, 1], 2, false, "and one that is degraded"),
            ("DDU", Some(0), auto, &[0, 1, 2], 0, false, "where all are, one has to join"),
            ("ScS", Some(0), auto, &[0, 2, 1], 2, false, "nothing is known of one"),
            ("S-S", Some(0), auto, &[0, 2, 1], 2, false, "one has no line"),
            ("SAS", Some(0), auto, &[0, 2, 1], 2, false, "one stays alone"),
            ("ASS", Some(0), auto, &[0, 1, 2], 0, false, "the active one stays alone"),
            ("0SS", Some(1), auto, &[1, 2, 0], 2, false, "one carries nothing: behind all"),
            ("0UU", Some(0), auto, &[1, 2, 0], 0, false, "not even when nobody else is reliable"),
            ("0--", None, auto, &[1, 2, 0], 0, false, "or there"),
            ("SSS", Some(0), pin0, &[0, 1, 2], 0, false, "a pin takes all"),
            ("0SS", Some(1), pin0, &[1, 2, 0], 2, false, "but cannot be on one that carries nothing"),
            ("UUU", Some(0), auto, &[0, 1, 2], 0, false, "the last resort is one"),
        ] {
            let got = rank(NOW, &peers(script), active, policy);
            assert_eq!(
                (got.order.as_slice(), got.shared, got.next.is_some()),
                (order, shared, next),
                "{script}: {why}"
            );
            assert_eq!(got.active.is_none(), script == "0--", "{why}");
        }
        let mut tiers = peers("SS");
        tiers[1].priority = 2;
        assert_eq!(rank(NOW, &tiers, Some(0), auto).shared, 0, "only with those of the same priority");
    }

    #[test]
    fn equal_priority_is_no_reason_to_move() {
        let policy = Policy { failback: Failback::Auto, last_resort: LastResort::Keep, pin: None };
        let mut tier = candidates("RR");
        tier[1].priority = 1;
        assert_eq!(rank(NOW, &tier, Some(1), policy).active, Some(1));
    }
}
