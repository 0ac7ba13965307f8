//! OpenWrt's interfaces as netifd tells them: the answer of ubus `network.interface dump`, decoded.
//!
//! Filled by the shell whenever netifd says something new; `uplink` finds the device, gateway and address of a provider in it.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::TableId;
use crate::reason::Reason;

/// `RTN_UNICAST` of linux/rtnetlink.h.
const UNICAST: u64 = 1;

/// One interface of netifd (`netifd/ubus.c`, `netifd_dump_status`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// `device`: the device below it, whose carrier counts too (the Ethernet port under PPPoE, say).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_device: Option<String>,
    /// `ipv4-address`, in netifd's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Its default route, also where the kernel does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_route: Option<DefaultRoute>,
    /// `dns-server`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<IpAddr>,
}

/// Where an interface's default route points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultRoute {
    /// To this next hop.
    Via(IpAddr),
    /// Out of the device, without a next hop (point-to-point).
    Direct,
}

/// Decodes the answer of `network.interface dump`: `{"interface": [{...}, ...]}`. What is missing or of another type counts as not
/// told, and an entry without a name is left out; so is IPv6, but for DNS servers.
pub fn interfaces(dump: &Map<String, Value>) -> Vec<Interface> {
    list(dump.get("interface")).filter_map(Value::as_object).filter_map(interface).collect()
}

fn interface(told: &Map<String, Value>) -> Option<Interface> {
    let text = |name: &str| told.get(name).and_then(Value::as_str).filter(|it| !it.is_empty()).map(str::to_owned);
    let flag = |name: &str| told.get(name).and_then(Value::as_bool);
    // With `option defaultroute '0'`, as people set it for mwan3, netifd knows the route and does not use it.
    let inactive = told.get("inactive").and_then(Value::as_object);
    let unused = inactive.and_then(|it| it.get("route"));
    let own_metric = told.get("metric").and_then(Value::as_u64).unwrap_or(0);
    Some(Interface {
        name: text("interface")?,
        up: flag("up").unwrap_or(false),
        pending: flag("pending").unwrap_or(false),
        autostart: flag("autostart").unwrap_or(true),
        proto: text("proto").unwrap_or_default(),
        device: text("l3_device"),
        lower_device: text("device"),
        addresses: list(told.get("ipv4-address")).filter_map(|it| address(it.get("address")?)).collect(),
        default_route: default_route(told.get("route"), own_metric).or_else(|| default_route(unused, own_metric)),
        dns_servers: list(told.get("dns-server")).filter_map(|it| it.as_str()?.parse().ok()).collect(),
    })
}

/// Takes any bytes as an answer, as text or as ubus carries it, for fuzzing. Nothing may panic, and the state file must bring back what
/// it was given.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    let Ok(dump) = serde_json::from_slice(bytes).or_else(|_| crate::ubus_value::decode(bytes)) else { return };
    let known = Known { interfaces: interfaces(&dump), told: true };
    for interface in &known.interfaces {
        assert!(known.find(&interface.name).is_ok_and(|found| found.name == interface.name));
        let text = serde_json::to_string(interface).unwrap_or_default();
        assert_eq!(serde_json::from_str(&text).ok().as_ref(), Some(interface));
    }
}

/// The elements of an array; none of anything else.
fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn address(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok().map(|address: Ipv4Addr| address.into())
}

/// The IPv4 default route of the lowest metric in a list of `{target, mask, nexthop, type?, metric?, table?}`; those without one have
/// the interface's. A next hop of 0.0.0.0 is none. One for another table than main counts only if there is no other: it is somebody's
/// policy, but leads out.
fn default_route(routes: Option<&Value>, own_metric: u64) -> Option<DefaultRoute> {
    let number = |route: &Value, name: &str| route.get(name).and_then(Value::as_u64);
    list(routes)
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

    /// What is to be remembered for providers on the interfaces `names`.
    pub fn of(&self, names: &[&str]) -> Vec<Interface> {
        let asked = |it: &&Interface| names.iter().any(|name| it.name == *name || it.name == child_name(name));
        self.interfaces.iter().filter(asked).cloned().collect()
    }
}

/// The interface that carries IPv4 for a modem's interface `name`.
fn child_name(name: &str) -> String {
    format!("{name}_4")
}

#[cfg(test)]
mod tests;
