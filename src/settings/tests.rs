//! Whole files: defaults, overrides, every problem with its line, and what holds for any file.

use std::time::Duration;

use proptest::prelude::*;

use super::schema::{OPTIONS, SectionKind};
use super::*;

const PATH: &str = "/etc/config/failover";

pub(super) fn load(text: &str) -> Settings {
    parse(PATH, text.as_bytes()).unwrap().settings
}

/// Problems as shown, without the file's name.
pub(super) fn problems(text: &str) -> Vec<String> {
    let shown = parse(PATH, text.as_bytes()).expect_err(text);
    shown.iter().map(|problem| problem.to_string().replace("/etc/config/failover:", "")).collect()
}

pub(super) fn warnings(text: &str) -> Vec<String> {
    let shown = parse(PATH, text.as_bytes()).unwrap().warnings;
    shown.iter().map(|warning| warning.to_string().replace("/etc/config/failover:", "")).collect()
}

const A: &str = "config provider a\noption device eth0\n";

/// How a provider is checked by default: written out, because the table of options must agree.
pub(crate) fn shipped() -> CheckSettings {
    CheckSettings {
        interval: Duration::from_secs(1),
        standby_interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        min_timeout: Duration::from_millis(100),
        attempts: 8,
        attempt_interval: Duration::from_millis(50),
        required: Required::Count(1),
        history: 50,
        max_failed: None,
        up: 3,
        down: 1,
        failback_delay: Duration::from_secs(60),
        quality_window: 100,
        loss: None,
        latency: None,
        jitter: None,
        resolvers: vec![],
        recover: None,
        recover_after: Duration::from_secs(300),
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = load(A);
    let provider = ProviderSettings {
        name: "a".into(),
        enabled: true,
        description: None,
        source: UplinkSource::Device("eth0".into()),
        gateway: GatewaySetting::Learnt,
        address: None,
        priority: 1,
        weight: 1,
        balance: true,
        default_route: true,
        drain: None,
        static_routes: vec![],
        sticky: false,
        route_options: RouteOptions::default(),
        metered: false,
        cold_standby: false,
        tests: vec!["internet".into()],
        check: shipped(),
    };
    let targets = ["1.1.1.1", "8.8.8.8", "9.9.9.9", "208.67.222.222"]
        .map(|target| target.parse::<IpAddr>().unwrap().into())
        .to_vec();
    let want = Settings {
        enabled: true,
        failback: Failback::Auto,
        last_resort: LastResort::Keep,
        pin: None,
        start_metric: Metric(2),
        takeover: true,
        source_rules: false,
        base_table: TableId(7100),
        base_priority: RulePriority(7000),
        mark_mask: 0x3f00_0000,
        flush_conntrack: true,
        inbound: false,
        dns_routes: true,
        log_level: LogLevel::Info,
        providers: vec![provider],
        tests: vec![TestSettings { name: "internet".into(), kind: TestKind::ping(), targets }],
        rules: vec![],
    };
    assert_eq!(settings, want);
}

#[test]
fn the_shipped_file_is_fine_and_shows_every_default() {
    let text = include_str!("../../files/etc/config/failover");
    let loaded = parse(PATH, text.as_bytes()).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.settings, load(""));
    // With its comments taken for lines it is the example of the manual: that must hold as well.
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(line) if line.starts_with("config ") || line.starts_with('\t') => line,
        _ => line,
    });
    let example = lines.collect::<Vec<_>>().join("\n");
    let loaded = parse(PATH, example.as_bytes()).unwrap();
    assert_eq!(loaded.warnings, []);
    let mut settings = loaded.settings;
    assert_eq!(settings.providers.drain(..).map(|provider| provider.name).collect::<Vec<_>>(), ["fiber", "lte"]);
    // The other sections there show what tests of other types look like, and a rule.
    settings.tests.truncate(1);
    assert_eq!(settings.rules.drain(..).map(|rule| rule.name).collect::<Vec<_>>(), ["voip"]);
    assert_eq!(settings, load(""));
    for spec in OPTIONS {
        let shown = format!("{} {} '{}'", if spec.list { "list" } else { "option" }, spec.name, spec.default);
        assert!(
            example.contains(&shown) || spec.default.is_empty() && example.contains(&format!(" {} '", spec.name)),
            "{shown}"
        );
    }
}

