//! What makes failover look fine while the LAN is dead, or costs money unseen: the configuration is right, what is around it is not.
//!
//! Reads the settings and the files beside ours (`neighbours`); `validate` prints it, the status shows it among its warnings.

mod operator;
#[cfg(test)]
mod tests;

use crate::neighbours::{Configured, Firewall, Neighbours, Network, Protocol, Zone, protocol};
use crate::settings::{GatewaySetting, Host, Problem, ProviderSettings, Settings, Target, UplinkSource, did_you_mean};
use crate::uci::File;

/// Everything to be said about a configuration that is valid: `file` is the parsed text of `settings`, `path` its name.
pub fn advice(path: &str, file: &File, settings: &Settings, neighbours: &Neighbours) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    let mut say = |line: u32, text: String| {
        let problem = Problem { file: path.to_owned(), line, text };
        if !found.contains(&problem) {
            found.push(problem);
        }
    };
    let mut taken: Vec<(String, &str, u32)> = Vec::new();
    for provider in settings.providers.iter().filter(|provider| provider.enabled) {
        let section = section(file, "provider", &provider.name);
        let line = section.map_or(1, |section| section.line);
        let label = format!("provider '{}'", provider.name);
        let firewall = neighbours.firewall.as_ref();
        if let Some(text) = missing(provider, neighbours) {
            say(line, format!("{label}: {text}"));
        } else if let Some(text) = firewall.and_then(|firewall| reachable(provider, firewall, neighbours)) {
            say(line, format!("{label}: {text}"));
        }
        if let Some(text) = without_gateway(provider, neighbours) {
            say(line, format!("{label}: {text}"));
        }
        if let Some((device, place)) = device_of(provider, neighbours) {
            match taken.iter().find(|(known, ..)| *known == device) {
                Some((_, first, line_of_first)) => say(
                    line,
                    format!(
                        "{label}: its device '{device}'{place} is used by provider '{first}' already (line {line_of_first}): only the \
                         earlier one can work; remove one, or give it a device of its own"
                    ),
                ),
                None => taken.push((device, &provider.name, line)),
            }
        }
        // Whoever wrote 'metered 0' knows.
        let decided = section.is_some_and(|section| section.option("metered").is_some());
        if let Some(what) = mobile(provider, neighbours).filter(|_| !provider.metered && !decided) {
            say(
                line,
                format!("{label}: {what}, but not metered: set option metered '1', or '0' if its traffic is free"),
            );
        }
        if let Some(text) = one_operator(provider, settings) {
            let first = provider.tests.first().map_or("", String::as_str);
            say(section_line(file, "test", first).unwrap_or(line), text);
        }
    }
    found
}

/// Takes any bytes as each of the files; it must not panic. For fuzzing and the replay of its corpus.
#[doc(hidden)]
pub fn exercise(bytes: &[u8], settings: &Settings) {
    const NETWORK: &[u8] =
        b"config interface wan\n option device eth0\n option proto static\nconfig interface lan\n option device @wan";
    for network in [bytes, NETWORK] {
        let neighbours =
            Neighbours::parse(Some(("network", network)), Some(("wireless", bytes)), Some(("firewall", bytes)));
        let found = advice("failover", &crate::uci::parse(bytes), settings, &neighbours);
        let _: usize = found.iter().map(|problem| problem.to_string().len()).sum();
    }
}

fn section<'a>(file: &'a File, kind: &str, name: &str) -> Option<&'a crate::uci::Section> {
    file.sections.iter().find(|section| section.kind == kind && section.name.as_deref() == Some(name))
}

fn section_line(file: &File, kind: &str, name: &str) -> Option<u32> {
    section(file, kind, name).map(|section| section.line)
}

/// The provider's interface is in no file. It is not refused: another program may make it yet.
fn missing(provider: &ProviderSettings, neighbours: &Neighbours) -> Option<String> {
    let (UplinkSource::Interface(name), Some(network)) = (&provider.source, neighbours.network.as_ref()) else {
        return None;
    };
    let names = network.interfaces.iter().map(|interface| interface.name.as_str());
    let hint = || did_you_mean(name, names);
    network.find(name).is_none().then(|| format!("there is no interface '{name}' in {}{}", network.path, hint()))
}

/// With a fixed address nobody tells a gateway: without one the line leads nowhere.
fn without_gateway(provider: &ProviderSettings, neighbours: &Neighbours) -> Option<String> {
    let (network, configured) = configured(provider, neighbours)?;
    let fixed = Protocol::of(&configured.proto) == Protocol::Fixed && !configured.gateway;
    (fixed && provider.gateway == GatewaySetting::Learnt).then(|| {
        format!(
            "interface '{}' is static and has no gateway at {}:{}: nothing gets out through it; set option gateway there, or for this \
             provider",
            configured.name, network.path, configured.line
        )
    })
}

/// The device of a provider, and where that is said; two cannot share one. (That two name the same one is not accepted at all.)
fn device_of(provider: &ProviderSettings, neighbours: &Neighbours) -> Option<(String, String)> {
    match &provider.source {
        UplinkSource::Device(device) => Some((device.clone(), String::new())),
        UplinkSource::Interface(_) => {
            let (network, configured) = configured(provider, neighbours)?;
            Some((network.device_of(configured)?, format!(" ({}:{})", network.path, configured.line)))
        }
    }
}

