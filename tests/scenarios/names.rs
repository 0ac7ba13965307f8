//! Targets that are names: asked for through the provider itself, kept, and never in the way.

use std::net::IpAddr;

use failoverd::event::Event;
use std::collections::BTreeSet;

use failoverd::settings::{Host, Target};

use super::healthy;
use super::model::{Config, World, ip, ms, secs};

/// Two providers that ask `one.example`, and nothing else, by a server of its own.
fn config() -> Config {
    let by_name = Config::count(2).with(|it| it.tests[0].targets = vec![Target::of(Host::Name("one.example".into()))]);
    by_name.check(|check| check.resolvers = vec![ip(192, 0, 2, 53)])
}

/// Two lines, whose servers know `one.example` by different addresses.
fn lines(seed: u64) -> World {
    let mut world = World::with_defaults(2, &[(0, 0)], seed);
    for (number, line) in [(1, "wan0"), (2, "wan1")] {
        world.line(line).names.insert("one.example".into(), vec![ip(198, 51, 100, number)]);
    }
    world
}

/// The addresses that a provider's target has.
fn addresses(world: &World, provider: &str) -> Vec<String> {
    let status = world.core().status(world.now);
    status.providers.iter().find(|it| it.name == provider).unwrap().tests[0].targets[0].addresses.clone()
}

#[test]
fn each_provider_asks_through_itself() {
    let mut world = lines(1);
    world.start(config().0);
    world.pass(secs(10));
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "online"));
    assert_eq!(
        (addresses(&world, "a"), addresses(&world, "b")),
        (vec!["198.51.100.1".into()], vec!["198.51.100.2".into()])
    );
    assert_eq!(world.asked.len(), 2, "once each: {:?}", world.asked);
    world.pass(secs(600));
    let asked = world.asked.len();
    assert!((14..=24).contains(&asked), "once a minute each, as the answers say: {asked}");
}

#[test]
fn a_dead_line_is_found_dead_as_quickly_as_with_addresses() {
    let mut world = proved(lines(2));
    let cut = world.now;
    world.line("wan0").silent = true;
    while world.active() != "b" {
        world.pass(ms(10));
    }
    assert!(world.now.since(cut) < ms(2000), "{:?}", world.now.since(cut));
    assert!(world.reason_of("a").starts_with("lost "), "{}", world.reason_of("a"));
    world.line("wan0").silent = false;
    world.pass(secs(90));
    assert_eq!(world.active(), "a", "the address was not forgotten");
}

fn proved(mut world: World) -> World {
    world.start(config().0);
    world.pass(secs(30));
    assert_eq!(world.traffic(), "wan0");
    world
}

#[test]
fn a_server_that_says_nothing_concerns_its_provider_alone() {
    let mut world = lines(3);
    world.line("wan0").mute_servers = true;
    world.start(config().0);
    world.pass(secs(10));
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("offline", "online"));
    assert_eq!(world.reason_of("a"), "the name one.example cannot be resolved: no answer from 192.0.2.53");
    assert_eq!(world.traffic(), "wan1");
    world.line("wan0").mute_servers = false;
    world.pass(secs(120));
    assert_eq!((world.state_of("a").as_str(), world.traffic().as_str()), ("online", "wan0"));
}

#[test]
fn a_name_that_goes_away_keeps_its_addresses() {
    let mut world = proved(lines(4));
    world.line("wan0").names.clear();
    world.pass(secs(3600));
    assert_eq!((world.state_of("a").as_str(), addresses(&world, "a")), ("online", vec!["198.51.100.1".to_owned()]));
}

#[test]
fn new_addresses_are_asked_as_soon_as_the_old_ones_are_no_longer_told() {
    let mut world = proved(lines(5));
    let (old, new) = (ip(198, 51, 100, 1), ip(198, 51, 100, 9));
    let failed = |world: &World| world.core().status(world.now).providers.iter().map(|it| it.failed).sum::<u64>();
    for (told, want) in [(vec![new, old], old), (vec![new], new), (vec![ip(127, 0, 0, 1)], new), (vec![old, new], new)]
    {
        world.line("wan0").names.insert("one.example".into(), told.clone());
        world.pass(secs(200));
        assert_eq!(addresses(&world, "a"), [want.to_string()], "{told:?}");
    }
    assert_eq!((failed(&world), world.active()), (0, "a".to_owned()));
}

#[test]
fn names_beside_addresses() {
    let beside = Config::count(2).with(|it| it.tests[0].targets.push(Target::of(Host::Name("gone.example".into()))));
    let mut world = healthy(2, beside.check(|check| check.resolvers = vec![ip(192, 0, 2, 53)]), 6);
    world.asked.clear();
    world.pass(secs(600));
    let status = world.core().status(world.now);
    assert_eq!(status.providers.iter().map(|it| it.failed).collect::<Vec<_>>(), [0, 0], "the others are asked");
    assert!((18..=22).contains(&world.asked.len()), "and the name once a minute: {}", world.asked.len());
}

