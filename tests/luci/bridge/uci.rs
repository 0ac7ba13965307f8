//! rpcd's object `uci` over the lab's configuration files: each session has its own changes, which `apply` writes as `uci commit` does.
//!
//! Asked through `rpcd.rs`; the files are read by failoverd's own parser (which the real libuci has judged) and written by `document.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::access::{Access, User};
use super::document::{Change, Document};
use super::frame::Arguments;
use super::rpcd::{Answer, INVALID_ARGUMENT, NO_METHOD, NOT_FOUND, PERMISSION_DENIED};

/// The object.
pub(crate) struct Uci {
    directory: PathBuf,
    /// By session and configuration.
    changes: BTreeMap<(&'static str, String), Vec<Change>>,
    /// What `rollback` writes back until `confirm`.
    before: BTreeMap<String, String>,
}

impl Uci {
    pub(crate) fn new(directory: &Path) -> Uci {
        Uci { directory: directory.to_owned(), changes: BTreeMap::new(), before: BTreeMap::new() }
    }

    /// Carries out a method; the names of configurations that were written.
    pub(crate) fn call(
        &mut self,
        access: &Access,
        user: Option<User>,
        method: &str,
        arguments: &Arguments,
    ) -> (Answer, Vec<String>) {
        let mut written = Vec::new();
        let user = match user {
            Some(user) => user,
            None => return (Err(PERMISSION_DENIED), written),
        };
        let may = |config: &str, right: &str| access.grants(Some(user), "uci", config, right);
        let answer = match method {
            "configs" => Ok(Some(json!({ "configs": self.configs() }))),
            "changes" if arguments.get("config").is_none() => {
                let mut all = Map::new();
                for ((session, config), changes) in &self.changes {
                    if *session == user.session() && !changes.is_empty() && may(config, "read") {
                        all.insert(config.clone(), changes.iter().map(Change::shown).collect());
                    }
                }
                Ok(Some(json!({ "changes": all })))
            }
            "apply" => self.apply(user, &may, arguments, &mut written),
            "confirm" => {
                self.before.clear();
                Ok(None)
            }
            "rollback" => self.roll_back(&mut written),
            _ => self.on_one(user, &may, method, arguments, &mut written),
        };
        (answer, written)
    }

