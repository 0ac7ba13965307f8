//! Network -> Failover: a router with the page in front of it, for the tests of what the page writes, refuses and shows.
//!
//! `golden/NAME.before` is a file as a person has it, `golden/NAME.after` what it must be when the page has been used and its changes applied.

mod refuses;
mod rules;
mod shows;
mod writes;

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
const RULES: &str = "#cbi-failover-rule";
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

    /// The same for a row by its place, from 0.
    fn edit_nth(&self, grid: &str, row: usize) {
        self.browser().click(&format!("{grid} tr[data-sid]:nth-child({}) .cbi-button-edit", row + 1));
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

    /// Adds to a list in the modal.
    fn enter(&self, option: &str, text: &str) {
        let field = format!("{MODAL} [data-name=\"{option}\"] .add-item input");
        self.browser().type_into(&field, &format!("{text}{ENTER}"));
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

    /// No script has failed. (What LuCI asks for after an apply may not be there.)
    fn assert_nothing_uncaught(&self) {
        let uncaught: Vec<String> =
            self.browser().console().into_iter().filter(|line| line.contains("Uncaught")).collect();
        assert_eq!(uncaught, Vec::<String>::new());
    }

    /// What the daemon says of a text, without the place.
    fn problems(&self, config: &str) -> Vec<String> {
        let answer = self.page.call("failover", "validate", &json!({ "config": config }));
        let lines = answer["problems"].as_array().into_iter().flatten();
        lines.map(|line| line.as_str().unwrap().splitn(3, ':').nth(2).unwrap().trim().to_owned()).collect()
    }
}

/// Puts a value into a field and tells what the field shows to be wrong with it.
const TRY: &str = "const field = document.querySelector(arguments[0]);
    field.value = arguments[1];
    field.dispatchEvent(new Event('keyup'));
    const wrong = field.classList.contains('cbi-input-invalid') ? field.getAttribute('data-tooltip') : null;
    field.value = '';
    field.dispatchEvent(new Event('keyup'));
    return wrong;";

/// Whether a modal is open, in the page.
const OPEN: &str = "document.body?.classList.contains('modal-overlay-active')";

fn golden(name: &str) -> String {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/luci/golden").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
