//! Takeover: foreign default routes on provider devices, moved out of our way to metrics from a thousand million on, and moved back.
//!
//! Called by `route_plan`. The number alone tells whose a moved route is and where it was, so that a crash loses nothing; the
//! state file only adds the order in which routes of equal metric were moved.

use crate::event::{MovedRoute, ProviderId, State};
use crate::kernel::{
    Metric, NextHops, PROTOCOL_BOOT, PROTOCOL_STATIC, Route, RouteChange, RouteKind, Snapshot, TableId,
};
use crate::order::ordered;
use crate::provider::MAX_ID;

const BASE: u32 = 1_000_000_000;
const PER_PROVIDER: u32 = 1_000_000;

/// The metric before those of all moved routes.
pub const WALL: Metric = Metric(BASE);
/// The highest metric that a route can be moved from.
pub const LAST: Metric = Metric(PER_PROVIDER - 1);

/// Where a default route of provider `id` at metric `old` is moved to. `old` is below one million.
pub const fn moved_metric(id: ProviderId, old: Metric) -> Metric {
    Metric(BASE + (id.0 as u32) * PER_PROVIDER + old.0)
}

/// The provider and the metric before, if `metric` is one that takeover makes.
pub fn original_metric(metric: Metric) -> Option<(ProviderId, Metric)> {
    let offset = metric.0.checked_sub(BASE)?;
    let id = u8::try_from(offset / PER_PROVIDER).ok().filter(|id| (1..=MAX_ID).contains(id))?;
    Some((ProviderId(id), Metric(offset % PER_PROVIDER)))
}

/// Another program's default route that traffic in main follows.
pub fn is_foreign(route: &Route) -> bool {
    route.is_main_default() && !route.is_ours()
}

/// Whether a foreign default route is to be moved, given where slots may `start` and the metric of our last one. Not one that was
/// moved already, and not one that is somebody's deliberate override by hand: typed with a metric that no slot can have. On the device of
/// an `interface` netifd's own is, whatever its metric.
pub fn is_in_the_way(route: &Route, start: Metric, last: Metric, interface: bool) -> bool {
    let by_hand = route.protocol == PROTOCOL_BOOT && route.metric.0 > 0 && route.metric < start;
    let netifds = interface && route.protocol == PROTOCOL_STATIC && route.metric.0 < PER_PROVIDER;
    is_foreign(route)
        && route.kind == RouteKind::Unicast
        && route.next_hops == NextHops::Single
        && (route.metric <= last || netifds)
        && original_metric(route.metric).is_none()
        && !by_hand
}

/// The changes that move `routes` (each with its provider, in the kernel's order) away: first the copies, and the originals of a
/// metric only when a dump shows the copies of all of them. Notes the order in `moved`.
pub fn move_away(
    routes: &[(ProviderId, &Route)],
    snapshot: &Snapshot,
    moved: &mut Vec<MovedRoute>,
    changes: &mut Vec<RouteChange>,
) {
    let copy_of = |id: ProviderId, route: &Route| Route { metric: moved_metric(id, route.metric), ..route.clone() };
    let is_copied = |id: ProviderId, route: &Route| snapshot.routes.contains(&copy_of(id, route));
    let mut metrics: Vec<Metric> = routes.iter().map(|(_, route)| route.metric).collect();
    metrics.dedup();

    let mut written: Vec<Metric> = Vec::new();
    for metric in metrics {
        let group = || routes.iter().copied().filter(|(_, route)| route.metric == metric);
        let all_copied = group().all(|(id, route)| is_copied(id, route));
        let is_staying = |route: &&Route| route.metric == metric && !group().any(|(_, it)| std::ptr::eq(it, *route));
        let beside = snapshot.routes.iter().filter(|route| is_foreign(route)).any(|route| is_staying(&route));
        note_round(metric, &group().map(|(id, _)| id).collect::<Vec<_>>(), all_copied, beside, moved);

        for (id, route) in group() {
            let copy = copy_of(id, route);
            // REPLACE swaps the copy of a route that the owner has replaced, and must not hit one that is still needed.
            let needed =
                |seen: &Route| seen.device != copy.device || group().any(|(id, other)| copy_of(id, other) == *seen);
            let first = snapshot.routes.iter().find(|seen| is_foreign(seen) && seen.metric == copy.metric);
            if is_copied(id, route) {
                continue;
            }
            if written.contains(&copy.metric) || first.is_some_and(needed) {
                changes.push(RouteChange::Append(copy));
            } else {
                written.push(copy.metric);
                changes.push(RouteChange::Write(copy));
            }
        }
        if all_copied {
            // The last one first: after a crash in between, those moved back go behind those still there.
            let originals: Vec<&Route> = group().map(|(_, route)| route).collect();
            changes.extend(originals.into_iter().rev().cloned().map(RouteChange::Delete));
        }
    }
}

