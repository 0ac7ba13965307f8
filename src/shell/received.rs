//! How much a provider's line receives from beyond its own network: the evidence that tells a slow line from a dead one.
//!
//! A packet socket whose BPF filter takes only what counts is opened at a suspicion. Packets are never read: the
//! kernel's own statistics count them, the dropped ones too. Closing such a socket blocks for about 16 ms (the kernel waits for every
//! CPU to let go of it), so that happens on a thread that is started for the first of them and then sleeps.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;

use failoverd::event::ProviderId;
use failoverd::kernel::{IfIndex, Network};
use socket2::{Domain, SockFilter, Socket, Type};

use super::worker::Worker;

/// `SOL_PACKET` of linux/socket.h.
const SOL_PACKET: libc::c_int = 263;
/// `PACKET_STATISTICS` of linux/if_packet.h.
const PACKET_STATISTICS: libc::c_int = 6;
/// `PACKET_IGNORE_OUTGOING` of linux/if_packet.h (Linux 4.20).
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// `ETH_P_ALL` of linux/if_ether.h.
const ETH_P_ALL: u16 = 3;

/// The smallest the kernel grants: nothing is ever read, and a packet that finds no room is counted all the same.
const BUFFER: usize = 1;

/// The counters of all providers under suspicion.
#[derive(Default)]
pub(crate) struct Counters {
    counters: Vec<(ProviderId, Counter)>,
    closer: Option<Worker<Socket>>,
}

struct Counter {
    socket: Socket,
    /// The kernel forgets what it has told.
    told: u32,
}

impl Counters {
    /// Begins to count anew what `device` receives from outside `network`.
    pub(crate) fn watch(&mut self, provider: ProviderId, device: IfIndex, network: Network) -> Result<(), String> {
        self.stop(provider);
        let socket = open(device, network).map_err(|error| format!("cannot count received packets: {error}"))?;
        self.counters.push((provider, Counter { socket, told: 0 }));
        Ok(())
    }

    /// Packets since [`Self::watch`]; `None` if they are not or cannot be counted.
    pub(crate) fn count(&mut self, provider: ProviderId) -> Option<u32> {
        let (_, counter) = self.counters.iter_mut().find(|(id, _)| *id == provider)?;
        let news = statistics(&counter.socket).ok()?;
        counter.told = counter.told.saturating_add(news);
        Some(counter.told)
    }

    /// Counts no more.
    pub(crate) fn stop(&mut self, provider: ProviderId) {
        if let Some(at) = self.counters.iter().position(|(id, _)| *id == provider) {
            let (_, Counter { socket, .. }) = self.counters.swap_remove(at);
            self.close(socket);
        }
    }

    /// Hands the socket to the thread that closes it. Without a thread it is closed here: late is better than never.
    fn close(&mut self, socket: Socket) {
        if self.closer.is_none() {
            self.closer = Worker::start("closer", drop).ok();
        }
        if let Some(closer) = &self.closer {
            closer.leave(socket);
        }
    }
}

/// Nothing is heard before the filter is in place, as the socket begins without a protocol.
fn open(device: IfIndex, network: Network) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), None)?;
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and pointer and length are those of `on`, which the kernel only reads.
    let outcome =
        unsafe { libc::setsockopt(socket.as_raw_fd(), SOL_PACKET, PACKET_IGNORE_OUTGOING, (&raw const on).cast(), 4) };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    socket.attach_filter(&filter(network)?)?;
    socket.set_recv_buffer_size(BUFFER)?;
    // SAFETY: all of sockaddr_ll may be zero; the fields that matter are set below.
    let mut address: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    address.sll_family = libc::AF_PACKET as _;
    address.sll_protocol = ETH_P_ALL.to_be();
    address.sll_ifindex = libc::c_int::try_from(device.0).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open, and the pointer is to a live sockaddr_ll of the length given.
    let outcome = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    if outcome == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

