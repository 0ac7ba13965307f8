use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::kernel::{Address, Network, NextHops, PROTOCOL_BOOT, RouteKind, RouteOptions, Selector};
use crate::takeover::moved_metric;

pub(super) const DHCP: u8 = 16;

pub(super) fn ip(a: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, a, 0, d))
}

/// The uplink of `wan<n>`, device 10 + n, provider id n + 1.
pub(super) fn uplink(n: u8) -> Uplink {
    Uplink {
        device: IfIndex(10 + u32::from(n)),
        name: format!("wan{n}"),
        gateway: Some(ip(n, 1)),
        onlink: false,
        address: ip(n, 2),
        network: Network::new(ip(n, 2), 24),
        carrier: true,
        options: RouteOptions::default(),
    }
}

/// Providers with these uplinks, best first.
pub(super) fn wanted(uplinks: &[Uplink]) -> Wanted<'_> {
    let member = |(n, uplink): (usize, &'_ Uplink)| (ProviderId(u8::try_from(n).unwrap() + 1), uplink.device);
    let members = uplinks.iter().enumerate().map(|(n, uplink)| {
        let (id, device) = member((n, uplink));
        Member {
            id,
            device: Some(device),
            uplink: Some(uplink),
            default: true,
            weight: 1,
            carries: true,
            source_rule: false,
            interface: false,
            reliable: true,
            dns: &[],
            networks: &[],
        }
    });
    Wanted {
        members: members.collect(),
        slots: (0..uplinks.len()).collect(),
        shared: 0,
        start_metric: Metric(2),
        base_table: TableId(7100),
        base_priority: RulePriority(7000),
        marks: None,
        nowhere: vec![],
        takeover: true,
        put_back: &[],
    }
}

/// A kernel in which everything wanted is there, and nothing else.
pub(super) fn fulfilled(wanted: &Wanted<'_>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for uplink in wanted.members.iter().filter_map(|it| it.uplink) {
        let (index, name) = (uplink.device, uplink.name.clone());
        let (up, carrier, point_to_point) = (true, true, false);
        snapshot.links.push(Link { index, name, up, carrier, point_to_point, rp_filter: 0, ignore_linkdown: 1 });
        snapshot.addresses.push(Address {
            device: uplink.device,
            address: uplink.address,
            peer: uplink.address,
            prefix: 24,
            scope: 0,
        });
    }
    let mut ignored = vec![];
    snapshot.routes = slot_routes(wanted, &snapshot, &mut ignored);
    snapshot.routes.extend(table_routes(wanted));
    snapshot.rules = rules(wanted);
    snapshot
}

pub(super) fn foreign(n: u8, metric: u32, protocol: u8) -> Route {
    Route { protocol, source: None, ..uplink(n).default_route(TableId::MAIN, Metric(metric)) }
}

fn slot(n: u8, metric: u32) -> Route {
    uplink(n).default_route(TableId::MAIN, Metric(metric))
}

/// With `routes` before the other ones.
pub(super) fn with(mut snapshot: Snapshot, routes: &[Route]) -> Snapshot {
    snapshot.routes.splice(0..0, routes.iter().cloned());
    snapshot
}

/// With `routes` as table main.
fn with_main(mut snapshot: Snapshot, routes: &[Route]) -> Snapshot {
    snapshot.routes.retain(|it| it.table != TableId::MAIN);
    with(snapshot, routes)
}

fn changes(wanted: &Wanted<'_>, snapshot: &Snapshot) -> Vec<RouteChange> {
    plan(wanted, snapshot, &State::default()).changes
}

