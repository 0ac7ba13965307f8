//! The kernel's networking over rtnetlink: read whole into a `Snapshot`, changed by one message per `RouteChange`, watched for changes.
//!
//! The event loop owns a [`Kernel`] for questions and changes and a [`Watcher`] for events. Neither decides anything: what was refused
//! and what a deletion really hit goes back to the core as it is.

mod filter;
mod link;
pub(crate) mod message;
mod neighbour;
mod route;
mod rule;
#[cfg(test)]
mod tests;
mod transport;
mod watch;
pub(crate) mod wire;

use failoverd::kernel::{
    IfIndex, Link, Lookup, LookupQuestion, Outcome, PROTOCOL, Route, RouteChange, Rule, RulePriority, Snapshot, Sysctl,
    TableId,
};
use message::{APPEND, CREATE, ECHO, EXCLUSIVE, Message, REPLACE};
pub(crate) use neighbour::Neighbours;
pub(crate) use transport::Error;
use transport::{Transport, decode};
pub(crate) use watch::Watcher;

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const EAFNOSUPPORT: i32 = 97;

/// `RT_TABLE_MAIN`, as a header carries it.
const MAIN: u8 = 254;

/// Questions to the kernel, and changes.
pub(crate) struct Kernel {
    transport: Transport,
    filter: filter::Filter,
}

impl Kernel {
    /// Opens the connection.
    pub(crate) fn new() -> Result<Self, Error> {
        Transport::open().map(|transport| Self { transport, filter: filter::Filter::default() })
    }

    /// Opens a socket for the kernel's events. What this `Kernel` changes itself is not reported by it.
    pub(crate) fn watch(&self) -> std::io::Result<Watcher> {
        Watcher::open(self.transport.port())
    }

    /// Reads everything that decisions are made from, and asks `lookups`.
    pub(crate) fn snapshot(&mut self, lookups: &[LookupQuestion]) -> Result<Snapshot, Error> {
        let links = self.links()?;
        let addresses = self.addresses()?;
        let routes = self.routes()?;
        let rules = self.rules(&links)?;
        let all_rp_filter = self.all_rp_filter()?;
        let mut answers = Vec::with_capacity(lookups.len());
        for question in lookups {
            answers.push(self.lookup(question)?);
        }
        let filter = self.filter.handle()?;
        Ok(Snapshot { links, addresses, routes, rules, all_rp_filter, lookups: answers, filter })
    }

    /// nftables has been used: if it was not there before, it may be now.
    pub(crate) fn look_for_nftables(&mut self) {
        self.filter = filter::Filter::default();
    }

    /// Carries out one change.
    pub(crate) fn apply(&mut self, change: &RouteChange) -> Outcome {
        let outcome = match change {
            RouteChange::Write(route) => self.write(route, REPLACE),
            RouteChange::Append(route) => self.write(route, APPEND),
            RouteChange::Delete(route) => self.delete(route),
            RouteChange::AddRule(rule) => self.add_rule(rule),
            RouteChange::DeleteRule(rule) => self.delete_rule(rule),
            RouteChange::SetSysctl { device, key, value } => self.set_sysctl(*device, *key, *value),
        };
        outcome.unwrap_or_else(|error| Outcome::Refused(error.cause()))
    }

    /// Whether the kernel lets us change routes, found out by deleting a rule that nobody has.
    pub(crate) fn may_change(&mut self) -> Result<bool, Error> {
        let nobodys = Rule {
            priority: RulePriority(u32::MAX),
            selector: None,
            table: TableId(u32::MAX),
            suppress_prefix: None,
            raw: Vec::new(),
        };
        let body = rule::emit(&nobodys, None);
        match self.transport.change("delete a rule", rule::DELETE, 0, body) {
            Err(error) if error.code() == Some(EPERM) => Ok(false),
            Err(error) if error.code().is_none() => Err(error),
            _ => Ok(true),
        }
    }

    fn links(&mut self) -> Result<Vec<Link>, Error> {
        const READ: &str = "read the devices";
        let messages = self.transport.dump(READ, link::GET, link::request(None))?;
        let found = messages.iter().filter(|message| message.kind == link::NEW);
        let found: Result<Vec<_>, _> = found.map(|message| link::parse(&message.body)).collect();
        decode(READ, found).map(link::settle)
    }

    /// One device. Its carrier is its own alone.
    fn link(&mut self, device: IfIndex) -> Result<Link, Error> {
        const READ: &str = "read a device";
        let messages = self.transport.get(READ, link::GET, link::request(Some(device)))?;
        let found = messages.iter().find(|message| message.kind == link::NEW).ok_or(wire::Malformed);
        decode(READ, found.and_then(|message| link::parse(&message.body))).map(link::single)
    }

    fn addresses(&mut self) -> Result<Vec<failoverd::kernel::Address>, Error> {
        const READ: &str = "read the addresses";
        let messages = self.transport.dump(READ, link::GET_ADDRESS, link::address_request())?;
        decode(READ, messages.iter().map(|message| link::parse_address(&message.body)).collect())
    }

