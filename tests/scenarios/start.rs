//! Starts, restarts and stops.

use failoverd::event::Event;
use failoverd::kernel::PROTOCOL_STATIC;
use failoverd::settings::GatewaySetting;

use super::healthy;
use super::model::fib::How;
use super::model::{Config, World, config, ms, secs};

#[test]
fn nothing_moves_before_the_checks_have_spoken() {
    let mut world = World::with_defaults(3, &[(2, 0)], 1);
    for line in world.lines.values_mut() {
        line.rtt = ms(400);
    }
    world.start(Config::count(3).0);
    world.pass(ms(350));
    assert_eq!((world.active().as_str(), world.traffic().as_str()), ("c", "wan2"));
    assert!(world.probes >= 3, "they run at once");
    world.pass(secs(30));
    assert_eq!((world.active().as_str(), world.switches_since(failoverd::moment::Moment::default())), ("c", 0));
    world.pass(secs(60));
    assert_eq!(world.active(), "a", "and the better one takes over when its time has come");
}

#[test]
fn with_no_default_at_all_any_route_is_better_than_none() {
    let mut world = World::with_lines(2, 1);
    for line in world.lines.values_mut() {
        line.silent = true;
    }
    world.start(Config::count(2).0);
    world.pass(ms(5));
    assert_eq!(world.traffic(), "wan0");
    world.line("wan1").silent = false;
    world.pass(secs(5));
    assert_eq!(world.traffic(), "wan1");
}

#[test]
fn a_restart_adopts_what_it_finds() {
    let mut world = healthy(3, Config::count(3), 1);
    world.line("wan0").silent = true;
    world.pass(secs(5));
    assert_eq!(world.traffic(), "wan1");
    world.crash();
    world.line("wan0").silent = false;
    world.told.clear();
    world.start(Config::count(3).0);
    for _ in 0..40 {
        world.pass(secs(1));
        assert_eq!(world.traffic(), "wan1");
    }
    let said = world.said_since(failoverd::moment::Moment::default());
    assert!(said.iter().all(|line| line.ends_with("online: 3 checks succeeded in a row")), "{said:?}");
}

#[test]
fn a_stop_and_a_start_leave_the_preferred_provider_active() {
    // Of two defaults without a metric the kernel has but the last one: after a stop traffic leaves through the backup.
    for (before, back, why) in
        [("wan0", true, "it was active and has not failed"), ("wan1", false, "it has failed before the stop")]
    {
        let mut world = healthy(3, Config::count(3), 1);
        if before == "wan1" {
            world.line("wan0").silent = true;
            world.pass(secs(5));
            world.line("wan0").silent = false;
        }
        assert_eq!(world.traffic(), before);
        world.feed(Event::Stop);
        world.pass(secs(1));
        let route = world.kernel.default_route("wan1", Some(config::gateway(1)), 0, PROTOCOL_STATIC);
        world.disturb(|kernel| kernel.add_route(route, How::Replace).unwrap());
        world.start(Config::count(3).0);
        world.pass(ms(50));
        assert_eq!(world.traffic(), "wan1", "nothing moves before the checks have spoken");
        world.pass(secs(3));
        assert_eq!(world.traffic() == "wan0", back, "{why}");
    }
}

#[test]
fn after_a_crash_the_kernel_knows_better_than_the_state_file() {
    let mut world = healthy(3, Config::count(3), 1);
    world.line("wan0").silent = true;
    world.pass(secs(5));
    world.crash();
    // It ended between the change of the routes and the note of it.
    world.state.active = Some("a".to_owned());
    world.line("wan0").silent = false;
    world.start(Config::count(3).0);
    for _ in 0..40 {
        world.pass(secs(1));
        assert_eq!(world.traffic(), "wan1");
    }
}

#[test]
fn a_single_provider_has_nothing_to_choose() {
    for (with_default, slots, why) in [(true, 1, "its own route is enough"), (false, 1, "any is better than none")] {
        let metrics: &[(u32, u32)] = if with_default { &[(0, 0)] } else { &[] };
        let mut world = World::with_defaults(1, metrics, 1);
        let links = world.kernel.links.clone();
        world.start(Config::count(1).0);
        world.pass(secs(5));
        assert_eq!((world.kernel.defaults().count(), world.traffic().as_str()), (slots, "wan0"), "{why}");
        assert_eq!(world.kernel.defaults().any(|it| it.is_ours()), !with_default, "{why}");
        assert_eq!(world.kernel.rules.len(), 2, "its rules are there");
        assert_eq!(world.kernel.links, links, "no sysctl is touched");
        assert_eq!(world.state_of("a"), "online");
    }
}

#[test]
fn gateways_are_learnt_and_followed() {
    let mut world = World::with_defaults(2, &[(0, 0), (1, 5)], 1);
    let learnt = Config::count(2).with(|it| {
        it.providers.iter_mut().for_each(|provider| provider.gateway = GatewaySetting::Learnt);
    });
    world.start(learnt.0);
    world.pass(secs(10));
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "online"));
    let start = world.now;
    let other = super::model::ip(10, 0, 0, 254);
    world.disturb(|kernel| {
        let route = kernel.default_route("wan0", Some(other), 0, super::model::kernel::PROTOCOL_DHCP);
        kernel.add_route(route, super::model::fib::How::Replace).unwrap();
    });
    world.pass(ms(50));
    let first = world.kernel.defaults().next().unwrap();
    assert_eq!((first.gateway, first.is_ours()), (Some(other), true), "the new one, in our slot");
    world.pass(secs(10));
    assert_eq!((world.state_of("a").as_str(), world.switches_since(start)), ("online", 0));
    world.feed(Event::Stop);
    world.pass(secs(1));
    assert!(world.stopped && world.kernel.is_clean());
    let left: Vec<_> = world.kernel.defaults().map(|it| (it.gateway.unwrap(), it.metric.0)).collect();
    assert_eq!(left, [(other, 0), (config::gateway(1), 5)], "the old gateway is gone, as its owner wanted");
}

#[test]
fn stop_is_a_start_undone() {
    for metrics in [&[(0, 0)][..], &[], &[(0, 0), (1, 0)], &[(1, 0), (0, 0)], &[(0, 3), (1, 4)], &[(0, 100), (1, 200)]]
    {
        let mut world = World::with_defaults(2, metrics, 1);
        world.kernel.all_rp_filter = 1;
        let initial = world.kernel.clone();
        world.start(Config::count(2).0);
        world.pass(secs(10));
        assert_ne!(world.kernel, initial);
        let stop = world.now;
        world.feed(Event::Stop);
        world.pass(secs(1));
        assert!(world.stopped);
        assert!(world.said_since(stop).is_empty(), "a stop is no switch: {:?}", world.said_since(stop));
        assert_eq!(world.kernel, initial, "{metrics:?}");
        assert!(world.state.sysctls.is_empty() && world.state.moved.is_empty(), "nothing is left to undo");
    }
}
