//! Targets that are dead while the line is not, several tests in one check, and pages that are not the internet's.

use std::net::IpAddr;
use std::time::Duration;

use failoverd::reason::{Refusal, Wrong};
use failoverd::settings::{Required, Settings, TestKind, TestSettings};
use failoverd::status::TargetStatus;

use super::healthy;
use super::model::config::TARGETS;
use super::model::{Config, World, ip, ms, secs};

fn kill(world: &mut World, dead: &[IpAddr]) {
    for line in world.lines.values_mut() {
        line.dead = dead.to_vec();
    }
}

/// The targets of the first test of `a`.
fn targets(world: &World) -> Vec<TargetStatus> {
    let status = world.core().status(world.now);
    let mut provider = status.providers.into_iter().find(|it| it.name == "a").unwrap();
    provider.tests.remove(0).targets
}

fn suspects(world: &World) -> Vec<String> {
    targets(world).into_iter().filter(|it| it.suspect).map(|it| it.target).collect()
}

#[test]
fn one_dead_target_of_four_is_named_and_costs_nothing() {
    let mut rates = vec![];
    for dead in [&[][..], &TARGETS[1..2]] {
        let mut world = healthy(2, Config::count(2), 3);
        kill(&mut world, dead);
        world.pass(secs(60));
        assert_eq!(suspects(&world), dead.iter().map(ToString::to_string).collect::<Vec<_>>());
        world.sent.clear();
        let start = world.now;
        world.pass(secs(3600));
        rates.push(world.sent.len());
        assert_eq!(world.said_since(start), [] as [&str; 0]);
        assert!(world.core().status(world.now).warnings.is_empty());
        let asked = world.sent.iter().filter(|(_, _, target, _)| dead.contains(target)).count();
        assert!(asked <= 61, "the dead one once a minute, over both lines: {asked}");
        let loss = world.core().status(world.now).providers[0].loss_percent;
        assert_eq!(loss, Some(0.0), "and it is not the line that loses");
    }
    assert!((4320..=4330).contains(&rates[0]), "3600 and 720: {rates:?}");
    assert!(rates[1] <= rates[0] + 70, "{rates:?}");
}

#[test]
fn a_dead_target_does_not_slow_detection() {
    let median = |dead: &[IpAddr]| {
        let mut outages: Vec<Duration> = (0..60)
            .map(|seed| {
                let mut world = healthy(2, Config::count(2), seed);
                kill(&mut world, dead);
                world.pass(secs(60));
                world.pass(ms(seed * 7919 % 1000));
                world.line("wan0").silent = true;
                world.pass_until(secs(3), |world| world.traffic() == "wan1")
            })
            .collect();
        outages.sort_unstable();
        (outages[30], outages[59])
    };
    let (without, worst) = median(&[]);
    let (with, worst_with) = median(&TARGETS[..1]);
    assert!(without <= ms(1200) && with <= ms(1200), "{without:?} {with:?}");
    assert!(with <= without + ms(60), "{without:?}, with a dead target {with:?}");
    assert!(worst_with <= worst + ms(60), "{worst:?}, with a dead target {worst_with:?}");
}

#[test]
fn all_targets_of_one_operator_may_die() {
    for dead in [&TARGETS[..1], &TARGETS[..2], &TARGETS[1..]] {
        for required in [Required::Count(1), Required::All] {
            let mut world = healthy(2, Config::count(2).check(|it| it.required = required), 5);
            let start = world.now;
            kill(&mut world, dead);
            world.pass(secs(600));
            assert_eq!(world.said_since(start), [] as [&str; 0], "{dead:?}: no switch, no outage");
            let names: Vec<String> = dead.iter().map(ToString::to_string).collect();
            assert_eq!(suspects(&world), names);
            kill(&mut world, &[]);
            world.pass(secs(75));
            assert_eq!(suspects(&world), [] as [&str; 0], "{dead:?}: they answer again");
        }
    }
}

