//! Which of many short-lived sockets have something to tell: an epoll set of its own, seen by tokio as one descriptor.
//!
//! Used by `asker`. A socket costs one call to get in and none to get out, and a wake-up touches those alone that are ready.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::unix::AsyncFd;

/// Sockets told in one go; the others come with the next.
const BATCH: usize = 64;

/// What a socket is waited for. Errors are always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// That it is connected.
    Connected,
    /// That there is something to read.
    Readable,
}

/// The set. A socket leaves it when it is closed.
#[derive(Debug)]
pub(super) struct Ready(AsyncFd<OwnedFd>);

impl Ready {
    /// An empty set. Inside the runtime.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the outcome is looked at below.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just opened it for us, and nobody else knows it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // SAFETY: the descriptor is owned, and lives exactly as long as the AsyncFd that it is moved into.
        Ok(Self(unsafe { AsyncFd::register(descriptor) }?))
    }

    /// Waits for this on a socket from now on, and tells it as `key`.
    pub(super) fn add(&self, socket: &impl AsRawFd, key: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), key, interest)
    }

    /// Waits for something else on a socket that is in the set.
    pub(super) fn change(&self, socket: &impl AsRawFd, key: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket.as_raw_fd(), key, interest)
    }

    fn control(&self, what: libc::c_int, descriptor: i32, key: u64, interest: Interest) -> io::Result<()> {
        let events = match interest {
            Interest::Connected => libc::EPOLLOUT,
            Interest::Readable => libc::EPOLLIN,
        };
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: key };
        // SAFETY: both descriptors are open, and the pointer is to a live event of ours, which the kernel only reads.
        let outcome = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, descriptor, &raw mut event) };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The keys of sockets that are ready, at least one; those that stay ready are told again.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Vec<u64>> {
        loop {
            let Poll::Ready(Ok(mut guard)) = self.0.poll_read_ready(context) else { return Poll::Pending };
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
            let most = i32::try_from(events.len()).unwrap_or_default();
            // SAFETY: the descriptor is open, and pointer and number are those of `events`; with 0 it does not wait.
            let found = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), most, 0) };
            let keys: Vec<u64> =
                events.iter().take(usize::try_from(found).unwrap_or_default()).map(|event| event.u64).collect();
            if !keys.is_empty() {
                return Poll::Ready(keys);
            }
            guard.clear_ready();
        }
    }
}
