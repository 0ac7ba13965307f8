//! One option's text to a typed value within its limits.
//!
//! Fed by `load` with the table's kind and the text of the file, or with the table's default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::problem::did_you_mean;
use super::schema::{Kind, MASK_BITS, OptionSpec, TEST_TYPES};
use super::target::{self, is_name};
use super::{AddressMatch, Drain, GatewaySetting, Ports, Required, duration};
use crate::kernel::Network;
use crate::uci;

/// A value of any [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag(bool),
    Duration(Duration),
    Number(u32),
    Required(Required),
    /// A word of the table, a name or free text.
    Text(String),
    Address(IpAddr),
    Gateway(GatewaySetting),
    Network(Network),
    AddressMatch(AddressMatch),
    Ports(Ports),
    Drain(Drain),
}

impl Value {
    /// A number that is the same for equal values, and seldom for others.
    pub(super) fn digest(&self) -> u32 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.bytes().fold(0, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(byte.into())),
            Self::Network(network) | Self::AddressMatch(AddressMatch { network, .. }) => network_digest(*network),
            Self::Ports(Ports { first, last }) => u32::from(*first) << 16 | u32::from(*last),
            _ => 0,
        }
    }
}

/// The same, of a network.
pub(super) fn network_digest(network: Network) -> u32 {
    let IpAddr::V4(address) = network.address else { return 0 };
    u32::from(address).wrapping_add(u32::from(network.prefix).wrapping_mul(0x9e37_79b9))
}

impl OptionSpec {
    /// Whether this option takes `text`, a target that of a test of type `ping`; the error completes a sentence that begins with the
    /// option and the text.
    pub fn accepts(&self, text: &str) -> Result<(), String> {
        if self.kind == Kind::Target {
            return target::read("ping", text).map(|_| ());
        }
        read(self.kind, text).map(|_| ())
    }
}

/// Reads `text`; the error completes a sentence that begins with the option and the text.
pub(super) fn read(kind: Kind, text: &str) -> Result<Value, String> {
    let must = || format!("must be {}", kind.describe());
    match kind {
        Kind::Flag => uci::boolean(text).map(Value::Flag).ok_or_else(must),
        Kind::Duration { min, max } => match duration::read(text) {
            Some(read) if (min..=max).contains(&read) => Ok(Value::Duration(read)),
            Some(_) => Err(must()),
            None => Err("is not a duration (like 5, 0.3, 300ms or 2m)".into()),
        },
        Kind::Number { min, max } => number(text, min, max).map(Value::Number).ok_or_else(must),
        Kind::CountOrAll { .. } if text == "all" => Ok(Value::Required(Required::All)),
        Kind::CountOrAll { max } => {
            number(text, 1, max).map(|count| Value::Required(Required::Count(count))).ok_or_else(must)
        }
        Kind::Mask => mask(text).map(Value::Number).ok_or_else(must),
        Kind::Choice(words) => match words.iter().find(|word| **word == text) {
            Some(word) => Ok(Value::Text((*word).into())),
            None => Err(must() + &did_you_mean(text, words.iter().copied())),
        },
        Kind::TestType if TEST_TYPES.contains(&text) => Ok(Value::Text(text.into())),
        Kind::TestType => Err(must() + &did_you_mean(text, TEST_TYPES.iter().copied())),
        Kind::Name if is_name(text) => Ok(Value::Text(text.trim_end_matches('.').into())),
        Kind::Script if text.starts_with('/') => Ok(Value::Text(text.into())),
        Kind::Name | Kind::Script => Err(must()),
        // What a target may be depends on the type, which may come after it.
        Kind::Text | Kind::Target | Kind::Reference(_) => Ok(Value::Text(text.into())),
        Kind::Interface if text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) => {
            Ok(Value::Text(text.into()))
        }
        Kind::Interface => Err(must()),
        // What the kernel's dev_valid_name() wants: IFNAMSIZ with its zero byte, no slash, no colon, no white space.
        Kind::Device
            if text.len() < 16
                && text != "."
                && text != ".."
                && text.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != ':') =>
        {
            Ok(Value::Text(text.into()))
        }
        Kind::Device => Err("is no device name: 1 to 15 characters, without blanks, '/' and ':'".into()),
        Kind::Gateway if text == "none" => Ok(Value::Gateway(GatewaySetting::None)),
        Kind::Gateway if text.contains(|c: char| !"0123456789abcdefABCDEF:.".contains(c)) => Err(must()),
        Kind::Gateway => machine(text).map(|address| Value::Gateway(GatewaySetting::Address(address))),
        Kind::Address => machine(text).map(Value::Address),
        Kind::Network => network(text).filter(|it| it.prefix > 0).map(Value::Network).ok_or_else(must),
        Kind::AddressMatch => {
            let (negated, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest.trim_start()));
            network(rest).map(|network| Value::AddressMatch(AddressMatch { negated, network })).ok_or_else(must)
        }
        Kind::Ports => ports(text).map(Value::Ports).ok_or_else(must),
        Kind::Protocol => protocol_number(text).map(|it| Value::Number(it.into())).ok_or_else(must),
        Kind::Dscp => dscp(text).map(Value::Number).ok_or_else(must),
        Kind::Drain { .. } if text == "keep" => Ok(Value::Drain(Drain::Keep)),
        Kind::Drain { .. } if text == "cut" => Ok(Value::Drain(Drain::Cut)),
        Kind::Drain { min, max } => match duration::read(text) {
            Some(read) if (min..=max).contains(&read) => Ok(Value::Drain(Drain::After(read))),
            _ => Err(must()),
        },
    }
}

