//! Netlink messages, written and read byte by byte. The lab has its own small encoder on purpose: it is the second
//! opinion on what failoverd tells the kernel through its library. Used by `netlink.rs`, `routing.rs`, `views.rs`.

/// A request under construction: header, family header, attributes.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Starts a message of type `kind` with the given NLM_F flags.
    pub(crate) fn new(kind: u16, flags: i32) -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Request { bytes }
    }

    /// Appends raw bytes: the family header.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Request {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends one attribute, padded.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
        self.bytes.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// A number in host order.
    pub(crate) fn number(self, kind: u16, value: u32) -> Request {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// A NUL-terminated string.
    pub(crate) fn string(self, kind: u16, value: &str) -> Request {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// An attribute that holds what `fill` appends.
    pub(crate) fn nested(mut self, kind: u16, fill: impl FnOnce(Request) -> Request) -> Request {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        let mut filled = fill(self);
        let length = (filled.bytes.len() - start) as u16;
        if let Some(place) = filled.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        filled
    }

    /// The finished message, with its sequence number.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        if let Some(place) = self.bytes.get_mut(0..4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        if let Some(place) = self.bytes.get_mut(8..12) {
            place.copy_from_slice(&sequence.to_ne_bytes());
        }
        self.bytes
    }
}

/// One message as the kernel sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Message type.
    pub(crate) kind: u16,
    /// Sequence number of the request it answers.
    pub(crate) sequence: u32,
    /// NLM_F_DUMP_INTR: the table changed during the dump.
    pub(crate) interrupted: bool,
    /// Everything behind the netlink header.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The error number of an NLMSG_ERROR or NLMSG_DONE message; 0 is an acknowledgement.
    pub(crate) fn error(&self) -> i32 {
        number_at(&self.body, 0).map_or(0, |value| (value as i32).wrapping_neg())
    }

    /// The attributes behind a family header of `skip` bytes.
    pub(crate) fn attributes(&self, skip: usize) -> Vec<(u16, &[u8])> {
        attributes(self.body.get(skip..).unwrap_or_default())
    }

    /// The number in the first attribute of that kind.
    pub(crate) fn number(&self, skip: usize, kind: u16) -> Option<u32> {
        self.attributes(skip).into_iter().find(|(found, _)| *found == kind).and_then(|(_, value)| number_at(value, 0))
    }
}

/// Splits a received datagram into messages.
pub(crate) fn split(mut datagram: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while let (Some(length), Some(kind), Some(sequence)) =
        (number_at(datagram, 0), short_at(datagram, 4), number_at(datagram, 8))
    {
        let length = length as usize;
        let Some(body) = datagram.get(16..length) else { break };
        let interrupted = short_at(datagram, 6).is_some_and(|flags| i32::from(flags) & libc::NLM_F_DUMP_INTR != 0);
        replies.push(Reply { kind, sequence, interrupted, body: body.to_vec() });
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    replies
}

/// Splits a run of attributes; the nested flag is taken off the kind.
pub(crate) fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (short_at(bytes, 0), short_at(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(4..length) else { break };
        found.push((kind & 0x3fff, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// A host-order u32 at an offset.
pub(crate) fn number_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// A host-order u16 at an offset.
pub(crate) fn short_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let two = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_ne_bytes(two.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = Request::new(24, 0)
            .raw(&[7; 12])
            .number(4, 99)
            .nested(18, |inner| inner.string(1, "veth").nested(2, |data| data.attribute(3, &[1, 2, 3])))
            .finish(5);
        let replies = split(&bytes);
        let [reply] = replies.as_slice() else { panic!("one message, not {replies:?}") };
        assert_eq!((reply.kind, reply.sequence), (24, 5));
        assert_eq!(reply.number(12, 4), Some(99));
        let nested = reply.attributes(12)[1];
        assert_eq!(nested.0, 18);
        let inner = attributes(nested.1);
        assert_eq!(inner[0], (1, b"veth\0".as_slice()));
        assert_eq!(attributes(inner[1].1), vec![(3, [1, 2, 3].as_slice())]);
    }

    #[test]
    fn truncated_input_ends_the_list() {
        assert!(split(&[200, 0, 0, 0, 2, 0]).is_empty());
        assert!(split(&[0; 16]).is_empty(), "a length of zero must not loop");
        assert!(attributes(&[0, 0, 1, 0]).is_empty());
    }
}
