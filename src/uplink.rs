//! What a provider resolves to right now: device, gateway, address, carrier.
//!
//! Reads a provider's settings, netifd's interfaces and the kernel's snapshot; `core` compares the result with the one before, `route_plan` builds on it.

use std::net::IpAddr;

use crate::event::ProviderId;
use crate::kernel::{
    Address, IfIndex, Link, Metric, Network, NextHops, Route, RouteKind, RouteOptions, Snapshot, TableId,
};
use crate::netifd::{DefaultRoute, Interface, Known};
use crate::reason::Reason;
use crate::settings::{GatewaySetting, ProviderSettings, UplinkSource};
use crate::takeover;

/// A provider's way out. The device is the key of everything: addresses and gateways may be the same for all providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Device.
    pub device: IfIndex,
    /// The device's name.
    pub name: String,
    /// Next hop; `None`: point-to-point.
    pub gateway: Option<IpAddr>,
    /// The gateway lies outside every network of the device (`RTNH_F_ONLINK`).
    pub onlink: bool,
    /// Source address.
    pub address: IpAddr,
    /// The network reached directly by that address.
    pub network: Network,
    /// Whether the device has a carrier.
    pub carrier: bool,
    /// What its routes tell about the line.
    pub options: RouteOptions,
}

/// Where a provider's uplink is to be looked for in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The device's name.
    pub device: String,
    /// netifd's interface, if the provider names one; up, and on that device.
    pub interface: Option<Interface>,
}

/// The device that a provider names, or netifd for it; or why there is none.
pub fn source(provider: &ProviderSettings, netifd: &Known, snapshot: &Snapshot) -> Result<Source, Reason> {
    let name = match &provider.source {
        UplinkSource::Device(name) => return Ok(Source { device: name.clone(), interface: None }),
        UplinkSource::Interface(name) => name.clone(),
    };
    let interface = netifd.find(&name)?;
    // netifd takes an interface down that has lost its carrier, and leaves the device up to see it come back.
    let lower = || link_by_name(snapshot, interface.lower_device.as_deref()?);
    let unplugged = || lower().is_some_and(|lower| lower.up && !lower.carrier);
    match &interface.device {
        Some(device) if interface.up => Ok(Source { device: device.clone(), interface: Some(interface) }),
        None if interface.up => Err(Reason::InterfaceWithoutDevice(name)),
        _ if interface.pending => Err(Reason::InterfacePending(name)),
        _ if !interface.autostart => Err(Reason::InterfaceTakenDown { name, error: interface.error }),
        _ if unplugged() => Err(Reason::NoCarrier),
        _ => Err(Reason::InterfaceDown { name, error: interface.error }),
    }
}

/// Finds the uplink of provider `id` at `source`, or what is missing. `base_table` is where the provider tables begin.
pub fn resolve(
    provider: &ProviderSettings,
    id: ProviderId,
    base_table: TableId,
    source: &Source,
    snapshot: &Snapshot,
) -> Result<Uplink, Reason> {
    let Source { device: name, interface } = source;
    let link = link_by_name(snapshot, name).ok_or_else(|| Reason::NoDevice(name.clone()))?;
    if !link.up {
        return Err(Reason::LinkDown(name.clone()));
    }
    let told = interface.as_ref().map(|it| it.addresses.as_slice()).unwrap_or_default();
    let own = own_address(provider, told, link.index, snapshot)?;
    let gateway = match (provider.gateway, interface.as_ref().and_then(|it| it.default_route)) {
        (GatewaySetting::Address(gateway), _) | (GatewaySetting::Learnt, Some(DefaultRoute::Via(gateway))) => {
            Some(gateway)
        }
        (GatewaySetting::None, _) | (GatewaySetting::Learnt, Some(DefaultRoute::Direct)) => None,
        (GatewaySetting::Learnt, None) => learnt_gateway(link, id, base_table, snapshot)?,
    };
    // A lower device may be none of the kernel's network devices: /dev/cdc-wdm0.
    let lower = interface.as_ref().and_then(|it| link_by_name(snapshot, it.lower_device.as_deref()?));
    let onlink = gateway.is_some_and(|gateway| {
        !snapshot.addresses.iter().any(|address| address.device == link.index && address.network().contains(gateway))
    });
    Ok(Uplink {
        device: link.index,
        name: name.clone(),
        gateway,
        onlink,
        address: own.address,
        network: own.network(),
        carrier: link.carrier && lower.is_none_or(|lower| lower.up && lower.carrier),
        options: provider.route_options,
    })
}

