//! Network -> Failover: what the page writes, what it refuses and in whose words, and that its limits are the daemon's.
//!
//! `golden/NAME.before` is a file as a person has it, `golden/NAME.after` what it must be when the page has been used and its changes applied.

use std::path::{Path, PathBuf};

use failoverd::uci;
use lab::{InitialDefault, LabConfig, Netifd, Process, protocol, wait_for};
use serde_json::{Value, json};

use crate::bridge::access::User;
use crate::browser::{Browser, Width};
use crate::page::Page;
use crate::world::SOON;

const NETWORK: &str = "config interface 'loopback'\n\toption proto 'static'\n\toption device 'lo'\n\n\
    config interface 'lan'\n\toption proto 'static'\n\toption device 'client'\n\n\
    config interface 'wan'\n\toption proto 'dhcp'\n\toption device 'wan0'\n\n\
    config interface 'wwan'\n\toption proto 'dhcp'\n\toption device 'wan1'\n\n\
    config interface 'wanb'\n\toption proto 'dhcp'\n\toption device 'spare0'\n\n\
    config interface 'fixed'\n\toption proto 'static'\n\toption device 'spare1'\n\toption ipaddr '192.0.2.9/24'\n";
const FIREWALL: &str = "config zone\n\toption name 'lan'\n\tlist network 'lan'\n\n\
    config zone\n\toption name 'wan'\n\toption masq '1'\n\toption network 'wan wwan wanb fixed'\n\n\
    config forwarding\n\toption src 'lan'\n\toption dest 'wan'\n";
const TWO: &str = "config provider 'fiber'\n\toption interface 'wan'\n\nconfig provider 'lte'\n\toption interface 'wwan'\n\toption metered '1'\n";

/// The rows of a section type, what is open above the page, and the settings for all.
const PROVIDERS: &str = "#cbi-failover-provider";
const TESTS: &str = "#cbi-failover-test";
const MODAL: &str = ".modal .cbi-map";
const SETTINGS: &str = "#cbi-failover-settings";
/// Where the page itself says what the daemon says.
const NOTES: &str = "#view .alert-message";
const ENTER: &str = "\u{e007}";
const DELETE: &str = "\u{e017}";
const ESCAPE: &str = "\u{e00c}";
const UP: &str = "\u{e013}";

/// A router with the page in front of it.
struct Router {
    page: Page,
    _netifd: Netifd,
    daemon: Option<Process>,
}

impl Router {
    fn new(config: &str) -> Router {
        let router = Router::without_daemon(config);
        let daemon = router.page.world.launch();
        let answers = || router.page.bridge.call(User::Admin, "failover", "schema", &json!({}))["result"][0] == 0;
        wait_for(SOON, "the daemon on ubus", answers).unwrap();
        Router { daemon: Some(daemon), ..router }
    }

