//! How lines were, as a page draws it: outages in their minutes, increments, and what a restart or a reload leaves of it.

use failoverd::event::Event;
use failoverd::settings::UplinkSource;
use serde_json::Value;

use super::healthy;
use super::model::{Config, World, ms, secs};

fn series(world: &mut World, since: u64, step: u32) -> Value {
    let now = world.now;
    world.core.as_mut().unwrap().series(now, None, since, step).unwrap()
}

/// The entries of the provider `name`.
fn entries(world: &mut World, name: &str, since: u64, step: u32) -> Vec<Value> {
    let reply = series(world, since, step);
    let provider = reply["providers"].as_array().unwrap().iter().find(|it| it["name"] == name);
    provider.unwrap()["entries"].as_array().unwrap().clone()
}

/// The states of its minutes.
fn minutes(world: &mut World, name: &str) -> Vec<String> {
    entries(world, name, 0, 60).iter().map(|entry| entry[1].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_outage_is_seen_in_its_minute() {
    let mut world = healthy(2, Config::count(2), 1);
    world.pass(secs(100));
    world.line("wan0").silent = true;
    world.pass(secs(10));
    world.line("wan0").silent = false;
    world.pass(secs(110));
    assert_eq!(minutes(&mut world, "a"), ["checking", "online", "offline", "online", "online"]);
    assert_eq!(minutes(&mut world, "b"), ["checking", "online", "online", "online", "online"]);
    let outage = &entries(&mut world, "a", 120, 60)[0];
    let loss = outage[2].as_f64().unwrap();
    assert!((5.0..25.0).contains(&loss), "ten seconds of sixty, until it is standby: {outage}");
    for place in 3..6 {
        let latency = outage[place].as_f64().unwrap();
        assert!((1.0..100.0).contains(&latency), "the answers that came: {outage}");
    }
    let failed = entries(&mut world, "a", 130, 0).iter().filter(|entry| entry[1] == 0).count();
    assert!((1..10).contains(&failed), "{failed}");
    assert_eq!(entries(&mut world, "a", 0, 600).len(), 1);
    assert_eq!(entries(&mut world, "a", 0, 600)[0][1], "offline", "the worst of the ten minutes so far");
}

#[test]
fn a_line_that_is_not_probed_has_a_state_all_the_same() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| kernel.set_carrier("wan1", false));
    world.pass(secs(3600));
    assert_eq!(minutes(&mut world, "b").len(), 61);
    assert!(minutes(&mut world, "b")[1..].iter().all(|state| state == "no_carrier"));
    assert!(entries(&mut world, "b", 40, 0).is_empty(), "no check was made");
    assert!(entries(&mut world, "b", 120, 600).iter().skip(1).all(|entry| entry.as_array().unwrap().len() == 3));
}

#[test]
fn increments_are_the_whole() {
    let mut world = healthy(2, Config::count(2).check(|it| it.interval = ms(300)), 1);
    world.line("wan0").loss = 30;
    let (mut next, mut read) = (0, vec![]);
    for pause in [100, 1900, 2000, 2000, 50, 7000, 123, 64_000, 900, 2000].map(ms) {
        world.pass(pause);
        let reply = series(&mut world, next, 0);
        next = reply["next"].as_u64().unwrap();
        assert_eq!(reply["next"], reply["uptime"]);
        read.extend(reply["providers"][0]["entries"].as_array().unwrap().clone());
    }
    assert!(read.len() > 300);
    assert_eq!(entries(&mut world, "a", 0, 0), read);
}

#[test]
fn a_reload_keeps_what_a_restart_forgets() {
    let mut world = healthy(2, Config::count(2), 1);
    world.pass(secs(60));
    let before = entries(&mut world, "a", 0, 0);
    let run = series(&mut world, 0, 0)["run"].clone();
    let start = series(&mut world, 0, 0)["uptime"].as_u64().unwrap();
    let interval = Config::count(2).check(|it| it.interval = secs(2));
    let other_targets = Config::count(2).with(|it| it.tests[0].targets.truncate(1));
    let other_device = Config::count(2).with(|it| it.providers[0].source = UplinkSource::Device("wan7".into()));
    for (config, kept, why) in [
        (interval, true, "another interval"),
        (other_targets, true, "other targets"),
        (Config::count(2).with(|it| it.providers[0].enabled = false), true, "disabled"),
        (Config::count(2), true, "and enabled again"),
        (other_device, false, "another line by the same name"),
    ] {
        world.feed(Event::Reload(Box::new(config.0)));
        world.pass(secs(10));
        let reply = series(&mut world, 0, 0);
        assert_eq!(reply["run"], run, "{why}");
        let has_all = entries(&mut world, "a", 0, 0).starts_with(&before);
        assert_eq!(has_all, kept, "{why}");
        assert!(entries(&mut world, "b", 0, 0).len() > before.len() / 10, "the other one in any case: {why}");
    }
    assert_eq!(minutes(&mut world, "a"), ["unresolved"], "it begins when it is configured");
    assert!(series(&mut world, 0, 0)["uptime"].as_u64().unwrap() > start);
    world.crash();
    world.start(Config::count(2).0);
    world.pass(secs(5));
    let reply = series(&mut world, start, 0);
    assert_ne!(reply["run"], run, "so that a page forgets what it has");
    assert_eq!(reply["next"], 5);
    assert!(reply["providers"][0]["entries"].as_array().unwrap().is_empty(), "{reply}");
}

#[test]
fn targets_tell_how_they_answer() {
    let mut world = healthy(2, Config::count(2), 1);
    let tests = |world: &World, provider: usize| world.core().status(world.now).providers[provider].tests.clone();
    let healthy = &tests(&world, 0)[0];
    assert_eq!((healthy.name.as_str(), healthy.kind.as_str(), healthy.targets.len()), ("internet", "ping", 4));
    for target in &healthy.targets {
        assert!(target.sent >= 5 && target.lost == 0, "{target:?}");
        assert!(target.latency_ms.unwrap() > 1.0 && target.answered.unwrap() <= 5, "each in its turn: {target:?}");
    }
    world.line("wan1").silent = true;
    world.pass(secs(30));
    let dead = &tests(&world, 1)[0].targets;
    assert!(dead.iter().map(|it| it.lost).sum::<u32>() > 4, "{dead:?}");
    assert!(
        dead.iter().all(|it| it.sent > it.lost && it.answered.unwrap() >= 30),
        "what was before is known: {dead:?}"
    );
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(60));
    let provider = world.core().status(world.now).providers.into_iter().find(|it| it.name == "a").unwrap();
    assert!(provider.tests[0].targets.iter().all(|it| it.answered.unwrap() >= 60 && it.lost == 0), "{provider:?}");
}
