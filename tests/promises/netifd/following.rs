//! Everything that can happen to an interface: the routes follow, and nothing is lost over the other line.

use std::process::Command;
use std::time::Instant;

use lab::{LabConfig, Process};
use serde_json::{Value, json};

use super::{Home, MOVED, dialled, interface, lowered};
use crate::world::{SECOND, SOON, stays, word};

/// Everything that happens to the interface of a provider. `port` is the device below its PPPoE.
fn life(home: &Home, daemon: &Process, number: u8, port: &str) {
    let line = home.world.provider(number);
    let other = 1 - number;
    let the_other = interface(&home.world, other);
    let first = interface(&home.world, number);
    let settled = |what: &str, shape: &Value| {
        println!("{what}");
        home.wait_leads(number, shape);
        home.world.wait_state(number, "online");
        // As they were, or moved to another slot by a switch that is on its way.
        home.wait_leads(other, &the_other);
    };
    settled("as it began", &first);
    let mut shape = first.clone();

    home.down(number, lowered(&shape, false, false));
    home.wait_left(number);
    let address = shape["ipv4-address"][0]["address"].as_str().unwrap().replace(".2", ".77");
    shape["ipv4-address"][0]["address"] = address.into();
    home.up(number, shape.clone());
    settled("another address, as a reload brings it", &shape);

    let network = shape["route"][0]["nexthop"].as_str().unwrap().strip_suffix(".1").unwrap().to_owned();
    shape["route"][0]["nexthop"] = format!("{network}.254").into();
    home.quietly(number, |it| *it = shape.clone());
    settled("another gateway, without a word, as a DHCP renewal brings it", &shape);

    shape["metric"] = 1.into();
    home.quietly(number, |it| *it = shape.clone());
    settled("another metric, without a word", &shape);

    let dhcp = shape.clone();
    for (address, peer) in [("100.64.0.2", "100.64.0.1"), ("100.64.7.9", "100.64.0.1"), ("100.64.7.9", "100.64.0.1")] {
        let before = line.ifindex().unwrap();
        line.remove_device().unwrap();
        home.down(number, lowered(&shape, false, true));
        home.wait_left(number);
        home.world.wait_state(number, "unresolved");
        shape = dialled(&dhcp, port, address, peer);
        line.restore_device().unwrap();
        line.router_address(false).unwrap();
        assert_ne!(line.ifindex().unwrap(), before);
        home.up(number, shape.clone());
        settled("dialled again", &shape);
    }

    line.answers_for_everybody(true);
    shape["route"][0]["nexthop"] = "0.0.0.0".into();
    home.quietly(number, |it| *it = shape.clone());
    settled("without a next hop", &shape);
    line.answers_for_everybody(false);

    line.remove_device().unwrap();
    home.down(number, json!({}));
    home.wait_left(number);
    lab::wait_for(SOON, "netifd not to know the interface", || {
        let status = home.world.status_of(number);
        status["state"] == "unresolved" && status["reason"].as_str().is_some_and(|it| it.contains("interface"))
    })
    .unwrap();
    line.restore_device().unwrap();
    line.router_address(false).unwrap();
    home.up(number, first.clone());
    settled("vanished and came back", &first);

    let offline = || daemon.stderr().iter().filter(|it| it.text.contains(" offline: ")).count();
    let before = offline();
    home.down(number, lowered(&first, true, false));
    home.wait_left(number);
    home.world.wait_state(number, "disabled");
    assert_eq!(offline(), before, "taken down by hand is not offline");
    home.up(number, first.clone());
    settled("down and up by hand", &first);
}

#[test]
fn whatever_happens_to_a_standby_the_active_line_loses_nothing() {
    let home = Home::alone(LabConfig { identical: false, ..LabConfig::default() });
    let before = home.world.view();
    let daemon = home.world.start();
    let stream = home.world.lab.stream().unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    let begin = Instant::now();
    home.world.never_without("a life of the standby", || life(&home, &daemon, 1, "wan0"));
    let end = Instant::now();
    let timeline = stream.stop(SECOND);
    assert_eq!(timeline.lost_between(begin, end), 0, "of {}", timeline.sent_between(begin, end).count());
    assert_eq!(home.world.status()["switches"], 0);
    home.world.stop(&daemon);
    home.assert_put_back(1, &before);
}

