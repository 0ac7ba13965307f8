//! Makes a trace of what the core is told and what it wants done.
//!
//! Fed by the shell around each `Core::handle`; its text goes into a file. It decides nothing, and nothing depends on it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{FORMAT, Fact, Way, words};
use crate::core::Core;
use crate::event::{Action, Event, ProbeToken, ProviderId};
use crate::icmp::Icmp;
use crate::moment::Moment;
use crate::notice::NoticeAction;
use crate::question::Question;
use crate::reason::{Reason, Refusal};
use crate::uplink::Uplink;

/// Probes whose answer is still recorded: an hour of a dead line must not take up memory.
const WAITING: usize = 512;

/// The code of [`Reason::Blocked`].
const BLOCKED: &str = "blocked";

/// Writes a trace.
#[derive(Debug)]
pub struct Recorder {
    started: Moment,
    head: String,
    /// Who was active when the run before ended.
    before: Option<String>,
    providers: Vec<Seen>,
    active: Option<String>,
    pin: Option<String>,
    /// Probes so far.
    number: u64,
    waiting: VecDeque<Waiting>,
    stopped: bool,
    text: String,
}

/// What was written of a provider last.
#[derive(Debug)]
struct Seen {
    name: String,
    id: ProviderId,
    way: Result<Way, &'static str>,
    address: Option<IpAddr>,
    number: u32,
}

/// A probe on its way.
#[derive(Debug)]
struct Waiting {
    number: u64,
    provider: ProviderId,
    token: ProbeToken,
    /// Whom a ping asks: others answer by ways of their own.
    target: Option<IpAddr>,
    sent: Moment,
}

impl Recorder {
    /// The trace of a core made with this `seed` at `started`, from a state in which `before` was active.
    pub fn new(started: Moment, seed: u64, before: Option<String>) -> Self {
        let head = format!("{FORMAT}{} {seed}\n", started.as_nanos());
        Self {
            started,
            text: head.clone(),
            head,
            before,
            providers: vec![],
            active: None,
            pin: None,
            number: 0,
            waiting: VecDeque::new(),
            stopped: false,
        }
    }

    /// What was recorded since the last call: whole lines.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Begins a part that can be read alone: with how things stand.
    pub fn begin_part(&mut self, now: Moment) {
        self.text.push_str(&self.head);
        let mut facts = vec![];
        for Seen { name, id, way, .. } in &self.providers {
            facts.push(Fact::Provider(name.clone(), *id));
            facts.push(Fact::Uplink(name.clone(), way.map_err(str::to_owned)));
        }
        facts.push(Fact::Active(self.active.clone()));
        facts.push(Fact::Pin(self.pin.clone()));
        facts.iter().for_each(|fact| self.write(now, fact));
    }

    /// Before the core is told.
    pub fn event(&mut self, now: Moment, event: &Event) {
        let name = |id: &ProviderId| self.providers.iter().find(|it| it.id == *id).map(|it| it.name.clone());
        let fact = match event {
            Event::Icmp { provider, source, message, at } => match message {
                Icmp::EchoReply { id, sequence, cookie } => {
                    let token = ProbeToken { id: *id, sequence: *sequence, cookie: *cookie };
                    let is = |it: &Waiting| it.token == token && it.target.is_none_or(|target| target == *source);
                    self.take_waiting(*provider, is).map(|it| Fact::Answer(it.number, at.since(it.sent)))
                }
                Icmp::Unreachable { code, id, sequence, target } => {
                    let is = |it: &Waiting| {
                        (it.token.id, it.token.sequence) == (*id, *sequence) && it.target.is_none_or(|it| it == *target)
                    };
                    let cause = Refusal::Unreachable { code: *code, from: *source };
                    self.take_waiting(*provider, is).map(|it| Fact::Refused(it.number, cause))
                }
            },
            Event::Answered { provider, token, at } => {
                let waiting = self.take_waiting(*provider, |it| it.token == *token);
                waiting.map(|it| Fact::Answer(it.number, at.since(it.sent)))
            }
            Event::ProbeRefused { provider, token, cause } => {
                let waiting = self.take_waiting(*provider, |it| it.token == *token);
                waiting.map(|it| Fact::Refused(it.number, cause.clone()))
            }
            Event::Received { provider, packets, gateway } => {
                name(provider).map(|name| Fact::Received(name, *packets, *gateway))
            }
            Event::Resolved { provider, name: host, outcome } => {
                name(provider).map(|name| Fact::Resolved(name, host.clone(), outcome.clone()))
            }
            // Slots of ours are left by a crash: then it does not matter who was active before.
            Event::Kernel { snapshot, .. } => {
                let slots = snapshot.routes.iter().any(|route| route.is_main_default() && route.is_ours());
                self.before.take().filter(|_| !slots).map(Fact::Before)
            }
            Event::CheckNow(name) => Some(Fact::Check(name.clone())),
            Event::Reload(_) => Some(Fact::Reload),
            Event::Stop => Some(Fact::Stop),
            _ => None,
        };
        if let Some(fact) = fact {
            self.write(now, &fact);
        }
        self.stopped |= matches!(event, Event::Stop);
    }

