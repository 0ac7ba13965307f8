//! Whose connections are to be forgotten, and when: those of a provider that went down, once traffic has left it.
//!
//! Called by `core` at the end of every step; reads uplinks, verdicts and the last snapshot, and tells the shell the marks or addresses.
//! `drain` adds those of a provider that traffic has left although it works.
//!
//! Where connections are marked, the mark tells whose one is. Elsewhere it is known by the address that it leaves with. Where two devices
//! have the same address, which is normal for two modems of one make, the connections of one cannot be told from those of the other, and
//! need not be: a flow that was translated to that address goes on through the other line as it is, or, with masquerade, is dropped by the
//! kernel itself when its device changes.
//!
//! What comes from the LAN to that address, to a forwarded port for instance, never leaves the house and works on: it stays.

use std::net::IpAddr;

use super::drain::Drains;
use super::{Core, log};
use crate::event::{Action, Census, Counted, ProviderId, Stranded};
use crate::kernel::{Address, IfIndex, Network, Route, Selector, Snapshot};
use crate::moment::Moment;
use crate::provider::Provider;
use crate::settings::LogLevel;

/// Where traffic leaves, or has left until now.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    held: Vec<Held>,
    /// They had marks.
    marked: bool,
    /// Traffic has left them, but they work.
    pub(super) drains: Drains,
    /// It was said that some cannot be told apart.
    told_shared: bool,
}

/// A provider may have connections with this address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) provider: ProviderId,
    device: IfIndex,
    address: IpAddr,
}

/// What is to be forgotten in this step.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// By mark.
    pub(super) marks: Vec<ProviderId>,
    /// By mark, and only what the router has begun itself.
    pub(super) own_datagrams: Vec<ProviderId>,
    /// By address.
    pub(super) addresses: Vec<Held>,
}

impl Stale {
    /// All that a provider has.
    pub(super) fn forget(&mut self, core: &Core, it: Held) {
        if core.marks_loaded() {
            self.marks.push(it.provider);
        } else {
            self.addresses.push(it);
        }
    }
}

impl Core {
    /// Tells whose connections are stranded. Not before the kernel shows that nothing leads to their provider any more: the next packet
    /// would make the same entry again on the dead line. Until then a provider that recovers keeps its connections.
    pub(super) fn forget_connections(&mut self, now: Moment, out: &mut Vec<Action>) {
        // Forgotten now, its connections would follow a rule to it once more, and then stay where they have no business.
        if self.marks_change() && self.settings.flush_conntrack {
            return;
        }
        let Connections { held: before, marked, mut drains, told_shared } = std::mem::take(&mut self.connections);
        self.connections.told_shared = told_shared;
        let enabled = self.enabled().count();
        let Some(snapshot) = self.snapshot.as_ref().filter(|_| self.settings.flush_conntrack && enabled > 0) else {
            return;
        };
        let by_mark = self.marks_loaded();
        let serving = self.enabled().filter(|provider| enabled > 1 && self.serves(provider, by_mark));
        let held = serving.filter_map(|provider| {
            let uplink = provider.usable()?;
            Some(Held { provider: provider.id, device: uplink.device, address: uplink.address })
        });
        let mut held: Vec<Held> = held.collect();

        let mut stale = Stale::default();
        if marked && !self.settings.marks() {
            // Nothing keeps them on their line any more. The marks that they have outlast our table.
            let torn = before.iter().chain(&held).filter(|it| !self.in_use(it.provider) && it.is_behind(snapshot));
            stale.marks.extend(torn.map(|it| it.provider));
        }
        drains.follow(self, now, &held, snapshot, &mut stale);
        let mut waiting = Vec::new();
        for it in before {
            let same = |now: &&Held| now.provider == it.provider;
            match held.iter().find(same) {
                Some(now) if now.address == it.address => {}
                None if enabled < 2 && self.enabled().any(|provider| provider.id == it.provider) => {}
                // It serves on, with another address: the mark would mean that too.
                None if by_mark && self.is_cut_off(&it, snapshot) => stale.marks.push(it.provider),
                None if by_mark => waiting.push(it),
                _ if it.has_left(snapshot) => stale.addresses.push(it),
                _ => waiting.push(it),
            }
        }
        held.extend(waiting);
        let shared = self.tell(stale, snapshot, out);
        if let Some(it) = shared.filter(|_| !told_shared) {
            let text = format!(
                "the connections of {} stay: another device has that address too, and they cannot be told apart",
                it.address
            );
            out.push(log(LogLevel::Info, self.by_id(it.provider), text));
            self.connections.told_shared = true;
        }
        self.connections.marked = by_mark || (marked && self.settings.marks());
        (self.connections.held, self.connections.drains) = (held, drains);
    }

