//! Which way a packet goes in the model kernel: rules, tables, dead next hops, and the on-link answer where there is no route
//! (a bound socket without a route does not fail).

use std::net::IpAddr;

use failoverd::kernel::{IfIndex, LookupAnswer, LookupQuestion, Route, RouteKind, TableId};

use super::Kernel;

enum Found<'a> {
    Route(&'a Route),
    Refused(&'static str),
    Nothing,
}

impl Kernel {
    /// A next hop that the kernel passes over: no carrier, and the device says such routes are to be ignored.
    pub fn is_dead(&self, route: &Route) -> bool {
        let link = route.device.and_then(|index| self.by_index(index));
        link.is_some_and(|link| !link.carrier && link.ignore_linkdown == 1)
    }

    /// `RTM_GETROUTE` with `RTA_OIF`.
    pub fn look_up(&self, question: LookupQuestion) -> Result<LookupAnswer, String> {
        let link = self.by_index(question.device).ok_or("No such device (19)")?;
        if !link.up || !self.addresses.iter().any(|address| address.device == link.index) {
            return Err("Network is unreachable (101)".into());
        }
        let on_link = LookupAnswer { device: Some(question.device), gateway: None };
        Ok(match self.follow(Some(question.device), None, question.target) {
            Found::Route(route) => LookupAnswer { device: route.device, gateway: route.gateway },
            Found::Refused(_) | Found::Nothing => on_link,
        })
    }

    /// The device by which forwarded traffic leaves; `None`: none.
    pub fn traffic(&self, target: IpAddr) -> Option<IfIndex> {
        match self.follow(None, None, target) {
            Found::Route(route) => route.device,
            Found::Refused(_) | Found::Nothing => None,
        }
    }

    fn follow(&self, oif: Option<IfIndex>, source: Option<IpAddr>, target: IpAddr) -> Found<'_> {
        let name = oif.and_then(|index| self.by_index(index)).map(|link| link.name.clone());
        let main = (TableId::MAIN, None);
        let matching = self.rules.iter().filter(|rule| {
            (rule.device.is_none() || rule.device == name)
                && rule.mark.is_none()
                && rule.source.is_none_or(|network| source.is_some_and(|source| network.contains(source)))
        });
        for (table, suppress) in matching.map(|rule| (rule.table, rule.suppress_prefix)).chain([main]) {
            match self.in_table(table, oif, target) {
                Found::Route(route) if suppress.is_some_and(|most| u32::from(route.destination.prefix) <= most) => {}
                Found::Nothing => {}
                found => return found,
            }
        }
        Found::Nothing
    }

    fn in_table(&self, table: TableId, oif: Option<IfIndex>, target: IpAddr) -> Found<'_> {
        for route in self.fib.towards(table, target) {
            match route.kind {
                RouteKind::Unicast => {}
                RouteKind::Blackhole => return Found::Refused("Invalid argument (22)"),
                _ => return Found::Refused("No route to host (113)"),
            }
            if (oif.is_none() || oif == route.device) && !self.is_dead(route) {
                return Found::Route(route);
            }
        }
        Found::Nothing
    }
}
