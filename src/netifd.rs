//! OpenWrt's interfaces as netifd tells them: the answer of ubus `network.interface dump`, decoded.
//!
//! Filled by the shell whenever netifd says something new; `uplink` finds the device, gateway and address of a provider in it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// Reads the answer of `network.interface dump`. An entry without a name is left out, a member that is not what it should be is absent.
pub fn interfaces(dump: &Map<String, Value>) -> Vec<Interface> {
    dump.get("interface").and_then(Value::as_array).into_iter().flatten().filter_map(interface).collect()
}

fn interface(entry: &Value) -> Option<Interface> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let flag = |name: &str| entry.get(name).and_then(Value::as_bool).unwrap_or_default();
    let list = |name: &str| entry.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let address = |value: &Value| value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    let default_route = list("route").iter().find_map(|route| {
        let is_default = route.get("mask").and_then(Value::as_u64) == Some(0)
            && route.get("target").and_then(address).is_some_and(|target| target.is_ipv4());
        let next_hop = route.get("nexthop").and_then(address)?;
        is_default.then_some(if next_hop.is_unspecified() { DefaultRoute::Direct } else { DefaultRoute::Via(next_hop) })
    });
    Some(Interface {
        name: text("interface")?,
        up: flag("up"),
        pending: flag("pending"),
        autostart: flag("autostart"),
        proto: text("proto").unwrap_or_default(),
        device: text("l3_device"),
        lower_device: text("device"),
        addresses: list("ipv4-address").iter().filter_map(|entry| entry.get("address").and_then(address)).collect(),
        default_route,
        dns_servers: list("dns-server").iter().filter_map(address).collect(),
    })
}
