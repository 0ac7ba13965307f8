//! The forwarding tables of the model kernel: what `fib_table_insert` and `fib_table_delete` of net/ipv4/fib_trie.c do.
//!
//! A route's key is (table, destination, tos, metric); two routes of one key may coexist if they differ in anything else.

use std::cmp::Reverse;
use std::net::IpAddr;

use failoverd::kernel::{Metric, Network, NextHops, Route, RouteKind, TableId};

/// `NLM_F_REPLACE`, `NLM_F_APPEND`, `NLM_F_EXCL`, or none of them (which puts the route before the others of its key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Replace,
    Append,
    Exclusive,
    Prepend,
}

/// All routes, in the order of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fib {
    pub routes: Vec<Route>,
}

type Key = (TableId, Reverse<u8>, IpAddr, Reverse<u8>, Metric);

fn key(route: &Route) -> Key {
    let Network { address, prefix } = route.destination;
    (route.table, Reverse(prefix), address, Reverse(route.tos), route.metric)
}

impl Fib {
    /// Adds a route that has passed the checks of next hop and source.
    pub fn insert(&mut self, route: Route, how: How) -> Result<(), &'static str> {
        let wanted = key(&route);
        let first = self.routes.iter().position(|seen| key(seen) >= wanted).unwrap_or(self.routes.len());
        let end = self.routes.iter().position(|seen| key(seen) > wanted).unwrap_or(self.routes.len());
        let exact = (first..end).find(|&index| self.routes[index] == route);
        if first == end {
            self.routes.insert(first, route);
            return Ok(());
        }
        match (how, exact) {
            (How::Exclusive, _) => return Err("File exists (17)"),
            (How::Replace, Some(index)) if index == first => {}
            (_, Some(_)) => return Err("File exists (17)"),
            (How::Replace, None) => self.routes[first] = route,
            (How::Append, None) => self.routes.insert(end, route),
            (How::Prepend, None) => self.routes.insert(first, route),
        }
        Ok(())
    }

    /// Deletes the first route that matches, and tells which. Metric 0, no gateway and no source mean "any".
    pub fn delete(&mut self, wanted: &Route) -> Option<Route> {
        let hit = self.routes.iter().position(|seen| {
            (seen.table, seen.destination, seen.tos) == (wanted.table, wanted.destination, wanted.tos)
                && (wanted.metric.0 == 0 || seen.metric == wanted.metric)
                && (seen.kind, seen.protocol, seen.scope) == (wanted.kind, wanted.protocol, wanted.scope)
                && (wanted.source.is_none() || seen.source == wanted.source)
                && (wanted.device.is_none() || seen.device == wanted.device)
                && (wanted.gateway.is_none() || seen.gateway == wanted.gateway)
                && (!matches!(wanted.next_hops, NextHops::Shared(_)) || seen.next_hops == wanted.next_hops)
        })?;
        Some(self.routes.remove(hit))
    }

    /// The routes of a table that may carry a packet for `target`, in the order of preference.
    pub fn towards(&self, table: TableId, target: IpAddr) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(move |route| route.table == table && route.tos == 0 && route.destination.contains(target))
    }

    /// Whether `gateway` is a neighbour on the route's device, by the routes of its table or of main (`fib_check_nh_v4_gw`).
    pub fn reaches(&self, route: &Route, gateway: IpAddr) -> bool {
        let link_scope = failoverd::kernel::SCOPE_LINK;
        [route.table, TableId::MAIN].into_iter().any(|table| {
            self.towards(table, gateway)
                .filter(|via| via.kind != RouteKind::Unicast || (via.scope >= link_scope && via.device == route.device))
                .map(|via| via.kind == RouteKind::Unicast)
                .next()
                .unwrap_or(false)
        })
    }
}
