//! What the properties are tried on: kernels as other programs may have left them, configurations, and happenings.

use failoverd::event::{Event, ProviderId};
use failoverd::kernel::{Metric, PROTOCOL, Route, RulePriority, Sysctl};
use failoverd::settings::{GatewaySetting, LastResort, Settings, UplinkSource};
use failoverd::takeover::moved_metric;
use proptest::prelude::*;

use super::model::fib::How;
use super::model::kernel::{KernelRule, PROTOCOL_DHCP, PROTOCOL_STATIC, table};
use super::model::{Config, Kernel, Line, World, ip, ms, secs};
use super::netifd::{Saying, saying};

/// Devices of the world: `wan0` to `wan3`.
pub const LINES: u32 = 4;

/// Somebody's default route.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// `wan<line>`.
    line: u32,
    metric: u32,
    protocol: u8,
    /// The second gateway of the line.
    second: bool,
}

#[derive(Clone, Debug)]
pub struct Found {
    pub identical: bool,
    foreign: Vec<Foreign>,
    vpn: Option<u32>,
    all_rp_filter: u32,
    sysctls: Vec<(u32, u32)>,
    /// Leftovers of ours: (line, metric, table of this id or main, second gateway, without source).
    slots: Vec<(u32, u32, u8, bool, bool)>,
    /// (priority, line, table, suppress), `None`: of a device that is gone.
    rules: Vec<(u32, Option<u32>, u8, bool)>,
    /// (id, line, old metric).
    copies: Vec<(u8, u32, u32)>,
}

/// Kernels that never met failoverd.
pub fn clean() -> impl Strategy<Value = Found> {
    let metric = prop_oneof![4 => Just(0u32), 1 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(100)];
    let protocol = prop_oneof![Just(3u8), Just(PROTOCOL_STATIC), Just(PROTOCOL_DHCP)];
    let foreign = (0..LINES, metric, protocol, prop::bool::weighted(0.2))
        .prop_map(|(line, metric, protocol, second)| Foreign { line, metric, protocol, second });
    let sysctls = prop::collection::vec((0..3u32, 0..2u32), LINES as usize);
    (any::<bool>(), prop::collection::vec(foreign, 0..6), prop::option::of(5u32..60), 0..3u32, sysctls).prop_map(
        |(identical, mut foreign, vpn, all_rp_filter, sysctls)| Found {
            identical,
            foreign: {
                // Two of one device at one metric come back side by side, wherever a third one stood.
                let mut seen = std::collections::BTreeSet::new();
                foreign.retain(|it| seen.insert((it.line, it.metric)));
                // And one that is left alone as an override by hand stays where those that come back do not.
                let metrics: Vec<u32> = foreign.iter().map(|it| it.metric).collect();
                let shared = |metric: u32| metric > 0 && metrics.iter().filter(|it| **it == metric).count() > 1;
                foreign.iter_mut().filter(|it| shared(it.metric)).for_each(|it| it.protocol = PROTOCOL_DHCP);
                foreign
            },
            vpn,
            all_rp_filter,
            sysctls,
            slots: vec![],
            rules: vec![],
            copies: vec![],
        },
    )
}

/// Kernels with leftovers of ours, consistent or not.
pub fn littered() -> impl Strategy<Value = Found> {
    let slots = prop::collection::vec((0..LINES, 0..6u32, 0..5u8, any::<bool>(), any::<bool>()), 0..8);
    let rules = prop::collection::vec((7000..7012u32, prop::option::of(0..LINES), 0..5u8, any::<bool>()), 0..6);
    let copies = prop::collection::vec((1..6u8, 0..LINES, 0..2u32), 0..3);
    (clean(), slots, rules, copies).prop_map(|(found, slots, rules, copies)| Found { slots, rules, copies, ..found })
}

impl Found {
    pub fn gateway(&self, line: u32, second: bool) -> std::net::IpAddr {
        let last = if second { 254 } else { 1 };
        if self.identical { ip(192, 168, 1, last) } else { ip(10, u8::try_from(line).unwrap(), 0, last) }
    }

    /// Whether routes of equal metric coexist.
    pub fn shares_metrics(&self) -> bool {
        let metrics: std::collections::BTreeSet<_> = self.foreign.iter().map(|it| it.metric).collect();
        metrics.len() < self.foreign.len()
    }

    /// Where routes of equal metric coexist, those of providers come back behind those that stayed: such a kernel is only put back
    /// exactly if takeover moves all of them or none.
    pub fn all_or_none(&self, wish: &Wish) -> Wish {
        let mut wish = wish.clone();
        if self.shares_metrics() {
            wish.lines.extend((0..LINES).filter(|line| !wish.lines.contains(line)).collect::<Vec<_>>());
        }
        wish
    }

