//! The members of a JSON object, made and read one by one. What is missing counts as not told, and so does what is of another type.
//!
//! For the replies of ubus, ours and netifd's, and for the state file. Plain code for a reason: on a router's CPU, what serde derives to read
//! a structure takes 500 bytes for each of its fields.

use serde_json::{Map, Value};

/// An object; absent rather than null.
pub fn object(members: &mut [(&str, Value)]) -> Value {
    // One by one: collecting would bring a sort of its own into the program.
    let mut object = Map::new();
    for (name, value) in members.iter_mut().filter(|(_, value)| !value.is_null()) {
        object.insert((*name).to_owned(), value.take());
    }
    Value::Object(object)
}

/// A text.
pub fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// A whole number.
pub fn number(object: &Value, name: &str) -> Option<u64> {
    object.get(name).and_then(Value::as_u64)
}

/// A number.
pub fn float(object: &Value, name: &str) -> Option<f64> {
    object.get(name).and_then(Value::as_f64)
}

/// Whether it is told to be so.
pub fn flag(object: &Value, name: &str) -> bool {
    object.get(name) == Some(&Value::Bool(true))
}

/// The elements of a list.
pub fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
