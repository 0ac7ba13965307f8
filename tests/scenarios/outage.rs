//! Lines that die, loudly or silently, and lines that only seem to.

use failoverd::event::Event;
use failoverd::kernel::{IfIndex, LookupQuestion, Metric, RouteChange};

use super::healthy;
use super::model::{Config, config, ms, secs};

#[test]
fn a_silent_cut_at_shipped_settings() {
    for seed in 0..20 {
        let mut world = healthy(3, Config::count(3), seed);
        let offset = ms(seed * 53);
        world.pass(offset);
        let cut = world.now;
        world.line("wan0").silent = true;
        let outage = world.pass_until(secs(3), |world| world.traffic() == "wan1");
        assert!(outage <= ms(1700), "seed {seed}: {outage:?}");
        let first = &world.changes[0].1[0];
        assert!(
            matches!(first, RouteChange::Write(route) if route.metric == Metric(2) && route.is_main_default()),
            "the first slot by one Write: {first:?}"
        );
        world.pass(secs(1));
        let said = world.said_since(cut);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("a offline: lost 9 of 9 probes to 4 targets, nothing received for 0."), "{said:?}");
        assert!(said[1].starts_with("switched from a to b: a: lost 9 of 9 probes"), "{said:?}");
    }
}

#[test]
fn a_silent_cut_with_the_fast_profile() {
    for seed in 0..20 {
        let mut world = healthy(2, Config::count(2).check(|it| *it = config::fast()), seed);
        world.line("wan0").silent = true;
        let outage = world.pass_until(secs(1), |world| world.traffic() == "wan1");
        assert!(outage <= ms(260), "seed {seed}: {outage:?}");
    }
}

#[test]
fn a_lost_carrier_needs_no_daemon_and_is_tidied_up() {
    let mut world = healthy(3, Config::count(3), 1);
    let lost = world.now;
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    assert_eq!(world.traffic(), "wan1", "the kernel itself, before we know");
    world.pass(ms(20));
    assert_eq!((world.active().as_str(), world.state_of("a").as_str()), ("b", "no_carrier"));
    assert_eq!(world.said_since(lost), ["a offline: no carrier", "switched from a to b: a: no carrier"]);
    let order: Vec<_> = world.kernel.defaults().take(3).map(|route| route.device.unwrap().0).collect();
    assert_eq!(order, [11, 12, 10], "it goes last");
}

#[test]
fn a_line_that_came_back_proves_itself_and_waits() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(10));
    let back = world.now;
    world.disturb(|kernel| kernel.set_carrier("wan0", true));
    world.pass(ms(5));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("checking", "wan1"));
    let proof = world.pass_until(secs(2), |world| world.state_of("a") == "online");
    assert!(proof > ms(400), "three checks, 0.2 s apart: {proof:?}");
    assert!(proof < secs(1), "{proof:?}");
    let wait = world.pass_until(secs(90), |world| world.traffic() == "wan0");
    assert!((secs(59)..secs(61)).contains(&wait), "failback_delay: {wait:?}");
    assert_eq!(
        world.said_since(back),
        [
            "a online: 3 checks succeeded in a row",
            "switched from b to a: the most preferred reliable provider that may take over"
        ]
    );
}

#[test]
fn every_further_failure_within_ten_minutes_doubles_the_wait() {
    let mut world = healthy(2, Config::count(2), 1);
    for factor in [1, 2, 4, 8, 10] {
        world.disturb(|kernel| kernel.set_carrier("wan0", false));
        world.pass(ms(50));
        world.disturb(|kernel| kernel.set_carrier("wan0", true));
        world.pass_until(secs(2), |world| world.state_of("a") == "online");
        let wait = world.pass_until(secs(700), |world| world.traffic() == "wan0");
        assert!((secs(60 * factor - 1)..secs(60 * factor + 1)).contains(&wait), "{factor}: {wait:?}");
    }
    // The longest wait is as long as the ten minutes.
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(ms(50));
    world.disturb(|kernel| kernel.set_carrier("wan0", true));
    let wait = world.pass_until(secs(90), |world| world.traffic() == "wan0");
    assert!(wait < secs(63), "ten quiet minutes are forgiven: {wait:?}");
}

#[test]
fn one_outage_counts_once() {
    let mut world = healthy(2, Config::count(2), 1);
    world.line("wan0").silent = true;
    world.pass(secs(10));
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(5));
    world.line("wan0").silent = false;
    world.disturb(|kernel| kernel.set_carrier("wan0", true));
    world.pass_until(secs(2), |world| world.state_of("a") == "online");
    let wait = world.pass_until(secs(90), |world| world.traffic() == "wan0");
    assert!(wait < secs(61), "a dead line whose modem is restarted failed once: {wait:?}");
}

