//! What the configuration means: every value typed, in range and with its default.
//!
//! Made from a UCI file by [`parse`] (see `settings/`: the table of options is `schema`); read by every later step.

mod check;
mod describe;
pub mod duration;
mod export;
mod layer;
mod load;
mod option;
mod problem;
mod rule;
pub mod schema;
mod target;
mod test;
#[cfg(test)]
pub(crate) mod tests;
mod traffic;

use std::net::IpAddr;
use std::time::Duration;

pub use describe::describe;
pub use export::export;
pub use load::{BUILTIN_TEST, Loaded, exercise, parse};
pub use option::protocol_number;
pub use problem::Problem;
pub(crate) use problem::did_you_mean;
pub use target::{Host, Target};

use crate::event::ProviderId;
use crate::kernel::{Mark, Metric, Network, RouteOptions, RulePriority, TableId};

/// The whole of `/etc/config/failover`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `enabled`: with `false` failoverd takes everything of its own out of the kernel and waits.
    pub enabled: bool,
    /// `failback`: whether a better provider takes over again by itself.
    pub failback: Failback,
    /// `last_resort`: who is active when no provider is reliable.
    pub last_resort: LastResort,
    /// `pin`: the provider to use whatever the checks say. Names a provider of `providers`.
    pub pin: Option<String>,
    /// `start_metric`: the metric of the first slot, 1 to 100000.
    pub start_metric: Metric,
    /// `takeover`: whether foreign default routes on provider devices are moved out of the way.
    pub takeover: bool,
    /// `source_rules`: whether `from ADDRESS` rules are kept for reliable providers.
    pub source_rules: bool,
    /// `base_table`: provider tables are this plus the provider's id.
    pub base_table: TableId,
    /// `base_priority`: the first ip rule priority that is ours.
    pub base_priority: RulePriority,
    /// `mark_mask`: the bits of fwmark and ct mark that are ours, contiguous and at least six.
    pub mark_mask: u32,
    /// `flush_conntrack`: whether the connections of a provider that went down are forgotten.
    pub flush_conntrack: bool,
    /// `inbound`, of settings or of any provider: whether replies to connections that come in leave where they came in.
    pub inbound: bool,
    /// `dns_routes`: whether a reliable provider's DNS servers get a host route through it.
    pub dns_routes: bool,
    /// `log_level`.
    pub log_level: LogLevel,
    /// `config provider` sections in file order, the disabled ones too.
    pub providers: Vec<ProviderSettings>,
    /// `config test` sections in file order; the built-in one if the file has none.
    pub tests: Vec<TestSettings>,
    /// `config rule` sections in file order, the disabled ones too.
    pub rules: Vec<RuleSettings>,
}

impl Settings {
    /// Whether connections are marked with the provider that they go through: something configured needs it.
    pub fn marks(&self) -> bool {
        let drains = || self.providers.iter().any(|it| it.enabled && it.drain.is_some());
        self.enabled
            && (self.inbound || self.rules.iter().any(|rule| rule.enabled) || drains() || self.shares_traffic())
    }

    /// Whether providers of equal priority may share traffic.
    pub fn shares_traffic(&self) -> bool {
        let sharing = || self.providers.iter().filter(|it| it.enabled && it.balance && it.default_route);
        sharing().enumerate().any(|(at, it)| sharing().skip(at + 1).any(|other| other.priority == it.priority))
    }

    /// The mark of the connections through a provider.
    pub const fn mark_of(&self, id: ProviderId) -> Mark {
        Mark { value: (id.0 as u32) << self.mark_mask.trailing_zeros(), mask: self.mark_mask }
    }
}

/// One `config provider` section, with the check options of `settings` already merged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The section's name.
    pub name: String,
    /// `enabled`.
    pub enabled: bool,
    /// `description`, free text for people.
    pub description: Option<String>,
    /// `interface` or `device`.
    pub source: UplinkSource,
    /// `gateway`.
    pub gateway: GatewaySetting,
    /// `address`; `None`: the device's first address.
    pub address: Option<IpAddr>,
    /// `priority`: lower is preferred. Default: the position in the file, from 1.
    pub priority: u32,
    /// `weight`, 1 to 256, among providers of equal priority.
    pub weight: u16,
    /// `balance`: may share a tier's traffic; without, it takes all of it or none.
    pub balance: bool,
    /// `default`: carries traffic that nobody has directed elsewhere.
    pub default_route: bool,
    /// `drain`: what becomes of its connections when traffic moves to a better provider; `None`: not said.
    pub drain: Option<Drain>,
    /// `static_routes`: networks that are always reached through it.
    pub static_routes: Vec<Network>,
    /// `sticky`: its static routes stay while it is offline.
    pub sticky: bool,
    /// `mtu`, `advmss`, `initcwnd`, `initrwnd`, `quickack`.
    pub route_options: RouteOptions,
    /// `metered`.
    pub metered: bool,
    /// `cold_standby`: not probed while a better provider is good.
    pub cold_standby: bool,
    /// `test`: names of tests in `Settings::tests`, at least one.
    pub tests: Vec<String>,
    /// How this provider is checked.
    pub check: CheckSettings,
}