    fn without_daemon(config: &str) -> Router {
        let initial_defaults = vec![InitialDefault { provider: 0, metric: 0, protocol: protocol::DHCP }];
        let page = Page::new(LabConfig { initial_defaults, ..LabConfig::default() });
        page.world.configure(config);
        page.world.lab.write_file("network", NETWORK).unwrap();
        page.world.lab.write_file("firewall", FIREWALL).unwrap();
        page.world.lab.write_file("luci", "config core 'main'\n").unwrap();
        let netifd = Netifd::start(page.world.broker.path()).unwrap();
        let interface = |name: &str, device: &str, network: &str| {
            json!({
                "interface": name, "up": true, "proto": "dhcp", "device": device, "l3_device": device, "metric": 0,
                "ipv4-address": [{ "address": format!("{network}.2"), "mask": 24 }],
                "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": format!("{network}.1"), "source": "0.0.0.0/0" }],
            })
        };
        let all = [interface("wan", "wan0", "198.51.100"), interface("wwan", "wan1", "203.0.113")];
        netifd.set(json!({ "interface": all }));
        Router { page, _netifd: netifd, daemon: None }
    }

    fn browser(&self) -> &Browser {
        &self.page.browser
    }

    fn open(&self) {
        self.open_as(User::Admin);
    }

    /// The page is there when its grids are.
    fn open_as(&self, user: User) {
        self.page.open(user, "admin/network/failover");
        self.browser().wait("the form", &format!("document.querySelector({})", json!(PROVIDERS)));
        // LuCI remembers where one has been.
        self.tab("provider");
    }

    fn tab(&self, name: &str) {
        self.browser().click(&format!("#view .cbi-tabmenu [data-tab=\"{name}\"] a"));
    }

    fn modal_tab(&self, name: &str) {
        self.browser().click(&format!("{MODAL} .cbi-tabmenu [data-tab=\"{name}\"] a"));
    }

    fn edit(&self, section: &str) {
        self.browser().click(&format!("tr[data-sid=\"{section}\"] .cbi-button-edit"));
        self.modal_opens();
    }

    fn add(&self, grid: &str, name: &str) {
        let field = format!("{grid} .cbi-section-create-name");
        self.browser().clear(&field);
        self.browser().type_into(&field, name);
        self.browser().click(&format!("{grid} .cbi-section-create .cbi-button-add"));
    }

    fn modal_opens(&self) {
        self.browser().wait("the modal", &format!("{OPEN} && document.querySelector({})", json!(MODAL)));
    }

    fn save_modal(&self) {
        self.browser().click(".modal .cbi-button-positive");
        self.browser().wait("the modal to close", &format!("!{OPEN}"));
    }

    fn dismiss(&self) {
        self.browser().click(".modal .button-row .btn");
        self.browser().wait("the modal to close", &format!("!{OPEN}"));
    }

    /// Writes into a field.
    fn fill(&self, scope: &str, option: &str, text: &str) {
        let field = format!("{scope} [data-name=\"{option}\"] input[type=text]");
        self.browser().clear(&field);
        self.browser().type_into(&field, text);
    }

    fn tick(&self, scope: &str, option: &str) {
        self.browser().click(&format!("{scope} [data-name=\"{option}\"] input[type=checkbox]"));
    }

    /// Chooses a word from a plain list.
    fn select(&self, scope: &str, option: &str, word: &str) {
        self.browser().click(&format!("{scope} [data-name=\"{option}\"] select option[value=\"{word}\"]"));
    }

    /// Chooses what exists.
    fn choose(&self, option: &str, name: &str) {
        self.browser().click(&format!("{MODAL} [data-name=\"{option}\"] .cbi-dropdown"));
        // Not with the mouse: LuCI's list is still moving.
        let item = format!("{MODAL} .cbi-dropdown[open] > ul:first-child > li[data-value=\"{name}\"]");
        self.browser().run("document.querySelector(arguments[0]).click()", json!([item]));
    }

    fn apply(&self) {
        self.browser().click(".cbi-page-actions .cbi-button-apply");
    }

    /// What is staged.
    fn changes(&self) -> Value {
        self.page.call("uci", "changes", &json!({}))["changes"].clone()
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.page.world.config()).unwrap()
    }

    fn wait_config(&self, wanted: &str, why: &str) {
        let done = wait_for(SOON, why, || self.config() == wanted);
        done.unwrap_or_else(|error| {
            let (text, says) = (self.config(), self.browser().text("body"));
            panic!(
                "{error}\n--- wanted\n{wanted}\n--- is\n{text}\n--- staged\n{:#}\n--- the page says\n{says}",
                self.changes()
            )
        });
    }

    /// What the daemon says of a text, without the place.
    fn problems(&self, config: &str) -> Vec<String> {
        let answer = self.page.call("failover", "validate", &json!({ "config": config }));
        let lines = answer["problems"].as_array().into_iter().flatten();
        lines.map(|line| line.as_str().unwrap().splitn(3, ':').nth(2).unwrap().trim().to_owned()).collect()
    }
}

/// Whether a modal is open, in the page.
const OPEN: &str = "document.body?.classList.contains('modal-overlay-active')";

fn golden(name: &str) -> String {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/luci/golden").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn what_is_written_is_what_a_person_would_write() {
    let router = Router::new(TWO);
    type Act = fn(&Router);
    let cases: [(&str, Act, &str); 7] = [
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
    let uncaught: Vec<String> =
        router.browser().console().into_iter().filter(|line| line.contains("Uncaught")).collect();
    assert_eq!(uncaught, Vec::<String>::new());
}

fn edit_one_field(router: &Router) {
    for section in ["fiber", "lte", "old"] {
        router.edit(section);
        router.save_modal();
    }
    router.tab("test");
    router.edit("web");
    router.save_modal();
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
        router.browser().type_into(&format!("{MODAL} [data-name=target] .add-item input"), &format!("{target}{ENTER}"));
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
    for (kind, name) in [("failover", "settings"), ("provider", "one"), ("test", "two")] {
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
    for section in ["failover", "provider"] {
        let scope = if section == "failover" {
            SETTINGS
        } else {
            router.edit("fiber");
            MODAL
        };
        for option in schema["options"].as_array().unwrap() {
            let (name, kind) = (option["name"].as_str().unwrap(), option["type"].as_str().unwrap());
            let (Some(min), Some(max)) = (option["min"].as_u64(), option["max"].as_u64()) else { continue };
            if !option["sections"].as_array().unwrap().contains(&json!(section)) {
                continue;
            }
            let unit = if kind == "duration" { "ms" } else { "" };
            let numbers = [min.checked_sub(1), Some(min), Some(max), Some(max + 1)];
            let words = ["5", "0.3", "2m", "all", "-1", "1e3", "5 s", "x"].map(str::to_owned);
            for value in numbers.into_iter().flatten().map(|number| format!("{number}{unit}")).chain(words) {
                let shown = router.browser().run(TRY, json!([format!("{scope} [data-name={name}] input"), value]));
                // Alone: what contradicts another option is no limit.
                let config = match section {
                    "failover" => format!("config failover 'settings'\n\toption {name} '{value}'\n"),
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

/// Puts a value into a field and tells what the field shows to be wrong with it.
const TRY: &str = "const field = document.querySelector(arguments[0]);
    field.value = arguments[1];
    field.dispatchEvent(new Event('keyup'));
    const wrong = field.classList.contains('cbi-input-invalid') ? field.getAttribute('data-tooltip') : null;
    field.value = '';
    field.dispatchEvent(new Event('keyup'));
    return wrong;";

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
