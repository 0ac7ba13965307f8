//! What netifd does to the kernel: the addresses and default routes of the interfaces that its `dump` shows, put on the router's
//! devices. Used by tests together with `netifd.rs`, which does the talking.

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::error::{During, LabError, Result};
use crate::lab::Lab;
use crate::line::lock;
use crate::netifd::Netifd;
use crate::routing::{Route, RouteWrite, protocol};

/// What one interface puts on its device.
#[derive(Clone, PartialEq, Eq)]
enum Piece {
    /// Address, peer (itself: none), prefix.
    Address(String, Ipv4Addr, Ipv4Addr, u8),
    Route(Route),
}

impl Netifd {
    /// Brings the kernel to what `dump` shows from now on, in netifd's way: what it had put there and is no longer wanted goes, what is
    /// new is written, the rest is not touched. The lines' gateways follow. Nobody is told; see [`Netifd::announce`].
    pub fn apply(&self, lab: &Lab, dump: Value) -> Result<()> {
        let after = pieces(&dump);
        // Shown while it is done: the kernel tells of it before netifd does, and whoever asks then must not be told of yesterday.
        let before = pieces(&self.applied(dump));
        for piece in before.iter().filter(|piece| !after.contains(piece)) {
            // It may have gone with its device or address.
            _ = write(lab, piece, false);
        }
        after.iter().filter(|piece| !before.contains(piece)).try_for_each(|piece| write(lab, piece, true))
    }
}

/// The addresses of all interfaces that are up, then their default routes.
fn pieces(dump: &Value) -> Vec<Piece> {
    let up = |entry: &&Value| entry.get("up").and_then(Value::as_bool) == Some(true);
    let interfaces: Vec<&Value> = list(dump.get("interface")).filter(up).collect();
    let addresses = interfaces.iter().flat_map(|interface| {
        let told = list(interface.get("ipv4-address"));
        told.filter_map(|told| {
            let (address, prefix) = (address(told.get("address"))?, told.get("mask").and_then(Value::as_u64)?);
            let peer = self::address(told.get("ptpaddress")).unwrap_or(address);
            Some(Piece::Address(device(interface)?, address, peer, u8::try_from(prefix).ok()?))
        })
    });
    let routes = interfaces.iter().flat_map(|interface| {
        let own = |name: &str| interface.get(name).and_then(Value::as_u64).and_then(|it| u32::try_from(it).ok());
        list(interface.get("route")).filter_map(move |told| {
            let number = |name: &str| told.get(name).and_then(Value::as_u64).and_then(|it| u32::try_from(it).ok());
            let (via, device) = (address(told.get("nexthop"))?, device(interface)?);
            let route = Route { via: Some(via).filter(|it| !it.is_unspecified()), ..Route::default_via(via, &device) };
            let metric = number("metric").or_else(|| own("metric")).unwrap_or(0);
            let table = number("table").or_else(|| own("ip4table")).unwrap_or(route.table);
            let default = number("mask") == Some(0);
            default.then(|| Piece::Route(route.metric(metric).table(table).protocol(protocol::STATIC)))
        })
    });
    let addresses: Vec<Piece> = addresses.collect();
    // The loopback's is there anyway.
    let foreign = |piece: &Piece| !matches!(piece, Piece::Address(device, ..) if device == "lo");
    addresses.into_iter().filter(foreign).chain(routes).collect()
}

fn write(lab: &Lab, piece: &Piece, present: bool) -> Result<()> {
    match piece {
        Piece::Address(device, address, peer, prefix) => {
            let mut netlink = lock(&lab.router().netlink);
            let mut address = |present| netlink.address_to(device, *address, (*peer, *prefix), present);
            if present {
                // What a netifd before this one left is made anew.
                _ = address(false);
            }
            address(present)
        }
        Piece::Route(route) if present => {
            let provider = lab.providers().iter().find(|it| Some(it.device()) == route.device.as_deref());
            let missing = || LabError::new(format!("find the line of {:?}", route.device), "no such device");
            provider.ok_or_else(missing)?.change(|conditions| conditions.gateway = route.via);
            lab.router().write(RouteWrite::Replace, route).during("write netifd's default route")
        }
        Piece::Route(route) => lab.router().write(RouteWrite::Delete, route),
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn device(interface: &Value) -> Option<String> {
    interface.get("l3_device").and_then(Value::as_str).map(str::to_owned)
}

fn address(value: Option<&Value>) -> Option<Ipv4Addr> {
    value?.as_str()?.parse().ok()
}
