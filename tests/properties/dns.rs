//! Host routes to DNS servers: whatever providers report and whoever has routes there, strangers' routes stay, the servers are reached
//! through the right provider, and the way back leaves nothing.

use failoverd::event::{ProviderId, State};
use failoverd::kernel::{IfIndex, Metric, Network, Route, RouteOptions, RulePriority, SCOPE_LINK, TableId};
use failoverd::route_plan::{Member, Plan, Wanted, plan, restore};
use failoverd::uplink::Uplink;
use proptest::prelude::*;
use std::net::IpAddr;

use super::cases::{Found, LINES, clean};
use super::model::fib::How;
use super::model::kernel::PROTOCOL_STATIC;
use super::model::{Kernel, ip};
use super::{cases, watch};

/// The first three are far away, the others the modems and what must not get a route.
fn servers(found: &Found) -> Vec<IpAddr> {
    let near = [found.gateway(0, false), found.gateway(1, false), found.address(0)];
    let far = [ip(8, 8, 8, 8), ip(9, 9, 9, 9), ip(198, 51, 100, 53)];
    far.into_iter().chain(near).chain([ip(127, 0, 0, 1), ip(172, 16, 0, 2), ip(224, 0, 0, 1)]).collect()
}
const FAR: usize = 3;

/// What is known at one moment: the order of the slots, who is reliable, and who reports which servers.
#[derive(Clone, Debug)]
struct Moment {
    order: Vec<usize>,
    reliable: Vec<bool>,
    reports: Vec<Vec<usize>>,
}

fn moment() -> impl Strategy<Value = Moment> {
    let lines = LINES as usize;
    (
        Just((0..lines).collect::<Vec<_>>()).prop_shuffle(),
        prop::collection::vec(prop::bool::weighted(0.7), lines),
        prop::collection::vec(prop::collection::vec(0..9usize, 0..4), lines),
    )
        .prop_map(|(order, reliable, reports)| Moment { order, reliable, reports })
}

/// Plans and carries out until nothing is left to do.
fn settle(kernel: &mut Kernel, state: &mut State, mut next: impl FnMut(&Kernel, &State) -> Plan) {
    for _ in 0..12 {
        let Plan { changes, moved, sysctls, .. } = next(kernel, state);
        (state.moved, state.sysctls) = (moved, sysctls);
        if changes.is_empty() {
            return;
        }
        for change in changes {
            let before = kernel.clone();
            kernel.apply(&change);
            watch::check(&before, &change, kernel, true);
        }
    }
    panic!("it does not settle: {:#?}", next(kernel, state).changes);
}

fn uplink(found: &Found, line: u32) -> Uplink {
    Uplink {
        device: IfIndex(10 + line),
        name: format!("wan{line}"),
        gateway: Some(found.gateway(line, false)),
        onlink: false,
        address: found.address(line),
        network: Network::new(found.address(line), 24),
        carrier: true,
        options: RouteOptions::default(),
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn servers_are_reached_and_nothing_else_changes(
        found in clean(), moments in prop::collection::vec(moment(), 1..5),
        strangers in prop::collection::vec((0..FAR, prop::option::of(0..LINES), 0..3u32), 0..3),
    ) {
        let mut kernel = found.world(1).kernel;
        let servers = servers(&found);
        for (server, line, metric) in strangers {
            let (device, gateway) = line.map_or(("vpn0".to_owned(), None), |line| {
                (format!("wan{line}"), Some(found.gateway(line, false)))
            });
            let through = kernel.default_route(&device, gateway, metric, PROTOCOL_STATIC);
            let _ = kernel.add_route(Route { destination: Network::new(servers[server], 32), ..through }, How::Append);
        }
        let (initial, mut state) = (kernel.clone(), State::default());
        let stranger = |server: IpAddr| {
            let host = Network::new(server, 32);
            initial.fib.routes.iter().find(|it| it.destination == host && !it.is_ours()).and_then(|it| it.device)
        };
        let uplinks: Vec<Uplink> = (0..LINES).map(|line| uplink(&found, line)).collect();
        for now in &moments {
            let dns: Vec<Vec<IpAddr>> =
                now.reports.iter().map(|list| list.iter().map(|&it| servers[it]).collect()).collect();
            let members = uplinks.iter().zip(&dns).zip((1..).zip(&now.reliable)).map(|((uplink, dns), (id, reliable))| {
                let (id, device) = (ProviderId(id), Some(uplink.device));
                let (uplink, reliable) = (Some(uplink), *reliable);
                let (default, weight, carries) = (true, 1, reliable);
                Member { id, device, uplink, default, weight, carries, source_rule: false, interface: false, reliable, dns, networks: &[] }
            });
            let wanted = Wanted {
                members: members.collect(),
                slots: now.order.clone(),
                shared: 0,
                start_metric: Metric(2),
                base_table: TableId(7100),
                base_priority: RulePriority(7000),
                marks: None,
                nowhere: vec![],
                takeover: true,
                put_back: &[],
            };
            settle(&mut kernel, &mut state, |kernel, state| plan(&wanted, &kernel.snapshot(&[]), state));
            let named = |at: usize| now.order.iter().find(|&&it| now.reliable[it] && now.reports[it].contains(&at));
            for (at, &server) in servers.iter().enumerate().take(FAR + 2) {
                let ours = kernel.fib.routes.iter().find(|it| {
                    it.is_ours() && it.table == TableId::MAIN && it.destination == Network::new(server, 32)
                });
                let twin = found.identical && named(3).or(named(4)).is_some();
                match (stranger(server), named(at)) {
                    (Some(device), _) => {
                        prop_assert_eq!(ours, None);
                        prop_assert_eq!(kernel.traffic(server), Some(device), "theirs stays in force");
                    }
                    (None, Some(_)) if at >= FAR && found.identical => {
                        // Both modems have the same address here.
                        prop_assert_eq!(ours.map(|it| (it.scope, it.gateway)), Some((SCOPE_LINK, None)));
                    }
                    (None, Some(&line)) => {
                        prop_assert_eq!(ours.and_then(|it| it.device), Some(uplinks[line].device));
                        prop_assert_eq!(kernel.traffic(server), Some(uplinks[line].device));
                    }
                    (None, None) => prop_assert!(ours.is_none() || (at >= FAR && twin)),
                }
            }
            let hosts = kernel.fib.routes.iter().filter(|it| {
                it.is_ours() && it.table == TableId::MAIN && it.destination.prefix == 32
            });
            for route in hosts {
                prop_assert!(servers[..FAR + 2].contains(&route.destination.address), "{route:?}");
            }
        }
        settle(&mut kernel, &mut state, |kernel, state| restore(&kernel.snapshot(&[]), state));
        prop_assert_eq!(kernel, initial);
    }
}
