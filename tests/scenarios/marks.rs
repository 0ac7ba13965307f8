//! The marks of connections: when our table comes into nftables, when it goes, and what happens where it cannot come.

use failoverd::event::{Event, ProviderId};
use failoverd::settings::{Fallback, LogLevel, RuleSettings};

use super::healthy;
use super::model::lookup::Packet;
use super::model::{Config, World, ip, ms, secs};

/// A rule for everything.
pub(super) fn rule(name: &str, providers: &[&str], fallback: Fallback) -> RuleSettings {
    RuleSettings {
        name: name.to_owned(),
        enabled: true,
        source: vec![],
        destination: vec![],
        protocols: vec![],
        source_ports: vec![],
        destination_ports: vec![],
        devices: vec![],
        dscp: vec![],
        providers: providers.iter().map(|it| (*it).to_owned()).collect(),
        fallback,
        local: false,
    }
}

fn with_inbound(count: u32) -> Config {
    Config::count(count).with(|it| it.inbound = true)
}

fn with_rules() -> Config {
    Config::count(3).with(|it| {
        it.rules = vec![
            rule("one", &["b", "c"], Fallback::Default),
            rule("two", &["c"], Fallback::Unreachable),
            rule("three", &["b", "c"], Fallback::Default),
        ];
    })
}

fn marks(world: &World) -> Option<String> {
    world.core().status(world.now).marks
}

fn warnings(world: &World) -> Vec<String> {
    let warnings = world.core().status(world.now).warnings;
    warnings
        .into_iter()
        .filter(|it| it.contains("connections are not marked") || it.contains("inet failover"))
        .collect()
}

/// The last text, or what is left of it without what is in every one.
fn last(world: &World) -> Vec<&str> {
    world.filters.last().map(|(_, text)| text.lines().collect()).unwrap_or_default()
}

#[test]
fn without_need_nft_is_never_asked() {
    let mut world = healthy(3, Config::count(3), 1);
    world.line("wan0").silent = true;
    world.pass(secs(100));
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(secs(10));
    world.feed(Event::Stop);
    world.pass(secs(1));
    assert_eq!((world.filters.len(), world.stopped), (0, true));
}

#[test]
fn the_table_is_loaded_once_and_removed_at_the_end() {
    let mut world = healthy(2, with_inbound(2), 1);
    assert_eq!((world.filters.len(), marks(&world).as_deref()), (1, Some("on")));
    assert!(world.core().marks_loaded());
    let status = world.core().status(world.now);
    assert_eq!(status.providers[0].mark.as_deref(), Some("0x1000000/0x3f000000"));
    world.line("wan0").silent = true;
    world.pass(secs(300));
    assert_eq!(world.filters.len(), 1, "nothing in it depends on who is reliable");

    world.feed(Event::Stop);
    let took = world.pass_until(secs(3), |world| world.stopped);
    assert!(took < ms(100), "{took:?}");
    assert_eq!(
        (world.kernel.filter, last(&world)),
        (None, vec!["add table inet failover", "delete table inet failover"])
    );
    assert!(!world.told.iter().any(|(_, it)| it.to_string().contains("undone")));
}

#[test]
fn it_goes_and_comes_with_the_settings() {
    let mut world = healthy(2, with_inbound(2), 1);
    for (count, config, want, why) in [
        (1, with_inbound(2), true, "the same"),
        (2, Config::count(2), false, "nothing needs it"),
        (3, with_rules(), true, "rules do"),
        (4, with_rules().with(|it| it.rules[0].enabled = false), true, "other rules"),
        (5, with_rules().with(|it| it.enabled = false), false, "all is off"),
        (6, with_inbound(3), true, "on again"),
        (7, with_inbound(2), true, "a provider less"),
        (8, with_inbound(2).with(|it| it.mark_mask = 0x3f00), true, "other bits"),
    ] {
        world.feed(Event::Reload(Box::new(config.0)));
        world.pass(secs(10));
        assert_eq!((world.filters.len(), world.core().marks_loaded()), (count, want), "{why}");
        assert_eq!((world.kernel.filter.is_some(), warnings(&world)), (want, vec![]), "{why}");
    }
}

#[test]
fn a_removed_table_comes_back_and_a_rival_does_not_keep_us_busy() {
    let mut world = healthy(2, with_inbound(2), 1);
    world.disturb(|kernel| kernel.filter = None);
    world.pass(ms(25));
    assert_eq!((world.filters.len(), world.kernel.filter.is_some()), (2, true), "at once");
    world.pass(ms(10));
    assert!(world.core().marks_loaded());
    world.disturb(|kernel| kernel.filter = Some(77));
    world.pass(secs(3));
    assert_eq!(world.filters.len(), 3, "one of the same name is not ours");
    for _ in 0..1000 {
        world.disturb(|kernel| kernel.filter = None);
        world.pass(ms(10));
    }
    assert!((7..=9).contains(&world.filters.len()), "{} times in 10 s", world.filters.len());
    world.pass(secs(3));
    assert!(world.core().marks_loaded());
}

