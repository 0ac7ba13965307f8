//! Why traffic goes where it goes besides the ranking: shared by several, directed by rules, left on a line, kept off another.

use std::time::Duration;

use failoverd::event::Event;
use failoverd::settings::{Drain, Failback, Fallback, RuleSettings};

use super::healthy;
use super::model::{Config, World, ms, secs};
use super::why::{DEAD, code, explained, headline, said};

/// `a` and `b` share traffic by weight 3 and 1; `c` is there for the case.
fn tier() -> Config {
    Config::count(3).with(|it| {
        it.providers[1].priority = 1;
        it.providers[0].weight = 3;
    })
}

fn shared(config: Config) -> World {
    let mut world = World::with_defaults(3, &[(0, 0)], 1);
    world.start(config.0);
    world.pass(secs(30));
    world
}

#[test]
fn shares_and_who_goes_on() {
    let mut world = shared(tier());
    assert_eq!(headline(&world), ("Online through a and b for 29s.".into(), "best"));
    assert_eq!(
        said(&world, "a"),
        "a has been online for 29s: 21 ms, 0% lost. It shares the traffic with b: 75% of it, by weight 3 of 4. \
         It is active because no reliable provider is preferred to it (priority 1). If it fails, its share goes to b."
    );
    assert!(said(&world, "b").contains("It shares the traffic with a: 25% of it, by weight 1 of 4."));
    assert!(said(&world, "b").ends_with("If it fails, its share goes to a."));
    assert_eq!((code(&world, "a"), code(&world, "b")), (("active", "shares"), ("active", "shares")));
    assert!(said(&world, "c").ends_with("It takes over only if all of these fail: a, b."), "{}", said(&world, "c"));

    world.line("wan1").silent = true;
    world.pass(ms(20_100));
    let (sentence, code_of) = headline(&world);
    assert!(sentence.starts_with(&format!("b is offline ({DEAD}); online through a for ")), "{sentence}");
    assert_eq!(code_of, "best");
    assert!(said(&world, "a").ends_with("If it fails, c takes over."), "{}", said(&world, "a"));
    assert!(said(&world, "b").ends_with("It shares the traffic when it has been reliable for 1m."));
    assert!(said(&world, "c").ends_with("It takes over only if a fails."), "{}", said(&world, "c"));

    world.line("wan1").silent = false;
    world.pass_until(secs(20), |world| world.state_of("b") == "online");
    world.pass(secs(20));
    assert_eq!(code(&world, "b"), ("standby", "failback_wait"));
    let waits = "It is not active because it has been reliable for only 20s of 1m. It shares the traffic in 39s if it stays reliable.";
    assert!(said(&world, "b").contains(waits), "{}", said(&world, "b"));
    assert!(headline(&world).0.starts_with("b is online and shares the traffic in 39s; online through a for"));
    assert!(said(&world, "a").ends_with("(priority 1). If it fails, b takes over."), "{}", said(&world, "a"));
    world.pass(secs(40));
    assert_eq!(code(&world, "b"), ("active", "shares"));
}

#[test]
fn the_named_one_fails_and_comes_back() {
    let mut world = shared(tier());
    world.line("wan0").silent = true;
    world.pass(secs(20));
    assert!(headline(&world).0.starts_with(&format!("a is offline ({DEAD}); online through b for ")));
    world.line("wan0").silent = false;
    world.pass(secs(100));
    // It has joined: b is the one that is named, and that is no wrong to a.
    assert_eq!(headline(&world).1, "best");
    assert!(headline(&world).0.starts_with("Online through b and a for "), "{}", headline(&world).0);
    assert!(said(&world, "a").contains("It shares the traffic with b: 75% of it, by weight 3 of 4."));
    assert!(said(&world, "c").ends_with("It takes over only if all of these fail: b, a."), "{}", said(&world, "c"));
}

#[test]
fn a_worse_tier_until_a_better_one_may() {
    let config = || Config::count(3).with(|it| it.providers[2].priority = 2);
    for (failback, want) in [
        (Failback::Auto, "It is active until a has been reliable for long enough."),
        (
            Failback::Manual,
            "It is active because a, though preferred, takes over only by hand ('option failback' is manual).",
        ),
    ] {
        let mut world = shared(config().with(|it| it.failback = failback));
        world.disturb(|kernel| kernel.set_carrier("wan0", false));
        world.pass(secs(2));
        assert!(headline(&world).0.starts_with("a is offline (no carrier); online through b and c for 1"));
        world.disturb(|kernel| kernel.set_carrier("wan0", true));
        world.pass(secs(10));
        for name in ["b", "c"] {
            assert_eq!(code(&world, name), ("active", "shares"));
            assert!(said(&world, name).contains(want), "{}", said(&world, name));
        }
        assert_eq!(headline(&world).1, "stays");
    }
}

