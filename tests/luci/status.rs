//! Status -> Failover, and its part of the overview: what they show is what the daemon does, at once, in words and as text; and what
//! they ask of the router is little.

use std::time::{Duration, Instant};

use lab::{LabConfig, wait_for};
use serde_json::{Value, json};

use crate::bridge::Rpcd;
use crate::bridge::access::User;
use crate::browser::Width;
use crate::page::Page;
use crate::world::{BRISK, SECOND, SOON};

pub(crate) const STATUS: &str = "admin/status/failover";
const SENTENCE: &str = ".failover-sentence";
const EXCUSE: &str = ".failover > .alert-message";
const STALE: &str = ".failover-stale";
/// Asks the daemon to read its configuration again.
const SIGHUP: i32 = 1;
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
/// Nothing that a page shows may become this.
pub(crate) const MARKUP: &str = "<img src=x onerror=alert(1)>";

fn lab(providers: u8) -> LabConfig {
    LabConfig { providers, ..LabConfig::default() }
}

/// Every provider has its own row, under its name.
fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.failover-provider')].find(row => row.querySelector('button').textContent == '{name}')"
    )
}

fn buttons_to_read(page: &Page) -> Value {
    page.browser
        .value("[...document.querySelectorAll('#view button')].filter(it => it.offsetParent).map(it => it.textContent)")
}

