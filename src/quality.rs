//! Whether a reliable line is good enough: its loss, latency and jitter against their limits, with hysteresis.
//!
//! `provider` asks after each check, with the figures of `probe`'s window; `ranking` puts a degraded provider behind the good ones.

use std::time::Duration;

use crate::reason::{Reason, millis};
use crate::say;
use crate::sentence::Sentence;
use crate::settings::{CheckSettings, Limits};

/// Fewer first probes than this prove nothing. And so many checks in a row must find latency or jitter above their limits: both are
/// smoothed, and a single slow answer is felt in them for a while.
const ENOUGH: u32 = 20;

/// How a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// First probes lost.
    pub lost: usize,
    /// First probes lost or answered.
    pub counted: usize,
    /// Smoothed.
    pub latency: Duration,
    /// Smoothed.
    pub jitter: Duration,
}

/// Whether any limit is set.
pub const fn is_limited(limits: &CheckSettings) -> bool {
    limits.loss.is_some() || limits.latency.is_some() || limits.jitter.is_some()
}

/// Why the line is degraded, if it is, given why it was `before`. `strained` counts the checks that found it beyond a limit.
pub fn judge(figures: Figures, limits: &CheckSettings, before: Option<&Reason>, strained: &mut u32) -> Option<Reason> {
    if u32::try_from(figures.counted).is_ok_and(|counted| counted < ENOUGH) {
        return before.cloned();
    }
    let reason = beyond(figures, limits, before);
    *strained = if reason.is_some() { strained.saturating_add(1) } else { 0 };
    // Loss is of the whole window: nothing there comes of one probe.
    let sure = before.is_some() || matches!(reason, Some(Reason::Loss { .. })) || *strained >= ENOUGH;
    reason.filter(|_| sure)
}

/// The limit that a figure is beyond: what made the line degraded must come down to where it recovers.
fn beyond(figures: Figures, limits: &CheckSettings, before: Option<&Reason>) -> Option<Reason> {
    let Figures { lost, counted, latency, jitter } = figures;
    // Rounded up: what is above a limit reads as more than it.
    let percent = u32::try_from((lost * 100).div_ceil(counted.max(1))).unwrap_or(100);
    let loss = crossed(percent, limits.loss, matches!(before, Some(Reason::Loss { .. })));
    if let Some(limit) = loss {
        return Some(Reason::Loss { percent, limit });
    }
    if let Some(limit) = crossed(latency, limits.latency, matches!(before, Some(Reason::Latency { .. }))) {
        return Some(Reason::Latency { measured: latency, limit });
    }
    let limit = crossed(jitter, limits.jitter, matches!(before, Some(Reason::Jitter { .. })))?;
    Some(Reason::Jitter { measured: jitter, limit })
}

fn crossed<T: Copy + PartialOrd>(measured: T, limits: Option<Limits<T>>, before: bool) -> Option<T> {
    let Limits { max, recover } = limits?;
    let limit = if measured > max { max } else { recover };
    (measured > limit && (before || measured > max)).then_some(limit)
}

/// Where a degraded line is good again.
pub fn recovers_at(reason: &Reason, limits: &CheckSettings) -> Option<Sentence> {
    Some(match reason {
        Reason::Loss { .. } => say!("It is good again when its loss is {0}% or less.", limits.loss?.recover),
        Reason::Latency { .. } => {
            say!("It is good again when its latency is {0} or less.", millis(limits.latency?.recover))
        }
        Reason::Jitter { .. } => {
            say!("It is good again when its jitter is {0} or less.", millis(limits.jitter?.recover))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::shipped;

    fn limits() -> CheckSettings {
        let ms = Duration::from_millis;
        CheckSettings {
            loss: Some(Limits { max: 20, recover: 10 }),
            latency: Some(Limits { max: ms(200), recover: ms(150) }),
            jitter: Some(Limits { max: ms(40), recover: ms(30) }),
            ..shipped()
        }
    }

    /// What each judgement says, of a line with these figures one after the other: lost of a hundred, latency, jitter.
    fn play(limits: &CheckSettings, script: &[(usize, u64, u64)]) -> Vec<String> {
        let (mut before, mut strained) = (None, 0);
        let mut said = vec![];
        for &(lost, latency, jitter) in script {
            let (latency, jitter) = (Duration::from_millis(latency), Duration::from_millis(jitter));
            let figures = Figures { lost, counted: 100, latency, jitter };
            before = judge(figures, limits, before.as_ref(), &mut strained);
            said.push(before.as_ref().map_or_else(String::new, ToString::to_string));
        }
        said
    }

    #[test]
    fn verdicts() {
        for (script, want, why) in [
            (&[(20, 200, 40)][..], &[""][..], "at a limit is not above it"),
            (&[(21, 20, 1)], &["loss 21% above 20%"], "a window's loss needs no second look"),
            (
                &[(21, 20, 1), (20, 20, 1), (11, 20, 1), (10, 20, 1), (20, 20, 1)],
                &["loss 21% above 20%", "loss 20% above 10%", "loss 11% above 10%", "", ""],
                "back at recover_loss, and not degraded again before max_loss",
            ),
            (
                &[(30, 300, 50), (10, 180, 35)],
                &["loss 30% above 20%", ""],
                "what did not make it degraded has its upper limit",
            ),
            (
                &[(30, 300, 50), (10, 300, 35)],
                &["loss 30% above 20%", "latency 300 ms above 200 ms"],
                "beyond another limit it stays degraded, and says by what",
            ),
        ] {
            assert_eq!(play(&limits(), script), want, "{why}");
        }
    }

    #[test]
    fn one_slow_answer_is_no_slow_line() {
        let (mut latency, mut jitter) = (20.0, 0.5);
        let felt = [1500.0].into_iter().chain([20.0; 30]).map(|answer: f64| {
            jitter = (jitter * 3.0 + (answer - latency).abs()) / 4.0;
            latency = (latency * 7.0 + answer) / 8.0;
            (0, latency as u64, jitter as u64)
        });
        let felt: Vec<_> = felt.collect();
        assert!(felt[0].1 > 200 && felt[10].2 > 40, "it is felt: {felt:?}");
        assert_eq!(play(&limits(), &felt).concat(), "");
        for (figures, want) in
            [((0, 300, 10), "latency 300 ms above 200 ms"), ((0, 20, 50), "jitter 50 ms above 40 ms")]
        {
            let said = play(&limits(), &[figures; 20]);
            assert_eq!((said[..19].concat().as_str(), said[19].as_str()), ("", want));
        }
    }

    #[test]
    fn too_few_probes_prove_nothing() {
        let few = Figures { lost: 10, counted: 19, ..Figures::default() };
        let bad = Reason::Loss { percent: 50, limit: 20 };
        assert_eq!(judge(few, &limits(), None, &mut 0), None);
        assert_eq!(judge(few, &limits(), Some(&bad), &mut 0), Some(bad.clone()), "nor that it is good again");
        let enough = Figures { counted: 20, ..few };
        assert_eq!(judge(enough, &limits(), None, &mut 0), Some(bad));
    }

    #[test]
    fn nothing_is_judged_that_has_no_limit() {
        let loss = CheckSettings { latency: None, jitter: None, ..limits() };
        assert_eq!(play(&loss, &[(0, 60_000, 60_000); 30]).concat(), "");
        assert!(is_limited(&loss) && !is_limited(&shipped()));
        assert_eq!(play(&shipped(), &[(100, 60_000, 60_000); 30]).concat(), "");
    }
}
