use super::super::networks::METRIC;
use super::super::tests::{DHCP, foreign, fulfilled, ip, uplink, wanted, with};
use super::super::{plan, restore};
use super::*;
use crate::event::State;
use crate::kernel::{Address, IfIndex, PROTOCOL, PROTOCOL_BOOT, RouteChange, RouteKind, SCOPE_LINK};

const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 53));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 54));

/// Where each server's route leads: (server, device, gateway).
type Ways = Vec<(IpAddr, u32, Option<IpAddr>)>;

fn ways(routes: &[Route]) -> Ways {
    routes.iter().map(|it| (it.destination.address, it.device.unwrap().0, it.gateway)).collect()
}

fn host(server: IpAddr, n: u8) -> Route {
    through(&uplink(n), Network::new(server, 32))
}

#[test]
fn the_first_reliable_one_that_names_it() {
    let uplinks = [uplink(0), uplink(1)];
    let (through_0, through_1) = ((FAR, 10, Some(ip(0, 1))), (FAR, 11, Some(ip(1, 1))));
    for (dns, reliable, slots, want, why) in [
        ([&[FAR][..], &[]], [true, true], [0, 1], vec![through_0], "the active one's"),
        ([&[], &[FAR]], [true, true], [0, 1], vec![through_1], "a standby's own"),
        ([&[FAR], &[FAR]], [true, true], [0, 1], vec![through_0], "both: the first slot"),
        ([&[FAR], &[FAR]], [true, true], [1, 0], vec![through_1], "which moves"),
        ([&[FAR], &[FAR]], [false, true], [0, 1], vec![through_1], "not through one that is not reliable"),
        ([&[FAR], &[]], [false, true], [0, 1], vec![], "nor through one that does not name it"),
        ([&[FAR], &[FAR]], [false, false], [0, 1], vec![], "none reliable: as everything else"),
        ([&[FAR, FAR], &[OTHER]], [true, true], [0, 1], vec![through_0, (OTHER, 11, Some(ip(1, 1)))], "once each"),
        ([&[ip(0, 1)], &[]], [true, true], [0, 1], vec![(ip(0, 1), 10, None)], "the modem itself: a neighbour"),
        ([&[], &[ip(0, 53)]], [true, true], [0, 1], vec![(ip(0, 53), 11, Some(ip(1, 1)))], "in the other's network"),
    ] {
        let mut want_plan = wanted(&uplinks);
        want_plan.slots = slots.to_vec();
        for (member, (dns, reliable)) in want_plan.members.iter_mut().zip(dns.into_iter().zip(reliable)) {
            (member.dns, member.reliable) = (dns, reliable);
        }
        let snapshot = fulfilled(&want_plan);
        let routes = host_routes(&want_plan, &snapshot, Some(Metric(2)));
        assert_eq!(ways(&routes), want, "{why}");
        assert!(routes.iter().all(|it| it.metric == METRIC && it.protocol == PROTOCOL && it.source.is_some()), "{why}");
        assert_eq!(host_routes(&want_plan, &snapshot, None), [], "{why}: without slots there is nothing");
    }
    let alone = [uplink(0)];
    let mut one = wanted(&alone);
    one.members[0].dns = &[FAR];
    assert_eq!(host_routes(&one, &fulfilled(&one), Some(Metric(2))), [], "a single provider needs none");
}

