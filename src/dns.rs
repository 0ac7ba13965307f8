//! DNS messages (RFC 1035), built and taken apart without trust.
//!
//! The shell's askers send what [`query`] builds and hand what comes back to [`read`]: for `dns` tests, and for names of targets.

use std::net::IpAddr;
use std::time::Duration;

use crate::settings::Record;

/// The header's length.
const HEADER: usize = 12;

/// The class of the internet.
const INTERNET: u16 = 1;

/// What came back on a query's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Not about this query: forged, or the answer to another one.
    Foreign,
    /// About this query, and nothing that the protocol allows.
    Garbage,
    /// An answer.
    Answer(Answer),
}

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The response code: 0 no error, 2 server failure, 3 no such name, 5 refused.
    pub code: u8,
    /// Whether it says itself that something is missing.
    pub truncated: bool,
    /// The addresses of the kind that was asked for.
    pub addresses: Vec<IpAddr>,
    /// How long all of it may be believed.
    pub ttl: Duration,
}

/// A query for a name, which a recursive server is to answer. `None`: no name that could be asked for.
pub fn query(id: u16, name: &str, record: Record) -> Option<Vec<u8>> {
    let [high, low] = id.to_be_bytes();
    // Recursion desired; one question.
    let mut packet = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        packet.push(u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    let [_, kind] = kind(record).to_be_bytes();
    packet.extend_from_slice(&[0, kind, 0, 1]);
    // A name has 255 bytes at most (RFC 1035, section 2.3.4).
    (packet.len() <= HEADER + 255 + 4).then_some(packet)
}

const fn kind(record: Record) -> u16 {
    match record {
        Record::A => 1,
        Record::Aaaa => 28,
    }
}

/// Reads `message` as the answer to `query`.
pub fn read(query: &[u8], message: &[u8]) -> Reply {
    if query.get(..2) != message.get(..2) {
        return Reply::Foreign;
    }
    answer(query, message).unwrap_or(Reply::Garbage)
}

/// The same, with the identification known to fit. `None`: not valid.
fn answer(query: &[u8], message: &[u8]) -> Option<Reply> {
    let (header, body) = message.split_first_chunk::<HEADER>()?;
    let &[_, _, flags, code, q0, q1, a0, a1, ..] = header;
    // QR: an answer; the opcode: to a query; one question.
    if flags & 0xf8 != 0x80 || [q0, q1] != [0, 1] {
        return None;
    }
    let (truncated, code) = (flags & 2 != 0, code & 15);
    let mut rest = skip_name(body)?.get(4..)?;
    // The question comes back as it was sent but for the case of letters. Lengths of labels, type and class are no letters.
    let question = query.get(HEADER..)?;
    if !body.get(..body.len() - rest.len())?.eq_ignore_ascii_case(question) {
        return Some(Reply::Foreign);
    }
    let wanted = question.last_chunk::<4>().map(|&[k0, k1, ..]| u16::from_be_bytes([k0, k1]))?;
    let mut found = Answer { code, truncated, ..Answer::default() };
    let mut ttl = None;
    for _ in 0..u16::from_be_bytes([a0, a1]) {
        let Some((record, behind)) = resource(rest) else {
            // The end of a truncated message is missing.
            if truncated {
                break;
            }
            return None;
        };
        rest = behind;
        if record.class != INTERNET {
            continue;
        }
        ttl = Some(ttl.unwrap_or(record.ttl).min(record.ttl));
        // Whose addresses they are need not be looked at: what else than those of the name, or of what it stands for, would be in the
        // answer to this question? Whoever could add others could give the name itself false ones.
        if record.kind == wanted {
            found.addresses.push(match wanted {
                1 => IpAddr::from(<[u8; 4]>::try_from(record.data).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(record.data).ok()?),
            });
        }
    }
    found.ttl = Duration::from_secs(u64::from(ttl.unwrap_or_default()));
    Some(Reply::Answer(found))
}

struct Resource<'a> {
    kind: u16,
    class: u16,
    ttl: u32,
    data: &'a [u8],
}