#[test]
fn overrides() {
    let check = |text: &str| load(text).providers.remove(0).check;
    let settings = "config failover settings\noption interval 3\noption standby_interval 30\n";
    let metered = "option metered 1\n";
    for (text, interval, standby, why) in [
        (format!("{settings}{A}"), 3, 30, "settings go for all"),
        (format!("{settings}{A}option interval 7\n"), 7, 30, "a provider's own value comes first"),
        (format!("{A}option interval 7\n{settings}"), 7, 30, "wherever settings stand"),
        (format!("{A}{metered}"), 1, 60, "a metered provider is checked less often"),
        (format!("{settings}{A}{metered}"), 3, 30, "unless settings say how often"),
        (format!("{A}{metered}option standby_interval 9\n"), 1, 9, "or the provider does"),
    ] {
        let check = check(&text);
        assert_eq!((check.interval.as_secs(), check.standby_interval.as_secs()), (interval, standby), "{why}");
    }
    assert!(
        load(&format!("config failover settings\noption enabled 0\n{A}")).providers[0].enabled,
        "settings' own enabled is another one"
    );
}

#[test]
fn what_is_accepted() {
    for (text, why) in [
        ("", "nothing at all"),
        (
            "config provider a\noption interface wan\noption gateway 10.0.0.1\noption address 10.0.0.2\n",
            "fixed values beside an interface override netifd's",
        ),
        (
            "config provider a\noption device eth0\nconfig provider b\noption device eth0\noption enabled 0\n",
            "a disabled provider may wait on a device",
        ),
        ("config test t\noption target 1.1.1.1\n", "one target as an option, as other programs take it"),
        ("config provider a\noption device eth0\noption gateway none\n", "point-to-point"),
        ("config failover settings\noption max_failed ''\noption pin ''\n", "empty is the default"),
        (
            "config failover settings\noption pin a\nconfig provider a\noption device eth0\n",
            "a pin on what comes later",
        ),
    ] {
        let loaded = parse(PATH, text.as_bytes());
        assert!(matches!(&loaded, Ok(loaded) if loaded.warnings.is_empty()), "{why}: {loaded:?}");
    }
}

