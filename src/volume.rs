//! How many bytes were put on a line within the last day: what probing costs. Kept by `provider`, shown by `status`.

use crate::moment::Moment;

const HOURS: usize = 24;
const HOUR: u64 = 3_600_000_000_000;

/// Bytes by the hour. The core has no wall clock, so that the day is any 24 hours, of which the last is not over.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    hours: [u64; HOURS],
    /// The number of the last one.
    last: u64,
}

impl Volume {
    /// So many more now.
    pub fn add(&mut self, now: Moment, bytes: u64) {
        let hour = now.as_nanos() / HOUR;
        while self.last < hour {
            // After a long pause all are emptied once.
            self.last = (self.last + 1).max(hour.saturating_sub(HOURS as u64));
            if let Some(new) = self.hours.get_mut(place(self.last)) {
                *new = 0;
            }
        }
        if let Some(last) = self.hours.get_mut(place(hour)) {
            *last = last.saturating_add(bytes);
        }
    }

    /// Within the last 24 hours.
    pub fn day(&self, now: Moment) -> u64 {
        let passed = usize::try_from((now.as_nanos() / HOUR).saturating_sub(self.last)).unwrap_or(HOURS);
        let kept = (0..HOURS.saturating_sub(passed)).filter_map(|ago| self.last.checked_sub(ago as u64));
        kept.filter_map(|hour| self.hours.get(place(hour))).sum()
    }
}

/// Where an hour is kept.
fn place(hour: u64) -> usize {
    usize::try_from(hour % HOURS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_day_slides_by_hours() {
        let at = |hours: u64, minutes: u64| Moment::default() + Duration::from_secs(hours * 3600 + minutes * 60);
        let mut volume = Volume::default();
        for (now, bytes, want, why) in [
            (at(100, 0), 0, 0, "nothing yet"),
            (at(100, 30), 5, 5, "in the hour that has begun"),
            (at(100, 59), 7, 12, "the same"),
            (at(101, 0), 30, 42, "the next"),
            (at(123, 59), 0, 42, "23 hours later both count"),
            (at(124, 0), 0, 30, "then the first does not"),
            (at(125, 0), 1, 1, "nor the second"),
            (at(1000, 0), 0, 0, "weeks later"),
            (at(1000, 1), 9, 9, "and on"),
        ] {
            volume.add(now, bytes);
            assert_eq!(volume.day(now), want, "{why}");
        }
        assert_eq!(volume.day(at(1023, 0)), 9, "nobody has to add for time to pass");
        assert_eq!(volume.day(at(1024, 0)), 0);
    }
}
