//! What should be in the kernel, and the difference to what is: slots, provider tables, rules, routes to networks and to DNS servers, sysctls,
//! takeover.
//!
//! Reads the ranking's order and the kernel's snapshot; `core` sends the changes out and plans again from the next snapshot, so
//! nothing is remembered as installed and a change that was refused or undone by somebody simply comes up again.

mod dns;
mod networks;
mod sysctls;
mod tables;

use std::net::IpAddr;

use crate::event::{MovedRoute, ProviderId, SavedSysctl, State};
use crate::kernel::{
    Hop, IfIndex, Link, Metric, Network, NextHops, Route, RouteChange, RouteKind, RouteOptions, Rule, RulePriority,
    SCOPE_UNIVERSE, Selector, Snapshot, TableId,
};
use crate::order::ordered;
use crate::takeover;
use crate::uplink::Uplink;
use sysctls::{reset_sysctls, set_sysctls};
use tables::{nowhere, rules, table_routes};

/// What should be.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Enabled providers.
    pub members: Vec<Member<'a>>,
    /// Those of `members` (by index) that get a slot, best first.
    pub slots: Vec<usize>,
    /// How many of them, from the first on, share the first slot; below two: none.
    pub shared: usize,
    /// Metric of the first slot.
    pub start_metric: Metric,
    /// Where provider tables begin.
    pub base_table: TableId,
    /// Where our rules begin.
    pub base_priority: RulePriority,
    /// The bits of a packet's mark that name its provider, if connections are marked.
    pub marks: Option<u32>,
    /// Whose marks lead nowhere.
    pub nowhere: Vec<ProviderId>,
    /// Whether foreign default routes on the members' devices are moved away.
    pub takeover: bool,
    /// Foreign routes that a delete of ours hit by mistake.
    pub put_back: &'a [Route],
}

impl Wanted<'_> {
    /// That nothing of ours is there, and everything of others where it was.
    pub const fn nothing() -> Self {
        Self {
            members: vec![],
            slots: vec![],
            shared: 0,
            start_metric: Metric(0),
            base_table: TableId(0),
            base_priority: RulePriority(0),
            marks: None,
            nowhere: vec![],
            takeover: false,
            put_back: &[],
        }
    }
}

/// A provider as the kernel is to know it.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Its number.
    pub id: ProviderId,
    /// Its device, if there is one.
    pub device: Option<IfIndex>,
    /// Its uplink, if it is complete.
    pub uplink: Option<&'a Uplink>,
    /// `option default`: without, it gets no slot.
    pub default: bool,
    /// Its share, where it shares a slot.
    pub weight: u16,
    /// Whether marked connections may leave through it.
    pub carries: bool,
    /// Whether netifd manages its device.
    pub interface: bool,
    /// Whether packets from its address are to leave through it.
    pub source_rule: bool,
    /// Whether it is reliable: only then its DNS servers are reached through it.
    pub reliable: bool,
    /// DNS servers that are to be reached through it, if no provider before it names them too. Of both families, and as they were told.
    pub dns: &'a [IpAddr],
    /// Networks that are to be reached through it, if no provider before it names them too.
    pub networks: &'a [Network],
}

/// The difference, and what must be noted before it is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they keep a default route in main at every moment.
    pub changes: Vec<RouteChange>,
    /// Takeover's order, for the state file.
    pub moved: Vec<MovedRoute>,
    /// Sysctl values found, for the state file.
    pub sysctls: Vec<SavedSysctl>,
    /// The slots' metrics, by member index.
    pub metrics: Vec<(usize, Metric)>,
    /// Foreign routes that go before ours and are left alone.
    pub overridden_by: Vec<Route>,
}

