//! UCI sections to [`Settings`]: defaults, overrides, and every problem of the file at once.
//!
//! Fed with the text by the shell (start, reload, `validate`); its `Settings` go to the core.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::check;
use super::layer::{Findings, Layer, Stack};
use super::option::Value;
use super::problem::{Problem, did_you_mean};
use super::schema::SectionKind;
use super::{
    CheckSettings, Failback, LastResort, LogLevel, ProviderSettings, Recover, Settings, TestKind, TestSettings,
    UplinkSource, rule, test,
};
use crate::kernel::{Metric, RouteOptions, RulePriority, TableId};
use crate::order::ordered;
use crate::ubus_call::Packet;
use crate::uci::{self, Section, Short};

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What it means.
    pub settings: Settings,
    /// What is odd about it without making it unusable, by line.
    pub warnings: Vec<Problem>,
}

/// The name of the test that exists when the file has none.
pub const BUILTIN_TEST: &str = "internet";
/// Its targets: anycast resolvers of four operators.
pub(super) const BUILTIN_TARGETS: [Ipv4Addr; 4] =
    [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(208, 67, 222, 222)];
/// `standby_interval` of a metered provider, when neither it nor `settings` has one.
const METERED_STANDBY: Duration = Duration::from_secs(60);

/// Reads a configuration file; `path` is for messages only. With problems there are no settings, and they are all there, by line.
pub fn parse(path: &str, text: &[u8]) -> Result<Loaded, Vec<Problem>> {
    let file = uci::parse(text);
    let mut found = Findings::default();
    found.problems.extend(file.errors.iter().map(|error| (error.line, error.to_string())));
    let sheet = Sheet::read(&file, &mut found);
    check::all(&sheet, &mut found);
    let problems = by_line(path, found.problems);
    if problems.is_empty() {
        Ok(Loaded { settings: sheet.settings(), warnings: by_line(path, found.warnings) })
    } else {
        Err(problems)
    }
}

/// Does with any bytes everything that is done with a file; it must not panic. For fuzzing and the replay of its corpus.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    match parse("failover", bytes) {
        Ok(loaded) => {
            let _ = super::describe(&loaded.settings);
            let (address, some) = (Ipv4Addr::new(192, 168, 1, 20), Some(6));
            let packet = Packet { source: address, destination: address, protocol: some, port: Some(443) };
            let _ = crate::rules::find(&loaded.settings.rules, &packet, Some("br-lan"), false);
            crate::advice::exercise(bytes, &loaded.settings);
        }
        Err(problems) => {
            let _: usize = problems.iter().map(|problem| problem.to_string().len()).sum();
        }
    }
    // Or of the files beside it.
    let plain = b"config provider a\n option interface wan\nconfig provider b\n option interface lan\nconfig provider c\n option device eth0\n";
    if let Ok(loaded) = parse("failover", plain) {
        crate::advice::exercise(bytes, &loaded.settings);
    }
}

fn by_line(path: &str, found: Vec<(u32, String)>) -> Vec<Problem> {
    let found = ordered(found, |(line, _)| *line);
    found.into_iter().map(|(line, text)| Problem { file: path.into(), line, text }).collect()
}

/// The sections of a file, typed.
pub(super) struct Sheet {
    pub(super) settings: Layer,
    /// With their names; unnamed ones have been complained about and have an empty name.
    pub(super) providers: Vec<(String, Layer)>,
    /// Likewise.
    pub(super) tests: Vec<(String, Layer)>,
    /// Rules need no name.
    pub(super) rules: Vec<(String, Layer)>,
}

