//! Rules send new connections where they say, in a table of ours that nobody else's suffers from: loaded in one piece, changed
//! under traffic, gone after a stop, still there after a kill.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::{Flows, LabConfig, Nat, Process, Stream, wait_for};

use crate::tiers::wait_members;
use crate::world::{BRISK, SECOND, SOON, World, stays};

/// Tables as firewall4 and mwan3 have them, in part.
const FOREIGN: &str = "table inet fw4 {
    set lan { type ipv4_addr; flags interval; elements = { 10.77.0.0/24 }; }
    chain forward { type filter hook forward priority filter; policy accept; }
    chain input { type filter hook input priority filter; policy accept; }
    chain srcnat {
        type nat hook postrouting priority srcnat; policy accept;
        oifname \"wan*\" meta nfproto ipv4 masquerade
    }
    chain mangle_forward {
        type filter hook forward priority mangle; policy accept;
        tcp flags syn tcp option maxseg size set rt mtu
    }
}
table ip mwan3 {
    chain prerouting {
        type filter hook prerouting priority mangle - 1; policy accept;
        ct mark and 0xff00 != 0 meta mark set ct mark and 0xff00
        meta mark and 0xff00 == 0 meta mark set meta mark or 0x100
    }
    chain postrouting {
        type filter hook postrouting priority mangle + 1; policy accept;
        meta mark and 0xff00 == 0x100 ct mark set ct mark or 0x40008100
    }
}
";

fn world(providers: u8) -> World {
    let world = World::alone(LabConfig { providers, ..LabConfig::default() });
    world.lab.router().nft(FOREIGN).unwrap();
    world
}

/// A rule: destinations, providers, other lines.
fn rule(destinations: &[String], providers: &[&str], more: &str) -> String {
    let mut text = String::from("\nconfig rule\n");
    destinations.iter().for_each(|it| _ = writeln!(text, "\tlist dest '{it}'"));
    providers.iter().for_each(|it| _ = writeln!(text, "\tlist use '{it}'"));
    text + more
}

/// A hundred times `count` addresses or so that nobody asks, ten for each rule: `seed` makes them others.
fn many(count: usize, seed: u8) -> String {
    let address = |rule: usize, number: usize| {
        let [.., high, low] = rule.to_be_bytes();
        format!("{}.{seed}.{high}.{low}", 11 + number)
    };
    let one = |it: usize| {
        let addresses: Vec<String> = (0..10).map(|number| address(it, number)).collect();
        rule(&addresses, &["wan2"], "")
    };
    (0..count).map(one).collect()
}

/// How many rules of ten addresses the kernel takes of this user at once: a transaction is one message, and goes through the socket's send
/// buffer. nft enlarges that in a way that needs the rights of the host's root, as the daemon has them; others have 212 kB as a rule.
fn as_many_as_allowed() -> usize {
    if lab::is_unprivileged() { 100 } else { 1000 }
}

const SERVER: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);

fn through(stream: &Stream, from: Instant, until: Instant) -> Vec<u8> {
    stream.timeline().providers_between(from, until).into_iter().map(|(provider, _)| provider).collect()
}

#[test]
fn a_rule_sends_its_connections_and_no_others() {
    let world = world(3);
    let directed = rule(&[SERVER.to_string()], &["wan1", "wan2"], "\tlist src '10.77.0.0/24'\n\tlist proto 'udp'\n");
    let nowhere = rule(&["93.184.217.0/24".to_owned()], &["wan2"], "\toption fallback 'unreachable'\n");
    let own = rule(&[lab::STREAM_SERVER.to_string()], &["wan2"], "\tlist src '192.168.1.2'\n\toption local '1'\n");
    world.configure(&(world.lab.uci(&BRISK) + &directed + &nowhere + &own));
    let daemon = world.start();
    world.wait_marks();
    let client = world.lab.client();
    let fresh = client.stream(SECOND / 50, Flows::Fresh).unwrap();
    fresh.wait_until_via(0, SOON).unwrap();
    let open = || client.stream_to(SERVER, SECOND / 50).unwrap();
    open().wait_until_via(1, SOON).unwrap();
    let refused = || client.stream_to(Ipv4Addr::new(93, 184, 217, 1), SECOND / 50).unwrap();
    refused().wait_until_via(2, SOON).unwrap();
    let router = || world.lab.router().stream_from(world.provider(0).addresses().router, SECOND / 50).unwrap();
    router().wait_until_via(2, SOON).unwrap();
    world.provider(1).silent(true);
    world.wait_state(1, "offline");
    open().wait_until_via(2, SOON).unwrap();
    world.provider(2).silent(true);
    world.wait_state(2, "offline");
    // None is left: where other traffic goes, or nowhere.
    open().wait_until_via(0, SOON).unwrap();
    router().wait_until_via(0, SOON).unwrap();
    let stream = refused();
    stays(SECOND, "it is refused", || stream.current_provider().is_none());
    world.provider(2).silent(false);
    world.wait_state(2, "online");
    refused().wait_until_via(2, SOON).unwrap();
    assert!(fresh.timeline().datagrams.iter().all(|it| it.answer.is_none_or(|answer| answer.provider == 0)));
    world.stop(&daemon);
}

