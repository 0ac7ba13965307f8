//! What failoverd knows, as ubus, the command line and LuCI show it. Made by `Core::status`; field names are the ubus API.
//!
//! Times are whole seconds ago, latencies milliseconds; what is not known is absent. Only tests and the demo read it back into these
//! types: the program has `member` for that, as the code that serde would add is 28 kB.

use serde::{Deserialize, Serialize};

/// The reply of ubus `failover status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// failoverd's version.
    pub version: String,
    /// `option enabled`.
    pub enabled: bool,
    /// Seconds since the daemon started.
    pub uptime: u64,
    /// The active provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// Seconds since it became active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<u64>,
    /// No provider is reliable: the active one is used without proof.
    pub unverified: bool,
    /// The pinned provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Where the pin comes from: `runtime` or `config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_source: Option<String>,
    /// Switches since the daemon started.
    pub switches: u64,
    /// Sentences about what a person should look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Other programs' default routes that go before ours and are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden_by: Vec<String>,
    /// Problems of a configuration that was refused; the one before it is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_errors: Vec<String>,
    /// Whether connections are marked: `on`, `failed` (a warning says why); absent: nothing needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<String>,
    /// `config rule` sections that are enabled, in file order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleStatus>,
    /// Every provider, in the order of preference of the moment: the slots' order.
    pub providers: Vec<ProviderStatus>,
}

/// One rule of [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// The section's name, or `#` and its place.
    pub name: String,
    /// The provider that such connections use now; absent: none of its own is reliable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// `option fallback`.
    pub fallback: String,
}

/// One provider of [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProviderStatus {
    /// Name.
    pub name: String,
    /// `option description`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `unresolved`, `no_carrier`, `checking`, `online`, `degraded`, `offline` or `disabled`.
    pub state: String,
    /// Seconds in this state.
    pub since: u64,
    /// Why it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for programs: a word like `lost_probes` or `no_carrier` (see `Reason::code`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// Times it became unreliable within the last hour.
    #[serde(default)]
    pub flaps: u32,
    /// Holds the lowest metric, alone or with others of its tier.
    pub active: bool,
    /// Its share of the traffic, while it shares the lowest metric with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// The verdict of the reliability counters.
    pub reliable: bool,
    /// `option priority`.
    pub priority: u32,
    /// `option weight`.
    pub weight: u16,
    /// `option balance`.
    #[serde(default)]
    pub balance: bool,
    /// `option default`.
    #[serde(default)]
    pub default: bool,
    /// `option drain`, or its default: `keep`, `cut` or a time like `10m`.
    #[serde(default)]
    pub drain: String,
    /// Seconds until the connections that are left on it are forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_in: Option<u64>,
    /// The mark of its connections, like `0x1000000/0x3f000000`, while connections are marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Destinations that other programs have nailed to it by a route of their own, while it is offline: they are not ours to move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<String>,
    /// `option metered`.
    pub metered: bool,
    /// `option interface`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The interface's protocol, in netifd's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<String>,
    /// The device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The gateway; absent for point-to-point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The source address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// DNS servers that netifd has from this provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<String>,
    /// Routing table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Metric of its slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// Smoothed latency of first probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Smoothed deviation of the latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// First probes lost, per cent of those in the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<f64>,
    /// Latency and jitter of the first probes in the window, while there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<QualityStatus>,
    /// What failoverd's own probes have put on the line within the last 24 hours, in bytes, by the hour, and as if each had been answered:
    /// a little more than it was. A script's own are not known.
    #[serde(default)]
    pub probe_bytes: u64,
    /// What else is known about the line: the neighbour table, netifd, the modem. Sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// `option recover`, while the provider is offline and something is, or will be, done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryStatus>,
    /// Checks finished since the daemon started.
    pub checks: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Check results in the history.
    pub history_length: u32,
    /// Of these, failed.
    pub history_failed: u32,
    /// Successful checks in a row.
    pub success_streak: u32,
    /// Failed checks in a row.
    pub failure_streak: u32,
    /// Seconds until it may take over again, while it waits for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failback_in: Option<u64>,
    /// Its tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestStatus>,
}

/// Figures of the last `quality_window` first probes, in milliseconds. Jitter is the difference between the latencies of two answers in a
/// row of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityStatus {
    /// First probes in the window that were answered or lost.
    pub probes: u32,
    /// The shortest latency.
    pub latency_min_ms: f64,
    /// The median.
    pub latency_median_ms: f64,
    /// The longest.
    pub latency_max_ms: f64,
    /// The least jitter; all three are 0 with a single answer.
    pub jitter_min_ms: f64,
    /// The median.
    pub jitter_median_ms: f64,
    /// The most.
    pub jitter_max_ms: f64,
}

/// What is done about a provider that stays offline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecoveryStatus {
    /// `renew`, `restart` or `exec`.
    pub action: String,
    /// How often it was done since the provider went offline.
    pub times: u32,
    /// Seconds until it is done (again); absent while the provider is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_in: Option<u64>,
}

/// One test of a [`ProviderStatus`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestStatus {
    /// Name.
    pub name: String,
    /// `option type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its targets, in file order.
    pub targets: Vec<TargetStatus>,
}

/// One target of a [`TestStatus`], as far as the last `quality_window` first probes of the provider went to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// As it stands in the configuration.
    pub target: String,
    /// What its name was resolved to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// It has not answered anywhere for a while, and others have: it is asked last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    /// Why its last probe failed, where somebody said so (a captive portal, a wrong answer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// First probes sent to it that were answered or lost.
    pub sent: u32,
    /// Of these, lost.
    pub lost: u32,
    /// Latency of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Seconds since the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<u64>,
}

/// The reply of ubus `failover history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The provider.
    pub provider: String,
    /// Newest first.
    pub checks: Vec<HistoryEntry>,
}

/// One finished check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Seconds ago.
    pub ago: u64,
    /// Succeeded.
    pub ok: bool,
    /// Latency of its first probes, where one was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Probes sent.
    pub sent: u32,
    /// First probes lost, per cent.
    pub loss_percent: f64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
