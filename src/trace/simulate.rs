//! A trace lived through again: the core itself, in virtual time, with the settings that somebody wants to try.
//!
//! The command line hands in a trace and settings; `report` says what came of it. Each probe gets the fate that the recorded ones had on
//! the same line at that time.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::line::{Fate, Line, apart};
use super::read::{Recorded, Trace};
use super::words::{read_neighbour, read_refusal, read_resolved};
use super::world::World;
use super::{Fact, asked};
use crate::core::Core;
use crate::event::{Action, Event, Neighbour, ProviderId, Resolved, State};
use crate::kernel::LookupQuestion;
use crate::moment::Moment;
use crate::notice::{Notice, NoticeAction};
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
    pub switches: Vec<(Moment, Notice)>,
    /// Who was active from when on, by position in the trace.
    pub active: Vec<(Moment, Option<usize>)>,
    /// Providers that take no part, as the trace does not have them.
    pub left_out: Vec<String>,
    /// Probes.
    pub probes: u64,
    /// Of these, with a fate that is a guess.
    pub guessed: u64,
}

/// Has the core live through `trace` with `settings`.
pub fn simulate(trace: &Trace<'_>, mut settings: Settings) -> Outcome {
    let mut outcome = Outcome::default();
    let mut world = World::default();
    trace.providers.iter().flat_map(|provider| &provider.lines).for_each(Line::begin);
    let (mut first, mut before) = (None, None);
    for (_, fact) in &trace.facts {
        match *fact {
            Fact::Active(Some(name)) | Fact::Switch(Some(name), ..) if first.is_none() => first = Some(name),
            Fact::Before(name) => before = Some(name.to_owned()),
            _ => {}
        }
    }
    settings.providers.retain(|provider| {
        let recorded = trace.providers.iter().find(|it| it.name == provider.name);
        match recorded {
            Some(recorded) => world.add(provider, recorded.id, Some(recorded.name) == first),
            None => outcome.left_out.push(provider.name.clone()),
        }
        recorded.is_some()
    });
    settings.pin = settings.pin.filter(|pin| !outcome.left_out.contains(pin));
    let ids = trace.providers.iter().map(|it| (it.name.to_owned(), it.id)).collect();
    let state = State { ids, active: before, ..State::default() };
    let now = trace.span.0;
    let core = Core::new(now, settings, state, trace.seed);
    let (kernel_at, lookups, pending) = (None, vec![], vec![]);
    let mut run = Run { trace, world, core, now, kernel_at, known: false, sequence: 0, lookups, pending, outcome };
    run.feed(Event::Wakeup);
    run.live();
    run.outcome
}

struct Run<'a> {
    trace: &'a Trace<'a>,
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

