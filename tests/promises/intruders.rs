//! Other programs that write to the kernel while the daemon runs: traffic comes back at once, what was deleted is repaired, and
//! no check ever passes on a neighbour's answer.

use std::time::{Duration, Instant};

use lab::{Flows, KernelView, LabConfig, Route, RouteWrite, TARGETS, protocol, wait_for};
use serde_json::Value;

use crate::world::{FAST, SECOND, SOON, World, stays, word};

/// The table of provider 1 by its number: ids go by the sorted names.
const TABLE_OF_WAN1: u32 = 7102;

/// All routes but those that takeover moves.
fn without_foreign_defaults(view: &KernelView) -> Vec<String> {
    let foreign = |line: &&String| line.starts_with("default table 254 ") && !line.contains(" proto 102 ");
    view.routes.iter().filter(|line| !foreign(line)).cloned().collect()
}

#[test]
fn a_foreign_default_route_takes_no_traffic_for_long() {
    for (what, metric, protocol, how) in [
        ("a DHCP client's at metric 0", 0, protocol::DHCP, RouteWrite::Replace),
        ("netifd's at metric 0", 0, protocol::STATIC, RouteWrite::Replace),
        ("one by hand at metric 0", 0, protocol::BOOT, RouteWrite::Add),
        ("a DHCP client's in place of our first slot", 2, protocol::DHCP, RouteWrite::Replace),
        ("one by hand in place of our first slot", 2, protocol::BOOT, RouteWrite::Replace),
        ("one before our first slot", 2, protocol::DHCP, RouteWrite::Prepend),
        ("one behind our first slot", 2, protocol::DHCP, RouteWrite::Append),
        ("one in place of our second slot", 3, protocol::DHCP, RouteWrite::Replace),
    ] {
        let world = World::alone(LabConfig::default());
        let daemon = world.start();
        world.wait_slots(&[(2, 0), (3, 1)]);
        let ours = without_foreign_defaults(&world.view());
        let stream = world.lab.client().stream(Duration::from_millis(2), Flows::One).unwrap();
        stream.wait_until_via(0, SOON).unwrap();
        let intrusion = Instant::now();
        let route = world.lab.router().default_route(world.provider(1)).metric(metric).protocol(protocol);
        world.lab.router().write(how, &route).unwrap();
        world.wait_slots(&[(2, 0), (3, 1)]);
        world.wait_defaults("the foreign route to be moved", |lines| {
            let foreign: Vec<&String> = lines.iter().filter(|line| !line.contains(" proto 102 ")).collect();
            foreign.len() == 1 && word(foreign[0], "metric") == 1_002_000_000 + metric
        });
        stream.wait_until_via(0, SOON).unwrap();
        let end = Instant::now();
        let timeline = stream.stop(SECOND);
        assert_eq!(timeline.lost_between(intrusion, end), 0, "{what}");
        let astray = timeline.sent_between(intrusion, end).filter(|one| one.answer.is_some_and(|it| it.provider == 1));
        let sent: Vec<Instant> = astray.map(|one| one.sent_at).collect();
        let took = sent.last().map_or(Duration::ZERO, |last| *last - intrusion);
        assert!(took < Duration::from_millis(500), "{what}: it took traffic for {took:?}");
        assert_eq!(without_foreign_defaults(&world.view()), ours, "{what}");
        world.stop(&daemon);
    }
}

