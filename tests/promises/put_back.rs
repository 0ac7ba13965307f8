//! Promise 2: after a stop the kernel's routes, rules and sysctls are what they were before the start, byte for byte and in the
//! same order; after `kill -9`, `cleanup` or the next stop gets there too.

use std::net::Ipv4Addr;

use lab::{LabConfig, RouteWrite, protocol, wait_for};

use crate::world::{BRISK, SOON, World};

/// Something that another program or the administrator had set up before the start.
type Prepare = fn(&World);

fn default_route(world: &World, provider: u8, metric: u32, protocol: u8) -> lab::Route {
    world.lab.router().default_route(world.provider(provider)).metric(metric).protocol(protocol)
}

fn add(world: &World, route: &lab::Route) {
    world.lab.router().write(RouteWrite::Add, route).unwrap();
}

/// What may be there, with a reason.
const BEFORE: [(&str, Prepare); 10] = [
    ("nothing", |_| {}),
    ("a DHCP client's route", |world| add(world, &default_route(world, 0, 0, protocol::DHCP))),
    ("a route by hand at metric 0", |world| add(world, &default_route(world, 0, 0, protocol::BOOT))),
    ("a route with attributes", |world| {
        let source = Ipv4Addr::new(192, 168, 1, 2);
        add(world, &default_route(world, 1, 0, protocol::DHCP).mtu(1400).onlink().source(source));
    }),
    ("two of the same metric, the second provider first", |world| {
        add(world, &default_route(world, 1, 0, protocol::DHCP));
        world.lab.router().write(RouteWrite::Append, &default_route(world, 0, 0, protocol::DHCP)).unwrap();
    }),
    ("two of the same metric by different programs", |world| {
        add(world, &default_route(world, 0, 5, protocol::STATIC).mtu(1300));
        world.lab.router().write(RouteWrite::Append, &default_route(world, 1, 5, protocol::DHCP)).unwrap();
    }),
    ("routes at our slots' metrics", |world| {
        add(world, &default_route(world, 0, 2, protocol::STATIC));
        add(world, &default_route(world, 1, 3, protocol::DHCP));
    }),
    ("one metric for each, as a careful administrator has it", |world| {
        add(world, &default_route(world, 0, 10, protocol::STATIC));
        add(world, &default_route(world, 1, 20, protocol::STATIC));
    }),
    ("strict reverse path filters everywhere", |world| world.lab.set_rp_filter(1).unwrap()),
    ("a strict reverse path filter on one device", |world| {
        world.lab.router().set_device_sysctl("wan1", "rp_filter", "1").unwrap();
        world.lab.router().set_device_sysctl("wan0", "rp_filter", "2").unwrap();
        world.lab.router().set_device_sysctl("wan0", "ignore_routes_with_linkdown", "1").unwrap();
    }),
];

#[test]
fn a_stop_puts_everything_back() {
    for (what, prepare) in BEFORE {
        for takeover in ["1", "0"] {
            let world = World::new(LabConfig::default());
            world.configure(&world.lab.uci(&[&BRISK[..], &[("takeover", takeover)]].concat()));
            prepare(&world);
            let before = world.view();
            let daemon = world.start();
            assert!(!before.difference(&world.view()).is_empty(), "{what}: it did something");
            world.stop(&daemon);
            world.assert_as_before(&before, &format!("{what}, takeover {takeover}"));
        }
    }
}

#[test]
fn after_a_kill_cleanup_or_the_next_stop_puts_everything_back() {
    for (what, prepare) in BEFORE {
        let world = World::new(LabConfig::default());
        prepare(&world);
        let before = world.view();
        world.start().kill().unwrap();
        let (during, what) = (world.view(), format!("{what}, killed"));
        assert!(!before.difference(&during).is_empty(), "{what}: it was in the kernel");
        world.ask(&["cleanup"]);
        world.assert_as_before(&before, &format!("{what}, cleaned up"));
        assert!(world.ask(&["cleanup"]).contains("nothing"), "{what}: and once is enough");

        world.start().kill().unwrap();
        let daemon = world.start();
        world.stop(&daemon);
        world.assert_as_before(&before, &format!("{what}, started again and stopped"));
    }
}

#[test]
fn a_killed_daemon_without_its_state_file_is_cleaned_up_by_the_numbers_alone() {
    let world = World::new(LabConfig::default());
    add(&world, &default_route(&world, 1, 7, protocol::DHCP).mtu(1400));
    let before = world.view();
    world.start().kill().unwrap();
    std::fs::remove_file(world.lab.run_dir().join("failover/state.json")).unwrap();
    world.ask(&["cleanup"]);
    // The sysctls cannot be known without it; no more than those is missing.
    let difference = before.difference(&world.view());
    assert!(difference.iter().all(|line| line.contains("ignore_routes_with_linkdown")), "{difference:#?}");
}

