//! The straight line held together: [`Event`]s in, [`Action`]s out, deadlines in between.
//!
//! The shell feeds facts and carries out wishes; every decision is taken in the steps called from here.

mod checks;
mod choice;
mod cold;
mod drain;
mod forget;
mod kernel;
mod marks;
mod names;
mod netifd;
mod paths;
mod policy;
mod recover;
mod reload;
mod route;
mod series;
mod status;
mod stranded;
mod targets;
mod why;
mod words;

pub use names::Name;
pub use route::Way;
pub use words::describe;

use std::collections::VecDeque;

use crate::event::{Action, Event, ProviderId, State};
use crate::kernel::{LookupQuestion, Metric, Route, RouteChange, Snapshot};
use crate::moment::Moment;
use crate::netifd::Known;
use crate::notice::{Notice, NoticeAction};
use crate::provider::{Path, Provider, ProviderState, assign_ids};
use crate::random::Random;
use crate::ranking::Ranking;
use crate::reason::Reason;
use crate::series::Switch;
use crate::settings::{LogLevel, Settings};
use crate::uplink::Uplink;

/// Everything failoverd knows and decides.
#[derive(Clone, Debug)]
pub struct Core {
    settings: Settings,
    /// In file order.
    providers: Vec<Provider>,
    state: State,
    random: Random,
    started: Moment,
    /// Another daemon has another one.
    run: u32,
    stopping: bool,
    /// Then it ends, whatever could not be undone.
    stop_by: Moment,
    config_errors: Vec<String>,
    advice: Vec<String>,

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
    /// Change lists sent since `rounds_since`.
    rounds: u32,
    rounds_since: Moment,
    /// The state file was written since the start.
    saved: bool,
    metrics: Vec<(ProviderId, Metric)>,
    overridden_by: Vec<Route>,

    netifd: Known,
    /// Until then nothing is changed in the kernel, as what it holds may be right: netifd has yet to tell.
    hold: Option<Moment>,
    /// When netifd was asked for its interfaces; `None`: to be asked now.
    interfaces_asked: Option<Moment>,
    /// An interface is between our own `down` and `up`.
    between: bool,
    /// netifd was asked and has not answered: until then it may say that what the kernel shows is somebody's wish.
    explain_until: Option<Moment>,

