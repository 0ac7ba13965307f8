//! What `init` decided and why, a sentence each.

use super::Facts;
use super::candidate::{Candidate, Medium};
use crate::netifd::DefaultRoute;

/// No line at all: what was looked for.
pub(super) fn nothing_found(facts: Facts<'_>) -> String {
    let source = match (facts.interfaces, facts.neighbours.and_then(|it| it.network.as_ref())) {
        (Some(_), _) => "netifd's interfaces",
        (None, Some(network)) => &format!("the interfaces of {} (netifd cannot be asked)", network.path),
        (None, None) => "netifd, which cannot be asked, and /etc/config/network, which cannot be read",
    };
    format!(
        "no line to the internet was found in {source}. Looked for: an IPv4 default route, a firewall zone that is named wan or \
         masquerades, a protocol like pppoe or qmi"
    )
}

/// Who is in which place, and what else there is to know. `wans` is in order, and not empty; `active` is the device of the one that
/// carries the default route now.
pub(super) fn decisions(facts: Facts<'_>, active: Option<&str>, wans: &[Candidate]) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    if facts.interfaces.is_none() {
        sentences.push("netifd cannot be asked: this is judged by the configuration files alone".to_owned());
    }
    sentences.extend((1..).zip(wans).map(|(place, wan)| decision(facts, active, place, wan)));
    if let Some(device) = facts.default_devices.first().filter(|device| active != Some(device)) {
        sentences
            .push(format!("the default route leads through {device} now, which is no provider's: it is left alone"));
    }
    if let [only] = wans {
        sentences.push(format!("{} is only watched until there is a second line", only.name));
    }
    let better = |first: &Candidate| wans.iter().find(|wan| wan.medium < first.medium).map(|wan| wan.name.clone());
    if let Some((first, better)) = wans.first().and_then(|first| Some((first, better(first)?))) {
        let first = &first.name;
        sentences.push(format!(
            "{first} stays preferred to {better}; if it is only the way out because {better} is down now, run this again with \
             --force when {better} works"
        ));
    }
    sentences
}

fn decision(facts: Facts<'_>, active: Option<&str>, place: usize, wan: &Candidate) -> String {
    let medium = match wan.medium {
        Medium::Wired => "a wired line",
        Medium::Wireless => "a wireless line",
        Medium::Mobile => "a mobile line",
    };
    let is_first = facts.default_devices.first().map(String::as_str) == active;
    let why = match wan.is_on(active) {
        true if is_first => "the default route leads through it now",
        true => "of all lines its default route comes first now",
        false => medium,
    };
    let mut sentence = format!("{place}. {} ({}): {why}", wan.name, evidence(wan));
    if wan.medium == Medium::Mobile {
        sentence += "; metered, as mobile data usually costs money: while not active it is checked less often";
    }
    if ["l2tp", "pptp"].contains(&wan.proto.as_str()) {
        sentence +=
            "; if it is a VPN, and not the way to the provider, remove it: traffic would leave the VPN when that fails";
    }
    let device = wan.device.as_ref();
    let in_kernel = facts.default_devices.is_empty() || device.is_none_or(|it| facts.default_devices.contains(it));
    if wan.default_route.is_some() && !in_kernel {
        sentence += "; only netifd knows its default route, the kernel does not have it";
    }
    if facts.interfaces.is_some() && !wan.up {
        sentence += if wan.wanted_up { "; it is not up now" } else { "; it was taken down by hand (ifdown)" };
    }
    sentence
}

/// What makes it a WAN.
fn evidence(wan: &Candidate) -> String {
    let mut words = match &wan.device {
        Some(device) => vec![format!("{} on {device}", wan.proto)],
        None => vec![wan.proto.clone()],
    };
    match wan.default_route {
        Some(DefaultRoute::Via(gateway)) => words.push(format!("gateway {gateway}")),
        Some(DefaultRoute::Direct) => words.push("point-to-point".to_owned()),
        None => {}
    }
    if let Some((zone, _)) = &wan.zone {
        words.push(format!("firewall zone {zone}"));
    }
    words.join(", ")
}
