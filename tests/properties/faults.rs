//! A kernel that refuses, pretends or does not answer: no busy loop meanwhile, and the fixed point once it behaves.

use failoverd::event::Event;
use proptest::prelude::*;

use super::cases::{Happening, clean, happenings, wish};
use super::model::world::Faults;
use super::model::{secs, world::World};
use super::settle::settled;
use super::{cases, watch};

/// The most requests in any second.
fn busiest(world: &World) -> usize {
    let times = &world.requests;
    times.iter().map(|at| times.iter().filter(|it| *it >= at && it.since(*at) < secs(1)).count()).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_stubborn_kernel_is_not_pestered(
        found in clean(), wish in wish(), happenings in happenings(), refuse in 0..60u64, ineffective in 0..40u64,
        lose in prop_oneof![Just(0u64), Just(20u64)], seed in any::<u64>(),
    ) {
        let mut world = found.world(seed);
        let initial = world.kernel.clone();
        let ending = watch::watch(&mut world);
        ending.set(true);
        world.faults = Faults { refuse, ineffective, lose, ..Faults::default() };
        let mut current = found.all_or_none(&wish).settings(&found);
        world.start(current.clone());
        for happening in &happenings {
            happening.happen(&mut world, &found, &mut current);
        }
        world.pass(secs(30));
        let busiest = busiest(&world);
        prop_assert!(busiest <= 100, "{busiest} requests in a second");
        world.faults = Faults::default();
        found.whole_netifd(&mut world);
        world.pass(secs(200));
        Happening::Reload(wish.clone()).happen(&mut world, &found, &mut current);
        for line in 0..super::cases::LINES {
            Happening::Carrier(line, true).happen(&mut world, &found, &mut current);
            Happening::Silent(line, false).happen(&mut world, &found, &mut current);
        }
        world.pass(secs(800));
        settled(&mut world, &current);
        world.feed(Event::Stop);
        world.pass(secs(5));
        prop_assert!(world.stopped);
        let defaults = |kernel: &super::model::Kernel| {
            let mut all: Vec<String> = kernel.defaults().map(|route| format!("{route:?}")).collect();
            all.sort_unstable();
            all
        };
        prop_assert_eq!(defaults(&world.kernel), defaults(&initial), "with refusals the order of equal metrics may change");
        prop_assert_eq!(&world.kernel.links, &initial.links);
    }
}
