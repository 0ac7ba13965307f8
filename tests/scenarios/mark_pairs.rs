//! The way of marked packets: each provider's pair of ip rules, as long as it carries, and the mark that leads nowhere.

use failoverd::event::Event;
use failoverd::kernel::{Mark, RouteChange, RouteKind};
use failoverd::settings::{Fallback, ProviderSettings, RuleSettings};

use super::model::kernel::table;
use super::model::lookup::Packet;
use super::model::{Config, World, ip, secs};
use super::tiers::{started, tier};

/// The mark of a provider at the default mask.
fn mark(id: u8) -> Mark {
    Mark { value: u32::from(id) << 24, mask: 0x3f00_0000 }
}

/// The marks that have rules, with their tables.
fn marked(world: &World) -> Vec<(u32, Mark, u32)> {
    let pairs = world.kernel.rules.chunks(2).filter_map(|pair| Some((pair, pair[0].mark?)));
    pairs
        .map(|(pair, mark)| {
            let main = (pair[0].table, pair[0].suppress_prefix, pair[1].priority.0, pair[1].mark);
            assert_eq!(main, (failoverd::kernel::TableId::MAIN, Some(0), pair[0].priority.0 + 1, Some(mark)));
            (pair[0].priority.0, mark, pair[1].table.0)
        })
        .collect()
}

fn inbound(count: u32) -> Config {
    Config::count(count).with(|it| it.inbound = true)
}

#[test]
fn marked_packets_follow_their_mark_while_the_provider_carries() {
    let mut world = started(2, inbound(2));
    assert_eq!(marked(&world), [(7202, mark(1), 7101), (7204, mark(2), 7102)]);
    let by_mark = |world: &World, id: u8| {
        let packet = Packet { mark: mark(id).value | 0xff, ..Packet::to(ip(93, 184, 216, 34)) };
        world.kernel.leaves_by(packet).and_then(|it| world.kernel.by_index(it)).map(|it| it.name.clone())
    };
    assert_eq!([by_mark(&world, 1), by_mark(&world, 2)], [Some("wan0".into()), Some("wan1".into())]);
    let lan = Packet { mark: mark(2).value, ..Packet::to(ip(10, 0, 0, 77)) };
    assert_eq!(world.kernel.leaves_by(lan), Some(world.kernel.link("wan0").index), "but to a neighbour directly");

    world.line("wan0").silent = true;
    world.pass(secs(5));
    assert_eq!(marked(&world), [(7204, mark(2), 7102)], "offline");
    assert_eq!(by_mark(&world, 1).as_deref(), Some("wan1"), "its connections go where new ones go");
    let (_, list) =
        world.changes.iter().find(|(_, list)| list.iter().any(|it| matches!(it, RouteChange::DeleteRule(_)))).unwrap();
    let place = |wanted: &dyn Fn(&RouteChange) -> bool| list.iter().position(wanted).unwrap();
    let replaced = place(&|it| matches!(it, RouteChange::Write(route) if route.metric.0 == 2));
    assert!(replaced == 0 && place(&|it| matches!(it, RouteChange::DeleteRule(_))) <= 2, "{list:?}");

    world.line("wan1").silent = true;
    world.pass(secs(10));
    assert_eq!(marked(&world), [(7204, mark(2), 7102)], "the active one carries, whatever is known of it");
    world.line("wan0").silent = false;
    world.pass(secs(10));
    assert_eq!(marked(&world), [(7202, mark(1), 7101)]);
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(10));
    assert_eq!(marked(&world), [(7204, mark(2), 7102)], "nor one without carrier");

    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(secs(1));
    assert_eq!(marked(&world), [], "nobody needs marks any more");
    world.feed(Event::Reload(Box::new(inbound(2).0)));
    world.pass(secs(1));
    world.feed(Event::Stop);
    world.pass(secs(1));
    assert!(world.stopped && world.kernel.is_clean());
}

#[test]
fn nothing_is_marked_where_nothing_needs_it() {
    let priorities = |it: &ProviderSettings| (it.balance, it.default_route);
    for (config, marks, why) in [
        (Config::count(2), 0, "failover alone"),
        (tier(2, 2), 2, "a tier"),
        (tier(2, 2).with(|it| it.providers[1].balance = false), 0, "equal priority alone makes no tier"),
        (inbound(1), 1, "a single provider, when asked for"),
    ] {
        let count = u32::try_from(config.0.providers.len()).unwrap();
        let told: Vec<_> = config.0.providers.iter().map(priorities).collect();
        let world = started(count, config);
        assert_eq!(marked(&world).len(), marks, "{why}: {told:?}");
    }
}

#[test]
fn what_is_to_go_nowhere_goes_nowhere() {
    let rule = |fallback| RuleSettings {
        name: "r".into(),
        enabled: true,
        source: vec![],
        destination: vec![],
        protocols: vec![],
        source_ports: vec![],
        destination_ports: vec![],
        devices: vec![],
        dscp: vec![],
        providers: vec!["a".into()],
        fallback,
        local: false,
    };
    let world = started(2, Config::count(2).with(|it| it.rules = vec![rule(Fallback::Unreachable)]));
    assert_eq!(marked(&world).last(), Some(&(7326, mark(63), 7163)));
    let nowhere = Packet { mark: mark(63).value, ..Packet::to(ip(93, 184, 216, 34)) };
    assert_eq!(world.kernel.leaves_by(nowhere), None);
    let routes: Vec<_> = world.kernel.fib.routes.iter().filter(|it| it.table == table(63)).map(|it| it.kind).collect();
    assert_eq!(routes, [RouteKind::Unreachable]);
    let world = started(2, Config::count(2).with(|it| it.rules = vec![rule(Fallback::Default)]));
    assert_eq!(marked(&world).len(), 2, "no rule wants it");
}
