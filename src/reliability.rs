//! The reliability counters of one provider and their verdict, with hysteresis.
//!
//! `probe` delivers finished checks; `ranking` reads the verdict, `status` the counters.

use std::collections::VecDeque;
use std::time::Duration;

use crate::moment::Moment;
use crate::reason::Reason;
use crate::settings::CheckSettings;

/// One finished check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// When it finished.
    pub at: Moment,
    /// `None`: it succeeded.
    pub failure: Option<Reason>,
    /// The latency of its first probe, of the first test that asks beyond the gateway, where that was answered before it ended.
    pub latency: Option<Duration>,
    /// Probes sent.
    pub sent: u32,
    /// First probes sent: one per test.
    pub first: u32,
    /// Of these, not answered before it ended.
    pub first_lost: u32,
}

impl Check {
    /// A check that needed no probe to fail.
    pub const fn failed_at_once(at: Moment, reason: Reason) -> Self {
        Self { at, failure: Some(reason), latency: None, sent: 0, first: 0, first_lost: 0 }
    }
}

/// The last `history` check results of a provider, its streaks, and whether it is reliable.
#[derive(Clone, Debug, Default)]
pub struct Reliability {
    checks: VecDeque<Check>,
    failed: u32,
    success_streak: u32,
    failure_streak: u32,
    verdict: Option<bool>,
}

impl Reliability {
    /// Feeds one check in; answers only when the verdict changes.
    pub fn record(&mut self, check: Check, limits: &CheckSettings) -> Option<bool> {
        if check.failure.is_none() {
            self.success_streak = self.success_streak.saturating_add(1);
            self.failure_streak = 0;
        } else {
            self.failure_streak = self.failure_streak.saturating_add(1);
            self.success_streak = 0;
            self.failed = self.failed.saturating_add(1);
        }
        self.checks.push_back(check);
        self.trim(limits.history);

        let too_many = limits.max_failed.is_some_and(|most| self.failed > most);
        let verdict = match self.verdict {
            Some(true) if too_many || self.failure_streak >= limits.down => Some(false),
            None if too_many || self.failure_streak >= limits.down => Some(false),
            Some(false) | None if !too_many && self.success_streak >= limits.up => Some(true),
            unchanged => unchanged,
        };
        let changed = verdict != self.verdict;
        self.verdict = verdict;
        if changed { verdict } else { None }
    }

    /// The link was lost: one failed check, and unreliable whatever `down` says.
    pub fn link_lost(&mut self, now: Moment, reason: Reason, limits: &CheckSettings) {
        self.record(Check::failed_at_once(now, reason), limits);
        self.verdict = Some(false);
    }

    /// The link came back: what was known before does not count, `up` successes must come first.
    pub fn distrust(&mut self) {
        self.verdict = None;
        self.success_streak = 0;
        self.failure_streak = 0;
    }

    /// Keeps no more than `history` results, as after a reload.
    pub fn trim(&mut self, history: usize) {
        while self.checks.len() > history {
            if self.checks.pop_front().is_some_and(|check| check.failure.is_some()) {
                self.failed = self.failed.saturating_sub(1);
            }
        }
    }

    /// `None`: nothing known yet.
    pub const fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// Check results kept, oldest first.
    pub fn checks(&self) -> impl DoubleEndedIterator<Item = &Check> + ExactSizeIterator {
        self.checks.iter()
    }

    /// Failed checks among those kept.
    pub const fn failed(&self) -> u32 {
        self.failed
    }

    /// Successful checks in a row.
    pub const fn success_streak(&self) -> u32 {
        self.success_streak
    }

    /// Failed checks in a row.
    pub const fn failure_streak(&self) -> u32 {
        self.failure_streak
    }

    /// Why the provider is unreliable: the last failure, or, where that alone would not be enough, that there were too many.
    pub fn reason(&self, limits: &CheckSettings) -> Option<Reason> {
        let of = u32::try_from(self.checks.len()).unwrap_or(u32::MAX);
        let too_many = limits.max_failed.is_some_and(|most| self.failed > most);
        if too_many && self.failure_streak < limits.down {
            return Some(Reason::TooManyFailures { failed: self.failed, of });
        }
        self.checks.iter().rev().find_map(|check| check.failure.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::shipped;

    fn limits(history: usize, max_failed: Option<u32>, up: u32, down: u32) -> CheckSettings {
        CheckSettings { history, max_failed, up, down, ..shipped() }
    }

    /// `+` a success, `-` a failure, `!` distrust; wanted: `R` became reliable, `U` unreliable, `.` no change.
    fn play(script: &str, limits: &CheckSettings) -> String {
        let mut counters = Reliability::default();
        let mut said = String::new();
        for step in script.chars() {
            if step == '!' {
                counters.distrust();
                said.push('.');
                continue;
            }
            let failure = (step == '-').then_some(Reason::NoCarrier);
            let check = Check { at: Moment::default(), failure, latency: None, sent: 1, first: 1, first_lost: 0 };
            said.push(match counters.record(check, limits) {
                Some(true) => 'R',
                Some(false) => 'U',
                None => '.',
            });
        }
        said
    }

    #[test]
    fn verdicts() {
        let shipped = limits(50, None, 3, 1);
        let patient = limits(50, None, 2, 3);
        let strict = limits(5, Some(1), 1, 9);
        for (script, settings, want, why) in [
            ("+++-", &shipped, "..RU", "down 1: one failed check is enough"),
            ("+++-++", &shipped, "..RU..", "up 3: two successes are not"),
            ("+++-+++", &shipped, "..RU..R", "three are"),
            ("-", &shipped, "U", "nothing known: one failure speaks"),
            ("++-+++", &shipped, "..U..R", "a failure before the first verdict starts the streak anew"),
            ("++--+--+---", &patient, ".R........U", "down 3: three in a row, not three in all"),
            ("+-+-", &strict, "R..U", "max_failed 1: the second failure within the history is one too many"),
            ("+-+-++++", &strict, "R..U..R.", "reliable again when one of the two has left the history of five"),
            ("+++!++", &shipped, "..R...", "after the link came back the old successes do not count"),
            ("+++!+++", &shipped, "..R...R", "but new ones do"),
            ("---!---", &shipped, "U...U..", "and failures speak at once"),
        ] {
            assert_eq!(play(script, settings), want, "{script}: {why}");
        }
    }

    #[test]
    fn a_lost_link_is_a_failure_whatever_down_says() {
        let patient = limits(50, None, 1, 5);
        let mut counters = Reliability::default();
        counters.record(
            Check { at: Moment::default(), failure: None, latency: None, sent: 1, first: 1, first_lost: 0 },
            &patient,
        );
        assert_eq!(counters.verdict(), Some(true));
        counters.link_lost(Moment::default(), Reason::NoCarrier, &patient);
        assert_eq!(counters.verdict(), Some(false));
        assert_eq!(counters.reason(&patient), Some(Reason::NoCarrier));
    }

    #[test]
    fn the_history_is_bounded_and_counts_what_it_holds() {
        let small = limits(3, None, 1, 1);
        let mut counters = Reliability::default();
        for failure in [true, true, false, false] {
            let failure = failure.then_some(Reason::NoCarrier);
            counters.record(
                Check { at: Moment::default(), failure, latency: None, sent: 1, first: 1, first_lost: 0 },
                &small,
            );
        }
        assert_eq!((counters.checks().len(), counters.failed()), (3, 1));
    }
}