impl Sheet {
    fn read(file: &uci::File, found: &mut Findings) -> Self {
        let settings = Layer::empty(SectionKind::Settings);
        let mut sheet = Self { settings, providers: Vec::new(), tests: Vec::new(), rules: Vec::new() };
        for (section, next) in file.sections.iter().zip(file.sections.iter().skip(1).map(Some).chain([None])) {
            let Some(kind) = SectionKind::of(&section.kind) else {
                let hint = match section.kind.as_str() {
                    "settings" | "global" | "globals" => " (did you mean config failover 'settings'?)".into(),
                    other => did_you_mean(other, ["failover", "provider", "test", "rule"]),
                };
                found.problems.push((section.line, format!("unknown section type '{}'{hint}", Short(&section.kind))));
                continue;
            };
            let mut layer = Layer::read(kind, section, found);
            let lines = section.line..next.map_or(u32::MAX, |next| next.line);
            layer.damaged = file.errors.iter().any(|error| lines.contains(&error.line));
            repeated(section, &layer, found);
            let name = section.name.clone().unwrap_or_default();
            match kind {
                SectionKind::Settings if name == "settings" => sheet.settings = layer,
                SectionKind::Settings => {
                    let text = "a failover section must be named: config failover 'settings'";
                    found.problems.push((section.line, text.into()));
                }
                SectionKind::Rule => {
                    let place = sheet.rules.len() + 1;
                    let name = if name.is_empty() { format!("#{place}") } else { name };
                    layer.label = format!("rule '{}'", Short(&name));
                    sheet.rules.push((name, layer));
                }
                SectionKind::Provider | SectionKind::Test => {
                    if name.is_empty() {
                        let kind = kind.uci_type();
                        found.problems.push((section.line, format!("a {kind} needs a name: config {kind} 'NAME'")));
                    }
                    if kind == SectionKind::Test {
                        sheet.tests.push((name, layer))
                    } else {
                        sheet.providers.push((name, layer))
                    }
                }
            }
        }
        sheet
    }

    /// The names a provider's `test` can have.
    pub(super) fn test_names(&self) -> Vec<&str> {
        if self.tests.is_empty() {
            vec![BUILTIN_TEST]
        } else {
            self.tests.iter().map(|(name, _)| name.as_str()).collect()
        }
    }

    /// The tests of a provider.
    pub(super) fn tests_of(&self, provider: &Layer) -> Vec<String> {
        let listed: Vec<String> = provider.texts("test").into_iter().map(|(_, name)| name.into()).collect();
        if listed.is_empty() { self.test_names().into_iter().map(String::from).collect() } else { listed }
    }

    /// The meaning; only looked at when there are no problems.
    fn settings(&self) -> Settings {
        let layers = [&self.settings];
        let stack = Stack(&layers);
        Settings {
            enabled: stack.flag("enabled"),
            failback: if stack.text("failback").as_deref() == Some("manual") {
                Failback::Manual
            } else {
                Failback::Auto
            },
            last_resort: if stack.text("last_resort").as_deref() == Some("first") {
                LastResort::First
            } else {
                LastResort::Keep
            },
            pin: stack.text("pin"),
            start_metric: Metric(stack.number("start_metric").unwrap_or_default()),
            takeover: stack.flag("takeover"),
            source_rules: stack.flag("source_rules"),
            base_table: TableId(stack.number("base_table").unwrap_or_default()),
            base_priority: RulePriority(stack.number("base_priority").unwrap_or_default()),
            mark_mask: stack.number("mark_mask").unwrap_or_default(),
            flush_conntrack: stack.flag("flush_conntrack"),
            dns_routes: stack.flag("dns_routes"),
            log_level: match stack.text("log_level").as_deref() {
                Some("error") => LogLevel::Error,
                Some("warning") => LogLevel::Warning,
                Some("debug") => LogLevel::Debug,
                _ => LogLevel::Info,
            },
            providers: (1..)
                .zip(&self.providers)
                .map(|(place, (name, layer))| self.provider(place, name, layer))
                .collect(),
            inbound: self.providers.iter().map(|(_, it)| it).chain([&self.settings]).any(|it| {
                let own = [it];
                Stack(&own).flag("inbound")
            }),
            tests: self.tests(),
            rules: self.rules.iter().map(|(name, layer)| rule::settings(name, layer)).collect(),
        }
    }

