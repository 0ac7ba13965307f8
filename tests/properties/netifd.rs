//! What netifd may say, at any time: changes, repetitions, what was true before, and nothing.

use failoverd::event::Event;
use failoverd::netifd::{DefaultRoute, Interface};
use failoverd::settings::{Settings, UplinkSource};
use proptest::prelude::*;

use super::cases::{Found, LINES, clean, wish};
use super::model::netifd::{down, interface, pending};
use super::model::{World, ms, secs};
use super::settle::calms_down;
use super::{cases, watch};

#[derive(Clone, Debug)]
pub enum Saying {
    /// The interface is gone, pending, down, or down by hand.
    Down(u32, u8),
    /// It is as it was in the beginning.
    Up(u32),
    /// It has the other gateway, none, or does not tell.
    Gateway(u32, u8),
    /// It tells an address that the kernel does not have.
    Address(u32),
    /// The same list, so many times.
    Again(u8),
    /// The list from before the last change, and the true one later.
    Stale,
    /// It changes its mind, and the notification is lost.
    Unheard(u32),
    Silent(bool),
}

pub fn saying() -> impl Strategy<Value = Saying> {
    let line = || 0..LINES;
    prop_oneof![
        3 => (line(), 0..4u8).prop_map(|(line, how)| Saying::Down(line, how)),
        3 => line().prop_map(Saying::Up),
        2 => (line(), 0..3u8).prop_map(|(line, which)| Saying::Gateway(line, which)),
        1 => line().prop_map(Saying::Address),
        1 => (1..5u8).prop_map(Saying::Again),
        1 => Just(Saying::Stale),
        1 => line().prop_map(Saying::Unheard),
        1 => any::<bool>().prop_map(Saying::Silent),
    ]
}

impl Found {
    /// `isp<line>`, with what the kernel has.
    pub fn interface(&self, line: u32) -> Interface {
        Interface {
            addresses: vec![self.address(line)],
            default_route: Some(DefaultRoute::Via(self.gateway(line, false))),
            ..interface(line)
        }
    }

    /// netifd answers again, and has what the kernel has.
    pub fn whole_netifd(&self, world: &mut World) {
        world.netifd.silent = false;
        world.netifd.interfaces = (0..LINES).map(|line| self.interface(line)).collect();
        world.netifd.before.clone_from(&world.netifd.interfaces);
    }
}

/// Whether a provider on an interface has device and gateway by this list.
fn any_up(interfaces: &[Interface], settings: &Settings) -> bool {
    settings.providers.iter().any(|provider| match &provider.source {
        UplinkSource::Device(_) => false,
        UplinkSource::Interface(name) => {
            interfaces.iter().any(|it| it.name == *name && it.up && it.default_route.is_some())
        }
    })
}

impl Saying {
    /// Says it, unless no provider were left: then main may lose its default route, and nothing would be watched.
    pub fn say(&self, world: &mut World, found: &Found, settings: &Settings) {
        let before = world.netifd.interfaces.clone();
        let mut after = before.clone();
        match *self {
            // As for `all_or_none`: takeover does not move the routes of a device that it never heard of.
            Self::Down(..) | Self::Silent(true) if found.shares_metrics() => {}
            Self::Down(line, how) => {
                let whole = found.interface(line);
                after.retain(|it| it.name != whole.name);
                after.extend(match how {
                    0 => None,
                    1 => Some(pending(&whole)),
                    2 => Some(down(&whole)),
                    _ => Some(Interface { autostart: false, ..down(&whole) }),
                });
            }
            Self::Up(line) => put(&mut after, found.interface(line)),
            Self::Gateway(line, which) => {
                let default_route = match which {
                    0 => Some(DefaultRoute::Via(found.gateway(line, true))),
                    1 => Some(DefaultRoute::Direct),
                    _ => None,
                };
                put(&mut after, Interface { default_route, ..found.interface(line) });
            }
            Self::Address(line) => {
                put(&mut after, Interface { addresses: vec![found.gateway(line, true)], ..found.interface(line) });
            }
            Self::Again(times) => (0..times).for_each(|_| world.read_interfaces_now()),
            Self::Stale if any_up(&world.netifd.before, settings) => {
                world.feed(Event::Interfaces(world.netifd.before.clone()));
                world.pass(ms(20));
                world.tell_interfaces();
            }
            Self::Stale => {}
            Self::Unheard(line) => {
                put(&mut after, found.interface(line));
                world.netifd.interfaces = after;
                return;
            }
            Self::Silent(silent) => world.netifd.silent = silent,
        }
        if after != before && any_up(&after, settings) {
            world.netifd.before = before;
            world.netifd_says(|it| *it = after);
        }
    }
}

fn put(interfaces: &mut Vec<Interface>, interface: Interface) {
    match interfaces.iter_mut().find(|it| it.name == interface.name) {
        Some(there) => *there = interface,
        None => interfaces.push(interface),
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn whatever_netifd_says_it_settles(
        found in clean(), wish in wish(), sayings in prop::collection::vec((saying(), 0..3000u64), 1..12), seed in any::<u64>(),
    ) {
        let mut world = found.world(seed);
        let wish = super::cases::Wish { netifd: 0xff, ..found.all_or_none(&wish) };
        let settings = wish.settings(&found);
        let initial = world.kernel.clone();
        let ending = watch::watch(&mut world);
        // Without the first answer nobody has a gateway; one provider alone gives main back.
        ending.set(wish.lines.len() < 2 || !wish.enabled);
        world.start(settings.clone());
        world.pass(ms(100));
        for (saying, pause) in &sayings {
            saying.say(&mut world, &found, &settings);
            world.pass(ms(*pause));
        }
        calms_down(&mut world, &found, &settings);
        for provider in world.core().status(world.now).providers {
            prop_assert!(!wish.enabled || wish.onlink || provider.state == "online", "{provider:?}");
        }
        ending.set(true);
        world.feed(Event::Stop);
        world.pass(secs(5));
        prop_assert!(world.stopped);
        prop_assert_eq!(&world.kernel, &initial, "{:#?}\nwas: {:#?}", watch::list(&world.kernel), watch::list(&initial));
    }
}
