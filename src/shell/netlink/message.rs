//! Netlink messages (`struct nlmsghdr`), taken apart without trust and put together.
//!
//! For the requests of `transport`, what `watch` and `neighbour` hear, and the tables of `conntrack`. What is in a message is `wire`'s.

use super::wire::Malformed;

// `NLM_F_*` of linux/netlink.h.
pub(crate) const REQUEST: u16 = 0x1;
pub(super) const MULTIPART: u16 = 0x2;
pub(crate) const ACK: u16 = 0x4;
pub(super) const ECHO: u16 = 0x8;
pub(crate) const DUMP_INTERRUPTED: u16 = 0x10;
// Of a request to read.
pub(crate) const DUMP: u16 = 0x300;
// Of a request to write.
pub(super) const REPLACE: u16 = 0x100;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;
// Of an acknowledgement.
pub(super) const ACK_ATTRIBUTES: u16 = 0x200;

/// `NLMSG_ERROR`: a refusal, or an acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub(crate) const DONE: u16 = 3;

/// What `struct nlmsghdr` takes.
const HEADER: usize = 16;

/// A message of the kernel, or to it: `nlmsg_type` and what follows the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// `RTM_*`, or a subsystem's number and its own.
    pub(crate) kind: u16,
    /// Family header and attributes.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// As it is sent.
    pub(crate) fn bytes(&self, flags: u16, sequence: u32) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + self.body.len()).unwrap_or(0).to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        // The kernel knows the sender's port.
        bytes.extend([0; 4]);
        bytes.extend(&self.body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// A message as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// As in [`Message`].
    pub(crate) kind: u16,
    /// `NLM_F_*`.
    pub(crate) flags: u16,
    /// Of the request that it answers.
    pub(crate) sequence: u32,
    /// Whose request was the cause.
    pub(super) port: u32,
    /// As in [`Message`].
    pub(crate) body: &'a [u8],
}

impl Received<'_> {
    /// How a request went, if this ends it: `errno`, positive, or 0 for a success.
    pub(crate) fn verdict(&self) -> Option<i32> {
        let code = self.body.first_chunk().filter(|_| matches!(self.kind, ERROR | DONE))?;
        Some(i32::from_ne_bytes(*code).saturating_abs())
    }

    /// To keep.
    pub(super) fn to_message(self) -> Message {
        Message { kind: self.kind, body: self.body.to_vec() }
    }
}

/// Splits a datagram into its messages.
pub(crate) fn messages(datagram: &[u8]) -> Result<Vec<Received<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3, ..] = rest {
        let length = usize::try_from(u32::from_ne_bytes([*l0, *l1, *l2, *l3])).map_err(|_| Malformed)?;
        found.push(Received {
            kind: u16::from_ne_bytes([*k0, *k1]),
            flags: u16::from_ne_bytes([*f0, *f1]),
            sequence: u32::from_ne_bytes([*s0, *s1, *s2, *s3]),
            port: u32::from_ne_bytes([*p0, *p1, *p2, *p3]),
            body: rest.get(HEADER..length).ok_or(Malformed)?,
        });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    if rest.is_empty() { Ok(found) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_again() {
        let (short, long) = (Message { kind: 24, body: vec![7; 5] }, Message { kind: 26, body: vec![] });
        let datagram = [short.bytes(REQUEST | ACK, 8), long.bytes(0, 9)].concat();
        let found = messages(&datagram).unwrap();
        assert_eq!(found.iter().map(|it| it.to_message()).collect::<Vec<_>>(), [short, long]);
        assert_eq!((found[0].flags, found[0].sequence, found[0].verdict()), (REQUEST | ACK, 8, None));
        assert_eq!(messages(&[]), Ok(vec![]), "nothing is nothing");
    }

    #[test]
    fn a_verdict_is_an_error_number() {
        for (kind, body, want, why) in [
            (ERROR, (-17_i32).to_ne_bytes().to_vec(), Some(17), "a refusal"),
            (ERROR, vec![0; 20], Some(0), "an acknowledgement"),
            (DONE, (-4_i32).to_ne_bytes().to_vec(), Some(4), "a dump that failed"),
            (ERROR, vec![0; 3], None, "no room for a number is no success"),
            (24, vec![0; 12], None, "a route"),
        ] {
            let bytes = Message { kind, body }.bytes(0, 0);
            assert_eq!(messages(&bytes).unwrap()[0].verdict(), want, "{why}");
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let whole = Message { kind: 24, body: vec![7; 8] }.bytes(0, 0);
        for (length, why) in
            [(0, "it would loop for ever"), (15, "shorter than its header"), (25, "longer than what is there")]
        {
            let lying = [&u32::to_ne_bytes(length)[..], &whole[4..]].concat();
            assert_eq!(messages(&lying), Err(Malformed), "{length}: {why}");
        }
        for cut in 1..whole.len() {
            assert_eq!(messages(&whole[..cut]), Err(Malformed), "cut at {cut}: a list with a hole must not look whole");
        }
    }
}