impl ProviderSettings {
    /// What becomes of its connections when traffic moves to a better provider.
    pub fn drain(&self) -> Drain {
        self.drain.unwrap_or(if self.metered { Drain::Cut } else { Drain::Keep })
    }
}

/// `option drain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// They live out their life there.
    Keep,
    /// They are forgotten.
    Cut,
    /// They are forgotten after that time.
    After(Duration),
}

impl Drain {
    /// As it stands in the file.
    pub fn show(self) -> String {
        match self {
            Self::Keep => "keep".to_owned(),
            Self::Cut => "cut".to_owned(),
            Self::After(time) => duration::show(time),
        }
    }
}

/// One `config rule` section: which new connections use which providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSettings {
    /// The section's name; `#` and its place among the rules, from 1, where it has none.
    pub name: String,
    /// `enabled`.
    pub enabled: bool,
    /// `src`: source addresses; empty: any.
    pub source: Vec<AddressMatch>,
    /// `dest`: destination addresses; empty: any.
    pub destination: Vec<AddressMatch>,
    /// `proto`: numbers of IP protocols; empty: any.
    pub protocols: Vec<u8>,
    /// `src_port`, with a protocol that has ports; empty: any.
    pub source_ports: Vec<Ports>,
    /// `dest_port`, likewise.
    pub destination_ports: Vec<Ports>,
    /// `device`: names of incoming devices; empty: any.
    pub devices: Vec<String>,
    /// `dscp`: values of the field, 0 to 63; empty: any.
    pub dscp: Vec<u8>,
    /// `use`: names of providers, the first reliable one is used.
    pub providers: Vec<String>,
    /// `fallback`: what happens when none of them is reliable.
    pub fallback: Fallback,
    /// `local`: whether the router's own connections are meant too.
    pub local: bool,
}

/// One item of `src` or `dest`. Without items of its own kind everything fits; of several, one that is not negated must fit, if there
/// is one, and none that is negated may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressMatch {
    /// Written with `!` before it.
    pub negated: bool,
    /// The address or network.
    pub network: Network,
}

/// A port, or a range of them with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// `option fallback` of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The next rule is not asked: the connection goes where traffic without rules goes.
    Default,
    /// The connection is refused.
    Unreachable,
}

/// Where a provider's device comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UplinkSource {
    /// `option interface`: a netifd interface.
    Interface(String),
    /// `option device`: a plain network device.
    Device(String),
}

impl UplinkSource {
    /// Whether netifd knows more.
    pub const fn is_interface(&self) -> bool {
        matches!(self, Self::Interface(_))
    }
}

/// `option gateway` of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewaySetting {
    /// Omitted: learnt from the device's own default route.
    Learnt,
    /// `none`: a point-to-point device.
    None,
    /// A fixed address.
    Address(IpAddr),
}

