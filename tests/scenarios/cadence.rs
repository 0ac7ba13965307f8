//! How often lines are probed: the active one, those in reserve, metered ones, cold standbys; and what that costs.

use failoverd::event::Event;
use failoverd::moment::Moment;
use failoverd::settings::{LastResort, TestSettings};

use super::healthy;
use super::model::{Config, World, config, ms, secs};

/// Probes through a device since `since`.
fn sent(world: &World, device: &str, since: Moment) -> Vec<Moment> {
    world.sent.iter().filter(|(at, name, ..)| *at >= since && name == device).map(|(at, ..)| *at).collect()
}

/// `tests` tests, each of four targets.
fn with_tests(config: Config, tests: usize) -> Config {
    config.with(|settings| {
        let test = |number: usize| TestSettings { name: format!("t{number}"), ..settings.tests[0].clone() };
        let all: Vec<TestSettings> = (0..tests).map(test).collect();
        for provider in &mut settings.providers {
            provider.tests = all.iter().map(|it| it.name.clone()).collect();
        }
        settings.tests = all;
    })
}

#[test]
fn checks_of_many_lines_are_spread_after_whatever_happens() {
    for (count, apart) in [(16, 4), (26, 1)] {
        let mut world = World::with_defaults(count, &[(0, 0)], 1);
        world.start(Config::count(count).0);
        world.pass(secs(30));
        for round in 0..3 {
            // All are in step once; then each goes back to its own time.
            world.feed(Event::CheckNow(None));
            world.pass(secs(10));
            let start = world.now;
            world.pass(secs(60));
            let mut times: Vec<Moment> =
                world.sent.iter().filter(|(at, ..)| *at >= start).map(|(at, ..)| *at).collect();
            times.sort_unstable();
            let close = times.windows(2).filter(|pair| pair[1].since(pair[0]) < ms(apart)).count();
            assert_eq!(close, 0, "{count} lines, round {round}: of {}", times.len());
            for index in 1..count {
                let own = sent(&world, &format!("wan{index}"), start);
                assert!(own.windows(2).all(|pair| pair[1].since(pair[0]) == secs(5)), "its own pause, exactly");
            }
        }
    }
}

#[test]
fn a_burst_or_a_check_by_hand_does_not_shift_the_grid() {
    let mut world = healthy(2, Config::count(2), 1);
    let start = world.now;
    world.pass(secs(10));
    let phase = |at: Moment| at.as_nanos() % 1_000_000_000;
    let own = phase(*sent(&world, "wan0", start).last().unwrap());
    for disturbance in 0..3 {
        match disturbance {
            0 => world.feed(Event::CheckNow(Some("a".into()))),
            1 => {
                world.line("wan0").loss = 60;
                world.pass(secs(2));
                world.line("wan0").loss = 0;
            }
            _ => {
                world.line("wan0").silent = true;
                world.pass(secs(7));
                world.line("wan0").silent = false;
                world.pass(secs(120));
            }
        }
        world.pass(secs(10));
        let start = world.now;
        world.pass(secs(10));
        let times = sent(&world, "wan0", start);
        assert_eq!(times.len(), 10);
        assert!(times.iter().all(|at| phase(*at) == own), "{disturbance}");
    }
}

#[test]
fn a_metered_line_is_probed_once_a_second_at_most() {
    for tests in [1, 2, 4] {
        for interval in [ms(200), secs(1), secs(10)] {
            let config = with_tests(Config::count(1), tests).check(|it| it.interval = interval);
            let config = config.with(|settings| settings.providers[0].metered = true);
            let mut world = World::with_defaults(1, &[(0, 0)], 1);
            let start = world.now;
            world.start(config.0);
            world.pass(secs(3600));
            assert_eq!(world.state_of("a"), "online");
            let times = sent(&world, "wan0", start);
            // Any stretch of time, the proof too: a check has one probe of each test.
            for (number, at) in times.iter().enumerate() {
                let within = times[number..].iter().take_while(|it| it.since(*at) < secs(10)).count();
                assert!(within <= 10 + tests, "{tests} tests at {interval:?}: {within} in ten seconds");
            }
            assert!(times.len() <= 3600 + tests, "{tests} tests at {interval:?}: {} in an hour", times.len());
            assert!(times.len() >= 340, "but it is: {}", times.len());
        }
    }
}

#[test]
fn a_metered_line_in_reserve_is_checked_once_a_minute() {
    let config = Config::count(2).with(|settings| {
        settings.providers[1].metered = true;
        // As the file's defaults have it.
        settings.providers[1].check.standby_interval = secs(60);
    });
    let mut world = healthy(2, config, 1);
    let start = world.now;
    world.pass(secs(3600));
    assert_eq!(sent(&world, "wan1", start).len(), 60);
    world.line("wan0").silent = true;
    world.pass_until(secs(3), |world| world.traffic() == "wan1");
    let start = world.now;
    world.pass(secs(600));
    assert!((599..=601).contains(&sent(&world, "wan1", start).len()), "once a second while it is active");
}

