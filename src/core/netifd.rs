//! The core's dealings with netifd: when its interfaces are asked for, what is done until they are known, and what a new list changes.
//!
//! The shell tells the list; `core::kernel` resolves the uplinks from it. Routes do not depend on netifd's being there: a list stays
//! in force until the next one.

use std::net::IpAddr;
use std::time::Duration;

use super::{Core, log};
use crate::event::Action;
use crate::kernel::{IfIndex, Link, Snapshot};
use crate::moment::Moment;
use crate::netifd::Interface;
use crate::order::ordered;
use crate::provider::Provider;
use crate::settings::{LogLevel, UplinkSource};
use crate::takeover;

/// netifd is asked at least this often: its notifications get lost.
const READ_INTERVAL: Duration = Duration::from_secs(30);
/// And as often while an interface is between our own `down` and `up`.
const BETWEEN_INTERVAL: Duration = Duration::from_secs(1);
/// At a start, netifd has this long to answer before what the run before knew is used.
const GRACE: Duration = Duration::from_secs(2);

/// That a provider is unresolved is told this much later while netifd is being asked: an `ifdown` is seen in the kernel first.
const EXPLANATION: Duration = Duration::from_millis(300);

impl Core {
    /// A new list; mostly the one there is.
    pub(super) fn interfaces_told(&mut self, now: Moment, mut interfaces: Vec<Interface>, out: &mut Vec<Action>) {
        self.explain_until = None;
        self.between = self.between(now, &mut interfaces);
        if self.netifd.told && self.netifd.interfaces == interfaces {
            return;
        }
        (self.netifd.told, self.netifd.interfaces) = (true, interfaces);
        if self.remember_interfaces() {
            out.push(Action::Save(self.state.clone()));
        }
        self.follow_interfaces(now, out);
    }

    fn follow_interfaces(&mut self, now: Moment, out: &mut Vec<Action>) {
        if let Some(snapshot) = self.snapshot.take() {
            self.follow_uplinks(now, &snapshot, out);
            self.snapshot = Some(snapshot);
            self.dirty = true;
        }
    }

    /// Notes the interfaces of our providers for the next run. True: they are others than before.
    pub(super) fn remember_interfaces(&mut self) -> bool {
        if !self.netifd.told {
            return false;
        }
        let ours = self.netifd.of(&self.interface_names().collect::<Vec<_>>());
        let changed = ours != self.state.interfaces;
        self.state.interfaces = ours;
        changed
    }

    /// Begins to wait, if there is something to wait for.
    pub(super) fn wait_for_netifd(&mut self, now: Moment) {
        let needed = !self.netifd.told && self.interface_names().next().is_some();
        self.hold = needed.then(|| self.hold.unwrap_or(now + GRACE));
    }

    /// Whether nothing may be changed in the kernel yet, since netifd has not told what the providers' devices are.
    pub(super) fn is_held(&mut self, now: Moment, out: &mut Vec<Action>) -> bool {
        let Some(until) = self.hold else { return false };
        if !self.netifd.told && now < until {
            return true;
        }
        self.hold = None;
        if !self.netifd.told {
            let what = match self.state.interfaces.is_empty() {
                true => "providers on its interfaces wait for it",
                false => "what the run before knew of its interfaces is used",
            };
            out.push(log(
                LogLevel::Warning,
                None,
                format!("netifd has not answered within {}s; {what}", GRACE.as_secs()),
            ));
            self.netifd.interfaces.clone_from(&self.state.interfaces);
            self.follow_interfaces(now, out);
        }
        if let Some(snapshot) = self.snapshot.take() {
            if self.active.is_none() {
                self.adopt(now, &snapshot);
            }
            self.snapshot = Some(snapshot);
        }
        false
    }

    /// When netifd is to be asked again; `None`: no provider needs it. Where there is none yet, somebody will want to know which there
    /// could be; nothing waits for that.
    pub(super) fn interfaces_due(&self) -> Option<Moment> {
        let first = self.providers.is_empty() && !self.stopping;
        let needed = first || self.interface_names().next().is_some();
        let interval = if self.between { BETWEEN_INTERVAL } else { READ_INTERVAL };
        needed.then(|| self.interfaces_asked.map_or(self.started, |asked| asked + interval))
    }

    /// Asks netifd if it is time.
    pub(super) fn ask_netifd(&mut self, now: Moment, out: &mut Vec<Action>) {
        if self.interfaces_due().is_some_and(|at| at <= now) {
            self.interfaces_asked = Some(now);
            self.explain_until.get_or_insert(now + EXPLANATION);
            out.push(Action::ReadInterfaces);
        }
    }

    /// netifd's interfaces; `None`: it has not told them.
    pub fn interfaces(&self) -> Option<&[Interface]> {
        self.netifd.told.then_some(&self.netifd.interfaces)
    }

    /// The interfaces that providers name.
    pub(super) fn interface_names(&self) -> impl Iterator<Item = &str> {
        self.enabled().filter_map(|provider: &Provider| match &provider.settings.source {
            UplinkSource::Interface(name) => Some(name.as_str()),
            UplinkSource::Device(_) => None,
        })
    }
}

/// Whether netifd may have news, by what changed in the kernel: links, addresses, where others' default routes point. Whether its
/// notification came does not matter then. What we change ourselves is no news.
pub(super) fn concerned(before: &Snapshot, after: &Snapshot) -> bool {
    let links = |snapshot: &Snapshot| -> Vec<(IfIndex, String, bool, bool)> {
        let news = |link: &Link| (link.index, link.name.clone(), link.up, link.carrier);
        snapshot.links.iter().map(news).collect()
    };
    let gateways = |snapshot: &Snapshot| -> Vec<(Option<IfIndex>, Option<IpAddr>)> {
        let foreign = snapshot.routes.iter().filter(|route| takeover::is_foreign(route));
        let mut gateways = ordered(foreign.map(|route| (route.device, route.gateway)), |gateway| *gateway);
        gateways.dedup();
        gateways
    };
    links(before) != links(after) || before.addresses != after.addresses || gateways(before) != gateways(after)
}
