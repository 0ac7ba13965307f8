//! What happens to a packet: which rule means it, which provider it gets, which way that is, and whether the kernel says the same.
//!
//! Reads the settings, the providers and the last snapshot; the shell asks the kernel the question that comes of it, and sends the answer to
//! ubus `route`.

use std::net::IpAddr;

use serde_json::Value;

use super::Core;
use super::policy::Choice;
use super::words::{describe_route, device_name};
use crate::kernel::{
    IfIndex, Link, LookupAnswer, NextHops, NoRoute, NoRouteCause, PacketQuestion, Route, RouteKind, Rule, Selector,
    Snapshot, TableId,
};
use crate::member::object;
use crate::provider::{NOWHERE, Provider};
use crate::rules;
use crate::settings::RuleSettings;
use crate::ubus_call::Packet;
use crate::uplink::table_of;

/// A packet's way as failoverd sees it, before the kernel is asked.
#[derive(Clone, Debug)]
pub struct Way {
    /// What the kernel is to be asked.
    pub question: PacketQuestion,
    rule: Option<String>,
    expected: Expected,
    sentences: Vec<String>,
}

/// What the kernel should answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    /// One of these next hops.
    OneOf(Vec<(IfIndex, Option<IpAddr>)>),
    /// No route.
    Nothing,
    /// Whatever it likes: that is not failoverd's to decide.
    Anything,
}

impl Core {
    /// What becomes of a packet, by all that is known.
    pub fn route(&self, packet: &Packet) -> Way {
        let nothing = Snapshot::default();
        let snapshot = self.snapshot.as_ref().unwrap_or(&nothing);
        let (source, destination) = (IpAddr::V4(packet.source), IpAddr::V4(packet.destination));
        let local = snapshot.addresses.iter().any(|it| it.address == source);
        let incoming = if local { None } else { self.device_towards(snapshot, source) };
        let mut question = PacketQuestion {
            destination,
            source: Some(source).filter(|_| local || incoming.is_some()),
            incoming,
            mark: 0,
            protocol: packet.protocol,
            port: packet.port,
        };
        let mut sentences = vec![];
        let from_outside = incoming.and_then(|device| self.provider_on(snapshot, device));
        if let Some(provider) = from_outside {
            let name = &provider.settings.name;
            sentences.push(format!("{source} is reached through {name}: what comes in there is asked no rule."));
        } else if !local && incoming.is_none() {
            sentences.push(format!("It is not known by which device {0} comes in: it is taken for the router's own traffic, but for rules.", ip(source)));
        }
        let device = incoming.map(|index| device_name(index, &snapshot.links));
        let rule =
            rules::find(&self.settings.rules, packet, device.as_deref(), local).filter(|_| from_outside.is_none());
        let own = snapshot.addresses.iter().any(|it| it.address == destination);
        let before = if own { None } else { specific(snapshot, destination) };
        let asked = !own && before.is_none();
        let choice = rule.map_or(Choice::Default, |rule| self.follow(rule, snapshot, asked, &mut sentences));
        let expected = match choice {
            Choice::Provider(id) => {
                question.mark = self.settings.mark_of(id).value;
                self.by_id(id)
                    .and_then(Provider::usable)
                    .map(|uplink| Expected::OneOf(vec![(uplink.device, uplink.gateway)]))
            }
            Choice::Nowhere => {
                question.mark = self.settings.mark_of(NOWHERE).value;
                Some(Expected::Nothing)
            }
            Choice::Default => None,
        };
        // What is more specific than a default route goes before all that failoverd decides.
        let expected = if own {
            sentences.push(format!("{0} is the router's own address.", ip(destination)));
            Expected::Anything
        } else if let Some(route) = before {
            let route = describe_route(route, &snapshot.links);
            sentences.push(format!("A route goes before all rules and default routes: {0}.", route));
            Expected::Anything
        } else if let Some(expected) = expected {
            expected
        } else {
            self.without_rule(snapshot, source, rule.is_none() && from_outside.is_none(), &mut sentences)
        };
        Way { question, rule: rule.map(|it| it.name.clone()), expected, sentences }
    }