#[test]
fn a_silent_cut_is_told_with_its_reason() {
    let page = Page::alone(lab(3));
    let daemon = page.start();
    page.open(User::Admin, STATUS);
    page.browser.wait_text(SENTENCE, "Online through wan0 for");
    page.browser.wait(
        "all providers to be online",
        "document.querySelectorAll('.failover-provider [data-state=online]').length == 3",
    );
    let mood = || page.browser.value("document.querySelector('.failover-hero').dataset.mood");
    assert_eq!(mood(), "good");
    page.world.provider(0).silent(true);
    page.world.wait_route(1);
    let told = page.browser.wait_text(SENTENCE, "nline through wan1 for");
    assert!(told < 4 * SECOND, "told {told:?} after the switch");
    let sentence = page.browser.text(SENTENCE);
    assert!(sentence.contains("wan0 is offline (lost ") && sentence.contains(" probes to 4 targets"), "{sentence}");
    page.browser.wait(
        "wan0's badge",
        &format!("{}.querySelector('[data-state=offline]')?.textContent == 'Offline'", row("wan0")),
    );
    page.browser.wait("wan1's role", &format!("{}.innerText.includes('Active')", row("wan1")));
    assert_eq!(mood(), "warn", "the internet works, but through one that stands in");
    // The reason stands below the row without a click, and in the list of switches.
    page.browser.wait_text(".failover-more", "wan0 has been offline for");
    page.browser.wait(
        "the switch in the list",
        "document.querySelector('#view').innerText.match(/wan0\\s+wan1\\s+.*lost \\d+ of \\d+ probes/)",
    );
    page.browser.wait("the switch in the day", "document.querySelector('.failover-day .switch')");
    page.browser.wait("the trouble in the day", "document.querySelector('.failover-day [data-state=offline]')");
    page.browser.screenshot("status-cut");
    // A standby's trouble moves nothing, and does not wait for the day's next minute either.
    page.world.provider(2).silent(true);
    page.call("failover", "check", &json!({ "provider": "wan2" }));
    page.browser.wait(
        "the standby's trouble in the day",
        "document.querySelectorAll('.failover-day rect[data-state=offline]').length == 2",
    );
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

#[test]
fn traffic_is_moved_by_hand() {
    let page = Page::new(lab(3));
    let daemon = page.start();
    page.open(User::Admin, STATUS);
    let use_wan2 = "[aria-label='Use this one: wan2']";
    page.browser.click(use_wan2);
    page.browser.wait_text("#modal_overlay", "Traffic moves from wan0 to wan2 now");
    page.browser.screenshot("status-pin");
    page.browser.press(ESCAPE);
    page.browser.wait("the question to go", "!document.body.classList.contains('modal-overlay-active')");
    page.browser
        .wait("the focus where it was", &format!("document.activeElement === document.querySelector(\"{use_wan2}\")"));
    page.browser.click(use_wan2);
    page.browser.wait_text("#modal_overlay", "Traffic moves from wan0 to wan2 now");
    page.browser.press(ENTER);
    page.world.wait_line(&daemon, "pinned to wan2");
    page.world.wait_route(2);
    page.browser.wait_text(SENTENCE, "Online through wan2 for");
    page.browser.wait_text(SENTENCE, "pinned");
    page.browser.wait("the role", &format!("{}.innerText.includes('Pinned')", row("wan2")));
    page.browser.wait("the focus on what undoes it", "document.activeElement.textContent == 'Automatic'");

    let button = |label: &str| {
        let find = format!(
            "[...document.querySelectorAll('.failover-hero button')].find(it => it.offsetParent && it.textContent == '{label}')"
        );
        page.browser.wait(label, &find);
        page.browser.run(&format!("{find}.click()"), json!([]));
    };
    button("Check now");
    page.world.wait_line(&daemon, "all providers: check asked for");
    button("Automatic");
    page.browser.wait_text("#modal_overlay", "Traffic may move away from wan2");
    page.browser.press(ENTER);
    page.world.wait_line(&daemon, "unpinned");
    page.world.wait_route(0);
    page.browser.wait_text(SENTENCE, "Online through wan0 for");
    page.browser.wait("'Automatic' to go", "![...document.querySelectorAll('.failover-hero button')].some(it => it.offsetParent && it.textContent == 'Automatic')");

    // One provider alone, from what its row unfolds to.
    page.browser.run(&format!("{}.querySelector('button').click()", row("wan1")), json!([]));
    page.browser.click("[aria-label='Check now: wan1']");
    page.world.wait_line(&daemon, "wan1: check asked for");
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

#[test]
fn a_pin_in_the_settings_is_not_taken_for_one_by_hand() {
    let page = Page::new(lab(2));
    let pinned: Vec<_> = BRISK.into_iter().chain([("pin", "wan1")]).collect();
    page.world.configure(&page.world.lab.uci(&pinned));
    let daemon = page.start();
    page.open(User::Admin, STATUS);
    page.browser.wait_text(SENTENCE, "Online through wan1");
    let hero = page.browser.text(".failover-hero");
    assert!(hero.contains("The pin comes from the settings.") && !hero.contains("Automatic"), "{hero}");
    page.world.stop(&daemon);
}

#[test]
fn without_an_answer_the_page_is_grey_and_revives_by_itself() {
    let page = Page::alone(lab(2));
    let daemon = page.start();
    page.open(User::Admin, STATUS);
    page.browser.click(".failover-toggle");
    page.browser.wait_text(SENTENCE, "Online through wan0");
    page.world.provider(0).silent(true);
    page.browser.wait_text(SENTENCE, "nline through wan1");
    page.world.provider(0).silent(false);
    daemon.kill().unwrap();
    page.browser.wait_text(EXCUSE, "failoverd is not running");
    page.browser.wait_text(EXCUSE, "Below is what was known ");
    assert_eq!(page.browser.count(STALE), 1);
    assert!(page.browser.text(SENTENCE).contains("nline through wan1"), "what was last known stays");
    page.assert_accessible();
    page.browser.screenshot("status-grey");

    let daemon = page.start();
    let back = page.browser.wait("the page to revive", &format!("!document.querySelector('{STALE}')"));
    assert!(back < 5 * SECOND, "{back:?} after the daemon was back");
    page.browser.wait_text(SENTENCE, "Online through wan");
    assert_eq!(page.browser.value("document.querySelector('.failover-toggle').ariaExpanded"), "true", "still unfolded");
    // What the run before knew is not this one's: its seconds count from another start.
    page.browser
        .wait("the new run's switches alone", "!document.querySelector('#view').innerText.includes(' probes to ')");
    page.browser.wait("the new run's day", "document.querySelectorAll('.failover-day [data-state]').length == 2");

    page.bridge.rpcd(Rpcd::Silent);
    page.browser.wait("grey while rpcd is silent", &format!("document.querySelector('{STALE}')"));
    page.bridge.rpcd(Rpcd::Fine);
    page.browser.wait("the page to revive again", &format!("!document.querySelector('{STALE}')"));
    // Without rpcd there are no sessions: LuCI itself stops all polling and asks for a new login.
    page.bridge.rpcd(Rpcd::Gone);
    page.browser.wait("grey without rpcd", &format!("document.querySelector('{STALE}')"));
    page.world.stop(&daemon);
}

#[test]
fn a_page_that_is_open_before_the_daemon_waits_for_it() {
    let page = Page::new(lab(2));
    page.open(User::Admin, STATUS);
    page.browser.wait_text(EXCUSE, "failoverd is not running");
    let daemon = page.start();
    page.browser.wait_text(SENTENCE, "Online through wan0");
    page.world.stop(&daemon);
}

#[test]
fn what_others_have_named_is_text() {
    let page = Page::new(lab(2));
    let uci = page.world.lab.uci(&BRISK);
    let named =
        uci.replace("config provider 'wan0'\n", &format!("config provider 'wan0'\n\toption description '{MARKUP}'\n"));
    let device = "<b>bold";
    page.world.configure(&format!(
        "{named}\nconfig provider 'odd'\n\toption device '{device}'\n\toption gateway '192.0.2.9'\n"
    ));
    let daemon = page.world.launch();
    for name in ["wan0", "wan1"] {
        page.world.wait_line(&daemon, &format!("{name} online"));
    }
    // Refused, and told so.
    page.world.configure(&format!("{named}\nconfig provider 'worse'\n\toption interval '{MARKUP}'\n"));
    daemon.signal(SIGHUP).unwrap();
    page.world.wait_line(&daemon, "configuration refused");
    page.open(User::Admin, STATUS);
    page.browser.wait("a row of each", "document.querySelectorAll('.failover-provider').length == 3");
    for toggle in 0..3 {
        page.browser.run("document.querySelectorAll('.failover-toggle')[arguments[0]].click()", json!([toggle]));
    }
    let shown = page.browser.text("#view");
    assert!(shown.contains(&format!("interval '{MARKUP}'")), "as a problem: {shown}");
    assert_eq!(page.browser.text(".failover-minor"), MARKUP, "as a description");
    assert!(shown.contains(&format!("no device {device}")), "as a reason: {shown}");
    assert_eq!(page.browser.count("#view img, #view b"), 0);
    page.open(User::Admin, "admin/status/overview");
    page.browser.wait_text(SENTENCE, "Online through wan0");
    assert_eq!(page.browser.count("#view img, #view b"), 0);
    page.world.stop(&daemon);
}

#[test]
fn who_may_only_read_has_nothing_to_press() {
    let page = Page::new(lab(2));
    let daemon = page.start();
    page.open(User::Reader, STATUS);
    page.browser.wait_text(SENTENCE, "Online through wan0");
    page.browser.click(".failover-toggle");
    page.browser.wait_text(".failover-more", "1.1.1.1");
    assert_eq!(buttons_to_read(&page), json!(["wan0", "wan1"]), "they only unfold");
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

#[test]
fn a_tab_that_nobody_sees_asks_nothing() {
    let page = Page::alone(lab(2));
    let daemon = page.start();
    page.open(User::Admin, STATUS);
    page.browser.wait_text(SENTENCE, "Online through wan0");
    page.browser.hidden(true);
    // What was on its way may still arrive.
    std::thread::sleep(SECOND);
    page.bridge.take_exchanges();
    std::thread::sleep(6 * SECOND);
    assert_eq!(page.bridge.take_exchanges().len(), 0, "in three times the interval");
    assert_eq!(page.browser.count(STALE), 0, "nor is anything put off until somebody looks");
    page.world.provider(0).silent(true);
    page.world.wait_route(1);
    page.browser.hidden(false);
    let told = page.browser.wait_text(SENTENCE, "nline through wan1");
    assert!(told < 2 * SECOND, "{told:?}: at once, without waiting for the next turn");
    page.world.stop(&daemon);
}

#[test]
fn a_poll_costs_little() {
    let page = Page::alone(lab(8));
    let daemon = page.start();
    page.open(User::Admin, STATUS);
    page.browser.wait("a row of each", "document.querySelectorAll('.failover-provider').length == 8");
    page.browser.run("document.querySelectorAll('.failover-toggle').forEach(it => it.click())", json!([]));
    page.bridge.take_exchanges();
    let (before, from) = (page.browser.script_time(), Instant::now());
    std::thread::sleep(20 * SECOND);
    let exchanges = page.bridge.take_exchanges();
    let (spent, took) = (page.browser.script_time() - before, from.elapsed());
    let (countings, exchanges): (Vec<_>, Vec<_>) =
        exchanges.into_iter().partition(|it| it.calls == ["failover.connections"]);
    assert!(countings.len() <= 4, "connections were counted {} times in {took:?}", countings.len());
    let polls = u32::try_from(exchanges.len()).unwrap();
    assert!(polls >= 8, "{polls} polls in {took:?}");
    assert!(
        f64::from(polls) <= took.as_secs_f64() / 2.0 + 1.5,
        "{polls} requests in {took:?}: more than one each two seconds"
    );
    for exchange in &exchanges {
        let calls: Vec<&str> = exchange.calls.iter().map(String::as_str).collect();
        assert_eq!(calls.get(..3), Some(&["failover.status", "failover.why", "failover.series"][..]), "{calls:?}");
        assert!(exchange.reply_bytes < 16_000, "{} bytes for {calls:?}", exchange.reply_bytes);
    }
    let each = spent / polls;
    let most = exchanges.iter().map(|it| it.reply_bytes).max();
    println!("8 providers, unfolded: {polls} polls, {each:?} of scripting each, replies of at most {most:?} bytes");
    assert!(each < Duration::from_millis(20), "{each:?} of scripting a poll");
    page.browser.screenshot("status-eight");
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

#[test]
fn what_somebody_has_unfolded_marked_or_focused_stays_so() {
    let page = Page::new(lab(2));
    let daemon = page.start();
    page.open(User::Admin, STATUS);
    page.browser.wait_text(SENTENCE, "Online through wan0");
    page.browser.run("document.querySelector('.failover-toggle').focus()", json!([]));
    page.browser.press(ENTER);
    page.browser.wait_text(".failover-more", "1.1.1.1");
    page.browser.run("getSelection().selectAllChildren(document.querySelector('.failover-facts dd'))", json!([]));
    let marked = page.browser.value("String(getSelection())");
    assert_ne!(marked, "");
    page.world.provider(0).silent(true);
    page.browser.wait_text(SENTENCE, "nline through wan1");
    page.bridge.take_exchanges();
    let mut polls = 0;
    wait_for(SOON, "three more polls", || {
        polls += page.bridge.take_exchanges().len();
        polls >= 3
    })
    .unwrap();
    assert_eq!(page.browser.value("String(getSelection())"), marked);
    assert_eq!(page.browser.value("document.activeElement === document.querySelector('.failover-toggle')"), true);
    assert_eq!(page.browser.value("document.querySelector('.failover-toggle').ariaExpanded"), "true");
    page.world.stop(&daemon);
}

#[test]
fn a_router_without_providers_is_shown_the_way() {
    let page = Page::new(lab(1));
    page.world.configure("config failover 'settings'\n");
    let daemon = page.world.launch();
    page.open(User::Admin, STATUS);
    page.browser.wait_text(".failover-welcome", "Welcome");
    let said = page.browser.text("#view");
    assert!(!said.contains("failoverd init"), "a command for those who never open a shell: {said}");
    let link = page.browser.value("document.querySelector('.failover-welcome a')?.getAttribute('href')");
    assert!(link.as_str().unwrap_or_default().ends_with("/admin/network/failover"), "{link}");
    page.assert_accessible();
    page.open(User::Admin, "admin/status/overview");
    page.browser.wait_text(".failover-sentence", "Set up providers");
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

#[test]
fn the_overview_has_the_sentence_and_a_badge_for_each() {
    let page = Page::new(lab(3));
    page.open(User::Reader, "admin/status/overview");
    let daemon = page.start();
    // The overview asks every five seconds.
    page.browser.wait_text(SENTENCE, "Online through wan0");
    let badges = page.browser.text(".failover-badges");
    assert_eq!(badges.split_whitespace().collect::<Vec<_>>(), ["wan0", "Online", "wan1", "Online", "wan2", "Online"]);
    page.assert_accessible();
    page.browser.screenshot("overview");
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}

#[test]
fn light_dark_and_on_a_phone_for_everybody() {
    let page = Page::new(LabConfig { identical: false, ..lab(3) });
    for provider in page.world.lab.providers() {
        provider.delay(Duration::from_millis(8 + 15 * u64::from(provider.number())), Duration::from_millis(2));
    }
    let daemon = page.start();
    page.world.provider(1).carrier(false).unwrap();
    for (name, dark, width) in [
        ("light", false, Width::Desk),
        ("dark", true, Width::Desk),
        ("phone", false, Width::Phone),
        ("phone-dark", true, Width::Phone),
    ] {
        page.browser.dark(dark);
        page.browser.width(width);
        page.open(User::Admin, STATUS);
        page.browser.wait("wan1's cable missed", &format!("{}.querySelector('[data-state=no_carrier]')", row("wan1")));
        page.browser.run("document.querySelector('.failover-toggle').click()", json!([]));
        page.browser.wait_text(".failover-more", "1.1.1.1");
        if width == Width::Phone {
            page.browser.chrome(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": 360, "height": 740, "screenWidth": 360, "screenHeight": 740, "deviceScaleFactor": 2, "mobile": true }),
            );
        }
        let beyond = page.browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(beyond, 0, "{name}: pixels beyond the window");
        page.browser.screenshot(&format!("status-{name}"));
        page.assert_accessible();
    }
    page.browser.assert_no_errors();
    page.world.stop(&daemon);
}
