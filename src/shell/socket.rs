//! What sockets can on Linux and socket2 does not know: options by number, and what comes beside the data.
//!
//! Used by `prober` for time stamps and by `asker` for the causes of errors.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use failoverd::kernel::IfIndex;
use socket2::{Domain, Protocol, Socket, Type};

/// `SO_TIMESTAMPNS_NEW` of asm-generic/socket.h (Linux 5.1), the same on every router CPU: two 64-bit numbers whatever time_t is.
pub(super) const SO_TIMESTAMPNS_NEW: libc::c_int = 64;
/// `SO_EE_ORIGIN_ICMP` of linux/errqueue.h.
const ORIGIN_ICMP: u8 = 2;
/// ICMP destination unreachable.
const UNREACHABLE: u8 = 3;

/// A socket that does not block, bound to a device.
pub(super) fn open(kind: Type, protocol: Option<Protocol>, device: IfIndex) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind.nonblocking().cloexec(), protocol)?;
    let index = NonZeroU32::new(device.0).ok_or(io::ErrorKind::InvalidInput)?;
    socket.bind_device_by_index_v4(Some(index))?;
    Ok(socket)
}

/// Sets an option that is a number.
pub(super) fn set(socket: &Socket, level: libc::c_int, option: libc::c_int, value: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open, and pointer and length are those of `value`, which the kernel only reads.
    let outcome = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), 4) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What came with a packet.
pub(super) struct Beside {
    /// The kernel's receive time, since 1970.
    pub(super) stamp: Option<Duration>,
    /// The error that it is about: code of an ICMP unreachable, and who sent that.
    pub(super) unreachable: Option<(u8, IpAddr)>,
}

/// Receives one packet, and what came with it.
pub(super) fn receive(socket: &Socket, packet: &mut [u8], flags: libc::c_int) -> io::Result<(usize, Beside)> {
    // Eight-byte words, as control messages want to be aligned.
    let mut control = [0_u64; 12];
    let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
    // SAFETY: all of msghdr may be zero (no address, no buffers); the fields that matter are set below.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points to one buffer and one control area of ours, with their true lengths, alive during the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
    Ok((length, beside(&header)))
}

fn beside(header: &libc::msghdr) -> Beside {
    let mut found = Beside { stamp: None, unreachable: None };
    // SAFETY: `header` was filled by recvmsg, and its control area is alive; CMSG_* stay within msg_controllen.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: not null, so a whole cmsghdr within the control area.
        let message = unsafe { &*next };
        match (message.cmsg_level, message.cmsg_type) {
            (libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW) => {
                // SAFETY: the kernel writes a `struct __kernel_timespec`, two 64-bit numbers, behind this header; it need not be aligned.
                let [seconds, nanos] = unsafe { libc::CMSG_DATA(next).cast::<[i64; 2]>().read_unaligned() };
                found.stamp =
                    u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok()).map(|(s, n)| Duration::new(s, n));
            }
            (libc::IPPROTO_IP, libc::IP_RECVERR) => {
                // SAFETY: the kernel writes a `struct sock_extended_err` of 16 bytes and a `struct sockaddr_in` of 16 behind this header.
                let error = unsafe { libc::CMSG_DATA(next).cast::<[u8; 32]>().read_unaligned() };
                // Origin, type and code stand behind the number of the error, the address behind family and port.
                if let [_, _, _, _, ORIGIN_ICMP, UNREACHABLE, code, ..] = error {
                    let [.., a, b, c, d, _, _, _, _, _, _, _, _] = error;
                    found.unreachable = Some((code, Ipv4Addr::new(a, b, c, d).into()));
                }
            }
            _ => {}
        }
        // SAFETY: `next` came from CMSG_FIRSTHDR or CMSG_NXTHDR of this same header.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    found
}

/// What the kernel knows of a TCP connection.
pub(super) struct Connection {
    /// Its smoothed round trip; zero while there is none.
    pub(super) round_trip: Duration,
    /// Whether anything had to be sent again.
    pub(super) resent: bool,
}

/// Asks the kernel about a TCP connection.
pub(super) fn connection(socket: &Socket) -> io::Result<Connection> {
    // The first 26 words of `struct tcp_info` (linux/tcp.h): `tcpi_rtt` is the 18th, `tcpi_total_retrans` the last of them.
    let mut info = [0_u32; 26];
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).unwrap_or_default();
    // SAFETY: the descriptor is open, and pointer and length are those of `info`, of which the kernel writes no more.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    let [.., micros, _, _, _, _, _, _, _, resent] = info;
    Ok(Connection { round_trip: Duration::from_micros(micros.into()), resent: resent > 0 })
}