    /// What a rule that means the packet does with it; told only if it is `asked`, with no route before it.
    fn follow(&self, rule: &RuleSettings, snapshot: &Snapshot, asked: bool, sentences: &mut Vec<String>) -> Choice {
        let name = &rule.name;
        if !self.settings.marks() || self.stopping || snapshot.filter.is_none() {
            sentences
                .push(format!("Rule {0} means it, but connections are not marked now: no rule is followed.", name));
            return Choice::Default;
        }
        let choice = self.choose(rule);
        sentences.push(match choice {
            _ if !asked => format!("Rule {0} means it.", name),
            Choice::Provider(id) => {
                let provider = self.by_id(id).map(|it| it.settings.name.as_str()).unwrap_or_default();
                format!("Rule {0} sends it through {1}.", name, provider)
            }
            Choice::Nowhere => format!("Rule {0} means it and has no reliable provider: it goes nowhere.", name),
            Choice::Default => {
                format!("Rule {0} means it and has no reliable provider: it goes as without rules.", name)
            }
        });
        choice
    }

    /// Where it goes that no rule directs, by the routes that the kernel has shown.
    fn without_rule(
        &self,
        snapshot: &Snapshot,
        source: IpAddr,
        unasked: bool,
        sentences: &mut Vec<String>,
    ) -> Expected {
        if unasked && self.settings.rules.iter().any(|rule| rule.enabled) {
            sentences.push("No rule means it.".to_owned());
        }
        if let Some(provider) = self.by_source_rule(snapshot, source) {
            sentences.push(format!(
                "It comes from the address of {0}, and goes through it ('option source_rules').",
                &provider.settings.name
            ));
            let uplink = provider.usable();
            return Expected::OneOf(uplink.map(|it| (it.device, it.gateway)).into_iter().collect());
        }
        let defaults = snapshot.routes.iter().filter(|it| it.is_main_default() && counts(it, snapshot));
        let Some(route) = defaults.min_by_key(|it| it.metric) else {
            sentences.push("There is no default route.".to_owned());
            return Expected::Nothing;
        };
        let hops = hops(route, snapshot);
        let providers = hops.iter().filter_map(|(device, _)| self.provider_on(snapshot, *device));
        let names: Vec<&str> = providers.map(|it| it.settings.name.as_str()).collect();
        sentences.push(match names.as_slice() {
            [] => format!(
                "Another program's default route goes before those of failoverd: {0}.",
                describe_route(route, &snapshot.links)
            ),
            [name] => format!("It goes through {0}, as all traffic that no rule directs.", *name),
            names => format!("It is shared by {0}: the kernel chooses by source and destination.", names.join(", ")),
        });
        match route.kind {
            RouteKind::Unicast if hops.is_empty() => Expected::Anything,
            RouteKind::Unicast => Expected::OneOf(hops),
            _ => Expected::Nothing,
        }
    }

    /// The provider to which a `from` rule leads.
    fn by_source_rule(&self, snapshot: &Snapshot, source: IpAddr) -> Option<&Provider> {
        let leads = |it: &&Rule| {
            it.suppress_prefix.is_none()
                && matches!(it.selector, Some(Selector::Source(network)) if network.contains(source))
        };
        let rule = snapshot.rules.iter().find(leads)?;
        self.enabled().find(|it| table_of(self.settings.base_table, it.id) == rule.table)
    }

    /// The device through which an address is reached, if it is one of a network that is known: there packets from it come in.
    fn device_towards(&self, snapshot: &Snapshot, address: IpAddr) -> Option<IfIndex> {
        let connected = snapshot.addresses.iter().filter(|it| it.network().contains(address));
        let connected = connected.map(|it| (it.prefix, it.device));
        let routed = specific(snapshot, address).and_then(|it| Some((it.destination.prefix, it.device?)));
        // A provider's network may be the same as one inside.
        let inside = |device: IfIndex| self.provider_on(snapshot, device).is_none();
        let all = routed.into_iter().chain(connected).filter(|(prefix, _)| *prefix > 0);
        all.max_by_key(|(prefix, device)| (*prefix, inside(*device))).map(|(_, device)| device)
    }

    fn provider_on(&self, snapshot: &Snapshot, device: IfIndex) -> Option<&Provider> {
        let name = device_name(device, &snapshot.links);
        self.enabled().find(|it| it.device.as_deref() == Some(&name))
    }

