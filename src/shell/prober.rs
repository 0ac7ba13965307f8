//! ICMP echo through each provider: one raw socket per provider, bound to its device.
//!
//! The event loop hands `Action::Probe` to [`Probers::send`] and waits in [`Probers::received`] for all sockets at once. The kernel
//! filters (echo replies and unreachables only) and stamps what comes in, so that a busy loop does not lengthen round trips.
//! Why this is not surge-ping: it does not build for 32-bit MIPS.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::AsRawFd as _;
use std::task::{Context, Poll};
use std::time::Duration;

use failoverd::event::{ProbeToken, ProviderId};
use failoverd::icmp::{self, Icmp};
use failoverd::kernel::IfIndex;
use failoverd::moment::Moment;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::clock;

/// Enough for the answers to several bursts; what does not fit was not worth waiting for.
const BUFFER: usize = 32 * 1024;

/// The longest packet that is looked at: an answer of ours has 92 bytes, an error with all its quotes less than 576.
const PACKET: usize = 1024;

/// Messages taken in one go, over all sockets; the rest waits for the next wake-up.
const BATCH: usize = 256;

/// `SO_TIMESTAMPNS_NEW` of asm-generic/socket.h (Linux 5.1), the same on every router CPU: two 64-bit numbers whatever time_t is.
const SO_TIMESTAMPNS_NEW: libc::c_int = 64;
/// `SOL_RAW` of linux/socket.h.
const SOL_RAW: libc::c_int = 255;
/// `ICMP_FILTER` of linux/icmp.h: a set bit keeps that type out.
const ICMP_FILTER: libc::c_int = 1;
/// Echo reply (0) and destination unreachable (3) come in.
const WANTED_TYPES: u32 = 1 << 0 | 1 << 3;

/// An ICMP message that came in through a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Through which.
    pub(crate) provider: ProviderId,
    /// Sender of the message.
    pub(crate) source: IpAddr,
    /// The message.
    pub(crate) message: Icmp,
    /// When the kernel received it.
    pub(crate) at: Moment,
}

/// The probe sockets of all providers.
#[derive(Default)]
pub(crate) struct Probers {
    sockets: Vec<(ProviderId, Prober)>,
}

struct Prober {
    device: IfIndex,
    socket: AsyncFd<Socket>,
}

impl Probers {
    /// Sends an echo request to `target` through `device`. Opens the provider's socket at its first probe and when its device is another
    /// one. Inside the runtime. The error says what failed.
    pub(crate) fn send(
        &mut self,
        provider: ProviderId,
        device: IfIndex,
        token: ProbeToken,
        target: IpAddr,
    ) -> Result<(), String> {
        let known = self.sockets.iter().any(|(id, prober)| *id == provider && prober.device == device);
        if !known {
            let socket = open(device).map_err(|error| format!("cannot open a raw ICMP socket: {error}"))?;
            self.close(provider);
            self.sockets.push((provider, Prober { device, socket }));
        }
        let Some((_, prober)) = self.sockets.iter().find(|(id, _)| *id == provider) else { return Ok(()) };
        let packet = icmp::echo_request(token.id, token.sequence, token.cookie);
        let sent = prober.socket.get_ref().send_to(&packet, &SocketAddr::new(target, 0).into());
        sent.map(drop).map_err(|error| format!("cannot send to {target}: {error}"))
    }

    /// Closes a provider's socket; what is still on its way to it is lost.
    pub(crate) fn close(&mut self, provider: ProviderId) {
        self.sockets.retain(|(id, _)| *id != provider);
    }

    /// Waits for messages on all sockets; appends at least one to `into`. Cancel safe: nothing is read without being returned. A
    /// socket that is opened later is waited for by the next call.
    pub(crate) async fn received(&self, into: &mut Vec<Received>) {
        std::future::poll_fn(|context| self.poll_received(context, into)).await;
    }

