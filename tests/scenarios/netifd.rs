//! What netifd does with the interfaces of providers, and what becomes of their routes.

use failoverd::event::{Event, ProviderId};
use failoverd::kernel::{Metric, Network};
use failoverd::moment::Moment;
use failoverd::netifd::DefaultRoute;
use failoverd::settings::{GatewaySetting, UplinkSource};
use failoverd::takeover;

use super::model::fib::How;
use super::model::kernel::PROTOCOL_STATIC;
use super::model::netifd::{down, interface, pending};
use super::model::{Config, Line, World, config, ip, ms, secs};
use super::proved;

/// Three interfaces that have all proved themselves.
fn healthy() -> World {
    let mut world = proved(World::with_interfaces(3, &[(0, 0)], 1), 3, Config::interfaces(3));
    world.netifd.asked.clear();
    world.requests.clear();
    (world.closed, world.probes) = (0, 0);
    world
}

/// The gateways of the default routes of ours, in their order.
fn slots(world: &World) -> Vec<String> {
    let device = |index| world.kernel.by_index(index).map(|link| link.name.clone()).unwrap();
    let ours = world.kernel.defaults().filter(|it| it.is_ours());
    ours.map(|it| format!("{} {}", device(it.device.unwrap()), it.gateway.map_or("direct".into(), |it| it.to_string())))
        .collect()
}

#[test]
fn an_interface_that_comes_late() {
    let mut world = World::with_interfaces(2, &[(0, 0)], 1);
    let whole = interface(1);
    world.netifd.interfaces[1] = pending(&whole);
    world.kernel.remove_link("wan1");
    world.start(Config::interfaces(2).0);
    world.pass(secs(10));
    assert_eq!((world.state_of("b").as_str(), world.traffic().as_str()), ("unresolved", "wan0"));
    assert_eq!(world.reason_of("b"), "interface isp1 is being set up");
    world.disturb(|kernel| {
        kernel.add_link(30, "wan1");
        kernel.add_address("wan1", config::address(1), 24);
    });
    world.netifd_says(|it| it[1] = whole);
    world.pass(ms(20));
    assert_eq!(
        (world.state_of("b").as_str(), slots(&world)),
        ("checking", vec!["wan0 10.0.0.1".into(), "wan1 10.1.0.1".into()])
    );
    world.pass(secs(2));
    assert_eq!(world.state_of("b"), "online");
}

#[test]
fn an_interface_that_nobody_has_heard_of() {
    let mut world = World::with_interfaces(2, &[(0, 0)], 1);
    let added = world.netifd.interfaces.pop().unwrap();
    world.start(Config::interfaces(2).0);
    world.pass(secs(1));
    assert_eq!(world.reason_of("b"), "netifd has no interface isp1: 'ubus call network.interface dump' shows all");
    world.netifd_says(|it| it.push(added));
    world.pass(secs(2));
    assert_eq!(world.state_of("b"), "online");
}

/// That is much at once, but nobody's quarrel with us.
#[test]
fn a_reload_of_the_whole_network_is_followed_at_once() {
    let mut world = healthy();
    for index in [0, 1, 2, 0, 1, 2] {
        let (name, place) = (format!("wan{index}"), usize::try_from(index).unwrap());
        let whole = world.netifd.interfaces[place].clone();
        world.disturb(|kernel| kernel.remove_address(&name, config::address(index)));
        world.netifd_says(|it| it[place] = down(&whole));
        world.pass(ms(50));
        assert!(!slots(&world).iter().any(|slot| slot.starts_with(&name)), "{:?}", slots(&world));
        world.disturb(|kernel| {
            kernel.add_address(&name, config::address(index), 24);
            let route = kernel.default_route(&name, Some(config::gateway(index)), 0, PROTOCOL_STATIC);
            kernel.add_route(route, How::Replace).unwrap();
        });
        world.netifd_says(|it| it[place] = whole);
        world.pass(ms(50));
        assert_eq!(slots(&world).len(), 3, "{index}: {:?}", slots(&world));
        assert!(world.kernel.defaults().take(3).all(|it| it.is_ours()), "{index}: netifd's is out of the way");
    }
}

