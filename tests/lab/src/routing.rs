//! Routes and rules as other programs would write them: netifd, a DHCP client, a person with `ip`. Used by `router.rs`
//! on behalf of tests; nothing in here knows failoverd.

use std::net::Ipv4Addr;

use crate::error::{During, Result};
use crate::message::Request;
use crate::netlink::Netlink;

/// Protocol numbers as /etc/iproute2/rt_protos has them.
pub mod protocol {
    /// `proto kernel`.
    pub const KERNEL: u8 = 2;
    /// `proto boot`: what `ip route add` writes without saying more.
    pub const BOOT: u8 = 3;
    /// `proto static`: netifd's routes.
    pub const STATIC: u8 = 4;
    /// `proto dhcp`.
    pub const DHCP: u8 = 16;
    /// failoverd's own.
    pub const FAILOVERD: u8 = 102;
}

/// Table main.
pub const MAIN: u32 = 254;

/// An IPv4 route. `Route::default_via(..)` and the other constructors fill in what is usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination network; `None` is the default route.
    pub destination: Option<(Ipv4Addr, u8)>,
    /// Gateway.
    pub via: Option<Ipv4Addr>,
    /// Output device.
    pub device: Option<String>,
    /// Preferred source.
    pub source: Option<Ipv4Addr>,
    /// Metric; 0 is sent as no metric at all, which is what the kernel shows for it.
    pub metric: u32,
    /// Routing table.
    pub table: u32,
    /// Who wrote it, see [`protocol`].
    pub protocol: u8,
    /// RTN_UNICAST, RTN_UNREACHABLE, ...
    pub kind: u8,
    /// The gateway needs no connected network.
    pub onlink: bool,
    /// `mtu`, one of the attributes that must survive when a route is moved.
    pub mtu: Option<u32>,
    /// Further next hops (gateway, device) make it a multipath route.
    pub more_hops: Vec<(Ipv4Addr, String)>,
}

impl Route {
    /// `default via GATEWAY dev DEVICE proto boot`, metric 0, table main.
    #[must_use]
    pub fn default_via(gateway: Ipv4Addr, device: &str) -> Route {
        Route { via: Some(gateway), device: Some(device.to_owned()), ..Route::empty() }
    }

    /// `NETWORK/PREFIX dev DEVICE`.
    #[must_use]
    pub fn network(network: Ipv4Addr, prefix: u8, device: &str) -> Route {
        Route { destination: Some((network, prefix)), device: Some(device.to_owned()), ..Route::empty() }
    }

    /// `unreachable default`.
    #[must_use]
    pub fn unreachable() -> Route {
        Route { kind: libc::RTN_UNREACHABLE, ..Route::empty() }
    }

    fn empty() -> Route {
        Route {
            destination: None,
            via: None,
            device: None,
            source: None,
            metric: 0,
            table: MAIN,
            protocol: protocol::BOOT,
            kind: libc::RTN_UNICAST,
            onlink: false,
            mtu: None,
            more_hops: Vec::new(),
        }
    }

    /// The same route at another metric.
    #[must_use]
    pub fn metric(self, metric: u32) -> Route {
        Route { metric, ..self }
    }

    /// The same route in another table.
    #[must_use]
    pub fn table(self, table: u32) -> Route {
        Route { table, ..self }
    }

    /// The same route by another program.
    #[must_use]
    pub fn protocol(self, protocol: u8) -> Route {
        Route { protocol, ..self }
    }

    /// The same route with a preferred source.
    #[must_use]
    pub fn source(self, source: Ipv4Addr) -> Route {
        Route { source: Some(source), ..self }
    }

    /// The same route with its gateway taken as on-link.
    #[must_use]
    pub fn onlink(self) -> Route {
        Route { onlink: true, ..self }
    }

    /// The same route with a greatest packet size.
    #[must_use]
    pub fn mtu(self, mtu: u32) -> Route {
        Route { mtu: Some(mtu), ..self }
    }
}

/// How a route is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteWrite {
    /// Fails if a route of the same destination and metric exists (`ip route add`).
    Add,
    /// Takes the place of the first route of that destination and metric (`ip route replace`, netifd, udhcpc).
    Replace,
    /// Goes behind the routes of the same metric (`ip route append`).
    Append,
    /// Goes before the routes of the same metric (`ip route prepend`).
    Prepend,
    /// Deletes the first match (`ip route del`); metric 0 matches every metric.
    Delete,
}

/// Writes one route.
pub(crate) fn write_route(netlink: &mut Netlink, how: RouteWrite, route: &Route) -> Result<()> {
    let (kind, flags) = match how {
        RouteWrite::Add => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
        RouteWrite::Replace => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE),
        RouteWrite::Append => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_APPEND),
        RouteWrite::Prepend => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE),
        RouteWrite::Delete => (libc::RTM_DELROUTE, 0),
    };
    let (network, prefix) = route.destination.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
    let link_scope = route.kind == libc::RTN_UNICAST && route.via.is_none();
    let scope = match how {
        RouteWrite::Delete => libc::RT_SCOPE_NOWHERE,
        _ if link_scope => libc::RT_SCOPE_LINK,
        _ => libc::RT_SCOPE_UNIVERSE,
    };
    let small_table = u8::try_from(route.table).unwrap_or(0);
    let mut header = vec![libc::AF_INET as u8, prefix, 0, 0, small_table, route.protocol, scope, route.kind];
    let onlink = if route.onlink { RTNH_F_ONLINK } else { 0 };
    header.extend_from_slice(&onlink.to_ne_bytes());
    let mut request = Request::new(kind, flags | libc::NLM_F_ACK).raw(&header).number(libc::RTA_TABLE, route.table);
    if prefix > 0 {
        request = request.attribute(libc::RTA_DST, &network.octets());
    }
    if route.metric > 0 {
        request = request.number(libc::RTA_PRIORITY, route.metric);
    }
    if let Some(source) = route.source {
        request = request.attribute(libc::RTA_PREFSRC, &source.octets());
    }
    if let Some(mtu) = route.mtu {
        // struct rtattr RTAX_MTU inside RTA_METRICS.
        const RTAX_MTU: u16 = 2;
        let header = [8u16.to_ne_bytes(), RTAX_MTU.to_ne_bytes()].concat();
        request = request.attribute(libc::RTA_METRICS, &[header, mtu.to_ne_bytes().to_vec()].concat());
    }
    request =
        if route.more_hops.is_empty() { single_hop(netlink, request, route)? } else { hops(netlink, request, route)? };
    netlink.change(request).during(format!("{how:?} {}", describe(route)))
}

