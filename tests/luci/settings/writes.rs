//! What the page writes: golden files, before and after it has been used.

use super::*;

#[test]
fn what_is_written_is_what_a_person_would_write() {
    let router = Router::new(TWO);
    type Act = fn(&Router);
    let cases: [(&str, Act, &str); 10] = [
        ("full", edit_one_field, "nothing of a file of every option is lost"),
        (
            "no_settings",
            |it| {
                it.tab("failover");
                it.select(SETTINGS, "failback", "manual")
            },
            "a named section, on top",
        ),
        ("add", add_two, "what was chosen, no defaults"),
        ("order", drag_and_clear, "the order, although an option goes with it"),
        (
            "defaults",
            change_flags,
            "a flag where it is not the default, a value that equals the default since it was typed",
        ),
        ("remove", |it| it.browser().click("tr[data-sid=fiber] .cbi-button-remove"), "a section less"),
        ("tests", add_a_test, "lists"),
        ("types", add_one_of_each_type, "a test of each type, with what belongs to it"),
        ("switch", switch_types, "what the new type does not have goes, what it has stays"),
        ("quality", limit_and_recover, "limits of quality and what is done about a dead line, for all and for one"),
    ];
    for (name, act, why) in cases {
        router.page.world.configure(&golden(&format!("{name}.before")));
        router.open();
        act(&router);
        router.apply();
        router.wait_config(&golden(&format!("{name}.after")), &format!("{name}: {why}"));
        // LuCI loads the page again.
        router.browser().wait("the page after it", &format!("!{OPEN} && document.querySelector({})", json!(PROVIDERS)));
    }
    router.assert_nothing_uncaught();
}

fn edit_one_field(router: &Router) {
    for section in ["fiber", "lte", "old"] {
        router.edit(section);
        router.save_modal();
    }
    router.tab("test");
    router.edit("web");
    router.save_modal();
    router.tab("rule");
    for rule in 0..2 {
        router.edit_nth(RULES, rule);
        router.save_modal();
    }
    assert_eq!(router.changes(), json!({}), "looking changes nothing");
    router.tab("provider");
    router.edit("fiber");
    router.browser().screenshot("settings-modal");
    router.page.assert_accessible();
    router.fill(MODAL, "weight", "4");
    router.save_modal();
    assert_eq!(router.changes(), json!({ "failover": [["set", "fiber", "weight", "4"]] }));
    assert_eq!(router.browser().count("img[src=x]"), 0, "a description is text");
}

fn add_two(router: &Router) {
    router.add(PROVIDERS, "spare");
    router.modal_opens();
    router.choose("interface", "wanb");
    router.tick(MODAL, "metered");
    router.save_modal();
    router.add(PROVIDERS, "stick");
    router.modal_opens();
    router.fill(MODAL, "description", "The 'old' one");
    router.choose("device", "wan1");
    router.modal_tab("checks");
    router.fill(MODAL, "interval", "300ms");
    router.modal_tab("advanced");
    router.fill(MODAL, "gateway", "none");
    router.save_modal();
}

fn drag_and_clear(router: &Router) {
    router.browser().run("document.querySelector('tr[data-sid=lte] .drag-handle').focus()", json!([]));
    router.browser().press(UP);
    let order = || {
        router
            .browser()
            .value("Array.from(document.querySelectorAll('tr[data-sid]'), row => row.dataset.sid).slice(0, 2)")
    };
    wait_for(SOON, "the row above", || order() == json!(["lte", "fiber"])).unwrap();
    router.edit("lte");
    router.tick(MODAL, "metered");
    router.save_modal();
}

fn change_flags(router: &Router) {
    router.edit("fiber");
    router.tick(MODAL, "enabled");
    router.save_modal();
    router.edit("lte");
    router.tick(MODAL, "metered");
    router.tick(MODAL, "metered");
    router.save_modal();
    router.tab("failover");
    router.tick(SETTINGS, "enabled");
    router.select(SETTINGS, "last_resort", "first");
    router.select(SETTINGS, "pin", "lte");
    router.tab("checks");
    router.fill(SETTINGS, "interval", "0.3");
    router.fill(SETTINGS, "up", "3");
}