#[test]
fn suspects_cost_a_metered_line_nothing() {
    let config = Config::count(2).with(|settings| settings.providers[0].metered = true);
    let mut world = healthy(2, config, 1);
    for name in ["wan0", "wan1"] {
        world.line(name).dead = vec![config::TARGETS[0]];
    }
    world.pass(secs(60));
    let start = world.now;
    world.pass(secs(3600));
    assert_eq!(sent(&world, "wan0", start).len(), 3600);
    for name in ["wan0", "wan1"] {
        world.line(name).dead.clear();
    }
    world.pass(secs(75));
    let status = world.core().status(world.now);
    let mut targets = status.providers.iter().flat_map(|it| &it.tests).flat_map(|it| &it.targets);
    assert!(targets.all(|it| !it.suspect), "another line finds out");
}

#[test]
fn bytes_add_up() {
    let mut world = healthy(2, Config::count(2), 1);
    let bytes = |world: &World, name: &str| {
        world.core().status(world.now).providers.into_iter().find(|it| it.name == name).unwrap().probe_bytes
    };
    let counted = |world: &World, device: &str, since: Moment| -> u64 {
        let own = world.sent.iter().filter(|(at, name, ..)| *at >= since && name == device);
        own.map(|(.., bytes)| bytes).sum()
    };
    world.line("wan1").silent = true;
    world.pass(secs(100));
    world.line("wan1").silent = false;
    world.pass(secs(3600));
    for (name, device) in [("a", "wan0"), ("b", "wan1")] {
        assert_eq!(bytes(&world, name), counted(&world, device, Moment::default()), "{name}: bursts too");
    }
    assert_eq!(sent(&world, "wan0", Moment::default()).len() as u64 * 2 * 84, bytes(&world, "a"));
    world.pass(secs(26 * 3600));
    let day = counted(&world, "wan0", world.now.before(secs(24 * 3600)));
    let told = bytes(&world, "a");
    assert!(told <= day && told > day / 24 * 23 - 1000, "a day, by the hour: {told} of {day}");
    let reloaded = Config::count(2).with(|it| it.tests[0].targets.truncate(2)).0;
    world.feed(Event::Reload(Box::new(reloaded)));
    assert!((told..told + 1000).contains(&bytes(&world, "a")), "other targets, the same line");
}

/// `count` lines, of which these are cold standbys.
fn cold(count: u32, standbys: &[usize]) -> Config {
    Config::count(count).with(|settings| {
        for index in standbys {
            settings.providers[*index].cold_standby = true;
        }
    })
}

/// These lines have proved themselves, and the cold ones sleep.
fn asleep(count: u32, config: Config) -> World {
    let mut world = World::with_defaults(count, &[(0, 0)], 1);
    world.start(config.0);
    world.pass(secs(30));
    world
}

#[test]
fn a_cold_standby_is_never_probed_while_a_better_line_is_good() {
    for policy in [LastResort::Keep, LastResort::First] {
        let mut world = asleep(2, cold(2, &[1]).with(|it| it.last_resort = policy));
        assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "checking"));
        world.pass(secs(3600));
        assert_eq!(sent(&world, "wan1", Moment::default()), [], "not once, the start included");
        assert!(world.reason_of("b").contains("cold standby"));
        let logged = world.told.iter().filter(|(_, notice)| notice.to_string().contains("cold standby")).count();
        assert_eq!(logged, 1, "said once");

        let cut = world.now;
        world.line("wan0").silent = true;
        world.pass_until(secs(3), |world| world.traffic() == "wan1");
        assert!(world.core().status(world.now).unverified, "{policy:?}: used before it has proved itself");
        world.pass(ms(100));
        assert!(!sent(&world, "wan1", cut).is_empty(), "and probed at once");
        world.pass_until(secs(2), |world| world.state_of("b") == "online");

        world.line("wan0").silent = false;
        world.pass_until(secs(20), |world| world.state_of("a") == "online");
        world.pass(secs(50));
        assert_eq!(world.traffic(), "wan1", "failback_delay");
        world.pass_until(secs(20), |world| world.traffic() == "wan0");
        world.pass(ms(10));
        assert_eq!(world.state_of("b"), "checking", "what was known of it is forgotten");
        let back = world.now;
        world.pass(secs(3600));
        assert_eq!(sent(&world, "wan1", back), []);
        let said = world.said_since(cut);
        assert_eq!(said.len(), 5, "{said:?}");
    }
}

#[test]
fn a_better_line_that_is_dead_at_the_start_leaves_the_cold_one_to_work() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.line("wan0").silent = true;
    world.start(cold(2, &[1]).0);
    world.pass_until(secs(4), |world| world.traffic() == "wan1");
    world.pass_until(secs(4), |world| world.state_of("b") == "online");

    let mut world = World::with_defaults(2, &[], 1);
    world.kernel.set_carrier("wan0", false);
    world.start(cold(2, &[1]).0);
    world.pass_until(secs(2), |world| world.state_of("b") == "online");
    assert_eq!(world.traffic(), "wan1", "without a carrier nobody waits for it");
}