#[test]
fn what_is_refused() {
    const SET: &str = "config failover settings\n";
    const T: &str = "config test t\nlist target 1.1.1.1\n";
    for (text, want, why) in [
        (format!("{A}option interval 0"), "3: provider 'a': interval '0' must be between 50ms and 1h", "a range"),
        (
            format!("{A}option intervall 1"),
            "3: provider 'a': unknown option 'intervall' (did you mean 'interval'?)",
            "a typing error",
        ),
        (format!("{A}list interval 1"), "3: provider 'a': interval takes one value: write option, not list", "a list"),
        (format!("{A}list test ''"), "3: provider 'a': test is empty", "an empty item"),
        (
            "config provder a\n".into(),
            "1: unknown section type 'provder' (did you mean 'provider'?)",
            "a section's typing error",
        ),
        (
            "config settings\n".into(),
            "1: unknown section type 'settings' (did you mean config failover 'settings'?)",
            "type and name mixed up",
        ),
        ("config failover\n".into(), "1: a failover section must be named: config failover 'settings'", "no name"),
        ("config provider\noption device a\n".into(), "1: a provider needs a name: config provider 'NAME'", "no name"),
        ("config test\nlist target 1.1.1.1\n".into(), "1: a test needs a name: config test 'NAME'", "no name"),
        (format!("{A}{A}"), "3: provider 'a': there is one on line 1 already", "libuci would merge them"),
        ("config provider a\n".into(), "1: provider 'a': needs option interface or option device", "no source"),
        (
            format!("{A}option interface wan"),
            "3: provider 'a': has both interface and device: keep interface where netifd manages the line",
            "two sources",
        ),
        (
            format!("{A}config provider b\noption device eth0"),
            "4: provider 'b': device 'eth0' is used by provider 'a' already (line 1)",
            "one device",
        ),
        (format!("{A}list test nope"), "3: provider 'a': there is no test 'nope'", "a missing test"),
        (
            format!("{A}list test internet\n{T}"),
            "3: provider 'a': there is no test 'internet'",
            "the built-in test is there only when no other is",
        ),
        (
            format!("{A}option required 2"),
            "3: provider 'a': required '2' is more than its 1 test",
            "more than there are",
        ),
        (format!("{SET}option required 2\n{A}"), "2: provider 'a': required '2' is more than its 1 test", "inherited"),
        ("config test t\n".into(), "1: test 't': needs a list of targets", "nothing to ask"),
        (
            "config test t\nlist target https://example.org/\n".into(),
            "2: test 't': target 'https://example.org/' cannot be asked, as failoverd speaks no TLS: use a test of type tcp with port 443",
            "a name",
        ),
        (
            "config test t\noption type ping\noption query a.example\nlist target 1.1.1.1\n".into(),
            "3: test 't': query is for tests of type dns, and this one is of type ping",
            "another type's option",
        ),
        (
            format!("{SET}option min_timeout 3"),
            "2: settings: min_timeout '3s' must not be longer than timeout '2s'",
            "against the default",
        ),
        (
            format!("{A}option timeout 50ms"),
            "3: provider 'a': min_timeout '0.1s' must not be longer than timeout '50ms'",
            "against the inherited",
        ),
        (
            format!("{SET}option max_failed 50"),
            "2: settings: max_failed '50' must be less than history '50'",
            "could never be exceeded",
        ),
        (
            format!("{SET}option pin fibre\nconfig provider fiber\noption device a"),
            "2: settings: pin: there is no provider 'fibre' (did you mean 'fiber'?)",
            "a pin on nothing",
        ),
        (
            format!("{SET}option pin a\n{A}option enabled 0"),
            "2: settings: pin 'a' is a disabled provider",
            "a pin on what is off",
        ),
        (
            format!("{SET}option base_table 252"),
            "2: settings: base_table '252' must be between 256 and 4294967232",
            "local, main, default, mwan3",
        ),
        (
            format!("{SET}option base_table 4294967233"),
            "2: settings: base_table '4294967233' must be between 256 and 4294967232",
            "over the end",
        ),
        (
            format!("{SET}option base_priority 31766"),
            "2: settings: base_priority '31766' must be between 1 and 31765",
            "behind main",
        ),
        (
            format!("{SET}option base_priority 5000"),
            "2: settings: base_priority '5000': rules 5000 to 5999 would meet those of tailscale (5210 to 5270)",
            "another program's",
        ),
        (
            format!("{SET}option mark_mask 0x3f00"),
            "2: settings: mark_mask '0x3f00': 0x3f00 is used by mwan3",
            "another program's",
        ),
        (
            format!("{SET}option start_metric 0"),
            "2: settings: start_metric '0' must be between 1 and 100000",
            "the kernel's own zero",
        ),
        (
            format!("{A}option address ::1"),
            "3: provider 'a': address '::1' is an IPv6 address: IPv6 is not built yet",
            "IPv6",
        ),
        (
            "config provider a\noption interface 'wan\n".into(),
            "2: the ' that opens here is never closed",
            "and no complaint about the lost line",
        ),
        (
            format!("{A}config test t\nlist target one.example\n"),
            "2: provider 'a': test 't' has targets that are names: add list resolver, as netifd knows no DNS servers of a device",
            "nobody to ask",
        ),
        (format!("{A}option 'interval"), "3: the ' that opens here is never closed", "syntax"),
    ] {
        assert_eq!(problems(&text), [want], "{why}");
    }
}

