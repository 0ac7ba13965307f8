//! The core's dealings with the probers: when checks begin, what came in for them, and what they found out.
//!
//! Probe answers come from the shell; finished checks go to each provider's `reliability`, steps of the probers out as actions.

use std::net::IpAddr;

use super::{Core, log};
use crate::event::{Action, ProbeToken, ProviderId};
use crate::icmp::Icmp;
use crate::moment::Moment;
use crate::probe::Step;
use crate::provider::{Path, Provider, probe_id};
use crate::random::Random;
use crate::reason::Refusal;
use crate::reliability::Check;
use crate::settings::LogLevel;

impl Core {
    pub(super) fn icmp(
        &mut self,
        now: Moment,
        id: ProviderId,
        source: IpAddr,
        message: Icmp,
        at: Moment,
        out: &mut Vec<Action>,
    ) {
        self.with_prober(id, now, out, |provider, _, steps| match message {
            Icmp::EchoReply { id, sequence, cookie } => {
                provider.prober.answered(at, source, ProbeToken { id, sequence, cookie }, steps);
            }
            Icmp::Unreachable { code, id, sequence, target } => {
                let cause = Refusal::Unreachable { code, from: source };
                provider.prober.refused(now, id, sequence, Some(target), &cause, steps);
            }
        });
    }

    pub(super) fn probe_refused(
        &mut self,
        now: Moment,
        id: ProviderId,
        token: ProbeToken,
        cause: String,
        out: &mut Vec<Action>,
    ) {
        let cause = Refusal::NotSent(cause);
        self.with_prober(id, now, out, |provider, _, steps| {
            provider.prober.refused(now, token.id, token.sequence, None, &cause, steps);
        });
    }

    /// Lets `act` work on the provider `id` and carries out the steps it wants. Nothing for one that does not exist or take part.
    pub(super) fn with_prober(
        &mut self,
        id: ProviderId,
        now: Moment,
        out: &mut Vec<Action>,
        act: impl FnOnce(&mut Provider, &mut Random, &mut Vec<Step>),
    ) {
        let Some(index) = self.providers.iter().position(|provider| provider.id == id && self.takes_part(provider))
        else {
            return;
        };
        self.with_index(index, now, out, act);
    }

    fn with_index(
        &mut self,
        index: usize,
        now: Moment,
        out: &mut Vec<Action>,
        act: impl FnOnce(&mut Provider, &mut Random, &mut Vec<Step>),
    ) {
        let Some(provider) = self.providers.get_mut(index) else { return };
        let mut steps = Vec::new();
        act(provider, &mut self.random, &mut steps);
        for step in steps {
            let uplink = provider.uplink.as_ref().ok();
            match (step, uplink) {
                (Step::Send(token, target), Some(uplink)) => {
                    out.push(Action::Probe { provider: provider.id, device: uplink.device, token, target });
                }
                (Step::Watch, Some(uplink)) => out.push(Action::WatchReceived {
                    provider: provider.id,
                    device: uplink.device,
                    network: uplink.network,
                }),
                (Step::Send(..) | Step::Watch, None) => {}
                (Step::Count, _) => out.push(Action::CountReceived(provider.id)),
                (Step::Unwatch, _) => out.push(Action::StopWatching(provider.id)),
                (Step::Done(check), _) => record(provider, now, check, out),
            }
        }
    }

    pub(super) fn tick(&mut self, index: usize, now: Moment, out: &mut Vec<Action>) {
        let due = |provider: &Provider| provider.prober.deadline().is_some_and(|deadline| deadline <= now);
        if self.providers.get(index).is_some_and(due) {
            self.with_index(index, now, out, |provider, random, steps| provider.prober.tick(now, random, steps));
        }
    }

    pub(super) fn begin_checks(&mut self, now: Moment, out: &mut Vec<Action>) {
        let any_reliable = self.any_reliable();
        for index in 0..self.providers.len() {
            let due = |provider: &Provider| {
                let active = self.active == Some(provider.id);
                self.takes_part(provider) && provider.next_begin(active, any_reliable).is_some_and(|at| at <= now)
            };
            if self.providers.get(index).is_some_and(due) {
                self.with_index(index, now, out, |provider, random, steps| {
                    provider.last_begin = Some(now);
                    provider.check_now = false;
                    let limits = provider.settings.check.clone();
                    provider.prober.begin(now, &limits, random, steps);
                });
            }
        }
    }
}

/// Feeds a finished check into the counters.
fn record(provider: &mut Provider, now: Moment, check: Check, out: &mut Vec<Action>) {
    provider.series.record(now, &check);
    provider.checks += 1;
    provider.failed_checks += u64::from(check.failure.is_some());
    let text = match (&check.failure, check.latency) {
        (Some(reason), _) => format!("check failed: {reason}"),
        (None, Some(latency)) => format!("check succeeded, {:.1} ms", latency.as_secs_f64() * 1000.0),
        (None, None) => "check succeeded".to_owned(),
    };
    out.push(log(LogLevel::Debug, Some(provider), text));
    match provider.reliability.record(check, &provider.settings.check) {
        Some(true) => provider.reliable_since = Some(now),
        Some(false) => provider.failed(now),
        None => {}
    }
    if provider.reliability.verdict().is_some() {
        provider.presumed = false;
    }
}

/// Ends all probing of a provider; answers on their way will not count.
pub(super) fn close(provider: &mut Provider, random: &mut Random, out: &mut Vec<Action>) {
    invalidate(provider, random, out);
    out.push(Action::CloseProber(provider.id));
    provider.path = Path::Unknown;
    provider.last_begin = None;
}

/// Forgets the probes on their way.
pub(super) fn invalidate(provider: &mut Provider, random: &mut Random, out: &mut Vec<Action>) {
    let mut steps = Vec::new();
    provider.prober.invalidate(probe_id(provider.id, random), &mut steps);
    if !steps.is_empty() {
        out.push(Action::StopWatching(provider.id));
    }
}
