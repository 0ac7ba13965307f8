//! The two sysctls of provider devices: set while they are in use, with the values found noted, and given back.
//!
//! Called by `route_plan`.

use super::{Plan, link};
use crate::event::SavedSysctl;
use crate::kernel::{IfIndex, Link, RouteChange, Snapshot, Sysctl};

/// Dead links must not attract traffic, and replies must come in whichever provider main prefers.
pub(super) fn set_sysctls(link: &Link, all_rp_filter: u32, plan: &mut Plan) {
    let mut set = |key, found: u32, value: u32| {
        if !plan.sysctls.iter().any(|saved| saved.index == link.index && saved.key == key) {
            plan.sysctls.push(SavedSysctl { device: link.name.clone(), index: link.index, key, value: found });
        }
        plan.changes.push(RouteChange::SetSysctl { device: link.index, key, value });
    };
    if link.ignore_linkdown != 1 {
        set(Sysctl::IgnoreLinkdown, link.ignore_linkdown, 1);
    }
    // The effective value is the greater one (ip-sysctl: rp_filter).
    if link.rp_filter.max(all_rp_filter) == 1 {
        set(Sysctl::RpFilter, link.rp_filter, if all_rp_filter == 1 { 2 } else { 0 });
    }
}

/// Gives devices that are no provider's any more their values back, and forgets devices that are gone.
pub(super) fn reset_sysctls(
    snapshot: &Snapshot,
    saved: &mut Vec<SavedSysctl>,
    in_use: &[IfIndex],
    changes: &mut Vec<RouteChange>,
) {
    saved.retain(|it| {
        let Some(link) = link(snapshot, it.index) else { return false };
        let present = match it.key {
            Sysctl::RpFilter => link.rp_filter,
            Sysctl::IgnoreLinkdown => link.ignore_linkdown,
        };
        if in_use.contains(&it.index) {
            return true;
        }
        if present != it.value {
            changes.push(RouteChange::SetSysctl { device: it.index, key: it.key, value: it.value });
        }
        present != it.value
    });
}
