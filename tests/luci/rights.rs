//! Who may do what, as uhttpd and rpcd decide it by the packages' acl.d files, and what a page learns of it.

use lab::LabConfig;
use serde_json::{Value, json};

use crate::bridge::Bridge;
use crate::bridge::access::User;
use crate::page::{Page, fixtures};
use crate::world::World;

#[test]
fn each_call_is_judged_by_its_session() {
    let world = World::new(LabConfig::default());
    let daemon = world.start();
    world.lab.write_file("rpcd", "config rpcd\n").unwrap();
    let bridge = Bridge::start(world.broker.path(), world.lab.dir(), &[fixtures()]);
    let done = || json!([0]);
    let denied = || json!(-32002);
    for (user, object, method, arguments, want, why) in [
        (User::Reader, "failover", "pin", json!({ "provider": "wan1" }), denied(), "pin is a right to write"),
        (User::Admin, "failover", "pin", json!({ "provider": "wan1" }), done(), "root has it"),
        (User::Admin, "failover", "unpin", json!({}), done(), "no arguments"),
        (User::Admin, "failover", "pin", json!({ "provider": "nobody" }), json!([4]), "the daemon's own refusal"),
        (User::Admin, "failover", "pin", json!({ "provider": 5 }), json!([2]), "and of a wrong type"),
        (User::Admin, "failover", "reload", json!({}), denied(), "in no acl.d"),
        (User::Admin, "nobody", "status", json!({}), json!(-32000), "not on the bus"),
        (User::Reader, "uci", "set", json!({ "config": "failover" }), denied(), "the method is a right to write"),
        (User::Admin, "uci", "set", json!({ "config": "failover", "section": "no" }), json!([4]), "no such section"),
        (User::Admin, "uci", "get", json!({ "config": "rpcd" }), json!([6]), "the method yes, the file no"),
        (User::Admin, "uci", "get", json!({ "config": "network" }), json!([4]), "no such file"),
        (User::Admin, "uci", "get", json!({ "config": "../failover" }), json!([6]), "no way out of /etc/config"),
        (User::Admin, "uci", "state", json!({ "config": "failover" }), denied(), "in no acl.d either"),
        (
            User::Admin,
            "failover",
            "status",
            json!({ "ubus_rpc_session": "" }),
            json!(-32602),
            "uhttpd adds that itself",
        ),
    ] {
        let reply = bridge.call(user, object, method, &arguments);
        let got = reply.get("result").unwrap_or(&reply["error"]["code"]);
        assert_eq!(*got, want, "{user:?} {object} {method}: {why}");
    }
    for (user, right) in [(User::Reader, false), (User::Admin, true)] {
        let asked = json!({ "scope": "access-group", "object": "harness", "function": "write" });
        let reply = bridge.call(user, "session", "access", &asked);
        assert_eq!(reply["result"][1]["access"], right, "{user:?}");
    }
    let both =
        json!([frame(1, User::Admin, "status"), frame(2, User::Reader, "unpin"), { "jsonrpc": "2.0", "method": "x" }]);
    let replies = bridge.post(&both);
    assert_eq!((&replies[0]["id"], &replies[0]["result"][1]["enabled"]), (&json!(1), &json!(true)));
    assert_eq!((&replies[1]["id"], &replies[1]["error"]["message"]), (&json!(2), &json!("Access denied")));
    assert_eq!(replies[2]["error"]["code"], -32601);
    let nobody =
        json!({ "jsonrpc": "2.0", "id": 3, "method": "call", "params": ["0".repeat(32), "failover", "status", {}] });
    assert_eq!(bridge.post(&nobody)["error"]["code"], -32002);
    let calls: Vec<usize> = bridge.take_exchanges().iter().map(|exchange| exchange.calls.len()).collect();
    assert_eq!(calls[calls.len() - 2..], [2, 1], "frames that are calls are counted");
    world.stop(&daemon);
}

fn frame(id: u8, user: User, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "call", "params": [user.session(), "failover", method, {}] })
}

#[test]
fn a_page_knows_whether_it_may_change_anything() {
    let page = Page::of_fixtures(LabConfig::default());
    let _daemon = page.start();
    for (user, may) in [(User::Reader, false), (User::Admin, true)] {
        page.open(user, "admin/harness/hello");
        assert_eq!(page.browser.value("L.hasViewPermission()"), may, "{user:?}");
        assert_eq!(page.browser.value("document.querySelector('#view button').disabled"), !may, "{user:?}");
        page.browser.wait_text("#active", "wan0");
    }
    // A link within the page keeps the session.
    page.open(User::Reader, "admin/harness/hello");
    page.browser.run("location.search = ''", json!([]));
    page.browser.wait("the page again", "!location.search && window.L?.loaded");
    assert_eq!(page.browser.value("L.hasViewPermission()"), false);
    page.browser.assert_no_errors();
}
