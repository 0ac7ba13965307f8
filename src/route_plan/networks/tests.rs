use super::super::tests::{DHCP, foreign, fulfilled, ip, uplink, wanted, with};
use super::super::{plan, restore};
use super::*;
use crate::event::State;
use crate::kernel::{IfIndex, RouteChange, RouteOptions};
use std::net::IpAddr;

const FAR: Network = Network { address: IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 0)), prefix: 24 };
const OTHER: Network = Network { address: IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 0)), prefix: 25 };

/// Where each network leads: (network, device, gateway).
type Ways = Vec<(Network, u32, Option<IpAddr>)>;

fn ways(wanted: &Wanted<'_>) -> Ways {
    network_routes(wanted).iter().map(|it| (it.destination, it.device.unwrap().0, it.gateway)).collect()
}

#[test]
fn the_first_in_order_that_names_it() {
    let uplinks = [uplink(0), uplink(1)];
    let near = Network::new(ip(1, 1), 32);
    let wide = Network::new(ip(0, 0), 8);
    let (through_0, through_1) = ((FAR, 10, Some(ip(0, 1))), (FAR, 11, Some(ip(1, 1))));
    for (networks, up, slots, want, why) in [
        ([&[FAR][..], &[]], [true; 2], &[0, 1][..], vec![through_0], "the active one's"),
        ([&[], &[FAR]], [true; 2], &[0, 1], vec![through_1], "a standby's: always"),
        ([&[FAR], &[FAR]], [true; 2], &[1, 0], vec![through_1], "of both: the first slot"),
        ([&[], &[FAR]], [true; 2], &[0], vec![through_1], "one without a slot has its networks"),
        ([&[FAR], &[FAR]], [true; 2], &[1], vec![through_1], "behind those with one"),
        ([&[FAR], &[FAR]], [false, true], &[0, 1], vec![through_1], "not without an uplink"),
        ([&[FAR, OTHER], &[FAR]], [true; 2], &[1, 0], vec![through_1, (OTHER, 10, Some(ip(0, 1)))], "each by itself"),
        ([&[], &[near]], [true; 2], &[0, 1], vec![(near, 11, None)], "in its connected network: directly"),
        ([&[near], &[]], [true; 2], &[0, 1], vec![(near, 10, Some(ip(0, 1)))], "in that of the other: as everything"),
        ([&[wide], &[]], [true; 2], &[0, 1], vec![(wide, 10, Some(ip(0, 1)))], "around its connected network"),
    ] {
        let mut want_plan = wanted(&uplinks);
        want_plan.slots = slots.to_vec();
        for (member, (networks, up)) in want_plan.members.iter_mut().zip(networks.into_iter().zip(up)) {
            (member.networks, member.uplink) = (networks, member.uplink.filter(|_| up));
        }
        assert_eq!(ways(&want_plan), want, "{why}");
        assert!(network_routes(&want_plan).iter().all(|it| it.metric == METRIC && it.is_ours()), "{why}");
    }
    let alone = [uplink(0)];
    let mut one = wanted(&alone);
    one.members[0].networks = &[FAR];
    assert_eq!(ways(&one), [through_0], "a single provider has its networks too");
}

#[test]
fn it_moves_by_one_replace_and_goes_at_the_end() {
    use RouteChange::{Append, Delete, Write};
    let uplinks = [uplink(0), uplink(1)];
    let mut want = wanted(&uplinks);
    want.members.iter_mut().for_each(|member| member.networks = &[FAR]);
    let route = |n: u8| through(&uplink(n), FAR);
    let there = fulfilled(&want);
    let changes = |want: &Wanted<'_>, snapshot: &Snapshot| plan(want, snapshot, &State::default()).changes;
    assert_eq!(changes(&want, &there), [Append(route(0))]);
    let there = with(there, &[route(0)]);
    assert_eq!(changes(&want, &there), []);

    let mut offline = want.clone();
    offline.members[0].networks = &[];
    assert_eq!(changes(&offline, &there), [Write(route(1))], "the other one names it as well");
    offline.members[1].networks = &[];
    assert_eq!(changes(&offline, &there), [Delete(route(0))]);
    let end = restore(&there, &State::default()).changes;
    assert!(end.contains(&Delete(route(0))), "{end:?}");
}

#[test]
fn others_have_the_first_word_and_are_named() {
    let uplinks = [uplink(0), uplink(1)];
    let mut want = wanted(&uplinks);
    want.members[1].networks = &[FAR];
    let theirs = Route { destination: FAR, ..foreign(0, 0, DHCP) };
    let lan = Route { gateway: None, device: Some(IfIndex(99)), protocol: 2, ..theirs.clone() };
    let highest = Route { metric: METRIC, ..theirs.clone() };
    let same_way = Route { destination: FAR, ..foreign(1, 0, DHCP) };
    let wider = Route { destination: Network::new(FAR.address, 16), ..theirs.clone() };
    let elsewhere = Route { table: TableId(9), ..theirs.clone() };
    for (route, named, why) in [
        (theirs, true, "another program's route to it"),
        (lan, true, "a connected network"),
        (highest, false, "at our metric nobody can tell them apart but by their order"),
        (same_way, false, "the same way"),
        (wider, false, "ours goes before"),
        (elsewhere, false, "in another table"),
    ] {
        let got = plan(&want, &with(fulfilled(&want), std::slice::from_ref(&route)), &State::default());
        assert_eq!(got.changes, [RouteChange::Append(through(&uplink(1), FAR))], "{why}: ours stands beside");
        assert_eq!(got.overridden_by, if named { vec![route] } else { vec![] }, "{why}");
    }
}

#[test]
fn a_server_in_such_a_network_is_reached_as_the_network() {
    let uplinks = [uplink(0), uplink(1)];
    let servers = [IpAddr::from([203, 0, 113, 53]), IpAddr::from([192, 0, 2, 53])];
    let mut want = wanted(&uplinks);
    (want.members[0].dns, want.members[1].networks) = (&servers, &[FAR]);
    let host = |server| through(&uplink(0), Network::new(server, 32));
    let got = plan(&want, &fulfilled(&want), &State::default()).changes;
    assert_eq!(got, [through(&uplink(1), FAR), host(servers[1])].map(RouteChange::Append));
}

#[test]
fn options_are_on_every_way_through_the_provider_and_changed_in_place() {
    let plain = [uplink(0), uplink(1)];
    let options = RouteOptions { mtu: Some(1400), initcwnd: Some(20), ..RouteOptions::default() };
    let uplinks = [uplink(0), Uplink { options, ..uplink(1) }];
    let with_networks = |uplinks| {
        let mut want = wanted(uplinks);
        want.members[1].networks = &[FAR];
        want
    };
    let before = with_networks(&plain);
    let there = with(fulfilled(&before), &network_routes(&before));
    let got = plan(&with_networks(&uplinks), &there, &State::default()).changes;
    let expected = [
        uplinks[1].default_route(TableId::MAIN, Metric(3)),
        uplinks[1].default_route(TableId(7102), Metric(0)),
        through(&uplinks[1], FAR),
    ];
    assert!(expected.iter().all(|it| it.options == options));
    assert_eq!(got, expected.map(RouteChange::Write), "its slot, its table, its networks: one REPLACE each");
    let same = options.in_common(RouteOptions { mtu: Some(1400), advmss: Some(1360), ..RouteOptions::default() });
    assert_eq!(same, RouteOptions { mtu: Some(1400), ..RouteOptions::default() }, "what both say");
}
