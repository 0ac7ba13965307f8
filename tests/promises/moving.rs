//! Connections of a provider that dies are not left to die with it: datagrams are answered again by another one, TCP learns that
//! it is over, the router's own tunnels move there and back. Nobody else's connections are touched.

use std::io::ErrorKind;

use lab::{Flows, LabConfig, Nat};

use crate::connections::{fill, of_others};
use crate::world::{BRISK, SECOND, SOON, World};

const WAN_ZONE: &str = "table inet zones {
    chain input {
        type filter hook input priority 0; policy accept;
        iifname \"wan*\" meta l4proto udp ct state new drop
    }
}";

const MARKED: (&str, &str) = ("inbound", "1");

fn world(identical: bool, nat: Nat, more: &[(&str, &str)]) -> World {
    let world = World::alone(LabConfig { identical, nat, peers: true, ..LabConfig::default() });
    world.configure(&world.lab.uci(&[&BRISK[..], more].concat()));
    world
}

#[test]
fn marked_datagrams_are_answered_again_by_the_other() {
    for (identical, nat) in [(true, Nat::Masquerade), (true, Nat::Snat), (false, Nat::Masquerade), (false, Nat::Snat)] {
        let world = world(identical, nat, &[MARKED]);
        let daemon = world.start();
        world.wait_marks();
        let stream = world.lab.client().stream(SECOND / 50, Flows::One).unwrap();
        stream.wait_until_via(0, SOON).unwrap();
        world.provider(0).silent(true);
        let moved = stream.wait_until_via(1, 5 * SECOND);
        moved.unwrap_or_else(|error| panic!("identical {identical}, {nat:?}: {error}"));
        world.stop(&daemon);
    }
}

#[test]
fn with_flush_conntrack_0_a_marked_flow_is_stranded() {
    let world = world(false, Nat::Snat, &[MARKED, ("flush_conntrack", "0")]);
    let daemon = world.start();
    world.wait_marks();
    let stream = world.lab.client().stream(SECOND / 50, Flows::One).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    world.provider(0).silent(true);
    world.wait_route(1);
    assert!(stream.wait_until_via(1, 2 * SECOND).is_err(), "what the other tests show is not the kernel's doing");
    world.stop(&daemon);
}

#[test]
fn an_established_connection_is_reset_and_a_new_one_works() {
    for (identical, nat, settings) in [
        (true, Nat::Masquerade, &[MARKED][..]),
        (true, Nat::Snat, &[MARKED]),
        (false, Nat::Masquerade, &[MARKED]),
        (false, Nat::Snat, &[MARKED]),
        (false, Nat::Snat, &[]),
    ] {
        let what = format!("identical {identical}, {nat:?}, {settings:?}");
        let world = world(identical, nat, settings);
        let daemon = world.start();
        if settings.contains(&MARKED) {
            world.wait_marks();
        }
        let transfer = world.lab.client().transfer().unwrap();
        assert_eq!(transfer.progress().provider, 0, "{what}");
        transfer.wait_until_it_goes_on(SOON).unwrap();
        world.provider(0).silent(true);
        let (_, end) = transfer.wait_for_its_end(SOON).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(end, ErrorKind::ConnectionReset, "{what}");
        assert_eq!(world.lab.client().transfer().unwrap().progress().provider, 1, "{what}");
        world.stop(&daemon);
    }
}

#[test]
fn with_flush_conntrack_0_an_established_connection_stands_still() {
    let world = world(false, Nat::Snat, &[MARKED, ("flush_conntrack", "0")]);
    let daemon = world.start();
    world.wait_marks();
    let transfer = world.lab.client().transfer().unwrap();
    transfer.wait_until_it_goes_on(SOON).unwrap();
    world.provider(0).silent(true);
    world.wait_route(1);
    assert!(transfer.wait_for_its_end(4 * SECOND).is_err());
    world.stop(&daemon);
}

#[test]
fn a_socket_of_the_router_that_keeps_its_source_moves_there_and_back() {
    for (identical, nat, settings) in [
        (true, Nat::Masquerade, &[MARKED][..]),
        (true, Nat::Snat, &[MARKED]),
        (false, Nat::Masquerade, &[MARKED]),
        (false, Nat::Snat, &[MARKED]),
        (false, Nat::Masquerade, &[]),
        (false, Nat::Snat, &[]),
    ] {
        let what = format!("identical {identical}, {nat:?}, {settings:?}");
        let world = world(identical, nat, settings);
        let daemon = world.start();
        if settings.contains(&MARKED) {
            world.wait_marks();
        }
        // As OpenWrt's wan zone: without it an answer on its way when its entry is forgotten would be taken for somebody's who comes in.
        world.lab.router().nft(WAN_ZONE).unwrap();
        let source = world.provider(0).addresses().router;
        let stream = world.lab.router().stream_from(source, SECOND / 50).unwrap();
        for _ in 0..2 {
            stream.wait_until_via(0, SOON).unwrap_or_else(|error| panic!("{what}, back: {error}"));
            world.provider(0).silent(true);
            stream.wait_until_via(1, SOON).unwrap_or_else(|error| panic!("{what}, there: {error}"));
            world.provider(0).silent(false);
        }
        stream.wait_until_via(0, SOON).unwrap_or_else(|error| panic!("{what}, back: {error}"));
        world.stop(&daemon);
    }
}

#[test]
fn ten_thousand_connections_of_others_stay_whatever_their_marks() {
    let world = world(true, Nat::Masquerade, &[MARKED]);
    let daemon = world.start();
    world.wait_marks();
    let stream = world.lab.client().stream(SECOND / 50, Flows::One).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    // With the same address outside as the dead one's: unmarked, with bits of other programs, of the other provider, and both.
    let outside = world.provider(0).addresses().router;
    let alive = world.status_of(1)["mark"].as_str().map(mark).unwrap();
    let (mut table, others) = fill(&world, 0..10_000, outside, &[0, 0x0000_0100, 0x8000_00ff, alive, alive | 0x3f00]);
    let dead = world.status_of(0)["mark"].as_str().map(mark).unwrap();
    let (_, marked) = fill(&world, 20_000..20_100, outside, &[dead, dead | 0x40ff_0000]);
    world.provider(0).silent(true);
    stream.wait_until_via(1, SOON).unwrap();
    let gone = || of_others(&mut table).iter().all(|it| !marked.contains(it));
    lab::wait_for(SOON, "the dead one's to be forgotten", gone).unwrap();
    assert!(of_others(&mut table) == others, "the same 10,000 as before");
    world.provider(0).silent(false);
    world.wait_route(0);
    std::thread::sleep(SECOND / 2);
    assert!(of_others(&mut table) == others, "failback");
    world.stop(&daemon);
    assert!(of_others(&mut table) == others, "a stop forgets nothing");
}

/// The value of `0x1000000/0x3f000000`.
fn mark(text: &str) -> u32 {
    let (value, _) = text.split_once('/').unwrap();
    u32::from_str_radix(value.trim_start_matches("0x"), 16).unwrap()
}
