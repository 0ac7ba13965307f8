//! Whose connections are to be forgotten, and when: those of a provider that went down, once traffic has left it.
//!
//! Called by `core` at the end of every step; reads uplinks, verdicts and the last snapshot, and tells the shell the addresses.
//!
//! A connection is known by the address that it leaves with. Where two devices have the same address, which is normal for two modems of
//! one make, the connections of one cannot be told from those of the other, and need not be: a flow that was translated to that address
//! goes on through the other line as it is, or, with masquerade, is dropped by the kernel itself when its device changes.
//!
//! What comes from the LAN to that address, to a forwarded port for instance, never leaves the house and works on: it stays.

use std::net::IpAddr;

use super::{Core, log};
use crate::event::{Action, ProviderId, Stranded};
use crate::kernel::{Address, IfIndex, Network, Snapshot};
use crate::settings::LogLevel;

/// The addresses that traffic leaves with, or has left with until now.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    held: Vec<Held>,
    /// It was said that some cannot be told apart.
    told_shared: bool,
}

/// A provider may have connections with this address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    provider: ProviderId,
    device: IfIndex,
    address: IpAddr,
}

impl Core {
    /// Tells the addresses whose connections are stranded. Not before the kernel shows another provider in the first slot: the next
    /// packet would make the same entry again on the dead line. Until then a provider that recovers keeps its connections.
    pub(super) fn forget_connections(&mut self, out: &mut Vec<Action>) {
        let before = std::mem::take(&mut self.connections.held);
        let Some(snapshot) = &self.snapshot else { return };
        if !self.settings.flush_conntrack || self.enabled().count() < 2 {
            return;
        }
        let serving = self.enabled().filter(|provider| provider.is_reliable() || self.active == Some(provider.id));
        let held = serving.filter_map(|provider| {
            let uplink = provider.usable()?;
            Some(Held { provider: provider.id, device: uplink.device, address: uplink.address })
        });
        let mut held: Vec<Held> = held.collect();
        let serves = |it: &Held| held.iter().any(|now| (now.provider, now.address) == (it.provider, it.address));
        let down = before.into_iter().filter(|it| !serves(it));
        let (stranded, waiting): (Vec<Held>, Vec<Held>) = down.partition(|it| has_left(it, snapshot));
        held.extend(waiting);

        let (shared, own): (Vec<Held>, Vec<Held>) = stranded.into_iter().partition(|it| self.is_shared(it, snapshot));
        if let Some(it) = shared.first().filter(|_| !self.connections.told_shared) {
            let text = format!(
                "the connections of {} stay: another device has that address too, and they cannot be told apart",
                it.address
            );
            out.push(log(LogLevel::Info, self.by_id(it.provider), text));
            self.connections.told_shared = true;
        }
        if !own.is_empty() {
            let addresses = own.into_iter().map(|it| it.address).collect();
            out.push(Action::ForgetConnections(Stranded::Addresses { addresses, inside: self.inside(snapshot) }));
        }
        self.connections.held = held;
    }

    /// The networks of the devices that are no provider's.
    fn inside(&self, snapshot: &Snapshot) -> Vec<Network> {
        let is_a_providers = |device: IfIndex| {
            let link = snapshot.links.iter().find(|link| link.index == device);
            link.is_some_and(|link| self.providers.iter().any(|it| it.device.as_ref() == Some(&link.name)))
        };
        let networks = snapshot.addresses.iter().filter(|it| !is_a_providers(it.device)).map(Address::network);
        networks.collect()
    }

    fn is_shared(&self, it: &Held, snapshot: &Snapshot) -> bool {
        let by_device = snapshot.addresses.iter().any(|seen| seen.address == it.address && seen.device != it.device);
        let by_provider = self
            .enabled()
            .filter(|provider| provider.id != it.provider)
            .any(|provider| provider.uplink.as_ref().is_ok_and(|uplink| uplink.address == it.address));
        by_device || by_provider
    }
}

/// Whether new packets leave another way: through another device, or with another address of the same one.
fn has_left(it: &Held, snapshot: &Snapshot) -> bool {
    let slots = snapshot.routes.iter().filter(|route| route.is_ours() && route.is_main_default());
    let first = slots.min_by_key(|route| route.metric);
    let stays = snapshot.addresses.iter().any(|seen| (seen.device, seen.address) == (it.device, it.address));
    first.is_some_and(|first| !first.devices().any(|device| device == it.device) || !stays)
}