/// The device a provider names, if it exists.
pub fn link_by_name<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Link> {
    snapshot.links.iter().find(|link| link.name == name)
}

/// The configured address if the device has it; else the first that netifd has `told` and the device has; else the device's first
/// address that is good beyond the host.
fn own_address<'a>(
    provider: &ProviderSettings,
    told: &[IpAddr],
    device: IfIndex,
    snapshot: &'a Snapshot,
) -> Result<&'a Address, Reason> {
    /// `RT_SCOPE_HOST` of linux/rtnetlink.h.
    const SCOPE_HOST: u8 = 254;
    let all = || snapshot.addresses.iter().filter(|address| address.device == device && address.scope < SCOPE_HOST);
    match provider.address {
        Some(wanted) => all().find(|address| address.address == wanted),
        None => {
            let told = told.iter().find_map(|told| all().find(|address| address.address == *told));
            told.or_else(|| all().next())
        }
    }
    .ok_or(Reason::NoAddress(provider.address))
}

/// Where the device's own default route points: another program's, best metric first and before one that takeover has moved;
/// else what our own table still says about it, or, should somebody have emptied that, our slot.
fn learnt_gateway(
    link: &Link,
    id: ProviderId,
    base_table: TableId,
    snapshot: &Snapshot,
) -> Result<Option<IpAddr>, Reason> {
    let usable = |route: &&Route| {
        route.device == Some(link.index)
            && route.destination.prefix == 0
            && route.kind == RouteKind::Unicast
            && route.next_hops == NextHops::Single
    };
    let foreign = snapshot.routes.iter().filter(usable).filter(|route| route.is_main_default() && !route.is_ours());
    let by_preference = |route: &&Route| (takeover::original_metric(route.metric).is_some(), route.metric);
    let own = snapshot
        .routes
        .iter()
        .filter(usable)
        .filter(|route| route.is_ours())
        .min_by_key(|route| route.table != table_of(base_table, id));
    match foreign.min_by_key(by_preference).or(own) {
        Some(route) => Ok(route.gateway),
        None if link.point_to_point => Ok(None),
        None => Err(Reason::NoGateway),
    }
}

/// The routing table of provider `id`.
pub fn table_of(base_table: TableId, id: ProviderId) -> TableId {
    TableId(base_table.0.saturating_add(u32::from(id.0)))
}

impl Uplink {
    /// The default route of this uplink in `table` at `metric`.
    pub fn default_route(&self, table: TableId, metric: Metric) -> Route {
        Route {
            gateway: self.gateway,
            onlink: self.onlink,
            options: self.options,
            ..self.route(table, Network::ANY_V4, metric, self.gateway)
        }
    }

    /// The route to the connected network; `None` where the address is alone in it.
    pub fn connected_route(&self, table: TableId) -> Option<Route> {
        let alone = self.network.address == self.address && matches!(self.network.prefix, 32 | 128);
        (!alone).then(|| self.route(table, Network::new(self.network.address, self.network.prefix), Metric(0), None))
    }

    fn route(&self, table: TableId, destination: Network, metric: Metric, gateway: Option<IpAddr>) -> Route {
        Route {
            table,
            destination,
            metric,
            tos: 0,
            protocol: crate::kernel::PROTOCOL,
            kind: RouteKind::Unicast,
            scope: if gateway.is_some() { crate::kernel::SCOPE_UNIVERSE } else { crate::kernel::SCOPE_LINK },
            device: Some(self.device),
            gateway,
            source: Some(self.address),
            onlink: false,
            next_hops: NextHops::Single,
            options: RouteOptions::default(),
            other: vec![],
        }
    }
}

#[cfg(test)]
mod tests;