/// An IPv4 network, or an address as a network of its own.
fn network(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let address: Ipv4Addr = address.parse().ok()?;
    let prefix = number(prefix, 0, 32)?;
    Some(Network::new(IpAddr::V4(address), u8::try_from(prefix).ok()?))
}

fn ports(text: &str) -> Option<Ports> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text| number(text, 0, 65_535).and_then(|port| u16::try_from(port).ok());
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(Ports { first, last })
}

/// The names of netfilter's usual suspects (protocol numbers of IANA).
pub(super) const PROTOCOLS: &[(&str, u32)] =
    &[("tcp", 6), ("udp", 17), ("icmp", 1), ("sctp", 132), ("gre", 47), ("esp", 50), ("ah", 51)];

/// The number of a protocol that is named or numbered.
pub fn protocol_number(text: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, it)| *it);
    named.or_else(|| number(text, 0, 255)).and_then(|it| u8::try_from(it).ok())
}

/// RFC 2474 (class selectors), RFC 2597 (assured forwarding), RFC 3246 (expedited forwarding), RFC 8622 (lower effort).
fn dscp(text: &str) -> Option<u32> {
    let class = |from: &str, low, high| text.strip_prefix(from).and_then(|rest| number(rest, low, high));
    match text {
        "ef" => Some(46),
        "le" => Some(1),
        _ => class("cs", 0, 7).map(|class| class * 8).or_else(|| match class("af", 11, 43)? {
            drop if (1..=3).contains(&(drop % 10)) => Some(drop / 10 * 8 + drop % 10 * 2),
            _ => None,
        }),
    }
    .or_else(|| number(text, 0, 63))
}

fn number(text: &str, min: u32, max: u32) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (min..=max).contains(number))
}

fn mask(text: &str) -> Option<u32> {
    let mask = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok()?,
        Some(_) => return None,
        None => number(text, 0, u32::MAX)?,
    };
    let run = mask.checked_shr(mask.trailing_zeros())?;
    (run.trailing_ones() == run.count_ones() && run.count_ones() >= MASK_BITS).then_some(mask)
}

/// An address that a single machine can have.
pub(super) fn machine(text: &str) -> Result<IpAddr, String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err("is an IPv6 address: IPv6 is not built yet".into());
    }
    let Ok(address) = text.parse::<Ipv4Addr>() else {
        return Err("must be an IPv4 address".into());
    };
    let first = address.octets().first().copied().unwrap_or_default();
    if first == 0 || first == 127 || first >= 224 {
        return Err("is not the address of another machine".into());
    }
    Ok(IpAddr::V4(address))
}

#[cfg(test)]
mod tests {
    use super::super::schema::OPTIONS;
    use super::*;

    #[test]
    fn every_default_is_within_its_limits() {
        for spec in OPTIONS.iter().filter(|spec| !spec.default.is_empty()) {
            assert!(read(spec.kind, spec.default).is_ok(), "{}", spec.name);
        }
    }

    #[test]
    fn what_is_refused() {
        let second = Duration::from_secs(1);
        for (kind, text, want) in [
            (Kind::Flag, "TRUE", "must be 1 or 0 (or yes/no, on/off, true/false, enabled/disabled)"),
            (Kind::Duration { min: second, max: second * 60 }, "0", "must be between 1s and 1m"),
            (Kind::Duration { min: second, max: second * 60 }, "soon", "is not a duration (like 5, 0.3, 300ms or 2m)"),
            (Kind::Number { min: 1, max: 9 }, "10", "must be between 1 and 9"),
            (Kind::Number { min: 1, max: 9 }, "+1", "must be between 1 and 9"),
            (Kind::CountOrAll { max: 9 }, "0", "must be between 1 and 9, or 'all'"),
            (Kind::Mask, "0x3d000000", "must be a single run of at least 6 bits, like 0x3f000000"),
            (Kind::Mask, "0x1f", "must be a single run of at least 6 bits, like 0x3f000000"),
            (Kind::Mask, "0", "must be a single run of at least 6 bits, like 0x3f000000"),
            (Kind::Mask, "0x+3f", "must be a single run of at least 6 bits, like 0x3f000000"),
            (Kind::Choice(&["auto", "manual"]), "aut", "must be auto or manual (did you mean 'auto'?)"),
            (Kind::TestType, "pong", "must be ping or tcp or dns or http or arp or exec (did you mean 'ping'?)"),
            (Kind::Name, "a b", "must be a domain name"),
            (Kind::Script, "check.sh", "must be an absolute path"),
            (Kind::Interface, "wan lan", "must be the name of a netifd interface"),
            (Kind::Device, "a/b", "is no device name: 1 to 15 characters, without blanks, '/' and ':'"),
            (Kind::Device, "sixteen-letters-", "is no device name: 1 to 15 characters, without blanks, '/' and ':'"),
            (Kind::Address, "127.0.0.1", "is not the address of another machine"),
            (Kind::Address, "192.168.1.2/24", "must be an IPv4 address"),
            (Kind::Gateway, "fe80::1", "is an IPv6 address: IPv6 is not built yet"),
            (Kind::Gateway, "off", "must be an IPv4 address, or 'none'"),
        ] {
            assert_eq!(read(kind, text), Err(want.into()), "{text}");
        }
    }

    #[test]
    fn masks() {
        for mask in ["0x3f000000", "63", "0xffffffff", "0xFC000000"] {
            assert!(read(Kind::Mask, mask).is_ok(), "{mask}");
        }
    }
}