    /// Table main whole, then ours in the other tables.
    fn routes(&mut self) -> Result<Vec<Route>, Error> {
        let mut routes = self.routes_of(MAIN, 0)?;
        let ours = self.routes_of(0, PROTOCOL)?;
        routes.extend(ours.into_iter().filter(|route| route.table != TableId::MAIN));
        Ok(routes)
    }

    fn routes_of(&mut self, table: u8, protocol: u8) -> Result<Vec<Route>, Error> {
        const READ: &str = "read the routes";
        let messages = match self.transport.dump(READ, route::GET, route::dump_request(table, protocol)) {
            // A table without routes need not exist.
            Err(error) if error.code() == Some(ENOENT) => return Ok(Vec::new()),
            other => other?,
        };
        let routes = messages.iter().filter(|message| message.kind == route::NEW);
        decode(READ, routes.map(|message| route::parse(&message.body)).collect())
    }

    fn rules(&mut self, links: &[Link]) -> Result<Vec<Rule>, Error> {
        const READ: &str = "read the rules";
        let messages = match self.transport.dump(READ, rule::GET, rule::dump_request()) {
            // A kernel without policy routing has none.
            Err(error) if error.code() == Some(EAFNOSUPPORT) => return Ok(Vec::new()),
            other => other?,
        };
        let rules = messages.iter().filter(|message| message.kind == rule::NEW);
        let rules: Result<Vec<_>, _> = rules.map(|message| rule::parse(&message.body, links)).collect();
        // The kernel resumes a long list of rules by position, and does not say when it changed between two datagrams. A rule told twice
        // is taken once; one left out comes with the snapshot that the same change's event brings.
        let mut once: Vec<Rule> = Vec::new();
        for rule in decode(READ, rules)?.into_iter().flatten() {
            if !once.contains(&rule) {
                once.push(rule);
            }
        }
        Ok(once)
    }

    fn all_rp_filter(&mut self) -> Result<u32, Error> {
        const READ: &str = "read net.ipv4.conf.all";
        let messages = self.transport.get(READ, link::GET_CONFIGURATION, link::configuration_request())?;
        let found = messages.iter().find(|message| message.kind == link::NEW_CONFIGURATION).ok_or(wire::Malformed);
        decode(READ, found.and_then(|message| link::parse_rp_filter(&message.body)))
    }

    /// A refusal is an answer too; only a broken connection is an error.
    fn lookup(&mut self, question: &LookupQuestion) -> Result<Lookup, Error> {
        const READ: &str = "look up a route";
        let answer = match self.transport.get(READ, route::GET, route::lookup_request(question)) {
            Ok(messages) => Ok(decode(READ, route::lookup_answer(&messages))?),
            Err(error) if error.code().is_some() => Err(error.cause()),
            Err(error) => return Err(error),
        };
        Ok(Lookup { question: *question, answer })
    }

    fn write(&mut self, route: &Route, how: u16) -> Result<Outcome, Error> {
        self.transport.change("write a route", route::NEW, CREATE | how, route::emit(route))?;
        Ok(Outcome::Done)
    }

    /// Deletes by everything we know of the route. The kernel takes metric 0 for "any metric", so it is asked to tell what it hit.
    fn delete(&mut self, route: &Route) -> Result<Outcome, Error> {
        const DELETE: &str = "delete a route";
        let told = match self.transport.change(DELETE, route::DELETE, ECHO, route::emit(route)) {
            Err(error) if error.code() == Some(ESRCH) => return Ok(Outcome::Done),
            other => other?,
        };
        let hit = told.iter().find(|message| message.kind == route::DELETE);
        let hit = hit.map(|Message { body, .. }| decode(DELETE, route::parse(body))).transpose()?;
        Ok(hit.filter(|hit| hit != route).map_or(Outcome::Done, |hit| Outcome::DeletedOther(Box::new(hit))))
    }

    fn add_rule(&mut self, rule: &Rule) -> Result<Outcome, Error> {
        let body = self.rule_body(rule)?;
        match self.transport.change("add a rule", rule::NEW, CREATE | EXCLUSIVE, body) {
            Err(error) if error.code() != Some(EEXIST) => Err(error),
            _ => Ok(Outcome::Done),
        }
    }

    fn delete_rule(&mut self, rule: &Rule) -> Result<Outcome, Error> {
        let body = self.rule_body(rule)?;
        match self.transport.change("delete a rule", rule::DELETE, 0, body) {
            Err(error) if error.code() != Some(ENOENT) => Err(error),
            _ => Ok(Outcome::Done),
        }
    }

    fn rule_body(&mut self, wish: &Rule) -> Result<Vec<u8>, Error> {
        let name = match rule::device(wish) {
            Some(device) => Some(self.link(device)?.name),
            None => None,
        };
        Ok(rule::emit(wish, name.as_deref()))
    }

    /// Sets a device's value and looks whether it is so: a kernel that does not know the number accepts it without a word.
    fn set_sysctl(&mut self, device: IfIndex, key: Sysctl, value: u32) -> Result<Outcome, Error> {
        let body = link::set_request(device, key, value);
        self.transport.change("set a device's value", link::SET, 0, body)?;
        let now = link::value(&self.link(device)?, key);
        Ok(if now == value {
            Outcome::Done
        } else {
            Outcome::Refused(format!("accepted, but the value is still {now}"))
        })
    }
}