#[test]
fn cleanup_refuses_while_the_daemon_runs() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    let during = world.view();
    let refused = world.cli(&["cleanup"]);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("runs already"), "{}", refused.stderr);
    assert_eq!(during.difference(&world.view()), Vec::<String>::new());
    assert!(daemon.is_running());
}

#[test]
fn after_eventful_days_too() {
    let world = World::new(LabConfig { providers: 3, ..LabConfig::default() });
    world.lab.set_rp_filter(1).unwrap();
    add(&world, &default_route(&world, 0, 0, protocol::DHCP).mtu(1400));
    let before = world.view();
    let daemon = world.start();
    world.provider(0).silent(true);
    world.wait_route(1);
    world.provider(0).silent(false);
    world.wait_route(0);
    for number in [0, 1] {
        world.provider(number).carrier(false).unwrap();
        world.wait_state(number, "no_carrier");
        world.provider(number).carrier(true).unwrap();
        world.wait_state(number, "online");
    }
    world.ask(&["pin", "wan2"]);
    world.wait_route(2);
    world.ask(&["unpin"]);
    world.wait_route(0);
    world.configure(&world.lab.uci(&[&BRISK[..], &[("start_metric", "30"), ("base_table", "9100")]].concat()));
    world.ask(&["reload"]);
    world.wait_slots(&[(30, 0), (31, 1), (32, 2)]);
    world.stop(&daemon);
    world.assert_as_before(&before, "all of them over");
}

#[test]
fn stopped_in_the_middle_of_trouble() {
    type Trouble = fn(&World, bool);
    for (what, trouble) in [
        ("no carrier", (|world, on| world.provider(0).carrier(!on).unwrap()) as Trouble),
        ("both lines cut", |world, on| [0, 1].iter().for_each(|number| world.provider(*number).silent(on))),
        ("pinned to the other one", |world, on| match on {
            true => _ = world.ask(&["pin", "wan1"]),
            false => std::fs::remove_file(world.lab.run_dir().join("failover/state.json")).unwrap(),
        }),
    ] {
        for killed in [false, true] {
            let world = World::new(LabConfig::default());
            world.lab.set_rp_filter(1).unwrap();
            add(&world, &default_route(&world, 0, 0, protocol::DHCP).mtu(1400));
            world.lab.router().write(RouteWrite::Append, &default_route(&world, 1, 0, protocol::DHCP)).unwrap();
            let before = world.view();
            let daemon = world.start();
            trouble(&world, true);
            world.wait_status("something to be amiss", |status| {
                status["active"] != "wan0" || status["unverified"] == true
            });
            match killed {
                true => {
                    daemon.kill().unwrap();
                    world.ask(&["cleanup"]);
                }
                false => world.stop(&daemon),
            }
            trouble(&world, false);
            let back = wait_for(SOON, "everything as before", || before.difference(&world.view()).is_empty());
            back.unwrap_or_else(|error| {
                panic!("{what}, killed {killed}: {error}: {:#?}", before.difference(&world.view()))
            });
        }
    }
}

#[test]
fn a_device_that_came_back_has_its_own_values() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    world.provider(1).remove_device().unwrap();
    world.wait_state(1, "unresolved");
    world.provider(1).restore_device().unwrap();
    world.wait_state(1, "online");
    world.stop(&daemon);
    let (after, ours) = (world.view(), |line: &&String| line.contains("proto 102") || line.contains("linkdown = 1"));
    let left: Vec<&String> = [&after.routes, &after.rules, &after.sysctls].into_iter().flatten().filter(ours).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn what_others_change_meanwhile_is_theirs() {
    let world = World::new(LabConfig::default());
    let router = world.lab.router();
    add(&world, &default_route(&world, 0, 0, protocol::DHCP));
    let daemon = world.start();
    // The DHCP client of the second line came later and took the metric 0, which the kernel has only once.
    router.write(RouteWrite::Replace, &default_route(&world, 1, 0, protocol::DHCP)).unwrap();
    world.wait_defaults("both routes to be moved", |lines| {
        lines.iter().filter(|it| it.contains("proto 16 ")).count() == 2
            && lines
                .iter()
                .filter(|it| it.contains("proto 16 "))
                .all(|it| crate::world::word(it, "metric") >= 1_000_000_000)
    });
    world.stop(&daemon);
    let left = world.defaults();
    assert_eq!(left.len(), 1, "as if we had not been there, the last one holds the metric: {left:#?}");
    assert!(left[0].contains("oif 101 ") && !left[0].contains(" metric "), "{left:#?}");
    let gone = || world.lab.router().rules().unwrap().iter().all(|rule| !rule.contains("proto 102"));
    wait_for(SOON, "no rules of ours", gone).unwrap();
}
