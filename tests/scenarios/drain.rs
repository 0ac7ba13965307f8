//! Marked connections: forgotten with their provider, by mark; kept, cut or kept for a time when traffic moves to a better one.

use std::time::Duration;

use failoverd::event::{Event, ProviderId, Stranded};
use failoverd::kernel::Selector;
use failoverd::settings::{Drain, Fallback, Settings};

use super::healthy;
use super::marks::rule;
use super::model::world::NFT_TIME;
use super::model::{Config, World, ip, ms, secs};

/// `count` providers, all of them with this drain.
fn config(count: u32, drain: Drain) -> Config {
    Config::count(count).with(|it| it.providers.iter_mut().for_each(|provider| provider.drain = Some(drain)))
}

/// What was forgotten: a provider's name, `(own)` behind it where that was only what the router itself has begun.
fn forgotten(world: &World) -> Vec<String> {
    let settings = config(3, Drain::Keep).0;
    let name = |value: u32| {
        let is = |it: &usize| settings.mark_of(ProviderId(u8::try_from(it + 1).unwrap())).value == value;
        settings.providers[(0..3).find(is).unwrap()].name.clone()
    };
    let all = world.forgotten_marks.iter().map(|(_, what)| match what {
        Stranded::Marked { mark, provider } => {
            let own = name(mark.value);
            assert!(*provider == own || provider == "a removed provider", "the log says {provider} of {own}");
            own
        }
        Stranded::OwnDatagrams { mark, .. } => format!("{} (own)", name(mark.value)),
        Stranded::Addresses { .. } => unreachable!(),
    });
    assert_eq!(world.forgotten, [], "by mark, not by address");
    all.collect()
}

/// Fails over from the first provider to the second and back; what was forgotten before the end.
fn fail_over_and_back(world: &mut World) {
    world.line("wan0").silent = true;
    world.pass_until(secs(20), |world| world.traffic() == "wan1");
    world.pass(ms(100));
    world.line("wan0").silent = false;
    world.pass_until(secs(700), |world| world.traffic() == "wan0");
    world.pass(ms(100));
}

fn drain_of(world: &World, name: &str) -> (String, Option<u64>) {
    let status = world.core().status(world.now);
    let provider = status.providers.into_iter().find(|it| it.name == name).unwrap();
    (provider.drain, provider.drain_in)
}

#[test]
fn a_dead_line_is_forgotten_by_mark_once_nothing_leads_there() {
    for what in ["silent", "carrier", "device", "state", "removed", "disabled"] {
        let mut world = healthy(3, config(3, Drain::Keep), 1);
        let without = |change: fn(&mut Settings)| Event::Reload(Box::new(config(3, Drain::Keep).with(change).0));
        match what {
            "silent" => world.line("wan0").silent = true,
            "carrier" => world.disturb(|kernel| kernel.set_carrier("wan0", false)),
            "device" => world.disturb(|kernel| kernel.remove_link("wan0")),
            "state" => world.disturb(|kernel| kernel.set_up("wan0", false)),
            "removed" => world.feed(without(|it| drop(it.providers.remove(0)))),
            _ => world.feed(without(|it| it.providers[0].enabled = false)),
        }
        world.pass_until(secs(10), |world| !world.forgotten_marks.is_empty());
        // The route of a line that is nobody's any more goes back to where it was.
        assert!(world.traffic() == "wan1" || ["removed", "disabled"].contains(&what), "{what}");
        let marked = config(3, Drain::Keep).0.mark_of(ProviderId(1));
        let leads_there = world.kernel.rules.iter().any(|rule| rule.mark == Some(marked));
        assert!(!leads_there, "{what}: the next packet would make the same entry again");
        world.pass(secs(600));
        assert_eq!(forgotten(&world), ["a"], "{what}: once");
    }
}

#[test]
fn a_mark_that_still_leads_there_is_waited_for() {
    let mut world = healthy(2, config(2, Drain::Keep), 1);
    let mark = config(2, Drain::Keep).0.mark_of(ProviderId(1));
    world.rival = Some(Box::new(move |kernel| {
        let rule = super::model::kernel::KernelRule {
            protocol: failoverd::kernel::PROTOCOL,
            priority: failoverd::kernel::RulePriority(7202),
            device: None,
            source: None,
            mark: Some(mark),
            table: super::model::kernel::table(1),
            suppress_prefix: None,
        };
        if !kernel.rules.contains(&rule) {
            kernel.insert_rule(rule);
        }
    }));
    world.line("wan0").silent = true;
    world.pass(secs(10));
    assert_eq!((world.traffic().as_str(), forgotten(&world).len()), ("wan1", 0), "it comes back again and again");
    world.rival = None;
    world.pass(secs(60));
    let seen = world.core().snapshot().unwrap().rules.iter().any(|rule| rule.selector == Some(Selector::Mark(mark)));
    assert_eq!((seen, forgotten(&world)), (false, vec!["a".to_owned()]));
}

