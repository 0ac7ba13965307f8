//! Requests of ours that wait for their answers: which they are, what has come of the answer, and until when it may come.
//!
//! Held by `Link`; `Bus` asks, and the parts that asked (`session`, `netifd`, `hotplug`) hear what became of it.

use failoverd::ubus_call::UbusStatus;
use tokio::time::Instant;
use ubus::InboundMsg;
use ubus::wire::{Frame, ObjId};

/// What a request is for. Only `Dump`, `RunHotplug` and `Recover` reach another program; to the others ubusd answers itself, at once and in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// To register our object.
    Register,
    /// To register the nameless object that hears notifications and events.
    Listener,
    /// To have an event delivered.
    Listen(&'static str),
    /// Where netifd's object is.
    FindNetifd,
    /// To have netifd's notifications delivered.
    Subscribe,
    /// netifd's `dump`.
    Dump,
    /// Where procd's hotplug object is.
    FindHotplug,
    /// To run the hotplug scripts.
    RunHotplug,
    /// One of netifd's methods, to set an interface up again.
    Recover(&'static str),
}

/// What an answer held besides success.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The object registered or found.
    pub(super) object: Option<ObjId>,
    /// The contents of the answer's table.
    pub(super) data: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Open {
    ask: Ask,
    /// An answer bears the number and the peer of its request.
    number: (u16, u32),
    until: Instant,
    answer: Answer,
}

/// The requests on their way.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Open>);

impl Calls {
    /// Waits for the answer to `frame`.
    pub(super) fn add(&mut self, ask: Ask, frame: &Frame, until: Instant) {
        self.0.push(Open { ask, number: (frame.hdr.seq, frame.hdr.peer), until, answer: Answer::default() });
    }

    /// Takes in a message, if it belongs to an answer; tells the answer once it is whole.
    pub(super) fn take(&mut self, message: &InboundMsg<'_>) -> Option<(Ask, Result<Answer, UbusStatus>)> {
        match *message {
            InboundMsg::Data { seq, peer, obj_id, data } => {
                let open = self.0.iter_mut().find(|open| open.number == (seq, peer))?;
                open.answer = Answer { object: obj_id.and_then(ObjId::new), data: data.map(<[u8]>::to_vec) };
                None
            }
            InboundMsg::Status { seq, peer, status } => {
                let index = self.0.iter().position(|open| open.number == (seq, peer))?;
                let open = self.0.swap_remove(index);
                Some((open.ask, UbusStatus::from_code(status).map(|()| open.answer)))
            }
            _ => None,
        }
    }

    /// A request whose time is over. Each is told once.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Ask> {
        let index = self.0.iter().position(|open| now >= open.until)?;
        Some(self.0.swap_remove(index).ask)
    }

    /// An answer that comes later is nobody's.
    pub(super) fn forget(&mut self, ask: Ask) {
        self.0.retain(|open| open.ask != ask);
    }

    /// Whether a request has this number.
    pub(super) fn uses(&self, sequence: u16) -> bool {
        self.0.iter().any(|open| open.number.0 == sequence)
    }

    /// When the next one's time is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|open| open.until).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn data(seq: u16, peer: u32) -> InboundMsg<'static> {
        InboundMsg::Data { seq, peer, obj_id: Some(77), data: Some(b"x") }
    }

    fn status(seq: u16, peer: u32, status: i32) -> InboundMsg<'static> {
        InboundMsg::Status { seq, peer, status }
    }

    #[test]
    fn an_answer_belongs_to_the_request_with_its_number_and_peer() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        let frame = |sequence, peer| Frame::to_peer(ubus::wire::MsgType::Invoke, sequence, peer, vec![]);
        let second = Duration::from_secs(1);
        calls.add(Ask::Subscribe, &frame(7, 0), now + second);
        calls.add(Ask::Dump, &frame(8, 4711), now + 2 * second);
        calls.add(Ask::Listen("a"), &frame(9, 1), now + 3 * second);
        assert!(calls.uses(8) && !calls.uses(10));
        for stranger in [status(7, 4711, 0), status(8, 0, 0), status(10, 1, 0), data(8, 0)] {
            assert!(calls.take(&stranger).is_none(), "{stranger:?}");
        }
        assert!(calls.take(&data(8, 4711)).is_none(), "not whole before its status");
        let (ask, answer) = calls.take(&status(8, 4711, 0)).unwrap();
        let answer = answer.unwrap();
        assert_eq!((ask, answer.object, answer.data.as_deref()), (Ask::Dump, ObjId::new(77), Some(&b"x"[..])));
        assert!(calls.take(&status(8, 4711, 0)).is_none(), "answered once");
        assert!(matches!(calls.take(&status(9, 1, 6)), Some((Ask::Listen("a"), Err(UbusStatus::PermissionDenied)))));
        assert_eq!(calls.deadline(), Some(now + second));
        assert_eq!(calls.expired(now), None);
        assert_eq!(calls.expired(now + second), Some(Ask::Subscribe));
        assert!(calls.take(&status(7, 0, 0)).is_none(), "too late");
        assert_eq!((calls.expired(now + 9 * second), calls.deadline()), (None, None));
    }
}
