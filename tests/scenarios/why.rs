//! Why things are as they are, told while they happen: every scenario is read as its owner would, in `failoverd why`.

use failoverd::event::Event;
use failoverd::settings::{Failback, LastResort};
use failoverd::why::{Explained, Explanation};

use super::healthy;
use super::model::{Config, World, ms, secs};
use super::silent_netifd::mixed;

fn why(world: &World) -> Explanation {
    world.core().why(world.now)
}

pub(super) fn explained(world: &World, name: &str) -> Explained {
    why(world).providers.into_iter().find(|it| it.name == name).unwrap()
}

/// The paragraph of a provider.
pub(super) fn said(world: &World, name: &str) -> String {
    explained(world, name).sentences.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The whole in one line, with its code.
pub(super) fn headline(world: &World) -> (String, &'static str) {
    let explanation = why(world);
    (explanation.sentence.to_string(), explanation.reason_code)
}

pub(super) fn code(world: &World, name: &str) -> (&'static str, &'static str) {
    let it = explained(world, name);
    (it.role, it.reason_code)
}

pub(super) const DEAD: &str = "lost 9 of 9 probes to 4 targets, nothing received for 0.6 s";

#[test]
fn a_silent_cut_and_the_way_back() {
    let mut world = healthy(3, Config::count(3), 1);
    assert_eq!(headline(&world), ("Online through a for 29s, 21 ms.".into(), "best"));
    assert_eq!(
        said(&world, "a"),
        "a has been online for 29s: 21 ms, 0% lost. It is active because no reliable provider is preferred to it (priority 1). If it fails, b takes over."
    );
    assert_eq!(
        said(&world, "b"),
        "b has been online for 29s: 21 ms, 0% lost. It is not active because a is preferred: priority 1 comes before 2. It takes over only if a fails."
    );
    assert_eq!(code(&world, "b"), ("standby", "lower_priority"));
    assert!(said(&world, "c").ends_with("It takes over only if all of these fail: a, b."));

    world.line("wan0").silent = true;
    world.pass(ms(20_100));
    assert_eq!(headline(&world), (format!("a is offline ({DEAD}); online through b for 19s, 21 ms."), "best"));
    assert_eq!(code(&world, "a"), ("unusable", "lost_probes"));
    assert_eq!(
        said(&world, "a"),
        format!(
            "a has been offline for 19s ({DEAD}). It became unreliable once within the last hour. It needs 3 more successful checks in a row to be reliable. It takes over when it has been reliable for 1m."
        )
    );

    world.line("wan0").silent = false;
    world.pass_until(secs(20), |world| said(world, "a").contains("It needs one more successful check to be reliable."));
    world.pass_until(secs(20), |world| world.state_of("a") == "online");
    world.pass(secs(20));
    assert_eq!(
        headline(&world),
        ("a is online and takes over in 39s; online through b for 49s, 21 ms.".into(), "stays")
    );
    assert_eq!(code(&world, "a"), ("standby", "failback_wait"));
    assert!(
        said(&world, "a").ends_with(
            "It is not active because it has been reliable for only 20s of 1m. It takes over in 39s if it stays reliable."
        ),
        "{}",
        said(&world, "a")
    );
    assert!(
        said(&world, "b")
            .contains("It is active until a has been reliable for long enough. If it fails, a takes over.")
    );

    world.pass(secs(41));
    assert_eq!(headline(&world).1, "best");
    assert_eq!(why(&world).switches, 2);
    world.pass(secs(3600));
    assert_eq!((why(&world).switches, explained(&world, "a").flaps), (0, 0), "an hour later both are forgotten");
}

#[test]
fn a_line_that_comes_and_goes_waits_longer_and_says_so() {
    let mut world = healthy(2, Config::count(2), 1);
    for _ in 0..3 {
        world.disturb(|kernel| kernel.set_carrier("wan0", false));
        world.pass(secs(1));
        world.disturb(|kernel| kernel.set_carrier("wan0", true));
        world.pass_until(secs(2), |world| world.state_of("a") == "online");
    }
    let longer = "Its failback delay of 1m is 4m now: each failure within ten minutes of the one before doubles it.";
    assert!(said(&world, "a").contains(longer), "{}", said(&world, "a"));
    assert!(said(&world, "a").contains("reliable for only 0s of 4m. "), "{}", said(&world, "a"));
    assert_eq!(explained(&world, "a").flaps, 3);
    assert!(said(&world, "a").contains("It became unreliable 3 times within the last hour."));
    // Carrier that bounces before anything is proved is not counted again, nor is memory used without end.
    for _ in 0..300 {
        world.disturb(|kernel| kernel.set_carrier("wan0", false));
        world.pass(ms(5));
        world.disturb(|kernel| kernel.set_carrier("wan0", true));
        world.pass(ms(5));
    }
    assert_eq!(explained(&world, "a").flaps, 4);
}

#[test]
fn no_carrier_is_said_with_what_must_come_back_first() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(5));
    assert_eq!(headline(&world), ("a is offline (no carrier); online through b for 4s, 21 ms.".into(), "best"));
    assert_eq!(code(&world, "a"), ("unusable", "no_carrier"));
    assert!(
        said(&world, "a").ends_with(
            "It is checked again as soon as that is mended. It needs 3 more successful checks in a row to be reliable. It takes over when it has been reliable for 1m."
        ),
        "{}",
        said(&world, "a")
    );
}

