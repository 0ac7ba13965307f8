//! How lines were, asked on the real bus: an outage can be seen afterwards, in increments that make up the whole, and another run
//! of the daemon can be told from the one before.

use lab::{LabConfig, wait_for};
use serde_json::{Value, json};

use crate::page::Page;
use crate::world::{SOON, World};

/// The entries of `wan<number>`.
fn entries(reply: &Value, number: u8) -> &[Value] {
    let mut all = reply["providers"].as_array().unwrap().iter();
    all.find(|it| it["name"] == format!("wan{number}")).unwrap()["entries"].as_array().unwrap()
}

fn failed(reply: &Value) -> bool {
    entries(reply, 0).iter().any(|entry| entry[1] == 0)
}

#[test]
fn an_outage_is_remembered() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    let mut page = Page::new(&world);
    let mut read: Vec<Value> = vec![];
    let mut last = json!({ "next": 0 });
    let mut read_until = |page: &mut Page, what: &str, done: &dyn Fn(&Value) -> bool| {
        let waited = wait_for(SOON, what, || {
            last = page.ask("series", &json!({ "since": last["next"] })).unwrap();
            read.extend_from_slice(entries(&last, 0));
            done(&last)
        });
        waited.unwrap_or_else(|error| panic!("{error}; the last reply is {last}, read was {read:?}"));
        (last.clone(), read.clone())
    };
    let succeeded =
        |reply: &Value| entries(reply, 0).iter().any(|entry| entry[1] == 1 && entry[2].as_f64() > Some(0.0));
    let (first, _) = read_until(&mut page, "a success with its latency", &succeeded);
    assert!(first["run"].as_i64().is_some_and(|run| run > 0) && first["step"] == 0, "{first}");
    world.provider(0).silent(true);
    read_until(&mut page, "a failed check", &failed);
    world.wait_route(1);
    world.provider(0).silent(false);
    let (last, read) = read_until(&mut page, "a success again", &succeeded);
    assert_eq!(last["next"], last["uptime"]);

    let whole = page.ask("series", &json!({})).unwrap();
    let up_to_then: Vec<_> = entries(&whole, 0).iter().filter(|it| it[0].as_u64() < last["next"].as_u64()).collect();
    assert_eq!(up_to_then, read.iter().collect::<Vec<_>>(), "the increments are the whole");
    let minutes = page.ask("series", &json!({ "step": 60 })).unwrap();
    assert!(
        entries(&minutes, 0).iter().any(|entry| entry[1] == "offline" && entry[2].as_f64() > Some(0.0)),
        "{minutes}"
    );
    assert!(entries(&minutes, 1).iter().all(|entry| entry[1] != "offline"), "{minutes}");
    let told = minutes["switches"].as_array().unwrap().iter().find(|it| it["from"] == "wan0" && it["to"] == "wan1");
    let switch = told.unwrap_or_else(|| panic!("{minutes}"));
    assert_eq!((&switch["reason_code"], &switch["parts"][1]), (&json!("lost_probes"), &json!("wan0")), "{switch}");
    assert!(switch["reason"].as_str().unwrap().starts_with("wan0: lost "), "{switch}");
    let one = page.ask("series", &json!({ "provider": "wan1", "ubus_rpc_session": "0" })).unwrap();
    assert!(one["providers"].as_array().unwrap().len() == 1 && one["switches"].is_null(), "{one}");
    for (arguments, status, why) in [
        (json!({ "provider": "wan7" }), 4, "no such provider"),
        (json!({ "step": 90 }), 2, "no whole minutes"),
        (json!({ "step": 3660 }), 2, "more than an hour"),
        (json!({ "since": "0" }), 2, "text"),
    ] {
        assert_eq!(page.ask("series", &arguments), Err(status), "{why}");
    }

    world.wait_status("an answer of every target", |status| {
        let targets = status["providers"][0]["tests"][0]["targets"].as_array().unwrap();
        targets.len() == 4 && targets.iter().all(|it| it["latency_ms"].as_f64() > Some(0.0))
    });

    world.ask(&["reload"]);
    let after = page.ask("series", &json!({})).unwrap();
    assert!(after["run"] == first["run"] && failed(&after), "a reload keeps it all: {after}");
    daemon.kill().unwrap();
    let daemon = world.start();
    let mut page = Page::new(&world);
    let other = page.ask("series", &json!({})).unwrap();
    assert!(other["run"] != first["run"] && !failed(&other), "another run: {other}");
    world.stop(&daemon);
}