#[test]
fn a_thousand_rules_are_one_transaction() {
    let world = world(3);
    let count = as_many_as_allowed();
    let directed = rule(&[SERVER.to_string()], &["wan1"], "");
    let text = world.lab.uci(&BRISK) + &many(count, 1) + &directed;
    world.configure(&text);
    let before = world.lab.router().nft_generation().unwrap();
    let daemon = world.start();
    world.wait_marks();
    assert_eq!(world.lab.router().nft_generation().unwrap(), before + 1, "loaded in one transaction");
    let table = world.our_table().unwrap();
    assert!(table.matches("ip daddr {").count() >= count, "{} bytes", table.len());
    world.lab.client().stream_to(SERVER, SECOND / 50).unwrap().wait_until_via(1, SOON).unwrap();
    world.configure(&(world.lab.uci(&BRISK) + &many(count, 2) + &directed));
    world.ask(&["reload"]);
    wait_for(SOON, "the other rules", || world.our_table().is_some_and(|it| it != table)).unwrap();
    std::thread::sleep(SECOND);
    assert_eq!(world.lab.router().nft_generation().unwrap(), before + 2, "changed in one transaction");
    world.stop(&daemon);
}

#[test]
fn fifty_reloads_send_no_packet_the_wrong_way() {
    let world = world(3);
    // The rule in question is another one every time: in front of the others, behind them, with other neighbours.
    let directed = rule(&[format!("{}", lab::STREAM_SERVER)], &["wan1"], "");
    let count = as_many_as_allowed() / 10;
    let version = |number: u8| {
        let others = many(count, number);
        let rules = if number.is_multiple_of(2) { directed.clone() + &others } else { others + &directed };
        world.lab.uci(&BRISK) + &rules
    };
    world.configure(&version(0));
    let daemon = world.start();
    world.wait_marks();
    let client = world.lab.client();
    let fresh = client.stream(SECOND / 500, Flows::Fresh).unwrap();
    let undirected = client.stream_to(SERVER, SECOND / 500).unwrap();
    fresh.wait_until_via(1, SOON).unwrap();
    undirected.wait_until_via(0, SOON).unwrap();
    let (start, first) = (Instant::now(), world.lab.router().nft_generation().unwrap());
    for number in 1..=50 {
        world.configure(&version(number));
        let before = world.lab.router().nft_generation().unwrap();
        world.ask(&["reload"]);
        let changed = || world.lab.router().nft_generation().unwrap() != before;
        wait_for(SOON, &format!("rules {number}"), changed).unwrap();
    }
    let end = Instant::now();
    assert_eq!(world.lab.router().nft_generation().unwrap() - first, 50, "a transaction each");
    for (stream, wanted) in [(fresh, 1), (undirected, 0)] {
        let timeline = stream.stop(SECOND);
        let through: Vec<u8> = timeline.providers_between(start, end).into_iter().map(|(it, _)| it).collect();
        assert_eq!((through, timeline.lost_between(start, end)), (vec![wanted], 0));
        assert!(timeline.sent_between(start, end).count() > 500);
    }
    world.stop(&daemon);
}

/// A tier of 0 and 1, a rule for 2.
fn tier_and_rule(world: &World) -> String {
    let tier = [(0, "priority", "1"), (1, "priority", "1"), (2, "priority", "2")];
    world.uci(&BRISK, &tier) + &rule(&[SERVER.to_string()], &["wan2"], "\toption fallback 'unreachable'\n")
}

