//! What is done about a line that stays offline (`option recover`), when, and when not.

use failoverd::event::Event;
use failoverd::settings::Recover;
use failoverd::status::RecoveryStatus;

use super::model::netifd::down;
use super::model::{Config, World, secs};
use super::proved;

const MINUTE: u64 = 60;

/// Three interfaces, of which `a` may be recovered after five minutes offline.
fn config(recover: Option<Recover>) -> Config {
    Config::interfaces(3).with(|it| it.providers[0].check.recover = recover)
}

/// All have proved themselves; now `a` is silent.
fn silent(recover: Option<Recover>) -> World {
    let mut world = proved(World::with_interfaces(3, &[(0, 0)], 1), 3, config(recover));
    world.line("wan0").silent = true;
    world.pass_until(secs(5), |world| world.state_of("a") == "offline");
    world
}

/// What netifd was asked for since the last call, and when, to the second.
fn asked(world: &mut World, start: failoverd::moment::Moment) -> Vec<(u64, String)> {
    world.recovered.drain(..).map(|(at, what)| ((at.since(start) + super::model::ms(500)).as_secs(), what)).collect()
}

fn recovery(world: &World) -> Option<RecoveryStatus> {
    world.core().status(world.now).providers.into_iter().find(|it| it.name == "a").unwrap().recovery
}

fn why(world: &World) -> Vec<String> {
    let why = world.core().why(world.now);
    let a = why.providers.into_iter().find(|it| it.name == "a").unwrap();
    a.sentences.iter().map(ToString::to_string).collect()
}

#[test]
fn off_unless_set() {
    let mut world = silent(None);
    world.pass(secs(3 * 60 * MINUTE));
    assert_eq!((world.recovered.len(), recovery(&world)), (0, None));
    assert!(!why(&world).iter().any(|it| it.contains("stays offline")), "{:?}", why(&world));
}

#[test]
fn renewed_after_five_minutes_then_at_growing_intervals() {
    let mut world = silent(Some(Recover::Renew));
    let start = world.now;
    world.pass(super::model::ms(179_500));
    assert_eq!(recovery(&world), Some(RecoveryStatus { action: "renew".into(), times: 0, next_in: Some(120) }));
    assert!(why(&world).contains(&"Its interface is renewed in 2m if it stays offline.".into()), "{:?}", why(&world));
    world.pass(secs(177 * MINUTE));
    let times: Vec<u64> = asked(&mut world, start)
        .into_iter()
        .map(|(at, what)| {
            assert_eq!(what, "renew isp0");
            at
        })
        .collect();
    assert_eq!(times, [300, 900, 2100, 4500, 8100], "5, 10, 20 and 40 minutes, then an hour");
    let said: Vec<String> = world.said_since(start).into_iter().filter(|it| it.starts_with("a ")).collect();
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said[0].starts_with("a stays offline: interface isp0 is renewed (lost 9 of 9 probes"), "{said:?}");
    assert!(why(&world).contains(&"That was tried 5 times since it was online.".into()), "{:?}", why(&world));
}

#[test]
fn online_again_ends_it_and_the_next_time_begins_anew() {
    let mut world = silent(Some(Recover::Renew));
    world.pass(secs(16 * MINUTE));
    assert_eq!(world.recovered.len(), 2);
    world.line("wan0").silent = false;
    world.pass_until(secs(30), |world| world.state_of("a") == "online");
    assert_eq!(recovery(&world), None);
    world.pass(secs(120 * MINUTE));
    assert_eq!(world.recovered.len(), 2, "nothing is done to a line that works");
    world.recovered.clear();
    world.line("wan0").silent = true;
    world.pass_until(secs(5), |world| world.state_of("a") == "offline");
    let start = world.now;
    world.pass(secs(6 * MINUTE));
    assert_eq!(asked(&mut world, start), [(300, "renew isp0".into())]);
}

