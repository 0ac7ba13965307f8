//! Which way a packet goes in the model kernel: rules, tables, dead next hops, one of several by a hash of the addresses, and the on-link
//! answer where there is no route (a bound socket without a route does not fail).

use std::net::IpAddr;

use failoverd::kernel::{IfIndex, LookupAnswer, LookupQuestion, NextHops, Route, RouteKind, TableId};

use super::Kernel;

enum Found<'a> {
    Way { route: &'a Route, device: Option<IfIndex>, gateway: Option<IpAddr> },
    Refused,
    Nothing,
}

/// What the kernel looks at.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The device that it must leave by.
    pub oif: Option<IfIndex>,
    pub source: Option<IpAddr>,
    pub target: IpAddr,
    pub mark: u32,
}

impl Packet {
    /// One that is forwarded, from anybody.
    pub const fn to(target: IpAddr) -> Self {
        Self { oif: None, source: None, target, mark: 0 }
    }
}

impl Kernel {
    /// A device without carrier, where the kernel is to pass over such next hops.
    pub fn is_dead(&self, device: Option<IfIndex>) -> bool {
        let link = device.and_then(|index| self.by_index(index));
        link.is_some_and(|link| !link.carrier && link.ignore_linkdown == 1)
    }

    /// Whether the device is up and has an address: else a next hop among several is passed over, where a route of its own would go.
    pub fn lives(&self, device: IfIndex) -> bool {
        self.by_index(device).is_some_and(|link| link.up) && self.addresses.iter().any(|it| it.device == device)
    }

    /// `RTM_GETROUTE` with `RTA_OIF`.
    pub fn look_up(&self, question: LookupQuestion) -> Result<LookupAnswer, String> {
        let link = self.by_index(question.device).ok_or("No such device (19)")?;
        if !link.up || !self.addresses.iter().any(|address| address.device == link.index) {
            return Err("Network is unreachable (101)".into());
        }
        let on_link = LookupAnswer { device: Some(question.device), gateway: None };
        let packet = Packet { oif: Some(question.device), ..Packet::to(question.target) };
        Ok(match self.follow(packet) {
            Found::Way { device, gateway, .. } => LookupAnswer { device, gateway },
            Found::Refused | Found::Nothing => on_link,
        })
    }

    /// The device by which a packet leaves; `None`: it does not.
    pub fn leaves_by(&self, packet: Packet) -> Option<IfIndex> {
        match self.follow(packet) {
            Found::Way { device, .. } => device,
            Found::Refused | Found::Nothing => None,
        }
    }

    /// The same for what is forwarded.
    pub fn traffic(&self, target: IpAddr) -> Option<IfIndex> {
        self.leaves_by(Packet::to(target))
    }

    fn follow(&self, packet: Packet) -> Found<'_> {
        let name = packet.oif.and_then(|index| self.by_index(index)).map(|link| link.name.clone());
        let main = (TableId::MAIN, None);
        let matching = self.rules.iter().filter(|rule| {
            (rule.device.is_none() || rule.device == name)
                && rule.mark.is_none_or(|mark| packet.mark & mark.mask == mark.value)
                && rule.source.is_none_or(|network| packet.source.is_some_and(|source| network.contains(source)))
        });
        for (table, suppress) in matching.map(|rule| (rule.table, rule.suppress_prefix)).chain([main]) {
            match self.in_table(table, packet) {
                Found::Way { route, .. }
                    if suppress.is_some_and(|most| u32::from(route.destination.prefix) <= most) => {}
                Found::Nothing => {}
                found => return found,
            }
        }
        Found::Nothing
    }

    fn in_table(&self, table: TableId, packet: Packet) -> Found<'_> {
        for route in self.fib.towards(table, packet.target) {
            match route.kind {
                RouteKind::Unicast => {}
                RouteKind::Throw => return Found::Nothing,
                _ => return Found::Refused,
            }
            let follows = |device| (packet.oif.is_none() || packet.oif == device) && !self.is_dead(device);
            let (device, gateway) = match &route.next_hops {
                NextHops::Shared(hops) => {
                    let live = || hops.iter().filter(|hop| self.lives(hop.device) && follows(Some(hop.device)));
                    let all: u64 = live().map(|hop| u64::from(hop.weight)).sum();
                    let place = (hash(packet) * all) >> 31;
                    let mut end = 0;
                    let hit = live().find(|hop| {
                        end += u64::from(hop.weight);
                        place < end
                    });
                    let Some(hop) = hit else { continue };
                    (Some(hop.device), hop.gateway)
                }
                _ if follows(route.device) => (route.device, route.gateway),
                _ => continue,
            };
            return Found::Way { route, device, gateway };
        }
        Found::Nothing
    }
}

/// Of the addresses alone (`fib_multipath_hash_policy` 0), up to 31 bits.
fn hash(packet: Packet) -> u64 {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(_) => 0,
    };
    failoverd::random::Random::new(packet.source.map_or(0, octets) << 32 | octets(packet.target)).next() >> 33
}
