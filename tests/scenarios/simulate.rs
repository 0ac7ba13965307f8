//! What was recorded is lived through again: with the same settings the same switches, with others what would have come of it.

use std::time::Duration;

use failoverd::event::Event;
use failoverd::moment::Moment;
use failoverd::notice::Notice;
use failoverd::random::Random;
use failoverd::settings::{CheckSettings, Failback, Settings};
use failoverd::trace::{Fact, Outcome, Trace, report, simulate};

use super::model::{Config, Line, World, config, ms, secs};

type Change = fn(&mut CheckSettings);

/// When, from, to, and the code of the reason.
type Told<'a> = (Duration, Option<&'a str>, Option<&'a str>, &'a str);

fn happened<'a>(trace: &Trace<'a>) -> Vec<Told<'a>> {
    let switches = trace.facts.iter().filter_map(|(at, fact)| match fact {
        Fact::Switch(from, to, code) => Some((at.since(trace.started), *from, *to, *code)),
        _ => None,
    });
    switches.collect()
}

fn simulated<'a>(trace: &Trace<'_>, outcome: &'a Outcome) -> Vec<Told<'a>> {
    let told = |(at, it): &'a (Moment, Notice)| {
        (at.since(trace.started), it.from.as_deref(), it.to.as_deref(), it.reason_code.unwrap())
    };
    outcome.switches.iter().map(told).collect()
}

/// The same switches in the same order, each within `apart`.
fn assert_same(trace: &Trace<'_>, outcome: &Outcome, apart: Duration, why: &str) {
    let (then, now) = (happened(trace), simulated(trace, outcome));
    let near = |(a, b): (&Told, &Told)| a.0.abs_diff(b.0) <= apart && (a.1, a.2, a.3) == (b.1, b.2, b.3);
    let same = then.len() == now.len() && then.iter().zip(&now).all(near);
    let lines = |all: &[Told]| all.iter().map(|it| format!("{it:?}\n")).collect::<String>();
    assert!(same, "{why}: recorded\n{}simulated\n{}", lines(&then), lines(&now));
}

fn start_recording(world: &mut World, settings: &Settings) {
    world.record = true;
    world.start(settings.clone());
}

/// A world of two lines that keeps a trace, and its settings.
fn recording(config: Config) -> (World, Settings) {
    let mut world = World::with_defaults(2, &[(0, 0)], 1);
    start_recording(&mut world, &config.0);
    world.pass(secs(30));
    (world, config.0)
}

fn with(mut settings: Settings, change: Change) -> Settings {
    settings.providers.iter_mut().for_each(|it| change(&mut it.check));
    settings
}

/// Outages of every kind, one after the other and across each other.
fn hard_times(world: &mut World, lines: u64, random: &mut Random) {
    world.pass(secs(5) + ms(random.next() % 60_000));
    for _ in 0..6 {
        let name = format!("wan{}", random.next() % lines);
        match random.next() % 7 {
            0 | 1 => world.line(&name).silent = true,
            2 => world.disturb(|kernel| kernel.set_carrier(&name, false)),
            3 => world.line(&name).loss = 40,
            4 => world.line(&name).unreachable = true,
            5 => world.line(&name).rtt = ms(700),
            _ => lose_address(world, &name),
        }
        world.pass(ms(200 + random.next() % 30_000));
        if !random.next().is_multiple_of(3) {
            (0..lines).for_each(|index| mend(world, u32::try_from(index).unwrap()));
        }
        if random.next().is_multiple_of(8) {
            let name = if random.next().is_multiple_of(2) { "a" } else { "b" };
            world.feed(Event::Pin(name.to_owned()));
        }
        world.pass(ms(100 + random.next() % 100_000));
        world.feed(Event::Unpin);
    }
}

fn lose_address(world: &mut World, name: &str) {
    let index = name.strip_prefix("wan").unwrap().parse().unwrap();
    world.disturb(|kernel| kernel.remove_address(name, config::address(index)));
}

fn mend(world: &mut World, index: u32) {
    let name = format!("wan{index}");
    *world.line(&name) = Line::default();
    let device = world.kernel.link(&name).index;
    let bare = !world.kernel.addresses.iter().any(|it| it.device == device);
    if bare || !world.kernel.link(&name).carrier {
        world.disturb(|kernel| {
            kernel.set_carrier(&name, true);
            if bare {
                kernel.add_address(&name, config::address(index), 24);
            }
        });
    }
}

#[test]
fn the_very_switches_that_happened() {
    let mut switches = 0;
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let count = 2 + u32::try_from(random.next() % 2).unwrap();
        let profile = if seed % 3 == 0 { config::fast() } else { config::shipped() };
        let (config, mut world) = match seed % 2 {
            0 => (Config::count(count), World::with_defaults(count, &[(0, 0)], seed)),
            _ => (Config::interfaces(count), World::with_interfaces(count, &[(0, 0)], seed)),
        };
        let settings = config.check(|it| *it = profile.clone()).0;
        world.late = ms([0, 3, 9][usize::try_from(seed / 2 % 3).unwrap()]);
        start_recording(&mut world, &settings);
        hard_times(&mut world, u64::from(count), &mut random);
        let text = world.trace();
        let trace = Trace::read(&text).unwrap();
        let outcome = simulate(&trace, settings);
        assert_same(&trace, &outcome, ms(20), &format!("seed {seed}"));
        assert_eq!(outcome.guessed, 0, "seed {seed}: each probe had one to go by");
        switches += outcome.switches.len();
    }
    assert!(switches > 60, "there were outages: {switches}");
}

