//! OpenWrt's interfaces as netifd tells them: the answer of ubus `network.interface dump`, decoded.
//!
//! Filled by the shell whenever netifd says something new; `uplink` finds the device, gateway and address of a provider in it.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value};

use crate::kernel::TableId;
use crate::member::{flag, list, number, object, text};
use crate::reason::Reason;
use crate::settings::Recover;

/// `RTN_UNICAST` of linux/rtnetlink.h.
const UNICAST: u64 = 1;

/// One interface of netifd (`netifd/ubus.c`, `netifd_dump_status`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// `interface`: the section's name in `/etc/config/network`.
    pub name: String,
    /// `up`.
    pub up: bool,
    /// `pending`: being set up.
    pub pending: bool,
    /// `autostart`: false once somebody has taken it down by hand (`ifdown`).
    pub autostart: bool,
    /// `proto`: `dhcp`, `pppoe`, `static`, `qmi`...
    pub proto: String,
    /// `l3_device`: the device that carries the traffic.
    pub device: Option<String>,
    /// `device`: the device below it, whose carrier counts too (the Ethernet port under PPPoE, say).
    pub lower_device: Option<String>,
    /// `ipv4-address`, in netifd's order.
    pub addresses: Vec<IpAddr>,
    /// Its default route, also where the kernel does not have it.
    pub default_route: Option<DefaultRoute>,
    /// `dns-server`.
    pub dns_servers: Vec<IpAddr>,
    /// `dynamic`: made by another interface's protocol handler; taken down, it is gone.
    pub dynamic: bool,
    /// The `code` of the last of `errors`, while it is not up: what went wrong before it came up is history.
    pub error: Option<String>,
    /// What a modem says of itself in `data`, while it is up or being set up: netifd keeps what it said before.
    pub modem: Option<String>,
}

/// The members of `data` in which modems say how they are. OpenWrt's own protocol handlers (qmi, mbim, ncm, 3g, modemmanager) write none of
/// them; others do, and whoever calls `set_data`.
const MODEM: [&str; 3] = ["state", "registration", "signal"];

/// Where an interface's default route points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultRoute {
    /// To this next hop.
    Via(IpAddr),
    /// Out of the device, without a next hop (point-to-point).
    Direct,
}

impl Interface {
    /// As it stands in the state file.
    pub fn to_json(&self) -> Value {
        let addresses = |all: &[IpAddr]| match all {
            [] => Value::Null,
            all => all.iter().map(ToString::to_string).collect(),
        };
        object(&mut [
            ("name", self.name.as_str().into()),
            ("up", self.up.into()),
            ("pending", self.pending.into()),
            ("autostart", self.autostart.into()),
            ("proto", self.proto.as_str().into()),
            ("device", self.device.as_deref().into()),
            ("lower_device", self.lower_device.as_deref().into()),
            ("addresses", addresses(&self.addresses)),
            ("default_route", self.default_route.map_or(Value::Null, DefaultRoute::to_json)),
            ("dns_servers", addresses(&self.dns_servers)),
            ("dynamic", self.dynamic.then_some(true).into()),
            ("error", self.error.as_deref().into()),
            ("modem", self.modem.as_deref().into()),
        ])
    }

    /// As it was in the state file.
    pub fn from_json(saved: &Value) -> Self {
        let text = |name: &str| text(saved, name).map(str::to_owned);
        let addresses = |name: &str| list(saved, name).iter().filter_map(|it| it.as_str()?.parse().ok()).collect();
        let default_route = saved.get("default_route");
        Self {
            name: text("name").unwrap_or_default(),
            up: flag(saved, "up"),
            pending: flag(saved, "pending"),
            autostart: flag(saved, "autostart"),
            proto: text("proto").unwrap_or_default(),
            device: text("device"),
            lower_device: text("lower_device"),
            addresses: addresses("addresses"),
            default_route: default_route.and_then(DefaultRoute::from_json),
            dns_servers: addresses("dns_servers"),
            dynamic: flag(saved, "dynamic"),
            error: text("error"),
            modem: text("modem"),
        }
    }
}

impl DefaultRoute {
    fn to_json(self) -> Value {
        match self {
            Self::Via(gateway) => object(&mut [("via", gateway.to_string().into())]),
            Self::Direct => "direct".into(),
        }
    }

    fn from_json(saved: &Value) -> Option<Self> {
        match saved {
            Value::String(word) if word == "direct" => Some(Self::Direct),
            _ => text(saved, "via")?.parse().ok().map(Self::Via),
        }
    }
}

/// Decodes the answer of `network.interface dump`: `{"interface": [{...}, ...]}`. What is missing or of another type counts as not
/// told, and an entry without a name is left out; so is IPv6, but for DNS servers.
pub fn interfaces(dump: &Map<String, Value>) -> Vec<Interface> {
    let told = dump.get("interface").and_then(Value::as_array).into_iter().flatten();
    told.filter_map(interface).collect()
}

fn interface(told: &Value) -> Option<Interface> {
    let text = |name: &str| text(told, name).filter(|it| !it.is_empty()).map(str::to_owned);
    let own_metric = number(told, "metric").unwrap_or(0);
    // With `option defaultroute '0'`, as people set it for mwan3, netifd knows the route and does not use it.
    let unused = || default_route(told.get("inactive")?, own_metric);
    let (up, pending) = (flag(told, "up"), flag(told, "pending"));
    Some(Interface {
        name: text("interface")?,
        up,
        pending,
        autostart: told.get("autostart") != Some(&Value::Bool(false)),
        proto: text("proto").unwrap_or_default(),
        device: text("l3_device"),
        lower_device: text("device"),
        addresses: list(told, "ipv4-address").iter().filter_map(|it| address(it.get("address")?)).collect(),
        default_route: default_route(told, own_metric).or_else(unused),
        dns_servers: list(told, "dns-server").iter().filter_map(|it| it.as_str()?.parse().ok()).collect(),
        dynamic: flag(told, "dynamic"),
        error: list(told, "errors").last().filter(|_| !up).and_then(|error| words(error.get("code")?)),
        modem: told.get("data").filter(|_| up || pending).and_then(modem),
    })
}

