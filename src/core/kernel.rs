//! The core's dealings with the kernel: what a snapshot says about every uplink, and the changes sent back.
//!
//! Snapshots come from the shell; uplinks go to the probers and the ranking, change lists to the shell.

use std::time::Duration;

use super::checks::close;
use super::{Core, log, netifd};
use crate::event::Action;
use crate::kernel::{Applied, IfIndex, LookupQuestion, Outcome, RouteChange, Snapshot};
use crate::moment::Moment;
use crate::order::ordered;
use crate::provider::{NOWHERE, Path, Provider};
use crate::random::Random;
use crate::reason::Reason;
use crate::route_plan::{Member, Plan, Wanted, plan};
use crate::settings::{Fallback, LogLevel};
use crate::takeover;
use crate::uplink::{Uplink, link_by_name, resolve, source};

/// The kernel's state is read at least this often, whatever the events say.
pub(super) const REFRESH: Duration = Duration::from_secs(60);
/// The pause before a change list that did not take effect is sent again; doubles each time.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// The longest such pause.
const LAST_RETRY: Duration = Duration::from_secs(10);
/// An answer that has not come by then never will; the shell's own time limits are shorter.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// So many different change lists in a second are ordinary work; further ones wait like repeated ones (a rival that undoes each).
/// netifd's taking one interface down and up again is five or six, and a reload of the network does so with all of them at once.
const ORDINARY_ROUNDS: u32 = 40;
/// That second.
const ROUNDS_WITHIN: Duration = Duration::from_secs(1);
/// When stopping, what could not be undone in this time is given up: procd kills after 5 s.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(3);

impl Core {
    pub(super) fn kernel_read(
        &mut self,
        now: Moment,
        snapshot: Snapshot,
        after: u64,
        applied: Vec<Applied>,
        out: &mut Vec<Action>,
    ) {
        for (change, outcome) in applied {
            match outcome {
                Outcome::Done => {}
                Outcome::Refused(cause) => self.refused(&change, &cause, out),
                // What is ours comes back by the plan.
                Outcome::DeletedOther(route) if route.is_ours() || self.put_back.contains(&route) => {}
                Outcome::DeletedOther(route) => self.put_back.push(*route),
            }
        }
        // Read before the last changes were made: what it says of them is out of date.
        if after < self.sequence {
            return;
        }
        self.awaiting = false;
        self.read_at = now;
        self.dirty = true;
        self.marks.seen(after, snapshot.filter);
        // What is there again, or would not be accepted any more, need not be put back.
        self.put_back.retain(|route| takeover::fits(route, &snapshot) && !snapshot.routes.contains(route));
        let first = self.snapshot.is_none();
        if self.snapshot.as_ref().is_some_and(|before| netifd::concerned(before, &snapshot)) {
            self.interfaces_asked = None;
        }
        self.follow_uplinks(now, &snapshot, out);
        if first && self.hold.is_none() {
            self.adopt(now, &snapshot);
        }
        self.snapshot = Some(snapshot);
    }

    /// Resolves every provider's uplink anew. A device is the first provider's that names it, or whose interface is on it.
    pub(super) fn follow_uplinks(&mut self, now: Moment, snapshot: &Snapshot, out: &mut Vec<Action>) {
        let stopping = self.stopping;
        let mut taken: Vec<(String, String)> = Vec::new();
        let mut without = Vec::new();
        for provider in self.providers.iter_mut().filter(|provider| provider.settings.enabled && !stopping) {
            let source = source(&provider.settings, &self.netifd, snapshot).and_then(|source| {
                match taken.iter().find(|(device, _)| *device == source.device) {
                    Some((device, first)) => {
                        Err(Reason::DeviceTaken { device: device.clone(), provider: first.clone() })
                    }
                    None => Ok(source),
                }
            });
            provider.dns_servers.clear();
            match &source {
                Ok(source) => {
                    taken.push((source.device.clone(), provider.settings.name.clone()));
                    provider.device = Some(source.device.clone());
                    provider.dns_servers.extend(source.interface.iter().flat_map(|it| &it.dns_servers));
                }
                Err(_) => without.push(provider.id),
            }
            let base_table = self.settings.base_table;
            let uplink = source.and_then(|it| resolve(&provider.settings, provider.id, base_table, &it, snapshot));
            follow(provider, uplink, now, &mut self.random, out);
        }
        for provider in self.providers.iter_mut().filter(|provider| without.contains(&provider.id)) {
            let others = |device: &String| taken.iter().any(|(taken, _)| taken == device);
            match &provider.device {
                Some(device) if !others(device) => taken.push((device.clone(), provider.settings.name.clone())),
                _ => provider.device = None,
            }
        }
    }

