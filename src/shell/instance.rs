//! Before anything is touched: are we the only failoverd of this network namespace, and may we do what we are for?
//!
//! The lock is an abstract unix socket: bound to the network namespace as our routes are, and gone with the process, however it ends.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::netlink::Kernel;

/// The socket's name, without the zero byte that makes it abstract.
const NAME: &str = "\0failoverd";

/// Held while this failoverd runs.
#[derive(Debug)]
pub(crate) struct Instance {
    _socket: Socket,
}

/// Why we cannot be the one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Somebody is.
    #[error("failoverd runs already in this network namespace{}", .pid.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    Running {
        /// Who, where the kernel tells.
        pid: Option<i32>,
    },
    /// The lock itself failed.
    #[error("cannot bind the socket @failoverd, which keeps a second failoverd out: {0}")]
    Lock(io::Error),
}

/// Becomes the one failoverd of this network namespace.
pub(crate) fn acquire() -> Result<Instance, Error> {
    let bind = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.bind(&SockAddr::unix(NAME)?)?;
        // So that the next one can connect and ask the kernel who we are. Nobody is ever accepted.
        socket.listen(1)?;
        Ok(socket)
    };
    match bind() {
        Ok(socket) => Ok(Instance { _socket: socket }),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(Error::Running { pid: holder().ok() }),
        Err(error) => Err(Error::Lock(error)),
    }
}

/// The process that holds the lock.
fn holder() -> io::Result<i32> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.connect(&SockAddr::unix(NAME)?)?;
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of_val(&credentials) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes to `credentials`.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    match (outcome, credentials.pid) {
        (0, pid) if pid > 0 => Ok(pid),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// What is missing for the work of the daemon, found out by trying; a line for each. Empty: nothing.
pub(crate) fn missing_privileges(kernel: &mut Kernel) -> Vec<String> {
    let mut missing = Vec::new();
    match kernel.may_change() {
        Ok(true) => {}
        Ok(false) => {
            missing.push("cannot change routes: the capability CAP_NET_ADMIN is missing (run as root)".to_owned())
        }
        Err(error) => missing.push(format!("cannot find out whether routes can be changed: {error}")),
    }
    match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            missing.push("cannot send probes: the capability CAP_NET_RAW is missing (run as root)".to_owned());
        }
        Err(error) => missing.push(format!("cannot open a raw ICMP socket: {error}")),
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shell::testing::Namespace;

    #[test]
    fn there_is_one_in_each_network_namespace() {
        let here = Namespace::new();
        here.run(|| {
            let first = acquire().unwrap();
            for _ in 0..200 {
                let error = acquire().unwrap_err();
                assert!(matches!(error, Error::Running { .. }), "{error}");
            }
            drop(first);
            // A process that another test is just starting holds a copy of the socket for a moment.
            let mut first = acquire();
            lab::wait_for(Duration::from_secs(30), "the lock to be free again", || {
                first.is_ok() || {
                    first = acquire();
                    first.is_ok()
                }
            })
            .unwrap();
            let want = format!("failoverd runs already in this network namespace (process {})", std::process::id());
            assert_eq!(acquire().unwrap_err().to_string(), want);
            let _elsewhere = Namespace::new().run(|| acquire().expect("another namespace, another failoverd"));
            drop(first);
        });
    }

    /// `struct __user_cap_header_struct` and twice `struct __user_cap_data_struct` of linux/capability.h.
    fn drop_capabilities(dropped: u32) {
        let header = [0x2008_0522_u32, 0];
        let mut data = [0_u32; 6];
        // SAFETY: both areas have the size the kernel expects of version 3; the call concerns this thread alone.
        assert_eq!(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) }, 0);
        data[0] &= !dropped;
        // SAFETY: as above.
        assert_eq!(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }, 0);
    }

    fn missing() -> Vec<String> {
        missing_privileges(&mut Kernel::new().unwrap())
    }

    #[test]
    fn what_is_missing_is_named() {
        const NET_ADMIN: u32 = 1 << 12;
        const NET_RAW: u32 = 1 << 13;
        for (dropped, want) in [(0, vec![]), (NET_ADMIN, vec!["CAP_NET_ADMIN"]), (NET_RAW, vec!["CAP_NET_RAW"])] {
            let found = Namespace::new().run(move || {
                drop_capabilities(dropped);
                missing()
            });
            assert_eq!(found.len(), want.len(), "{found:?}");
            assert!(found.iter().zip(&want).all(|(found, want)| found.contains(want)), "{found:?}");
        }
        let both = Namespace::new().run(|| {
            drop_capabilities(NET_ADMIN | NET_RAW);
            missing()
        });
        assert_eq!(both.len(), 2, "{both:?}");
    }
}
