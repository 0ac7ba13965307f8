//! The core's dealings with the probers: when checks begin, what came in for them, and what they found out.
//!
//! Probe answers come from the shell; finished checks go to each provider's `reliability`, steps of the probers out as actions.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::{Core, log};
use crate::event::{Action, ProbeToken, ProviderId};
use crate::icmp::Icmp;
use crate::moment::Moment;
use crate::probe::{Aim, Step};
use crate::provider::{Path, Provider, probe_id};
use crate::question::Question;
use crate::random::Random;
use crate::reason::{Reason, Refusal};
use crate::reliability::Check;
use crate::settings::{Host, LogLevel, Target, TestKind, TestSettings, UplinkSource};
use crate::text::tenths_of_millis;
use crate::uplink::Uplink;

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
                provider.prober.answered(at, Some(source), ProbeToken { id, sequence, cookie }, steps);
            }
            Icmp::Unreachable { code, id, sequence, target } => {
                let cause = Refusal::Unreachable { code, from: source };
                provider.prober.refused(now, id, sequence, Some(target), &cause, steps);
            }
        });
    }

    /// An answer that came by a way of its own, so that whose it is is certain.
    pub(super) fn answered(
        &mut self,
        now: Moment,
        id: ProviderId,
        token: ProbeToken,
        at: Moment,
        out: &mut Vec<Action>,
    ) {
        self.with_prober(id, now, out, |provider, _, steps| provider.prober.answered(at, None, token, steps));
    }

    pub(super) fn probe_refused(
        &mut self,
        now: Moment,
        id: ProviderId,
        token: ProbeToken,
        cause: Refusal,
        out: &mut Vec<Action>,
    ) {
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
        let mark_mask = self.settings.mark_mask;
        let Some(provider) = self.providers.get_mut(index) else { return };
        let mut steps = VecDeque::new();
        let mut new = Vec::new();
        let mut changed = false;
        act(provider, &mut self.random, &mut new);
        steps.extend(new.drain(..));
        while let Some(step) = steps.pop_front() {
            let uplink = provider.uplink.as_ref().ok();
            match (step, uplink) {
                (Step::Send(token, aim), Some(uplink)) => match question(provider, uplink, aim, mark_mask) {
                    Ok(question) => {
                        provider.volume.add(now, question.bytes());
                        out.push(Action::Probe {
                            provider: provider.id,
                            device: uplink.device,
                            token,
                            question,
                            timeout: provider.settings.check.timeout,
                        });
                    }
                    Err(cause) => {
                        provider.prober.refused(now, token.id, token.sequence, None, &cause, &mut new);
                        steps.extend(new.drain(..));
                    }
                },
                (Step::Watch, Some(uplink)) => out.push(Action::WatchReceived {
                    provider: provider.id,
                    device: uplink.device,
                    network: uplink.network,
                }),
                (Step::Send(..) | Step::Watch, None) => {}
                (Step::Count, Some(uplink)) => out.push(Action::CountReceived {
                    provider: provider.id,
                    device: uplink.device,
                    gateway: uplink.gateway,
                }),
                (Step::Count, None) => {}
                (Step::Unwatch, _) => out.push(Action::StopWatching(provider.id)),
                (Step::Done(mut check, test), _) => {
                    let test = test.and_then(|test| provider.tests.get(test));
                    check.failure = match (check.failure.take(), test) {
                        (Some(cause), Some(test)) => Some(of_test(test, cause)),
                        (failure, _) => failure,
                    };
                    record(provider, now, check, out);
                    self.ended = true;
                }
                (Step::Heard { test, target, answered }, _) => {
                    let test = provider.tests.get(test);
                    changed |= test.is_some_and(|test| self.missed.heard(now, test, target, answered));
                }
            }
        }
        if changed {
            self.tell_suspects();
        }
    }

    pub(super) fn tick(&mut self, index: usize, now: Moment, out: &mut Vec<Action>) {
        let due = |provider: &Provider| provider.prober.deadline().is_some_and(|deadline| deadline <= now);
        if self.providers.get(index).is_some_and(due) {
            self.with_index(index, now, out, |provider, random, steps| provider.prober.tick(now, random, steps));
        }
    }

    /// The suspect target that a provider asks beside its check. One through a dead line would tell nothing, one more through an active
    /// metered line would be too many.
    fn suspect_for(&mut self, index: usize, now: Moment) -> Option<(usize, usize)> {
        let provider = self.providers.get(index)?;
        let spared = provider.settings.metered && self.in_use(provider.id);
        if spared || !provider.is_reliable() {
            return None;
        }
        self.missed.take_due(now, &provider.tests)
    }

    pub(super) fn begin_checks(&mut self, now: Moment, out: &mut Vec<Action>) {
        let any_reliable = self.any_reliable();
        for index in 0..self.providers.len() {
            let due = |provider: &Provider| {
                let active = self.in_use(provider.id);
                self.takes_part(provider) && provider.next_begin(active, any_reliable).is_some_and(|at| at <= now)
            };
            if self.providers.get(index).is_some_and(due) {
                if let Some(provider) = self.providers.get_mut(index) {
                    Self::ask_names(provider, now, out);
                    if provider.awaits_names() {
                        continue;
                    }
                }
                let suspect = self.suspect_for(index, now);
                self.with_index(index, now, out, |provider, random, steps| {
                    provider.last_begin = Some(now);
                    provider.check_now = false;
                    provider.prober.begin(now, &provider.settings.check, random, steps);
                    if let Some((test, target)) = suspect {
                        provider.prober.ask_suspect(now, test, target, random, steps);
                    }
                });
            }
        }
    }
}

