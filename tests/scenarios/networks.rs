//! Networks that are always reached through one provider, what routes tell of a line, and the routes of others that lead into a dead one.

use std::net::IpAddr;

use failoverd::event::Event;
use failoverd::kernel::{Network, Route, RouteChange, RouteOptions, TableId};

use super::healthy;
use super::model::fib::How;
use super::model::kernel::{PROTOCOL_STATIC, table};
use super::model::{Config, World, config, ip, secs};

const FAR: Network = Network { address: ip(203, 0, 113, 0), prefix: 24 };
const HOST: IpAddr = ip(203, 0, 113, 5);

/// Two providers; those of these numbers have the network.
fn named_by(numbers: &[usize]) -> Config {
    Config::count(2).with(|it| numbers.iter().for_each(|&number| it.providers[number].static_routes = vec![FAR]))
}

/// The device by which packets for `target` leave.
fn way(world: &World, target: IpAddr) -> String {
    let index = world.kernel.traffic(target);
    index.and_then(|index| world.kernel.by_index(index)).map_or(String::new(), |link| link.name.clone())
}

#[test]
fn a_network_follows_its_provider_and_nothing_else() {
    let mut world = healthy(2, named_by(&[1]), 1);
    assert_eq!((world.traffic().as_str(), way(&world, HOST).as_str()), ("wan0", "wan1"));
    world.line("wan0").silent = true;
    world.pass(secs(5));
    assert_eq!(way(&world, HOST), "wan1", "a failover of the others moves nothing");
    world.line("wan0").silent = false;
    world.pass(secs(120));
    assert_eq!((world.traffic().as_str(), way(&world, HOST).as_str()), ("wan0", "wan1"), "nor the way back");

    world.line("wan1").silent = true;
    world.pass(secs(20));
    assert_eq!((world.state_of("b").as_str(), way(&world, HOST).as_str()), ("offline", "wan0"), "as everything else");
    world.line("wan1").silent = false;
    world.pass(secs(20));
    assert_eq!((world.state_of("b").as_str(), way(&world, HOST).as_str()), ("online", "wan1"), "and back");

    world.disturb(|kernel| kernel.fib.routes.retain(|it| it.destination != FAR));
    world.pass(secs(1));
    assert_eq!(way(&world, HOST), "wan1", "deleted by somebody");
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(secs(1));
    assert_eq!(way(&world, HOST), "wan0", "not in the configuration any more");
}

#[test]
fn one_that_never_worked_loses_its_networks_when_that_is_known() {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    world.line("wan1").silent = true;
    world.start(named_by(&[1]).0);
    world.pass_until(secs(5), |world| world.state_of("b") == "checking" && way(world, HOST) == "wan1");
    world.pass(secs(30));
    assert_eq!((world.state_of("b").as_str(), way(&world, HOST).as_str()), ("offline", "wan0"));
}

#[test]
fn what_is_sticky_stays_as_long_as_there_is_an_uplink() {
    let mut world = healthy(2, named_by(&[1]).with(|it| it.providers[1].sticky = true), 1);
    world.line("wan1").silent = true;
    world.pass(secs(30));
    assert_eq!((world.state_of("b").as_str(), way(&world, HOST).as_str()), ("offline", "wan1"));
    world.disturb(|kernel| kernel.set_up("wan1", false));
    world.pass(secs(1));
    assert_eq!(way(&world, HOST), "wan0", "the kernel keeps none of a device that is down");
    world.disturb(|kernel| kernel.set_up("wan1", true));
    world.pass(secs(1));
    assert_eq!(way(&world, HOST), "wan1");
}

#[test]
fn of_two_that_name_it_the_first_that_works_has_it() {
    let mut world = healthy(2, named_by(&[0, 1]), 1);
    assert_eq!(way(&world, HOST), "wan0");
    world.line("wan0").silent = true;
    world.pass(secs(5));
    assert_eq!(way(&world, HOST), "wan1");
    let moves = |change: &RouteChange| matches!(change, RouteChange::Write(route) if route.destination == FAR);
    let touched = |change: &RouteChange| match change {
        RouteChange::Write(route) | RouteChange::Append(route) | RouteChange::Delete(route) => route.destination == FAR,
        _ => false,
    };
    let all: Vec<&RouteChange> = world.changes.iter().flat_map(|(_, list)| list).filter(|it| touched(it)).collect();
    assert!(all.len() == 1 && moves(all[0]), "by one REPLACE: {all:?}");
}

#[test]
fn none_better_is_left() {
    let mut world = healthy(2, named_by(&[1]), 1);
    for name in ["wan0", "wan1"] {
        world.line(name).silent = true;
        world.pass(secs(30));
    }
    let (active, way) = (world.active(), way(&world, HOST));
    assert_eq!((active.as_str(), way.as_str()), ("b", "wan1"), "the active one keeps its networks");
}

