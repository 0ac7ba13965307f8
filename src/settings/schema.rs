//! The one table of options: where each may stand, what it takes, its default, what it is for.
//!
//! Parsing, ranges, defaults and suggestions are driven by it; everything that shows the options to people reads it too.

use std::time::Duration;

use super::duration;

/// One option or list of the configuration.
#[derive(Debug)]
pub struct OptionSpec {
    /// The name in UCI.
    pub name: &'static str,
    /// The sections it may stand in. A check option stands in two: the provider's own value comes before that of `settings`.
    pub sections: &'static [SectionKind],
    /// `list` rather than `option`.
    pub list: bool,
    /// What it takes.
    pub kind: Kind,
    /// The default as one would write it; empty: none.
    pub default: &'static str,
    /// What it is for, in a line.
    pub doc: &'static str,
}

/// The sections of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// `config failover 'settings'`
    Settings,
    /// `config provider 'NAME'`
    Provider,
    /// `config test 'NAME'`
    Test,
    /// `config rule 'NAME'`, or without a name
    Rule,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boolean in libuci's words.
    Flag,
    /// A duration within limits.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A whole number within limits.
    Number {
        /// The least.
        min: u32,
        /// The greatest.
        max: u32,
    },
    /// A whole number from 1, or `all`.
    CountOrAll {
        /// The greatest.
        max: u32,
    },
    /// A run of at least [`MASK_BITS`] bits, hexadecimal or decimal.
    Mask,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of the test types.
    TestType,
    /// Free text.
    Text,
    /// The name of a section of this kind.
    Reference(SectionKind),
    /// A netifd interface.
    Interface,
    /// A network device.
    Device,
    /// The address of a host.
    Address,
    /// The address of a host, or `none`.
    Gateway,
    /// What a test asks: what is allowed depends on the test's type.
    Target,
    /// A domain name.
    Name,
    /// The absolute path of a script.
    Script,
    /// A network.
    Network,
    /// An address or a network, with `!` before it or without.
    AddressMatch,
    /// A port or a range of ports.
    Ports,
    /// An IP protocol.
    Protocol,
    /// A value of the DSCP field.
    Dscp,
    /// What becomes of connections: a word, or a duration within limits.
    Drain {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
}

/// The bits a mark mask must have: one mark for each of [`MAX_PROVIDERS`], and zero for none.
pub const MASK_BITS: u32 = 6;
/// Provider ids go from 1 to this.
pub const MAX_PROVIDERS: usize = crate::provider::MAX_ID as usize;
/// Rule priorities from `base_priority` on that are ours.
pub const RULE_SPAN: u32 = 1000;
/// The test types.
pub const TEST_TYPES: &[&str] = &["ping", "tcp", "dns", "http", "arp", "exec"];

const SETTINGS: &[SectionKind] = &[SectionKind::Settings];
const CHECK: &[SectionKind] = &[SectionKind::Settings, SectionKind::Provider];
const PROVIDER: &[SectionKind] = &[SectionKind::Provider];
const TEST: &[SectionKind] = &[SectionKind::Test];
const RULE: &[SectionKind] = &[SectionKind::Rule];

const HOUR: u64 = 3_600_000;