/// The check options; in `settings` for all providers, in a provider section for that one alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// `interval`: from the start of a check of the active provider to the next, 50 ms to 1 h.
    pub interval: Duration,
    /// `standby_interval`: the same for the others; a metered provider's default is 60 s. Never shorter than `interval`'s lower bound.
    pub standby_interval: Duration,
    /// `timeout`: the longest wait for an answer on a line that is receiving.
    pub timeout: Duration,
    /// `min_timeout`: the shortest wait for an answer, at most `timeout`.
    pub min_timeout: Duration,
    /// `attempts`: further probes before a check fails, 0 to 100.
    pub attempts: u32,
    /// `attempt_interval`: between them.
    pub attempt_interval: Duration,
    /// `required`: tests that must succeed.
    pub required: Required,
    /// `history`: check results kept, 1 to 1000.
    pub history: usize,
    /// `max_failed`: more failures than this within `history` make a provider unreliable; `None`: off.
    pub max_failed: Option<u32>,
    /// `up`: successes in a row to become reliable, at least 1.
    pub up: u32,
    /// `down`: failed checks in a row to become unreliable, at least 1.
    pub down: u32,
    /// `failback_delay`: how long this provider must be reliable before it takes over again.
    pub failback_delay: Duration,
    /// `quality_window`: first probes that loss, latency and jitter are taken from, 20 to 1000.
    pub quality_window: usize,
    /// `max_loss`, `recover_loss`, in per cent: degraded above the one, good again at or below the other.
    pub loss: Option<Limits<u32>>,
    /// `max_latency`, `recover_latency`.
    pub latency: Option<Limits<Duration>>,
    /// `max_jitter`; good again at three quarters of it.
    pub jitter: Option<Limits<Duration>>,
    /// `resolver`: DNS servers that names are asked of; empty: those that netifd reports for the provider.
    pub resolvers: Vec<IpAddr>,
    /// `recover`: what is done about a provider that stays offline; `None`: nothing.
    pub recover: Option<Recover>,
    /// `recover_after`: how long it must be offline for that.
    pub recover_after: Duration,
}

/// A figure's limit, with hysteresis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits<T> {
    /// Above it a provider is degraded.
    pub max: T,
    /// At or below it, it is good again.
    pub recover: T,
}

/// `option recover`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recover {
    /// netifd's `renew`.
    Renew,
    /// netifd's `down`, then `up`.
    Restart,
    /// `recover_script`: run by the hotplug scripts.
    Exec(String),
}

impl Recover {
    /// Its word in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Restart => "restart",
            Self::Exec(_) => "exec",
        }
    }
}

/// `option required`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// Every test of the provider.
    All,
    /// This many, at least 1 and at most the number of the provider's tests.
    Count(u32),
}

/// `option failback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// A better provider takes over once it has been reliable for `failback_delay`.
    Auto,
    /// Only a failure or a person moves traffic.
    Manual,
}

/// `option last_resort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastResort {
    /// The active provider stays.
    Keep,
    /// The most preferred provider.
    First,
}

/// `option log_level`, in the words of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what must be mended.
    Error,
    /// And what may want attention.
    Warning,
    /// And every switch and change of state.
    Info,
    /// And every check.
    Debug,
}

/// One `config test` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestSettings {
    /// The section's name.
    pub name: String,
    /// `type`, with what belongs to it.
    pub kind: TestKind,
    /// `target`, at least one, in file order. A test of type `arp` has the gateway, one of type `exec` without any an empty text.
    pub targets: Vec<Target>,
}

/// `option type` of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestKind {
    /// ICMP echo (RFC 792).
    Ping {
        /// `size`: bytes of payload, 8 to 1472.
        size: u16,
        /// `ttl`: hops a probe may take, 1 to 255.
        ttl: u8,
    },
    /// A TCP connection: a SYN-ACK or a RST proves the path.
    Tcp,
    /// A DNS query over UDP (RFC 1035).
    Dns {
        /// `query`: the name asked for.
        query: String,
        /// `record`: what is asked about it.
        record: Record,
        /// `expect`: an address that must be in the answer.
        expect: Option<IpAddr>,
    },
    /// An HTTP request (RFC 9112): HEAD, or GET with `expect`.
    Http {
        /// `status`: the expected ones.
        status: Vec<u16>,
        /// `expect`: what the body must contain.
        expect: Option<String>,
    },
    /// A neighbour solicitation of the gateway, through the kernel's neighbour table.
    Arp,
    /// A script, whose exit status is the answer.
    Exec {
        /// `script`: its path.
        script: String,
    },
}

/// What a DNS query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

impl TestKind {
    /// Its word in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ping { .. } => "ping",
            Self::Tcp => "tcp",
            Self::Dns { .. } => "dns",
            Self::Http { .. } => "http",
            Self::Arp => "arp",
            Self::Exec { .. } => "exec",
        }
    }

    /// The port asked where a target names none.
    pub const fn port(&self) -> u16 {
        match self {
            Self::Dns { .. } => 53,
            Self::Http { .. } => 80,
            _ => 443,
        }
    }

    /// A plain ping, as without any option.
    pub const fn ping() -> Self {
        Self::Ping { size: 56, ttl: 64 }
    }
}
