//! Starts and reloads while netifd has not told its interfaces: nothing that works is taken away.

use failoverd::event::{Event, State};
use failoverd::settings::{GatewaySetting, UplinkSource};

use super::model::netifd::interface;
use super::model::{Config, World, config, ms, secs};
use super::{healthy, proved};

/// `a` on a device, `b` on an interface.
pub(super) fn mixed() -> Config {
    Config::interfaces(2).with(|it| {
        it.providers[0].source = UplinkSource::Device("wan0".into());
        it.providers[0].gateway = GatewaySetting::Address(config::gateway(0));
    })
}

/// Main must have a default route at every moment.
fn never_without(world: &mut World) {
    world.observer = Some(Box::new(|_, change, after| assert!(after.defaults().next().is_some(), "{change:?}")));
}

/// Interfaces that have proved themselves, whose slots are the only default routes; then `kill -9`.
fn killed() -> World {
    let mut world = proved(World::with_interfaces(2, &[], 1), 2, Config::interfaces(2));
    world.crash();
    world.pass(secs(5));
    world.told.clear();
    world
}

#[test]
fn a_restart_waits_for_netifd_and_touches_nothing() {
    for delay in [0, 1, 100, 1900] {
        let mut world = killed();
        let before = world.kernel.clone();
        never_without(&mut world);
        world.netifd.delay = ms(delay);
        let start = world.now;
        world.start(Config::interfaces(2).0);
        world.pass(secs(20));
        assert_eq!((world.kernel.clone(), world.changes.len()), (before, 0), "answered after {delay} ms");
        let said = world.said_since(start);
        assert!(said.iter().all(|line| line.ends_with("online: 3 checks succeeded in a row")), "{said:?}");
        assert_eq!((world.active().as_str(), world.state_of("b").as_str()), ("a", "online"));
    }
}

#[test]
fn a_restart_with_a_hung_bus_uses_what_was_known() {
    let mut world = killed();
    let before = world.kernel.clone();
    never_without(&mut world);
    let probes = world.probes;
    world.netifd.silent = true;
    world.start(Config::interfaces(2).0);
    world.pass(ms(1900));
    assert_eq!((world.probes, world.changes.len()), (probes, 0));
    world.pass(secs(20));
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "online"));
    world.line("wan0").silent = true;
    world.pass(secs(3));
    assert_eq!(world.traffic(), "wan1", "and failover works");
    world.line("wan0").silent = false;
    world.pass(secs(90));
    assert_eq!(world.kernel, before);
    let (closed, start) = (world.closed, world.now);
    world.netifd.silent = false;
    world.pass(secs(60));
    assert_eq!((world.closed, world.said_since(start).len()), (closed, 0), "the answer, when it comes, is no news");
}

#[test]
fn without_netifd_and_with_nothing_known() {
    let mut world = World::with_defaults(2, &[(0, 0), (1, 5)], 1);
    world.netifd.silent = true;
    let defaults = |world: &World| world.kernel.defaults().cloned().collect::<Vec<_>>();
    let before = defaults(&world);
    world.start(Config::interfaces(2).0);
    world.pass(secs(100));
    assert_eq!(defaults(&world), before, "others' default routes are left alone");
    assert_eq!(world.state_of("a"), "unresolved");
    assert_eq!(
        world.reason_of("a"),
        "interface isp0: netifd has not answered yet; is ubus running, and may failoverd ask it?"
    );
    let logged =
        world.told.iter().filter(|(_, notice)| notice.to_string().contains("netifd has not answered within 2s"));
    assert_eq!(logged.count(), 1, "one line in the log");
    assert!((3..=5).contains(&world.netifd.asked.len()), "asked now and then: {}", world.netifd.asked.len());
    world.netifd.silent = false;
    world.netifd.interfaces = (0..2).map(interface).collect();
    world.pass(secs(32));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("online", "wan0"));
}

#[test]
fn a_device_beside_a_silent_interface_works_after_the_grace_time() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.netifd.silent = true;
    world.start(mixed().0);
    world.pass(ms(1990));
    assert!(world.changes.is_empty() && world.probes == 0);
    world.pass(secs(2));
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "unresolved"));
}

#[test]
fn devices_alone_do_not_wait() {
    let mut world = World::with_lines(2, 1);
    world.netifd.silent = true;
    world.start(Config::count(2).0);
    world.pass(ms(5));
    assert_eq!((world.traffic().as_str(), world.netifd.asked.len()), ("wan0", 0), "nor is netifd asked");
}

