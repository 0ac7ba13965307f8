//! ubus restarted, hung, or with an ACL that does not know us: routing goes on, told once, and all is as before when it is back.

use std::time::{Duration, Instant};

use lab::{LabConfig, Manner, Process, wait_for};

use super::{Home, interface, lowered};
use crate::world::{SECOND, SOON, stays};

/// Lines of the log that tell of it.
fn told(daemon: &Process, about: &str) -> Vec<String> {
    let worth = |text: &String| !text.starts_with("debug") && text.contains(about);
    daemon.stderr().into_iter().map(|line| line.text).filter(worth).collect()
}

#[test]
fn a_broker_that_hangs_or_restarts_changes_nothing() {
    let mut home = Home::new(LabConfig { identical: false, ..LabConfig::default() });
    let daemon = home.world.start();
    home.world.wait_slots(&[(2, 0), (3, 1)]);
    let stream = home.world.lab.stream().unwrap();
    for stop in [false, true] {
        let before = told(&daemon, "ubus").len();
        home.wait_leads(0, &interface(&home.world, 0));
        stream.wait_until_via(0, SOON).unwrap();
        if stop {
            home.world.broker.stop()
        } else {
            home.world.broker.hang(true)
        }
        stays(SECOND, "the routes", || home.leads(0, &interface(&home.world, 0)));
        // The kernel's word alone is enough where netifd's device stays the same.
        home.world.provider(0).carrier(false).unwrap();
        stream.wait_until_via(1, SOON).unwrap();
        home.world.provider(0).carrier(true).unwrap();
        stream.wait_until_via(0, SOON).unwrap();
        home.world.provider(0).silent(true);
        stream.wait_until_via(1, SOON).unwrap();
        home.world.provider(0).silent(false);
        stream.wait_until_via(0, SOON).unwrap();
        let lines = told(&daemon, "ubus").split_off(before);
        // A short hang need not be noticed, the end must be told, and both once.
        assert!(lines.len() <= 1 && (!stop || lines.len() == 1), "stopped {stop}: {lines:#?}");
        if stop {
            home.world.broker.restart().unwrap()
        } else {
            home.world.broker.hang(false)
        }
        let back = Instant::now();
        home.world.wait_status("the object to be back", |status| status["active"] == "wan0");
        assert!(back.elapsed() < 5 * SECOND, "stopped {stop}: {:?}", back.elapsed());
        // netifd is heard again.
        let moved = {
            let mut shape = interface(&home.world, 1);
            shape["ipv4-address"][0]["address"] = format!("192.168.11.{}", 50 + u8::from(stop)).into();
            shape
        };
        home.up(1, moved.clone());
        home.wait_leads(1, &moved);
    }
    home.world.stop(&daemon);
}

#[test]
fn a_netifd_that_is_forbidden_silent_or_mad_changes_nothing_and_is_told_once() {
    for (manner, about) in [
        (Manner::Refusing(6), "acl.d"),
        (Manner::Silent, "netifd"),
        (Manner::Garbage(vec![0xff; 7]), "netifd"),
        (Manner::Slow(Duration::from_millis(300)), "netifd"),
    ] {
        let home = Home::new(LabConfig { identical: false, ..LabConfig::default() });
        let daemon = home.world.start();
        home.world.wait_slots(&[(2, 0), (3, 1)]);
        home.netifd.manner(manner.clone());
        let dumps = home.netifd.dumps();
        for _ in 0..5 {
            home.netifd.announce("wan1", true);
            std::thread::sleep(SECOND / 20);
        }
        wait_for(SOON, "netifd to be asked", || home.netifd.dumps() > dumps).unwrap();
        home.world.provider(0).silent(true);
        home.world.wait_route(1);
        home.world.provider(0).silent(false);
        home.world.wait_route(0);
        // The first slot is there before the rest of the list is.
        for number in [0, 1] {
            home.wait_leads(number, &interface(&home.world, number));
        }
        let lines = told(&daemon, about);
        assert!(lines.len() <= 1, "{manner:?}: {lines:#?}");
        home.netifd.manner(Manner::Prompt);
        home.down(1, lowered(&interface(&home.world, 1), true, false));
        home.world.wait_state(1, "disabled");
        home.world.stop(&daemon);
    }
}