fn add_a_test(router: &Router) {
    router.tab("test");
    router.add(TESTS, "near");
    router.modal_opens();
    for target in ["192.0.2.1", "192.0.2.3", "192.0.2.2"] {
        router.enter("target", target);
    }
    let third = format!("{MODAL} [data-name=target] .item:nth-child(2)");
    router.browser().run("document.querySelector(arguments[0]).focus()", json!([third]));
    router.browser().press(DELETE);
    router.save_modal();
    router.tab("provider");
    router.edit("fiber");
    router.choose("test", "near");
    router.save_modal();
}

fn add_one_of_each_type(router: &Router) {
    type Fill = fn(&Router);
    let all: [(&str, Fill); 6] = [
        ("ping", |it| {
            it.enter("target", "one.example");
            it.fill(MODAL, "size", "1000");
            it.fill(MODAL, "ttl", "9");
        }),
        ("tcp", |it| {
            it.enter("target", "192.0.2.1");
            it.enter("target", "one.example:853");
        }),
        ("dns", |it| {
            it.enter("target", "192.0.2.1");
            it.fill(MODAL, "query", "one.example");
            it.select(MODAL, "record", "AAAA");
            it.fill(MODAL, "expect", "2001:db8::1");
        }),
        ("http", |it| {
            it.enter("target", "http://192.0.2.1:8080/a?b=c");
            it.enter("status", "302");
            it.enter("status", "204");
            it.fill(MODAL, "expect", "all is 'well'");
        }),
        ("arp", |_| {}),
        ("exec", |it| {
            it.enter("target", "anything at all");
            it.fill(MODAL, "script", "/root/check.sh");
        }),
    ];
    router.tab("test");
    for (kind, fill) in all {
        router.add(TESTS, &format!("by_{kind}"));
        router.modal_opens();
        router.select(MODAL, "type", kind);
        fill(router);
        router.save_modal();
    }
    router.browser().screenshot("settings-tests");
}

fn switch_types(router: &Router) {
    router.tab("test");
    router.edit("names");
    router.select(MODAL, "type", "ping");
    router.save_modal();
    router.edit("page");
    router.select(MODAL, "type", "arp");
    router.save_modal();
    // There and back again is nothing.
    router.edit("script");
    router.select(MODAL, "type", "http");
    router.select(MODAL, "type", "exec");
    router.save_modal();
}

fn limit_and_recover(router: &Router) {
    router.edit("lte");
    router.tick(MODAL, "cold_standby");
    router.modal_tab("checks");
    router.enter("resolver", "192.0.2.53");
    router.modal_tab("quality");
    router.browser().screenshot("settings-quality");
    router.fill(MODAL, "max_latency", "400ms");
    router.fill(MODAL, "recover_latency", "0.3");
    router.modal_tab("recovery");
    router.select(MODAL, "recover", "exec");
    router.fill(MODAL, "recover_after", "10m");
    router.fill(MODAL, "recover_script", "/root/reset-modem.sh");
    router.page.assert_accessible();
    router.save_modal();
    router.tab("failover");
    router.tab("quality");
    router.fill(SETTINGS, "max_loss", "20");
    router.tab("recovery");
    router.select(SETTINGS, "recover", "renew");
}

#[test]
fn a_file_with_every_option_is_one() {
    let text = golden("full.before");
    let file = uci::parse(text.as_bytes());
    let schema = failoverd::settings::export();
    for option in schema["options"].as_array().unwrap() {
        for section in option["sections"].as_array().unwrap() {
            let name = option["name"].as_str().unwrap();
            let of_kind = |it: &&uci::Section| section == it.kind.as_str();
            assert!(file.sections.iter().filter(of_kind).any(|it| it.option(name).is_some()), "{name} in {section}");
        }
    }
}
