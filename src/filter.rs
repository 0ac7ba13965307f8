//! What nftables is to know: the table `inet failover`, which marks connections with the provider that they go through, as text for `nft -f -`.
//!
//! `core::marks` says what is wanted and when it is loaded; nothing here remembers what was. Words that newer versions of nft (or of the
//! kernel) than 1.0.2 (5.10) understand do not occur, nor do words of its own as names: `rules` is one.
//!
//! A packet of a connection that has a mark gets the same mark, which the kernel's rules lead to that provider's table. A connection gets its
//! mark from the device that it comes in by, or really leaves by. Rules mark the first packet alone: what they lead out is marked by that.

use std::fmt::{Display, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use crate::event::ProviderId;
use crate::kernel::{Mark, Network};
use crate::order::ordered;
use crate::provider::NOWHERE;
use crate::settings::{AddressMatch, Fallback, Ports, RuleSettings, Settings};

/// The text that removes the table, whether it is there or not.
pub const REMOVE: &str = "add table inet failover\ndelete table inet failover\n";

/// The longest name of a device.
const LONGEST_NAME: usize = 15;

/// Protocols with ports that are meant where a rule names none: TCP and UDP.
const WITH_PORTS: [u8; 2] = [6, 17];

/// What several rules may have in common: whom they use. Each has a chain of its own, so that a provider that goes offline changes those alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `use`.
    pub providers: Vec<String>,
    /// `fallback`.
    pub fallback: Fallback,
}

impl Policy {
    /// Those of the enabled rules, each once.
    pub fn all(rules: &[RuleSettings]) -> Vec<Self> {
        let mut all: Vec<Self> = vec![];
        for rule in rules.iter().filter(|rule| rule.enabled) {
            if !all.iter().any(|policy| policy.is_of(rule)) {
                all.push(Self { providers: rule.providers.clone(), fallback: rule.fallback });
            }
        }
        all
    }

    /// Whether it is this rule's.
    pub fn is_of(&self, rule: &RuleSettings) -> bool {
        self.fallback == rule.fallback && self.providers == rule.providers
    }
}

/// What the table is made of.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// The rules, and which bits are ours.
    pub settings: &'a Settings,
    /// Providers, with the device if it is known.
    pub devices: &'a [(ProviderId, Option<String>)],
    /// [`Policy::all`] of the rules.
    pub policies: &'a [Policy],
    /// The provider of each of them now; `None`: none is fit.
    pub targets: &'a [Option<ProviderId>],
}

