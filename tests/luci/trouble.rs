//! Status -> Failover with lines in trouble: degraded ones, login pages, suspect targets, what is done about it.

use failoverd::status::ProviderStatus;
use lab::LabConfig;
use serde_json::{Value, json};

use crate::bridge::access::User;
use crate::browser::Width;
use crate::page::Page;
use crate::status::{MARKUP, STATUS};

/// What the daemon says of three fine lines, changed into what it would say of lines in all kinds of trouble.
fn troubled(page: &Page) {
    let mut status = page.call("failover", "status", &json!({}));
    let mut why = page.call("failover", "why", &json!({ "parts": true }));
    let mut change = |name: &str, members: Value, sentence: Value| {
        let providers = status["providers"].as_array_mut().unwrap();
        let provider = providers.iter_mut().find(|it| it["name"] == name).unwrap().as_object_mut().unwrap();
        provider.extend(members.as_object().unwrap().clone());
        let read: ProviderStatus = serde_json::from_value(json!(provider)).unwrap();
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(json!(read)[name], *value, "{name}, as the daemon writes it");
        }
        let providers = why["providers"].as_array_mut().unwrap();
        providers.iter_mut().find(|it| it["name"] == name).unwrap()["sentences"] = json!([sentence]);
    };
    let target = |target: &str, more: Value| {
        let mut target = json!({ "target": target, "sent": 9, "lost": 0, "latency_ms": 12.3, "answered": 1 });
        let members = target.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        target
    };
    change(
        "wan0",
        json!({
            "state": "degraded", "reason_code": "loss", "reason": "loss 42% above 40%", "loss_percent": 42.0, "active": false,
            "quality": {
                "probes": 100, "latency_min_ms": 8.1, "latency_median_ms": 12.4, "latency_max_ms": 1_890.0,
                "jitter_min_ms": 0.1, "jitter_median_ms": 1.2, "jitter_max_ms": 880.0,
            },
            "probe_bytes": 14_515_200, "evidence": ["its modem says: no service"],
            "tests": [
                { "name": "internet", "type": "ping", "targets": [
                    target("1.1.1.1", json!({})),
                    target("192.0.2.1", json!({ "suspect": true, "lost": 9, "latency_ms": null, "answered": null })),
                ] },
                { "name": "names", "type": "dns", "targets": [
                    target("dns.example", json!({ "addresses": ["192.0.2.53", "192.0.2.54"] })),
                ] },
            ],
        }),
        json!(["{0} has been degraded for {1} ({2}).", "wan0", "1m", ["loss {0}% above {1}%", "42", "40"]]),
    );
    let portal = "captive portal: sent on to http://login.example/";
    change(
        "wan1",
        json!({
            "state": "offline", "reliable": false, "reason_code": "captive_portal",
            "reason": format!("{portal} (3 of 3 probes)"), "active": false,
            "evidence": ["netifd: AUTH_FAILED"], "recovery": { "action": "restart", "times": 2, "next_in": 1230 },
            "tests": [{ "name": "web", "type": "http", "targets": [target("one.example/", json!({ "reason": portal }))] }],
        }),
        json!([
            "{0} has been offline for {1} ({2}).",
            "wan1",
            "1m",
            ["{0} ({1} of {2} probes)", ["captive portal: sent on to {0}", MARKUP], "3", "3"]
        ]),
    );
    change("wan2", json!({ "active": true }), json!(["wan2"]));
    change(
        "wan3",
        json!({
            "state": "checking", "reliable": false, "reason_code": "cold_standby",
            "reason": "not checked while a better provider is good (cold standby)",
        }),
        json!(["{0} is on cold standby: it is not checked while a better provider is good.", "wan3"]),
    );
    status["active"] = json!("wan2");
    page.bridge.fix("failover.status", status);
    page.bridge.fix("failover.why", why);
}

#[test]
fn all_that_is_known_of_a_line_in_trouble() {
    let page = Page::new(LabConfig { providers: 4, ..LabConfig::default() });
    let daemon = page.start();
    troubled(&page);
    for (name, dark, width) in [("light", false, Width::Desk), ("phone-dark", true, Width::Phone)] {
        page.browser.dark(dark);
        page.browser.width(width);
        page.open(User::Admin, STATUS);
        page.browser.wait("a row of each", "document.querySelectorAll('.failover-provider').length == 4");
        let badges = page
            .browser
            .value("[...document.querySelectorAll('.failover-provider .failover-badge')].map(it => it.textContent)");
        assert_eq!(badges, json!(["Degraded", "Offline", "Online", "Cold standby"]));
        assert_eq!(
            page.browser.value("document.querySelector('.failover-hero').dataset.mood"),
            "warn",
            "wan2 stands in"
        );
        let seen = |number: usize| {
            let script = format!(
                "[...document.querySelectorAll('.failover-more')].filter(it => it.offsetParent)[{number}]?.innerText ?? ''"
            );
            page.browser.value(&script).as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(seen(0), "wan0 has been degraded for 1m (loss 42% above 40%).", "trouble speaks for itself");
        let portal = seen(1);
        assert!(
            portal.contains("log in")
                && portal.ends_with(&format!("(captive portal: sent on to {MARKUP} (3 of 3 probes)).")),
            "{portal}"
        );
        assert_eq!(seen(2), "", "and nothing else does");
        let tagged =
            page.browser.value("[...document.querySelectorAll('.failover-role.portal')].map(it => !it.hidden)");
        assert_eq!(tagged, json!([false, true, false, false]));

        page.browser.run("document.querySelectorAll('.failover-toggle').forEach(it => it.click())", json!([]));
        page.browser.wait_text(".failover-tests", "dns.example");
        let (first, second) = (seen(0), seen(1));
        for words in [
            "Latency: least / median / most 8.1 ms / 12 ms / 1.9 s",
            "Jitter: least / median / most 0.1 ms / 1.2 ms / 880 ms",
            "Measured by 100 probes",
            "Own probes in 24 hours 14.5 MB",
            "Known besides its modem says: no service",
            "dns.example = 192.0.2.53, 192.0.2.54",
            "never",
            "suspect: answers nowhere, asked last",
        ] {
            assert!(first.contains(words), "{words}: {first}");
        }
        assert!(second.contains("captive portal: sent on to http://login.example/"), "{second}");
        assert!(!second.contains("AUTH_FAILED"), "its sentences tell that, and there is one alone here: {second}");
        let beyond = page.browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(beyond, 0, "{name}: pixels beyond the window");
        page.browser.screenshot(&format!("status-trouble-{name}"));
        page.assert_accessible();
    }
    page.open(User::Admin, "admin/status/overview");
    page.browser.wait(
        "the badges",
        "document.querySelector('.failover-badges')?.innerText.split(/\\s+/).join(' ').endsWith('wan3 Cold standby')",
    );
    assert_eq!(page.browser.count("#view img"), 0);
    page.assert_accessible();
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}
