//! When checks begin: each provider's on a grid of its own, so that those of many are spread over the time and never in step.
//!
//! Asked by `provider`, which knows how long the pause is.

use std::time::Duration;

use crate::event::ProviderId;
use crate::moment::Moment;

/// The golden ratio as a part of 2^64: multiples of it lie as far from each other as can be, however many there are.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Grids of different pauses that divide each other would meet for some pairs of providers: each pause is shifted by its own part.
const SHIFT: u64 = 0xd1b5_4a32_d192_ed03;

/// The first point of the grid from `earliest` on. The grid depends on provider and pause alone: a check at another time (by hand, at the
/// start, after a long one) moves the next one and none after it.
pub fn next(id: ProviderId, pause: Duration, earliest: Moment) -> Moment {
    let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX).max(1);
    let part = u64::from(id.0).wrapping_mul(GOLDEN).wrapping_add(micros.wrapping_mul(SHIFT));
    // 24 bits of the part and 37 of the longest pause, a day.
    let phase = (part >> 40).saturating_mul(micros) >> 24;
    let passed = (earliest.as_nanos().div_ceil(1000)).saturating_sub(phase).div_ceil(micros);
    Moment::from_nanos(phase.saturating_add(passed.saturating_mul(micros)).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The moments of an hour's checks, in order.
    fn hour(providers: u8, pause: impl Fn(u8) -> Duration) -> Vec<u64> {
        let mut all = vec![];
        for id in 1..=providers {
            let mut at = Moment::from_nanos(0);
            while at.as_nanos() < 3600 * SECOND {
                let before = at;
                // The shell is never early, and late by a little.
                at = next(ProviderId(id), pause(id), at + pause(id) / 2);
                if before.as_nanos() > 0 {
                    assert_eq!(at.since(before), pause(id), "exact");
                }
                all.push(at.as_nanos());
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn checks_of_many_providers_are_spread() {
        let seconds = Duration::from_secs;
        for (providers, active, standby, apart, why) in [
            (2, 1, 1, 300, "two"),
            (16, 1, 1, 30, "sixteen that are all checked each second: 62 ms apart in the mean"),
            (16, 5, 5, 170, "sixteen standbys"),
            (63, 1, 1, 8, "as many as there can be"),
            (2, 1, 5, 60, "one active, one standby"),
            (16, 1, 5, 4, "one active, fifteen standbys: whichever is active"),
        ] {
            for chosen in 1..=if active == standby { 1 } else { providers } {
                let all = hour(providers, |id| seconds(if id == chosen { active } else { standby }));
                let least = all.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
                assert!(least >= apart * 1_000_000, "{why}: {chosen}: {least} ns");
            }
        }
    }

    #[test]
    fn any_pauses_are_hardly_ever_in_step() {
        let mut random = crate::random::Random::new(5);
        let (mut close, mut checks) = (0, 0);
        for _ in 0..50 {
            let pauses: Vec<Duration> =
                (0..16).map(|_| Duration::from_millis(200 + 50 * (random.next() % 200))).collect();
            let all = hour(16, |id| pauses[usize::from(id) - 1]);
            let mean = 3600 * SECOND / all.len() as u64;
            let within = all.windows(2).filter(|pair| pair[1] - pair[0] < mean / 20).count();
            assert!(within * 5 < all.len(), "{within} of {}: {pauses:?}", all.len());
            (close, checks) = (close + within, checks + all.len());
        }
        // Chance alone would have 5 % of them.
        assert!(close * 100 < checks * 6, "{close} of {checks}");
    }

    #[test]
    fn the_grid_is_found_again() {
        let (id, pause) = (ProviderId(3), Duration::from_millis(1500));
        let grid = next(id, pause, Moment::from_nanos(77 * SECOND));
        for (late, want, why) in [
            (0, 0, "on it"),
            (1, 1, "just missed"),
            (1_400_000_000, 1, "long after"),
            (1_500_000_001, 2, "a whole pause and more"),
        ] {
            assert_eq!(next(id, pause, grid + Duration::from_nanos(late)), grid + pause * want, "{why}");
        }
    }
}