#[test]
fn netifds_default_routes_are_moved_whatever_their_metric() {
    for (metric, protocol, moves) in
        [(0, PROTOCOL_STATIC, true), (10, PROTOCOL_STATIC, true), (1024, PROTOCOL_STATIC, true), (10, 16, false)]
    {
        let mut world = healthy();
        let route = world.kernel.default_route("wan1", Some(config::gateway(1)), metric, protocol);
        world.disturb(|kernel| kernel.add_route(route.clone(), How::Append).unwrap());
        world.pass(secs(1));
        let there =
            |world: &World, metric| world.kernel.defaults().any(|it| it.metric == metric && it.protocol == protocol);
        let moved = takeover::moved_metric(ProviderId(2), Metric(metric));
        assert_eq!((there(&world, Metric(metric)), there(&world, moved)), (!moves, moves), "{metric} {protocol}");
        world.feed(Event::Stop);
        world.pass(secs(1));
        assert!(there(&world, Metric(metric)) && !there(&world, moved), "{metric} {protocol}: restored");
    }
}

#[test]
fn another_gateway_keeps_the_verdict() {
    let mut world = healthy();
    let start = world.now;
    world.netifd_says(|it| it[0].default_route = Some(DefaultRoute::Via(ip(10, 0, 0, 254))));
    world.pass(ms(5));
    assert_eq!(slots(&world)[0], "wan0 10.0.0.254");
    assert_eq!(world.state_of("a"), "online");
    world.pass(secs(10));
    assert_eq!((world.state_of("a").as_str(), world.said_since(start)), ("online", vec![]));
}

#[test]
fn another_address_keeps_the_verdict() {
    let mut world = healthy();
    let (start, new) = (world.now, ip(10, 0, 0, 77));
    world.disturb(|kernel| {
        kernel.add_address("wan0", new, 24);
        kernel.remove_address("wan0", config::address(0));
    });
    world.netifd_says(|it| it[0].addresses = vec![new]);
    world.pass(ms(10));
    let first = world.kernel.defaults().next().unwrap();
    assert_eq!((first.source, first.is_ours()), (Some(new), true));
    world.pass(secs(10));
    assert_eq!((world.state_of("a").as_str(), world.said_since(start)), ("online", vec![]));
}

/// `isp0` by PPPoE over `port0`, its device being `name`.
fn dial(world: &mut World, index: u32, name: &str) {
    let (local, peer) = (ip(203, 0, 113, u8::try_from(index).unwrap()), ip(198, 51, 100, 1));
    world.kernel.add_link(index, name);
    world.kernel.set_point_to_point(name);
    world.kernel.add_peer(name, local, peer, 32);
    world.lines.insert(name.to_owned(), Line::default());
    let told = world.interface("isp0");
    (told.up, told.pending, told.proto) = (true, false, "pppoe".into());
    (told.device, told.lower_device) = (Some(name.to_owned()), Some("port0".to_owned()));
    (told.addresses, told.default_route) = (vec![local], Some(DefaultRoute::Via(peer)));
}

/// `isp0` by PPPoE, `isp1` by DHCP.
fn dialled() -> World {
    let mut world = World::with_interfaces(2, &[], 1);
    world.kernel.remove_link("wan0");
    world.kernel.add_link(5, "port0");
    dial(&mut world, 40, "pppoe-isp0");
    world.start(Config::interfaces(2).0);
    world.pass(secs(30));
    assert_eq!(slots(&world), ["pppoe-isp0 198.51.100.1", "wan1 10.1.0.1"]);
    assert_eq!((world.state_of("a").as_str(), world.active().as_str()), ("online", "a"));
    world
}

#[test]
fn pppoe_dials_again() {
    for (name, told, why) in [
        ("pppoe-isp0", true, "the same name, another index"),
        ("pppoe-isp0", false, "and netifd's notifications are lost"),
        ("ppp1", true, "another name"),
        ("ppp1", false, "another name, and only the kernel tells"),
    ] {
        let mut world = dialled();
        let before = world.interface("isp0").clone();
        world.disturb(|kernel| kernel.remove_link("pppoe-isp0"));
        *world.interface("isp0") = pending(&before);
        if told {
            world.read_interfaces_now();
        }
        world.pass(ms(20));
        assert_eq!((world.traffic().as_str(), slots(&world)), ("wan1", vec!["wan1 10.1.0.1".to_owned()]), "{why}");
        assert_eq!(world.state_of("a"), "unresolved", "{why}");
        world.pass(secs(3));
        dial(&mut world, 41, name);
        world.disturb(|_| {});
        if told {
            world.read_interfaces_now();
        }
        world.pass(ms(20));
        assert_eq!(world.state_of("a"), "checking", "{why}: a new link must prove itself");
        assert_eq!(slots(&world), ["wan1 10.1.0.1".to_owned(), format!("{name} 198.51.100.1")], "{why}");
        world.pass(secs(65));
        assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("online", name), "{why}");
    }
}

