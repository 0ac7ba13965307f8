//! Which rule means a packet: the first that fits it, as the chains of nftables have it.
//!
//! Reads the settings' rules; asked by `core::route`, which answers for them in words. What is loaded into nftables is `filter`'s.

use std::net::{IpAddr, Ipv4Addr};

use crate::settings::{AddressMatch, Ports, RuleSettings};
use crate::ubus_call::Packet;

/// Where ports are asked for and no protocol is: tcp and udp.
const TCP_AND_UDP: [u8; 2] = [6, 17];

/// The first enabled rule that means the packet. `device` is the name of the one that it comes in by, if that is known; `local`: the
/// router itself sends it. What is not known of the packet fits only rules that do not ask for it; its DSCP is taken for 0.
pub fn find<'a>(
    rules: &'a [RuleSettings],
    packet: &Packet,
    device: Option<&str>,
    local: bool,
) -> Option<&'a RuleSettings> {
    rules.iter().find(|rule| {
        rule.enabled
            && (rule.local || !local)
            && address(&rule.source, packet.source)
            && address(&rule.destination, packet.destination)
            && protocol(rule, packet.protocol)
            && rule.source_ports.is_empty()
            && port(&rule.destination_ports, packet.port)
            && (rule.devices.is_empty() || device.is_some_and(|name| rule.devices.iter().any(|it| it == name)))
            && (rule.dscp.is_empty() || rule.dscp.contains(&0))
    })
}

fn address(asked: &[AddressMatch], address: Ipv4Addr) -> bool {
    let mut wanted = asked.iter().filter(|it| !it.negated).peekable();
    let fits = |it: &AddressMatch| it.network.contains(IpAddr::V4(address));
    (wanted.peek().is_none() || wanted.any(fits)) && !asked.iter().any(|it| it.negated && fits(it))
}

fn protocol(rule: &RuleSettings, protocol: Option<u8>) -> bool {
    let asked = match rule.protocols.as_slice() {
        [] if rule.source_ports.is_empty() && rule.destination_ports.is_empty() => return true,
        [] => &TCP_AND_UDP,
        asked => asked,
    };
    protocol.is_some_and(|it| asked.contains(&it))
}

