//! Our table in nftables on a real kernel: it comes, comes back by itself, and goes; the tables of others stay as they are. What the marks in it
//! are good for is tried elsewhere.

use std::process::Command;

use lab::{Finished, LabConfig, wait_for};

use crate::world::{BRISK, SOON, World};

const OTHERS: &str = "table inet fw4 { chain forward { type filter hook forward priority filter; ct mark and 0xff == 0x1 counter packets 0 bytes 0 \
                      accept; }; }\ntable ip failover { set addresses { type ipv4_addr; elements = { 192.0.2.1 }; }; }\n";

fn nft(world: &World, arguments: &[&str]) -> Finished {
    let mut command = Command::new("nft");
    command.args(arguments);
    let finished = world.lab.run(command, SOON).expect("nft is needed: apt-get install nftables");
    assert_eq!(finished.code(), 0, "nft {arguments:?}: {}", finished.stderr);
    finished
}

fn ruleset(world: &World) -> String {
    nft(world, &["list", "ruleset"]).stdout
}

fn has_ours(world: &World) -> bool {
    ruleset(world).contains("table inet failover {")
}

fn ours_comes(world: &World, why: &str) {
    wait_for(SOON, why, || has_ours(world) && world.status()["marks"] == "on").unwrap();
}

/// What others have, with ours cut out.
fn of_others(world: &World) -> String {
    let all = ruleset(world);
    let Some((before, rest)) = all.split_once("table inet failover {") else { return all };
    format!("{before}{}", rest.split_once("\n}\n").unwrap().1)
}

fn with_others() -> (World, String) {
    let world = World::new(LabConfig::default());
    world.lab.write_file("others.nft", OTHERS).unwrap();
    nft(&world, &["-f", world.lab.dir().join("others.nft").to_str().unwrap()]);
    let before = ruleset(&world);
    assert!(before.contains("table ip failover") && before.contains("fw4"), "{before}");
    world.configure(&world.lab.uci(&[&BRISK[..], &[("inbound", "1")]].concat()));
    (world, before)
}

#[test]
fn it_comes_and_goes_and_leaves_others_alone() {
    let (world, before) = with_others();
    let daemon = world.start();
    ours_comes(&world, "the table");
    assert_eq!(of_others(&world), before);
    let marks: Vec<_> = [0, 1].map(|number| world.status_of(number)["mark"].clone()).into();
    assert_eq!(marks, ["0x1000000/0x3f000000", "0x2000000/0x3f000000"]);

    nft(&world, &["delete", "table", "inet", "failover"]);
    ours_comes(&world, "the table to come back");
    nft(&world, &["flush", "ruleset"]);
    ours_comes(&world, "the table to come back into an empty ruleset");
    nft(&world, &["-f", world.lab.dir().join("others.nft").to_str().unwrap()]);
    assert_eq!(of_others(&world), before, "as a firewall that is restarted");

    world.configure(&world.lab.uci(&BRISK));
    daemon.signal(libc::SIGHUP).unwrap();
    wait_for(SOON, "the table to go when nothing needs it", || !has_ours(&world)).unwrap();
    assert_eq!(world.status()["marks"], serde_json::Value::Null);
    world.configure(&world.lab.uci(&[&BRISK[..], &[("inbound", "1")]].concat()));
    daemon.signal(libc::SIGHUP).unwrap();
    ours_comes(&world, "the table to come when something needs it");
    world.stop(&daemon);
    assert_eq!(ruleset(&world), before);
}

#[test]
fn a_killed_daemon_leaves_it_for_the_next_one_or_for_cleanup() {
    let (world, before) = with_others();
    let daemon = world.start();
    ours_comes(&world, "the table");
    daemon.kill().unwrap();
    let left = ruleset(&world);
    assert!(left.contains("table inet failover {"));
    let daemon = world.start();
    ours_comes(&world, "the same table");
    assert_eq!(ruleset(&world), left, "as it was");
    daemon.kill().unwrap();
    world.ask(&["cleanup"]);
    assert_eq!(ruleset(&world), before);
    assert_eq!(world.ask(&["cleanup"]), "nothing of failoverd is in the kernel\n");

    let daemon = world.start();
    ours_comes(&world, "the table");
    daemon.kill().unwrap();
    world.configure(&world.lab.uci(&BRISK));
    let daemon = world.start();
    wait_for(SOON, "a leftover that nothing needs to go", || !has_ours(&world)).unwrap();
    world.stop(&daemon);
    assert_eq!(ruleset(&world), before);
}

#[test]
fn without_nft_one_line_says_so() {
    let (world, before) = with_others();
    world.lab.write_file("nft", "#!/bin/sh\necho 'Error: not today' >&2\nexit 1\n").unwrap();
    let tool = world.lab.dir().join("nft");
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = world.daemon();
    command.env("PATH", world.lab.dir());
    let daemon = world.lab.spawn(command).unwrap();
    world.wait_line(&daemon, "connections are not marked");
    let status = world.wait_status("marks to have failed", |status| status["marks"] == "failed");
    let warnings: Vec<_> = status["warnings"].as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
    assert!(warnings.iter().any(|it| it.ends_with("it is tried again: nft: Error: not today")), "{warnings:?}");
    world.wait_slots(&[(2, 0), (3, 1)]);
    world.wait_state(0, "online");
    assert_eq!(ruleset(&world), before);
    world.stop(&daemon);
    assert_eq!(ruleset(&world), before);
}
