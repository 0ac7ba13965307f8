//! Providers of equal priority: who shares the first slot, who joins and leaves, whose traffic moves by that and whose does not.

use std::collections::BTreeMap;
use std::net::IpAddr;

use failoverd::event::Event;
use failoverd::kernel::{NextHops, RouteChange};
use failoverd::settings::{CheckSettings, Failback, GatewaySetting, LastResort, Limits, Settings};

use super::model::kernel::PROTOCOL_DHCP;
use super::model::lookup::Packet;
use super::model::{Config, World, fib::How, ip, ms, secs};

/// `a`, `b`... of which the first `tier` have priority 1, and of these the first weight 3.
pub(super) fn tier(count: u32, tier: usize) -> Config {
    Config::count(count).with(|it| {
        it.providers.iter_mut().take(tier).for_each(|provider| provider.priority = 1);
        it.providers[0].weight = 3;
    })
}

/// All proved, and quiet.
pub(super) fn started(count: u32, config: Config) -> World {
    let mut world = World::with_defaults(count, &[(0, 0)], 1);
    world.start(config.0);
    world.pass(secs(30));
    for provider in world.core().status(world.now).providers {
        assert_eq!(provider.state, "online", "{}: {:?}", provider.name, provider.reason);
    }
    world.changes.clear();
    world.told.clear();
    world
}

/// Pairs of a client and a server.
fn pairs() -> impl Iterator<Item = (IpAddr, IpAddr)> {
    (0..2000u32).map(|pair| {
        let byte = |number: u32| u8::try_from(number % 250).unwrap();
        (ip(192, 168, 77, byte(pair / 200)), ip(93, 184, byte(pair % 200), byte(pair)))
    })
}

/// The device by which each pair's packets leave.
fn ways(world: &World) -> Vec<String> {
    let name = |(source, target)| {
        let device = world.kernel.leaves_by(Packet { source: Some(source), ..Packet::to(target) });
        device.and_then(|device| world.kernel.by_index(device)).map_or(String::new(), |link| link.name.clone())
    };
    pairs().map(name).collect()
}

/// The devices in use, with the per cent of the pairs that leave by each.
fn spread(world: &World) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    ways(world).into_iter().for_each(|device| *spread.entry(device).or_default() += 1);
    spread.values_mut().for_each(|count| *count = (*count + 10) / 20);
    spread
}

/// The devices in use.
fn used(world: &World) -> Vec<String> {
    spread(world).into_keys().collect()
}

/// The devices of the first slot.
fn first(world: &World) -> Vec<String> {
    let slot = world.kernel.defaults().next().unwrap();
    slot.devices().map(|device| world.kernel.by_index(device).unwrap().name.clone()).collect()
}

/// Names of the providers that the status calls active.
fn active(world: &World) -> Vec<String> {
    let status = world.core().status(world.now);
    status.providers.into_iter().filter(|it| it.active).map(|it| it.name).collect()
}

/// Writes at the first metric since `world.changes` was cleared.
fn first_writes(world: &World) -> usize {
    let all = world.changes.iter().flat_map(|(_, list)| list);
    all.filter(|it| matches!(it, RouteChange::Write(route) | RouteChange::Append(route) if route.metric.0 == 2 && route.is_main_default()))
        .count()
}

fn lines(world: &World) -> Vec<String> {
    world.told.iter().map(|(_, notice)| notice.to_string()).filter(|line| line.contains("sharing")).collect()
}

#[test]
fn traffic_is_shared_by_weight() {
    let mut world = World::with_defaults(3, &[(0, 0)], 1);
    world.start(tier(3, 2).0);
    world.pass(secs(3));
    assert_eq!(used(&world), ["wan0", "wan1"], "at once at the start, without failback_delay");
    let shares = spread(&world);
    assert!((70..=80).contains(&shares["wan0"]), "{shares:?}");
    world.pass(secs(30));
    assert_eq!(lines(&world), ["sharing: a 75%, b 25%"]);
    assert_eq!(world.switches_since(failoverd::moment::Moment::default()), 0, "a was active already");
    let status = world.core().status(world.now);
    let told: Vec<_> =
        status.providers.iter().map(|it| (it.name.as_str(), it.active, it.share_percent, it.metric)).collect();
    let first = Some(2);
    assert_eq!(
        told,
        [("a", true, Some(75.0), first), ("b", true, Some(25.0), first), ("c", false, None, Some(5))],
        "each of two has a slot of its own behind the one that they share"
    );
    assert_eq!(status.active.as_deref(), Some("a"));
}