    fn poll_received(&self, context: &mut Context<'_>, into: &mut Vec<Received>) -> Poll<()> {
        let before = into.len();
        for (provider, prober) in &self.sockets {
            while into.len() < before + BATCH {
                let Poll::Ready(Ok(mut guard)) = prober.socket.poll_read_ready(context) else { break };
                match read(prober.socket.get_ref()) {
                    Ok(Some((source, message, at))) => {
                        into.push(Received { provider: *provider, source, message, at });
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // Nothing left, or an error of the device, which a snapshot will show; either way wait for the next event.
                    Err(_) => guard.clear_ready(),
                }
            }
        }
        if into.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn open(device: IfIndex) -> io::Result<AsyncFd<Socket>> {
    let socket = Socket::new(Domain::IPV4, Type::RAW.nonblocking().cloexec(), Some(Protocol::ICMPV4))?;
    set(&socket, SOL_RAW, ICMP_FILTER, !WANTED_TYPES)?;
    let index = NonZeroU32::new(device.0).ok_or(io::ErrorKind::InvalidInput)?;
    socket.bind_device_by_index_v4(Some(index))?;
    socket.set_recv_buffer_size(BUFFER)?;
    // A kernel before 5.1 has no such stamps: then the time of reading has to do.
    let _ = set(&socket, libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1);
    // Until it was bound it heard every device.
    for _ in 0..BATCH {
        if read(&socket).is_err() {
            break;
        }
    }
    // SAFETY: the socket owns its descriptor and lives exactly as long as the AsyncFd that it is moved into.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

fn set(socket: &Socket, level: libc::c_int, option: libc::c_int, value: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open, and pointer and length are those of `value`, which the kernel only reads.
    let outcome = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), 4) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads one packet. `None`: none that concerns a probe.
fn read(socket: &Socket) -> io::Result<Option<(IpAddr, Icmp, Moment)>> {
    let mut packet = [0_u8; PACKET];
    // Eight-byte words, as control messages want to be aligned.
    let mut control = [0_u64; 8];
    let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
    // SAFETY: all of msghdr may be zero (no address, no buffers); the fields that matter are set below.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points to one buffer and one control area of ours, with their true lengths, alive during the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
    let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
    let now = clock::now();
    let at = stamp(&header).map_or(now, |stamp| clock::received_at(now, stamp));
    let packet = packet.get(..length).unwrap_or_default();
    let source = packet.get(12..16).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let message = icmp::parse(packet);
    Ok(source.zip(message).map(|(source, message)| (Ipv4Addr::from(source).into(), message, at)))
}

/// The kernel's receive time, since 1970.
fn stamp(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: `header` was filled by recvmsg, and its control area is alive; CMSG_* stay within msg_controllen.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: not null, so a whole cmsghdr within the control area.
        let message = unsafe { &*next };
        if (message.cmsg_level, message.cmsg_type) == (libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW) {
            // SAFETY: the kernel writes a `struct __kernel_timespec`, two 64-bit numbers, behind this header; it need not be aligned.
            let [seconds, nanos] = unsafe { libc::CMSG_DATA(next).cast::<[i64; 2]>().read_unaligned() };
            return Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?));
        }
        // SAFETY: `next` came from CMSG_FIRSTHDR or CMSG_NXTHDR of this same header.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::testing::{Namespace, in_runtime, index, ip};

    const TOKEN: ProbeToken = ProbeToken { id: 7, sequence: 9, cookie: 0x0123_4567_89ab_cdef };
    const FIRST: ProviderId = ProviderId(1);
    const SECOND: ProviderId = ProviderId(2);

    /// Two uplinks that look the same, each with a machine behind it that answers; returns those machines.
    fn twins() -> (Namespace, [Namespace; 2]) {
        let here = Namespace::new();
        let there = ["a", "b"].map(|name| {
            let peer = Namespace::new();
            let (near, far, path) = (format!("wan-{name}"), format!("far-{name}"), peer.path());
            here.run(move || {
                ip(&format!("link add {near} type veth peer name {far}"));
                ip(&format!("link set {far} netns {path}"));
                ip(&format!("addr add 192.168.1.2/24 dev {near}"));
                ip(&format!("link set {near} up"));
            });
            let far = format!("far-{name}");
            peer.run(move || {
                ip("link set lo up");
                ip(&format!("addr add 192.168.1.1/24 dev {far}"));
                ip(&format!("link set {far} up"));
            });
            peer
        });
        here.run(|| {
            for (dev, table) in [("wan-a", 71), ("wan-b", 72)] {
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{dev}/rp_filter"), "0").unwrap();
                ip(&format!("route add 192.168.1.0/24 dev {dev} table {table}"));
                ip(&format!("rule add oif {dev} lookup {table}"));
            }
        });
        (here, there)
    }

    async fn within(probers: &Probers, patience: Duration) -> Vec<Received> {
        let mut got = Vec::new();
        let _ = tokio::time::timeout(patience, probers.received(&mut got)).await;
        got
    }

    #[test]
    fn each_socket_hears_its_own_device_only() {
        let (here, there) = twins();
        here.run(|| {
            in_runtime(async {
                let devices = [index("wan-a"), index("wan-b")];
                let target = "192.168.1.1".parse().unwrap();
                let mut probers = Probers::default();
                for (provider, device) in [(FIRST, devices[0]), (SECOND, devices[1])] {
                    let before = clock::now();
                    probers.send(provider, device, TOKEN, target).unwrap();
                    let got = within(&probers, Duration::from_secs(2)).await;
                    assert_eq!(got.len(), 1, "{got:?}");
                    assert_eq!((got[0].provider, got[0].source), (provider, target));
                    let Icmp::EchoReply { id: 7, sequence: 9, cookie } = got[0].message else { panic!("{got:?}") };
                    assert_eq!(cookie, TOKEN.cookie);
                    assert!(got[0].at >= before && got[0].at <= clock::now(), "{:?} after {before:?}", got[0].at);
                }
            });
        });
        drop(there);
    }

    #[test]
    fn the_kernels_stamp_counts_not_the_time_of_reading() {
        let (here, _there) = twins();
        here.run(|| {
            in_runtime(async {
                let mut probers = Probers::default();
                let target = "192.168.1.1".parse().unwrap();
                // The kernel begins to stamp a moment after the first socket asked for it.
                probers.send(FIRST, index("wan-a"), TOKEN, target).unwrap();
                std::thread::sleep(Duration::from_millis(100));
                assert_eq!(within(&probers, Duration::from_secs(2)).await.len(), 1);
                let before = clock::now();
                probers.send(FIRST, index("wan-a"), TOKEN, target).unwrap();
                std::thread::sleep(Duration::from_millis(300));
                let got = within(&probers, Duration::from_secs(2)).await;
                let took = got[0].at.since(before);
                assert!(took < Duration::from_millis(250), "a loop that was busy for 0.3 s made it {took:?}");
            });
        });
    }

    #[test]
    fn a_closed_or_replaced_socket_hears_nothing() {
        let (here, _there) = twins();
        here.run(|| {
            in_runtime(async {
                let target: IpAddr = "192.168.1.1".parse().unwrap();
                let mut probers = Probers::default();
                probers.send(FIRST, index("wan-a"), TOKEN, target).unwrap();
                probers.close(FIRST);
                assert_eq!(within(&probers, Duration::from_millis(100)).await, [], "closed");
                probers.send(FIRST, index("wan-a"), TOKEN, target).unwrap();
                let other = ProbeToken { sequence: 10, ..TOKEN };
                probers.send(FIRST, index("wan-b"), other, target).unwrap();
                let got = within(&probers, Duration::from_secs(2)).await;
                let sequences: Vec<_> = got
                    .iter()
                    .map(|got| match got.message {
                        Icmp::EchoReply { sequence, .. } => sequence,
                        Icmp::Unreachable { .. } => 0,
                    })
                    .collect();
                assert_eq!(sequences, [10], "the other device's answer alone");
                let error = probers.send(FIRST, IfIndex(999), TOKEN, target).unwrap_err();
                assert!(error.contains("No such device"), "{error}");
            });
        });
    }
}
