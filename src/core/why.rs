//! The present ranking explained: what each provider's place in it comes from, and what would change it.
//!
//! Reads what `choice` has decided and the providers' counters; the words are `why`'s.

mod traffic;

use std::cmp::Ordering;
use std::time::Duration;

use traffic::peers;

use super::Core;
use super::status::{milliseconds, percent};
use crate::moment::Moment;
use crate::provider::{Provider, ProviderState};
use crate::quality;
use crate::ranking::Why;
use crate::reason::Reason;
use crate::say;
use crate::sentence::{Part, Sentence};
use crate::settings::{Failback, LastResort};
use crate::text;
use crate::why::{Explained, Explanation, Standing, Takeover, Wait};

/// How far back switches are counted.
const OF_LATE: Duration = Duration::from_secs(3600);

/// Two that are due so closely together are due at once, to a person.
const MOMENT: Duration = Duration::from_secs(1);

impl Core {
    /// Why the ranking is what it is, as of `now`.
    pub fn why(&self, now: Moment) -> Explanation {
        let active = self.active_provider();
        let (reason_code, sentence) = match active {
            Some(active) => self.with_active(active, now),
            None => self.without_active(),
        };
        let of_late = |at: Moment| now.since(at) < OF_LATE;
        let switches = self.switch_log.iter().filter(|it| of_late(it.at) && it.from.is_some() && it.to.is_some());
        Explanation {
            active: active.map(|it| (it.settings.name.clone(), now.since(self.active_since).as_secs())),
            reliable: self.any_reliable(),
            reason_code,
            sentence,
            switches: switches.count(),
            providers: self.by_rank().map(|provider| self.explained(provider, now)).collect(),
        }
    }

    /// The whole in one line, while no provider is active.
    fn without_active(&self) -> (&'static str, Sentence) {
        if self.stopping {
            ("disabled", say!("failoverd is stopping."))
        } else if !self.settings.enabled {
            ("disabled", say!("Failover is disabled: it changes nothing ('option enabled' is 0)."))
        } else if self.providers.is_empty() {
            ("no_provider", say!("No provider is configured: 'failoverd init' looks for lines to the internet."))
        } else if self.enabled().next().is_none() {
            ("disabled", say!("Every provider is disabled in the configuration."))
        } else if self.snapshot.is_none() || self.hold.is_some() {
            ("starting", say!("Starting: what lines there are is not known yet."))
        } else {
            ("no_uplink", say!("Offline: no provider has a device with carrier, address and gateway."))
        }
    }

    /// The whole in one line: whether the internet is fine, and through whom.
    fn with_active(&self, active: &Provider, now: Moment) -> (&'static str, Sentence) {
        let standing = self.standing_of_active(active);
        let name = &active.settings.name;
        let pinned = matches!(standing, Standing::Pinned { .. });
        let online = now.since(self.active_since.max(active.told.map_or(now, |(_, since)| since)));
        let users = if self.sharing.is_empty() { name.into() } else { self.sharing_but(None) };
        let sentence = if pinned && (!active.is_reliable() || active.is_degraded()) {
            say!("{0}; traffic goes through it because it is pinned.", trouble(active))
        } else if active.reliability.verdict().is_none() {
            say!("{0} is being checked; traffic goes through it meanwhile.", name)
        } else if !active.is_reliable() || active.is_degraded() {
            match standing {
                Standing::Only { .. } => say!("{0}; there is no other provider.", trouble(active)),
                _ if active.is_degraded() && !self.sharing.is_empty() => {
                    say!("{0}; online through {1} for {2}.", trouble(active), users, time(online))
                }
                _ if active.is_degraded() => {
                    say!("{0}; traffic goes through it as no other provider is good.", trouble(active))
                }
                _ => say!("No provider is reliable: traffic goes through {0}, unproven; {1}.", name, trouble(active)),
            }
        } else {
            let speed = match active.prober.window().latency() {
                // Of several that share traffic each has its own.
                Some(latency) if self.sharing.is_empty() => {
                    Part::from(say!("{0}, {1}", time(online), text::latency(milliseconds(latency))))
                }
                _ => Part::from(time(online)),
            };
            match self.missed(active).filter(|_| !pinned) {
                _ if pinned => say!("Online through {0} for {1}; it is pinned.", name, speed),
                Some(missed) => {
                    say!("{0}; online through {1} for {2}.", self.absence(missed, active, now), users, speed)
                }
                None => say!("Online through {0} for {1}.", users, speed),
            }
        };
        (standing.code(), sentence)
    }

