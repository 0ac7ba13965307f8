//! Routes and look-ups as rtnetlink messages (`struct rtmsg`), read and written.
//!
//! Attributes we have no name for stay bytes, in order, so that a route of somebody else's that is moved away and back is the same
//! route. What is state rather than wish (dead, linkdown, cache info) is left out: the kernel would refuse or misunderstand it.

use std::net::IpAddr;

use failoverd::kernel::{
    Hop, IfIndex, LookupAnswer, LookupQuestion, Metric, Network, NextHops, PROTOCOL, PacketQuestion, RawAttribute,
    Route, RouteKind, RouteOptions, TableId,
};

use super::message::Message;
use super::wire::{Attribute, Body, INET, INET6, Malformed, address, split};

/// `RTM_NEWROUTE`.
pub(super) const NEW: u16 = 24;
/// `RTM_DELROUTE`.
pub(super) const DELETE: u16 = 25;
/// `RTM_GETROUTE`.
pub(super) const GET: u16 = 26;

// Attributes (`RTA_*` of linux/rtnetlink.h).
const DST: u16 = 1;
const SRC: u16 = 2;
const IIF: u16 = 3;
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const PREFSRC: u16 = 7;
const METRICS: u16 = 8;
const MULTIPATH: u16 = 9;
const CACHEINFO: u16 = 12;
const TABLE: u16 = 15;
const MARK: u16 = 16;
const VIA: u16 = 18;
const EXPIRES: u16 = 23;
const PAD: u16 = 24;
const UID: u16 = 25;
const IP_PROTO: u16 = 27;
const DPORT: u16 = 29;
const NH_ID: u16 = 30;

// Within METRICS (`RTAX_*`).
const MTU: u16 = 2;
const ADVMSS: u16 = 8;
const INITCWND: u16 = 11;
const INITRWND: u16 = 14;
const QUICKACK: u16 = 15;

// Protocols (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// `RTNH_F_ONLINK`.
const ONLINK: u8 = 4;
/// `RTNH_F_DEAD | OFFLOAD | LINKDOWN | UNRESOLVED | TRAP`: set by the kernel, not for us to write.
const STATE_FLAGS: u8 = 1 | 8 | 16 | 32 | 64;

/// Reads an RTM_NEWROUTE or RTM_DELROUTE.
pub(super) fn parse(body: &[u8]) -> Result<Route, Malformed> {
    let ([_family, prefix, _src_len, tos, table, protocol, scope, kind, f0, f1, f2, f3], attributes) = split(body)?;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let mut route = Route {
        table: TableId(table.into()),
        destination: Network { prefix, ..Network::ANY_V4 },
        metric: Metric(0),
        tos,
        protocol,
        kind: kind_from(kind),
        scope,
        device: None,
        gateway: None,
        source: None,
        onlink: flags & u32::from(ONLINK) != 0,
        next_hops: NextHops::Single,
        options: RouteOptions::default(),
        other: Vec::new(),
    };
    for attribute in attributes {
        match attribute.id() {
            DST => route.destination.address = attribute.address()?,
            OIF => route.device = Some(IfIndex(attribute.u32()?)),
            GATEWAY => route.gateway = Some(attribute.address()?),
            PRIORITY => route.metric = Metric(attribute.u32()?),
            PREFSRC => route.source = Some(attribute.address()?),
            TABLE => route.table = TableId(attribute.u32()?),
            // struct rtvia: a family, then the address without padding.
            VIA => route.gateway = Some(address(attribute.value.get(2..).ok_or(Malformed)?)?),
            CACHEINFO | EXPIRES | PAD | UID | MARK | IIF => {}
            id => {
                let mut value = attribute.value.to_vec();
                match id {
                    MULTIPATH => {
                        clear_hop_states(&mut value);
                        route.next_hops = match hops(&value) {
                            Some(hops) if protocol == PROTOCOL => {
                                route.next_hops = NextHops::Shared(hops);
                                continue;
                            }
                            _ => NextHops::Multipath,
                        };
                    }
                    METRICS if protocol == PROTOCOL => {
                        if let Some(options) = options(&attribute) {
                            route.options = options;
                            continue;
                        }
                    }
                    NH_ID => route.next_hops = NextHops::Object,
                    _ => {}
                }
                route.other.push(RawAttribute { kind: attribute.kind, value });
            }
        }
    }
    Ok(route)
}

/// Takes the state flags out of a chain of `struct rtnexthop` (length, flags, hops, device, attributes).
fn clear_hop_states(chain: &mut [u8]) {
    let mut rest = chain;
    while let [l0, l1, flags, ..] = rest {
        *flags &= !STATE_FLAGS;
        let length = usize::from(u16::from_ne_bytes([*l0, *l1])).next_multiple_of(4);
        match rest.split_at_mut_checked(length) {
            Some((_, next)) if length > 0 => rest = next,
            _ => return,
        }
    }
}

