//! Makes a trace of what the core is told and what it wants done.
//!
//! Fed by the shell around each `Core::handle`; its text goes into a file. It decides nothing, and nothing depends on it.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::refusal::{neighbour_word, write_refusal, write_resolved};
use super::{FORMAT, Fact, Way, asked};
use crate::core::Core;
use crate::event::{Action, Event, ProbeToken, ProviderId};
use crate::icmp::Icmp;
use crate::kernel::Route;
use crate::moment::Moment;
use crate::notice::{Notice, NoticeAction};
use crate::question::Question;
use crate::reason::{Reason, Refusal};
use crate::uplink::Uplink;

/// Probes whose answer is still recorded: an hour of a dead line must not take up memory.
const WAITING: usize = 256;
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
    /// The last of them without an answer, oldest first.
    waiting: Vec<Waiting>,
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
            waiting: vec![],
            stopped: false,
        }
    }

    /// What was recorded since the last call: whole lines.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Begins a part that can be read alone: with how things stand.
    pub fn begin_part(&mut self, now: Moment) {
        let mut page = Page { time: now.since(self.started), text: &mut self.text };
        page.text.push_str(&self.head);
        for Seen { name, id, way, .. } in &self.providers {
            page.write(Fact::Provider(name, id.0));
            page.write(Fact::Uplink(name, *way));
        }
        page.write(Fact::Active(self.active.as_deref()));
        page.write(Fact::Pin(self.pin.as_deref()));
    }

    /// Before the core is told.
    pub fn event(&mut self, now: Moment, event: &Event) {
        match event {
            Event::Icmp { provider, source, message: Icmp::EchoReply { id, sequence, cookie }, at } => {
                let token = ProbeToken { id: *id, sequence: *sequence, cookie: *cookie };
                self.answered(now, *provider, token, Some(*source), *at);
            }
            Event::Answered { provider, token, at } => self.answered(now, *provider, *token, None, *at),
            Event::Icmp { provider, source, message: Icmp::Unreachable { code, id, sequence, target }, .. } => {
                let cause = Refusal::Unreachable { code: *code, from: *source };
                self.refused(now, *provider, (*id, *sequence), Some(*target), &cause);
            }
            Event::ProbeRefused { provider, token, cause } => {
                self.refused(now, *provider, (token.id, token.sequence), None, cause);
            }
            Event::Received { provider, packets, gateway } => {
                let name = self.name(*provider);
                self.write(now, Fact::Received(&name, *packets, &neighbour_word(*gateway)));
            }
            Event::Resolved { provider, name: host, outcome } => {
                let name = self.name(*provider);
                self.write(now, Fact::Resolved(&name, host, &write_resolved(outcome)));
            }
            // Slots of ours are left by a crash: then it does not matter who was active before.
            Event::Kernel { snapshot, .. } => {
                let slot = |route: &Route| route.is_main_default() && route.is_ours();
                if let Some(before) = self.before.take().filter(|_| !snapshot.routes.iter().any(slot)) {
                    self.write(now, Fact::Before(&before));
                }
            }
            Event::CheckNow(name) => self.write(now, Fact::Check(name.as_deref())),
            Event::Reload(_) => self.write(now, Fact::Reload),
            Event::Stop => {
                self.write(now, Fact::Stop);
                self.stopped = true;
            }
            _ => {}
        }
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
                    self.write(now, Fact::Pin(state.pin.as_deref()));
                }
                Action::Notice(notice) if notice.action == Some(NoticeAction::Switch) => self.switch(now, notice),
                _ => {}
            }
        }
        if self.active.as_deref() != core.active() {
            self.active = core.active().map(str::to_owned);
            self.write(now, Fact::Active(core.active()));
        }
    }

    /// Writes what a provider resolves to, if that is new.
    fn follow(&mut self, now: Moment, name: &str, id: ProviderId, uplink: Result<&Uplink, &'static str>) {
        let mut page = Page { time: now.since(self.started), text: &mut self.text };
        let position = self.providers.iter().position(|it| it.name == name && it.id == id);
        let position = position.unwrap_or_else(|| {
            page.write(Fact::Provider(name, id.0));
            let way = Err(Reason::NotReadYet.code());
            // After a reload a number may be another one's.
            self.providers.retain(|it| it.name != name && it.id != id);
            self.providers.push(Seen { name: name.to_owned(), id, way, address: None, number: 0 });
            self.providers.len().saturating_sub(1)
        });
        let Some(seen) = self.providers.get_mut(position) else { return };
        let way = uplink.map(|uplink| {
            let way = Way { device: uplink.device.0, number: seen.number, gateway: uplink.gateway };
            if seen.address != Some(uplink.address) || seen.way != Ok(way) {
                seen.number = seen.number.wrapping_add(1);
            }
            seen.address = Some(uplink.address);
            Way { number: seen.number, ..way }
        });
        if seen.way != way {
            seen.way = way;
            page.write(Fact::Uplink(name, way));
        }
    }

    fn switch(&mut self, now: Moment, notice: &Notice) {
        let Notice { from, to, reason_code, .. } = notice;
        let mut page = Page { time: now.since(self.started), text: &mut self.text };
        // A way found blocked and mended at once: else nobody could see why it was left.
        let mut left = self.providers.iter_mut().filter(|it| Some(&it.name) == from.as_ref() && it.way.is_ok());
        if let Some(seen) = left.next().filter(|_| *reason_code == Some(BLOCKED)) {
            seen.way = Err(BLOCKED);
            page.write(Fact::Uplink(&seen.name, seen.way));
        }
        page.write(Fact::Switch(from.as_deref(), to.as_deref(), reason_code.unwrap_or_default()));
        self.active.clone_from(to);
    }

    fn probe(&mut self, now: Moment, provider: ProviderId, token: ProbeToken, question: &Question) {
        self.number += 1;
        let (kind, target) = asked(question);
        let name = self.name(provider);
        self.write(now, Fact::Probe(&name, self.number, kind, &target));
        let target = match question {
            Question::Ping { target, .. } => Some(*target),
            _ => None,
        };
        if self.waiting.len() >= WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push(Waiting { number: self.number, provider, token, target, sent: now });
    }

    fn answered(&mut self, now: Moment, provider: ProviderId, token: ProbeToken, source: Option<IpAddr>, at: Moment) {
        if let Some(it) = self.waited_for(provider, (token.id, token.sequence), source, Some(token.cookie)) {
            let micros = u32::try_from(at.since(it.sent).as_micros()).unwrap_or(u32::MAX);
            self.write(now, Fact::Answer(it.number, micros));
        }
    }

    fn refused(&mut self, now: Moment, provider: ProviderId, id: (u16, u16), target: Option<IpAddr>, cause: &Refusal) {
        if let Some(it) = self.waited_for(provider, id, target, None) {
            self.write(now, Fact::Refused(it.number, &write_refusal(cause)));
        }
    }

    fn waited_for(
        &mut self,
        provider: ProviderId,
        id: (u16, u16),
        target: Option<IpAddr>,
        cookie: Option<u64>,
    ) -> Option<Waiting> {
        let position = self.waiting.iter().position(|it| {
            (it.provider, it.token.id, it.token.sequence) == (provider, id.0, id.1)
                && (target.is_none() || it.target == target)
                && cookie.is_none_or(|cookie| cookie == it.token.cookie)
        })?;
        Some(self.waiting.remove(position))
    }

    /// A provider's name.
    fn name(&self, id: ProviderId) -> String {
        self.providers.iter().find(|it| it.id == id).map(|it| it.name.clone()).unwrap_or_default()
    }

    fn write(&mut self, now: Moment, fact: Fact<'_>) {
        Page { time: now.since(self.started), text: &mut self.text }.write(fact);
    }
}

/// The text, at one time.
struct Page<'a> {
    time: std::time::Duration,
    text: &'a mut String,
}

impl Page<'_> {
    /// Never inlined: there are so many facts that it would count.
    #[inline(never)]
    fn write(&mut self, fact: Fact<'_>) {
        let fact = fact.to_string().replace('\n', " ");
        let _ = writeln!(self.text, "{}.{:06} {fact}", self.time.as_secs(), self.time.subsec_micros());
    }
}
