//! A configuration on its way into `/etc/config/failover`: what `failoverd init` found or translated, with what it has to say.
//!
//! Filled by the sources (`init`, the importers), put into the file that is there by `merge`, written by the shell. Its text is
//! accepted by `settings::parse`.

mod merge;

use serde_json::{Map, Value};

use crate::member::object;

pub use merge::{Merged, Refusal, merge};

/// A whole configuration, and what a person should know about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Options of `config failover 'settings'` that differ from the default.
    pub settings: Vec<(&'static str, String)>,
    /// `config provider` sections in the order of preference.
    pub providers: Vec<Section>,
    /// `config test` sections.
    pub tests: Vec<Section>,
    /// `config rule` sections, the first that fits first.
    pub rules: Vec<Section>,
    /// What was decided and why, a sentence each.
    pub decisions: Vec<String>,
    /// What could not be carried over, a sentence each.
    pub left_out: Vec<String>,
}

/// One section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Name; a valid UCI name (see [`section_name`]).
    pub name: String,
    /// Options in the order in which they are written.
    pub options: Vec<(&'static str, String)>,
    /// Lists, likewise.
    pub lists: Vec<(&'static str, Vec<String>)>,
}

impl Section {
    /// A section without options; the name is made a valid one.
    pub fn new(name: &str) -> Self {
        Self { name: section_name(name), ..Self::default() }
    }

    /// Adds an option.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.options.push((name, value.into()));
    }

    /// Takes a name that is not among those `taken`, and adds it to them; tells the one before.
    pub(crate) fn rename(&mut self, taken: &mut Vec<String>) -> String {
        let free = free_name(&self.name, taken);
        taken.push(free.clone());
        std::mem::replace(&mut self.name, free)
    }

    fn to_json(&self, kind: &str) -> Value {
        let mut options = Map::new();
        for (name, value) in &self.options {
            options.insert((*name).to_owned(), value.as_str().into());
        }
        for (name, values) in &self.lists {
            options.insert((*name).to_owned(), values.as_slice().into());
        }
        object(&mut [("type", kind.into()), ("name", self.name.as_str().into()), ("options", Value::Object(options))])
    }
}

impl Draft {
    /// For programs: the sections with their options, lists as arrays, and the text of the same. Without a provider there is nothing to
    /// be written.
    pub fn to_json(&self) -> Value {
        let settings = Section { name: "settings".to_owned(), options: self.settings.clone(), lists: vec![] };
        let settings = Some(settings.to_json("failover")).filter(|_| !self.settings.is_empty());
        let of_kind = self.by_kind();
        let sections = of_kind.iter().flat_map(|(kind, sections)| sections.iter().map(|it| it.to_json(kind)));
        let config = if self.providers.is_empty() { String::new() } else { self.text() };
        object(&mut [
            ("sections", settings.into_iter().chain(sections).collect()),
            ("config", config.into()),
            ("decisions", self.decisions.as_slice().into()),
            ("left_out", self.left_out.as_slice().into()),
        ])
    }

    fn by_kind(&self) -> [(&'static str, &Vec<Section>); 3] {
        [("provider", &self.providers), ("test", &self.tests), ("rule", &self.rules)]
    }

    /// The configuration's text, as `uci commit` would write it.
    pub fn text(&self) -> String {
        let mut text = String::from("config failover 'settings'\n");
        text += &options(&self.settings);
        text + &self.sections()
    }

    /// The same without `config failover 'settings'`; every section begins with an empty line.
    pub fn sections(&self) -> String {
        let mut text = String::new();
        for (kind, sections) in self.by_kind() {
            for section in sections {
                text += &format!("\nconfig {kind} {}\n{}", quoted(&section.name), options(&section.options));
                for (name, values) in &section.lists {
                    values.iter().for_each(|value| text += &format!("\tlist {name} {}\n", quoted(value)));
                }
            }
        }
        text
    }
}

fn options(options: &[(&str, String)]) -> String {
    options.iter().map(|(name, value)| option(name, value)).collect()
}

fn option(name: &str, value: &str) -> String {
    format!("\toption {name} {}\n", quoted(value))
}

/// In single quotes as libuci writes them; a quote inside ends them, is written behind a backslash, and begins them anew.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// `name` with everything that UCI does not allow in a section's name replaced by `_`; never empty.
pub fn section_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if safe.is_empty() { "unnamed".to_owned() } else { safe }
}

/// `name`, or the first of `name_2`, `name_3`, ... that no section has: neither one of `taken`, nor the settings.
pub fn free_name(name: &str, taken: &[String]) -> String {
    let is_free = |name: &String| name != "settings" && !taken.contains(name);
    let others = (2..).map(|number: u64| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(others).find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_for_each() {
        let taken = ["a".to_owned(), "a_2".to_owned()];
        for (name, want) in [("b", "b"), ("a", "a_3"), ("settings", "settings_2")] {
            assert_eq!(free_name(name, &taken), want);
        }
    }

    /// One of everything that a draft can have.
    fn draft() -> Draft {
        let mut fiber = Section::new("fi-ber");
        fiber.set("interface", "wan");
        fiber.set("description", "the house's");
        fiber.lists.push(("test", vec!["internet".to_owned()]));
        let mut internet = Section::new("internet");
        internet.lists.push(("target", vec!["1.1.1.1".to_owned(), "9.9.9.9".to_owned()]));
        let mut voice = Section::new("voice");
        voice.set("fallback", "unreachable");
        voice.lists.push(("dest", vec!["203.0.113.0/24".to_owned()]));
        voice.lists.push(("use", vec!["fi_ber".to_owned()]));
        Draft {
            settings: vec![("failback", "manual".to_owned())],
            providers: vec![fiber],
            tests: vec![internet],
            rules: vec![voice],
            decisions: vec!["1. fi-ber: a wired line".to_owned()],
            left_out: vec!["lan: is the LAN".to_owned()],
        }
    }

    #[test]
    fn for_programs() {
        let draft = draft();
        assert_eq!(
            draft.to_json(),
            json!({
                "sections": [
                    { "type": "failover", "name": "settings", "options": { "failback": "manual" } },
                    {
                        "type": "provider",
                        "name": "fi_ber",
                        "options": { "interface": "wan", "description": "the house's", "test": ["internet"] },
                    },
                    { "type": "test", "name": "internet", "options": { "target": ["1.1.1.1", "9.9.9.9"] } },
                    {
                        "type": "rule",
                        "name": "voice",
                        "options": { "fallback": "unreachable", "dest": ["203.0.113.0/24"], "use": ["fi_ber"] },
                    },
                ],
                "config": draft.text(),
                "decisions": ["1. fi-ber: a wired line"],
                "left_out": ["lan: is the LAN"],
            })
        );
        let nothing = Draft { left_out: vec!["no line".to_owned()], ..Draft::default() };
        assert_eq!(
            nothing.to_json(),
            json!({ "sections": [], "config": "", "decisions": [], "left_out": ["no line"] }),
            "nothing found"
        );
    }

    #[test]
    fn the_text_is_a_configuration() {
        let loaded = crate::settings::parse("failover", draft().text().as_bytes()).unwrap();
        let provider = &loaded.settings.providers[0];
        assert_eq!((provider.name.as_str(), provider.description.as_deref()), ("fi_ber", Some("the house's")));
        assert_eq!((loaded.settings.tests[0].targets.len(), loaded.warnings.len()), (2, 0));
        assert_eq!(loaded.settings.rules[0].providers, ["fi_ber"]);
    }
}
