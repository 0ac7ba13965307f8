//! What the kernel knows already: a gateway that answers no ARP. It speaks against a line, and never for one.

use failoverd::event::Neighbour;

use super::healthy;
use super::model::{Config, World, ms, secs};

const SILENT: &str = "the gateway 10.0.0.1 does not answer ARP";

/// Upstream is dead, while the line goes on receiving.
fn half_dead(world: &mut World, gateway: Neighbour) {
    let line = world.line("wan0");
    (line.loss, line.traffic, line.gateway) = (100, 200, gateway);
}

#[test]
fn a_gateway_that_failed_is_not_waited_for() {
    for (gateway, most, reason, why) in [
        (Neighbour::Failed, 1650, SILENT, "the table says so"),
        (Neighbour::Asked(ms(2500)), 1650, SILENT, "or is about to"),
        (
            Neighbour::Asked(ms(400)),
            3100,
            "lost 9 of 9 probes to 4 targets within 2.0 s on a line that received",
            "perhaps",
        ),
        (
            Neighbour::Reachable,
            3100,
            "lost 9 of 9 probes to 4 targets within 2.0 s on a line that received",
            "it is there",
        ),
        (
            Neighbour::Unknown,
            3100,
            "lost 9 of 9 probes to 4 targets within 2.0 s on a line that received",
            "nothing known",
        ),
    ] {
        let mut world = healthy(2, Config::count(2), 1);
        half_dead(&mut world, gateway);
        let outage = world.pass_until(secs(5), |world| world.traffic() == "wan1");
        assert!(outage <= ms(most), "{why}: {outage:?}");
        assert!(outage > ms(most.saturating_sub(1600)), "{why}: {outage:?}");
        assert!(world.reason_of("a").starts_with(reason), "{why}: {}", world.reason_of("a"));
    }
}

#[test]
fn it_is_named_where_the_check_fails_anyway() {
    for (gateway, named) in [
        (Neighbour::Failed, true),
        (Neighbour::Asked(ms(400)), true),
        (Neighbour::Asked(ms(20)), false),
        (Neighbour::Reachable, false),
    ] {
        let mut world = healthy(2, Config::count(2), 1);
        let line = world.line("wan0");
        (line.silent, line.gateway) = (true, gateway);
        world.pass_until(secs(3), |world| world.traffic() == "wan1");
        assert_eq!(world.reason_of("a") == SILENT, named, "{gateway:?}: {}", world.reason_of("a"));
    }
}

#[test]
fn it_makes_nothing_reliable_and_nothing_that_answers_unreliable() {
    let mut world = healthy(2, Config::count(2), 1);
    let start = world.now;
    world.line("wan0").gateway = Neighbour::Failed;
    world.pass(secs(60));
    assert_eq!(world.said_since(start), [] as [&str; 0], "targets answer: it does, too");
    let line = world.line("wan0");
    (line.silent, line.gateway) = (true, Neighbour::Reachable);
    world.pass(secs(60));
    assert_eq!((world.traffic().as_str(), world.state_of("a").as_str()), ("wan1", "offline"));
}
