//! Latency, jitter and loss, from first probes alone: those of a burst would bias all three. Kept by `probe`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::Aim;
use crate::event::ProbeToken;
use crate::moment::Moment;
use crate::settings::CheckSettings;

/// First probes kept.
const SIZE: usize = 100;

/// How long a probe may take before the first round trip is known.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The last first probes, and the smoothed round trip.
#[derive(Clone, Debug, Default)]
pub struct Window {
    probes: VecDeque<Probe>,
    smoothed: Option<Duration>,
    deviation: Duration,
}

#[derive(Clone, Debug)]
struct Probe {
    token: ProbeToken,
    aim: Aim,
    at: Moment,
    /// How long its answer takes says nothing of the line.
    patient: bool,
    fate: Fate,
}

/// What became of first probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lost.
    pub lost: usize,
    /// Lost or answered.
    pub counted: usize,
    /// When the last answer came, and its latency.
    pub answer: Option<(Moment, Duration)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    Answered {
        after: Duration,
    },
    /// Its check has failed: lost, unless an answer comes after all.
    Lost,
    /// Sent across a link that was lost: neither loss nor latency.
    Void,
}

impl Window {
    pub(super) fn sent(&mut self, at: Moment, token: ProbeToken, aim: Aim, patient: bool) {
        if self.probes.len() >= SIZE {
            self.probes.pop_front();
        }
        self.probes.push_back(Probe { token, aim, at, patient, fate: Fate::Pending });
    }

    /// An answer, however late, un-loses its probe.
    pub(super) fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken) {
        let found = self.probes.iter_mut().rev().find(|probe| probe.token == token && probe.aim.fits(source));
        let Some(probe) = found.filter(|probe| matches!(probe.fate, Fate::Pending | Fate::Lost)) else { return };
        let sample = at.since(probe.at);
        probe.fate = Fate::Answered { after: sample };
        if probe.patient {
            return;
        }
        // RFC 6298, section 2: gains 1/8 and 1/4.
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

    pub(super) fn forget_pending(&mut self) {
        self.settle_pending(Fate::Void);
    }

    /// The check of the pending probes has failed.
    pub(super) fn lose_pending(&mut self) {
        self.settle_pending(Fate::Lost);
    }

    fn settle_pending(&mut self, fate: Fate) {
        self.probes.iter_mut().filter(|probe| probe.fate == Fate::Pending).for_each(|probe| probe.fate = fate);
    }

    /// How long a probe may take before it is suspicious: smoothed round trip and four deviations, within the limits.
    pub fn wait(&self, limits: &CheckSettings) -> Duration {
        let wait = self.smoothed.map_or(FIRST_WAIT, |smoothed| smoothed + self.deviation * 4);
        wait.max(limits.min_timeout).min(limits.timeout)
    }

    /// The smoothed round trip.
    pub const fn latency(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The smoothed deviation of the round trip.
    pub fn jitter(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.deviation)
    }

    /// What became of the first probes to `target` (test and target by number), or of all. One younger than `timeout` may still be answered and is not counted.
    pub fn tally(&self, now: Moment, timeout: Duration, target: Option<(usize, usize)>) -> Tally {
        let mut tally = Tally::default();
        for probe in
            self.probes.iter().filter(|probe| target.is_none_or(|target| target == (probe.aim.test, probe.aim.target)))
        {
            match probe.fate {
                Fate::Answered { after } => tally.answer = tally.answer.max(Some((probe.at + after, after))),
                Fate::Lost => tally.lost += 1,
                Fate::Pending if now.since(probe.at) >= timeout => tally.lost += 1,
                Fate::Pending | Fate::Void => continue,
            }
            tally.counted += 1;
        }
        tally
    }
}