#[test]
fn one_that_dies_leaves_in_one_replace_and_the_others_traffic_stays() {
    for (dead, left) in [("wan0", "wan1"), ("wan1", "wan0")] {
        let mut world = started(3, tier(3, 2));
        let before = ways(&world);
        world.line(dead).silent = true;
        let start = world.now;
        world.pass_until(secs(3), |world| first(world) == [left]);
        assert!(
            world.now.since(start) < ms(1800),
            "members are checked as the active one is: {:?}",
            world.now.since(start)
        );
        world.pass(secs(20));
        assert_eq!(first_writes(&world), 1, "{:?}", world.changes);
        let moved = before.iter().zip(ways(&world)).filter(|(before, now)| *before == left && now != left).count();
        assert_eq!(moved, 0, "none of the other one's pairs");
        assert_eq!(world.switches_since(start), usize::from(dead == "wan0"), "only the named one tells");
        assert_eq!(lines(&world), ["no longer sharing"]);

        world.line(dead).silent = false;
        world.pass_until(secs(20), |world| {
            world.core().status(world.now).providers.iter().all(|it| it.state == "online")
        });
        let proved = world.now;
        world.pass_until(secs(70), |world| first(world) == ["wan0", "wan1"]);
        assert!((59..=61).contains(&world.now.since(proved).as_secs()), "joins after failback_delay");
        assert_eq!(ways(&world), before, "every pair finds the line that it had");
        assert_eq!(first_writes(&world), 2);
    }
}

#[test]
fn of_three_the_last_ones_keep_theirs_when_one_at_the_end_dies() {
    let mut world = started(3, tier(3, 3));
    let before = ways(&world);
    assert_eq!(used(&world), ["wan0", "wan1", "wan2"]);
    world.disturb(|kernel| kernel.set_carrier("wan2", false));
    let at_once = ways(&world);
    let stays = |now: &[String]| {
        before.iter().zip(now).all(|(before, now)| before == now || before == "wan2" || before == "wan1")
    };
    assert!(stays(&at_once) && !at_once.contains(&"wan2".to_owned()), "the kernel alone passes over it");
    world.pass(secs(1));
    assert_eq!(ways(&world), at_once, "and we only tidy up");
    assert_eq!(lines(&world), ["sharing: a 75%, b 25%"]);
}

#[test]
fn a_tier_that_loses_its_last_hands_over_and_gets_it_back() {
    let mut world = started(3, tier(3, 2));
    for dead in ["wan0", "wan1"] {
        world.line(dead).silent = true;
        world.pass(secs(5));
    }
    assert_eq!((used(&world), active(&world)), (vec!["wan2".to_owned()], vec!["c".to_owned()]));
    for back in ["wan1", "wan0"] {
        world.line(back).silent = false;
        world.pass(secs(10));
    }
    world.pass_until(secs(80), |world| first(world) == ["wan1"]);
    let took = world.pass_until(secs(20), |world| first(world) == ["wan0", "wan1"]);
    assert!(
        took > secs(3),
        "the first that has been reliable for long enough takes over, and the other one joins: {took:?}"
    );
    assert_eq!(world.active(), "b");
    assert_eq!(lines(&world).last().unwrap(), "sharing: b 25%, a 75%");
}

#[test]
fn a_person_who_decides_on_failback_does_not_decide_on_joining() {
    let mut world = started(2, tier(2, 2).with(|it| it.failback = Failback::Manual));
    world.line("wan0").silent = true;
    world.pass(secs(10));
    world.line("wan0").silent = false;
    world.pass(secs(90));
    assert_eq!(used(&world), ["wan0", "wan1"]);
}

