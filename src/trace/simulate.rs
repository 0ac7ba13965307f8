//! A trace lived through again: the core itself, in virtual time, with the settings that somebody wants to try.
//!
//! The command line hands in a trace and settings; `report` says what came of it. Each probe gets the fate that the recorded ones had on
//! the same line at that time.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::line::{Fate, Line, apart, nearest};
use super::read::{Recorded, Trace};
use super::world::World;
use super::{Fact, words};
use crate::core::Core;
use crate::event::{Action, Event, Neighbour, ProbeToken, ProviderId, Resolved, State};
use crate::kernel::LookupQuestion;
use crate::moment::Moment;
use crate::notice::NoticeAction;
use crate::question::Question;
use crate::settings::Settings;

/// Changes and the reading after them take this long, and up to so long if the recorded daemon was awake then: with the same settings it and
/// the simulated one do the same things at the same times.
const KERNEL_TIME: Duration = Duration::from_millis(1);
const KERNEL_TIME_MOST: Duration = Duration::from_millis(50);
/// The recorded daemon may have woken up this much too late.
const LATE: Duration = Duration::from_millis(10);
/// A trace has no nanoseconds, and what is derived from its times is off by some of its units.
const ROUNDED: Duration = Duration::from_micros(50);
/// A look-up of a name, or a question to netifd.
const LOOK_UP_TIME: Duration = Duration::from_millis(20);
/// A probe is a guess if none was recorded this close to it.
const CLOSE: Duration = Duration::from_secs(1);
/// A count of received packets further away says nothing.
const RECEIVED_CLOSE: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The switches, in order.
    pub switches: Vec<Switched>,
    /// Who was active from when on.
    pub active: Vec<(Moment, Option<String>)>,
    /// Providers that take no part, as the trace does not have them.
    pub left_out: Vec<String>,
    /// Probes.
    pub probes: u64,
    /// Of these, with a fate that is a guess.
    pub guessed: u64,
}

/// One switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// When.
    pub at: Moment,
    /// The provider before.
    pub from: Option<String>,
    /// The provider now.
    pub to: Option<String>,
    /// Why, for programs.
    pub code: String,
    /// Why, for people; empty if that was not recorded.
    pub reason: String,
}

/// Has the core live through `trace` with `settings`.
pub fn simulate(trace: &Trace, mut settings: Settings) -> Outcome {
    let mut outcome = Outcome::default();
    trace.providers.iter().flat_map(|provider| &provider.lines).for_each(Line::begin);
    let mut world = World::default();
    let first = trace.facts.iter().find_map(|(_, fact)| match fact {
        Fact::Active(Some(name)) | Fact::Switch { from: Some(name), .. } => Some(name),
        _ => None,
    });
    settings.providers.retain(|provider| {
        match trace.position(&provider.name).ok().and_then(|at| trace.providers.get(at)) {
            Some(Recorded { id, .. }) => {
                world.add(provider, *id, Some(&provider.name) == first);
                true
            }
            None => {
                outcome.left_out.push(provider.name.clone());
                false
            }
        }
    });
    settings.pin = settings.pin.filter(|pin| !outcome.left_out.contains(pin));
    let before = trace.facts.iter().find_map(|(_, fact)| match fact {
        Fact::Before(name) => Some(name.clone()),
        _ => None,
    });
    let ids = trace.providers.iter().map(|it| (it.name.clone(), it.id)).collect();
    let state = State { ids, active: before, ..State::default() };
    let now = trace.span.0;
    let core = Core::new(now, settings, state, trace.seed);
    let mut run = Run {
        trace,
        world,
        core,
        now,
        kernel_at: None,
        known: false,
        sequence: 0,
        lookups: vec![],
        pending: vec![],
        outcome,
    };
    run.feed(Event::Wakeup);
    run.live();
    run.outcome
}

struct Run<'a> {
    trace: &'a Trace,
    world: World,
    core: Core,
    now: Moment,
    /// When the kernel's state is told that the core has asked for.
    kernel_at: Option<Moment>,
    /// Something is known of the uplinks: before, the recorded daemon had not read the kernel's state either.
    known: bool,
    sequence: u64,
    lookups: Vec<LookupQuestion>,
    pending: Vec<(Moment, Event)>,
    outcome: Outcome,
}