#[test]
fn the_port_below_loses_its_carrier() {
    let mut world = dialled();
    let start = world.now;
    world.disturb(|kernel| kernel.set_carrier("port0", false));
    world.pass(ms(5));
    assert_eq!((world.traffic().as_str(), world.state_of("a").as_str()), ("wan1", "no_carrier"));
    assert_eq!(world.said_since(start), ["a offline: no carrier", "switched from a to b: a: no carrier"]);
    world.disturb(|kernel| kernel.set_carrier("port0", true));
    world.pass(ms(5));
    assert_eq!((world.traffic().as_str(), world.state_of("a").as_str()), ("wan1", "checking"));
}

#[test]
fn a_pulled_cable_is_told_as_such_after_netifd_has_let_go() {
    for (delay, why) in [(ms(0), "netifd tells first"), (ms(150), "the kernel tells first")] {
        let mut world = healthy();
        let (start, whole) = (world.now, world.netifd.interfaces[0].clone());
        *world.interface("isp0") = down(&whole);
        world.netifd.delay = delay;
        world.disturb(|kernel| kernel.set_carrier("wan0", false));
        world.pass(secs(1));
        world.disturb(|kernel| kernel.remove_address("wan0", config::address(0)));
        world.pass(secs(1));
        assert_eq!(
            (world.state_of("a").as_str(), world.reason_of("a").as_str()),
            ("no_carrier", "no carrier"),
            "{why}"
        );
        assert_eq!(world.said_since(start), ["a offline: no carrier", "switched from a to b: a: no carrier"]);
        world.disturb(|kernel| kernel.set_up("wan0", false));
        world.pass(secs(1));
        assert_eq!(
            world.reason_of("a"),
            "interface isp0 is down: 'ifstatus isp0' may tell why",
            "not for want of a cable"
        );
        world.disturb(|kernel| {
            kernel.set_up("wan0", true);
            kernel.set_carrier("wan0", true);
            kernel.add_address("wan0", config::address(0), 24);
        });
        world.netifd_says(|it| it[0] = whole);
        world.pass(secs(2));
        assert_eq!(world.state_of("a"), "online");
    }
}

#[test]
fn interfaces_that_swap_their_devices() {
    let mut world = healthy();
    world.netifd_says(|it| {
        it.swap(0, 1);
        (it[0].name, it[1].name) = ("isp0".into(), "isp1".into());
    });
    world.pass(ms(20));
    assert_eq!(world.traffic(), "wan2", "the others have yet to prove themselves");
    world.pass(secs(100));
    assert_eq!(slots(&world), ["wan1 10.1.0.1", "wan0 10.0.0.1", "wan2 10.2.0.1"]);
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "online"));
    let moved: Vec<_> =
        world.kernel.defaults().filter(|it| it.metric.0 > 1_000_000_000).map(|it| it.metric.0).collect();
    assert_eq!(moved, [1_002_000_000], "netifd's route is the other provider's now");
    world.feed(Event::Stop);
    world.pass(secs(1));
    assert_eq!(world.kernel.defaults().map(|it| it.metric.0).collect::<Vec<_>>(), [0]);
}

#[test]
fn an_interface_vanishes_and_comes_back() {
    let mut world = healthy();
    let gone = world.netifd.interfaces[0].clone();
    let moved = |world: &World| world.kernel.defaults().filter(|it| it.metric.0 > 1_000_000_000).count();
    assert_eq!(moved(&world), 1);
    world.netifd_says(|it| drop(it.remove(0)));
    world.pass(ms(5));
    assert_eq!((world.traffic().as_str(), slots(&world).len()), ("wan1", 2));
    assert_eq!(moved(&world), 1, "netifd's route stays where it was moved to");
    assert!(world.kernel.rules.iter().any(|it| it.device.as_deref() == Some("wan0")), "nor is the device given up");
    world.pass(secs(10));
    world.netifd_says(|it| it.insert(0, gone));
    world.pass(ms(10));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("checking", "wan1"));
    world.pass(secs(65));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("online", "wan0"));
}

