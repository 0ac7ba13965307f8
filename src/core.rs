//! The straight line held together: [`Event`]s in, [`Action`]s out, deadlines in between.
//!
//! The shell feeds facts and carries out wishes; every decision is taken in the steps called from here.

mod kernel;
mod reload;
mod status;
mod words;

use std::net::IpAddr;

use crate::event::{Action, Event, ProbeToken, ProviderId, State};
use crate::icmp::Icmp;
use crate::kernel::{LookupQuestion, Metric, Route, RouteChange, Snapshot};
use crate::moment::Moment;
use crate::notice::{Level, Notice, NoticeAction};
use crate::probe::Step;
use crate::provider::{Path, Provider, ProviderState, assign_ids};
use crate::random::Random;
use crate::ranking::{Candidate, Policy, Ranking, Why, rank};
use crate::reason::Refusal;
use crate::reliability::Check;
use crate::settings::Settings;

/// Everything failoverd knows and decides.
#[derive(Clone, Debug)]
pub struct Core {
    settings: Settings,
    /// In file order.
    providers: Vec<Provider>,
    state: State,
    random: Random,
    started: Moment,
    stopping: bool,
    /// Then it ends, whatever could not be undone.
    stop_by: Moment,
    config_errors: Vec<String>,

    /// The last state of the kernel, and when it was read.
    snapshot: Option<Snapshot>,
    read_at: Moment,
    /// Number of the last change list sent; its snapshot has not come while `awaiting`.
    sequence: u64,
    awaiting: bool,
    /// The look-ups asked for with it.
    asked: Vec<LookupQuestion>,
    /// The plan must be made again.
    dirty: bool,
    /// The last change list, until the kernel shows what was wanted; the same list again is sent at growing intervals.
    last_changes: Vec<RouteChange>,
    repeats: u32,
    retry_at: Option<Moment>,
    /// Foreign routes that a delete of ours hit by mistake.
    put_back: Vec<Route>,
    /// Change lists sent since then.
    rounds: u32,
    rounds_since: Moment,
    /// The state file was written since the start.
    saved: bool,
    metrics: Vec<(ProviderId, Metric)>,
    overridden_by: Vec<Route>,

    ranking: Ranking,
    /// Which of the ranked ones were reliable.
    reliable: Vec<bool>,
    active: Option<ProviderId>,
    active_since: Moment,
    switches: u64,
    pin_warned: bool,
}

impl Core {
    /// A core that knows nothing yet; the first [`Core::handle`] asks for the kernel's state. `state` comes from the state file.
    pub fn new(now: Moment, settings: Settings, state: State, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut state = state;
        state.ids = assign_ids(settings.providers.iter().map(|provider| provider.name.as_str()), &state.ids);
        let providers = settings
            .providers
            .iter()
            .filter_map(|it| Some(Provider::new(*state.ids.get(&it.name)?, it.clone(), &settings, &mut random)))
            .collect();
        Self {
            settings,
            providers,
            state,
            random,
            started: now,
            stopping: false,
            stop_by: now,
            config_errors: vec![],
            snapshot: None,
            read_at: now,
            sequence: 0,
            awaiting: false,
            asked: vec![],
            dirty: true,
            last_changes: vec![],
            repeats: 0,
            retry_at: None,
            put_back: vec![],
            rounds: 0,
            rounds_since: now,
            saved: false,
            metrics: vec![],
            overridden_by: vec![],
            ranking: Ranking::default(),
            reliable: vec![],
            active: None,
            active_since: now,
            switches: 0,
            pin_warned: false,
        }
    }

