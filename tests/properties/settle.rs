//! From any kernel and for any configuration, a few rounds lead to a fixed point: the right one.

use failoverd::event::Event;
use failoverd::kernel::{RouteKind, TableId};
use failoverd::settings::Settings;
use failoverd::status::ProviderStatus;
use proptest::prelude::*;

use super::cases::{Found, LINES, Traffic, Wish, littered, wish};
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
    let ours: Vec<_> = world.kernel.defaults().filter(|it| it.is_ours()).cloned().collect();
    let name = |index| world.kernel.by_index(index).unwrap().name.clone();
    let (walls, slots): (Vec<_>, Vec<_>) = ours.into_iter().partition(|it| it.kind == RouteKind::Throw);
    let (shared, main): (Vec<_>, Vec<_>) = slots.into_iter().partition(|it| it.device.is_none());
    let foreign = world.kernel.defaults().any(|it| !it.is_ours());
    let with_uplink: Vec<_> =
        status.providers.iter().filter(|it| it.address.is_some() && it.state != "disabled").collect();
    let with_slot: Vec<_> = with_uplink.iter().filter(|it| it.default).collect();
    let wanted = if enabled == 0 || (enabled == 1 && foreign) { 0 } else { with_slot.len() };
    assert_eq!(main.len(), wanted, "{:#?}", watch::list(&world.kernel));
    if wanted > 0 {
        let devices: Vec<_> = main.iter().map(|it| name(it.device.unwrap())).collect();
        let ranked: Vec<_> = with_slot.iter().map(|it| it.device.clone().unwrap()).collect();
        assert_eq!(devices, ranked, "slots in rank order");
        assert!(shared.iter().chain(&main).is_sorted_by(|one, next| one.metric < next.metric));
        if status.overridden_by.is_empty() {
            assert!(world.kernel.defaults().next().unwrap().is_ours(), "{:#?}", watch::list(&world.kernel));
        }
    }
    let active: Vec<_> = status.providers.iter().filter(|it| it.active).map(|it| it.device.clone().unwrap()).collect();
    let mut hops: Vec<_> = shared.iter().flat_map(|it| it.devices().map(name)).collect();
    hops.sort_by_key(|hop| active.iter().position(|it| it == hop));
    assert_eq!(hops, if active.len() > 1 { active } else { vec![] }, "{:#?}", watch::list(&world.kernel));
    let aside = settings.providers.iter().any(|it| !it.default_route);
    assert_eq!(walls.len(), usize::from(enabled > 1 && settings.takeover && aside));

    let rules = |marked: bool| {
        let ours = world.kernel.rules.iter().filter(|it| it.protocol == 102 && it.source.is_none());
        ours.filter(|it| it.mark.is_some() == marked).count()
    };
    let exists = |name: &str| world.kernel.links.iter().any(|link| link.name == name);
    let devices =
        settings.providers.iter().filter(|it| settings.enabled && exists(&it.name.replace('p', "wan"))).count();
    assert_eq!(rules(false), 2 * devices, "{:#?}", world.kernel.rules);
    let carries = |it: &&&ProviderStatus| it.active || ["checking", "online", "degraded"].contains(&it.state.as_str());
    let carrying = if settings.marks() { with_uplink.iter().filter(carries).count() } else { 0 };
    assert_eq!(rules(true), 2 * carrying, "{:#?}", world.kernel.rules);
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
            // And one that has no part in it.
            let aside = wish.traffic.aside != 0;
            ending.set(aside || settings.providers.len() < 2 || !settings.enabled || format!("{wish:?}").contains("learnt: true"));
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
        // Among equals it does.
        let wish = Wish { traffic: Traffic { tier: 0, ..wish.traffic.clone() }, ..wish };
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
