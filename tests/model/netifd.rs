//! netifd as the core sees it: the interfaces it would tell, and whether it answers.

use std::time::Duration;

use failoverd::event::Event;
use failoverd::moment::Moment;
use failoverd::netifd::{DefaultRoute, Interface};
use failoverd::settings::{GatewaySetting, UplinkSource};

use super::config::{address, gateway};
use super::world::Pending;
use super::{Config, World, ms};

#[derive(Clone, Debug)]
pub struct Netifd {
    pub interfaces: Vec<Interface>,
    /// What they were before the last change, where a test keeps it.
    pub before: Vec<Interface>,
    /// Nothing comes, however often it is asked.
    pub silent: bool,
    /// From the question, or the notification, to the answer.
    pub delay: Duration,
    /// When it was asked.
    pub asked: Vec<Moment>,
    /// From its `down` to the end of its `up`.
    pub restart: Duration,
}

impl Default for Netifd {
    fn default() -> Self {
        Self { interfaces: vec![], before: vec![], silent: false, delay: ms(1), asked: vec![], restart: ms(800) }
    }
}

/// `isp<index>`: up by DHCP on `wan<index>`.
pub fn interface(index: u32) -> Interface {
    Interface {
        name: format!("isp{index}"),
        up: true,
        autostart: true,
        proto: "dhcp".into(),
        device: Some(format!("wan{index}")),
        lower_device: Some(format!("wan{index}")),
        addresses: vec![address(index)],
        default_route: Some(DefaultRoute::Via(gateway(index))),
        ..Interface::default()
    }
}

/// The same interface while netifd is setting it up.
pub fn pending(interface: &Interface) -> Interface {
    Interface { pending: true, ..down(interface) }
}

/// The same interface, down.
pub fn down(interface: &Interface) -> Interface {
    let Interface { name, autostart, proto, lower_device, .. } = interface.clone();
    Interface { name, autostart, proto, lower_device, ..Interface::default() }
}

impl Config {
    /// As [`Config::count`], on the interfaces `isp0`, `isp1`..., with nothing else set.
    pub fn interfaces(count: u32) -> Self {
        Self::count(count).with(|it| {
            for (index, provider) in it.providers.iter_mut().enumerate() {
                provider.source = UplinkSource::Interface(format!("isp{index}"));
                provider.gateway = GatewaySetting::Learnt;
            }
        })
    }
}

impl World {
    /// As [`World::with_defaults`], with netifd's `isp<index>` on each `wan<index>`.
    pub fn with_interfaces(count: u32, metrics: &[(u32, u32)], seed: u64) -> Self {
        let mut world = Self::with_defaults(count, metrics, seed);
        world.netifd.interfaces = (0..count).map(interface).collect();
        world
    }

    /// The interface of that name.
    pub fn interface(&mut self, name: &str) -> &mut Interface {
        self.netifd.interfaces.iter_mut().find(|it| it.name == name).unwrap()
    }

    /// Something changes in netifd, and it notifies: the shell reads and tells.
    pub fn netifd_says(&mut self, act: impl FnOnce(&mut Vec<Interface>)) {
        act(&mut self.netifd.interfaces);
        self.read_interfaces_now();
    }

    pub fn read_interfaces_now(&mut self) {
        if !self.netifd.silent {
            self.later(self.netifd.delay, Pending::Interfaces);
        }
    }

    /// netifd's answer arrives.
    pub fn tell_interfaces(&mut self) {
        self.feed(Event::Interfaces(self.netifd.interfaces.clone()));
    }
}