    fn provider(&self, place: u32, name: &str, layer: &Layer) -> ProviderSettings {
        let layers = [layer, &self.settings];
        let stack = Stack(&layers);
        let source = match stack.text("interface") {
            Some(interface) => UplinkSource::Interface(interface),
            None => UplinkSource::Device(stack.text("device").unwrap_or_default()),
        };
        ProviderSettings {
            name: name.into(),
            enabled: stack.flag("enabled"),
            description: stack.text("description"),
            source,
            gateway: stack.gateway(),
            address: layer.addresses("address").first().copied(),
            priority: stack.number("priority").unwrap_or(place),
            weight: stack.number("weight").and_then(|weight| u16::try_from(weight).ok()).unwrap_or(1),
            balance: stack.flag("balance"),
            default_route: stack.flag("default"),
            drain: stack.drain(),
            static_routes: layer.each("static_routes", |it| if let Value::Network(it) = it { Some(*it) } else { None }),
            sticky: stack.flag("sticky"),
            route_options: RouteOptions {
                mtu: stack.number("mtu"),
                advmss: stack.number("advmss"),
                initcwnd: stack.number("initcwnd"),
                initrwnd: stack.number("initrwnd"),
                quickack: stack.flag("quickack").then_some(1),
            },
            metered: stack.flag("metered"),
            cold_standby: stack.flag("cold_standby"),
            tests: self.tests_of(layer),
            check: check_settings(stack),
        }
    }

    fn tests(&self) -> Vec<TestSettings> {
        if self.tests.is_empty() {
            let targets = BUILTIN_TARGETS.map(|address| IpAddr::V4(address).into()).to_vec();
            return vec![TestSettings { name: BUILTIN_TEST.into(), kind: TestKind::ping(), targets }];
        }
        self.tests.iter().map(|(name, layer)| test::settings(name, layer)).collect()
    }
}

fn check_settings(stack: Stack<'_>) -> CheckSettings {
    let quiet = stack.flag("metered") && stack.line_of("standby_interval").is_none();
    CheckSettings {
        interval: stack.duration("interval"),
        standby_interval: if quiet { METERED_STANDBY } else { stack.duration("standby_interval") },
        timeout: stack.duration("timeout"),
        min_timeout: stack.duration("min_timeout"),
        attempts: stack.number("attempts").unwrap_or_default(),
        attempt_interval: stack.duration("attempt_interval"),
        required: stack.required(),
        history: stack.number("history").and_then(|history| usize::try_from(history).ok()).unwrap_or_default(),
        max_failed: stack.number("max_failed"),
        up: stack.number("up").unwrap_or_default(),
        down: stack.number("down").unwrap_or_default(),
        failback_delay: stack.duration("failback_delay"),
        quality_window: stack.number("quality_window").and_then(|size| usize::try_from(size).ok()).unwrap_or_default(),
        loss: stack.loss_limits(),
        latency: stack.duration_limits("max_latency", "recover_latency"),
        jitter: stack.duration_limits("max_jitter", ""),
        resolvers: stack.addresses("resolver"),
        recover: match stack.text("recover").as_deref() {
            Some("renew") => Some(Recover::Renew),
            Some("restart") => Some(Recover::Restart),
            Some("exec") => stack.text("recover_script").map(Recover::Exec),
            _ => None,
        },
        recover_after: stack.duration("recover_after"),
    }
}

/// libuci merges sections of the same name. For `settings` that does no harm; two providers of one name are a mistake.
fn repeated(section: &Section, layer: &Layer, found: &mut Findings) {
    for &line in &section.repeated {
        match layer.kind {
            SectionKind::Settings => {
                found.warnings.push((line, format!("{}: continues the section on line {}", layer.label, section.line)));
            }
            SectionKind::Provider | SectionKind::Test | SectionKind::Rule => {
                found.problems.push((line, format!("{}: there is one on line {} already", layer.label, section.line)));
            }
        }
    }
}
