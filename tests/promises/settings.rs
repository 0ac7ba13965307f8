//! What a page of settings asks on the real bus: `schema`, `validate` and `draft` say what the library and the command line say.

use std::fs;

use lab::{InitialDefault, LabConfig, Netifd, protocol, wait_for};
use serde_json::{Value, json};

use crate::page::Page;
use crate::world::{BRISK, SOON, World};

const NETWORK: &str = "config interface 'lan'\n\toption proto 'static'\n\toption device 'client'\n\n\
    config interface 'fixed'\n\toption proto 'static'\n\toption device 'wan2'\n\n\
    config interface 'first'\n\toption proto 'dhcp'\n\toption device 'wan0'\n";
const FIREWALL: &str = "config zone\n\toption name 'lan'\n\tlist network 'lan'\n\n\
    config zone\n\toption name 'wan'\n\toption masq '1'\n\toption network 'first'\n\tlist device 'wan+'\n\n\
    config forwarding\n\toption src 'lan'\n\toption dest 'wan'\n";

fn world() -> World {
    let initial_defaults = vec![InitialDefault { provider: 0, metric: 0, protocol: protocol::DHCP }];
    let world = World::new(LabConfig { initial_defaults, ..LabConfig::default() });
    world.lab.write_file("network", NETWORK).unwrap();
    world.lab.write_file("firewall", FIREWALL).unwrap();
    world
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_page_hears_what_validate_says() {
    let world = world();
    let good = world.lab.uci(&BRISK);
    let daemon = world.start();
    let mut page = Page::new(&world);
    let provider = |options: &str| format!("config provider 'a'\n{options}");
    let second = "config provider 'b'\n\toption device 'wan0'\n";
    for (text, problems, warnings, why) in [
        (good.clone(), 0, 0, "what is in force"),
        (String::new(), 0, 0, "nothing yet"),
        (provider("\toption interface 'first'\n\toption weight '0'\n\toption metirc '2'\n"), 2, 0, "two mistakes"),
        (provider("\toption interface 'first'\n") + &provider("\toption device 'wan9'\n"), 2, 0, "a name twice"),
        (provider("\toption interface 'fir st\n"), 1, 0, "a quote that is not closed"),
        (provider("\toption interface 'first'\n\toption priority '1'\n\toption priority '2'\n"), 0, 1, "an oddity"),
        (provider("\toption interface 'fixed'\n"), 0, 1, "no gateway"),
        (provider("\toption interface 'first'\n") + second, 0, 1, "two on one device"),
        (
            provider(
                "\toption interface 'frist'\n\tlist test 't'\n\tlist test 't'\nconfig test 't'\n\tlist target '1.1.1.1'\n",
            ),
            0,
            3,
            "all kinds",
        ),
        (
            provider("\toption interface 'first'\n\toption description '<img src=x onerror=alert(1)>'\n"),
            0,
            0,
            "no markup",
        ),
        (provider("\toption interface '<img src=x onerror=alert(1)>'\n"), 1, 0, "in a message neither"),
        ("\u{e4}\u{fffd}\u{1}".to_owned(), 1, 0, "no configuration"),
    ] {
        world.configure(&text);
        let told = world.cli(&["validate", world.config().to_str().unwrap()]);
        let warned = |text: &str| {
            lines(text).iter().filter_map(|it| it.strip_prefix("warning: ").map(str::to_owned)).collect::<Vec<_>>()
        };
        let refused: Vec<String> = lines(&told.stderr).into_iter().filter(|it| !it.starts_with("warning: ")).collect();
        let warnings_told = [warned(&told.stderr), warned(&told.stdout)].concat();
        let verdict = page.ask("validate", &json!({ "config": text })).unwrap();
        assert_eq!(
            verdict,
            json!({
                "valid": told.code() == 0,
                "problems": refused,
                "warnings": warnings_told,
            }),
            "{why}"
        );
        let counts = (texts(&verdict["problems"]).len(), texts(&verdict["warnings"]).len());
        assert_eq!(counts, (problems, warnings), "{why}: {verdict:#}");
    }
    // What a page tries out changes nothing, however long it is.
    let long = page.ask("validate", &json!({ "config": "x\n".repeat(400_000) })).unwrap();
    assert!(texts(&long["problems"])[0].contains("more than 32 kB"), "{long}");
    let status = world.status();
    assert_eq!((&status["active"], &status["config_errors"]), (&json!("wan0"), &Value::Null), "{status:#}");
    world.stop(&daemon);
}

/// What `init` shows: the text, and what it says to it.
fn shown(world: &World) -> (String, Vec<String>) {
    let shown = world.cli(&["init", "-c", world.config().to_str().unwrap(), "--dry-run"]);
    let said = lines(&shown.stderr).into_iter().filter(|line| !line.starts_with("warning: "));
    (shown.stdout, said.map(|line| line.trim_start_matches("failoverd: ").to_owned()).collect())
}

/// The same from a draft.
fn drafted(draft: &Value) -> (String, Vec<String>) {
    let config = draft["config"].as_str().unwrap().to_owned();
    let left_out = texts(&draft["left_out"]).into_iter();
    let marked = left_out.map(|line| if config.is_empty() { line } else { format!("left out: {line}") });
    let said = texts(&draft["decisions"]).into_iter().chain(marked).collect();
    (config, said)
}

#[test]
fn a_draft_is_what_init_would_write() {
    let world = world();
    world.configure("config failover 'settings'\n");
    let daemon = world.launch();
    let mut page = Page::new(&world);
    world.wait_status("no provider", |status| status["warnings"].to_string().contains("no provider"));

    let by_files = page.ask("draft", &json!({})).unwrap();
    assert_eq!(drafted(&by_files), shown(&world), "by the files alone");
    assert_eq!(
        by_files["sections"],
        json!([{ "type": "provider", "name": "first", "options": { "interface": "first" } }]),
        "{by_files:#}"
    );
    assert!(by_files["decisions"].to_string().contains("netifd cannot be asked"), "{by_files:#}");

    let netifd = Netifd::start(world.broker.path()).unwrap();
    let interface = |name: &str, proto: &str, device: &str, gateway: &str| {
        json!({
            "interface": name, "up": true, "autostart": true, "proto": proto, "l3_device": device, "device": device,
            "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": gateway }],
        })
    };
    let all = [interface("first", "dhcp", "wan0", "192.168.1.1"), interface("modem", "qmi", "wan1", "192.168.2.1")];
    netifd.set(json!({ "interface": all }));
    // It may have been asked before it knew any.
    netifd.announce("first", true);
    let knows = |draft: &Value| draft["sections"].as_array().unwrap().len() == 2;
    wait_for(SOON, "netifd's interfaces", || knows(&page.ask("draft", &json!({})).unwrap())).unwrap();
    let draft = page.ask("draft", &json!({})).unwrap();
    assert_eq!(drafted(&draft), shown(&world), "with what netifd knows");
    assert_eq!(
        draft["sections"][1],
        json!({ "type": "provider", "name": "modem", "options": { "interface": "modem", "metered": "1" } })
    );
    // One click takes it over.
    world.configure(draft["config"].as_str().unwrap());
    world.ask(&["reload"]);
    world.wait_status("its providers", |status| status["providers"].as_array().is_some_and(|all| all.len() == 2));

    netifd.set(json!({ "interface": [{ "interface": "lan", "up": true, "proto": "static", "l3_device": "client" }] }));
    netifd.announce("lan", true);
    world.lab.write_file("network", "config interface 'lan'\n\toption proto 'static'\n").unwrap();
    let nothing = |draft: &Value| draft["sections"] == json!([]);
    wait_for(SOON, "no interfaces", || nothing(&page.ask("draft", &json!({})).unwrap())).unwrap();
    let empty = page.ask("draft", &json!({})).unwrap();
    assert_eq!(drafted(&empty), shown(&world), "nothing found");
    assert!(empty["left_out"][0].as_str().unwrap().contains("no line to the internet was found"), "{empty:#}");
    world.stop(&daemon);
}

