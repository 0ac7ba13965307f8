//! Start, anything, stop: the kernel is as it was, to the order of routes of equal metric. Also across crashes, and by cleanup.

use failoverd::event::Event;
use failoverd::route_plan::restore;
use proptest::prelude::*;

use super::cases::{Found, Happening, LINES, clean, happenings, wish};
use super::model::{Kernel, World, secs};
use super::{cases, watch};

fn play(
    found: &Found,
    settings: failoverd::settings::Settings,
    happenings: &[Happening],
    seed: u64,
) -> (Kernel, World) {
    let mut world = found.world(seed);
    let initial = world.kernel.clone();
    let ending = watch::watch(&mut world);
    let mut current = settings;
    world.start(current.clone());
    for happening in happenings {
        // One provider or none gives main back to whoever had it before.
        if let Happening::Reload(wish) = happening {
            ending.set(ending.get() || !wish.settings(found).enabled || found.all_or_none(wish).lines.len() < 2);
        }
        ending.set(ending.get() || format!("{happening:?}").contains("learnt: true"));
        // Nor may those carry that have no part in the default traffic.
        ending.set(ending.get() || matches!(happening, Happening::Reload(wish) if wish.traffic.aside != 0));
        // Of providers whose interfaces are down, or never told, none has a gateway.
        let reload = matches!(happening, Happening::Reload(_));
        let down = world.netifd.interfaces.iter().any(|it| !it.up) || world.netifd.interfaces.len() < LINES as usize;
        ending.set(ending.get() || (reload && (down || world.netifd.silent)));
        happening.happen(&mut world, found, &mut current);
    }
    for line in 0..LINES {
        world.kernel.set_carrier(&format!("wan{line}"), true);
    }
    ending.set(true);
    (initial, world)
}

/// `failoverd cleanup`: plans from fresh snapshots until nothing is left to do.
fn clean_up(world: &mut World) {
    for _ in 0..10 {
        let plan = restore(&world.kernel.snapshot(&[]), &world.state);
        (world.state.moved, world.state.sysctls) = (plan.moved, plan.sysctls);
        if plan.changes.is_empty() {
            world.kernel.filter = None;
            return;
        }
        world.kernel.apply_all(&plan.changes);
    }
    panic!("cleanup does not end");
}

proptest! {
    #![proptest_config(cases(800))]

    #[test]
    fn stop_puts_everything_back(
        found in clean(), wish in wish(), happenings in happenings(), crash in any::<bool>(), seed in any::<u64>(),
    ) {
        let (initial, mut world) = play(&found, found.all_or_none(&wish).settings(&found), &happenings, seed);
        if crash {
            world.crash();
            world.start(found.all_or_none(&wish).settings(&found));
            world.pass(secs(1));
        }
        world.feed(Event::Stop);
        world.pass(secs(5));
        prop_assert!(world.stopped);
        prop_assert_eq!(&world.kernel, &initial, "{:#?}\nwas: {:#?}", watch::list(&world.kernel), watch::list(&initial));
        prop_assert!(world.state.moved.is_empty() && world.state.sysctls.is_empty());
    }

    #[test]
    fn cleanup_after_a_crash_puts_everything_back(
        found in clean(), wish in wish(), happenings in happenings(), changes in 0..30usize, seed in any::<u64>(),
    ) {
        let (initial, mut world) = play(&found, found.all_or_none(&wish).settings(&found), &happenings, seed);
        world.crash_after = Some(changes);
        world.feed(Event::Reload(Box::new(found.all_or_none(&wish).settings(&found))));
        world.pass(secs(2));
        world.crash();
        clean_up(&mut world);
        prop_assert_eq!(&world.kernel, &initial, "{:#?}\nwas: {:#?}", watch::list(&world.kernel), watch::list(&initial));
    }

    #[test]
    fn a_crash_while_stopping_is_mended_by_the_next_stop(
        found in clean(), wish in wish(), changes in 0..20usize, with_file in any::<bool>(), seed in any::<u64>(),
    ) {
        let (initial, mut world) = play(&found, found.all_or_none(&wish).settings(&found), &[Happening::Pass(2000)], seed);
        world.crash_after = Some(changes);
        world.feed(Event::Stop);
        world.pass(secs(2));
        if !world.stopped {
            if !with_file {
                world.state = Default::default();
            }
            world.start(found.all_or_none(&wish).settings(&found));
            world.pass(secs(3));
            world.feed(Event::Stop);
            world.pass(secs(2));
        }
        prop_assert!(world.stopped && world.kernel.is_clean());
        if with_file {
            prop_assert_eq!(&world.kernel, &initial, "{:#?}\nwas: {:#?}", watch::list(&world.kernel), watch::list(&initial));
        }
    }
}