#[test]
fn suspects_come_back_in_time_when_the_others_die() {
    let mut world = healthy(2, Config::count(2), 5);
    kill(&mut world, &TARGETS[..2]);
    world.pass(secs(300));
    let start = world.now;
    kill(&mut world, &TARGETS[2..]);
    world.pass(secs(300));
    assert_eq!(world.said_since(start), [] as [&str; 0]);
    assert_eq!(suspects(&world), TARGETS[2..].iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[test]
fn a_line_that_loses_much_does_not_cast_suspicion_for_long() {
    let mut world = healthy(1, Config::count(1), 7);
    world.line("wan0").loss = 30;
    let mut suspect = 0;
    for _ in 0..3600 {
        world.pass(secs(1));
        suspect += suspects(&world).len();
    }
    assert!(suspect < 4 * 3600 / 20, "of four targets {suspect} in 3600 s");
    world.line("wan0").loss = 0;
    world.pass(secs(75));
    assert_eq!(suspects(&world), [] as [&str; 0]);
}

/// Tests of these types, each of two targets of its own.
fn tests(settings: &mut Settings, kinds: &[TestKind]) {
    settings.tests = (0..)
        .zip(kinds)
        .map(|(number, kind)| TestSettings {
            name: kind.word().to_owned(),
            kind: kind.clone(),
            targets: [1, 2].map(|last| ip(198, 51, number, last).into()).to_vec(),
        })
        .collect();
    for provider in &mut settings.providers {
        provider.tests = kinds.iter().map(|kind| kind.word().to_owned()).collect();
    }
}

fn kinds() -> [TestKind; 4] {
    let dns = TestKind::Dns { query: "example.org".into(), record: failoverd::settings::Record::A, expect: None };
    [TestKind::ping(), TestKind::Tcp, dns, TestKind::Http { status: vec![200], expect: None }]
}

#[test]
fn a_type_that_is_blocked_is_found_out_as_fast_as_a_dead_line() {
    for (blocked, required) in [("ping", 4), ("tcp", 4), ("dns", 4), ("http", 4), ("tcp", 3)] {
        let config = |required: Required| {
            Config::count(2).with(|settings| tests(settings, &kinds())).check(|it| it.required = required)
        };
        let other = if required == 3 { "dns" } else { "" };
        let mut outages: Vec<Duration> = (0..20)
            .map(|seed| {
                let mut world = healthy(2, config(Required::Count(required)), seed);
                world.pass(ms(seed * 7919 % 1000));
                world.line("wan0").blocked = vec![blocked, other];
                world.pass_until(secs(4), |world| world.traffic() == "wan1")
            })
            .collect();
        outages.sort_unstable();
        assert!(outages[10] <= ms(1200), "{blocked} of {required}: {:?}", outages[10]);
        assert!(outages[19] <= ms(1700), "{blocked} of {required}: {:?}", outages[19]);
    }
}

#[test]
fn the_test_that_fails_is_named_where_others_succeed() {
    for (kind, page, want) in [
        ("tcp", None, "test tcp failed: lost 9 of 9 probes to 2 targets"),
        (
            "http",
            Some(Refusal::Portal { status: 302, location: Some("http://login.example/".into()) }),
            "test http failed: captive portal: sent on to http://login.example/ (9 of 9 probes)",
        ),
        ("http", Some(Refusal::Wrong(Wrong::Status(500))), "test http failed: answered with status 500"),
    ] {
        let config =
            Config::count(2).with(|settings| tests(settings, &kinds())).check(|it| it.required = Required::All);
        let mut world = healthy(2, config, 1);
        let told = page.clone();
        match page {
            Some(_) => world.line("wan0").page = page,
            None => world.line("wan0").blocked = vec![kind],
        }
        world.pass(secs(5));
        assert!(world.reason_of("a").starts_with(want), "{}", world.reason_of("a"));
        let status = world.core().status(world.now);
        let provider = status.providers.iter().find(|it| it.name == "a").unwrap();
        let test = provider.tests.iter().find(|it| it.name == kind).unwrap();
        let reason = told.map(|cause| cause.sentence().to_string());
        assert!(test.targets.iter().all(|it| it.reason == reason), "{:?}", test.targets);
        world.line("wan0").page = None;
        world.line("wan0").blocked = vec![];
        world.pass(secs(30));
        let status = world.core().status(world.now);
        assert!(
            status.providers.iter().flat_map(|it| &it.tests).flat_map(|it| &it.targets).all(|it| it.reason.is_none())
        );
    }
}

#[test]
fn a_required_test_of_one_dead_target_names_it() {
    // What the imports make of lists of hosts that must all answer.
    let config = Config::count(2).with(|settings| {
        let one = |number: usize| TestSettings {
            name: format!("host{number}"),
            kind: TestKind::ping(),
            targets: vec![TARGETS[number].into()],
        };
        settings.tests = (0..3).map(one).collect();
        for provider in &mut settings.providers {
            provider.tests = settings.tests.iter().map(|it| it.name.clone()).collect();
            provider.check.required = Required::Count(3);
        }
    });
    let mut world = healthy(2, config, 1);
    world.line("wan0").dead = vec![TARGETS[1]];
    world.pass(secs(3));
    let reason = world.reason_of("a");
    assert!(reason.starts_with("test host1 (8.8.8.8) failed: lost 9 of 9 probes to 1 target"), "{reason}");
    assert_eq!(world.traffic(), "wan1");
    world.line("wan0").silent = true;
    world.pass(secs(3));
    let reason = world.reason_of("a");
    assert!(reason.starts_with("lost 9 of 9 probes"), "a dead line is no test's: {reason}");
}

#[test]
fn every_type_adapts_to_its_own_round_trip() {
    // A slow type beside a fast one must not make the fast one's failure slow, nor its own answers late.
    let config =
        Config::count(2).with(|settings| tests(settings, &kinds()[..2])).check(|it| it.required = Required::All);
    let mut world = healthy(2, config, 1);
    let start = world.now;
    (world.line("wan0").rtt, world.line("wan0").jitter) = (ms(300), ms(100));
    world.pass(secs(180));
    assert_eq!(world.said_since(start), [] as [&str; 0], "300 ms and 100 ms of jitter");
    world.line("wan0").rtt = ms(600);
    world.pass(secs(180));
    assert_eq!(world.said_since(start), [] as [&str; 0], "and a jump to 600");
}
