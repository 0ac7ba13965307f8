//! One entry of the kernel's connection table: read from a dump, and turned into the message that deletes it and nothing else. And the
//! message that deletes all entries of a mark.
//!
//! Called by `table`. The kernel takes a delete message with neither tuple nor mark for the wish to empty the whole table, so there are two
//! ways to make such a message: from an entry whose tuple has been looked into, and from a mark that means few of all possible ones.
//!
//! netlink-packet-netfilter does not do that: its delete is a list of attributes that may be empty, it knows neither id nor zone, and its
//! emitter can panic. `netlink::wire` is there already and takes 23 kB less.

use std::net::{IpAddr, Ipv4Addr};

use failoverd::kernel::{Mark, Network};

use super::Search;
use crate::shell::netlink::message::Message;
use crate::shell::netlink::wire::{Attribute, Body, INET, Malformed, NESTED, split};

/// `NFNL_SUBSYS_CTNETLINK << 8` of linux/netfilter/nfnetlink.h.
const CONNTRACK: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_NEW` of linux/netfilter/nfnetlink_conntrack.h: an entry as it is told.
const NEW: u16 = CONNTRACK;
/// `IPCTNL_MSG_CT_GET`.
const GET: u16 = CONNTRACK | 1;
/// `IPCTNL_MSG_CT_DELETE`. Stays in this file.
const DELETE: u16 = CONNTRACK | 2;

// `enum ctattr_type`, `ctattr_tuple`, `ctattr_ip`, `ctattr_l4proto`.
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const MARK: u16 = 8;
const ID: u16 = 12;
const ZONE: u16 = 18;
const MARK_MASK: u16 = 21;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;

/// `IPS_SEEN_REPLY` of linux/netfilter/nf_conntrack_common.h.
const SEEN_REPLY: u32 = 2;
/// `NFNETLINK_V1`: the family of a delete without a tuple means something. Kernels before 5.3 do not ask.
const FAMILY_COUNTS: u8 = 1;

/// A tuple of IPv4 takes about 50 bytes. One that is far longer is none that this program knows.
const LONGEST_TUPLE: usize = 512;

/// The request for all IPv4 entries.
pub(super) fn dump_request() -> Message {
    Message { kind: GET, body: header().into_bytes() }
}

/// `struct nfgenmsg`: family, version 0, resource 0.
fn header() -> Body {
    Body::new(&[INET, 0, 0, 0])
}

/// Whether one of `addresses` stands anywhere in the message. Says no to nearly all of a large table, for a tenth of the time that it
/// takes to read an entry.
pub(super) fn mentions(message: &[u8], addresses: &[Ipv4Addr]) -> bool {
    message.windows(4).any(|bytes| addresses.iter().any(|address| address.octets() == bytes))
}

/// The connections of a provider: those with some bit pattern, not zero, under a mask. The kernel takes a message without the mark for all
/// connections, and zero is what all others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marked(Mark);

impl Marked {
    /// None if that could mean connections that nobody has marked.
    pub(super) fn new(mark: Mark) -> Option<Self> {
        (mark.value != 0 && mark.value & !mark.mask == 0).then_some(Self(mark))
    }

    /// Whether a connection with this mark is one of them.
    pub(super) fn is(self, mark: u32) -> bool {
        mark & self.0.mask == self.0.value
    }

    /// The message that deletes all of them.
    pub(super) fn delete(self) -> Message {
        let mut body = Body::new(&[INET, FAMILY_COUNTS, 0, 0]);
        body.put(MARK, &self.0.value.to_be_bytes());
        body.put(MARK_MASK, &self.0.mask.to_be_bytes());
        Message { kind: DELETE, body: body.into_bytes() }
    }
}

/// By what the connections of a provider are known.
#[derive(Debug)]
pub(super) enum Sign {
    /// Their mark.
    Marked(Marked),
    /// The source address that they leave with, or came in to.
    Address(Ipv4Addr),
    /// There are none.
    Nothing,
}

/// An entry that can be deleted: its original tuple names two addresses and a protocol, and it has an id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Payload of `CTA_TUPLE_ORIG`, as the kernel wrote it.
    original: &'a [u8],
    /// `CTA_ID`: another connection that has taken the tuple meanwhile has another one.
    id: [u8; 4],
    /// `CTA_ZONE`, in network byte order; absent in zone 0.
    zone: Option<[u8; 2]>,
    /// Where its first packet came from.
    source: Ipv4Addr,
    /// Where that was sent to.
    destination: Ipv4Addr,
    /// Where the answers are sent to: its source address as the world sees it.
    outside: Ipv4Addr,
    /// `CTA_MARK`; absent if it is 0.
    mark: u32,
    /// UDP that was answered: no query whose answer is on its way.
    exchange: bool,
}

impl<'a> Entry<'a> {
    /// Reads one message of a dump; `None` if it is not an IPv4 entry with everything that a delete needs.
    pub(super) fn parse(kind: u16, body: &'a [u8]) -> Option<Self> {
        if kind != NEW {
            return None;
        }
        let ([family, ..], attributes) = split::<4>(body).ok()?;
        let find = |id: u16| attributes.iter().find(|attribute| attribute.id() == id);
        let original = find(TUPLE_ORIGINAL).filter(|it| family == INET && it.value.len() <= LONGEST_TUPLE)?;
        let (source, destination, protocol) = ends(original).ok()?;
        let (_, outside, _) = ends(find(TUPLE_REPLY)?).ok()?;
        let number = |id: u16| find(id).and_then(|it| it.value.try_into().ok()).map_or(0, u32::from_be_bytes);
        Some(Self {
            original: original.value,
            id: find(ID)?.value.try_into().ok()?,
            zone: find(ZONE).map(|zone| zone.value.try_into()).transpose().ok()?,
            source,
            destination,
            outside,
            mark: number(MARK),
            exchange: i32::from(protocol) == libc::IPPROTO_UDP && number(STATUS) & SEEN_REPLY != 0,
        })
    }

    /// Whether it goes through the provider with this sign. What came from the networks `inside` did not come in.
    pub(super) fn is_of(&self, sign: &Sign, inside: &[Network]) -> bool {
        match sign {
            Sign::Marked(marked) => marked.is(self.mark),
            Sign::Address(address) => {
                self.outside == *address || (self.destination == *address && !self.is_from(inside))
            }
            Sign::Nothing => false,
        }
    }

    fn is_from(&self, inside: &[Network]) -> bool {
        inside.iter().any(|network| network.contains(self.source.into()))
    }

    /// Which of the addresses searched for the connection needs: it leaves with it as its source, or came in to it.
    pub(super) fn needs(&self, search: &Search) -> Option<usize> {
        if let Some(marked) = search.own_datagrams {
            let ours = self.exchange && marked.is(self.mark) && search.addresses.contains(&self.outside);
            return search.addresses.iter().position(|address| ours && *address == self.source);
        }
        search.addresses.iter().position(|address| self.is_of(&Sign::Address(*address), &search.inside))
    }

    /// The message that deletes this entry. There is no other way to make a delete.
    pub(super) fn delete(&self) -> Message {
        let mut body = header();
        body.put(TUPLE_ORIGINAL | NESTED, self.original);
        body.put(ID, &self.id);
        if let Some(zone) = self.zone {
            body.put(ZONE, &zone);
        }
        Message { kind: DELETE, body: body.into_bytes() }
    }
}

/// Source, destination and protocol of a tuple that is whole.
fn ends(tuple: &Attribute<'_>) -> Result<(Ipv4Addr, Ipv4Addr, u8), Malformed> {
    let parts = tuple.nested()?;
    let within = |part: u16| parts.iter().find(|it| it.id() == part).ok_or(Malformed)?.nested();
    let (ip, protocol) = (within(TUPLE_IP)?, within(TUPLE_PROTOCOL)?);
    let address = |which: u16| match ip.iter().find(|it| it.id() == which).ok_or(Malformed)?.address()? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Malformed),
    };
    let number = protocol.iter().find(|it| it.id() == PROTOCOL_NUMBER).ok_or(Malformed)?.u8()?;
    Ok((address(IP_SOURCE)?, address(IP_DESTINATION)?, number))
}

#[cfg(test)]
mod tests {
    use failoverd::kernel::Network;

    use super::*;

    const ROUTER: [u8; 4] = [100, 64, 1, 2];
    const LAN: [u8; 4] = [10, 0, 0, 7];
    const SERVER: [u8; 4] = [203, 0, 113, 7];

    /// A tuple of UDP, without the parts in `without`.
    fn tuple(source: [u8; 4], destination: [u8; 4], without: &[&str]) -> Body {
        let mut ip = Body::default();
        let mut protocol = Body::default();
        let mut whole = Body::default();
        if !without.contains(&"source") {
            ip.put(IP_SOURCE, &source);
        }
        if !without.contains(&"destination") {
            ip.put(IP_DESTINATION, &destination);
        }
        if !without.contains(&"number") {
            protocol.put(PROTOCOL_NUMBER, &[17]);
            protocol.put(2, &4000_u16.to_be_bytes());
            protocol.put(3, &53_u16.to_be_bytes());
        }
        if !without.contains(&"ip") {
            whole.nest(TUPLE_IP, &ip);
        }
        if !without.contains(&"protocol") {
            whole.nest(TUPLE_PROTOCOL, &protocol);
        }
        whole
    }

    /// An entry of a masqueraded flow with these tuples, and the attributes `more`.
    fn message(original: &Body, reply: &Body, more: &[(u16, &[u8])]) -> Message {
        let mut body = header();
        body.nest(TUPLE_ORIGINAL, original);
        body.nest(TUPLE_REPLY, reply);
        body.put(3, &[0, 0, 1, 0x8e]);
        more.iter().for_each(|(kind, value)| body.put(*kind, value));
        Message { kind: NEW, body: body.into_bytes() }
    }

    fn parse(message: &Message) -> Option<Entry<'_>> {
        Entry::parse(message.kind, &message.body)
    }

    const IDENTITY: (u16, &[u8]) = (ID, &[1, 2, 3, 4]);

    fn outgoing() -> (Body, Body) {
        (tuple(LAN, SERVER, &[]), tuple(SERVER, ROUTER, &[]))
    }

    #[test]
    fn a_delete_names_the_tuple_the_id_and_the_zone() {
        let (original, reply) = outgoing();
        for zone in [None, Some([0, 7])] {
            let zone_attribute = zone.as_ref().map(|zone: &[u8; 2]| (ZONE, &zone[..]));
            let more: Vec<(u16, &[u8])> = [IDENTITY].into_iter().chain(zone_attribute).collect();
            let message = message(&original, &reply, &more);
            let delete = parse(&message).unwrap().delete();
            let mut wanted = header();
            wanted.nest(TUPLE_ORIGINAL, &original);
            wanted.put(ID, &[1, 2, 3, 4]);
            zone.iter().for_each(|zone| wanted.put(ZONE, zone));
            assert_eq!((delete.kind, delete.body), (0x0102, wanted.into_bytes()));
        }
    }

    #[test]
    fn what_lacks_anything_cannot_be_deleted() {
        let (original, reply) = outgoing();
        let whole = message(&original, &reply, &[IDENTITY]);
        assert!(parse(&whole).is_some());
        for part in ["source", "destination", "number", "ip", "protocol"] {
            let hollow = tuple(LAN, SERVER, &[part]);
            assert_eq!(parse(&message(&hollow, &reply, &[IDENTITY])), None, "no {part} in the original");
            let hollow = tuple(SERVER, ROUTER, &[part]);
            assert_eq!(parse(&message(&original, &hollow, &[IDENTITY])), None, "no {part} in the reply");
        }
        let mut long = tuple(LAN, SERVER, &[]);
        long.put(9, &[0; LONGEST_TUPLE]);
        for (odd, why) in [
            (message(&original, &reply, &[]), "no id"),
            (message(&original, &reply, &[(ID, &[1, 2])]), "half an id"),
            (message(&original, &reply, &[IDENTITY, (ZONE, &[1])]), "half a zone"),
            (message(&Body::default(), &reply, &[IDENTITY]), "an empty tuple"),
            (message(&original, &Body::default(), &[IDENTITY]), "an empty reply"),
            (message(&long, &reply, &[IDENTITY]), "a tuple beyond all measure"),
            (Message { kind: NEW, body: header().into_bytes() }, "no attributes"),
            (Message { kind: NEW, body: vec![] }, "nothing"),
            (Message { kind: GET, ..whole.clone() }, "another kind of message"),
            (Message { body: [&[10], &whole.body[1..]].concat(), ..whole.clone() }, "IPv6"),
        ] {
            assert_eq!(parse(&odd), None, "{why}");
        }
    }

    #[test]
    fn cut_and_bent_bytes_never_make_a_delete_without_tuple() {
        let (original, reply) = outgoing();
        let whole = message(&original, &reply, &[IDENTITY, (ZONE, &[0, 7])]);
        for at in 0..whole.body.len() {
            let cut = Message { body: whole.body[..at].to_vec(), ..whole.clone() };
            let bent = (0..8).map(|bit| {
                let mut body = whole.body.clone();
                body[at] ^= 1 << bit;
                Message { body, ..whole.clone() }
            });
            for message in bent.chain([cut]) {
                let Some(delete) = parse(&message).map(|entry| entry.delete()) else { continue };
                let ([family, version, ..], found) = split::<4>(&delete.body).unwrap();
                assert_eq!((family, version), (INET, 0));
                let tuple = found.iter().find(|it| it.kind == TUPLE_ORIGINAL | NESTED).unwrap();
                assert!(ends(tuple).is_ok() && found.iter().any(|it| it.kind == ID && it.value.len() == 4));
            }
        }
    }

    #[test]
    fn a_delete_by_mark_names_a_mark_that_somebody_has() {
        let seen = |delete: &Message| {
            let (header, found) = split::<4>(&delete.body).unwrap();
            let number = |at: usize| u32::from_be_bytes(found[at].value.try_into().unwrap());
            let ids: Vec<u16> = found.iter().map(|it| it.kind).collect();
            assert_eq!((delete.kind, header, ids), (0x0102, [2, 1, 0, 0], vec![8, 21]));
            (number(0), number(1))
        };
        for (value, mask, there, why) in [
            (0x0100_0000, 0x3f00_0000, true, "a provider's"),
            (0x3f00_0000, 0x3f00_0000, true, "the last one's"),
            (1, 0x3f, true, "the lowest bits"),
            (0, 0x3f00_0000, false, "what nobody has marked"),
            (0, 0, false, "everything"),
            (1, 0, false, "everything"),
            (0x4000_0000, 0x3f00_0000, false, "bits of others alone"),
            (0x4100_0000, 0x3f00_0000, false, "bits of others too"),
        ] {
            let delete = Marked::new(Mark { value, mask }).map(Marked::delete);
            assert_eq!(delete.as_ref().map(seen), there.then_some((value, mask)), "{why}");
        }
        // Bent bits of a mark are another mark or none, never a message without one.
        for bit in 0..64 {
            let bent = (0x0100_0000_3f00_0000_u64 ^ (1 << bit)).to_be_bytes();
            let [value, mask] = [&bent[..4], &bent[4..]].map(|half| u32::from_be_bytes(half.try_into().unwrap()));
            let delete = Marked::new(Mark { value, mask }).map(Marked::delete);
            let whole = delete.as_ref().map(seen);
            assert!(whole.is_none_or(|(value, mask)| value != 0 && mask & value == value), "{bit}");
        }
    }

    #[test]
    fn marks_and_answers_are_read() {
        let (original, reply) = outgoing();
        for (mark, status, want, why) in [
            (&[1, 0, 0, 7][..], &[0, 0, 1, 0x8e][..], (0x0100_0007, true), "both"),
            (&[1, 0, 0], &[0, 0, 0, 2], (0, true), "half a mark is none"),
            (&[0, 0, 0, 1], &[0, 0, 1, 0x8c], (1, false), "not answered yet"),
            (&[0, 0, 0, 1], &[2], (1, false), "half a status"),
        ] {
            let mut body = header();
            body.nest(TUPLE_ORIGINAL, &original);
            body.nest(TUPLE_REPLY, &reply);
            for (id, value) in [(ID, &[1, 2, 3, 4][..]), (MARK, mark), (STATUS, status)] {
                body.put(id, value);
            }
            let message = Message { kind: NEW, body: body.into_bytes() };
            let entry = parse(&message).unwrap();
            assert_eq!((entry.mark, entry.exchange), want, "{why}");
        }
    }

    #[test]
    fn whose_connection_it_is() {
        let router = Ipv4Addr::from(ROUTER);
        let search = Search {
            addresses: vec![Ipv4Addr::new(9, 9, 9, 9), router],
            inside: vec![Network::new(IpAddr::from([10, 0, 0, 1]), 24)],
            own_datagrams: None,
        };
        for (original, reply, needs, why) in [
            ((LAN, SERVER), (SERVER, ROUTER), true, "masqueraded"),
            ((ROUTER, SERVER), (SERVER, ROUTER), true, "the router's own"),
            ((SERVER, ROUTER), (LAN, SERVER), true, "came in, to a forwarded port"),
            ((SERVER, ROUTER), (ROUTER, SERVER), true, "came in, to the router itself"),
            ((LAN, SERVER), (SERVER, [100, 64, 2, 2]), false, "through another provider"),
            ((LAN, SERVER), (SERVER, LAN), false, "without NAT"),
            ((LAN, ROUTER), (ROUTER, LAN), false, "from the LAN, to the router itself"),
            ((LAN, ROUTER), ([10, 0, 0, 9], [10, 0, 0, 1]), false, "from the LAN, to a forwarded port"),
        ] {
            let message = message(&tuple(original.0, original.1, &[]), &tuple(reply.0, reply.1, &[]), &[IDENTITY]);
            let entry = parse(&message).unwrap();
            assert!(!needs || mentions(&message.body, &[router]), "{why}");
            assert_eq!(entry.needs(&search), needs.then_some(1), "{why}");
        }
    }
}
