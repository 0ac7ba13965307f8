//! Pins, failback, last resort, thresholds and reloads: what people choose.

use failoverd::event::Event;
use failoverd::settings::LogLevel;
use failoverd::settings::{Failback, GatewaySetting, LastResort, UplinkSource};

use super::healthy;
use super::model::{Config, World, config, ms, secs};

#[test]
fn manual_failback_waits_for_a_person() {
    let mut world = healthy(2, Config::count(2).with(|it| it.failback = Failback::Manual), 1);
    world.line("wan0").silent = true;
    world.pass(secs(5));
    world.line("wan0").silent = false;
    world.pass(secs(20));
    let status = world.core().status(world.now);
    assert!(status.providers.iter().all(|it| it.failback_in.is_none()), "nobody waits for a time: {status:?}");
    world.pass(secs(3600));
    assert_eq!((world.active().as_str(), world.state_of("a").as_str()), ("b", "online"));
    world.line("wan1").silent = true;
    world.pass(secs(5));
    assert_eq!(world.active(), "a", "a failure moves traffic all the same");
}

#[test]
fn last_resort() {
    for (policy, want, why) in
        [(LastResort::Keep, "c", "the last one that worked"), (LastResort::First, "a", "the most preferred")]
    {
        let mut world = healthy(3, Config::count(3).with(|it| it.last_resort = policy), 1);
        for name in ["wan0", "wan1", "wan2"] {
            world.line(name).silent = true;
            world.pass(secs(10));
        }
        assert_eq!((world.active().as_str(), world.traffic().is_empty()), (want, false), "{why}");
        assert!(world.core().status(world.now).unverified);
    }
}

#[test]
fn a_pin_is_followed_at_once_and_undone() {
    let mut world = healthy(3, Config::count(3), 1);
    let start = world.now;
    world.feed(Event::Pin("c".into()));
    assert_eq!(world.traffic(), "wan2");
    assert_eq!(world.state.pin.as_deref(), Some("c"), "it survives a restart");
    world.line("wan2").silent = true;
    world.pass(secs(10));
    assert_eq!(world.traffic(), "wan2", "whatever the checks say");
    assert!(!world.core().status(world.now).unverified, "others are reliable");
    world.feed(Event::Pin("nobody".into()));
    assert_eq!(world.traffic(), "wan2");
    world.feed(Event::Unpin);
    assert_eq!(world.traffic(), "wan0", "the pinned one was dead: no failback_delay");
    let said = world.said_since(start);
    assert!(said.contains(&"pinned to c".to_owned()) && said.contains(&"unpinned".to_owned()), "{said:?}");
}

#[test]
fn a_pin_does_not_hide_that_none_is_reliable() {
    let mut world = healthy(2, Config::count(2), 1);
    world.feed(Event::Pin("b".into()));
    for name in ["wan0", "wan1"] {
        world.line(name).silent = true;
    }
    world.pass(secs(20));
    assert_eq!(world.active(), "b");
    assert!(world.core().status(world.now).unverified);
}

#[test]
fn a_runtime_pin_overrides_the_configured_one() {
    let mut world = healthy(3, Config::count(3), 1);
    world.feed(Event::Reload(Box::new(Config::count(3).with(|it| it.pin = Some("b".into())).0)));
    world.pass(secs(1));
    assert_eq!(world.active(), "b");
    world.feed(Event::Pin("c".into()));
    world.pass(secs(1));
    assert_eq!(world.active(), "c");
    world.feed(Event::Unpin);
    world.pass(secs(1));
    assert_eq!(world.active(), "b");
}

#[test]
fn a_pin_without_an_uplink_warns_once() {
    let mut world = healthy(2, Config::count(2), 1);
    world.feed(Event::Pin("b".into()));
    world.pass(secs(1));
    let start = world.now;
    world.disturb(|kernel| kernel.set_carrier("wan1", false));
    world.pass(secs(100));
    assert_eq!(world.active(), "a");
    let warned = world.told.iter().filter(|(at, notice)| *at >= start && notice.level == LogLevel::Warning);
    let warned = warned.filter(|(_, notice)| notice.to_string().contains("pinned provider b cannot be used")).count();
    assert_eq!(warned, 1);
    assert!(world.core().status(world.now).warnings.iter().any(|line| line.contains("pinned provider b")));
    world.disturb(|kernel| kernel.set_carrier("wan1", true));
    world.pass(secs(1));
    assert_eq!((world.active().as_str(), world.core().status(world.now).warnings.len()), ("b", 0));
}

