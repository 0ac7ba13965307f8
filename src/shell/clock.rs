//! The clock, read once per wake-up by the event loop, and translated for tokio's timers.
//!
//! `Moment`s count from boot (CLOCK_MONOTONIC), so they compare across threads and with what the kernel stamps on packets.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::time::Duration;

use failoverd::moment::Moment;

/// A packet cannot have waited longer than this to be read; a larger age means that somebody set the wall clock.
const OLDEST: Duration = Duration::from_secs(1);

/// Now.
pub(crate) fn now() -> Moment {
    let since_boot = read(libc::CLOCK_MONOTONIC).unwrap_or_default();
    Moment::from_nanos(u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX))
}

/// What a clock shows; `None` if that cannot be said. The standard library would panic then: on 32-bit systems, once the wall clock is
/// past January 2038, as one without a battery may be at any time.
fn read(clock: libc::clockid_t) -> Option<Duration> {
    // SAFETY: a timespec is numbers, and padding on some 32-bit systems: all of it may be zero.
    let mut time: libc::timespec = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the pointer is to a live timespec of ours.
    let outcome = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (outcome == 0).then(|| Duration::new(seconds, nanos))
}

/// The instant at which tokio is to wake us for `deadline`, seen from `now`. What is over stays over: tokio rounds up to whole
/// milliseconds, so that a timer for this very moment, made anew with every call that is answered, would never be due.
pub(crate) fn instant(now: Moment, deadline: Moment) -> tokio::time::Instant {
    let instant = tokio::time::Instant::now();
    instant.checked_sub(now.since(deadline)).unwrap_or(instant) + deadline.since(now)
}

/// The moment at which the kernel received a packet, from its wall-clock stamp (time since 1970).
pub(crate) fn received_at(now: Moment, stamp: Duration) -> Moment {
    moment_of(now, read(libc::CLOCK_REALTIME).unwrap_or(stamp), stamp)
}

fn moment_of(now: Moment, wall: Duration, stamp: Duration) -> Moment {
    now.before(wall.saturating_sub(stamp).min(OLDEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_forward_and_counts_nanoseconds() {
        let before = now();
        std::thread::sleep(Duration::from_millis(20));
        let passed = now().since(before);
        assert!(passed >= Duration::from_millis(20) && passed < Duration::from_secs(5), "{passed:?}");
    }

    #[tokio::test]
    async fn deadlines_keep_their_distance() {
        let start = now();
        let wait = instant(start, start + Duration::from_secs(3)) - tokio::time::Instant::now();
        assert!(wait > Duration::from_millis(2900) && wait <= Duration::from_secs(3), "{wait:?}");
        let over = tokio::time::Instant::now() - instant(start, start.before(Duration::from_secs(1)));
        assert!(over > Duration::from_millis(900), "the past is not now: {over:?}");
        assert!(instant(now(), Moment::default()) < tokio::time::Instant::now(), "nor is what was always due");
    }

    #[test]
    fn a_stamp_becomes_a_moment() {
        let now = Moment::from_nanos(10_000_000_000);
        let wall = Duration::from_secs(1_700_000_000);
        for (stamp, age, why) in [
            (wall.checked_sub(Duration::from_millis(7)).unwrap(), Duration::from_millis(7), "an ordinary age"),
            (wall + Duration::from_secs(60), Duration::ZERO, "the clock was set back: not in the future"),
            (Duration::ZERO, OLDEST, "the clock was set forward: not in the far past"),
        ] {
            assert_eq!(now.since(moment_of(now, wall, stamp)), age, "{why}");
        }
    }
}