/// Packets since the last call.
fn statistics(socket: &Socket) -> io::Result<u32> {
    // struct tpacket_stats: packets (the dropped ones too), dropped.
    let mut numbers = [0_u32; 2];
    let mut length = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes to `numbers`.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            SOL_PACKET,
            PACKET_STATISTICS,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let [packets, _dropped] = numbers;
    if outcome == 0 { Ok(packets) } else { Err(io::Error::last_os_error()) }
}

// Instructions of classic BPF (linux/bpf_common.h), as far as they are used.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_BYTE_BEHIND_HEADER: u16 = 0x50;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// What the kernel knows about a packet beside its bytes (`SKF_AD_*` of linux/filter.h).
const BESIDE: u32 = 0xffff_f000;
const PROTOCOL: u32 = BESIDE;
const PACKET_TYPE: u32 = BESIDE + 4;
const VLAN_TAG: u32 = BESIDE + 44;
const VLAN_TAG_PRESENT: u32 = BESIDE + 48;

/// Where the program goes on: over so many instructions, or to one of its two ends.
#[derive(Clone, Copy)]
enum Then {
    On,
    Over(u8),
    Count,
    Ignore,
}

/// The program that returns nonzero for packets that count. A packet socket of kind DGRAM shows packets from the IP header on, on
/// Ethernet as on devices that have none, such as PPP and modems.
fn filter(network: Network) -> io::Result<Vec<SockFilter>> {
    use Then::{Count, Ignore, On, Over};
    let Network { address: IpAddr::V4(first), prefix } = Network::new(network.address, network.prefix) else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "only IPv4 packets can be counted yet"));
    };
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let first = u32::from(first);
    // Networks of one or two addresses have no broadcast address; a network of everything excludes nothing (no masked source equals 1).
    let broadcast = if prefix < 31 { first | !mask } else { u32::MAX };
    let first = if prefix == 0 { 1 } else { first };
    let steps = [
        (LOAD_WORD, On, On, PACKET_TYPE),
        (IF_EQUAL, On, Ignore, 0), // PACKET_HOST: to us, or to be forwarded by us
        (LOAD_WORD, On, On, PROTOCOL),
        (IF_EQUAL, On, Ignore, 0x0800),
        // Frames of a VLAN pass the device below it too, and are not its own; VLAN 0 is only a priority.
        (LOAD_WORD, On, On, VLAN_TAG_PRESENT),
        (IF_EQUAL, Over(2), On, 0),
        (LOAD_WORD, On, On, VLAN_TAG),
        (IF_ANY_BIT, Ignore, On, 0x0fff),
        (LOAD_WORD, On, On, 16), // destination
        (IF_AT_LEAST, Ignore, On, 0xe000_0000),
        (IF_EQUAL, Ignore, On, broadcast),
        (LOAD_WORD, On, On, 12), // source
        (AND, On, On, mask),
        (IF_EQUAL, Ignore, On, first),
        (LOAD_BYTE, On, On, 9), // protocol
        (IF_EQUAL, On, Count, 1),
        (LOAD_HALF, On, On, 6), // fragment offset: only the first fragment has the ICMP header
        (IF_ANY_BIT, Count, On, 0x1fff),
        (LOAD_HEADER_LENGTH, On, On, 0),
        (LOAD_BYTE_BEHIND_HEADER, On, On, 0),
        (IF_EQUAL, Ignore, Count, 3), // ICMP unreachable
        (RETURN, On, On, u32::MAX),
        (RETURN, On, On, 0),
    ];
    let ends = (steps.len() - 2, steps.len() - 1);
    let program = steps.iter().enumerate().map(|(at, &(code, then, otherwise, value))| {
        let jump = |then| match then {
            On => 0,
            Over(instructions) => instructions,
            Count => u8::try_from(ends.0 - at - 1).unwrap_or(0),
            Ignore => u8::try_from(ends.1 - at - 1).unwrap_or(0),
        };
        SockFilter::new(code, jump(then), jump(otherwise), value)
    });
    Ok(program.collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::shell::testing::{Namespace, index, ip};

    const PROVIDER: ProviderId = ProviderId(1);
    const OWN_MAC: &str = "02:00:00:00:00:01";

    /// `wan`, whose other end `far` lies in the same namespace and is written to directly.
    fn wire() -> Namespace {
        let here = Namespace::new();
        here.run(|| {
            ip(&format!("link add wan address {OWN_MAC} index 100 type veth peer name far index 200"));
            ip("addr add 192.168.1.2/24 dev wan");
            ip("link set wan up");
            ip("link set far up");
        });
        here
    }

    /// A raw socket on `device` that writes whole frames.
    fn writer(device: IfIndex) -> Socket {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).unwrap();
        // SAFETY: as in `open`.
        let mut address: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
        address.sll_family = libc::AF_PACKET as _;
        address.sll_ifindex = device.0 as _;
        let length = size_of::<libc::sockaddr_ll>() as _;
        // SAFETY: as in `open`.
        assert_eq!(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) }, 0);
        socket
    }

    fn packet(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend(source);
        packet.extend(destination);
        packet.extend(payload);
        packet
    }

    fn frame(to: [u8; 6], kind: &[u8], packet: &[u8]) -> Vec<u8> {
        [&to[..], &[2, 0, 0, 0, 0, 9], kind, packet].concat()
    }

    const US: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const SOMEBODY: [u8; 6] = [2, 0, 0, 0, 0, 7];
    const ALL: [u8; 6] = [255; 6];
    const IPV4: &[u8] = &[8, 0];
    const HERE: [u8; 4] = [192, 168, 1, 2];
    const OUTSIDE: [u8; 4] = [8, 8, 8, 8];
    const NEIGHBOUR: [u8; 4] = [192, 168, 1, 77];

    #[test]
    fn only_packets_from_beyond_the_network_to_us_count() {
        let unreachable = [3_u8, 1, 0, 0, 0, 0, 0, 0];
        let reply = [0_u8, 0, 0, 0, 0, 0, 0, 0];
        let mut fragment = packet(OUTSIDE, HERE, 1, &unreachable);
        fragment[6..8].copy_from_slice(&[0x00, 0x10]);
        let mut options = packet(OUTSIDE, HERE, 1, &[&[1, 1, 1, 1][..], &unreachable].concat());
        options[0] = 0x46;
        let udp = packet(OUTSIDE, HERE, 17, &[0; 8]);
        let cases: Vec<(Vec<u8>, u32, &str)> = vec![
            (frame(US, IPV4, &udp), 1, "UDP from outside"),
            (frame(US, IPV4, &packet(OUTSIDE, [10, 9, 9, 9], 6, &[0; 20])), 1, "to be forwarded"),
            (frame(US, IPV4, &packet(OUTSIDE, HERE, 1, &reply)), 1, "an echo reply"),
            (frame(US, IPV4, &packet(OUTSIDE, HERE, 1, &unreachable)), 0, "ICMP unreachable"),
            (frame(US, IPV4, &options), 0, "ICMP unreachable behind IP options"),
            (frame(US, IPV4, &fragment), 1, "a later fragment that looks like ICMP unreachable"),
            (frame(US, IPV4, &packet(NEIGHBOUR, HERE, 17, &[0; 8])), 0, "from a neighbour"),
            (frame(SOMEBODY, IPV4, &udp), 0, "to another machine"),
            (frame(ALL, IPV4, &udp), 0, "a broadcast frame"),
            (frame(US, IPV4, &packet(OUTSIDE, [224, 0, 0, 1], 17, &[0; 8])), 0, "multicast"),
            (frame(US, IPV4, &packet(OUTSIDE, [255; 4], 17, &[0; 8])), 0, "broadcast"),
            (frame(US, IPV4, &packet(OUTSIDE, [192, 168, 1, 255], 17, &[0; 8])), 0, "the network's broadcast"),
            (frame(US, &[0x86, 0xdd], &[0x60; 60]), 0, "IPv6"),
            (frame(US, &[8, 6], &[0; 28]), 0, "ARP"),
            (frame(US, &[0x81, 0, 0, 5, 8, 0], &udp), 0, "of a VLAN on top"),
            (frame(US, &[0x81, 0, 0xe0, 0, 8, 0], &udp), 1, "of VLAN 0, which is a priority"),
            (frame(US, IPV4, &udp[..14]), 0, "cut off"),
        ];
        wire().run(move || {
            let mut counters = Counters::default();
            let (wan, far) = (index("wan"), writer(index("far")));
            for (frame, want, why) in cases {
                counters.watch(PROVIDER, wan, Network::new(IpAddr::from(HERE), 24)).unwrap();
                far.send(&frame).unwrap();
                std::thread::sleep(Duration::from_millis(5));
                assert_eq!(counters.count(PROVIDER), Some(want), "{why}");
            }
        });
    }

    #[test]
    fn what_does_not_fit_the_buffer_is_counted_and_what_we_send_is_not() {
        wire().run(|| {
            let mut counters = Counters::default();
            let (wan, far) = (index("wan"), writer(index("far")));
            counters.watch(PROVIDER, wan, Network::new(IpAddr::from(HERE), 24)).unwrap();
            let incoming = frame(US, IPV4, &packet(OUTSIDE, HERE, 17, &[0; 1200]));
            let outgoing = frame(US, IPV4, &packet(HERE, OUTSIDE, 17, &[0; 8]));
            let own = writer(wan);
            for _ in 0..500 {
                far.send(&incoming).unwrap();
                own.send(&outgoing).unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(counters.count(PROVIDER), Some(500));
            far.send(&incoming).unwrap();
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(counters.count(PROVIDER), Some(501), "the count goes on where it was");
        });
    }

    /// The other end of a TUN device: what is written comes in there, without any link header, as on PPP and modems.
    fn tun(name: &str) -> std::fs::File {
        let file = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
        let file =
            file.unwrap_or_else(|error| panic!("cannot open /dev/net/tun: {error}; as root: chmod 666 /dev/net/tun"));
        // struct ifreq: name, then flags IFF_TUN | IFF_NO_PI.
        let mut request = [0_u8; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16..18].copy_from_slice(&0x1001_u16.to_ne_bytes());
        // SAFETY: the descriptor is open, and the request has the size of struct ifreq.
        let outcome = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, request.as_mut_ptr()) };
        assert_eq!(outcome, 0, "{}", io::Error::last_os_error());
        file
    }

    #[test]
    fn devices_without_ethernet_header_count_too() {
        Namespace::new().run(|| {
            let mut far = tun("ppp9");
            ip("addr add 10.0.0.1 peer 10.0.0.2/32 dev ppp9");
            ip("link set ppp9 up");
            let mut counters = Counters::default();
            counters.watch(PROVIDER, index("ppp9"), Network::new(IpAddr::from([10, 0, 0, 2]), 32)).unwrap();
            far.write_all(&packet(OUTSIDE, [10, 0, 0, 1], 17, &[0; 8])).unwrap();
            far.write_all(&packet([10, 0, 0, 2], [10, 0, 0, 1], 17, &[0; 8])).unwrap();
            far.write_all(&packet(OUTSIDE, [10, 0, 0, 1], 1, &[3, 1, 0, 0, 0, 0, 0, 0])).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(counters.count(PROVIDER), Some(1), "not the peer's own, not unreachables");
        });
    }

    #[test]
    fn nobody_waits_for_a_close() {
        wire().run(|| {
            let mut counters = Counters::default();
            let wan = index("wan");
            counters.watch(PROVIDER, wan, Network::ANY_V4).unwrap();
            counters.stop(PROVIDER);
            let start = Instant::now();
            for _ in 0..20 {
                counters.watch(PROVIDER, wan, Network::ANY_V4).unwrap();
                counters.stop(PROVIDER);
            }
            let took = start.elapsed();
            assert!(took < Duration::from_millis(100), "20 closes in the way took {took:?}");
            assert_eq!(counters.count(PROVIDER), None, "not watched");
            let error = counters.watch(PROVIDER, IfIndex(999), Network::ANY_V4).unwrap_err();
            assert!(error.contains("No such device"), "{error}");
        });
    }
}
