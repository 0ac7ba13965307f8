//! Requests to the kernel over rtnetlink's connection: one at a time, each answered, refused, or given up after two seconds.
//!
//! Messages travel as bytes. rtnetlink's own message types drop a message that they cannot decode and only log it, so that a dump
//! with a hole in it looks whole; they write some attributes differently from what was read, and skip zeros.

use std::io;
use std::num::NonZeroI32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rtnetlink::proto::{Connection, ConnectionHandle, new_connection};
use rtnetlink::sys::{AsyncSocket as _, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::task::JoinHandle;

use super::wire::{Malformed, attributes};

/// How long the kernel may take. It answers within microseconds; only a lost answer takes longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a dump that was interrupted by a change is started again.
const DUMP_ATTEMPTS: u32 = 5;

/// `NLMSGERR_ATTR_MSG` of linux/netlink.h: the refusal in words.
const REFUSAL_TEXT: u16 = 1;

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(io::Error),
    /// The kernel said no.
    #[error("cannot {operation}: {refusal}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// Its words.
        refusal: Refusal,
    },
    /// Nothing came.
    #[error("cannot {operation}: the kernel has not answered within {} s", TIMEOUT.as_secs())]
    Timeout {
        /// What was asked.
        operation: &'static str,
    },
    /// The socket broke.
    #[error("cannot {operation}: the netlink connection broke")]
    Closed {
        /// What was asked.
        operation: &'static str,
    },
    /// A dump that never was of one piece.
    #[error("cannot {operation}: it changed during each of {DUMP_ATTEMPTS} readings")]
    Interrupted {
        /// What was asked.
        operation: &'static str,
    },
    /// An answer that makes no sense.
    #[error("cannot {operation}: the kernel's answer cannot be read")]
    Malformed {
        /// What was asked.
        operation: &'static str,
    },
}

impl Error {
    /// The cause alone, for those who name the operation themselves.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Refused { refusal, .. } => refusal.to_string(),
            other => other.to_string(),
        }
    }

    /// The kernel's error number, if it answered with one.
    pub(super) fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.code),
            _ => None,
        }
    }
}

/// A refusal by the kernel: `File exists (17)`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `errno`, positive.
    code: i32,
    /// The kernel's own explanation, where it gives one.
    detail: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = io::Error::from_raw_os_error(self.code).to_string();
        let words = words.split(" (os error").next().unwrap_or_default();
        write!(f, "{words} ({})", self.code)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

/// A message of the kernel, or to it: `nlmsg_type` and what follows the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// `RTM_*`, or a subsystem's number and its own.
    pub(crate) kind: u16,
    /// Family header and attributes.
    pub(crate) body: Vec<u8>,
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(&self.body) {
            *to = *from;
        }
    }
}

impl NetlinkDeserializable for Message {
    type Error = std::convert::Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}

impl From<Message> for NetlinkPayload<Message> {
    fn from(message: Message) -> Self {
        Self::InnerMessage(message)
    }
}

/// The connection for requests. Opened anew after a timeout, as the late answer would otherwise be waited for in vain for ever.
pub(super) struct Transport {
    handle: ConnectionHandle<Message>,
    driver: JoinHandle<()>,
    /// Our netlink port id, by which [`super::watch`] knows our own changes.
    port: Arc<AtomicU32>,
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Transport {
    /// Opens it; must be called inside the runtime, which drives it from now on.
    pub(super) fn open() -> Result<Self, Error> {
        let port = Arc::new(AtomicU32::new(0));
        let (handle, driver) = connect(&port).map_err(Error::Open)?;
        Ok(Self { handle, driver, port })
    }

    /// Our port id, also after a reconnect.
    pub(super) fn port(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.port)
    }

    /// What a broken socket does.
    #[cfg(test)]
    pub(super) fn break_it(&self) {
        self.driver.abort();
    }

    /// Asks for one thing; the answer comes in one message.
    pub(super) async fn get(
        &mut self,
        operation: &'static str,
        kind: u16,
        body: Vec<u8>,
    ) -> Result<Vec<Message>, Error> {
        self.request(operation, kind, NLM_F_REQUEST, &body).await.map(|answer| answer.messages)
    }

    /// Asks for a change, which the kernel acknowledges. With `NLM_F_ECHO` among `flags`, also returns what it tells of it.
    pub(super) async fn change(
        &mut self,
        operation: &'static str,
        kind: u16,
        flags: u16,
        body: Vec<u8>,
    ) -> Result<Vec<Message>, Error> {
        self.request(operation, kind, NLM_F_REQUEST | NLM_F_ACK | flags, &body).await.map(|answer| answer.messages)
    }

