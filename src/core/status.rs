//! What is known, put into the words of `status`.

use std::net::IpAddr;
use std::time::Duration;

use super::Core;
use crate::event::ProviderId;
use crate::moment::Moment;
use crate::provider::{Provider, ProviderState};
use crate::ranking::Why;
use crate::settings::{Failback, Target, UplinkSource};
use crate::status::{History, HistoryEntry, ProviderStatus, QualityStatus, Status, TargetStatus, TestStatus};
use crate::uplink::table_of;

impl Core {
    /// Everything, as of `now`.
    pub fn status(&self, now: Moment) -> Status {
        let (pin, pin_source) = match (&self.state.pin, &self.settings.pin) {
            (Some(pin), _) => (Some(pin.clone()), Some("runtime".to_owned())),
            (None, Some(pin)) => (Some(pin.clone()), Some("config".to_owned())),
            (None, None) => (None, None),
        };
        let active = self.active_provider();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            enabled: self.settings.enabled,
            uptime: now.since(self.started).as_secs(),
            active: active.map(|provider| provider.settings.name.clone()),
            active_since: active.map(|_| now.since(self.active_since).as_secs()),
            unverified: active.is_some() && !self.any_reliable(),
            warnings: self.warnings(pin.as_deref()),
            pin,
            pin_source,
            switches: self.switches,
            overridden_by: self.overridden_by.iter().map(|route| self.describe_route(route)).collect(),
            config_errors: self.config_errors.clone(),
            marks: self.marks_word(),
            rules: self.rules_status(),
            providers: self.by_rank().map(|provider| self.provider_status(provider, now)).collect(),
        }
    }

    /// The slots' order, then those without one.
    pub(super) fn by_rank(&self) -> impl Iterator<Item = &Provider> {
        let members: Vec<&Provider> = self.enabled().collect();
        let ranked: Vec<&Provider> =
            self.ranking.order.iter().filter_map(|index| members.get(*index).copied()).collect();
        let known: Vec<ProviderId> = ranked.iter().map(|it| it.id).collect();
        ranked.into_iter().chain(self.providers.iter().filter(move |it| !known.contains(&it.id)))
    }

    fn warnings(&self, pin: Option<&str>) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.settings.enabled {
            warnings.push("failover is disabled: set failover.settings.enabled to 1".to_owned());
        }
        if self.providers.is_empty() {
            warnings.push("no provider is configured: 'failoverd init' looks for lines to the internet".to_owned());
        }
        if self.pin_warned {
            let pin = pin.unwrap_or_default();
            warnings.push(format!("the pinned provider {pin} cannot be used; the others are ranked as without a pin"));
        }
        if self.repeats > 0 && !self.last_changes.is_empty() {
            let first = self.last_changes.first().map(|change| self.describe(change)).unwrap_or_default();
            warnings.push(format!("the kernel does not take a change, it is tried again: {first}"));
        }
        warnings.extend(self.marks_warning());
        warnings.extend(self.advice.iter().cloned());
        warnings
    }

    fn provider_status(&self, provider: &Provider, now: Moment) -> ProviderStatus {
        let uplink = provider.uplink.as_ref().ok();
        let window = provider.prober.window();
        let all = window.tally(now, provider.settings.check.timeout, None);
        let (interface, device) = match &provider.settings.source {
            UplinkSource::Interface(name) => (Some(name.clone()), uplink.map(|uplink| uplink.name.clone())),
            UplinkSource::Device(name) => (None, Some(name.clone())),
        };
        let told = interface.as_ref().and_then(|name| self.netifd.find(name).ok());
        let active = self.in_use(provider.id);
        let share = self.sharing.iter().find(|(id, _)| *id == provider.id);
        let weights = || self.sharing.iter().map(|(_, weight)| usize::from(*weight)).sum();
        let text = |address: IpAddr| address.to_string();
        let reason = provider.reason();
        let waits = self.failback_at(provider).filter(|at| *at > now && !active && self.is_good(provider));
        let takes_over = self.ranking.why == Why::Stays && self.settings.failback == Failback::Auto;
        let better =
            self.active_provider().is_some_and(|it| takes_over && it.settings.priority > provider.settings.priority);
        ProviderStatus {
            name: provider.settings.name.clone(),
            description: provider.settings.description.clone(),
            state: provider.state().word().to_owned(),
            since: provider.told.map_or(0, |(_, since)| now.since(since).as_secs()),
            reason_code: reason.as_ref().map(|reason| reason.code().to_owned()),
            reason: reason.map(|reason| reason.to_string()),
            flaps: provider.flaps(now),
            active,
            reliable: provider.is_reliable(),
            priority: provider.settings.priority,
            weight: provider.settings.weight,
            share_percent: share.map(|(_, weight)| percent((*weight).into(), weights())),
            balance: provider.settings.balance,
            default: provider.settings.default_route,
            drain: provider.settings.drain().show(),
            drain_in: self.connections.drains.until(provider.id).map(|at| at.since(now).as_secs()),
            mark: self.mark_text(provider.id).filter(|_| provider.settings.enabled),
            stranded: vec![],
            metered: provider.settings.metered,
            interface,
            proto: told.as_ref().map(|it| it.proto.clone()).filter(|proto| !proto.is_empty()),
            device,
            gateway: uplink.and_then(|uplink| uplink.gateway).map(text),
            address: uplink.map(|uplink| uplink.address).map(text),
            dns_servers: told.iter().flat_map(|it| &it.dns_servers).map(ToString::to_string).collect(),
            table: provider.settings.enabled.then(|| table_of(self.settings.base_table, provider.id).0),
            metric: self.metrics.iter().find(|(id, _)| *id == provider.id).map(|(_, metric)| metric.0),
            latency_ms: window.latency().map(milliseconds),
            jitter_ms: window.jitter().map(milliseconds),
            loss_percent: (all.counted > 0).then(|| percent(all.lost, all.counted)),
            quality: window.spreads().map(|(latency, jitter)| QualityStatus {
                probes: u32::try_from(all.counted).unwrap_or(u32::MAX),
                latency_min_ms: milliseconds(latency.min),
                latency_median_ms: milliseconds(latency.median),
                latency_max_ms: milliseconds(latency.max),
                jitter_min_ms: milliseconds(jitter.min),
                jitter_median_ms: milliseconds(jitter.median),
                jitter_max_ms: milliseconds(jitter.max),
            }),
            probe_bytes: provider.volume.day(now),
            evidence: self.evidence(provider).iter().map(ToString::to_string).collect(),
            recovery: self.recovery_status(provider, now),
            checks: provider.checks,
            failed: provider.failed_checks,
            history_length: u32::try_from(provider.reliability.checks().len()).unwrap_or(u32::MAX),
            history_failed: provider.reliability.failed(),
            success_streak: provider.reliability.success_streak(),
            failure_streak: provider.reliability.failure_streak(),
            failback_in: waits.filter(|_| better).map(|at| at.since(now).as_secs()),
            tests: self.tests_of(provider, now),
        }
    }

    /// A target that stands in two tests has the probes of both in each.
    fn tests_of(&self, provider: &Provider, now: Moment) -> Vec<TestStatus> {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let target = |test: usize, place: usize, target: &Target| {
            let tally = provider.prober.window().tally(now, provider.settings.check.timeout, Some((test, place)));
            TargetStatus {
                target: target.to_string(),
                addresses: target
                    .name()
                    .into_iter()
                    .flat_map(|_| provider.prober.addresses_at(test, place))
                    .map(|it| it.to_string())
                    .collect(),
                suspect: provider.tests.get(test).is_some_and(|test| self.missed.is_suspect(test, place)),
                reason: provider.prober.refusal(test, place).map(|cause| cause.sentence().to_string()),
                sent: number(tally.counted),
                lost: number(tally.lost),
                latency_ms: tally.answer.map(|(_, latency)| milliseconds(latency)),
                answered: tally.answer.map(|(at, _)| now.since(at).as_secs()),
            }
        };
        let tests = provider.tests.iter().enumerate().map(|(number, test)| TestStatus {
            name: test.name.clone(),
            kind: test.kind.word().to_owned(),
            targets: (0..).zip(&test.targets).map(|(place, it)| target(number, place, it)).collect(),
        });
        tests.collect()
    }

    /// The last checks of a provider, newest first; `None`: no such provider.
    pub fn history(&self, name: &str, limit: Option<u32>, now: Moment) -> Option<History> {
        let provider = self.by_name(name)?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let entry = |check: &crate::reliability::Check| HistoryEntry {
            ago: now.since(check.at).as_secs(),
            ok: check.failure.is_none(),
            latency_ms: check.latency.map(milliseconds),
            sent: check.sent,
            loss_percent: percent(
                usize::try_from(check.first_lost).unwrap_or(0),
                usize::try_from(check.first).unwrap_or(0),
            ),
            reason: check.failure.as_ref().map(ToString::to_string),
        };
        let checks = provider.reliability.checks().rev().take(limit).map(entry).collect();
        Some(History { provider: name.to_owned(), checks })
    }

    /// Whether a provider of this name is configured.
    pub fn knows(&self, name: &str) -> bool {
        self.by_name(name).is_some()
    }

    /// The number of checks that each provider, or the named one, will have made when a check asked for now has ended: one that is
    /// on its way does not count.
    pub fn checks_after_next(&self, name: Option<&str>) -> Vec<(String, u64)> {
        let asked = |it: &&Provider| name.is_none_or(|name| it.settings.name == name);
        let after = |it: &Provider| it.checks + 1 + u64::from(it.prober.is_running());
        self.providers.iter().filter(asked).map(|it| (it.settings.name.clone(), after(it))).collect()
    }

    /// Whether a provider has made that many checks, or can make none now.
    pub fn has_checked(&self, name: &str, wanted: u64) -> bool {
        let can = |it: &Provider| {
            matches!(
                it.state(),
                ProviderState::Checking | ProviderState::Online | ProviderState::Degraded | ProviderState::Offline
            )
        };
        self.by_name(name).is_none_or(|it| it.checks >= wanted || !can(it))
    }
}

/// Milliseconds with three decimals.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

/// Per cent with one decimal; 0 of nothing.
pub(super) fn percent(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { (number(part) / number(whole) * 1000.0).round() / 10.0 }
}
