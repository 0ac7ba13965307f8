//! Lines that work, but not well: who is degraded, where traffic goes, and when it comes back.

use std::time::Duration;

use failoverd::event::Event;
use failoverd::reason::{Refusal, Wrong};
use failoverd::settings::{CheckSettings, Failback, Limits, TestKind, TestSettings};

use super::healthy;
use super::model::{Config, World, ip, ms, secs};

/// `max_loss 20`, as `recover_loss` is by default.
fn lossy(check: &mut CheckSettings) {
    check.loss = Some(Limits { max: 20, recover: 15 });
}

/// `max_latency 300ms`.
fn slow(check: &mut CheckSettings) {
    check.latency = Some(Limits { max: ms(300), recover: ms(225) });
}

/// Lets time pass until `done`, a tenth of a second at a time; tells how long it took.
fn wait(world: &mut World, limit: Duration, done: impl Fn(&World) -> bool) -> Duration {
    let start = world.now;
    while !done(world) {
        assert!(world.now.since(start) < limit, "not within {limit:?}: {:?}", world.said_since(start));
        world.pass(ms(100));
    }
    world.now.since(start)
}

fn state(world: &World, name: &str) -> String {
    world.state_of(name)
}

fn said(world: &World, name: &str) -> String {
    let why = world.core().why(world.now);
    let it = why.providers.into_iter().find(|it| it.name == name).unwrap();
    it.sentences.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn headline(world: &World) -> String {
    world.core().why(world.now).sentence.to_string()
}

#[test]
fn forty_per_cent_loss_moves_traffic_where_a_limit_is_set() {
    for seed in 0..8 {
        let mut world = healthy(2, Config::count(2).check(lossy), seed);
        let start = world.now;
        world.line("wan0").loss = 40;
        let moved = wait(&mut world, secs(180), |world| world.traffic() == "wan1");
        assert!(moved > secs(10), "seed {seed}: not by a handful of probes: {moved:?}");
        let lines = world.said_since(start);
        assert!(lines[0].starts_with("a degraded: loss ") && lines[0].ends_with("% above 20%"), "{lines:?}");
        assert!(lines[1].starts_with("switched from a to b: a: loss "), "{lines:?}");
        assert_eq!(world.told.iter().rfind(|it| it.1.action.is_some()).unwrap().1.reason_code, Some("loss"));
        let status = world.core().status(world.now);
        let a = status.providers.iter().find(|it| it.name == "a").unwrap();
        assert!(a.reliable && !a.active && a.reason_code.as_deref() == Some("loss"), "{a:?}");
        assert_eq!(status.providers[1].name, "a", "behind the good one");
        world.pass(secs(900));
        assert_eq!((world.switches_since(start), state(&world, "a").as_str()), (1, "degraded"), "seed {seed}");
    }
}

#[test]
fn with_no_limit_it_stays() {
    let mut world = healthy(2, Config::count(2), 1);
    let start = world.now;
    world.line("wan0").loss = 40;
    world.pass(secs(600));
    assert_eq!((world.switches_since(start), state(&world, "a").as_str()), (0, "online"));
    let quality = world.core().status(world.now).providers[0].quality.clone().unwrap();
    assert!(quality.probes >= 95, "{quality:?}");
    assert!((20.0..22.1).contains(&quality.latency_median_ms) && quality.jitter_max_ms <= 2.0, "{quality:?}");
}

#[test]
fn it_comes_back_when_it_has_been_good_for_failback_delay() {
    let mut world = healthy(2, Config::count(2).check(lossy), 1);
    world.line("wan0").loss = 40;
    wait(&mut world, secs(180), |world| world.traffic() == "wan1");
    world.line("wan0").loss = 0;
    let healed = world.now;
    world.pass(secs(60));
    assert!(headline(&world).starts_with("a is degraded (loss "), "{}", headline(&world));
    assert!(
        said(&world, "a").ends_with(
            "It is not active because it is degraded. It is good again when its loss is 15% or less. It takes over when it has been good for 1m."
        ),
        "{}",
        said(&world, "a")
    );
    assert!(said(&world, "b").contains("It is active because a, though preferred, is degraded."));
    // A standby line is checked each 5 s, and some twenty of a hundred lost probes must leave the window.
    wait(&mut world, secs(480), |world| state(world, "a") == "online");
    assert_eq!(
        world.said_since(healed),
        ["a online: loss, latency and jitter are within their limits again"],
        "and nothing moves yet"
    );
    world.pass(secs(20));
    assert!(
        said(&world, "a").ends_with(
            "It is not active because it has been good again for only 20s of 1m. It takes over in 39s if it stays reliable."
        ),
        "{}",
        said(&world, "a")
    );
    assert_eq!(world.core().status(world.now).providers[1].failback_in, Some(39));
    world.pass(secs(38));
    assert_eq!(world.traffic(), "wan1");
    world.pass(secs(3));
    assert_eq!(world.traffic(), "wan0");
}

#[test]
fn a_line_at_its_limit_is_no_see_saw() {
    let mut switches = 0;
    for seed in 0..6 {
        let mut world = healthy(2, Config::count(2).check(lossy), seed);
        let start = world.now;
        world.line("wan0").loss = 18;
        world.pass(secs(3600));
        switches += world.switches_since(start);
    }
    // The worst there is: right between recover_loss and max_loss, and a window that is filled by chance.
    assert!(switches <= 60, "{switches} in six hours");
}

#[test]
fn slow_and_unsteady_lines() {
    let mut world = healthy(2, Config::count(2).check(slow), 1);
    let start = world.now;
    world.line("wan0").rtt = ms(400);
    let moved = wait(&mut world, secs(60), |world| world.traffic() == "wan1");
    assert!((secs(20)..secs(40)).contains(&moved), "{moved:?}");
    let lines = world.said_since(start);
    assert!(lines[0].starts_with("a degraded: latency 3") && lines[0].ends_with(" ms above 300 ms"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    world.line("wan0").rtt = ms(20);
    let back = wait(&mut world, secs(200), |world| world.traffic() == "wan0");
    assert!(back > secs(60), "{back:?}");

    let jitter = |check: &mut CheckSettings| check.jitter = Some(Limits { max: ms(40), recover: ms(30) });
    let mut world = healthy(2, Config::count(2).check(jitter), 1);
    let start = world.now;
    world.line("wan0").jitter = ms(300);
    wait(&mut world, secs(120), |world| world.traffic() == "wan1");
    let lines = world.said_since(start);
    assert!(lines[0].starts_with("a degraded: jitter ") && lines[0].ends_with(" ms above 40 ms"), "{lines:?}");
    assert!(said(&world, "a").contains("It is good again when its jitter is 30 ms or less."), "{}", said(&world, "a"));
}

#[test]
fn one_slow_answer_moves_nothing() {
    let limits = |check: &mut CheckSettings| {
        slow(check);
        check.jitter = Some(Limits { max: ms(40), recover: ms(30) });
    };
    for seed in 0..5 {
        let mut world = healthy(2, Config::count(2).check(limits), seed);
        let start = world.now;
        for _ in 0..5 {
            world.line("wan0").rtt = ms(1500);
            world.line("wan0").traffic = 400;
            world.pass(secs(1));
            world.line("wan0").rtt = ms(20);
            world.pass(secs(60));
        }
        assert_eq!(world.said_since(start), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn when_all_are_degraded_they_rank_as_if_none_were() {
    let mut world = healthy(3, Config::count(3).check(slow), 1);
    let start = world.now;
    world.line("wan0").rtt = ms(600);
    wait(&mut world, secs(60), |world| world.traffic() == "wan1");
    world.line("wan2").rtt = ms(600);
    wait(&mut world, secs(300), |world| state(world, "c") == "degraded");
    world.line("wan1").rtt = ms(600);
    wait(&mut world, secs(120), |world| state(world, "b") == "degraded");
    assert_eq!(world.traffic(), "wan1", "no other is better, and nothing moves at once");
    world.pass(secs(20));
    assert!(headline(&world).starts_with("b is degraded (latency "), "{}", headline(&world));
    assert!(headline(&world).ends_with("; traffic goes through it as no other provider is good."));
    assert!(
        said(&world, "b").ends_with(
            "It is active until all have been degraded for long enough; a is preferred among those. If it fails, a takes over."
        ),
        "{}",
        said(&world, "b")
    );
    assert!(said(&world, "a").contains("because all have been degraded for only 20s of 1m. "), "{}", said(&world, "a"));
    wait(&mut world, secs(60), |world| world.traffic() == "wan0");
    assert_eq!(
        world.said_since(start).last().unwrap(),
        "switched from b to a: the most preferred reliable provider that may take over"
    );
    world.line("wan2").rtt = ms(20);
    wait(&mut world, secs(300), |world| world.traffic() == "wan2");
    assert!(world.said_since(start).last().unwrap().starts_with("switched from a to c: a: latency 6"));
}

#[test]
fn a_degraded_line_still_goes_before_one_that_is_dead() {
    let mut world = healthy(2, Config::count(2).check(slow), 1);
    world.line("wan1").rtt = ms(600);
    wait(&mut world, secs(300), |world| state(world, "b") == "degraded");
    assert!(
        said(&world, "b")
            .ends_with("It is good again when its latency is 225 ms or less. It takes over only if a fails."),
        "{}",
        said(&world, "b")
    );
    world.line("wan0").silent = true;
    wait(&mut world, secs(3), |world| world.traffic() == "wan1");
    world.pass(secs(10));
    assert_eq!((state(&world, "a").as_str(), state(&world, "b").as_str()), ("offline", "degraded"));
    assert!(
        headline(&world).ends_with("; traffic goes through it as no other provider is good."),
        "{}",
        headline(&world)
    );
    world.line("wan0").silent = false;
    // It is preferred, reliable and good: no reason to wait.
    let back = wait(&mut world, secs(60), |world| world.traffic() == "wan0");
    assert!(back < secs(30), "{back:?}");
}

#[test]
fn a_pin_stays_on_a_degraded_line_and_manual_failback_leaves_it() {
    let mut world = healthy(2, Config::count(2).check(slow), 1);
    world.feed(Event::Pin("a".into()));
    world.line("wan0").rtt = ms(600);
    world.pass(secs(120));
    assert_eq!((world.traffic().as_str(), state(&world, "a").as_str()), ("wan0", "degraded"));
    assert!(headline(&world).ends_with("; traffic goes through it because it is pinned."), "{}", headline(&world));
    world.feed(Event::Unpin);
    world.pass(ms(10));
    assert_eq!(world.traffic(), "wan1", "a good one is there");

    let mut world = healthy(2, Config::count(2).check(slow).with(|it| it.failback = Failback::Manual), 1);
    world.line("wan0").rtt = ms(600);
    wait(&mut world, secs(60), |world| world.traffic() == "wan1");
    world.line("wan0").rtt = ms(20);
    world.pass(secs(3600));
    assert_eq!((world.traffic().as_str(), state(&world, "a").as_str()), ("wan1", "online"));
    world.line("wan1").rtt = ms(600);
    wait(&mut world, secs(60), |world| world.traffic() == "wan0");
}

#[test]
fn an_outage_is_no_loss_once_it_is_over() {
    for seed in 0..5 {
        let mut world = healthy(2, Config::count(2).check(lossy), seed);
        world.pass(secs(60));
        let start = world.now;
        world.line("wan0").silent = true;
        world.pass(secs(600));
        let status = world.core().status(world.now);
        assert!(status.providers[1].loss_percent > Some(50.0), "while it lasts it is told: {:?}", status.providers[1]);
        world.line("wan0").silent = false;
        world.pass(secs(150));
        assert_eq!(
            (world.traffic().as_str(), world.said_since(start).len()),
            ("wan0", 4),
            "{:?}",
            world.said_since(start)
        );
        assert_eq!(world.core().status(world.now).providers[0].loss_percent, Some(0.0));
    }
}

#[test]
fn a_lost_link_begins_anew() {
    let mut world = healthy(2, Config::count(2).check(lossy), 1);
    world.line("wan0").loss = 40;
    wait(&mut world, secs(180), |world| world.traffic() == "wan1");
    world.line("wan0").loss = 0;
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(5));
    world.disturb(|kernel| kernel.set_carrier("wan0", true));
    wait(&mut world, secs(10), |world| state(world, "a") == "online");
    // Degraded, then without a link: two failures close together.
    let wait = wait(&mut world, secs(200), |world| world.traffic() == "wan0");
    assert!((secs(119)..secs(121)).contains(&wait), "{wait:?}");
}

#[test]
fn a_reload_takes_limits_back_and_keeps_what_is_known() {
    let mut world = healthy(2, Config::count(2).check(lossy), 1);
    world.line("wan0").loss = 40;
    wait(&mut world, secs(180), |world| world.traffic() == "wan1");
    let tests = |count| Config::count(2).check(lossy).with(|it| it.tests[0].targets.truncate(count)).0;
    world.feed(Event::Reload(Box::new(tests(2))));
    world.pass(secs(60));
    assert_eq!(state(&world, "a"), "degraded", "other targets know nothing yet");
    world.feed(Event::Reload(Box::new(tests(2))));
    assert_eq!(state(&world, "a"), "degraded");
    let unlimited = Config::count(2).with(|it| it.tests[0].targets.truncate(2)).0;
    world.feed(Event::Reload(Box::new(unlimited)));
    assert_eq!(state(&world, "a"), "online");
}

#[test]
fn three_hundred_milliseconds_with_a_hundred_of_jitter_are_no_alarm() {
    for seed in 0..40 {
        let mut world = healthy(2, Config::count(2), seed);
        let start = world.now;
        world.line("wan0").rtt = ms(250);
        world.line("wan0").jitter = ms(100);
        world.pass(secs(180));
        assert_eq!(world.said_since(start), Vec::<String>::new(), "seed {seed}");
    }
}

/// A line of which nothing is heard but the answers to our probes.
fn jumps(kind: TestKind, from: Duration, to: Duration, seed: u64) -> Vec<String> {
    let mut world = healthy(2, Config::count(2).with(|it| it.tests[0].kind = kind), seed);
    world.line("wan0").rtt = from;
    world.pass(ms(20_000 + seed * 37));
    let start = world.now;
    world.line("wan0").rtt = to;
    world.pass(secs(180));
    world.said_since(start)
}

#[test]
fn a_jump_from_20_to_600_milliseconds_is_no_alarm() {
    for seed in 0..30 {
        assert_eq!(jumps(TestKind::ping(), ms(20), ms(600), seed), Vec::<String>::new(), "seed {seed}");
        assert_eq!(jumps(TestKind::Tcp, ms(80), ms(640), seed), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn what_a_longer_jump_costs() {
    // Nothing tells an idle line of this kind from a dead one when it is judged; the late answers do, and the waits adapt.
    let mut world = healthy(2, Config::count(2), 1);
    let start = world.now;
    world.line("wan0").rtt = ms(900);
    world.pass(secs(120));
    let lines = world.said_since(start);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("a offline") && lines[2].starts_with("a online"), "{lines:?}");
    assert_eq!((world.traffic().as_str(), world.core().status(world.now).providers[0].flaps), ("wan0", 1));
}

#[test]
fn what_a_cold_standby_lost_when_it_was_awake_says_nothing_of_it_later() {
    let cold = Config::count(2).check(lossy).with(|it| it.providers[1].cold_standby = true);
    let mut world = World::with_defaults(2, &[(0, 0)], 3);
    world.start(cold.0);
    world.pass(secs(30));
    world.line("wan0").silent = true;
    world.line("wan1").loss = 40;
    wait(&mut world, secs(300), |world| state(world, "b") == "degraded");
    world.line("wan0").silent = false;
    wait(&mut world, secs(1200), |world| state(world, "b") == "checking");
    world.line("wan1").loss = 0;
    world.pass(secs(24 * 3600));
    world.line("wan0").silent = true;
    let start = world.now;
    wait(&mut world, secs(60), |world| state(world, "b") == "online");
    world.pass(secs(60));
    assert_eq!(
        (state(&world, "b").as_str(), world.said_since(start).len()),
        ("online", 3),
        "{:?}",
        world.said_since(start)
    );
}

#[test]
fn a_page_that_is_another_one_is_not_lost() {
    let config = Config::count(2).check(lossy).with(|it| {
        let page = TestKind::Http { status: vec![204], expect: None };
        it.tests.push(TestSettings { name: "page".into(), kind: page, targets: vec![ip(192, 0, 2, 80).into()] });
        it.providers.iter_mut().for_each(|it| it.tests.push("page".into()));
    });
    let mut world = healthy(2, config, 4);
    let start = world.now;
    world.line("wan0").page = Some(Refusal::Wrong(Wrong::Status(503)));
    world.pass(secs(300));
    assert_eq!(
        (state(&world, "a"), world.said_since(start)),
        ("online".into(), vec![]),
        "its server is ill, not the line"
    );
}

#[test]
fn a_link_that_comes_back_quick_is_not_slow_for_what_it_was() {
    let mut world = healthy(2, Config::count(2).check(slow), 5);
    world.line("wan0").rtt = ms(600);
    wait(&mut world, secs(180), |world| state(world, "a") == "degraded");
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(5));
    world.line("wan0").rtt = ms(20);
    let start = world.now;
    world.disturb(|kernel| kernel.set_carrier("wan0", true));
    world.pass(secs(120));
    let said = world.said_since(start);
    assert!(!said.iter().any(|line| line.contains("degraded")), "{said:?}");
    assert_eq!(state(&world, "a"), "online");
}