    /// Reads a whole list, again when it changed on the way.
    pub(super) async fn dump(
        &mut self,
        operation: &'static str,
        kind: u16,
        body: Vec<u8>,
    ) -> Result<Vec<Message>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let answer = self.request(operation, kind, NLM_F_REQUEST | NLM_F_DUMP, &body).await?;
            if !answer.interrupted {
                return Ok(answer.messages);
            }
        }
        Err(Error::Interrupted { operation })
    }

    async fn request(&mut self, operation: &'static str, kind: u16, flags: u16, body: &[u8]) -> Result<Answer, Error> {
        let outcome = match tokio::time::timeout(TIMEOUT, self.exchange(operation, kind, flags, body)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout { operation }),
        };
        if let Err(Error::Timeout { .. } | Error::Closed { .. }) = outcome {
            let (handle, driver) = connect(&self.port).map_err(Error::Open)?;
            self.handle = handle;
            std::mem::replace(&mut self.driver, driver).abort();
        }
        outcome
    }

    async fn exchange(&self, operation: &'static str, kind: u16, flags: u16, body: &[u8]) -> Result<Answer, Error> {
        let mut message = NetlinkMessage::from(Message { kind, body: body.to_vec() });
        message.header.flags = flags;
        let closed = Error::Closed { operation };
        let Ok(mut replies) = self.handle.request(message, SocketAddr::new(0, 0)) else { return Err(closed) };
        let mut answer = Answer::default();
        while let Some(reply) = replies.next().await {
            answer.interrupted |= reply.header.flags & NLM_F_DUMP_INTR != 0;
            let more = reply.header.flags & NLM_F_MULTIPART != 0 || flags & NLM_F_ACK != 0;
            match reply.payload {
                NetlinkPayload::InnerMessage(message) => answer.messages.push(message),
                NetlinkPayload::Done(done) => return refused(operation, done.code, None).map_or(Ok(answer), Err),
                NetlinkPayload::Error(error) => {
                    let detail = (reply.header.flags & NLM_F_ACK_TLVS != 0).then(|| detail(&error.header)).flatten();
                    let code = error.code.map_or(0, NonZeroI32::get);
                    return refused(operation, code, detail).map_or(Ok(answer), Err);
                }
                _ => {}
            }
            if !more {
                return Ok(answer);
            }
        }
        Err(closed)
    }
}

/// What came back.
#[derive(Default)]
struct Answer {
    messages: Vec<Message>,
    /// `NLM_F_DUMP_INTR`: the list changed while it was read.
    interrupted: bool,
}

fn connect(port: &AtomicU32) -> io::Result<(ConnectionHandle<Message>, JoinHandle<()>)> {
    let (mut connection, handle, _unsolicited): (Connection<Message>, _, _) = new_connection(NETLINK_ROUTE)?;
    // Without these two the driver swallows the errors that end a dump, and an acknowledgement looks like a broken connection.
    connection.set_forward_done(true);
    connection.set_forward_ack(true);
    let socket = connection.socket_mut().socket_mut();
    socket.set_netlink_get_strict_chk(true)?;
    // Explanations are a comfort: a kernel without them is fine.
    let _ = socket.set_ext_ack(true).and_then(|()| socket.set_cap_ack(true));
    port.store(socket.bind_auto()?.port_number(), Ordering::Relaxed);
    Ok((handle, tokio::spawn(connection)))
}

fn refused(operation: &'static str, code: i32, detail: Option<String>) -> Option<Error> {
    (code != 0).then(|| Error::Refused { operation, refusal: Refusal { code: code.saturating_abs(), detail } })
}

/// The kernel's explanation from a capped error message: our own header repeated, then attributes.
fn detail(payload: &[u8]) -> Option<String> {
    let found = attributes(payload.get(16..)?).ok()?;
    found.iter().find(|attribute| attribute.id() == REFUSAL_TEXT).map(|attribute| attribute.text())
}

/// Gives bytes that made no sense the name of what was asked.
pub(super) fn decode<T>(operation: &'static str, decoded: Result<T, Malformed>) -> Result<T, Error> {
    decoded.map_err(|Malformed| Error::Malformed { operation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_like_a_sentence() {
        let refusal = Refusal { code: 17, detail: None };
        assert_eq!(refusal.to_string(), "File exists (17)");
        let refusal = Refusal { code: 101, detail: Some("Nexthop has invalid gateway".to_owned()) };
        assert_eq!(refusal.to_string(), "Network is unreachable (101): Nexthop has invalid gateway");
        let error = Error::Refused { operation: "read routes", refusal };
        assert!(error.to_string().starts_with("cannot read routes: Network"), "{error}");
    }
}
