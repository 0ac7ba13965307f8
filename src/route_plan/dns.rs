//! Host routes to the providers' DNS servers: a provider's servers refuse queries that come through another one's line.
//!
//! Called by `route_plan`. A server is reached through the first provider, in the order of the slots, that is reliable and names it;
//! when that changes, the route moves by one REPLACE.

use std::net::{IpAddr, Ipv4Addr};

use super::Wanted;
use super::networks::through;
use crate::kernel::{Address, IfIndex, Metric, Network, Route, Snapshot, TableId};
use crate::takeover;

/// The host routes that should be in main. `first` is the metric of the first slot; without slots there are none.
pub(super) fn host_routes(wanted: &Wanted<'_>, snapshot: &Snapshot, first: Option<Metric>) -> Vec<Route> {
    let Some(first) = first.filter(|_| wanted.members.len() > 1) else { return vec![] };
    // Somebody's default route goes before ours, a VPN's most likely: names are not to leak past it.
    if snapshot
        .routes
        .iter()
        .any(|route| takeover::is_foreign(route) && !is_members(route.device, wanted) && route.metric < first)
    {
        return vec![];
    }
    let in_order = wanted.slots.iter().filter_map(|&slot| wanted.members.get(slot)).filter(|member| member.reliable);
    let mut routes: Vec<Route> = Vec::new();
    for member in in_order {
        let Some(uplink) = member.uplink else { continue };
        for &server in member.dns {
            let host = Network::new(server, 32);
            if is_routable(server)
                && !routes.iter().any(|route| route.destination == host)
                && !is_taken(server, wanted, snapshot)
            {
                routes.push(through(uplink, host));
            }
        }
    }
    routes
}

/// An IPv4 address of one host somewhere else.
fn is_routable(server: IpAddr) -> bool {
    let IpAddr::V4(server) = server else { return false };
    !(server.is_loopback() || server.is_multicast() || server.is_unspecified() || server == Ipv4Addr::BROADCAST)
}

/// Whether the device is a provider's.
fn is_members(device: Option<IfIndex>, wanted: &Wanted<'_>) -> bool {
    device.is_some() && wanted.members.iter().any(|member| member.device == device)
}

/// Whether the way to the server is somebody else's business: it is the router itself, a neighbour on a device that is no provider's
/// (a filtering resolver in the LAN), or another program's route says where it is. Only a provider's connected network says nothing.
fn is_taken(server: IpAddr, wanted: &Wanted<'_>, snapshot: &Snapshot) -> bool {
    let by_address = snapshot
        .addresses
        .iter()
        .any(|own| own.address == server || (own.network().contains(server) && !is_members(Some(own.device), wanted)));
    let connected = |route: &Route| {
        let leads_there = |own: &Address| Some(own.device) == route.device && own.network() == route.destination;
        route.destination.prefix < 32
            && route.gateway.is_none()
            && is_members(route.device, wanted)
            && snapshot.addresses.iter().any(leads_there)
    };
    by_address
        || snapshot.routes.iter().any(|route| {
            route.table == TableId::MAIN
                && !route.is_ours()
                && route.tos == 0
                && route.destination.prefix > 0
                && route.destination.contains(server)
                && !connected(route)
        })
}

#[cfg(test)]
mod tests;
