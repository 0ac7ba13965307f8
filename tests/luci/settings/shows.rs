//! What the page shows: to a new user, without the daemon, to whoever may only look.

use super::*;

#[test]
fn without_a_provider_the_page_offers_what_init_would_write() {
    let router = Router::new("config failover 'settings'\n\toption log_level 'debug'\n");
    let world = &router.page.world;
    let drafted = world.ask(&[
        "init",
        "--dry-run",
        "-c",
        world.config().to_str().unwrap(),
        "-s",
        world.broker.path().to_str().unwrap(),
    ]);
    router.open();
    router.browser().wait_text("#view", "These lines to the internet were found");
    router.browser().screenshot("settings-first-run");
    router.page.assert_accessible();
    router.browser().wait_text("#view", "the default route leads through it now");
    router.browser().click("#view .cbi-button-action.important:not(.cbi-page-actions *)");
    let sections = |text: &str| -> Vec<_> {
        let with_names = |it: uci::UciOption| match it.value {
            uci::UciValue::List(items) => {
                (it.name, uci::UciValue::List(items.into_iter().map(|item| uci::Item { line: 0, ..item }).collect()))
            }
            single => (it.name, single),
        };
        let all = uci::parse(text.as_bytes()).sections.into_iter().filter(|it| it.kind != "failover");
        all.map(|it| (it.kind, it.name, it.options.into_iter().map(with_names).collect::<Vec<_>>())).collect()
    };
    let wanted = sections(&drafted);
    assert!(wanted.iter().any(|(kind, ..)| kind == "provider"), "{drafted}");
    wait_for(SOON, "the draft in the file", || sections(&router.config()) == wanted).unwrap_or_else(|error| {
        panic!("{error}: {}\n--- wanted\n{drafted}\n{}", router.config(), router.browser().text("body"))
    });
    assert!(router.config().contains("option log_level 'debug'"), "what was there stays: {}", router.config());
    router.browser().wait("the providers in the grid", "document.querySelector('tr[data-sid]')");
}

#[test]
fn what_is_odd_is_told_and_saved() {
    let router = Router::new(TWO);
    router.open();
    router.add(PROVIDERS, "third");
    router.modal_opens();
    router.choose("interface", "fixed");
    router.save_modal();
    let warning = "interface 'fixed' is static and has no gateway";
    router.browser().wait_text(NOTES, warning);
    router.page.assert_accessible();
    router.apply();
    router.wait_config(
        &format!("\n{TWO}\nconfig provider 'third'\n\toption interface 'fixed'\n\n"),
        "a warning is no refusal",
    );
    router.browser().wait_text(NOTES, warning);
}

#[test]
fn without_the_daemon_the_main_options_can_be_set() {
    let router = Router::without_daemon(TWO);
    router.open();
    router.browser().wait_text(NOTES, "failoverd does not answer");
    router.browser().screenshot("settings-no-daemon");
    router.page.assert_accessible();
    router.edit("lte");
    router.fill(MODAL, "weight", "7");
    router.save_modal();
    router.apply();
    router.wait_config(&format!("\n{TWO}\toption weight '7'\n\n"), "saved without being asked for");
}

#[test]
fn the_focus_comes_back_from_a_modal() {
    let router = Router::new(&golden("full.before"));
    router.open();
    let back = || {
        router.browser().wait(
            "the focus on the button that opened the modal",
            "document.activeElement.matches('tr[data-sid=lte] .cbi-button-edit')",
        );
    };
    router.edit("lte");
    let name = "document.querySelector('.modal').getAttribute('aria-label')";
    router.browser().wait("the name of the dialog", &format!("{name} == 'Provider lte'"));
    router.browser().press(ESCAPE);
    back();
    router.edit("lte");
    router.save_modal();
    back();
    router.browser().assert_no_errors();
}

