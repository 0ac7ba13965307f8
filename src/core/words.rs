//! Routes and changes of them in words, for the log and the status.

use super::Core;
use crate::kernel::{IfIndex, Link, NextHops, Route, RouteChange, RouteKind, Rule, Selector, TableId};
use crate::takeover;

/// What is to be done, to complete a sentence. `links` tell the devices' names.
pub fn describe(change: &RouteChange, links: &[Link]) -> String {
    match change {
        RouteChange::Write(route) => format!("write {}", describe_route(route, links)),
        RouteChange::Append(route) => format!("add {}", describe_route(route, links)),
        RouteChange::Delete(route) => format!("delete {}", describe_route(route, links)),
        RouteChange::AddRule(rule) => format!("add ip rule {}", describe_rule(rule, links)),
        RouteChange::DeleteRule(rule) => format!("delete ip rule {}", describe_rule(rule, links)),
        RouteChange::SetSysctl { device, key, value } => {
            format!("set {} of {} to {value}", key.word(), device_name(*device, links))
        }
    }
}

/// `default via 192.168.1.1 dev wan0 metric 2`, in iproute2's words.
pub(super) fn describe_route(route: &Route, links: &[Link]) -> String {
    let mut text = match route.kind {
        RouteKind::Unicast => String::new(),
        RouteKind::Blackhole => "blackhole ".to_owned(),
        RouteKind::Unreachable => "unreachable ".to_owned(),
        RouteKind::Prohibit => "prohibit ".to_owned(),
        RouteKind::Throw => "throw ".to_owned(),
        RouteKind::Other(number) => format!("type {number} "),
    };
    text += &if route.destination.prefix == 0 { "default".to_owned() } else { route.destination.to_string() };
    if let Some(gateway) = route.gateway {
        text += &format!(" via {gateway}");
    }
    if let Some(device) = route.device {
        text += &format!(" dev {}", device_name(device, links));
    }
    if let NextHops::Shared(hops) = &route.next_hops {
        for hop in hops {
            text += " nexthop";
            if let Some(gateway) = hop.gateway {
                text += &format!(" via {gateway}");
            }
            text += &format!(" dev {} weight {}", device_name(hop.device, links), hop.weight);
        }
    }
    if route.table != TableId::MAIN {
        text += &format!(" table {}", route.table.0);
    }
    text += &format!(" metric {}", route.metric.0);
    if let Some((_, original)) = takeover::original_metric(route.metric).filter(|_| !route.is_ours()) {
        text += &format!(" (moved from {})", original.0);
    }
    text
}

/// `7000 oif wan0 lookup 7101`, likewise.
fn describe_rule(rule: &Rule, links: &[Link]) -> String {
    let selector = match rule.selector {
        Some(Selector::OutgoingDevice(device)) => format!(" oif {}", device_name(device, links)),
        Some(Selector::Source(source)) => format!(" from {source}"),
        Some(Selector::Mark(mark)) => format!(" fwmark {:#x}/{:#x}", mark.value, mark.mask),
        None => String::new(),
    };
    format!("{}{selector} lookup {}", rule.priority.0, rule.table.0)
}

pub(super) fn device_name(index: IfIndex, links: &[Link]) -> String {
    let link = links.iter().find(|link| link.index == index);
    link.map_or_else(|| format!("#{}", index.0), |link| link.name.clone())
}

impl Core {
    /// [`describe`] with what the kernel has shown last.
    pub fn describe(&self, change: &RouteChange) -> String {
        describe(change, self.links())
    }

    /// A route in iproute2's words.
    pub(super) fn describe_route(&self, route: &Route) -> String {
        describe_route(route, self.links())
    }

    fn links(&self) -> &[Link] {
        self.snapshot.as_ref().map_or(&[], |snapshot| &snapshot.links)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::kernel::{Hop, Metric, Network, PROTOCOL, RouteOptions, RulePriority, SCOPE_UNIVERSE, Sysctl};

    fn route(table: TableId, metric: u32, kind: RouteKind) -> Route {
        let unicast = kind == RouteKind::Unicast;
        Route {
            table,
            destination: Network::ANY_V4,
            metric: Metric(metric),
            tos: 0,
            protocol: PROTOCOL,
            kind,
            scope: SCOPE_UNIVERSE,
            device: unicast.then_some(IfIndex(7)),
            gateway: unicast.then_some(IpAddr::from([192, 168, 1, 1])),
            source: None,
            onlink: false,
            next_hops: NextHops::Single,
            options: RouteOptions::default(),
            other: vec![],
        }
    }

    fn rule(selector: Option<Selector>) -> Rule {
        Rule { priority: RulePriority(7000), selector, table: TableId(7101), suppress_prefix: None, raw: vec![] }
    }

    #[test]
    fn every_change_has_words() {
        let link = Link {
            index: IfIndex(7),
            name: "wan0".to_owned(),
            up: true,
            carrier: true,
            point_to_point: false,
            rp_filter: 0,
            ignore_linkdown: 0,
        };
        let moved = Route { protocol: 3, ..route(TableId::MAIN, 1_001_000_005, RouteKind::Unicast) };
        let shared = Route {
            device: None,
            gateway: None,
            next_hops: NextHops::Shared(vec![
                Hop { device: IfIndex(7), gateway: Some([192, 168, 1, 1].into()), onlink: false, weight: 3 },
                Hop { device: IfIndex(8), gateway: None, onlink: false, weight: 1 },
            ]),
            ..route(TableId::MAIN, 2, RouteKind::Unicast)
        };
        let source = Selector::Source(Network::new(IpAddr::from([192, 168, 1, 2]), 32));
        for (change, words) in [
            (
                RouteChange::Write(route(TableId::MAIN, 2, RouteKind::Unicast)),
                "write default via 192.168.1.1 dev wan0 metric 2",
            ),
            (
                RouteChange::Write(shared),
                "write default nexthop via 192.168.1.1 dev wan0 weight 3 nexthop dev #8 weight 1 metric 2",
            ),
            (RouteChange::Append(moved), "add default via 192.168.1.1 dev wan0 metric 1001000005 (moved from 5)"),
            (
                RouteChange::Delete(route(TableId(7101), 9, RouteKind::Unreachable)),
                "delete unreachable default table 7101 metric 9",
            ),
            (
                RouteChange::AddRule(rule(Some(Selector::OutgoingDevice(IfIndex(7))))),
                "add ip rule 7000 oif wan0 lookup 7101",
            ),
            (RouteChange::AddRule(rule(Some(source))), "add ip rule 7000 from 192.168.1.2/32 lookup 7101"),
            (RouteChange::DeleteRule(rule(None)), "delete ip rule 7000 lookup 7101"),
            (
                RouteChange::SetSysctl { device: IfIndex(8), key: Sysctl::RpFilter, value: 2 },
                "set rp_filter of #8 to 2",
            ),
        ] {
            assert_eq!(describe(&change, std::slice::from_ref(&link)), words);
        }
    }
}
