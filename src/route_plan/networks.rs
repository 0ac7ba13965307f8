//! Routes to the networks of `list static_routes`: always through the provider that names them.
//!
//! Called by `route_plan`, with the networks of those that carry or whose routes are sticky. Of several that name a network the first in
//! the order of the slots has it, so that it moves by one REPLACE.

use super::Wanted;
use crate::kernel::{Metric, Network, Route, SCOPE_LINK, Snapshot, TableId};
use crate::uplink::Uplink;

/// The highest there is. Such a route goes before every wider one whatever its metric, and at this one whoever else has a word to say
/// about the same destination goes before us from the first moment, can add a route without hitting ours (EEXIST, or a REPLACE that takes
/// it over), and is not hit by our deletes, which name the metric (0 would mean "any"). When theirs goes, ours is there already.
pub(super) const METRIC: Metric = Metric(u32::MAX);

/// The routes that should be in main. Without a slot, `default '0'`, a provider has its networks nevertheless.
pub(super) fn network_routes(wanted: &Wanted<'_>) -> Vec<Route> {
    let without_slot = (0..wanted.members.len()).filter(|at| !wanted.slots.contains(at));
    let in_order = wanted.slots.iter().copied().chain(without_slot).filter_map(|at| wanted.members.get(at));
    let mut routes: Vec<Route> = Vec::new();
    for member in in_order {
        let Some(uplink) = member.uplink else { continue };
        for &network in member.networks {
            if !routes.iter().any(|route| route.destination == network) {
                routes.push(through(uplink, network));
            }
        }
    }
    routes
}

/// To what lies in the connected network, the modem itself for instance, directly: with the same network on two devices main's
/// connected routes lead to the first of them, whatever its state.
pub(super) fn through(uplink: &Uplink, destination: Network) -> Route {
    let through = Route { destination, ..uplink.default_route(TableId::MAIN, METRIC) };
    if destination.prefix >= uplink.network.prefix && uplink.network.contains(destination.address) {
        Route { gateway: None, onlink: false, scope: SCOPE_LINK, ..through }
    } else {
        through
    }
}

/// Other programs' routes to the same networks, which go before ours.
pub(super) fn before_ours<'a>(ours: &'a [Route], snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Route> {
    let goes_before = |theirs: &Route| {
        let same = |own: &&Route| own.destination == theirs.destination && own.device != theirs.device;
        theirs.metric < METRIC && ours.iter().find(same).is_some()
    };
    let of_others = |it: &&Route| it.table == TableId::MAIN && it.tos == 0 && !it.is_ours();
    snapshot.routes.iter().filter(of_others).filter(move |it| goes_before(it))
}

#[cfg(test)]
mod tests;
