//! The rules and the shares: their order is the file's, what the daemon refuses is not staged, a weight says what comes of it.

use super::*;

const RULED: &str = "config provider 'fiber'\n\toption interface 'wan'\n\nconfig provider 'lte'\n\toption interface 'wwan'\n\n\
    config rule 'calls'\n\tlist use 'lte'\n\nconfig rule\n\tlist dest '192.0.2.0/24'\n\tlist use 'fiber'\n\n\
    config test 'internet'\n\tlist target '1.1.1.1'\n\nconfig rule 'mail'\n\tlist use 'fiber'\n";

/// The first cells of a grid's rows.
fn rows(router: &Router, grid: &str) -> Value {
    let cells =
        format!("Array.from(document.querySelectorAll('{grid} tr[data-sid]'), row => row.cells[0].textContent)");
    router.browser().value(&cells)
}

/// Drags a row by its handle below another one, as the browser tells a page of it.
fn drag_below(router: &Router, grid: &str, row: usize, other: usize) {
    let script =
        "const [ row, other ] = arguments[1].map(it => document.querySelectorAll(`${arguments[0]} tr[data-sid]`)[it]);
        const below = other.getBoundingClientRect().bottom - 2;
        const data = new DataTransfer();
        const tell = (node, kind) => node.dispatchEvent(
            new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data, clientX: 9, clientY: below }));
        const handle = row.querySelector('.drag-handle');
        tell(handle, 'dragstart');
        for (const kind of [ 'dragenter', 'dragover', 'drop' ])
            tell(other.cells[0], kind);
        tell(handle, 'dragend');";
    router.browser().run(script, json!([grid, [row, other]]));
}

#[test]
fn rules_stand_in_the_file_as_they_were_dragged() {
    let router = Router::new(RULED);
    router.open();
    router.tab("rule");
    assert_eq!(rows(&router, RULES), json!(["calls", "#2", "mail"]), "one without a name is called by its place");
    router.page.assert_accessible();
    router.browser().screenshot("settings-rules");
    drag_below(&router, RULES, 0, 1);
    wait_for(SOON, "the places", || rows(&router, RULES) == json!(["#1", "calls", "mail"])).unwrap();
    router.browser().run("document.querySelector('tr[data-sid=mail] .drag-handle').focus()", json!([]));
    router.browser().press(UP);
    wait_for(SOON, "the places", || rows(&router, RULES) == json!(["#1", "mail", "calls"])).unwrap();
    let focused = "document.activeElement.matches('tr[data-sid=mail] .drag-handle')";
    assert_eq!(router.browser().value(focused), true, "whoever moves a row moves it on");
    // The labels go by the place as well.
    let label = format!("document.querySelector('{RULES} tr[data-sid] .cbi-button-edit').getAttribute('aria-label')");
    router.browser().wait("the label", &format!("{label}.startsWith('#1: ')"));
    router.apply();
    let sections = |names: &[&str]| -> String {
        let one = |name: &&str| match *name {
            "" => "\nconfig rule\n\tlist dest '192.0.2.0/24'\n\tlist use 'fiber'\n".to_owned(),
            "calls" => "\nconfig rule 'calls'\n\tlist use 'lte'\n".to_owned(),
            name => format!("\nconfig rule '{name}'\n\tlist use 'fiber'\n"),
        };
        names.iter().map(one).collect()
    };
    let (providers, test) =
        (RULED.split("config rule").next().unwrap(), "\nconfig test 'internet'\n\tlist target '1.1.1.1'\n");
    let wanted =
        format!("\n{}{}{test}\n", providers.trim_end_matches('\n').to_owned() + "\n", sections(&["", "mail", "calls"]));
    router.wait_config(&wanted, "the order of the rules, and they before what stood behind them");
    router.assert_nothing_uncaught();
}

