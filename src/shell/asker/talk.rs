//! One question on its way: a socket of its own, and what has become of it.
//!
//! Made by `asker` for a question, moved on whenever its socket is ready, dropped with its socket.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use failoverd::dns::{self, Answer, Reply};
use failoverd::http::{self, Exchange};
use failoverd::kernel::IfIndex;
use failoverd::moment::Moment;
use failoverd::question::Question;
use failoverd::reason::{Refusal, Wrong};
use socket2::{Socket, Type};

use super::ready::{Interest, Ready};
use crate::shell::{clock, socket};

/// Read in one go. More than any DNS message over UDP that was not asked for with an extension.
const CHUNK: usize = 4096;

/// What may wait in a socket: a few datagrams, or a part of a page. What does not fit is not wanted in such haste.
const BUFFER: usize = 16 * 1024;

/// The kernel sends a SYN again after this time, minus what its timers are off (RFC 6298, section 2).
const RESEND: Duration = Duration::from_millis(900);

/// A question on its way.
#[derive(Debug)]
pub(super) struct Talk {
    /// What it is called in the set of those that are waited for.
    pub(super) key: u64,
    /// Whom it asks.
    pub(super) server: SocketAddr,
    socket: Socket,
    sent: Moment,
    stage: Stage,
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// To be connected, with nothing to say then.
    Connect,
    /// To be connected, to send this.
    Request(String, Exchange),
    /// The answer to the request.
    Page(Exchange),
    /// The answer to this query; with this address, for a test.
    Reply(Vec<u8>, Option<IpAddr>),
}

/// What has become of a question.
#[derive(Debug)]
pub(super) enum Fate {
    /// Nothing yet.
    Open,
    /// Nothing will come any more.
    Lost,
    /// It was answered; by DNS with this.
    Answered(Moment, Option<Answer>),
    /// It was answered wrongly or refused.
    Refused(Refusal),
}

impl Talk {
    /// Asks `question` out of `device` and tells `ready` what to wait for.
    pub(super) fn begin(
        device: IfIndex,
        id: u16,
        question: Question,
        ready: &Ready,
        key: u64,
    ) -> Result<Self, Refusal> {
        let (server, stage) = match question {
            Question::Tcp { server } => (server, Stage::Connect),
            Question::Http { server, host, path, status, expect } => {
                let request = http::request(&host, &path, expect.is_some());
                (server, Stage::Request(request, Exchange::new(host, status, expect)))
            }
            Question::Dns { server, name, record, expect } => {
                let query = dns::query(id, &name, record);
                let query = query.ok_or_else(|| Refusal::NotSent(format!("{name} is no name")))?;
                (server, Stage::Reply(query, expect))
            }
            // Asked elsewhere: raw, of the neighbour table, by a process.
            _ => return Err(Refusal::NotSent("no question for a server".to_owned())),
        };
        let not_sent = |error: io::Error| Refusal::NotSent(format!("{}: {error}", server.ip()));
        let sent = clock::now();
        let socket = match &stage {
            Stage::Reply(query, _) => datagram(device, server, query),
            _ => connect(device, server),
        };
        let socket = socket.map_err(not_sent)?;
        let interest = if let Stage::Reply(..) = stage { Interest::Readable } else { Interest::Connected };
        ready.add(&socket, key, interest).map_err(not_sent)?;
        Ok(Self { socket, key, sent, server, stage })
    }

    /// Goes on as the socket is ready, by one step: others want their turn too.
    pub(super) fn go_on(&mut self, ready: &Ready) -> Fate {
        match &mut self.stage {
            Stage::Connect | Stage::Request(..) => match self.socket.take_error() {
                Ok(None) => self.connected(ready),
                Ok(Some(error)) | Err(error) => self.failed(&error),
            },
            Stage::Page(exchange) => {
                let mut chunk = [0; CHUNK];
                match (&self.socket).read(&mut chunk) {
                    Ok(0) => Fate::Refused(exchange.closed()),
                    Ok(length) => match exchange.take(chunk.get(..length).unwrap_or_default()) {
                        None => Fate::Open,
                        Some(Ok(())) => Fate::Answered(clock::now(), None),
                        Some(Err(refusal)) => Fate::Refused(refusal),
                    },
                    Err(error) => self.failed(&error),
                }
            }
            Stage::Reply(query, expect) => {
                let mut chunk = [0; CHUNK];
                match (&self.socket).read(&mut chunk) {
                    Ok(length) => match dns::read(query, chunk.get(..length).unwrap_or_default()) {
                        Reply::Foreign => Fate::Open,
                        Reply::Garbage => Fate::Refused(Refusal::Wrong(Wrong::Garbage)),
                        Reply::Answer(answer) => match expect {
                            Some(expected) if !answer.addresses.contains(expected) => {
                                Fate::Refused(Refusal::Wrong(Wrong::Address(*expected)))
                            }
                            _ => Fate::Answered(clock::now(), Some(answer)),
                        },
                    },
                    Err(error) => self.failed(&error),
                }
            }
        }
    }

