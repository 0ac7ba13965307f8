//! The kernel and netifd that a simulated daemon sees: of each provider its device, made of what was recorded of its uplink.
//!
//! `simulate` tells it what was recorded, and what the core wants changed; it answers with snapshots and interfaces.

use std::net::{IpAddr, Ipv4Addr};

use super::Way;
use crate::event::ProviderId;
use crate::kernel::{
    Address, IfIndex, Link, Lookup, LookupAnswer, LookupQuestion, Metric, Network, NextHops, PROTOCOL_STATIC, Route,
    RouteChange, RouteKind, RouteOptions, Rule, SCOPE_UNIVERSE, Snapshot, TableId,
};
use crate::netifd::{DefaultRoute, Interface};
use crate::settings::{GatewaySetting, ProviderSettings, UplinkSource};

/// Beyond every slot: the default routes that gateways are learnt from are nobody's business.
const LEARNT: Metric = Metric(10_000);
/// The one that traffic takes when the daemon starts.
const FIRST: Metric = Metric(1);

/// All that there is.
#[derive(Debug, Default)]
pub(super) struct World {
    places: Vec<Place>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
}

/// A provider's device.
#[derive(Debug)]
struct Place {
    provider: String,
    device: String,
    interface: Option<String>,
    gateway: GatewaySetting,
    address: Option<IpAddr>,
    metric: Metric,
    way: Way,
    /// What is missing; empty: nothing.
    missing: String,
}

impl World {
    /// The place of a provider that nothing is known of yet. `first`: traffic takes it when the daemon starts.
    pub(super) fn add(&mut self, provider: &ProviderSettings, id: ProviderId, first: bool) {
        let (device, interface) = match &provider.source {
            UplinkSource::Device(name) => (name.clone(), None),
            UplinkSource::Interface(name) => (format!("{name} device"), Some(name.clone())),
        };
        let gateway = Some(Ipv4Addr::new(10, id.0, 0, 1).into());
        self.places.push(Place {
            provider: provider.name.clone(),
            device,
            interface,
            gateway: provider.gateway,
            address: provider.address,
            metric: if first { FIRST } else { LEARNT },
            way: Way { device: u32::from(id.0), number: 0, gateway },
            missing: "netifd_silent".to_owned(),
        });
    }

    /// What was recorded of a provider's uplink.
    pub(super) fn follow(&mut self, provider: &str, uplink: Result<Way, &str>) {
        let Some(place) = self.places.iter_mut().find(|it| it.provider == provider) else { return };
        let before = (place.has_route(), place.way);
        match uplink {
            Ok(way) => {
                place.way = way;
                place.missing.clear();
            }
            Err(code) => place.missing = code.to_owned(),
        }
        // What happens to a cable leaves the routes as they are.
        if before == (place.has_route(), place.way) {
            return;
        }
        self.routes.retain(|route| !route.devices().any(|it| it == IfIndex(before.1.device)));
        if place.has_route() {
            self.routes.push(Route {
                table: TableId::MAIN,
                destination: Network::ANY_V4,
                metric: place.metric,
                tos: 0,
                protocol: PROTOCOL_STATIC,
                kind: RouteKind::Unicast,
                scope: SCOPE_UNIVERSE,
                device: Some(IfIndex(place.way.device)),
                gateway: place.next_hop(),
                source: None,
                onlink: true,
                next_hops: NextHops::Single,
                options: RouteOptions::default(),
                other: vec![],
            });
        }
    }

    /// Carries out what the core wants, as a kernel without any will of its own.
    pub(super) fn apply(&mut self, change: &RouteChange) {
        match change {
            RouteChange::Write(route) => {
                let key = |it: &Route| (it.table, it.destination, it.metric);
                self.routes.retain(|it| key(it) != key(route));
                self.routes.push(route.clone());
            }
            RouteChange::Append(route) => self.routes.push(route.clone()),
            RouteChange::Delete(route) => self.routes.retain(|it| it != route),
            RouteChange::AddRule(rule) => self.rules.push(rule.clone()),
            RouteChange::DeleteRule(rule) => self.rules.retain(|it| it != rule),
            RouteChange::SetSysctl { .. } => {}
        }
    }

    /// The kernel's state, with these questions answered.
    pub(super) fn snapshot(&self, questions: &[LookupQuestion]) -> Snapshot {
        let there = || self.places.iter().filter(|place| place.exists());
        let lookups = questions.iter().map(|question| {
            let place = self.places.iter().find(|place| IfIndex(place.way.device) == question.device);
            let answer = match place {
                Some(place) if place.missing != "blocked" => {
                    Ok(LookupAnswer { device: Some(question.device), gateway: place.next_hop() })
                }
                _ => Err("so it was recorded".to_owned()),
            };
            Lookup { question: *question, answer }
        });
        Snapshot {
            filter: None,
            links: there().map(Place::link).collect(),
            addresses: there().filter(|place| place.missing != "no_address").map(Place::address).collect(),
            routes: self.routes.clone(),
            rules: self.rules.clone(),
            all_rp_filter: 0,
            lookups: lookups.collect(),
        }
    }

    /// netifd's interfaces; `None`: it has yet to tell them.
    pub(super) fn interfaces(&self) -> Option<Vec<Interface>> {
        let told = self.places.iter().any(|place| place.interface.is_some() && place.missing != "netifd_silent");
        told.then(|| self.places.iter().filter_map(Place::interface).collect())
    }
}

impl Place {
    fn exists(&self) -> bool {
        match self.missing.as_str() {
            "" | "no_carrier" | "link_down" | "no_address" | "no_gateway" | "blocked" => true,
            code => code.starts_with("interface_") && self.interface.is_some(),
        }
    }

    fn has_route(&self) -> bool {
        self.exists() && self.missing != "no_gateway"
    }

    fn next_hop(&self) -> Option<IpAddr> {
        match self.gateway {
            GatewaySetting::Address(gateway) => Some(gateway),
            GatewaySetting::None => None,
            GatewaySetting::Learnt => self.way.gateway,
        }
    }

    fn link(&self) -> Link {
        Link {
            index: IfIndex(self.way.device),
            name: self.device.clone(),
            up: self.missing != "link_down",
            carrier: self.missing != "no_carrier",
            point_to_point: self.next_hop().is_none(),
            rp_filter: 0,
            ignore_linkdown: 1,
        }
    }

    fn address(&self) -> Address {
        // Another number, another address; which one does not matter.
        let any = Ipv4Addr::from_bits(0x0a00_0002 | self.way.device << 16 | (self.way.number & 0xff) << 8).into();
        let address = self.address.unwrap_or(any);
        Address { device: IfIndex(self.way.device), address, peer: address, prefix: 24, scope: 0 }
    }

    fn interface(&self) -> Option<Interface> {
        let name = self.interface.clone().filter(|_| self.missing != "no_interface")?;
        let is = |code: &str| self.missing == code;
        let gateway = self.next_hop().map_or(DefaultRoute::Direct, DefaultRoute::Via);
        Some(Interface {
            name,
            up: !is("interface_down") && !is("interface_pending") && !is("interface_taken_down"),
            pending: is("interface_pending"),
            autostart: !is("interface_taken_down"),
            device: Some(self.device.clone()).filter(|_| !is("interface_without_device")),
            default_route: Some(gateway).filter(|_| !is("no_gateway")),
            // Whom names would be asked of; the trace has the answers.
            dns_servers: vec![Ipv4Addr::LOCALHOST.into()],
            ..Interface::default()
        })
    }
}
