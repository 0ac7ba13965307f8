//! Which interface is a line to the internet of its own, and what kind of line.

use super::Facts;
use crate::neighbours::network::parents;
use crate::neighbours::{Configured, Neighbours, Network, Protocol, Zone, protocol};
use crate::netifd::{DefaultRoute, Interface, Known};
use crate::order::ordered;
use crate::uci::Short;

/// What a line is made of, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Medium {
    /// Ethernet, DSL, fibre.
    Wired,
    /// A client of somebody's WLAN.
    Wireless,
    /// A modem or a phone: metered.
    Mobile,
}

/// An interface that may be a WAN.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) proto: String,
    /// The device that carries its traffic, where known.
    pub(super) device: Option<String>,
    /// The device below.
    lower_device: Option<String>,
    pub(super) default_route: Option<DefaultRoute>,
    pub(super) up: bool,
    /// Up, or going to be, if nobody took it down by hand.
    pub(super) wanted_up: bool,
    pub(super) medium: Medium,
    pub(super) metric: u32,
    /// In the file; interfaces that it does not have come behind. (netifd tells them by the alphabet.)
    pub(super) line: u32,
    /// Of its firewall zone: the name, and whether it looks out.
    pub(super) zone: Option<(String, bool)>,
    /// `option gateway`.
    gateway: bool,
    /// Why netifd does not start it, if so: the option, and where it stands.
    off: Option<String>,
    /// A firewall is configured: a zone that does not look out means something.
    firewall: bool,
}

/// The WANs, and a sentence for each that looks like one and is none.
pub(super) fn find(facts: Facts<'_>) -> (Vec<Candidate>, Vec<String>) {
    let (mut found, mut left_out): (Vec<Candidate>, _) = (Vec::new(), Vec::new());
    for candidate in all(facts) {
        match candidate.judge() {
            Ok(()) => found.push(candidate),
            Err(Some(why)) => left_out.push(format!("{}: {why}", Short(&candidate.name))),
            Err(None) => {}
        }
    }
    // Of two on one device the one that has a gateway is the line.
    let mut lines: Vec<Candidate> = Vec::new();
    for candidate in ordered(found, |it| (it.default_route.is_none(), it.line)) {
        match lines.iter().find(|line| line.shares_with(&candidate)) {
            Some(line) => left_out.push(format!(
                "{}: is on the same line as {} ({})",
                candidate.name,
                line.name,
                candidate.device.as_deref().unwrap_or_default()
            )),
            None => lines.push(candidate),
        }
    }
    (lines, left_out)
}

/// Every interface, by netifd if it can be asked, and those of the file that netifd does not have.
fn all(facts: Facts<'_>) -> Vec<Candidate> {
    let nothing = Neighbours::default();
    let neighbours = facts.neighbours.unwrap_or(&nothing);
    let network = neighbours.network.as_ref();
    let told = Known { interfaces: facts.interfaces.unwrap_or_default().to_vec(), told: true };
    let has = |name: &str| told.interfaces.iter().any(|it| it.name == name);
    let mut all: Vec<Candidate> = Vec::new();
    for interface in &told.interfaces {
        // What a modem's children NAME_4 and NAME_6 have counts as the parent's. IPv4 carried over IPv6 is a line of its own.
        let child = parents(&interface.name).next().is_some_and(has);
        let child = child && Protocol::of(&interface.proto) != Protocol::Dialled;
        let again = all.iter().any(|known| known.name == interface.name);
        if let Some(whole) = told.find(&interface.name).ok().filter(|_| !child && !again) {
            all.push(told_by_netifd(&whole, neighbours));
        }
    }
    let missing = network.into_iter().flat_map(|network| &network.interfaces).filter(|it| !has(&it.name));
    all.extend(missing.map(|configured| from_file(configured, neighbours)));
    all
}

fn told_by_netifd(interface: &Interface, neighbours: &Neighbours) -> Candidate {
    let configured = neighbours.network.as_ref().and_then(|network| network.find(&interface.name));
    let base = configured.map(|configured| from_file(configured, neighbours));
    let device = interface.device.clone().or_else(|| base.as_ref().and_then(|base| base.device.clone()));
    Candidate {
        name: interface.name.clone(),
        default_route: interface.default_route,
        up: interface.up,
        wanted_up: interface.autostart,
        lower_device: interface.lower_device.clone(),
        medium: medium(&interface.proto, device.as_deref(), configured),
        zone: zone(interface.name.as_str(), configured, device.as_deref(), neighbours),
        proto: interface.proto.clone(),
        device,
        metric: base.as_ref().map_or(0, |base| base.metric),
        line: base.as_ref().map_or(u32::MAX, |base| base.line),
        gateway: base.as_ref().is_some_and(|base| base.gateway),
        off: base.and_then(|base| base.off),
        firewall: neighbours.firewall.is_some(),
    }
}

fn from_file(configured: &Configured, neighbours: &Neighbours) -> Candidate {
    let network = neighbours.network.as_ref();
    let device = network.and_then(|network| network.device_of(configured));
    Candidate {
        name: configured.name.clone(),
        default_route: None,
        up: false,
        wanted_up: true,
        lower_device: configured.lower_device.clone(),
        medium: medium(&configured.proto, device.as_deref(), Some(configured)),
        zone: zone(&configured.name, Some(configured), device.as_deref(), neighbours),
        proto: configured.proto.clone(),
        device,
        metric: configured.metric,
        line: configured.line,
        gateway: configured.gateway,
        off: network.and_then(|network| off(configured, network)),
        firewall: neighbours.firewall.is_some(),
    }
}

