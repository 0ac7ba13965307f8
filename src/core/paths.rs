//! Whether packets bound to a provider's device reach its gateway: the kernel's own look-ups compared with the uplink.
//!
//! Called by `core::kernel` with each plan; what is blocked or clear goes to `provider`, which is probed accordingly.

use super::Core;
use super::checks::invalidate;
use crate::event::Action;
use crate::kernel::{Lookup, Route, RouteKind, Snapshot, TableId};
use crate::moment::Moment;
use crate::provider::{Path, Provider};
use crate::reason::Reason;
use crate::uplink::Uplink;

impl Core {
    /// Compares the kernel's look-ups with every provider's gateway. A wrong answer while changes are under way is no verdict, but
    /// no probe counts across it either. True: something changed.
    pub(super) fn judge_paths(&mut self, now: Moment, settled: bool, out: &mut Vec<Action>) -> bool {
        let Some(snapshot) = &self.snapshot else { return false };
        let mut changed = false;
        let stopping = self.stopping;
        let probed = |it: &&mut Provider| it.settings.enabled && !stopping && it.usable().is_some();
        for provider in self.providers.iter_mut().filter(probed) {
            let path = match judge_path(provider, snapshot) {
                Path::Blocked(_) if !settled => Path::Unknown,
                path => path,
            };
            if path == provider.path {
                continue;
            }
            changed = true;
            match (&provider.path, &path) {
                (Path::Blocked(_), Path::Blocked(_)) => {}
                (Path::Blocked(_), _) => provider.reliability.distrust(),
                (_, Path::Blocked(reason)) => provider.link_lost(now, reason.clone()),
                _ => {}
            }
            if path != Path::Clear {
                invalidate(provider, &mut self.random, out);
            } else if provider.last_begin.is_some() {
                provider.check_now = true;
            }
            provider.path = path;
        }
        changed
    }
}

/// What the kernel says about the way to a provider's targets.
fn judge_path(provider: &Provider, snapshot: &Snapshot) -> Path {
    let Some(uplink) = provider.usable() else { return Path::Unknown };
    for question in provider.lookups() {
        let Some(lookup) = snapshot.lookups.iter().find(|lookup| lookup.question == question) else {
            return Path::Unknown;
        };
        if let Some(cause) = obstacle(lookup, uplink, snapshot) {
            return Path::Blocked(Reason::Blocked { target: question.target, cause });
        }
    }
    Path::Clear
}

/// What stands between the uplink and a target, if anything does. Without a route the kernel takes the target for a neighbour.
fn obstacle(lookup: &Lookup, uplink: &Uplink, snapshot: &Snapshot) -> Option<String> {
    let target = lookup.question.target;
    let answer = match &lookup.answer {
        Ok(answer) => answer,
        Err(cause) => return Some(cause.clone()),
    };
    let neighbour =
        snapshot.addresses.iter().any(|address| address.device == uplink.device && address.network().contains(target));
    let right = answer.device == Some(uplink.device)
        && (answer.gateway == uplink.gateway || (neighbour && answer.gateway.is_none()));
    if right {
        return None;
    }
    let refusing = |route: &&Route| {
        route.table == TableId::MAIN
            && !route.is_ours()
            && route.kind != RouteKind::Unicast
            && route.destination.contains(target)
    };
    let culprit = snapshot.routes.iter().filter(refusing).max_by_key(|route| route.destination.prefix);
    Some(match (culprit, answer.gateway) {
        (Some(route), _) => format!("another program's route to {} is in the way", route.destination),
        (None, Some(gateway)) => format!("the kernel would use {gateway}"),
        (None, None) => "the kernel has no route there and would look for it among its neighbours".to_owned(),
    })
}
