//! Traffic with a kernel at both ends: peers behind the providers, transfers, inbound connections, the router's own sockets.
//! What failoverd is to do about them is done by hand here, to see that the lab tells the difference.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use lab::{
    ECHO_PORT, Echo, InitialDefault, LAN_CLIENT, Lab, LabConfig, Nat, PEER, RouteWrite, Rule, Transport, ask, protocol,
};

const SECOND: Duration = Duration::from_secs(1);

/// Two providers with the same addresses; traffic goes through the first.
fn lab_with(nat: Nat) -> Lab {
    let through = |provider| InitialDefault { provider, metric: 10 + u32::from(provider), protocol: protocol::STATIC };
    let initial_defaults = [0, 1].map(through).to_vec();
    Lab::new(LabConfig { nat, initial_defaults, peers: true, ..LabConfig::default() }).unwrap()
}

/// Sends new packets through a provider.
fn move_to(lab: &Lab, number: u8) {
    lab.router().dhcp_default(lab.provider(number).unwrap(), 5, protocol::STATIC, true).unwrap();
}

/// Marks connections by provider and routes by the mark.
fn mark(lab: &Lab) {
    lab.router()
        .nft(
            "table inet marks {
                chain prerouting {
                    type filter hook prerouting priority mangle
                    iifname \"wan0\" ct mark 0 ct mark set 1
                    iifname \"wan1\" ct mark 0 ct mark set 2
                    iifname != \"wan*\" meta mark set ct mark
                }
                chain output { type route hook output priority mangle; meta mark set ct mark; }
                chain postrouting {
                    type filter hook postrouting priority mangle
                    oifname \"wan0\" ct mark 0 ct mark set 1
                    oifname \"wan1\" ct mark 0 ct mark set 2
                }
            }",
        )
        .unwrap();
    for provider in lab.providers() {
        let (number, table) = (u32::from(provider.number()), 100 + u32::from(provider.number()));
        lab.router().write(RouteWrite::Add, &lab.router().default_route(provider).table(table)).unwrap();
        let rule = Rule { priority: 100 + number, table, mark: Some((number + 1, u32::MAX)), ..Rule::default() };
        lab.router().rule(true, &rule).unwrap();
    }
}

#[test]
fn a_connection_tells_which_provider_it_went_through() {
    for nat in [Nat::None, Nat::Masquerade] {
        let lab = lab_with(nat);
        let computers = lab.client().add_addresses(10).unwrap();
        for number in [0, 1] {
            move_to(&lab, number);
            let servers = (0..200).map(|last| SocketAddrV4::new(Ipv4Addr::new(198, 19, 7, last), ECHO_PORT));
            let asked: Vec<_> = computers.iter().copied().cycle().zip(servers).collect();
            let answers = ask(lab.client().namespace(), Transport::Tcp, &asked, SECOND).unwrap();
            assert_eq!(answers, vec![Some(number); 200], "{nat:?}");
        }
        let somewhere = Ipv4Addr::new(93, 184, 216, 34);
        let stream = lab.client().stream_to(somewhere, SECOND / 100).unwrap();
        stream.wait_until_via(1, SECOND).unwrap();
    }
}

#[test]
fn a_transfer_stands_still_goes_on_and_is_reset() {
    let lab = lab_with(Nat::None);
    let transfer = lab.client().transfer().unwrap();
    assert_eq!(transfer.progress().provider, 0);
    transfer.wait_until_it_goes_on(SECOND).unwrap();
    lab.provider(0).unwrap().silent(true);
    std::thread::sleep(SECOND / 20);
    assert!(transfer.wait_until_it_goes_on(SECOND / 2).is_err());
    assert_eq!(transfer.progress().end, None, "nobody tells it");
    lab.provider(0).unwrap().silent(false);
    transfer.wait_until_it_goes_on(5 * SECOND).unwrap();
    let progress = transfer.progress();
    assert!(progress.longest_pause > SECOND / 2 && progress.wrong.is_none(), "{progress:?}");
    // As soon as it comes to a peer that has never seen it, it is over.
    let moved = Instant::now();
    move_to(&lab, 1);
    let (end, kind) = transfer.wait_for_its_end(SECOND).unwrap();
    assert!(end > moved);
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert_eq!(lab.client().transfer().unwrap().progress().provider, 1);
}

