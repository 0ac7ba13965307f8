//! Devices, addresses and per-device settings as rtnetlink messages, read; the settings also written.

use failoverd::kernel::{Address, IfIndex, Link, Sysctl};

use super::wire::{Attribute, Body, INET, Malformed, split};

/// `RTM_NEWLINK`.
pub(super) const NEW: u16 = 16;
/// `RTM_GETLINK`.
pub(super) const GET: u16 = 18;
/// `RTM_SETLINK`.
pub(super) const SET: u16 = 19;
/// `RTM_GETADDR`.
pub(super) const GET_ADDRESS: u16 = 22;
/// `RTM_NEWNETCONF`.
pub(super) const NEW_CONFIGURATION: u16 = 80;
/// `RTM_GETNETCONF`.
pub(super) const GET_CONFIGURATION: u16 = 82;

// Attributes of links (`IFLA_*` of linux/if_link.h).
const IFNAME: u16 = 3;
const LINK: u16 = 5;
const AF_SPEC: u16 = 26;
const EXT_MASK: u16 = 29;
const CARRIER: u16 = 33;
const LINK_NETNSID: u16 = 37;
/// `IFLA_INET_CONF`, within AF_SPEC and AF_INET.
const INET_CONF: u16 = 1;
/// `RTEXT_FILTER_SKIP_STATS`.
const SKIP_STATISTICS: u32 = 8;

// `IFF_*` of linux/if.h.
const UP: u32 = 1;
const POINT_TO_POINT: u32 = 0x10;

// Attributes of addresses (`IFA_*` of linux/if_addr.h).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

// `NETCONFA_*` of linux/netconf.h.
const NETCONF_IFINDEX: u16 = 1;
const NETCONF_RP_FILTER: u16 = 3;
const ALL_DEVICES: u32 = u32::MAX;

/// How far down a pile of devices the carrier is looked at: VLAN on VLAN on bond is three.
const DEPTH: usize = 8;

/// A device's number of a setting (`IPV4_DEVCONF_*` of linux/ip.h).
fn number(key: Sysctl) -> u16 {
    match key {
        Sysctl::RpFilter => 8,
        Sysctl::IgnoreLinkdown => 29,
    }
}

/// A device and what it sits on.
pub(super) struct Found {
    link: Link,
    lower: Option<IfIndex>,
}

/// A dump request for all devices, or with an index the request for one.
pub(super) fn request(index: Option<IfIndex>) -> Vec<u8> {
    let mut body = Body::new(&header(index.map_or(0, |IfIndex(index)| index)));
    body.put_u32(EXT_MASK, SKIP_STATISTICS);
    body.into_bytes()
}

/// `struct ifinfomsg`: family, type, index, flags, change.
fn header(index: u32) -> [u8; 16] {
    let [a, b, c, d] = index.to_ne_bytes();
    [0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Reads an RTM_NEWLINK.
pub(super) fn parse(body: &[u8]) -> Result<Found, Malformed> {
    let ([_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, _, _, _, _], attributes) = split(body)?;
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let mut link = Link {
        index: IfIndex(u32::from_ne_bytes([i0, i1, i2, i3])),
        name: String::new(),
        up: flags & UP != 0,
        carrier: true,
        point_to_point: flags & POINT_TO_POINT != 0,
        rp_filter: 0,
        ignore_linkdown: 0,
    };
    let mut lower = None;
    let mut elsewhere = false;
    for attribute in attributes {
        match attribute.id() {
            IFNAME => link.name = attribute.text(),
            CARRIER => link.carrier = attribute.u8()? != 0,
            LINK => lower = Some(IfIndex(attribute.u32()?)),
            // Then IFLA_LINK is an index in another namespace, and means nothing here.
            LINK_NETNSID => elsewhere = true,
            AF_SPEC => {
                if let Some(values) = inet_conf(&attribute)? {
                    link.rp_filter = setting(values, Sysctl::RpFilter);
                    link.ignore_linkdown = setting(values, Sysctl::IgnoreLinkdown);
                }
            }
            _ => {}
        }
    }
    Ok(Found { link, lower: lower.filter(|lower| !elsewhere && lower.0 != 0) })
}

/// The array of IPv4 settings within AF_SPEC; a device without IPv4 has none.
fn inet_conf<'a>(af_spec: &Attribute<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    for family in af_spec.nested()? {
        if family.id() == u16::from(INET) {
            return Ok(family.nested()?.iter().find(|inner| inner.id() == INET_CONF).map(|inner| inner.value));
        }
    }
    Ok(None)
}

