//! Promise 7 and ubus with the command line: what can be seen and told while ubusd behaves, and that nothing depends on it when
//! it does not.

use std::time::{Duration, Instant};

use lab::{HotplugObject, LabConfig, wait_for, wait_for_some};
use serde_json::Value;
use ubus::BlobMsgTable;

use crate::events::Line;
use crate::world::{BRISK, FAST, SECOND, SOON, World};

#[test]
fn a_ubusd_that_hangs_dies_and_returns_changes_nothing() {
    let mut world = World::new(LabConfig::default());
    let daemon = world.start();
    let stream = world.lab.stream().unwrap();
    stream.wait_until_via(0, SOON).unwrap();
    let begin = Instant::now();
    let mut rounds = 0;
    while begin.elapsed() < 20 * SECOND {
        // The failure of the line comes while ubusd hangs, its return while it is gone.
        world.broker.hang(true);
        std::thread::sleep(SECOND / 5);
        world.provider(0).silent(true);
        stream.wait_until_via(1, 5 * SECOND).unwrap();
        world.broker.stop();
        std::thread::sleep(SECOND / 5);
        world.provider(0).silent(false);
        stream.wait_until_via(0, SOON).unwrap();
        world.broker.restart().unwrap();
        let returned = Instant::now();
        let answers = || world.status()["active"] == "wan0";
        wait_for(5 * SECOND, "the object to be back", answers).unwrap();
        assert!(returned.elapsed() < 5 * SECOND);
        rounds += 1;
    }
    assert!(rounds >= 2);
    let status = world.status();
    assert_eq!(status["switches"], 2 * rounds, "{status:#}");
    assert!(daemon.is_running());
    world.broker.hang(true);
    world.stop(&daemon);
}

#[test]
fn hotplug_scripts_hear_every_event_in_order() {
    let mut world = World::new(LabConfig::default());
    let procd = HotplugObject::start(world.broker.path()).unwrap();
    let daemon = world.start();
    let heard = |variables: &[&str]| {
        let has = |call: &Vec<String>| variables.iter().all(|wanted| call.iter().any(|it| it == wanted));
        let what = format!("{variables:?} in {:?}", procd.calls());
        wait_for_some(SOON, &what, || procd.calls().iter().position(has)).unwrap().0
    };
    let online = heard(&["ACTION=online", "PROVIDER=wan1"]);
    world.provider(0).silent(true);
    let switch = heard(&["ACTION=switch", "FROM=wan0", "TO=wan1"]);
    assert!(online < switch, "{:?}", procd.calls());
    let reason = procd.calls()[switch].iter().find(|it| it.starts_with("REASON=")).cloned();
    assert!(reason.is_some_and(|reason| reason.contains("lost")), "{:?}", procd.calls());
    // After a restart of ubusd as before.
    world.broker.restart().unwrap();
    world.wait_status("the object", |status| status["active"] == "wan1");
    world.ask(&["pin", "wan0"]);
    heard(&["ACTION=pinned", "PROVIDER=wan0"]);
    world.stop(&daemon);
}

#[test]
fn nobody_to_ask_is_told_by_the_exit_code() {
    let mut world = World::new(LabConfig::default());
    let sentence = |arguments: &[&str]| {
        let finished = world.cli(arguments);
        (finished.code(), finished.stderr)
    };
    let (code, text) = sentence(&["status"]);
    assert!(code == 3 && text.contains("not running"), "{code}: {text}");
    world.broker.hang(true);
    let (code, text) = sentence(&["status"]);
    assert!(code == 3 && text.contains("no answer within 5 s"), "{code}: {text}");
    world.broker.stop();
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1)]);
    let finished = world.cli(&["status"]);
    assert_eq!(finished.code(), 3, "{}", finished.stderr);
    world.provider(0).silent(true);
    world.wait_route(1);
    // It is there as soon as there is a ubusd at all.
    world.broker.restart().unwrap();
    wait_for(10 * SECOND, "the object", || world.status()["active"] == "wan1").unwrap();
    world.stop(&daemon);
    assert_eq!(world.cli(&["status"]).code(), 3);
}

