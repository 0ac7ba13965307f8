//! The kernel's connection table over ctnetlink: gone through once, and what belongs to given addresses deleted on the way, or all of it
//! counted; or what has a mark deleted without looking.
//!
//! Called by the thread in `conntrack`; may wait. `entry` knows the bytes.

use std::io::{self, Read as _};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use failoverd::kernel::Network;

use super::Search;
use super::entry::{Entry, Marked, Sign, dump_request, mentions};
use crate::shell::netlink::message::{ACK, DONE, DUMP, DUMP_INTERRUPTED, Message, REQUEST, Received, messages};
use crate::shell::netlink::wire::Malformed;

/// `NETLINK_NETFILTER` of linux/netlink.h.
const NETLINK_NETFILTER: i32 = 12;

/// The kernel answers at once; only a lost answer takes longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The kernel sends a dump in datagrams of at most this size.
const DATAGRAM: usize = 32 * 1024;

/// So many deletes go out together: the refusals of all of them fit the smallest receive buffer in use.
const TOGETHER: usize = 64;

/// What became of the connections of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Deleted.
    pub(super) forgotten: usize,
    /// Not deleted, since the kernel does not let go of them: older ones so with offloaded connections (EBUSY).
    pub(super) held: usize,
}

/// What one walk through the table came to.
#[derive(Debug)]
pub(super) struct Walk {
    /// In the order of the addresses.
    pub(super) tallies: Vec<Tally>,
    /// Entries may have been missed.
    pub(super) interrupted: bool,
}

/// A delete, with the position of the address whose connection it ends.
pub(super) type Delete = (usize, Message);

/// Goes through the whole table once and deletes the connections searched for, a datagram of the dump at a time. The kernel's
/// place in the table is an entry that we have not seen yet, so the deletes do not move it; and memory stays small.
pub(super) fn walk(search: &Search) -> io::Result<Walk> {
    let (mut reader, mut writer) = (Reader::open()?, Writer::open()?);
    let mut walk = Walk { tallies: vec![Tally::default(); search.addresses.len()], interrupted: false };
    let mut more = true;
    while more {
        let mut deletes = Vec::new();
        more = reader.next(&mut |message| {
            let entry = Some(message).filter(|it| mentions(it.body, &search.addresses)).and_then(entry);
            deletes.extend(entry.and_then(|entry| Some((entry.needs(search)?, entry.delete()))));
        })?;
        for together in deletes.chunks(TOGETHER) {
            writer.delete(together, &mut walk.tallies)?;
        }
    }
    walk.interrupted = reader.interrupted;
    Ok(walk)
}

/// How many connections there are with each sign, the first that fits; and of all others.
pub(super) fn count(signs: &[Sign], inside: &[Network]) -> io::Result<Vec<u32>> {
    let mut reader = Reader::open()?;
    let mut counts = vec![0; signs.len() + 1];
    while reader.next(&mut |message| {
        let Some(entry) = entry(message) else { return };
        let place = signs.iter().position(|sign| entry.is_of(sign, inside)).unwrap_or(signs.len());
        counts.get_mut(place).into_iter().for_each(|count| *count += 1);
    })? {}
    Ok(counts)
}

/// Has the kernel delete all connections with a mark.
pub(super) fn delete_marked(marked: Marked) -> io::Result<()> {
    Writer::open()?.delete(&[(0, marked.delete())], &mut [])
}

fn entry<'a>(message: &Received<'a>) -> Option<Entry<'a>> {
    Entry::parse(message.kind, message.body)
}

/// A dump under way.
pub(super) struct Reader {
    socket: Socket,
    buffer: Vec<u8>,
    done: bool,
    /// Entries may have been missed.
    interrupted: bool,
}

impl Reader {
    /// Asks for all entries.
    pub(super) fn open() -> io::Result<Self> {
        let socket = open()?;
        socket.send(&dump_request().bytes(REQUEST | DUMP, 0))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM], done: false, interrupted: false })
    }

    /// Shows each message of the next datagram. False: that was all.
    pub(super) fn next(&mut self, see: &mut dyn FnMut(&Received<'_>)) -> io::Result<bool> {
        let length = match self.socket.read(&mut self.buffer) {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.interrupted = true;
                return Ok(false);
            }
            other => other?,
        };
        for message in split(&self.buffer, length)? {
            self.interrupted |= message.flags & DUMP_INTERRUPTED != 0;
            match message.verdict() {
                Some(0) => self.done |= message.kind == DONE,
                Some(code) => return Err(io::Error::from_raw_os_error(code)),
                None => see(&message),
            }
        }
        Ok(!self.done)
    }
}

/// The connection for deletes; the reader's stays free for the dump.
pub(super) struct Writer {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Writer {
    /// Asks for nothing yet.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { socket: open()?, buffer: vec![0; DATAGRAM], sequence: 0 })
    }

    /// Sends deletes and waits until the kernel has dealt with the last of them. It answers those that it refuses, and the last one.
    pub(super) fn delete(&mut self, deletes: &[Delete], tallies: &mut [Tally]) -> io::Result<()> {
        if deletes.is_empty() {
            return Ok(());
        }
        let first = self.sequence;
        let mut datagram = Vec::new();
        for (at, (_, message)) in deletes.iter().enumerate() {
            let last = at + 1 == deletes.len();
            let flags = REQUEST | if last { ACK } else { 0 };
            datagram.extend(message.bytes(flags, self.sequence));
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.socket.send(&datagram)?;
        for (address, _) in deletes {
            tallies.get_mut(*address).into_iter().for_each(|tally| tally.forgotten += 1);
        }
        loop {
            let length = self.socket.read(&mut self.buffer)?;
            for answer in split(&self.buffer, length)? {
                let Some(code) = answer.verdict() else { continue };
                let index = usize::try_from(answer.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some((address, _)) = deletes.get(index) else { continue };
                if let (true, Some(tally)) = (code != 0, tallies.get_mut(*address)) {
                    tally.forgotten = tally.forgotten.saturating_sub(1);
                    tally.held += usize::from(code == libc::EBUSY);
                }
                // ENOENT: gone by itself since it was read, or another connection now.
                if !matches!(code, 0 | libc::ENOENT | libc::EBUSY) {
                    return Err(io::Error::from_raw_os_error(code));
                }
                if index + 1 == deletes.len() {
                    return Ok(());
                }
            }
        }
    }
}

/// A socket that never waits longer than [`TIMEOUT`]. Unconnected it speaks to the kernel.
fn open() -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW.cloexec(), Some(Protocol::from(NETLINK_NETFILTER)))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

fn split(buffer: &[u8], length: usize) -> io::Result<Vec<Received<'_>>> {
    messages(buffer.get(..length).unwrap_or_default()).map_err(|Malformed| io::ErrorKind::InvalidData.into())
}
