//! Connections of a provider that went down: established UDP moves with its next packet, and nobody else's entry is touched.

use std::net::{Ipv4Addr, SocketAddrV4};

use lab::{Connection, ConnectionTable, Flows, LabConfig, Nat, STREAM_SERVER, Stream, wait_for};
use serde_json::{Value, json};

use crate::page::Page;
use crate::world::{BRISK, SECOND, SOON, World, stays};

fn world(identical: bool, nat: Nat, more: &[(&str, &str)]) -> World {
    let world = World::new(LabConfig { identical, nat, ..LabConfig::default() });
    world.configure(&world.lab.uci(&[&BRISK[..], more].concat()));
    world
}

/// An established flow that runs through provider 0.
fn flow(world: &World) -> Stream {
    let stream = world.lab.client().stream(SECOND / 50, Flows::One).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    stream
}

/// Fills the table with `count` flows of others that leave with address `outside`.
fn fill(world: &World, count: u16, outside: Ipv4Addr) -> (ConnectionTable, Vec<Connection>) {
    let mut table = world.lab.router().connections().unwrap();
    let server = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 443);
    let others = (0..count).map(|number| {
        let [high, low] = number.to_be_bytes();
        Connection::translated(SocketAddrV4::new(Ipv4Addr::new(10, 9, high, low), 1024 + number), server, outside)
    });
    let mut others: Vec<Connection> = others.collect();
    others.iter().for_each(|connection| table.add(connection).unwrap());
    others.sort();
    (table, others)
}

/// All of the table but the stream and the router's own probes.
fn of_others(table: &mut ConnectionTable) -> Vec<Connection> {
    let mut all = table.list().unwrap();
    all.retain(|it| *it.original.destination.ip() != STREAM_SERVER && i32::from(it.protocol) == libc::IPPROTO_UDP);
    all
}

#[test]
fn established_udp_moves_and_ten_thousand_others_stay() {
    for nat in [Nat::Masquerade, Nat::Snat] {
        let world = world(false, nat, &[]);
        let daemon = world.start();
        let stream = flow(&world);
        let [dead, alive] = [0, 1].map(|number| world.provider(number).addresses().router);
        let (mut table, others) = fill(&world, 10_000, alive);
        world.provider(0).silent(true);
        stream.wait_until_via(1, 5 * SECOND).unwrap_or_else(|error| panic!("{nat:?}: {error}"));
        world.wait_line(&daemon, &format!("connections of address {dead}"));
        assert_eq!(of_others(&mut table), others, "{nat:?}");
        let stranded =
            |it: &Connection| *it.reply.destination.ip() == dead && *it.original.destination.ip() == STREAM_SERVER;
        assert!(!table.list().unwrap().iter().any(stranded), "{nat:?}");
        world.stop(&daemon);
        assert_eq!(of_others(&mut table), others, "{nat:?}: a stop forgets nothing");
    }
}

#[test]
fn a_standby_that_dies_is_forgotten_and_so_is_what_failback_leaves() {
    let world = world(false, Nat::Snat, &[]);
    let daemon = world.start();
    let stream = flow(&world);
    let [first, second] = [0, 1].map(|number| world.provider(number).addresses().router);
    let (mut table, _) = fill(&world, 1000, second);
    world.provider(1).silent(true);
    world.wait_line(&daemon, "forgot 1");
    assert_eq!(of_others(&mut table), [], "left-overs of the standby");
    assert_eq!(stream.current_provider(), Some(0));
    world.provider(1).heal();
    world.wait_state(1, "online");
    let (_, others) = fill(&world, 1000, second);
    // An established flow moves each time, with an address that is answered there.
    world.ask(&["pin", "wan1"]);
    stream.wait_until_via(1, SOON).unwrap();
    world.wait_line(&daemon, &format!("connections of address {first}"));
    stays(SECOND / 2, "those of the one that is used", || of_others(&mut table) == others);
    world.ask(&["unpin"]);
    stream.wait_until_via(0, SOON).unwrap();
    wait_for(SOON, "what was left is forgotten", || of_others(&mut table).is_empty()).unwrap();
    world.stop(&daemon);
}

#[test]
fn all_are_counted_for_whoever_asks_and_nobody_waits() {
    let world = world(false, Nat::Snat, &[]);
    let daemon = world.start();
    let _stream = flow(&world);
    let addresses = [0, 1].map(|number| world.provider(number).addresses().router);
    let (_, mine) = fill(&world, 3000, addresses[1]);
    // Two at once share a walk; a third comes when it may be over.
    let told = std::thread::scope(|scope| {
        let askers: Vec<_> =
            (0..3).map(|_| scope.spawn(|| Page::new(&world).ask("connections", &json!({})).unwrap())).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect::<Vec<Value>>()
    });
    for told in told {
        let of = |number: usize| told["providers"][number]["connections"].as_u64().unwrap();
        assert_eq!((&told["marked"], &told["providers"][1]["name"]), (&json!(false), &json!("wan1")), "{told:#}");
        assert!(of(0) >= 1 && (3000..3100).contains(&of(1)), "{} of {told:#}", mine.len());
        assert!(told["others"].is_u64(), "{told:#}");
    }
    world.stop(&daemon);
}

#[test]
fn with_flush_conntrack_0_an_established_flow_is_stranded() {
    let world = world(false, Nat::Snat, &[("flush_conntrack", "0")]);
    let daemon = world.start();
    let stream = flow(&world);
    world.provider(0).silent(true);
    world.wait_route(1);
    assert!(stream.wait_until_via(1, 2 * SECOND).is_err(), "what the other tests show is not the kernel's doing");
    world.stop(&daemon);
}

#[test]
fn with_identical_addresses_the_flows_of_the_live_one_stay() {
    for nat in [Nat::Masquerade, Nat::Snat] {
        let world = world(true, nat, &[]);
        let daemon = world.start();
        let stream = flow(&world);
        let (mut table, others) = fill(&world, 2000, world.provider(1).addresses().router);
        world.provider(0).silent(true);
        stream.wait_until_via(1, 5 * SECOND).unwrap_or_else(|error| panic!("{nat:?}: {error}"));
        world.wait_line(&daemon, "cannot be told apart");
        stays(SECOND / 2, "they cannot be told apart", || of_others(&mut table) == others);
        world.stop(&daemon);
    }
}
