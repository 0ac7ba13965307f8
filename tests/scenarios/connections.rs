//! The connections of a provider that went down, where they are not marked: forgotten once traffic has left it, and no others.

use std::net::IpAddr;

use failoverd::event::Event;
use failoverd::kernel::{Network, RouteChange};
use failoverd::settings::GatewaySetting;

use super::healthy;
use super::model::config::{address, gateway};
use super::model::{Config, World, config, ip, ms, secs};

fn forgotten(world: &World) -> Vec<IpAddr> {
    world.forgotten.iter().map(|(_, address)| *address).collect()
}

#[test]
fn a_dead_line_is_forgotten_once_after_the_switch() {
    for silent in [true, false] {
        let mut world = healthy(3, Config::count(3), 1);
        match silent {
            true => world.line("wan0").silent = true,
            false => world.disturb(|kernel| kernel.set_carrier("wan0", false)),
        }
        world.pass(secs(10));
        let moved = world
            .changes
            .iter()
            .find(|(_, list)| list.iter().any(|it| matches!(it, RouteChange::Write(route) if route.metric.0 == 2)));
        let moved = moved.unwrap().0;
        assert_eq!(forgotten(&world), [address(0)], "silent {silent}");
        let after = world.forgotten[0].0.since(moved);
        assert!(after > ms(0) && after <= ms(2), "as soon as the kernel shows it: {after:?}");
        world.pass(secs(600));
        assert_eq!(world.forgotten.len(), 1, "once");
    }
}

#[test]
fn what_comes_from_the_lan_is_told_apart() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| {
        kernel.add_link(50, "br-lan");
        kernel.add_address("br-lan", ip(192, 168, 7, 1), 24);
        kernel.set_carrier("wan0", false);
    });
    world.pass(secs(10));
    assert_eq!(forgotten(&world), [address(0)]);
    assert!(world.inside.contains(&Network::new(ip(192, 168, 7, 0), 24)), "{:?}", world.inside);
    let of_providers = [0, 1].map(|index| world.inside.iter().any(|it| it.contains(address(index))));
    assert_eq!(of_providers, [false; 2], "{:?}", world.inside);
}

#[test]
fn what_goes_away_is_forgotten_too() {
    type Act = fn(&mut World);
    for (what, act) in [
        ("the device", (|world| world.disturb(|kernel| kernel.remove_link("wan0"))) as Act),
        ("its state", |world| world.disturb(|kernel| kernel.set_up("wan0", false))),
        ("its address", |world| world.disturb(|kernel| kernel.remove_address("wan0", address(0)))),
        ("the provider", |world| {
            let without = Config::count(3).with(|it| it.providers.retain(|provider| provider.name != "a"));
            world.feed(Event::Reload(Box::new(without.0)));
        }),
    ] {
        let mut world = healthy(3, Config::count(3), 1);
        act(&mut world);
        world.pass(secs(10));
        assert_eq!(forgotten(&world), [address(0)], "{what}");
    }
    for gone in [0, 1] {
        let mut world = healthy(2, Config::count(2), 1);
        world.feed(Event::Reload(Box::new(Config::count(2).with(|it| drop(it.providers.remove(gone))).0)));
        world.pass(secs(100));
        // The line that is nobody's any more has its route again, which goes before ours.
        let wanted = if gone == 0 { vec![] } else { vec![address(1)] };
        assert_eq!(forgotten(&world), wanted, "one of two, {gone}");
    }
}

#[test]
fn a_standby_that_goes_down_is_forgotten() {
    let mut world = healthy(3, Config::count(3), 1);
    world.line("wan2").silent = true;
    world.pass(secs(20));
    assert_eq!((forgotten(&world), world.switches_since(world.now)), (vec![address(2)], 0));
}

#[test]
fn the_last_resort_keeps_its_connections_until_traffic_leaves_it() {
    let mut world = healthy(2, Config::count(2), 1);
    world.line("wan1").silent = true;
    world.pass(secs(20));
    world.line("wan0").silent = true;
    world.pass(secs(20));
    assert_eq!(world.traffic(), "wan0");
    assert_eq!(forgotten(&world), [address(1)], "not of the one that traffic still leaves by");
    world.line("wan1").silent = false;
    world.pass_until(secs(10), |world| world.traffic() == "wan1");
    world.pass(ms(5));
    assert_eq!(forgotten(&world), [address(1), address(0)]);
}

#[test]
fn a_pinned_one_keeps_them_until_unpinned() {
    let mut world = healthy(2, Config::count(2).with(|it| it.pin = Some("a".into())), 1);
    world.line("wan0").silent = true;
    world.pass(secs(20));
    assert_eq!((world.state_of("a").as_str(), forgotten(&world).len()), ("offline", 0));
    world.feed(Event::Reload(Box::new(Config::count(2).0)));
    world.pass(ms(10));
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan1", vec![address(0)]));
}