#[test]
fn identical_addresses_are_told_apart_by_mark() {
    let mut world = World::new(super::model::Kernel::default(), 1);
    for index in 0..2 {
        world.kernel.add_link(10 + index, &format!("wan{index}"));
        world.kernel.add_address(&format!("wan{index}"), ip(192, 168, 1, 2), 24);
        world.lines.insert(format!("wan{index}"), super::model::Line::default());
    }
    let gateway = failoverd::settings::GatewaySetting::Address(ip(192, 168, 1, 1));
    world.start(config(2, Drain::Keep).with(|it| it.providers.iter_mut().for_each(|it| it.gateway = gateway)).0);
    world.pass(secs(30));
    fail_over_and_back(&mut world);
    assert_eq!(forgotten(&world), ["a", "b (own)"]);
    assert!(!world.told.iter().any(|(_, notice)| notice.to_string().contains("cannot be told apart")));
}

#[test]
fn at_failback_they_are_kept_or_cut() {
    for (drain, metered, word, after) in [
        (Some(Drain::Keep), false, "keep", "b (own)"),
        (Some(Drain::Cut), false, "cut", "b"),
        (Some(Drain::Keep), true, "keep", "b (own)"),
        (None, false, "keep", "b (own)"),
        (None, true, "cut", "b"),
    ] {
        let settings = config(2, Drain::Keep).with(|it| {
            it.providers[1].drain = drain;
            it.providers[1].metered = metered;
        });
        let mut world = healthy(2, settings, 1);
        fail_over_and_back(&mut world);
        assert_eq!(forgotten(&world), ["a", after], "{drain:?}, metered {metered}");
        assert_eq!(drain_of(&world, "b"), (word.to_owned(), None));
        world.pass(secs(3600));
        assert_eq!(forgotten(&world).len(), 2, "{drain:?}, metered {metered}: that was all");
    }
}

#[test]
fn a_time_is_waited_for_and_over_when_traffic_returns_or_the_line_dies() {
    let ten = Drain::After(secs(600));
    let mut world = healthy(2, config(2, ten), 1);
    world.feed(Event::Pin("b".into()));
    world.pass_until(secs(5), |world| world.traffic() == "wan1");
    world.pass(secs(1));
    assert_eq!(drain_of(&world, "a"), ("10m".to_owned(), Some(599)));
    world.pass(secs(597));
    assert_eq!(forgotten(&world), ["a (own)"], "the router's own at once");
    world.pass(secs(20));
    assert_eq!(forgotten(&world), ["a (own)", "a"]);
    assert_eq!(drain_of(&world, "a").1, None);
    world.pass(secs(3600));
    assert_eq!(world.forgotten_marks.len(), 2, "once");

    world.feed(Event::Unpin);
    world.pass_until(secs(5), |world| world.traffic() == "wan0");
    world.pass(secs(1));
    assert!(drain_of(&world, "b").1.is_some() && drain_of(&world, "a").1.is_none());
    world.feed(Event::Pin("b".into()));
    world.pass(secs(5));
    assert!(drain_of(&world, "b").1.is_none(), "traffic is back on it");
    world.pass(secs(300));
    world.line("wan0").silent = true;
    world.pass(secs(30));
    let before = ["a (own)", "a", "b (own)", "a (own)"];
    assert_eq!(forgotten(&world), [&before[..], &["a"]].concat(), "it died before its time was over");
    world.pass(secs(3600));
    assert_eq!(world.forgotten_marks.len(), 5, "and then nothing is left to forget");
}

#[test]
fn a_reload_keeps_the_time_of_a_provider_that_stays() {
    for (what, change, left) in [
        ("nothing", (|_: &mut Settings| ()) as fn(&mut Settings), Some(())),
        ("its weight", |it| it.providers[0].weight = 7, Some(())),
        ("it is removed", |it| drop(it.providers.remove(0)), None),
        ("flush_conntrack", |it| it.flush_conntrack = false, None),
    ] {
        let mut world = healthy(3, config(3, Drain::After(secs(600))), 1);
        world.feed(Event::Pin("b".into()));
        world.pass(secs(60));
        world.feed(Event::Reload(Box::new(config(3, Drain::After(secs(600))).with(change).0)));
        world.pass(secs(60));
        let status = world.core().status(world.now);
        let drain_in = status.providers.iter().find(|it| it.name == "a").and_then(|it| it.drain_in);
        assert_eq!(drain_in.map(|seconds| assert!(seconds < 490, "{what}: {seconds}")), left, "{what}");
    }
}

#[test]
fn with_flush_conntrack_0_nothing_is_forgotten() {
    for drain in [Drain::Keep, Drain::Cut, Drain::After(Duration::from_secs(5))] {
        let mut world = healthy(2, config(2, drain).with(|it| it.flush_conntrack = false), 1);
        fail_over_and_back(&mut world);
        world.pass(secs(60));
        assert_eq!((forgotten(&world).len(), drain_of(&world, "b").1), (0, None), "{drain:?}");
    }
}