    /// Takes one fact in and answers with what is to be done. Spurious events and calls too early are harmless.
    pub fn handle(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        // With other facts, answers that came in time may still wait to be told: only a wake-up says that there are none.
        let all_heard = matches!(event, Event::Wakeup);
        match event {
            Event::Kernel { snapshot, after, applied } => self.kernel_read(now, snapshot, after, applied, &mut out),
            Event::Icmp { provider, source, message, at } => self.icmp(now, provider, source, message, at, &mut out),
            Event::ProbeRefused { provider, token, cause } => self.probe_refused(now, provider, token, cause, &mut out),
            Event::Received { provider, packets } => {
                self.with_prober(provider, now, &mut out, |prober, random, steps| {
                    prober.prober.received(now, packets, random, steps)
                });
            }
            Event::Reload(settings) => self.reload(now, *settings, &mut out),
            Event::ConfigError(problems) => self.config_refused(problems, &mut out),
            Event::Pin(name) => self.pin(Some(name), &mut out),
            Event::Unpin => self.pin(None, &mut out),
            Event::CheckNow(name) => {
                let all = name.is_none();
                let asked = |provider: &&mut Provider| all || Some(&provider.settings.name) == name.as_ref();
                self.providers.iter_mut().filter(asked).for_each(|provider| provider.check_now = true);
            }
            Event::Stop => self.stop(now, &mut out),
            Event::Wakeup => {}
        }
        if all_heard {
            (0..self.providers.len()).for_each(|index| self.tick(index, now, &mut out));
        }
        self.advance(now, &mut out);
        out
    }

    /// When [`Event::Wakeup`] is due, if nothing else happens before.
    pub fn next_wakeup(&self) -> Option<Moment> {
        let any_reliable = self.any_reliable();
        let checks = self.probed().filter_map(|provider| {
            let active = self.active == Some(provider.id);
            provider.prober.deadline().into_iter().chain(provider.next_begin(active, any_reliable)).min()
        });
        let refresh = Some(self.read_at + if self.awaiting { kernel::ANSWER_TIMEOUT } else { kernel::REFRESH });
        let retry = self.retry_at.filter(|_| !self.awaiting);
        let stop = self.stopping.then_some(self.stop_by);
        checks.chain(self.ranking.next).chain(refresh).chain(retry).chain(stop).min()
    }

    /// Everything that follows from what is known now.
    fn advance(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.stopping && now >= self.stop_by {
            let text = "not everything could be undone in time; 'failoverd cleanup' tries again";
            out.push(log(Level::Error, None, text.to_owned()));
            out.push(Action::Stopped);
            return;
        }
        if self.snapshot.is_none() {
            if !self.awaiting || now.since(self.read_at) >= kernel::ANSWER_TIMEOUT {
                self.send_changes(now, vec![], out);
            }
            return;
        }
        // A path found blocked or clear changes the ranking, and that the plan; it settles in two rounds.
        for _ in 0..3 {
            self.tell_states(now, out);
            self.rank(now, out);
            if !self.make_plan(now, out) {
                break;
            }
        }
        self.begin_checks(now, out);
    }

    /// Providers that take part.
    fn enabled(&self) -> impl Iterator<Item = &Provider> {
        self.providers.iter().filter(|provider| self.takes_part(provider))
    }

    fn takes_part(&self, provider: &Provider) -> bool {
        provider.settings.enabled && !self.stopping
    }

    fn probed(&self) -> impl Iterator<Item = &Provider> {
        self.enabled().filter(|provider| provider.usable().is_some())
    }

    fn any_reliable(&self) -> bool {
        self.enabled().any(Provider::is_reliable)
    }

    fn by_id(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    fn by_name(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.settings.name == name)
    }