    /// The provider that would rather be active: the most preferred of those before this one, or one that would share with it.
    fn missed(&self, active: &Provider) -> Option<&Provider> {
        let better = |it: &&Provider| it.settings.priority < active.settings.priority || self.joins(it, active);
        let better = self.eligible().filter(better);
        better.filter(|it| it.state() != ProviderState::Disabled).min_by_key(|it| it.settings.priority)
    }

    /// Why it is not active, as a half sentence.
    fn absence(&self, missed: &Provider, active: &Provider, now: Moment) -> Sentence {
        let name = &missed.settings.name;
        if let Some(at) = self.join_at(missed).filter(|_| self.is_good(missed) && self.joins(missed, active)) {
            return say!("{0} is online and shares the traffic in {1}", name, time(at.since(now)));
        }
        match (self.failback_at(missed), self.settings.failback) {
            // Without a verdict it is only taken for reliable.
            (None, _) => trouble(missed),
            _ if !self.is_good(missed) => trouble(missed),
            (Some(at), Failback::Auto) => say!("{0} is online and takes over in {1}", name, time(at.since(now))),
            (Some(_), Failback::Manual) => say!("{0} is online and takes over by hand", name),
        }
    }

    fn standing_of_active(&self, active: &Provider) -> Standing<'_> {
        let reliable = active.is_reliable();
        let others = || self.eligible().filter(|it| it.id != active.id);
        let unknown = |it: &Provider| it.reliability.verdict().is_none();
        if self.ranking.why == Why::Pinned {
            return Standing::Pinned { runtime: self.state.pin.is_some() };
        }
        if unknown(active) && (reliable || others().all(unknown)) {
            return Standing::Proving;
        }
        if others().next().is_none() {
            return Standing::Only { reliable };
        }
        if self.ranking.why == Why::Spare {
            return Standing::Spare;
        }
        if self.ranking.why == Why::LastResort {
            return Standing::LastResort(self.settings.last_resort);
        }
        let priority = active.settings.priority;
        let poor = others().find(|it| it.is_degraded() && !self.is_good(it) && it.settings.priority < priority);
        let best = poor.map_or(Standing::Best { priority }, |it| Standing::InsteadOf(&it.settings.name));
        // The good ones come first.
        let rivals = self.reliable_but(active).into_iter();
        let rival = rivals.filter(|it| !self.in_use(it.id) && !self.joins(it, active)).find(|it| self.is_good(it));
        let Some(rival) = rival else { return best };
        let name = &rival.settings.name;
        match rival.settings.priority.cmp(&priority) {
            Ordering::Less if self.settings.failback == Failback::Manual => Standing::StaysByHand(name),
            Ordering::Less => {
                let first = self.first_due(active).map_or(name, |it| &it.settings.name);
                if active.is_degraded() { Standing::StaysDegraded(first) } else { Standing::StaysFor(first) }
            }
            Ordering::Equal if self.ranking.why == Why::Stays => Standing::StaysEqual(name),
            _ => best,
        }
    }

    /// The reliable ones but this one, best first.
    fn reliable_but(&self, provider: &Provider) -> Vec<&Provider> {
        let others = self.by_rank().filter(|it| it.id != provider.id && it.settings.default_route);
        others.filter(|it| self.takes_part(it) && it.is_reliable()).collect()
    }

    /// Of those that are better than the active one, the one that takes over first: the best, unless it waits longer.
    fn first_due(&self, active: &Provider) -> Option<&Provider> {
        let mut better = self.reliable_but(active);
        better.retain(|it| it.settings.priority < active.settings.priority && self.is_good(it));
        let at = |it: &Provider| self.failback_at(it);
        let first = better.iter().copied().filter(|it| at(it).is_some()).min_by_key(|it| at(it))?;
        // Its equals come too late then, the better ones do not.
        let soon = at(first)? + MOMENT;
        let mut better = better.into_iter().filter(|it| it.settings.priority < first.settings.priority);
        Some(better.find(|it| at(it).is_some_and(|at| at <= soon)).unwrap_or(first))
    }

    /// What decides between two that are as good as each other.
    fn place_in_file(&self, provider: &Provider) -> (u32, Option<usize>) {
        (provider.settings.priority, self.providers.iter().position(|it| it.id == provider.id))
    }

    /// The best reliable one but this one.
    fn next_to(&self, provider: &Provider) -> Option<&Provider> {
        self.reliable_but(provider).first().copied()
    }

    fn explained(&self, provider: &Provider, now: Moment) -> Explained {
        let state = provider.state();
        let since = provider.told.map_or(Duration::ZERO, |(_, since)| now.since(since));
        let flaps = provider.flaps(now);
        let mut sentences = vec![condition(provider, since, now)];
        match flaps {
            0 => {}
            1 => sentences.push(say!("It became unreliable once within the last hour.")),
            _ => sentences.push(say!("It became unreliable {0} times within the last hour.", flaps)),
        }
        if !provider.is_reliable() {
            // The reason of an interface that is down has netifd's word for it already.
            let named =
                matches!(provider.reason(), Some(Reason::InterfaceDown { .. } | Reason::InterfaceTakenDown { .. }));
            sentences.extend(
                self.evidence(provider).into_iter().filter(|_| !named).map(|it| say!("Known besides: {0}.", it)),
            );
            self.explain_recovery(provider, now, &mut sentences);
        }
        let (role, reason_code) = if self.in_use(provider.id) {
            let standing = self.standing_of_active(provider);
            let share = self.share_of(provider);
            let code = if share.is_some() { "shares" } else { standing.code() };
            sentences.extend(share);
            sentences.push(standing.sentence());
            if let Some(takeover) = self.successor(provider, &standing) {
                sentences.push(takeover.sentence());
            }
            ("active", code)
        } else if state == ProviderState::Disabled || !self.takes_part(provider) {
            let section = if self.settings.enabled { provider.settings.name.as_str() } else { "settings" };
            if !provider.settings.enabled && !self.stopping {
                sentences.push(Takeover::Enabled(section).sentence());
            }
            ("disabled", provider.reason().map_or("disabled", |reason| reason.code()))
        } else if !provider.settings.default_route {
            needs(provider, &mut sentences);
            sentences.push(say!(
                "It carries no default traffic ('option default' is 0): only what comes in through it, rules and bound sockets."
            ));
            let code = provider.reason().map_or("no_default", |reason| reason.code());
            (if provider.is_reliable() { "standby" } else { "unusable" }, code)
        } else {
            self.explain_waiting(provider, now, &mut sentences)
        };
        self.explain_traffic(provider, now, &mut sentences);
        let name = provider.settings.name.clone();
        Explained { name, role, state: state.word(), reason_code, since: since.as_secs(), flaps, sentences }
    }

    /// Who comes next if the active provider fails.
    fn successor(&self, active: &Provider, standing: &Standing<'_>) -> Option<Takeover<'_>> {
        match standing {
            Standing::Only { .. } | Standing::Proving => None,
            Standing::Pinned { .. } if !active.is_reliable() => None,
            Standing::Pinned { .. } => Some(Takeover::Never),
            Standing::LastResort(_) | Standing::Spare => Some(Takeover::AnyReliable),
            _ if !self.sharing.is_empty() => Some(match self.instead_of(active) {
                Some(next) => Takeover::Next(&next.settings.name),
                None => Takeover::Others(self.sharing_but(Some(active.id))),
            }),
            _ => Some(
                self.next_to(active)
                    .or_else(|| self.by_rank().find(|it| it.on_cold_standby()))
                    .map_or(Takeover::NoNext, |next| Takeover::Next(&next.settings.name)),
            ),
        }
    }

    /// One that takes part and is not active: its role and why, and what would have to happen.
    fn explain_waiting(
        &self,
        provider: &Provider,
        now: Moment,
        sentences: &mut Vec<Sentence>,
    ) -> (&'static str, &'static str) {
        let (reliable, good) = (provider.is_reliable(), self.is_good(provider));
        let (standing, takeover) = self.place(provider, now);
        if let Some(standing) = &standing {
            sentences.push(standing.sentence());
        }
        let (usual, delay) = (provider.settings.check.failback_delay, provider.failback_delay());
        use Takeover::{GoodFor, In, JoinsGoodFor, JoinsIn, JoinsReliableFor, ReliableFor};
        let waits = matches!(takeover, In(_) | ReliableFor(1..) | GoodFor(1..));
        if delay > usual && (waits || matches!(takeover, JoinsIn(_) | JoinsReliableFor(1..) | JoinsGoodFor(1..))) {
            sentences.push(say!(
                "Its failback delay of {0} is {1} now: each failure within ten minutes of the one before doubles it.",
                time(usual),
                time(delay)
            ));
        }
        if !provider.on_cold_standby() && takeover != Takeover::Mended {
            needs(provider, sentences);
        }
        if provider.is_degraded() && !good {
            let reason = provider.degraded.as_ref();
            sentences.extend(reason.and_then(|it| quality::recovers_at(it, &provider.settings.check)));
        }
        sentences.push(takeover.sentence());
        let code = match (provider.reason(), standing) {
            (Some(reason), _) if !good => reason.code(),
            (_, Some(standing)) => standing.code(),
            _ => "checking",
        };
        (if reliable || provider.on_cold_standby() { "standby" } else { "unusable" }, code)
    }

    /// Where it stands to the active one.
    fn place<'a>(&'a self, provider: &'a Provider, now: Moment) -> (Option<Standing<'a>>, Takeover<'a>) {
        let name = &provider.settings.name;
        let own = provider.settings.priority;
        let (usable, reliable) = (provider.usable().is_some(), provider.is_reliable());
        let good = self.is_good(provider);
        let pin = self.state.pin.as_ref().or(self.settings.pin.as_ref());
        let Some(active) = self.active_provider() else {
            return (None, if usable { Takeover::Reliable } else { Takeover::Mended });
        };
        let (other, priority) = (active.settings.name.as_str(), active.settings.priority);
        if self.ranking.why == Why::Pinned {
            let takeover = Takeover::InsteadOfPin { name, pinned: other };
            return (Some(Standing::PinnedElsewhere(other)), takeover);
        }
        let first = self.settings.last_resort == LastResort::First && own < priority && !self.any_reliable();
        if !usable && (pin == Some(name) || first) {
            return (None, Takeover::Mended);
        }
        if !active.is_reliable() {
            return (None, Takeover::Reliable);
        }
        if self.joins(provider, active) {
            return self.place_in_tier(provider, active, now);
        }
        let behind = |other: &'a Provider| match other.settings.priority {
            priority if priority == own => Standing::Equal { other: &other.settings.name, priority },
            priority => Standing::Behind { other: &other.settings.name, priority, own },
        };
        // The order of the file decides among equals; the active one goes first whatever they are, and the good ones before the others.
        let poor = |it: &Provider| it.is_degraded() && !self.is_good(it);
        let position = |it: &Provider| (poor(it), self.place_in_file(it));
        let mut before = self.reliable_but(provider);
        // Those that share with it do not go before it, unless it is degraded or has to wait for that.
        let at_once = !reliable || (good && self.join_at(provider).is_some_and(|at| at <= now));
        let shares = |it: &Provider, at_once| at_once && peers(it, provider);
        before.retain(|it| (position(it) < position(provider) && !shares(it, at_once)) || it.id == active.id);
        let names = |all: Vec<&'a Provider>| all.into_iter().map(|it| it.settings.name.as_str()).collect();
        let manual = self.settings.failback == Failback::Manual;
        let delay = provider.failback_delay();
        if !good && reliable {
            let sooner = |it: &Provider| (poor(it), it.settings.priority) <= (false, own);
            let in_the_way = |it: &&Provider| it.id != active.id && (manual || sooner(it));
            let takeover = match manual {
                _ if own >= priority || before.iter().any(in_the_way) => Takeover::IfFail(names(before)),
                true => Takeover::ByHand { name, active: other },
                false => Takeover::GoodFor(delay.as_secs()),
            };
            return (Some(Standing::Degraded), takeover);
        }
        if own >= priority {
            return (reliable.then(|| behind(active)), Takeover::IfFail(names(before)));
        }
        let due = self.failback_at(provider).filter(|_| good);
        // Then it is one of those that takes over: a better one now, or at the latest a moment after this one could; of equals the first,
        // if they do not share.
        let at = due.unwrap_or(now + delay);
        let goes_first = |it: &Provider| match self.failback_at(it) {
            _ if it.id == active.id || poor(it) || shares(it, at_once || !manual) => false,
            _ if manual => before.iter().any(|known| known.id == it.id),
            Some(other) if it.settings.priority == own => (other, position(it)) < (at, position(provider)),
            other => it.settings.priority < own && other.is_some_and(|other| other <= at + MOMENT),
        };
        let mut first = self.reliable_but(provider);
        first.retain(|it| goes_first(it));
        if let Some(&preferred) = first.first() {
            let fail = if manual { before } else { first };
            return (reliable.then(|| behind(preferred)), Takeover::IfFail(names(fail)));
        }
        if manual {
            return (reliable.then_some(Standing::Manual), Takeover::ByHand { name, active: other });
        }
        let Some(at) = due else { return (None, Takeover::ReliableFor(delay.as_secs())) };
        (Some(waits(provider, active, at, now)), Takeover::In(at.since(now).as_secs()))
    }
}

