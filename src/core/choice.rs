//! Who is active: the ranking asked, its answer taken over, and every change told.
//!
//! Reads what the providers know, calls `ranking`; `core::kernel` plans from the order.

use super::{Core, log};
use crate::event::{Action, ProviderId};
use crate::moment::Moment;
use crate::notice::{Notice, NoticeAction};
use crate::provider::{Path, Provider, ProviderState};
use crate::ranking::{Candidate, Policy, Ranking, Why, rank};
use crate::reason::Reason;
use crate::say;
use crate::series::Switch;
use crate::settings::LogLevel;

/// Switches kept.
const MAX_SWITCHES: usize = 100;

impl Core {
    /// Chooses the active provider and the order of the others.
    pub(super) fn rank(&mut self, now: Moment, out: &mut Vec<Action>) {
        let members: Vec<&Provider> = self.enabled().collect();
        let position = |wanted: &dyn Fn(&Provider) -> bool| members.iter().position(|provider| wanted(provider));
        let pin_name = self.state.pin.as_ref().or(self.settings.pin.as_ref());
        let pin = pin_name.and_then(|name| position(&|provider| provider.settings.name == *name));
        let candidates: Vec<Candidate> = members
            .iter()
            .map(|provider| Candidate {
                usable: provider.usable().is_some(),
                reliable: provider.is_reliable(),
                degraded: provider.is_degraded(),
                checking: provider.reliability.verdict().is_none() && !matches!(provider.path, Path::Blocked(_)),
                spare: provider.settings.cold_standby && provider.reliability.verdict().is_none(),
                priority: provider.settings.priority,
                failback_at: self.failback_at(provider),
                default: provider.settings.default_route,
                balance: provider.settings.balance,
                sharing: self.sharing.iter().any(|(id, _)| *id == provider.id),
                join_at: self.join_at(provider),
            })
            .collect();
        let active = self.active.and_then(|id| position(&|provider| provider.id == id));
        let policy = Policy { failback: self.settings.failback, last_resort: self.settings.last_resort, pin };
        let ranking = rank(now, &candidates, active, policy);
        let chosen = ranking.active.and_then(|index| members.get(index)).map(|provider| provider.id);
        let sharing = ranking.order.iter().take(ranking.shared);
        let sharing: Vec<(ProviderId, u16)> =
            sharing.filter_map(|index| members.get(*index)).map(|it| (it.id, it.settings.weight)).collect();

        let pin_usable = pin.is_some_and(|index| candidates.get(index).is_some_and(|it| it.usable && it.default));
        let warn = pin_name.filter(|_| !pin_usable && !self.pin_warned && !members.is_empty()).cloned();
        self.pin_warned = pin_name.is_some() && !pin_usable;
        if let Some(name) = warn {
            let text = format!("the pinned provider {name} cannot be used; the others are ranked as without a pin");
            out.push(log(LogLevel::Warning, None, text));
        }
        self.dirty |= ranking != Ranking { why: ranking.why, next: ranking.next, ..self.ranking.clone() };
        self.ranking = ranking;
        if chosen != self.active {
            self.switch_to(now, chosen, out);
        }
        self.share(sharing, out);
        // Reliability matters to the plan even where it changes no order: `from` rules, routes to DNS servers and to networks, and the
        // rules for marks depend on it.
        let reliable: Vec<(bool, bool)> = self.enabled().map(|it| (it.is_reliable(), self.carries(it))).collect();
        self.dirty |= reliable != self.reliable;
        self.reliable = reliable;
    }

    /// Notes who shares traffic, and says so where it is new.
    fn share(&mut self, sharing: Vec<(ProviderId, u16)>, out: &mut Vec<Action>) {
        if sharing == self.sharing {
            return;
        }
        let all: u32 = sharing.iter().map(|(_, weight)| u32::from(*weight)).sum();
        let mut text = String::new();
        for (id, weight) in &sharing {
            text += if text.is_empty() { "sharing: " } else { ", " };
            text += self.by_id(*id).map_or("", |it| it.settings.name.as_str());
            text += &format!(" {}%", (u32::from(*weight) * 200 + all).checked_div(2 * all).unwrap_or(0));
        }
        if text.is_empty() {
            "no longer sharing".clone_into(&mut text);
        }
        out.push(log(LogLevel::Info, None, text));
        self.sharing = sharing;
    }

    /// When it may take over from a provider that works, if both stay as they are. With the active one degraded that is a matter among
    /// degraded ones, and begins when it became so.
    pub(super) fn failback_at(&self, provider: &Provider) -> Option<Moment> {
        let among_degraded = self.active_provider().filter(|it| it.is_degraded()).and_then(|it| it.graded);
        let since = provider.steady_since()?;
        Some(among_degraded.map_or(since, |among| since.max(among)) + provider.failback_delay())
    }

    /// When it may share the traffic of the active one, if both stay as they are: the first time there is nothing to wait for.
    pub(super) fn join_at(&self, provider: &Provider) -> Option<Moment> {
        if provider.has_failed() { self.failback_at(provider) } else { provider.steady_since() }
    }