#[test]
fn the_tables_of_others_stay_as_they_are_and_a_stop_leaves_nothing() {
    let world = world(3);
    let (before, foreign) = (world.view(), world.foreign_tables());
    assert_eq!(foreign.len(), 2);
    world.configure(&tier_and_rule(&world));
    let unchanged = |why: &str| assert_eq!(world.foreign_tables(), foreign, "{why}");
    let daemon = world.start();
    world.wait_marks();
    unchanged("started");
    let client = world.lab.client();
    client.stream_to(SERVER, SECOND / 50).unwrap().wait_until_via(2, SOON).unwrap();
    for number in [0, 2] {
        world.provider(number).silent(true);
        world.wait_state(number, "offline");
        unchanged("one went offline");
        world.provider(number).silent(false);
        world.wait_state(number, "online");
        unchanged("and came back");
    }
    world.configure(&(tier_and_rule(&world) + &many(10, 3)));
    world.ask(&["reload"]);
    wait_for(SOON, "more rules", || world.our_table().is_some_and(|it| it.contains("11.3.0.9"))).unwrap();
    unchanged("reloaded");
    world.stop(&daemon);
    world.assert_as_before(&before, "stopped");
    assert_eq!(world.our_table(), None);
    unchanged("stopped");
    let daemon = world.start();
    world.wait_marks();
    world.start_again_after_kill(daemon);
    world.ask(&["cleanup"]);
    world.assert_as_before(&before, "killed and cleaned up");
    assert_eq!(world.our_table(), None, "killed and cleaned up");
    unchanged("killed and cleaned up");
}

#[test]
fn marks_of_others_are_kept() {
    let world = world(3);
    world.configure(&tier_and_rule(&world));
    let daemon = world.start();
    world.wait_marks();
    let stream = world.lab.client().stream_to(SERVER, SECOND / 50).unwrap();
    stream.wait_until_via(2, SOON).unwrap();
    let mut table = world.lab.router().connections().unwrap();
    let marks = table.list().unwrap().into_iter().filter(|it| *it.original.destination.ip() == SERVER);
    let marks: Vec<u32> = marks.map(|it| it.mark).collect();
    // mwan3's stand-in has found its bits in the packet behind us, and has put its own beside ours.
    let [mark] = marks[..] else { panic!("{marks:x?}") };
    assert_eq!(mark & !0x3f00_0000, 0x4000_8100, "{mark:#x}");
    let ours = world.status_of(2)["mark"].as_str().unwrap().to_owned();
    assert_eq!(ours, format!("{:#x}/0x3f000000", mark & 0x3f00_0000));
    let now = Instant::now();
    std::thread::sleep(SECOND / 2);
    assert_eq!(through(&stream, now, Instant::now()), [2], "and the answers came through");
    world.stop(&daemon);
}

#[test]
fn killed_and_started_again_no_connection_is_dropped_or_moved() {
    let world = World::alone(LabConfig { providers: 3, nat: Nat::Masquerade, peers: true, ..LabConfig::default() });
    world.configure(&tier_and_rule(&world));
    let daemon = world.start();
    world.wait_marks();
    wait_members(&world, &[(0, 1), (1, 1)]);
    let servers = (30..50).map(|last| Ipv4Addr::new(93, 184, 216, last));
    let streams: Vec<Stream> =
        servers.map(|server| world.lab.client().stream_to(server, SECOND / 50).unwrap()).collect();
    let first = |stream: &Stream| lab::wait_for_some(SOON, "an answer", || stream.current_provider()).unwrap().0;
    let before: Vec<u8> = streams.iter().map(first).collect();
    assert!((0..3).all(|number| before.contains(&number)), "{before:?}");
    let transfer = world.lab.client().transfer().unwrap();
    let start = Instant::now();
    let generation = || world.lab.router().nft_generation().unwrap();
    let mut daemon = daemon;
    for _ in 0..3 {
        daemon.kill().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        daemon = world.start();
        world.wait_marks();
        wait_members(&world, &[(0, 1), (1, 1)]);
        transfer.wait_until_it_goes_on(SOON).unwrap();
    }
    let (end, last) = (Instant::now(), generation());
    for (stream, before) in streams.into_iter().zip(before) {
        let timeline = stream.stop(SECOND);
        let through: Vec<u8> = timeline.providers_between(start, end).into_iter().map(|(it, _)| it).collect();
        assert_eq!((through, timeline.lost_between(start, end)), (vec![before], 0));
    }
    assert_eq!(transfer.progress().wrong, None);
    assert_eq!(generation(), last, "nothing to be done any more");
    world.stop(&daemon);
}

