//! Which way a packet takes, by failoverd and by the kernel: where they agree, where another program is in the way, and what a rule does.

use std::net::Ipv4Addr;

use lab::{LAN_CLIENT, LabConfig, RouteWrite, Rule, protocol, wait_for};
use serde_json::Value;

use crate::world::{SOON, World};

const FAR: &str = "203.0.113.5";
const RULES: &str = "
config rule 'web'
	list src '10.77.0.0/24'
	option dest_port '443'
	list use 'wan1'
	option fallback 'unreachable'
	option local '1'
";

impl World {
    /// What `route` answers with exit code `code`.
    fn route_of(&self, code: i32, arguments: &[&str]) -> String {
        let words: Vec<&str> = ["route"].into_iter().chain(arguments.iter().copied()).collect();
        let asked = self.cli(&words);
        assert_eq!(asked.code(), code, "{arguments:?}: {}{}", asked.stdout, asked.stderr);
        asked.stdout.replace("\n  ", " ")
    }
}

#[test]
fn what_is_said_of_a_packet_is_what_the_kernel_does() {
    let world = World::new(LabConfig::default());
    let client = LAN_CLIENT.to_string();
    assert_eq!(world.cli(&["route", &client, FAR]).code(), 3, "nobody is there to be asked");
    let daemon = world.start();
    world.wait_route(0);
    let told = world.route_of(0, &[&client, FAR, "tcp", "443"]);
    assert_eq!(
        told,
        "It goes through wan0, as all traffic that no rule directs.\nThe kernel says so too: by wan0 via 192.168.1.1.\n"
    );
    let own = world.provider(0).addresses().router.to_string();
    assert_eq!(world.route_of(0, &[&own, FAR]), told, "the router's own");
    let near = world.route_of(0, &[&client, &Ipv4Addr::from([10, 77, 0, 9]).to_string()]);
    assert!(near.ends_with("The kernel sends it by lan0.\n"), "{near}");

    // Somebody sends this network elsewhere.
    let router = world.lab.router();
    let wan1 = world.provider(1);
    router.write(RouteWrite::Add, &router.default_route(wan1).table(200)).unwrap();
    let rule = Rule {
        priority: 500,
        table: 200,
        from: Some((LAN_CLIENT, 32)),
        oif: None,
        iif: None,
        mark: None,
        suppress_prefix_length: None,
        protocol: protocol::BOOT,
    };
    router.rule(true, &rule).unwrap();
    let told = world.route_of(1, &[&client, FAR]);
    assert!(told.contains("The kernel says otherwise: by wan1 via 192.168.1.1."), "{told}");
    let json: Value = serde_json::from_str(&world.cli(&["route", &client, FAR, "--json"]).stdout).unwrap();
    assert_eq!(
        (&json["agrees"], &json["expected"]["device"], &json["kernel"]["device"]),
        (&false.into(), &"wan0".into(), &"wan1".into())
    );
    router.rule(false, &rule).unwrap();

    router.set_device_sysctl("lan0", "forwarding", "0").unwrap();
    let told = world.route_of(1, &[&client, FAR]);
    assert!(told.contains("lan0 may be told not to forward"), "{told}");
    router.set_device_sysctl("lan0", "forwarding", "1").unwrap();
    assert_eq!(world.cli(&["route", "lan", FAR]).code(), 2);
    world.stop(&daemon);
}

#[test]
fn a_rule_is_followed_and_said_to_be() {
    let world = World::new(LabConfig { identical: false, ..LabConfig::default() });
    world.configure(&(world.lab.uci(&crate::world::BRISK) + RULES));
    let client = LAN_CLIENT.to_string();
    let daemon = world.start();
    world.wait_route(0);
    let gateway = world.provider(1).addresses().gateway;
    let want = format!("Rule web sends it through wan1.\nThe kernel says so too: by wan1 via {gateway}.\n");
    let packet = ["route", &client, FAR, "tcp", "443"];
    wait_for(SOON, "the rule to be followed", || world.cli(&packet).stdout == want).unwrap();
    let other = world.route_of(0, &[&client, FAR, "udp", "53"]);
    assert!(other.starts_with("No rule means it.\nIt goes through wan0, "), "{other}");

    world.provider(1).silent(true);
    world.wait_state(1, "offline");
    let refused = "Rule web means it and has no reliable provider: it goes nowhere.\nThe kernel says so too: ";
    wait_for(SOON, "it to be refused", || {
        let asked = world.cli(&packet);
        asked.code() == 1 && asked.stdout.starts_with(refused)
    })
    .unwrap();
    world.stop(&daemon);
}

#[test]
fn of_a_tier_the_kernel_chooses_and_is_not_contradicted() {
    let world = World::new(LabConfig::default());
    let tier = world.lab.uci(&crate::world::BRISK).replace("\toption device", "\toption priority '1'\n\toption device");
    world.configure(&tier);
    let daemon = world.start();
    let client = LAN_CLIENT.to_string();
    let shared = "It is shared by wan0, wan1: the kernel chooses by source and destination.\n";
    wait_for(SOON, "the tier to share", || world.cli(&["route", &client, FAR]).stdout.starts_with(shared)).unwrap();
    let mut chosen = [0; 2];
    for last in 1..40_u8 {
        let told = world.route_of(0, &[&client, &Ipv4Addr::from([203, 0, 113, last]).to_string()]);
        let line = usize::from(told.contains("by wan1 via "));
        assert!(line == 1 || told.contains("by wan0 via "), "{told}");
        chosen[line] += 1;
    }
    assert!(chosen.iter().all(|count| *count > 0), "by destination: {chosen:?}");
    world.stop(&daemon);
}