fn off(configured: &Configured, network: &Network) -> Option<String> {
    let place = |option: &str| format!("{option} at {}:{}", network.path, configured.line);
    match configured {
        Configured { disabled: true, .. } => Some(place("option disabled '1'")),
        Configured { auto: false, .. } => Some(place("option auto '0'")),
        _ => None,
    }
}

fn medium(proto: &str, device: Option<&str>, configured: Option<&Configured>) -> Medium {
    let is = |test: fn(&str) -> bool| device.is_some_and(test);
    let of_modem = |proto: &str| Protocol::of(proto) == Protocol::Mobile;
    if of_modem(proto) || configured.is_some_and(|it| of_modem(&it.proto)) || is(protocol::is_mobile_device) {
        Medium::Mobile
    } else if configured.is_some_and(|it| it.wireless) || is(protocol::is_wireless_device) {
        Medium::Wireless
    } else {
        Medium::Wired
    }
}

/// The zone of an interface, one that looks out before others.
fn zone(
    name: &str,
    configured: Option<&Configured>,
    device: Option<&str>,
    neighbours: &Neighbours,
) -> Option<(String, bool)> {
    // A child interface is in the zone of its parent.
    let names = [name, configured.map_or(name, |configured| &configured.name)];
    let zones = neighbours.firewall.as_ref()?.zones_of(&names, device);
    let zone: &&Zone = zones.iter().find(|zone| zone.is_outer()).or(zones.first())?;
    Some((zone.name.clone(), zone.is_outer()))
}

impl Candidate {
    /// Whether the traffic of `device` is this line's.
    pub(super) fn is_on(&self, device: Option<&str>) -> bool {
        device.is_some() && self.device.as_deref() == device
    }

    /// In a zone that looks out.
    fn faces_out(&self) -> bool {
        self.zone.as_ref().is_some_and(|(_, outer)| *outer)
    }

    /// The same device, the port below a dial-up session of the other, or what carries IPv4 for it.
    fn shares_with(&self, other: &Self) -> bool {
        let below = |session: &Self, port: &Self| {
            session.proto.starts_with("pppo") && session.lower_device.is_some() && session.lower_device == port.device
        };
        (self.device.is_some() && self.device == other.device)
            || below(self, other)
            || below(other, self)
            || parents(&self.name).any(|parent| parent == other.name)
    }

    /// Whether this is a WAN; if it only looks like one, why not.
    fn judge(&self) -> Result<(), Option<String>> {
        let proto = &self.proto;
        let protocol = Protocol::of(proto);
        let routed = self.default_route.is_some();
        // Two lines and one of them forgotten in the firewall is a common mistake.
        let forgotten = self.firewall && self.zone.is_none() && (self.gateway || protocol == Protocol::Leased);
        let suspect = routed || self.faces_out() || forgotten;
        let only_if_suspect = |why: String| Err(Some(why).filter(|_| suspect));
        if self.name == "loopback" || self.device.as_deref() == Some("lo") {
            return Err(None);
        }
        match protocol {
            Protocol::Ipv6 => return only_if_suspect(format!("IPv6 only ({proto}), which is not built yet")),
            Protocol::Tunnel if routed => {
                let why = "runs over the other lines and is none of its own, its default route is left alone";
                return Err(Some(format!("a VPN ({proto}) {why}")));
            }
            Protocol::Tunnel => {
                return only_if_suspect(format!("a VPN ({proto}) runs over the other lines and is none of its own"));
            }
            Protocol::Unmanaged => {
                return only_if_suspect("netifd knows no gateway for it (option proto 'none')".to_owned());
            }
            _ => {}
        }
        let inner = self.zone.as_ref().is_some_and(|(name, outer)| name == "lan" && !outer);
        if self.name == "lan" || inner {
            let why = "has a default route, but is the LAN: what is behind its gateway is not this router's to judge";
            return Err(routed.then(|| why.to_owned()));
        }
        match protocol {
            _ if routed => {}
            Protocol::Mobile | Protocol::Dialled => {}
            Protocol::Leased if self.up => return only_if_suspect("is up, but has no gateway".to_owned()),
            Protocol::Fixed if !self.gateway => {
                return only_if_suspect(
                    "has a fixed address and no gateway, like the way to a modem's pages".to_owned(),
                );
            }
            // Without a firewall nothing else tells what an interface is for.
            Protocol::Leased | Protocol::Fixed if self.faces_out() || !self.firewall => {}
            _ if forgotten => {
                return only_if_suspect(
                    "has no default route now and is in no firewall zone: if it is a line to the internet, put it into the zone \
                     that the others are in"
                        .to_owned(),
                );
            }
            _ => return only_if_suspect(format!("has no default route now, and the protocol {proto} says nothing")),
        }
        if let Some(off) = &self.off {
            return Err(Some(format!("is switched off ({off})")));
        }
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return Err(Some("has a name that option interface does not take".to_owned()));
        }
        Ok(())
    }
}
