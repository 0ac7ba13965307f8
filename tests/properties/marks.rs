//! Whatever happens to lines, settings, nftables and the daemon: in the end our table is there if something needs it, leads where the status
//! says, and is gone after a stop.

use failoverd::event::Event;
use failoverd::settings::{Fallback, RuleSettings, Settings};
use proptest::prelude::*;

use super::cases;
use super::model::{Config, World, ms, secs};

#[derive(Clone, Debug)]
enum Happening {
    Silent(u32, bool),
    Carrier(u32, bool),
    Reload(u8),
    Crash,
    /// Somebody removes the table, or puts one of the same name in its place, and nftables tells.
    Remove(Option<u64>),
    /// The same, and nobody tells.
    Vanish,
    Refuse(bool),
    Pass(u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        3 => (0..3u32, any::<bool>()).prop_map(|(line, silent)| Happening::Silent(line, silent)),
        2 => (0..3u32, any::<bool>()).prop_map(|(line, carrier)| Happening::Carrier(line, carrier)),
        3 => any::<u8>().prop_map(Happening::Reload),
        1 => Just(Happening::Crash),
        1 => prop::option::of(900..1000u64).prop_map(Happening::Remove),
        1 => Just(Happening::Vanish),
        1 => any::<bool>().prop_map(Happening::Refuse),
        4 => prop_oneof![0..50u64, 500..4000u64, 20_000..70_000u64].prop_map(Happening::Pass),
    ];
    prop::collection::vec(one, 1..16)
}

/// A configuration of a byte.
fn settings(what: u8) -> Settings {
    let rule = |number: u8, providers: &[&str], fallback| RuleSettings {
        name: format!("#{number}"),
        enabled: what >> number & 1 == 1,
        source: vec![],
        destination: vec![],
        protocols: vec![number],
        source_ports: vec![],
        destination_ports: vec![],
        devices: vec![],
        dscp: vec![],
        providers: providers.iter().map(|it| (*it).to_owned()).collect(),
        fallback,
        local: what & 8 != 0,
    };
    Config::count(if what & 64 == 0 { 3 } else { 2 })
        .with(|it| {
            it.inbound = what & 16 != 0;
            it.enabled = what & 32 == 0 || what & 4 == 0;
            it.mark_mask = if what & 128 == 0 { 0x3f00_0000 } else { 0x3f };
            it.rules = vec![
                rule(0, &["a", "b"], Fallback::Default),
                rule(1, &["b"], Fallback::Unreachable),
                rule(2, &["b", "a"], Fallback::Unreachable),
            ];
        })
        .0
}

/// What the table does with the packets of each rule.
fn led(world: &World) -> Vec<String> {
    let chain = |name: &str| world.chains.get(name).cloned().unwrap_or_default();
    let rules = chain("choose");
    let uses = rules.iter().map(|rule| rule.rsplit(' ').next().unwrap());
    uses.map(|name| chain(name).concat()).collect()
}

/// What the status says of it.
fn said(world: &World) -> Vec<String> {
    let rules = world.core().status(world.now).rules;
    let follow = |id: u8| format!("goto follow_{id}");
    let led = rules.iter().map(|rule| match (rule.provider.as_deref(), rule.fallback.as_str()) {
        (Some(name), _) => follow(name.as_bytes()[0] - b'a' + 1),
        (None, "unreachable") => follow(63),
        (None, _) => String::new(),
    });
    led.collect()
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn the_table_is_what_is_wanted_in_the_end(what in any::<u8>(), happenings in happenings(), seed in any::<u64>()) {
        let mut world = World::with_defaults(3, &[(0, 0)], seed);
        let mut current = settings(what);
        world.start(current.clone());
        for happening in &happenings {
            match *happening {
                Happening::Silent(line, silent) => world.line(&format!("wan{line}")).silent = silent,
                Happening::Carrier(line, carrier) => world.disturb(|it| it.set_carrier(&format!("wan{line}"), carrier)),
                Happening::Reload(what) => {
                    current = settings(what);
                    world.feed(Event::Reload(Box::new(current.clone())));
                }
                Happening::Crash => {
                    world.crash();
                    world.start(current.clone());
                }
                Happening::Remove(other) => world.disturb(|it| it.filter = other),
                Happening::Vanish => world.kernel.filter = None,
                Happening::Refuse(refuse) => world.faults.nft = refuse.then_some("nft: no"),
                Happening::Pass(time) => world.pass(ms(time)),
            }
            prop_assert!(!world.core().marks_loaded() || current.marks());
        }
        world.faults.nft = None;
        world.pass(secs(700));
        let marks = current.marks();
        prop_assert_eq!(world.kernel.filter.is_some(), marks);
        prop_assert_eq!(world.core().marks_loaded(), marks);
        prop_assert_eq!(world.core().status(world.now).marks, marks.then(|| "on".to_owned()));
        if marks {
            prop_assert_eq!(led(&world), said(&world));
        }
        let count = world.filters.len();
        world.pass(secs(60));
        prop_assert_eq!(world.filters.len(), count, "and at rest");
        world.feed(Event::Stop);
        world.pass(secs(4));
        prop_assert_eq!((world.stopped, world.kernel.filter), (true, None));
    }
}
