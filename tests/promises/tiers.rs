//! Providers of equal priority share the traffic by weight, and no connection is torn between them: what a member that fails or
//! returns does is felt by its own connections alone.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use lab::{ECHO_PORT, LabConfig, Nat, Stream, Transport, ask, wait_for};

use crate::world::{BRISK, SECOND, SOON, World, word};

/// (provider, weight) of the members of slot 0, where it is shared.
fn members(world: &World) -> Vec<(u8, u32)> {
    let slot = world.defaults().into_iter().find(|line| line.contains(" metric 2 ") && line.contains("multipath ["));
    let hops = slot.iter().flat_map(|line| line.split("via ").skip(1));
    let mut members: Vec<_> = hops.map(|hop| ((word(hop, "oif") - 100) as u8 % 16, weight(hop))).collect();
    members.sort_unstable();
    members
}

/// `weight 3, ` or `weight 3]`.
fn weight(hop: &str) -> u32 {
    let (_, rest) = hop.split_once("weight ").unwrap_or_default();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

pub(crate) fn wait_members(world: &World, wanted: &[(u8, u32)]) {
    let done = wait_for(SOON, &format!("{wanted:?} to share the traffic"), || members(world) == wanted);
    done.unwrap_or_else(|error| panic!("{error}; {:#?}", world.defaults()));
}

/// Providers 0 and 1 share; weights as given.
fn pair(config: LabConfig, weights: [&str; 2], more: &[(u8, &str, &str)]) -> World {
    let world = World::alone(config);
    let [first, second] = weights;
    let tier = [(0, "priority", "1"), (1, "priority", "1"), (0, "weight", first), (1, "weight", second)];
    world.configure(&world.uci(&BRISK, &[&tier, more].concat()));
    world
}

#[test]
fn weights_three_and_one_share_two_thousand_connections_so() {
    for nat in [Nat::None, Nat::Masquerade] {
        let world = pair(LabConfig { peers: true, nat, ..LabConfig::default() }, ["3", "1"], &[]);
        let daemon = world.start();
        wait_members(&world, &[(0, 3), (1, 1)]);
        world.wait_marks();
        // The kernel looks at both addresses. Ten computers and 200 servers: chance alone makes it 75 per cent, give or take one.
        let computers = world.lab.client().add_addresses(10).unwrap();
        let servers = (0..200).map(|last| SocketAddrV4::new(Ipv4Addr::new(198, 19, 3, last), ECHO_PORT));
        let pairs = |server| computers.iter().map(move |computer| (*computer, server));
        let asked: Vec<_> = servers.flat_map(pairs).collect();
        let first = ask(world.lab.client().namespace(), Transport::Tcp, &asked, SOON).unwrap();
        let through = |number| first.iter().filter(|answer| **answer == Some(number)).count();
        assert_eq!(through(0) + through(1), 2000, "{nat:?}: all of them were answered");
        assert!((1400..=1600).contains(&through(0)), "{nat:?}: {} through the first", through(0));
        let again = ask(world.lab.client().namespace(), Transport::Tcp, &asked, SOON).unwrap();
        assert!(first == again, "{nat:?}: a client keeps its way to a server");
        for (number, share) in [(0, 75.0), (1, 25.0)] {
            let status = world.status_of(number);
            assert_eq!((&status["share_percent"], &status["active"]), (&share.into(), &true.into()), "{status:#}");
        }
        world.stop(&daemon);
    }
}

/// Flows to 40 servers, and which provider each goes through.
fn flows(world: &World) -> Vec<(Stream, u8)> {
    let servers = (0..40).map(|last| Ipv4Addr::new(93, 184, 216, last));
    let streams: Vec<_> = servers.map(|it| world.lab.client().stream_to(it, SECOND / 20).unwrap()).collect();
    let through = |stream: Stream| {
        let first = || stream.current_provider();
        let (provider, _) = lab::wait_for_some(SOON, "the first answer", first).unwrap();
        (stream, provider)
    };
    streams.into_iter().map(through).collect()
}

#[test]
fn a_silent_cut_moves_the_members_own_connections_and_no_others() {
    for (nat, cut) in [(Nat::None, 0), (Nat::Snat, 1), (Nat::Masquerade, 0), (Nat::Masquerade, 1)] {
        let world = pair(LabConfig { nat, ..LabConfig::default() }, ["1", "1"], &[]);
        let daemon = world.start();
        wait_members(&world, &[(0, 1), (1, 1)]);
        world.wait_marks();
        let (other, what) = (1 - cut, format!("{nat:?}, provider {cut} cut"));
        let flows = flows(&world);
        let start = Instant::now();
        let count = flows.iter().filter(|(_, provider)| *provider == cut).count();
        assert!((5..=35).contains(&count), "{what}: {count} of 40 flows through it");
        std::thread::sleep(SECOND / 2);
        world.provider(cut).silent(true);
        for (stream, provider) in &flows {
            if *provider == cut {
                stream.wait_until_via(other, SOON).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
        let moved = Instant::now();
        world.wait_route(other);
        world.wait_state(cut, "offline");
        std::thread::sleep(SECOND / 2);
        world.provider(cut).silent(false);
        wait_members(&world, &[(0, 1), (1, 1)]);
        std::thread::sleep(SECOND);
        let end = Instant::now();
        for (stream, provider) in flows {
            // Until the end all are on the other one: a connection stays where it is when the tier is whole again.
            let timeline = stream.stop(SECOND);
            let from = if provider == cut { moved } else { start };
            let through: Vec<u8> = timeline.providers_between(from, end).into_iter().map(|(it, _)| it).collect();
            assert_eq!(through, [other], "{what}: a flow of provider {provider}");
            assert_eq!(timeline.lost_between(from, end), 0, "{what}: a flow of provider {provider}");
        }
        world.stop(&daemon);
    }
}

#[test]
fn three_members_and_one_fails_and_comes_back() {
    // With three the kernel's hash deals the flows anew: only the marks keep them.
    let world = World::alone(LabConfig { providers: 3, nat: Nat::Masquerade, ..LabConfig::default() });
    let tier: Vec<_> = (0..3).map(|number| (number, "priority", "1")).collect();
    world.configure(&world.uci(&BRISK, &tier));
    let daemon = world.start();
    wait_members(&world, &[(0, 1), (1, 1), (2, 1)]);
    world.wait_marks();
    let flows = flows(&world);
    let start = Instant::now();
    world.provider(1).silent(true);
    wait_members(&world, &[(0, 1), (2, 1)]);
    world.provider(1).silent(false);
    wait_members(&world, &[(0, 1), (1, 1), (2, 1)]);
    std::thread::sleep(SECOND);
    let end = Instant::now();
    for (stream, provider) in flows.into_iter().filter(|(_, provider)| *provider != 1) {
        let timeline = stream.stop(SECOND);
        let through: Vec<u8> = timeline.providers_between(start, end).into_iter().map(|(it, _)| it).collect();
        assert_eq!((through, timeline.lost_between(start, end)), (vec![provider], 0));
    }
    world.stop(&daemon);
}

#[test]
fn the_next_tier_takes_over_from_the_last_member() {
    let world = World::new(LabConfig { providers: 4, ..LabConfig::default() });
    let tiers = [(0, "priority", "1"), (1, "priority", "1"), (2, "priority", "2"), (3, "priority", "2")];
    world.configure(&world.uci(&BRISK, &tiers));
    let daemon = world.start();
    wait_members(&world, &[(0, 1), (1, 1)]);
    world.provider(0).silent(true);
    world.wait_slots(&[(2, 1), (3, 2), (4, 3), (5, 0)]);
    world.provider(1).carrier(false).unwrap();
    wait_members(&world, &[(2, 1), (3, 1)]);
    world.provider(0).silent(false);
    world.wait_slots(&[(2, 0), (3, 2), (4, 3), (5, 1)]);
    world.provider(1).carrier(true).unwrap();
    wait_members(&world, &[(0, 1), (1, 1)]);
    world.stop(&daemon);
}

#[test]
fn who_does_not_balance_is_used_alone_and_who_carries_no_default_not_at_all() {
    let world = World::new(LabConfig { providers: 4, ..LabConfig::default() });
    let mut options: Vec<_> = (0..4).map(|number| (number, "priority", "1")).collect();
    options.extend([(1, "balance", "0"), (2, "default", "0")]);
    world.configure(&world.uci(&BRISK, &options));
    let daemon = world.start();
    wait_members(&world, &[(0, 1), (3, 1)]);
    for number in [0, 3] {
        world.provider(number).silent(true);
    }
    world.wait_route(1);
    assert!(world.slots().iter().all(|(_, number)| *number != 2), "{:#?}", world.defaults());
    world.provider(1).silent(true);
    world.wait_state(1, "offline");
    // Nothing that carries it is left: better a line that may come back than one that is never to have it.
    assert_eq!(world.status_of(2)["state"], "online");
    assert!(world.slots().iter().all(|(_, number)| *number != 2), "{:#?}", world.defaults());
    world.stop(&daemon);
}
