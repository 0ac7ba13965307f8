//! A UCI file as libuci holds it: sections in order, each with a name (anonymous ones too), changed one step at a time and written as
//! `uci commit` writes. Fed and asked by `uci.rs`.

use std::fmt::Write as _;

use failoverd::uci::{self, UciValue};
use serde_json::{Map, Value, json};

use super::rpcd::{Answer, NOT_FOUND};

/// One step, as libuci keeps it in a session's delta.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Add { name: String, kind: String, anonymous: bool },
    Set { name: String, option: String, value: String },
    Empty { name: String, option: String },
    AddItem { name: String, option: String, item: String },
    Remove { name: String, option: Option<String> },
    Rename { name: String, option: Option<String>, to: String },
    Order { name: String, index: usize },
}

impl Change {
    /// As `changes` lists it.
    pub(crate) fn shown(&self) -> Value {
        match self {
            Change::Add { name, kind, anonymous: true } => json!(["add", name, kind]),
            Change::Add { name, kind, anonymous: false } => json!(["set", name, kind]),
            Change::Set { name, option, value } => json!(["set", name, option, value]),
            Change::Empty { name, option } | Change::Remove { name, option: Some(option) } => {
                json!(["remove", name, option])
            }
            Change::AddItem { name, option, item } => json!(["list-add", name, option, item]),
            Change::Remove { name, option: None } => json!(["remove", name]),
            Change::Rename { name, option: None, to } => json!(["rename", name, to]),
            Change::Rename { name, option: Some(option), to } => json!(["rename", name, option, to]),
            Change::Order { name, index } => json!(["order", name, index.to_string()]),
        }
    }
}

/// The sections of a file.
pub(crate) struct Document {
    sections: Vec<Section>,
}

struct Section {
    kind: String,
    name: String,
    anonymous: bool,
    options: Vec<(String, Content)>,
}

enum Content {
    Text(String),
    List(Vec<String>),
}

impl Document {
    /// `None` if libuci would refuse the file.
    pub(crate) fn parse(text: &[u8]) -> Option<Document> {
        let file = uci::parse(text);
        if !file.errors.is_empty() {
            return None;
        }
        let mut sections = Vec::new();
        for (number, section) in file.sections.into_iter().enumerate() {
            let options: Vec<(String, Content)> = section
                .options
                .into_iter()
                .map(|option| match option.value {
                    UciValue::Single(text) => (option.name, Content::Text(text)),
                    UciValue::List(items) => {
                        (option.name, Content::List(items.into_iter().map(|item| item.text).collect()))
                    }
                })
                .collect();
            let anonymous = section.name.is_none();
            let name = section.name.unwrap_or_else(|| made_up(number, &section.kind));
            sections.push(Section { kind: section.kind, name, anonymous, options });
        }
        Some(Document { sections })
    }

    /// A name for a section that has none.
    pub(crate) fn free_name(&self, kind: &str) -> String {
        let names = (self.sections.len()..).map(|number| made_up(number, kind));
        names.into_iter().find(|name| self.find(name).is_none()).unwrap_or_default()
    }

    /// What `uci commit` writes.
    pub(crate) fn text(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let mut text = String::new();
        for section in &self.sections {
            _ = write!(text, "\nconfig {}", section.kind);
            if !section.anonymous {
                _ = write!(text, " {}", quoted(&section.name));
            }
            text.push('\n');
            for (name, content) in &section.options {
                match content {
                    Content::Text(value) => _ = writeln!(text, "\toption {name} {}", quoted(value)),
                    Content::List(items) => {
                        items.iter().for_each(|item| _ = writeln!(text, "\tlist {name} {}", quoted(item)));
                    }
                }
            }
        }
        text.push('\n');
        text
    }

    /// `get`: a value, a section, or all of them.
    pub(crate) fn get(
        &self,
        section: Option<&str>,
        option: Option<&str>,
        kind: Option<&str>,
        wanted: Option<&Value>,
    ) -> Answer {
        if let Some(name) = section {
            let section = self.sections.iter().find(|section| section.name == name).ok_or(NOT_FOUND)?;
            let Some(option) = option else { return Ok(Some(json!({ "values": section.shown(None) }))) };
            let (_, content) = section.options.iter().find(|(name, _)| name == option).ok_or(NOT_FOUND)?;
            return Ok(Some(json!({ "value": content.shown() })));
        }
        let mut values = Map::new();
        for (index, section) in self.sections.iter().enumerate() {
            if section.fits(kind, wanted) {
                values.insert(section.name.clone(), section.shown(Some(index)));
            }
        }
        Ok(Some(json!({ "values": values })))
    }