#[test]
fn the_routers_own_addresses_are_told_with_its_datagrams() {
    let mut world = healthy(2, config(2, Drain::Keep), 1);
    world.disturb(|kernel| {
        kernel.add_link(50, "br-lan");
        kernel.add_address("br-lan", ip(192, 168, 7, 1), 24);
    });
    world.feed(Event::Pin("b".into()));
    world.pass(secs(5));
    let [(_, Stranded::OwnDatagrams { addresses, .. })] = world.forgotten_marks.as_slice() else {
        panic!("{:?}", world.forgotten_marks);
    };
    assert!(addresses.contains(&ip(192, 168, 7, 1)) && addresses.contains(&super::model::config::address(0)));
}

#[test]
fn a_changed_address_is_forgotten_alone() {
    let mut world = healthy(2, config(2, Drain::Keep), 1);
    world.disturb(|kernel| {
        kernel.add_address("wan0", ip(10, 0, 0, 77), 24);
        kernel.remove_address("wan0", super::model::config::address(0));
    });
    world.pass(secs(30));
    let addresses: Vec<_> = world.forgotten.iter().map(|(_, address)| *address).collect();
    assert_eq!((addresses, world.forgotten_marks.len()), (vec![super::model::config::address(0)], 0));
}

#[test]
fn a_rule_leads_elsewhere_before_they_are_forgotten() {
    let settings = config(3, Drain::Keep).with(|it| it.rules = vec![rule("one", &["a", "c"], Fallback::Default)]);
    let mut world = healthy(3, settings, 1);
    let before = world.filters.len();
    world.line("wan0").silent = true;
    world.pass_until(secs(20), |world| !world.forgotten_marks.is_empty());
    assert_eq!((forgotten(&world), world.filters.len()), (vec!["a".to_owned()], before + 1));
    let (refilled, gone) = (world.filters[before].0, world.forgotten_marks[0].0);
    assert!(gone.since(refilled) >= NFT_TIME, "the next packet would follow the rule to it, and find another way");
    world.pass(secs(100));
    assert_eq!(forgotten(&world).len(), 1);
}

#[test]
fn where_marks_cannot_be_had_it_is_the_address() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.faults.nft = Some("not found");
    let mut world = super::proved(world, 2, config(2, Drain::After(secs(600))));
    fail_over_and_back(&mut world);
    let addresses: Vec<_> = world.forgotten.iter().map(|(_, address)| *address).collect();
    assert_eq!((addresses, world.forgotten_marks.len()), ([0, 1].map(super::model::config::address).to_vec(), 0));
    assert_eq!(drain_of(&world, "b").1, None, "nothing keeps them there");
}

#[test]
fn a_time_that_is_over_while_nft_works_waits_for_it() {
    let settings = || config(3, Drain::After(secs(60))).with(|it| it.inbound = true);
    let mut world = healthy(3, settings(), 1);
    world.feed(Event::Pin("b".into()));
    world.pass_until(secs(5), |world| drain_of(world, "a").1.is_some());
    world.pass(secs(60) - NFT_TIME);
    assert_eq!(forgotten(&world), ["a (own)"]);
    world.feed(Event::Reload(Box::new(settings().with(|it| drop(it.providers.remove(2))).0)));
    let probes = world.requests.len();
    world.pass(secs(1));
    assert_eq!(forgotten(&world), ["a (own)", "a", "c"]);
    assert!(world.requests.len() < probes + 10, "nor does the core turn in circles");
}

#[test]
fn who_takes_the_place_of_another_does_not_inherit_its_connections() {
    let two = |first: usize| {
        config(3, Drain::Keep).with(|it| {
            let others = it.providers.split_off(1);
            it.providers = if first == 0 { [&it.providers[..], &others[..1]].concat() } else { others };
        })
    };
    let mut world = World::with_defaults(3, &[(0, 0)], 1);
    world.start(two(0).0);
    world.pass(secs(30));
    world.feed(Event::Reload(Box::new(two(1).0)));
    world.pass(secs(30));
    assert_eq!((world.active().as_str(), world.state_of("c").as_str()), ("b", "online"));
    assert_eq!(forgotten(&world), ["a"], "by its mark, which is no other's");
    let mark = config(3, Drain::Keep).0.mark_of(ProviderId(1));
    assert!(!world.kernel.rules.iter().any(|rule| rule.mark == Some(mark)));
}

#[test]
fn without_marks_nobody_stays_on_a_line_that_traffic_has_left() {
    let mut world = healthy(3, config(3, Drain::Keep), 1);
    fail_over_and_back(&mut world);
    let before = ["a", "b (own)"];
    assert_eq!(forgotten(&world), before);
    world.feed(Event::Reload(Box::new(Config::count(3).0)));
    world.pass(secs(10));
    assert_eq!(world.kernel.filter, None);
    assert_eq!(forgotten(&world), [&before[..], &["b", "c"]].concat(), "nothing leads them there any more");
    for settings in [config(3, Drain::Keep).0, config(3, Drain::Keep).0, config(3, Drain::Cut).0] {
        world.feed(Event::Reload(Box::new(settings)));
        world.pass(secs(10));
        world.disturb(|kernel| kernel.filter = None);
        world.pass(secs(10));
    }
    assert_eq!(world.forgotten_marks.len(), 4, "with marks they stay, whoever removes the table for a moment");
}