#[test]
fn the_difference_in_main() {
    use RouteChange::{Append, Delete, Write};
    let uplinks = [uplink(0), uplink(1)];
    let usual = wanted(&uplinks);
    let switched = Wanted { slots: vec![1, 0], ..usual.clone() };
    let onlink = Route { onlink: true, ..slot(0, 2) };
    let vpn = Route { device: Some(IfIndex(99)), ..foreign(0, 2, DHCP) };
    for (want, main, changes_wanted, why) in [
        (&usual, vec![slot(0, 2), slot(1, 3)], vec![], "nothing to do"),
        (
            &switched,
            vec![slot(0, 2), slot(1, 3)],
            vec![Write(slot(1, 2)), Write(slot(0, 3))],
            "a switch: the first first",
        ),
        (&usual, vec![], vec![Append(slot(0, 2)), Append(slot(1, 3))], "nothing there"),
        (&usual, vec![slot(0, 2), onlink.clone(), slot(1, 3)], vec![Delete(onlink.clone())], "a duplicate behind"),
        (&usual, vec![onlink.clone(), slot(0, 2), slot(1, 3)], vec![Delete(onlink.clone())], "EEXIST: before it"),
        (&usual, vec![onlink.clone(), slot(1, 3)], vec![Write(slot(0, 2))], "another next hop: swapped in place"),
        (&usual, vec![slot(0, 2), slot(1, 3), slot(1, 9)], vec![Delete(slot(1, 9))], "a stale one"),
        (
            &usual,
            vec![slot(0, 10), slot(1, 11)],
            vec![Append(slot(0, 2)), Append(slot(1, 3))],
            "other metrics: the old ones stay until one of the new is seen",
        ),
        (
            &usual,
            vec![slot(0, 2), slot(0, 10), slot(1, 11)],
            vec![Append(slot(1, 3)), Delete(slot(0, 10)), Delete(slot(1, 11))],
            "and go then",
        ),
        (
            &usual,
            vec![vpn.clone(), slot(0, 2), slot(1, 3)],
            vec![Write(slot(0, 3)), Append(slot(1, 4)), Delete(slot(0, 2))],
            "a metric that somebody holds is skipped",
        ),
    ] {
        let snapshot = with_main(fulfilled(&usual), &main);
        assert_eq!(changes(want, &snapshot), changes_wanted, "{why}");
    }
}

#[test]
fn a_shared_slot_and_one_alone_are_one_replace_apart() {
    use RouteChange::{Append, Delete, Write};
    let uplinks = [uplink(0), Uplink { gateway: None, ..uplink(1) }, uplink(2)];
    let usual = wanted(&uplinks);
    let mut tier = Wanted { shared: 2, ..usual.clone() };
    (tier.members[0].weight, tier.members[1].weight) = (3, 256);
    let hop = |n: u8, weight| {
        let gateway = uplinks[usize::from(n)].gateway;
        Hop { device: IfIndex(10 + u32::from(n)), gateway, onlink: false, weight }
    };
    let shared = |hops: &[Hop]| Route {
        device: None,
        gateway: None,
        source: None,
        next_hops: NextHops::Shared(hops.to_vec()),
        ..slot(0, 2)
    };
    let both = shared(&[hop(0, 3), hop(1, 256)]);
    let own = |n: u8, metric| uplinks[usize::from(n)].default_route(TableId::MAIN, Metric(metric));
    let there = [both.clone(), own(0, 3), own(1, 4), own(2, 5)];
    let alone = [own(0, 2), own(1, 3), own(2, 4)];
    let named = Wanted { slots: vec![1, 0, 2], ..tier.clone() };
    let mut one_gone = tier.clone();
    one_gone.members[1].uplink = None;
    for (want, main, changes_wanted, why) in [
        (&tier, &there[..], vec![], "nothing to do"),
        (
            &tier,
            &alone,
            vec![Write(both.clone()), Write(own(0, 3)), Write(own(1, 4)), Append(own(2, 5))],
            "one joins: the first first",
        ),
        (&usual, &there, vec![Write(own(0, 2)), Write(own(1, 3)), Write(own(2, 4)), Delete(own(2, 5))], "one leaves"),
        (&named, &there, vec![Write(own(1, 3)), Write(own(0, 4))], "who is named moves no hop"),
        (&tier, &there[1..], vec![Append(both.clone())], "the kernel has dropped it"),
        (
            &tier,
            &[&[shared(&[hop(1, 256), hop(0, 3)])], &there[1..]].concat(),
            vec![Write(both.clone())],
            "another order of the hops",
        ),
        (
            &one_gone,
            &there,
            vec![Write(own(0, 2)), Write(own(2, 3)), Delete(own(1, 4)), Delete(own(2, 5))],
            "one of two without an uplink: a plain route",
        ),
    ] {
        let snapshot = with_main(fulfilled(&usual), main);
        let got: Vec<_> = changes(want, &snapshot).into_iter().filter(in_main).collect();
        assert_eq!(got, changes_wanted, "{why}");
    }
    let plan = plan(&tier, &with_main(fulfilled(&usual), &there), &State::default());
    assert_eq!(plan.metrics, [(0, Metric(2)), (1, Metric(2)), (2, Metric(5))]);
}