#[test]
fn a_pin_and_its_end() {
    let mut world = healthy(2, Config::count(2), 1);
    world.feed(Event::Pin("b".into()));
    world.pass(secs(60));
    assert_eq!(headline(&world), ("Online through b for 1m, 21 ms; it is pinned.".into(), "pinned"));
    assert!(said(&world, "b").contains("It is active because it is pinned; 'failoverd unpin' ends that."));
    assert_eq!(code(&world, "a"), ("standby", "pinned_elsewhere"));
    assert!(said(&world, "a").ends_with(
        "It is not active because b is pinned. It can take over only by hand ('failoverd pin a'), or if b loses its link."
    ));

    world.line("wan1").silent = true;
    world.pass(secs(10));
    let trouble = format!("b is offline ({DEAD}); traffic goes through it because it is pinned.");
    assert_eq!(headline(&world), (trouble, "pinned"));
    assert!(why(&world).reliable, "a is, though nobody uses it");

    world.disturb(|kernel| kernel.set_carrier("wan1", false));
    world.pass(secs(10));
    assert_eq!(headline(&world).1, "best", "a pin without a link is not followed");
    assert_eq!(code(&world, "b"), ("unusable", "no_carrier"));
    assert!(said(&world, "b").ends_with(
        "(no carrier). It became unreliable once within the last hour. It takes over as soon as that is mended."
    ));
    world.feed(Event::Unpin);
    assert!(said(&world, "b").ends_with("It takes over only if a fails."), "{}", said(&world, "b"));

    world.feed(Event::Reload(Box::new(Config::count(2).with(|it| it.pin = Some("a".into())).0)));
    assert!(said(&world, "a").contains("It is active because the configuration pins it ('option pin')."));
}

#[test]
fn manual_failback_waits_for_a_hand() {
    let mut world = healthy(2, Config::count(2).with(|it| it.failback = Failback::Manual), 1);
    world.line("wan0").silent = true;
    world.pass(secs(10));
    assert!(said(&world, "a").ends_with("It takes over only by hand ('failoverd pin a'), or if b fails."));
    world.line("wan0").silent = false;
    world.pass(secs(300));
    assert_eq!(
        headline(&world),
        ("a is online and takes over by hand; online through b for 5m 9s, 21 ms.".into(), "stays")
    );
    assert_eq!(code(&world, "a"), ("standby", "manual_failback"));
    assert!(said(&world, "a").contains("It is not active because failback is manual ('option failback')."));
    assert!(said(&world, "b").contains("though preferred, takes over only by hand"));
}

