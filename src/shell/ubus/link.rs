//! One connection to ubusd, from connect to its end: bytes in and out, never waiting for either.
//!
//! `Bus` holds at most one and throws it away at the first fault.

use std::io;
use std::path::Path;
use std::time::Duration;

use failoverd::ubus_frame::FrameReader;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::Instant;
use ubus::wire::{Codec, Frame, ObjId, PeerId};

use super::calls::Calls;
use super::netifd::Following;
use super::queue::{OutQueue, Weight};

/// How far the registration has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// ubusd speaks first.
    Hello { until: Instant },
    /// The object is being registered.
    Adding,
    /// ADD_OBJECT was refused.
    Refused { again: Instant },
    /// Calls can come.
    Ready { object: ObjId },
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: UnixStream,
    pub(super) reader: FrameReader,
    pub(super) out: OutQueue,
    pub(super) phase: Phase,
    pub(super) last_heard: Instant,
    /// A PING is on its way and must be answered until then.
    pub(super) pong_until: Option<Instant>,
    /// Calls that were handed out and not answered yet, and when their callers have given up.
    pub(super) pending: Vec<((PeerId, u16), Instant)>,
    /// Our own requests.
    pub(super) calls: Calls,
    /// netifd.
    pub(super) following: Following,
    /// Our event or notification was refused, and that has been said.
    pub(super) refusal_told: bool,
    sequence: u16,
}

/// The socket's file, opened without ever waiting: a broker that does not accept makes this fail, not hang.
pub(super) fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM.nonblocking(), None)?;
    stream.connect(&socket2::SockAddr::unix(socket)?)?;
    UnixStream::from_std(std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(stream)))
}

impl Link {
    pub(super) fn open(socket: &Path, hello: Duration) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            stream: connect(socket)?,
            reader: FrameReader::default(),
            out: OutQueue::default(),
            phase: Phase::Hello { until: now + hello },
            last_heard: now,
            pong_until: None,
            pending: vec![],
            calls: Calls::default(),
            following: Following::new(now),
            refusal_told: false,
            sequence: 0,
        })
    }

    /// Completes when what waits can be written, else when something can be read. May be dropped at any time.
    pub(super) async fn ready(&self) -> io::Result<()> {
        let interest = if self.out.is_empty() { Interest::READABLE } else { Interest::WRITABLE };
        self.stream.ready(interest).await.map(drop)
    }

    /// Writes what can be written, and with nothing more to write reads once. Only once, so that a flood of calls never holds the event
    /// loop.
    pub(super) fn transfer(&mut self) -> Result<(), String> {
        if !self.write()? {
            return Ok(());
        }
        let mut chunk = [0; 8192];
        match self.stream.try_read(&mut chunk) {
            Ok(0) => return Err("ubusd closed the connection".to_owned()),
            Ok(count) => {
                self.last_heard = Instant::now();
                self.pong_until = None;
                self.reader.push(chunk.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(format!("reading from ubusd: {error}")),
        }
        Ok(())
    }

    /// Writes what can be written. True: nothing waits any more.
    pub(super) fn write(&mut self) -> Result<bool, String> {
        while let Some(bytes) = self.out.front() {
            match self.stream.try_write(bytes) {
                Ok(count) => self.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(format!("writing to ubusd: {error}")),
            }
        }
        Ok(true)
    }

    /// Queues frames that belong together; tells how many were lost for want of room.
    pub(super) fn send(&mut self, weight: Weight, frames: &[&Frame]) -> usize {
        let all = frames.iter().map(|frame| Codec::write_frame(frame));
        // Into the first one's room: it may be large.
        let joined = all.reduce(|mut before, frame| {
            before.extend_from_slice(&frame);
            before
        });
        self.out.push(weight, joined.unwrap_or_default())
    }

    /// The next request's number, which none on its way has.
    pub(super) fn next_sequence(&mut self) -> u16 {
        loop {
            self.sequence = self.sequence.wrapping_add(1);
            if !self.calls.uses(self.sequence) {
                return self.sequence;
            }
        }
    }

    /// When something must be done though nothing arrives.
    pub(super) fn deadline(&self, idle: Duration, follow: bool) -> Instant {
        let phase = match self.phase {
            Phase::Hello { until } => Some(until),
            Phase::Refused { again } => Some(again),
            Phase::Adding | Phase::Ready { .. } => None,
        };
        let follow = self.following.deadline().filter(|_| follow && !matches!(self.phase, Phase::Hello { .. }));
        let others = phase.into_iter().chain(follow).chain(self.calls.deadline());
        self.pending.iter().map(|(_, until)| *until).chain(others).fold(self.alive_until(idle), Instant::min)
    }

    /// When to ask whether ubusd is alive, or to give it up.
    pub(super) fn alive_until(&self, idle: Duration) -> Instant {
        self.pong_until.unwrap_or(self.last_heard + idle)
    }
}