fn in_main(change: &RouteChange) -> bool {
    use RouteChange::{Append, Delete, Write};
    matches!(change, Append(route) | Write(route) | Delete(route) if route.table == TableId::MAIN)
}

#[test]
fn shared_hops_stand_in_the_order_of_the_providers_numbers() {
    let uplinks = [uplink(1), uplink(0)];
    let tier = Wanted { shared: 2, ..wanted(&uplinks) };
    let mut members: Vec<_> = tier.members.iter().map(|it| (it, it.uplink.unwrap())).collect();
    members.reverse();
    let NextHops::Shared(hops) = shared_route(members, Metric(2)).unwrap().next_hops else { panic!() };
    let devices: Vec<_> = hops.iter().map(|hop| hop.device.0).collect();
    assert_eq!(devices, [11, 10], "in the order of the numbers, whatever that of the slots");
}

#[test]
fn a_single_provider_gets_a_slot_only_if_main_has_no_default() {
    let uplinks = [uplink(0)];
    let want = wanted(&uplinks);
    for (main, slots, why) in [
        (vec![], 1, "any route is better than none"),
        (vec![foreign(0, 0, DHCP)], 0, "its own is enough, and not moved"),
        (vec![foreign(0, 0, DHCP), slot(0, 2)], 0, "a slot goes when there is another one"),
    ] {
        let snapshot = with_main(fulfilled(&want), &main);
        let got = plan(&want, &snapshot, &State::default());
        assert_eq!(got.metrics.len(), slots, "{why}");
        assert!(got.moved.is_empty(), "{why}");
    }
}

#[test]
fn what_is_moved_and_what_is_only_named() {
    let uplinks = [uplink(0), uplink(1)];
    let want = wanted(&uplinks);
    let multipath = Route { device: None, gateway: None, next_hops: NextHops::Multipath, ..foreign(0, 0, DHCP) };
    let vpn = Route { device: Some(IfIndex(99)), gateway: None, ..foreign(0, 0, 4) };
    for (route, moved, named, why) in [
        (foreign(0, 0, DHCP), true, false, "a DHCP client's"),
        (foreign(0, 0, PROTOCOL_BOOT), true, false, "ip route add without a metric"),
        (foreign(0, 1, PROTOCOL_BOOT), false, true, "a deliberate override by hand"),
        (foreign(0, 2, PROTOCOL_BOOT), true, false, "by hand over our slot"),
        (foreign(0, 1, DHCP), true, false, "better than ours"),
        (foreign(1, 4, DHCP), true, false, "up to the last slot, which is 3"),
        (foreign(1, 5, DHCP), false, false, "behind the last slot"),
        (vpn, false, true, "another device's"),
        (multipath, false, true, "over several devices"),
    ] {
        // One in the place of our last slot pushes that one up.
        let extra = if route.metric == Metric(4) { vec![foreign(0, 3, DHCP)] } else { vec![] };
        let got = plan(&want, &with(with(fulfilled(&want), &extra), std::slice::from_ref(&route)), &State::default());
        let id = if route.device == Some(IfIndex(11)) { 2 } else { 1 };
        let copy = Route { metric: moved_metric(ProviderId(id), route.metric), ..route.clone() };
        assert_eq!(got.changes.contains(&RouteChange::Write(copy)), moved, "{why}: {:?}", got.changes);
        assert!(!got.changes.contains(&RouteChange::Delete(route.clone())), "{why}: not before the copy is seen");
        assert_eq!(got.overridden_by, if named { vec![route] } else { vec![] }, "{why}");
    }
    let off = Wanted { takeover: false, ..want.clone() };
    let got = plan(&off, &with(fulfilled(&off), &[foreign(0, 0, DHCP)]), &State::default());
    assert_eq!((got.changes, got.overridden_by.len()), (vec![], 1), "without takeover it is only named");
}

