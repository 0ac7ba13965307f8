//! A trace of the real daemon, lived through again: the very switches that it told of, and what other settings would have made of them.

use std::path::PathBuf;

use lab::{LabConfig, Process};

use crate::world::{BRISK, SOON, World};

fn recording(world: &World) -> (Process, PathBuf) {
    let trace = world.lab.dir().join("trace");
    let mut command = world.daemon();
    command.arg("--record").arg(&trace);
    let daemon = world.lab.spawn(command).unwrap();
    for number in 0..world.lab.providers().len() {
        world.wait_line(&daemon, &format!("wan{number} online"));
    }
    (daemon, trace)
}

/// `wan0 -> wan1  REASON` of every switch that the daemon has logged, as far as a reason says the same twice.
fn logged(daemon: &Process) -> Vec<String> {
    let lines = daemon.stderr();
    let switch = |line: &str| {
        let (_, switch) = line.split_once("switched from ")?;
        let (providers, reason) = switch.split_once(": ")?;
        Some(format!("{}  {}", providers.replace(" to ", " -> "), kind(reason)))
    };
    lines.iter().filter_map(|line| switch(&line.text)).collect()
}

fn told(report: &str) -> Vec<String> {
    let switch = |line: &str| {
        let (before, reason) = line.trim_start().split_once("  ")?.1.split_once("  ")?;
        before.contains(" -> ").then(|| format!("{before}  {}", kind(reason)))
    };
    report.lines().filter_map(switch).collect()
}

/// A reason without its figures.
fn kind(reason: &str) -> &str {
    reason.split_once(", ").map_or(reason, |(kind, _)| kind)
}

/// Lets some checks pass. A busy machine wakes the daemon late by some ms: things that happen as close together may come in another order.
fn settle(world: &World, number: u8) {
    let checks = || world.status_of(number)["checks"].as_u64().unwrap_or(0);
    let before = checks();
    lab::wait_for(SOON, "some checks", || checks() >= before + 4).unwrap();
}

#[test]
fn the_very_switches_that_happened() {
    let world = World::new(LabConfig { providers: 3, ..LabConfig::default() });
    world.configure(&world.lab.uci(&BRISK));
    let (daemon, trace) = recording(&world);
    world.wait_route(0);
    world.provider(0).silent(true);
    world.wait_route(1);
    settle(&world, 1);
    world.provider(1).carrier(false).unwrap();
    // The kernel does not wait for it.
    world.wait_line(&daemon, "switched from wan1 to wan2");
    settle(&world, 2);
    world.provider(1).carrier(true).unwrap();
    world.wait_line(&daemon, "switched from wan2 to wan1");
    settle(&world, 1);
    world.provider(0).heal();
    world.wait_route(0);
    settle(&world, 0);
    world.ask(&["pin", "wan2"]);
    world.wait_route(2);
    settle(&world, 2);
    world.ask(&["unpin"]);
    world.wait_route(0);
    settle(&world, 0);
    world.provider(0).answers(lab::Answers::Unreachable);
    world.wait_route(1);
    world.stop(&daemon);

    let happened = logged(&daemon);
    assert!(happened.len() >= 7, "{happened:#?}");
    let (config, trace) = (world.config().display().to_string(), trace.display().to_string());
    let report = world.ask(&["simulate", "-c", &config, &trace]);
    assert_eq!(told(&report), happened, "{report}");
    assert!(report.contains("The switches are the very ones that happened.\n"), "{report}");

    let fast = world.lab.uci(&[("interval", "200ms"), ("standby_interval", "200ms"), ("failback", "manual")]);
    world.configure(&fast);
    let report = world.ask(&["simulate", "--config", &config, &trace]);
    let back = "the most preferred reliable provider that may take over";
    assert!(!told(&report).iter().any(|it| it.ends_with(back)), "failback manual: {report}");
    world.configure("config provider 'wan0'\n option frobnicate 1\n");
    assert_eq!(world.cli(&["simulate", "-c", &config, &trace]).code(), 2, "a bad configuration");
    world.configure(&fast);
    let wrong = world.cli(&["simulate", "-c", &config, &config]);
    assert_eq!((wrong.code(), wrong.stderr.trim()), (2, format!("{config}:1: this is no trace of failoverd").as_str()));
}

#[test]
fn what_was_killed_has_left_a_trace() {
    let world = World::new(LabConfig::default());
    let (daemon, trace) = recording(&world);
    world.wait_route(0);
    world.provider(0).silent(true);
    world.wait_route(1);
    // It is written within a second.
    let switched = || std::fs::read_to_string(&trace).unwrap().contains(" switch wan0 wan1 lost_probes\n");
    lab::wait_for(SOON, "the switch to be written", switched).unwrap();
    daemon.kill().unwrap();
    let config = world.config().display().to_string();
    let report = world.ask(&["simulate", "-c", &config, &trace.display().to_string()]);
    assert_eq!(told(&report), logged(&daemon), "{report}");
    assert!(report.contains("The switches are the very ones that happened.\n"), "{report}");
    world.provider(0).heal();
    let again = world.start();
    world.stop(&again);
}