/// It may not yet: until `at`.
fn waits<'a>(provider: &Provider, active: &Provider, at: Moment, now: Moment) -> Standing<'a> {
    let delay = provider.failback_delay();
    let what = match provider.graded > provider.reliable_since {
        _ if active.is_degraded() => Wait::AllDegraded,
        true => Wait::Good,
        false => Wait::Reliable,
    };
    Standing::Waits { what, so: now.since(at.before(delay)).as_secs(), of: delay.as_secs() }
}

/// How a provider is.
fn condition(provider: &Provider, since: Duration, now: Moment) -> Sentence {
    let name = &provider.settings.name;
    match (provider.state(), provider.reason()) {
        (ProviderState::Online, _) => {
            let window = provider.prober.window();
            let all = window.tally(now, provider.settings.check.timeout, None);
            match window.latency() {
                Some(latency) => {
                    let (latency, loss) =
                        (text::latency(milliseconds(latency)), text::percent(percent(all.lost, all.counted)));
                    say!("{0} has been online for {1}: {2}, {3} lost.", name, time(since), latency, loss)
                }
                None => say!("{0} has been online for {1}.", name, time(since)),
            }
        }
        (ProviderState::Checking, _) if provider.presumed => {
            say!("{0} is taken for reliable until its first checks have ended.", name)
        }
        (ProviderState::Checking, Some(_)) => {
            say!("{0} is on cold standby: it is not checked while a better provider is good.", name)
        }
        (ProviderState::Checking, None) => say!("{0} is being checked.", name),
        (ProviderState::Disabled, None) => say!("{0} is disabled in the configuration.", name),
        (ProviderState::Disabled, Some(reason)) => say!("{0} takes no part ({1}).", name, reason.sentence()),
        (ProviderState::Degraded, Some(reason)) => {
            say!("{0} has been degraded for {1} ({2}).", name, time(since), reason.sentence())
        }
        (_, Some(reason)) => say!("{0} has been offline for {1} ({2}).", name, time(since), reason.sentence()),
        (_, None) => say!("{0} has been offline for {1}.", name, time(since)),
    }
}

