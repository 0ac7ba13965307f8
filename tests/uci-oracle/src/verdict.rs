//! What a parser makes of a file, in the form in which it is compared and recorded.
//!
//! tests/uci_corpus.rs reads the same form.

use std::collections::BTreeMap;

use failoverd::uci::{File, UciValue};
use serde::Serialize;

/// Refused, or read as these sections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Error,
    Sections(Vec<Section>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Section {
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    pub(crate) options: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Single(String),
    List(Vec<String>),
}

/// A generated file that is kept.
#[derive(Serialize)]
pub(crate) struct Generated {
    pub(crate) text: String,
    pub(crate) verdict: Verdict,
}

#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) files: BTreeMap<String, Verdict>,
    pub(crate) generated: Vec<Generated>,
}

impl Verdict {
    /// Our parser's.
    pub(crate) fn of(file: &File) -> Self {
        if !file.errors.is_empty() {
            return Self::Error;
        }
        let value = |value: &UciValue| match value {
            UciValue::Single(text) => Value::Single(text.clone()),
            UciValue::List(items) => Value::List(items.iter().map(|item| item.text.clone()).collect()),
        };
        Self::Sections(
            file.sections
                .iter()
                .map(|section| Section {
                    kind: section.kind.clone(),
                    name: section.name.clone(),
                    options: section.options.iter().map(|option| (option.name.clone(), value(&option.value))).collect(),
                })
                .collect(),
        )
    }
}