#[test]
fn whom_it_is_not_for() {
    let uplinks = [uplink(0), uplink(1)];
    let lan = IfIndex(50);
    let route = |destination: Network, device, gateway| Route {
        destination,
        device: Some(device),
        gateway,
        ..foreign(0, 0, PROTOCOL_BOOT)
    };
    let connected = Route { protocol: 2, scope: SCOPE_LINK, ..route(Network::new(ip(0, 0), 24), IfIndex(10), None) };
    let blackhole =
        Route { device: None, gateway: None, kind: RouteKind::Blackhole, ..route(Network::new(FAR, 24), lan, None) };
    for (server, routes, want, why) in [
        (FAR, vec![], true, "nobody has a word to say"),
        (ip(0, 1), vec![connected.clone()], true, "a provider's connected network says nothing"),
        (FAR, vec![route(Network::new(FAR, 32), IfIndex(10), Some(ip(0, 1)))], false, "a host route of somebody's"),
        (FAR, vec![Route { metric: Metric(9), ..route(Network::new(FAR, 32), lan, None) }], false, "at any metric"),
        (FAR, vec![route(Network::new(FAR, 24), IfIndex(11), Some(ip(1, 1)))], false, "a static route to its network"),
        (FAR, vec![route(Network::new(OTHER, 32), lan, None)], true, "a route to another host"),
        (FAR, vec![blackhole], false, "refused on purpose"),
        (
            FAR,
            vec![route(Network::new(ip(0, 0), 1), lan, None)],
            true,
            "half of the internet through a VPN, not its half",
        ),
        (FAR, vec![route(Network::new(FAR, 1), lan, None)], false, "its half"),
        (
            FAR,
            vec![Route { metric: Metric(1), ..route(Network::ANY_V4, lan, None) }],
            false,
            "a VPN's default before ours",
        ),
        (FAR, vec![Route { metric: Metric(9), ..route(Network::ANY_V4, lan, None) }], true, "and behind ours"),
        (
            FAR,
            vec![Route { metric: Metric(1), ..foreign(0, 1, PROTOCOL_BOOT) }],
            true,
            "an override on a provider's device",
        ),
        (FAR, vec![foreign(1, 0, DHCP)], true, "one that takeover is about to move"),
        (FAR, vec![Route { table: TableId(9), ..route(Network::new(FAR, 32), lan, None) }], true, "in another table"),
        (IpAddr::from([192, 168, 7, 3]), vec![], false, "a neighbour in the LAN"),
        (IpAddr::from([192, 168, 7, 1]), vec![], false, "the router itself"),
        (ip(1, 2), vec![], false, "its address on a provider's line"),
        (IpAddr::from([127, 0, 0, 1]), vec![], false, "loopback"),
        (IpAddr::from([0, 0, 0, 0]), vec![], false, "unspecified"),
        (IpAddr::from([224, 0, 0, 251]), vec![], false, "multicast"),
        (IpAddr::from([255, 255, 255, 255]), vec![], false, "broadcast"),
        ("2606:4700:4700::1111".parse().unwrap(), vec![], false, "IPv6"),
    ] {
        let servers = [server];
        let mut want_plan = wanted(&uplinks);
        want_plan.members[0].dns = &servers;
        let mut snapshot = with(fulfilled(&want_plan), &routes);
        let address = IpAddr::from([192, 168, 7, 1]);
        snapshot.addresses.push(Address { device: lan, address, peer: address, prefix: 24, scope: 0 });
        assert_eq!(host_routes(&want_plan, &snapshot, Some(Metric(2))).len(), usize::from(want), "{why}");
    }
}

#[test]
fn it_moves_by_one_replace_behind_the_slots_and_goes_at_the_end() {
    use RouteChange::{Append, Delete, Write};
    let uplinks = [uplink(0), uplink(1)];
    let servers = [FAR];
    let mut want = wanted(&uplinks);
    want.members.iter_mut().for_each(|member| member.dns = &servers);
    let there = fulfilled(&want);
    let changes = |want: &Wanted<'_>, snapshot: &Snapshot| plan(want, snapshot, &State::default()).changes;
    assert_eq!(changes(&want, &there), [Append(host(FAR, 0))]);
    let there = with(there, &[host(FAR, 0)]);
    assert_eq!(changes(&want, &there), []);

    let switched = Wanted { slots: vec![1, 0], ..want.clone() };
    let slot = |n: u8, metric| uplink(n).default_route(TableId::MAIN, Metric(metric));
    assert_eq!(changes(&switched, &there), [Write(slot(1, 2)), Write(slot(0, 3)), Write(host(FAR, 1))]);

    let mut none = want.clone();
    none.members.iter_mut().for_each(|member| member.reliable = false);
    assert_eq!(changes(&none, &there), [Delete(host(FAR, 0))]);
    let foreign = Route { protocol: DHCP, metric: Metric(0), ..host(FAR, 1) };
    assert_eq!(changes(&want, &with(there.clone(), &[foreign])), [Delete(host(FAR, 0))], "theirs stays in force");

    let end = restore(&there, &State::default()).changes;
    assert!(end.contains(&Delete(host(FAR, 0))), "{end:?}");
    assert!(!end.iter().any(|it| matches!(it, Write(_) | Append(_))), "{end:?}");
}