#[test]
fn nobody_is_reliable() {
    for (policy, used, why_it) in [
        (LastResort::Keep, "b", "'option last_resort' keeps the active one."),
        (LastResort::First, "a", "'option last_resort' takes the first one."),
    ] {
        let mut world = healthy(2, Config::count(2).with(|it| it.last_resort = policy), 1);
        for name in ["wan0", "wan1"] {
            world.line(name).silent = true;
            world.pass(secs(20));
        }
        let (sentence, code) = headline(&world);
        let dead =
            format!("No provider is reliable: traffic goes through {used}, unproven; {used} is offline ({DEAD}).");
        assert_eq!((sentence, code), (dead, "last_resort"));
        assert!(!why(&world).reliable);
        assert!(said(&world, used).contains(why_it), "{}", said(&world, used));
        assert!(said(&world, used).ends_with("The first provider to become reliable takes over."));
        let other = if used == "a" { "b" } else { "a" };
        assert!(said(&world, other).ends_with("in a row to be reliable. It takes over as soon as it is reliable."));
        world.disturb(|kernel| {
            kernel.set_carrier("wan0", false);
            kernel.set_carrier("wan1", false);
        });
        world.pass(secs(1));
        let offline = "Offline: no provider has a device with carrier, address and gateway.";
        assert_eq!(headline(&world), (offline.into(), "no_uplink"));
        assert!(said(&world, other).ends_with(
            "(no carrier). It became unreliable once within the last hour. It takes over as soon as that is mended."
        ));
    }
}

#[test]
fn with_one_provider_there_is_nothing_to_choose() {
    let mut world = healthy(1, Config::count(1), 1);
    assert_eq!(headline(&world), ("Online through a for 29s, 21 ms.".into(), "best"));
    assert!(said(&world, "a").ends_with("lost. It is the only provider: there is nothing to choose."));
    world.line("wan0").silent = true;
    world.pass(secs(10));
    assert_eq!(headline(&world), (format!("a is offline ({DEAD}); there is no other provider."), "last_resort"));
}

#[test]
fn equals_do_not_push_each_other_aside() {
    let alone = Config::count(3).with(|it| (it.providers[1].priority, it.providers[1].balance) = (1, false));
    let mut world = healthy(3, alone, 1);
    assert_eq!(code(&world, "b"), ("standby", "equal_priority"));
    assert!(
        said(&world, "b")
            .contains("It is not active because a works and has the same priority, 1. It takes over only if a fails. It shares no traffic ('option balance' is 0).")
    );
    world.line("wan0").silent = true;
    world.pass(secs(10));
    world.line("wan0").silent = false;
    world.pass(secs(300));
    assert_eq!(headline(&world), ("Online through b for 5m 9s, 21 ms.".into(), "stays"));
    assert!(
        said(&world, "b").contains("It is active because a has the same priority, which is no reason to move traffic.")
    );
    assert!(said(&world, "a").ends_with("It takes over only if b fails."));
    assert!(said(&world, "c").ends_with("It takes over only if all of these fail: b, a."), "{}", said(&world, "c"));
}

#[test]
fn of_two_that_wait_the_first_to_be_due_goes_before() {
    let mut world = healthy(3, Config::count(3), 1);
    world.disturb(|kernel| {
        kernel.set_carrier("wan0", false);
        kernel.set_carrier("wan1", false);
    });
    world.pass(secs(5));
    world.disturb(|kernel| {
        kernel.set_carrier("wan0", true);
        kernel.set_carrier("wan1", true);
    });
    world.pass(secs(10));
    assert_eq!((world.active().as_str(), code(&world, "a")), ("c", ("standby", "failback_wait")));
    assert_eq!(code(&world, "b"), ("standby", "lower_priority"));
    assert!(said(&world, "b").ends_with("a is preferred: priority 1 comes before 2. It takes over only if a fails."));
}

