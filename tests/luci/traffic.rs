//! Status -> Failover with traffic on several lines: shares, rules, connections, and what has stayed behind on a line.

use failoverd::status::{ProviderStatus, RuleStatus};
use lab::{LabConfig, wait_for};
use serde_json::{Value, json};

use crate::bridge::access::User;
use crate::browser::Width;
use crate::page::Page;
use crate::status::{MARKUP, STATUS};
use crate::world::{SECOND, SOON};

/// What the daemon says of four fine lines, changed into what it would say of two that share the traffic, one that keeps connections for
/// a while, and one that carries only what rules send there.
fn shared(page: &Page) {
    let mut status = page.call("failover", "status", &json!({}));
    let mut change = |name: &str, members: Value| {
        let providers = status["providers"].as_array_mut().unwrap();
        let provider = providers.iter_mut().find(|it| it["name"] == name).unwrap().as_object_mut().unwrap();
        provider.extend(members.as_object().unwrap().clone());
        let read: ProviderStatus = serde_json::from_value(json!(provider)).unwrap();
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(json!(read)[name], *value, "{name}, as the daemon writes it");
        }
    };
    change(
        "wan0",
        json!({ "active": true, "share_percent": 75.0, "priority": 1, "weight": 3, "mark": "0x1000000/0x3f000000", "drain": "keep" }),
    );
    change("wan1", json!({ "active": true, "share_percent": 25.0, "priority": 1 }));
    change("wan2", json!({ "drain": "10m", "drain_in": 431, "active": false }));
    change(
        "wan3",
        json!({ "default": false, "priority": 0, "state": "offline", "reliable": false, "stranded": ["203.0.113.9", "198.51.100.0/24"], "active": false }),
    );
    let rules = json!([
        { "name": "calls", "provider": "wan1", "fallback": "default" },
        { "name": "#2", "fallback": "default" },
        { "name": MARKUP, "fallback": "unreachable" },
    ]);
    let read: Vec<RuleStatus> = serde_json::from_value(rules.clone()).unwrap();
    assert_eq!(json!(read), rules, "as the daemon writes them");
    status["rules"] = rules;
    page.bridge.fix("failover.status", status);
    page.bridge.fix(
        "failover.connections",
        json!({
            "marked": true, "others": 5,
            "providers": [{ "name": "wan0", "connections": 1234 }, { "name": "wan1", "connections": 1 }, { "name": "wan2", "connections": 0 }],
        }),
    );
}

/// The row of a provider, and what unfolds below it.
fn told(page: &Page, name: &str) -> String {
    let script = format!(
        "(row => row.innerText + ' ' + row.nextElementSibling.innerText)([...document.querySelectorAll('.failover-provider')]
            .find(row => row.querySelector('button').textContent == '{name}'))"
    );
    page.browser.value(&script).as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn who_has_which_part_of_the_traffic() {
    let page = Page::new(LabConfig { providers: 4, ..LabConfig::default() });
    let daemon = page.start();
    shared(&page);
    for (name, dark, width) in [("light", false, Width::Desk), ("phone-dark", true, Width::Phone)] {
        page.browser.dark(dark);
        page.browser.width(width);
        page.open(User::Admin, STATUS);
        page.browser.wait("a row of each", "document.querySelectorAll('.failover-provider').length == 4");
        page.browser.wait_text(".failover-providers", "1234 connections");
        let (first, second) = (told(&page, "wan0"), told(&page, "wan1"));
        assert!(first.contains("Active: 75%") && first.contains("1234 connections"), "{first}");
        assert!(second.contains("Active: 25%") && second.contains(" 1 connection "), "{second}");
        let alone = told(&page, "wan3");
        let stranded = "Routes of other programs, which failoverd leaves alone, still lead through it: 203.0.113.9, 198.51.100.0/24";
        assert!(alone.contains(stranded), "without a click: {alone}");
        assert!(!alone.contains("Use this one") && !alone.contains("connection"), "it cannot be: {alone}");
        assert_eq!(
            page.browser.value("document.querySelector('.failover-hero').dataset.mood"),
            "good",
            "one that never carries other traffic is not stood in for"
        );
        let rules = page.browser.value(
            "[...document.querySelector('.failover-rules').tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent))",
        );
        let default = "none of its own: goes where other traffic goes";
        assert_eq!(rules, json!([["calls", "wan1"], ["#2", default], [MARKUP, "none: unreachable"]]));
        assert_eq!(page.browser.count("#view img"), 0);
        page.browser.run("document.querySelectorAll('.failover-toggle').forEach(it => it.click())", json!([]));
        page.browser.wait_text(".failover-providers", "0x1000000/0x3f000000");
        let draining = told(&page, "wan2");
        for words in ["Connections after failback 10m", "Forgets its connections in 7m 11s", " 0 connections "] {
            assert!(draining.contains(words), "{words}: {draining}");
        }
        let beyond = page.browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(beyond, 0, "{name}: pixels beyond the window");
        page.browser.screenshot(&format!("status-traffic-{name}"));
        page.assert_accessible();
    }
    page.open(User::Admin, "admin/status/overview");
    page.browser.wait(
        "the badges",
        "document.querySelector('.failover-badges')?.innerText.split(/\\s+/).join(' ').startsWith('wan0 75% Online wan1 25% Online wan2 Online')",
    );
    page.assert_accessible();
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

#[test]
fn connections_are_counted_now_and_then_while_somebody_looks() {
    let page = Page::alone(LabConfig::default());
    let daemon = page.start();
    shared_counts(&page, 7);
    page.open(User::Reader, STATUS);
    page.browser.wait_text(".failover-providers", "7 connections");
    // A number that changes is seen, within two turns.
    shared_counts(&page, 8);
    let took = page.browser.wait_text(".failover-providers", "8 connections");
    assert!(took < 9 * SECOND, "{took:?}");
    page.bridge.take_exchanges();
    std::thread::sleep(11 * SECOND);
    let exchanges = page.bridge.take_exchanges();
    let countings: Vec<_> =
        exchanges.iter().filter(|it| it.calls.iter().any(|call| call == "failover.connections")).collect();
    assert!((1..=2).contains(&countings.len()), "{} in eleven seconds", countings.len());
    for counting in countings {
        assert_eq!(counting.calls.len(), 1, "nothing else waits for it: {:?}", counting.calls);
    }
    // An answer that fails says nothing rather than something old.
    page.bridge.fix("failover.connections", json!(null));
    page.browser
        .wait("the number to go", "!document.querySelector('.failover-providers').innerText.includes(' connections')");
    page.browser.hidden(true);
    std::thread::sleep(SECOND);
    page.bridge.take_exchanges();
    std::thread::sleep(6 * SECOND);
    assert_eq!(page.bridge.take_exchanges().len(), 0, "nor while nobody sees it");
    page.browser.hidden(false);
    let mut counted = 0;
    let again = || {
        let exchanges = page.bridge.take_exchanges();
        counted += exchanges.iter().filter(|it| it.calls.iter().any(|call| call == "failover.connections")).count();
        counted > 0
    };
    wait_for(SOON, "the next counting", again).unwrap();
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

fn shared_counts(page: &Page, connections: u32) {
    let providers = json!([{ "name": "wan0", "connections": connections }]);
    page.bridge.fix("failover.connections", json!({ "marked": false, "providers": providers, "others": 0 }));
}