/// Reads a chain of `struct rtnexthop`; `None` if it holds anything that we do not write.
fn hops(chain: &[u8]) -> Option<Vec<Hop>> {
    let mut rest = chain;
    let mut hops = Vec::new();
    while let [l0, l1, flags, share, d0, d1, d2, d3, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let mut hop = Hop {
            device: IfIndex(u32::from_ne_bytes([d0, d1, d2, d3])),
            gateway: None,
            onlink: flags & ONLINK != 0,
            weight: u16::from(share) + 1,
        };
        let ([], attributes) = split(rest.get(8..length)?).ok()?;
        for attribute in attributes {
            match attribute.id() {
                GATEWAY => hop.gateway = Some(attribute.address().ok()?),
                _ => return None,
            }
        }
        hops.push(hop);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    rest.is_empty().then_some(hops)
}

/// Writes what [`hops`] reads.
fn chain(hops: &[Hop]) -> Vec<u8> {
    let mut chain = Vec::new();
    for hop in hops {
        let mut attributes = Body::default();
        if let Some(gateway) = hop.gateway {
            attributes.put_address(GATEWAY, gateway);
        }
        let attributes = attributes.into_bytes();
        let length = u16::try_from(8 + attributes.len()).unwrap_or(u16::MAX);
        chain.extend(length.to_ne_bytes());
        chain.push(if hop.onlink { ONLINK } else { 0 });
        chain.push(u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX));
        chain.extend(hop.device.0.to_ne_bytes());
        chain.extend(attributes);
    }
    chain
}

/// Reads `RTA_METRICS`; `None` if it holds anything that we do not write.
fn options(metrics: &Attribute<'_>) -> Option<RouteOptions> {
    let mut options = RouteOptions::default();
    for metric in metrics.nested().ok()? {
        let value = metric.u32().ok()?;
        match metric.id() {
            MTU => options.mtu = Some(value),
            ADVMSS => options.advmss = Some(value),
            INITCWND => options.initcwnd = Some(value),
            INITRWND => options.initrwnd = Some(value),
            QUICKACK => options.quickack = Some(value),
            _ => return None,
        }
    }
    Some(options)
}

/// Writes a route, as wish or as key of what to delete.
pub(super) fn emit(route: &Route) -> Vec<u8> {
    let Network { address, prefix } = Network::new(route.destination.address, route.destination.prefix);
    // A table beyond 255 does not fit here; RTA_TABLE has it whole.
    let table = u8::try_from(route.table.0).unwrap_or(0);
    let flags = u32::from(if route.onlink { ONLINK } else { 0 }).to_ne_bytes();
    let mut header = vec![INET, prefix, 0, route.tos, table, route.protocol, route.scope, kind_to(route.kind)];
    header.extend(flags);
    let mut body = Body::new(&header);
    if prefix > 0 {
        body.put_address(DST, address);
    }
    body.put_u32(TABLE, route.table.0);
    if route.metric != Metric(0) {
        body.put_u32(PRIORITY, route.metric.0);
    }
    if let Some(source) = route.source {
        body.put_address(PREFSRC, source);
    }
    // A nexthop object brings its own device and gateway, and the kernel refuses both beside it.
    if route.next_hops != NextHops::Object {
        if let Some(IfIndex(device)) = route.device {
            body.put_u32(OIF, device);
        }
        match route.gateway {
            Some(IpAddr::V6(gateway)) => {
                let mut via = INET6.to_ne_bytes().to_vec();
                via.extend(gateway.octets());
                body.put(VIA, &via);
            }
            Some(gateway) => body.put_address(GATEWAY, gateway),
            None => {}
        }
    }
    if let NextHops::Shared(hops) = &route.next_hops {
        body.put(MULTIPATH, &chain(hops));
    }
    if route.options != RouteOptions::default() {
        let RouteOptions { mtu, advmss, initcwnd, initrwnd, quickack } = route.options;
        let mut metrics = Body::default();
        for (id, value) in
            [(MTU, mtu), (ADVMSS, advmss), (INITCWND, initcwnd), (INITRWND, initrwnd), (QUICKACK, quickack)]
        {
            value.into_iter().for_each(|value| metrics.put_u32(id, value));
        }
        body.nest(METRICS, &metrics);
    }
    for RawAttribute { kind, value } in &route.other {
        body.put(*kind, value);
    }
    body.into_bytes()
}

/// A dump request; the strict check of our socket makes table and protocol filters. Zero means all.
pub(super) fn dump_request(table: u8, protocol: u8) -> Vec<u8> {
    vec![INET, 0, 0, 0, table, protocol, 0, 0, 0, 0, 0, 0]
}

