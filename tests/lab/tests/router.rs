//! The router: routes and rules of other programs, the views that compare before and after, the watcher, programs,
//! ubus.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Capability, Lab, LabConfig, Route, RouteWrite, Rule, SpawnOptions, protocol, wait_for};

const SECOND: Duration = Duration::from_secs(1);

fn two() -> Lab {
    Lab::new(LabConfig::default()).unwrap()
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[test]
fn what_others_write_is_seen_and_taken_back_without_a_trace() {
    let lab = two();
    let (router, one, two) = (lab.router(), lab.provider(0).unwrap(), lab.provider(1).unwrap());
    let before = router.view().unwrap();
    let default = |provider| router.default_route(provider);
    router.write(RouteWrite::Add, &default(one).metric(2).protocol(protocol::DHCP)).unwrap();
    router.write(RouteWrite::Append, &default(two).metric(2)).unwrap();
    let refused = router.write(RouteWrite::Add, &default(one).metric(2)).unwrap_err();
    assert!(refused.to_string().contains("default via 192.168.1.1 dev wan0 metric 2"), "{refused}");
    router.write(RouteWrite::Prepend, &default(two)).unwrap();
    router.write(RouteWrite::Add, &Route::unreachable().metric(900)).unwrap();
    router.write(RouteWrite::Add, &Route::unreachable().table(7101)).unwrap();
    let multipath = Route { more_hops: vec![(two.addresses().gateway, "wan1".to_owned())], ..default(one) };
    router.write(RouteWrite::Add, &multipath.metric(40)).unwrap();
    let rule = Rule {
        priority: 7000,
        table: 7101,
        oif: Some("wan0".to_owned()),
        mark: Some((0x0100_0000, 0x3f00_0000)),
        protocol: protocol::FAILOVERD,
        ..Rule::default()
    };
    router.rule(true, &rule).unwrap();
    let changed = before.difference(&router.view().unwrap());
    let all = changed.join("\n");
    for line in [
        "+ default via 192.168.1.1 oif 101 table 254",
        "+ unreachable default",
        "+ 7000: action 1",
        "oif wan0",
        "fwmark 0x1000000",
        "multipath [via 192.168.1.1 oif 100 weight 1, via 192.168.1.1 oif 101 weight 1]",
    ] {
        assert!(all.contains(line) || line.starts_with("+ default"), "no '{line}' in\n{all}");
    }
    router.rule(false, &rule).unwrap();
    assert_eq!(router.flush_table(7101).unwrap(), 1);
    for metric in [900, 40] {
        let route =
            if metric == 900 { Route::unreachable() } else { Route { device: None, via: None, ..default(one) } };
        router.write(RouteWrite::Delete, &route.metric(metric)).unwrap();
    }
    router.write(RouteWrite::Delete, &default(two).metric(2)).unwrap();
    router.write(RouteWrite::Delete, &default(one).metric(2).protocol(protocol::DHCP)).unwrap();
    router.write(RouteWrite::Delete, &default(two)).unwrap();
    assert_eq!(before.difference(&router.view().unwrap()), Vec::<String>::new());
    assert_eq!(before, router.view().unwrap());
}

#[test]
fn sysctls_are_those_of_openwrt_and_part_of_the_view() {
    let lab = two();
    let before = lab.router().view().unwrap();
    for device in ["all", "wan0", "wan1", "lan0"] {
        assert_eq!(lab.router().device_sysctl(device, "rp_filter").unwrap(), "0", "{device}");
    }
    lab.router().set_device_sysctl("wan1", "ignore_routes_with_linkdown", "1").unwrap();
    let difference = before.difference(&lab.router().view().unwrap());
    assert_eq!(
        difference,
        ["- wan1.ignore_routes_with_linkdown = 0", "+ wan1.ignore_routes_with_linkdown = 1"],
        "only that"
    );
}

#[test]
fn the_watcher_sees_a_moment_without_a_default_route() {
    let lab = two();
    let (one, two) = (lab.provider(0).unwrap(), lab.provider(1).unwrap());
    lab.router().dhcp_default(one, 2, protocol::DHCP, false).unwrap();
    let watcher = lab.watch_default_route().unwrap();
    wait_for(SECOND, "the first poll", || watcher.report().polls > 0).unwrap();
    for round in 0..100 {
        std::thread::sleep(Duration::from_millis(1));
        lab.router().dhcp_default(if round % 2 == 0 { two } else { one }, 2, protocol::DHCP, true).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    let quiet = watcher.report();
    assert_eq!((quiet.missing, quiet.failure), (0, None), "REPLACE leaves no gap");
    assert!(quiet.polls > 100 && quiet.changes.len() > 2, "{} polls, {:?}", quiet.polls, quiet.changes.len());
    lab.router()
        .write(RouteWrite::Delete, &lab.router().default_route(one).metric(2).protocol(protocol::DHCP))
        .unwrap();
    std::thread::sleep(Duration::from_millis(20));
    lab.router().dhcp_default(two, 2, protocol::DHCP, false).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let report = watcher.stop();
    assert!(report.missing > 0);
    assert!(report.longest_missing >= Duration::from_millis(20), "{:?}", report.longest_missing);
}

#[test]
fn programs_run_in_the_router_and_can_be_talked_to() {
    let lab = two();
    std::fs::write(lab.run_dir().join("mark"), "here").unwrap();
    let finished = lab.run(shell("cat /var/run/mark; cat /proc/net/dev; echo oops >&2; exit 3"), 5 * SECOND).unwrap();
    assert_eq!(finished.code(), 3);
    assert!(finished.stdout.starts_with("here") && finished.stdout.contains("wan1:"), "{}", finished.stdout);
    assert_eq!(finished.stderr, "oops\n");
    let process = lab.spawn(shell("trap 'echo hup >&2' HUP; echo ready >&2; while :; do sleep 0.01; done")).unwrap();
    process.wait_for_line("ready", Instant::now() - SECOND, 5 * SECOND).unwrap();
    let start = Instant::now();
    process.signal(libc::SIGHUP).unwrap();
    process.wait_for_line("hup", start, 5 * SECOND).unwrap();
    assert!(process.resident_bytes().unwrap() > 100_000);
    assert!(process.cpu_time().unwrap() < 5 * SECOND);
    assert!(process.cpu_time_exact().unwrap() > Duration::ZERO);
    assert_eq!(process.terminate(5 * SECOND).unwrap().code(), 128 + libc::SIGTERM);
    assert!(process.signal(libc::SIGTERM).unwrap_err().to_string().contains("has ended"));
    let missing = lab.spawn(Command::new("/no/such/program")).err().unwrap();
    assert!(missing.to_string().contains("start /no/such/program in the router: No such file"), "{missing}");
}

#[test]
fn programs_end_with_the_lab_and_can_lack_capabilities() {
    let lab = two();
    let options = SpawnOptions { without: vec![Capability::NetAdmin], ..SpawnOptions::default() };
    let process = lab.spawn_with(shell("grep CapEff /proc/self/status"), options).unwrap();
    let output = process.wait(5 * SECOND).unwrap().stdout;
    let effective = u64::from_str_radix(output.trim().rsplit('\t').next().unwrap(), 16).unwrap();
    assert_eq!(effective & (1 << 12), 0, "no CAP_NET_ADMIN");
    assert_ne!(effective & (1 << 13), 0, "CAP_NET_RAW is still there");
    let sleeper = lab.spawn(shell("exec sleep 1000")).unwrap();
    let directory = lab.dir().to_owned();
    drop(lab);
    sleeper.wait(5 * SECOND).unwrap();
    assert!(!directory.exists());
}

#[test]
fn the_broker_serves_hangs_and_comes_back() {
    let lab = two();
    let mut broker = lab.broker().unwrap();
    let path = broker.path().to_owned();
    let greets = |limit| {
        let mut connection = UnixStream::connect(&path).ok()?;
        connection.set_read_timeout(Some(limit)).unwrap();
        let mut greeting = [0u8; 8];
        connection.read_exact(&mut greeting).ok().map(|()| greeting[1])
    };
    assert_eq!(greets(5 * SECOND), Some(0), "HELLO comes first");
    broker.hang(true);
    std::thread::sleep(Duration::from_millis(100));
    assert!(UnixStream::connect(&path).is_ok(), "connections are accepted");
    assert_eq!(greets(Duration::from_millis(200)), None, "and nothing is said");
    broker.hang(false);
    assert_eq!(greets(5 * SECOND), Some(0));
    broker.stop();
    assert!(UnixStream::connect(&path).is_err());
    broker.restart().unwrap();
    assert_eq!(greets(5 * SECOND), Some(0));
    let seen = lab.run(shell("test -S /var/run/ubus/ubus.sock"), 5 * SECOND).unwrap();
    assert_eq!(seen.code(), 0, "programs find it in the usual place");
}

#[test]
fn waiting_says_what_for() {
    let error = wait_for(Duration::from_millis(5), "the moon", || false).unwrap_err();
    assert_eq!(error.to_string(), "wait for the moon: not seen within 0.005 s");
}