#[test]
fn too_many_failures_are_counted() {
    let config = Config::count(2).check(|it| (it.down, it.max_failed, it.history, it.up) = (9, Some(2), 20, 1));
    let mut world = healthy(2, config, 1);
    world.line("wan0").silent = true;
    world.pass_until(secs(30), |world| world.active() == "b");
    world.line("wan0").silent = false;
    world.pass(secs(10));
    assert_eq!(code(&world, "a"), ("unusable", "too_many_failures"));
    let said = said(&world, "a");
    assert!(
        said.ends_with(
            "3 of its last checks failed, and no more than 2 may have. It takes over when it has been reliable for 1m."
        ),
        "{said}"
    );
}

#[test]
fn before_anything_is_known() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.start(Config::count(2).0);
    assert_eq!(headline(&world), ("Starting: what lines there are is not known yet.".into(), "starting"));
    world.pass(ms(50));
    let meanwhile = "a is being checked; traffic goes through it meanwhile.";
    assert_eq!(headline(&world), (meanwhile.into(), "starting"));
    assert!(said(&world, "a").ends_with("It is used until the first checks have ended."), "{}", said(&world, "a"));
    assert_eq!(code(&world, "b"), ("unusable", "checking"));
    assert!(said(&world, "b").starts_with("b is being checked. It needs"), "{}", said(&world, "b"));
    let mut world = World::with_lines(2, 1);
    world.start(Config::count(2).0);
    world.pass(ms(50));
    assert_eq!(headline(&world), (meanwhile.into(), "starting"), "nor was there a default route before");
    let mut world = World::with_interfaces(2, &[(0, 0)], 1);
    world.netifd.silent = true;
    world.start(mixed().0);
    world.pass(secs(1));
    assert_eq!(headline(&world).1, "starting", "netifd is waited for");
    assert!(said(&world, "a").ends_with("It takes over as soon as it is reliable."), "{}", said(&world, "a"));
    assert!(said(&world, "b").ends_with("It takes over as soon as that is mended."), "{}", said(&world, "b"));
}

#[test]
fn without_failover() {
    let mut world = healthy(2, Config::count(2), 1);
    world.feed(Event::Reload(Box::new(Config::count(2).with(|it| it.providers[1].enabled = false).0)));
    assert_eq!(code(&world, "b"), ("disabled", "disabled"));
    assert_eq!(
        said(&world, "b"),
        "b is disabled in the configuration. It takes part when failover.b.enabled is set to 1."
    );
    assert!(said(&world, "a").ends_with("It is the only provider: there is nothing to choose."));
    world.feed(Event::Reload(Box::new(Config::count(2).with(|it| it.enabled = false).0)));
    assert_eq!(
        headline(&world),
        ("Failover is disabled: it changes nothing ('option enabled' is 0).".into(), "disabled")
    );
    assert!(said(&world, "a").ends_with("It takes part when failover.settings.enabled is set to 1."));
    let none = Config::count(2).with(|it| it.providers.iter_mut().for_each(|it| it.enabled = false));
    world.feed(Event::Reload(Box::new(none.0)));
    assert_eq!(headline(&world), ("Every provider is disabled in the configuration.".into(), "disabled"));
    world.feed(Event::Reload(Box::new(Config::count(0).0)));
    assert_eq!(headline(&world).1, "no_provider");
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(secs(5));
    world.feed(Event::Stop);
    assert_eq!(headline(&world).0, "failoverd is stopping.");
    assert!(said(&world, "a").starts_with("a has been online"), "{}", said(&world, "a"));
}

