//! rpcd's object `uci` as the bridge plays it: on real files, which the daemon reads after an apply.

use lab::LabConfig;
use serde_json::{Value, json};

use crate::bridge::Bridge;
use crate::bridge::access::User;
use crate::page::fixtures;
use crate::world::World;

const FILE: &str = "# by hand
config failover 'settings'
	option interval '200ms'

config provider 'wan0'
	option device 'wan0'
	option gateway '192.168.1.1'
	list test 'a'
	list test 'b'

config test
	option type 'ping'
	list target '1.1.1.1'
";

struct Editor {
    bridge: Bridge,
    world: World,
}

impl Editor {
    fn new() -> Editor {
        let world = World::new(LabConfig::default());
        world.configure(FILE);
        let bridge = Bridge::start(world.broker.path(), world.lab.dir(), &[fixtures()]);
        Editor { bridge, world }
    }

    /// A method on the daemon's configuration; its data, or a status.
    fn call(&self, user: User, method: &str, arguments: Value) -> Value {
        let mut arguments = arguments;
        arguments["config"] = "failover".into();
        self.plain(user, method, arguments)
    }

    fn plain(&self, user: User, method: &str, arguments: Value) -> Value {
        let reply = self.bridge.call(user, "uci", method, &arguments);
        let result = reply["result"].as_array().unwrap_or_else(|| panic!("{method} {arguments}: {reply}"));
        result.last().unwrap().clone()
    }

    /// The same for one that must succeed and yields nothing.
    fn change(&self, method: &str, arguments: Value) {
        assert_eq!(self.call(User::Admin, method, arguments.clone()), 0, "{method} {arguments}");
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.world.config()).unwrap()
    }
}

#[test]
fn changes_stay_in_their_session_until_they_are_applied() {
    let editor = Editor::new();
    let values = |user| editor.call(user, "get", json!({}))["values"].clone();
    let unnamed = values(User::Admin).as_object().unwrap().keys().find(|name| name.starts_with("cfg")).unwrap().clone();
    assert_eq!(
        values(User::Admin)["wan0"],
        json!({ ".anonymous": false, ".type": "provider", ".name": "wan0", ".index": 1,
            "device": "wan0", "gateway": "192.168.1.1", "test": ["a", "b"] })
    );
    assert_eq!(values(User::Admin)[&unnamed]["target"], json!(["1.1.1.1"]), "a list of one is a list");
    // By hand, since `json!` sorts what is in an object.
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"call","params":["{}","uci","add",{{"config":"failover","type":"provider",
           "name":"wan1","values":{{"gateway":"192.168.1.1","device":"wan1","description":"it's","metered":true}}}}]}}"#,
        User::Admin.session()
    );
    assert_eq!(editor.bridge.post_text(&text)["result"], json!([0, { "section": "wan1" }]));
    editor.change("set", json!({ "section": "wan0", "values": { "test": ["c"], "gateway": "", "device": "eth1" } }));
    editor.change("delete", json!({ "section": unnamed, "option": "target" }));
    editor.change("delete", json!({ "section": "settings", "options": ["interval"] }));
    editor.change("rename", json!({ "section": unnamed, "name": "internet" }));
    editor.change("order", json!({ "sections": ["settings", "wan1", "wan0", "internet"] }));
    assert_eq!(editor.text(), FILE, "nothing is written yet");
    assert_eq!(values(User::Reader)["wan1"], Value::Null, "the other session sees none of it");
    assert_eq!(values(User::Admin)["wan1"][".index"], 1);
    assert_eq!(editor.plain(User::Reader, "changes", json!({})), json!({ "changes": {} }));
    let changes = editor.plain(User::Admin, "changes", json!({}))["changes"]["failover"].clone();
    assert_eq!(changes[0], json!(["set", "wan1", "provider"]));
    assert_eq!(changes[1], json!(["set", "wan1", "gateway", "192.168.1.1"]));
    assert!(changes.as_array().unwrap().contains(&json!(["list-add", "wan0", "test", "c"])), "{changes}");
    assert_eq!(editor.plain(User::Admin, "apply", json!({ "rollback": false })), 0);
    assert_eq!(
        editor.text(),
        "
config failover 'settings'

config provider 'wan1'
	option gateway '192.168.1.1'
	option device 'wan1'
	option description 'it'\\''s'
	option metered '1'

config provider 'wan0'
	option device 'eth1'
	list test 'c'

config test 'internet'
	option type 'ping'

"
    );
    assert_eq!(editor.plain(User::Admin, "apply", json!({})), 5, "nothing left to apply");
    let sections = failoverd::uci::parse(editor.text().as_bytes());
    assert_eq!((sections.errors.len(), sections.sections.len()), (0, 4));
}

#[test]
fn what_is_applied_is_what_the_daemon_runs() {
    let editor = Editor::new();
    editor.world.configure(&editor.world.lab.uci(&[("interval", "200ms")]));
    let before = editor.text();
    let daemon = editor.world.start();
    editor.change("set", json!({ "section": "wan1", "values": { "enabled": "0" } }));
    let state = |want: &'static str| {
        editor.world.wait_status(want, |status| status["providers"][1]["state"] == want);
    };
    assert_eq!(editor.plain(User::Admin, "apply", json!({ "rollback": true, "timeout": 30 })), 0);
    state("disabled");
    assert_eq!(editor.bridge.fetch(User::Admin, "admin/uci/confirm").0, 403, "not this page's token");
    assert_eq!(editor.bridge.call(User::Admin, "uci", "rollback", &json!({}))["error"]["code"], -32002);
    editor.bridge.roll_back();
    state("online");
    assert_eq!(editor.text(), before, "as it was, to the letter");
    editor.change("set", json!({ "section": "wan1", "values": { "enabled": "0" } }));
    assert_eq!(editor.bridge.fetch(User::Admin, "admin/uci/revert").0, 200);
    assert_eq!(editor.plain(User::Admin, "changes", json!({})), json!({ "changes": {} }));
    assert_eq!(editor.bridge.fetch(User::Admin, "admin/uci/apply_rollback").0, 204, "nothing to apply");
    assert_eq!(editor.bridge.fetch(User::Admin, "admin/uci/confirm").0, 204, "nor to confirm");
    editor.world.stop(&daemon);
}