#[test]
fn rules_are_added_with_a_name_or_without() {
    let router = Router::new(TWO);
    router.open();
    router.tab("rule");
    router.browser().wait_text(RULES, "There are no rules yet.");
    router.add(RULES, "");
    router.modal_opens();
    assert_eq!(router.browser().text(".modal h4"), "Rule #1");
    router.page.assert_accessible();
    router.enter("src", "192.168.1.0/24");
    router.enter("src", "!192.168.1.9");
    router.enter("proto", "udp");
    router.enter("dest_port", "5060-5061");
    router.choose("use", "fiber");
    router.choose("use", "lte");
    // The second of them first, by the keyboard.
    let second = format!("{MODAL} [data-name=use] .item:nth-child(2)");
    router.browser().run("document.querySelector(arguments[0]).focus()", json!([second]));
    router.browser().press(UP);
    let used =
        format!("Array.from(document.querySelectorAll('{MODAL} [data-name=use] .item'), it => it.innerText.trim())");
    wait_for(SOON, "the order of the providers", || router.browser().value(&used) == json!(["lte", "fiber"])).unwrap();
    router.browser().screenshot("settings-rule");
    router.select(MODAL, "fallback", "unreachable");
    router.modal_tab("advanced");
    router.enter("dscp", "ef");
    router.tick(MODAL, "local");
    router.save_modal();
    router
        .browser()
        .wait("its row", &format!("document.querySelector('{RULES} tr[data-sid]')?.innerText.includes('lte, fiber')"));
    router.add(RULES, "office");
    router.modal_opens();
    router.tick(MODAL, "enabled");
    router.choose("use", "fiber");
    router.save_modal();
    wait_for(SOON, "both rows", || rows(&router, RULES) == json!(["#1", "office"])).unwrap();
    // A name is taken once, whatever has it.
    router.add(RULES, "lte");
    router.browser().wait_text(NOTES, "There is a section of this name already:");
    router.apply();
    let rules = "\nconfig rule\n\tlist src '192.168.1.0/24'\n\tlist src '!192.168.1.9'\n\tlist proto 'udp'\n\
        \tlist dest_port '5060-5061'\n\tlist use 'lte'\n\tlist use 'fiber'\n\toption fallback 'unreachable'\n\
        \tlist dscp 'ef'\n\toption local '1'\n\nconfig rule 'office'\n\toption enabled '0'\n\tlist use 'fiber'\n";
    router.wait_config(&format!("\n{TWO}{rules}\n"), "what was chosen, no defaults");
    router.open();
    router.tab("rule");
    router.browser().click(&format!("{RULES} tr[data-sid]:nth-child(1) .cbi-button-remove"));
    wait_for(SOON, "the row to go", || rows(&router, RULES) == json!(["office"])).unwrap();
    router.apply();
    let office = "\nconfig rule 'office'\n\toption enabled '0'\n\tlist use 'fiber'\n";
    router.wait_config(&format!("\n{TWO}{office}\n"), "one rule less");
    router.assert_nothing_uncaught();
}

#[test]
fn the_page_takes_of_a_rule_what_the_daemon_takes() {
    let router = Router::new(TWO);
    router.open();
    router.tab("rule");
    router.add(RULES, "one");
    router.modal_opens();
    router.choose("use", "fiber");
    let judged = |scope: &str, kind: &str, list: bool, values: &[&str], option: &str| {
        for value in values {
            let field = format!("{scope} [data-name={option}] input[type=text]");
            let shown = router.browser().run(TRY, json!([field, value]));
            let word = if list { "list" } else { "option" };
            let ports = if option.ends_with("_port") { "\tlist proto 'tcp'\n" } else { "" };
            let config = if kind == "rule" {
                format!("{TWO}config rule 'one'\n\tlist use 'fiber'\n{ports}\t{word} {option} '{value}'\n")
            } else {
                format!("config provider 'one'\n\toption interface 'wan'\n\t{word} {option} '{value}'\n")
            };
            let about = format!("{kind} 'one': {option} '{value}' must be ");
            let problems = router.problems(&config);
            let refused = problems.iter().find(|line| line.starts_with(&about));
            assert_eq!(
                shown.is_null(),
                refused.is_none(),
                "{option} '{value}': the page says {shown}, the daemon {problems:?}"
            );
            if let Some(words) = refused {
                assert!(words.ends_with(shown.as_str().unwrap()), "{words}: {shown}");
            }
        }
    };
    let networks = [
        "192.168.1.1",
        "192.168.0.0/16",
        "192.168.1.0/33",
        "300.1.1.1",
        "lan",
        "10.0.0.0/",
        "0.0.0.0/0",
        "10.0.0.0/30",
    ];
    for (option, values) in [
        ("src", &networks[..]),
        ("dest", &["!192.168.1.1", "! 10.0.0.0/8", "!", "!!10.0.0.1", "one.example", "10.0.0.1-10.0.0.9"]),
        ("proto", &["tcp", "udp", "icmp", "sctp", "gre", "esp", "ah", "0", "47", "255", "256", "TCP", "all", "-1"]),
        ("src_port", &["1", "65535", "65536", "8000-8100", "8100-8000", "80-80", "http", "1-", "-1", "80,443"]),
        ("dest_port", &["443", "1024-65535", "1-65536", "1:9"]),
        ("dscp", &["0", "63", "64", "ef", "le", "cs0", "cs7", "cs8", "af11", "af43", "af44", "af51", "EF", "be"]),
    ] {
        judged(MODAL, "rule", true, values, option);
    }
    router.dismiss();
    router.tab("provider");
    router.edit("fiber");
    judged(MODAL, "provider", true, &networks, "static_routes");
    let times = ["keep", "cut", "10m", "1s", "24h", "25h", "0.5", "0", "Keep", "never", "5"];
    judged(MODAL, "provider", false, &times, "drain");
    router.dismiss();

    // What only the daemon knows is asked of it.
    router.tab("rule");
    router.add(RULES, "two");
    router.modal_opens();
    router.browser().click(".modal .cbi-button-positive");
    let words = router.problems(&format!("{TWO}config rule 'two'\n"));
    let [words] = &words[..] else { panic!("{words:?}") };
    router.browser().wait_text(&format!("{MODAL} .alert-message"), words);
    assert_eq!(router.changes(), json!({}), "nothing is staged");
    router.browser().assert_no_errors();
}

