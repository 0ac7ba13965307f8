//! Promises 4 and 5: failback loses nothing, and whatever happens to a line moves traffic to another one. Order and loss, not
//! speed: how long it takes is the bench's business.

use std::time::Instant;

use lab::{Flows, LabConfig, Nat, Stream, wait_for};

use crate::world::{BRISK, FAST, SECOND, SOON, World};

fn config(identical: bool, nat: Nat) -> LabConfig {
    LabConfig { providers: 3, identical, nat, ..LabConfig::default() }
}

/// A flow that runs through provider 0.
fn flow(world: &World) -> Stream {
    let stream = world.lab.client().stream(SECOND / 500, Flows::One).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    stream
}

/// The most datagrams that a switch may lose, when so many are on their way at once. With masquerade the kernel drops the first one
/// that leaves by another device and forgets the flow: what is on its way then finds no way back. Without it nothing is lost.
fn most(nat: Nat, on_their_way: usize) -> usize {
    if nat == Nat::Masquerade { 1 + on_their_way } else { 0 }
}

#[test]
fn failback_loses_nothing_that_the_kernel_does_not_lose_by_itself() {
    for nat in [Nat::None, Nat::Snat, Nat::Masquerade] {
        let world = World::alone(config(true, nat));
        let daemon = world.start();
        let stream = flow(&world);
        world.provider(0).silent(true);
        stream.wait_until_via(1, SOON).unwrap();
        let healed = Instant::now();
        world.provider(0).silent(false);
        stream.wait_until_via(0, SOON).unwrap();
        let end = Instant::now();
        let timeline = stream.stop(SECOND);
        let (lost, waiting) = (timeline.lost_between(healed, end), timeline.on_their_way_between(healed, end));
        assert!(lost <= most(nat, waiting), "{nat:?}: {lost} datagrams lost at failback, {waiting} on their way");
        world.stop(&daemon);
    }
}

#[test]
fn a_pin_moves_traffic_and_loses_no_more() {
    for nat in [Nat::None, Nat::Snat, Nat::Masquerade] {
        let world = World::alone(config(true, nat));
        let daemon = world.start();
        world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
        let stream = flow(&world);
        for (command, number) in [(["pin", "wan2"].as_slice(), 2), (&["pin", "wan1"], 1), (&["unpin"], 0)] {
            let ordered = Instant::now();
            world.ask(command);
            stream.wait_until_via(number, SOON).unwrap();
            // The second of two datagrams in a row is answered: what was lost before is lost.
            std::thread::sleep(SECOND / 10);
            let until = Instant::now() - SECOND / 20;
            let (lost, waiting) = (stream.lost_between(ordered, until), stream.on_their_way_between(ordered, until));
            assert!(lost <= most(nat, waiting), "{nat:?}, {command:?}: {lost} lost, {waiting} on their way");
        }
        world.stop(&daemon);
    }
}

#[test]
fn a_switch_is_one_step() {
    let world = World::alone(config(true, Nat::None));
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
    let watcher = world.lab.watch_default_route().unwrap();
    // The provider of the second slot is neither the one before nor the one after: a detour would be seen.
    let order = [2, 1].repeat(10);
    for number in &order {
        world.ask(&["pin", &format!("wan{number}")]);
        world.wait_route(*number);
        let others: Vec<u8> = (0..3).filter(|other| other != number).collect();
        world.wait_slots(&[(2, *number), (3, others[0]), (4, others[1])]);
        // On a busy machine the watcher may sleep through a whole switch and the next one back.
        let seen = || watcher.report().changes.last().is_some_and(|(_, it)| *it == Some(100 + u32::from(*number)));
        wait_for(SOON, "the watcher to have seen it", seen).unwrap();
    }
    let seen: Vec<Option<u32>> = watcher.stop().changes.into_iter().map(|(_, device)| device).collect();
    let wanted: Vec<Option<u32>> = [0].iter().chain(&order).map(|number| Some(100 + u32::from(*number))).collect();
    assert_eq!(seen, wanted, "from one to the other, with nothing in between");
    world.stop(&daemon);
}

