//! The kernel's connection table over ctnetlink: gone through once, and what belongs to given addresses deleted on the way.
//!
//! Called by the thread in `conntrack`; may wait. `entry` knows the bytes.

use std::io::{self, Read as _};
use std::num::NonZeroI32;
use std::time::Duration;

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use socket2::{Domain, Protocol, Socket, Type};

use super::Search;
use super::entry::{Entry, dump_request, mentions};
use crate::shell::netlink::Message;

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
    while let Some(deletes) = reader.next(search)? {
        for together in deletes.chunks(TOGETHER) {
            writer.delete(together, &mut walk.tallies)?;
        }
    }
    walk.interrupted = reader.interrupted;
    Ok(walk)
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
        socket.send(&bytes(dump_request(), NLM_F_REQUEST | NLM_F_DUMP, 0))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM], done: false, interrupted: false })
    }

    /// What is to be deleted of the next datagram; `None`: that was all.
    pub(super) fn next(&mut self, search: &Search) -> io::Result<Option<Vec<Delete>>> {
        if self.done {
            return Ok(None);
        }
        let length = match self.socket.read(&mut self.buffer) {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.interrupted = true;
                return Ok(None);
            }
            other => other?,
        };
        let mut deletes = Vec::new();
        for message in messages(self.buffer.get(..length).unwrap_or_default()) {
            self.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(message) => {
                    if !mentions(&message, &search.addresses) {
                        continue;
                    }
                    let Some(entry) = Entry::parse(&message) else { continue };
                    deletes.extend(entry.needs(search).map(|address| (address, entry.delete())));
                }
                NetlinkPayload::Done(end) => {
                    refusal(end.code)?;
                    self.done = true;
                }
                NetlinkPayload::Error(error) => refusal(error.code.map_or(0, NonZeroI32::get))?,
                _ => {}
            }
        }
        Ok(Some(deletes))
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
            let flags = NLM_F_REQUEST | if last { NLM_F_ACK } else { 0 };
            datagram.extend(bytes(message.clone(), flags, self.sequence));
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.socket.send(&datagram)?;
        for (address, _) in deletes {
            tallies.get_mut(*address).into_iter().for_each(|tally| tally.forgotten += 1);
        }
        loop {
            let length = self.socket.read(&mut self.buffer)?;
            for answer in messages(self.buffer.get(..length).unwrap_or_default()) {
                let NetlinkPayload::Error(error) = answer.payload else { continue };
                let index = usize::try_from(answer.header.sequence_number.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some((address, _)) = deletes.get(index) else { continue };
                let code = error.code.map_or(0, NonZeroI32::get).saturating_abs();
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

fn bytes(message: Message, flags: u16, sequence: u32) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Takes a datagram apart; what cannot be read ends it.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = NetlinkMessage<Message>> {
    std::iter::from_fn(move || {
        let message = NetlinkMessage::<Message>::deserialize(datagram).ok()?;
        let length = usize::try_from(message.header.length).ok()?.next_multiple_of(4);
        datagram = datagram.get(length..).unwrap_or_default();
        Some(message)
    })
}

fn refusal(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.saturating_abs())) }
}