#[test]
fn none_alive_is_unverified() {
    let mut world = healthy(2, Config::count(2), 1);
    world.line("wan0").silent = true;
    world.line("wan1").silent = true;
    world.pass(secs(20));
    let status = world.core().status(world.now);
    assert!(status.unverified);
    assert!(status.active.is_some(), "any route is better than none");
    world.line("wan1").silent = false;
    let back = world.pass_until(secs(5), |world| !world.core().status(world.now).unverified);
    assert!(back < secs(3), "{back:?}");
    assert_eq!(world.traffic(), "wan1");
}

#[test]
fn thirty_per_cent_of_the_upstream_lost() {
    for seed in 0..12 {
        let mut world = healthy(2, Config::count(2), seed);
        let start = world.now;
        world.line("wan0").loss = 30;
        world.line("wan1").loss = 30;
        world.pass(secs(180));
        assert_eq!(world.switches_since(start), 0, "seed {seed}: {:?}", world.said_since(start));
        let status = world.core().status(world.now);
        let loss = status.providers[0].loss_percent.unwrap();
        assert!((15.0..45.0).contains(&loss), "told as it is: {loss}");
    }
}

#[test]
fn the_fast_profile_at_thirty_per_cent_loss() {
    let mut switches = 0;
    for seed in 0..10 {
        let mut world = healthy(2, Config::count(2).check(|it| *it = config::fast()), seed);
        let start = world.now;
        world.line("wan0").loss = 30;
        world.pass(secs(180));
        switches += world.switches_since(start);
    }
    assert!(switches <= 1, "{switches} in ten runs of three minutes");
}

#[test]
fn a_full_queue_is_slow_not_dead() {
    for (profile, why) in [(config::shipped(), "shipped"), (config::fast(), "fast")] {
        for seed in 0..5 {
            let mut world = healthy(2, Config::count(2).check(|it| *it = profile.clone()), seed);
            let start = world.now;
            world.line("wan0").rtt = ms(1500);
            world.line("wan0").traffic = 400;
            world.pass(secs(60));
            world.line("wan0").rtt = ms(20);
            world.pass(secs(60));
            world.line("wan0").rtt = ms(1500);
            world.pass(secs(20));
            assert_eq!(world.switches_since(start), 0, "{why}, seed {seed}: {:?}", world.said_since(start));
        }
    }
}

#[test]
fn answers_that_prove_nothing() {
    for wrong in 0..3 {
        let mut world = healthy(2, Config::count(2), wrong);
        let line = world.line("wan0");
        line.wrong_source = wrong == 0;
        line.wrong_cookie = wrong == 1;
        line.unreachable = wrong == 2;
        world.pass_until(secs(4), |world| world.traffic() == "wan1");
        let reason = world.reason_of("a");
        let want = if wrong == 2 { "says host unreachable (9 of 9 probes)" } else { "lost 9 of 9 probes" };
        assert!(reason.contains(want), "{wrong}: {reason}");
    }
}

#[test]
fn answers_that_waited_while_the_kernel_was_read_are_heard_before_a_verdict() {
    let mut world = healthy(2, Config::count(2).check(|it| it.attempts = 0), 1);
    let (probes, start) = (world.probes, world.now);
    world.pass_until(secs(2), |world| world.probes > probes);
    let devices = [10, 11].map(IfIndex);
    let questions = devices.map(|device| config::TARGETS.map(|target| LookupQuestion { device, target })).concat();
    // The answer is there after 20 ms, but the loop is busy for longer than `timeout`, and its first word is the snapshot.
    world.now = world.now + ms(2100);
    let snapshot = world.kernel.snapshot(&questions);
    world.feed(Event::Kernel { snapshot, after: u64::MAX, applied: vec![] });
    world.pass(secs(2));
    assert_eq!(world.said_since(start), Vec::<String>::new());
    assert_eq!(world.state_of("a"), "online");
}

#[test]
fn without_further_attempts_a_refusal_is_not_waited_out() {
    let mut world = healthy(2, Config::count(2).check(|check| check.attempts = 0), 1);
    world.line("wan0").unreachable = true;
    let took = world.pass_until(secs(10), |world| world.traffic() == "wan1");
    assert!(took < ms(1200), "an interval, not an interval and timeout: {took:?}");
    assert!(world.reason_of("a").contains("host unreachable"), "{}", world.reason_of("a"));
}
