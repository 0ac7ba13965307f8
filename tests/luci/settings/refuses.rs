//! What the page refuses, and in whose words; that its limits are the daemon's.

use super::*;

#[test]
fn what_the_daemon_refuses_is_not_saved() {
    let router = Router::new(TWO);
    type Act = fn(&Router);
    let in_modal: [(Act, &str, &str); 5] = [
        (
            |it| {
                it.edit("fiber");
                it.modal_tab("checks");
                it.fill(MODAL, "interval", "0")
            },
            "provider 'fiber': interval '0' must be between 50ms and 1h",
            "a limit",
        ),
        (
            |it| {
                it.edit("lte");
                it.choose("interface", "wan")
            },
            "provider 'lte': interface 'wan' is used by provider 'fiber' already",
            "two providers on one line",
        ),
        (
            |it| {
                it.edit("lte");
                it.choose("device", "wan0")
            },
            "provider 'lte': has both interface and device: keep interface where netifd manages the line",
            "an interface or a device",
        ),
        (
            |it| {
                it.add(PROVIDERS, "new");
                it.modal_opens()
            },
            "provider 'new': needs option interface or option device",
            "neither",
        ),
        (
            |it| {
                it.tab("test");
                it.add(TESTS, "self");
                it.modal_opens();
                it.browser().type_into(&format!("{MODAL} [data-name=target] .add-item input"), "127.0.0.1")
            },
            "test 'self': target '127.0.0.1' is not the address of another machine",
            "what only the daemon knows of an address",
        ),
    ];
    for (act, words, why) in in_modal {
        router.open();
        act(&router);
        router.browser().click(".modal .cbi-button-positive");
        router.browser().wait_text(&format!("{MODAL} .alert-message"), words);
        assert_eq!(router.changes(), json!({}), "{why}");
        router.dismiss();
    }

    router.open();
    router.tab("failover");
    router.fill(SETTINGS, "failback_delay", "soon");
    router.apply();
    router.browser().wait_text(NOTES, "settings: failback_delay 'soon' is not a duration (like 5, 0.3, 300ms or 2m)");
    router.browser().screenshot("settings-refused");
    assert_eq!((router.changes(), router.config()), (json!({}), TWO.to_owned()), "nothing is staged, nothing written");
    router.fill(SETTINGS, "failback_delay", "2m");
    router.apply();
    router.wait_config(
        &format!("\nconfig failover 'settings'\n\toption failback_delay '2m'\n\n{TWO}\n"),
        "mended, it is saved",
    );

    // Somebody's mistake is shown before anything is touched.
    router.page.world.configure(&TWO.replace("metered", "metirc"));
    router.open();
    let words = "provider 'lte': unknown option 'metirc' (did you mean 'priority'?)";
    assert_eq!(router.problems(&router.config()), [words]);
    router.browser().wait_text(NOTES, words);
}

#[test]
fn html_in_a_file_is_text() {
    let html = "<img src=x onerror=alert(1)>";
    let mut text = String::new();
    for (kind, name) in [("failover", "settings"), ("provider", "one"), ("test", "two"), ("rule", "three")] {
        text.push_str(&format!("config {kind} '{name}'\n"));
        let schema = failoverd::settings::export();
        let of_kind = |it: &&Value| it["sections"].as_array().unwrap().contains(&json!(kind));
        for option in schema["options"].as_array().unwrap().iter().filter(of_kind) {
            let word = if option["list"] == true { "list" } else { "option" };
            text.push_str(&format!("\t{word} {} '{html}'\n", option["name"].as_str().unwrap()));
        }
    }
    let router = Router::new(TWO);
    router.page.world.configure(&text);
    router.open();
    router.browser().wait_text(NOTES, &format!("provider 'one': weight '{html}' must be between 1 and 256"));
    router.edit("one");
    router.modal_tab("checks");
    router.dismiss();
    router.tab("test");
    router.edit("two");
    router.dismiss();
    router.tab("rule");
    router.edit("three");
    router.dismiss();
    router.tab("failover");
    assert_eq!(router.browser().count("img[src=x]"), 0);
    assert_eq!(router.changes(), json!({}));
}

#[test]
fn a_name_is_taken_once() {
    let router = Router::new(TWO);
    router.open();
    for name in ["fiber", "settings"] {
        router.add(PROVIDERS, name);
        router.browser().wait_text(NOTES, name);
        assert_eq!(router.browser().value(OPEN), false);
    }
    let field = format!("{PROVIDERS} .cbi-section-create-name");
    router.browser().clear(&field);
    router.browser().type_into(&field, "no-name");
    router
        .browser()
        .wait("a refusal", &format!("document.querySelector({}).matches('.cbi-input-invalid')", json!(field)));
    assert_eq!(router.changes(), json!({}));
}