#[test]
fn a_leftover_is_taken_over_or_removed() {
    for (config, want) in [(Config::count(2), false), (with_inbound(2), true)] {
        let mut world = healthy(2, with_inbound(2), 1);
        world.crash();
        world.filters.clear();
        world.start(config.0);
        world.pass(secs(10));
        assert_eq!((world.filters.len(), world.kernel.filter.is_some()), (1, want));
        assert_eq!(world.core().marks_loaded(), want);
        world.feed(Event::Stop);
        world.pass(secs(1));
        assert_eq!((world.stopped, world.kernel.filter), (true, None));
    }
}

#[test]
fn where_nft_is_missing_all_else_works_and_one_line_says_so() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.faults.nft = Some("nft is not installed");
    world.start(with_inbound(2).0);
    world.pass(secs(3600));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("online", "wan0"));
    assert_eq!((marks(&world).as_deref(), warnings(&world).len()), (Some("failed"), 1));
    assert!(warnings(&world)[0].ends_with("it is tried again: nft is not installed"), "{:?}", warnings(&world));
    let told =
        world.told.iter().filter(|(_, it)| it.to_string().contains("not marked") && it.level == LogLevel::Warning);
    assert_eq!(told.count(), 1, "once");
    let pauses: Vec<u64> = world.filters.windows(2).map(|it| it[1].0.since(it[0].0).as_secs()).collect();
    assert_eq!(pauses[..8], [10, 20, 40, 80, 160, 320, 600, 600]);

    world.faults.nft = None;
    world.pass(secs(600));
    assert_eq!((marks(&world).as_deref(), warnings(&world)), (Some("on"), vec![]));

    world.faults.nft = Some("nft: Error: no");
    world.feed(Event::Stop);
    world.pass(ms(2990));
    assert!(!world.stopped, "it is tried until there is no time left");
    assert!(world.filters.len() > 4);
    world.pass(secs(1));
    assert!(world.stopped && world.kernel.filter.is_some());
}

#[test]
fn a_refused_change_leaves_the_old_table_in_force() {
    let mut world = healthy(3, with_inbound(3), 1);
    world.faults.nft = Some("nft: Error: no");
    world.feed(Event::Reload(Box::new(with_rules().0)));
    world.pass(secs(5));
    assert_eq!((marks(&world).as_deref(), world.core().marks_loaded()), (Some("failed"), true));
    world.faults.nft = None;
    world.feed(Event::Reload(Box::new(with_inbound(3).0)));
    world.pass(secs(1));
    assert_eq!((marks(&world).as_deref(), warnings(&world)), (Some("on"), vec![]), "other settings are tried at once");
}

#[test]
fn rules_lead_to_the_first_that_is_fit() {
    let mut world = healthy(3, with_rules(), 1);
    let used = |world: &World| -> Vec<Option<String>> {
        world.core().status(world.now).rules.into_iter().map(|it| it.provider).collect()
    };
    let by = |names: [&str; 3]| names.map(|it| Some(it.to_owned()).filter(|it| !it.is_empty())).to_vec();
    assert_eq!(used(&world), by(["b", "c", "b"]));
    let loaded = world.filters.len();
    assert_eq!(loaded, 1, "not before those that rules name have proved themselves");

    world.line("wan1").silent = true;
    world.pass(secs(20));
    assert_eq!(used(&world), by(["c", "c", "c"]));
    assert_eq!(last(&world), ["flush chain inet failover use_0", "add rule inet failover use_0 goto follow_3"]);
    world.line("wan2").silent = true;
    world.pass(secs(20));
    assert_eq!(used(&world), by(["", "", ""]));
    assert_eq!(
        last(&world),
        [
            "flush chain inet failover use_0",
            "flush chain inet failover use_1",
            "add rule inet failover use_1 goto follow_63"
        ]
    );
    assert_eq!(world.filters.len(), loaded + 2);
    world.line("wan2").silent = false;
    world.pass(secs(20));
    assert_eq!(used(&world), by(["c", "c", "c"]));
    world.pass(secs(600));
    assert_eq!(world.filters.len(), loaded + 3, "and no more than that");
}

#[test]
fn a_small_change_to_a_table_that_is_gone_becomes_the_whole() {
    let mut world = healthy(3, with_rules(), 1);
    // Nobody tells, and so the small one goes out first.
    world.kernel.filter = None;
    world.line("wan1").silent = true;
    world.pass(secs(20));
    let texts: Vec<&str> = world.filters.iter().map(|(_, text)| text.lines().next().unwrap()).collect();
    let (small, whole) = ("flush chain inet failover use_0", "add table inet failover");
    assert!(texts == [whole, small, whole] || texts == [whole, whole], "{texts:?}");
    assert!(world.core().marks_loaded() && warnings(&world).is_empty());
}

