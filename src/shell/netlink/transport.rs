//! Requests to the kernel: one at a time, each answered, refused, or given up after two seconds.
//!
//! The kernel has done what it was asked before `send` returns, and fills a long list in while it is read: nothing here ever waits but
//! for an answer that was lost. Messages travel as bytes; those who know them read them whole or not at all.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use netlink_sys::{Socket, protocols::NETLINK_NETFILTER, protocols::NETLINK_ROUTE};
use socket2::SockRef;

use super::message::{self, Message, messages};
use super::wire::{Malformed, attributes};

/// How long the kernel may take. It answers within microseconds; only a lost answer takes longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a dump that was interrupted by a change is started again.
const DUMP_ATTEMPTS: u32 = 5;

/// The kernel sends a dump in datagrams of at most this size.
const DATAGRAM: usize = 32 * 1024;

/// Room for an answer that is one message.
const SINGLE: usize = 1024;

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

/// The connection for requests.
pub(super) struct Transport {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
    /// Our netlink port id, by which [`super::watch`] knows our own changes.
    port: Arc<AtomicU32>,
    /// Whom we ask.
    protocol: isize,
}

impl Transport {
    /// Opens it.
    pub(super) fn open() -> Result<Self, Error> {
        Self::to(NETLINK_ROUTE, DATAGRAM)
    }

    /// Opens one to netfilter, for answers that are a message each.
    pub(super) fn to_netfilter() -> Result<Self, Error> {
        Self::to(NETLINK_NETFILTER, SINGLE)
    }

    fn to(protocol: isize, room: usize) -> Result<Self, Error> {
        let port = Arc::new(AtomicU32::new(0));
        let socket = connect(protocol, &port).map_err(Error::Open)?;
        Ok(Self { socket, buffer: vec![0; room], sequence: 0, port, protocol })
    }

    /// Our port id, also after a reconnect.
    pub(super) fn port(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.port)
    }

    /// What a broken socket does: it leads to a port where nobody is.
    #[cfg(test)]
    pub(super) fn break_it(&self) {
        self.socket.connect(&netlink_sys::SocketAddr::new(u32::MAX, 0)).unwrap();
    }

    /// Asks for one thing; the answer comes in one message.
    pub(super) fn get(&mut self, operation: &'static str, kind: u16, body: Vec<u8>) -> Result<Vec<Message>, Error> {
        self.request(operation, message::REQUEST, &Message { kind, body }).map(|answer| answer.messages)
    }

    /// Asks for a change, which the kernel acknowledges. With [`message::ECHO`] among `flags`, also returns what it tells of it.
    pub(super) fn change(
        &mut self,
        operation: &'static str,
        kind: u16,
        flags: u16,
        body: Vec<u8>,
    ) -> Result<Vec<Message>, Error> {
        let flags = message::REQUEST | message::ACK | flags;
        self.request(operation, flags, &Message { kind, body }).map(|answer| answer.messages)
    }

    /// Reads a whole list, again when it changed on the way.
    pub(super) fn dump(&mut self, operation: &'static str, kind: u16, body: Vec<u8>) -> Result<Vec<Message>, Error> {
        let message = Message { kind, body };
        for _ in 0..DUMP_ATTEMPTS {
            let answer = self.request(operation, message::REQUEST | message::DUMP, &message)?;
            if !answer.interrupted {
                return Ok(answer.messages);
            }
        }
        Err(Error::Interrupted { operation })
    }

    fn request(&mut self, operation: &'static str, flags: u16, message: &Message) -> Result<Answer, Error> {
        let outcome = self.exchange(operation, flags, message);
        // Whatever else went wrong, the rest of the answer may still come, and a dump under way keeps others out.
        if outcome.as_ref().is_err_and(|error| error.code().is_none()) {
            self.socket = connect(self.protocol, &self.port).map_err(Error::Open)?;
        }
        outcome
    }

    fn exchange(&mut self, operation: &'static str, flags: u16, message: &Message) -> Result<Answer, Error> {
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Timeout { operation },
            _ => Error::Closed { operation },
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&message.bytes(flags, self.sequence), 0).map_err(broken)?;
        let mut answer = Answer::default();
        loop {
            let length = match self.socket.recv(&mut self.buffer.as_mut_slice(), 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(broken)?,
            };
            let replies = decode(operation, messages(self.buffer.get(..length).unwrap_or_default()))?;
            for reply in replies.into_iter().filter(|reply| reply.sequence == self.sequence) {
                answer.interrupted |= reply.flags & message::DUMP_INTERRUPTED != 0;
                match reply.verdict() {
                    Some(0) => return Ok(answer),
                    Some(code) => {
                        let told = reply.flags & message::ACK_ATTRIBUTES != 0;
                        let detail = if told { detail(reply.body) } else { None };
                        return Err(Error::Refused { operation, refusal: Refusal { code, detail } });
                    }
                    None => answer.messages.push(reply.to_message()),
                }
                if (reply.flags & message::MULTIPART) | (flags & message::ACK) == 0 {
                    return Ok(answer);
                }
            }
        }
    }
}

/// What came back.
#[derive(Default)]
struct Answer {
    messages: Vec<Message>,
    /// `NLM_F_DUMP_INTR`: the list changed while it was read.
    interrupted: bool,
}

fn connect(protocol: isize, port: &AtomicU32) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    SockRef::from(&socket).set_read_timeout(Some(TIMEOUT))?;
    socket.set_netlink_get_strict_chk(true)?;
    // Explanations are a comfort: a kernel without them is fine.
    let _ = socket.set_ext_ack(true).and_then(|()| socket.set_cap_ack(true));
    port.store(socket.bind_auto()?.port_number(), Ordering::Relaxed);
    Ok(socket)
}

/// The kernel's explanation from a capped refusal: an error number, our own header repeated, then attributes.
fn detail(body: &[u8]) -> Option<String> {
    let found = attributes(body.get(20..)?).ok()?;
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