    pub fn address(&self, line: u32) -> std::net::IpAddr {
        if self.identical { ip(192, 168, 1, 2) } else { ip(10, u8::try_from(line).unwrap(), 0, 2) }
    }

    pub fn world(&self, seed: u64) -> World {
        let mut kernel = Kernel { all_rp_filter: self.all_rp_filter, ..Kernel::default() };
        kernel.add_link(1, "lo");
        kernel.add_link(5, "vpn0");
        kernel.set_point_to_point("vpn0");
        kernel.add_address("vpn0", ip(172, 16, 0, 2), 32);
        kernel.insert_rule(KernelRule {
            protocol: 0,
            priority: RulePriority(1001),
            device: None,
            mark: None,
            source: Some(failoverd::kernel::Network::new(ip(10, 99, 0, 0), 16)),
            table: table(200),
            suppress_prefix: None,
        });
        for line in 0..LINES {
            let name = format!("wan{line}");
            kernel.add_link(10 + line, &name);
            kernel.add_address(&name, self.address(line), 24);
            kernel.set_sysctl(&name, Sysctl::RpFilter, self.sysctls[line as usize].0);
            kernel.set_sysctl(&name, Sysctl::IgnoreLinkdown, self.sysctls[line as usize].1);
        }
        for it in &self.foreign {
            let gateway = self.gateway(it.line, it.second);
            let route = kernel.default_route(&format!("wan{}", it.line), Some(gateway), it.metric, it.protocol);
            let _ = kernel.add_route(route, How::Append);
        }
        if let Some(metric) = self.vpn {
            let route = kernel.default_route("vpn0", None, metric, PROTOCOL_STATIC);
            kernel.add_route(route, How::Append).unwrap();
        }
        for &(line, metric, id, second, bare) in &self.slots {
            let gateway = self.gateway(line, second);
            let route = kernel.default_route(&format!("wan{line}"), Some(gateway), metric, PROTOCOL);
            let source = (!bare).then(|| self.address(line));
            let table = if id == 0 { route.table } else { table(id) };
            let _ = kernel.add_route(Route { table, source, ..route }, How::Append);
        }
        for &(priority, line, id, suppress) in &self.rules {
            let device = line.map_or("gone0".to_owned(), |line| format!("wan{line}"));
            let (priority, device) = (RulePriority(priority), Some(device));
            let suppress_prefix = suppress.then_some(0);
            let rule = KernelRule {
                protocol: PROTOCOL,
                priority,
                device,
                source: None,
                mark: None,
                table: table(id),
                suppress_prefix,
            };
            kernel.insert_rule(rule);
        }
        for &(id, line, metric) in &self.copies {
            let metric = moved_metric(ProviderId(id), Metric(metric)).0;
            let gateway = self.gateway(line, false);
            let route = kernel.default_route(&format!("wan{line}"), Some(gateway), metric, PROTOCOL_DHCP);
            let _ = kernel.add_route(route, How::Append);
        }
        let mut world = World::new(kernel, seed);
        world.lines = (0..LINES).map(|line| (format!("wan{line}"), Line::default())).collect();
        self.whole_netifd(&mut world);
        world
    }
}

/// A configuration for the devices of [`Found`].
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which lines are providers, in this order in the file.
    pub lines: Vec<u32>,
    pub start_metric: u32,
    pub takeover: bool,
    pub source_rules: bool,
    pub learnt: bool,
    pub enabled: bool,
    pub last_resort: bool,
    pub onlink: bool,
    /// Which lines' providers are on netifd's interfaces, by bit; the others are on devices.
    pub netifd: u8,
    pub traffic: Traffic,
}

/// Who carries what, by a bit for each line.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// These have priority 1, and the others come behind them.
    pub tier: u8,
    /// Of these `balance` is 0.
    pub alone: u8,
    /// Of these `default` is 0.
    pub aside: u8,
    /// Whether `inbound` is 1.
    pub inbound: bool,
}

impl Traffic {
    pub const fn has(bits: u8, line: u32) -> bool {
        bits >> line & 1 == 1
    }
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let aside = prop_oneof![8 => Just(0u8), 1 => any::<u8>()];
    let one = (any::<u8>(), prop_oneof![2 => Just(0u8), 1 => any::<u8>()], aside, any::<bool>());
    let one = one.prop_map(|(tier, alone, aside, inbound)| Traffic { tier, alone, aside, inbound });
    prop_oneof![1 => Just(Traffic::default()), 1 => one]
}

