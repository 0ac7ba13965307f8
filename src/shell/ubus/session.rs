//! What is said between ubusd and us: greeting, registration, calls, signs of life.
//!
//! Fed by `Bus` with frames and the time; what concerns the event loop goes back as `BusEvent`.

use failoverd::ubus_call::{Call, OBJECT, UbusStatus, signature};
use failoverd::ubus_frame;
use tokio::time::Instant;
use ubus::envelope::{UbusAttr, find};
use ubus::wire::{Frame, ObjId, PeerId};
use ubus::{InboundMsg, OutboundMsg};

use super::link::Phase;
use super::queue::Weight;
use super::{Bus, BusEvent, MAX_PENDING, ReplyTo, Request};

impl Bus {
    pub(super) fn timers(&mut self, now: Instant) -> Option<BusEvent> {
        let timing = self.timing;
        let link = self.link.as_mut()?;
        match link.phase {
            Phase::Hello { until } | Phase::Adding { until, .. } if now >= until => {
                return self.disconnect("ubusd does not answer".to_owned());
            }
            Phase::Refused { again } if now >= again => self.register(now),
            _ => {}
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
        let expired: Vec<_> = self.link.as_ref()?.pending.iter().filter(|(_, until)| now >= **until).collect();
        for (peer, sequence) in expired.into_iter().map(|(caller, _)| *caller).collect::<Vec<_>>() {
            let reply_to = ReplyTo { connection: self.connection, peer, sequence };
            self.reply(reply_to, Err(UbusStatus::Timeout));
        }
        None
    }

    /// Only what ubusd does wrong itself is an error; whatever other clients send is answered or ignored.
    pub(super) fn handle(&mut self, now: Instant, frame: &Frame) -> Result<Option<BusEvent>, String> {
        let Some(link) = &mut self.link else { return Ok(None) };
        let message = InboundMsg::parse(frame);
        match (&mut link.phase, message) {
            (Phase::Hello { .. }, Ok(InboundMsg::Hello { peer, .. })) if peer > 1 => self.register(now),
            (Phase::Hello { .. }, _) => return Err("ubusd did not greet us as it should".to_owned()),
            (Phase::Adding { sequence, object, .. }, Ok(InboundMsg::Data { seq, peer: 0, obj_id, .. }))
                if seq == *sequence =>
            {
                *object = obj_id.and_then(ObjId::new);
            }
            (Phase::Adding { sequence, object, .. }, Ok(InboundMsg::Status { seq, peer: 0, status }))
                if seq == *sequence =>
            {
                let answer = UbusStatus::from_code(status).map(|()| *object);
                return self.registered(now, answer);
            }
            (Phase::Ready { object }, Ok(InboundMsg::Invoke { seq, peer, obj_id, method, data }))
                if obj_id == *object =>
            {
                let silent = find(&frame.payload, UbusAttr::NoReply).is_some_and(|flag| flag.as_bool_int8());
                let Some(peer) = PeerId::new(peer).filter(|_| !silent) else { return Ok(None) };
                let call = Call::parse(method, data.unwrap_or_default());
                return Ok(self.called(now, peer, seq, call).map(BusEvent::Request));
            }
            // An answer to one of our notices; those to PING come with peer 0.
            (_, Ok(InboundMsg::Status { peer, status, .. })) if peer != 0 && !link.refusal_told => {
                if let Err(status) = UbusStatus::from_code(status) {
                    link.refusal_told = true;
                    log::warn!("ubus: ubusd refuses events of failoverd: {status}");
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn register(&mut self, now: Instant) {
        let Some(link) = &mut self.link else { return };
        let sequence = link.next_sequence();
        link.phase = Phase::Adding { sequence, object: None, until: now + self.timing.answer };
        let signature = signature();
        let frame = OutboundMsg::AddObject { path: OBJECT, signature: &signature }.into_frame(sequence);
        self.send(Weight::Needed, &frame);
    }

    fn registered(
        &mut self,
        now: Instant,
        answer: Result<Option<ObjId>, UbusStatus>,
    ) -> Result<Option<BusEvent>, String> {
        let Some(link) = &mut self.link else { return Ok(None) };
        match answer {
            Ok(Some(object)) => {
                link.phase = Phase::Ready { object };
                self.backoff = self.timing.retry.0;
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
                         user may not publish it (/usr/share/acl.d); trying again"
                    );
                }
                Ok(None)
            }
        }
    }

    fn called(&mut self, now: Instant, peer: PeerId, sequence: u16, call: Result<Call, UbusStatus>) -> Option<Request> {
        let link = self.link.as_mut()?;
        let full = link.pending.len() >= MAX_PENDING;
        link.pending.insert((peer, sequence), now + self.timing.pending);
        let reply_to = ReplyTo { connection: self.connection, peer, sequence };
        match call {
            Ok(_) if full => self.reply(reply_to, Err(UbusStatus::UnknownError)),
            Ok(call) => return Some(Request { call, reply_to }),
            Err(status) => self.reply(reply_to, Err(status)),
        }
        None
    }
}