#[test]
fn too_many_failures_within_the_history() {
    let config = Config::count(2).check(|it| (it.down, it.max_failed, it.history) = (3, Some(4), 20));
    let mut world = healthy(2, config, 1);
    let failed =
        |world: &World| world.core().status(world.now).providers.iter().find(|it| it.name == "a").unwrap().failed;
    for count in 1..=5 {
        assert_eq!(world.active(), "a");
        world.line("wan0").silent = true;
        world.pass_until(secs(3), |world| failed(world) == count);
        world.line("wan0").silent = false;
        world.pass(ms(1500));
    }
    assert_eq!(world.active(), "b", "never three in a row, but too many");
    let reason = world.reason_of("a");
    assert!(reason.contains("of the last"), "{reason}");
}

#[test]
fn a_reload_keeps_counters_and_traffic() {
    let mut world = healthy(3, Config::count(3), 1);
    world.line("wan0").silent = true;
    world.pass(secs(5));
    let before = world.core().status(world.now);
    let start = world.now;
    let mut config = Config::count(3).check(|it| it.interval = ms(900)).0;
    config.providers.reverse();
    world.feed(Event::Reload(Box::new(config)));
    world.pass(ms(10));
    let after = world.core().status(world.now);
    assert_eq!(after.active, before.active);
    for provider in &before.providers {
        let same = after.providers.iter().find(|it| it.name == provider.name).unwrap();
        assert_eq!((same.checks, same.table, &same.state), (provider.checks, provider.table, &provider.state));
    }
    assert_eq!(world.switches_since(start), 0);
}

#[test]
fn other_targets_do_not_move_traffic() {
    let mut world = healthy(3, Config::count(3), 1);
    world.feed(Event::Pin("b".into()));
    world.pass(secs(1));
    world.feed(Event::Unpin);
    world.pass(ms(1));
    let active = world.active();
    let start = world.now;
    let config = Config::count(3).with(|it| it.tests[0].targets.truncate(2)).0;
    world.feed(Event::Reload(Box::new(config)));
    world.pass(secs(20));
    assert_eq!(world.active(), active);
    assert_eq!(world.switches_since(start), 0, "{:?}", world.said_since(start));
}

#[test]
fn one_provider_and_back() {
    let mut world = healthy(2, Config::count(2), 1);
    let initial = World::with_defaults(2, &[(0, 0)], 1).kernel;
    world.feed(Event::Reload(Box::new(Config::count(1).0)));
    world.pass(secs(2));
    assert_eq!(world.kernel.fib.routes.iter().filter(|it| it.table == failoverd::kernel::TableId::MAIN).count(), 3);
    assert_eq!(world.kernel.links, initial.links, "sysctls too");
    assert_eq!(world.traffic(), "wan0");
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(secs(2));
    assert_eq!(world.state_of("b"), "online");
    world.line("wan0").silent = true;
    world.pass_until(secs(2), |world| world.traffic() == "wan1");
}

#[test]
fn a_line_that_is_no_providers_any_more_gets_its_route_back() {
    let on_wan2 = Config::count(2).with(|it| {
        it.providers[0].source = UplinkSource::Device("wan2".into());
        it.providers[0].gateway = GatewaySetting::Address(config::gateway(2));
    });
    let other_name = Config::count(3).with(|it| drop(it.providers.remove(0)));
    for (reloaded, why) in [(on_wan2, "the provider moved to another device"), (other_name, "another took its number")]
    {
        let mut world = World::with_defaults(3, &[(0, 0)], 1);
        world.start(Config::count(2).0);
        world.pass(secs(1));
        let defaults = |world: &World| -> Vec<(u32, u32)> {
            world.kernel.defaults().map(|it| (it.device.unwrap().0, it.metric.0)).collect()
        };
        assert_eq!(defaults(&world), [(10, 2), (11, 3), (10, 1_001_000_000)]);
        world.feed(Event::Reload(Box::new(reloaded.0)));
        world.pass(secs(1));
        assert_eq!(defaults(&world)[0], (10, 0), "{why}");
        assert!(world.state.moved.is_empty(), "{why}");
        assert_eq!(world.core().status(world.now).overridden_by, ["default via 10.0.0.1 dev wan0 metric 0"], "{why}");
    }
}

#[test]
fn disabled_means_untouched() {
    let mut world = healthy(2, Config::count(2), 1);
    let initial = World::with_defaults(2, &[(0, 0)], 1).kernel;
    world.feed(Event::Reload(Box::new(Config::count(2).with(|it| it.enabled = false).0)));
    world.pass(secs(2));
    assert_eq!(world.kernel, initial);
    let probes = world.probes;
    world.pass(secs(100));
    assert_eq!(world.probes, probes, "nor is anything probed");
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(secs(20));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("online", "wan0"));
}