    /// The reply of ubus `route`, with what the kernel says.
    pub fn routed(&self, way: Way, answer: Result<LookupAnswer, NoRoute>) -> Value {
        let nothing = Snapshot::default();
        let snapshot = self.snapshot.as_ref().unwrap_or(&nothing);
        let Way { question, rule, expected, mut sentences } = way;
        let agrees = match (&expected, &answer) {
            (Expected::OneOf(hops), Ok(answer)) => answer.device.is_some_and(|it| hops.contains(&(it, answer.gateway))),
            (Expected::Nothing, Err(_)) | (Expected::Anything, Ok(_)) => true,
            _ => false,
        };
        let hop = |device: Option<IfIndex>, gateway: Option<IpAddr>| {
            (device.map(|it| device_name(it, &snapshot.links)), gateway.map(ip))
        };
        let object_of = |(device, gateway): (Option<String>, Option<String>)| {
            object(&mut [("device", device.into()), ("gateway", gateway.into())])
        };
        let wanted = match &expected {
            Expected::OneOf(hops) => {
                <[_; 1]>::try_from(hops.as_slice()).ok().map(|[(device, gateway)]| (device, gateway))
            }
            _ => None,
        };
        sentences.push(match &answer {
            Ok(answer) => {
                let (device, gateway) = hop(answer.device, answer.gateway);
                let mut by = device.unwrap_or_default();
                if let Some(gateway) = gateway {
                    by = by + " via " + &gateway;
                }
                match expected {
                    Expected::Anything => format!("The kernel sends it by {0}.", by),
                    Expected::OneOf(hops) if agrees && hops.len() > 1 => {
                        let provider = answer.device.and_then(|device| self.provider_on(snapshot, device));
                        let name = provider.map(|it| it.settings.name.as_str()).unwrap_or_default();
                        format!("The kernel chooses {name}: by {by}.")
                    }
                    _ if agrees => format!("The kernel says so too: by {0}.", by),
                    _ => {
                        format!(
                            "The kernel says otherwise: by {0}. Another program's ip rule or route may go before.",
                            by
                        )
                    }
                }
            }
            Err(refused) if agrees => format!("The kernel says so too: {0}.", &refused.text),
            Err(NoRoute { cause, text }) => refusal(*cause, text, &question, &snapshot.links),
        });
        let through = wanted.map(|(device, _)| device).or_else(|| answer.as_ref().ok()?.device);
        let provider = through.and_then(|device| self.provider_on(snapshot, device));
        let kernel = match answer {
            Err(refused) => object(&mut [("refused", refused.text.into())]),
            Ok(answer) => object_of(hop(answer.device, answer.gateway)),
        };
        object(&mut [
            ("rule", rule.into()),
            ("provider", provider.map(|it| it.settings.name.as_str()).into()),
            ("sentences", sentences.into()),
            ("expected", wanted.map_or(Value::Null, |(device, gateway)| object_of(hop(Some(device), gateway)))),
            ("kernel", kernel),
            ("agrees", agrees.into()),
        ])
    }
}

/// Why the kernel has no way for it although there should be one.
fn refusal(cause: NoRouteCause, text: &str, question: &PacketQuestion, links: &[Link]) -> String {
    match (cause, question.incoming) {
        (NoRouteCause::Unreachable, Some(device)) => {
            let device = device_name(device, links);
            format!(
                "The kernel refuses it: {0}. {1} may be told not to forward, or another program's route stands in the way.",
                text, device
            )
        }
        (NoRouteCause::Source, Some(device)) => {
            let device = device_name(device, links);
            format!(
                "The kernel drops what comes from there by {1}: {0}. That is rp_filter, or no address that a packet may come from.",
                text, device
            )
        }
        _ => format!("The kernel refuses it: {0}.", text),
    }
}

/// The most specific route of table main to an address, but for default routes.
fn specific(snapshot: &Snapshot, address: IpAddr) -> Option<&Route> {
    let routes = snapshot.routes.iter().filter(|it| {
        it.table == TableId::MAIN
            && it.tos == 0
            && it.destination.prefix > 0
            && it.destination.contains(address)
            && counts(it, snapshot)
    });
    routes.min_by_key(|it| (std::cmp::Reverse(it.destination.prefix), it.metric))
}

/// Whether the kernel uses a route as things are. Of somebody else's with several hops that is not known.
fn counts(route: &Route, snapshot: &Snapshot) -> bool {
    !hops(route, snapshot).is_empty() || route.device.is_none() && !matches!(route.next_hops, NextHops::Shared(_))
}

/// The next hops of a route that the kernel uses as things are, where they can be told.
fn hops(route: &Route, snapshot: &Snapshot) -> Vec<(IfIndex, Option<IpAddr>)> {
    let alive = |(device, _): &(IfIndex, Option<IpAddr>)| {
        let link = snapshot.links.iter().find(|it| it.index == *device);
        link.is_some_and(|it| it.up && (it.carrier || it.ignore_linkdown == 0))
    };
    match &route.next_hops {
        NextHops::Shared(hops) => hops.iter().map(|hop| (hop.device, hop.gateway)).filter(alive).collect(),
        _ => route.device.map(|device| (device, route.gateway)).into_iter().filter(alive).collect(),
    }
}

fn ip(address: IpAddr) -> String {
    address.to_string()
}