#[test]
fn a_silent_cut_moves_traffic() {
    for (identical, nat, settings) in [
        (true, Nat::None, &BRISK[..]),
        (true, Nat::Masquerade, &BRISK),
        (false, Nat::None, &BRISK),
        (false, Nat::Masquerade, &BRISK),
        (true, Nat::None, &FAST),
        (false, Nat::Masquerade, &FAST),
        (true, Nat::Snat, &[]),
    ] {
        let world = World::alone(config(identical, nat));
        world.configure(&world.lab.uci(settings));
        let daemon = world.start();
        let stream = flow(&world);
        let what = format!("identical {identical}, {nat:?}, {settings:?}");
        for behind_gateway in [false, true] {
            let cut = Instant::now();
            match behind_gateway {
                false => world.provider(0).silent(true),
                true => world.provider(0).silent_behind_gateway(true),
            }
            stream.wait_until_via(1, 5 * SECOND).unwrap_or_else(|error| panic!("{what}: {error}"));
            let reason = world.wait_state(0, "offline")["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains("probes to 4 targets"), "{what}: {reason}");
            assert!(stream.outage_between(cut, Instant::now()) > SECOND / 20, "{what}: it was cut");
            world.provider(0).heal();
            if settings.is_empty() {
                break;
            }
            stream.wait_until_via(0, SOON).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        world.stop(&daemon);
    }
}

#[test]
fn strict_reverse_path_filters_do_not_matter() {
    for (all, device) in [("1", "1"), ("0", "1"), ("1", "0"), ("2", "1"), ("2", "0")] {
        let world = World::new(config(true, Nat::None));
        world.lab.router().set_device_sysctl("all", "rp_filter", all).unwrap();
        for provider in world.lab.providers() {
            world.lab.router().set_device_sysctl(provider.device(), "rp_filter", device).unwrap();
        }
        let before = world.view();
        let daemon = world.start();
        let stream = flow(&world);
        for number in [0, 1] {
            world.provider(number).silent(true);
            let moved = stream.wait_until_via(number + 1, 5 * SECOND);
            moved.unwrap_or_else(|error| panic!("all {all}, device {device}: {error}"));
        }
        world.stop(&daemon);
        world.assert_as_before(&before, &format!("all {all}, device {device}"));
    }
}

#[test]
fn a_lost_carrier_moves_traffic_and_a_found_one_must_prove_itself() {
    for identical in [true, false] {
        let world = World::alone(config(identical, Nat::None));
        let daemon = world.start();
        let stream = flow(&world);
        world.provider(0).carrier(false).unwrap();
        stream.wait_until_via(1, 5 * SECOND).unwrap();
        let status = world.wait_state(0, "no_carrier");
        assert_eq!(status["reason"], "no carrier");
        // It comes back without an internet behind it: the kernel must not send traffic there.
        world.wait_slots(&[(2, 1), (3, 2), (4, 0)]);
        let back = Instant::now();
        world.provider(0).silent_behind_gateway(true);
        world.provider(0).carrier(true).unwrap();
        world.wait_state(0, "offline");
        let healed = Instant::now();
        world.provider(0).heal();
        stream.wait_until_via(0, SOON).unwrap();
        let timeline = stream.stop(SECOND);
        assert_eq!(timeline.lost_between(back, healed), 0, "identical {identical}");
        assert!(timeline.providers_between(back, healed).iter().all(|(provider, _)| *provider == 1));
        assert_eq!(timeline.lost_between(healed, Instant::now() - SECOND), 0, "identical {identical}: failback");
        world.stop(&daemon);
    }
}

#[test]
fn on_lost_carrier_the_kernel_itself_moves_traffic() {
    let world = World::new(config(true, Nat::None));
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
    let stream = flow(&world);
    daemon.signal(libc::SIGSTOP).unwrap();
    for number in [0, 1] {
        world.provider(number).carrier(false).unwrap();
        stream.wait_until_via(number + 1, 5 * SECOND).unwrap();
    }
    daemon.signal(libc::SIGCONT).unwrap();
    world.wait_state(0, "no_carrier");
    world.wait_slots(&[(2, 2), (3, 0), (4, 1)]);
    world.stop(&daemon);
}

#[test]
fn what_goes_away_is_left_and_comes_back() {
    type Act = fn(&World, bool);
    for (what, act, reason) in [
        (
            "the device",
            (|world, back| match back {
                false => world.provider(0).remove_device().unwrap(),
                true => world.provider(0).restore_device().unwrap(),
            }) as Act,
            "no device wan0",
        ),
        ("the device's state", |world, back| world.provider(0).device_up(back).unwrap(), "device wan0 is down"),
        ("its address", |world, back| world.provider(0).router_address(back).unwrap(), "configured address"),
    ] {
        for identical in [true, false] {
            let world = World::new(config(identical, Nat::None));
            let daemon = world.start();
            let stream = flow(&world);
            for _ in 0..2 {
                act(&world, false);
                stream.wait_until_via(1, 5 * SECOND).unwrap_or_else(|error| panic!("{what}: {error}"));
                let status = world.wait_state(0, "unresolved");
                assert!(status["reason"].as_str().unwrap().contains(reason), "{what}: {status:#}");
                world.wait_slots(&[(2, 1), (3, 2)]);
                act(&world, true);
                stream.wait_until_via(0, SOON).unwrap_or_else(|error| panic!("{what}: {error}"));
                world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
            }
            world.stop(&daemon);
        }
    }
}

#[test]
fn when_all_fail_the_last_one_is_kept_and_the_first_to_return_is_used() {
    let world = World::new(config(true, Nat::None));
    let daemon = world.start();
    let stream = flow(&world);
    for number in [0, 1, 2] {
        world.provider(number).silent(true);
        world.wait_state(number, "offline");
    }
    let status = world.wait_status("nothing reliable", |status| status["unverified"] == true);
    assert_eq!(status["active"], "wan2", "the last one that worked: {status:#}");
    assert_eq!(world.lab.active_provider().unwrap(), Some(2));
    assert_eq!(world.cli(&["status"]).code(), 1);
    world.provider(1).silent(false);
    stream.wait_until_via(1, SOON).unwrap();
    world.wait_status("one is reliable", |status| status["unverified"] == false && status["active"] == "wan1");
    assert_eq!(world.cli(&["status"]).code(), 0);
    world.stop(&daemon);
}