#[test]
fn one_that_comes_up_late_has_not_failed() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.kernel.set_carrier("wan1", false);
    world.start(tier(2, 2).0);
    world.pass(secs(20));
    assert_eq!(used(&world), ["wan0"]);
    world.disturb(|kernel| kernel.set_carrier("wan1", true));
    world.pass(secs(2));
    assert_eq!(used(&world), ["wan0", "wan1"]);
}

#[test]
fn without_balance_it_is_all_or_nothing() {
    let alone = |name: &'static str| {
        move |it: &mut Settings| {
            it.providers.iter_mut().filter(|it| it.name == name).for_each(|it| it.balance = false);
        }
    };
    let world = started(3, tier(3, 3).with(alone("c")));
    assert_eq!(used(&world), ["wan0", "wan1"], "the others share");
    let mut world = started(3, tier(3, 3).with(alone("a")));
    assert_eq!(used(&world), ["wan0"], "the active one does not share");
    world.line("wan0").silent = true;
    world.pass(secs(5));
    assert_eq!(used(&world), ["wan1", "wan2"], "those after it do");
}

/// `b` never carries what nobody has directed there.
fn aside(count: u32) -> Config {
    Config::count(count).with(|it| it.providers[1].default_route = false)
}

#[test]
fn without_default_it_never_carries_what_nobody_has_directed_there() {
    for last_resort in [LastResort::Keep, LastResort::First] {
        // Even with a default route of netifd's there.
        let mut world = World::with_defaults(3, &[(0, 0), (1, 7)], 1);
        world.start(aside(3).with(|it| it.last_resort = last_resort).0);
        world.pass(secs(30));
        assert_eq!(world.state_of("b"), "online", "it is checked all the same");
        let ranked: Vec<_> =
            world.core().status(world.now).providers.into_iter().map(|it| (it.name, it.metric)).collect();
        assert_eq!(ranked, [("a".to_owned(), Some(2)), ("c".into(), Some(3)), ("b".into(), None)]);
        world.feed(Event::Pin("b".into()));
        world.pass(secs(1));
        assert_eq!(used(&world), ["wan0"], "nor by a pin");
        assert!(
            world.core().status(world.now).warnings.iter().any(|it| it.contains("pinned provider b cannot be used"))
        );
        for name in ["wan0", "wan2"] {
            world.line(name).silent = true;
            world.pass(secs(10));
        }
        assert_ne!(used(&world), ["wan1"], "nor as the last resort");
        let status = world.core().status(world.now);
        assert!(status.unverified && !status.providers[0].reliable, "that it works helps nobody");
        world.disturb(|kernel| {
            kernel.set_carrier("wan0", false);
            kernel.set_carrier("wan2", false);
        });
        assert_eq!(used(&world), [""], "nor for a moment");
        world.pass(secs(1));
        assert_eq!((used(&world), active(&world)), (vec![String::new()], vec![]));
        world.disturb(|kernel| kernel.remove_link("wan0"));
        world.disturb(|kernel| kernel.remove_link("wan2"));
        world.pass(secs(1));
        assert_eq!(used(&world), [""], "nor when nothing else is there");
        world.feed(Event::Stop);
        world.pass(secs(1));
        assert!(world.stopped && world.kernel.is_clean());
        assert_eq!(world.traffic(), "wan1", "netifd's own route is back");
    }
}

#[test]
fn one_without_default_is_checked_and_reached_by_its_device() {
    let world = started(2, aside(2));
    assert_eq!((world.state_of("b").as_str(), world.active().as_str()), ("online", "a"));
    let bound = Packet { oif: Some(world.kernel.link("wan1").index), ..Packet::to(ip(93, 184, 216, 34)) };
    assert_eq!(world.kernel.leaves_by(bound), bound.oif);
}