/// The record at the beginning, and what is behind it.
fn resource(bytes: &[u8]) -> Option<(Resource<'_>, &[u8])> {
    let (&[k0, k1, c0, c1, t0, t1, t2, t3, l0, l1], rest) = skip_name(bytes)?.split_first_chunk::<10>()?;
    let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
    // A time with its highest bit set is none (RFC 2181, section 8).
    let ttl = u32::from_be_bytes([t0, t1, t2, t3]);
    let ttl = if ttl > u32::MAX / 2 { 0 } else { ttl };
    Some((Resource { kind: u16::from_be_bytes([k0, k1]), class: u16::from_be_bytes([c0, c1]), ttl, data }, rest))
}

/// What is behind the name at the beginning: labels up to an empty one, or up to a pointer to an earlier one (section 4.1.4), which
/// need not be followed.
fn skip_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = bytes.split_first()?;
        bytes = match length {
            0 => return Some(rest),
            1..=63 => rest.get(usize::from(length)..)?,
            192.. => return rest.get(1..),
            _ => return None,
        };
    }
}

/// Takes any bytes as an answer to a query of the same identification, for fuzzing.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    let id = bytes.first_chunk().copied().map(u16::from_be_bytes).unwrap_or_default();
    for record in [Record::A, Record::Aaaa] {
        let query = query(id, "www.example.org", record).unwrap_or_default();
        if let Reply::Answer(answer) = read(&query, bytes) {
            assert!(bytes.len() >= query.len() + answer.addresses.len() * 15);
            assert!(answer.addresses.iter().all(|address| address.is_ipv4() == (record == Record::A)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "one.example";

    fn asked() -> Vec<u8> {
        query(0x1234, NAME, Record::A).unwrap()
    }

    /// An answer with these flags and counts, and `records` behind the question.
    fn reply(flags: [u8; 2], answers: u16, records: &[&[u8]]) -> Vec<u8> {
        let mut message = asked();
        message[2..4].copy_from_slice(&flags);
        message[6..8].copy_from_slice(&answers.to_be_bytes());
        message.extend(records.concat());
        message
    }

    /// A record for the name that was asked for, by a pointer.
    fn record(kind: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        let (kind, class, ttl) = (kind.to_be_bytes(), class.to_be_bytes(), ttl.to_be_bytes());
        [&[0xc0, 12][..], &kind, &class, &ttl, &length, data].concat()
    }

    fn good(code: u8, addresses: &[[u8; 4]], ttl: u64) -> Reply {
        let addresses = addresses.iter().copied().map(IpAddr::from).collect();
        Reply::Answer(Answer { code, truncated: false, addresses, ttl: Duration::from_secs(ttl) })
    }

    #[test]
    fn queries() {
        let packet = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03one\x07example\x00\x00\x01\x00\x01";
        assert_eq!(asked(), packet);
        assert_eq!(query(0x1234, "one.example.", Record::A).unwrap(), packet, "a last dot changes nothing");
        assert_eq!(query(0, NAME, Record::Aaaa).unwrap().last_chunk(), Some(&[0, 28, 0, 1]));
        let long = ["a"; 127].join(".");
        assert_eq!(query(0, &long, Record::A).unwrap().len(), 12 + 255 + 4);
        for name in ["", ".", "a..b", &"a".repeat(64), &format!("{long}.a")] {
            assert_eq!(query(0, name, Record::A), None, "{name}");
        }
    }

    #[test]
    fn answers() {
        let a = record(1, 1, 300, &[192, 0, 2, 1]);
        let again = record(1, 1, 60, &[192, 0, 2, 2]);
        // one.example is an alias of two.example; then the address of that name, written out.
        let alias = record(5, 1, 20, b"\x03two\xc0\x10");
        let of_alias = [b"\x03two\x07example\0".as_slice(), &a[2..]].concat();
        let shouted = [&reply([0x81, 0x80], 0, &[])[..12], b"\x03ONE\x07exAMPle\x00\x00\x01\x00\x01"].concat();
        let mut other_type = reply([0x81, 0x80], 0, &[]);
        other_type[12 + 13 + 1] = 28;
        let other_name = [&reply([0x81, 0x80], 0, &[])[..12], b"\x03two\x07example\x00\x00\x01\x00\x01"].concat();
        let mut other_id = reply([0x81, 0x80], 0, &[]);
        other_id[0] = 0;
        let mut two_questions = reply([0x81, 0x80], 0, &[]);
        two_questions[5] = 2;
        for (message, want, why) in [
            (reply([0x81, 0x80], 1, &[&a]), good(0, &[[192, 0, 2, 1]], 300), "one address"),
            (
                reply([0x81, 0x80], 2, &[&a, &again]),
                good(0, &[[192, 0, 2, 1], [192, 0, 2, 2]], 60),
                "the shortest time",
            ),
            (reply([0x81, 0x80], 2, &[&alias, &of_alias]), good(0, &[[192, 0, 2, 1]], 20), "an alias"),
            (reply([0x81, 0x80], 2, &[&of_alias, &alias]), good(0, &[[192, 0, 2, 1]], 20), "in any order"),
            (reply([0x81, 0x80], 1, &[&record(28, 1, 9, &[0; 16])]), good(0, &[], 9), "another type"),
            (reply([0x81, 0x80], 1, &[&record(65280, 1, 9, b"?")]), good(0, &[], 9), "a type that nobody knows"),
            (reply([0x81, 0x80], 1, &[&record(1, 3, 9, &[1; 4])]), good(0, &[], 0), "another class"),
            (reply([0x81, 0x80], 1, &[&record(1, 1, 1 << 31, &[1; 4])]), good(0, &[[1; 4]], 0), "a negative time"),
            (reply([0x81, 0x83], 0, &[]), good(3, &[], 0), "no such name"),
            (reply([0x81, 0x85], 0, &[]), good(5, &[], 0), "refused"),
            (reply([0x80, 0x00], 0, &[b"more"]), good(0, &[], 0), "what is behind the answers does not matter"),
            (shouted, good(0, &[], 0), "names are the same in any case"),
            (reply([0x81, 0x80], 2, &[&a, &again[..7]]), Reply::Garbage, "truncated, and does not say so"),
            (reply([0x81, 0x80], 1, &[&record(1, 1, 9, &[1; 5])]), Reply::Garbage, "an address of five bytes"),
            (reply([0x81, 0x80], 1, &[&[0x80], &a[1..]]), Reply::Garbage, "a label that is none"),
            (reply([0x01, 0x00], 0, &[]), Reply::Garbage, "our own query, reflected"),
            (reply([0xa8, 0x00], 0, &[]), Reply::Garbage, "an answer to an update"),
            (two_questions, Reply::Garbage, "two questions"),
            (asked()[..12].to_vec(), Reply::Garbage, "a header alone"),
            (vec![0x12, 0x34], Reply::Garbage, "an identification alone"),
            (other_name, Reply::Foreign, "another name"),
            (other_type, Reply::Foreign, "another type was asked for"),
            (other_id, Reply::Foreign, "another identification"),
            (vec![0x12], Reply::Foreign, "half an identification"),
            (vec![], Reply::Foreign, "nothing"),
        ] {
            assert_eq!(read(&asked(), &message), want, "{why}");
        }
        let cut =
            Answer { truncated: true, addresses: vec![[192, 0, 2, 1].into()], ttl: Duration::from_secs(300), code: 0 };
        let message = reply([0x83, 0x80], 2, &[&a, &again[..7]]);
        assert_eq!(read(&asked(), &message), Reply::Answer(cut), "truncated, and says so");
        let v6 = query(0x1234, NAME, Record::Aaaa).unwrap();
        let mut message = reply([0x81, 0x80], 1, &[&record(28, 1, 9, &[0x20; 16])]);
        message[12 + 13 + 1] = 28;
        let Reply::Answer(answer) = read(&v6, &message) else { panic!("an IPv6 address") };
        assert_eq!(answer.addresses, [IpAddr::from([0x20_u8; 16])]);
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        let a = record(1, 1, 300, &[192, 0, 2, 1]);
        let whole = reply([0x81, 0x80], 2, &[&record(5, 1, 20, b"\x03two\xc0\x10"), &a]);
        for length in 2..whole.len() {
            assert_eq!(read(&asked(), &whole[..length]), Reply::Garbage, "cut at {length}");
        }
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[position] ^= 1 << bit;
                exercise(&damaged);
            }
        }
    }
}
