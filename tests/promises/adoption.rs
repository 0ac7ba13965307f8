//! What a start does to traffic that flows already, to a router without a route, and to one with a single provider.

use std::time::{Duration, Instant};

use lab::{DefaultRouteWatcher, InitialDefault, LabConfig, protocol};

use crate::world::{BRISK, SECOND, SOON, World, stays};

#[test]
fn a_restart_leaves_traffic_on_the_backup() {
    let world = World::new(LabConfig { providers: 3, ..LabConfig::default() });
    // Failback is an hour away.
    world.configure(&world.lab.uci(&[&BRISK[..2], &[("failback_delay", "1h")]].concat()));
    let daemon = world.start();
    world.provider(0).silent(true);
    world.wait_route(1);
    world.provider(0).silent(false);
    let stream = world.lab.stream().unwrap();
    stream.wait_until_via(1, SOON).unwrap();
    let begin = Instant::now();
    daemon.kill().unwrap();
    let daemon = world.start();
    world.wait_status("all online", |status| status["active"] == "wan1");
    stays(2 * SECOND, "the route through provider 1", || world.lab.active_provider().unwrap() == Some(1));
    let end = Instant::now();
    let timeline = stream.stop(SECOND);
    assert!(timeline.providers_between(begin, end).iter().all(|(provider, _)| *provider == 1));
    assert_eq!(timeline.lost_between(begin, end), 0);
    world.stop(&daemon);
}

#[test]
fn nothing_moves_before_the_checks_have_spoken() {
    let foreign = InitialDefault { provider: 1, metric: 0, protocol: protocol::DHCP };
    let world = World::new(LabConfig { initial_defaults: vec![foreign], ..LabConfig::default() });
    // No line answers within the first second and a half.
    for provider in world.lab.providers() {
        provider.delay(1500 * SECOND / 1000, Duration::ZERO);
    }
    let begin = Instant::now();
    let daemon = world.launch();
    world.wait_slots(&[(2, 1), (3, 0)]);
    while begin.elapsed() < SECOND {
        assert_eq!(world.lab.active_provider().unwrap(), Some(1));
        assert_eq!(world.slots(), [(2, 1), (3, 0)]);
    }
    assert_eq!(world.status()["active"], "wan1");
    world.provider(0).heal();
    world.provider(1).heal();
    world.wait_state(1, "online");
    world.wait_state(0, "online");
    // The preferred one takes over when it has been reliable for long enough, and not before.
    let watcher = DefaultRouteWatcher::start(world.lab.router().namespace(), SECOND / 1000).unwrap();
    world.wait_route(0);
    assert_eq!(watcher.stop().missing, 0);
    world.stop(&daemon);
}

#[test]
fn a_dead_line_that_held_the_route_is_left() {
    let foreign = InitialDefault { provider: 0, metric: 0, protocol: protocol::DHCP };
    let world = World::new(LabConfig { initial_defaults: vec![foreign], ..LabConfig::default() });
    world.provider(0).silent(true);
    let daemon = world.launch();
    world.wait_route(1);
    world.wait_state(0, "offline");
    world.stop(&daemon);
}

#[test]
fn without_any_route_slots_are_written_at_once() {
    let world = World::new(LabConfig::default());
    for provider in world.lab.providers() {
        provider.silent(true);
    }
    let daemon = world.launch();
    world.wait_slots(&[(2, 0), (3, 1)]);
    // The kernel keeps the first: any route is better than none.
    world.wait_state(0, "offline");
    assert_eq!(world.lab.active_provider().unwrap(), Some(0));
    world.stop(&daemon);
}

#[test]
fn a_single_provider_leaves_foreign_routes_alone() {
    let world = World::new(LabConfig { providers: 1, ..LabConfig::default() });
    let router = world.lab.router();
    let foreign = router.default_route(world.provider(0)).metric(5).protocol(protocol::DHCP);
    router.write(lab::RouteWrite::Add, &foreign).unwrap();
    let before = world.view();
    let daemon = world.start();
    assert_eq!(world.defaults().len(), 1, "the foreign one, where it was: {:#?}", world.defaults());
    assert_eq!(before.sysctls, world.view().sysctls, "nothing to choose: no sysctl either");
    let ours = |lines: &[String]| lines.iter().filter(|line| line.contains("proto 102")).count();
    assert_eq!((ours(&world.view().routes), ours(&world.view().rules)), (3, 2), "its table and its rules");
    router.write(lab::RouteWrite::Delete, &foreign).unwrap();
    world.wait_slots(&[(2, 0)]);
    router.write(lab::RouteWrite::Add, &foreign).unwrap();
    world.wait_slots(&[]);
    world.provider(0).silent(true);
    world.wait_state(0, "offline");
    world.wait_route(0);
    world.stop(&daemon);
    world.assert_as_before(&before, "stopped");
}

#[test]
fn gateways_are_learnt_from_the_devices_own_routes() {
    let foreign = [0, 1].map(|provider| InitialDefault { provider, metric: 10 + u32::from(provider), protocol: 16 });
    let world = World::new(LabConfig { initial_defaults: foreign.to_vec(), ..LabConfig::default() });
    let learnt: String = world
        .lab
        .uci(&BRISK)
        .lines()
        .filter(|line| !line.contains("gateway"))
        .map(|line| format!("{line}\n"))
        .collect();
    world.configure(&learnt);
    let before = world.view();
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1)]);
    daemon.kill().unwrap();
    let daemon = world.start();
    world.provider(0).silent(true);
    world.wait_route(1);
    world.stop(&daemon);
    world.assert_as_before(&before, "stopped");
}