#[test]
fn a_pin_takes_all() {
    let mut world = started(3, tier(3, 2));
    world.feed(Event::Pin("b".into()));
    assert_eq!((used(&world), active(&world)), (vec!["wan1".to_owned()], vec!["b".to_owned()]));
    assert_eq!(first_writes(&world), 1);
    world.pass(secs(10));
    world.feed(Event::Unpin);
    assert_eq!(used(&world), ["wan0", "wan1"], "nobody has failed");
}

#[test]
fn a_degraded_one_leaves_and_one_of_all_degraded_does_not() {
    let lossy = |check: &mut CheckSettings| check.loss = Some(Limits { max: 20, recover: 15 });
    let mut world = started(2, tier(2, 2).check(lossy));
    world.line("wan1").loss = 45;
    world.pass_until(secs(300), |world| first(world) == ["wan0"]);
    assert_eq!(world.state_of("b"), "degraded");
    world.line("wan0").loss = 45;
    world.pass_until(secs(300), |world| first(world) == ["wan0", "wan1"]);
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("degraded", "degraded"));
}

#[test]
fn members_are_checked_as_often_as_the_active_one() {
    let mut world = started(3, tier(3, 2));
    let start = world.now;
    world.pass(secs(60));
    let sent = |device: &str| world.sent.iter().filter(|(at, name, ..)| *at >= start && name == device).count();
    assert_eq!([sent("wan0"), sent("wan1"), sent("wan2")], [60, 60, 12]);
}

#[test]
fn a_device_that_vanishes_takes_no_others_traffic_with_it() {
    for (gone, stays) in [("wan0", "wan1"), ("wan1", "wan0")] {
        let mut world = started(2, tier(2, 2));
        world.disturb(|kernel| kernel.remove_link(gone));
        assert_eq!(used(&world), [stays], "the kernel has dropped the whole of the route, before anybody could know");
        world.pass(ms(20));
        assert_eq!(used(&world), [stays]);
        assert_eq!(world.kernel.defaults().next().unwrap().metric.0, 2);
        world.disturb(|kernel| {
            kernel.add_link(77, gone);
            kernel.add_address(gone, if gone == "wan0" { ip(10, 0, 0, 2) } else { ip(10, 1, 0, 2) }, 24);
        });
        world.pass(secs(30));
        assert_eq!(used(&world), [stays], "it has to prove itself, and to wait");
        world.pass(secs(70));
        assert_eq!(used(&world), ["wan0", "wan1"]);
    }
}

#[test]
fn what_kills_a_hop_is_repaired_by_one_replace() {
    type Act = fn(&mut super::model::Kernel);
    let acts: [(Act, Act, &str); 3] = [
        (|it| it.set_carrier("wan1", false), |it| it.set_carrier("wan1", true), "carrier"),
        (|it| it.set_up("wan1", false), |it| it.set_up("wan1", true), "taken down"),
        (|it| it.remove_address("wan1", ip(10, 1, 0, 2)), |it| it.add_address("wan1", ip(10, 1, 0, 2), 24), "address"),
    ];
    for (lose, get_back, why) in acts {
        let mut world = started(2, tier(2, 2));
        world.disturb(lose);
        assert_eq!(used(&world), ["wan0"], "{why}: the kernel alone");
        world.pass(ms(20));
        assert_eq!((used(&world), first_writes(&world)), (vec!["wan0".to_owned()], 1), "{why}");
        world.disturb(get_back);
        world.pass(secs(30));
        assert_eq!(used(&world), ["wan0"], "{why}: it does not come alive by itself");
        world.pass(secs(70));
        assert_eq!(used(&world), ["wan0", "wan1"], "{why}");
    }
}

