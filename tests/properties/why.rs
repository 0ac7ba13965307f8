//! Whatever has happened: the explanation is there, names everybody once, agrees with the status, and speaks in whole sentences; and what
//! it foretells comes true.

use failoverd::event::Event;
use failoverd::settings::{Failback, LastResort, Limits};
use failoverd::why::Explained;
use proptest::prelude::*;

use super::cases;
use super::cases::{happenings, littered, wish};
use super::model::{Config, World, ms, secs};

/// Holds the explanation of this moment to the status.
fn agrees(world: &World) {
    let status = world.core().status(world.now);
    let why = world.core().why(world.now);
    let explained: Vec<_> = why.providers.iter().map(|it| &it.name).collect();
    let known: Vec<_> = status.providers.iter().map(|it| &it.name).collect();
    assert_eq!(explained, known, "everybody once, in the order of the status");
    assert_eq!(why.active, status.active.clone().zip(status.active_since));
    let active: Vec<_> = why.providers.iter().filter(|it| it.role == "active").map(|it| it.name.clone()).collect();
    let used: Vec<_> = status.providers.iter().filter(|it| it.active).map(|it| it.name.clone()).collect();
    assert_eq!(active, used);
    assert!(status.active.is_none_or(|it| active.contains(&it)));
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

/// What is between `before` and `after` in what is said of a provider.
fn between(said: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = said.split_once(before)?;
    Some(rest.split_once(after)?.0.to_owned())
}

/// `1m 20s` in seconds.
fn seconds(text: &str) -> u64 {
    let part = |part: &str| {
        let (number, unit) = part.split_at(part.len() - 1);
        number.parse::<u64>().unwrap() * [1, 60, 3600, 86400]["smhd".find(unit).unwrap()]
    };
    text.split(' ').map(part).sum()
}

/// Whether traffic goes through it, alone or with others.
fn is_used(world: &World, name: &str) -> bool {
    world.core().status(world.now).providers.iter().any(|it| it.active && it.name == name)
}

/// Waits until it is used, `limit` seconds at most; how many passed.
fn wait_used(world: &mut World, name: &str, limit: u64) -> u64 {
    (0..limit)
        .find(|_| {
            is_used(world, name) || {
                world.pass(secs(1));
                false
            }
        })
        .unwrap_or(limit)
}

/// Pulls the plugs of these providers.
fn unplug(world: &mut World, names: &str) {
    for name in names.split(", ") {
        let line = u32::from(name.chars().next().unwrap()) - u32::from('a');
        world.disturb(|kernel| kernel.set_carrier(&format!("wan{line}"), false));
    }
    world.pass(secs(1));
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn what_is_foretold_comes_true(
        priorities in prop::collection::vec(1..4u32, 4), alone in prop::collection::vec(prop::bool::weighted(0.3), 4), manual in any::<bool>(), first in any::<bool>(),
        happenings in prop::collection::vec((0..4u32, 0..7u8, 0..60_u64), 0..12),
        choice in any::<prop::sample::Index>(), seed in any::<u64>(),
    ) {
        let config = || Config::count(4).with(|it| {
            it.providers.iter_mut().zip(&priorities).for_each(|(it, priority)| it.priority = *priority);
            it.providers.iter_mut().zip(&alone).for_each(|(it, alone)| it.balance = !*alone);
            it.failback = if manual { Failback::Manual } else { Failback::Auto };
            it.last_resort = if first { LastResort::First } else { LastResort::Keep };
        }).check(|it| {
            // Latency, as what it makes of a line is no matter of chance.
            it.latency = Some(Limits { max: ms(300), recover: ms(225) });
            it.standby_interval = secs(1);
        });
        let mut world = World::with_defaults(4, &[(0, 0)], seed);
        world.start(config().0);
        world.pass(secs(10));
        for (line, what, pause) in happenings {
            let name = format!("wan{line}");
            match what {
                0 | 1 => world.disturb(|kernel| kernel.set_carrier(&name, what == 0)),
                2 | 3 => world.line(&name).silent = what == 2,
                4 | 5 => world.line(&name).rtt = ms(if what == 4 { 600 } else { 20 }),
                _ => world.feed(Event::Reload(Box::new(config().with(|it| it.tests[0].targets.truncate(4 - line as usize)).0))),
            }
            world.pass(secs(pause));
        }
        // What is about to be found out could come between.
        world.pass(secs(50));
        agrees(&world);
        let status = world.core().status(world.now);
        prop_assume!(status.providers.iter().all(|it| it.state != "checking"));
        let why = world.core().why(world.now);
        let it = &why.providers[choice.index(why.providers.len())];
        let paragraph = |it: &Explained| it.sentences.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (said, all) = (paragraph(it), why.providers.iter().map(paragraph).collect::<Vec<_>>().join("\n"));
        let now = said.contains("It takes over now.").then(|| "0s".to_owned());
        let joins = between(&said, "It shares the traffic in ", " if it stays reliable.");
        if let Some(time) = now.or(joins).or_else(|| between(&said, "It takes over in ", " if it stays reliable.")) {
            let foretold = seconds(&time);
            let waited = wait_used(&mut world, &it.name, foretold + 3);
            prop_assert!((foretold..foretold + 3).contains(&waited), "after {}\n{}", waited, all);
        } else if let Some(next) = between(&said, "If it fails, ", " takes over.") {
            unplug(&mut world, &it.name);
            prop_assert_eq!(world.active(), next, "{}", all);
        } else if let Some(names) = between(&said, "If it fails, its share goes to ", ".") {
            // Nobody is about to come in between.
            prop_assume!(status.providers.iter().all(|it| it.failback_in.is_none_or(|time| time > 2)));
            unplug(&mut world, &it.name);
            let status = world.core().status(world.now);
            let mut used: Vec<_> = status.providers.iter().filter(|it| it.active).map(|it| &*it.name).collect();
            used.sort_unstable();
            let mut names: Vec<_> = names.split(", ").flat_map(|it| it.split(" and ")).collect();
            names.sort_unstable();
            prop_assert_eq!(used, names, "{}", all);
        } else if it.role != "standby" {
            // What the others need is held to their sentences in the scenarios.
            prop_assert!(it.role == "active" || it.role == "unusable", "{}", all);
        } else if said.contains(" when it has been good for ") {
            let line = u32::from(it.name.chars().next().unwrap()) - u32::from('a');
            world.line(&format!("wan{line}")).rtt = ms(20);
            prop_assert!(wait_used(&mut world, &it.name, 720) < 720, "{}", all);
        } else if let Some(one) = between(&said, "It takes over only if ", " fails.") {
            let waits = why.active.as_ref().is_some_and(|(active, _)| *active != one);
            unplug(&mut world, &one);
            if waits {
                wait_used(&mut world, &it.name, 700);
            }
            prop_assert!(is_used(&world, &it.name), "{}", all);
        } else if let Some(names) = between(&said, "It takes over only if all of these fail: ", ".") {
            let (last, others) = names.rsplit_once(", ").unwrap();
            // Those that would take over before it, while the active one works.
            let waits = why.active.as_ref().is_some_and(|(active, _)| !names.split(", ").any(|it| it == active));
            unplug(&mut world, others);
            // Its own time could come a moment before theirs.
            prop_assert!(waits || !is_used(&world, &it.name), "{}", all);
            unplug(&mut world, last);
            if waits {
                wait_used(&mut world, &it.name, 700);
            }
            prop_assert!(is_used(&world, &it.name), "{}", all);
        } else if let Some(active) = between(&said, "), or if ", " fails.") {
            unplug(&mut world, &active);
            prop_assert!(is_used(&world, &it.name), "{}", all);
        } else {
            prop_assert!(false, "{}", all);
        }
    }
}