    /// The devices that the network configuration names.
    pub(crate) fn devices(&self) -> Vec<String> {
        let text = std::fs::read(self.directory.join("network")).unwrap_or_default();
        let file = failoverd::uci::parse(&text);
        let mut names: Vec<String> =
            file.sections.iter().flat_map(|it| it.words("device")).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Something has been applied that waits for its confirmation.
    pub(crate) fn unconfirmed(&self) -> bool {
        !self.before.is_empty()
    }

    /// Forgets a session's changes.
    pub(crate) fn revert_all(&mut self, user: User) {
        self.changes.retain(|(session, _), _| *session != user.session());
    }

    fn on_one(
        &mut self,
        user: User,
        may: &dyn Fn(&str, &str) -> bool,
        method: &str,
        arguments: &Arguments,
        written: &mut Vec<String>,
    ) -> Answer {
        let text = |name: &str| arguments.text(name);
        let config = text("config").ok_or(INVALID_ARGUMENT)?.to_owned();
        let right = if matches!(method, "get" | "changes") { "read" } else { "write" };
        if !may(&config, right) {
            return Err(PERMISSION_DENIED);
        }
        let mut document = self.load(user, &config)?;
        let section = text("section");
        let matching = |document: &Document| document.matching(section, text("type"), arguments.get("match"));
        let mut made = Vec::new();
        let answer = match method {
            "get" => return document.get(section, text("option"), text("type"), arguments.get("match")),
            "changes" => {
                let changes = self.changes.get(&(user.session(), config)).map_or(&[][..], Vec::as_slice);
                return Ok(Some(json!({ "changes": changes.iter().map(Change::shown).collect::<Vec<_>>() })));
            }
            "add" => {
                let kind = text("type").ok_or(INVALID_ARGUMENT)?.to_owned();
                let name = text("name").map_or_else(|| document.free_name(&kind), str::to_owned);
                let anonymous = text("name").is_none();
                made.push(Change::Add { name: name.clone(), kind, anonymous });
                set(&name, arguments, &mut made);
                Some(json!({ "section": name }))
            }
            "set" => {
                let sections = matching(&document);
                if sections.is_empty() {
                    return Err(NOT_FOUND);
                }
                sections.iter().for_each(|section| set(section, arguments, &mut made));
                None
            }
            "delete" => {
                let sections = matching(&document);
                if sections.is_empty() {
                    return Err(NOT_FOUND);
                }
                for section in sections {
                    let options = arguments.get("options").and_then(Value::as_array);
                    let named = options.into_iter().flatten().chain(arguments.get("option"));
                    let options: Vec<Option<&str>> = match named.map(Value::as_str).collect::<Vec<_>>() {
                        none if none.is_empty() => vec![None],
                        some => some,
                    };
                    for option in options {
                        made.push(Change::Remove { name: section.clone(), option: option.map(str::to_owned) });
                    }
                }
                None
            }
            "rename" => {
                let name = section.ok_or(INVALID_ARGUMENT)?.to_owned();
                let to = text("name").ok_or(INVALID_ARGUMENT)?.to_owned();
                made.push(Change::Rename { name, option: text("option").map(str::to_owned), to });
                None
            }
            "order" => {
                let sections = arguments.get("sections").and_then(Value::as_array).ok_or(INVALID_ARGUMENT)?;
                for (index, section) in sections.iter().filter_map(Value::as_str).enumerate() {
                    made.push(Change::Order { name: section.to_owned(), index });
                }
                None
            }
            "revert" => {
                self.changes.remove(&(user.session(), config));
                return Ok(None);
            }
            "commit" => {
                self.write(&config, &document, written)?;
                self.changes.remove(&(user.session(), config));
                return Ok(None);
            }
            _ => return Err(NO_METHOD),
        };
        for change in &made {
            document.apply(change).ok_or(NOT_FOUND)?;
        }
        self.changes.entry((user.session(), config)).or_default().extend(made);
        Ok(answer)
    }

    fn apply(
        &mut self,
        user: User,
        may: &dyn Fn(&str, &str) -> bool,
        arguments: &Arguments,
        written: &mut Vec<String>,
    ) -> Answer {
        let mine = |((session, config), _): (&(&str, String), &Vec<Change>)| {
            (*session == user.session()).then(|| config.clone())
        };
        let configs: Vec<String> = self.changes.iter().filter_map(mine).collect();
        if configs.is_empty() {
            // rpcd's NO_DATA: LuCI says "there are no changes to apply".
            return Err(5);
        }
        if !configs.iter().all(|config| may(config, "write")) {
            return Err(PERMISSION_DENIED);
        }
        for config in configs {
            let document = self.load(user, &config)?;
            if arguments.get("rollback") == Some(&Value::Bool(true)) {
                let text = std::fs::read_to_string(self.directory.join(&config)).map_err(|_| NOT_FOUND)?;
                self.before.insert(config.clone(), text);
            }
            self.write(&config, &document, written)?;
            self.changes.remove(&(user.session(), config));
        }
        Ok(None)
    }

    fn roll_back(&mut self, written: &mut Vec<String>) -> Answer {
        for (config, text) in std::mem::take(&mut self.before) {
            std::fs::write(self.directory.join(&config), text).map_err(|_| NOT_FOUND)?;
            written.push(config);
        }
        Ok(None)
    }

    /// The file with the session's changes.
    fn load(&self, user: User, config: &str) -> Result<Document, i32> {
        let named = !config.is_empty() && config.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        let text = named.then(|| std::fs::read(self.directory.join(config)).ok()).flatten().ok_or(NOT_FOUND)?;
        let mut document = Document::parse(&text).ok_or(NOT_FOUND)?;
        for change in self.changes.get(&(user.session(), config.to_owned())).into_iter().flatten() {
            // One that no longer applies is skipped, as libuci does.
            _ = document.apply(change);
        }
        Ok(document)
    }

    fn write(&self, config: &str, document: &Document, written: &mut Vec<String>) -> Result<(), i32> {
        std::fs::write(self.directory.join(config), document.text()).map_err(|_| NOT_FOUND)?;
        written.push(config.to_owned());
        Ok(())
    }

    fn configs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// The changes that set the members of `values` as options, in their order: a list is first removed and then filled.
fn set(section: &str, arguments: &Arguments, made: &mut Vec<Change>) {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    };
    for (option, value) in arguments.members("values") {
        let (name, option) = (section.to_owned(), option.to_owned());
        match value {
            Value::Array(items) => {
                made.push(Change::Empty { name: name.clone(), option: option.clone() });
                for item in items.iter().map(plain) {
                    made.push(Change::AddItem { name: name.clone(), option: option.clone(), item });
                }
            }
            value => made.push(Change::Set { name, option, value: plain(&value) }),
        }
    }
}
