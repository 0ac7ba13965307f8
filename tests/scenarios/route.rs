//! Which way a packet takes: what is asked of the kernel, and what is said when it agrees, and when it does not.

use std::net::{IpAddr, Ipv4Addr};

use failoverd::event::Event;
use failoverd::kernel::{
    Hop, IfIndex, LookupAnswer, Metric, NextHops, NoRoute, NoRouteCause, PROTOCOL, PacketQuestion, Snapshot,
};

use failoverd::ubus_call::Packet;
use serde_json::{Value, json};

use super::healthy;
use super::model::config::{address, gateway};
use super::model::{Config, World, ip, secs};

const LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 20);
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);

/// Three lines and a LAN, with these rules.
fn world(rules: &str) -> World {
    let names: String = ["a", "b", "c"].map(|name| format!("config provider {name}\noption device {name}\n")).concat();
    let rules = failoverd::settings::parse("failover", (names + rules).as_bytes()).unwrap().settings.rules;
    let config = Config::count(3).with(|settings| settings.rules = rules);
    let mut world = healthy(3, config, 1);
    world.disturb(|kernel| {
        kernel.add_link(50, "br-lan");
        kernel.add_address("br-lan", ip(192, 168, 7, 1), 24);
        kernel.filter = kernel.filter.or(Some(1));
    });
    world.pass(secs(1));
    world
}

/// The kernel's state is read as changed like this, and the moment after that is looked at.
fn shown(world: &mut World, change: impl FnOnce(&mut Snapshot)) {
    let core = world.core.as_mut().unwrap();
    let mut snapshot = core.snapshot().unwrap().clone();
    change(&mut snapshot);
    let _ = core.handle(world.now, Event::Kernel { snapshot, after: u64::MAX, applied: vec![] });
}

fn tcp(source: Ipv4Addr, destination: Ipv4Addr, port: u16) -> Packet {
    Packet { source, destination, protocol: Some(6), port: Some(port) }
}

fn v4(address: IpAddr) -> Ipv4Addr {
    address.to_string().parse().unwrap()
}

fn by(world: &World, line: u32) -> Result<LookupAnswer, NoRoute> {
    let device = world.kernel.links.iter().find(|link| link.name == format!("wan{line}")).unwrap().index;
    Ok(LookupAnswer { device: Some(device), gateway: Some(gateway(line)) })
}

fn refused(cause: NoRouteCause) -> Result<LookupAnswer, NoRoute> {
    Err(NoRoute { cause, text: "No route to host (113)".into() })
}

fn ask(world: &World, packet: &Packet, answer: Result<LookupAnswer, NoRoute>) -> (PacketQuestion, Value) {
    let core = world.core.as_ref().unwrap();
    let way = core.route(packet);
    (way.question, core.routed(way, answer))
}

