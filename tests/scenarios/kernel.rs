//! What other programs, cables and drivers do to the kernel under our feet.

use failoverd::kernel::{Metric, Network, PROTOCOL_BOOT, Route, RouteKind, TableId};

use super::healthy;
use super::model::fib::How;
use super::model::kernel::{PROTOCOL_DHCP, PROTOCOL_STATIC, table};
use super::model::{Config, Kernel, World, config, ip, ms, secs};

/// `healthy`, and no longer on `wan0` alone: traffic must be back there within a few rounds after `act`.
fn repaired(why: &str, act: impl FnOnce(&mut Kernel)) -> World {
    let mut world = healthy(2, Config::count(2), 1);
    let start = world.now;
    world.disturb(act);
    world.pass(ms(20));
    assert_eq!(world.traffic(), "wan0", "{why}");
    assert!(world.kernel.defaults().next().unwrap().is_ours(), "{why}");
    let rounds = world.requests.iter().filter(|at| **at >= start).count();
    assert!(rounds <= 6, "{why}: {rounds} rounds");
    world.pass(secs(5));
    assert_eq!(world.requests.iter().filter(|at| **at >= start).count(), rounds, "{why}: and then it is quiet");
    assert_eq!(world.switches_since(start), 0, "{why}");
    world
}

#[test]
fn foreign_default_routes_are_moved_within_a_few_rounds() {
    let wan1 = |metric, protocol| {
        move |kernel: &Kernel| kernel.default_route("wan1", Some(config::gateway(1)), metric, protocol)
    };
    for (metric, protocol, how, why) in [
        (0, PROTOCOL_DHCP, How::Replace, "a DHCP client's metric 0"),
        (0, PROTOCOL_BOOT, How::Exclusive, "ip route add without a metric"),
        (1, PROTOCOL_STATIC, How::Replace, "netifd's metric 1"),
        (2, PROTOCOL_DHCP, How::Replace, "over our first slot"),
        (2, PROTOCOL_BOOT, How::Replace, "over our first slot, by hand"),
        (2, PROTOCOL_STATIC, How::Prepend, "before our first slot"),
        (2, PROTOCOL_STATIC, How::Append, "behind our first slot"),
        (3, PROTOCOL_DHCP, How::Replace, "over our last slot"),
    ] {
        let world = repaired(why, |kernel| {
            let route = wan1(metric, protocol)(kernel);
            kernel.add_route(route, how).unwrap();
        });
        let metrics: Vec<u32> = world.kernel.defaults().map(|route| route.metric.0).collect();
        assert_eq!(metrics[..2], [2, 3], "{why}: the slots are where they were");
        assert!(metrics.contains(&(1_002_000_000 + metric)), "{why}: {metrics:?}");
    }
}

#[test]
fn a_deliberate_override_is_left_alone_and_named() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| {
        let route = kernel.default_route("wan1", Some(config::gateway(1)), 1, PROTOCOL_BOOT);
        kernel.add_route(route, How::Exclusive).unwrap();
    });
    world.pass(secs(1));
    assert_eq!(world.traffic(), "wan1");
    let status = world.core().status(world.now);
    assert_eq!(status.overridden_by, ["default via 10.1.0.1 dev wan1 metric 1"]);
}

#[test]
fn deleted_routes_and_rules_come_back() {
    repaired("the first slot deleted", |kernel| kernel.fib.routes.retain(|it| it.metric != Metric(2)));
    repaired("both slots deleted", |kernel| kernel.fib.routes.retain(|it| !it.is_ours() || it.table != TableId::MAIN));
    repaired("all rules deleted", |kernel| kernel.rules.clear());
    repaired("the tables flushed", |kernel| kernel.fib.routes.retain(|it| it.table == TableId::MAIN));
}