const RTNH_F_ONLINK: u32 = 4;

fn single_hop(netlink: &mut Netlink, mut request: Request, route: &Route) -> Result<Request> {
    if let Some(gateway) = route.via {
        request = request.attribute(libc::RTA_GATEWAY, &gateway.octets());
    }
    if let Some(device) = &route.device {
        request = request.number(libc::RTA_OIF, netlink.require_index(device)?);
    }
    Ok(request)
}

fn hops(netlink: &mut Netlink, request: Request, route: &Route) -> Result<Request> {
    let first = route.via.zip(route.device.clone());
    let mut bytes = Vec::new();
    for (gateway, device) in first.iter().chain(&route.more_hops) {
        // struct rtnexthop, then its gateway.
        bytes.extend_from_slice(&16u16.to_ne_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&netlink.require_index(device)?.to_ne_bytes());
        bytes.extend_from_slice(&8u16.to_ne_bytes());
        bytes.extend_from_slice(&libc::RTA_GATEWAY.to_ne_bytes());
        bytes.extend_from_slice(&gateway.octets());
    }
    Ok(request.attribute(libc::RTA_MULTIPATH, &bytes))
}

fn describe(route: &Route) -> String {
    let mut text = String::from("route ");
    if route.kind == libc::RTN_UNREACHABLE {
        text.push_str("unreachable ");
    }
    match route.destination {
        Some((network, prefix)) => text.push_str(&format!("{network}/{prefix}")),
        None => text.push_str("default"),
    }
    if let Some(gateway) = route.via {
        text.push_str(&format!(" via {gateway}"));
    }
    if let Some(device) = &route.device {
        text.push_str(&format!(" dev {device}"));
    }
    text.push_str(&format!(" metric {} table {} proto {}", route.metric, route.table, route.protocol));
    text
}

/// An IPv4 rule: selectors, then a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Preference; lower is asked first.
    pub priority: u32,
    /// Table looked up.
    pub table: u32,
    /// `from`.
    pub from: Option<(Ipv4Addr, u8)>,
    /// `oif`.
    pub oif: Option<String>,
    /// `iif`.
    pub iif: Option<String>,
    /// `fwmark VALUE/MASK`.
    pub mark: Option<(u32, u32)>,
    /// `suppress_prefixlength`.
    pub suppress_prefix_length: Option<u32>,
    /// Who wrote it.
    pub protocol: u8,
}

/// Adds or deletes one rule.
pub(crate) fn write_rule(netlink: &mut Netlink, add: bool, rule: &Rule) -> Result<()> {
    let (kind, flags) =
        if add { (libc::RTM_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL) } else { (libc::RTM_DELRULE, 0) };
    let (from, prefix) = rule.from.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
    // struct fib_rule_hdr: family, dst_len, src_len, tos, table, two reserved bytes, action (1: to table), flags.
    let small_table = u8::try_from(rule.table).unwrap_or(0);
    let header = [libc::AF_INET as u8, 0, prefix, 0, small_table, 0, 0, 1, 0, 0, 0, 0];
    let mut request = Request::new(kind, flags | libc::NLM_F_ACK)
        .raw(&header)
        .number(fra::TABLE, rule.table)
        .number(fra::PRIORITY, rule.priority);
    if rule.protocol != 0 {
        request = request.attribute(fra::PROTOCOL, &[rule.protocol]);
    }
    if prefix > 0 {
        request = request.attribute(fra::SRC, &from.octets());
    }
    if let Some(device) = &rule.oif {
        request = request.string(fra::OIFNAME, device);
    }
    if let Some(device) = &rule.iif {
        request = request.string(fra::IIFNAME, device);
    }
    if let Some((value, mask)) = rule.mark {
        request = request.number(fra::FWMARK, value).number(fra::FWMASK, mask);
    }
    if let Some(length) = rule.suppress_prefix_length {
        request = request.number(fra::SUPPRESS_PREFIXLEN, length);
    }
    netlink.change(request).during(format!("{} rule {rule:?}", if add { "add" } else { "delete" }))
}

/// FRA_ numbers of linux/fib_rules.h.
mod fra {
    pub(super) const SRC: u16 = 2;
    pub(super) const IIFNAME: u16 = 3;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const FWMARK: u16 = 10;
    pub(super) const SUPPRESS_PREFIXLEN: u16 = 14;
    pub(super) const TABLE: u16 = 15;
    pub(super) const FWMASK: u16 = 16;
    pub(super) const OIFNAME: u16 = 17;
    pub(super) const PROTOCOL: u16 = 21;
}
