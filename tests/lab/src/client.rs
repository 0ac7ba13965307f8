//! The LAN client: a namespace behind the router with one address and a default route. It sends the streams.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::error::Result;
use crate::line::lock;
use crate::namespace::Namespace;
use crate::netlink::{Netlink, VethEnd};
use crate::peer::{ECHO_PORT, PEER};
use crate::router::Router;
use crate::routing::{Route, RouteWrite, write_route};
use crate::stream::{Between, Flows, Stream};
use crate::transfer::Transfer;

/// The router's address in the LAN 10.77.0.0/24.
pub const LAN_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The client's.
pub const LAN_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// A computer in the LAN.
pub struct Client {
    namespace: Namespace,
}

impl Client {
    pub(crate) fn new(router: &Router) -> Result<Client> {
        let namespace = Namespace::new("client")?;
        let near = VethEnd { device: "lan0", index: 50, mac: [0x02, 0x4c, 0x41, 0x42, 0xff, 1] };
        let far = VethEnd { device: "eth0", index: 2000, mac: [0x02, 0x4c, 0x41, 0x42, 0xff, 2] };
        {
            let mut netlink = lock(&router.netlink);
            netlink.add_veth(&near, &far, &namespace)?;
            netlink.set_up("lan0", true)?;
            netlink.address("lan0", LAN_ROUTER, 24, true)?;
        }
        router.set_device_sysctl("lan0", "rp_filter", "0")?;
        let mut netlink = Netlink::open_in(&namespace)?;
        netlink.set_up("eth0", true)?;
        netlink.address("eth0", LAN_CLIENT, 24, true)?;
        write_route(&mut netlink, RouteWrite::Add, &Route::default_via(LAN_ROUTER, "eth0"))?;
        netlink.wait_until_operational("eth0")?;
        lock(&router.netlink).wait_until_operational("lan0")?;
        Ok(Client { namespace })
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Starts datagrams to the stream server, `interval` apart; several streams may run side by side.
    pub fn stream(&self, interval: Duration, flows: Flows) -> Result<Stream> {
        Stream::start(&self.namespace, Between::default(), interval, flows)
    }

    /// Starts one flow of datagrams to another server: every address of the internet is one.
    pub fn stream_to(&self, server: Ipv4Addr, interval: Duration) -> Result<Stream> {
        Stream::start(&self.namespace, Between { server, ..Between::default() }, interval, Flows::One)
    }

    /// Opens a connection to the peer, whichever provider that is behind, and sends through it all the time.
    pub fn transfer(&self) -> Result<Transfer> {
        Transfer::start(&self.namespace, SocketAddr::from((PEER, ECHO_PORT)), Duration::from_millis(10))
    }

    /// As if there were `count` computers: gives it further addresses. Returns all of them, [`LAN_CLIENT`] first.
    pub fn add_addresses(&self, count: u8) -> Result<Vec<Ipv4Addr>> {
        let mut netlink = Netlink::open_in(&self.namespace)?;
        let [first, second, third, fourth] = LAN_CLIENT.octets();
        let addresses = (0..count).map(|number| Ipv4Addr::new(first, second, third, fourth.saturating_add(number)));
        let all: Vec<Ipv4Addr> = addresses.collect();
        all.iter().skip(1).try_for_each(|address| netlink.address("eth0", *address, 24, true))?;
        Ok(all)
    }
}
