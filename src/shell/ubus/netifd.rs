//! Follows netifd: finds its object, subscribes to it, listens for its events, and reads its interfaces anew at every hint.
//!
//! Driven by `session` with answers and the time. Notifications and events get lost and repeat themselves, so none of them is
//! believed: each only makes `dump` be called again, and `failoverd::netifd` reads what that answers.

use std::time::Duration;

use failoverd::netifd::interfaces;
use failoverd::ubus_call::UbusStatus;
use failoverd::{ubus_frame, ubus_value};
use serde_json::{Map, Value};
use tokio::time::Instant;
use ubus::wire::ObjId;
use ubus::{BlobMsgTable, OutboundMsg};

use super::calls::{Answer, Ask};
use super::link::Phase;
use super::{Bus, BusEvent};

/// netifd's object, and its event of the same name.
pub(crate) const NETIFD: &str = "network.interface";
/// ubusd's event about a new object.
const OBJECT_ADDED: &str = "ubus.object.add";
/// The events listened for.
const EVENTS: [&str; 2] = [NETIFD, OBJECT_ADDED];
/// The interfaces are read at most this often, however many hints there are.
const READ_PAUSE: Duration = Duration::from_millis(20);

/// What stays across connections.
#[derive(Debug)]
pub(super) struct Reading {
    /// Somebody wants to know the interfaces.
    pub(super) wanted: bool,
    /// The next pause after a failure.
    pause: Duration,
    /// Since when it fails on this connection.
    failing: Option<Instant>,
    /// The present failure has been told.
    failure_told: bool,
    /// That hints are refused has been told.
    refusal_told: bool,
}

/// How far it has come on a connection.
#[derive(Debug)]
pub(super) struct Following {
    stage: Stage,
    /// The nameless object that hears hints.
    listener: Option<ObjId>,
    /// The object whose notifications are delivered. ubusd would take a second subscription to it as a further one.
    subscribed: Option<ObjId>,
    /// What ubusd refused to deliver, and with which status.
    refused: Vec<(&'static str, UbusStatus)>,
    /// Not before this time.
    next_read: Instant,
}

#[derive(Debug)]
enum Stage {
    /// netifd's object is not known; look for it then.
    Away { again: Instant },
    /// ubusd is being asked for it.
    Finding,
    /// `dump` is called at every hint; one at a time.
    Found { netifd: ObjId, reading: bool, hinted: bool },
}

impl Reading {
    pub(super) fn new(pause: Duration) -> Self {
        Self { wanted: false, pause, failing: None, failure_told: false, refusal_told: false }
    }

    /// What failed with the connection is not netifd's fault.
    pub(super) fn disconnected(&mut self, pause: Duration) {
        self.failing = None;
        self.pause = pause;
    }
}

impl Following {
    pub(super) fn new(now: Instant) -> Self {
        Self { stage: Stage::Away { again: now }, listener: None, subscribed: None, refused: vec![], next_read: now }
    }

    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Away { again } => Some(again),
            Stage::Found { reading: false, hinted: true, .. } => Some(self.next_read),
            Stage::Finding | Stage::Found { .. } => None,
        }
    }

    /// netifd's object, as far as it is known.
    pub(super) fn netifd(&self) -> Option<ObjId> {
        match self.stage {
            Stage::Found { netifd, .. } => Some(netifd),
            Stage::Away { .. } | Stage::Finding => None,
        }
    }

    /// Whether this is the object that hears hints.
    pub(super) fn hears_by(&self, object: ObjId) -> bool {
        self.listener == Some(object)
    }

    /// The interfaces may have changed.
    fn hint(&mut self) {
        if let Stage::Found { hinted, .. } = &mut self.stage {
            *hinted = true;
        }
    }
}

impl Bus {
    /// Has netifd's interfaces read as soon as possible; told by [`BusEvent::Interfaces`]. Never waits. Whoever asks once is told of
    /// every change from then on; until then netifd is left alone.
    pub(crate) fn read_interfaces(&mut self) {
        self.reading.wanted = true;
        if let Some(link) = &mut self.link {
            link.following.hint();
        }
    }

