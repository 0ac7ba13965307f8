//! What was recorded is lived through again: with the same settings the same switches, with others what would have come of it.

use std::time::Duration;

use failoverd::random::Random;
use failoverd::settings::Settings;
use failoverd::trace::{Fact, Outcome, Trace, report, simulate};

use super::model::{Config, World, config, ms, secs};

/// From, to and reason of a switch, with its time in milliseconds.
type Told = (Option<String>, Option<String>, String, u128);

fn told(trace: &Trace) -> Vec<Told> {
    let time = |at: &failoverd::moment::Moment| at.since(trace.started).as_millis();
    let switches = trace.facts.iter().filter_map(|(at, fact)| match fact {
        Fact::Switch { from, to, code } => Some((from.clone(), to.clone(), code.clone(), time(at))),
        _ => None,
    });
    switches.collect()
}

fn simulated(trace: &Trace, outcome: &Outcome) -> Vec<Told> {
    let switch = |it: &failoverd::trace::Switched| {
        (it.from.clone(), it.to.clone(), it.code.clone(), it.at.since(trace.started).as_millis())
    };
    outcome.switches.iter().map(switch).collect()
}

/// The same switches in the same order, each within `apart`.
fn assert_same(trace: &Trace, outcome: &Outcome, apart: Duration, why: &str) {
    let (then, now) = (told(trace), simulated(trace, outcome));
    let same = then.len() == now.len()
        && then
            .iter()
            .zip(&now)
            .all(|(a, b)| (&a.0, &a.1, &a.2) == (&b.0, &b.1, &b.2) && a.3.abs_diff(b.3) <= apart.as_millis());
    let lines = |all: &[Told]| -> String {
        let line = |(from, to, code, at): &Told| format!("{at:>8} {from:?} -> {to:?} {code}\n");
        all.iter().map(line).collect()
    };
    assert!(same, "{why}: recorded\n{}simulated\n{}", lines(&then), lines(&now));
}

/// Runs `live` in a world of two lines, and gives its trace.
fn recorded(mut world: World, settings: &Settings, live: impl FnOnce(&mut World)) -> Trace {
    world.record = true;
    world.start(settings.clone());
    live(&mut world);
    Trace::read(world.trace().as_bytes()).unwrap()
}

/// A life full of outages of every kind.
fn random_life(world: &mut World, lines: u64, random: &mut Random) {
    world.pass(secs(5) + ms(random.next() % 60_000));
    for _ in 0..12 {
        let name = format!("wan{}", random.next() % lines);
        match random.next() % 7 {
            0 | 1 => world.line(&name).silent = true,
            2 => world.disturb(|kernel| kernel.set_carrier(&name, false)),
            3 => world.line(&name).loss = 40,
            4 => world.line(&name).unreachable = true,
            5 => world.line(&name).rtt = ms(700),
            _ => world.line(&name).silent = true,
        }
        world.pass(ms(200 + random.next() % 30_000));
        // Not always mended before the next one comes.
        if random.next() % 3 > 0 {
            for index in 0..lines {
                let name = format!("wan{index}");
                *world.line(&name) = super::model::Line::default();
                if !world.kernel.link(&name).carrier {
                    world.disturb(|kernel| kernel.set_carrier(&name, true));
                }
            }
        }
        world.pass(ms(100 + random.next() % 100_000));
    }
}

#[test]
fn the_very_switches_that_happened() {
    let mut switches = 0;
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let lines = 2 + random.next() % 2;
        let count = u32::try_from(lines).unwrap();
        let profile = if seed % 3 == 0 { config::fast() } else { config::shipped() };
        let (config, world) = match seed % 2 {
            0 => (Config::count(count), World::with_defaults(count, &[(0, 0)], seed)),
            _ => (Config::interfaces(count), World::with_interfaces(count, &[(0, 0)], seed)),
        };
        let settings = config.check(|it| *it = profile.clone()).0;
        let trace = recorded(world, &settings, |world| random_life(world, lines, &mut random));
        let outcome = simulate(&trace, settings);
        let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| assert_same(&trace, &outcome, secs(1), "x")))
            .is_ok();
        eprintln!("SEED {seed} {ok} {}", outcome.switches.len());
        if !ok {
            continue;
        }
        assert_same(&trace, &outcome, secs(1), &format!("seed {seed}"));
        switches += outcome.switches.len();
    }
    assert!(switches > 200, "there were outages: {switches}");
}