pub fn wish() -> impl Strategy<Value = Wish> {
    let lines = prop::sample::subsequence((0..LINES).collect::<Vec<_>>(), 1..=LINES as usize).prop_shuffle();
    let start_metric = prop_oneof![3 => Just(2u32), 1 => Just(1), 1 => Just(10)];
    let often = || prop::bool::weighted(0.9);
    let netifd = prop_oneof![Just(0u8), Just(0xff), any::<u8>()];
    let onlink = prop::bool::weighted(0.1);
    (lines, start_metric, often(), any::<bool>(), any::<bool>(), often(), any::<bool>(), onlink, (netifd, traffic()))
        .prop_map(
            |(lines, start_metric, takeover, source_rules, learnt, enabled, last_resort, onlink, (netifd, traffic))| {
                Wish {
                    lines,
                    start_metric,
                    takeover,
                    source_rules,
                    learnt,
                    enabled,
                    last_resort,
                    onlink,
                    netifd,
                    traffic,
                }
            },
        )
}

impl Wish {
    pub fn settings(&self, found: &Found) -> Settings {
        let providers = self.lines.iter().map(|&line| {
            let gateway = match (self.learnt, self.onlink) {
                (true, _) => GatewaySetting::Learnt,
                (false, true) => GatewaySetting::Address(ip(203, 0, 113, 1)),
                (false, false) => GatewaySetting::Address(found.gateway(line, false)),
            };
            let provider = super::model::provider(&format!("p{line}"), &format!("wan{line}"), line + 1);
            let source = match self.netifd >> line & 1 {
                0 => provider.source.clone(),
                _ => UplinkSource::Interface(format!("isp{line}")),
            };
            let Traffic { tier, alone, aside, .. } = self.traffic;
            failoverd::settings::ProviderSettings {
                gateway,
                source,
                priority: if Traffic::has(tier, line) { 1 } else { line + 2 },
                weight: u16::try_from(line).unwrap() * 40 + 1,
                balance: !Traffic::has(alone, line),
                default_route: !Traffic::has(aside, line),
                ..provider
            }
        });
        Config::new(providers.collect())
            .with(|it| {
                it.start_metric = Metric(self.start_metric);
                it.takeover = self.takeover;
                it.source_rules = self.source_rules;
                it.enabled = self.enabled;
                it.inbound = self.traffic.inbound;
                it.last_resort = if self.last_resort { LastResort::First } else { LastResort::Keep };
            })
            .0
    }
}

/// What may happen between start and stop without anybody else touching routes or addresses.
#[derive(Clone, Debug)]
pub enum Happening {
    Silent(u32, bool),
    Carrier(u32, bool),
    Pin(Option<u32>),
    Reload(Wish),
    Crash,
    /// After this many single changes, then started again.
    CrashWithin(usize),
    Netifd(Saying),
    Pass(u64),
}

pub fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        2 => (0..LINES, any::<bool>()).prop_map(|(line, silent)| Happening::Silent(line, silent)),
        2 => (0..LINES, any::<bool>()).prop_map(|(line, carrier)| Happening::Carrier(line, carrier)),
        1 => prop::option::of(0..LINES).prop_map(Happening::Pin),
        2 => wish().prop_map(Happening::Reload),
        1 => Just(Happening::Crash),
        2 => (0..12usize).prop_map(Happening::CrashWithin),
        3 => saying().prop_map(Happening::Netifd),
        3 => prop_oneof![0..5u64, 500..4000u64, 60_000..70_000u64].prop_map(Happening::Pass),
    ];
    prop::collection::vec(one, 0..10)
}

impl Happening {
    /// Lets it happen; `current` is the configuration in force.
    pub fn happen(&self, world: &mut World, found: &Found, current: &mut Settings) {
        match self {
            Self::Silent(line, silent) => world.line(&format!("wan{line}")).silent = *silent,
            Self::Carrier(line, carrier) => world.disturb(|it| it.set_carrier(&format!("wan{line}"), *carrier)),
            Self::Pin(Some(line)) => world.feed(Event::Pin(format!("p{line}"))),
            Self::Pin(None) => world.feed(Event::Unpin),
            Self::Reload(wish) => {
                *current = found.all_or_none(wish).settings(found);
                world.feed(Event::Reload(Box::new(current.clone())));
            }
            Self::Crash => {
                world.crash();
                world.start(current.clone());
            }
            Self::CrashWithin(changes) => {
                world.crash_after = Some(*changes);
                world.pass(secs(7));
                world.crash_after = None;
                if world.core.is_none() {
                    world.start(current.clone());
                }
            }
            Self::Netifd(saying) => saying.say(world, found, current),
            Self::Pass(time) => world.pass(ms(*time)),
        }
    }
}
