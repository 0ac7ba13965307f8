//! Whatever has happened: the explanation is there, names everybody once, agrees with the status, and speaks in whole sentences.

use failoverd::event::Event;
use proptest::prelude::*;

use super::cases;
use super::cases::{happenings, littered, wish};
use super::model::{World, ms};

/// Holds the explanation of this moment to the status.
fn agrees(world: &World) {
    let status = world.core().status(world.now);
    let why = world.core().why(world.now);
    let explained: Vec<_> = why.providers.iter().map(|it| &it.name).collect();
    let known: Vec<_> = status.providers.iter().map(|it| &it.name).collect();
    assert_eq!(explained, known, "everybody once, in the order of the status");
    assert_eq!(why.active, status.active.clone().zip(status.active_since));
    let active: Vec<_> = why.providers.iter().filter(|it| it.role == "active").map(|it| it.name.clone()).collect();
    assert_eq!(active, status.active.into_iter().collect::<Vec<_>>());
    for (explained, known) in why.providers.iter().zip(&status.providers) {
        assert_eq!((explained.state, explained.since, explained.flaps), (&*known.state, known.since, known.flaps));
        assert!(explained.role != "standby" || known.reliable, "{explained:?}");
        assert!(explained.role != "unusable" || !known.reliable, "{explained:?}");
        assert!(explained.sentences[0].to_string().starts_with(&known.name), "{explained:?}");
    }
    let sentences = why.providers.iter().flat_map(|it| &it.sentences).chain([&why.sentence]);
    for sentence in sentences.map(ToString::to_string) {
        let whole = sentence.ends_with('.') && !sentence.ends_with("..") && !sentence.contains(['{', '}']);
        assert!(whole && !sentence.contains("  "), "{sentence}");
    }
    for told in [why.to_json(true), why.to_json(false)] {
        assert!(!told.to_string().contains("null"), "absent rather than null: {told}");
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_moment_can_be_explained(
        found in littered(), wish in wish(), pin in prop::option::of(0..4u32), manual in any::<bool>(),
        equal in any::<bool>(), happenings in happenings(), seed in any::<u64>(),
    ) {
        let mut world = found.world(seed);
        let mut current = wish.settings(&found);
        if manual {
            current.failback = failoverd::settings::Failback::Manual;
        }
        if equal {
            current.providers.iter_mut().for_each(|it| it.priority = 1);
        }
        let pin = pin.map(|line| format!("p{line}"));
        current.pin = pin.filter(|pin| current.providers.iter().any(|it| it.name == *pin));
        world.start(current.clone());
        agrees(&world);
        for happening in happenings {
            happening.happen(&mut world, &found, &mut current);
            agrees(&world);
            world.pass(ms(300));
            agrees(&world);
        }
        world.feed(Event::Stop);
        if world.core.is_some() {
            agrees(&world);
        }
    }
}
