//! The kernel's events, reduced to one: something changed that decisions depend on; read a snapshot.
//!
//! A socket of its own, so that a burst of events cannot push out the answers to requests. Messages are looked at only as far as it
//! takes to tell whether they matter. An overrun matters: what was lost may have.

#![allow(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use failoverd::kernel::PROTOCOL;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER, protocols::NETLINK_ROUTE};
use tokio::io::unix::AsyncFd;

use super::filter;
use super::message::messages;
use super::wire::INET;

/// Room for some hundred events; the kernel doubles it. More is an overrun, which costs no more than a snapshot that is due anyway.
const BUFFER: u32 = 200 * 1024;

/// The largest event is a device with all its attributes: some kilobytes.
const MESSAGE: usize = 16 * 1024;

/// Datagrams read in one go, so that a flood of events does not keep the loop from its probes.
const BATCH: usize = 4096;

const GROUPS: [u32; 5] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    // rp_filter written by somebody else.
    libc::RTNLGRP_IPV4_NETCONF,
];

/// Says when the kernel's state has changed.
pub(crate) struct Watcher {
    socket: AsyncFd<Socket>,
    buffer: Vec<u8>,
    source: Source,
}

/// What is watched.
#[derive(Clone)]
enum Source {
    /// Routing. The port is that of our own requests: the loop reads a snapshot after each list of changes anyway.
    Routes(Arc<AtomicU32>),
    /// nftables: the end of our table.
    Filter,
}

impl Watcher {
    pub(super) fn open(own_port: Arc<AtomicU32>) -> io::Result<Self> {
        Self::of(Source::Routes(own_port))
    }

    /// Says when our table in nftables is gone, or may be.
    pub(crate) fn of_filter() -> io::Result<Self> {
        Self::of(Source::Filter)
    }

    fn of(source: Source) -> io::Result<Self> {
        Ok(Self { socket: subscribe(&source)?, buffer: vec![0; MESSAGE], source })
    }

    /// Resolves when something has changed that can matter, or events were lost. Takes everything that is pending, so that a burst
    /// is one change. Cancel safe: what was read before a cancellation is never lost, as nothing is read without an answer.
    pub(crate) async fn changed(&mut self) {
        loop {
            let guard = self.socket.readable().await;
            let outcome = match guard {
                Ok(mut guard) => {
                    let outcome = drain(guard.get_inner(), &mut self.buffer, &self.source);
                    if !matches!(outcome, Ok(Drained { more: true, .. })) {
                        guard.clear_ready();
                    }
                    outcome
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(Drained { matters: true, .. }) => return,
                Ok(_) => {}
                Err(error) => {
                    log::warn!("cannot read the kernel's events: {error}; opening the socket again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    match subscribe(&self.source) {
                        Ok(socket) => self.socket = socket,
                        Err(error) => log::warn!("cannot open a socket for the kernel's events: {error}"),
                    }
                    return;
                }
            }
        }
    }
}

fn subscribe(source: &Source) -> io::Result<AsyncFd<Socket>> {
    let (protocol, groups) = match source {
        Source::Routes(_) => (NETLINK_ROUTE, &GROUPS[..]),
        Source::Filter => (NETLINK_NETFILTER, &[filter::GROUP][..]),
    };
    let mut socket = Socket::new(protocol)?;
    socket.set_non_blocking(true)?;
    socket.set_rx_buf_sz(BUFFER)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    // SAFETY: the socket owns its descriptor and lives exactly as long as the AsyncFd that it is moved into.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// What a reading of all that was pending has shown.
struct Drained {
    matters: bool,
    /// There may be more to read.
    more: bool,
}

fn drain(socket: &Socket, buffer: &mut [u8], source: &Source) -> io::Result<Drained> {
    let mut matters = false;
    for _ in 0..BATCH {
        let mut free = &mut *buffer;
        match socket.recv(&mut free, 0) {
            Ok(length) => matters |= matter(buffer.get(..length).unwrap_or(buffer), source),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Drained { matters, more: false }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => matters = true,
            Err(error) => return Err(error),
        }
    }
    Ok(Drained { matters, more: true })
}

/// Whether one of the messages in a datagram matters. What cannot be read may.
fn matter(datagram: &[u8], source: &Source) -> bool {
    messages(datagram).map_or(true, |all| {
        all.iter().any(|message| match source {
            Source::Routes(own) => {
                message.port != own.load(Ordering::Relaxed) && message_matters(message.kind, message.body)
            }
            Source::Filter => filter::is_removal(message.kind, message.body),
        })
    })
}

/// `RT_TABLE_COMPAT` of linux/rtnetlink.h: what the header says of every table above 255.
const ABOVE_255: u8 = 252;

/// `RTM_*` of linux/rtnetlink.h. A type nobody expected matters: it is rare, and a snapshot is cheap.
fn message_matters(kind: u16, body: &[u8]) -> bool {
    match (kind, body) {
        // Devices. Bridges report their ports by the same message in a family of their own.
        (16 | 17, [family, ..]) => *family == 0,
        // Routes: whatever is in main or a provider's table can decide a look-up; elsewhere only ours.
        (24 | 25, [family, _, _, _, table, protocol, ..]) => {
            *family == INET && (matches!(*table, super::MAIN | ABOVE_255) || *protocol == PROTOCOL)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, port: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 6]);
        bytes.extend(port.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn only_what_can_matter_matters() {
        let ours = Source::Routes(Arc::new(AtomicU32::new(42)));
        for (kind, port, body, want, why) in [
            (16, 0, [0, 0, 0, 0, 0, 0, 0, 0], true, "a device"),
            (16, 0, [7, 0, 0, 0, 0, 0, 0, 0], false, "a bridge's view of a port"),
            (24, 0, [2, 0, 0, 0, 254, 3, 0, 0], true, "a route in main"),
            (24, 0, [2, 32, 0, 0, 255, 2, 0, 0], false, "a route in local: addresses tell as much"),
            (25, 0, [2, 0, 0, 0, 252, 102, 0, 0], true, "a route of ours in a table of ours"),
            (
                25,
                0,
                [2, 0, 0, 0, 252, 3, 0, 0],
                true,
                "somebody else's route in a table above 255: it may be a provider's",
            ),
            (25, 0, [2, 0, 0, 0, 100, 3, 0, 0], false, "somebody else's route in somebody else's table"),
            (25, 0, [2, 0, 0, 0, 100, 102, 0, 0], true, "a route of ours, wherever"),
            (25, 42, [2, 0, 0, 0, 252, 102, 0, 0], false, "what we did ourselves"),
            (32, 0, [2, 0, 0, 0, 0, 0, 0, 0], true, "a rule"),
        ] {
            assert_eq!(matter(&message(kind, port, &body), &ours), want, "{why}");
        }
        let both = [message(24, 0, &[2, 0, 0, 0, 9, 3, 0, 0]), message(20, 0, &[2; 8])].concat();
        assert!(matter(&both, &ours), "the second message of a datagram");
        assert!(matter(&[1; 40], &ours), "nonsense: better look");
    }
}