impl Run<'_> {
    fn live(&mut self) {
        let mut facts = self.trace.facts.iter().peekable();
        loop {
            let fact = facts.peek().map(|(at, _)| *at);
            let answer = self.pending.iter().map(|(at, _)| *at).min();
            let kernel = self.kernel_at.filter(|_| self.known);
            // Never at the same moment again: whatever the core wants, time goes on.
            let due = self.core.next_wakeup().map(|at| at.max(self.now + Duration::from_nanos(1)));
            let wakeup = due.map(|due| self.as_recorded(due, due + LATE));
            let next = [fact, answer, kernel, wakeup].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= self.trace.span.1) else { return };
            self.now = next.max(self.now);
            if fact == Some(next) {
                let mut uplinks = false;
                while let Some((_, fact)) = facts.next_if(|(at, _)| *at <= next) {
                    match fact {
                        Fact::Uplink(provider, uplink) => {
                            self.world.follow(provider, uplink);
                            uplinks = true;
                        }
                        Fact::Pin(Some(name)) => self.feed(Event::Pin(name.clone())),
                        Fact::Pin(None) => self.feed(Event::Unpin),
                        Fact::Check(name) => self.feed(Event::CheckNow(name.clone())),
                        Fact::Stop => return,
                        _ => {}
                    }
                }
                if uplinks {
                    self.known = true;
                    self.tell_kernel();
                    self.tell_interfaces();
                }
            } else if answer == Some(next) {
                let first = self.pending.iter().position(|(at, _)| *at == next);
                if let Some((_, event)) = first.map(|position| self.pending.remove(position)) {
                    self.feed(event);
                }
            } else if kernel == Some(next) {
                self.tell_kernel();
            } else {
                self.feed(Event::Wakeup);
            }
        }
    }

    /// The time from `at` to `latest` at which the recorded daemon was awake; else `at`.
    fn as_recorded(&self, at: Moment, latest: Moment) -> Moment {
        let next = self.trace.awake.partition_point(|awake| *awake + ROUNDED <= at);
        self.trace.awake.get(next).copied().filter(|awake| *awake <= latest).map_or(at, |awake| awake.max(at))
    }

    fn tell_kernel(&mut self) {
        self.kernel_at = None;
        let snapshot = self.world.snapshot(&self.lookups);
        self.feed(Event::Kernel { snapshot, after: self.sequence, applied: vec![] });
    }

    fn tell_interfaces(&mut self) {
        if let Some(interfaces) = self.world.interfaces() {
            self.feed(Event::Interfaces(interfaces));
        }
    }

    fn feed(&mut self, event: Event) {
        for action in self.core.handle(self.now, event) {
            self.carry_out(action);
        }
        let active = self.core.active();
        if self.outcome.active.last().map(|(_, name)| name.as_deref()) != Some(active) {
            self.outcome.active.push((self.now, active.map(str::to_owned)));
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Probe { provider, token, question, .. } => self.probe(provider, token, &question),
            Action::CountReceived { provider, .. } => {
                let (packets, gateway) = self.received(provider);
                self.pending.push((self.now, Event::Received { provider, packets, gateway }));
            }
            Action::Resolve { provider, name, .. } => {
                let outcome = self.resolved(provider, &name);
                self.pending.push((self.now + LOOK_UP_TIME, Event::Resolved { provider, name, outcome }));
            }
            Action::Change { sequence, changes, lookups } => {
                changes.into_iter().for_each(|change| self.world.apply(change));
                (self.sequence, self.lookups) = (sequence, lookups);
                self.kernel_at = Some(self.as_recorded(self.now + KERNEL_TIME, self.now + KERNEL_TIME_MOST));
            }
            Action::ReadInterfaces => {
                let told = self.world.interfaces().map(Event::Interfaces);
                self.pending.extend(told.map(|event| (self.now + LOOK_UP_TIME, event)));
            }
            Action::Notice(notice) if notice.action == Some(NoticeAction::Switch) => {
                self.outcome.switches.push(Switched {
                    at: self.now,
                    from: notice.from,
                    to: notice.to,
                    code: notice.reason_code.unwrap_or_default().to_owned(),
                    reason: notice.reason.unwrap_or_default(),
                });
            }
            _ => {}
        }
    }

    fn recorded(&self, id: ProviderId) -> Option<&Recorded> {
        let (name, ..) = self.core.uplinks().find(|(_, known, _)| *known == id)?;
        self.trace.providers.get(self.trace.position(name).ok()?)
    }

    fn probe(&mut self, provider: ProviderId, token: ProbeToken, question: &Question) {
        let (kind, target) = words(question);
        let lines = self.recorded(provider).map_or(&[][..], |it| &it.lines);
        let same = lines.iter().find(|line| line.kind == kind);
        let line: Option<&Line> = same.or_else(|| lines.iter().min_by_key(|line| line.distance(self.now)));
        let guess = line.is_none_or(|line| line.distance(self.now) > CLOSE);
        let fate = line.map_or(Fate::Lost, |line| line.fate(self.now, &target));
        self.outcome.probes += 1;
        self.outcome.guessed += u64::from(guess);
        match fate {
            Fate::Lost => {}
            Fate::Answered(after) => {
                let at = self.now + after;
                self.pending.push((at, Event::Answered { provider, token, at }));
            }
            Fate::Refused(after, cause) => {
                self.pending.push((self.now + after, Event::ProbeRefused { provider, token, cause }));
            }
        }
    }

    /// What was counted when the recorded daemon judged this outage; else nothing, as nothing was answered, or nobody knows.
    fn received(&self, provider: ProviderId) -> (Option<u32>, Neighbour) {
        let Some(recorded) = self.recorded(provider) else { return (None, Neighbour::Unknown) };
        match nearest(&recorded.received, self.now).filter(|(at, _)| apart(*at, self.now) <= RECEIVED_CLOSE) {
            Some((_, counted)) => *counted,
            None if recorded.carries(self.now) => (None, Neighbour::Unknown),
            None => (Some(0), Neighbour::Unknown),
        }
    }

    /// What was found for this name. For one that nobody asked for, an address that stands for any other.
    fn resolved(&self, provider: ProviderId, name: &str) -> Result<Resolved, String> {
        let all = self.recorded(provider).map_or(&[][..], |it| &it.resolved);
        let same = all.iter().filter(|(_, (known, _))| known == name).min_by_key(|(at, _)| apart(*at, self.now));
        let any: IpAddr = Ipv4Addr::UNSPECIFIED.into();
        same.map_or_else(
            || Ok(Resolved { addresses: vec![any], ttl: Duration::from_secs(3600) }),
            |(_, (_, outcome))| outcome.clone(),
        )
    }
}
