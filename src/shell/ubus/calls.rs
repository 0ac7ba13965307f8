//! Requests of ours that wait for their answers: which they are, what has come of the answer, and until when it may come.
//!
//! Held by `Link`; `Bus` asks, and the parts that asked (`session`, `netifd`, `hotplug`) hear what became of it.

use failoverd::ubus_call::UbusStatus;
use tokio::time::Instant;
use ubus::InboundMsg;
use ubus::wire::{Frame, ObjId};

/// What a request is for. Only `Dump` and `RunHotplug` reach another program; to the others ubusd answers itself, at once and in order.
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
    sent: Instant,
    until: Instant,
    answer: Answer,
}

/// The requests on their way.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Open>);

impl Calls {
    /// Waits for the answer to `frame`.
    pub(super) fn add(&mut self, ask: Ask, frame: &Frame, sent: Instant, until: Instant) {
        self.0.push(Open { ask, number: (frame.hdr.seq, frame.hdr.peer), sent, until, answer: Answer::default() });
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

    /// A request whose time is over, with the time of its sending. Each is told once.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(Ask, Instant)> {
        let index = self.0.iter().position(|open| now >= open.until)?;
        let open = self.0.swap_remove(index);
        Some((open.ask, open.sent))
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
