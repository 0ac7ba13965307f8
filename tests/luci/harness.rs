//! The harness itself: that a view of the plainest kind comes up, live and without a complaint, that the browser notices what it is to
//! notice, and that nothing stays behind.

use lab::{LabConfig, wait_for};
use serde_json::json;

use crate::bridge::access::User;
use crate::bridge::{Exchange, Rpcd};
use crate::browser::{Browser, Width};
use crate::page::{Page, fixtures};
use crate::world::{SECOND, SOON, stays};

const HELLO: &str = "admin/harness/hello";

/// The requests that come until there are `number`.
fn requests(page: &Page, number: usize) -> Vec<Exchange> {
    let mut all = Vec::new();
    let enough = || {
        all.extend(page.bridge.take_exchanges());
        all.len() >= number
    };
    wait_for(SOON, &format!("{number} requests"), enough).unwrap();
    all
}

#[test]
fn a_view_shows_what_the_daemon_says() {
    let page = Page::of_fixtures(LabConfig::default());
    let daemon = page.start();
    page.open(User::Admin, HELLO);
    page.browser.wait_text("#active", "wan0");
    page.browser.screenshot("harness");
    page.world.provider(0).silent(true);
    page.browser.wait_text("#active", "wan1");
    page.browser.click(".cbi-button-action");
    page.world.wait_status("the pin", |status| status["pin"] == "wan1");
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
    page.browser.wait_text("#active", "No answer");
    let reply = page.bridge.call(User::Admin, "failover", "status", &json!({}));
    assert_eq!(reply["error"], json!({ "code": -32000, "message": "Object not found" }));
}

#[test]
fn what_is_asked_at_once_is_one_request_and_none_in_a_hidden_tab() {
    let page = Page::of_fixtures(LabConfig::default());
    let _daemon = page.start();
    page.open(User::Admin, HELLO);
    page.bridge.take_exchanges();
    for exchange in requests(&page, 3) {
        assert_eq!(exchange.calls, ["failover.status", "failover.status"]);
        assert!(exchange.reply_bytes > 500, "{exchange:?}");
    }
    let before = page.browser.script_time();
    requests(&page, 2);
    assert!(page.browser.script_time() > before);
    page.browser.hidden(true);
    // One may be on its way.
    std::thread::sleep(SECOND);
    page.bridge.take_exchanges();
    stays(3 * SECOND, "a hidden tab is quiet", || page.bridge.take_exchanges().is_empty());
    page.browser.hidden(false);
    // What waited comes at once, and then each in its time: there is no catching up.
    requests(&page, 1);
    std::thread::sleep(2 * SECOND);
    let again = page.bridge.take_exchanges();
    assert!(again.len() <= 3, "in two seconds: {again:?}");
    requests(&page, 1);
    page.browser.assert_no_errors();
}

#[test]
fn rpcd_can_hang_and_be_gone() {
    let page = Page::of_fixtures(LabConfig::default());
    let _daemon = page.start();
    page.open(User::Admin, HELLO);
    page.bridge.rpcd(Rpcd::Silent);
    std::thread::sleep(SECOND);
    page.bridge.take_exchanges();
    stays(2 * SECOND, "nothing is answered", || page.bridge.take_exchanges().is_empty());
    page.bridge.rpcd(Rpcd::Fine);
    requests(&page, 2);
    page.bridge.rpcd(Rpcd::Gone);
    let reply = page.bridge.call(User::Admin, "failover", "status", &json!({}));
    assert_eq!(reply["error"], json!({ "code": -32002, "message": "Access denied" }));
    let reply = page.bridge.call(User::Admin, "uci", "get", &json!({ "config": "failover" }));
    assert_eq!(reply["error"], json!({ "code": -32000, "message": "Object not found" }));
    // LuCI's own answer to that.
    page.browser.wait_text(".modal", "Session expired");
}

