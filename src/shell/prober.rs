//! ICMP echo through each provider: one raw socket per provider, bound to its device.
//!
//! The event loop hands `Action::Probe` to [`Probers::send`] and waits in [`Probers::received`] for all sockets at once. The kernel
//! filters (echo replies and unreachables only) and stamps what comes in, so that a busy loop does not lengthen round trips.
//! Why this is not surge-ping: it does not build for 32-bit MIPS.

#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use failoverd::event::{ProbeToken, ProviderId};
use failoverd::icmp::{self, Icmp};
use failoverd::kernel::IfIndex;
use failoverd::moment::Moment;
use socket2::{Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::clock;
use super::socket::{self, SO_TIMESTAMPNS_NEW};

/// Enough for the answers to several bursts; what does not fit was not worth waiting for.
const BUFFER: usize = 32 * 1024;

/// The longest packet that is looked at: an answer to the longest probe, with all the options that an IP header may have.
const PACKET: usize = 60 + 8 + 1472;

/// Messages taken in one go, over all sockets; the rest waits for the next wake-up.
const BATCH: usize = 256;

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
    /// Hops that the socket's packets may take at present.
    ttl: u8,
    socket: AsyncFd<Socket>,
}

impl Probers {
    /// Sends an echo request with `size` bytes of payload to `target` through `device`, `ttl` hops far at most. Opens the provider's socket at its first probe and when its device is another
    /// one. Inside the runtime. The error says what failed.
    pub(crate) fn send(
        &mut self,
        provider: ProviderId,
        device: IfIndex,
        token: ProbeToken,
        target: IpAddr,
        size: u16,
        ttl: u8,
    ) -> Result<(), String> {
        let known = self.sockets.iter().any(|(id, prober)| *id == provider && prober.device == device);
        if !known {
            let socket = open(device).map_err(|error| format!("cannot open a raw ICMP socket: {error}"))?;
            self.close(provider);
            self.sockets.push((provider, Prober { device, ttl: 0, socket }));
        }
        let Some((_, prober)) = self.sockets.iter_mut().find(|(id, _)| *id == provider) else { return Ok(()) };
        if prober.ttl != ttl {
            prober.socket.get_ref().set_ttl_v4(ttl.into()).map_err(|error| format!("cannot set the TTL: {error}"))?;
            prober.ttl = ttl;
        }
        let packet = icmp::echo_request(token.id, token.sequence, token.cookie, size);
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
    let socket = socket::open(Type::RAW, Some(Protocol::ICMPV4), device)?;
    socket::set(&socket, SOL_RAW, ICMP_FILTER, !WANTED_TYPES)?;
    socket.set_recv_buffer_size(BUFFER)?;
    // A kernel before 5.1 has no such stamps: then the time of reading has to do.
    let _ = socket::set(&socket, libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1);
    // Until it was bound and filtered it heard everything.
    for _ in 0..BATCH {
        if read(&socket).is_err() {
            break;
        }
    }
    // SAFETY: the socket owns its descriptor and lives exactly as long as the AsyncFd that it is moved into.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// Reads one packet. `None`: none that concerns a probe.
fn read(socket: &Socket) -> io::Result<Option<(IpAddr, Icmp, Moment)>> {
    let mut packet = [0_u8; PACKET];
    let (length, beside) = socket::receive(socket, &mut packet, 0)?;
    let now = clock::now();
    let at = beside.stamp.map_or(now, |stamp| clock::received_at(now, stamp));
    let packet = packet.get(..length).unwrap_or_default();
    let source = packet.get(12..16).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let message = icmp::parse(packet);
    Ok(source.zip(message).map(|(source, message)| (Ipv4Addr::from(source).into(), message, at)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shell::testing::{in_runtime, index, twins};

    const TOKEN: ProbeToken = ProbeToken { id: 7, sequence: 9, cookie: 0x0123_4567_89ab_cdef };
    const FIRST: ProviderId = ProviderId(1);
    const SECOND: ProviderId = ProviderId(2);

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
                    probers.send(provider, device, TOKEN, target, 56, 64).unwrap();
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
    fn a_probe_has_the_size_and_goes_as_far_as_it_is_told() {
        let (here, _there) = twins();
        here.run(|| {
            in_runtime(async {
                let mut probers = Probers::default();
                for (size, ttl) in [(8, 1), (56, 64), (1472, 255), (1472, 1)] {
                    probers.send(FIRST, index("wan-a"), TOKEN, "192.168.1.1".parse().unwrap(), size, ttl).unwrap();
                    assert_eq!(within(&probers, Duration::from_secs(2)).await.len(), 1, "{size} bytes come back");
                    assert_eq!(probers.sockets[0].1.socket.get_ref().ttl_v4().unwrap(), u32::from(ttl));
                }
            });
        });
    }

    #[test]
    fn the_kernels_stamp_counts_not_the_time_of_reading() {
        let (here, _there) = twins();
        here.run(|| {
            in_runtime(async {
                let mut probers = Probers::default();
                let target = "192.168.1.1".parse().unwrap();
                // The kernel begins to stamp a moment after the first socket asked for it.
                probers.send(FIRST, index("wan-a"), TOKEN, target, 56, 64).unwrap();
                std::thread::sleep(Duration::from_millis(100));
                assert_eq!(within(&probers, Duration::from_secs(2)).await.len(), 1);
                let before = clock::now();
                probers.send(FIRST, index("wan-a"), TOKEN, target, 56, 64).unwrap();
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
                probers.send(FIRST, index("wan-a"), TOKEN, target, 56, 64).unwrap();
                probers.close(FIRST);
                assert_eq!(within(&probers, Duration::from_millis(100)).await, [], "closed");
                probers.send(FIRST, index("wan-a"), TOKEN, target, 56, 64).unwrap();
                let other = ProbeToken { sequence: 10, ..TOKEN };
                probers.send(FIRST, index("wan-b"), other, target, 56, 64).unwrap();
                let got = within(&probers, Duration::from_secs(2)).await;
                let sequences: Vec<_> = got
                    .iter()
                    .map(|got| match got.message {
                        Icmp::EchoReply { sequence, .. } => sequence,
                        Icmp::Unreachable { .. } => 0,
                    })
                    .collect();
                assert_eq!(sequences, [10], "the other device's answer alone");
                let error = probers.send(FIRST, IfIndex(999), TOKEN, target, 56, 64).unwrap_err();
                assert!(error.contains("No such device"), "{error}");
            });
        });
    }
}