/// Compares what should be with what is.
pub fn plan(wanted: &Wanted<'_>, snapshot: &Snapshot, state: &State) -> Plan {
    let mut plan = Plan { moved: state.moved.clone(), sysctls: state.sysctls.clone(), ..Plan::default() };
    let mut keep: Vec<&Route> = Vec::new();
    let choosing = wanted.members.len() > 1;
    plan.changes.extend(wanted.put_back.iter().cloned().map(RouteChange::Append));

    if choosing {
        for link in wanted.members.iter().filter_map(|member| member.device).filter_map(|device| link(snapshot, device))
        {
            set_sysctls(link, snapshot.all_rp_filter, &mut plan);
        }
    }

    let slots = slot_routes(wanted, snapshot, &mut plan.metrics);
    write_missing(&slots, snapshot, &mut keep, &mut plan.changes);
    // A refused write must not leave main without a default: the old slots go when the kernel shows one of the new ones.
    let replaced = slots.is_empty() || !keep.is_empty();

    // What others have made on the device of a provider that is to carry nothing must not do so when all slots are dead or gone: the way
    // to what is moved is walled up. Not by `unreachable`, which would also end the search of what a rule leads to a provider's own table.
    let taken = choosing && wanted.takeover;
    let walled = taken && wanted.members.iter().any(|member| !member.default);
    if walled {
        let wall = nowhere(RouteKind::Throw, TableId::MAIN, takeover::WALL);
        write_missing(&[wall], snapshot, &mut keep, &mut plan.changes);
    }

    let rules = rules(wanted);
    delete_rules(snapshot, &rules, true, &mut plan.changes);
    write_missing(&table_routes(wanted), snapshot, &mut keep, &mut plan.changes);

    let is_there = |rule: &&Rule| snapshot.rules.iter().any(|seen| same_rule(seen, rule));
    plan.changes.extend(rules.iter().filter(|rule| !is_there(rule)).cloned().map(RouteChange::AddRule));

    let networks = networks::network_routes(wanted);
    write_missing(&networks, snapshot, &mut keep, &mut plan.changes);
    plan.overridden_by.extend(networks::before_ours(&networks, snapshot).cloned());

    let mut hosts = dns::host_routes(wanted, snapshot, plan.metrics.first().map(|(_, metric)| *metric));
    // Where a network always leads, a server in it is reached as well.
    hosts.retain(|host| !networks.iter().any(|it| it.destination.contains(host.destination.address)));
    write_missing(&hosts, snapshot, &mut keep, &mut plan.changes);

    let first = slots.first().map(|it| it.metric);
    let end = if walled { Some(takeover::LAST) } else { slots.last().map(|it| it.metric) };
    let mut in_the_way = Vec::new();
    for route in snapshot.routes.iter().filter(|route| takeover::is_foreign(route)) {
        let member = wanted.members.iter().find(|member| route.device.is_some() && member.device == route.device);
        let moved = |member: &&Member<'_>| {
            end.is_some_and(|end| takeover::is_in_the_way(route, wanted.start_metric, end, member.interface))
        };
        match member.filter(|_| taken).filter(moved) {
            Some(member) => in_the_way.push((member.id, route)),
            None if first.is_some_and(|first| route.metric < first) => plan.overridden_by.push(route.clone()),
            None => {}
        }
    }
    takeover::move_away(&in_the_way, snapshot, &mut plan.moved, &mut plan.changes);
    // A number can pass to another provider, and a provider to another device: what was moved for the one before goes back.
    let is_members = |id: ProviderId, copy: &Route| {
        wanted.members.iter().any(|member| member.id == id && (member.device.is_none() || member.device == copy.device))
    };
    let before = plan.changes.len();
    let stays = |id: ProviderId, copy: &Route| taken && is_members(id, copy);
    takeover::move_back(snapshot, state, stays, &mut plan.changes);
    forget_returned(&mut plan, snapshot, before);

    delete_rules(snapshot, &rules, false, &mut plan.changes);
    delete_ours(snapshot, &keep, replaced, &mut plan.changes);
    let member_devices: Vec<IfIndex> =
        wanted.members.iter().filter(|_| choosing).filter_map(|member| member.device).collect();
    reset_sysctls(snapshot, &mut plan.sysctls, &member_devices, &mut plan.changes);
    plan
}

/// The way back: moved routes return, then everything of ours goes, then the sysctls return. Empty when all is as it was.
pub fn restore(snapshot: &Snapshot, state: &State) -> Plan {
    plan(&Wanted::nothing(), snapshot, state)
}

/// Moved routes whose copy is neither in the kernel nor about to be need no note any more. The copies being written stand in
/// `plan.changes`, those moved back from `before` on.
fn forget_returned(plan: &mut Plan, snapshot: &Snapshot, before: usize) {
    let copies = snapshot.routes.iter().filter(|route| takeover::is_foreign(route)).map(|route| route.metric);
    let written = plan.changes.iter().take(before).filter_map(|change| match change {
        RouteChange::Write(route) | RouteChange::Append(route) => Some(route.metric),
        _ => None,
    });
    let metrics: Vec<Metric> = copies.chain(written).collect();
    plan.moved.retain(|it| metrics.contains(&takeover::moved_metric(it.id, it.metric)));
}

/// Default routes in main, at the lowest metrics that no foreign default route holds: a metric is never written while somebody
/// else's route is there, also not one that takeover is about to move. Those that share the first slot have one of their own behind it
/// all the same: when one of their devices goes, the kernel drops the whole of the route that they share, without a word.
fn slot_routes(wanted: &Wanted<'_>, snapshot: &Snapshot, metrics: &mut Vec<(usize, Metric)>) -> Vec<Route> {
    let held: Vec<Metric> =
        snapshot.routes.iter().filter(|route| takeover::is_foreign(route)).map(|route| route.metric).collect();
    let mut free = (wanted.start_metric.0..).map(Metric).filter(|metric| !held.contains(metric));
    let only_if_none = wanted.members.len() < 2 && !held.is_empty();
    let uplinks = || {
        wanted.slots.iter().enumerate().filter(|_| !only_if_none).filter_map(|(place, &slot)| {
            let member = wanted.members.get(slot).filter(|member| member.default)?;
            Some((place < wanted.shared, slot, member, member.uplink?))
        })
    };
    let sharing: Vec<_> =
        uplinks().filter(|(shares, ..)| *shares).map(|(.., member, uplink)| (member, uplink)).collect();
    let first = if sharing.len() > 1 { free.next() } else { None };
    let mut routes: Vec<Route> = first.and_then(|first| shared_route(sharing, first)).into_iter().collect();
    for (shares, slot, _, uplink) in uplinks() {
        if let Some(metric) = free.next() {
            metrics.push((slot, first.filter(|_| shares).unwrap_or(metric)));
            routes.push(uplink.default_route(TableId::MAIN, metric));
        }
    }
    routes
}

