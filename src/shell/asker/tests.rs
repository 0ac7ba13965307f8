//! Real sockets on two uplinks that look the same, with servers that answer, say nothing, or answer wrongly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

use failoverd::reason::Wrong;
use failoverd::settings::Record;

use super::*;
use crate::shell::testing::{Namespace, in_runtime, index, ip, twins};

const FIRST: ProviderId = ProviderId(1);
const SECOND: ProviderId = ProviderId(2);
const TOKEN: ProbeToken = ProbeToken { id: 7, sequence: 9, cookie: 0x0123_4567_89ab_1234 };
/// Longer than anything here takes that is to happen.
const LONG: Duration = Duration::from_secs(20);
/// Long enough for what is not to happen.
const SHORT: Duration = Duration::from_millis(300);

/// Two uplinks that look the same, with a way beyond each gateway: there, .1 is the gateway's own, to .2 no way leads, .3 is forbidden and
/// what is sent to .4 vanishes.
fn world() -> (Namespace, [Namespace; 2]) {
    let (here, there) = twins();
    here.run(|| {
        ip("route add default via 192.168.1.1 dev wan-a table 71");
        ip("route add default via 192.168.1.1 dev wan-b table 72");
    });
    for peer in &there {
        peer.run(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            ip("addr add 203.0.113.1/32 dev lo");
            ip("route add unreachable 203.0.113.2/32");
            ip("route add prohibit 203.0.113.3/32");
            ip("route add blackhole 203.0.113.4/32");
        });
    }
    (here, there)
}

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, last], port))
}

/// What comes within this time, if anything does.
async fn event(askers: &mut Askers, patience: Duration) -> Option<Event> {
    let end = clock::now() + patience;
    loop {
        let now = clock::now();
        let wake = askers.deadline().map_or(end, |deadline| deadline.min(end));
        tokio::select! {
            biased;
            event = askers.next() => return Some(event),
            () = tokio::time::sleep_until(clock::instant(now, wake)), if now < end => {}
            () = std::future::ready(()), if now >= end => return None,
        }
    }
}

/// What became of a question asked through a device: `None`, nothing.
async fn outcome(device: &str, question: Question, timeout: Duration) -> Option<Result<(), Refusal>> {
    let mut askers = Askers::default();
    let before = clock::now();
    if let Err(refusal) = askers.ask(FIRST, index(device), TOKEN, question, timeout) {
        return Some(Err(refusal));
    }
    let told = event(&mut askers, timeout + SHORT).await;
    assert!(askers.asked.is_empty(), "nothing stays behind");
    match told? {
        Event::Answered { provider: FIRST, token: TOKEN, at } => {
            assert!(at >= before && at <= clock::now(), "{at:?} after {before:?}");
            Some(Ok(()))
        }
        Event::ProbeRefused { provider: FIRST, token: TOKEN, cause } => Some(Err(cause)),
        other => panic!("{other:?}"),
    }
}

fn unreachable(code: u8) -> Refusal {
    Refusal::Unreachable { code, from: IpAddr::from([192, 168, 1, 1]) }
}

/// A TCP server there that does this with each connection, for as long as the test takes.
fn serve(peer: &Namespace, port: u16, act: impl Fn(TcpStream) + Send + 'static) {
    peer.run(move || {
        let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
        std::thread::spawn(move || listener.incoming().flatten().for_each(act));
    });
}

/// A server that accepts, says nothing, and keeps the connection.
fn mute(peer: &Namespace, port: u16) {
    serve(peer, port, std::mem::forget);
}

/// An HTTP server that gives this answer, piece by piece, to every request, and closes.
fn web(peer: &Namespace, port: u16, pieces: &'static [&'static str]) {
    serve(peer, port, move |mut stream| {
        let mut request = vec![];
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length == 1) {
            request.push(byte[0]);
        }
        for piece in pieces {
            if stream.write_all(piece.as_bytes()).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

/// A DNS server that answers each query with what `answer` makes of it.
fn names(peer: &Namespace, address: &str, answer: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + 'static) {
    let address = address.to_owned();
    peer.run(move || {
        let socket = UdpSocket::bind(address).unwrap();
        std::thread::spawn(move || {
            let mut query = [0; 600];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                answer(&socket, &query[..length], from);
            }
        });
    });
}

/// The answer to a query: these flags, and one record with this address.
fn address(query: &[u8], flags: [u8; 2], address: [u8; 4]) -> Vec<u8> {
    let mut message = query.to_vec();
    message[2..4].copy_from_slice(&flags);
    message[7] = 1;
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4]);
    message.extend(address);
    message
}