impl<'a> Run<'a> {
    fn live(&mut self) {
        let mut facts = self.trace.facts.iter().peekable();
        loop {
            let fact = facts.peek().map(|(at, _)| *at);
            let answer = self.pending.iter().map(|(at, _)| *at).min();
            let kernel = self.kernel_at.filter(|_| self.known);
            // Never at the same moment again: whatever the core wants, time goes on.
            let due = self.core.next_wakeup().map(|at| at.max(self.now + Duration::from_nanos(1)));
            let wakeup = due.map(|due| self.as_recorded(due, LATE));
            let next = fact.into_iter().chain(answer).chain(kernel).chain(wakeup).min();
            let Some(next) = next.filter(|next| *next <= self.trace.span.1) else { return };
            self.now = next.max(self.now);
            if fact == Some(next) {
                let mut uplinks = false;
                while let Some((_, fact)) = facts.next_if(|(at, _)| *at <= next) {
                    match *fact {
                        Fact::Uplink(provider, uplink) => {
                            self.world.follow(provider, uplink);
                            uplinks = true;
                        }
                        Fact::Pin(name) => self.feed(name.map_or(Event::Unpin, |name| Event::Pin(name.to_owned()))),
                        Fact::Check(name) => self.feed(Event::CheckNow(name.map(str::to_owned))),
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

    /// The time from `at` on, up to so much later, at which the recorded daemon was awake; else `at`.
    fn as_recorded(&self, at: Moment, most: Duration) -> Moment {
        let next = self.trace.awake.partition_point(|awake| *awake + ROUNDED <= at);
        self.trace.awake.get(next).filter(|awake| **awake <= at + most).map_or(at, |awake| at.max(*awake))
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

    /// Never inlined: that would be the core several times over.
    #[inline(never)]
    fn feed(&mut self, event: Event) {
        for action in &self.core.handle(self.now, event) {
            self.carry_out(action);
        }
        let active = self.core.active().and_then(|name| self.trace.position(name));
        if self.outcome.active.last().is_none_or(|(_, last)| *last != active) {
            self.outcome.active.push((self.now, active));
        }
    }

    fn carry_out(&mut self, action: &Action) {
        let (after, event) = match action {
            Action::Probe { provider, token, question, .. } => match self.fate(*provider, question) {
                Fate::Lost => return,
                Fate::Answered(micros) => {
                    let after = Duration::from_micros(micros.into());
                    (after, Event::Answered { provider: *provider, token: *token, at: self.now + after })
                }
                Fate::Refused(after, cause) => {
                    (after, Event::ProbeRefused { provider: *provider, token: *token, cause: read_refusal(cause) })
                }
            },
            Action::CountReceived { provider, .. } => (Duration::ZERO, self.received(*provider)),
            Action::Resolve { provider, name, .. } => (LOOK_UP_TIME, self.resolved(*provider, name)),
            Action::ReadInterfaces => match self.world.interfaces() {
                Some(interfaces) => (LOOK_UP_TIME, Event::Interfaces(interfaces)),
                None => return,
            },
            Action::Change { sequence, changes, lookups } => {
                changes.iter().for_each(|change| self.world.apply(change));
                self.sequence = *sequence;
                self.lookups.clone_from(lookups);
                self.kernel_at = Some(self.as_recorded(self.now + KERNEL_TIME, KERNEL_TIME_MOST));
                return;
            }
            Action::Notice(notice) if notice.action == Some(NoticeAction::Switch) => {
                self.outcome.switches.push((self.now, notice.clone()));
                return;
            }
            _ => return,
        };
        self.pending.push((self.now + after, event));
    }

    fn recorded(&self, id: ProviderId) -> Option<&'a Recorded<'a>> {
        self.trace.providers.iter().find(|it| it.id == id)
    }

    fn fate(&mut self, provider: ProviderId, question: &Question) -> Fate<'a> {
        let (kind, target) = asked(question);
        let lines = self.recorded(provider).map_or(&[][..], |it| &it.lines);
        let same = lines.iter().find(|line| line.kind == kind);
        let line = same.or_else(|| lines.iter().min_by_key(|line| line.distance(self.now)));
        self.outcome.probes += 1;
        self.outcome.guessed += u64::from(line.is_none_or(|line| line.distance(self.now) > CLOSE));
        line.map_or(Fate::Lost, |line| line.fate(self.now, &target))
    }

    /// What was counted when the recorded daemon judged this outage; else nothing, as nothing was answered, or nobody knows.
    fn received(&self, provider: ProviderId) -> Event {
        let recorded = self.recorded(provider);
        let of = |name: &str| recorded.is_some_and(|it| it.name == name);
        let counted = self.nearest(RECEIVED_CLOSE, &|fact| matches!(fact, Fact::Received(name, ..) if of(name)));
        let (packets, gateway) = match counted {
            Some(Fact::Received(_, packets, gateway)) => (packets, read_neighbour(gateway)),
            _ if recorded.is_none_or(|it| it.carries(self.now)) => (None, Neighbour::Unknown),
            _ => (Some(0), Neighbour::Unknown),
        };
        Event::Received { provider, packets, gateway }
    }

    /// What was found for this name. For one that nobody asked for, an address that stands for any other.
    fn resolved(&self, provider: ProviderId, name: &str) -> Event {
        let recorded = self.recorded(provider);
        let of = |it: &str, host: &str| host == name && recorded.is_some_and(|known| known.name == it);
        let found = self.nearest(Duration::MAX, &|fact| matches!(fact, Fact::Resolved(it, host, _) if of(it, host)));
        let outcome = match found {
            Some(Fact::Resolved(_, _, outcome)) => read_resolved(outcome),
            _ => Ok(Resolved { addresses: vec![Ipv4Addr::UNSPECIFIED.into()], ttl: Duration::from_secs(3600) }),
        };
        Event::Resolved { provider, name: name.to_owned(), outcome }
    }

    /// The nearest fact of which this is true, no further away than `most`.
    fn nearest(&self, most: Duration, is: &dyn Fn(&Fact<'a>) -> bool) -> Option<Fact<'a>> {
        let first = self.trace.facts.partition_point(|(at, _)| *at < self.now.before(most));
        let near = self.trace.facts.iter().skip(first).take_while(|(at, _)| *at <= self.now + most);
        near.filter(|(_, fact)| is(fact)).min_by_key(|(at, _)| apart(*at, self.now)).map(|(_, fact)| *fact)
    }
}