#[test]
fn warnings_do_not_stop_anything() {
    for (text, want, why) in [
        (
            format!("{A}option metered 0\noption metered 1"),
            "4: provider 'a': metered replaces the one on line 3",
            "twice",
        ),
        (
            "config test t\nlist target 1.1.1.1\nlist target 1.1.1.1".into(),
            "3: test 't': target '1.1.1.1' is there twice",
            "the same target",
        ),
        (
            "config failover settings\nconfig failover settings\n".into(),
            "2: settings: continues the section on line 1",
            "merged as libuci does",
        ),
    ] {
        assert_eq!(warnings(&text), [want], "{why}");
    }
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let text = "config failover 'settings'
	option interval '0'
	optoin timeout '2'
	option pin 'fibre'
config provider 'fiber'
	option device 'eth0'
	option metirc '1'
	list test 'missing'
config provider 'lte'
	option device 'eth0'
	option gateway 'fe80::1'
config test 'internet'
	option type 'pong'
	list target '1.1.1.1'
	option size '9999'
	option bad-name 'x'
";
    let lines: Vec<String> = problems(text).iter().map(|problem| problem.split(':').next().unwrap().into()).collect();
    assert_eq!(lines, ["2", "3", "4", "7", "8", "10", "11", "13", "15", "16"], "{:#?}", problems(text));
}

#[test]
fn sixty_four_providers_are_one_too_many() {
    let text =
        |count: usize| (0..count).map(|n| format!("config provider p{n}\noption device eth{n}\n")).collect::<String>();
    assert_eq!(load(&text(63)).providers.len(), 63);
    assert_eq!(problems(&text(64)), ["127: provider 'p63': more than 63 providers"]);
}

/// A value that differs from the default, for each option of a section.
fn other_value(spec: &schema::OptionSpec) -> &'static str {
    use schema::Kind;
    match (spec.name, spec.kind) {
        ("max_failed", _) => "7",
        ("timeout", _) => "9",
        ("recover_after", _) => "77",
        ("status", _) => "302",
        ("base_priority", _) => "8000",
        ("mtu", _) => "1400",
        ("advmss", _) => "1200",
        (_, Kind::Flag) if spec.default == "1" => "off",
        (_, Kind::Flag) => "on",
        (_, Kind::Duration { .. }) => "1.5",
        (_, Kind::Number { .. }) if spec.name == "base_table" => "300",
        (_, Kind::Number { .. }) => "20",
        (_, Kind::CountOrAll { .. }) => "all",
        (_, Kind::Mask) => "0xfc000000",
        ("recover", _) => "exec",
        (_, Kind::Choice(words)) => words.iter().find(|word| **word != spec.default).unwrap(),
        (_, Kind::TestType) => "ping",
        (_, Kind::Text) => "Text",
        (_, Kind::Reference(SectionKind::Provider)) => "b",
        (_, Kind::Reference(_)) => "t",
        (_, Kind::Interface) => "lan",
        (_, Kind::Device) => "eth9",
        (_, Kind::Name) => "other.example",
        (_, Kind::Script) => "/root/other",
        (_, Kind::Network) => "203.0.113.0/24",
        (_, Kind::AddressMatch) => "!203.0.113.0/24",
        (_, Kind::Ports) => "8000-8100",
        (_, Kind::Protocol) => "tcp",
        (_, Kind::Dscp) => "af41",
        (_, Kind::Drain { .. }) => "10m",
        (_, Kind::Address | Kind::Gateway | Kind::Target) => "192.0.2.9",
    }
}