impl Filter<'_> {
    /// The whole of it, over whatever version of the table is there. Chains that the kernel calls are never deleted: between a delete and an
    /// add, even in one transaction, a packet may meet neither.
    pub fn whole(&self) -> String {
        let mut text = String::from("add table inet failover\n");
        for (hook, kind) in [("prerouting", "filter"), ("output", "route"), ("postrouting", "filter")] {
            let _ = writeln!(
                text,
                "add chain inet failover {hook} {{ type {kind} hook {hook} priority mangle; policy accept; }}"
            );
        }
        let nowhere = self.policies.iter().any(|it| it.fallback == Fallback::Unreachable).then_some(NOWHERE);
        let followed = || self.devices.iter().map(|(id, _)| *id).chain(nowhere);
        let mut chain = |name: &dyn Display| {
            let _ = writeln!(text, "add chain inet failover {name}");
        };
        chain(&"choose");
        chain(&"choose_local");
        followed().for_each(|id| chain(&format_args!("follow_{}", id.0)));
        self.devices.iter().for_each(|(id, _)| chain(&format_args!("mark_{}", id.0)));
        (0..self.policies.len()).for_each(|number| chain(&format_args!("use_{number}")));
        text.push_str("flush table inet failover\n");

        for id in followed() {
            self.set_mark(&mut text, "follow_", "meta mark", id);
        }
        for (id, _) in self.devices {
            self.set_mark(&mut text, "mark_", "ct mark", *id);
        }
        for hook in ["prerouting", "output", "postrouting"] {
            rule(&mut text, &hook, &"meta nfproto != ipv4 return");
        }
        self.mark_new(&mut text, "prerouting", "iifname");
        self.follow_marks(&mut text, "prerouting");
        self.follow_marks(&mut text, "output");
        rule(&mut text, &"prerouting", &"ct state new jump choose");
        rule(&mut text, &"output", &"ct state new jump choose_local");
        self.mark_new(&mut text, "postrouting", "oifname");

        for wanted in self.settings.rules.iter().filter(|it| it.enabled) {
            let policy = self.policies.iter().position(|it| it.is_of(wanted));
            let Some((matches, policy)) = matches(wanted).zip(policy) else { continue };
            let mut own = |name: &str| rule(&mut text, &name, &format_args!("{matches}goto use_{policy}"));
            own("choose");
            // What the router sends itself has come in by no device.
            if wanted.local && wanted.devices.is_empty() {
                own("choose_local");
            }
        }
        (0..self.policies.len()).for_each(|number| self.fill(&mut text, number));
        text
    }

    /// What leads from the table for `before` to the one for the targets of now.
    pub fn refill(&self, before: &[Option<ProviderId>]) -> String {
        let mut text = String::new();
        for number in (0..self.targets.len()).filter(|number| before.get(*number) != self.targets.get(*number)) {
            let _ = writeln!(text, "flush chain inet failover use_{number}");
            self.fill(&mut text, number);
        }
        text
    }

    /// Where a policy's connections go. An empty chain lets them go on as without rules.
    fn fill(&self, text: &mut String, number: usize) {
        let unreachable = self.policies.get(number).is_some_and(|it| it.fallback == Fallback::Unreachable);
        let target = self.targets.get(number).copied().flatten().or(unreachable.then_some(NOWHERE));
        if let Some(id) = target {
            rule(text, &format_args!("use_{number}"), &format_args!("goto follow_{}", id.0));
        }
    }

    fn set_mark(&self, text: &mut String, prefix: &str, what: &str, id: ProviderId) {
        let Mark { value, mask } = self.settings.mark_of(id);
        rule(
            text,
            &format_args!("{prefix}{}", id.0),
            &format_args!("{what} set {what} and {:#x} or {value:#x}", !mask),
        );
    }

    /// Connections without a mark get that of the device; what comes in by a provider is not ours to lead anywhere.
    fn mark_new(&self, text: &mut String, hook: &str, device: &str) {
        let mut seen: Vec<&str> = vec![];
        let (mut set, mut map) = (String::new(), String::new());
        for (id, name) in self.devices {
            // Two providers on one device: nft would refuse the whole.
            let Some(name) = name.as_deref().filter(|name| is_plain(name) && !seen.contains(name)) else { continue };
            seen.push(name);
            let comma = if seen.len() > 1 { ", " } else { "" };
            let _ = write!(set, "{comma}\"{name}\"");
            let _ = write!(map, "{comma}\"{name}\" : goto mark_{}", id.0);
        }
        if seen.is_empty() {
            return;
        }
        let mask = self.settings.mark_mask;
        rule(text, &hook, &format_args!("ct mark and {mask:#x} == 0 {device} vmap {{ {map} }}"));
        if device == "iifname" {
            rule(text, &hook, &format_args!("{device} {{ {set} }} return"));
        }
    }

    fn follow_marks(&self, text: &mut String, hook: &str) {
        let mut map = String::new();
        for (id, _) in self.devices {
            let comma = if map.is_empty() { "" } else { ", " };
            let _ = write!(map, "{comma}{:#x} : goto follow_{}", self.settings.mark_of(*id).value, id.0);
        }
        if !map.is_empty() {
            rule(text, &hook, &format_args!("ct mark and {:#x} vmap {{ {map} }}", self.settings.mark_mask));
        }
    }
}