/// The interface is taken down and comes up again, with `autostart` off in between; the line itself stays dead.
#[test]
fn our_own_down_is_neither_an_ifdown_nor_a_failure() {
    let mut world = silent(Some(Recover::Restart));
    let start = world.now;
    let flaps = |world: &World| world.core().status(world.now).providers.iter().map(|it| it.flaps).sum::<u32>();
    let before = flaps(&world);
    world.pass_until(secs(301), |world| !world.recovered.is_empty());
    let mut seen = vec![];
    for _ in 0..3000 {
        world.pass(super::model::ms(1));
        let state = world.state_of("a");
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    assert_eq!(seen, ["unresolved", "checking", "offline"]);
    world.pass(secs(60 * MINUTE));
    assert_eq!(asked(&mut world, start).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [300, 900, 2100]);
    let said: Vec<String> = world.said_since(start).into_iter().filter(|it| it.starts_with("a ")).collect();
    assert!(
        said.iter().all(|it| it.starts_with("a stays offline: interface isp0 is taken down and up again")),
        "{said:?}"
    );
    assert_eq!(flaps(&world), 0, "an hour later its failure is no flap any more, and there was none since");
    assert_eq!(before, 1);
    world.line("wan0").silent = false;
    world.pass_until(secs(30), |world| world.state_of("a") == "online");
    world.pass_until(secs(70), |world| world.active() == "a");
    assert!(world.said_since(start).iter().any(|it| it.starts_with("switched from b to a")), "after the usual delay");
}

#[test]
fn what_was_taken_down_by_hand_stays_down() {
    let mut world = silent(Some(Recover::Restart));
    world.pass(secs(4 * MINUTE));
    let whole = world.netifd.interfaces[0].clone();
    world.netifd_says(|it| it[0] = failoverd::netifd::Interface { autostart: false, ..down(&whole) });
    world.pass(secs(120 * MINUTE));
    assert_eq!((world.recovered.len(), world.state_of("a").as_str(), recovery(&world)), (0, "disabled", None));
    // It is back: a fresh start.
    world.netifd_says(|it| it[0] = whole);
    world.pass_until(secs(5), |world| world.state_of("a") == "offline");
    let start = world.now;
    world.pass(secs(6 * MINUTE));
    assert_eq!(asked(&mut world, start), [(300, "restart isp0".into())]);
    // So it is right behind our own down and up.
    world.pass(secs(9 * MINUTE + 2));
    assert_eq!(asked(&mut world, start), [(900, "restart isp0".into())]);
    let whole = world.netifd.interfaces[0].clone();
    world.netifd_says(|it| it[0] = failoverd::netifd::Interface { autostart: false, ..down(&whole) });
    world.pass(secs(10));
    assert_eq!(world.state_of("a"), "disabled");
    world.pass(secs(120 * MINUTE));
    assert_eq!(asked(&mut world, start), []);
}

#[test]
fn one_that_is_down_without_anybodys_wish_is_recovered() {
    let mut world = silent(Some(Recover::Restart));
    let whole = world.netifd.interfaces[0].clone();
    let error = Some("NO_DEVICE".to_owned());
    world.netifd_says(|it| it[0] = failoverd::netifd::Interface { error, ..down(&whole) });
    world.pass(secs(1));
    assert_eq!(world.reason_of("a"), "interface isp0 is down: NO_DEVICE");
    let status = world.core().status(world.now).providers.into_iter().find(|it| it.name == "a").unwrap();
    assert_eq!((status.state.as_str(), status.evidence), ("unresolved", vec!["netifd: NO_DEVICE".to_owned()]));
    let start = world.now;
    world.pass(secs(5 * MINUTE));
    assert_eq!(asked(&mut world, start).len(), 1);
}

#[test]
fn what_the_modem_says_is_told_and_decides_nothing() {
    let mut world = silent(None);
    world.netifd_says(|it| it[0].modem = Some("searching, -97".into()));
    world.pass(secs(1));
    let status = world.core().status(world.now).providers.into_iter().find(|it| it.name == "a").unwrap();
    assert_eq!(status.evidence, ["its modem says: searching, -97"]);
    assert!(why(&world).contains(&"Known besides: its modem says: searching, -97.".into()), "{:?}", why(&world));
    world.netifd_says(|it| (it[0].modem, it[1].modem) = (Some("connected".into()), Some("disconnected".into())));
    world.pass(secs(60));
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("offline", "online"));
}