#[test]
fn an_empty_table_proves_nothing_even_with_a_modem_that_answers_everything() {
    let mut world = healthy(2, Config::count(2), 1);
    let line = world.line("wan0");
    (line.silent, line.answers_everything) = (false, true);
    // The table alone is no loss, as packets then find the slot in main.
    let start = world.now;
    world.faults.ineffective = 100;
    world.disturb(|kernel| kernel.fib.routes.retain(|it| it.table != table(1)));
    world.pass(secs(10));
    assert_eq!(world.state_of("a"), "online");
    // With the slot gone too, the kernel would look for the targets on the wire, and the modem would answer.
    world.disturb(|kernel| {
        kernel.fib.routes.retain(|it| it.device.is_none_or(|index| index.0 != 10) || it.gateway.is_none())
    });
    world.pass(secs(10));
    assert_eq!(world.state_of("a"), "unresolved", "{}", world.reason_of("a"));
    assert!(world.reason_of("a").contains("no way to"), "{}", world.reason_of("a"));
    assert_eq!(world.active(), "b");
    world.faults.ineffective = 0;
    world.pass(secs(20));
    assert_eq!(world.state_of("a"), "online", "mended");
    assert!(world.switches_since(start) >= 1);
}

#[test]
fn an_unreachable_route_stands_in_the_way() {
    let mut world = healthy(2, Config::count(2), 1);
    let target = Network::new(config::TARGETS[1], 32);
    world.disturb(|kernel| {
        let default = kernel.default_route("wan0", None, 0, PROTOCOL_STATIC);
        let kind = RouteKind::Unreachable;
        kernel.add_route(Route { destination: target, kind, device: None, ..default }, How::Append).unwrap();
    });
    world.pass(secs(1));
    assert_eq!(world.state_of("a"), "unresolved");
    assert_eq!(
        world.reason_of("a"),
        "no way to 8.8.8.8 through the device: another program's route to 8.8.8.8/32 is in the way"
    );
    world.disturb(|kernel| kernel.fib.routes.retain(|it| it.destination != target));
    world.pass(ms(5));
    assert_eq!(world.state_of("a"), "checking");
    world.pass(secs(1));
    assert_eq!(world.state_of("a"), "online");
}

#[test]
fn an_address_removed_and_back() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| kernel.remove_address("wan0", config::address(0)));
    world.pass(ms(20));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("unresolved", "wan1"));
    assert_eq!(world.reason_of("a"), "no IPv4 address");
    world.pass(secs(5));
    world.disturb(|kernel| kernel.add_address("wan0", config::address(0), 24));
    world.pass(ms(5));
    assert_eq!(world.state_of("a"), "checking");
    world.pass(secs(65));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("online", "wan0"));
}

#[test]
fn a_device_vanishes_and_returns_with_another_index() {
    for pause in [ms(0), ms(500)] {
        let mut world = healthy(2, Config::count(2), 1);
        world.disturb(|kernel| kernel.remove_link("wan0"));
        if !pause.is_zero() {
            world.pass(pause);
            assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("unresolved", "wan1"));
        }
        world.disturb(|kernel| {
            kernel.add_link(77, "wan0");
            kernel.add_address("wan0", config::address(0), 24);
        });
        world.pass(ms(10));
        assert_eq!(world.state_of("a"), "checking", "a new link must prove itself, {pause:?}");
        assert_eq!(world.traffic(), "wan1");
        world.pass(secs(10));
        assert_eq!(world.state_of("a"), "online");
        world.pass(secs(60));
        assert_eq!(world.traffic(), "wan0");
    }
}

#[test]
fn everything_identical() {
    let mut world = World::with_lines(0, 1);
    for index in 0..3 {
        let name = format!("wan{index}");
        world.kernel.add_link(10 + index, &name);
        world.kernel.add_address(&name, ip(192, 168, 1, 2), 24);
        world.lines.insert(name.clone(), super::model::Line::default());
        let route = world.kernel.default_route(&name, Some(ip(192, 168, 1, 1)), 0, PROTOCOL_DHCP);
        world.kernel.add_route(route, How::Append).unwrap();
    }
    let initial = world.kernel.clone();
    let learnt = Config::count(3).with(|it| {
        it.source_rules = true;
        it.providers.iter_mut().for_each(|provider| provider.gateway = failoverd::settings::GatewaySetting::Learnt);
    });
    world.start(learnt.0);
    world.pass(secs(30));
    for name in ["a", "b", "c"] {
        assert_eq!(world.state_of(name), "online");
    }
    assert!(world.kernel.rules.iter().all(|rule| rule.source.is_none()), "the address is nobody's alone");
    world.line("wan0").silent = true;
    world.pass(secs(2));
    assert_eq!((world.traffic().as_str(), world.state_of("b").as_str()), ("wan1", "online"));
    world.feed(failoverd::event::Event::Stop);
    world.pass(secs(1));
    assert_eq!(world.kernel, initial);
}
