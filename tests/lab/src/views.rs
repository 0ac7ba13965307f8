//! What the router's kernel holds, as text: the oracle of the tests, made without failoverd's code. Two views taken
//! before and after are equal exactly if the kernel's routes, rules and sysctls are, order included.

use std::fmt::Write;

use crate::error::{During, Result};
use crate::message::{Reply, Request, attributes, number_at, short_at};
use crate::namespace::Namespace;
use crate::netlink::Netlink;

/// Everything at once, one line per object, in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelView {
    /// /proc/net/route, as it is.
    pub proc_route: String,
    /// All IPv4 routes of all tables.
    pub routes: Vec<String>,
    /// All IPv4 rules.
    pub rules: Vec<String>,
    /// `DEVICE.rp_filter = 0` and so on, by device.
    pub sysctls: Vec<String>,
}

impl KernelView {
    /// The lines that are in one view and not in the other, `-` only here, `+` only in `later`.
    #[must_use]
    pub fn difference(&self, later: &KernelView) -> Vec<String> {
        let lines = |view: &KernelView| {
            let route_lines: Vec<String> = view.proc_route.lines().map(str::to_owned).collect();
            [route_lines, view.routes.clone(), view.rules.clone(), view.sysctls.clone()].concat()
        };
        let (before, after) = (lines(self), lines(later));
        let only_before = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
        let only_after = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
        let mut difference: Vec<String> = only_before.chain(only_after).collect();
        if difference.is_empty() && before != after {
            difference.push("the same lines in another order".to_owned());
        }
        difference
    }
}

/// Reads all of it from `namespace`.
pub(crate) fn kernel_view(namespace: &Namespace, netlink: &mut Netlink) -> Result<KernelView> {
    Ok(KernelView {
        proc_route: namespace.proc_net("route")?,
        routes: routes(netlink)?,
        rules: rules(netlink)?,
        sysctls: sysctls(namespace)?,
    })
}

/// All IPv4 routes, one line each.
pub(crate) fn routes(netlink: &mut Netlink) -> Result<Vec<String>> {
    let request = Request::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP).raw(&family_header());
    let replies = netlink.dump(request).during("dump the IPv4 routes")?;
    Ok(replies.iter().filter(|reply| reply.body.first() == Some(&(libc::AF_INET as u8))).map(route_line).collect())
}

/// All IPv4 rules, one line each.
pub(crate) fn rules(netlink: &mut Netlink) -> Result<Vec<String>> {
    let request = Request::new(libc::RTM_GETRULE, libc::NLM_F_DUMP).raw(&family_header());
    let replies = netlink.dump(request).during("dump the IPv4 rules")?;
    Ok(replies.iter().map(rule_line).collect())
}

/// The sysctls failoverd may touch, for every device and for `all` and `default`.
pub(crate) fn sysctls(namespace: &Namespace) -> Result<Vec<String>> {
    namespace.run(|| {
        let base = "/proc/sys/net/ipv4/conf";
        let entries = std::fs::read_dir(base).during(format!("list {base}"))?;
        let mut devices: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        devices.sort();
        let mut lines = Vec::new();
        for device in devices {
            for key in ["rp_filter", "ignore_routes_with_linkdown", "arp_filter", "forwarding"] {
                let path = format!("{base}/{device}/{key}");
                let value = std::fs::read_to_string(&path).during(format!("read {path}"))?;
                lines.push(format!("{device}.{key} = {}", value.trim()));
            }
        }
        Ok(lines)
    })
}

/// struct rtmsg or fib_rule_hdr with nothing but the family.
fn family_header() -> [u8; 12] {
    [libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// `default via 192.168.1.1 oif 5 metric 2 table 254 proto 102 ...`, unknown attributes in hex.
fn route_line(reply: &Reply) -> String {
    let byte = |offset: usize| reply.body.get(offset).copied().unwrap_or(0);
    let flags = number_at(&reply.body, 8).unwrap_or(0);
    let mut line = match byte(7) {
        1 => String::new(),
        2 => "local ".to_owned(),
        3 => "broadcast ".to_owned(),
        7 => "unreachable ".to_owned(),
        kind => format!("type-{kind} "),
    };
    let attributes = reply.attributes(12);
    match attributes.iter().find(|(kind, _)| *kind == libc::RTA_DST) {
        Some((_, network)) => _ = write!(line, "{}/{}", dotted(network), byte(1)),
        None => line.push_str("default"),
    }
    for (kind, value) in &attributes {
        let number = number_at(value, 0).unwrap_or(0);
        _ = match *kind {
            libc::RTA_DST | libc::RTA_CACHEINFO => Ok(()),
            libc::RTA_GATEWAY => write!(line, " via {}", dotted(value)),
            libc::RTA_OIF => write!(line, " oif {number}"),
            libc::RTA_PREFSRC => write!(line, " src {}", dotted(value)),
            libc::RTA_PRIORITY => write!(line, " metric {number}"),
            libc::RTA_TABLE => write!(line, " table {number}"),
            libc::RTA_MULTIPATH => write!(line, " multipath [{}]", hops(value)),
            other => write!(line, " attribute-{other} {}", hex(value)),
        };
    }
    _ = write!(line, " proto {} scope {} tos {} flags {flags:#x}", byte(5), byte(6), byte(3));
    line
}

fn hops(mut bytes: &[u8]) -> String {
    let mut texts = Vec::new();
    while let (Some(length), Some(oif)) = (short_at(bytes, 0), number_at(bytes, 4)) {
        let length = usize::from(length);
        let Some(inner) = bytes.get(8..length) else { break };
        let weight = bytes.get(3).map_or(1, |hops| u16::from(*hops) + 1);
        let gateways: Vec<String> = attributes(inner).iter().map(|(_, value)| dotted(value)).collect();
        texts.push(format!("via {} oif {oif} weight {weight}", gateways.join(" ")));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    texts.join(", ")
}

/// `7001: table 7101 proto 102 oifname wan0 ...`: header bytes, then attributes by number.
fn rule_line(reply: &Reply) -> String {
    let byte = |offset: usize| reply.body.get(offset).copied().unwrap_or(0);
    let attributes = reply.attributes(12);
    let priority = reply.number(12, 6).unwrap_or(0);
    let mut line = format!("{priority}: action {} src_len {} dst_len {} tos {}", byte(7), byte(2), byte(1), byte(3));
    for (kind, value) in attributes {
        let number = number_at(value, 0).unwrap_or(0);
        _ = match kind {
            1 => write!(line, " to {}", dotted(value)),
            2 => write!(line, " from {}", dotted(value)),
            3 => write!(line, " iif {}", text(value)),
            6 => Ok(()),
            10 => write!(line, " fwmark {number:#x}"),
            14 => write!(line, " suppress_prefixlength {}", number as i32),
            15 => write!(line, " lookup {number}"),
            16 => write!(line, " fwmask {number:#x}"),
            17 => write!(line, " oif {}", text(value)),
            21 => write!(line, " proto {}", value.first().copied().unwrap_or(0)),
            other => write!(line, " attribute-{other} {}", hex(value)),
        };
    }
    _ = write!(line, " flags {:#x}", number_at(&reply.body, 8).unwrap_or(0));
    line
}

fn dotted(bytes: &[u8]) -> String {
    match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => std::net::Ipv4Addr::from(octets).to_string(),
        Err(_) => hex(bytes),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
