//! A kernel that does not do as told, and programs that undo what we do.

use failoverd::kernel::{Metric, RouteChange};

use super::healthy;
use super::model::fib::How;
use super::model::kernel::{PROTOCOL_DHCP, PROTOCOL_STATIC};
use super::model::{Config, World, config, ms, secs};

#[test]
fn source_rules_come_and_go_with_reliability() {
    let mut world = healthy(3, Config::count(3).with(|it| it.source_rules = true), 1);
    let sources = |world: &World| world.kernel.rules.iter().filter_map(|it| it.source).count();
    assert_eq!(sources(&world), 6);
    world.line("wan2").silent = true;
    world.pass_until(secs(10), |world| world.state_of("c") == "offline");
    world.pass(ms(5));
    assert_eq!(sources(&world), 4, "at once, also for the last one");
    world.line("wan2").silent = false;
    world.pass_until(secs(30), |world| world.state_of("c") == "online");
    world.pass(ms(5));
    assert_eq!(sources(&world), 6);
}

#[test]
fn a_delete_that_hits_another_route_is_made_good() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.start(Config::count(2).0);
    let copy = |world: &World| world.kernel.defaults().any(|it| it.metric == Metric(1_001_000_000));
    while !copy(&world) {
        world.pass(std::time::Duration::from_micros(100));
    }
    // The copy is there and was seen; before the original is deleted, another program puts its own in its place.
    let route = world.kernel.default_route("wan1", Some(config::gateway(1)), 0, PROTOCOL_DHCP);
    world.kernel.add_route(route, How::Replace).unwrap();
    world.pass_until(secs(1), |world| world.hits > 0);
    world.faults.refuse = 70;
    world.pass(secs(20));
    world.faults.refuse = 0;
    world.pass(secs(30));
    let metrics: Vec<u32> = world.kernel.defaults().map(|route| route.metric.0).collect();
    assert_eq!(metrics, [2, 3, 1_001_000_000, 1_002_000_000], "what was hit is back");
    world.feed(failoverd::event::Event::Stop);
    world.pass(secs(1));
    let left: Vec<_> = world.kernel.defaults().map(|it| (it.device.unwrap().0, it.metric.0)).collect();
    assert_eq!(left, [(11, 0)], "the later one had replaced it");
}

#[test]
fn a_rival_that_undoes_everything_is_not_fought_in_a_busy_loop() {
    let mut world = healthy(2, Config::count(2), 1);
    let mut turn = 0u32;
    world.rival = Some(Box::new(move |kernel| {
        turn += 1;
        let line = turn % 2;
        let gateway = super::model::ip(10, u8::try_from(line).unwrap(), 0, u8::try_from(3 + turn % 200).unwrap());
        let route = kernel.default_route(&format!("wan{line}"), Some(gateway), 0, PROTOCOL_STATIC);
        kernel.add_route(route, How::Replace).unwrap();
    }));
    world.requests.clear();
    world.disturb(|kernel| kernel.rules.clear());
    world.pass(secs(10));
    assert!((50..400).contains(&world.requests.len()), "{} requests in 10 s", world.requests.len());
}

#[test]
fn what_the_kernel_never_takes_does_not_delay_a_switch() {
    let mut world = healthy(3, Config::count(3).failback_delay(secs(1)), 1);
    world.faults.no_rules = true;
    world.disturb(|kernel| kernel.rules.retain(|rule| rule.device.as_deref() != Some("wan2")));
    for _ in 0..20 {
        world.disturb(|kernel| kernel.set_carrier("wan1", false));
        world.pass(secs(3));
        world.disturb(|kernel| kernel.set_carrier("wan1", true));
        world.pass(secs(3));
    }
    assert!(world.core().status(world.now).warnings.iter().any(|line| line.contains("add ip rule")));
    world.pass_until(secs(30), |world| world.traffic() == "wan0");
    world.changes.clear();
    world.line("wan0").silent = true;
    let outage = world.pass_until(secs(3), |world| world.traffic() != "wan0");
    assert!(outage <= ms(1600), "{outage:?}");
    assert!(matches!(&world.changes.last().unwrap().1[0], RouteChange::Write(route) if route.metric == Metric(2)));
}

#[test]
fn what_the_kernel_never_takes_does_not_delay_a_providers_return() {
    let mut world = healthy(3, Config::count(3), 1);
    world.faults.no_rules = true;
    world.disturb(|kernel| kernel.rules.retain(|rule| rule.device.as_deref() != Some("wan1")));
    world.disturb(|kernel| kernel.set_carrier("wan2", false));
    for pause in 60..70 {
        world.pass(secs(pause));
        assert_eq!(world.state_of("c"), "no_carrier");
        world.disturb(|kernel| kernel.set_carrier("wan2", true));
        let proof = world.pass_until(secs(20), |world| world.state_of("c") == "online");
        assert!(proof < secs(1), "{proof:?}");
        world.disturb(|kernel| kernel.set_carrier("wan2", false));
    }
}
