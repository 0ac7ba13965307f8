//! How long a provider has been offline, what was done about it since, and when something is to be done (again): `option recover`.
//!
//! Held by `provider`; fed and asked by `core::recover`.

use std::time::Duration;

use crate::moment::Moment;
use crate::settings::CheckSettings;

/// The pause between two times grows up to this, unless `recover_after` is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a provider's state means for its recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It works, or nobody wants it to.
    None,
    /// It is offline, and something can be done about it.
    Offline,
    /// It is being checked: it has been offline for as long as it was before, but may be online in a moment.
    Unsure,
    /// It does not work, and nothing is to be done about it now: it is pinned, or its cable is out.
    Halted,
}

/// What was, and is to be, done about a provider. The default: nothing yet.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    since: Option<Moment>,
    last: Option<Moment>,
    times: u32,
}

impl Recovery {
    /// Takes in how the provider is now. What was done counts until it works again; how long it is offline, only while something could be
    /// done about it.
    pub fn follow(&mut self, now: Moment, need: Need) {
        match need {
            Need::None => *self = Self::default(),
            Need::Offline => self.since = self.since.or(Some(now)),
            Need::Unsure => {}
            Need::Halted => self.since = None,
        }
    }

    /// When something is to be done, if the provider stays offline.
    pub fn due(&self, settings: &CheckSettings) -> Option<Moment> {
        let after = settings.recover_after;
        let first = self.since? + after;
        let longest = LONGEST_PAUSE.max(after);
        // Twice as long before each further time; after that many, it has long been the longest.
        let pause = after.saturating_mul(1 << self.times.min(16)).min(longest);
        settings.recover.as_ref()?;
        Some(self.last.map_or(first, |last| first.max(last + pause)))
    }

    /// It was done.
    pub fn done(&mut self, now: Moment) {
        self.last = Some(now);
        self.times = self.times.saturating_add(1);
    }

    /// Something else is to be done from now on: what was done before does not count.
    pub fn restart(&mut self) {
        (self.last, self.times) = (None, 0);
    }

    /// How often it was done since the provider worked.
    pub const fn times(&self) -> u32 {
        self.times
    }

    /// Whether it was done so shortly ago.
    pub fn done_within(&self, now: Moment, time: Duration) -> bool {
        self.last.is_some_and(|last| now.since(last) < time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Recover;
    use crate::settings::tests::shipped;

    fn at(seconds: u64) -> Moment {
        Moment::default() + Duration::from_secs(seconds)
    }

    fn limits(recover: Option<Recover>, after: u64) -> CheckSettings {
        CheckSettings { recover, recover_after: Duration::from_secs(after), ..shipped() }
    }

    #[test]
    fn the_pause_doubles_up_to_an_hour() {
        for (after, want, why) in [
            (300, &[300, 900, 2100, 4500, 8100, 11_700][..], "five minutes, ten, twenty, forty, an hour"),
            (10, &[10, 30, 70, 150, 310, 630, 1270, 2550, 5110, 8710], "from the shortest one"),
            (7200, &[7200, 14_400, 21_600], "one that is longer than an hour does not grow"),
        ] {
            let (mut recovery, limits) = (Recovery::default(), limits(Some(Recover::Renew), after));
            recovery.follow(at(0), Need::Offline);
            for want in want {
                assert_eq!(recovery.due(&limits), Some(at(*want)), "{why}");
                recovery.done(at(*want));
            }
            (0..100).for_each(|_| recovery.done(at(100_000)));
            assert_eq!(recovery.due(&limits), Some(at(100_000 + after.max(3600))), "{why}");
        }
    }

    #[test]
    fn what_counts_and_what_begins_anew() {
        let renew = limits(Some(Recover::Renew), 100);
        for (needs, want, why) in [
            (&[(0, Need::Unsure)][..], None, "nothing is known yet"),
            (&[(0, Need::Offline), (50, Need::Unsure), (60, Need::Offline)], Some(100), "it was no better meanwhile"),
            (&[(0, Need::Offline), (50, Need::Halted)], None, "pinned"),
            (&[(0, Need::Offline), (50, Need::Halted), (60, Need::Offline)], Some(160), "no longer pinned"),
            (&[(0, Need::Offline), (50, Need::None), (60, Need::Offline)], Some(160), "it was online meanwhile"),
        ] {
            let mut recovery = Recovery::default();
            needs.iter().for_each(|(seconds, need)| recovery.follow(at(*seconds), *need));
            assert_eq!(recovery.due(&renew), want.map(at), "{why}");
        }
        let mut recovery = Recovery::default();
        recovery.follow(at(0), Need::Offline);
        assert_eq!(recovery.due(&limits(None, 100)), None, "off");
        recovery.done(at(100));
        recovery.follow(at(110), Need::Halted);
        recovery.follow(at(120), Need::Offline);
        assert_eq!((recovery.due(&renew), recovery.times()), (Some(at(300)), 1), "the longer wait counts");
        assert_eq!(
            recovery.due(&limits(Some(Recover::Renew), 30)),
            Some(at(160)),
            "another recover_after takes effect"
        );
        recovery.restart();
        assert_eq!((recovery.due(&renew), recovery.times()), (Some(at(220)), 0));
    }
}
