//! Routes that other programs have nailed to a provider which carries nothing: a tunnel's host route, most likely.
//!
//! They are not ours to move. Read from the kernel's snapshot, told by `core::status`.

use std::net::IpAddr;

use super::Core;
use crate::kernel::{Network, Route, RouteKind, TableId};
use crate::provider::Provider;
use crate::uplink::link_by_name;

/// `RTPROT_KERNEL` of linux/rtnetlink.h: made with an address.
const PROTOCOL_KERNEL: u8 = 2;
/// So many are told of each provider: of a routing daemon's thousands nobody reads more.
const MOST: usize = 10;

impl Core {
    /// Where others' routes through an offline provider lead.
    pub(super) fn stranded(&self, provider: &Provider) -> Vec<String> {
        let Some(snapshot) = self.snapshot.as_ref().filter(|_| self.takes_part(provider) && !self.carries(provider))
        else {
            return vec![];
        };
        let link = provider.device.as_deref().and_then(|name| link_by_name(snapshot, name));
        let device = link.map(|link| link.index);
        // What leads to the provider itself says nothing about the world behind it.
        let near = |network: Network| {
            let gateway = provider.uplink.as_ref().ok().and_then(|uplink| uplink.gateway);
            gateway.is_some_and(|gateway| network == Network::new(gateway, 32))
                || snapshot.addresses.iter().any(|own| Some(own.device) == device && own.network() == network)
        };
        let strands = |route: &&Route| {
            route.table == TableId::MAIN
                && route.kind == RouteKind::Unicast
                && !route.is_ours()
                && route.protocol != PROTOCOL_KERNEL
                && route.destination.prefix > 0
                && device.is_some()
                && route.device == device
                && !near(route.destination)
        };
        let destinations = snapshot.routes.iter().filter(strands).map(|route| match route.destination {
            Network { address: host @ IpAddr::V4(_), prefix: 32 } => host.to_string(),
            network => network.to_string(),
        });
        destinations.take(MOST).collect()
    }
}
