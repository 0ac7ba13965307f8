//! Settings for tests: the shipped defaults, spelled as short as a test needs them.

use std::net::IpAddr;
use std::time::Duration;

use failoverd::kernel::{Metric, RouteOptions, RulePriority, TableId};
use failoverd::settings::{
    CheckSettings, Failback, GatewaySetting, LastResort, LogLevel, ProviderSettings, Settings, TestKind, TestSettings,
    UplinkSource,
};

use super::{ip, ms, secs};

/// The four targets of the built-in test, more or less.
pub const TARGETS: [IpAddr; 4] = [ip(1, 1, 1, 1), ip(8, 8, 8, 8), ip(9, 9, 9, 9), ip(208, 67, 222, 222)];

/// The shipped check settings.
pub fn shipped() -> CheckSettings {
    let file = "config provider 'a'\n\toption device 'wan0'\n";
    failoverd::settings::parse("failover", file.as_bytes()).unwrap().settings.providers.remove(0).check
}

/// The README's fast profile.
pub fn fast() -> CheckSettings {
    CheckSettings { interval: ms(50), attempts: 12, attempt_interval: ms(10), min_timeout: ms(20), ..shipped() }
}

/// A provider named `name` on device `device`, with a learnt gateway and the shipped checks.
pub fn provider(name: &str, device: &str, priority: u32) -> ProviderSettings {
    ProviderSettings {
        name: name.to_owned(),
        enabled: true,
        description: None,
        source: UplinkSource::Device(device.to_owned()),
        gateway: GatewaySetting::Learnt,
        address: None,
        priority,
        weight: 1,
        balance: true,
        default_route: true,
        drain: None,
        static_routes: vec![],
        sticky: false,
        route_options: RouteOptions::default(),
        metered: false,
        cold_standby: false,
        tests: vec!["internet".to_owned()],
        check: shipped(),
    }
}

/// Builds [`Settings`].
#[derive(Clone, Debug)]
pub struct Config(pub Settings);

impl Config {
    pub fn new(providers: Vec<ProviderSettings>) -> Self {
        Self(Settings {
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
            providers,
            tests: vec![TestSettings {
                name: "internet".to_owned(),
                kind: TestKind::ping(),
                targets: TARGETS.map(Into::into).to_vec(),
            }],
            rules: vec![],
        })
    }

    /// Providers `a`, `b`, `c`... on `wan0`, `wan1`, `wan2`..., in order of preference, with fixed gateways.
    pub fn count(count: u32) -> Self {
        let make = |index: u32| {
            let name = char::from_u32(u32::from('a') + index).unwrap().to_string();
            let gateway = GatewaySetting::Address(gateway(index));
            ProviderSettings { gateway, ..provider(&name, &format!("wan{index}"), index + 1) }
        };
        Self::new((0..count).map(make).collect())
    }

    pub fn check(mut self, change: impl Fn(&mut CheckSettings)) -> Self {
        self.0.providers.iter_mut().for_each(|provider| change(&mut provider.check));
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.0);
        self
    }

    pub fn failback_delay(self, delay: Duration) -> Self {
        self.check(|check| check.failback_delay = delay)
    }
}

/// The gateway of `wan<index>` in [`super::World::with_lines`].
pub fn gateway(index: u32) -> IpAddr {
    ip(10, u8::try_from(index).unwrap(), 0, 1)
}

/// The address of `wan<index>`.
pub fn address(index: u32) -> IpAddr {
    ip(10, u8::try_from(index).unwrap(), 0, 2)
}
