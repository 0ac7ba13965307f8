//! The model kernel: devices, addresses, rules and sysctls around the tables of `fib`; carries out [`RouteChange`]s as the shell does.

use std::net::IpAddr;

use failoverd::event::ProviderId;
use failoverd::kernel::{
    Address, Applied, IfIndex, Link, Lookup, LookupQuestion, Mark, Metric, Network, NextHops, Outcome, PROTOCOL, Route,
    RouteChange, RouteKind, RouteOptions, Rule, RulePriority, SCOPE_LINK, SCOPE_UNIVERSE, Selector, Snapshot, Sysctl,
    TableId,
};

use super::fib::{Fib, How};

/// `RTPROT_KERNEL`: connected networks.
pub const PROTOCOL_KERNEL: u8 = 2;
pub use failoverd::kernel::PROTOCOL_STATIC;
/// `RTPROT_DHCP`.
pub const PROTOCOL_DHCP: u8 = 16;

/// A rule as the kernel keeps it: by the device's name, which may be nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRule {
    pub protocol: u8,
    pub priority: RulePriority,
    pub device: Option<String>,
    pub source: Option<Network>,
    pub mark: Option<Mark>,
    pub table: TableId,
    pub suppress_prefix: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub fib: Fib,
    pub rules: Vec<KernelRule>,
    pub all_rp_filter: u32,
    /// nftables' table of ours.
    pub filter: Option<u64>,
}

impl Kernel {
    pub fn link(&self, name: &str) -> &Link {
        self.links.iter().find(|link| link.name == name).unwrap()
    }

    pub fn by_index(&self, index: IfIndex) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    fn link_mut(&mut self, name: &str) -> &mut Link {
        self.links.iter_mut().find(|link| link.name == name).unwrap()
    }

    pub fn add_link(&mut self, index: u32, name: &str) {
        let name = name.to_owned();
        let index = IfIndex(index);
        self.links.push(Link {
            index,
            name,
            up: true,
            carrier: true,
            point_to_point: false,
            rp_filter: 0,
            ignore_linkdown: 0,
        });
    }

    pub fn remove_link(&mut self, name: &str) {
        let index = self.link(name).index;
        self.links.retain(|link| link.index != index);
        self.addresses.retain(|address| address.device != index);
        // Of a route with several next hops nothing is left either (`fib_sync_down_dev`, NETDEV_UNREGISTER).
        self.fib.routes.retain(|route| !route.devices().any(|device| device == index));
    }

    /// Admin-down drops every route of the device, but for those with a next hop elsewhere; up brings the connected networks back, and nothing else.
    pub fn set_up(&mut self, name: &str, up: bool) {
        self.link_mut(name).up = up;
        let index = self.link(name).index;
        self.fib.routes.retain(|route| route.device != Some(index));
        self.drop_dead();
        if up {
            let addresses: Vec<Address> =
                self.addresses.iter().filter(|address| address.device == index).cloned().collect();
            addresses.iter().for_each(|address| self.connect(address));
        }
    }

    /// Routes stay; whether they are followed depends on `ignore_linkdown`, see [`Kernel::is_dead`].
    pub fn set_carrier(&mut self, name: &str, carrier: bool) {
        self.link_mut(name).carrier = carrier;
    }

    pub fn set_point_to_point(&mut self, name: &str) {
        self.link_mut(name).point_to_point = true;
    }

    pub fn set_sysctl(&mut self, name: &str, key: Sysctl, value: u32) {
        let link = self.link_mut(name);
        match key {
            Sysctl::RpFilter => link.rp_filter = value,
            Sysctl::IgnoreLinkdown => link.ignore_linkdown = value,
        }
    }

    pub fn add_address(&mut self, name: &str, address: IpAddr, prefix: u8) {
        self.add_peer(name, address, address, prefix);
    }

    pub fn add_peer(&mut self, name: &str, address: IpAddr, peer: IpAddr, prefix: u8) {
        let device = self.link(name).index;
        let address = Address { device, address, peer, prefix, scope: 0 };
        self.addresses.push(address.clone());
        if self.link(name).up {
            self.connect(&address);
        }
    }

