//! Which targets are suspect: those that nobody has got an answer from for a while, where others of the same test have answered.
//!
//! Fed by `core::checks` with what every provider's prober has heard; tells every prober whom to ask last, and `status` whom to name.

use std::time::Duration;

use super::Core;
use crate::moment::Moment;
use crate::settings::TestSettings;

/// Suspect after so many misses in a row, through whichever providers.
const MISSES: u32 = 3;
/// A suspect one is asked beside a check after this time, then at pauses twice as long each: chance is soon found out.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The targets that were missed since they last answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Missed(Vec<Target>);

#[derive(Clone, Debug)]
struct Target {
    test: String,
    place: usize,
    misses: u32,
    /// When it is asked beside a check, and how long it is left alone after that.
    due: Moment,
    pause: Duration,
}

impl Missed {
    /// A target has answered, or is missed. True: who is suspect has changed.
    pub(super) fn heard(&mut self, now: Moment, test: &TestSettings, place: usize, answered: bool) -> bool {
        let found = self.0.iter_mut().find(|it| it.place == place && it.test == test.name);
        let misses = match found {
            Some(target) if !answered => {
                target.misses = target.misses.saturating_add(1);
                if target.misses == MISSES {
                    (target.due, target.pause) = (now + FIRST_PAUSE, FIRST_PAUSE);
                }
                return target.misses == MISSES;
            }
            Some(target) => target.misses,
            None => 0,
        };
        if answered {
            self.0.retain(|it| it.place != place || it.test != test.name);
        } else {
            let name = test.name.clone();
            self.0.push(Target { test: name, place, misses: 1, due: now, pause: FIRST_PAUSE });
        }
        misses >= MISSES
    }

    /// Whether it is suspect. Where all of a test would be, none is.
    pub(super) fn is_suspect(&self, test: &TestSettings, place: usize) -> bool {
        let all = || self.0.iter().filter(|it| it.misses >= MISSES && it.test == test.name);
        all().any(|it| it.place == place) && all().count() < test.targets.len()
    }

    /// The suspect target, by test and place, that is asked now beside a check of a provider with these tests: never two at once.
    pub(super) fn take_due(&mut self, now: Moment, tests: &[TestSettings]) -> Option<(usize, usize)> {
        let found = self.0.iter().find_map(|it| {
            let number = tests.iter().position(|test| test.name == it.test)?;
            let suspect = it.due <= now && self.is_suspect(tests.get(number)?, it.place);
            suspect.then_some((number, it.place))
        })?;
        let name = tests.get(found.0).map(|test| &test.name);
        for it in &mut self.0 {
            if it.place == found.1 && Some(&it.test) == name {
                it.pause = (it.pause * 2).min(LONGEST_PAUSE);
                it.due = now + it.pause;
            } else {
                it.due = it.due.max(now + FIRST_PAUSE);
            }
        }
        Some(found)
    }

    /// Forgets the targets of tests that are not what they were.
    pub(super) fn reload(&mut self, before: &[TestSettings], now: &[TestSettings]) {
        let kept = |name: &String| now.iter().any(|test| test.name == *name && before.contains(test));
        self.0.retain(|it| kept(&it.test));
    }
}

impl Core {
    /// Tells every prober who is suspect.
    pub(super) fn tell_suspects(&mut self) {
        for provider in &mut self.providers {
            for (number, test) in provider.tests.iter().enumerate() {
                for place in 0..test.targets.len() {
                    provider.prober.set_suspect(number, place, self.missed.is_suspect(test, place));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TestKind;
    use std::net::IpAddr;

    fn test(name: &str, targets: u8) -> TestSettings {
        let targets = (1..=targets).map(|last| IpAddr::from([192, 0, 2, last]).into()).collect();
        TestSettings { name: name.into(), kind: TestKind::ping(), targets }
    }

    #[test]
    fn who_is_suspect() {
        // `a`, `b` are missed, `A`, `B` answer.
        for (script, want, why) in [
            ("aa", "", "twice may be chance"),
            ("aaa", "a", "three times in a row"),
            ("aaAaa", "", "an answer in between"),
            ("aabbaB", "a", "whatever became of others"),
            ("aaaA", "", "until it answers"),
            ("aaaaabbb", "", "all of a test: none"),
            ("aaabbbB", "a", "one of them is back"),
        ] {
            let (mut missed, mut told) = (Missed::default(), false);
            let both = test("t", 2);
            for step in script.chars() {
                let place = usize::from(step.eq_ignore_ascii_case(&'b'));
                told |= missed.heard(Moment::default(), &both, place, step.is_ascii_uppercase());
            }
            let suspects = (0..2).filter(|place| missed.is_suspect(&both, *place));
            let suspects: String = suspects.map(|place| if place == 0 { 'a' } else { 'b' }).collect();
            assert_eq!(suspects, want, "{script}: {why}");
            assert!(told || want.is_empty(), "{script}: told");
            assert!(!missed.is_suspect(&test("u", 2), 0), "{script}: another test's");
        }
    }

    #[test]
    fn it_is_asked_ever_less_often_and_never_two_at_once() {
        let (tests, mut missed) = ([test("other", 1), test("t", 3)], Missed::default());
        for place in [0, 1].repeat(3) {
            missed.heard(Moment::default(), &tests[1], place, false);
        }
        let at = |second| Moment::default() + Duration::from_secs(second);
        let asked = (0..300).filter_map(|second| Some((second, missed.take_due(at(second), &tests)?)));
        let asked: Vec<_> = asked.collect();
        let of =
            |place| asked.iter().filter(|(_, it)| *it == (1, place)).map(|(second, _)| *second).collect::<Vec<_>>();
        assert_eq!(of(0), [1, 3, 7, 15, 31, 63, 123, 183, 243]);
        assert_eq!(of(1), [2, 4, 8, 16, 32, 64, 124, 184, 244]);
        assert_eq!(missed.take_due(at(1000), &tests[..1]), None, "a provider without that test");
        missed.reload(&tests, &[test("t", 4)]);
        assert!(!missed.is_suspect(&tests[1], 0), "other targets");
    }
}
