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
use crate::kernel::{IfIndex, Link, Metric, Network, Route, RouteChange, Rule, RulePriority, Snapshot, TableId};
use crate::takeover;
use crate::uplink::Uplink;
use sysctls::{reset_sysctls, set_sysctls};
use tables::{rules, table_routes};

/// What should be.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Enabled providers.
    pub members: Vec<Member<'a>>,
    /// Those of `members` (by index) that get a slot, best first.
    pub slots: Vec<usize>,
    /// Metric of the first slot.
    pub start_metric: Metric,
    /// Where provider tables begin.
    pub base_table: TableId,
    /// Where our rules begin.
    pub base_priority: RulePriority,
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
            start_metric: Metric(0),
            base_table: TableId(0),
            base_priority: RulePriority(0),
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

    let tables: Vec<Route> = wanted.members.iter().flat_map(|member| table_routes(wanted.base_table, member)).collect();
    write_missing(&tables, snapshot, &mut keep, &mut plan.changes);

    let rules = rules(wanted);
    let is_there = |rule: &&Rule| snapshot.rules.iter().any(|seen| same_rule(seen, rule));
    plan.changes.extend(rules.iter().filter(|rule| !is_there(rule)).cloned().map(RouteChange::AddRule));

    let networks = networks::network_routes(wanted);
    write_missing(&networks, snapshot, &mut keep, &mut plan.changes);
    plan.overridden_by.extend(networks::before_ours(&networks, snapshot).cloned());

    let mut hosts = dns::host_routes(wanted, snapshot, plan.metrics.first().map(|(_, metric)| *metric));
    // Where a network always leads, a server in it is reached as well.
    hosts.retain(|host| !networks.iter().any(|it| it.destination.contains(host.destination.address)));
    write_missing(&hosts, snapshot, &mut keep, &mut plan.changes);

    if let (Some((_, first)), Some((_, last))) = (plan.metrics.first().copied(), plan.metrics.last().copied()) {
        let taken = choosing && wanted.takeover;
        let mut in_the_way = Vec::new();
        for route in snapshot.routes.iter().filter(|route| takeover::is_foreign(route)) {
            let member = wanted.members.iter().find(|member| route.device.is_some() && member.device == route.device);
            match member {
                Some(member)
                    if taken && takeover::is_in_the_way(route, wanted.start_metric, last, member.interface) =>
                {
                    in_the_way.push((member.id, route))
                }
                _ if route.metric < first => plan.overridden_by.push(route.clone()),
                _ => {}
            }
        }
        takeover::move_away(&in_the_way, snapshot, &mut plan.moved, &mut plan.changes);
    }
    // A number can pass to another provider, and a provider to another device: what was moved for the one before goes back.
    let is_members = |id: ProviderId, copy: &Route| {
        wanted.members.iter().any(|member| member.id == id && (member.device.is_none() || member.device == copy.device))
    };
    let before = plan.changes.len();
    let stays = |id: ProviderId, copy: &Route| choosing && wanted.takeover && is_members(id, copy);
    takeover::move_back(snapshot, state, stays, &mut plan.changes);
    forget_returned(&mut plan, snapshot, before);

    delete_ours(snapshot, &keep, &rules, replaced, &mut plan.changes);
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
/// else's route is there, also not one that takeover is about to move.
fn slot_routes(wanted: &Wanted<'_>, snapshot: &Snapshot, metrics: &mut Vec<(usize, Metric)>) -> Vec<Route> {
    let held: Vec<Metric> =
        snapshot.routes.iter().filter(|route| takeover::is_foreign(route)).map(|route| route.metric).collect();
    let mut free = (wanted.start_metric.0..).map(Metric).filter(|metric| !held.contains(metric));
    let only_if_none = wanted.members.len() < 2 && !held.is_empty();
    let mut routes = Vec::new();
    for &slot in wanted.slots.iter().filter(|_| !only_if_none) {
        let uplink = wanted.members.get(slot).and_then(|member| member.uplink);
        if let Some((uplink, metric)) = uplink.zip(free.next()) {
            metrics.push((slot, metric));
            routes.push(uplink.default_route(TableId::MAIN, metric));
        }
    }
    routes
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

/// Deletes what is ours and not wanted, rules before the tables they lead to, and slots only if they are `replaced`.
fn delete_ours(snapshot: &Snapshot, keep: &[&Route], rules: &[Rule], replaced: bool, changes: &mut Vec<RouteChange>) {
    let is_second = |at: usize, seen: &Rule| snapshot.rules.iter().take(at).any(|before| same_rule(before, seen));
    let unwanted_rules = snapshot
        .rules
        .iter()
        .enumerate()
        .filter(|(at, seen)| !rules.iter().any(|rule| same_rule(seen, rule)) || is_second(*at, seen));
    changes.extend(unwanted_rules.map(|(_, rule)| RouteChange::DeleteRule(rule.clone())));
    let is_kept = |route: &Route| keep.iter().any(|kept| std::ptr::eq(*kept, route));
    let unwanted = snapshot.routes.iter().filter(|route| route.is_ours() && !is_kept(route));
    changes.extend(unwanted.filter(|route| replaced || !route.is_main_default()).cloned().map(RouteChange::Delete));
}

fn link(snapshot: &Snapshot, index: IfIndex) -> Option<&Link> {
    snapshot.links.iter().find(|link| link.index == index)
}

#[cfg(test)]
mod tests;
