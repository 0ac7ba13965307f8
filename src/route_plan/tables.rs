//! A provider's own routing table, and the rules that lead there.
//!
//! Called by `route_plan`.

use super::Wanted;
use crate::event::ProviderId;
use crate::kernel::{
    Mark, Metric, Network, NextHops, PROTOCOL, Route, RouteKind, RouteOptions, Rule, RulePriority, SCOPE_UNIVERSE,
    Selector, TableId,
};
use crate::provider::NOWHERE;
use crate::uplink::table_of;

/// Priorities of `oif` rules begin here above `base_priority`, two per provider.
const OIF_RULES: u32 = 0;
/// Priorities of `fwmark` rules begin here above `base_priority`.
const MARK_RULES: u32 = 200;
/// Priorities of `from` rules begin here above `base_priority`.
const SOURCE_RULES: u32 = 400;

/// All tables: of each provider its network, its default route, and a last word for what looks there without a device; nothing but that
/// word for what is to go nowhere.
pub(super) fn table_routes(wanted: &Wanted<'_>) -> Vec<Route> {
    let mut routes = Vec::new();
    for member in &wanted.members {
        let table = table_of(wanted.base_table, member.id);
        if let Some(uplink) = member.uplink {
            // The connected network comes first: the kernel checks a gateway against what the table holds.
            routes.extend(uplink.connected_route(table));
            routes.push(uplink.default_route(table, Metric(0)));
        }
        routes.push(nowhere(RouteKind::Unreachable, table, Metric(u32::MAX)));
    }
    if wanted.marks.is_some() {
        // A provider's that is gone lead nowhere only for a moment, of which nobody need be told.
        let kind = |id: ProviderId| if id == NOWHERE { RouteKind::Unreachable } else { RouteKind::Blackhole };
        let word = |id: &ProviderId| nowhere(kind(*id), table_of(wanted.base_table, *id), Metric(u32::MAX));
        routes.extend(wanted.nowhere.iter().map(word));
    }
    routes
}

/// A default route without a device.
pub(super) fn nowhere(kind: RouteKind, table: TableId, metric: Metric) -> Route {
    Route {
        table,
        destination: Network::ANY_V4,
        metric,
        tos: 0,
        protocol: PROTOCOL,
        kind,
        scope: SCOPE_UNIVERSE,
        device: None,
        gateway: None,
        source: None,
        onlink: false,
        next_hops: NextHops::Single,
        options: RouteOptions::default(),
        other: vec![],
    }
}

/// The rules of all members, in pairs: what is more specific than a default route in main, then the provider's table.
pub(super) fn rules(wanted: &Wanted<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut pair = |id: ProviderId, offset: u32, selector: Selector| {
        let first = wanted.base_priority.0.saturating_add(offset).saturating_add(2 * u32::from(id.0));
        let rule = |priority, table, suppress_prefix| Rule {
            priority: RulePriority(priority),
            selector: Some(selector),
            table,
            suppress_prefix,
            raw: vec![],
        };
        rules.push(rule(first, TableId::MAIN, Some(0)));
        rules.push(rule(first.saturating_add(1), table_of(wanted.base_table, id), None));
    };
    for member in &wanted.members {
        if let Some(device) = member.device {
            pair(member.id, OIF_RULES, Selector::OutgoingDevice(device));
        }
        if let Some(uplink) = member.uplink.filter(|_| member.source_rule) {
            let length = if uplink.address.is_ipv4() { 32 } else { 128 };
            pair(member.id, SOURCE_RULES, Selector::Source(Network::new(uplink.address, length)));
        }
    }
    if let Some(mask) = wanted.marks {
        let carrying = wanted.members.iter().filter(|member| member.carries).map(|member| member.id);
        for id in carrying.chain(wanted.nowhere.iter().copied()) {
            let value = u32::from(id.0) << mask.trailing_zeros();
            pair(id, MARK_RULES, Selector::Mark(Mark { value, mask }));
        }
    }
    rules
}
