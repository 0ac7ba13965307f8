//! OpenWrt's interfaces as netifd tells them: the answer of ubus `network.interface dump`, decoded.
//!
//! Filled by the shell whenever netifd says something new; `uplink` finds the device, gateway and address of a provider in it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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