    /// Without its last address a device has no routes at all; else those from the address go.
    pub fn remove_address(&mut self, name: &str, address: IpAddr) {
        let device = self.link(name).index;
        self.addresses.retain(|it| it.device != device || it.address != address);
        let last = !self.addresses.iter().any(|it| it.device == device);
        let still_local = self.addresses.iter().any(|it| it.address == address);
        self.fib.routes.retain(|route| {
            let connected = route.device == Some(device) && route.source == Some(address);
            let orphan = route.source == Some(address) && !still_local;
            let stranded = last && route.device == Some(device);
            !(stranded || connected || orphan)
        });
        self.drop_dead();
    }

    /// A route with several next hops goes when all of them are dead for good; one of them comes alive again by itself, with its device.
    fn drop_dead(&mut self) {
        let mut routes = std::mem::take(&mut self.fib.routes);
        let lives = |device| self.lives(device);
        routes.retain(|route| !matches!(route.next_hops, NextHops::Shared(_)) || route.devices().any(lives));
        self.fib.routes = routes;
    }

    fn connect(&mut self, address: &Address) {
        if address.prefix == 32 && address.peer == address.address {
            return;
        }
        let route = Route {
            table: TableId::MAIN,
            destination: address.network(),
            metric: Metric(0),
            tos: 0,
            protocol: PROTOCOL_KERNEL,
            kind: RouteKind::Unicast,
            scope: SCOPE_LINK,
            device: Some(address.device),
            gateway: None,
            source: Some(address.address),
            onlink: false,
            next_hops: NextHops::Single,
            options: RouteOptions::default(),
            other: vec![],
        };
        let _ = self.fib.insert(route, How::Append);
    }

