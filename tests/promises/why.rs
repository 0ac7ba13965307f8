//! Why it is so: what a person reads on the router, and what a page gets, after a line has died.

use lab::LabConfig;
use serde_json::Value;

use crate::world::World;

#[test]
fn the_way_of_the_traffic_is_explained() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    world.wait_route(0);
    world.wait_status("the first checks to be told", |status| {
        status["providers"].as_array().is_some_and(|all| all.iter().all(|it| it["state"] == "online"))
    });
    let text = world.ask(&["why"]);
    assert!(text.starts_with("Online through wan0 for "), "{text}");
    assert!(text.contains("\nwan1 has been online for "), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");

    world.provider(0).silent(true);
    world.wait_route(1);
    world.wait_state(0, "offline");
    let text = world.ask(&["why", "wan0"]).replace("\n  ", " ");
    assert!(text.starts_with("wan0 is offline (lost ") && text.contains("; online through wan1 for "), "{text}");
    assert!(text.contains("It needs 3 more successful checks in a row to be reliable."), "{text}");
    assert!(!text.contains("\nwan1 has been"), "the other was not asked about: {text}");
    let told: Value = serde_json::from_str(&world.ask(&["why", "wan0", "--json"])).unwrap();
    assert_eq!((&told["active"], &told["reason_code"]), (&"wan1".into(), &"best".into()));
    assert_eq!(told["providers"].as_array().unwrap().len(), 1, "{told}");
    let asked = &told["providers"][0];
    assert_eq!((&asked["role"], &asked["reason_code"]), (&"unusable".into(), &"lost_probes".into()), "{told}");
    let known = world.status_of(0);
    assert_eq!((&known["reason_code"], &known["flaps"]), (&"lost_probes".into(), &1.into()), "{known}");

    let unknown = world.cli(&["why", "nobody"]);
    assert_eq!(unknown.code(), 2, "{}", unknown.stderr);
    world.lab.providers().iter().for_each(|provider| provider.silent(true));
    world.wait_status("none to be reliable", |status| status["unverified"] == true);
    let none = world.cli(&["why"]);
    assert_eq!(none.code(), 1, "{}", none.stdout);
    assert!(none.stdout.starts_with("No provider is reliable: traffic goes through "), "{}", none.stdout);
    world.stop(&daemon);
}