fn dns(server: SocketAddr, expect: Option<IpAddr>) -> Question {
    Question::Dns { server, name: "one.example".into(), record: Record::A, expect }
}

fn http(server: SocketAddr, expect: Option<&str>) -> Question {
    let (host, path) = ("www.example".to_owned(), "/".to_owned());
    Question::Http { server, host, path, status: vec![204, 200], expect: expect.map(str::to_owned) }
}

/// The sockets of the calling thread's namespace, those that linger included.
fn sockets() -> usize {
    let lines =
        |protocol| std::fs::read_to_string(format!("/proc/thread-self/net/{protocol}")).unwrap().lines().count();
    lines("tcp") + lines("udp") - 2
}

#[test]
fn connections() {
    let (here, there) = world();
    mute(&there[0], 443);
    here.run(|| {
        in_runtime(async {
            for (server, want, why) in [
                (at(1, 443), Some(Ok(())), "accepted"),
                (at(1, 444), Some(Ok(())), "refused by the machine itself: there is a way"),
                (at(2, 443), Some(Err(unreachable(1))), "no way on from the gateway"),
                (at(3, 443), Some(Err(unreachable(13))), "forbidden by the gateway"),
                (at(4, 443), None, "silence"),
            ] {
                assert_eq!(outcome("wan-a", Question::Tcp { server }, SHORT * 2).await, want, "{why}");
            }
            let Some(Err(Refusal::NotSent(text))) = outcome("lo", Question::Tcp { server: at(1, 443) }, SHORT).await
            else {
                panic!("a device that is down");
            };
            assert!(text.starts_with("203.0.113.1: "), "{text}");
        });
        assert_eq!(sockets(), 0, "closed by a reset, nothing lingers");
    });
}

#[test]
fn the_time_of_an_answer_is_the_kernels_not_that_of_a_busy_loop() {
    let (here, there) = world();
    mute(&there[0], 443);
    here.run(|| {
        in_runtime(async {
            let mut askers = Askers::default();
            let before = clock::now();
            askers.ask(FIRST, index("wan-a"), TOKEN, Question::Tcp { server: at(1, 443) }, LONG).unwrap();
            std::thread::sleep(Duration::from_millis(500));
            let Some(Event::Answered { at, .. }) = event(&mut askers, LONG).await else { panic!("no answer") };
            assert!(at.since(before) < Duration::from_millis(400), "{:?}", at.since(before));
        });
    });
}

#[test]
fn an_answer_to_a_syn_that_was_sent_again_is_none_to_the_one_that_was_lost() {
    let (here, there) = world();
    mute(&there[0], 443);
    let [first, _] = there;
    first.run(|| ip("route add blackhole 192.168.1.2/32"));
    here.run(move || {
        in_runtime(async {
            let mut askers = Askers::default();
            askers.ask(FIRST, index("wan-a"), TOKEN, Question::Tcp { server: at(1, 443) }, LONG * 2).unwrap();
            assert!(event(&mut askers, SHORT).await.is_none());
            first.run(|| ip("route del blackhole 192.168.1.2/32"));
            let patience = Instant::now() + LONG;
            while !askers.asked.is_empty() && Instant::now() < patience {
                let told = event(&mut askers, SHORT).await;
                assert!(told.is_none(), "{told:?}");
            }
            assert!(askers.asked.is_empty(), "it was connected and forgotten, long before its time is over");
        });
    });
}