    /// Does what is due.
    pub(super) fn follow(&mut self, now: Instant) {
        let Some(link) = self.link.as_mut().filter(|_| self.reading.wanted) else { return };
        if matches!(link.phase, Phase::Hello { .. }) || link.following.deadline().is_none_or(|due| now < due) {
            return;
        }
        match (&link.following.stage, link.following.listener) {
            (Stage::Found { netifd, .. }, _) => {
                let netifd = *netifd;
                self.read(now, netifd);
            }
            (_, None) => {
                link.following.stage = Stage::Finding;
                let frame = ubus_frame::nameless_object(link.next_sequence());
                self.ask_ubusd(now, Ask::Listener, &frame);
            }
            (_, Some(_)) => self.find_netifd(now),
        }
    }

    fn find_netifd(&mut self, now: Instant) {
        let Some(link) = &mut self.link else { return };
        link.following.stage = Stage::Finding;
        // Their answers would be those of an object that is gone.
        link.calls.forget(Ask::Subscribe);
        link.calls.forget(Ask::Dump);
        // Rights may have come since they were refused: at a SIGHUP ubusd reads them anew.
        let refused = std::mem::take(&mut link.following.refused);
        self.listen(now, refused.iter().map(|(what, _)| *what).filter(|what| EVENTS.contains(what)));
        let Some(link) = &mut self.link else { return };
        let frame = OutboundMsg::Lookup { obj_path: NETIFD }.into_frame(link.next_sequence());
        self.ask_ubusd(now, Ask::FindNetifd, &frame);
    }

    fn listen(&mut self, now: Instant, events: impl IntoIterator<Item = &'static str>) {
        for event in events {
            let Some(link) = &mut self.link else { return };
            let Some(listener) = link.following.listener else { return };
            let frame = ubus_frame::event_registration(listener, event, link.next_sequence());
            self.ask_ubusd(now, Ask::Listen(event), &frame);
        }
    }

    fn read(&mut self, now: Instant, netifd: ObjId) {
        let Some(link) = &mut self.link else { return };
        link.following.stage = Stage::Found { netifd, reading: true, hinted: false };
        link.following.next_read = now + READ_PAUSE;
        let args = BlobMsgTable::empty();
        let frame =
            OutboundMsg::Invoke { obj_id: netifd, method: "dump", args: &args }.into_frame(link.next_sequence());
        // A netifd that is always slow is waited for longer each time.
        let patience = self.timing.request.max(self.reading.pause);
        self.ask(now, Ask::Dump, patience, &frame);
    }

    /// ubusd's or netifd's answer to one of the requests above.
    pub(super) fn netifd_answered(
        &mut self,
        now: Instant,
        ask: Ask,
        answer: Result<Answer, UbusStatus>,
    ) -> Option<BusEvent> {
        let link = self.link.as_mut()?;
        match (ask, answer) {
            (Ask::Listener, Ok(Answer { object: Some(listener), .. })) => {
                link.following.listener = Some(listener);
                link.following.refused.clear();
                self.listen(now, EVENTS);
                // After the events, so that an object which comes now is noticed by one or the other.
                self.find_netifd(now);
            }
            (Ask::Listen(event), Err(status)) => link.following.refused.push((event, status)),
            (Ask::Subscribe, Ok(_)) => {
                if let Stage::Found { netifd, .. } = link.following.stage {
                    link.following.subscribed = Some(netifd);
                }
            }
            (Ask::Subscribe, Err(status)) => link.following.refused.push(("notifications", status)),
            (Ask::FindNetifd, Ok(Answer { object: Some(netifd), .. })) => {
                let listener = link.following.listener?;
                if link.following.subscribed != Some(netifd) {
                    let frame = ubus_frame::subscription(listener, netifd, link.next_sequence());
                    self.ask_ubusd(now, Ask::Subscribe, &frame);
                }
                self.read(now, netifd);
            }
            // Success without data: the object is there, but not for this user.
            (Ask::FindNetifd, Ok(_) | Err(UbusStatus::NotFound)) => self.netifd_failed(
                now,
                "there is no such object, or this user may not see it: does netifd run, and does \
                 /usr/share/acl.d/failover.json allow its 'dump'?",
                self.timing.grace,
            ),
            (Ask::Dump, Ok(answer)) => return self.read_answer(now, &answer),
            (Ask::Dump, Err(UbusStatus::PermissionDenied)) => {
                let cause = "ubusd refuses it: /usr/share/acl.d/failover.json must allow its 'dump'";
                self.netifd_failed(now, cause, Duration::ZERO);
            }
            (Ask::Listener | Ask::FindNetifd | Ask::Dump, Err(status)) => {
                self.netifd_failed(now, &status.to_string(), self.timing.grace);
            }
            (Ask::Listener, Ok(_)) => {
                self.netifd_failed(now, "ubusd registered an object without an id", Duration::ZERO);
            }
            _ => {}
        }
        None
    }

