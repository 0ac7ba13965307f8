//! Frames as the simulated providers read and write them: Ethernet, ARP, IPv4, ICMP echo, UDP, and TCP by
//! `tcp.rs`. Pure functions; fed and used by `responder.rs`.

use std::net::Ipv4Addr;

use crate::tcp::{self, Segment};

/// A MAC address.
pub(crate) type Mac = [u8; 6];

/// What a provider makes of a frame that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// Somebody asks who has `target`.
    ArpRequest { sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr },
    /// An ICMP echo request; `message` is the ICMP part, `packet` the whole IPv4 packet.
    Echo { from_mac: Mac, source: Ipv4Addr, target: Ipv4Addr, message: &'a [u8], packet: &'a [u8] },
    /// A UDP datagram.
    Udp { from_mac: Mac, source: (Ipv4Addr, u16), target: (Ipv4Addr, u16), payload: &'a [u8], packet: &'a [u8] },
    /// A TCP segment.
    Tcp { from_mac: Mac, source: (Ipv4Addr, u16), target: (Ipv4Addr, u16), segment: Segment<'a>, packet: &'a [u8] },
    /// Valid, and nothing a provider answers.
    Other,
    /// Lengths or checksums do not fit.
    Malformed,
}

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;

/// Reads an Ethernet frame.
pub(crate) fn parse(frame: &[u8]) -> Incoming<'_> {
    let (Some(from_mac), Some(kind), Some(body)) = (mac_at(frame, 6), word(frame, 12), frame.get(14..)) else {
        return Incoming::Malformed;
    };
    match kind {
        ARP => parse_arp(body).unwrap_or(Incoming::Malformed),
        IPV4 => parse_ipv4(from_mac, body).unwrap_or(Incoming::Malformed),
        _ => Incoming::Other,
    }
}

/// From whom to whom an IPv4 frame goes.
pub(crate) fn ends(frame: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    if word(frame, 12)? == IPV4 { Some((address_at(frame, 14 + 12)?, address_at(frame, 14 + 16)?)) } else { None }
}

fn parse_arp(body: &[u8]) -> Option<Incoming<'_>> {
    if word(body, 6)? != 1 {
        return Some(Incoming::Other);
    }
    Some(Incoming::ArpRequest {
        sender_mac: mac_at(body, 8)?,
        sender: address_at(body, 14)?,
        target: address_at(body, 24)?,
    })
}

fn parse_ipv4(from_mac: Mac, body: &[u8]) -> Option<Incoming<'_>> {
    let header_length = usize::from(body.first()? & 0x0f) * 4;
    let packet = body.get(..usize::from(word(body, 2)?))?;
    let (header, message) = (packet.get(..header_length)?, packet.get(header_length..)?);
    let fragment = word(body, 6)? & 0x3fff != 0;
    if checksum(0, header) != 0 {
        return None;
    }
    let (source, target) = (address_at(body, 12)?, address_at(body, 16)?);
    Some(match *body.get(9)? {
        1 if !fragment => {
            if checksum(0, message) != 0 {
                return None;
            }
            match message.first()? {
                8 => Incoming::Echo { from_mac, source, target, message, packet },
                _ => Incoming::Other,
            }
        }
        // The checksum is not looked at: between veth ends the kernel leaves it to be done by hardware.
        17 if !fragment => Incoming::Udp {
            from_mac,
            source: (source, word(message, 0)?),
            target: (target, word(message, 2)?),
            payload: message.get(8..usize::from(word(message, 4)?))?,
            packet,
        },
        6 if !fragment => {
            let (from, to, segment) = tcp::parse(message)?;
            Incoming::Tcp { from_mac, source: (source, from), target: (target, to), segment, packet }
        }
        _ => Incoming::Other,
    })
}

/// "`owner` is at `mac`".
pub(crate) fn arp_reply(mac: Mac, owner: Ipv4Addr, to_mac: Mac, to: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(mac, to_mac, ARP);
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&owner.octets());
    frame.extend_from_slice(&to_mac);
    frame.extend_from_slice(&to.octets());
    frame
}

/// An ICMP message in a frame; `message` comes with any checksum, which is set here.
pub(crate) fn icmp(macs: (Mac, Mac), source: Ipv4Addr, target: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    put_word(&mut message, 2, 0);
    let sum = checksum(0, &message);
    put_word(&mut message, 2, sum);
    ipv4(macs, 1, source, target, &message)
}

/// The echo reply to a request, its id, sequence and payload unchanged.
pub(crate) fn echo_reply(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    if let Some(kind) = reply.first_mut() {
        *kind = 0;
    }
    reply
}