#[test]
fn every_switch_says_why() {
    let mut world = healthy(2, Config::count(2), 1);
    let start = world.now;
    world.line("wan0").silent = true;
    world.pass(secs(10));
    world.line("wan0").silent = false;
    world.pass_until(secs(90), |world| world.active() == "a");
    world.feed(Event::Pin("b".into()));
    world.feed(Event::Unpin);
    world.pass_until(secs(90), |world| world.active() == "a");
    world.disturb(|kernel| {
        kernel.set_carrier("wan0", false);
        kernel.set_carrier("wan1", false);
    });
    world.pass(secs(1));
    world.disturb(|kernel| kernel.set_carrier("wan1", true));
    world.pass(ms(20));
    let told = world.told.iter().filter(|(at, notice)| *at >= start && notice.action.is_some());
    let told: Vec<_> = told.map(|(_, it)| (it.to.as_deref(), it.provider.as_deref(), it.reason_code)).collect();
    assert_eq!(
        told,
        [
            (None, Some("a"), Some("lost_probes")),
            (Some("b"), Some("b"), Some("lost_probes")),
            (None, Some("a"), Some("checks_succeeded")),
            (Some("a"), Some("a"), Some("best")),
            (None, Some("b"), None),
            (Some("b"), Some("b"), Some("pinned")),
            (None, None, None),
            (Some("a"), Some("a"), Some("best")),
            (None, Some("a"), Some("no_carrier")),
            (None, Some("b"), Some("no_carrier")),
            (None, None, Some("no_carrier")),
            (Some("b"), Some("b"), Some("last_resort")),
        ]
    );
}

#[test]
fn a_better_one_that_is_believed_after_a_reload_is_being_checked() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(1));
    world.disturb(|kernel| kernel.set_carrier("wan0", true));
    world.pass(secs(20));
    assert_eq!(headline(&world).1, "stays");
    let other_targets = Config::count(2).with(|it| {
        let mut test = it.tests[0].clone();
        (test.name, it.providers[0].tests) = ("second".into(), vec!["second".into()]);
        test.targets.truncate(2);
        it.tests.push(test);
    });
    world.feed(Event::Reload(Box::new(other_targets.0)));
    assert_eq!(headline(&world).0, "a is being checked; online through b for 20s, 21 ms.");
    assert!(said(&world, "a").ends_with("It takes over when it has been reliable for 1m."), "{}", said(&world, "a"));
    assert_eq!(explained(&world, "a").flaps, 1, "other targets do not undo it");
}

/// Three lines of which the last is active, as the others were away; the first has `pauses` failures more behind it.
fn back_again(failback: Failback, pauses: u32) -> World {
    let mut world = healthy(3, Config::count(3).with(|it| it.failback = failback), 1);
    for lines in (0..pauses).map(|_| &["wan0"][..]).chain([&["wan0", "wan1"][..]]) {
        lines.iter().for_each(|name| world.disturb(|kernel| kernel.set_carrier(name, false)));
        world.pass(secs(2));
        lines.iter().for_each(|name| world.disturb(|kernel| kernel.set_carrier(name, true)));
        world.pass(secs(2));
    }
    assert_eq!(world.active(), "c");
    world
}

#[test]
fn the_next_to_take_over_is_named_and_not_the_best() {
    let world = back_again(Failback::Auto, 2);
    assert!(said(&world, "a").contains("It takes over in 3m 5"), "{}", said(&world, "a"));
    assert!(said(&world, "b").contains("It takes over in 5"), "{}", said(&world, "b"));
    let said = said(&world, "c");
    assert!(said.contains("It is active until b has been reliable for long enough."), "{said}");
    assert!(said.ends_with("If it fails, a takes over."), "{said}");
}

#[test]
fn one_that_is_not_reliable_yet_comes_after_a_better_one_that_waits() {
    let mut world = back_again(Failback::Auto, 0);
    world.disturb(|kernel| kernel.set_carrier("wan1", false));
    world.pass(secs(2));
    assert!(said(&world, "a").contains("It takes over in 5"), "{}", said(&world, "a"));
    assert_eq!(code(&world, "b"), ("unusable", "no_carrier"));
    assert!(said(&world, "b").ends_with("to be reliable. It takes over only if a fails."), "{}", said(&world, "b"));
}

#[test]
fn by_hand_the_best_goes_first() {
    let world = back_again(Failback::Manual, 0);
    assert!(said(&world, "a").ends_with("It takes over only by hand ('failoverd pin a'), or if c fails."));
    assert_eq!(code(&world, "b"), ("standby", "lower_priority"));
    assert!(
        said(&world, "b")
            .ends_with("a is preferred: priority 1 comes before 2. It takes over only if all of these fail: c, a."),
        "{}",
        said(&world, "b")
    );
}
