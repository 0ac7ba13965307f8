//! The daemon's connection to ubus: offers the object `failover`, hands calls to the event loop, carries notices.
//!
//! The event loop drives it by [`Bus::next`] and answers by [`Bus::reply`]; nothing here ever makes it wait, whatever ubusd
//! does. What the calls and values look like is in the library (`ubus_call`, `ubus_value`, `ubus_frame`).

mod calls;
pub(crate) mod client;
mod hotplug;
mod link;
mod netifd;
mod queue;
mod recover;
mod session;
#[cfg(test)]
pub(crate) mod test_broker;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use failoverd::netifd::Interface;
use failoverd::notice::Notice;
use failoverd::ubus_call::{Call, OBJECT, UbusStatus};
use failoverd::{ubus_frame, ubus_value};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};
use ubus::wire::{Frame, PeerId};
use ubus::{BlobMsgTable, OutboundMsg};

use calls::Ask;
use hotplug::Hotplug;
pub(crate) use hotplug::{Environment, HOTPLUG, assignments};
use link::{Link, Phase};
pub(crate) use netifd::NETIFD;
use netifd::Reading;
use queue::Weight;

/// Where ubusd listens on OpenWrt.
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/ubus/ubus.sock";

/// Calls that may wait for the event loop's answer at a time.
const MAX_PENDING: usize = 64;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// For ubusd's first word and for its answers to requests.
    pub(crate) answer: Duration,
    /// Between attempts to connect: at first, and at most.
    pub(crate) retry: (Duration, Duration),
    /// Until the registration is tried again after a refusal.
    pub(crate) refused: Duration,
    /// For other programs' answers to requests.
    pub(crate) request: Duration,
    /// Between attempts to find netifd and to read its interfaces: at first, and at most.
    pub(crate) search: (Duration, Duration),
    /// As long as netifd may be away or silent without a word in the log.
    pub(crate) grace: Duration,
    /// Of silence, until ubusd is asked whether it is alive.
    pub(crate) idle: Duration,
    /// For its answer to that.
    pub(crate) pong: Duration,
    /// Until an unanswered call is answered for the event loop.
    pub(crate) pending: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(5),
            // What is on ubus is back within 5 s of ubusd's return.
            retry: (Duration::from_millis(250), Duration::from_secs(2)),
            refused: Duration::from_secs(2),
            request: Duration::from_secs(2),
            search: (Duration::from_millis(250), Duration::from_secs(5)),
            grace: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            pong: Duration::from_secs(10),
            pending: Duration::from_secs(30),
        }
    }
}

/// What the event loop learns. Losses and returns of ubusd are logged here already.
#[derive(Debug)]
pub(crate) enum BusEvent {
    /// Somebody calls a method; to be answered by [`Bus::reply`], now or later.
    Request(Request),
    /// netifd's interfaces were read; also when they are the same as before.
    Interfaces(Vec<Interface>),
    /// procd was not seen to accept a notice for its hotplug scripts: they have to be run without it. If procd was only slow, they
    /// run twice.
    HotplugUnheard {
        /// What the scripts are to find.
        environment: Environment,
        /// Why, in words.
        cause: String,
    },
    /// The object is registered.
    Connected,
    /// ubusd is away, with the reason; told once until it is back. Open calls are lost.
    Disconnected(String),
}

/// A call.
#[derive(Debug)]
pub(crate) struct Request {
    /// What is asked.
    pub(crate) call: Call,
    /// Whom to answer.
    pub(crate) reply_to: ReplyTo,
}

/// Whom to answer, once. An answer to a caller who is gone goes nowhere.
#[derive(Debug)]
pub(crate) struct ReplyTo {
    connection: u32,
    peer: PeerId,
    sequence: u16,
}

/// The connection, or the attempts to have one.
#[derive(Debug)]
pub(crate) struct Bus {
    socket: PathBuf,
    timing: Timing,
    link: Option<Link>,
    /// Counts connections, so that an answer never reaches a later one's caller.
    connection: u32,
    retry_at: Instant,
    backoff: Duration,
    /// The present outage has been told.
    outage_told: bool,
    /// The present refusal of the registration has been told.
    refusal_told: bool,
    /// Frames lost in the present outage.
    lost: usize,
    /// netifd's interfaces.
    reading: Reading,
    /// Notices for procd.
    hotplug: Hotplug,
    /// That netifd did not do what was wanted has been told.
    recover_told: bool,
}

impl Bus {
    /// Connects when first driven.
    pub(crate) fn new(socket: &Path) -> Self {
        Self::with_timing(socket, Timing::default())
    }

    /// The same, with other waits.
    pub(crate) fn with_timing(socket: &Path, timing: Timing) -> Self {
        Self {
            socket: socket.to_owned(),
            timing,
            link: None,
            connection: 0,
            retry_at: Instant::now(),
            backoff: timing.retry.0,
            outage_told: false,
            refusal_told: false,
            lost: 0,
            reading: Reading::new(timing.search.0),
            hotplug: Hotplug::default(),
            recover_told: false,
        }
    }

    /// The next thing the event loop must know. May be dropped at any time and called again: nothing is lost.
    pub(crate) async fn next(&mut self) -> BusEvent {
        loop {
            if let Some(event) = self.turn() {
                return event;
            }
            let hotplug = self.hotplug.deadline();
            let Some(link) = &mut self.link else {
                sleep_until(hotplug.map_or(self.retry_at, |due| due.min(self.retry_at))).await;
                continue;
            };
            let wake = link.deadline(self.timing.idle, self.reading.wanted);
            let wake = hotplug.map_or(wake, |due| due.min(wake));
            let ready = tokio::select! {
                ready = link.ready() => ready.map_err(|error| format!("waiting for ubusd: {error}")),
                () = sleep_until(wake) => continue,
            };
            match ready.and_then(|()| link.transfer()) {
                Ok(()) => self.tell_losses(),
                Err(reason) => {
                    if let Some(event) = self.disconnect(reason) {
                        return event;
                    }
                }
            }
        }
    }