fn sentences(told: &Value) -> Vec<&str> {
    told["sentences"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}

const WEB: &str = "config rule web\noption src 192.168.7.0/24\noption dest_port 443\nlist use b\nlist use c\n";

#[test]
fn without_rules_all_goes_through_the_active_one() {
    let world = world("");
    let (question, told) = ask(&world, &tcp(LAN, FAR, 443), by(&world, 0));
    assert_eq!(
        question,
        PacketQuestion {
            destination: FAR.into(),
            source: Some(LAN.into()),
            incoming: Some(IfIndex(50)),
            mark: 0,
            protocol: Some(6),
            port: Some(443)
        }
    );
    let hop = json!({ "device": "wan0", "gateway": "10.0.0.1" });
    let says =
        ["It goes through a, as all traffic that no rule directs.", "The kernel says so too: by wan0 via 10.0.0.1."];
    assert_eq!(told, json!({ "provider": "a", "sentences": says, "expected": hop, "kernel": hop, "agrees": true }));

    let (question, told) = ask(&world, &tcp(v4(address(1)), FAR, 443), by(&world, 1));
    assert_eq!((question.source, question.incoming), (Some(address(1)), None), "the router's own");
    assert_eq!((&told["agrees"], &told["provider"]), (&json!(false), &json!("a")));
    assert_eq!(
        sentences(&told)[1],
        "The kernel says otherwise: by wan1 via 10.1.0.1. Another program's ip rule or route may go before."
    );
}

#[test]
fn a_rule_sends_it_through_the_first_that_is_fit() {
    let mut world = world(WEB);
    let packet = tcp(LAN, FAR, 443);
    let (question, told) = ask(&world, &packet, by(&world, 1));
    let core = world.core.as_ref().unwrap();
    let id = |name: &str| u32::from(core.uplinks().find(|(it, ..)| *it == name).unwrap().1.0);
    assert_eq!(question.mark, id("b") << 24);
    assert_eq!((&told["rule"], &told["provider"], &told["agrees"]), (&json!("web"), &json!("b"), &json!(true)));
    assert_eq!(sentences(&told)[0], "Rule web sends it through b.");
    let (_, told) = ask(&world, &tcp(LAN, FAR, 80), by(&world, 0));
    assert_eq!((told.get("rule"), &told["provider"]), (None, &json!("a")));
    assert_eq!(sentences(&told)[0], "No rule means it.");
    let (_, told) = ask(&world, &tcp(v4(address(0)), FAR, 443), by(&world, 0));
    assert_eq!(told.get("rule"), None, "the router's own connections are not meant");

    world.line("wan1").silent = true;
    world.pass(secs(30));
    let (question, told) = ask(&world, &packet, by(&world, 2));
    assert_eq!((question.mark & 0x3f00_0000 != 0, &told["provider"]), (true, &json!("c")), "the next one of the list");
    world.line("wan2").silent = true;
    world.pass(secs(30));
    let (question, told) = ask(&world, &packet, by(&world, 0));
    assert_eq!((question.mark, &told["rule"], &told["provider"]), (0, &json!("web"), &json!("a")));
    assert_eq!(sentences(&told)[0], "Rule web means it and has no reliable provider: it goes as without rules.");
}

#[test]
fn a_rule_without_a_way_out_refuses_it() {
    let mut world = world(&format!("{WEB}option fallback unreachable\n"));
    for line in ["wan1", "wan2"] {
        world.line(line).silent = true;
    }
    world.pass(secs(30));
    let packet = tcp(LAN, FAR, 443);
    let (question, told) = ask(&world, &packet, refused(NoRouteCause::Unreachable));
    assert_eq!((question.mark, &told["agrees"]), (0x3f00_0000, &json!(true)), "nobody's mark");
    assert_eq!(told["kernel"], json!({ "refused": "No route to host (113)" }));
    assert_eq!((told.get("expected"), told.get("provider")), (None, None));
    let says = [
        "Rule web means it and has no reliable provider: it goes nowhere.",
        "The kernel says so too: No route to host (113).",
    ];
    assert_eq!(sentences(&told), says);
    let (_, told) = ask(&world, &packet, by(&world, 0));
    assert_eq!(told["agrees"], false, "it must not go anywhere");
}

#[test]
fn without_our_table_no_rule_is_followed() {
    let mut world = world(WEB);
    shown(&mut world, |snapshot| snapshot.filter = None);
    let (question, told) = ask(&world, &tcp(LAN, FAR, 443), by(&world, 0));
    assert_eq!((question.mark, &told["rule"], &told["agrees"]), (0, &json!("web"), &json!(true)));
    assert_eq!(sentences(&told)[0], "Rule web means it, but connections are not marked now: no rule is followed.");
}

#[test]
fn what_is_more_specific_is_the_kernels_business() {
    let mut world = world(WEB);
    let (_, told) = ask(&world, &tcp(LAN, Ipv4Addr::new(10, 2, 0, 77), 443), by(&world, 2));
    assert_eq!(
        sentences(&told),
        [
            "Rule web means it.",
            "A route goes before all rules and default routes: 10.2.0.0/24 dev wan2 metric 0.",
            "The kernel sends it by wan2 via 10.2.0.1."
        ]
    );
    assert_eq!((&told["agrees"], told.get("expected")), (&json!(true), None));
    let (_, told) = ask(
        &world,
        &tcp(LAN, Ipv4Addr::new(192, 168, 7, 1), 443),
        Ok(LookupAnswer { device: Some(IfIndex(50)), gateway: None }),
    );
    assert_eq!(sentences(&told)[0], "Rule web means it.", "and gets no word in it");
    assert_eq!(sentences(&told)[1..], ["192.168.7.1 is the router's own address.", "The kernel sends it by br-lan."]);

    // A line that is down leads nowhere, whatever its networks are.
    world.disturb(|kernel| kernel.set_carrier("wan2", false));
    world.pass(secs(1));
    let (_, told) = ask(&world, &tcp(LAN, Ipv4Addr::new(10, 2, 0, 77), 443), by(&world, 1));
    assert_eq!(sentences(&told).len(), 2, "{told}");
}

#[test]
fn where_it_comes_from() {
    let mut world = world(&format!("{WEB}option device br-lan\n"));
    world.disturb(|kernel| {
        let route = failoverd::kernel::Route {
            destination: failoverd::kernel::Network::new(ip(172, 16, 0, 0), 12),
            gateway: Some(ip(192, 168, 7, 9)),
            ..kernel.fib.routes.iter().find(|route| route.device == Some(IfIndex(50))).unwrap().clone()
        };
        kernel.fib.routes.push(route);
    });
    world.pass(secs(1));
    for (source, incoming, says, why) in [
        (LAN, Some(50), "Rule web sends it through b.", "the LAN"),
        (Ipv4Addr::new(172, 20, 0, 1), Some(50), "No rule means it.", "behind a router in the LAN"),
        (
            Ipv4Addr::new(198, 51, 100, 7),
            None,
            "It is not known by which device 198.51.100.7 comes in: it is taken for the router's own traffic, but for rules.",
            "anywhere",
        ),
    ] {
        let (question, told) = ask(&world, &tcp(source, FAR, 443), by(&world, 0));
        assert_eq!((question.incoming.map(|it| it.0), sentences(&told)[0]), (incoming, says), "{why}");
        assert_eq!(
            question.source.is_some(),
            incoming.is_some(),
            "the kernel takes no source that is not its own: {why}"
        );
    }
    let (_, told) = ask(&world, &tcp(Ipv4Addr::new(10, 1, 0, 77), FAR, 443), by(&world, 0));
    assert_eq!(sentences(&told)[0], "10.1.0.77 is reached through b: what comes in there is asked no rule.");
}

#[test]
fn a_shared_route_leaves_the_choice_to_the_kernel() {
    let mut world = world("");
    shown(&mut world, |snapshot| {
        let hops = [0, 1].map(|line| Hop {
            device: by_device(&snapshot.links, line),
            gateway: Some(gateway(line)),
            onlink: false,
            weight: 1,
        });
        let slot = snapshot.routes.iter_mut().find(|it| it.is_main_default() && it.metric == Metric(2)).unwrap();
        assert_eq!(slot.protocol, PROTOCOL);
        (slot.device, slot.gateway, slot.next_hops) = (None, None, NextHops::Shared(hops.to_vec()));
    });
    let packet = tcp(LAN, FAR, 443);
    for (line, agrees, name) in [(0, true, "a"), (1, true, "b"), (2, false, "c")] {
        let (_, told) = ask(&world, &packet, by(&world, line));
        assert_eq!((&told["agrees"], &told["provider"]), (&json!(agrees), &json!(name)));
        assert_eq!(sentences(&told)[0], "It is shared by a, b: the kernel chooses by source and destination.");
        if agrees {
            let want = format!("The kernel chooses {name}: by wan{line} via {}.", gateway(line));
            assert_eq!(sentences(&told)[1], want);
        }
        assert_eq!(told.get("expected"), None);
    }
}

fn by_device(links: &[failoverd::kernel::Link], line: u32) -> IfIndex {
    links.iter().find(|link| link.name == format!("wan{line}")).unwrap().index
}

#[test]
fn refusals_are_explained() {
    let world = world("");
    for (packet, cause, says) in [
        (
            tcp(LAN, FAR, 443),
            NoRouteCause::Unreachable,
            "The kernel refuses it: No route to host (113). br-lan may be told not to forward, or another program's route stands in the way.",
        ),
        (
            tcp(LAN, FAR, 443),
            NoRouteCause::Source,
            "The kernel drops what comes from there by br-lan: No route to host (113). That is rp_filter, or no address that a packet may come from.",
        ),
        (tcp(LAN, FAR, 443), NoRouteCause::Other, "The kernel refuses it: No route to host (113)."),
        (tcp(v4(address(0)), FAR, 443), NoRouteCause::Source, "The kernel refuses it: No route to host (113)."),
    ] {
        let (_, told) = ask(&world, &packet, refused(cause));
        assert_eq!((sentences(&told)[1], &told["agrees"]), (says, &json!(false)));
    }
}