#[test]
fn the_pages_limits_are_the_daemons() {
    let router = Router::new(TWO);
    let schema = router.page.call("failover", "schema", &json!({}));
    router.open();
    let mut tried = 0;
    for section in ["failover", "provider", "test"] {
        let scope = if section == "failover" { SETTINGS } else { MODAL };
        if section == "provider" {
            router.edit("fiber");
        } else if section == "test" {
            router.dismiss();
            router.tab("test");
            router.add(TESTS, "one");
            router.modal_opens();
        }
        for option in schema["options"].as_array().unwrap() {
            let (name, kind) = (option["name"].as_str().unwrap(), option["type"].as_str().unwrap());
            let (Some(min), Some(max)) = (option["min"].as_u64(), option["max"].as_u64()) else { continue };
            if !option["sections"].as_array().unwrap().contains(&json!(section)) {
                continue;
            }
            let of_type = option["types"][0].as_str().unwrap_or("ping");
            if section == "test" {
                router.select(MODAL, "type", of_type);
            }
            let unit = if matches!(kind, "duration" | "drain") { "ms" } else { "" };
            let numbers = [min.checked_sub(1), Some(min), Some(max), Some(max + 1)];
            let words = ["5", "0.3", "2m", "all", "-1", "1e3", "5 s", "x"].map(str::to_owned);
            for value in numbers.into_iter().flatten().map(|number| format!("{number}{unit}")).chain(words) {
                let shown = router.browser().run(TRY, json!([format!("{scope} [data-name={name}] input"), value]));
                // Alone: what contradicts another option is no limit.
                let config = match section {
                    "failover" => format!("config failover 'settings'\n\toption {name} '{value}'\n"),
                    "test" => format!("config test 'one'\n\toption type '{of_type}'\n\toption {name} '{value}'\n"),
                    _ => format!("config provider 'fiber'\n\toption interface 'wan'\n\toption {name} '{value}'\n"),
                };
                let problems = router.problems(&config);
                let must = format!("{name} '{value}' must be {}", option["must"].as_str().unwrap());
                let refused = problems.iter().find(|line| line.contains(&must) || line.contains("is not a duration"));
                assert_eq!(
                    shown.is_null(),
                    refused.is_none(),
                    "{section} {name} '{value}': the page says {shown}, the daemon {problems:?}"
                );
                if let Some(words) = refused.filter(|line| line.contains("must be")) {
                    assert!(words.ends_with(shown.as_str().unwrap()), "{words}: {shown}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn the_page_takes_the_targets_that_the_daemon_takes() {
    const HTTPS: &str = "cannot be asked, as failoverd speaks no TLS: use a test of type tcp with port 443";
    let router = Router::new("");
    let long = format!("{}.example", "a".repeat(63));
    router.open();
    router.tab("test");
    router.add(TESTS, "one");
    router.modal_opens();
    for (kind, option, values) in [
        ("ping", "target", &["1.1.1.1", "one.example", "One.Example.", &long, "a_b.example", "x"][..]),
        (
            "ping",
            "target",
            &["1.1.1.1:80", "1.1.1.1 8.8.8.8", "999.1.1.1", "1.1.1", "-a.example", "a..b", "http://a", "[::1]"],
        ),
        ("ping", "target", &["::1", "a-.b", "1.1.1.1/8", "https://one.example", &long[1..], "é.example", ".", "a$b"]),
        ("ping", "target", &["a234567890.a234567890123456789012345678901234567890123456789012345678901234.example"]),
        (
            "tcp",
            "target",
            &["1.1.1.1", "one.example:853", "one.example:65535", "one.example:65536", "one.example:0", "a:443"],
        ),
        (
            "tcp",
            "target",
            &["one.example:https", "one.example:", ":443", "2606:4700::1111", "one.example/x", "https://a"],
        ),
        ("dns", "target", &["9.9.9.9", "9.9.9.9:5353", "dns.example", "9.9.9.9:x", "https://dns.example/query"]),
        (
            "http",
            "target",
            &["http://one.example", "http://192.0.2.1:8080/a?b=c", "http://one.example/a b", "one.example/"],
        ),
        (
            "http",
            "target",
            &["http:///", "http://[::1]/", "http://a:0/", "https://one.example/", "ftp://one.example/", "HTTP://a"],
        ),
        ("exec", "target", &["anything at all", "https://one.example/"]),
        ("exec", "script", &["/root/check.sh", "check.sh", "./check.sh"]),
        ("dns", "query", &["one.example", "one example", "-one", "one.example."]),
    ] {
        router.select(MODAL, "type", kind);
        for value in values {
            let field = format!("{MODAL} [data-name={option}] input[type=text]");
            let shown = router.browser().run(TRY, json!([field, value]));
            let word = if option == "target" { "list" } else { "option" };
            let config = format!("config test 'one'\n\toption type '{kind}'\n\t{word} {option} '{value}'\n");
            let about = format!("test 'one': {option} '");
            let problems = router.problems(&config);
            let refused = problems.iter().find(|line| line.starts_with(&about));
            assert_eq!(
                shown.is_null(),
                refused.is_none(),
                "{kind} {option} '{value}': the page says {shown}, the daemon {problems:?}"
            );
            if value.starts_with("https") && kind != "exec" {
                assert_eq!(shown, HTTPS, "{kind}");
                assert_eq!(*refused.unwrap(), format!("{about}{value}' {HTTPS}"));
            }
        }
    }
}
