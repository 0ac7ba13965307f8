//! Connections that come in are answered through the provider that they came in by, whichever the router's own traffic uses:
//! those to a server in the LAN and those to the router itself.

use std::net::{Ipv4Addr, SocketAddrV4};

use lab::{Echo, LAN_CLIENT, LabConfig, Nat, PEER, Transport, ask};

use crate::world::{BRISK, SECOND, SOON, World};

/// On the router.
const ROUTER_PORT: u16 = 1000;
/// Forwarded to a server in the LAN.
const LAN_PORT: u16 = 2000;
/// What both servers say.
const SERVER: u8 = 77;

/// A world with a server on the router and one in the LAN.
struct Inbound {
    // Dropped before the world.
    _servers: [Echo; 2],
    world: World,
}

fn inbound(identical: bool, nat: Nat) -> Inbound {
    let world = World::alone(LabConfig { providers: 3, identical, nat, peers: true, ..LabConfig::default() });
    let mut addresses: Vec<Ipv4Addr> = world.lab.providers().iter().map(|it| it.addresses().router).collect();
    addresses.dedup();
    let router = world.lab.router();
    router.forward(&addresses, LAN_PORT, LAN_CLIENT).unwrap();
    let _servers = [
        Echo::start(router.namespace(), ROUTER_PORT, &addresses, SERVER).unwrap(),
        Echo::start(world.lab.client().namespace(), LAN_PORT, &[LAN_CLIENT], SERVER).unwrap(),
    ];
    Inbound { _servers, world }
}

impl Inbound {
    /// How many of `count` exchanges through a provider, from an address each, are answered. A peer that gets the answer to what
    /// another one has asked does not know what to do with it.
    fn answered(&self, number: u8, transport: Transport, port: u16, count: u16) -> usize {
        let provider = self.world.provider(number);
        let server = SocketAddrV4::new(provider.addresses().router, port);
        let from = |number: u16| Ipv4Addr::from_bits(PEER.to_bits() + 3 * u32::from(number));
        let asked: Vec<_> = (0..count).map(|number| (from(number), server)).collect();
        let limit = if count > 10 { SOON } else { SECOND };
        let answers = ask(provider.peer().unwrap(), transport, &asked, limit).unwrap();
        answers.into_iter().filter(|answer| *answer == Some(SERVER)).count()
    }
}

const EVERY_KIND: [(Transport, u16); 4] = [
    (Transport::Tcp, LAN_PORT),
    (Transport::Udp, LAN_PORT),
    (Transport::Tcp, ROUTER_PORT),
    (Transport::Udp, ROUTER_PORT),
];

#[test]
fn a_hundred_of_each_are_answered_through_the_standby() {
    for (identical, nat) in [(true, Nat::Masquerade), (true, Nat::Snat), (false, Nat::Masquerade)] {
        let inbound = inbound(identical, nat);
        let world = &inbound.world;
        world.configure(&world.uci(&BRISK, &[(1, "inbound", "1")]));
        let daemon = world.start();
        world.wait_marks();
        world.wait_route(0);
        for (transport, port) in EVERY_KIND {
            for number in [1, 2, 0] {
                let count = if number == 1 { 100 } else { 10 };
                let answered = inbound.answered(number, transport, port, count);
                assert_eq!(answered, usize::from(count), "identical {identical}, {nat:?}, {transport:?}, port {port}");
            }
        }
        world.stop(&daemon);
    }
}

#[test]
fn without_the_option_the_answers_leave_by_the_active_one() {
    let inbound = inbound(true, Nat::Masquerade);
    let daemon = inbound.world.start();
    inbound.world.wait_route(0);
    for (transport, port) in EVERY_KIND {
        assert_eq!(inbound.answered(1, transport, port, 2), 0, "{transport:?}, port {port}");
        assert_eq!(inbound.answered(0, transport, port, 2), 2, "{transport:?}, port {port}");
    }
    assert_eq!(inbound.world.our_table(), None);
    inbound.world.stop(&daemon);
}

#[test]
fn a_provider_that_carries_no_default_serves_what_comes_in() {
    let inbound = inbound(true, Nat::Masquerade);
    let world = &inbound.world;
    world.configure(&world.uci(&BRISK, &[(1, "default", "0"), (1, "inbound", "1")]));
    let daemon = world.start();
    world.wait_marks();
    for (transport, port) in EVERY_KIND {
        assert_eq!(inbound.answered(1, transport, port, 20), 20, "{transport:?}, port {port}");
    }
    world.stop(&daemon);
}