/// The provider's interface in the network file; what a child interface like NAME_4 has, its parent does not tell.
fn configured<'a>(provider: &ProviderSettings, neighbours: &'a Neighbours) -> Option<(&'a Network, &'a Configured)> {
    let (UplinkSource::Interface(name), Some(network)) = (&provider.source, neighbours.network.as_ref()) else {
        return None;
    };
    Some((network, network.find(name).filter(|configured| configured.name == *name)?))
}

/// Why the LAN's traffic does not get through a provider.
fn reachable(provider: &ProviderSettings, firewall: &Firewall, neighbours: &Neighbours) -> Option<String> {
    let (interfaces, device) = identity(provider, neighbours)?;
    let interfaces: Vec<&str> = interfaces.iter().map(String::as_str).collect();
    let zones = firewall.zones_of(&interfaces, device.as_deref());
    let path = &firewall.path;
    let Some(first) = zones.first() else {
        let source = match &provider.source {
            UplinkSource::Interface(name) => format!("interface '{name}'"),
            UplinkSource::Device(name) => format!("device '{name}'"),
        };
        return Some(format!("{source} is in no zone of {path}: nothing from the LAN gets through it"));
    };
    let place = |zone: &Zone| format!("zone '{}' at {path}:{}", zone.name, zone.line);
    if !zones.iter().any(|zone| zone.masquerades) {
        return Some(format!(
            "its {} does not masquerade (option masq '1'): what the LAN sends through it gets no answer",
            place(first)
        ));
    }
    let inner = firewall.inner_zones();
    // The provider's own network may be the one the clients are in.
    let inner: Vec<&&Zone> = inner.iter().filter(|zone| !zones.contains(zone)).collect();
    let forwarded = |from: &&&Zone| zones.iter().any(|to| firewall.forwards(&from.name, &to.name));
    match inner.first() {
        Some(lan) if !inner.iter().any(forwarded) => Some(format!(
            "nothing is forwarded from zone '{0}' to its {1}: add a config forwarding with option src '{0}' and option dest '{2}'",
            lan.name,
            place(first),
            first.name
        )),
        _ => None,
    }
}

/// The interfaces and the device by which a zone can name a provider; `None` if the files do not tell.
fn identity(provider: &ProviderSettings, neighbours: &Neighbours) -> Option<(Vec<String>, Option<String>)> {
    let network = neighbours.network.as_ref();
    match &provider.source {
        UplinkSource::Interface(name) => {
            let configured = network.and_then(|network| network.find(name));
            let device = configured.and_then(|it| network?.device_of(it));
            let mut names = vec![name.clone()];
            names.extend(configured.map(|it| it.name.clone()));
            names.extend(same_device(device.as_deref(), neighbours));
            Some((names, device))
        }
        UplinkSource::Device(device) => {
            let names = same_device(Some(device), neighbours);
            // Of a modem's or a WLAN client's interface the file does not tell the device: it may be this one.
            let unknown = |network: &Network| {
                let unmanaged = |proto: &str| Protocol::of(proto) == Protocol::Unmanaged;
                network.interfaces.iter().any(|it| network.device_of(it).is_none() && !unmanaged(&it.proto))
            };
            let named = neighbours.firewall.as_ref().is_some_and(|it| !it.zones_of(&[], Some(device)).is_empty());
            let uncertain = names.is_empty() && !named && network.is_none_or(unknown);
            (!uncertain).then(|| (names, Some(device.clone())))
        }
    }
}

/// The interfaces on a device: a zone that has one of them has the device.
fn same_device(device: Option<&str>, neighbours: &Neighbours) -> Vec<String> {
    let Some((network, device)) = neighbours.network.as_ref().zip(device) else { return vec![] };
    let on_it = network.interfaces.iter().filter(|it| network.device_of(it).as_deref() == Some(device));
    on_it.map(|it| it.name.clone()).collect()
}

/// What makes a provider a mobile one.
fn mobile(provider: &ProviderSettings, neighbours: &Neighbours) -> Option<String> {
    match &provider.source {
        UplinkSource::Device(device) => protocol::is_modem(device).then(|| format!("device '{device}' is a modem")),
        UplinkSource::Interface(name) => {
            let network = neighbours.network.as_ref()?;
            let configured = network.find(name)?;
            let modem = network.device_of(configured).filter(|device| protocol::is_modem(device));
            let place = format!("{}:{}", network.path, configured.line);
            match modem {
                _ if Protocol::of(&configured.proto) == Protocol::Mobile => {
                    Some(format!("is mobile ({} at {place})", configured.proto))
                }
                Some(modem) => Some(format!("is mobile ({modem} at {place})")),
                None => None,
            }
        }
    }
}

/// Whether all that a provider asks is down to one operator.
fn one_operator(provider: &ProviderSettings, settings: &Settings) -> Option<String> {
    // Names are compared only where some are chosen: a text from a page may have a thousand.
    let all = provider.tests.len() == settings.tests.len();
    let used = |name: &String| all || provider.tests.contains(name);
    let tests = settings.tests.iter().filter(|test| used(&test.name));
    let address = |target: &Target| if let Host::Address(address) = target.host { Some(address) } else { None };
    let targets = tests.flat_map(|test| &test.targets).map(address).collect::<Option<Vec<_>>>()?;
    let whose = operator::of_all(&targets)?;
    let names: Vec<String> = provider.tests.iter().map(|name| format!("'{name}'")).collect();
    let (noun, all) = if names.len() == 1 { ("test", "its") } else { ("tests", "their") };
    let targets = if targets.len() == 1 { format!("{all} only target is") } else { format!("all {all} targets are") };
    let names = names.join(", ");
    Some(format!("{noun} {names}: {targets} {whose}: a fault there looks like a fault of the line, add others"))
}