#[test]
fn a_single_provider_has_networks_too_and_leaves_none_behind() {
    let mut world = healthy(1, Config::count(1).with(|it| it.providers[0].static_routes = vec![FAR]), 1);
    let ours =
        |world: &World| world.kernel.fib.routes.iter().filter(|it| it.destination == FAR && it.is_ours()).count();
    assert_eq!(ours(&world), 1);
    world.feed(Event::Stop);
    world.pass(secs(1));
    assert_eq!((world.stopped, ours(&world)), (true, 0));
}

#[test]
fn another_programs_route_to_it_goes_before_and_is_named() {
    let mut world = healthy(2, named_by(&[1]), 1);
    let theirs =
        Route { destination: FAR, ..world.kernel.default_route("wan0", Some(config::gateway(0)), 0, PROTOCOL_STATIC) };
    world.disturb(|kernel| kernel.add_route(theirs.clone(), How::Exclusive).unwrap());
    world.pass(secs(1));
    assert_eq!(way(&world, HOST), "wan0");
    let overridden = world.core().status(world.now).overridden_by;
    assert_eq!(overridden, ["203.0.113.0/24 via 10.0.0.1 dev wan0 metric 0"]);
    world.disturb(|kernel| kernel.fib.routes.retain(|it| *it != theirs));
    world.pass(secs(1));
    assert_eq!((way(&world, HOST), world.core().status(world.now).overridden_by), ("wan1".to_owned(), vec![]));
}

#[test]
fn options_of_a_line_are_changed_in_place_and_nobody_notices() {
    let mut world = healthy(2, named_by(&[0]), 1);
    let (start, closed) = (world.now, world.closed);
    let options = RouteOptions { mtu: Some(1400), quickack: Some(1), ..RouteOptions::default() };
    let changed = named_by(&[0]).with(|it| it.providers[0].route_options = options);
    world.feed(Event::Reload(Box::new(changed.0)));
    world.pass(secs(10));
    let written: Vec<&RouteChange> = world.changes.iter().flat_map(|(_, list)| list).collect();
    let place = |change: &&RouteChange| match change {
        RouteChange::Write(route) if route.options == options => Some((route.table, route.destination.prefix)),
        _ => None,
    };
    let places: Vec<_> = written.iter().filter_map(place).collect();
    assert_eq!(places, [(TableId::MAIN, 0), (table(1), 0), (TableId::MAIN, 24)], "{written:#?}");
    assert_eq!(written.len(), places.len(), "and nothing else: {written:#?}");
    assert_eq!((world.closed, world.said_since(start)), (closed, vec![]), "its probes go on");
}

#[test]
fn routes_of_others_into_an_offline_provider_are_named() {
    let mut world = healthy(2, named_by(&[1]), 1);
    let through = |kernel: &super::model::Kernel, destination: Network, gateway| Route {
        destination,
        ..kernel.default_route("wan1", gateway, 0, PROTOCOL_STATIC)
    };
    world.disturb(|kernel| {
        let tunnel = through(kernel, Network::new(ip(198, 51, 100, 7), 32), Some(config::gateway(1)));
        let office = through(kernel, Network::new(ip(172, 20, 0, 0), 16), Some(config::gateway(1)));
        let to_the_modem = through(kernel, Network::new(config::gateway(1), 32), None);
        let elsewhere = Route { table: TableId(9), ..tunnel.clone() };
        for route in [tunnel, office, to_the_modem, elsewhere] {
            kernel.add_route(route, How::Exclusive).unwrap();
        }
    });
    world.pass(secs(1));
    let stranded = |world: &World| {
        let status = world.core().status(world.now);
        let of = |name: &str| status.providers.iter().find(|it| it.name == name).unwrap().stranded.clone();
        (of("a"), of("b"), status.warnings)
    };
    assert_eq!(stranded(&world), (vec![], vec![], vec![]), "nothing is wrong with them while it is online");
    world.line("wan1").silent = true;
    world.pass(secs(20));
    let (a, b, warnings) = stranded(&world);
    assert_eq!(
        (a, b),
        (vec![], vec!["198.51.100.7".to_owned(), "172.20.0.0/16".to_owned()]),
        "not what leads to itself"
    );
    assert_eq!(warnings.len(), 2);
    assert_eq!(warnings[0], "the route to 198.51.100.7 of another program leads into b, which is offline");
    world.line("wan1").silent = false;
    world.pass(secs(20));
    assert_eq!(stranded(&world), (vec![], vec![], vec![]));
}