    /// The names of the sections that a call means.
    pub(crate) fn matching(&self, section: Option<&str>, kind: Option<&str>, wanted: Option<&Value>) -> Vec<String> {
        let meant = |it: &&Section| match section {
            Some(name) => it.name == name,
            None => it.fits(kind, wanted),
        };
        self.sections.iter().filter(meant).map(|section| section.name.clone()).collect()
    }

    /// `None` if there is nothing that it could be applied to.
    pub(crate) fn apply(&mut self, change: &Change) -> Option<()> {
        match change {
            Change::Add { name, kind, anonymous } => {
                if let Some(at) = self.find(name) {
                    self.sections.get_mut(at)?.kind.clone_from(kind);
                } else {
                    let (kind, name) = (kind.clone(), name.clone());
                    self.sections.push(Section { kind, name, anonymous: *anonymous, options: Vec::new() });
                }
            }
            Change::Set { name, option, value } if value.is_empty() => {
                self.option(name)?.retain(|(it, _)| it != option)
            }
            Change::Set { name, option, value } => {
                let options = self.option(name)?;
                let content = Content::Text(value.clone());
                match options.iter_mut().find(|(known, _)| known == option) {
                    Some((_, known)) => *known = content,
                    None => options.push((option.clone(), content)),
                }
            }
            Change::AddItem { name, option, item } => {
                let options = self.option(name)?;
                match options.iter_mut().find(|(known, _)| known == option) {
                    Some((_, Content::List(items))) => items.push(item.clone()),
                    Some((_, known @ Content::Text(_))) => {
                        let Content::Text(first) = std::mem::replace(known, Content::List(Vec::new())) else {
                            return None;
                        };
                        *known = Content::List(vec![first, item.clone()]);
                    }
                    None => options.push((option.clone(), Content::List(vec![item.clone()]))),
                }
            }
            Change::Empty { name, option } | Change::Remove { name, option: Some(option) } => {
                self.option(name)?.retain(|(known, _)| known != option);
            }
            Change::Remove { name, option: None } => _ = self.sections.remove(self.find(name)?),
            Change::Rename { name, option: Some(option), to } => {
                self.option(name)?.iter_mut().find(|(known, _)| known == option)?.0.clone_from(to);
            }
            Change::Rename { name, option: None, to } => {
                let at = self.find(name)?;
                let section = self.sections.get_mut(at)?;
                section.name.clone_from(to);
                section.anonymous = false;
            }
            Change::Order { name, index } => {
                let section = self.sections.remove(self.find(name)?);
                self.sections.insert((*index).min(self.sections.len()), section);
            }
        }
        Some(())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.sections.iter().position(|section| section.name == name)
    }

    fn option(&mut self, section: &str) -> Option<&mut Vec<(String, Content)>> {
        let at = self.find(section)?;
        self.sections.get_mut(at).map(|section| &mut section.options)
    }
}

impl Section {
    fn fits(&self, kind: Option<&str>, wanted: Option<&Value>) -> bool {
        let same = |(name, value): (&String, &Value)| {
            self.options.iter().any(|(known, content)| known == name && content.shown() == *value)
        };
        kind.is_none_or(|kind| kind == self.kind)
            && wanted.and_then(Value::as_object).is_none_or(|it| it.iter().all(same))
    }

    fn shown(&self, index: Option<usize>) -> Value {
        let mut shown = Map::new();
        shown.insert(".anonymous".to_owned(), self.anonymous.into());
        shown.insert(".type".to_owned(), self.kind.as_str().into());
        shown.insert(".name".to_owned(), self.name.as_str().into());
        if let Some(index) = index {
            shown.insert(".index".to_owned(), index.into());
        }
        shown.extend(self.options.iter().map(|(name, content)| (name.clone(), content.shown())));
        Value::Object(shown)
    }
}

impl Content {
    fn shown(&self) -> Value {
        match self {
            Content::Text(text) => text.as_str().into(),
            Content::List(items) => items.as_slice().into(),
        }
    }
}

/// As libuci makes them up, but for the checksum at the end.
fn made_up(number: usize, kind: &str) -> String {
    let sum = kind.bytes().fold(5381_u32, |sum, byte| sum.wrapping_mul(33).wrapping_add(byte.into()));
    format!("cfg{:02x}{:04x}", number + 1, sum & 0xffff)
}