/// The failure of a test where nothing speaks against another one: which one it was, and where it asks if there is but one place.
fn of_test(test: &TestSettings, cause: Reason) -> Reason {
    let name = match test.targets.as_slice() {
        [target @ Target { host: Host::Address(_) | Host::Name(_), .. }] => format!("{} ({target})", test.name),
        _ => test.name.clone(),
    };
    Reason::Test { name, cause: Box::new(cause) }
}

/// What a probe asks. An error: it cannot be asked.
fn question(provider: &Provider, uplink: &Uplink, aim: Aim, mark_mask: u32) -> Result<Question, Refusal> {
    let test = provider.tests.get(aim.test);
    let Some((test, target)) = test.and_then(|test| Some((test, test.targets.get(aim.target)?))) else {
        return Err(Refusal::NotSent("no such target".to_owned()));
    };
    let address = aim.address.or(uplink.gateway).ok_or(Refusal::NoGateway);
    let server = |address| SocketAddr::new(address, target.port.unwrap_or(test.kind.port()));
    Ok(match &test.kind {
        TestKind::Ping { size, ttl } => Question::Ping { target: address?, size: *size, ttl: *ttl },
        TestKind::Tcp => Question::Tcp { server: server(address?) },
        TestKind::Dns { query, record, expect } => {
            Question::Dns { server: server(address?), name: query.clone(), record: *record, expect: *expect }
        }
        TestKind::Http { status, expect } => Question::Http {
            server: server(address?),
            host: Target { path: String::new(), ..target.clone() }.to_string(),
            path: target.path.clone(),
            status: status.clone(),
            expect: expect.clone(),
        },
        TestKind::Arp => Question::Arp { gateway: uplink.gateway.ok_or(Refusal::NoGateway)? },
        TestKind::Exec { script } => {
            let text = |address: IpAddr| address.to_string();
            let interface = match &provider.settings.source {
                UplinkSource::Interface(name) => name.clone(),
                UplinkSource::Device(_) => String::new(),
            };
            let mark = u32::from(provider.id.0) << mark_mask.trailing_zeros();
            let environment = vec![
                ("INTERFACE", interface),
                ("DEVICE", uplink.name.clone()),
                ("ADDRESS", text(uplink.address)),
                ("GATEWAY", uplink.gateway.map(text).unwrap_or_default()),
                ("TARGET", if target.host == Host::Gateway { String::new() } else { target.to_string() }),
                ("MARK", format!("{mark:#x}")),
            ];
            Question::Exec { script: script.clone(), environment }
        }
    })
}

/// Feeds a finished check into the counters.
fn record(provider: &mut Provider, now: Moment, check: Check, out: &mut Vec<Action>) {
    provider.series.record(now, &check);
    provider.checks += 1;
    provider.failed_checks += u64::from(check.failure.is_some());
    let text = match (&check.failure, check.latency) {
        (Some(reason), _) => format!("check failed: {reason}"),
        (None, Some(latency)) => format!("check succeeded, {} ms", tenths_of_millis(latency)),
        (None, None) => "check succeeded".to_owned(),
    };
    out.push(log(LogLevel::Debug, Some(provider), text));
    let verdict = provider.reliability.record(check, &provider.settings.check);
    // Somebody wanted to see it, but nobody will look again.
    if provider.cold {
        provider.forget();
        provider.last_begin = None;
        return;
    }
    match verdict {
        Some(true) => {
            provider.reliable_since = Some(now);
            provider.prober.forgive();
        }
        Some(false) => provider.failed(now),
        None => {}
    }
    provider.judge(now);
    if provider.reliability.verdict().is_some() {
        provider.presumed = false;
    }
}

/// Ends all probing of a provider; answers on their way will not count.
pub(super) fn close(provider: &mut Provider, random: &mut Random, out: &mut Vec<Action>) {
    invalidate(provider, random, out);
    out.push(Action::CloseProber(provider.id));
    provider.forget_asked();
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
