//! What a browser sends to /ubus: frames of JSON-RPC, with the arguments' members in the order in which they came, since rpcd writes
//! options in that order. Read by `rpc.rs`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A frame, or several in one request.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Body {
    Batch(Vec<Frame>),
    One(Frame),
}

/// One call.
#[derive(Deserialize)]
pub(crate) struct Frame {
    #[serde(default)]
    pub(crate) jsonrpc: Value,
    #[serde(default)]
    pub(crate) id: Value,
    #[serde(default)]
    pub(crate) method: Value,
    #[serde(default)]
    params: Vec<Json>,
}

/// The arguments of a call.
pub(crate) struct Arguments {
    members: Vec<(String, Json)>,
    values: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    #[serde(deserialize_with = "members")]
    Object(Vec<(String, Json)>),
    Other(Value),
}

impl Frame {
    /// Session, object, method and arguments of a `call`.
    pub(crate) fn into_call(self) -> Option<(String, String, String, Arguments)> {
        let text = |json: &Json| match json {
            Json::Other(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        let [session, object, method, _] = self.params.as_slice() else { return None };
        let (session, object, method) = (text(session)?, text(object)?, text(method)?);
        let Some(Json::Object(members)) = self.params.into_iter().nth(3) else { return None };
        let values = members.iter().map(|(name, json)| (name.clone(), json.value())).collect();
        Some((session, object, method, Arguments { members, values }))
    }
}

impl Arguments {
    /// None at all.
    pub(crate) fn none() -> Arguments {
        Arguments { members: Vec::new(), values: Map::new() }
    }

    /// Those of an `apply` that can be taken back.
    pub(crate) fn rollback() -> Arguments {
        Arguments { members: Vec::new(), values: Map::from_iter([("rollback".to_owned(), true.into())]) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// As the broker gets them.
    pub(crate) fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The members of the argument `name`, which is an object, in their order.
    pub(crate) fn members(&self, name: &str) -> Vec<(&str, Value)> {
        let object = self.members.iter().find_map(|(known, json)| match json {
            Json::Object(members) if known == name => Some(members),
            _ => None,
        });
        object.into_iter().flatten().map(|(name, json)| (name.as_str(), json.value())).collect()
    }
}

impl Json {
    fn value(&self) -> Value {
        match self {
            Json::Object(members) => members.iter().map(|(name, json)| (name.clone(), json.value())).collect(),
            Json::Other(value) => value.clone(),
        }
    }
}

fn members<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<(String, Json)>, D::Error> {
    struct Members;

    impl<'a> Visitor<'a> for Members {
        type Value = Vec<(String, Json)>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    deserializer.deserialize_map(Members)
}