#[test]
fn a_rule_set_that_somebody_flushes_comes_back() {
    let world = world(3);
    world.configure(&tier_and_rule(&world));
    let daemon = world.start();
    world.wait_marks();
    let table = world.our_table().unwrap();
    let without_handles =
        |table: &str| table.lines().map(|line| line.split(" # handle").next().unwrap().to_owned()).collect::<Vec<_>>();
    for how in ["flush ruleset\n", "delete table inet failover\n"] {
        world.lab.router().nft(how).unwrap();
        wait_for(SOON, how, || world.our_table().is_some()).unwrap();
        assert_eq!(without_handles(&world.our_table().unwrap()), without_handles(&table), "{how}");
        world.lab.client().stream_to(SERVER, SECOND / 50).unwrap().wait_until_via(2, SOON).unwrap();
    }
    assert_eq!(
        world.foreign_tables(),
        Vec::<String>::new(),
        "what somebody has flushed of others is none of our business"
    );
    world.stop(&daemon);
    assert_eq!(world.our_table(), None);
}

#[test]
fn with_nothing_of_it_configured_there_is_nothing() {
    let world = world(3);
    let (generation, foreign) = (world.lab.router().nft_generation().unwrap(), world.foreign_tables());
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
    world.provider(0).silent(true);
    world.wait_route(1);
    let rules = world.lab.router().rules().unwrap();
    let ours: Vec<&String> = rules.iter().filter(|rule| rule.contains(" proto 102")).collect();
    assert!(ours.len() == 6 && ours.iter().all(|rule| rule.contains(" oif ") && !rule.contains("fwmark")), "{ours:#?}");
    assert_eq!(world.status()["marks"], serde_json::Value::Null);
    world.stop(&daemon);
    assert_eq!(world.lab.router().nft_generation().unwrap(), generation, "nobody has changed the rule set");
    assert_eq!(world.foreign_tables(), foreign);
}

/// Starts the daemon with a script in place of `nft`.
fn with_tool(world: &World, script: &str) -> Process {
    let tool = world.lab.write_file("nft", &format!("#!/bin/sh\n{script}")).unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", world.lab.dir().display(), std::env::var("PATH").unwrap());
    let mut command = world.daemon();
    command.env("PATH", path);
    world.lab.spawn(command).unwrap()
}

#[test]
fn a_tool_does_not_outlive_a_daemon_that_is_killed() {
    let world = world(3);
    world.configure(&tier_and_rule(&world));
    let (started, over) = (world.lab.dir().join("started"), world.lab.dir().join("over"));
    let real = "PATH=$PATH:/usr/sbin:/sbin; PATH=${PATH#*:} nft -f -";
    let script = format!("touch {}\nsleep 1\n{real}\ntouch {}\n", started.display(), over.display());
    let daemon = with_tool(&world, &script);
    wait_for(SOON, "the tool to be at work", || started.exists()).unwrap();
    daemon.kill().unwrap();
    world.ask(&["cleanup"]);
    stays(2 * SECOND, "nothing comes after the clean-up", || world.our_table().is_none() && !over.exists());
    // It is the tool that the daemon uses.
    let daemon = with_tool(&world, &script);
    world.wait_marks();
    assert!(over.exists() && world.our_table().is_some());
    world.stop(&daemon);
}

#[test]
fn where_nft_does_not_work_one_line_says_so_and_the_rest_does() {
    let world = World::alone(LabConfig { providers: 3, ..LabConfig::default() });
    world.configure(&tier_and_rule(&world));
    // The daemon looks for it where the system has it, too: there is no hiding it, but it may be one that fails.
    let daemon = with_tool(&world, "echo 'Error: not today' >&2\nexit 1\n");
    wait_members(&world, &[(0, 1), (1, 1)]);
    let status = world.wait_status("marks to have failed", |status| status["marks"] == "failed");
    assert!(status["warnings"].to_string().contains("nft"), "{status:#}");
    let stream = world.lab.client().stream(SECOND / 50, Flows::Fresh).unwrap();
    world.provider(0).silent(true);
    stream.wait_until_via(1, SOON).unwrap();
    world.wait_slots(&[(2, 1), (3, 2), (4, 0)]);
    world.provider(0).silent(false);
    wait_members(&world, &[(0, 1), (1, 1)]);
    let lines: Vec<String> =
        daemon.stderr().into_iter().map(|line| line.text).filter(|line| line.contains("nft")).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    world.stop(&daemon);
}