const fn option(
    name: &'static str,
    sections: &'static [SectionKind],
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> OptionSpec {
    OptionSpec { name, sections, list: false, kind, default, doc }
}

const fn list(
    name: &'static str,
    sections: &'static [SectionKind],
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> OptionSpec {
    OptionSpec { list: true, ..option(name, sections, kind, default, doc) }
}

const fn millis(min: u64, max: u64) -> Kind {
    Kind::Duration { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

const fn drain(min: u64, max: u64) -> Kind {
    Kind::Drain { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

const fn number(min: u32, max: u32) -> Kind {
    Kind::Number { min, max }
}

/// Every option, in the order in which the shipped file shows them.
#[rustfmt::skip]
pub static OPTIONS: &[OptionSpec] = &[
    option("enabled", SETTINGS, Kind::Flag, "1", "whether failoverd does anything; 0 takes everything of its own out of the kernel"),
    option("interval", CHECK, millis(50, HOUR), "1", "time between checks of the active provider"),
    option("standby_interval", CHECK, millis(50, 24 * HOUR), "5", "time between checks of the other providers; 60 for a metered provider"),
    option("timeout", CHECK, millis(10, 60_000), "2", "longest wait for an answer on a line that is receiving; the real wait adapts to the measured round trip"),
    option("min_timeout", CHECK, millis(1, 60_000), "100ms", "shortest wait for an answer"),
    option("attempts", CHECK, number(0, 100), "8", "further probes, each to the next target, before a check fails"),
    option("attempt_interval", CHECK, millis(1, 10_000), "50ms", "time between those probes"),
    option("required", CHECK, Kind::CountOrAll { max: 1000 }, "1", "tests that must succeed in a check, or all"),
    option("history", CHECK, number(1, 1000), "50", "check results kept"),
    option("max_failed", CHECK, number(0, 999), "", "more failures than this within history make a provider unreliable; empty: off"),
    option("up", CHECK, number(1, 1000), "3", "successes in a row to become reliable"),
    option("down", CHECK, number(1, 1000), "1", "failed checks in a row to become unreliable"),
    option("quality_window", CHECK, number(20, 1000), "100", "probes that loss, latency and jitter are taken from"),
    option("max_loss", CHECK, number(1, 99), "", "more loss than this, in per cent, and a provider is degraded: ranked behind every good one; empty: off"),
    option("recover_loss", CHECK, number(0, 99), "", "good again at this loss; empty: three quarters of max_loss"),
    option("max_latency", CHECK, millis(1, 60_000), "", "a provider that is slower than this is degraded; empty: off"),
    option("recover_latency", CHECK, millis(1, 60_000), "", "good again at this latency; empty: three quarters of max_latency"),
    option("max_jitter", CHECK, millis(1, 60_000), "", "a provider with more jitter than this is degraded; empty: off"),
    list("resolver", CHECK, Kind::Address, "", "DNS server that the names of targets are asked of; omitted: those that netifd reports for the provider"),
    option("recover", CHECK, Kind::Choice(&["renew", "restart", "exec"]), "", "what is done about a provider that stays offline: netifd's renew, down and up, or recover_script; empty: nothing"),
    option("recover_after", CHECK, millis(10_000, 24 * HOUR), "5m", "how long it must be offline for that; the pause before each further time is twice as long, up to an hour"),
    option("recover_script", CHECK, Kind::Script, "", "script for recover exec"),
    option("failback", SETTINGS, Kind::Choice(&["auto", "manual"]), "auto", "whether a better provider takes over again by itself"),
    option("failback_delay", CHECK, millis(0, 24 * HOUR), "60", "a better provider must be reliable this long before it takes over again"),
    option("last_resort", SETTINGS, Kind::Choice(&["keep", "first"]), "keep", "when no provider is reliable: keep the active one, or use the first"),
    option("pin", SETTINGS, Kind::Reference(SectionKind::Provider), "", "the provider to use whatever the checks say; empty: none"),
    option("start_metric", SETTINGS, number(1, 100_000), "2", "metric of the first default route"),
    option("takeover", SETTINGS, Kind::Flag, "1", "whether other programs' default routes on provider devices are moved out of the way"),
    option("source_rules", SETTINGS, Kind::Flag, "0", "whether there are 'from ADDRESS' rules while a provider is reliable"),
    option("base_table", SETTINGS, number(256, u32::MAX - 63), "7100", "provider tables are this plus 1 to 63"),
    option("base_priority", SETTINGS, number(1, 32_765 - RULE_SPAN), "7000", "ip rules have priorities from this on, 1000 at most"),
    option("mark_mask", SETTINGS, Kind::Mask, "0x3f000000", "bits of fwmark and ct mark that are failoverd's"),
    option("flush_conntrack", SETTINGS, Kind::Flag, "1", "whether the connections of a provider that went down are forgotten"),
    option("inbound", CHECK, Kind::Flag, "0", "whether replies to connections that come in leave where they came in; 1 anywhere turns it on for all"),
    option("drain", CHECK, drain(1000, 24 * HOUR), "", "connections of a provider when a better one takes over again: keep, cut, or a time they are kept; empty: keep, and cut for a metered provider"),
    option("dns_routes", SETTINGS, Kind::Flag, "1", "whether the DNS servers of a reliable provider get a host route through it"),
    option("log_level", SETTINGS, Kind::Choice(&["error", "warning", "info", "debug"]), "info", "least important message that is logged"),

    option("enabled", PROVIDER, Kind::Flag, "1", "whether this provider is used"),
    option("description", PROVIDER, Kind::Text, "", "free text for people"),
    option("interface", PROVIDER, Kind::Interface, "", "netifd interface; device, gateway and address come from netifd and follow it"),
    option("device", PROVIDER, Kind::Device, "", "network device, for systems without netifd"),
    option("gateway", PROVIDER, Kind::Gateway, "", "next hop, or none for point-to-point; omitted: from netifd or the device's own default route"),
    option("address", PROVIDER, Kind::Address, "", "source address; omitted: the device's first one"),
    option("priority", PROVIDER, number(0, 65_535), "", "lower is preferred; omitted: the place in the file, from 1"),
    option("weight", PROVIDER, number(1, 256), "1", "share of the traffic among providers of equal priority"),
    option("balance", PROVIDER, Kind::Flag, "1", "whether it shares traffic with providers of equal priority; 0: it is used alone, as those of other priorities are"),
    option("default", PROVIDER, Kind::Flag, "1", "whether it carries traffic that no rule directs; 0: only what comes in through it, rules and bound sockets"),
    list("static_routes", PROVIDER, Kind::Network, "", "network that is always reached through this provider, while it is not offline"),
    option("sticky", PROVIDER, Kind::Flag, "0", "whether its static routes stay while it is offline"),
    option("mtu", PROVIDER, number(68, 65_520), "", "mtu of the routes through it, not more than the device's, which the kernel does not check; empty: the device's"),
    option("advmss", PROVIDER, number(40, 65_495), "", "TCP segment size that is advertised on the routes through it"),
    option("initcwnd", PROVIDER, number(1, 1000), "", "first congestion window of TCP on the routes through it, in segments"),
    option("initrwnd", PROVIDER, number(1, 1000), "", "first receive window of TCP on the routes through it, in segments"),
    option("quickack", PROVIDER, Kind::Flag, "0", "whether TCP acknowledges at once on the routes through it"),
    option("metered", PROVIDER, Kind::Flag, "0", "whether traffic costs money: checked less often"),
    option("cold_standby", PROVIDER, Kind::Flag, "0", "whether it is not checked at all while a better provider is good"),
    list("test", PROVIDER, Kind::Reference(SectionKind::Test), "", "test to use; omitted: every test"),

    option("type", TEST, Kind::TestType, "ping", "how to find out whether the internet is reachable"),
    list("target", TEST, Kind::Target, "", "whom to ask, several by several operators for preference: a host, host:port for tcp and dns, http://host/path; none for arp"),
    option("size", TEST, number(8, 1472), "56", "ping: bytes of payload"),
    option("ttl", TEST, number(1, 255), "64", "ping: hops a probe may take"),
    option("query", TEST, Kind::Name, "example.org", "dns: name that the targets are asked for"),
    option("record", TEST, Kind::Choice(&["A", "AAAA"]), "A", "dns: what they are asked about it"),
    list("status", TEST, number(100, 599), "", "http: expected status; omitted: 200 and 204, or 204 alone where every target ends in /generate_204"),
    option("expect", TEST, Kind::Text, "", "dns: address that must be in the answer; http: what the page must contain"),
    option("script", TEST, Kind::Script, "", "exec: path of the script, whose exit status is the answer"),

    option("enabled", RULE, Kind::Flag, "1", "whether this rule is used"),
    list("src", RULE, Kind::AddressMatch, "", "where a connection comes from; with ! before it: where not"),
    list("dest", RULE, Kind::AddressMatch, "", "where it goes; with ! before it: where not"),
    list("proto", RULE, Kind::Protocol, "", "protocol: tcp, udp, icmp, sctp, gre, esp, ah or a number; omitted: any, or tcp and udp with ports"),
    list("src_port", RULE, Kind::Ports, "", "source port or range of ports"),
    list("dest_port", RULE, Kind::Ports, "", "destination port or range of ports"),
    list("device", RULE, Kind::Device, "", "device that a connection comes in by"),
    list("dscp", RULE, Kind::Dscp, "", "DSCP of its first packet: 0 to 63, cs0 to cs7, af11 to af43, ef or le"),
    list("use", RULE, Kind::Reference(SectionKind::Provider), "", "provider for such connections; of several the first reliable one"),
    option("fallback", RULE, Kind::Choice(&["default", "unreachable"]), "default", "when none of them is reliable: where other traffic goes, or nowhere"),
    option("local", RULE, Kind::Flag, "0", "whether the router's own connections are meant too"),
];

/// What people write who come from elsewhere, and what they mean.
pub(super) const SYNONYMS: &[(&str, &str)] = &[
    ("metric", "priority"),
    ("ifname", "device"),
    ("ipaddr", "address"),
    ("source", "address"),
    ("name", "description"),
    ("track_ip", "target"),
    ("host", "target"),
    ("track_method", "type"),
    ("check_interval", "interval"),
    ("count", "attempts"),
    ("failure_interval", "attempt_interval"),
    ("reliability", "required"),
    ("source", "src"),
    ("destination", "dest"),
    ("protocol", "proto"),
    ("use_policy", "use"),
    ("provider", "use"),
];

impl SectionKind {
    /// Of a section's type in UCI.
    pub fn of(kind: &str) -> Option<Self> {
        [Self::Settings, Self::Provider, Self::Test, Self::Rule].into_iter().find(|known| known.uci_type() == kind)
    }

    /// The section's type in UCI.
    pub fn uci_type(self) -> &'static str {
        match self {
            Self::Settings => "failover",
            Self::Provider => "provider",
            Self::Test => "test",
            Self::Rule => "rule",
        }
    }
}

impl OptionSpec {
    /// The option of this name that may stand in such a section.
    pub fn find(section: SectionKind, name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|spec| spec.name == name && spec.sections.contains(&section))
    }
}

impl Kind {
    /// What is allowed, as the end of "must be ...".
    pub fn describe(&self) -> String {
        match self {
            Self::Flag => "1 or 0 (or yes/no, on/off, true/false, enabled/disabled)".into(),
            Self::Duration { min, max } => format!("between {} and {}", duration::show(*min), duration::show(*max)),
            Self::Number { min, max } => format!("between {min} and {max}"),
            Self::CountOrAll { max } => format!("between 1 and {max}, or 'all'"),
            Self::Mask => format!("a single run of at least {MASK_BITS} bits, like 0x3f000000"),
            Self::Choice(words) => words.join(" or "),
            Self::TestType => TEST_TYPES.join(" or "),
            Self::Text => "text".into(),
            Self::Reference(section) => format!("the name of a {} section", section.uci_type()),
            Self::Interface => "the name of a netifd interface".into(),
            Self::Device => "the name of a network device".into(),
            Self::Address => "an IPv4 address".into(),
            Self::Target => "a host, host:port or http://host/path, as the type wants it".into(),
            Self::Name => "a domain name".into(),
            Self::Script => "an absolute path".into(),
            Self::Network => "an IPv4 network, like 203.0.113.0/24".into(),
            Self::AddressMatch => "an IPv4 address or network, with '!' before it or without".into(),
            Self::Ports => "a port or a range of ports, like 8000-8100".into(),
            Self::Protocol => "tcp, udp, icmp, sctp, gre, esp, ah or a number from 0 to 255".into(),
            Self::Dscp => "a DSCP: 0 to 63, cs0 to cs7, af11 to af43, ef or le".into(),
            Self::Drain { min, max } => {
                format!("keep or cut, or between {} and {}", duration::show(*min), duration::show(*max))
            }
            Self::Gateway => "an IPv4 address, or 'none'".into(),
        }
    }
}
