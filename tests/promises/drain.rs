//! What becomes of connections on the backup when traffic moves back to the better provider: they live out their life there, are
//! forgotten, or are forgotten after a time.

use std::time::Instant;

use lab::{Flows, LabConfig, Nat, Transfer};

use crate::world::{BRISK, SECOND, SOON, World};

/// Identical providers, the first of which has failed, with a transfer over the second; `options` are those of the second.
fn on_the_backup(nat: Nat, options: &[(u8, &str, &str)]) -> (World, lab::Process, Transfer) {
    let world = World::alone(LabConfig { nat, peers: true, ..LabConfig::default() });
    world.configure(&world.uci(&BRISK, options));
    let daemon = world.start();
    world.wait_marks();
    world.provider(0).silent(true);
    world.wait_route(1);
    let transfer = world.lab.client().transfer().unwrap();
    assert_eq!(transfer.progress().provider, 1);
    transfer.wait_until_it_goes_on(SOON).unwrap();
    (world, daemon, transfer)
}

#[test]
fn kept_a_transfer_goes_on_without_a_lost_byte_while_new_ones_use_the_better_provider() {
    for nat in [Nat::None, Nat::Snat, Nat::Masquerade] {
        let (world, daemon, transfer) = on_the_backup(nat, &[(1, "drain", "keep")]);
        let stream = world.lab.client().stream(SECOND / 50, Flows::One).unwrap();
        stream.wait_until_via(1, SOON).unwrap();
        let healed = Instant::now();
        world.provider(0).silent(false);
        world.wait_route(0);
        for _ in 0..5 {
            assert_eq!(world.lab.client().transfer().unwrap().progress().provider, 0, "{nat:?}: new ones");
            std::thread::sleep(SECOND / 5);
            transfer.wait_until_it_goes_on(SOON).unwrap_or_else(|error| panic!("{nat:?}: {error}"));
        }
        let (end, progress) = (Instant::now(), transfer.progress());
        assert_eq!((progress.wrong, progress.end), (None, None), "{nat:?}");
        let timeline = stream.stop(SECOND);
        let through: Vec<u8> = timeline.providers_between(healed, end).into_iter().map(|(it, _)| it).collect();
        assert_eq!((through, timeline.lost_between(healed, end)), (vec![1], 0), "{nat:?}: datagrams, too");
        world.stop(&daemon);
    }
}

#[test]
fn cut_they_end_at_once() {
    let metered = [(1, "metered", "1"), (1, "standby_interval", "200ms"), (0, "inbound", "1")];
    for (nat, options) in [
        (Nat::Masquerade, &[(1, "drain", "cut")][..]),
        (Nat::Snat, &[(1, "drain", "cut")]),
        (Nat::Masquerade, &metered),
    ] {
        let (world, daemon, transfer) = on_the_backup(nat, options);
        let stream = world.lab.client().stream(SECOND / 50, Flows::One).unwrap();
        stream.wait_until_via(1, SOON).unwrap();
        world.provider(0).silent(false);
        world.wait_route(0);
        let ended = transfer.wait_for_its_end(5 * SECOND);
        ended.unwrap_or_else(|error| panic!("{nat:?}, {options:?}: {error}"));
        stream.wait_until_via(0, SOON).unwrap_or_else(|error| panic!("{nat:?}, {options:?}: {error}"));
        assert_eq!(world.lab.client().transfer().unwrap().progress().provider, 0);
        world.stop(&daemon);
    }
}

#[test]
fn after_a_time_they_end() {
    let (world, daemon, transfer) = on_the_backup(Nat::Masquerade, &[(1, "drain", "3")]);
    world.provider(0).silent(false);
    world.wait_route(0);
    let back = Instant::now();
    world.wait_status("the time that is left", |status| {
        let mut all = status["providers"].as_array().into_iter().flatten();
        all.any(|it| it["name"] == "wan1" && it["drain_in"].as_u64().is_some_and(|left| left <= 3))
    });
    let (end, _) = transfer.wait_for_its_end(SOON).unwrap();
    assert!(end - back > 2 * SECOND, "only {:?} later", end - back);
    assert_eq!(world.status_of(1)["drain_in"], serde_json::Value::Null);
    world.stop(&daemon);
}

#[test]
fn who_is_used_again_in_time_keeps_them() {
    let (world, daemon, transfer) = on_the_backup(Nat::Masquerade, &[(1, "drain", "3")]);
    world.provider(0).silent(false);
    world.wait_route(0);
    world.provider(0).silent(true);
    world.wait_route(1);
    std::thread::sleep(4 * SECOND);
    transfer.wait_until_it_goes_on(SOON).unwrap();
    assert_eq!(transfer.progress().wrong, None);
    world.stop(&daemon);
}
