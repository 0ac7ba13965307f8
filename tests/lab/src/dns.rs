//! DNS messages as the simulated providers read and write them: one question, answers of type A. Pure functions; used
//! by `internet.rs`.

use std::net::Ipv4Addr;

use crate::packet::word;

/// A query: its id, and its question as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) id: u16,
    /// The name in lower case, without a dot at the end.
    pub(crate) name: String,
    /// Whether it is asked for IPv4 addresses.
    pub(crate) wants_a: bool,
    question: &'a [u8],
}

/// How long answers may be believed.
const TTL_SECONDS: u32 = 60;

/// Reads a query with one question.
pub(crate) fn parse(message: &[u8]) -> Option<Query<'_>> {
    let is_query = word(message, 2)? & 0xf800 == 0;
    if !is_query || word(message, 4)? != 1 {
        return None;
    }
    let body = message.get(12..)?;
    let (mut labels, mut at) = (Vec::new(), 0);
    loop {
        let length = usize::from(*body.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => labels.push(String::from_utf8_lossy(body.get(at..at + length)?).to_lowercase()),
            _ => return None,
        }
        at += length;
    }
    let wants_a = word(body, at)? == 1;
    Some(Query { id: word(message, 0)?, name: labels.join("."), wants_a, question: body.get(..at + 4)? })
}

impl Query<'_> {
    /// The answer: these addresses, as far as it was asked for such; `None`: there is no such name.
    pub(crate) fn answer(&self, addresses: Option<&[Ipv4Addr]>) -> Vec<u8> {
        let no_such_name = addresses.is_none();
        let addresses = addresses.filter(|_| self.wants_a).unwrap_or_default();
        let mut message = Vec::new();
        // A response, recursion desired and available.
        let flags = 0x8180 | if no_such_name { 3 } else { 0 };
        for field in [self.id, flags, 1, addresses.len() as u16, 0, 0] {
            message.extend_from_slice(&field.to_be_bytes());
        }
        message.extend_from_slice(self.question);
        for address in addresses {
            // The name of the question again, type A, class IN.
            message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
            message.extend_from_slice(&TTL_SECONDS.to_be_bytes());
            message.extend_from_slice(&[0, 4]);
            message.extend_from_slice(&address.octets());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x03WWW\x07example\0\0\x01\0\x01";

    #[test]
    fn a_query_is_read_and_answered() {
        let query = parse(QUERY).unwrap();
        assert_eq!((query.id, query.name.as_str(), query.wants_a), (0x1234, "www.example", true));
        let answer = query.answer(Some(&[Ipv4Addr::new(1, 2, 3, 4)]));
        assert_eq!(answer[..12], *b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0");
        assert_eq!(answer[12..QUERY.len()], QUERY[12..]);
        assert_eq!(answer[QUERY.len()..], *b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04");
        let none = query.answer(None);
        assert_eq!((none[3] & 15, none[7], none.len()), (3, 0, QUERY.len()));
    }

    #[test]
    fn what_is_no_query_is_none() {
        for length in 0..QUERY.len() {
            assert_eq!(parse(&QUERY[..length]), None, "cut at {length}");
        }
        let mut answer = QUERY.to_vec();
        answer[2] = 0x81;
        assert_eq!(parse(&answer), None, "a response");
    }
}
