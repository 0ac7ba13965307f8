//! ICMP echo packets (RFC 792), built and taken apart without trust.
//!
//! The shell's prober sends what [`echo_request`] builds and hands what [`parse`] finds to the core, which matches it to its probes.

use std::net::{IpAddr, Ipv4Addr};

/// An ICMP message that can matter to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// Echo reply (type 0).
    EchoReply {
        /// Identifier.
        id: u16,
        /// Sequence number.
        sequence: u16,
        /// The first eight bytes of the payload.
        cookie: u64,
    },
    /// Destination unreachable (type 3) about an echo request of ours.
    Unreachable {
        /// The ICMP code: 0 network, 1 host, 13 prohibited...
        code: u8,
        /// Identifier of the request it is about.
        id: u16,
        /// Sequence number of the request.
        sequence: u16,
        /// Where the request was sent.
        target: IpAddr,
    },
}

/// An echo request, without IP header, whose payload has `size` bytes: the cookie, which none is without, and zeros.
pub fn echo_request(id: u16, sequence: u16, cookie: u64, size: u16) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&cookie.to_be_bytes());
    packet.resize(packet.len().max(8 + usize::from(size)), 0);
    let sum = checksum(&packet).to_be_bytes();
    if let [_, _, high, low, ..] = packet.as_mut_slice() {
        [*high, *low] = sum;
    }
    packet
}

/// Reads an IPv4 packet as a raw ICMP socket delivers it, IP header included. `None`: nothing that concerns a probe, or damaged.
pub fn parse(packet: &[u8]) -> Option<Icmp> {
    let (header, message) = ipv4(packet)?;
    if header.protocol != 1 || checksum(message) != 0 {
        return None;
    }
    match message {
        [0, 0, _, _, i0, i1, s0, s1, payload @ ..] => Some(Icmp::EchoReply {
            id: u16::from_be_bytes([*i0, *i1]),
            sequence: u16::from_be_bytes([*s0, *s1]),
            cookie: u64::from_be_bytes(*payload.first_chunk::<8>()?),
        }),
        [3, code, _, _, _, _, _, _, original @ ..] => {
            let (header, request) = ipv4(original)?;
            match (header.protocol, request) {
                (1, [8, 0, _, _, i0, i1, s0, s1, ..]) => Some(Icmp::Unreachable {
                    code: *code,
                    id: u16::from_be_bytes([*i0, *i1]),
                    sequence: u16::from_be_bytes([*s0, *s1]),
                    target: IpAddr::V4(header.destination),
                }),
                _ => None,
            }
        }
        _ => None,
    }
}

struct Ipv4Header {
    protocol: u8,
    destination: Ipv4Addr,
}

/// Splits an IPv4 packet into what we need of its header, and its payload.
fn ipv4(packet: &[u8]) -> Option<(Ipv4Header, &[u8])> {
    let &[first, _, _, _, _, _, _, _, _, protocol, _, _, _, _, _, _, d0, d1, d2, d3, ..] = packet else { return None };
    let header_length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_length < 20 {
        return None;
    }
    Some((Ipv4Header { protocol, destination: Ipv4Addr::new(d0, d1, d2, d3) }, packet.get(header_length..)?))
}

/// The Internet checksum (RFC 1071); zero over a message that carries its own.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = bytes.chunks(2).fold(0_u32, |sum, pair| match pair {
        [high, low] => sum.wrapping_add(u32::from(u16::from_be_bytes([*high, *low]))),
        [high] => sum.wrapping_add(u32::from(*high) << 8),
        _ => sum,
    });
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(protocol: u8, destination: [u8; 4], body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 9, 9, 9, 9];
        packet.extend(destination);
        packet.extend(body);
        packet
    }

    fn with_checksum(mut body: Vec<u8>) -> Vec<u8> {
        let sum = checksum(&body).to_be_bytes();
        body[2..4].copy_from_slice(&sum);
        body
    }

    #[test]
    fn a_reply_to_a_request_carries_its_marks_back() {
        let mut body = echo_request(7, 9, 0xdead_beef_0102_0304, 56);
        assert_eq!(checksum(&body), 0, "a request verifies");
        body[0] = 0;
        body[2..4].fill(0);
        let reply = ip(1, [10, 0, 0, 1], &with_checksum(body));
        assert_eq!(parse(&reply), Some(Icmp::EchoReply { id: 7, sequence: 9, cookie: 0xdead_beef_0102_0304 }));
    }

    #[test]
    fn a_request_is_as_long_as_it_should_be_and_verifies() {
        for (size, length, why) in [
            (56, 64, "what ping sends"),
            (9, 17, "an odd number"),
            (1472, 1480, "a full frame"),
            (0, 16, "never without the cookie"),
        ] {
            let request = echo_request(7, 9, u64::MAX, size);
            assert_eq!((request.len(), checksum(&request)), (length, 0), "{why}");
        }
    }

    #[test]
    fn an_error_names_the_request() {
        let request = echo_request(7, 9, 1, 56);
        let mut body = vec![3, 1, 0, 0, 0, 0, 0, 0];
        body.extend(ip(1, [1, 1, 1, 1], &request[..8]));
        let error = ip(1, [10, 0, 0, 1], &with_checksum(body));
        let want = Icmp::Unreachable { code: 1, id: 7, sequence: 9, target: IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)) };
        assert_eq!(parse(&error), Some(want));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        let mut body = echo_request(7, 9, 5, 56);
        body[0] = 0;
        body[2..4].fill(0);
        let reply = ip(1, [10, 0, 0, 1], &with_checksum(body));
        for length in 0..reply.len() {
            let cookie_is_whole = length >= 20 + 16;
            assert_eq!(parse(&reply[..length]).is_some(), cookie_is_whole, "cut at {length}: padding is zeros");
        }
        for position in 20..reply.len() {
            let mut damaged = reply.clone();
            damaged[position] ^= 0x55;
            assert_eq!(parse(&damaged), None, "byte {position} flipped");
        }
    }
}