#[test]
fn a_transfer_over_a_lossy_slow_line_is_whole() {
    let lab = lab_with(Nat::Masquerade);
    lab.provider(0).unwrap().loss(0.05, 0.05);
    lab.provider(0).unwrap().delay(SECOND / 100, SECOND / 100);
    let transfer = lab.client().transfer().unwrap();
    for _ in 0..20 {
        transfer.wait_until_it_goes_on(5 * SECOND).unwrap();
    }
    assert_eq!(transfer.progress().wrong, None);
}

/// How many of a few inbound exchanges through provider 1, which new packets do not take, are answered.
fn inbound(lab: &Lab, transport: Transport, port: u16, count: u16) -> usize {
    let provider = lab.provider(1).unwrap();
    let server = SocketAddrV4::new(provider.addresses().router, port);
    let from = |number: u16| Ipv4Addr::from_bits(PEER.to_bits() + 256 * u32::from(number));
    let asked: Vec<_> = (0..count).map(|number| (from(number), server)).collect();
    let answers = ask(provider.peer().unwrap(), transport, &asked, SECOND / 2).unwrap();
    answers.into_iter().filter(|answer| *answer == Some(77)).count()
}

#[test]
fn inbound_connections_are_answered_through_their_provider_or_not_at_all() {
    let lab = lab_with(Nat::Masquerade);
    let address = lab.provider(1).unwrap().addresses().router;
    let _router = Echo::start(lab.router().namespace(), 1000, &[Ipv4Addr::UNSPECIFIED], 77).unwrap();
    let _server = Echo::start(lab.client().namespace(), 2000, &[LAN_CLIENT], 77).unwrap();
    lab.router().forward(&[address], 2000, LAN_CLIENT).unwrap();
    for (transport, port) in
        [(Transport::Tcp, 1000), (Transport::Udp, 1000), (Transport::Tcp, 2000), (Transport::Udp, 2000)]
    {
        assert_eq!(inbound(&lab, transport, port, 2), 0, "{transport:?} {port}: the answers leave by the other one");
    }
    mark(&lab);
    for (transport, port) in
        [(Transport::Tcp, 1000), (Transport::Udp, 1000), (Transport::Tcp, 2000), (Transport::Udp, 2000)]
    {
        assert_eq!(inbound(&lab, transport, port, 20), 20, "{transport:?} {port}");
    }
}

#[test]
fn a_socket_of_the_router_keeps_its_source_address() {
    let through = |provider| InitialDefault { provider, metric: 10 + u32::from(provider), protocol: protocol::STATIC };
    for nat in [Nat::Masquerade, Nat::Snat] {
        let initial_defaults = [0, 1].map(through).to_vec();
        let lab = Lab::new(LabConfig { nat, identical: false, initial_defaults, ..LabConfig::default() }).unwrap();
        let source = lab.provider(0).unwrap().addresses().router;
        let stream = lab.router().stream_from(source, SECOND / 50).unwrap();
        stream.wait_until_via(0, SECOND).unwrap();
        move_to(&lab, 1);
        if nat == Nat::Snat {
            assert!(
                stream.wait_until_via(1, SECOND / 2).is_err(),
                "its translation is as it was: the provider refuses it"
            );
        } else {
            stream.wait_until_via(1, SECOND).unwrap();
        }
    }
}

#[test]
fn the_kernel_counts_changes_of_the_rule_set() {
    let lab = lab_with(Nat::Masquerade);
    let (generation, tables) = (lab.router().nft_generation().unwrap(), lab.router().nft_tables().unwrap());
    assert_eq!(tables.len(), 1, "{tables:?}");
    lab.router().nft("table inet x {\nchain a {\n}\nchain b {\n}\n}\n").unwrap();
    assert_eq!(lab.router().nft_generation().unwrap(), generation + 1);
    let now = lab.router().nft_tables().unwrap();
    assert_eq!((now.len(), &now[0]), (2, &tables[0]));
}
