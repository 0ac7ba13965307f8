//! Monotonic time as the library sees it: a number that the shell hands in, never a clock that somebody reads.
//!
//! The shell makes a [`Moment`] once per wake-up; every step of the straight line compares and adds.

use std::ops::Add;
use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds since an arbitrary origin (on Linux: since boot).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` before this one, the origin at the earliest.
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(by)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(by)))
    }
}

/// Durations beyond 584 years stop at the end of the scale.
fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let start = Moment::from_nanos(5);
        assert_eq!(start.before(Duration::from_secs(1)), Moment::from_nanos(0));
        assert_eq!((start + Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(start.since(Moment::from_nanos(9)), Duration::ZERO);
        assert_eq!((start + Duration::from_nanos(4)).since(start), Duration::from_nanos(4));
    }
}