#[test]
fn queries() {
    let (here, there) = world();
    let gateway = &there[0];
    let good = |query: &[u8]| address(query, [0x81, 0x80], [192, 0, 2, 7]);
    let with_id = |query: &[u8], id: [u8; 2]| [&id[..], &query[2..]].concat();
    names(gateway, "203.0.113.1:1", move |to, query, from| drop(to.send_to(&good(query), from)));
    names(gateway, "203.0.113.1:2", move |to, query, from| {
        drop(to.send_to(&with_id(&good(query), [query[0], !query[1]]), from));
        drop(to.send_to(&good(query), from));
    });
    names(gateway, "203.0.113.1:3", move |to, query, from| {
        drop(to.send_to(&with_id(&good(query), [query[0], !query[1]]), from));
        drop(to.send_to(&good(&[&query[..13], b"x", &query[14..]].concat()), from));
    });
    names(gateway, "203.0.113.1:4", move |_, query, from| {
        drop(UdpSocket::bind("203.0.113.1:0").unwrap().send_to(&good(query), from));
        drop(UdpSocket::bind("192.168.1.1:4").unwrap().send_to(&good(query), from));
    });
    names(gateway, "203.0.113.1:5", move |to, query, from| drop(to.send_to(&query[..9], from)));
    names(gateway, "203.0.113.1:6", move |to, query, from| drop(to.send_to(query, from)));
    names(gateway, "203.0.113.1:7", |_, _, _| {});
    names(gateway, "203.0.113.1:8", |to, query, from| {
        let mut message = query.to_vec();
        message[2..4].copy_from_slice(&[0x83, 0x83]);
        drop(to.send_to(&message, from));
    });
    names(gateway, "203.0.113.1:9", |to, query, from| {
        assert_eq!((query[..2].to_vec(), query.len()), (vec![0x12, 0x34], 12 + 13 + 4));
        for _ in 0..2000 {
            drop(to.send_to(b"no answer at all", from));
        }
        drop(to.send_to(&address(query, [0x81, 0x80], [1; 4]), from));
    });
    here.run(|| {
        in_runtime(async {
            let garbage = || Some(Err(Refusal::Wrong(Wrong::Garbage)));
            let expected = IpAddr::from([192, 0, 2, 7]);
            let other = IpAddr::from([192, 0, 2, 8]);
            for (server, expect, want, why) in [
                (at(1, 1), None, Some(Ok(())), "an answer"),
                (at(1, 1), Some(expected), Some(Ok(())), "the expected address"),
                (at(1, 1), Some(other), Some(Err(Refusal::Wrong(Wrong::Address(other)))), "another address"),
                (at(1, 2), None, Some(Ok(())), "a forged answer before the true one"),
                (at(1, 3), None, None, "another id, another question"),
                (at(1, 4), None, None, "from another port, from another address"),
                (at(1, 5), None, garbage(), "cut"),
                (at(1, 6), None, garbage(), "our own query"),
                (at(1, 7), None, None, "silence"),
                (at(1, 8), None, Some(Ok(())), "no such name, truncated: an answer all the same"),
                (at(1, 8), Some(expected), Some(Err(Refusal::Wrong(Wrong::Address(expected)))), "but not this one"),
                (at(1, 99), None, Some(Err(Refusal::Wrong(Wrong::PortClosed))), "nobody listens"),
                (at(2, 53), None, Some(Err(unreachable(1))), "no way on from the gateway"),
                (at(3, 53), None, Some(Err(unreachable(13))), "forbidden by the gateway"),
                (at(4, 53), None, None, "nothing comes back"),
            ] {
                assert_eq!(outcome("wan-a", dns(server, expect), SHORT).await, want, "{why}");
            }
            // What is flooded loses some of it, and may lose the answer: but it comes to an end.
            let _ = outcome("wan-a", dns(at(1, 9), None), SHORT * 3).await;
        });
    });
}

