//! The internet behind the providers: connections, DNS and HTTP, and every fault of theirs, seen from sockets of the
//! router's kernel.
// Helpers beside the tests may panic as the tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::{
    ANY_HOST, Fault, HTTP_PORTS, InitialDefault, Kind, LOGIN_HOST, LOGIN_PAGE, Lab, LabConfig, PAGE, TARGETS, protocol,
};
use socket2::{Domain, SockAddr, Socket, Type};

mod ping;
use ping::ping;

const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(200);

/// As many identical providers, with a default route through each.
fn lab_with(providers: u8) -> Lab {
    let through = |provider| InitialDefault { provider, metric: 10 + u32::from(provider), protocol: protocol::STATIC };
    let initial_defaults = (0..providers).map(through).collect();
    Lab::new(LabConfig { providers, initial_defaults, ..LabConfig::default() }).unwrap()
}

/// A socket of the router that leaves through `device`.
fn socket(lab: &Lab, device: &str, kind: Type) -> Socket {
    let open = || {
        let socket = Socket::new(Domain::IPV4, kind, None).unwrap();
        socket.bind_device(Some(device.as_bytes())).unwrap();
        Ok(socket)
    };
    let socket = lab.router().namespace().run(open).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn address(target: Ipv4Addr, port: u16) -> SockAddr {
    SocketAddr::V4(SocketAddrV4::new(target, port)).into()
}

/// A connection from the router; the error is that of the kernel.
fn connect(lab: &Lab, device: &str, target: Ipv4Addr, port: u16) -> Result<Socket, ErrorKind> {
    let socket = socket(lab, device, Type::STREAM);
    socket.connect_timeout(&address(target, port), SOON).map_err(|error| error.kind())?;
    Ok(socket)
}

/// What comes back for an HTTP request, head and body as they are; `None` if it does not end in time.
fn http(lab: &Lab, device: &str, request: &str) -> Option<String> {
    let mut socket = connect(lab, device, TARGETS[0], 80).ok()?;
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        _ => Some(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// What comes back for a query of type A: who said it, and the message.
fn dns(lab: &Lab, device: &str, server: Ipv4Addr, name: &str) -> Option<(SocketAddr, Vec<u8>)> {
    let mut query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket: UdpSocket = socket(lab, device, Type::DGRAM).into();
    socket.send_to(&query, (server, 53)).unwrap();
    let mut answer = [0; 512];
    let (length, from) = socket.recv_from(&mut answer).ok()?;
    Some((from, answer[..length].to_vec()))
}

/// The last address of an answer.
fn last_address(message: &[u8]) -> Ipv4Addr {
    let four: [u8; 4] = message[message.len() - 4..].try_into().unwrap();
    four.into()
}

#[test]
fn every_provider_answers_every_kind_for_every_address() {
    let lab = lab_with(3);
    let somebody = Ipv4Addr::new(93, 184, 216, 34);
    for provider in lab.providers() {
        let device = provider.device();
        for target in TARGETS.into_iter().chain([somebody, ANY_HOST]) {
            for port in [443, 853, 22].into_iter().chain(HTTP_PORTS) {
                connect(&lab, device, target, port).unwrap_or_else(|error| panic!("{target}:{port}: {error}"));
            }
            let (from, message) = dns(&lab, device, target, "example.org").unwrap();
            assert_eq!(from, (target, 53).into());
            assert_eq!((&message[..4], last_address(&message)), (&b"\x12\x34\x81\x80"[..], ANY_HOST));
            assert!(ping(&lab, device, target, SECOND).is_some(), "{target}");
        }
        assert!(dns(&lab, device, provider.addresses().gateway, "example.org").is_some(), "the modem's forwarder");
        let seen = provider.seen();
        let count = |kind| seen.arrivals_of(kind).len();
        assert_eq!(Kind::ALL.map(count), [6, 18, 7, 12], "what went out of one device came to its provider alone");
        assert_eq!(seen.malformed, 0);
        assert!(seen.arp.keys().all(|target| *target == provider.addresses().gateway), "{:?}", seen.arp);
    }
    for nobody in [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(10, 1, 1, 1)] {
        assert_eq!(connect(&lab, "wan0", nobody, 443).unwrap_err(), ErrorKind::TimedOut);
        assert_eq!(ping(&lab, "wan0", nobody, SOON), None);
    }
}

#[test]
fn a_computer_in_the_lan_is_answered_too() {
    let lab = lab_with(1);
    let read = || {
        let mut stream = TcpStream::connect(("1.1.1.1", 80)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Ok(answer)
    };
    let answer = lab.client().namespace().run(read).unwrap();
    assert!(answer.ends_with(PAGE), "{answer}");
}

#[test]
fn pages() {
    let lab = lab_with(1);
    let length = format!("Content-Length: {}", PAGE.len());
    for (request, status, has, body) in [
        ("GET /generate_204 HTTP/1.1\r\nHost: a\r\n\r\n", "204", "Connection: close", ""),
        ("HEAD /generate_204 HTTP/1.1\r\nHost: a\r\n\r\n", "204", "", ""),
        ("GET /any/thing HTTP/1.1\r\nHost: a\r\n\r\n", "200", length.as_str(), PAGE),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200", &length, ""),
        ("BREW /coffee HTTP/1.1\r\n\r\n", "400", "", ""),
    ] {
        let answer = http(&lab, "wan0", request).unwrap();
        let (head, got) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && head.contains(has), "{request:?}: {head}");
        assert_eq!(got, body, "{request:?}");
    }
}

#[test]
fn names_lead_where_each_provider_says() {
    let lab = lab_with(2);
    let [one, two] = [Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)];
    lab.provider(0).unwrap().name("Probe.example", &[one, two]);
    lab.provider(1).unwrap().name("probe.example", &[two]);
    lab.provider(1).unwrap().name("gone.example", &[]);
    lab.provider(0).unwrap().heal();
    let ask = |device, name| dns(&lab, device, TARGETS[1], name).unwrap().1;
    let answer = ask("wan0", "PROBE.example");
    assert_eq!((answer[7], last_address(&answer)), (2, two), "two addresses");
    assert_eq!(last_address(&answer[..answer.len() - 16]), one);
    let answer = ask("wan1", "probe.example");
    assert_eq!((answer[7], last_address(&answer)), (1, two));
    let answer = ask("wan1", "gone.example");
    assert_eq!((answer[3] & 15, answer[7]), (3, 0), "no such name");
}

#[test]
fn every_fault_of_connections() {
    let lab = lab_with(1);
    let provider = lab.provider(0).unwrap();
    let opened = || connect(&lab, "wan0", TARGETS[0], 443).map(drop);
    for (fault, result, why) in [
        (Fault::Silent, Err(ErrorKind::TimedOut), "swallowed"),
        (Fault::Refused, Err(ErrorKind::ConnectionRefused), "RST"),
        (Fault::Prohibited, Err(ErrorKind::HostUnreachable), "ICMP"),
        (Fault::Garbage, Err(ErrorKind::TimedOut), "a wrong checksum"),
        (Fault::WrongId, Err(ErrorKind::TimedOut), "the kernel answers RST and goes on waiting"),
        (Fault::WrongSource, Err(ErrorKind::TimedOut), "somebody else"),
        (Fault::Portal, Ok(()), "a portal lets connections through to itself"),
        (Fault::AcceptAndSayNothing, Ok(()), "it is there"),
        (Fault::CloseAtOnce, Ok(()), "it was there"),
        (Fault::None, Ok(()), "nothing is wrong"),
    ] {
        provider.fault(Kind::Tcp, fault);
        let before = provider.seen().arrivals_of(Kind::Tcp).len();
        assert_eq!(opened(), result, "{fault:?}: {why}");
        assert_eq!(provider.seen().arrivals_of(Kind::Tcp).len(), before + 1, "{fault:?}: the SYN came in");
        connect(&lab, "wan0", TARGETS[0], 80).unwrap_or_else(|error| panic!("{fault:?} reaches HTTP: {error}"));
        assert!(dns(&lab, "wan0", TARGETS[0], "a").is_some(), "{fault:?} reaches DNS");
        assert!(ping(&lab, "wan0", TARGETS[0], SECOND).is_some(), "{fault:?} reaches pings");
    }
    for (fault, result) in [(Fault::AcceptAndSayNothing, Err(ErrorKind::WouldBlock)), (Fault::CloseAtOnce, Ok(0))] {
        provider.fault(Kind::Tcp, fault);
        let mut open = connect(&lab, "wan0", TARGETS[0], 443).unwrap();
        assert_eq!(open.read(&mut [0; 8]).map_err(|error| error.kind()), result, "{fault:?}");
    }
}

#[test]
fn every_fault_of_dns() {
    let lab = lab_with(1);
    let provider = lab.provider(0).unwrap();
    let silent = [Fault::Silent, Fault::Refused, Fault::Prohibited, Fault::AcceptAndSayNothing];
    for fault in silent {
        provider.fault(Kind::Dns, fault);
        assert!(dns(&lab, "wan0", TARGETS[0], "example.org").is_none(), "{fault:?}");
    }
    for (fault, error) in
        [(Fault::Refused, ErrorKind::ConnectionRefused), (Fault::Prohibited, ErrorKind::HostUnreachable)]
    {
        provider.fault(Kind::Dns, fault);
        let mut socket = socket(&lab, "wan0", Type::DGRAM);
        socket.connect(&address(TARGETS[0], 53)).unwrap();
        socket.send(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01").unwrap();
        assert_eq!(socket.read(&mut [0; 512]).unwrap_err().kind(), error, "{fault:?}");
    }
    let answer = |fault| {
        provider.fault(Kind::Dns, fault);
        dns(&lab, "wan0", TARGETS[0], "example.org").unwrap_or_else(|| panic!("{fault:?}"))
    };
    let (_, garbage) = answer(Fault::Garbage);
    assert!(garbage[..2] == *b"\x12\x34" && garbage[2..4] != *b"\x81\x80", "{garbage:?}");
    assert_ne!(answer(Fault::WrongId).1[..2], *b"\x12\x34");
    assert_ne!(answer(Fault::WrongSource).0.ip(), TARGETS[0]);
    assert_eq!(last_address(&answer(Fault::Portal).1), LOGIN_HOST);
    assert!(answer(Fault::CloseAtOnce).1.is_empty());
    assert_eq!(last_address(&answer(Fault::None).1), ANY_HOST);
    assert_eq!(provider.seen().arrivals_of(Kind::Dns).len(), 12, "each was seen");
}

#[test]
fn every_fault_of_http() {
    let lab = lab_with(1);
    let provider = lab.provider(0).unwrap();
    let get = "GET /generate_204 HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fault, has, why) in [
        (Fault::Silent, None, "swallowed"),
        (Fault::Refused, None, "RST"),
        (Fault::Prohibited, None, "ICMP"),
        (Fault::WrongId, None, "the kernel does not take that"),
        (Fault::WrongSource, None, "nor that"),
        (Fault::AcceptAndSayNothing, None, "a connection, and that is all"),
        (Fault::CloseAtOnce, Some(""), "a connection that ends"),
        (Fault::Garbage, Some("no status line"), "nonsense"),
        (Fault::Portal, Some(LOGIN_PAGE), "sent on"),
        (Fault::LoginPage, Some("HTTP/1.1 200 "), "in place of 204"),
        (Fault::None, Some("HTTP/1.1 204 "), "nothing is wrong"),
    ] {
        provider.fault(Kind::Http, fault);
        let answer = http(&lab, "wan0", get);
        assert_eq!(answer.is_some(), has.is_some(), "{fault:?}, {why}: {answer:?}");
        let text = answer.unwrap_or_default();
        assert!(text.contains(has.unwrap_or_default()), "{fault:?}, {why}: {text}");
        assert!(has != Some("") || text.is_empty(), "{fault:?}, {why}: {text}");
        connect(&lab, "wan0", TARGETS[0], 443).unwrap_or_else(|error| panic!("{fault:?} reaches TCP: {error}"));
    }
}

#[test]
fn a_dead_target_and_a_cut_line_answer_nothing_of_any_kind() {
    let lab = lab_with(2);
    let answers = |device: &str, target| {
        [
            ping(&lab, device, target, SOON).is_some(),
            connect(&lab, device, target, 443).is_ok(),
            dns(&lab, device, target, "a").is_some(),
            connect(&lab, device, target, 80).is_ok(),
        ]
    };
    lab.provider(0).unwrap().target_dead(TARGETS[0], true);
    assert_eq!(answers("wan0", TARGETS[0]), [false; 4]);
    assert_eq!(answers("wan0", TARGETS[1]), [true; 4]);
    assert_eq!(answers("wan1", TARGETS[0]), [true; 4]);
    lab.target_dead(TARGETS[0], true);
    assert_eq!(answers("wan1", TARGETS[0]), [false; 4]);
    lab.target_dead(TARGETS[0], false);
    assert_eq!((answers("wan0", TARGETS[0]), answers("wan1", TARGETS[0])), ([true; 4], [true; 4]));
    lab.provider(1).unwrap().silent_behind_gateway(true);
    assert_eq!((answers("wan0", TARGETS[0]), answers("wan1", TARGETS[0])), ([true; 4], [false; 4]));
}

#[test]
fn the_line_delays_and_loses_them_all() {
    let lab = lab_with(1);
    let provider = lab.provider(0).unwrap();
    provider.delay(Duration::from_millis(60), Duration::from_millis(20));
    let mut times = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        connect(&lab, "wan0", TARGETS[0], 443).unwrap();
        times.push(start.elapsed());
        let start = Instant::now();
        dns(&lab, "wan0", TARGETS[0], "a").unwrap();
        times.push(start.elapsed());
    }
    assert!(times.iter().all(|time| (60..180).contains(&time.as_millis())), "{times:?}");
    provider.heal();
    provider.loss(0.4, 0.0);
    let lost = (0..40).filter(|_| dns(&lab, "wan0", TARGETS[0], "a").is_none()).count();
    assert!((6..27).contains(&lost), "40% of 40: {lost}");
}

#[test]
fn a_modem_that_answers_for_everybody_does_so_for_all_kinds() {
    let lab = Lab::new(LabConfig::default()).unwrap();
    let provider = lab.provider(0).unwrap();
    assert!(connect(&lab, "wan0", TARGETS[0], 443).is_err(), "no route, no neighbour");
    provider.answers_for_everybody(true);
    provider.silent_behind_gateway(true);
    let start = Instant::now();
    while connect(&lab, "wan0", TARGETS[0], 443).is_err() {
        assert!(start.elapsed() < 5 * SECOND, "the modem takes the kernel's connection");
    }
    assert!(dns(&lab, "wan0", TARGETS[0], "a").is_some());
    assert!(http(&lab, "wan0", "HEAD / HTTP/1.1\r\n\r\n").is_some());
}

#[test]
fn arrivals_have_the_kernels_time() {
    let lab = lab_with(1);
    let provider = lab.provider(0).unwrap();
    let before = Instant::now();
    dns(&lab, "wan0", TARGETS[0], "a").unwrap();
    let between = Instant::now();
    connect(&lab, "wan0", TARGETS[0], 443).unwrap();
    let after = Instant::now();
    let seen = provider.seen();
    let [query, open] = [Kind::Dns, Kind::Tcp].map(|kind| seen.arrivals_of(kind)[0]);
    assert!(before <= query && query <= between && between <= open && open <= after);
}