    fn connected(&mut self, ready: &Ready) -> Fate {
        let now = clock::now();
        let waited = now.since(self.sent);
        let known = socket::connection(&self.socket).ok().filter(|known| known.round_trip > Duration::ZERO);
        // A probe is one packet: an answer to the SYN that the kernel has sent again is none to the one that was lost. By its time stamp it
        // knows which one was answered.
        if known.as_ref().is_some_and(|known| known.resent && waited > known.round_trip + RESEND) {
            return Fate::Lost;
        }
        match std::mem::replace(&mut self.stage, Stage::Connect) {
            Stage::Request(request, exchange) => {
                self.stage = Stage::Page(exchange);
                // A new connection has room for more than a request.
                let sent = self.socket.send(request.as_bytes());
                match sent.and_then(|_| ready.change(&self.socket, self.key, Interest::Readable)) {
                    Ok(()) => Fate::Open,
                    Err(error) => self.failed(&error),
                }
            }
            // The kernel has measured it, however late we come.
            _ => Fate::Answered(known.map_or(now, |known| now.min(self.sent + known.round_trip)), None),
        }
    }

    /// What an error of the socket means.
    fn failed(&self, error: &io::Error) -> Fate {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            return Fate::Open;
        }
        let unreachable = socket::receive(&self.socket, &mut [], libc::MSG_ERRQUEUE).ok();
        let unreachable = unreachable.and_then(|(_, beside)| beside.unreachable);
        let datagram = matches!(self.stage, Stage::Reply(..));
        Fate::Refused(match (unreachable, error.kind()) {
            // The server itself has no such port.
            (Some((3, from)), _) if datagram && from == self.server.ip() => Refusal::Wrong(Wrong::PortClosed),
            (Some((code, from)), _) => Refusal::Unreachable { code, from },
            // A reset answers a SYN as well as anything, alone or behind a SYN-ACK: the way there and back is open.
            (None, io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
                if matches!(self.stage, Stage::Connect) =>
            {
                return Fate::Answered(clock::now(), None);
            }
            (None, io::ErrorKind::ConnectionRefused) => Refusal::Wrong(Wrong::PortClosed),
            (None, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => Refusal::Wrong(Wrong::Closed),
            (None, _) => Refusal::NotSent(format!("{}: {error}", self.server.ip())),
        })
    }
}

fn connect(device: IfIndex, server: SocketAddr) -> io::Result<Socket> {
    let socket = socket::open(Type::STREAM, None, device)?;
    // Closed by a reset: nothing of it stays, here or there.
    socket.set_linger(Some(Duration::ZERO))?;
    // No acknowledgement of its own for the SYN-ACK: reset or request follow at once.
    let _ = socket.set_tcp_quickack(false);
    socket.set_recv_buffer_size(BUFFER)?;
    reveal_errors(&socket)?;
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn datagram(device: IfIndex, server: SocketAddr, query: &[u8]) -> io::Result<Socket> {
    let socket = socket::open(Type::DGRAM, None, device)?;
    socket.set_recv_buffer_size(BUFFER)?;
    reveal_errors(&socket)?;
    // Draws a port, and lets nobody else's datagrams in.
    socket.connect(&server.into())?;
    socket.send(query)?;
    Ok(socket)
}

/// Lets the kernel keep what ICMP says about the socket's packets.
fn reveal_errors(socket: &Socket) -> io::Result<()> {
    socket::set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
}
