//! TCP segments as the simulated providers read and write them. Pure functions; fed by `packet.rs`, used by
//! `internet.rs`.

use std::net::Ipv4Addr;

use crate::packet::{self, Mac, put_word, word};

/// One segment; its checksum is not looked at, as with UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
    pub(crate) payload: &'a [u8],
}

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// Reads what an IPv4 packet carries: both ports and the segment.
pub(crate) fn parse(message: &[u8]) -> Option<(u16, u16, Segment<'_>)> {
    let offset = usize::from(message.get(12)? >> 4) * 4;
    let segment = Segment {
        sequence: double_word(message, 4)?,
        acknowledged: double_word(message, 8)?,
        flags: *message.get(13)?,
        payload: message.get(offset.max(20)..)?,
    };
    Some((word(message, 0)?, word(message, 2)?, segment))
}

impl Segment<'_> {
    /// Whether all of `flags` are set.
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Opens a connection.
    pub(crate) fn opens(&self) -> bool {
        self.flags & (SYN | ACK | RST) == SYN
    }

    /// The sequence number behind all that it carries.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.sequence.wrapping_add(self.payload.len() as u32).wrapping_add(flags)
    }

    /// The segment in a frame.
    pub(crate) fn frame(&self, macs: (Mac, Mac), source: (Ipv4Addr, u16), target: (Ipv4Addr, u16)) -> Vec<u8> {
        let mut message = Vec::with_capacity(20 + self.payload.len());
        message.extend_from_slice(&source.1.to_be_bytes());
        message.extend_from_slice(&target.1.to_be_bytes());
        message.extend_from_slice(&self.sequence.to_be_bytes());
        message.extend_from_slice(&self.acknowledged.to_be_bytes());
        // No options, a window of 64 kB, checksum to be set, nothing urgent.
        message.extend_from_slice(&[5 << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        message.extend_from_slice(self.payload);
        let sum = packet::pseudo_checksum(6, source.0, target.0, &message);
        put_word(&mut message, 16, sum);
        packet::ipv4(macs, 6, source.0, target.0, &message)
    }
}

fn double_word(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from(word(bytes, offset)?) << 16 | u32::from(word(bytes, offset + 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Incoming;

    const MACS: (Mac, Mac) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    const HERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 168, 1, 2), 40_000);
    const THERE: (Ipv4Addr, u16) = (Ipv4Addr::new(1, 1, 1, 1), 443);

    #[test]
    fn a_segment_goes_round() {
        for (sequence, flags, payload, end) in
            [(7, SYN, &b""[..], 8), (8, ACK, b"", 8), (u32::MAX, ACK | PSH, b"abc", 2), (9, ACK | FIN, b"d", 11)]
        {
            let sent = Segment { sequence, acknowledged: 0x0102_0304, flags, payload };
            let frame = sent.frame(MACS, HERE, THERE);
            let Incoming::Tcp { source, target, segment, .. } = packet::parse(&frame) else { panic!("{frame:?}") };
            assert_eq!((source, target, segment), (HERE, THERE, sent));
            assert_eq!((segment.end(), segment.opens()), (end, flags == SYN));
        }
    }

    #[test]
    fn a_segment_that_is_cut_off_is_none() {
        let frame = Segment { sequence: 1, acknowledged: 2, flags: ACK, payload: b"" }.frame(MACS, HERE, THERE);
        let message = &frame[34..];
        assert!(parse(message).is_some());
        for length in 0..message.len() {
            assert_eq!(parse(&message[..length]), None, "cut at {length}");
        }
    }
}
