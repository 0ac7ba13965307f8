//! Against the real kernel's connection table, filled and listed by the lab's own codec.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use failoverd::event::Counted;
use failoverd::kernel::Mark;
use lab::{Connection, ConnectionTable, Tuple};

use super::entry::Entry;
use super::table::{Reader, Writer};
use super::*;
use crate::shell::netlink::message::Received;
use crate::shell::testing::{Namespace, in_runtime};

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

fn lan_networks() -> Vec<Network> {
    vec![Network::new(IpAddr::from([10, 1, 0, 0]), 16)]
}

fn of(addresses: &[Ipv4Addr]) -> Search {
    Search { addresses: addresses.to_vec(), inside: lan_networks(), own_datagrams: None }
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
        let search = of(&[DEAD]);
        let mut see = |message: &Received<'_>| {
            let entry = Entry::parse(message.kind, message.body);
            deletes.extend(entry.and_then(|entry| Some((entry.needs(&search)?, entry.delete()))));
        };
        while reader.next(&mut see).unwrap() {}
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
            let addresses = vec![IpAddr::V4(Ipv4Addr::new(100, 64, 3, last)), IpAddr::V4(DEAD)];
            connections.forget(Stranded::Addresses { addresses, inside: vec![] });
        }
        let asked = start.elapsed();
        // Walking the table for each would take longer.
        assert!(asked < Duration::from_millis(400), "{asked:?}");
        lab::wait_for(Duration::from_secs(10), "the others alone", || table.list().unwrap() == sorted(others.clone()))
            .unwrap();
    });
}

const MASK: u32 = 0x3f00_0000;

fn mark(provider: u32) -> Mark {
    Mark { value: provider << 24, mask: MASK }
}

fn marked(mark: u32, connections: Vec<Connection>) -> Vec<Connection> {
    connections.into_iter().map(|it| Connection { mark, ..it }).collect()
}

#[test]
fn exactly_the_connections_with_the_mark_go() {
    Namespace::new().run(|| {
        let others = [
            flows(100, 10_000, DEAD),
            odd(),
            // Other marks; bits of others alone; the mark's bits and one more of the mask.
            marked(0x0200_0000, flows(11_000, 50, DEAD)),
            marked(0xc0ff_ffff, flows(12_000, 50, DEAD)),
            marked(0x0300_0000, flows(13_000, 50, DEAD)),
        ];
        let others = others.concat();
        let mine = [
            marked(0x0100_0000, flows(20_000, 500, DEAD)),
            // Bits of other programs beside it.
            marked(0xc100_beef, flows(21_000, 50, ALIVE)),
            marked(0x0100_0000, vec![Connection { zone: 5, ..Connection::translated(lan(22_000), SERVER, ALIVE) }]),
        ];
        let mine = mine.concat();
        let mut table = fill(&[others.clone(), mine.clone()].concat());
        assert_eq!(table.list().unwrap(), sorted([others.clone(), mine].concat()));
        for what in ["they go", "there is nothing left to forget"] {
            delete_marked(Marked::new(mark(1)).unwrap()).unwrap();
            assert_eq!(table.list().unwrap(), sorted(others.clone()), "{what}");
        }
        let mut connections = Connections::default();
        for nobodys in [Mark { value: 0, mask: MASK }, Mark { value: 0, mask: 0 }, Mark { value: 1, mask: 0 }] {
            connections.forget(Stranded::Marked { mark: nobodys, provider: "a".into() });
            connections.forget(Stranded::OwnDatagrams { mark: nobodys, addresses: vec![DEAD.into(), ALIVE.into()] });
        }
        connections.forget(Stranded::Marked { mark: mark(2), provider: "b".into() });
        let left = |table: &mut ConnectionTable| table.list().unwrap().len();
        lab::wait_for(Duration::from_secs(10), "those of the second go", || left(&mut table) < others.len()).unwrap();
        assert_eq!(left(&mut table), others.len() - 50, "and those of no mark stay");
    });
}

#[test]
fn of_the_routers_own_the_answered_datagrams_go() {
    Namespace::new().run(|| {
        let own = |port: u16, outside: Ipv4Addr| {
            let source = SocketAddrV4::new(DEAD, port);
            Connection { mark: 0x0100_00ff, ..Connection::translated(source, SERVER, outside) }
        };
        let came_in = Tuple { source: SERVER, destination: SocketAddrV4::new(DEAD, 51_820) };
        let others = vec![
            Connection { mark: 0x0200_0000, ..own(1, DEAD) },
            Connection { protocol: libc::IPPROTO_TCP as u8, ..own(2, DEAD) },
            Connection { mark: 0x0100_0000, ..Connection::translated(lan(3), SERVER, DEAD) },
            Connection { original: came_in, reply: turned(came_in), ..own(4, DEAD) },
            Connection { mark: 0, ..own(5, DEAD) },
        ];
        // Not translated, and with another address of the router: what a cached source address comes to.
        let mine = [own(51_821, DEAD), own(51_822, ALIVE)];
        let unanswered = own(6, DEAD);
        let mut table = fill(&[unanswered]);
        for connection in others.iter().chain(&mine) {
            table.add_answered(connection).unwrap();
        }
        let own_datagrams = Marked::new(mark(1));
        let search = Search { addresses: vec![DEAD, ALIVE], own_datagrams, ..Search::default() };
        let tallies = forget(&search).unwrap();
        assert_eq!(tallies, [Tally { forgotten: 2, held: 0 }, Tally::default()]);
        assert_eq!(table.list().unwrap(), sorted([others, vec![unanswered]].concat()));
    });
}

#[test]
fn all_are_counted_by_mark_or_by_address() {
    Namespace::new().run(|| {
        let all = [
            marked(0x0100_0000, flows(0, 300, DEAD)),
            marked(0xc200_0001, flows(1000, 200, DEAD)),
            marked(0xc000_0001, flows(2000, 20, DEAD)),
            flows(3000, 7, ALIVE),
            ends(),
        ];
        fill(&all.concat());
        let provider = |name: &str, id: u32, address: Option<Ipv4Addr>| Counted {
            name: name.to_owned(),
            mark: mark(id),
            address: address.map(IpAddr::V4),
        };
        let providers =
            vec![provider("none", 3, None), provider("dead", 1, Some(DEAD)), provider("alive", 2, Some(ALIVE))];
        let ended = u32::try_from(ends().len()).unwrap();
        in_runtime(async {
            let mut connections = Connections::default();
            for (marked, counts) in
                [(true, [0, 300, 200, 27 + ended]), (false, [0, 520 + ended, 7, 0]), (true, [0, 300, 200, 27 + ended])]
            {
                let census = Census { marked, providers: providers.clone(), inside: lan_networks() };
                assert!(connections.count(&census));
                let counted = tokio::time::timeout(Duration::from_secs(10), connections.counted()).await;
                assert_eq!(counted.unwrap(), Some(counts.to_vec()), "marked {marked}");
            }
        });
    });
}

#[test]
fn without_the_right_to_do_so_the_complaint_says_what_it_takes() {
    for (code, hint) in [(libc::EINVAL, "kmod-nf-conntrack-netlink"), (libc::EPERM, "CAP_NET_ADMIN")] {
        let text = complaint(&io::Error::from_raw_os_error(code));
        assert!(text.starts_with("cannot forget the connections") && text.contains(hint), "{text}");
    }
}
