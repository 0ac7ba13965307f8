//! `/etc/config/network`: the interfaces, with the few options that matter for a line to the internet.

use super::protocol::Protocol;
use crate::uci::{File, Section};

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its path, for messages.
    pub path: String,
    /// `config interface` sections with a name, in file order.
    pub interfaces: Vec<Configured>,
}

/// One `config interface`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// The section's name.
    pub name: String,
    /// Its line.
    pub line: u32,
    /// `option proto`.
    pub proto: String,
    /// `option device` (before OpenWrt 21: `ifname`), the first of several. `@NAME` is the device of another interface.
    pub lower_device: Option<String>,
    /// `option type 'bridge'`, as before OpenWrt 21.
    pub bridge: bool,
    /// Has `option gateway`, or a `config route` of its own that leads everywhere.
    pub gateway: bool,
    /// `option metric`.
    pub metric: u32,
    /// `option disabled`.
    pub disabled: bool,
    /// `option auto`.
    pub auto: bool,
    /// A client of somebody's WLAN (`option network` of a `wifi-iface` of mode `sta`).
    pub wireless: bool,
}

impl Network {
    pub(super) fn read(path: &str, file: &File, wireless: &File) -> Self {
        let is_client = |name: &str| {
            wireless.sections.iter().any(|section| {
                section.kind == "wifi-iface"
                    && section.text("mode") == Some("sta")
                    && section.words("network").any(|network| network == name)
            })
        };
        let routed = |name: &str| file.sections.iter().any(|section| is_default_route(section, name));
        let interface = |section: &Section| {
            let name = section.name.clone()?;
            Some(Configured {
                line: section.line,
                proto: section.text("proto").unwrap_or_default().to_owned(),
                lower_device: section.words("device").chain(section.words("ifname")).next().map(str::to_owned),
                bridge: section.text("type") == Some("bridge"),
                gateway: section.text("gateway").is_some() || routed(&name),
                metric: section.text("metric").and_then(|metric| metric.parse().ok()).unwrap_or(0),
                disabled: section.flag("disabled").unwrap_or(false),
                auto: section.flag("auto").unwrap_or(true),
                wireless: is_client(&name),
                name,
            })
        };
        let sections = file.sections.iter().filter(|section| section.kind == "interface");
        Self { path: path.to_owned(), interfaces: sections.filter_map(interface).collect() }
    }

    /// The interface of this name; of a child interface, which is not in the file, its parent (see [`parents`]).
    pub fn find(&self, name: &str) -> Option<&Configured> {
        let by_name = |name: &str| self.interfaces.iter().find(|interface| interface.name == name);
        std::iter::once(name).chain(parents(name)).find_map(by_name)
    }

    /// The device that carries an interface's traffic, where the file tells: a modem's and a WLAN client's it does not.
    pub fn device_of(&self, interface: &Configured) -> Option<String> {
        // An alias of an alias is rare, a circle of them a mistake: a few steps are enough.
        let mut interface = interface;
        for _ in 0..4 {
            let name = &interface.name;
            match (Protocol::of(&interface.proto), interface.lower_device.as_deref()) {
                (Protocol::Mobile, _) if interface.proto == "3g" => return Some(format!("3g-{name}")),
                (Protocol::Mobile, _) => return None,
                (Protocol::Dialled, _) if interface.proto != "map" && interface.proto != "464xlat" => {
                    return Some(format!(
                        "{}-{name}",
                        if interface.proto == "dslite" { "ds" } else { &interface.proto }
                    ));
                }
                (Protocol::Dialled, _) => return None,
                (Protocol::Tunnel, _) => return Some(name.clone()),
                _ if interface.bridge => return Some(format!("br-{name}")),
                (_, None) => return None,
                (_, Some(device)) => match device.strip_prefix('@') {
                    Some(other) => interface = self.find(other)?,
                    None => return Some(device.to_owned()),
                },
            }
        }
        None
    }
}

/// Whether a section is a `config route` that gives an interface an IPv4 default route (netifd, `interface-ip.c`): without a target it
/// leads everywhere.
fn is_default_route(section: &Section, interface: &str) -> bool {
    let everywhere = match section.text("target") {
        None | Some("0.0.0.0/0") => true,
        Some(target) => target == "0.0.0.0" && section.text("netmask") == Some(target),
    };
    everywhere
        && section.kind == "route"
        && section.text("interface") == Some(interface)
        && section.text("type").is_none_or(|kind| kind == "unicast")
        && section.flag("disabled") != Some(true)
}

/// The interfaces that may have made the one of this name, nearest first: netifd's protocol handlers call theirs NAME_4 and NAME_6 (a
/// modem's two families, IPv4 carried over IPv6).
pub fn parents(name: &str) -> impl Iterator<Item = &str> {
    // The longest chain is a modem's IPv4 over its IPv6, NAME_6_4.
    std::iter::successors(Some(name), |name| name.strip_suffix("_4").or(name.strip_suffix("_6"))).skip(1).take(2)
}