#[test]
fn many_names_are_asked_for_a_few_at_a_time() {
    let hosts: Vec<Host> = (0..40).map(|number| Host::Name(format!("host{number}.example"))).collect();
    let many = config().with(|it| it.tests[0].targets = hosts.into_iter().map(Target::of).collect());
    let mut world = lines(9);
    for (line, net) in [("wan0", 100), ("wan1", 101)] {
        let names = (0..40).map(|number| (format!("host{number}.example"), vec![ip(198, 51, net, number)]));
        world.line(line).names.extend(names);
    }
    world.start(many.0);
    world.pass(ms(15));
    assert_eq!(world.asked.len(), 16, "eight each");
    world.pass(secs(40));
    assert_eq!((world.state_of("a").as_str(), world.state_of("b").as_str()), ("online", "online"));
    let asked: BTreeSet<_> = world.asked.iter().map(|(_, provider, name)| (*provider, name)).collect();
    assert_eq!(asked.len(), 80, "all in the end");
}

#[test]
fn without_any_server_it_says_so() {
    let mut world = lines(7);
    world.start(config().check(|check| check.resolvers.clear()).0);
    world.pass(secs(5));
    let want = "the name one.example cannot be resolved: no DNS server is known for this provider: set option resolver";
    assert_eq!((world.reason_of("a").as_str(), world.asked.len()), (want, 0));
}

#[test]
fn a_lost_carrier_between_question_and_answer() {
    let mut world = lines(8);
    world.line("wan0").rtt = secs(1);
    world.start(config().0);
    world.pass(ms(300));
    world.disturb(|kernel| kernel.set_carrier("wan0", false));
    world.pass(secs(20));
    world.disturb(|kernel| kernel.set_carrier("wan0", true));
    world.pass(secs(20));
    assert_eq!(world.state_of("a"), "online");
}

/// As [`lines`], with netifd, which reports these servers for each interface.
fn reported(servers: &[IpAddr], seed: u64) -> World {
    let mut world = World::with_interfaces(2, &[(0, 0)], seed);
    for (number, line) in [(1, "wan0"), (2, "wan1")] {
        world.line(line).names.insert("one.example".into(), vec![ip(198, 51, 100, number)]);
    }
    world.netifd.interfaces.iter_mut().for_each(|it| it.dns_servers = servers.to_vec());
    let config =
        Config::interfaces(2).with(|it| it.tests[0].targets = vec![Target::of(Host::Name("one.example".into()))]);
    world.start(config.0);
    world.pass(secs(30));
    world
}

#[test]
fn servers_that_cannot_be_asked_are_not_in_the_way() {
    for (beside, why) in [("2001:db8::53", "no IPv6 yet"), ("127.0.0.1", "the router itself"), ("0.0.0.0", "nobody")] {
        let world = reported(&[beside.parse().unwrap(), ip(192, 0, 2, 53)], 9);
        assert_eq!((world.state_of("a"), world.reason_of("a")), ("online".into(), String::new()), "{why}");
    }
}

#[test]
fn addresses_outlive_the_servers_they_came_from() {
    let mut world = reported(&[ip(192, 0, 2, 53)], 10);
    world.netifd_says(|interfaces| interfaces.iter_mut().for_each(|it| it.dns_servers.clear()));
    world.pass(secs(3600));
    assert_eq!((world.state_of("a").as_str(), addresses(&world, "a")), ("online", vec!["198.51.100.1".to_owned()]));
}

#[test]
fn whatever_happens_while_a_name_is_asked_for_it_is_known_in_the_end() {
    type Act = fn(&mut World);
    let acts: [(&str, Act); 7] = [
        ("the same again", |world| world.feed(Event::Reload(Box::new(config().0)))),
        ("off and on", |world| {
            world.feed(Event::Reload(Box::new(config().with(|it| it.enabled = false).0)));
            world.pass(ms(100));
            world.feed(Event::Reload(Box::new(config().0)));
        }),
        ("other tests", |world| {
            let other = config().with(|it| it.tests[0].targets.push(Target::of(Host::Name("two.example".into()))));
            world.feed(Event::Reload(Box::new(other.0)));
            world.pass(ms(100));
            world.feed(Event::Reload(Box::new(config().0)));
        }),
        ("asleep and awake", |world| {
            let asleep =
                config().with(|it| it.providers[0].cold_standby = true).with(|it| it.providers[0].priority = 9);
            world.feed(Event::Reload(Box::new(asleep.0)));
            world.pass(secs(1));
            world.feed(Event::Reload(Box::new(config().0)));
        }),
        ("another address", |world| {
            world.disturb(|kernel| kernel.remove_address("wan0", ip(10, 0, 0, 2)));
            world.pass(ms(100));
            world.disturb(|kernel| kernel.add_address("wan0", ip(10, 0, 0, 9), 24));
        }),
        ("by hand", |world| world.feed(Event::CheckNow(None))),
        ("pinned", |world| {
            world.feed(Event::Pin("b".into()));
            world.pass(ms(100));
            world.feed(Event::Unpin);
        }),
    ];
    for (why, act) in acts {
        for after in [0, 1, 30, 300, 900, 1500, 2500] {
            let mut world = lines(after);
            world.line("wan0").rtt = secs(1);
            world.line("wan1").rtt = ms(20);
            world.start(config().0);
            world.pass(ms(after));
            act(&mut world);
            world.pass(secs(30));
            assert_eq!(world.state_of("a"), "online", "{why} after {after} ms: {}", world.reason_of("a"));
        }
    }
}