#[test]
fn takeover_goes_round_by_round_and_back() {
    let uplinks = [uplink(0), uplink(1)];
    let want = wanted(&uplinks);
    let (a, b) = (foreign(0, 0, DHCP), foreign(1, 0, 4));
    let copy = |id: u8, route: &Route| Route { metric: moved_metric(ProviderId(id), Metric(0)), ..route.clone() };
    let (copy_a, copy_b) = (copy(1, &a), copy(2, &b));

    let first = plan(&want, &with(fulfilled(&want), &[a.clone(), b.clone()]), &State::default());
    assert_eq!(first.changes, [RouteChange::Write(copy_a.clone()), RouteChange::Write(copy_b.clone())]);
    assert_eq!(first.moved.iter().map(|it| (it.id.0, it.round)).collect::<Vec<_>>(), [(1, 0), (2, 0)]);

    let state = State { moved: first.moved, ..State::default() };
    let half = with(fulfilled(&want), &[a.clone(), b.clone(), copy_a.clone()]);
    assert_eq!(plan(&want, &half, &state).changes, [RouteChange::Write(copy_b.clone())], "all copies first");
    let seen = with(fulfilled(&want), &[a.clone(), b.clone(), copy_a.clone(), copy_b.clone()]);
    let second = plan(&want, &seen, &state);
    assert_eq!(second.changes, [RouteChange::Delete(b.clone()), RouteChange::Delete(a.clone())], "the last one first");
    assert_eq!(second.moved, state.moved);

    let away = with(fulfilled(&want), &[copy_a.clone(), copy_b.clone()]);
    let back = restore(&away, &state).changes;
    assert_eq!(back[..2], [RouteChange::Append(a.clone()), RouteChange::Append(b.clone())], "both, in their order");

    // One that is added later replaced the others in its owner's eyes.
    let renewed = plan(&want, &with(away.clone(), &[Route { gateway: Some(ip(0, 254)), ..a.clone() }]), &state);
    let state = State { moved: renewed.moved, ..State::default() };
    let back = restore(&away, &state).changes;
    assert!(back.contains(&RouteChange::Append(a.clone())) && back.contains(&RouteChange::Delete(copy_b.clone())));
    assert!(!back.contains(&RouteChange::Append(b)));

    // Without the state file the lowest id goes back; with a gateway that no longer fits, none.
    let back = restore(&away, &State::default()).changes;
    assert!(back.contains(&RouteChange::Append(a.clone())) && back.contains(&RouteChange::Delete(copy_b)));
    let readdressed = Snapshot { addresses: vec![], ..with_main(away, std::slice::from_ref(&copy_a)) };
    let back = restore(&readdressed, &state).changes;
    assert!(back.contains(&RouteChange::Delete(copy_a)) && !back.contains(&RouteChange::Append(a)));
}