fn port(asked: &[Ports], port: Option<u16>) -> bool {
    asked.is_empty() || port.is_some_and(|port| asked.iter().any(|it| (it.first..=it.last).contains(&port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Network;
    use crate::settings::Fallback;

    fn rules(text: &str) -> Vec<RuleSettings> {
        let text = format!("config provider p\noption device eth0\n{text}");
        crate::settings::parse("failover", text.as_bytes()).unwrap().settings.rules
    }

    fn packet(source: &str, destination: &str, protocol: Option<u8>, port: Option<u16>) -> Packet {
        Packet { source: source.parse().unwrap(), destination: destination.parse().unwrap(), protocol, port }
    }

    #[test]
    fn which_one_means_it() {
        let rules = rules(
            "config rule off\nlist use p\noption enabled 0\n\
             config rule voip\nlist use p\noption src 192.168.1.0/24\noption dest '!192.0.2.9'\nlist proto udp\noption dest_port 5060-5061\n\
             config rule web\nlist use p\noption dest_port 443\n\
             config rule guests\nlist use p\noption device br-guest\n\
             config rule marked\nlist use p\noption dscp ef\n\
             config rule from\nlist use p\noption src_port 500\n\
             config rule vpn\nlist use p\noption dest 198.51.100.0/24\noption local 1\n\
             config rule icmp\nlist use p\noption proto icmp\noption src '10.0.0.0/8 !10.1.0.0/16'\n",
        );
        let lan = "192.168.1.20";
        let (udp, tcp, icmp) = (Some(17), Some(6), Some(1));
        for (packet, device, local, want, why) in [
            (packet(lan, "192.0.2.1", udp, Some(5060)), None, false, Some("voip"), "all of it fits"),
            (packet(lan, "192.0.2.1", udp, Some(5061)), None, false, Some("voip"), "to the end of the range"),
            (packet(lan, "192.0.2.1", udp, Some(5062)), None, false, None, "and no further"),
            (packet(lan, "192.0.2.9", udp, Some(5060)), None, false, None, "a destination left out"),
            (packet("192.168.2.20", "192.0.2.1", udp, Some(5060)), None, false, None, "another source"),
            (packet(lan, "192.0.2.1", udp, None), None, false, None, "a port not told fits no port"),
            (packet(lan, "192.0.2.1", None, Some(5060)), None, false, None, "nor does a protocol"),
            (packet(lan, "192.0.2.1", udp, Some(5060)), None, true, None, "the router's own is not meant"),
            (packet(lan, "192.0.2.1", tcp, Some(443)), None, false, Some("web"), "ports alone: tcp"),
            (packet(lan, "192.0.2.1", udp, Some(443)), None, false, Some("web"), "and udp"),
            (packet(lan, "192.0.2.1", Some(132), Some(443)), None, false, None, "and no other"),
            (packet(lan, "192.0.2.1", None, None), Some("br-guest"), false, Some("guests"), "the device"),
            (packet(lan, "192.0.2.1", None, None), Some("br-lan"), false, None, "another device"),
            (packet(lan, "192.0.2.1", udp, Some(500)), None, false, None, "neither DSCP nor source port is told"),
            (packet(lan, "198.51.100.7", None, None), None, false, Some("vpn"), "whoever sends it"),
            (packet(lan, "198.51.100.7", None, None), None, true, Some("vpn"), "the router too"),
            (packet("10.2.0.1", "192.0.2.1", icmp, None), None, false, Some("icmp"), "in one and not in the other"),
            (packet("10.1.0.1", "192.0.2.1", icmp, None), None, false, None, "in both"),
            (packet("11.1.0.1", "192.0.2.1", icmp, None), None, false, None, "in neither"),
        ] {
            let found = find(&rules, &packet, device, local).map(|rule| rule.name.as_str());
            assert_eq!(found, want, "{why}: {packet:?}");
        }
    }

    /// Addresses, ports and protocols from so few that rules and packets meet.
    fn some_rule() -> impl Strategy<Value = RuleSettings> {
        let addresses = || {
            let one = (any::<bool>(), 0..4_u8, prop::sample::select(vec![0, 30, 31, 32_u8]));
            prop::collection::vec(one, 0..4).prop_map(|all| {
                let network = |last, prefix| Network::new(Ipv4Addr::new(10, 0, 0, last).into(), prefix);
                all.into_iter()
                    .map(|(negated, last, prefix)| AddressMatch { negated, network: network(last, prefix) })
                    .collect()
            })
        };
        let ports = || {
            prop::collection::vec((0..4_u16, 0..3_u16), 0..3)
                .prop_map(|all| all.into_iter().map(|(first, more)| Ports { first, last: first + more }).collect())
        };
        let some = |of: &'static [u8]| prop::collection::vec(prop::sample::select(of), 0..2);
        let devices = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2);
        let flags = (prop::bool::weighted(0.8), any::<bool>());
        (
            addresses(),
            addresses(),
            some(&[1, 6, 17]),
            (prop::option::weighted(0.1, ports()), ports()),
            devices,
            some(&[0, 46]),
            flags,
        )
            .prop_map(|(source, destination, protocols, (from, to), devices, dscp, (enabled, local))| {
                RuleSettings {
                    name: "r".into(),
                    enabled,
                    source,
                    destination,
                    protocols,
                    source_ports: from.unwrap_or_default(),
                    destination_ports: to,
                    devices: devices.into_iter().map(Into::into).collect(),
                    dscp,
                    providers: vec![],
                    fallback: Fallback::Default,
                    local,
                }
            })
    }

    /// The same once more, from the words of the manual: what speaks against a rule.
    fn objections(rule: &RuleSettings, packet: &Packet, device: Option<&str>, local: bool) -> Vec<&'static str> {
        let mut all = vec![];
        let mut object = |when: bool, why| all.extend(when.then_some(why));
        object(!rule.enabled, "it is off");
        object(local && !rule.local, "it is not for the router");
        for (asked, address) in [(&rule.source, packet.source), (&rule.destination, packet.destination)] {
            let mask = |prefix: u8| if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
            let inside = |it: &AddressMatch| {
                let IpAddr::V4(base) = it.network.address else { unreachable!() };
                u32::from(base) & mask(it.network.prefix) == u32::from(address) & mask(it.network.prefix)
            };
            let (out, wanted): (Vec<_>, Vec<_>) = asked.iter().partition(|it| it.negated);
            object(out.into_iter().any(inside), "an address that is left out");
            object(!wanted.is_empty() && !wanted.into_iter().any(inside), "an address that is not named");
        }
        let ports = !rule.source_ports.is_empty() || !rule.destination_ports.is_empty();
        match packet.protocol {
            None => object(ports || !rule.protocols.is_empty(), "it asks for a protocol"),
            Some(it) if rule.protocols.is_empty() => object(ports && it != 6 && it != 17, "no ports"),
            Some(it) => object(!rule.protocols.contains(&it), "another protocol"),
        }
        object(!rule.source_ports.is_empty(), "nobody knows the source port");
        let all_ports: Vec<u16> = rule.destination_ports.iter().flat_map(|it| it.first..=it.last).collect();
        object(!all_ports.is_empty() && !packet.port.is_some_and(|it| all_ports.contains(&it)), "another port");
        object(
            !rule.devices.is_empty() && !device.is_some_and(|it| rule.devices.contains(&it.to_owned())),
            "another device",
        );
        object(!rule.dscp.is_empty() && !rule.dscp.contains(&0), "it asks for a DSCP");
        all
    }

    proptest! {
        #[test]
        fn the_first_against_which_nothing_speaks(
            rules in prop::collection::vec(some_rule(), 0..8),
            (source, destination) in (0..4_u8, 0..4_u8),
            protocol in prop::option::weighted(0.8, prop::sample::select(vec![1, 6, 17_u8])),
            port in prop::option::weighted(0.8, 0..7_u16),
            device in prop::option::of(prop::sample::select(vec!["a", "b", "c"])),
            local in any::<bool>(),
        ) {
            let at = |last| Ipv4Addr::new(10, 0, 0, last);
            let packet = Packet { source: at(source), destination: at(destination), protocol, port };
            let found = find(&rules, &packet, device, local);
            let want = rules.iter().find(|rule| objections(rule, &packet, device, local).is_empty());
            prop_assert_eq!(found.map(std::ptr::from_ref), want.map(std::ptr::from_ref));
        }
    }
}
