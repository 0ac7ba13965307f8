//! Promise 1: while any provider has a gateway there is never a moment without a default route in main. The kernel's own route
//! look-up is asked without pause while things happen.

use std::time::Duration;

use lab::{InitialDefault, LabConfig, protocol};

use crate::world::{BRISK, World};

fn with_foreign_default() -> LabConfig {
    let initial_defaults = vec![InitialDefault { provider: 0, metric: 0, protocol: protocol::DHCP }];
    LabConfig { providers: 3, initial_defaults, ..LabConfig::default() }
}

#[test]
fn start_switch_failback_and_stop() {
    let world = World::alone(with_foreign_default());
    world.never_without("the daemon comes, works and goes", || {
        let daemon = world.start();
        world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
        world.provider(0).silent(true);
        world.wait_route(1);
        world.provider(0).silent(false);
        world.wait_route(0);
        world.provider(0).carrier(false).unwrap();
        world.wait_route(1);
        world.wait_slots(&[(2, 1), (3, 2), (4, 0)]);
        world.provider(0).carrier(true).unwrap();
        world.wait_route(0);
        world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
        world.stop(&daemon);
    });
    assert_eq!(world.defaults().len(), 1, "the foreign one is back, alone");
}

#[test]
fn devices_go_away() {
    let world = World::alone(LabConfig { providers: 3, ..LabConfig::default() });
    let daemon = world.start();
    world.never_without("devices are pulled out and plugged in", || {
        world.provider(0).remove_device().unwrap();
        world.wait_route(1);
        world.provider(0).restore_device().unwrap();
        world.wait_route(0);
        world.provider(0).device_up(false).unwrap();
        world.wait_route(1);
        world.provider(0).device_up(true).unwrap();
        world.wait_route(0);
        world.provider(0).router_address(false).unwrap();
        world.wait_route(1);
        world.provider(0).router_address(true).unwrap();
        world.wait_route(0);
    });
    world.stop(&daemon);
}

#[test]
fn reloads() {
    let world = World::alone(LabConfig { providers: 3, ..LabConfig::default() });
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
    let all = world.lab.uci(&BRISK);
    let reload = |text: String| {
        world.configure(&text);
        daemon.signal(libc::SIGHUP).unwrap();
    };
    // In place of the whole section: the sections are three lines and an empty one each.
    let without = |name: &str| {
        let sections: Vec<&str> = all.split("\n\n").collect();
        let kept: Vec<&str> = sections.into_iter().filter(|it| !it.contains(&format!("provider '{name}'"))).collect();
        kept.join("\n\n")
    };
    world.never_without("the configuration changes", || {
        let moved = [&BRISK[..], &[("start_metric", "20")]].concat();
        reload(world.lab.uci(&moved));
        world.wait_slots(&[(20, 0), (21, 1), (22, 2)]);
        reload(all.clone());
        world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
        reload(without("wan0"));
        world.wait_slots(&[(2, 1), (3, 2)]);
        reload(all.clone());
        world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
        reload(all.replace("config provider 'wan0'", "config provider 'wan0'\n\toption priority '9'"));
        world.wait_slots(&[(2, 1), (3, 2), (4, 0)]);
        let tables = [&BRISK[..], &[("base_table", "8100"), ("base_priority", "9000")]].concat();
        reload(world.lab.uci(&tables));
        world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
        reload(all.clone());
        world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
    });
    world.stop(&daemon);
}

#[test]
fn stopped_or_killed_and_started_again() {
    let world = World::alone(with_foreign_default());
    world.never_without("restarts", || {
        for _ in 0..3 {
            let daemon = world.start();
            daemon.kill().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            let daemon = world.start();
            world.provider(0).silent(true);
            world.wait_route(1);
            daemon.kill().unwrap();
            let daemon = world.launch();
            world.provider(0).silent(false);
            world.wait_route(0);
            world.stop(&daemon);
        }
    });
}