#[test]
fn never_while_it_is_pinned() {
    let mut world = silent(Some(Recover::Renew));
    world.pass(secs(2 * MINUTE));
    world.feed(Event::Pin("a".into()));
    world.pass(secs(120 * MINUTE));
    assert_eq!(world.recovered.len(), 0);
    assert_eq!(recovery(&world), Some(RecoveryStatus { action: "renew".into(), times: 0, next_in: None }));
    assert!(why(&world).contains(&"Nothing is done about it while it is pinned ('option recover').".into()));
    world.feed(Event::Unpin);
    let start = world.now;
    world.pass(secs(6 * MINUTE));
    assert_eq!(asked(&mut world, start), [(300, "renew isp0".into())], "five minutes from then on");
    world.feed(Event::Pin("b".into()));
    world.pass(secs(10 * MINUTE));
    assert_eq!(asked(&mut world, start).len(), 1, "another one's pin is none of its business");
}

#[test]
fn a_reload_changes_what_it_changes() {
    let same = config(Some(Recover::Renew)).0;
    let sooner = config(Some(Recover::Renew)).check(|it| it.recover_after = secs(4 * MINUTE)).0;
    let other_test = config(Some(Recover::Renew)).with(|it| it.tests[0].targets.truncate(2)).0;
    for (first, settings, want, why) in [
        (Some(Recover::Renew), same, Some((300, "renew isp0")), "nothing: the clock goes on"),
        (Some(Recover::Renew), sooner, Some((240, "renew isp0")), "recover_after"),
        (Some(Recover::Renew), other_test, Some((300, "renew isp0")), "other targets on the same line"),
        (Some(Recover::Renew), config(Some(Recover::Restart)).0, Some((300, "restart isp0")), "what is done"),
        (Some(Recover::Renew), config(None).0, None, "off"),
        (None, config(Some(Recover::Renew)).0, Some((300, "renew isp0")), "on: it has been offline since it is"),
    ] {
        let mut world = silent(first);
        let start = world.now;
        world.pass(secs(2 * MINUTE));
        world.feed(Event::Reload(Box::new(settings)));
        world.pass(secs(6 * MINUTE));
        let want: Vec<(u64, String)> = want.into_iter().map(|(at, what)| (at, what.to_owned())).collect();
        assert_eq!(asked(&mut world, start), want, "{why}");
    }
}

#[test]
fn a_pulled_cable_is_not_mended_by_netifd() {
    let mut world = silent(Some(Recover::Restart));
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(60 * MINUTE));
    assert_eq!((world.recovered.len(), world.state_of("a").as_str()), (0, "no_carrier"));
}

/// A hotplug script does it, for a plain device as well.
#[test]
fn exec_is_a_notice_alone() {
    let mut world = proved(
        World::with_defaults(2, &[(0, 0)], 1),
        2,
        Config::count(2).check(|it| {
            it.recover = Some(Recover::Exec("/etc/cycle".into()));
        }),
    );
    world.line("wan0").silent = true;
    world.pass(secs(6 * MINUTE));
    assert_eq!(world.recovered, []);
    let told = world
        .told
        .iter()
        .map(|(_, notice)| notice.environment())
        .find(|it| it.first().is_some_and(|it| it.1 == "recover"))
        .unwrap();
    let told: Vec<String> = told.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert!(told.contains(&"REASON_CODE=exec".into()) && told.contains(&"DEVICE=wan0".into()), "{told:?}");
    assert!(!told.iter().any(|it| it.starts_with("INTERFACE") || it.contains("/etc/cycle")), "{told:?}");
}

/// A stopping daemon, and one that netifd has not told anything yet, leave the interfaces alone.
#[test]
fn nothing_at_the_start_and_nothing_at_the_end() {
    let mut world = World::with_interfaces(3, &[(0, 0)], 1);
    world.netifd.silent = true;
    world.start(config(Some(Recover::Restart)).0);
    world.pass(secs(20 * MINUTE));
    assert_eq!(world.recovered.len(), 0, "{}", world.reason_of("a"));
    let mut world = silent(Some(Recover::Restart));
    world.pass(secs(4 * MINUTE));
    world.feed(Event::Stop);
    world.pass(secs(20 * MINUTE));
    assert_eq!(world.recovered.len(), 0);
}
