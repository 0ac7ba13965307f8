//! What the gateway itself says: tests of type arp, and a neighbour table that knows of a gateway that is gone.

use std::process::Command;

use lab::{LabConfig, wait_for};

use crate::world::{BRISK, SECOND, SOON, World};

#[test]
fn an_arp_test_finds_out_whether_the_gateway_answers() {
    let world = World::new(LabConfig::default());
    world.configure(&format!("{}config test 'gateway'\n\toption type 'arp'\n", world.lab.uci(&BRISK)));
    let daemon = world.start();
    assert_eq!(world.provider(0).seen().echo_total(), 0, "nothing but the gateway is asked");
    world.provider(0).silent_behind_gateway(true);
    std::thread::sleep(2 * SECOND);
    assert_eq!(world.status_of(0)["state"], "online", "what is behind it is not asked");
    world.provider(0).silent(true);
    world.wait_route(1);
    let status = world.wait_state(0, "offline");
    assert_eq!(status["reason_code"], "gateway_silent", "{status:#}");
    world.provider(0).heal();
    world.wait_route(0);
    world.stop(&daemon);
}

#[test]
fn a_gateway_that_is_gone_is_named() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    world.provider(0).silent(true);
    world.wait_route(1);
    // As the kernel would by itself within a minute.
    let mut forget = Command::new("ip");
    forget.args(["neigh", "change", "192.168.1.1", "dev", "wan0", "nud", "probe"]);
    assert_eq!(world.lab.run(forget, SOON).unwrap().code(), 0);
    wait_for(SOON, "the reason", || world.status_of(0)["reason_code"] == "gateway_silent").unwrap();
    assert_eq!(world.status_of(0)["reason"], "the gateway 192.168.1.1 does not answer ARP");
    world.provider(0).heal();
    world.wait_route(0);
    world.stop(&daemon);
}