    fn icmp(&mut self, now: Moment, id: ProviderId, source: IpAddr, message: Icmp, at: Moment, out: &mut Vec<Action>) {
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

    fn probe_refused(&mut self, now: Moment, id: ProviderId, token: ProbeToken, cause: String, out: &mut Vec<Action>) {
        let cause = Refusal::NotSent(cause);
        self.with_prober(id, now, out, |provider, _, steps| {
            provider.prober.refused(now, token.id, token.sequence, None, &cause, steps);
        });
    }

    /// Lets `act` work on the provider `id` and carries out the steps it wants. Nothing for one that does not exist or take part.
    fn with_prober(
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

    fn tick(&mut self, index: usize, now: Moment, out: &mut Vec<Action>) {
        let due = |provider: &Provider| provider.prober.deadline().is_some_and(|deadline| deadline <= now);
        if self.providers.get(index).is_some_and(due) {
            self.with_index(index, now, out, |provider, random, steps| provider.prober.tick(now, random, steps));
        }
    }

    fn begin_checks(&mut self, now: Moment, out: &mut Vec<Action>) {
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

    /// Chooses the active provider and the order of the others.
    fn rank(&mut self, now: Moment, out: &mut Vec<Action>) {
        let members: Vec<&Provider> = self.enabled().collect();
        let position = |wanted: &dyn Fn(&Provider) -> bool| members.iter().position(|provider| wanted(provider));
        let pin_name = self.state.pin.as_ref().or(self.settings.pin.as_ref());
        let pin = pin_name.and_then(|name| position(&|provider| provider.settings.name == *name));
        let candidates: Vec<Candidate> = members
            .iter()
            .map(|provider| Candidate {
                usable: provider.usable().is_some(),
                reliable: provider.is_reliable(),
                checking: provider.reliability.verdict().is_none() && !matches!(provider.path, Path::Blocked(_)),
                priority: provider.settings.priority,
                failback_at: provider.failback_at(),
            })
            .collect();
        let active = self.active.and_then(|id| position(&|provider| provider.id == id));
        let policy = Policy { failback: self.settings.failback, last_resort: self.settings.last_resort, pin };
        let ranking = rank(now, &candidates, active, policy);
        let chosen = ranking.active.and_then(|index| members.get(index)).map(|provider| provider.id);

        let pin_usable = pin.is_some_and(|index| candidates.get(index).is_some_and(|it| it.usable));
        let warn = pin_name.filter(|_| !pin_usable && !self.pin_warned && !members.is_empty()).cloned();
        self.pin_warned = pin_name.is_some() && !pin_usable;
        if let Some(name) = warn {
            let text = format!("the pinned provider {name} cannot be used; the others are ranked as without a pin");
            out.push(log(Level::Warning, None, text));
        }
        // Reliability matters to the plan even where it changes no order: `from` rules depend on it.
        let reliable: Vec<bool> = candidates.iter().map(|it| it.reliable).collect();
        self.dirty |= ranking.order != self.ranking.order
            || ranking.active != self.ranking.active
            || (self.settings.source_rules && reliable != self.reliable);
        self.reliable = reliable;
        self.ranking = ranking;
        if chosen != self.active {
            self.switch_to(now, chosen, out);
        }
    }

    fn switch_to(&mut self, now: Moment, to: Option<ProviderId>, out: &mut Vec<Action>) {
        let name =
            |id: Option<ProviderId>| id.and_then(|id| self.by_id(id)).map(|provider| provider.settings.name.clone());
        let from = self.active.and_then(|id| self.by_id(id));
        let lost = from.filter(|from| !from.is_reliable()).and_then(Provider::reason);
        let reason = match (self.ranking.why, lost) {
            (Why::Pinned, _) => Some("pinned".to_owned()),
            (Why::LastResort, None) => Some("no provider is reliable".to_owned()),
            (_, Some(reason)) => Some(match from {
                Some(from) => format!("{}: {reason}", from.settings.name),
                None => reason.to_string(),
            }),
            (Why::Best, None) => Some("the most preferred reliable provider that may take over".to_owned()),
            (Why::Stays | Why::NoneUsable, None) => None,
        };
        let (from, to_name) = (name(self.active), name(to));
        self.switches += u64::from(from.is_some() && to.is_some());
        self.active = to;
        self.active_since = now;
        self.dirty = true;
        let level = if to.is_some() { Level::Info } else { Level::Warning };
        out.push(Action::Notice(Notice {
            action: Some(NoticeAction::Switch),
            provider: to_name.clone(),
            from,
            to: to_name,
            reason,
            level,
        }));
    }

    /// Tells every change of a provider's state.
    fn tell_states(&mut self, now: Moment, out: &mut Vec<Action>) {
        for provider in &mut self.providers {
            let state = provider.state();
            let before = provider.told.map(|(state, _)| state);
            if before == Some(state) {
                continue;
            }
            provider.told = Some((state, now));
            let bad = |state: ProviderState| {
                matches!(state, ProviderState::Offline | ProviderState::Unresolved | ProviderState::NoCarrier)
            };
            let reason = provider.reason().map(|reason| reason.to_string());
            let (action, level, reason) = match state {
                ProviderState::Online => {
                    let streak = provider.reliability.success_streak();
                    (Some(NoticeAction::Online), Level::Info, Some(format!("{streak} checks succeeded in a row")))
                }
                state if bad(state) && !before.is_some_and(bad) => {
                    (Some(NoticeAction::Offline), Level::Warning, reason)
                }
                state if bad(state) => (None, Level::Info, reason),
                ProviderState::Checking => (None, Level::Info, Some("checking".to_owned())),
                _ => (None, Level::Info, Some(state.word().to_owned())),
            };
            let provider = Some(provider.settings.name.clone());
            out.push(Action::Notice(Notice { action, provider, from: None, to: None, reason, level }));
        }
    }

    fn pin(&mut self, name: Option<String>, out: &mut Vec<Action>) {
        if self.state.pin == name || name.as_ref().is_some_and(|name| self.by_name(name).is_none()) {
            return;
        }
        self.state.pin.clone_from(&name);
        self.pin_warned = false;
        out.push(Action::Save(self.state.clone()));
        out.push(Action::Notice(Notice {
            action: Some(NoticeAction::Pinned),
            provider: name,
            from: None,
            to: None,
            reason: None,
            level: Level::Info,
        }));
    }

    fn config_refused(&mut self, problems: Vec<String>, out: &mut Vec<Action>) {
        out.push(Action::Notice(Notice {
            action: Some(NoticeAction::ConfigError),
            provider: None,
            from: None,
            to: None,
            reason: Some(problems.join("; ")),
            level: Level::Error,
        }));
        self.config_errors = problems;
    }

    fn stop(&mut self, now: Moment, out: &mut Vec<Action>) {
        if !self.stopping {
            self.stop_by = now + kernel::STOP_PATIENCE;
        }
        self.stopping = true;
        self.dirty = true;
        self.retry_at = None;
        // Nobody is active any more, but that is no switch to tell of.
        self.active = None;
        self.ranking = Ranking::default();
        for provider in &mut self.providers {
            close(provider, &mut self.random, out);
        }
    }
}

/// Feeds a finished check into the counters.
fn record(provider: &mut Provider, now: Moment, check: Check, out: &mut Vec<Action>) {
    provider.checks += 1;
    provider.failed_checks += u64::from(check.failure.is_some());
    let text = match (&check.failure, check.latency) {
        (Some(reason), _) => format!("check failed: {reason}"),
        (None, Some(latency)) => format!("check succeeded, {:.1} ms", latency.as_secs_f64() * 1000.0),
        (None, None) => "check succeeded".to_owned(),
    };
    out.push(log(Level::Debug, Some(provider), text));
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
fn close(provider: &mut Provider, random: &mut Random, out: &mut Vec<Action>) {
    let mut steps = Vec::new();
    provider.prober.invalidate(crate::provider::probe_id(provider.id, random), &mut steps);
    if !steps.is_empty() {
        out.push(Action::StopWatching(provider.id));
    }
    out.push(Action::CloseProber(provider.id));
    provider.path = Path::Unknown;
    provider.last_begin = None;
}

/// A line for the log alone.
fn log(level: Level, provider: Option<&Provider>, text: String) -> Action {
    Action::Notice(Notice {
        action: None,
        provider: provider.map(|provider| provider.settings.name.clone()),
        from: None,
        to: None,
        reason: Some(text),
        level,
    })
}