/// One value of the array, which the kernel indexes by number - 1.
fn setting(values: &[u8], key: Sysctl) -> u32 {
    let at = usize::from(number(key) - 1) * 4;
    values.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// All devices, each with the carrier of what it sits on taken into account.
pub(super) fn settle(found: Vec<Found>) -> Vec<Link> {
    let below: Vec<_> =
        found.iter().map(|found| (found.link.index, found.link.up && found.link.carrier, found.lower)).collect();
    found
        .into_iter()
        .map(|Found { mut link, mut lower }| {
            for _ in 0..DEPTH {
                let known = |lower| below.iter().find(|(index, ..)| *index == lower);
                let Some((_, carries, next)) = lower.and_then(known) else { break };
                link.carrier &= carries;
                lower = *next;
            }
            link
        })
        .collect()
}

/// One device alone, without what it sits on.
pub(super) fn single(found: Found) -> Link {
    found.link
}

/// A dump request for all IPv4 addresses.
pub(super) fn address_request() -> Vec<u8> {
    vec![INET, 0, 0, 0, 0, 0, 0, 0]
}

/// Reads an RTM_NEWADDR (`struct ifaddrmsg`: family, prefix, flags, scope, index).
pub(super) fn parse_address(body: &[u8]) -> Result<Address, Malformed> {
    let ([_, prefix, _, scope, i0, i1, i2, i3], attributes) = split(body)?;
    let (mut local, mut peer) = (None, None);
    for attribute in attributes {
        match attribute.id() {
            IFA_LOCAL => local = Some(attribute.address()?),
            IFA_ADDRESS => peer = Some(attribute.address()?),
            _ => {}
        }
    }
    let address = local.or(peer).ok_or(Malformed)?;
    Ok(Address {
        device: IfIndex(u32::from_ne_bytes([i0, i1, i2, i3])),
        address,
        peer: peer.unwrap_or(address),
        prefix,
        scope,
    })
}

/// The question for `net.ipv4.conf.all.*` (`struct netconfmsg`: family, padded).
pub(super) fn configuration_request() -> Vec<u8> {
    let mut body = Body::new(&[INET, 0, 0, 0]);
    body.put_u32(NETCONF_IFINDEX, ALL_DEVICES);
    body.into_bytes()
}

/// `rp_filter` from an RTM_NEWNETCONF.
pub(super) fn parse_rp_filter(body: &[u8]) -> Result<u32, Malformed> {
    let ([_family, _, _, _], attributes) = split(body)?;
    attributes.iter().find(|attribute| attribute.id() == NETCONF_RP_FILTER).ok_or(Malformed)?.u32()
}

/// The wish to set a device's value, with zeros written like any other.
pub(super) fn set_request(device: IfIndex, key: Sysctl, value: u32) -> Vec<u8> {
    let (mut values, mut inet, mut families) = (Body::default(), Body::default(), Body::default());
    values.put_u32(number(key), value);
    inet.nest(INET_CONF, &values);
    families.nest(INET.into(), &inet);
    let mut body = Body::new(&header(device.0));
    body.nest(AF_SPEC, &families);
    body.into_bytes()
}

/// A setting's value.
pub(super) fn value(link: &Link, key: Sysctl) -> u32 {
    match key {
        Sysctl::RpFilter => link.rp_filter,
        Sysctl::IgnoreLinkdown => link.ignore_linkdown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(index: u32, carrier: bool, lower: Option<u32>) -> Found {
        let link = Link {
            index: IfIndex(index),
            name: format!("dev{index}"),
            up: true,
            carrier,
            point_to_point: false,
            rp_filter: 0,
            ignore_linkdown: 0,
        };
        Found { link, lower: lower.map(IfIndex) }
    }

    #[test]
    fn a_lower_devices_carrier_counts() {
        for (devices, want, why) in [
            (vec![found(1, true, None), found(2, true, Some(1))], [true, true], "all carry"),
            (vec![found(1, false, None), found(2, true, Some(1))], [false, false], "the lower one does not"),
            (vec![found(1, true, Some(9)), found(2, true, Some(8))], [true, true], "lower ones we cannot see"),
            (vec![found(1, true, Some(2)), found(2, true, Some(1))], [true, true], "a veth pair is no endless pile"),
        ] {
            let carriers: Vec<bool> = settle(devices).iter().map(|link| link.carrier).collect();
            assert_eq!(carriers, want, "{why}");
        }
    }
}