#[test]
fn status_and_history_tell_what_is() {
    let world = World::new(LabConfig { identical: false, ..LabConfig::default() });
    let daemon = world.start();
    let status = world.status();
    assert_eq!((&status["active"], &status["enabled"]), (&"wan0".into(), &true.into()), "{status:#}");
    let one = world.wait_state(1, "online");
    for (field, want) in [
        ("device", Value::from("wan1")),
        ("gateway", "192.168.11.1".into()),
        ("address", "192.168.11.2".into()),
        ("metric", 3.into()),
        ("table", 7102.into()),
        ("active", false.into()),
        ("reliable", true.into()),
        ("priority", 2.into()),
    ] {
        assert_eq!(one[field], want, "{field}: {one:#}");
    }
    let table = world.ask(&["status"]);
    assert!(table.contains("wan0") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    world.provider(1).silent(true);
    world.wait_state(1, "offline");
    let history: Value = serde_json::from_str(&world.ask(&["history", "wan1", "--json", "-n", "2"])).unwrap();
    let checks = history["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 2, "{history:#}");
    assert!(checks[0]["ok"] == false && checks[0]["reason"].as_str().unwrap().contains("lost"), "{history:#}");
    assert!(world.ask(&["history", "wan1"]).contains("lost"));
    world.ask(&["check"]);
    let before = world.status_of(0)["checks"].as_u64().unwrap();
    world.ask(&["check", "wan0"]);
    assert!(world.status_of(0)["checks"].as_u64().unwrap() > before);
    for arguments in [&["history", "wan7"][..], &["pin", "wan7"], &["check", "wan7"]] {
        let finished = world.cli(arguments);
        assert_eq!(finished.code(), 2, "{arguments:?}");
        assert!(finished.stderr.contains("wan0, wan1"), "{arguments:?}: {}", finished.stderr);
    }
    assert_eq!(world.cli(&["statsu"]).code(), 2);
    world.provider(0).silent(true);
    world.wait_state(0, "offline");
    assert_eq!(world.cli(&["status"]).code(), 1, "nothing is reliable");
    world.stop(&daemon);
}

#[test]
fn a_pin_survives_the_daemon() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    world.wait_route(0);
    world.ask(&["pin", "wan1"]);
    world.wait_route(1);
    let pinned = |status: &Value| status["pin"] == "wan1" && status["pin_source"] == "runtime";
    world.wait_status("the pin", pinned);
    daemon.kill().unwrap();
    let daemon = world.start();
    world.wait_status("the pin after a kill", pinned);
    assert_eq!(world.lab.active_provider().unwrap(), Some(1));
    world.stop(&daemon);
    let daemon = world.start();
    world.wait_status("the pin after a stop", pinned);
    world.wait_route(1);
    // Whatever the checks say; but without a carrier there is nothing to be pinned to.
    world.provider(1).silent(true);
    world.wait_state(1, "offline");
    assert_eq!(world.lab.active_provider().unwrap(), Some(1));
    world.provider(1).carrier(false).unwrap();
    world.wait_route(0);
    world.wait_status("a warning", |status| status["warnings"].to_string().contains("wan1"));
    world.provider(1).silent(false);
    world.provider(1).carrier(true).unwrap();
    world.wait_route(1);
    world.ask(&["unpin"]);
    world.wait_route(0);
    world.stop(&daemon);
}

#[test]
fn a_bad_file_never_replaces_a_good_configuration() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    let good = world.lab.uci(&BRISK);
    let before = world.view();
    world.configure(&good.replace("'200ms'", "'0'"));
    let refused = world.cli(&["reload"]);
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr.contains("failover:2: settings: interval '0' must be"), "{}", refused.stderr);
    let errors = |status: &Value| status["config_errors"].as_array().map_or(0, Vec::len);
    world.wait_status("both errors", |status| errors(status) == 2);
    world.configure("config provider 'wan0\n");
    daemon.signal(libc::SIGHUP).unwrap();
    world.wait_line(&daemon, "configuration refused");
    world.wait_status("other errors", |status| errors(status) > 0);
    assert_eq!(before.difference(&world.view()), Vec::<String>::new(), "the old one is in force");
    world.configure(&good);
    daemon.signal(libc::SIGHUP).unwrap();
    world.wait_status("no errors", |status| errors(status) == 0);
    std::fs::remove_file(world.config()).unwrap();
    assert_eq!(world.cli(&["reload"]).code(), 2);
    world.wait_status("an error", |status| errors(status) == 1);
    // The daemon is none the worse for it.
    world.provider(0).silent(true);
    world.wait_route(1);
    world.stop(&daemon);
}

#[test]
fn signals_reload_and_tell() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    world.wait_slots(&[(2, 0), (3, 1)]);
    world.configure(&world.lab.uci(&[&BRISK[..], &[("start_metric", "40")]].concat()));
    daemon.signal(libc::SIGHUP).unwrap();
    world.wait_slots(&[(40, 0), (41, 1)]);
    let asked = Instant::now();
    daemon.signal(libc::SIGUSR1).unwrap();
    for name in ["wan0", "wan1"] {
        daemon.wait_for_line(name, asked, SOON).unwrap();
    }
    assert_eq!(daemon.wait(Duration::ZERO).err().map(|_| ()), Some(()), "it goes on");
    daemon.signal(libc::SIGINT).unwrap();
    assert_eq!(daemon.wait(SOON).unwrap().code(), 0);
}

#[test]
fn disabled_means_nothing_in_the_kernel() {
    let world = World::new(LabConfig::default());
    world.lab.router().dhcp_default(world.provider(0), 0, lab::protocol::DHCP, false).unwrap();
    let before = world.view();
    let daemon = world.start();
    assert!(!before.difference(&world.view()).is_empty());
    world.configure(&world.lab.uci(&[("enabled", "0")]));
    world.ask(&["reload"]);
    wait_for(SOON, "everything to be put back", || before.difference(&world.view()).is_empty()).unwrap();
    assert_eq!(world.status()["enabled"], false);
    world.configure(&world.lab.uci(&BRISK));
    world.ask(&["reload"]);
    world.wait_slots(&[(2, 0), (3, 1)]);
    world.stop(&daemon);
    world.assert_as_before(&before, "stopped");
}

#[test]
fn a_flood_of_calls_delays_no_probe() {
    let world = World::alone(LabConfig::default());
    world.configure(&world.lab.uci(&FAST));
    let daemon = world.start();
    let checks = || world.status()["providers"][0]["checks"].as_u64().unwrap();
    let (before, begin) = (checks(), Instant::now());
    let answered: usize = std::thread::scope(|scope| {
        let flood = || {
            let (mut client, object) = Line::client(&world);
            let mut answered = 0;
            while begin.elapsed() < 3 * SECOND {
                answered += usize::from(client.invoke(object, "schema", &BlobMsgTable::empty()).is_ok());
            }
            answered
        };
        let callers: Vec<_> = (0..50).map(|_| scope.spawn(flood)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    let (made, due) = (checks() - before, begin.elapsed().as_millis() / 50);
    assert!(u128::from(made) * 4 > due * 3, "{made} of {due} checks, {answered} calls");
    world.stop(&daemon);
}