/// The question where a packet for `target` goes that must leave by `device`.
pub(super) fn lookup_request(question: &LookupQuestion) -> Vec<u8> {
    let mut body = Body::new(&[INET, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    body.put_address(DST, question.target);
    body.put_u32(OIF, question.device.0);
    body.into_bytes()
}

/// The question where the first packet of a connection goes.
pub(super) fn packet_request(question: &PacketQuestion) -> Vec<u8> {
    let source_prefix = if question.source.is_some() { 32 } else { 0 };
    let mut body = Body::new(&[INET, 32, source_prefix, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    body.put_address(DST, question.destination);
    if let Some(source) = question.source {
        body.put_address(SRC, source);
    }
    if let Some(IfIndex(device)) = question.incoming {
        body.put_u32(IIF, device);
    }
    if question.mark != 0 {
        body.put_u32(MARK, question.mark);
    }
    // The kernel takes no other protocol here (rtm_getroute_parse_ip_proto), and a port only with one that has ports.
    if let Some(protocol) = question.protocol.filter(|it| [ICMP, TCP, UDP].contains(it)) {
        body.put(IP_PROTO, &[protocol]);
        if let Some(port) = question.port.filter(|port| *port > 0 && protocol != ICMP) {
            body.put(DPORT, &port.to_be_bytes());
        }
    }
    body.into_bytes()
}

/// The answer to [`lookup_request`] and [`packet_request`].
pub(super) fn lookup_answer(messages: &[Message]) -> Result<LookupAnswer, Malformed> {
    let message = messages.iter().find(|message| message.kind == NEW).ok_or(Malformed)?;
    let route = parse(&message.body)?;
    Ok(LookupAnswer { device: route.device, gateway: route.gateway })
}

/// `RTN_*` of linux/rtnetlink.h.
fn kind_from(number: u8) -> RouteKind {
    match number {
        1 => RouteKind::Unicast,
        6 => RouteKind::Blackhole,
        7 => RouteKind::Unreachable,
        8 => RouteKind::Prohibit,
        9 => RouteKind::Throw,
        other => RouteKind::Other(other),
    }
}

fn kind_to(kind: RouteKind) -> u8 {
    match kind {
        RouteKind::Unicast => 1,
        RouteKind::Blackhole => 6,
        RouteKind::Unreachable => 7,
        RouteKind::Prohibit => 8,
        RouteKind::Throw => 9,
        RouteKind::Other(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_survives_writing_and_reading() {
        for gateway in ["192.168.1.1", "fe80::1"] {
            let route = Route {
                table: TableId(7101),
                destination: Network::ANY_V4,
                metric: Metric(1_001_000_000),
                tos: 0,
                protocol: 4,
                kind: RouteKind::Unicast,
                scope: 0,
                device: Some(IfIndex(7)),
                gateway: Some(gateway.parse().unwrap()),
                source: Some("192.168.1.2".parse().unwrap()),
                onlink: true,
                next_hops: NextHops::Single,
                options: RouteOptions::default(),
                other: vec![RawAttribute { kind: 8 | 0x8000, value: vec![8, 0, 2, 0, 1, 2, 3, 4] }],
            };
            assert_eq!(parse(&emit(&route)), Ok(route));
        }
    }

    #[test]
    fn a_shared_route_with_options_survives_writing_and_reading() {
        let hop = |device, gateway: Option<&str>, weight| Hop {
            device: IfIndex(device),
            gateway: gateway.map(|it| it.parse().unwrap()),
            onlink: gateway.is_some(),
            weight,
        };
        let hops = vec![hop(7, Some("192.168.1.1"), 1), hop(8, None, 256), hop(9, Some("192.168.1.1"), 3)];
        let options =
            RouteOptions { mtu: Some(1400), initcwnd: Some(20), quickack: Some(1), ..RouteOptions::default() };
        let single = parse(&dump_request(254, PROTOCOL)).unwrap();
        let route = Route { next_hops: NextHops::Shared(hops), options, ..single };
        assert_eq!(parse(&emit(&route)), Ok(route.clone()), "ours is understood");
        let theirs = parse(&emit(&Route { protocol: 4, ..route.clone() })).unwrap();
        assert_eq!(
            (&theirs.next_hops, theirs.other.len()),
            (&NextHops::Multipath, 2),
            "somebody else's is carried along"
        );
        assert_eq!(emit(&theirs)[12..], emit(&Route { protocol: 4, ..route })[12..]);
    }

    #[test]
    fn state_flags_are_not_wishes() {
        let mut hop = vec![0, 0, STATE_FLAGS | ONLINK, 0, 7, 0, 0, 0];
        hop[..2].copy_from_slice(&8_u16.to_ne_bytes());
        let mut chain = [hop.clone(), hop].concat();
        clear_hop_states(&mut chain);
        assert_eq!((chain[2], chain[10]), (ONLINK, ONLINK), "of every hop");
        clear_hop_states(&mut [0, 0, 1, 0]);
        clear_hop_states(&mut [255, 255, 1]);
    }

    #[test]
    fn truncated_messages_are_refused() {
        let whole = emit(&parse(&dump_request(254, 3)).unwrap());
        for length in 0..12 {
            assert_eq!(parse(&whole[..length]), Err(Malformed), "cut at {length}");
        }
    }
}