/// What a modem says, in a row.
fn modem(data: &Value) -> Option<String> {
    let mut said = String::new();
    for word in MODEM.iter().filter_map(|name| words(data.get(name)?)) {
        if !said.is_empty() {
            said.push_str(", ");
        }
        said.push_str(&word);
    }
    (!said.is_empty()).then_some(said)
}

/// A text or number of somebody's, as far as a person can read it: on one line, and no longer than that takes.
fn words(value: &Value) -> Option<String> {
    const LONGEST: usize = 40;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let readable = |sign: &char| sign.is_ascii_graphic() || *sign == ' ' || sign.is_alphanumeric();
    let text: String = text.chars().filter(readable).take(LONGEST).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Takes any bytes as an answer, as text or as ubus carries it, for fuzzing. Nothing may panic, and the state file must bring back what
/// it was given.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    let Ok(dump) = serde_json::from_slice(bytes).or_else(|_| crate::ubus_value::decode(bytes)) else { return };
    let known = Known { interfaces: interfaces(&dump), told: true };
    for interface in &known.interfaces {
        assert!(known.find(&interface.name).is_ok_and(|found| found.name == interface.name));
        assert_eq!(&Interface::from_json(&interface.to_json()), interface);
    }
}

fn address(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok().map(|address: Ipv4Addr| address.into())
}

/// The IPv4 default route of the lowest metric in `route`, a list of `{target, mask, nexthop, type?, metric?, table?}`; those without one have
/// the interface's. A next hop of 0.0.0.0 is none. One for another table than main counts only if there is no other: it is somebody's
/// policy, but leads out.
fn default_route(told: &Value, own_metric: u64) -> Option<DefaultRoute> {
    list(told, "route")
        .iter()
        .filter(|route| {
            let target = route.get("target").and_then(address);
            target.is_some_and(|it| it.is_unspecified())
                && number(route, "mask") == Some(0)
                && number(route, "type").is_none_or(|kind| kind == UNICAST)
        })
        .filter_map(|route| {
            let next_hop = address(route.get("nexthop")?)?;
            let to = if next_hop.is_unspecified() { DefaultRoute::Direct } else { DefaultRoute::Via(next_hop) };
            let elsewhere = number(route, "table").is_some_and(|table| table != u64::from(TableId::MAIN.0));
            Some(((elsewhere, number(route, "metric").unwrap_or(own_metric)), to))
        })
        .min_by_key(|(preference, _)| *preference)
        .map(|(_, route)| route)
}

/// What is known of netifd's interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The interfaces.
    pub interfaces: Vec<Interface>,
    /// netifd has told them since the start: there are no others. Until then they are what the run before knew.
    pub told: bool,
}

impl Known {
    /// The interface of that name. A modem's may be empty, with all it has told by its child `NAME_4`, which netifd's protocol
    /// handlers (qmi, mbim, ncm...) make on the same device: then it has what the child has.
    pub fn find(&self, name: &str) -> Result<Interface, Reason> {
        let by_name = |name: &str| self.interfaces.iter().find(|interface| interface.name == name);
        let found = by_name(name).cloned().ok_or_else(|| match self.told {
            true => Reason::NoInterface(name.to_owned()),
            false => Reason::NetifdSilent(name.to_owned()),
        })?;
        let empty = found.addresses.is_empty() && found.default_route.is_none();
        match by_name(&child_name(name)).filter(|child| empty && child.device.is_some() && child.device == found.device)
        {
            Some(child) => Ok(Interface {
                addresses: child.addresses.clone(),
                default_route: child.default_route,
                dns_servers: if found.dns_servers.is_empty() { child.dns_servers.clone() } else { found.dns_servers },
                ..found
            }),
            None => Ok(found),
        }
    }

    /// Which interface is to be set up anew so that `name` is: `renew` goes to the one that has the lease, a modem's child, `down` and `up`
    /// to the one that is not gone with `down`, the child's parent. None that somebody has taken down.
    pub fn to_recover<'a>(&'a self, name: &'a str, how: &Recover) -> Option<&'a str> {
        let by_name = |name: &str| self.interfaces.iter().find(|interface| interface.name == name);
        let own = by_name(name);
        let child = by_name(&child_name(name)).filter(|child| child.dynamic && child.proto == "dhcp");
        let wanted = match (how, own) {
            (Recover::Renew, Some(_)) if child.is_some() => child,
            // While the parent is down there is no child.
            (_, None) => name.strip_suffix(CHILD).and_then(by_name),
            (Recover::Restart, Some(own)) if own.dynamic => name.strip_suffix(CHILD).and_then(by_name),
            _ => own,
        };
        wanted.filter(|it| it.autostart).map(|it| it.name.as_str())
    }

    /// What is to be remembered for providers on the interfaces `names`.
    pub fn of(&self, names: &[&str]) -> Vec<Interface> {
        let asked = |it: &&Interface| names.iter().any(|name| it.name == *name || it.name == child_name(name));
        self.interfaces.iter().filter(asked).cloned().collect()
    }
}

/// The end of the name of the interface that carries IPv4 for a modem's.
const CHILD: &str = "_4";

/// The interface that carries IPv4 for a modem's interface `name`.
fn child_name(name: &str) -> String {
    format!("{name}{CHILD}")
}

#[cfg(test)]
mod tests;
