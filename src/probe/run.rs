//! One test within one check: its probes and how far it is. Driven by `probe`.

use std::net::IpAddr;
use std::time::Duration;

use super::Aim;
use crate::event::ProbeToken;
use crate::moment::Moment;
use crate::reason::{Reason, Received, Refusal};

/// How far a test is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first probe is on its way.
    Waiting {
        until: Moment,
    },
    /// It was missed: `left` further probes, the next one at `next`; with none left, `next` ends the last one's wait.
    Burst {
        next: Moment,
        left: u32,
    },
    /// All were missed, and the count of received packets has been asked for.
    Judging {
        until: Moment,
    },
    /// The line is receiving: slow rather than dead.
    Patient {
        until: Moment,
        packets: Option<u32>,
    },
    /// One script after the other: `left` further ones, each when the one before said no.
    Script {
        until: Moment,
        left: u32,
    },
    Succeeded,
    Failed(Reason),
}

impl Phase {
    pub(super) const fn deadline(&self) -> Option<Moment> {
        match self {
            Self::Waiting { until }
            | Self::Judging { until }
            | Self::Patient { until, .. }
            | Self::Script { until, .. } => Some(*until),
            Self::Burst { next, .. } => Some(*next),
            Self::Succeeded | Self::Failed(_) => None,
        }
    }
}

/// One test within one check.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Which of the prober's tests.
    pub(super) test: usize,
    /// When the first probe was sent.
    pub(super) started: Moment,
    pub(super) phase: Phase,
    /// How long a probe may take before it is suspicious, fixed for the whole check.
    pub(super) wait: Duration,
    /// Packets received, when it was to be judged the last time.
    pub(super) heard: u32,
    probes: Vec<Probe>,
}

#[derive(Clone, Debug)]
struct Probe {
    token: ProbeToken,
    aim: Aim,
    refused: Option<Refusal>,
    latency: Option<Duration>,
}

impl Run {
    pub(super) fn new(test: usize, now: Moment, token: ProbeToken, aim: Aim, wait: Duration, phase: Phase) -> Self {
        let first = Probe { token, aim, refused: None, latency: None };
        Self { test, started: now, phase, wait, heard: 0, probes: vec![first] }
    }

    /// One that could not ask anybody.
    pub(super) fn failed(test: usize, now: Moment, reason: Reason) -> Self {
        let phase = Phase::Failed(reason);
        Self { test, started: now, phase, wait: Duration::ZERO, heard: 0, probes: vec![] }
    }

    pub(super) fn sent(&mut self, token: ProbeToken, aim: Aim) {
        self.probes.push(Probe { token, aim, refused: None, latency: None });
    }

    /// An answer to any of the probes, a late one too, ends the test.
    pub(super) fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken) {
        let started = self.started;
        if let Some(probe) = self.probes.iter_mut().find(|probe| probe.token == token && probe.aim.fits(source)) {
            probe.latency = Some(at.since(started));
            if !matches!(self.phase, Phase::Failed(_)) {
                self.phase = Phase::Succeeded;
            }
        }
    }

    /// A refused probe need not be waited for: the next step comes now.
    pub(super) fn refused(&mut self, now: Moment, sequence: u16, target: Option<IpAddr>, cause: &Refusal) {
        let last = self.probes.len().saturating_sub(1);
        let Some((position, probe)) = self
            .probes
            .iter_mut()
            .enumerate()
            .find(|(_, probe)| probe.token.sequence == sequence && probe.aim.fits(target))
        else {
            return;
        };
        probe.refused = Some(cause.clone());
        let all = self.probes.iter().all(|probe| probe.refused.is_some());
        match self.phase {
            Phase::Waiting { .. } => self.phase = Phase::Waiting { until: now },
            Phase::Script { left, .. } if position == last => self.phase = Phase::Script { until: now, left },
            Phase::Burst { left: 0, .. } | Phase::Judging { .. } | Phase::Patient { .. } if all => {
                self.phase = Phase::Failed(self.failure(None, Received::Little { packets: 0, within: Duration::ZERO }));
            }
            Phase::Burst { next, left: 0 } if position == last => {
                self.phase = Phase::Burst { next: next.min(now), left: 0 }
            }
            _ => {}
        }
    }

    /// Why the test failed, given a gateway that is silent and what the line received.
    pub(super) fn failure(&self, silent: Option<IpAddr>, received: Received) -> Reason {
        let sent = self.count();
        match self.probes.iter().rev().map(|probe| probe.refused.clone()).collect::<Option<Vec<_>>>() {
            Some(causes) if !causes.is_empty() => match causes.into_iter().next() {
                Some(cause) => Reason::Refused { cause, sent },
                None => Reason::NotReadYet,
            },
            _ => {
                if let Some(gateway) = silent {
                    return Reason::GatewaySilent(gateway);
                }
                let first =
                    |at: usize, probe: &Probe| !self.probes.iter().take(at).any(|it| it.aim.target == probe.aim.target);
                let targets = self.probes.iter().enumerate().filter(|(at, probe)| first(*at, probe)).count();
                Reason::LostProbes { sent, targets: u32::try_from(targets).unwrap_or(u32::MAX), received }
            }
        }
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.probes.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn first_latency(&self) -> Option<Duration> {
        self.probes.first()?.latency
    }

    /// Whether the first probe is missed: one still on its way when another test ends the check is not.
    pub(super) fn first_lost(&self) -> bool {
        let open = match self.phase {
            Phase::Waiting { .. } => true,
            Phase::Script { .. } => matches!(self.probes.as_slice(), [Probe { refused: None, .. }]),
            _ => self.probes.is_empty(),
        };
        !open && self.first_latency().is_none()
    }
}