    fn switch_to(&mut self, now: Moment, to: Option<ProviderId>, out: &mut Vec<Action>) {
        let name = |provider: &Provider| provider.settings.name.clone();
        let from = self.active_provider();
        let good = to.and_then(|id| self.by_id(id)).is_some_and(|to| !to.is_degraded());
        let left = |from: &&Provider| !from.is_reliable() || (from.is_degraded() && good);
        let lost = from.filter(left).and_then(Provider::reason);
        let (reason_code, reason) = match (self.ranking.why, from.zip(lost)) {
            (Why::Pinned, _) => ("pinned", say!("pinned")),
            (_, Some((from, reason))) => (reason.code(), say!("{0}: {1}", &from.settings.name, reason.sentence())),
            (Why::LastResort | Why::Spare, None) => ("last_resort", say!("no provider is reliable")),
            (Why::Best | Why::Stays, None) => ("best", say!("the most preferred reliable provider that may take over")),
            (Why::NoneUsable, None) if !self.settings.enabled => ("disabled", say!("failover is disabled")),
            (Why::NoneUsable, None) => ("no_uplink", say!("no provider has an uplink")),
        };
        let (from, to_name) = (from.map(name), to.and_then(|id| self.by_id(id)).map(name));
        self.switches += u64::from(from.is_some() && to.is_some());
        if self.switch_log.len() >= MAX_SWITCHES {
            self.switch_log.pop_front();
        }
        self.switch_log.push_back(Switch {
            at: now,
            from: from.clone(),
            to: to_name.clone(),
            reason_code,
            reason: reason.clone(),
        });
        self.active = to;
        self.active_since = now;
        self.dirty = true;
        let level = if to.is_some() { LogLevel::Info } else { LogLevel::Warning };
        out.push(Action::Notice(Notice {
            action: Some(NoticeAction::Switch),
            provider: to_name.clone(),
            from,
            to: to_name,
            reason: Some(reason.to_string()),
            reason_code: Some(reason_code),
            ..Notice::about(None, None, level, None)
        }));
    }

    /// Tells every change of a provider's state.
    pub(super) fn tell_states(&mut self, now: Moment, out: &mut Vec<Action>) {
        self.explain_until = self.explain_until.filter(|until| now < *until);
        for provider in &mut self.providers {
            let state = provider.state();
            let before = provider.told.map(|(state, _)| state);
            let unexplained = state == ProviderState::Unresolved && provider.settings.source.is_interface();
            if before == Some(state) || (unexplained && self.explain_until.is_some()) {
                continue;
            }
            provider.told = Some((state, now));
            provider.series.tell(now, state);
            let bad = |state: ProviderState| {
                matches!(state, ProviderState::Offline | ProviderState::Unresolved | ProviderState::NoCarrier)
            };
            let reason = provider.reason();
            let mut reason_code = reason.as_ref().map(Reason::code);
            let reason = reason.map(|reason| reason.to_string());
            let (action, level, reason) = match state {
                ProviderState::Online if before == Some(ProviderState::Degraded) => {
                    reason_code = Some("quality");
                    let reason = "loss, latency and jitter are within their limits again";
                    (Some(NoticeAction::Online), LogLevel::Info, Some(reason.to_owned()))
                }
                ProviderState::Degraded => (Some(NoticeAction::Degraded), LogLevel::Warning, reason),
                ProviderState::Online => {
                    reason_code = Some("checks_succeeded");
                    let streak = provider.reliability.success_streak();
                    (Some(NoticeAction::Online), LogLevel::Info, Some(format!("{streak} checks succeeded in a row")))
                }
                // One that was taken down by hand was not expected to work: it is no news that it does not yet.
                // Nor that what we have tried since it went offline has not helped.
                state
                    if bad(state)
                        && provider.recovery.times() == 0
                        && !before.is_some_and(|it| bad(it) || it == ProviderState::Disabled) =>
                {
                    (Some(NoticeAction::Offline), LogLevel::Warning, reason)
                }
                state if bad(state) => (None, LogLevel::Info, reason),
                ProviderState::Checking => (None, LogLevel::Info, reason.or_else(|| Some("checking".to_owned()))),
                _ => {
                    (None, LogLevel::Info, Some(reason.map_or(state.word().to_owned(), |it| format!("disabled: {it}"))))
                }
            };
            let provider = Some(provider.settings.name.clone());
            out.push(Action::Notice(Notice { reason_code, ..Notice::about(provider, action, level, reason) }));
        }
    }

    pub(super) fn pin(&mut self, name: Option<String>, out: &mut Vec<Action>) {
        if self.state.pin == name || name.as_ref().is_some_and(|name| self.by_name(name).is_none()) {
            return;
        }
        self.state.pin.clone_from(&name);
        self.pin_warned = false;
        out.push(Action::Save(self.state.clone()));
        out.push(Action::Notice(Notice::about(name, Some(NoticeAction::Pinned), LogLevel::Info, None)));
    }
}