    /// After the core has answered with `actions`.
    pub fn outcome(&mut self, now: Moment, actions: &[Action], core: &Core) {
        if self.stopped {
            return;
        }
        for (name, id, uplink) in core.uplinks() {
            self.follow(now, name, id, uplink);
        }
        for action in actions {
            match action {
                Action::Probe { provider, token, question, .. } => self.probe(now, *provider, *token, question),
                Action::CloseProber(provider) => self.waiting.retain(|it| it.provider != *provider),
                Action::Save(state) if state.pin != self.pin => {
                    self.pin.clone_from(&state.pin);
                    self.write(now, &Fact::Pin(state.pin.clone()));
                }
                Action::Notice(notice) if notice.action == Some(NoticeAction::Switch) => {
                    // A way found blocked and mended at once: else nobody could see why it was left.
                    if notice.reason_code == Some(BLOCKED)
                        && let Some(from) = &notice.from
                        && let Some(seen) = self.providers.iter_mut().find(|it| it.name == *from && it.way.is_ok())
                    {
                        seen.way = Err(BLOCKED);
                        self.write(now, &Fact::Uplink(from.clone(), Err(BLOCKED.to_owned())));
                    }
                    self.active.clone_from(&notice.to);
                    let code = notice.reason_code.unwrap_or("unknown").to_owned();
                    self.write(now, &Fact::Switch { from: notice.from.clone(), to: notice.to.clone(), code });
                }
                _ => {}
            }
        }
        if self.active.as_deref() != core.active() {
            self.active = core.active().map(str::to_owned);
            self.write(now, &Fact::Active(self.active.clone()));
        }
    }

    /// Writes what a provider resolves to, if that is new.
    fn follow(&mut self, now: Moment, name: &str, id: ProviderId, uplink: Result<&Uplink, &'static str>) {
        let position = self.providers.iter().position(|it| it.name == name && it.id == id);
        let position = position.unwrap_or_else(|| {
            self.write(now, &Fact::Provider(name.to_owned(), id));
            let way = Err(Reason::NotReadYet.code());
            self.providers.push(Seen { name: name.to_owned(), id, way, address: None, number: 0 });
            self.providers.len().saturating_sub(1)
        });
        let Some(seen) = self.providers.get_mut(position) else { return };
        let way = uplink.map(|uplink| {
            let way = Way { device: uplink.device.0, number: seen.number, gateway: uplink.gateway };
            let same = seen.address == Some(uplink.address) && seen.way.is_ok_and(|before| before == way);
            if !same {
                seen.number = seen.number.saturating_add(1);
            }
            seen.address = Some(uplink.address);
            Way { number: seen.number, ..way }
        });
        if seen.way != way {
            seen.way = way;
            self.write(now, &Fact::Uplink(name.to_owned(), way.map_err(str::to_owned)));
        }
    }

    fn probe(&mut self, now: Moment, provider: ProviderId, token: ProbeToken, question: &Question) {
        let Some(name) = self.providers.iter().find(|it| it.id == provider).map(|it| it.name.clone()) else { return };
        self.number += 1;
        let number = self.number;
        let (kind, target) = words(question);
        self.write(now, &Fact::Probe { provider: name, number, kind: kind.to_owned(), target });
        let target = match question {
            Question::Ping { target, .. } => Some(*target),
            _ => None,
        };
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting { number, provider, token, target, sent: now });
    }

    fn take_waiting(&mut self, provider: ProviderId, is: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let position = self.waiting.iter().position(|it| it.provider == provider && is(it))?;
        self.waiting.remove(position)
    }

    fn write(&mut self, now: Moment, fact: &Fact) {
        let time = now.since(self.started);
        let fact = fact.to_string().replace('\n', " ");
        let _ = writeln!(self.text, "{}.{:06} {fact}", time.as_secs(), time.subsec_micros());
    }
}