#[test]
fn providers_on_devices_do_not_keep_netifd_from_being_asked_for_a_draft() {
    let world = world();
    let netifd = Netifd::start(world.broker.path()).unwrap();
    let later = json!({
        "interface": "later", "up": true, "proto": "dhcp", "l3_device": "wan1",
        "route": [{ "target": "0.0.0.0", "mask": 0, "nexthop": "192.168.2.1" }],
    });
    netifd.set(json!({ "interface": [later] }));
    let daemon = world.start();
    let mut page = Page::new(&world);
    assert_eq!(netifd.dumps(), 0, "nothing of theirs is netifd's");
    let mut draft = Value::Null;
    let done = wait_for(SOON, "netifd's interface in the draft", || {
        draft = page.ask("draft", &json!({})).unwrap();
        draft["config"].as_str().unwrap().contains("'later'")
    });
    done.unwrap_or_else(|error| panic!("{error}; the draft is {draft:#}"));
    assert!(!fs::read_to_string(world.config()).unwrap().contains("later"), "nothing is written");
    world.stop(&daemon);
}

#[test]
fn a_page_gets_every_option() {
    let world = world();
    let daemon = world.start();
    let schema = Page::new(&world).ask("schema", &json!({})).unwrap();
    assert_eq!(schema, failoverd::settings::export());
    assert!(schema.to_string().len() < 20 * 1024, "{}", schema.to_string().len());
    world.stop(&daemon);
}
