//! What is said between ubusd and us: greeting, registration, calls, signs of life.
//!
//! Fed by `Bus` with frames and the time; what concerns the event loop goes back as `BusEvent`. Answers to requests go to the part that
//! asked: here, `netifd` or `hotplug`.

use failoverd::ubus_call::{Call, OBJECT, UbusStatus, signature};
use failoverd::ubus_frame;
use tokio::time::Instant;
use ubus::envelope::{UbusAttr, find};
use ubus::wire::{Frame, ObjId, PeerId};
use ubus::{InboundMsg, OutboundMsg};

use super::calls::{Answer, Ask};
use super::link::Phase;
use super::queue::Weight;
use super::{Bus, BusEvent, MAX_PENDING, ReplyTo, Request};

const NO_ANSWER: &str = "ubusd does not answer";

impl Bus {
    pub(super) fn timers(&mut self, now: Instant) -> Option<BusEvent> {
        let timing = self.timing;
        let link = self.link.as_mut()?;
        match link.phase {
            Phase::Hello { until } if now >= until => return self.disconnect(NO_ANSWER.to_owned()),
            Phase::Refused { again } if now >= again => self.register(now),
            _ => {}
        }
        while let Some(ask) = self.link.as_mut()?.calls.expired(now) {
            match ask {
                Ask::Dump => self.dump_expired(now),
                // The notice has a deadline of its own.
                Ask::RunHotplug => {}
                Ask::Recover(method) => self.recover_failed(method, "netifd does not answer"),
                _ => return self.disconnect(NO_ANSWER.to_owned()),
            }
        }
        let link = self.link.as_mut()?;
        if now >= link.alive_until(timing.idle) {
            if link.pong_until.is_some() {
                return self.disconnect("ubusd does not answer a ping".to_owned());
            }
            let ping = ubus_frame::ping(link.next_sequence());
            link.pong_until = Some(now + timing.pong);
            self.send(Weight::Needed, &ping);
        }
        let expired = self.link.as_ref()?.pending.iter().filter(|(_, until)| now >= *until).map(|(caller, _)| *caller);
        for (peer, sequence) in expired.collect::<Vec<_>>() {
            let reply_to = ReplyTo { connection: self.connection, peer, sequence };
            self.reply(reply_to, Err(UbusStatus::Timeout));
        }
        self.follow(now);
        self.hotplug_due(now)
    }

    /// Only what ubusd does wrong itself is an error; whatever other clients send is answered or ignored.
    pub(super) fn handle(&mut self, now: Instant, frame: &Frame) -> Result<Option<BusEvent>, String> {
        let Some(link) = &mut self.link else { return Ok(None) };
        if let Some(target) = ubus_frame::vanished(frame) {
            self.target_vanished(now, target);
            return Ok(None);
        }
        let message = InboundMsg::parse(frame);
        if let Phase::Hello { .. } = link.phase {
            return match message {
                Ok(InboundMsg::Hello { peer, .. }) if peer > 1 => {
                    self.register(now);
                    Ok(None)
                }
                _ => Err("ubusd did not greet us as it should".to_owned()),
            };
        }
        let Ok(message) = message else { return Ok(None) };
        if let Some((ask, answer)) = link.calls.take(&message) {
            return match ask {
                Ask::Register => self.registered(now, answer),
                Ask::Recover(method) => {
                    self.recover_answered(method, answer.map(drop));
                    Ok(None)
                }
                Ask::FindHotplug | Ask::RunHotplug => Ok(self.hotplug_answered(now, ask, answer)),
                _ => Ok(self.netifd_answered(now, ask, answer)),
            };
        }
        match message {
            InboundMsg::Invoke { seq, peer, obj_id, method, data } => {
                let silent = find(&frame.payload, UbusAttr::NoReply).is_some_and(|flag| flag.as_bool_int8());
                let caller = PeerId::new(peer).filter(|_| !silent);
                return Ok(self.invoked(now, caller, seq, obj_id, method, data.unwrap_or_default()));
            }
            // An answer to one of our notices; those to PING come with peer 0.
            InboundMsg::Status { peer, status, .. } if peer != 0 && !link.refusal_told => {
                if let Err(status) = UbusStatus::from_code(status) {
                    link.refusal_told = true;
                    log::warn!("ubus: ubusd refuses events of failoverd: {status}");
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// Somebody calls one of our objects. `caller` is whom to answer, if anybody.
    fn invoked(
        &mut self,
        now: Instant,
        caller: Option<PeerId>,
        sequence: u16,
        object: ObjId,
        method: &str,
        data: &[u8],
    ) -> Option<BusEvent> {
        let link = self.link.as_ref()?;
        match link.phase {
            Phase::Ready { object: ours } if ours == object => {
                let call = Call::parse(method, data);
                self.called(now, caller?, sequence, call).map(BusEvent::Request)
            }
            _ if link.following.hears_by(object) => {
                self.hinted(now, method, data);
                let thanks = OutboundMsg::Status { peer: caller?, obj_id: Some(object), status: 0 };
                self.send(Weight::Needed, &thanks.into_frame(sequence));
                None
            }
            _ => None,
        }
    }

    fn register(&mut self, now: Instant) {
        let Some(link) = &mut self.link else { return };
        link.phase = Phase::Adding;
        let signature = signature();
        let frame = OutboundMsg::AddObject { path: OBJECT, signature: &signature }.into_frame(link.next_sequence());
        self.ask_ubusd(now, Ask::Register, &frame);
    }

    fn registered(&mut self, now: Instant, answer: Result<Answer, UbusStatus>) -> Result<Option<BusEvent>, String> {
        let Some(link) = &mut self.link else { return Ok(None) };
        self.backoff = self.timing.retry.0;
        match answer.map(|answer| answer.object) {
            Ok(Some(object)) => {
                link.phase = Phase::Ready { object };
                self.outage_told = false;
                self.refusal_told = false;
                log::info!("ubus: the object '{OBJECT}' is registered");
                self.tell_losses();
                Ok(Some(BusEvent::Connected))
            }
            Ok(None) => Err("ubusd registered an object without an id".to_owned()),
            Err(status) => {
                // The broker answers so as well while an earlier connection of ours is not cleaned up yet.
                link.phase = Phase::Refused { again: now + self.timing.refused };
                if !std::mem::replace(&mut self.refusal_told, true) {
                    log::warn!(
                        "ubus: ubusd refuses the object '{OBJECT}' ({status}): either another program has it, or this \
                         user may not use ubus as failoverd does: see /usr/share/acl.d/failover.json; trying again"
                    );
                }
                Ok(None)
            }
        }
    }

    fn called(&mut self, now: Instant, peer: PeerId, sequence: u16, call: Result<Call, UbusStatus>) -> Option<Request> {
        let link = self.link.as_mut()?;
        let full = link.pending.len() >= MAX_PENDING;
        link.pending.retain(|(caller, _)| *caller != (peer, sequence));
        link.pending.push(((peer, sequence), now + self.timing.pending));
        let reply_to = ReplyTo { connection: self.connection, peer, sequence };
        match call {
            Ok(_) if full => self.reply(reply_to, Err(UbusStatus::UnknownError)),
            Ok(call) => return Some(Request { call, reply_to }),
            Err(status) => self.reply(reply_to, Err(status)),
        }
        None
    }
}