fn rule(text: &mut String, chain: &dyn Display, body: &dyn Display) {
    let _ = writeln!(text, "add rule inet failover {chain} {body}");
}

/// What the first packet of a connection must be like, with a blank behind each match; `None`: no packet is like that.
fn matches(rule: &RuleSettings) -> Option<String> {
    let mut text = String::new();
    if !rule.devices.is_empty() {
        let mut names = ordered(rule.devices.iter().filter(|name| is_plain(name)), |name| *name);
        names.dedup();
        names.first()?;
        text.push_str("iifname { ");
        for (at, name) in names.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}\"{name}\"");
        }
        text.push_str(" } ");
    }
    addresses(&mut text, "ip saddr", &rule.source)?;
    addresses(&mut text, "ip daddr", &rule.destination)?;
    let ports = !(rule.source_ports.is_empty() && rule.destination_ports.is_empty());
    let protocols: &[u8] = if ports && rule.protocols.is_empty() { &WITH_PORTS } else { &rule.protocols };
    let small = |numbers: &[u8]| merged(numbers.iter().map(|number| (u32::from(*number), u32::from(*number))));
    let ports = |ports: &[Ports]| merged(ports.iter().map(|it| (u32::from(it.first), u32::from(it.last))));
    set(&mut text, "meta l4proto", &small(protocols), false);
    set(&mut text, "th sport", &ports(&rule.source_ports), false);
    set(&mut text, "th dport", &ports(&rule.destination_ports), false);
    set(&mut text, "ip dscp", &small(&rule.dscp), false);
    Some(text)
}

fn addresses(text: &mut String, key: &str, items: &[AddressMatch]) -> Option<()> {
    for negated in [false, true] {
        let mut own = items.iter().filter(|it| it.negated == negated).peekable();
        let any = own.peek().is_some();
        let ranges = merged(own.filter_map(|it| range(it.network)));
        let everything = ranges.first() == Some(&(0, u32::MAX));
        match (negated, everything) {
            (false, true) => {}
            (true, true) => return None,
            // All of another family.
            (false, false) if any && ranges.is_empty() => return None,
            (false, false) => set(text, key, &ranges, true),
            (true, false) if ranges.is_empty() => {}
            (true, false) => {
                let _ = write!(text, "{key} !=");
                set(text, "", &ranges, true);
            }
        }
    }
    Some(())
}

/// A number, or address, with all that follow up to another.
type Range = (u32, u32);

fn range(network: Network) -> Option<Range> {
    let IpAddr::V4(first) = network.address else { return None };
    let hosts = u32::MAX.checked_shr(network.prefix.into()).unwrap_or(0);
    Some((first.into(), u32::from(first) | hosts))
}

/// In order, and none that touches what another has: nft takes no set in which two overlap.
fn merged(ranges: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut all: Vec<Range> = vec![];
    for (first, last) in ordered(ranges, |range| *range) {
        match all.last_mut().filter(|before| first <= before.1) {
            Some(before) => before.1 = before.1.max(last),
            None => all.push((first, last)),
        }
    }
    all
}

fn set(text: &mut String, key: &str, ranges: &[Range], address: bool) {
    if ranges.is_empty() {
        return;
    }
    text.push_str(key);
    // A set of one would cost the kernel a set.
    let (open, close) = if ranges.len() > 1 { (" { ", " } ") } else { (" ", " ") };
    text.push_str(open);
    for (at, (first, last)) in ranges.iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        for (mark, number) in [("", first), ("-", last)].into_iter().take(if first == last { 1 } else { 2 }) {
            text.push_str(mark);
            let shown: &dyn Display = if address { &Ipv4Addr::from(*number) } else { number };
            let _ = write!(text, "{shown}");
        }
    }
    text.push_str(close);
}

/// Whether nft takes a device's name as it is: it has no escapes, and a `*` at its end stands for any other.
fn is_plain(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'*'))
}

#[cfg(test)]
mod tests;