#[test]
fn somebody_who_meddles_with_the_shared_route_is_put_right() {
    for act in [0, 1, 2] {
        let mut world = started(2, tier(2, 2));
        let before = ways(&world);
        world.disturb(|kernel| {
            let at = kernel.fib.routes.iter().position(|it| it.metric.0 == 2).unwrap();
            match (act, &mut kernel.fib.routes[at].next_hops) {
                (0, _) => drop(kernel.fib.routes.remove(at)),
                (1, NextHops::Shared(hops)) => hops.reverse(),
                (_, NextHops::Shared(hops)) => hops[0].weight = 9,
                (_, other) => panic!("{other:?}"),
            }
        });
        world.pass(ms(20));
        assert_eq!((ways(&world) == before, first_writes(&world)), (true, 1), "{act}");
    }
}

#[test]
fn a_crash_moves_nothing() {
    let mut world = started(3, tier(3, 2));
    // The named one is not the first hop.
    world.line("wan0").silent = true;
    world.pass(secs(5));
    world.line("wan0").silent = false;
    world.pass(secs(90));
    assert_eq!((world.active().as_str(), used(&world)), ("b", vec!["wan0".to_owned(), "wan1".to_owned()]));
    world.told.clear();
    world.changes.clear();
    let kernel = world.kernel.clone();
    world.crash();
    world.pass(secs(5));
    world.start(tier(3, 2).0);
    world.pass(ms(10));
    assert_eq!(active(&world).len(), 2, "both are believed");
    world.pass(secs(60));
    assert!(world.changes.is_empty() && world.kernel == kernel, "{:?}", world.changes);
    assert_eq!((world.active().as_str(), world.switches_since(failoverd::moment::Moment::default())), ("b", 0));

    world.crash();
    world.line("wan0").silent = true;
    world.start(tier(3, 2).0);
    world.pass(secs(3));
    assert_eq!(used(&world), ["wan1"], "one that died meanwhile is believed only until it is checked");
}

#[test]
fn a_reload_changes_shares_by_one_replace() {
    let mut world = started(2, tier(2, 2));
    let other = tier(2, 2).with(|it| it.providers[0].weight = 1);
    world.feed(Event::Reload(Box::new(other.0)));
    world.pass(secs(1));
    let shares = spread(&world);
    assert!((45..=55).contains(&shares["wan0"]) && first_writes(&world) == 1, "{shares:?} {:?}", world.changes);
    assert_eq!(lines(&world), ["sharing: a 50%, b 50%"]);
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(secs(1));
    assert_eq!((used(&world), first_writes(&world)), (vec!["wan0".to_owned()], 2));
    world.feed(Event::Stop);
    world.pass(secs(1));
    assert!(world.kernel.is_clean());
}

#[test]
fn hops_are_what_their_lines_are() {
    let config = tier(2, 2).with(|it| {
        it.providers[0].gateway = GatewaySetting::None;
        it.providers[1].gateway = GatewaySetting::Address(ip(203, 0, 113, 1));
    });
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.kernel.set_point_to_point("wan0");
    world.start(config.0);
    world.pass(secs(10));
    let first = world.kernel.defaults().next().unwrap().clone();
    let NextHops::Shared(hops) = &first.next_hops else { panic!("{first:?}") };
    let hops: Vec<_> = hops.iter().map(|it| (it.gateway, it.onlink, it.weight)).collect();
    assert_eq!(hops, [(None, false, 3), (Some(ip(203, 0, 113, 1)), true, 1)]);
    assert_eq!((first.device, first.gateway, first.source), (None, None, None));
}

#[test]
fn a_foreign_default_route_is_moved_from_before_a_shared_one() {
    let mut world = started(2, tier(2, 2));
    let before = ways(&world);
    world.disturb(|kernel| {
        let route = kernel.default_route("wan1", Some(super::model::config::gateway(1)), 2, PROTOCOL_DHCP);
        kernel.add_route(route, How::Replace).unwrap();
    });
    assert_eq!(used(&world), ["wan1"], "a DHCP client's replaces ours");
    world.pass(ms(20));
    assert_eq!(ways(&world), before);
    let first = world.kernel.defaults().next().unwrap();
    assert_eq!((first.metric.0, first.is_ours()), (2, true), "and makes place again");
    assert_eq!(world.core().status(world.now).providers[0].metric, Some(2));
}