    /// Has it all forgotten; one of those that cannot be told apart.
    fn tell(&self, stale: Stale, snapshot: &Snapshot, out: &mut Vec<Action>) -> Option<Held> {
        let mut told: Vec<ProviderId> = Vec::new();
        for provider in stale.marks {
            if !told.contains(&provider) {
                told.push(provider);
                let mark = self.settings.mark_of(provider);
                let provider = self.by_id(provider).map_or("a removed provider", |it| &it.settings.name).to_owned();
                out.push(Action::ForgetConnections(Stranded::Marked { mark, provider }));
            }
        }
        for provider in stale.own_datagrams.into_iter().filter(|it| !told.contains(it)) {
            let addresses = snapshot.addresses.iter().map(|it| it.address).collect();
            let mark = self.settings.mark_of(provider);
            out.push(Action::ForgetConnections(Stranded::OwnDatagrams { mark, addresses }));
        }
        let (shared, own): (Vec<Held>, Vec<Held>) =
            stale.addresses.into_iter().partition(|it| self.is_shared(it, snapshot));
        if !own.is_empty() {
            let addresses = own.into_iter().map(|it| it.address).collect();
            out.push(Action::ForgetConnections(Stranded::Addresses { addresses, inside: self.inside(snapshot) }));
        }
        shared.into_iter().next()
    }

    /// By what the connections of each provider are known, for counting them. Of several with one address the first has them all: it is
    /// the one that traffic leaves by.
    pub fn census(&self) -> Census {
        let counted = |provider: &Provider| Counted {
            name: provider.settings.name.clone(),
            mark: self.settings.mark_of(provider.id),
            address: provider.uplink.as_ref().ok().map(|uplink| uplink.address),
        };
        Census {
            marked: self.marks_loaded(),
            providers: self.by_rank().map(counted).collect(),
            inside: self.snapshot.as_ref().map(|snapshot| self.inside(snapshot)).unwrap_or_default(),
        }
    }

    /// Whether connections go through it, old ones at least.
    fn serves(&self, provider: &Provider, by_mark: bool) -> bool {
        if by_mark { self.carries(provider) } else { provider.is_reliable() || self.in_use(provider.id) }
    }

    /// Whether no packet gets to its device any more, with its mark or without.
    fn is_cut_off(&self, it: &Held, snapshot: &Snapshot) -> bool {
        let mark = Some(Selector::Mark(self.settings.mark_of(it.provider)));
        !snapshot.rules.iter().any(|rule| rule.selector == mark) && it.is_behind(snapshot)
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

impl Held {
    /// Whether new packets leave another way: through another device, or with another address of the same one.
    fn has_left(&self, snapshot: &Snapshot) -> bool {
        let is_there = |seen: &Address| (seen.device, seen.address) == (self.device, self.address);
        let moved = !snapshot.addresses.iter().any(is_there) && first_slot(snapshot).is_some();
        moved || self.is_behind(snapshot)
    }

    /// Whether traffic without a mark leaves through other devices.
    pub(super) fn is_behind(&self, snapshot: &Snapshot) -> bool {
        first_slot(snapshot).is_some_and(|first| !first.devices().any(|device| device == self.device))
    }
}

/// The default route that traffic takes: ours as long as there is one.
fn first_slot(snapshot: &Snapshot) -> Option<&Route> {
    let defaults = snapshot.routes.iter().filter(|route| route.is_main_default());
    defaults.min_by_key(|route| (!route.is_ours(), route.metric))
}