    ranking: Ranking,
    /// Which of the ranked ones were reliable, and which could carry connections.
    reliable: Vec<(bool, bool)>,
    active: Option<ProviderId>,
    /// Those that share traffic, the active one among them, each with its weight; empty: it has all of it.
    sharing: Vec<(ProviderId, u16)>,
    active_since: Moment,
    switches: u64,
    /// The last of them, oldest first.
    switch_log: VecDeque<Switch>,
    pin_warned: bool,
    /// A cold standby is not checked before then, though nothing better is known to be good.
    warm_at: Option<Moment>,
    missed: targets::Missed,
    connections: forget::Connections,
    marks: marks::Marks,
    /// A check has ended, and what follows from that is not done yet.
    ended: bool,
    /// When something is due, but for the checks on their way.
    due: Option<Moment>,
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
            .filter_map(|it| Some(Provider::new(state.id_of(&it.name)?, it.clone(), &settings, now, &mut random)))
            .collect();
        let mut core = Self {
            settings,
            providers,
            state,
            random,
            started: now,
            run: series::run(seed),
            stopping: false,
            stop_by: now,
            config_errors: vec![],
            advice: vec![],
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
            netifd: Known::default(),
            hold: None,
            interfaces_asked: None,
            between: false,
            explain_until: None,
            ranking: Ranking::default(),
            reliable: vec![],
            active: None,
            sharing: vec![],
            active_since: now,
            switches: 0,
            switch_log: VecDeque::new(),
            pin_warned: false,
            warm_at: None,
            missed: targets::Missed::default(),
            connections: forget::Connections::default(),
            marks: marks::Marks::default(),
            ended: false,
            due: Some(now),
        };
        core.marks.follow_rules(&core.settings.rules);
        core.wait_for_netifd(now);
        core
    }

    /// Takes one fact in and answers with what is to be done. Spurious events and calls too early are harmless.
    pub fn handle(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        // Nothing comes as often, and nothing but its own check depends on one that does not end that.
        let answer = matches!(event, Event::Icmp { .. } | Event::Answered { .. });
        match event {
            Event::Kernel { snapshot, after, applied } => self.kernel_read(now, snapshot, after, applied, &mut out),
            Event::Interfaces(interfaces) => self.interfaces_told(now, interfaces, &mut out),
            Event::Icmp { provider, source, message, at } => self.icmp(now, provider, source, message, at, &mut out),
            Event::ProbeRefused { provider, token, cause } => self.probe_refused(now, provider, token, cause, &mut out),
            Event::Answered { provider, token, at } => self.answered(now, provider, token, at, &mut out),
            Event::Resolved { provider, name, outcome } => self.resolved(now, provider, &name, outcome),
            Event::Received { provider, packets, gateway } => {
                self.with_prober(provider, now, &mut out, |provider, random, steps| {
                    let address = provider.usable().and_then(|uplink| uplink.gateway);
                    provider.prober.received(now, packets, address.map(|address| (address, gateway)), random, steps)
                });
            }
            Event::Filtered(outcome) => self.filtered(now, outcome, &mut out),
            Event::Reload(settings) => self.reload(now, *settings, &mut out),
            Event::ConfigError(problems) => self.config_refused(problems, &mut out),
            Event::Advice(advice) => self.advised(advice, &mut out),
            Event::Pin(name) => self.pin(Some(name), &mut out),
            Event::Unpin => self.pin(None, &mut out),
            Event::CheckNow(name) => {
                let all = name.is_none();
                let asked = |provider: &&mut Provider| all || Some(&provider.settings.name) == name.as_ref();
                self.providers.iter_mut().filter(asked).for_each(|provider| provider.check_now = true);
            }
            Event::Stop => self.stop(now, &mut out),
            // With other facts, answers that came in time may still wait to be told: only a wake-up says that there are none.
            Event::Wakeup => (0..self.providers.len()).for_each(|index| self.tick(index, now, &mut out)),
        }
        if std::mem::take(&mut self.ended) || !answer {
            self.advance(now, &mut out);
            self.due = self.next_due();
        }
        out
    }

    /// When [`Event::Wakeup`] is due, if nothing else happens before.
    pub fn next_wakeup(&self) -> Option<Moment> {
        self.probed().filter_map(|provider| provider.prober.deadline()).chain(self.due).min()
    }

    fn next_due(&self) -> Option<Moment> {
        let any_reliable = self.any_reliable();
        let checks = self.probed().filter_map(|provider| provider.next_begin(self.in_use(provider.id), any_reliable));
        let checks =
            checks.chain(self.interfaces_due()).chain(self.stopping.then_some(self.stop_by)).chain(self.warm_at);
        if let Some(until) = self.hold.filter(|_| self.snapshot.is_some()) {
            return checks.chain([until]).min();
        }
        let refresh = Some(self.read_at + if self.awaiting { kernel::ANSWER_TIMEOUT } else { kernel::REFRESH });
        let retry = self.retry_at.filter(|_| !self.awaiting);
        let explain = self.explain_until.filter(|_| self.snapshot.is_some());
        checks
            .chain(self.ranking.next)
            .chain(self.recovery_due())
            .chain(self.marks_due())
            .chain(self.connections.drains.due().filter(|_| !self.marks_change()))
            .chain(refresh)
            .chain(retry)
            .chain(explain)
            .min()
    }

    /// Everything that follows from what is known now.
    fn advance(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.stopping && now >= self.stop_by {
            let text = "not everything could be undone in time; 'failoverd cleanup' tries again";
            out.push(log(LogLevel::Error, None, text.to_owned()));
            out.push(Action::Stopped);
            return;
        }
        self.ask_netifd(now, out);
        if self.snapshot.is_none() {
            if !self.awaiting || now.since(self.read_at) >= kernel::ANSWER_TIMEOUT {
                self.ask(now, vec![], out);
            }
            return;
        }
        if self.is_held(now, out) {
            self.chill(now, out);
            self.begin_checks(now, out);
            return;
        }
        // A path found blocked or clear changes the ranking, and that the plan; it settles in two rounds.
        for _ in 0..3 {
            self.tell_states(now, out);
            self.rank(now, out);
            let changed = self.chill(now, out);
            if !self.make_plan(now, out) && !changed {
                break;
            }
        }
        self.tend_marks(now, out);
        self.forget_connections(now, out);
        self.recover(now, out);
        self.begin_checks(now, out);
        self.remember_active(out);
    }

    /// Notes who is active for the next start; after the routes, which are in a hurry.
    fn remember_active(&mut self, out: &mut Vec<Action>) {
        let Some(active) = self.active_provider().map(|provider| &provider.settings.name) else { return };
        if self.state.active.as_ref() != Some(active) {
            self.state.active = Some(active.clone());
            out.push(Action::Save(self.state.clone()));
        }
    }

    /// The state of the kernel, as it was read last.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// What every provider resolves to, or the code of what is missing; for a trace.
    pub fn uplinks(&self) -> impl Iterator<Item = (&str, ProviderId, Result<&Uplink, &'static str>)> {
        self.providers.iter().map(|provider| {
            let uplink = match (&provider.uplink, &provider.path) {
                _ if !provider.settings.enabled => Err(ProviderState::Disabled.word()),
                (Ok(uplink), _) if !uplink.carrier => Err(Reason::NoCarrier.code()),
                (Err(reason), _) | (Ok(_), Path::Blocked(reason)) => Err(reason.code()),
                (Ok(uplink), _) => Ok(uplink),
            };
            (provider.settings.name.as_str(), provider.id, uplink)
        })
    }

    /// The active provider's name.
    pub fn active(&self) -> Option<&str> {
        self.active_provider().map(|provider| provider.settings.name.as_str())
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

    /// Whether traffic that nobody has directed elsewhere goes through it: it is the active one, or shares with that.
    fn in_use(&self, id: ProviderId) -> bool {
        self.active == Some(id) || self.sharing.iter().any(|(sharing, _)| *sharing == id)
    }

    /// Whether connections may go through it: nothing speaks against it, or there is nothing better.
    fn carries(&self, provider: &Provider) -> bool {
        let good = provider.reliability.verdict() != Some(false) || self.in_use(provider.id);
        self.takes_part(provider) && provider.usable().is_some() && good
    }

    fn any_reliable(&self) -> bool {
        self.eligible().any(Provider::is_reliable)
    }

    /// Those that may be active.
    fn eligible(&self) -> impl Iterator<Item = &Provider> {
        self.enabled().filter(|provider| provider.settings.default_route)
    }

    /// Whether it may be active on its own merit: reliable, and not degraded unless all reliable ones are.
    fn is_good(&self, provider: &Provider) -> bool {
        provider.is_reliable() && !(provider.is_degraded() && self.any_good())
    }

    fn any_good(&self) -> bool {
        self.eligible().any(|it| it.is_reliable() && !it.is_degraded())
    }

    fn by_id(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    fn active_provider(&self) -> Option<&Provider> {
        self.active.and_then(|id| self.by_id(id))
    }

    fn by_name(&self, name: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.settings.name == name)
    }

    fn config_refused(&mut self, problems: Vec<String>, out: &mut Vec<Action>) {
        let (action, reason) = (Some(NoticeAction::ConfigError), Some(problems.join("; ")));
        out.push(Action::Notice(Notice::about(None, action, LogLevel::Error, reason)));
        self.config_errors = problems;
    }

    /// Each sentence is logged when it is new.
    fn advised(&mut self, advice: Vec<String>, out: &mut Vec<Action>) {
        let new = advice.iter().filter(|sentence| !self.advice.contains(sentence));
        out.extend(new.map(|sentence| log(LogLevel::Warning, None, sentence.clone())));
        self.advice = advice;
    }

    fn stop(&mut self, now: Moment, out: &mut Vec<Action>) {
        if !self.stopping {
            self.stop_by = now + kernel::STOP_PATIENCE;
        }
        self.stopping = true;
        self.hold = None;
        self.dirty = true;
        self.retry_at = None;
        self.marks.hurry();
        // Nobody is active any more, but that is no switch to tell of.
        self.active = None;
        self.sharing.clear();
        self.ranking = Ranking::default();
        for provider in &mut self.providers {
            checks::close(provider, &mut self.random, out);
        }
    }
}

/// A line for the log alone.
fn log(level: LogLevel, provider: Option<&Provider>, text: String) -> Action {
    let name = provider.map(|provider| provider.settings.name.clone());
    Action::Notice(Notice::about(name, None, level, Some(text)))
}