#[test]
fn after_a_crash_rules_wait_for_proof_but_not_for_ever() {
    let mut world = healthy(3, with_rules(), 1);
    world.crash();
    world.line("wan1").silent = true;
    world.filters.clear();
    world.start(with_rules().0);
    world.pass(ms(500));
    assert_eq!(world.filters.len(), 0, "what is there is right more often");
    world.pass(secs(10));
    assert!(world.core().marks_loaded());
    assert_eq!(world.core().status(world.now).rules[0].provider.as_deref(), Some("c"));
}

#[test]
fn nothing_is_loaded_before_netifd_has_told() {
    let mut world = World::with_interfaces(2, &[(0, 0)], 1);
    world.netifd.delay = secs(1);
    let config = with_inbound(2).with(|it| {
        for (index, provider) in it.providers.iter_mut().enumerate() {
            provider.source = failoverd::settings::UplinkSource::Interface(format!("isp{index}"));
        }
    });
    world.start(config.0);
    world.pass(ms(900));
    assert_eq!(world.filters.len(), 0);
    world.pass(secs(2));
    assert_eq!(world.filters.len(), 1, "with the devices that it told");
    assert!(world.filters[0].1.contains("\"wan1\" : goto mark_2"), "{}", world.filters[0].1);
}

/// The device by which packets leave that the rules of this chain mean; none: they are refused.
fn leaves_by(world: &World, chain: &str) -> Option<String> {
    let led = world.chains.get(chain).map(|it| it.concat()).unwrap_or_default();
    let id: u8 = led.strip_prefix("goto follow_").map_or(0, |id| id.parse().unwrap());
    let mark = Config::count(1).0.mark_of(ProviderId(id)).value;
    let device = world.kernel.leaves_by(Packet { mark, ..Packet::to(ip(93, 184, 216, 34)) });
    device.and_then(|device| world.kernel.by_index(device)).map(|link| link.name.clone())
}

#[test]
fn what_a_rule_means_never_goes_another_way_meanwhile() {
    let rules = |first: &str, fallback| {
        let rules = vec![rule("strict", &[first], fallback), rule("lenient", &[first, "b"], Fallback::Default)];
        Config::count(3).with(|it| it.rules = rules)
    };
    let strict = |first| rules(first, Fallback::Unreachable);
    for what in ["silent", "carrier", "device", "disabled", "removed", "no longer refused", "another"] {
        let mut world = healthy(3, strict("c"), 1);
        assert_eq!(["use_0", "use_1"].map(|it| leaves_by(&world, it)), [Some("wan2".into()), Some("wan2".into())]);
        let mut after = Some("wan1");
        match what {
            "silent" => world.line("wan2").silent = true,
            "carrier" => world.disturb(|kernel| kernel.set_carrier("wan2", false)),
            "device" => world.disturb(|kernel| kernel.remove_link("wan2")),
            "disabled" => world.feed(Event::Reload(Box::new(strict("b").with(|it| it.providers[2].enabled = false).0))),
            "removed" => {
                world.feed(Event::Reload(Box::new(strict("b").with(|it| drop(it.providers.remove(2))).0)));
            }
            _ => {
                world.line("wan2").silent = true;
                world.pass(secs(20));
                assert_eq!(["use_0", "use_1"].map(|it| leaves_by(&world, it)), [None, Some("wan1".into())]);
                let fallback = if what == "another" { Fallback::Unreachable } else { Fallback::Default };
                world.feed(Event::Reload(Box::new(rules("b", fallback).0)));
            }
        }
        if ["silent", "carrier", "device"].contains(&what) {
            after = None;
        }
        for _ in 0..3_000 {
            for (chain, others) in [("use_0", after), ("use_1", Some("wan1"))] {
                let led = leaves_by(&world, chain);
                let right = led.as_deref().is_none_or(|device| device == "wan2" || Some(device) == others);
                assert!(right, "{what}: {chain} by {led:?}");
            }
            world.pass(ms(1));
        }
        world.pass(secs(20));
        assert_eq!(leaves_by(&world, "use_0").as_deref(), after, "{what}");
        assert_eq!(leaves_by(&world, "use_1").or(leaves_by(&world, "use_0")).as_deref(), Some("wan1"), "{what}");
        let mark = Config::count(3).0.mark_of(ProviderId(3));
        let left = world.kernel.rules.iter().any(|rule| rule.mark == Some(mark));
        assert!(!left, "{what}: its own rules have gone as well");
        assert!(world.core().marks_loaded() && warnings(&world).is_empty(), "{what}");
    }
}

#[test]
fn where_nft_refuses_the_change_a_dead_line_is_left_all_the_same() {
    let config = Config::count(3).with(|it| it.rules = vec![rule("strict", &["c"], Fallback::Unreachable)]);
    let mut world = healthy(3, config, 1);
    world.faults.nft = Some("nft: Error: no");
    world.line("wan2").silent = true;
    world.pass_until(secs(20), |world| world.state_of("c") == "offline");
    world.pass(secs(1));
    let mark = Config::count(3).0.mark_of(ProviderId(3));
    assert!(!world.kernel.rules.iter().any(|rule| rule.mark == Some(mark)));
    assert_eq!(marks(&world).as_deref(), Some("failed"));
}