#[test]
fn whatever_happens_to_the_active_line_traffic_goes_on() {
    for identical in [true, false] {
        let home = Home::new(LabConfig { identical, providers: 3, ..LabConfig::default() });
        let before = home.world.view();
        let daemon = home.world.start();
        let stream = home.world.lab.stream().unwrap();
        stream.wait_until_via(0, SOON).unwrap();
        let begin = Instant::now();
        life(&home, &daemon, 0, "wan2");
        let end = Instant::now();
        home.world.wait_route(0);
        // What is on its way when a device is pulled out is lost with it, four times; nothing else.
        let lost = stream.stop(SECOND).lost_between(begin, end);
        assert!(lost <= 4, "identical {identical}: {lost}");
        home.world.stop(&daemon);
        home.assert_put_back(0, &before);
    }
}

#[test]
fn a_lost_carrier_below_pppoe_counts() {
    let home = Home::new(LabConfig { providers: 3, ..LabConfig::default() });
    let all = home.uci(&[]);
    home.world.configure(all.split("\nconfig provider 'wan2'").next().unwrap());
    let shape = dialled(&interface(&home.world, 0), "wan2", "100.64.0.2", "100.64.0.1");
    home.quietly(0, |it| *it = shape.clone());
    home.quietly(2, |it| *it = lowered(it, false, false));
    let daemon = home.world.start();
    home.wait_leads(0, &shape);
    home.world.wait_route(0);
    // netifd says nothing of it.
    home.world.provider(2).carrier(false).unwrap();
    home.world.wait_route(1);
    let status = home.world.wait_state(0, "no_carrier");
    assert_eq!(status["reason"], "no carrier", "{status:#}");
    home.world.provider(2).carrier(true).unwrap();
    home.world.wait_route(0);
    home.world.stop(&daemon);
}

#[test]
fn what_is_said_twice_changes_nothing() {
    let home = Home::new(LabConfig { providers: 2, ..LabConfig::default() });
    let daemon = home.world.start();
    home.world.wait_slots(&[(2, 0), (3, 1)]);
    // The kernel's own word on changes.
    let mut command = Command::new("ip");
    command.args(["-4", "monitor", "route", "rule"]);
    let monitor = home.world.lab.spawn(command).expect("install the package iproute2");
    let router = home.world.lab.router();
    let marker = |metric| {
        let route = router.default_route(home.world.provider(0)).metric(metric).protocol(9);
        router.write(lab::RouteWrite::Add, &route).unwrap();
        router.write(lab::RouteWrite::Delete, &route).unwrap();
    };
    lab::wait_for(SOON, "ip's first word", || {
        marker(5000);
        !monitor.stdout().is_empty()
    })
    .unwrap();
    marker(5001);
    let last = || monitor.stdout().iter().any(|it| it.text.starts_with("Deleted") && it.text.contains("metric 5001"));
    lab::wait_for(SOON, "ip's word on the end", last).unwrap();
    stays(SECOND / 10, "quiet", || true);
    let (heard, view, dumps) = (monitor.stdout().len(), home.world.view(), home.netifd.dumps());
    for _ in 0..50 {
        for name in ["wan0", "wan1", "loopback"] {
            home.netifd.announce(name, true);
        }
    }
    // Wrong as well: it is up.
    home.netifd.announce("wan0", false);
    lab::wait_for(SOON, "netifd to be asked", || home.netifd.dumps() > dumps).unwrap();
    stays(SECOND / 2, "nothing changes", || monitor.stdout().len() == heard);
    home.world.assert_as_before(&view, "said twice");
    assert!(home.netifd.dumps() - dumps < 60, "one answer is good for many words: {}", home.netifd.dumps() - dumps);
    monitor.kill().unwrap();
    home.world.stop(&daemon);
}

#[test]
fn netifds_route_put_back_is_taken_over_again_and_restored_at_the_end() {
    let home = Home::new(LabConfig::default());
    // Two lines of the same metric: the kernel keeps the route of the one that came last.
    let before = home.world.view();
    let daemon = home.world.start();
    let moved = |all: &[String]| {
        let mut theirs = all.iter().filter(|it| it.contains(" proto 4 ")).peekable();
        theirs.peek().is_some() && theirs.all(|it| word(it, "metric") >= MOVED)
    };
    home.world.wait_defaults("netifd's route out of the way", moved);
    let shape: Value = interface(&home.world, 0);
    for _ in 0..3 {
        home.down(0, lowered(&shape, true, false));
        home.world.wait_state(0, "disabled");
        home.world.wait_route(1);
        home.up(0, shape.clone());
        home.world.wait_defaults("netifd's routes out of the way again", moved);
        home.world.wait_route(0);
    }
    home.world.stop(&daemon);
    home.assert_put_back(0, &before);
}