#[test]
fn the_browser_notices_what_it_is_to_notice() {
    let page = Page::of_fixtures(LabConfig::default());
    let _daemon = page.start();
    page.bridge.language("de", &fixtures().join("po/de/harness.po"));
    page.open(User::Admin, HELLO);
    assert_eq!(page.browser.text("#view h2"), "Zustand");
    assert_eq!(page.browser.text("#view button"), "\"wan1\" nehmen");
    for (expression, want, why) in [
        ("_('Second')", "Zweiter", "without a context"),
        ("_('Second', 'time')", "Sekunde", "with one"),
        ("_('Provider')", "Provider", "not translated yet"),
        ("N_(1, '%d provider', '%d providers').format(1)", "1 Anbieter", "one"),
        ("N_(0, '%d provider', '%d providers').format(0)", "0 Anbieter (viele)", "more"),
    ] {
        assert_eq!(page.browser.value(expression), want, "{expression}: {why}");
    }
    page.assert_accessible();
    page.browser.run("document.querySelector('#view').append(document.createElement('input'))", json!([]));
    assert_eq!(page.violations()[0][0], "label", "an input without a name");

    let background = "getComputedStyle(document.body).backgroundColor";
    let light = page.browser.value(background);
    page.browser.dark(true);
    page.browser.wait("the dark theme", "document.documentElement.dataset.darkmode == 'true'");
    assert_ne!(page.browser.value(background), light);
    page.browser.width(Width::Phone);
    assert_eq!(
        page.browser.value("[ innerWidth, matchMedia('(max-device-width: 600px)').matches ]"),
        json!([390, true])
    );
    let picture = page.browser.screenshot("harness-phone");
    if let Ok(bytes) = std::fs::read(picture) {
        assert_eq!(bytes[16..20], 780_u32.to_be_bytes(), "two pixels for each of a phone's");
    }
    page.browser.width(Width::Desk);

    page.browser.assert_no_errors();
    page.browser.run("setTimeout(() => Promise.reject(new Error('nobody cares')), 0)", json!([]));
    let heard = || page.browser.console().iter().any(|it| it.starts_with("SEVERE") && it.contains("nobody cares"));
    wait_for(SOON, "an error on the console", heard).unwrap();
}

#[test]
fn the_keyboard_and_the_mouse_reach_what_a_person_reaches() {
    let page = Page::of_fixtures(LabConfig::default());
    let _daemon = page.start();
    page.open(User::Admin, HELLO);
    page.browser.run("document.querySelector('#view button').focus()", json!([]));
    page.browser.press("\u{e007}");
    page.world.wait_status("the pin", |status| status["pin"] == "wan1");
    page.call("failover", "unpin", &json!({}));
    page.browser.run("document.querySelector('#view').append(E('input', { 'value': 'old' }))", json!([]));
    let value = "document.querySelector('#view input').value";
    page.browser.type_into("#view input", "er");
    assert_eq!(page.browser.value(value), "older");
    page.browser.clear("#view input");
    page.browser.type_into("#view input", "new");
    assert_eq!(page.browser.value(value), "new");
    assert_eq!(page.browser.count("#view input, #view button"), 2);
    page.browser.assert_no_errors();
}

#[test]
fn the_overview_page_comes_up_with_what_packages_put_there() {
    let page = Page::new(LabConfig::default());
    let daemon = page.start();
    page.open(User::Reader, "admin/status/overview");
    page.browser.assert_no_errors();
    for (address, status) in [("admin/status/overview", 200), ("admin/harness/hello", 404), ("admin/no", 404)] {
        assert_eq!(page.bridge.fetch(User::Reader, address).0, status, "{address}");
    }
    page.world.stop(&daemon);
}

#[test]
fn no_browser_stays_behind() {
    let directory = std::env::temp_dir().join(format!("failoverd-browser-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let name = directory.to_string_lossy().into_owned();
    let running = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&name)).count()
    };
    let mut browser = Browser::start(&directory);
    assert!(running() > 0);
    browser.abandon();
    wait_for(SOON, "the end of a browser whose test was killed", || running() == 0).unwrap();
    drop(browser);
    let again = Browser::start(&directory);
    assert!(running() > 0);
    drop(again);
    wait_for(SOON, "the end of a browser", || running() == 0).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
}