#[test]
fn pages() {
    let (here, there) = world();
    let gateway = &there[0];
    web(gateway, 1, &["HTTP/1.1 204 No Content\r\n\r\n"]);
    web(gateway, 2, &["HTT", "P/1.1 200 OK\r\nServer", ": x\r\n\r\nall is ", "fi", "ne"]);
    web(gateway, 3, &["HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/?mac=1\r\n\r\n"]);
    web(gateway, 4, &["HTTP/1.1 404 Not Found\r\n\r\n"]);
    web(gateway, 5, &["SSH-2.0-x\r\n", "and on it goes"]);
    web(gateway, 6, &[]);
    mute(gateway, 7);
    serve(gateway, 8, |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    here.run(|| {
        in_runtime(async {
            let portal = |status, location: Option<&str>| {
                Some(Err(Refusal::Portal { status, location: location.map(str::to_owned) }))
            };
            let wrong = |wrong| Some(Err(Refusal::Wrong(wrong)));
            for (server, expect, want, why) in [
                (at(1, 1), None, Some(Ok(())), "an answer"),
                (at(1, 2), None, Some(Ok(())), "an answer in pieces"),
                (at(1, 2), Some("fine"), Some(Ok(())), "the expected page, in pieces"),
                (at(1, 2), Some("good"), portal(200, None), "another page"),
                (at(1, 3), None, portal(302, Some("http://login.hotel.example/")), "a portal"),
                (at(1, 4), None, wrong(Wrong::Status(404)), "another status"),
                (at(1, 5), None, wrong(Wrong::Garbage), "another protocol"),
                (at(1, 6), None, wrong(Wrong::Closed), "closed without a word"),
                (at(1, 7), None, None, "accepted, and silent"),
                (at(1, 8), Some("fine"), portal(200, None), "a page without an end"),
                (at(1, 99), None, wrong(Wrong::PortClosed), "nobody listens"),
                (at(2, 80), None, Some(Err(unreachable(1))), "no way on from the gateway"),
                (at(4, 80), None, None, "silence"),
            ] {
                let patience = if want.is_some() { LONG } else { SHORT };
                assert_eq!(outcome("wan-a", http(server, expect), patience).await, want, "{why}");
            }
        });
    });
}

#[test]
fn each_question_goes_out_of_its_own_device() {
    let (here, there) = world();
    web(&there[0], 80, &["HTTP/1.1 204 No Content\r\n\r\n"]);
    web(&there[1], 80, &["HTTP/1.1 511 x\r\n\r\n"]);
    names(&there[0], "203.0.113.1:53", |to, query, from| drop(to.send_to(&query[..5], from)));
    here.run(|| {
        in_runtime(async {
            assert_eq!(outcome("wan-a", http(at(1, 80), None), LONG).await, Some(Ok(())));
            let portal = Refusal::Portal { status: 511, location: None };
            assert_eq!(outcome("wan-b", http(at(1, 80), None), LONG).await, Some(Err(portal)));
            let garbage = Refusal::Wrong(Wrong::Garbage);
            assert_eq!(outcome("wan-a", dns(at(1, 53), None), LONG).await, Some(Err(garbage)));
            let closed = Refusal::Wrong(Wrong::PortClosed);
            assert_eq!(outcome("wan-b", dns(at(1, 53), None), LONG).await, Some(Err(closed)));
        });
    });
}

#[test]
fn silent_peers_are_in_nobodys_way_and_closing_ends_all_that_is_a_providers() {
    let (here, there) = world();
    mute(&there[0], 80);
    web(&there[1], 80, &["HTTP/1.1 204 No Content\r\n\r\n"]);
    here.run(|| {
        in_runtime(async {
            let (first, second) = (index("wan-a"), index("wan-b"));
            let mut askers = Askers::default();
            askers.resolve(FIRST, first, "one.example".into(), vec![IpAddr::from([203, 0, 113, 4])], LONG);
            for sequence in 0..300 {
                let token = ProbeToken { sequence, ..TOKEN };
                let question = match sequence % 3 {
                    0 => http(at(1, 80), None),
                    1 => Question::Tcp { server: at(4, 80) },
                    _ => dns(at(4, 53), None),
                };
                askers.ask(FIRST, first, token, question, LONG).unwrap();
            }
            assert_eq!(askers.asked.len(), OF_ONE, "no more than that");
            let lookups = askers.asked.iter().filter(|asked| matches!(asked.purpose, Purpose::Lookup(_))).count();
            assert_eq!(lookups, 1, "a look-up does not give way");
            askers.ask(SECOND, second, TOKEN, http(at(1, 80), None), LONG).unwrap();
            let told = event(&mut askers, LONG).await;
            assert!(matches!(told, Some(Event::Answered { provider: SECOND, .. })), "{told:?}");
            askers.ask(SECOND, second, TOKEN, http(at(1, 80), None), LONG).unwrap();
            askers.close(FIRST);
            assert_eq!(askers.asked.len(), 1);
            let told = event(&mut askers, LONG).await;
            assert!(matches!(told, Some(Event::Answered { provider: SECOND, .. })), "{told:?}");
            assert!(event(&mut askers, SHORT).await.is_none(), "nothing is told any more");
            assert_eq!((askers.asked.len(), sockets()), (0, 0), "nor does anything stay open");
        });
    });
}

#[test]
fn look_ups() {
    let (here, there) = world();
    let gateway = &there[0];
    gateway.run(|| (11..=18).for_each(|last| drop(ip(&format!("addr add 203.0.113.{last}/32 dev lo")))));
    let answering =
        |flags, with| move |to: &UdpSocket, query: &[u8], from| drop(to.send_to(&address(query, flags, with), from));
    names(gateway, "203.0.113.11:53", answering([0x81, 0x80], [192, 0, 2, 7]));
    names(gateway, "203.0.113.12:53", |_, _, _| {});
    names(gateway, "203.0.113.13:53", |to, query, from| {
        drop(to.send_to(&[&query[..2], &[0x81, 0x83], &query[4..]].concat(), from));
    });
    names(gateway, "203.0.113.14:53", |to, query, from| {
        drop(to.send_to(&[&query[..2], &[0x81, 0x82], &query[4..]].concat(), from));
    });
    names(gateway, "203.0.113.15:53", |to, query, from| {
        drop(to.send_to(&[&query[..2], &[0x81, 0x80], &query[4..]].concat(), from));
    });
    names(gateway, "203.0.113.16:53", answering([0x81, 0x80], [127, 0, 0, 1]));
    names(gateway, "203.0.113.17:53", |to, query, from| drop(to.send_to(&query[..3], from)));
    names(gateway, "203.0.113.18:53", |to, query, from| {
        drop(to.send_to(&[&query[..2], &[0x83, 0x80], &query[4..]].concat(), from));
    });
    here.run(|| {
        in_runtime(async {
            let good = || {
                Ok(failoverd::event::Resolved {
                    addresses: vec![IpAddr::from([192, 0, 2, 7])],
                    ttl: Duration::from_secs(77),
                })
            };
            for (servers, name, want, why) in [
                (&[11][..], "one.example", good(), "an address"),
                (&[12, 2, 17, 14, 18, 11, 13], "one.example", good(), "one after the other until one answers"),
                (&[13, 11], "one.example", Err("there is no such name"), "a server that knows"),
                (&[15, 11], "one.example", Err("it has no IPv4 address"), "another one that knows"),
                (&[12], "one.example", Err("no answer from 203.0.113.12"), "silence"),
                (&[14], "one.example", Err("203.0.113.14 answers with error 2"), "a server in trouble"),
                (
                    &[16],
                    "one.example",
                    Err("203.0.113.16 knows no address of another machine"),
                    "a name that is filtered",
                ),
                (&[17], "one.example", Err("203.0.113.17: the answer is not valid"), "garbage"),
                (&[18], "one.example", Err("the answer of 203.0.113.18 is too long"), "truncated to nothing"),
                (&[1], "one.example", Err("203.0.113.1: the port is closed"), "nobody listens"),
                (&[2], "one.example", Err("203.0.113.2: 192.168.1.1 says host unreachable"), "no way"),
                (&[11], "one..example", Err("203.0.113.11: cannot send: one..example is no name"), "no name"),
                (&[], "one.example", Err("there is no DNS server to ask"), "no server"),
            ] {
                let mut askers = Askers::default();
                let servers = servers.iter().map(|last| IpAddr::from([203, 0, 113, *last])).collect();
                askers.resolve(FIRST, index("wan-a"), name.to_owned(), servers, SHORT);
                let Some(Event::Resolved { provider: FIRST, name: told, outcome }) = event(&mut askers, LONG).await
                else {
                    panic!("{why}");
                };
                assert_eq!((told.as_str(), outcome), (name, want.map_err(str::to_owned)), "{why}");
                assert!(askers.asked.is_empty());
            }
        });
    });
}