#[test]
fn a_dhcp_client_that_insists_gains_nothing() {
    let world = World::alone(LabConfig::default());
    let daemon = world.start();
    let stream = world.lab.client().stream(Duration::from_millis(2), Flows::One).unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    let begin = Instant::now();
    for round in 0..40 {
        let metric = if round % 2 == 0 { 0 } else { 2 };
        world.lab.router().dhcp_default(world.provider(1), metric, protocol::DHCP, true).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    world.wait_slots(&[(2, 0), (3, 1)]);
    let end = Instant::now();
    let timeline = stream.stop(SECOND);
    assert_eq!(timeline.lost_between(begin, end), 0);
    let by_provider = |number| {
        timeline.sent_between(begin, end).filter(|one| one.answer.is_some_and(|it| it.provider == number)).count()
    };
    assert!(by_provider(0) > by_provider(1), "{} against {}", by_provider(0), by_provider(1));
    world.stop(&daemon);
    let left = world.defaults();
    assert_eq!(left.len(), 2, "its two routes, each at its metric: {left:#?}");
}

#[test]
fn what_was_deleted_is_repaired() {
    let world = World::new(LabConfig::default());
    let router = world.lab.router();
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1)]);
    let whole = world.view();
    let slot = |number: u8| router.default_route(world.provider(number)).metric(2 + u32::from(number)).protocol(102);
    let repaired = |what: &str| {
        let back = wait_for(SOON, what, || whole.difference(&world.view()).is_empty());
        back.unwrap_or_else(|error| panic!("{error}: {:#?}", whole.difference(&world.view())));
    };
    router.write(RouteWrite::Delete, &slot(0)).unwrap();
    world.wait_route(0);
    repaired("the first slot");
    router.write(RouteWrite::Delete, &slot(1)).unwrap();
    repaired("the second slot");
    for table in [7101, 7102] {
        assert_eq!(router.flush_table(table).unwrap(), 3, "network, default route, last word");
        repaired("a provider's table");
    }
    for line in whole.rules.iter().filter(|line| line.contains(" proto 102")) {
        let priority = line.split(':').next().unwrap().parse().unwrap();
        let device = if line.contains("oif wan0") { "wan0" } else { "wan1" };
        let (table, suppress) = if line.contains("suppress_prefixlength 0") { (254, Some(0)) } else { (0, None) };
        let table = if table == 0 { word(line, "lookup") } else { table };
        let oif = Some(device.to_owned());
        let rule =
            lab::Rule { priority, table, oif, suppress_prefix_length: suppress, protocol: 102, ..lab::Rule::default() };
        router.rule(false, &rule).unwrap();
        repaired("a rule");
    }
    router.set_device_sysctl("wan0", "rp_filter", "1").unwrap();
    router.write(RouteWrite::Delete, &slot(0)).unwrap();
    repaired("slot and sysctl");
    stays(SECOND, "both online", || world.status()["providers"][1]["reliable"] == true);
    world.stop(&daemon);
}

#[test]
fn no_check_passes_on_a_neighbours_answer() {
    let world = World::new(LabConfig::default());
    world.configure(&world.lab.uci(&FAST));
    let daemon = world.start();
    // The internet behind the modem of provider 1 is gone, but the modem answers for everybody who takes it for a neighbour.
    world.provider(1).change(|line| {
        line.cut = lab::Cut::BehindGateway;
        line.answers_for_everybody = true;
    });
    world.wait_state(1, "offline");
    let streak = || world.status_of(1)["success_streak"].as_u64().unwrap();
    assert_eq!(streak(), 0);
    // Without table and slot the kernel takes the targets for neighbours.
    let slot = world.lab.router().default_route(world.provider(1)).metric(3).protocol(protocol::FAILOVERD);
    let (begin, mut rounds) = (Instant::now(), 0);
    let known = |history: &Value| history["checks"].as_array().unwrap().len();
    let passed = || {
        let history: Value = serde_json::from_str(&world.ask(&["history", "wan1", "--json"])).unwrap();
        let since = begin.elapsed().as_secs();
        let later = |entry: &&Value| entry["ago"].as_u64().is_some_and(|ago| ago + 1 < since);
        let passed = history["checks"].as_array().unwrap().iter().filter(later).filter(|entry| entry["ok"] == true);
        (passed.count(), known(&history))
    };
    while begin.elapsed() < 10 * SECOND {
        world.lab.router().write(RouteWrite::Delete, &slot).ok();
        world.lab.router().flush_table(TABLE_OF_WAN1).ok();
        rounds += 1;
        // Not in step with anything; now and then long enough for whole checks.
        std::thread::sleep(Duration::from_millis(if rounds % 50 == 0 { 500 } else { rounds * 7 % 11 }));
    }
    let (passed, known) = passed();
    assert_eq!(passed, 0, "of {known} checks");
    // Offline, unresolved, or just given a new chance to prove itself.
    assert_eq!(world.status_of(1)["reliable"], false);
    assert_eq!(world.lab.active_provider().unwrap(), Some(0));
    assert!(rounds > 100 && known > 5, "{rounds} rounds, {known} checks");
    // It is judged by the internet alone, as before.
    world.provider(1).heal();
    world.wait_state(1, "online");
    world.stop(&daemon);
}

#[test]
fn somebodys_unreachable_route_is_named() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    let router = world.lab.router();
    let one = Route { destination: Some((TARGETS[2], 32)), ..Route::unreachable() };
    let all = Route { destination: Some(([0, 0, 0, 0].into(), 1)), ..Route::unreachable() };
    for (route, named) in [(one, "9.9.9.9/32"), (all, "0.0.0.0/1")] {
        router.write(RouteWrite::Add, &route).unwrap();
        for number in [0, 1] {
            let status = world.wait_state(number, "unresolved");
            assert!(status["reason"].as_str().unwrap().contains(named), "{status:#}");
        }
        // Whichever of the two came back first before.
        assert!(world.lab.active_provider().unwrap().is_some(), "any route is better than none");
        router.write(RouteWrite::Delete, &route).unwrap();
        for number in [0, 1] {
            world.wait_state(number, "online");
        }
    }
    world.stop(&daemon);
}