#[test]
fn a_degraded_member_is_out_until_it_is_good() {
    let config = tier().check(|it| {
        it.latency = Some(failoverd::settings::Limits { max: ms(300), recover: ms(225) });
        it.standby_interval = secs(1);
    });
    let mut world = shared(config);
    world.line("wan1").rtt = ms(600);
    world.pass_until(secs(120), |world| world.state_of("b") == "degraded");
    assert_eq!(explained(&world, "b").role, "standby");
    assert!(said(&world, "b").contains("It is not active because it is degraded."), "{}", said(&world, "b"));
    assert!(
        said(&world, "b").ends_with("It shares the traffic when it has been good for 1m."),
        "{}",
        said(&world, "b")
    );
    assert!(headline(&world).0.starts_with("b is degraded ("), "{}", headline(&world).0);
    world.line("wan1").rtt = ms(20);
    world.pass_until(secs(300), |world| world.state_of("b") == "online");
    assert!(said(&world, "b").contains("It is not active because it has been good again for only 0s of 1m."));
    world.line("wan0").rtt = ms(600);
    world.line("wan1").rtt = ms(600);
    world.line("wan2").rtt = ms(600);
    world.pass_until(secs(600), |world| code(world, "b").0 == "active" && code(world, "a").0 == "active");
    let (sentence, _) = headline(&world);
    assert!(sentence.contains(" is degraded (") && sentence.contains("; online through "), "{sentence}");
}

#[test]
fn no_default_traffic_by_configuration() {
    let config = Config::count(3).with(|it| it.providers[0].default_route = false);
    let mut world = shared(config);
    assert_eq!(headline(&world), ("Online through b for 29s, 21 ms.".into(), "best"));
    let apart = "It carries no default traffic ('option default' is 0): only what comes in through it, rules and bound sockets.";
    assert!(said(&world, "a").ends_with(apart), "{}", said(&world, "a"));
    assert_eq!(code(&world, "a"), ("standby", "no_default"), "{}", said(&world, "a"));
    assert!(said(&world, "c").ends_with("It takes over only if b fails."), "{}", said(&world, "c"));
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(2));
    assert_eq!(code(&world, "a"), ("unusable", "no_carrier"));
    assert!(
        said(&world, "a").contains("It needs 3 more successful checks in a row to be reliable. It carries no default")
    );
    assert!(headline(&world).0.starts_with("Online through b for 31s"), "nobody misses it: {}", headline(&world).0);
    world.disturb(|kernel| kernel.set_carrier("wan2", false));
    world.pass(secs(2));
    assert!(said(&world, "b").ends_with("If it fails, no other provider is reliable now."), "{}", said(&world, "b"));
}

fn rule(name: &str, providers: &[&str], fallback: Fallback) -> RuleSettings {
    RuleSettings {
        name: name.into(),
        enabled: true,
        source: vec![],
        destination: vec![],
        protocols: vec![17],
        source_ports: vec![],
        destination_ports: vec![],
        devices: vec![],
        dscp: vec![],
        providers: providers.iter().map(|name| (*name).to_owned()).collect(),
        fallback,
        local: false,
    }
}

#[test]
fn rules_are_named_with_whom_they_use() {
    let config = Config::count(2).with(|it| {
        it.rules = vec![rule("voip", &["b", "a"], Fallback::Default), rule("bank", &["b"], Fallback::Unreachable)];
        it.rules.push(RuleSettings { enabled: false, ..rule("off", &["a"], Fallback::Default) });
        it.rules.extend((0..10).map(|number| rule(&format!("r{number}"), &["a"], Fallback::Default)));
    });
    let mut world = healthy(2, config, 1);
    assert!(
        said(&world, "a").ends_with("Rules that use it now: r0, r1, r2, r3, r4 and 5 more."),
        "{}",
        said(&world, "a")
    );
    assert!(said(&world, "b").ends_with("Rules that use it now: voip, bank."), "{}", said(&world, "b"));
    world.line("wan1").silent = true;
    world.pass(secs(20));
    assert!(said(&world, "a").ends_with("Rules that use it now: voip, r0, r1, r2, r3 and 6 more."));
    assert!(said(&world, "b").ends_with("Rules that refuse connections until it is reliable: bank."));
    world.feed(Event::Stop);
    assert!(!said(&world, "a").contains("Rules"), "{}", said(&world, "a"));
}

#[test]
fn rules_that_nothing_follows_are_not_named() {
    let config = Config::count(2).with(|it| it.rules = vec![rule("voip", &["b"], Fallback::Unreachable)]);
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.faults.nft = Some("nft is not installed");
    world.start(config.0);
    world.pass(secs(30));
    assert!(!said(&world, "b").contains("Rules"), "{}", said(&world, "b"));
    world.line("wan1").silent = true;
    world.pass(secs(20));
    assert!(!said(&world, "b").contains("Rules"), "{}", said(&world, "b"));
}

#[test]
fn connections_that_are_left_behind() {
    for (drain, want) in [
        (Drain::Keep, "Connections that are left on it stay there ('option drain' is keep)."),
        (Drain::Cut, "It takes over only if a fails."),
        (Drain::After(Duration::from_secs(600)), "Connections that are left on it are forgotten in 9m 50s."),
    ] {
        let mut world = healthy(2, Config::count(2).with(|it| it.providers[1].drain = Some(drain)), 1);
        world.line("wan0").silent = true;
        world.pass(secs(20));
        assert!(!said(&world, "b").contains("Connections"), "it is in use: {}", said(&world, "b"));
        world.line("wan0").silent = false;
        world.pass_until(secs(200), |world| world.active() == "a");
        world.pass(secs(10));
        assert!(said(&world, "b").ends_with(want), "{}", said(&world, "b"));
    }
}