    fn read_answer(&mut self, now: Instant, answer: &Answer) -> Option<BusEvent> {
        let dump = ubus_value::decode(answer.data.as_deref().unwrap_or_default());
        // Without the list, no interface at all would be believed to exist.
        let dump = match dump {
            Ok(dump) if matches!(dump.get("interface"), Some(Value::Array(_))) => dump,
            Ok(_) => return self.garbage(now, "it has no list of interfaces"),
            Err(error) => return self.garbage(now, &error.to_string()),
        };
        let link = self.link.as_mut()?;
        if let Stage::Found { reading, .. } = &mut link.following.stage {
            *reading = false;
        }
        self.reading.pause = self.timing.search.0;
        self.reading.failing = None;
        if std::mem::take(&mut self.reading.failure_told) {
            log::info!("ubus: the interfaces of '{NETIFD}' are read again");
        }
        let refused = &link.following.refused;
        let told = std::mem::replace(&mut self.reading.refusal_told, !refused.is_empty());
        if let Some((_, status)) = refused.first().filter(|_| !told && !self.refusal_told) {
            let what: Vec<_> = refused.iter().map(|(what, _)| *what).collect();
            log::warn!(
                "ubus: of '{NETIFD}' ubusd does not deliver {} ({status}), which /usr/share/acl.d/failover.json must allow: a change \
                 in netifd is noticed late",
                what.join(", ")
            );
        }
        Some(BusEvent::Interfaces(interfaces(&dump)))
    }

    fn garbage(&mut self, now: Instant, cause: &str) -> Option<BusEvent> {
        self.netifd_failed(now, &format!("the answer to 'dump' cannot be read: {cause}"), Duration::ZERO);
        None
    }

    /// `dump` was not answered in time. If it is ubusd that hangs, it does not answer the next request either, and is left.
    pub(super) fn dump_expired(&mut self, now: Instant) {
        self.netifd_failed(now, "netifd does not answer", self.timing.grace);
    }

    /// Tries again a little later. Told once, when it has lasted for `grace`: what passes, as a restart does, is nobody's concern.
    fn netifd_failed(&mut self, now: Instant, cause: &str, grace: Duration) {
        let Some(link) = &mut self.link else { return };
        let pause = self.reading.pause;
        link.following.stage = Stage::Away { again: now + pause };
        self.reading.pause = (pause * 2).min(self.timing.search.1);
        let since = *self.reading.failing.get_or_insert(now);
        // Where our own object is refused, that has told of the ACL already.
        let quiet = self.refusal_told || now.duration_since(since) < grace;
        if quiet || std::mem::replace(&mut self.reading.failure_told, true) {
            log::debug!("ubus: the interfaces of '{NETIFD}' cannot be read: {cause}");
        } else {
            log::warn!("ubus: the interfaces of '{NETIFD}' cannot be read: {cause}; trying again");
        }
    }

    /// A call of the nameless object: a notification of netifd, or an event.
    pub(super) fn hinted(&mut self, now: Instant, name: &str, data: &[u8]) {
        if name != OBJECT_ADDED {
            if let Some(link) = &mut self.link {
                link.following.hint();
            }
            return;
        }
        let added = ubus_value::decode(data).unwrap_or_else(|_| Map::new());
        let finding = self.link.as_ref().is_none_or(|link| matches!(link.following.stage, Stage::Finding));
        if !finding && added.get("path").and_then(Value::as_str) == Some(NETIFD) {
            self.find_netifd(now);
        }
    }

    /// netifd's object is gone, with netifd. It is looked for until it is back; what was read last stays true until then.
    pub(super) fn target_vanished(&mut self, now: Instant, target: ObjId) {
        let Some(link) = &mut self.link else { return };
        link.following.subscribed = link.following.subscribed.filter(|subscribed| *subscribed != target);
        if matches!(link.following.stage, Stage::Found { netifd, .. } if netifd == target) {
            link.calls.forget(Ask::Dump);
            link.calls.forget(Ask::Subscribe);
            self.netifd_failed(now, "netifd is gone", self.timing.grace);
        }
    }
}