#[test]
fn who_may_not_write_can_look() {
    let router = Router::new(&golden("full.before"));
    router.open_as(User::Reader);
    let usable = |scope: &str| {
        let controls = format!(
            "Array.from(document.querySelectorAll('{scope}'), it => it.querySelectorAll('input:not([type=hidden]):not(:disabled), select:not(:disabled), .drag-handle').length)"
        );
        router.browser().value(&format!("{controls}.reduce((a, b) => a + b, 0)"))
    };
    assert_eq!(usable("#view .cbi-map"), 0, "nothing to change in the page");
    assert!(!router.browser().text("#view").contains("Drag the rows"), "nor said to be possible");
    router.edit("fiber");
    assert_eq!(
        router.browser().value(&format!("document.querySelector('{MODAL} [data-name=weight] input').value")),
        "3"
    );
    let open_fields = format!(
        "document.querySelectorAll('{MODAL} input:not([type=hidden]):not(:disabled):not(.create-item-input), .modal .cbi-button-positive:not(:disabled)').length"
    );
    assert_eq!(router.browser().value(&open_fields), 0, "nor in the modal");
    router.page.assert_accessible();
    router.browser().assert_no_errors();
}

#[test]
fn how_it_looks() {
    let router = Router::new(&golden("full.before"));
    for (dark, width, name) in
        [(false, Width::Desk, "light"), (true, Width::Desk, "dark"), (true, Width::Phone, "phone")]
    {
        router.browser().dark(dark);
        router.browser().width(width);
        router.open();
        router.browser().screenshot(&format!("settings-{name}"));
        router.page.assert_accessible();
        router.tab("failover");
        router.browser().screenshot(&format!("settings-{name}-settings"));
        router.page.assert_accessible();
        router.tab("provider");
        let wide = router.browser().value("document.documentElement.scrollWidth - window.innerWidth").as_i64().unwrap();
        assert!(wide <= 0, "{name}: {wide} px too wide");
    }
    router.browser().assert_no_errors();
    drop(router.daemon);
}

#[test]
fn a_type_shows_what_belongs_to_it() {
    let router = Router::new(
        "config test 'names'\n\toption type 'dns'\n\tlist target '192.0.2.1'\n\toption expect '192.0.2.9'\n",
    );
    router.open();
    router.tab("test");
    let shown = || {
        router.browser().value(&format!(
            "[...document.querySelectorAll('{MODAL} .cbi-value')].filter(it => it.offsetParent).map(it => it.dataset.name)"
        ))
    };
    let example = || {
        router
            .browser()
            .value(&format!("document.querySelector('{MODAL} [data-name=target] .add-item input').placeholder"))
    };
    router.edit("names");
    assert_eq!(shown(), json!(["type", "target", "query", "record", "expect"]), "of a file as it is");
    router.dismiss();
    router.add(TESTS, "other");
    router.modal_opens();
    assert_eq!(
        (shown(), example()),
        (json!(["type", "target", "size", "ttl"]), json!("1.1.1.1")),
        "none chosen is ping"
    );
    for (kind, fields, target) in [
        ("http", json!(["type", "target", "status", "expect"]), "http://connectivitycheck.gstatic.com/generate_204"),
        ("tcp", json!(["type", "target"]), "1.1.1.1:443"),
        ("exec", json!(["type", "target", "script"]), ""),
        ("arp", json!(["type"]), ""),
        ("dns", json!(["type", "target", "query", "record", "expect"]), "9.9.9.9"),
        ("ping", json!(["type", "target", "size", "ttl"]), "1.1.1.1"),
        ("", json!(["type", "target", "size", "ttl"]), "1.1.1.1"),
    ] {
        router.select(MODAL, "type", kind);
        wait_for(SOON, &format!("the fields of {kind}"), || shown() == fields)
            .unwrap_or_else(|error| panic!("{error}: {}", shown()));
        assert_eq!(example(), target, "{kind}: what could be asked");
        let config = format!("config test 'x'\n\toption type '{kind}'\n\tlist target '{target}'\n");
        if !kind.is_empty() && !target.is_empty() {
            assert_eq!(router.problems(&config), [""; 0], "{kind}: the example is one");
        }
        if kind == "http" {
            router.browser().screenshot("settings-http");
            router.page.assert_accessible();
        }
    }
    router.dismiss();
    assert_eq!(router.changes(), json!({}), "looking changes nothing");
    router.browser().assert_no_errors();
}
