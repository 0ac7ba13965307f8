//! The netlink layer against the real kernel, in namespaces of its own; `ip` is the second opinion.

mod change;
mod dns;
mod packet;
mod read;
mod watch;

use std::time::{Duration, Instant};

use failoverd::kernel::{
    Hop, Metric, Network, NextHops, RawAttribute, RouteKind, RouteOptions, SCOPE_LINK, SCOPE_UNIVERSE, Selector,
};

use super::*;
use crate::shell::testing::{Namespace, in_runtime, index, ip};

/// Two uplinks, each with an address and a gateway that can be named; their other ends lie idle in the same namespace.
fn two_uplinks() -> Namespace {
    let here = Namespace::new();
    here.run(|| {
        ip("link set lo up");
        for (device, network) in [("wan0", "192.168.1"), ("wan1", "192.168.2")] {
            uplink(device, network);
        }
    });
    here
}

fn uplink(device: &str, network: &str) {
    ip(&format!("link add {device} type veth peer name far-{device}"));
    ip(&format!("link set far-{device} up"));
    ip(&format!("addr add {network}.2/24 dev {device}"));
    ip(&format!("link set {device} up"));
}

/// Runs `test` in [`two_uplinks`] with an open connection.
fn with_kernel(test: impl FnOnce(Kernel) + Send + 'static) {
    two_uplinks().run(move || test(Kernel::new().unwrap()));
}

fn default_route(device: &str, gateway: &str, metric: u32) -> Route {
    Route {
        table: TableId::MAIN,
        destination: Network::ANY_V4,
        metric: Metric(metric),
        tos: 0,
        protocol: PROTOCOL,
        kind: RouteKind::Unicast,
        scope: SCOPE_UNIVERSE,
        device: Some(index(device)),
        gateway: Some(gateway.parse().unwrap()),
        source: None,
        onlink: false,
        next_hops: NextHops::Single,
        options: RouteOptions::default(),
        other: Vec::new(),
    }
}

fn defaults(snapshot: &Snapshot) -> Vec<&Route> {
    snapshot.routes.iter().filter(|route| route.is_main_default()).collect()
}

/// All routes as the kernel writes them, not as our codec reads them: what must be equal before and after.
fn raw_routes(kernel: &mut Kernel) -> Vec<Vec<u8>> {
    let messages = kernel.transport.dump("read", route::GET, route::dump_request(MAIN, 0)).unwrap();
    messages.into_iter().map(|message| message.body).collect()
}