#[test]
fn an_interface_taken_down_by_hand_is_disabled_and_not_offline() {
    for (kernel_first, why) in [(false, "netifd tells first"), (true, "the kernel tells first")] {
        let mut world = healthy();
        let (start, whole) = (world.now, world.netifd.interfaces[0].clone());
        world.interface("isp0").autostart = false;
        *world.interface("isp0") = down(world.interface("isp0"));
        if !kernel_first {
            world.read_interfaces_now();
            world.pass(ms(2));
        }
        world.netifd.delay = ms(100);
        world.disturb(|kernel| kernel.remove_address("wan0", config::address(0)));
        world.pass(ms(5));
        assert_eq!(world.traffic(), "wan1", "{why}: at once");
        world.pass(secs(2));
        let reason = "interface isp0 was taken down, or is not started by itself: 'ifup isp0' brings it up";
        assert_eq!((world.state_of("a").as_str(), world.reason_of("a").as_str()), ("disabled", reason), "{why}");
        let said = world.said_since(start);
        assert!(said.len() == 1 && said[0].starts_with("switched from a to b: a: "), "{why}: {said:?}");
        assert!(kernel_first || said[0].ends_with(reason), "{said:?}");

        let start = world.now;
        world.netifd_says(|it| it[0] = pending(&whole));
        world.pass(secs(1));
        assert_eq!((world.state_of("a").as_str(), world.said_since(start)), ("unresolved", vec![]), "{why}: ifup");
        world.disturb(|kernel| kernel.add_address("wan0", config::address(0), 24));
        world.netifd_says(|it| it[0] = whole);
        world.pass(secs(2));
        assert_eq!(world.said_since(start), ["a online: 3 checks succeeded in a row"], "{why}");
    }
}

#[test]
fn what_is_told_again_changes_nothing() {
    let mut world = healthy();
    let start = world.now;
    let mut quiet = healthy();
    for _ in 0..1000 {
        world.pass(ms(10));
        world.tell_interfaces();
    }
    quiet.pass(secs(10));
    assert!(world.changes.is_empty() && world.said_since(start).is_empty());
    assert_eq!((world.closed, world.requests.len(), world.netifd.asked.len()), (0, 0, 0));
    assert_eq!(world.probes, quiet.probes, "no check is disturbed");
    world.netifd_says(|it| it.push(interface(9)));
    world.pass(secs(1));
    assert!(world.changes.is_empty() && world.closed == 0, "nor by interfaces of others");
}

#[test]
fn netifd_is_asked_when_the_kernel_changes_and_now_and_then() {
    let mut world = healthy();
    world.pass(secs(300));
    assert!((9..=11).contains(&world.netifd.asked.len()), "{}", world.netifd.asked.len());
    world.netifd.asked.clear();
    for _ in 0..10 {
        world.pass(ms(1));
        world.disturb(|_| {});
    }
    world.disturb(|kernel| kernel.fib.routes.retain(|it| !it.is_ours()));
    world.pass(ms(50));
    assert!(world.netifd.asked.is_empty(), "what is ours is no business of netifd's");
    world.disturb(|kernel| kernel.add_link(99, "usb0"));
    world.pass(ms(50));
    assert_eq!(world.netifd.asked.len(), 1);
    world.netifd.silent = true;
    let quiet = world.now;
    world.pass(secs(600));
    assert!(world.said_since(quiet).is_empty() && world.changes.len() == 1, "{:?}", world.changes);
    assert_eq!(world.traffic(), "wan0", "the last list stays in force");
}

#[test]
fn only_the_kernel_tells_of_a_new_gateway() {
    let mut world = healthy();
    world.pass(secs(5));
    world.interface("isp0").default_route = Some(DefaultRoute::Via(ip(10, 0, 0, 254)));
    world.disturb(|kernel| {
        let route = kernel.default_route("wan0", Some(ip(10, 0, 0, 254)), 0, PROTOCOL_STATIC);
        kernel.add_route(route, How::Replace).unwrap();
    });
    world.pass(ms(20));
    assert_eq!(slots(&world)[0], "wan0 10.0.0.254");
}

