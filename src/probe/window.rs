//! Latency, jitter and loss, from first probes alone: those of a burst would bias all three. Kept by `probe`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::Aim;
use super::pace::Pace;
use crate::event::ProbeToken;
use crate::moment::Moment;

/// First probes kept.
const SIZE: usize = 100;

/// The last first probes, and the smoothed round trip.
#[derive(Clone, Debug, Default)]
pub struct Window {
    probes: VecDeque<Probe>,
    pace: Pace,
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

    /// An answer, however late, un-loses its probe: whom it was sent to, and when.
    pub(super) fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken) -> Option<(Aim, Moment)> {
        let found = self.probes.iter_mut().rev().find(|probe| probe.token == token && probe.aim.fits(source));
        let probe = found.filter(|probe| matches!(probe.fate, Fate::Pending | Fate::Lost))?;
        let sample = at.since(probe.at);
        probe.fate = Fate::Answered { after: sample };
        if !probe.patient {
            self.pace.sample(sample);
        }
        Some((probe.aim, probe.at))
    }

    /// Whom the probe with this sequence number was sent to, if it may have gone to `target`.
    pub(super) fn aim(&self, sequence: u16, target: Option<IpAddr>) -> Option<Aim> {
        let all = self.probes.iter().rev();
        all.map(|probe| (probe.token, probe.aim))
            .find(|(token, aim)| token.sequence == sequence && aim.fits(target))
            .map(|(_, aim)| aim)
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

    /// The smoothed round trip.
    pub const fn latency(&self) -> Option<Duration> {
        self.pace.latency()
    }

    /// The smoothed deviation of the round trip.
    pub fn jitter(&self) -> Option<Duration> {
        self.pace.jitter()
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
