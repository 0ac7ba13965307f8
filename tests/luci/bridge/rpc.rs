//! LuCI's JSON-RPC as uhttpd-mod-ubus speaks it: frames in, each call judged by its session's rights and carried to the broker or to
//! the stand-ins for rpcd's objects, frames out.

use serde_json::{Value, json};

use super::access::User;
use super::frame::{Body, Frame};
use super::rpcd;
use super::ubus::{Refusal, Ubus};
use super::{Rpcd, Shared};

/// A reply that is an error of the transport, in uhttpd's words.
struct Fault(i32, &'static str);

const INVALID_REQUEST: Fault = Fault(-32600, "Invalid request");
const NO_METHOD: Fault = Fault(-32601, "Method not found");
const INVALID_PARAMETERS: Fault = Fault(-32602, "Invalid parameters");
const NO_OBJECT: Fault = Fault(-32000, "Object not found");
const DENIED: Fault = Fault(-32002, "Access denied");
const TIMEOUT: Fault = Fault(-32003, "ubus request timed out");

/// Answers the body of a request: a frame, or a list of them. `calls` gets the name of each.
pub(crate) fn answer(shared: &Shared, body: &[u8], calls: &mut Vec<String>) -> Value {
    let Ok(body) = serde_json::from_slice(body) else {
        return json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "Parse error" } });
    };
    // No ubusd: nobody offers anything.
    let mut bus = Ubus::connect(&shared.broker).ok();
    match body {
        Body::Batch(all) => all.into_iter().map(|one| reply(shared, &mut bus, one, calls)).collect(),
        Body::One(one) => reply(shared, &mut bus, one, calls),
    }
}

fn reply(shared: &Shared, bus: &mut Option<Ubus>, frame: Frame, calls: &mut Vec<String>) -> Value {
    let mut reply = json!({ "jsonrpc": "2.0", "id": frame.id });
    let result = match (frame.jsonrpc.as_str(), frame.method.as_str()) {
        (Some("2.0"), Some("call")) => call(shared, bus, frame, calls),
        (Some("2.0"), Some("list")) => {
            calls.push("list".to_owned());
            Ok(json!(rpcd::OBJECTS))
        }
        (Some("2.0"), Some(_)) => Err(NO_METHOD),
        _ => Err(INVALID_REQUEST),
    };
    match result {
        Ok(result) => reply["result"] = result,
        Err(Fault(code, message)) => reply["error"] = json!({ "code": code, "message": message }),
    }
    reply
}

fn call(shared: &Shared, bus: &mut Option<Ubus>, frame: Frame, calls: &mut Vec<String>) -> Result<Value, Fault> {
    let (session, object, method, arguments) = frame.into_call().ok_or(INVALID_PARAMETERS)?;
    calls.push(format!("{object}.{method}"));
    if arguments.get("ubus_rpc_session").is_some() {
        return Err(INVALID_PARAMETERS);
    }
    let gone = shared.rpcd() == Rpcd::Gone;
    let offered = bus.as_mut().and_then(|bus| bus.find(&object));
    let stand_in = offered.is_none() && rpcd::OBJECTS.contains(&object.as_str());
    if offered.is_none() && (!stand_in || gone || bus.is_none()) {
        return Err(NO_OBJECT);
    }
    let user = User::of_session(&session);
    // Without rpcd there is nobody to say that it is allowed.
    if gone || !shared.access.grants(user, "ubus", &object, &method) {
        return Err(DENIED);
    }
    if let Some(fixed) = shared.fixed(&format!("{object}.{method}")) {
        return Ok(json!([0, fixed]));
    }
    let answer = match (offered, bus) {
        (Some(offered), Some(bus)) => {
            let mut arguments = arguments.values().clone();
            arguments.insert("ubus_rpc_session".to_owned(), session.into());
            bus.call(offered, &method, &arguments)
        }
        _ => rpcd::call(shared, user, &object, &method, &arguments).map_err(Refusal::Status),
    };
    match answer {
        Ok(Some(data)) => Ok(json!([0, data])),
        Ok(None) => Ok(json!([0])),
        Err(Refusal::Status(status)) => Ok(json!([status])),
        Err(Refusal::NoObject) => Err(NO_OBJECT),
        Err(Refusal::Timeout) => Err(TIMEOUT),
    }
}