#[test]
fn two_wans_without_a_metric() {
    // The kernel has the default route that netifd added last; both gateways are in netifd's list.
    let mut world = World::with_interfaces(2, &[(1, 0)], 1);
    let initial = world.kernel.clone();
    world.start(Config::interfaces(2).0);
    world.pass(secs(10));
    assert_eq!(slots(&world), ["wan1 10.1.0.1", "wan0 10.0.0.1"], "nothing moves, and both have a slot");
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "online"));
    world.pass(secs(60));
    assert_eq!(slots(&world), ["wan0 10.0.0.1", "wan1 10.1.0.1"]);
    // An interface goes through a reload: netifd's route is back at its own metric.
    world.disturb(|kernel| {
        let route = kernel.default_route("wan1", Some(config::gateway(1)), 0, PROTOCOL_STATIC);
        kernel.add_route(route, How::Replace).unwrap();
    });
    world.pass(ms(10));
    assert_eq!(world.traffic(), "wan0");
    world.feed(Event::Stop);
    world.pass(secs(1));
    let defaults = |kernel: &super::model::Kernel| -> Vec<_> {
        kernel.defaults().map(|it| (it.device, it.gateway, it.metric)).collect()
    };
    assert_eq!(defaults(&world.kernel), defaults(&initial));
}

#[test]
fn a_device_is_the_first_providers() {
    let mut world = World::with_interfaces(3, &[(0, 0)], 1);
    world.netifd.interfaces[1].device = Some("wan0".into());
    let mixed = Config::interfaces(3).with(|it| {
        it.providers[2].source = UplinkSource::Device("wan0".into());
        it.providers[2].gateway = GatewaySetting::Address(config::gateway(0));
    });
    world.start(mixed.0);
    world.pass(secs(10));
    for name in ["b", "c"] {
        assert_eq!(world.state_of(name), "unresolved");
        assert_eq!(world.reason_of(name), "device wan0 is provider a's already");
    }
    assert_eq!((world.state_of("a").as_str(), slots(&world).len(), world.kernel.rules.len()), ("online", 1, 2));
    world.netifd_says(|it| it[1].device = Some("wan1".into()));
    world.pass(secs(2));
    assert_eq!((world.state_of("b").as_str(), slots(&world).len()), ("online", 2));
}

#[test]
fn the_status_tells_what_netifd_knows() {
    let mut world = healthy();
    world.netifd_says(|it| it[0].dns_servers = vec![ip(10, 0, 0, 53)]);
    world.pass(ms(5));
    let status = world.core().status(world.now);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let a = &status.providers[0];
    assert_eq!((text(&a.interface), text(&a.device), text(&a.proto)), ("isp0".into(), "wan0".into(), "dhcp".into()));
    assert_eq!((a.dns_servers.as_slice(), status.providers[1].dns_servers.len()), (&["10.0.0.53".to_owned()][..], 0));
    assert_eq!(world.closed, 0);
}

#[test]
fn dns_servers_are_reached_through_a_reliable_provider_that_names_them() {
    let mut world = healthy();
    let server = ip(10, 99, 0, 53);
    let through = |world: &World| {
        let routes = world.kernel.snapshot(&[]).routes;
        let host = routes.into_iter().find(|it| it.is_ours() && it.destination == Network::new(server, 32));
        host.map(|it| world.kernel.by_index(it.device.unwrap()).unwrap().name.clone())
    };
    assert_eq!(through(&world), None);
    world.netifd_says(|it| it.iter_mut().for_each(|it| it.dns_servers = vec![server]));
    world.pass(ms(5));
    assert_eq!(through(&world).as_deref(), Some("wan0"), "the first slot's, though all name it");
    world.netifd_says(|it| it[0].dns_servers.clear());
    world.pass(ms(5));
    assert_eq!(through(&world).as_deref(), Some("wan1"));
    world.line("wan1").silent = true;
    world.pass(secs(8));
    assert_eq!((world.state_of("b").as_str(), through(&world).as_deref()), ("offline", Some("wan2")));
    assert_eq!(world.switches_since(Moment::default()), 0, "a standby that fails moves its servers alone");
    world.start(Config::interfaces(3).with(|it| it.dns_routes = false).0);
    world.pass(secs(5));
    assert_eq!(through(&world), None);
}
