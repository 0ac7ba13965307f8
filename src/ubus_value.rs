//! JSON values as ubus carries them (blobmsg) and back, in the types that other ubus programs expect.
//!
//! Fed by the shell with what `status` and `notice` serialise to; not ubus-zero's own converter, as that sends every integer as
//! INT64, which programs written in C take for a missing argument.

use serde_json::{Map, Number, Value};
use ubus::blobmsg::BlobType;
use ubus::{BlobBuilder, BlobIter, BlobMsgTable, BlobValue};

/// Deeper nesting is refused: nothing of ours needs it, and it would cost stack.
const MAX_DEPTH: usize = 32;
/// What fits into one message beside its header.
const MAX_SIZE: usize = 1024 * 1024 - 256;

/// A value that ubus cannot carry, or bytes that are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Over 1 MiB.
    #[error("more than fits into one ubus message of 1 MiB")]
    TooLarge,
    /// More than 32 tables and arrays within each other.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// Lengths, types or names that contradict each other.
    #[error("not a valid ubus table")]
    Malformed,
}

/// Makes a table of a JSON object. Members that are `null` are left out.
pub fn encode(object: &Map<String, Value>) -> Result<BlobMsgTable, ValueError> {
    // Weighed first, because the builder panics on what its length fields cannot hold.
    if weigh_members(object, 0)? > MAX_SIZE {
        return Err(ValueError::TooLarge);
    }
    Ok(BlobMsgTable::build(|builder| put_members(builder, object)))
}

fn put_members(builder: &mut BlobBuilder, object: &Map<String, Value>) {
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        put(builder, Some(name), value);
    }
}

fn put(builder: &mut BlobBuilder, name: Option<&str>, value: &Value) {
    match value {
        Value::Null => builder.put_null(name),
        Value::Bool(flag) => builder.put_bool(name, *flag),
        Value::Number(number) => put_number(builder, name, number),
        Value::String(text) => builder.put_str(name, until_nul(text)),
        Value::Array(elements) => {
            builder.open_array(name);
            elements.iter().for_each(|element| put(builder, None, element));
            builder.close_array();
        }
        Value::Object(members) => {
            builder.open_table(name);
            put_members(builder, members);
            builder.close_table();
        }
    }
}

fn put_number(builder: &mut BlobBuilder, name: Option<&str>, number: &Number) {
    // Programs match arguments by their exact type, and what they expect for an ordinary number is INT32.
    match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => match i32::try_from(integer) {
            Ok(small) => builder.put_i32(name, small),
            Err(_) => builder.put_i64(name, integer),
        },
        (None, Some(_)) => builder.put_i64(name, i64::MAX),
        (None, None) => builder.put_double(name, number.as_f64().unwrap_or_default()),
    }
}

/// Readers written in C stop at a NUL; so that all see the same, nothing is sent behind it.
fn until_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

fn weigh_members(object: &Map<String, Value>, depth: usize) -> Result<usize, ValueError> {
    object.iter().try_fold(0, |sum, (name, value)| {
        if name.len() > usize::from(u16::MAX) {
            return Err(ValueError::TooLarge);
        }
        Ok(sum + name.len() + weigh(value, depth + 1)?)
    })
}

/// At least the bytes that a value needs, its name apart.
fn weigh(value: &Value, depth: usize) -> Result<usize, ValueError> {
    if depth > MAX_DEPTH {
        return Err(ValueError::TooDeep);
    }
    let payload = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().try_fold(0, |sum, element| Ok(sum + weigh(element, depth + 1)?))?,
        Value::Object(members) => weigh_members(members, depth)?,
    };
    // Header of the attribute, header of the name, final NUL, padding of both.
    Ok(payload + 16)
}

/// Reads a table's contents. Text that is not UTF-8 is read with replacement characters; of members with equal names the
/// first counts, as in C.
pub fn decode(contents: &[u8]) -> Result<Map<String, Value>, ValueError> {
    decode_members(contents, 0)
}

fn decode_members(contents: &[u8], depth: usize) -> Result<Map<String, Value>, ValueError> {
    let mut object = Map::new();
    each(contents, depth, &mut |name, value| {
        object.entry(name).or_insert(value);
    })?;
    Ok(object)
}

