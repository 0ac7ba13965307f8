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

    /// Whether the test is under suspicion.
    pub(super) const fn is_doubtful(&self) -> bool {
        matches!(self, Self::Burst { .. } | Self::Judging { .. } | Self::Patient { .. })
    }

    /// How the test ended, if it has.
    pub(super) const fn succeeded(&self) -> Option<bool> {
        match self {
            Self::Succeeded => Some(true),
            Self::Failed(_) => Some(false),
            _ => None,
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
    /// How long a probe may take before it is suspicious, fixed for the whole check.
    pub(super) wait: Duration,
    pub(super) phase: Phase,
    /// Packets received, when it was to be judged the last time.
    pub(super) heard: u32,
    probes: Vec<Probe>,
}

#[derive(Clone, Debug)]
struct Probe {
    at: Moment,
    token: ProbeToken,
    aim: Aim,
    refused: Option<Refusal>,
    latency: Option<Duration>,
}

impl Run {
    /// One that has not asked anybody.
    pub(super) const fn new(test: usize, started: Moment, wait: Duration, phase: Phase) -> Self {
        Self { test, started, wait, phase, heard: 0, probes: vec![] }
    }

    pub(super) fn sent(&mut self, at: Moment, token: ProbeToken, aim: Aim) {
        self.probes.push(Probe { at, token, aim, refused: None, latency: None });
    }

    /// An answer to any of the probes, a late one too, ends the test: whom that probe was sent to, and when.
    pub(super) fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken) -> Option<(Aim, Moment)> {
        let probe = self.probes.iter_mut().find(|probe| probe.token == token && probe.aim.fits(source))?;
        probe.latency = Some(at.since(self.started));
        if !matches!(self.phase, Phase::Failed(_)) {
            self.phase = Phase::Succeeded;
        }
        Some((probe.aim, probe.at))
    }

    /// A refused probe need not be waited for: the next step comes now. Tells whom it was sent to, and when.
    pub(super) fn refused(
        &mut self,
        now: Moment,
        sequence: u16,
        target: Option<IpAddr>,
        cause: &Refusal,
    ) -> Option<(Aim, Moment)> {
        let last = self.probes.len().saturating_sub(1);
        let fits = |probe: &Probe| probe.token.sequence == sequence && probe.aim.fits(target);
        let (position, probe) = self.probes.iter_mut().enumerate().find(|(_, probe)| fits(probe))?;
        probe.refused = Some(cause.clone());
        let found = (probe.aim, probe.at);
        match self.phase {
            Phase::Waiting { .. } => self.phase = Phase::Waiting { until: now },
            Phase::Script { left, .. } if position == last => self.phase = Phase::Script { until: now, left },
            Phase::Burst { next, left: 0 } if position == last => {
                self.phase = Phase::Burst { next: next.min(now), left: 0 }
            }
            _ => {}
        }
        self.give_up_if_refused();
        Some(found)
    }

    /// Ends the test if no further probe follows and each was refused.
    pub(super) fn give_up_if_refused(&mut self) {
        if let Phase::Burst { left: 0, .. } | Phase::Judging { .. } | Phase::Patient { .. } = self.phase
            && self.probes.iter().all(|probe| probe.refused.is_some())
        {
            self.phase = Phase::Failed(self.failure(None, Received::Little { packets: 0, within: Duration::ZERO }));
        }
    }

    /// Why the test failed, given a gateway that is silent and what the line received. What somebody said tells more than what was lost,
    /// unless it was the operating system about some of the probes.
    pub(super) fn failure(&self, silent: Option<IpAddr>, received: Received) -> Reason {
        let sent = self.count();
        let refused = u32::try_from(self.probes.iter().filter(|probe| probe.refused.is_some()).count()).unwrap_or(sent);
        // Of equals the last.
        let cause = self.probes.iter().filter_map(|probe| probe.refused.as_ref()).max_by_key(|cause| cause.telling());
        let least = if silent.is_some() { 1 } else { 0 };
        match (cause, silent) {
            (Some(cause), _) if refused == sent || cause.telling() > least => {
                Reason::Refused { cause: cause.clone(), refused, sent }
            }
            (_, Some(gateway)) => Reason::GatewaySilent(gateway),
            (_, None) => {
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