/// The default routes of all that share, as one. Its hops stand in the order of the providers' numbers, whoever is active: the kernel gives
/// each a range of hashes in that order, so that a client finds a server again by the line that it had before an outage.
fn shared_route(sharing: Vec<(&Member<'_>, &Uplink)>, metric: Metric) -> Option<Route> {
    let sharing = ordered(sharing, |(member, _)| member.id);
    let own: Vec<(u16, Route)> =
        sharing.iter().map(|(member, uplink)| (member.weight, uplink.default_route(TableId::MAIN, metric))).collect();
    let (_, first) = own.first()?;
    let options = own.iter().map(|(_, route)| route.options).reduce(RouteOptions::in_common);
    let hop = |(weight, route): &(u16, Route)| {
        Some(Hop { device: route.device?, gateway: route.gateway, onlink: route.onlink, weight: *weight })
    };
    Some(Route {
        scope: SCOPE_UNIVERSE,
        device: None,
        gateway: None,
        // Each packet is to have the address of the device that it leaves by.
        source: None,
        onlink: false,
        next_hops: NextHops::Shared(own.iter().filter_map(hop).collect()),
        options: options.unwrap_or_default(),
        ..first.clone()
    })
}

fn same_rule(seen: &Rule, wanted: &Rule) -> bool {
    (seen.priority, seen.selector, seen.table, seen.suppress_prefix)
        == (wanted.priority, wanted.selector, wanted.table, wanted.suppress_prefix)
}

/// Writes the `wanted` routes that are not the first of ours at their place, and notes in `keep` those that are.
fn write_missing<'a>(
    wanted: &[Route],
    snapshot: &'a Snapshot,
    keep: &mut Vec<&'a Route>,
    changes: &mut Vec<RouteChange>,
) {
    for route in wanted {
        let mut there = snapshot.routes.iter().filter(|seen| seen.is_ours() && same_place(seen, route));
        let first = there.clone().next();
        match (first, there.find(|seen| *seen == route)) {
            // REPLACE would answer EEXIST where it stands behind another: those before it are deleted as not wanted.
            (_, Some(exact)) => keep.push(exact),
            // It is swapped in place, not deleted afterwards.
            (Some(first), None) => {
                keep.push(first);
                changes.push(RouteChange::Write(route.clone()));
            }
            // Not REPLACE: somebody's route may have come there since the dump.
            (None, None) => changes.push(RouteChange::Append(route.clone())),
        }
    }
}

/// The kernel's key of a route.
fn same_place(a: &Route, b: &Route) -> bool {
    (a.table, a.destination, a.metric, a.tos) == (b.table, b.destination, b.metric, b.tos)
}

/// Deletes rules that are ours and not wanted, those for marks or the others.
fn delete_rules(snapshot: &Snapshot, rules: &[Rule], marks: bool, changes: &mut Vec<RouteChange>) {
    let is_second = |at: usize, seen: &Rule| snapshot.rules.iter().take(at).any(|before| same_rule(before, seen));
    let unwanted = snapshot
        .rules
        .iter()
        .enumerate()
        .filter(|(_, seen)| matches!(seen.selector, Some(Selector::Mark(_))) == marks)
        .filter(|(at, seen)| !rules.iter().any(|rule| same_rule(seen, rule)) || is_second(*at, seen));
    changes.extend(unwanted.map(|(_, rule)| RouteChange::DeleteRule(rule.clone())));
}

/// Deletes routes that are ours and not wanted, slots only if they are `replaced`.
fn delete_ours(snapshot: &Snapshot, keep: &[&Route], replaced: bool, changes: &mut Vec<RouteChange>) {
    let is_kept = |route: &Route| keep.iter().any(|kept| std::ptr::eq(*kept, route));
    let unwanted = snapshot.routes.iter().filter(|route| route.is_ours() && !is_kept(route));
    changes.extend(unwanted.filter(|route| replaced || !route.is_main_default()).cloned().map(RouteChange::Delete));
}

fn link(snapshot: &Snapshot, index: IfIndex) -> Option<&Link> {
    snapshot.links.iter().find(|link| link.index == index)
}

#[cfg(test)]
mod tests;
