//! What the internet behind a provider says to TCP segments and DNS queries, as wrongly as the `Faults` want it. Asked
//! by `responder.rs`, which knows the line and sends what comes of it. It has no memory: whatever a segment needs for
//! its answer is in its two numbers.

use std::net::Ipv4Addr;

use crate::dns;
use crate::fault::{Fault, Kind};
use crate::line::Conditions;
use crate::packet::{self, Mac};
use crate::tcp::{ACK, FIN, PSH, RST, SYN, Segment};

/// Where the servers of names without an entry in [`Conditions::names`] are, of every name.
pub const ANY_HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);

/// Where a portal's DNS leads to.
pub const LOGIN_HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);

/// Where a portal's redirect leads to.
pub const LOGIN_PAGE: &str = "http://login.example/";

/// What comes with status 200 from every server and path but `/generate_204`.
pub const PAGE: &str = "This is the internet.\n";

/// Who answers where somebody else was asked.
pub const WRONG_SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

/// The number that all connections of the internet begin with.
const FIRST: u32 = 0x6c61_6200;

/// Who talks to whom, and over which cable.
#[derive(Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) macs: (Mac, Mac),
    pub(crate) gateway: Ipv4Addr,
    /// Who asked.
    pub(crate) source: (Ipv4Addr, u16),
    /// Whom.
    pub(crate) target: (Ipv4Addr, u16),
}

/// Whether somebody may answer there: private addresses are nobody's, nor is 192.0.2.0/24.
pub(crate) fn is_somebody(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let ours = address.is_private() || address.is_loopback() || address.is_link_local() || shared;
    !ours && address != WRONG_SOURCE && [first, second, third] != [192, 0, 2] && (1..224).contains(&first)
}

/// The frames that answer a segment, in their order. `packet` is the whole of what carried it.
pub(crate) fn tcp(conditions: &Conditions, talk: Talk, segment: Segment<'_>, packet: &[u8]) -> Vec<Vec<u8>> {
    let fault = conditions.faults.of_port(talk.target.1);
    if segment.has(RST) {
        return Vec::new();
    }
    let from = |address| (address, talk.target.1);
    let say = |from, flags, sequence, payload: &[u8]| {
        Segment { sequence, acknowledged: segment.end(), flags, payload }.frame(talk.macs, from, talk.source)
    };
    if segment.opens() {
        let accepted = |from| say(from, SYN | ACK, FIRST, b"");
        return match fault {
            Fault::Silent => Vec::new(),
            Fault::Refused => vec![say(talk.target, RST | ACK, 0, b"")],
            Fault::Prohibited => vec![talk.unreachable(PROHIBITED, talk.gateway, packet)],
            Fault::Garbage if Kind::of_port(talk.target.1) == Kind::Tcp => vec![damaged(accepted(talk.target))],
            Fault::WrongId => {
                let acknowledged = segment.end() ^ 0x5555;
                let answer = Segment { sequence: FIRST, acknowledged, flags: SYN | ACK, payload: b"" };
                vec![answer.frame(talk.macs, talk.target, talk.source)]
            }
            Fault::WrongSource => vec![accepted(from(WRONG_SOURCE))],
            Fault::CloseAtOnce => vec![accepted(talk.target), say(talk.target, FIN | ACK, FIRST.wrapping_add(1), b"")],
            _ => vec![accepted(talk.target)],
        };
    }
    // Connections that came about before it was so are swallowed, too.
    if fault == Fault::Silent {
        return Vec::new();
    }
    let next = segment.acknowledged;
    let silent = segment.payload.is_empty();
    let heard = || vec![say(talk.target, ACK | (segment.flags & FIN), next, b"")];
    match fault {
        _ if silent && !segment.has(FIN) => Vec::new(),
        Fault::CloseAtOnce if !silent => vec![say(talk.target, RST | ACK, next, b"")],
        Fault::AcceptAndSayNothing => heard(),
        _ if silent || Kind::of_port(talk.target.1) != Kind::Http => heard(),
        _ => vec![say(talk.target, FIN | PSH | ACK, next, &page(fault, segment.payload))],
    }
}

/// The answer to an HTTP request, which came in one piece as all short ones do.
fn page(fault: Fault, request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request);
    let mut words = request.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let answer = |status: &str, field: &str, body: &str| {
        let body_sent = if method == "HEAD" { "" } else { body };
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{field}\r\n{body_sent}").into()
    };
    let whole = request.ends_with("\r\n\r\n") && ["GET", "HEAD"].contains(&method);
    match fault {
        Fault::Garbage => b"\x15\x03\x01\0\x02\x02\x46 is no status line\r\n\r\n".to_vec(),
        Fault::Portal => answer("302 Found", &format!("Location: {LOGIN_PAGE}\r\n"), "Please log in.\n"),
        Fault::LoginPage => answer("200 OK", "Content-Type: text/html\r\n", "<h1>Please log in.</h1>\n"),
        _ if !whole => answer("400 Bad Request", "", ""),
        _ if path == "/generate_204" => answer("204 No Content", "", ""),
        _ => answer("200 OK", "Content-Type: text/plain\r\n", PAGE),
    }
}

/// The frame that answers a datagram to port 53; `packet` is the whole of what carried it.
pub(crate) fn dns(conditions: &Conditions, talk: Talk, payload: &[u8], packet: &[u8]) -> Option<Vec<u8>> {
    let query = dns::parse(payload)?;
    let (any, login) = ([ANY_HOST], [LOGIN_HOST]);
    let mut addresses = match conditions.names.get(&query.name) {
        Some(known) if known.is_empty() => None,
        Some(known) => Some(known.as_slice()),
        None => Some(any.as_slice()),
    };
    let fault = conditions.faults.dns;
    let mut from = talk.target;
    match fault {
        Fault::Silent | Fault::AcceptAndSayNothing => return None,
        Fault::Refused => return Some(talk.unreachable(PORT, talk.target.0, packet)),
        Fault::Prohibited => return Some(talk.unreachable(PROHIBITED, talk.gateway, packet)),
        Fault::Portal | Fault::LoginPage => addresses = Some(&login),
        Fault::WrongSource => from.0 = WRONG_SOURCE,
        _ => {}
    }
    let mut message = query.answer(addresses);
    match fault {
        Fault::Garbage => message.iter_mut().skip(2).for_each(|byte| *byte = !*byte),
        Fault::WrongId => packet::put_word(&mut message, 0, query.id ^ 0x5555),
        Fault::CloseAtOnce => message.clear(),
        _ => {}
    }
    Some(packet::udp(talk.macs, from, talk.source, &message))
}

/// ICMP codes of "destination unreachable" (RFC 792, RFC 1812).
const PORT: u8 = 3;
const PROHIBITED: u8 = 13;

impl Talk {
    fn unreachable(&self, code: u8, says: Ipv4Addr, packet: &[u8]) -> Vec<u8> {
        packet::icmp(self.macs, says, self.source.0, &packet::unreachable(code, packet))
    }
}

/// A frame whose last two bytes of TCP checksum do not fit.
fn damaged(mut frame: Vec<u8>) -> Vec<u8> {
    const CHECKSUM: usize = 14 + 20 + 16;
    let sum = packet::word(&frame, CHECKSUM).unwrap_or(0);
    packet::put_word(&mut frame, CHECKSUM, sum ^ 0x5555);
    frame
}
