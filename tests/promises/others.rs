//! Promise 3: routes and rules of others are not touched, except by takeover, which undoes itself. What goes before our routes
//! is named in the status.

use lab::{KernelView, LabConfig, Route, RouteWrite, Rule, protocol};
use serde_json::Value;

use crate::world::{BRISK, World};

/// Two providers, and a third line (`wan2`) that failoverd knows nothing of: a VPN, say.
fn world_with_a_vpn() -> World {
    let world = World::new(LabConfig { providers: 3, ..LabConfig::default() });
    let all = world.lab.uci(&BRISK);
    world.configure(&all[..all.find("config provider 'wan2'").unwrap()]);
    world
}

fn lines(view: &KernelView) -> Vec<String> {
    [view.routes.clone(), view.rules.clone()].concat()
}

/// Every line of `before` is still there. Only the rules and routes: the sysctls of provider devices are ours to change.
fn assert_all_kept(world: &World, before: &KernelView, why: &str) {
    let now = lines(&world.view());
    let missing: Vec<String> = lines(before).into_iter().filter(|line| !now.contains(line)).collect();
    assert_eq!(missing, Vec::<String>::new(), "{why}");
}

fn overridden_by(status: &Value) -> String {
    status["overridden_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

#[test]
fn foreign_routes_that_go_before_ours_are_left_and_named() {
    let hop = |world: &World, number: u8| {
        let provider = world.provider(number);
        (provider.addresses().gateway, provider.device().to_owned())
    };
    type Make = fn(&World) -> Route;
    let vpn: Make = |world| world.lab.router().default_route(world.provider(2)).protocol(protocol::STATIC);
    let by_hand: Make = |world| world.lab.router().default_route(world.provider(1)).metric(1);
    let multipath: Make = |world| world.lab.router().default_route(world.provider(0)).protocol(protocol::STATIC);
    for (what, make, hops, named) in [
        ("a VPN at metric 0", vpn, false, "dev wan2 metric 0"),
        ("an override by hand", by_hand, false, "dev wan1 metric 1"),
        ("a multipath route", multipath, true, "metric 0"),
    ] {
        let world = world_with_a_vpn();
        let mut route = make(&world);
        if hops {
            route.more_hops = vec![hop(&world, 1)];
        }
        world.lab.router().write(RouteWrite::Add, &route).unwrap();
        let before = world.view();
        let daemon = world.start();
        world.wait_slots(&[(2, 0), (3, 1)]);
        let status = world.wait_status(what, |status| overridden_by(status).contains(named));
        assert_eq!(status["overridden_by"].as_array().map(Vec::len), Some(1), "{what}: {status:#}");
        assert_all_kept(&world, &before, what);
        world.provider(0).silent(true);
        world.wait_slots(&[(2, 1), (3, 0)]);
        assert_all_kept(&world, &before, what);
        world.provider(0).silent(false);
        world.wait_slots(&[(2, 0), (3, 1)]);
        world.lab.router().write(RouteWrite::Delete, &route).unwrap();
        world.wait_status("nothing to go before ours", |status| overridden_by(status).is_empty());
        world.lab.router().write(RouteWrite::Add, &route).unwrap();
        world.wait_status(what, |status| overridden_by(status).contains(named));
        world.stop(&daemon);
        world.assert_as_before(&before, what);
    }
}

#[test]
fn rules_and_routes_of_others_stay_as_they_are() {
    let world = world_with_a_vpn();
    let router = world.lab.router();
    let rule = |priority, table| Rule { priority, table, mark: Some((0x100, 0x3f00)), ..Rule::default() };
    // Those of mwan3, tailscale and pbr; then some in the middle of ours, and some that look like ours.
    for priority in [1001, 2001, 3999, 5210, 6999, 7000, 7001, 7002, 7003, 7005, 7999, 30_000] {
        router.rule(true, &rule(priority, 100)).unwrap();
    }
    let oif = |priority| Rule { priority, table: 7101, oif: Some("wan0".to_owned()), ..Rule::default() };
    for priority in [7002, 7003, 8500] {
        router.rule(true, &Rule { protocol: protocol::STATIC, ..oif(priority) }).unwrap();
    }
    let vpn = router.default_route(world.provider(2)).protocol(protocol::STATIC);
    for (table, metric) in [(100, 0), (7100, 0), (7101, 50), (7110, 0)] {
        router.write(RouteWrite::Add, &vpn.clone().table(table).metric(metric)).unwrap();
    }
    let one_target = Route { destination: Some((lab::STREAM_SERVER, 32)), ..vpn.clone() };
    router.write(RouteWrite::Add, &one_target.metric(9)).unwrap();
    router.write(RouteWrite::Add, &vpn.metric(5000)).unwrap();
    router.write(RouteWrite::Add, &Route::unreachable().metric(9999)).unwrap();
    let before = world.view();
    let daemon = world.start();
    assert_all_kept(&world, &before, "started");
    world.provider(0).silent(true);
    world.wait_slots(&[(2, 1), (3, 0)]);
    assert_all_kept(&world, &before, "switched");
    world.ask(&["reload"]);
    world.configure(&world.lab.uci(&BRISK));
    world.ask(&["reload"]);
    world.wait_state(2, "online");
    world.provider(1).carrier(false).unwrap();
    world.wait_state(1, "no_carrier");
    world.provider(1).carrier(true).unwrap();
    world.provider(0).silent(false);
    world.wait_slots(&[(2, 0), (3, 1), (4, 2)]);
    world.configure(&world.lab.uci(&BRISK)[..world.lab.uci(&BRISK).find("config provider 'wan2'").unwrap()]);
    world.ask(&["reload"]);
    world.wait_slots(&[(2, 0), (3, 1)]);
    assert_all_kept(&world, &before, "reloaded");
    world.start_again_after_kill(daemon);
    assert_all_kept(&world, &before, "killed and started again");
    world.ask(&["cleanup"]);
    world.assert_as_before(&before, "cleaned up");
}

#[test]
fn without_takeover_what_goes_before_ours_is_named() {
    let world = World::new(LabConfig::default());
    world.configure(&world.lab.uci(&[("takeover", "0")]));
    world.lab.router().dhcp_default(world.provider(1), 0, protocol::DHCP, false).unwrap();
    let before = world.view();
    let daemon = world.start();
    world.wait_status("it to be named", |status| overridden_by(status).contains("dev wan1 metric 0"));
    assert_all_kept(&world, &before, "not moved");
    // Where traffic is, the slots begin.
    world.wait_slots(&[(2, 1), (3, 0)]);
    world.stop(&daemon);
    world.assert_as_before(&before, "stopped");
}