/// Notes that the routes of these providers were seen at `metric` at one time, now: later than those noted before, unless they are
/// the ones noted last, or stood beside those.
fn note_round(metric: Metric, ids: &[ProviderId], all_copied: bool, beside: bool, moved: &mut Vec<MovedRoute>) {
    let last = moved.iter().filter(|it| it.metric == metric).map(|it| it.round).max();
    let in_last = |id: ProviderId| moved.iter().any(|it| (it.metric, it.id, Some(it.round)) == (metric, id, last));
    let of_last = || moved.iter().filter(|it| it.metric == metric && Some(it.round) == last);
    let known = ids.iter().all(|id| in_last(*id)) && (all_copied || of_last().all(|it| ids.contains(&it.id)));
    if last.is_some() && known {
        return;
    }
    let joins = last.is_some() && of_last().all(|it| it.beside);
    let round = last.map_or(0, |last| if joins { last } else { last.saturating_add(1) });
    moved.retain(|it| it.metric != metric || !ids.contains(&it.id));
    for &id in ids {
        if !moved.iter().any(|it| (it.id, it.metric) == (id, metric)) {
            moved.push(MovedRoute { id, metric, round, beside });
        }
    }
}

/// The changes that bring moved routes back, except those that are to `stay` (told their provider and themselves). Of routes that had the
/// same metric only those moved last go back, as the kernel had only one then: the others were replaced by it in their owners' eyes.
pub fn move_back(
    snapshot: &Snapshot,
    state: &State,
    stay: impl Fn(ProviderId, &Route) -> bool,
    changes: &mut Vec<RouteChange>,
) {
    let mut copies: Vec<(ProviderId, Metric, usize, Option<u32>, &Route)> = Vec::new();
    for copy in snapshot.routes.iter().filter(|route| is_foreign(route)) {
        let Some((id, metric)) = original_metric(copy.metric) else { continue };
        let entry = state.moved.iter().enumerate().find(|(_, it)| (it.id, it.metric) == (id, metric));
        let (place, round) = entry.map_or((usize::MAX, None), |(place, it)| (place, Some(it.round)));
        copies.push((id, metric, place, round, copy));
    }
    let copies = ordered(copies, |&(id, _, place, ..)| (place, id));

    let mut deletions = Vec::new();
    for &(id, metric, _, round, copy) in copies.iter().filter(|(id, .., copy)| !stay(*id, copy)) {
        let same_metric = || copies.iter().filter(|(_, other, .., copy)| *other == metric && fits(copy, snapshot));
        let last_round = same_metric().map(|(.., round, _)| *round).max().flatten();
        let lowest = same_metric().filter(|(id, .., copy)| !stay(*id, copy)).map(|(id, ..)| *id).min();
        let goes_back = fits(copy, snapshot) && (round == last_round) && (last_round.is_some() || lowest == Some(id));
        let original = Route { metric, ..copy.clone() };
        if goes_back && !snapshot.routes.contains(&original) {
            changes.push(RouteChange::Append(original));
        } else {
            deletions.push(RouteChange::Delete(copy.clone()));
        }
    }
    changes.extend(deletions);
}

/// Whether the kernel would still accept the route: its source address is on the device, its gateway within reach of an address or
/// by a route to it.
pub fn fits(route: &Route, snapshot: &Snapshot) -> bool {
    let mut addresses = snapshot.addresses.iter().filter(|address| Some(address.device) == route.device);
    let source = route.source.is_none_or(|source| addresses.clone().any(|address| address.address == source));
    let mut direct = snapshot.routes.iter().filter(|it| {
        it.table == TableId::MAIN && it.kind == RouteKind::Unicast && it.gateway.is_none() && it.device == route.device
    });
    let gateway = route.gateway.filter(|gateway| gateway.is_ipv4() && !route.onlink && route.device.is_some());
    source
        && gateway.is_none_or(|gateway| {
            addresses.any(|address| address.network().contains(gateway))
                || direct.any(|it| it.destination.contains(gateway))
        })
}