#[test]
fn of_several_cold_standbys_one_is_enough() {
    let mut world = asleep(3, cold(3, &[1, 2]));
    let start = world.now;
    world.pass(secs(600));
    assert!(sent(&world, "wan1", start).is_empty() && sent(&world, "wan2", start).is_empty());
    world.line("wan0").silent = true;
    world.pass_until(secs(3), |world| world.traffic() == "wan1");
    world.pass(secs(2));
    let proved = world.now;
    world.pass(secs(600));
    assert_eq!((world.state_of("b").as_str(), world.state_of("c").as_str()), ("online", "checking"));
    assert_eq!(sent(&world, "wan2", proved), [], "the second sleeps on");
    world.line("wan1").silent = true;
    world.pass_until(secs(3), |world| world.traffic() == "wan2");
}

#[test]
fn a_cold_standby_behind_a_line_that_works_waits_its_turn() {
    // b is preferred to c, which is always checked: without a, traffic goes to c at once, and b is proved.
    let mut world = asleep(3, cold(3, &[1]));
    assert_eq!(world.state_of("c"), "online");
    world.line("wan0").silent = true;
    world.pass_until(secs(3), |world| world.traffic() == "wan2");
    world.pass(secs(5));
    assert_eq!((world.state_of("b").as_str(), world.traffic().as_str()), ("online", "wan2"));
    world.pass_until(secs(70), |world| world.traffic() == "wan1");
}

#[test]
fn a_pinned_cold_standby_is_checked() {
    let mut world = asleep(2, cold(2, &[1]));
    world.feed(Event::Pin("b".into()));
    world.pass(secs(5));
    assert_eq!((world.state_of("b").as_str(), world.traffic().as_str()), ("online", "wan1"));
    world.feed(Event::Unpin);
    world.pass_until(secs(70), |world| world.traffic() == "wan0");
    world.pass(ms(10));
    assert!(world.reason_of("b").contains("cold standby"));
}

#[test]
fn a_check_by_hand_of_a_cold_standby_is_one_check() {
    for (silent, why) in [(false, "it answers"), (true, "it does not")] {
        let mut world = asleep(2, cold(2, &[1]));
        world.line("wan1").silent = silent;
        let wanted = world.core().checks_after_next(Some("b"));
        assert!(!world.core().has_checked("b", wanted[0].1), "{why}");
        let start = world.now;
        world.feed(Event::CheckNow(Some("b".into())));
        world.pass(secs(3));
        assert!(world.core().has_checked("b", wanted[0].1), "{why}");
        assert!(world.reason_of("b").contains("cold standby"), "{why}");
        let history = world.core().history("b", Some(1), world.now).unwrap();
        assert_eq!(history.checks[0].ok, !silent, "{why}");
        world.pass(secs(600));
        assert_eq!(sent(&world, "wan1", start).len(), if silent { 9 } else { 1 }, "{why}");
        assert_eq!(world.said_since(start), [] as [&str; 0], "{why}: nobody depends on it");
    }
}

#[test]
fn why_says_what_a_cold_standby_is_there_for() {
    let mut world = asleep(2, cold(2, &[1]));
    let sentences = |world: &World| -> Vec<String> {
        let explanation = world.core().why(world.now);
        explanation.providers.iter().flat_map(|it| &it.sentences).map(ToString::to_string).collect()
    };
    let said = sentences(&world);
    for want in [
        "If it fails, b takes over.",
        "b is on cold standby: it is not checked while a better provider is good.",
        "It takes over only if a fails.",
    ] {
        assert!(said.iter().any(|sentence| sentence == want), "{want}: {said:?}");
    }
    assert!(!said.iter().any(|sentence| sentence.contains("more successful checks")), "{said:?}");
    world.line("wan0").silent = true;
    world.pass_until(secs(3), |world| world.traffic() == "wan1");
    let said = sentences(&world);
    let want = "It was on cold standby, and is used before it has proved itself, as the better ones are gone.";
    assert!(said.iter().any(|sentence| sentence == want), "{said:?}");
}

#[test]
fn a_cold_standby_does_not_wake_by_what_happens_to_its_link() {
    let mut world = asleep(2, cold(2, &[1]));
    let start = world.now;
    for _ in 0..3 {
        world.disturb(|kernel| kernel.set_carrier("wan1", false));
        world.pass(secs(3));
        assert_eq!(world.state_of("b"), "no_carrier");
        world.disturb(|kernel| kernel.set_carrier("wan1", true));
        world.pass(secs(3));
        assert!(world.reason_of("b").contains("cold standby"));
        world.disturb(|kernel| kernel.rules.clear());
        world.pass(secs(3));
    }
    assert_eq!(sent(&world, "wan1", start), []);
}