    /// Everything that can be done without waiting, until there is something to tell.
    fn turn(&mut self) -> Option<BusEvent> {
        let now = Instant::now();
        if self.link.is_none() && now >= self.retry_at {
            match Link::open(&self.socket, self.timing.answer) {
                Ok(link) => self.link = Some(link),
                Err(error) => return self.disconnect(format!("connecting to {}: {error}", self.socket.display())),
            }
        }
        while let Some(link) = &mut self.link {
            // One answer is on its way before the next call is taken up: whole pages of them would not fit into the queue.
            let handled = match link.write() {
                Ok(false) => return self.timers(now),
                Ok(true) => match link.reader.next_frame() {
                    Ok(None) => return self.timers(now),
                    Ok(Some(frame)) => self.handle(now, &frame),
                    Err(error) => Err(error.to_string()),
                },
                Err(reason) => Err(reason),
            };
            match handled {
                Ok(None) => {}
                Ok(Some(event)) => return Some(event),
                Err(reason) => return self.disconnect(reason),
            }
        }
        self.hotplug_due(now)
    }

    /// Answers a call: with an object, with nothing but success (`Value::Null`), or with a status. Never waits.
    pub(crate) fn reply(&mut self, to: ReplyTo, answer: Result<Value, UbusStatus>) {
        let Some(link) = self.link.as_mut().filter(|_| to.connection == self.connection) else { return };
        let Phase::Ready { object } = link.phase else { return };
        let Some(at) = link.pending.iter().position(|(caller, _)| *caller == (to.peer, to.sequence)) else { return };
        link.pending.swap_remove(at);
        let answer = answer.and_then(|value| match value {
            Value::Object(members) => ubus_value::encode(&members).map(Some).map_err(|error| {
                log::warn!("ubus: an answer cannot be sent: {error}");
                UbusStatus::UnknownError
            }),
            _ => Ok(None),
        });
        let (data, status) = match answer {
            Ok(data) => (data, 0),
            Err(status) => (None, status.code()),
        };
        let data = data.map(|data| {
            let data = OutboundMsg::DataReply { peer: to.peer, obj_id: Some(object), data: &data };
            data.into_frame(to.sequence)
        });
        let status = OutboundMsg::Status { peer: to.peer, obj_id: Some(object), status }.into_frame(to.sequence);
        let frames: Vec<&Frame> = data.iter().chain([&status]).collect();
        self.send_together(Weight::Needed, &frames);
    }

    /// Sends a notice that has an action, as notification to the object's subscribers and as event. Never waits.
    pub(crate) fn notify(&mut self, notice: &Notice) {
        let (Some(action), Value::Object(members)) = (notice.action, notice.to_json()) else { return };
        let data = ubus_value::encode(&members);
        let mut event = Map::new();
        event.insert("id".to_owned(), OBJECT.into());
        event.insert("data".to_owned(), Value::Object(members));
        let (Ok(data), Ok(event)) = (data, ubus_value::encode(&event)) else { return };
        self.send_notice(action.word(), &data, &event);
    }

    fn send_notice(&mut self, action: &str, data: &BlobMsgTable, event: &BlobMsgTable) {
        let Some(Link { phase: Phase::Ready { object }, .. }) = self.link else {
            self.lost += 1;
            return;
        };
        let Some(link) = &mut self.link else { return };
        let notification = ubus_frame::notification(object, link.next_sequence(), action, data);
        let event = ubus_frame::event(event, link.next_sequence());
        self.send(Weight::Hint, &notification);
        self.send(Weight::Hint, &event);
    }

    /// A request to ubusd itself.
    fn ask_ubusd(&mut self, now: Instant, ask: Ask, frame: &Frame) {
        self.ask(now, ask, self.timing.answer, frame);
    }

    /// A request that is to be answered within `patience`.
    fn ask(&mut self, now: Instant, ask: Ask, patience: Duration, frame: &Frame) {
        if let Some(link) = &mut self.link {
            link.calls.add(ask, frame, now + patience);
        }
        self.send(Weight::Needed, frame);
    }

    fn send(&mut self, weight: Weight, frame: &Frame) {
        self.send_together(weight, &[frame]);
    }

    /// All of the frames or none: an answer's status without its data would say that there are none.
    fn send_together(&mut self, weight: Weight, frames: &[&Frame]) {
        let Some(link) = &mut self.link else { return };
        let lost = link.send(weight, frames);
        if lost > 0 && self.lost == 0 {
            log::warn!("ubus: ubusd does not read what is sent to it: notifications are given up");
        }
        self.lost += lost;
    }

    /// Once everything that was kept is written: says what was not.
    fn tell_losses(&mut self) {
        let flowing =
            self.link.as_ref().is_some_and(|link| link.out.is_empty() && matches!(link.phase, Phase::Ready { .. }));
        if self.lost > 0 && flowing {
            log::warn!("ubus: {} messages were lost while ubusd was away or did not read", self.lost);
            self.lost = 0;
        }
    }

    fn disconnect(&mut self, reason: String) -> Option<BusEvent> {
        self.link = None;
        self.reading.disconnected(self.timing.search.0);
        self.hotplug.disconnected();
        self.connection = self.connection.wrapping_add(1);
        self.retry_at = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(self.timing.retry.1);
        if std::mem::replace(&mut self.outage_told, true) {
            log::debug!("ubus: {reason}");
            return None;
        }
        log::warn!("ubus: {reason}; trying again, failoverd works without it");
        Some(BusEvent::Disconnected(reason))
    }
}
