//! A provider's own routing table, and the rules that lead there.
//!
//! Called by `route_plan`.

use super::{Member, Wanted};
use crate::kernel::{
    Metric, Network, NextHops, PROTOCOL, Route, RouteKind, RouteOptions, Rule, RulePriority, SCOPE_UNIVERSE, Selector,
    TableId,
};
use crate::uplink::table_of;

/// Priorities of `oif` rules begin here above `base_priority`, two per provider.
const OIF_RULES: u32 = 0;
/// Priorities of `from` rules begin here above `base_priority`; 200 to 399 are kept for `fwmark`.
const SOURCE_RULES: u32 = 400;

/// A provider's table: its network, its default route, and a last word for what looks here without a device.
pub(super) fn table_routes(base: TableId, member: &Member<'_>) -> Vec<Route> {
    let table = table_of(base, member.id);
    let unreachable = Route {
        table,
        destination: Network::ANY_V4,
        metric: Metric(u32::MAX),
        tos: 0,
        protocol: PROTOCOL,
        kind: RouteKind::Unreachable,
        scope: SCOPE_UNIVERSE,
        device: None,
        gateway: None,
        source: None,
        onlink: false,
        next_hops: NextHops::Single,
        options: RouteOptions::default(),
        other: vec![],
    };
    let uplink = member.uplink.into_iter();
    // The connected network comes first: the kernel checks a gateway against what the table holds.
    uplink
        .flat_map(|uplink| uplink.connected_route(table).into_iter().chain([uplink.default_route(table, Metric(0))]))
        .chain([unreachable])
        .collect()
}

/// The rules of all members, in pairs: what is more specific than a default route in main, then the provider's table.
pub(super) fn rules(wanted: &Wanted<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for member in &wanted.members {
        let mut pair = |offset: u32, selector: Selector| {
            let first = wanted.base_priority.0.saturating_add(offset).saturating_add(2 * u32::from(member.id.0));
            let rule = |priority, table, suppress_prefix| Rule {
                priority: RulePriority(priority),
                selector: Some(selector),
                table,
                suppress_prefix,
                raw: vec![],
            };
            rules.push(rule(first, TableId::MAIN, Some(0)));
            rules.push(rule(first.saturating_add(1), table_of(wanted.base_table, member.id), None));
        };
        if let Some(device) = member.device {
            pair(OIF_RULES, Selector::OutgoingDevice(device));
        }
        if let Some(uplink) = member.uplink.filter(|_| member.source_rule) {
            let length = if uplink.address.is_ipv4() { 32 } else { 128 };
            pair(SOURCE_RULES, Selector::Source(Network::new(uplink.address, length)));
        }
    }
    rules
}