#[test]
fn netifd_is_asked_before_there_is_a_provider() {
    let nobody = || Config::count(0).0;
    let mut world = World::with_interfaces(2, &[(0, 0)], 1);
    let before = world.kernel.clone();
    world.start(nobody());
    world.pass(ms(5));
    assert_eq!(world.core().interfaces().map(<[_]>::len), Some(2), "for the first draft");
    world.netifd_says(|it| it.truncate(1));
    world.pass(ms(5));
    assert_eq!(world.core().interfaces().map(<[_]>::len), Some(1), "and whenever it changes");
    world.pass(secs(100));
    assert!((4..=6).contains(&world.netifd.asked.len()), "now and then: {:?}", world.netifd.asked);
    assert_eq!((&world.kernel, world.changes.len(), world.told.len()), (&before, 0, 0), "nothing else is done");
    // Its providers need not be waited for.
    world.netifd.silent = true;
    world.feed(Event::Reload(Box::new(Config::interfaces(1).0)));
    world.pass(ms(50));
    assert_eq!((world.active().as_str(), world.state_of("a").as_str()), ("a", "checking"), "{}", world.reason_of("a"));
    world.pass(secs(5));
    assert_eq!(world.state_of("a"), "online");
}

#[test]
fn without_providers_nothing_waits_for_a_silent_netifd() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.netifd.silent = true;
    world.start(Config::count(0).0);
    let wakeups = world.core().next_wakeup();
    world.pass(secs(100));
    assert!(wakeups.is_some() && world.core().next_wakeup() > Some(world.now), "it rests in between");
    assert_eq!(world.core().interfaces(), None);
    assert!((3..=5).contains(&world.netifd.asked.len()), "asked now and then: {:?}", world.netifd.asked);
    assert!(world.told.is_empty(), "no warning of a wait: {:?}", world.told);
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(ms(5));
    assert_eq!(
        (world.traffic().as_str(), world.netifd.asked.len() <= 5),
        ("wan0", true),
        "devices alone need no netifd"
    );
    world.feed(Event::Stop);
    world.pass(ms(100));
    assert!(world.stopped && world.kernel.is_clean());
}

#[test]
fn a_reload_from_devices_to_interfaces_keeps_a_default_route() {
    for (delay, silent) in [(1, false), (1500, false), (1, true)] {
        let mut world = healthy(2, Config::count(2), 1);
        world.netifd.interfaces = (0..2).map(interface).collect();
        (world.netifd.delay, world.netifd.silent) = (ms(delay), silent);
        never_without(&mut world);
        world.feed(Event::Reload(Box::new(Config::interfaces(2).0)));
        world.pass(ms(delay) / 2);
        let ours = world.kernel.defaults().filter(|it| it.is_ours()).count();
        assert_eq!((ours, world.changes.len()), (2, 0), "the slots of before stay until netifd tells");
        if silent {
            // Nothing is known of them. Once the grace time is over their slots go; the route that was moved is there.
            world.pass(secs(3));
            assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("unresolved", "wan0"));
            world.netifd.silent = false;
            world.pass(secs(40));
        }
        world.pass(secs(100));
        assert_eq!((world.traffic().as_str(), world.state_of("b").as_str()), ("wan0", "online"), "{delay} ms");
    }
}

#[test]
fn a_reload_neither_ends_the_wait_nor_makes_it_longer() {
    for (silent, why) in [(false, "netifd answers late"), (true, "or not at all")] {
        let mut world = killed();
        never_without(&mut world);
        let before = world.kernel.clone();
        (world.netifd.delay, world.netifd.silent) = (ms(1900), silent);
        let start = world.now;
        world.start(Config::interfaces(2).0);
        world.pass(ms(1000));
        world.feed(Event::Reload(Box::new(Config::interfaces(2).with(|it| it.providers[1].metered = true).0)));
        world.pass(ms(800));
        assert!(world.changes.is_empty() && world.state_of("a") == "unresolved", "{why}");
        world.pass(ms(1200));
        assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "online"), "{why}");
        assert_eq!((&world.kernel, world.switches_since(start)), (&before, 0), "{why}");
    }
}

#[test]
fn a_stop_does_not_wait() {
    let mut world = killed();
    world.netifd.silent = true;
    world.start(Config::interfaces(2).0);
    world.pass(ms(100));
    world.feed(Event::Stop);
    world.pass(ms(100));
    assert!(world.stopped && world.kernel.is_clean());
}

#[test]
fn what_is_known_is_saved_when_it_changes() {
    let mut world = proved(World::with_interfaces(3, &[], 1), 2, Config::interfaces(2));
    let names = |state: &State| state.interfaces.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&world.state), ["isp0", "isp1"], "those of providers alone");
    world.state.interfaces.clear();
    world.netifd_says(|it| it[2].addresses.clear());
    world.pass(ms(5));
    assert!(world.state.interfaces.is_empty(), "not without need");
    world.netifd_says(|it| it[1].addresses.clear());
    world.pass(ms(5));
    assert_eq!((names(&world.state).len(), world.state.interfaces[1].addresses.len()), (2, 0));
    world.feed(Event::Reload(Box::new(Config::interfaces(1).0)));
    world.pass(ms(5));
    assert_eq!(names(&world.state), ["isp0"]);
}
