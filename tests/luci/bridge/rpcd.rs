//! Stand-ins for the objects that rpcd and netifd offer on a router, as far as pages ask them: sessions, files, features, what is there
//! of the network. `uci` is next door. Asked by `rpc.rs`, after the rights have been looked at.

use serde_json::{Value, json};

use super::Shared;
use super::access::User;
use super::frame::Arguments;

/// All of them. `network.interface` gives way to the lab's netifd.
pub(crate) const OBJECTS: [&str; 8] =
    ["session", "uci", "file", "luci", "luci-rpc", "network", "network.device", "network.interface"];

/// ubus' METHOD_NOT_FOUND, INVALID_ARGUMENT, NOT_FOUND and PERMISSION_DENIED.
pub(crate) const NO_METHOD: i32 = 3;
pub(crate) const INVALID_ARGUMENT: i32 = 2;
pub(crate) const NOT_FOUND: i32 = 4;
pub(crate) const PERMISSION_DENIED: i32 = 6;

/// The answer, or a ubus status.
pub(crate) type Answer = Result<Option<Value>, i32>;

/// Calls a method of a stand-in.
pub(crate) fn call(shared: &Shared, user: Option<User>, object: &str, method: &str, arguments: &Arguments) -> Answer {
    let text = |name: &str| arguments.text(name);
    let answer = match (object, method) {
        ("uci", method) => return shared.uci(user, method, arguments),
        ("session", "access") => {
            let (Some(scope), Some(object), Some(function)) = (text("scope"), text("object"), text("function")) else {
                return Err(INVALID_ARGUMENT);
            };
            json!({ "access": shared.access.grants(user, scope, object, function) })
        }
        ("file", "list") => shared.list(text("path").ok_or(INVALID_ARGUMENT)?)?,
        // Of LuCI's features none concerns the pages.
        ("luci", "getFeatures") => json!({ "ipv6": true, "firewall4": true }),
        ("luci-rpc" | "network" | "network.device", _) => shared.network(object, method)?,
        ("network.interface", "dump") => json!({ "interface": [] }),
        _ => return Err(NO_METHOD),
    };
    Ok(Some(answer))
}