#[test]
fn a_weight_says_what_comes_of_it() {
    let provider = |name: &str, device: &str, more: &str| {
        format!("config provider '{name}'\n\toption device '{device}'\n{more}\n")
    };
    let router = Router::new(
        &[
            provider("a", "wan0", "\toption priority '1'\n\toption weight '3'\n"),
            provider("b", "wan1", "\toption priority '1'\n"),
            provider("spare", "spare0", ""),
            provider("off", "spare1", "\toption priority '1'\n\toption enabled 'no'\n"),
            provider("alone", "spare2", "\toption priority '1'\n\toption balance '0'\n"),
            provider("apart", "spare3", "\toption priority '1'\n\toption default '0'\n"),
        ]
        .concat(),
    );
    router.open();
    let shares = || {
        router.browser().value(&format!(
            "Array.from(document.querySelectorAll('{PROVIDERS} tr[data-sid] [data-name=weight]'), it => it.textContent.trim())"
        ))
    };
    assert_eq!(shares(), json!(["3 (75%)", "1 (25%)", "1", "1", "1", "1"]), "only who takes part");
    // Its place is its priority: on top it is one of them.
    router.browser().run("document.querySelector('tr[data-sid=spare] .drag-handle').focus()", json!([]));
    router.browser().press(UP);
    router.browser().press(UP);
    wait_for(SOON, "the shares of three", || shares() == json!(["1 (20%)", "3 (60%)", "1 (20%)", "1", "1", "1"]))
        .unwrap_or_else(|error| panic!("{error}: {}", shares()));
    router.edit("a");
    router.fill(MODAL, "weight", "256");
    router.save_modal();
    wait_for(SOON, "the shares anew", || shares() == json!(["1 (0.4%)", "256 (99%)", "1 (0.4%)", "1", "1", "1"]))
        .unwrap_or_else(|error| panic!("{error}: {}", shares()));
    router.edit("b");
    router.modal_tab("traffic");
    router.page.assert_accessible();
    router.browser().screenshot("settings-traffic");
    router.tick(MODAL, "balance");
    router.save_modal();
    wait_for(SOON, "one less", || shares() == json!(["1 (0.4%)", "256 (99%)", "1", "1", "1", "1"]))
        .unwrap_or_else(|error| panic!("{error}: {}", shares()));
    router.browser().assert_no_errors();
}

#[test]
fn what_is_said_of_traffic_and_routes_is_written() {
    let router = Router::new(TWO);
    router.open();
    router.edit("lte");
    router.modal_tab("traffic");
    let drain = format!("document.querySelector('{MODAL} [data-name=drain] input').placeholder");
    assert_eq!(router.browser().value(&drain), "cut", "a metered one's");
    router.fill(MODAL, "drain", "10m");
    router.tick(MODAL, "default");
    router.enter("static_routes", "203.0.113.0/24");
    router.tick(MODAL, "sticky");
    router.modal_tab("advanced");
    router.fill(MODAL, "mtu", "1400");
    router.tick(MODAL, "quickack");
    router.save_modal();
    router.tab("failover");
    router.tab("traffic");
    router.tick(SETTINGS, "inbound");
    router.fill(SETTINGS, "drain", "cut");
    router.browser().screenshot("settings-traffic-all");
    router.apply();
    let lte = "\toption default '0'\n\tlist static_routes '203.0.113.0/24'\n\toption sticky '1'\n\toption mtu '1400'\n\
        \toption quickack '1'\n\toption drain '10m'\n";
    let settings = "\nconfig failover 'settings'\n\toption inbound '1'\n\toption drain 'cut'\n\n";
    router.wait_config(&format!("{settings}{TWO}{lte}\n"), "what was chosen, no defaults");
    router.open();
    router.edit("fiber");
    router.modal_tab("traffic");
    assert_eq!(router.browser().value(&drain), "cut", "as in the settings for all");
    router.assert_nothing_uncaught();
}