    /// The provider that holds the lowest metric now is where we start from, so that a restart moves nothing. After a stop that may be
    /// another one than before, as of one metric netifd has only its last route in the kernel. Where several share it, all are believed.
    pub(super) fn adopt(&mut self, now: Moment, snapshot: &Snapshot) {
        let defaults = ordered(snapshot.routes.iter().filter(|route| route.is_main_default()), |route| route.metric);
        let on = |device: IfIndex| {
            let mut eligible = self.eligible();
            eligible.find(|it| it.usable().is_some_and(|uplink| uplink.device == device))
        };
        let holders = defaults.iter().map(|route| route.devices().filter_map(on).collect::<Vec<_>>());
        let mut holders = holders.into_iter().find(|holders| !holders.is_empty()).unwrap_or_default();
        if holders.is_empty() {
            let usable = self.eligible().filter(|provider| provider.usable().is_some());
            holders.extend(usable.min_by_key(|provider| provider.settings.priority));
        }
        let noted = holders.iter().find(|it| Some(&it.settings.name) == self.state.active.as_ref());
        let active = noted.or(holders.first()).map(|it| it.id);
        let sharing: Vec<_> = holders.iter().map(|it| (it.id, it.settings.weight)).collect();
        self.active = active;
        self.active_since = now;
        let holds = |it: &Provider| sharing.iter().any(|(id, _)| *id == it.id);
        self.providers.iter_mut().filter(|it| holds(it)).for_each(|it| it.presumed = true);
        // A crash leaves our slots in the kernel, which are newer than what was noted of them.
        let before = self.state.active.as_ref().filter(|_| !defaults.iter().any(|route| route.is_ours()));
        self.providers.iter_mut().filter(|it| Some(&it.settings.name) == before).for_each(Provider::resume);
        self.sharing = if sharing.len() > 1 { sharing } else { vec![] };
    }

    /// Plans from the last snapshot and sends what is missing. True: a provider's path changed, so rank again.
    pub(super) fn make_plan(&mut self, now: Moment, out: &mut Vec<Action>) -> bool {
        if self.awaiting && now.since(self.read_at) >= ANSWER_TIMEOUT {
            out.push(log(
                LogLevel::Warning,
                None,
                "the kernel's state was asked for and not told; asking again".to_owned(),
            ));
            self.ask(now, self.asked.clone(), out);
        }
        let refresh = now.since(self.read_at) >= REFRESH;
        let retry = self.retry_at.is_some_and(|at| at <= now);
        let Some(snapshot) = self.snapshot.as_ref().filter(|_| !self.awaiting && (self.dirty || refresh || retry))
        else {
            return false;
        };
        let wanted = if self.stopping { Wanted::nothing() } else { self.wanted(snapshot) };
        let wanted = Wanted { put_back: &self.put_back, ..wanted };
        let Plan { changes, moved, sysctls, metrics, overridden_by } = plan(&wanted, snapshot, &self.state);
        let ids: Vec<_> = self.enabled().map(|provider| provider.id).collect();
        let lookups: Vec<LookupQuestion> = self.enabled().flat_map(Provider::lookups).collect();

        self.dirty = false;
        self.metrics = metrics.into_iter().filter_map(|(index, metric)| Some((*ids.get(index)?, metric))).collect();
        self.overridden_by = overridden_by;
        if (&moved, &sysctls) != (&self.state.moved, &self.state.sysctls) || !self.saved {
            (self.state.moved, self.state.sysctls) = (moved, sysctls);
            self.saved = true;
            out.push(Action::Save(self.state.clone()));
        }
        // Changes that the kernel did not take when they were sent the last time will not mend a path either.
        let settled = changes.is_empty() || (self.repeats > 0 && changes == self.last_changes);
        let paths_changed = self.judge_paths(now, settled, out);

        if changes.is_empty() {
            self.last_changes.clear();
            self.retry_at = None;
            self.repeats = 0;
            if self.stopping && self.marks_are_gone() {
                out.push(Action::Stopped);
            } else if self.stopping {
                // The removal of the table follows, and with it another reading.
            } else if lookups != self.asked || refresh {
                self.ask(now, lookups, out);
            }
            return paths_changed;
        }
        if self.must_wait(now, &changes) {
            // What a provider that has come back wants to know does not wait with the changes.
            if lookups != self.asked && !self.stopping {
                self.ask(now, lookups, out);
            }
            return paths_changed;
        }
        self.rounds = self.rounds.saturating_add(1);
        self.last_changes.clone_from(&changes);
        self.send(now, changes, lookups, out);
        paths_changed
    }