/// "Destination unreachable" about `packet`, of which as much comes back as routers send.
pub(crate) fn unreachable(code: u8, packet: &[u8]) -> Vec<u8> {
    let mut message = vec![3, code, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(packet.get(..packet.len().min(548)).unwrap_or_default());
    message
}

/// A UDP datagram in a frame.
pub(crate) fn udp(macs: (Mac, Mac), source: (Ipv4Addr, u16), target: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16 + 8;
    let mut datagram = Vec::with_capacity(usize::from(length));
    for field in [source.1, target.1, length, 0] {
        datagram.extend_from_slice(&field.to_be_bytes());
    }
    datagram.extend_from_slice(payload);
    let sum = match pseudo_checksum(17, source.0, target.0, &datagram) {
        0 => 0xffff,
        sum => sum,
    };
    put_word(&mut datagram, 6, sum);
    ipv4(macs, 17, source.0, target.0, &datagram)
}

/// The checksum of a UDP datagram or a TCP segment, which covers the addresses too.
pub(crate) fn pseudo_checksum(protocol: u8, source: Ipv4Addr, target: Ipv4Addr, body: &[u8]) -> u16 {
    let mut pseudo = [source.octets(), target.octets()].concat();
    pseudo.extend_from_slice(&[0, protocol]);
    pseudo.extend_from_slice(&(body.len() as u16).to_be_bytes());
    checksum(partial_sum(&pseudo), body)
}

/// An IPv4 packet in a frame.
pub(crate) fn ipv4(macs: (Mac, Mac), protocol: u8, source: Ipv4Addr, target: Ipv4Addr, body: &[u8]) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&(body.len() as u16 + 20).to_be_bytes());
    // No identification, "don't fragment", 57 hops left, checksum to be set.
    header.extend_from_slice(&[0, 0, 0x40, 0, 57, protocol, 0, 0]);
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&target.octets());
    let sum = checksum(0, &header);
    put_word(&mut header, 10, sum);
    let mut frame = ethernet(macs.0, macs.1, IPV4);
    frame.extend_from_slice(&header);
    frame.extend_from_slice(body);
    frame
}

fn ethernet(from: Mac, to: Mac, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(128);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&kind.to_be_bytes());
    frame
}

fn partial_sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(0u32, |sum, pair| {
        let (high, low) = (pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0));
        sum.wrapping_add(u32::from(u16::from_be_bytes([high, low])))
    })
}

/// The internet checksum over `bytes`, begun with `start`; 0 over data that includes a right checksum.
pub(crate) fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = start.wrapping_add(partial_sum(bytes));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A big-endian u16 at an offset.
pub(crate) fn word(bytes: &[u8], offset: usize) -> Option<u16> {
    let two = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_be_bytes(two.try_into().ok()?))
}

/// Writes a big-endian u16 at an offset, if there is room.
pub(crate) fn put_word(bytes: &mut [u8], offset: usize, value: u16) {
    if let Some(place) = bytes.get_mut(offset..offset + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

fn address_at(bytes: &[u8], offset: usize) -> Option<Ipv4Addr> {
    let four: [u8; 4] = bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?;
    Some(Ipv4Addr::from(four))
}

fn mac_at(bytes: &[u8], offset: usize) -> Option<Mac> {
    bytes.get(offset..offset.checked_add(6)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACS: (Mac, Mac) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
    const THERE: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);

    #[test]
    fn an_echo_request_is_read_and_answered() {
        let frame = icmp(MACS, HERE, THERE, &[8, 0, 0, 0, 0, 7, 0, 9, b'x']);
        let Incoming::Echo { source, target, message, .. } = parse(&frame) else { panic!("{:?}", parse(&frame)) };
        assert_eq!((source, target), (HERE, THERE));
        assert_eq!(echo_reply(message)[4..], [0, 7, 0, 9, b'x']);
    }

    #[test]
    fn udp_goes_round() {
        let frame = udp(MACS, (HERE, 1000), (THERE, 7), b"hello");
        let Incoming::Udp { source, target, payload, .. } = parse(&frame) else { panic!("{:?}", parse(&frame)) };
        assert_eq!((source, target, payload), ((HERE, 1000), (THERE, 7), b"hello".as_slice()));
    }

    #[test]
    fn broken_frames_are_malformed_and_do_not_panic() {
        let mut frame = icmp(MACS, HERE, THERE, &[8, 0, 0, 0, 0, 7, 0, 9]);
        for length in 0..frame.len() {
            assert!(!matches!(parse(&frame[..length]), Incoming::Echo { .. }), "cut at {length}");
        }
        frame[38] ^= 1;
        assert_eq!(parse(&frame), Incoming::Malformed, "an ICMP checksum that does not fit");
    }
}