fn each(contents: &[u8], depth: usize, take: &mut dyn FnMut(String, Value)) -> Result<(), ValueError> {
    if depth > MAX_DEPTH {
        return Err(ValueError::TooDeep);
    }
    let mut attributes = BlobIter::new(contents);
    while let Some(attribute) = attributes.try_next().map_err(|_| ValueError::Malformed)? {
        let value = match attribute.ty {
            BlobType::String => Value::String(text(attribute.payload)),
            _ => match attribute.value().map_err(|_| ValueError::Malformed)? {
                BlobValue::Int8(flag) => Value::Bool(flag != 0),
                BlobValue::Int16(number) => number.into(),
                BlobValue::Int32(number) => number.into(),
                BlobValue::Int64(number) => number.into(),
                // JSON has no NaN and no infinity: null.
                BlobValue::Double(number) => number.into(),
                BlobValue::Table(inner) => Value::Object(decode_members(inner, depth + 1)?),
                BlobValue::Array(inner) => {
                    let mut elements = Vec::new();
                    each(inner, depth + 1, &mut |_, element| elements.push(element))?;
                    Value::Array(elements)
                }
                BlobValue::String(_) | BlobValue::Raw(_) => Value::Null,
            },
        };
        take(attribute.name.unwrap_or_default().to_owned(), value);
    }
    Ok(())
}

/// The text of a STRING attribute's payload, up to its NUL.
pub(crate) fn text(payload: &[u8]) -> String {
    let text = payload.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn types(value: &Value) -> Vec<(String, BlobType)> {
        let table = encode(value.as_object().unwrap()).unwrap();
        BlobIter::new(table.contents()).map(|entry| (entry.name.unwrap_or_default().to_owned(), entry.ty)).collect()
    }

    #[test]
    fn values_have_the_types_that_programs_in_c_expect() {
        for (value, expected, why) in [
            (json!(0), Some(BlobType::Int32), "small integers are INT32"),
            (json!(i32::MIN), Some(BlobType::Int32), "down to the end of the range"),
            (json!(i64::from(i32::MAX) + 1), Some(BlobType::Int64), "and INT64 from there"),
            (json!(u64::MAX), Some(BlobType::Int64), "what nobody can carry is the largest that can be"),
            (json!(true), Some(BlobType::Int8), "booleans are INT8"),
            (json!(12.0), Some(BlobType::Double), "a latency stays DOUBLE when it happens to be whole"),
            (json!("x"), Some(BlobType::String), ""),
            (json!([]), Some(BlobType::Array), ""),
            (json!({}), Some(BlobType::Table), ""),
            (json!(null), None, "absent, never null"),
            (json!(f64::NAN), None, "serde_json makes null of it"),
        ] {
            let seen = types(&json!({ "x": value }));
            assert_eq!(seen.first().map(|(_, ty)| *ty), expected, "{why}");
        }
    }

    #[test]
    fn what_cannot_be_carried_is_refused() {
        let mut deep = json!(1);
        for _ in 0..40 {
            deep = json!({ "x": deep });
        }
        assert_eq!(encode(deep.as_object().unwrap()), Err(ValueError::TooDeep));
        let large = json!({ "x": "y".repeat(1024 * 1024) });
        assert_eq!(encode(large.as_object().unwrap()), Err(ValueError::TooLarge));
        let name = json!({ "x".repeat(70_000): 1 });
        assert_eq!(encode(name.as_object().unwrap()), Err(ValueError::TooLarge));
    }

    #[test]
    fn odd_bytes_are_read_kindly_or_refused() {
        let table = BlobMsgTable::build(|table| {
            table.put_i32(Some("twice"), 1);
            table.put_i32(Some("twice"), 2);
            table.put_double(Some("nan"), f64::NAN);
            table.put_str(Some("text"), "a\0b");
        });
        let value = decode(table.contents()).unwrap();
        assert_eq!(Value::Object(value), json!({ "twice": 1, "nan": null, "text": "a" }), "the first of two counts");
        let latin1 = [0x83, 0, 0, 0x0a, 0, 1, b'x', 0, 0xe9, 0, 0, 0];
        assert_eq!(decode(&latin1).unwrap().get("x"), Some(&json!("\u{fffd}")));
        assert_eq!(decode(&[1, 2, 3]), Err(ValueError::Malformed));
        assert_eq!(decode(&[0x85, 0, 0, 0xff, 0, 1, b'x', 0]), Err(ValueError::Malformed));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000i64..1000).prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            "[^\0]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map("[a-z_]{1,9}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_come_back(members in proptest::collection::btree_map("[a-z_]{1,9}", values(), 0..6)) {
            let object: Map<String, Value> = members.into_iter().collect();
            let table = encode(&object).unwrap();
            prop_assert_eq!(decode(table.contents()).unwrap(), object);
        }

        #[test]
        fn any_bytes_are_a_table_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_damaged_table_is_a_table_or_an_error(place in 0usize..60, byte in any::<u8>(), cut in 0usize..60) {
            let value = json!({ "provider": "lte", "a": [1, { "b": 2.5 }], "limit": 5 });
            let mut bytes = encode(value.as_object().unwrap()).unwrap().contents().to_vec();
            if let Some(at) = bytes.get_mut(place) {
                *at = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = decode(&bytes);
        }
    }
}
