//! A netlink socket in one namespace and what the lab does with links and addresses over it. Fed by `lab.rs`,
//! `provider.rs` and `router.rs`; routes and rules are in `routing.rs`.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::error::{During, LabError, Result};
use crate::message::{Reply, Request, split};
use crate::namespace::Namespace;
use crate::sys;
use crate::wait::wait_for;

/// The kernel answers at once; a request that takes this long is a bug.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// An open netlink socket. It belongs to the namespace of the thread that opened it, wherever it is used.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace.
    pub(crate) fn open() -> Result<Netlink> {
        Netlink::open_protocol(NETLINK_ROUTE)
    }

    /// The same for another part of the kernel than routing.
    pub(crate) fn open_protocol(protocol: isize) -> Result<Netlink> {
        let mut socket = Socket::new(protocol).during("open a netlink socket")?;
        socket.bind_auto().during("bind a netlink socket")?;
        socket.connect(&SocketAddr::new(0, 0)).during("connect a netlink socket to the kernel")?;
        socket.set_non_blocking(true).during("make a netlink socket non-blocking")?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Opens a socket in `namespace`.
    pub(crate) fn open_in(namespace: &Namespace) -> Result<Netlink> {
        namespace.run(Netlink::open)
    }

    /// Sends a change and waits for its acknowledgement; the error is the kernel's number.
    pub(crate) fn change(&mut self, request: Request) -> std::io::Result<()> {
        self.exchange(request, false).map(drop)
    }

    /// Sends a look-up and returns the one answer.
    pub(crate) fn lookup(&mut self, request: Request) -> std::io::Result<Reply> {
        let missing = || std::io::Error::other("the kernel acknowledged a look-up without an answer");
        self.exchange(request, false)?.into_iter().next().ok_or_else(missing)
    }

    /// Sends a dump request and returns all answers in the kernel's order.
    pub(crate) fn dump(&mut self, request: Request) -> std::io::Result<Vec<Reply>> {
        // A table that changed under the dump may miss a route: ask again, as often as a busy daemon can make it so.
        for _ in 0..20 {
            let replies = self.exchange(request.clone(), true)?;
            if !replies.iter().any(|reply| reply.interrupted) {
                return Ok(replies);
            }
        }
        Err(std::io::Error::other("the table kept changing during the dump"))
    }

    fn exchange(&mut self, request: Request, dump: bool) -> std::io::Result<Vec<Reply>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&request.finish(self.sequence), 0)?;
        let deadline = Instant::now() + ANSWER_LIMIT;
        let mut answers: Vec<Reply> = Vec::new();
        loop {
            let (datagram, _) = match self.socket.recv_from_full() {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(std::io::Error::from(std::io::ErrorKind::TimedOut));
                    }
                    sys::wait_readable(&[&Descriptor(self.socket.as_raw_fd())], Some(left))?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for reply in split(&datagram) {
                if reply.sequence != self.sequence {
                    continue;
                }
                match i32::from(reply.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        if reply.interrupted
                            && let Some(answer) = answers.last_mut()
                        {
                            answer.interrupted = true;
                        }
                        return match reply.error() {
                            0 => Ok(answers),
                            number => Err(std::io::Error::from_raw_os_error(number)),
                        };
                    }
                    // A look-up is not acknowledged unless asked for; its one answer ends it.
                    _ if !dump => return Ok(vec![reply]),
                    _ => answers.push(reply),
                }
            }
        }
    }

    /// The index of a device, `None` if there is none of that name.
    pub(crate) fn index(&mut self, device: &str) -> Result<Option<u32>> {
        let request = Request::new(libc::RTM_GETLINK, 0).raw(&link_header(0, 0, 0)).string(libc::IFLA_IFNAME, device);
        match self.lookup(request) {
            Ok(reply) => Ok(crate::message::number_at(&reply.body, 4)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(LabError::new(format!("look up device {device}"), error)),
        }
    }

    /// The index of a device that must be there.
    pub(crate) fn require_index(&mut self, device: &str) -> Result<u32> {
        let missing = || LabError::new(format!("look up device {device}"), "no such device");
        self.index(device)?.ok_or_else(missing)
    }

    /// Sets a device administratively up or down.
    pub(crate) fn set_up(&mut self, device: &str, up: bool) -> Result<()> {
        let index = self.require_index(device)?;
        let flags = if up { libc::IFF_UP as u32 } else { 0 };
        let request =
            Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK).raw(&link_header(index, flags, libc::IFF_UP as u32));
        self.change(request).during(format!("set {device} {}", if up { "up" } else { "down" }))
    }

    /// Waits until a device is operational: before that the kernel quietly drops what is sent through it.
    pub(crate) fn wait_until_operational(&mut self, device: &str) -> Result<()> {
        let mut state = || {
            let request =
                Request::new(libc::RTM_GETLINK, 0).raw(&link_header(0, 0, 0)).string(libc::IFLA_IFNAME, device);
            let reply = self.lookup(request).ok()?;
            let states = reply.attributes(16);
            states.iter().find(|(kind, _)| *kind == IFLA_OPERSTATE).and_then(|(_, value)| value.first().copied())
        };
        wait_for(ANSWER_LIMIT, &format!("device {device} to be up"), || state() == Some(IF_OPER_UP)).map(drop)
    }

    /// Creates a veth pair whose second end lies in `peer.namespace`. The ends get different indexes: equal ones make
    /// the kernel report carrier changes up to a second late.
    pub(crate) fn add_veth(&mut self, near: &VethEnd<'_>, far: &VethEnd<'_>, far_namespace: &Namespace) -> Result<()> {
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL)
            .raw(&link_header(near.index, 0, 0))
            .string(libc::IFLA_IFNAME, near.device)
            .attribute(libc::IFLA_ADDRESS, &near.mac)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.string(libc::IFLA_INFO_KIND, "veth").nested(libc::IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |peer| {
                        peer.raw(&link_header(far.index, 0, 0))
                            .string(libc::IFLA_IFNAME, far.device)
                            .attribute(libc::IFLA_ADDRESS, &far.mac)
                            .number(libc::IFLA_NET_NS_FD, far_namespace.file().as_raw_fd() as u32)
                    })
                })
            });
        self.change(request).during(format!("create the veth pair {} - {}", near.device, far.device))
    }

    /// Deletes a device.
    pub(crate) fn delete_device(&mut self, device: &str) -> Result<()> {
        let index = self.require_index(device)?;
        let request = Request::new(libc::RTM_DELLINK, libc::NLM_F_ACK).raw(&link_header(index, 0, 0));
        self.change(request).during(format!("delete device {device}"))
    }

    /// Adds or removes an address.
    pub(crate) fn address(&mut self, device: &str, address: Ipv4Addr, prefix: u8, add: bool) -> Result<()> {
        self.address_to(device, address, (address, prefix), add)
    }

    /// Adds or removes an address with a peer, as point-to-point devices have it; its own address: none.
    pub(crate) fn address_to(
        &mut self,
        device: &str,
        address: Ipv4Addr,
        (peer, prefix): (Ipv4Addr, u8),
        add: bool,
    ) -> Result<()> {
        let index = self.require_index(device)?;
        let (kind, flags) =
            if add { (libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL) } else { (libc::RTM_DELADDR, 0) };
        let mut header = vec![libc::AF_INET as u8, prefix, 0, 0];
        header.extend_from_slice(&index.to_ne_bytes());
        let broadcast = Ipv4Addr::from_bits(address.to_bits() | u32::MAX.checked_shr(prefix.into()).unwrap_or(0));
        let mut request = Request::new(kind, flags | libc::NLM_F_ACK)
            .raw(&header)
            .attribute(libc::IFA_LOCAL, &address.octets())
            .attribute(libc::IFA_ADDRESS, &peer.octets());
        if add && peer == address {
            request = request.attribute(libc::IFA_BROADCAST, &broadcast.octets());
        }
        let verb = if add { "add" } else { "remove" };
        self.change(request).during(format!("{verb} address {address}/{prefix} on {device}"))
    }
}

/// One end of a veth pair.
pub(crate) struct VethEnd<'a> {
    pub(crate) device: &'a str,
    /// Wanted interface index.
    pub(crate) index: u32,
    pub(crate) mac: [u8; 6],
}

const VETH_INFO_PEER: u16 = 1;
const IFLA_OPERSTATE: u16 = 16;
const IF_OPER_UP: u8 = 6;

/// struct ifinfomsg.
fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut header = vec![libc::AF_UNSPEC as u8, 0, 0, 0];
    for word in [index, flags, change] {
        header.extend_from_slice(&word.to_ne_bytes());
    }
    header
}

/// netlink-sys offers the plain descriptor only.
struct Descriptor(i32);

impl sys::AsRawFdExt for Descriptor {
    fn raw(&self) -> i32 {
        self.0
    }
}
