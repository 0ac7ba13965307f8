//! From any kernel and for any configuration, a few rounds lead to a fixed point: the right one.

use failoverd::event::Event;
use failoverd::kernel::TableId;
use failoverd::settings::Settings;
use proptest::prelude::*;

use super::cases::{Found, LINES, Wish, littered, wish};
use super::model::{World, secs};
use super::{cases, watch};

/// Left alone with a whole netifd, it comes to rest without a storm of requests.
pub fn calms_down(world: &mut World, found: &Found, settings: &Settings) {
    found.whole_netifd(world);
    let before = world.requests.len();
    world.pass(secs(1));
    assert!(world.requests.len() - before <= 40, "{} requests", world.requests.len() - before);
    world.pass(secs(700));
    settled(world, settings);
}

/// Nothing is left to do, and what is there is right.
pub fn settled(world: &mut World, settings: &Settings) {
    let count = world.changes.len();
    world.pass(secs(30));
    let late = &world.changes[count..];
    assert!(late.is_empty(), "not settled: {late:#?}\n{:#?}", watch::list(&world.kernel));

    let enabled = if settings.enabled { settings.providers.len() } else { 0 };
    let status = world.core().status(world.now);
    let main: Vec<_> = world.kernel.defaults().filter(|it| it.is_ours()).cloned().collect();
    let foreign = world.kernel.defaults().any(|it| !it.is_ours());
    let with_uplink: Vec<_> =
        status.providers.iter().filter(|it| it.address.is_some() && it.state != "disabled").collect();
    let wanted = if enabled == 0 || (enabled == 1 && foreign) { 0 } else { with_uplink.len() };
    assert_eq!(main.len(), wanted, "{:#?}", watch::list(&world.kernel));
    if wanted > 0 {
        let devices: Vec<_> =
            main.iter().map(|it| world.kernel.by_index(it.device.unwrap()).unwrap().name.as_str()).collect();
        let ranked: Vec<_> = with_uplink.iter().map(|it| it.device.as_deref().unwrap()).collect();
        assert_eq!(devices, ranked, "slots in rank order");
        assert!(main.windows(2).all(|pair| pair[0].metric < pair[1].metric));
        if status.overridden_by.is_empty() {
            assert!(world.kernel.defaults().next().unwrap().is_ours(), "{:#?}", watch::list(&world.kernel));
        }
    }
    let rules = world.kernel.rules.iter().filter(|it| it.protocol == 102 && it.source.is_none()).count();
    let exists = |name: &str| world.kernel.links.iter().any(|link| link.name == name);
    let devices =
        settings.providers.iter().filter(|it| settings.enabled && exists(&it.name.replace('p', "wan"))).count();
    assert_eq!(rules, 2 * devices, "{:#?}", world.kernel.rules);
    let tables = world.kernel.fib.routes.iter().filter(|it| it.is_ours() && it.table != TableId::MAIN).count();
    assert_eq!(tables, if enabled == 0 { 0 } else { enabled + 2 * with_uplink.len() });
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_kernel_leads_to_a_fixed_point(found in littered(), wish in wish(), next in wish(), seed in any::<u64>()) {
        let mut world = found.world(seed);
        let ending = watch::watch(&mut world);
        for (round, wish) in [wish, next].into_iter().enumerate() {
            let settings = wish.settings(&found);
            // One provider or none gives main back; so does one that has no gateway to learn.
            ending.set(settings.providers.len() < 2 || !settings.enabled || format!("{wish:?}").contains("learnt: true"));
            if round == 0 {
                world.start(settings.clone());
            } else {
                world.feed(Event::Reload(Box::new(settings.clone())));
            }
            let before = world.changes.len();
            world.pass(secs(2));
            let rounds = world.changes.len() - before;
            prop_assert!(rounds <= 10, "{rounds} rounds: {:#?}", &world.changes[before..]);
            world.pass(secs(120));
            settled(&mut world, &settings);
        }
    }

    #[test]
    fn the_order_in_the_file_does_not_matter(
        found in littered(), wish in wish(), order in Just((0..LINES).collect::<Vec<_>>()).prop_shuffle(),
        victim in 0..LINES, seed in any::<u64>(),
    ) {
        let other = Wish { lines: order.into_iter().filter(|it| wish.lines.contains(it)).collect(), ..wish.clone() };
        let play = |wish: &Wish| {
            let mut world = found.world(seed);
            world.start(wish.settings(&found));
            world.pass(secs(100));
            let before = world.kernel.clone();
            world.line(&format!("wan{victim}")).silent = true;
            world.pass(secs(20));
            (before, world.kernel)
        };
        let (one, two) = (play(&wish), play(&other));
        prop_assert_eq!(one, two);
    }
}