#[test]
fn a_patient_one_would_not_have_switched() {
    let often = |it: &mut CheckSettings| it.standby_interval = ms(500);
    let (mut world, settings) = recording(Config::count(2).check(often));
    world.line("wan0").silent = true;
    world.pass(ms(1500));
    world.line("wan0").silent = false;
    world.pass(secs(90));
    let text = world.trace();
    let trace = Trace::read(&text).unwrap();
    let outcome = |change: Change| {
        let outcome = simulate(&trace, with(settings.clone(), change));
        simulated(&trace, &outcome)
            .iter()
            .map(|(at, from, to, _)| (at.as_secs(), from.unwrap().to_owned(), to.unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let there = |at: u64| (at, "a".to_owned(), "b".to_owned());
    let back = |at: u64| (at, "b".to_owned(), "a".to_owned());
    for (change, want, why) in [
        ((|_| {}) as Change, vec![there(30), back(92)], "as it happened"),
        (|it| it.down = 3, vec![], "down 3: by the third check it was over"),
        (|it| it.attempts = 40, vec![], "attempts 40: so was it by the last of them"),
        (|it| it.failback_delay = secs(20), vec![there(30), back(52)], "failback_delay 20"),
        (|it| it.failback_delay = secs(120), vec![there(30)], "failback_delay 120: not yet back at the end"),
    ] {
        assert_eq!(outcome(change), want, "{why}");
    }
    let mut manual = settings.clone();
    manual.failback = Failback::Manual;
    assert_eq!(simulate(&trace, manual).switches.len(), 1, "failback manual");
}

#[test]
fn the_report_adds_up() {
    let (mut world, settings) = recording(Config::count(2));
    world.line("wan0").silent = true;
    world.pass(secs(60));
    let text = world.trace();
    let trace = Trace::read(&text).unwrap();
    let told = report("x", &trace, &simulate(&trace, settings.clone()));
    let first = told.lines().nth(1).unwrap();
    assert!(first.contains(" s  a -> b  a: lost 9 of 9 probes to 4 targets, nothing received for 0."), "{told}");
    assert!(told.ends_with("The switches are the very ones that happened.\n"), "{told}");
    let row = |told: &str, name: &str| -> Vec<f64> {
        let row = told.lines().find(|line| line.starts_with(name)).unwrap().strip_prefix(name).unwrap().to_owned();
        row.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    assert_eq!(row(&told, "switches"), [1.0, 1.0]);
    let offline = row(&told, "offline");
    assert!(offline[0] > 0.4 && offline[0] < 1.0 && offline[0] == offline[1], "from the first lost probe on: {told}");

    // Nobody leaves: what was measured of the line after it had been left tells how long that would have been.
    let mut pinned = settings.clone();
    pinned.pin = Some("a".into());
    let told = report("x", &trace, &simulate(&trace, pinned));
    assert_eq!(row(&told, "switches"), [1.0, 0.0]);
    assert!(row(&told, "offline")[1] > 58.0 && !told.contains("the very ones"), "{told}");

    let mut others = settings;
    others.providers[1].name = "z".into();
    let told = report("x", &trace, &simulate(&trace, others));
    assert!(told.contains("warning: provider 'z' is not in the trace, and left out\n"), "{told}");
}

#[test]
fn a_part_can_be_read_alone() {
    let (mut world, settings) = recording(Config::interfaces(2));
    // The interfaces are another world's.
    drop(world);
    world = World::with_interfaces(2, &[(0, 0)], 7);
    start_recording(&mut world, &settings);
    world.pass(secs(100));
    world.disturb(|kernel| kernel.set_carrier("wan1", false));
    world.pass(secs(5));
    world.begin_part();
    world.pass(secs(20));
    world.line("wan0").silent = true;
    world.disturb(|kernel| kernel.set_carrier("wan1", true));
    world.pass(secs(20));
    let text = world.trace();
    let trace = Trace::read(&text).unwrap();
    assert_eq!(trace.span.0.since(trace.started).as_secs(), 105);
    let outcome = simulate(&trace, settings);
    assert_same(&trace, &outcome, secs(1), "the uplinks and who was active are told again");
    let first = outcome.active.iter().find(|(_, name)| name.is_some());
    assert_eq!(first, Some(&(trace.span.0, Some(0))), "no switch is told of that");
}

#[test]
fn one_who_was_active_before_takes_its_place_again() {
    let mut world = World::with_defaults(2, &[(1, 0)], 3);
    world.state.active = Some("a".into());
    let settings = Config::count(2).0;
    start_recording(&mut world, &settings);
    world.pass(secs(10));
    let text = world.trace();
    let trace = Trace::read(&text).unwrap();
    let outcome = simulate(&trace, settings);
    assert_same(&trace, &outcome, ms(20), "from the other one that the kernel prefers");
    assert_eq!(outcome.switches.len(), 1);
    assert!(outcome.switches[0].0 < Moment::from_nanos(3_000_000_000), "without the wait of a failback");
}