    /// `default via GATEWAY dev NAME metric METRIC proto PROTOCOL` in main.
    pub fn default_route(&self, name: &str, gateway: Option<IpAddr>, metric: u32, protocol: u8) -> Route {
        Route {
            table: TableId::MAIN,
            destination: Network::ANY_V4,
            metric: Metric(metric),
            tos: 0,
            protocol,
            kind: RouteKind::Unicast,
            scope: if gateway.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK },
            device: Some(self.link(name).index),
            gateway,
            source: None,
            onlink: false,
            next_hops: NextHops::Single,
            options: RouteOptions::default(),
            other: vec![],
        }
    }

    /// Adds a route as any program would; the kernel's own checks come first.
    pub fn add_route(&mut self, route: Route, how: How) -> Result<(), &'static str> {
        for (device, gateway, onlink) in ways(&route).filter(|_| route.kind == RouteKind::Unicast) {
            let link = device.and_then(|index| self.by_index(index)).ok_or("No such device (19)")?;
            if !link.up {
                return Err("Network is down (100)");
            }
            let via = Route { device, ..route.clone() };
            if gateway.is_some_and(|gateway| !onlink && !self.fib.reaches(&via, gateway)) {
                return Err("Network is unreachable (101)");
            }
        }
        if route.source.is_some_and(|source| !self.addresses.iter().any(|it| it.address == source)) {
            return Err("Invalid argument (22)");
        }
        self.fib.insert(route, how)
    }

    /// Carries one change out as the shell does.
    pub fn apply(&mut self, change: &RouteChange) -> Outcome {
        let outcome = |result: Result<(), &str>| result.map_or_else(|e| Outcome::Refused(e.into()), |()| Outcome::Done);
        match change {
            RouteChange::Write(route) => outcome(self.add_route(route.clone(), How::Replace)),
            RouteChange::Append(route) => outcome(self.add_route(route.clone(), How::Append)),
            RouteChange::Delete(route) => match self.fib.delete(route) {
                Some(hit) if hit != *route => Outcome::DeletedOther(Box::new(hit)),
                _ => Outcome::Done,
            },
            RouteChange::AddRule(rule) => {
                let Some(rule) = self.kernel_rule(rule) else { return Outcome::Refused("No such device (19)".into()) };
                if !self.rules.contains(&rule) {
                    self.insert_rule(rule);
                }
                Outcome::Done
            }
            RouteChange::DeleteRule(rule) => {
                self.delete_rule(rule);
                Outcome::Done
            }
            RouteChange::SetSysctl { device, key, value } => match self.by_index(*device).map(|link| link.name.clone())
            {
                Some(name) => {
                    self.set_sysctl(&name, *key, *value);
                    Outcome::Done
                }
                None => Outcome::Refused("No such device (19)".into()),
            },
        }
    }

    pub fn insert_rule(&mut self, rule: KernelRule) {
        let at = self.rules.iter().position(|it| it.priority > rule.priority).unwrap_or(self.rules.len());
        self.rules.insert(at, rule);
    }

    fn kernel_rule(&self, rule: &Rule) -> Option<KernelRule> {
        let (device, source, mark) = match rule.selector? {
            Selector::OutgoingDevice(index) => (Some(self.by_index(index)?.name.clone()), None, None),
            Selector::Source(network) => (None, Some(network), None),
            Selector::Mark(mark) => (None, None, Some(mark)),
        };
        Some(KernelRule {
            protocol: PROTOCOL,
            priority: rule.priority,
            device,
            source,
            mark,
            table: rule.table,
            suppress_prefix: rule.suppress_prefix,
        })
    }

    /// Deletes the first rule that has what is named; a prefix that is not named matches any (`rule_find`). The raw form names
    /// the rule exactly.
    fn delete_rule(&mut self, rule: &Rule) {
        let hit = if rule.selector.is_some() {
            let Some(wanted) = self.kernel_rule(rule) else { return };
            self.rules.iter().position(|it| {
                *it == KernelRule { suppress_prefix: wanted.suppress_prefix.or(it.suppress_prefix), ..wanted.clone() }
            })
        } else {
            self.rules.iter().position(|it| it.protocol == PROTOCOL && raw(it) == rule.raw)
        };
        hit.map(|at| self.rules.remove(at));
    }

    /// What the shell reads.
    pub fn snapshot(&self, questions: &[LookupQuestion]) -> Snapshot {
        let routes = self.fib.routes.iter();
        let rules = self.rules.iter().filter(|rule| rule.protocol == PROTOCOL).map(|rule| {
            let device = rule.device.as_ref().and_then(|name| self.links.iter().find(|link| link.name == *name));
            let selector = match (device, rule.source) {
                (None, None) if rule.device.is_none() => rule.mark.map(Selector::Mark),
                (Some(link), None) => Some(Selector::OutgoingDevice(link.index)),
                (None, Some(source)) if rule.device.is_none() => Some(Selector::Source(source)),
                _ => None,
            };
            let (priority, table, suppress_prefix) = (rule.priority, rule.table, rule.suppress_prefix);
            Rule { priority, selector, table, suppress_prefix, raw: raw(rule) }
        });
        Snapshot {
            links: self.links.clone(),
            addresses: self.addresses.clone(),
            routes: routes
                .filter(|route| route.table == TableId::MAIN || route.protocol == PROTOCOL)
                .cloned()
                .collect(),
            rules: rules.collect(),
            all_rp_filter: self.all_rp_filter,
            filter: self.filter,
            lookups: questions.iter().map(|&question| Lookup { question, answer: self.look_up(question) }).collect(),
        }
    }

    /// Carries a list out, as [`Kernel::apply`].
    pub fn apply_all(&mut self, changes: &[RouteChange]) -> Vec<Applied> {
        changes.iter().map(|change| (change.clone(), self.apply(change))).collect()
    }

    /// The default routes of table main, in the kernel's order.
    pub fn defaults(&self) -> impl Iterator<Item = &Route> {
        self.fib.routes.iter().filter(|route| route.is_main_default())
    }

    /// Whether nothing of failoverd's is in the kernel.
    pub fn is_clean(&self) -> bool {
        let moved = |route: &Route| failoverd::takeover::original_metric(route.metric).is_some();
        !self.fib.routes.iter().any(|route| route.is_ours() || (route.is_main_default() && moved(route)))
            && !self.rules.iter().any(|rule| rule.protocol == PROTOCOL)
    }
}

/// Device, gateway and `onlink` of every next hop.
pub fn ways(route: &Route) -> impl Iterator<Item = (Option<IfIndex>, Option<IpAddr>, bool)> + '_ {
    let hops: &[_] = if let NextHops::Shared(hops) = &route.next_hops { hops } else { &[] };
    let single = (route.next_hops == NextHops::Single).then_some((route.device, route.gateway, route.onlink));
    single.into_iter().chain(hops.iter().map(|hop| (Some(hop.device), hop.gateway, hop.onlink)))
}

fn raw(rule: &KernelRule) -> Vec<u8> {
    format!("{rule:?}").into_bytes()
}

/// The provider table of this number at the default `base_table`.
pub fn table(id: u8) -> TableId {
    failoverd::uplink::table_of(TableId(7100), ProviderId(id))
}