/// What is wrong with one that is not reliable, as a half sentence.
fn trouble(provider: &Provider) -> Sentence {
    let name = &provider.settings.name;
    match provider.reason() {
        Some(_) if provider.on_cold_standby() => say!("{0} is on cold standby", name),
        Some(reason) if provider.is_degraded() => say!("{0} is degraded ({1})", name, reason.sentence()),
        Some(reason) => say!("{0} is offline ({1})", name, reason.sentence()),
        None if provider.state() == ProviderState::Checking => say!("{0} is being checked", name),
        None => say!("{0} is offline", name),
    }
}

/// What it needs to be reliable.
fn needs(provider: &Provider, sentences: &mut Vec<Sentence>) {
    if provider.is_reliable() {
        return;
    }
    let limits = &provider.settings.check;
    if provider.usable().is_none() || provider.state() == ProviderState::Unresolved {
        sentences.push(say!("It is checked again as soon as that is mended."));
    }
    let failed = provider.reliability.failed();
    if let Some(most) = limits.max_failed.filter(|most| failed > *most) {
        sentences.push(say!("{0} of its last checks failed, and no more than {1} may have.", failed, most));
    }
    match limits.up.saturating_sub(provider.reliability.success_streak()) {
        0 => {}
        1 => sentences.push(say!("It needs one more successful check to be reliable.")),
        more => sentences.push(say!("It needs {0} more successful checks in a row to be reliable.", more)),
    }
}

fn time(duration: Duration) -> String {
    text::duration(duration.as_secs())
}