#[test]
fn what_was_hit_by_mistake_is_put_back_first() {
    let uplinks = [uplink(0), uplink(1)];
    let lost = [Route { metric: moved_metric(ProviderId(1), Metric(0)), ..foreign(0, 0, DHCP) }];
    let want = Wanted { put_back: &lost, ..wanted(&uplinks) };
    let moved = vec![MovedRoute { id: ProviderId(1), metric: Metric(0), round: 4, beside: false }];
    let state = State { moved: moved.clone(), ..State::default() };
    let got = plan(&want, &fulfilled(&want), &state);
    assert_eq!((got.changes, got.moved), (vec![RouteChange::Append(lost[0].clone())], moved));
}

#[test]
fn rules_follow_the_providers() {
    let uplinks = [uplink(0), uplink(1)];
    let mut want = wanted(&uplinks);
    let snapshot = fulfilled(&want);
    assert_eq!(snapshot.rules.len(), 4, "a pair for each device");

    want.members[1].source_rule = true;
    let added = changes(&want, &snapshot);
    let source = Selector::Source(Network::new(ip(1, 2), 32));
    assert!(added.iter().all(|it| matches!(it, RouteChange::AddRule(rule) if rule.selector == Some(source))));
    assert_eq!(added.len(), 2);
    want.members[1].source_rule = false;

    let gone = Rule { selector: None, raw: vec![1], ..snapshot.rules[0].clone() };
    let twin = snapshot.rules[0].clone();
    let mut littered = snapshot.clone();
    littered.rules.extend([gone.clone(), twin.clone()]);
    assert_eq!(changes(&want, &littered), [RouteChange::DeleteRule(gone), RouteChange::DeleteRule(twin)]);
}

#[test]
fn an_emptied_table_is_filled_again() {
    let uplinks = [uplink(0), uplink(1)];
    let want = wanted(&uplinks);
    let mut snapshot = fulfilled(&want);
    snapshot.routes.retain(|it| it.table != TableId(7102));
    let kinds: Vec<_> = changes(&want, &snapshot)
        .into_iter()
        .map(|change| match change {
            RouteChange::Append(route) => (route.table.0, route.destination.prefix, route.kind),
            other => panic!("{other:?}"),
        })
        .collect();
    let unicast = RouteKind::Unicast;
    assert_eq!(
        kinds,
        [(7102, 24, unicast), (7102, 0, unicast), (7102, 0, RouteKind::Unreachable)],
        "the network first"
    );
}

#[test]
fn one_that_stayed_beside_and_is_moved_later_does_not_replace() {
    let uplinks = [uplink(0), uplink(1)];
    let want = wanted(&uplinks);
    let alone = Wanted { members: vec![want.members[0].clone(), want.members[0].clone()], ..want.clone() };
    let (a, b) = (foreign(0, 0, DHCP), foreign(1, 0, 4));
    let copy = |id: u8, route: &Route| Route { metric: moved_metric(ProviderId(id), Metric(0)), ..route.clone() };
    let first = plan(&alone, &with(fulfilled(&want), &[a.clone(), b.clone()]), &State::default());
    let state = State { moved: first.moved, ..State::default() };
    let second = plan(&want, &with(fulfilled(&want), &[b.clone(), copy(1, &a)]), &state);
    let state = State { moved: second.moved, ..State::default() };
    let back = restore(&with(fulfilled(&want), &[copy(1, &a), copy(2, &b)]), &state).changes;
    assert_eq!(back[..2], [RouteChange::Append(a), RouteChange::Append(b)], "the second provider was added later");
}

#[test]
fn a_gateway_behind_a_route_of_its_own_fits() {
    let uplinks = [uplink(0), uplink(1)];
    let far = IpAddr::from([203, 0, 113, 1]);
    let route = Route { gateway: Some(far), ..foreign(0, 1_001_000_000, DHCP) };
    let want = wanted(&uplinks);
    let there = Route { destination: Network::new(far, 32), gateway: None, ..foreign(0, 0, 4) };
    assert!(!takeover::fits(&route, &fulfilled(&want)));
    assert!(takeover::fits(&route, &with(fulfilled(&want), &[there])));
}