#[test]
fn failback_and_pins_take_them_along() {
    let mut world = healthy(2, Config::count(2), 1);
    world.feed(Event::Pin("b".into()));
    world.pass(secs(5));
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan1", vec![address(0)]));
    world.feed(Event::Unpin);
    world.pass(secs(200));
    let wanted = vec![address(0), address(1)];
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan0", wanted), "nothing keeps them on that line");
    world.line("wan0").silent = true;
    world.pass(secs(10));
    world.line("wan0").silent = false;
    world.pass(secs(700));
    let wanted = [0, 1, 0, 1].map(address);
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan0", wanted.to_vec()));
}

#[test]
fn a_refused_switch_delays_it_and_does_not_lose_it() {
    let mut world = healthy(2, Config::count(2), 1);
    world.faults.refuse = 100;
    world.line("wan0").silent = true;
    world.pass(secs(5));
    assert_eq!((world.traffic().as_str(), forgotten(&world).len()), ("wan0", 0), "the kernel refuses");
    world.faults.refuse = 0;
    world.pass(secs(15));
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan1", vec![address(0)]));
}

#[test]
fn one_that_recovers_before_the_switch_keeps_them() {
    let mut world = healthy(2, Config::count(2), 1);
    world.faults.refuse = 100;
    world.line("wan0").silent = true;
    world.pass(secs(5));
    assert_eq!(world.state_of("a"), "offline");
    world.line("wan0").silent = false;
    world.line("wan1").silent = true;
    world.pass(secs(20));
    assert_eq!(world.state_of("a"), "online");
    world.faults.refuse = 0;
    world.pass(secs(20));
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan0", vec![address(1)]), "only of the one now dead");
}

#[test]
fn identical_addresses_cannot_be_told_apart() {
    let mut world = World::new(super::model::Kernel::default(), 1);
    let own = ip(192, 168, 1, 2);
    for index in 0..2 {
        world.kernel.add_link(10 + index, &format!("wan{index}"));
        world.kernel.add_address(&format!("wan{index}"), own, 24);
        world.lines.insert(format!("wan{index}"), super::model::Line::default());
    }
    let identical = |it: &mut failoverd::settings::Settings| {
        it.providers.iter_mut().for_each(|it| it.gateway = GatewaySetting::Address(ip(192, 168, 1, 1)));
    };
    world.start(Config::count(2).with(identical).0);
    world.pass(secs(30));
    for _ in 0..3 {
        world.line("wan0").silent = true;
        world.pass(secs(10));
        assert_eq!(world.traffic(), "wan1");
        world.line("wan0").silent = false;
        world.pass(secs(700));
        assert_eq!(world.traffic(), "wan0");
    }
    assert_eq!(forgotten(&world), Vec::<IpAddr>::new());
    let said = world.told.iter().filter(|(_, notice)| notice.to_string().contains("cannot be told apart")).count();
    assert_eq!(said, 1, "once");
}

#[test]
fn an_address_that_changed_takes_its_connections_along() {
    let mut world = healthy(2, Config::count(2), 1);
    let new = ip(10, 0, 0, 77);
    world.disturb(|kernel| {
        kernel.add_address("wan0", new, 24);
        kernel.remove_address("wan0", address(0));
    });
    world.pass(ms(20));
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan0", vec![address(0)]));
    world.line("wan0").silent = true;
    world.pass(secs(10));
    assert_eq!(forgotten(&world), [address(0), new]);
}

#[test]
fn a_link_dialled_again_with_another_device_is_the_same_provider() {
    let mut world = healthy(2, Config::count(2), 1);
    world.disturb(|kernel| kernel.remove_link("wan0"));
    world.pass(ms(20));
    assert_eq!(forgotten(&world), [address(0)], "it was down");
    world.disturb(|kernel| {
        kernel.add_link(99, "wan0");
        kernel.add_address("wan0", address(0), 24);
    });
    world.pass(secs(100));
    let wanted = vec![address(0), address(1)];
    assert_eq!((world.traffic().as_str(), forgotten(&world)), ("wan0", wanted), "and when traffic came back");
}

#[test]
fn not_when_switched_off_nor_with_one_provider_nor_at_a_stop() {
    let off = Config::count(2).with(|it| it.flush_conntrack = false);
    let mut world = healthy(2, off, 1);
    world.line("wan0").silent = true;
    world.pass(secs(10));
    assert_eq!((world.traffic().as_str(), world.forgotten.len()), ("wan1", 0), "flush_conntrack '0'");

    let alone = Config::new(vec![failoverd::settings::ProviderSettings {
        gateway: GatewaySetting::Address(gateway(0)),
        ..config::provider("a", "wan0", 1)
    }]);
    let mut world = healthy(1, alone, 1);
    world.line("wan0").silent = true;
    world.pass(secs(100));
    assert_eq!(world.forgotten.len(), 0, "one provider");

    let mut world = healthy(2, Config::count(2), 1);
    world.feed(Event::Stop);
    world.pass(secs(5));
    assert!(world.stopped && world.forgotten.is_empty(), "a stop");
}
