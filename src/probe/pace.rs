//! How fast answers come: the smoothed round trip and its deviation, and how long to wait by them. Kept by `window` for a provider, by
//! `probe` for each of its tests, as a page takes longer than a ping.

use std::time::Duration;

use crate::settings::CheckSettings;

/// How long a probe may take before the first round trip is known.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Smoothed round trips.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    smoothed: Option<Duration>,
    deviation: Duration,
}

impl Pace {
    /// Takes a round trip in (RFC 6298, section 2: gains 1/8 and 1/4).
    pub(super) fn sample(&mut self, sample: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.deviation = sample / 2;
            }
            Some(smoothed) => {
                self.deviation = (self.deviation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
        }
    }

    /// How long a probe may take before it is suspicious: smoothed round trip and four deviations, within the limits.
    pub(super) fn wait(&self, limits: &CheckSettings) -> Duration {
        let wait = self.smoothed.map_or(FIRST_WAIT, |smoothed| smoothed + self.deviation * 4);
        wait.max(limits.min_timeout).min(limits.timeout)
    }

    /// The smoothed round trip.
    pub(super) const fn latency(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The smoothed deviation of the round trip.
    pub(super) fn jitter(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.deviation)
    }
}