/// What must stand beside an option so that it means something.
fn beside(name: &str, section: SectionKind) -> &'static str {
    match name {
        "query" | "record" => "option type dns\n",
        "status" | "expect" => "option type http\noption target http://192.0.2.7/\n",
        "script" => "option type exec\noption script /root/one\noption target 1.1.1.1\n",
        "recover_script" => "option recover exec\noption recover_script /root/one\n",
        "recover" => "option recover_script /root/one\n",
        "recover_loss" => "option max_loss 30\n",
        "recover_latency" => "option max_latency 3\n",
        "interface" => "option device eth0\n",
        "device" if section == SectionKind::Provider => "option device eth0\n",
        _ => "",
    }
}

#[test]
fn every_option_of_the_table_has_an_effect() {
    for spec in OPTIONS.iter().filter(|spec| spec.name != "type") {
        let line = format!("{} {} {}\n", if spec.list { "list" } else { "option" }, spec.name, other_value(spec));
        for &section in spec.sections {
            let source = section == SectionKind::Provider && ["interface", "device"].contains(&spec.name);
            let file = |line: &str| {
                let at = |here: SectionKind| if here == section { line } else { "" };
                let source = if source { "" } else { "option device eth0\n" };
                let target =
                    if ["script", "status", "expect"].contains(&spec.name) { "" } else { "option target 1.1.1.1\n" };
                format!(
                    "config failover settings\n{}config provider a\n{source}{}config provider b\noption interface w\n\
                     config test t\n{target}{}config test u\noption target 1.1.1.1\nconfig rule r\nlist use a\n{}",
                    at(SectionKind::Settings),
                    at(SectionKind::Provider),
                    at(SectionKind::Test),
                    at(SectionKind::Rule)
                )
            };
            let without = beside(spec.name, section);
            let with = if source { line.clone() } else { format!("{without}{line}") };
            assert_ne!(load(&file(&with)), load(&file(without)), "{} in {section:?}", spec.name);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(PATH, &bytes).map(|loaded| describe(&loaded.settings));
    }

    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..80)) {
        let text = words.join(" ");
        match parse(PATH, text.as_bytes()) {
            Ok(loaded) => prop_assert!(describe(&loaded.settings).ends_with('\n')),
            Err(problems) => {
                let lines = text.split('\n').count() as u32;
                prop_assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.line)));
                prop_assert!(problems.is_sorted_by_key(|problem| problem.line));
            }
        }
    }

    #[test]
    fn the_order_of_options_does_not_matter(shuffled in Just(OPTION_LINES.to_vec()).prop_shuffle(), swap in any::<bool>()) {
        let settings = format!("config failover settings\n{}", shuffled.join("\n"));
        let text = if swap { format!("{settings}\n{A}") } else { format!("{A}{settings}\n") };
        prop_assert_eq!(load(&text), load(&format!("config failover settings\n{}\n{A}", OPTION_LINES.join("\n"))));
    }
}

const WORDS: &[&str] = &[
    "\n",
    "\n",
    "\n",
    "config",
    "option",
    "list",
    "failover",
    "settings",
    "provider",
    "test",
    "a",
    "b",
    "'a",
    "'",
    "\"",
    "\\",
    ";",
    "#",
    "interval",
    "timeout",
    "device",
    "interface",
    "target",
    "1.1.1.1",
    "::1",
    "0",
    "1",
    "2ms",
    "4294967295",
    "pin",
    "mark_mask",
    "0x3f",
    "required",
    "all",
    "enabled",
    "history",
    "max_failed",
    "base_table",
    "base_priority",
    "\nconfig provider a\n",
    "\nconfig failover settings\n",
    "\u{e9}",
];

const OPTION_LINES: &[&str] = &[
    "option interval 3",
    "option timeout 5",
    "option min_timeout 4",
    "option history 10",
    "option max_failed 9",
    "option pin a",
    "option base_priority 8000",
    "option log_level debug",
    "option failback manual",
    "option required all",
];
