//! Other programs, cables and drivers at work while the daemon runs: every change of ours is still right, and it settles again.

use failoverd::kernel::{PROTOCOL, TableId};
use proptest::prelude::*;

use super::cases::{Found, LINES, littered, wish};
use super::model::fib::How;
use super::model::{Kernel, ms, secs};
use super::netifd::{Saying, saying};
use super::settle::calms_down;
use super::{cases, watch};

#[derive(Clone, Debug)]
enum Meddling {
    /// (line, metric, protocol, second gateway, how).
    Default(u32, u32, u8, bool, u8),
    /// A foreign default route of the line is deleted.
    Undefault(u32),
    /// Ours are deleted: in main, in tables, rules.
    Flush(u8),
    Up(u32, bool),
    Carrier(u32, bool),
    /// The address goes, and comes back.
    Readdress(u32, bool),
    /// The device goes; and comes back with another index.
    Replug(u32, bool),
    Netifd(Saying),
    Pass(u64),
}

fn meddlings() -> impl Strategy<Value = Vec<Meddling>> {
    let line = || 0..LINES;
    let one = prop_oneof![
        4 => (line(), 0..6u32, prop_oneof![Just(3u8), Just(4), Just(16)], any::<bool>(), 0..4u8)
            .prop_map(|(line, metric, protocol, second, how)| Meddling::Default(line, metric, protocol, second, how)),
        2 => line().prop_map(Meddling::Undefault),
        2 => (0..3u8).prop_map(Meddling::Flush),
        1 => (line(), any::<bool>()).prop_map(|(line, up)| Meddling::Up(line, up)),
        1 => (line(), any::<bool>()).prop_map(|(line, carrier)| Meddling::Carrier(line, carrier)),
        1 => (line(), any::<bool>()).prop_map(|(line, back)| Meddling::Readdress(line, back)),
        1 => (line(), any::<bool>()).prop_map(|(line, back)| Meddling::Replug(line, back)),
        2 => saying().prop_map(Meddling::Netifd),
        // Long enough for a dump: what is written over between a dump and the change made from it cannot be known.
        4 => (20..3000u64).prop_map(Meddling::Pass),
    ];
    prop::collection::vec(one, 1..14)
}

impl Meddling {
    fn act(&self, kernel: &mut Kernel, found: &Found, fresh: u32) {
        let exists = |kernel: &Kernel, name: &str| kernel.links.iter().any(|link| link.name == name);
        match *self {
            Self::Default(line, metric, protocol, second, how) => {
                let name = format!("wan{line}");
                if exists(kernel, &name) {
                    let how = [How::Replace, How::Append, How::Prepend, How::Exclusive][usize::from(how)];
                    let route = kernel.default_route(&name, Some(found.gateway(line, second)), metric, protocol);
                    let _ = kernel.add_route(route, how);
                }
            }
            Self::Undefault(line) => {
                let index = kernel.links.iter().find(|it| it.name == format!("wan{line}")).map(|link| link.index);
                let hit =
                    kernel.fib.routes.iter().position(|it| {
                        it.is_main_default() && !it.is_ours() && it.metric.0 < 1000 && it.device == index
                    });
                hit.map(|at| kernel.fib.routes.remove(at));
            }
            Self::Flush(0) => kernel.fib.routes.retain(|it| !it.is_ours() || it.table != TableId::MAIN),
            Self::Flush(1) => kernel.fib.routes.retain(|it| !it.is_ours() || it.table == TableId::MAIN),
            Self::Flush(_) => kernel.rules.retain(|it| it.protocol != PROTOCOL),
            Self::Up(line, up) => {
                let name = format!("wan{line}");
                if exists(kernel, &name) && kernel.link(&name).up != up {
                    kernel.set_up(&name, up);
                }
            }
            Self::Carrier(line, carrier) => {
                if exists(kernel, &format!("wan{line}")) {
                    kernel.set_carrier(&format!("wan{line}"), carrier);
                }
            }
            Self::Readdress(line, back) => {
                let name = format!("wan{line}");
                if exists(kernel, &name) {
                    kernel.remove_address(&name, found.address(line));
                    if back {
                        kernel.add_address(&name, found.address(line), 24);
                    }
                }
            }
            Self::Replug(line, back) => {
                let name = format!("wan{line}");
                if exists(kernel, &name) {
                    kernel.remove_link(&name);
                }
                if back {
                    kernel.add_link(fresh, &name);
                    kernel.add_address(&name, found.address(line), 24);
                }
            }
            Self::Netifd(_) | Self::Pass(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn meddlers_do_not_unsettle(
        found in littered(), wish in wish(), meddlings in meddlings(), seed in any::<u64>(),
    ) {
        let mut world = found.world(seed);
        let ending = watch::watch(&mut world);
        let settings = wish.settings(&found);
        // One that is alone, disabled or without a gateway gives main back.
        ending.set(true);
        world.start(settings.clone());
        world.pass(secs(2));
        for (fresh, meddling) in (100..).zip(&meddlings) {
            match meddling {
                Meddling::Pass(time) => world.pass(ms(*time)),
                Meddling::Netifd(saying) => saying.say(&mut world, &found, &settings),
                _ => world.disturb(|kernel| meddling.act(kernel, &found, fresh)),
            }
        }
        calms_down(&mut world, &found, &settings);
        for (name, line) in world.lines.clone() {
            prop_assert!(!line.silent, "{name}");
        }
        world.feed(failoverd::event::Event::Stop);
        world.pass(secs(5));
        prop_assert!(world.stopped && world.kernel.is_clean(), "{:#?}", watch::list(&world.kernel));
    }
}
