//! A computer on the internet with a kernel of its own, behind one provider: its TCP remembers connections, opens some
//! into the router, and resets those that it has never seen. All providers have one, all with the same addresses. Made by
//! `provider.rs`; its frames go up and down the line in `responder.rs`.

use std::net::Ipv4Addr;

use crate::echo::Echo;
use crate::error::Result;
use crate::namespace::Namespace;
use crate::netlink::{Netlink, VethEnd};
use crate::packet::Mac;
use crate::routing::{Route, RouteWrite, write_route};

/// All addresses of 198.19.0.0/16 are a peer's; this is the first.
pub const PEER: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
/// Where every peer runs an [`Echo`] with its provider's number.
pub const ECHO_PORT: u16 = 7007;
const PREFIX: u8 = 16;

/// The cable between provider and peer: the provider's end and its index, the peer's.
const NEAR_DEVICE: &str = "peer0";
pub(crate) const NEAR_INDEX: u32 = 3000;
const FAR_DEVICE: &str = "net0";
const FAR_INDEX: u32 = 4000;

/// A running peer.
pub(crate) struct Peer {
    pub(crate) namespace: Namespace,
    _echo: Echo,
}

impl Peer {
    /// Of the provider `number`, whose own Ethernet address on the line is the peer's too: frames need no change.
    pub(crate) fn new(number: u8, mac: Mac, provider: &mut Netlink) -> Result<Peer> {
        let namespace = Namespace::new(&format!("peer {number}"))?;
        let [first, rest @ ..] = mac;
        let [second, third, fourth, fifth, last] = rest;
        let near =
            VethEnd { device: NEAR_DEVICE, index: NEAR_INDEX, mac: [first, second, third, fourth, fifth, last ^ 0x40] };
        let far = VethEnd { device: FAR_DEVICE, index: FAR_INDEX, mac };
        provider.add_veth(&near, &far, &namespace)?;
        provider.set_up(NEAR_DEVICE, true)?;
        for device in ["all", FAR_DEVICE] {
            namespace.set_sysctl(&format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
        }
        let mut netlink = Netlink::open_in(&namespace)?;
        netlink.set_up(FAR_DEVICE, true)?;
        // On the loopback device the whole network is local, as 127.0.0.0/8 is.
        netlink.address("lo", PEER, PREFIX, true)?;
        let router = Route::default_via(Ipv4Addr::new(192, 0, 2, 1), FAR_DEVICE).onlink();
        write_route(&mut netlink, RouteWrite::Add, &router)?;
        netlink.wait_until_operational(FAR_DEVICE)?;
        let echo = Echo::start(&namespace, ECHO_PORT, &[PEER], number)?;
        Ok(Peer { namespace, _echo: echo })
    }
}

/// Whether an address is a peer's.
pub(crate) fn is_peer(address: Ipv4Addr) -> bool {
    address.to_bits() >> (32 - PREFIX) == PEER.to_bits() >> (32 - PREFIX)
}
