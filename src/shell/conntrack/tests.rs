//! Against the real kernel's connection table, filled and listed by the lab's own codec.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use lab::{Connection, ConnectionTable, Tuple};

use super::table::{Reader, Writer};
use super::*;
use crate::shell::testing::Namespace;

const DEAD: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 2);
const ALIVE: Ipv4Addr = Ipv4Addr::new(100, 64, 2, 2);
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 443);

fn lan(number: u16) -> SocketAddrV4 {
    let [high, low] = number.to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, 1, high, low), 1 + number % 65_000)
}

/// `count` translated flows of the LAN that leave with address `outside`, from the client `first` on.
fn flows(first: u16, count: u16, outside: Ipv4Addr) -> Vec<Connection> {
    (first..first + count).map(|number| Connection::translated(lan(number), SERVER, outside)).collect()
}

fn of(addresses: &[Ipv4Addr]) -> Search {
    Search { addresses: addresses.to_vec(), inside: vec![Network::new(IpAddr::from([10, 1, 0, 0]), 16)] }
}

fn turned(tuple: Tuple) -> Tuple {
    Tuple { source: tuple.destination, destination: tuple.source }
}

/// Entries that look a little like those of [`DEAD`] and are not.
fn odd() -> Vec<Connection> {
    let plain = |protocol: i32, source: SocketAddrV4, destination: SocketAddrV4, zone: u16| {
        let original = Tuple { source, destination };
        Connection { protocol: protocol as u8, original, reply: turned(original), zone, mark: 0 }
    };
    let neighbour = SocketAddrV4::new(Ipv4Addr::new(100, 64, 1, 3), 9);
    vec![
        plain(libc::IPPROTO_UDP, lan(1), SERVER, 0),
        plain(libc::IPPROTO_UDP, neighbour, SERVER, 0),
        plain(libc::IPPROTO_TCP, lan(2), neighbour, 0),
        plain(libc::IPPROTO_GRE, SocketAddrV4::new(*neighbour.ip(), 0), SocketAddrV4::new(*SERVER.ip(), 0), 0),
        Connection { zone: 9, ..Connection::translated(lan(3), SERVER, ALIVE) },
        Connection { protocol: libc::IPPROTO_TCP as u8, ..Connection::translated(lan(4), SERVER, ALIVE) },
        // From the LAN to the router by that address, and to a port that it forwards into the LAN.
        plain(libc::IPPROTO_TCP, lan(5), SocketAddrV4::new(DEAD, 22), 0),
        Connection {
            protocol: libc::IPPROTO_TCP as u8,
            original: Tuple { source: lan(6), destination: SocketAddrV4::new(DEAD, 443) },
            reply: Tuple { source: lan(443), destination: lan(0) },
            zone: 0,
            mark: 0,
        },
    ]
}

/// Entries that belong to [`DEAD`], of every kind.
fn ends() -> Vec<Connection> {
    let came_in = |destination: SocketAddrV4| {
        let original = Tuple { source: SERVER, destination: SocketAddrV4::new(DEAD, 51_820) };
        Connection {
            protocol: 17,
            original,
            reply: Tuple { source: destination, destination: SERVER },
            zone: 0,
            mark: 0,
        }
    };
    vec![
        Connection { protocol: libc::IPPROTO_TCP as u8, ..Connection::translated(lan(20_000), SERVER, DEAD) },
        Connection { zone: 5, ..Connection::translated(lan(20_001), SERVER, DEAD) },
        // The same tuple in another zone.
        Connection { zone: 6, ..Connection::translated(lan(20_001), SERVER, DEAD) },
        Connection::translated(SocketAddrV4::new(DEAD, 51_820), SocketAddrV4::new(*SERVER.ip(), 51_820), DEAD),
        came_in(lan(20_002)),
    ]
}

fn fill(connections: &[Connection]) -> ConnectionTable {
    let mut table = ConnectionTable::open().unwrap();
    connections.iter().for_each(|connection| table.add(connection).unwrap());
    table
}

fn sorted(mut connections: Vec<Connection>) -> Vec<Connection> {
    connections.sort();
    connections
}

#[test]
fn exactly_the_connections_of_the_address_go() {
    Namespace::new().run(|| {
        let others = [flows(100, 3000, ALIVE), odd()].concat();
        let mine = [flows(10_000, 700, DEAD), ends()].concat();
        let mut table = fill(&[others.clone(), mine.clone()].concat());
        assert_eq!(table.list().unwrap().len(), others.len() + mine.len());
        let tallies = forget(&of(&[DEAD])).unwrap();
        assert_eq!(tallies, [Tally { forgotten: mine.len(), held: 0 }]);
        assert_eq!(table.list().unwrap(), sorted(others.clone()));
        assert_eq!(
            forget(&of(&[DEAD, Ipv4Addr::new(100, 64, 1, 4)])).unwrap(),
            [Tally::default(); 2],
            "nothing left to forget"
        );
        assert_eq!(forget(&of(&[])).unwrap(), [], "no address is no connection, not all of them");
        assert_eq!(table.list().unwrap(), sorted(others));
    });
}

#[test]
fn an_entry_that_went_since_it_was_read_is_not_counted() {
    Namespace::new().run(|| {
        let others = flows(100, 300, ALIVE);
        let mut table = fill(&[others.clone(), flows(10_000, 3, DEAD)].concat());
        let mut reader = Reader::open().unwrap();
        let mut deletes = Vec::new();
        while let Some(more) = reader.next(&of(&[DEAD])).unwrap() {
            deletes.extend(more);
        }
        assert_eq!(deletes.len(), 3);
        let mut writer = Writer::open().unwrap();
        let mut tallies = [Tally::default()];
        for all in [&deletes[..2], &deletes] {
            writer.delete(all, &mut tallies).unwrap();
        }
        assert_eq!(tallies[0].forgotten, 3, "two, then the third");
        assert_eq!(table.list().unwrap(), sorted(others));
    });
}

#[test]
fn requests_queue_up_and_nobody_waits() {
    Namespace::new().run(|| {
        let others = flows(100, 500, ALIVE);
        let mut table = fill(&[others.clone(), flows(10_000, 3000, DEAD)].concat());
        let mut connections = Connections::default();
        let start = Instant::now();
        for last in 0..50 {
            connections.forget(vec![IpAddr::V4(Ipv4Addr::new(100, 64, 3, last)), IpAddr::V4(DEAD)], vec![]);
        }
        let asked = start.elapsed();
        // Walking the table for each would take longer.
        assert!(asked < Duration::from_millis(400), "{asked:?}");
        lab::wait_for(Duration::from_secs(10), "the others alone", || table.list().unwrap() == sorted(others.clone()))
            .unwrap();
    });
}

#[test]
fn without_the_right_to_do_so_the_complaint_says_what_it_takes() {
    for (code, hint) in [(libc::EINVAL, "kmod-nf-conntrack-netlink"), (libc::EPERM, "CAP_NET_ADMIN")] {
        let text = complaint(&io::Error::from_raw_os_error(code));
        assert!(text.starts_with("cannot forget the connections") && text.contains(hint), "{text}");
    }
}