    /// Whether a change list must wait: one that had no effect when it was sent, at growing intervals, and any beyond the ordinary
    /// number of rounds.
    fn must_wait(&mut self, now: Moment, changes: &[RouteChange]) -> bool {
        if now.since(self.rounds_since) >= ROUNDS_WITHIN {
            (self.rounds, self.rounds_since) = (0, now);
        }
        if changes != self.last_changes && self.rounds < ORDINARY_ROUNDS {
            self.repeats = 0;
            self.retry_at = None;
            return false;
        }
        match self.retry_at {
            Some(at) if at <= now => {
                self.retry_at = None;
                self.repeats = self.repeats.saturating_add(1);
                false
            }
            Some(_) => true,
            None => {
                let pause = FIRST_RETRY.saturating_mul(1 << self.repeats.min(16)).min(LAST_RETRY);
                self.retry_at = Some(now + pause);
                true
            }
        }
    }

    /// Asks for the kernel's state, with `lookups` answered.
    pub(super) fn ask(&mut self, now: Moment, lookups: Vec<LookupQuestion>, out: &mut Vec<Action>) {
        self.send(now, vec![], lookups, out);
    }

    fn send(&mut self, now: Moment, changes: Vec<RouteChange>, lookups: Vec<LookupQuestion>, out: &mut Vec<Action>) {
        self.sequence += 1;
        self.awaiting = true;
        self.read_at = now;
        self.asked.clone_from(&lookups);
        out.push(Action::Change { sequence: self.sequence, changes, lookups });
    }

    fn wanted(&self, snapshot: &Snapshot) -> Wanted<'_> {
        let providers: Vec<&Provider> = self.enabled().collect();
        let marks = self.settings.marks();
        let refuses = self.settings.rules.iter().any(|it| it.enabled && it.fallback == Fallback::Unreachable);
        let mut nowhere = if refuses { vec![NOWHERE] } else { vec![] };
        for id in self.marks_given() {
            if !nowhere.contains(&id) && !providers.iter().any(|it| it.id == id) {
                nowhere.push(id);
            }
        }
        let device = |it: &Provider| link_by_name(snapshot, it.device.as_deref()?).map(|link| link.index);
        let alone = |uplink: &Uplink| {
            snapshot.addresses.iter().filter(|address| address.address == uplink.address).count() == 1
        };
        let members = providers.iter().map(|provider| {
            let uplink = provider.uplink.as_ref().ok();
            let source_rule = self.settings.source_rules && provider.is_reliable() && uplink.is_some_and(alone);
            let dns: &[_] = if self.settings.dns_routes { &provider.dns_servers } else { &[] };
            let keeps = self.carries(provider) || provider.settings.sticky;
            let networks: &[_] = if keeps { &provider.settings.static_routes } else { &[] };
            Member {
                id: provider.id,
                device: device(provider),
                uplink,
                default: provider.settings.default_route,
                weight: provider.settings.weight,
                carries: self.carries(provider) || self.marks_given().any(|id| id == provider.id),
                interface: provider.settings.source.is_interface(),
                source_rule,
                reliable: provider.is_reliable(),
                dns,
                networks,
            }
        });
        Wanted {
            members: members.collect(),
            slots: self.ranking.order.clone(),
            shared: self.ranking.shared,
            start_metric: self.settings.start_metric,
            base_table: self.settings.base_table,
            base_priority: self.settings.base_priority,
            marks: marks.then_some(self.settings.mark_mask),
            nowhere,
            takeover: self.settings.takeover,
            put_back: &[],
        }
    }

    fn refused(&mut self, change: &RouteChange, cause: &str, out: &mut Vec<Action>) {
        // The same refusal comes with every retry: once is enough for the log.
        let level = if self.repeats == 0 { LogLevel::Warning } else { LogLevel::Debug };
        out.push(log(level, None, format!("the kernel refused to {}: {cause}", self.describe(change))));
    }
}

/// Takes over what a provider resolves to now. Probes on their way do not count across any change of it.
fn follow(
    provider: &mut Provider,
    uplink: Result<Uplink, Reason>,
    now: Moment,
    random: &mut Random,
    out: &mut Vec<Action>,
) {
    let identity = |uplink: &Uplink| (uplink.device, uplink.gateway, uplink.address);
    let before = provider.usable().map(identity);
    provider.uplink = uplink;
    let after = provider.usable().map(identity);
    match (before, after) {
        (None, None) => {}
        (Some(before), Some(after)) if before == after => {}
        (Some((before, ..)), Some((after, ..))) => {
            close(provider, random, out);
            provider.check_now = !provider.cold;
            // Another device of that name: the one before is gone, this one has yet to prove itself.
            if before != after {
                provider.link_lost(now, Reason::NoCarrier);
                provider.reliability.distrust();
            }
        }
        (Some(_), None) => {
            close(provider, random, out);
            let reason = provider.reason().unwrap_or(Reason::NoCarrier);
            provider.link_lost(now, reason);
        }
        (None, Some(_)) => {
            provider.reliability.distrust();
            provider.path = Path::Unknown;
            provider.last_begin = None;
        }
    }
}
