//! UCI text to sections and options, with their line numbers.
//!
//! Fed with the bytes of a file; `settings::parse` gives the sections a meaning. Reads the syntax exactly as libuci's file
//! backend does (tests/uci-oracle compares the two), with one addition: libuci stops at the first error, this goes on with
//! the next line and reports them all. A file with errors is as unusable here as it is there.

mod words;

use std::fmt;

use crate::order::ordered;
use words::{Command, Cursor, Unterminated};

/// A file as far as it could be read, and what stood in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Sections in file order. Only complete if there are no errors.
    pub sections: Vec<Section>,
    /// Everything libuci would refuse the file for, by line.
    pub errors: Vec<SyntaxError>,
}

/// `config TYPE 'NAME'` and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The line of `config`, from 1.
    pub line: u32,
    /// Lines of further `config` statements with this name: libuci merges them into the first.
    pub repeated: Vec<u32>,
    /// The type.
    pub kind: String,
    /// The name; `None` for an unnamed section.
    pub name: Option<String>,
    /// Options and lists by first appearance, each name once.
    pub options: Vec<UciOption>,
}

impl Section {
    /// The option or list of this name.
    pub fn option(&self, name: &str) -> Option<&UciOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The value of an `option`; of a list, none.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.option(name)?.value {
            UciValue::Single(text) => Some(text),
            UciValue::List(_) => None,
        }
    }

    /// The words of a list or of an `option`: many programs take both, and several words in one value.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        let values: Vec<&str> = match self.option(name).map(|option| &option.value) {
            Some(UciValue::Single(text)) => vec![text],
            Some(UciValue::List(items)) => items.iter().map(|item| item.text.as_str()).collect(),
            None => vec![],
        };
        values.into_iter().flat_map(str::split_whitespace)
    }

    /// A boolean; `None`: not there, or no boolean.
    pub fn flag(&self, name: &str) -> Option<bool> {
        boolean(self.text(name)?)
    }
}

/// `option NAME 'VALUE'`, or all the `list NAME 'VALUE'` of a section together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UciOption {
    /// The line that decided the value: the last `option`, or the first item of a list.
    pub line: u32,
    /// The name.
    pub name: String,
    /// The value.
    pub value: UciValue,
    /// The line of an earlier value that this one replaced.
    pub replaced: Option<u32>,
}

/// What an option holds. Bytes that are not UTF-8 have become U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UciValue {
    /// `option`; never empty, because for libuci an empty option is none.
    Single(String),
    /// `list`; items can be empty.
    List(Vec<Item>),
}

/// A boolean in libuci's words; `None`: not one.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "yes" | "on" | "true" | "enabled" => Some(true),
        "0" | "no" | "off" | "false" | "disabled" => Some(false),
        _ => None,
    }
}

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its line.
    pub line: u32,
    /// Its text.
    pub text: String,
}

/// One thing libuci would refuse the file for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub fault: Fault,
}

/// What can be wrong with a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first word is no command.
    #[error("unknown command '{}' (config, option, list and package are known)", Short(.0))]
    UnknownCommand(String),
    /// `config` alone, or `option` alone.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A section's or option's name with a character that names cannot have.
    #[error("'{}' is no UCI name: only letters, digits and _ are allowed", Short(.0))]
    BadName(String),
    /// A section's type with a blank or a character outside ASCII.
    #[error("'{}' is no UCI section type: blanks and characters outside ASCII are not allowed", Short(.0))]
    BadType(String),
    /// More words than the statement takes.
    #[error("'{}' is too much here (is a quote missing?)", Short(.0))]
    TooMany(String),
    /// A quote that is not closed before the end of the file.
    #[error("the {0} that opens here is never closed")]
    OpenQuote(char),
    /// `option` or `list` before any `config`.
    #[error("an option before the first config line")]
    NoSection,
    /// A second section of this name has another type.
    #[error("section '{name}' has the type '{first}' on line {line} already")]
    TypeConflict {
        /// The name.
        name: String,
        /// The first one's type.
        first: String,
        /// The first one's line.
        line: u32,
    },
    /// A zero byte.
    #[error("a zero byte: this is not a text file")]
    ZeroByte,
}

/// Text from a file in a message: one line of reasonable length, whatever the file holds.
pub(crate) struct Short<'a>(pub(crate) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        for (at, character) in self.0.chars().enumerate() {
            if at == LONGEST {
                return f.write_str("...");
            }
            if character.is_control() {
                write!(f, "{}", character.escape_default())?
            } else {
                write!(f, "{character}")?
            }
        }
        Ok(())
    }
}

/// Reads a whole file.
pub fn parse(text: &[u8]) -> File {
    let mut file = File::default();
    for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        if bytes.contains(&0) {
            file.errors.push(SyntaxError { line, fault: Fault::ZeroByte });
        }
    }
    let mut current = Current::None;
    let mut cursor = Cursor::new(text);
    while cursor.begin_line() {
        loop {
            let start = cursor;
            match statement(&mut cursor, &mut file.sections, &mut current) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    file.errors.push(error);
                    // A forgotten quote swallows lines that mean something: go on behind the line of the command itself.
                    cursor = start;
                    cursor.end_joined_lines();
                    break;
                }
            }
        }
    }
    file.errors = ordered(file.errors, |error| error.line);
    file
}

/// The section that options belong to.
#[derive(Clone, Copy)]
enum Current {
    /// No `config` yet.
    None,
    /// `File::sections` at this index.
    At(usize),
    /// The last `config` was refused: its options are read for their own errors only.
    Refused,
}

/// Reads one statement; `false` at the end of the line.
fn statement(cursor: &mut Cursor<'_>, sections: &mut Vec<Section>, current: &mut Current) -> Result<bool, SyntaxError> {
    let line = cursor.line();
    let fail = |fault| SyntaxError { line, fault };
    match cursor.command() {
        Ok(None) => return Ok(false),
        Err(word) => return Err(fail(Fault::UnknownCommand(word))),
        Ok(Some(Command::Package)) => {
            name(cursor, "the package name", |c| c.is_ascii_alphanumeric() || c == '_' || c == '-')?;
            end(cursor)?;
        }
        Ok(Some(Command::Config)) => {
            *current = Current::Refused;
            let kind = argument(cursor)?;
            if kind.is_empty() {
                return Err(fail(Fault::Missing("the section type")));
            }
            if !kind.chars().all(|c| c.is_ascii_graphic()) {
                return Err(fail(Fault::BadType(kind)));
            }
            let section_name = argument(cursor)?;
            if !section_name.chars().all(is_name) {
                return Err(fail(Fault::BadName(section_name)));
            }
            end(cursor)?;
            *current = Current::At(open_section(sections, line, kind, section_name)?);
        }
        Ok(Some(command)) => {
            if let Current::None = current {
                return Err(fail(Fault::NoSection));
            }
            let option = name(cursor, "the option name", is_name)?;
            let text = argument(cursor)?;
            end(cursor)?;
            let section = if let Current::At(at) = *current { sections.get_mut(at) } else { None };
            if let Some(section) = section {
                if command == Command::List {
                    add_item(section, line, option, text)
                } else {
                    set(section, line, option, text)
                }
            }
        }
    }
    Ok(true)
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn argument(cursor: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    cursor.argument().map_err(|Unterminated { line, quote }| SyntaxError { line, fault: Fault::OpenQuote(quote) })
}

fn name(cursor: &mut Cursor<'_>, what: &'static str, allowed: fn(char) -> bool) -> Result<String, SyntaxError> {
    let line = cursor.line();
    let name = argument(cursor)?;
    if name.is_empty() {
        return Err(SyntaxError { line, fault: Fault::Missing(what) });
    }
    if !name.chars().all(allowed) {
        return Err(SyntaxError { line, fault: Fault::BadName(name) });
    }
    Ok(name)
}

/// The end of a statement. An empty argument passes for it, as in libuci.
fn end(cursor: &mut Cursor<'_>) -> Result<(), SyntaxError> {
    let line = cursor.line();
    let more = argument(cursor)?;
    if more.is_empty() { Ok(()) } else { Err(SyntaxError { line, fault: Fault::TooMany(more) }) }
}

fn open_section(sections: &mut Vec<Section>, line: u32, kind: String, name: String) -> Result<usize, SyntaxError> {
    let known = sections.iter_mut().enumerate().find(|(_, known)| known.name.as_ref() == Some(&name));
    if let Some((at, known)) = known {
        if known.kind != kind {
            let fault = Fault::TypeConflict { name, first: known.kind.clone(), line: known.line };
            return Err(SyntaxError { line, fault });
        }
        known.repeated.push(line);
        return Ok(at);
    }
    let name = Some(name).filter(|name| !name.is_empty());
    sections.push(Section { line, repeated: Vec::new(), kind, name, options: Vec::new() });
    Ok(sections.len() - 1)
}

fn set(section: &mut Section, line: u32, name: String, text: String) {
    if text.is_empty() {
        return;
    }
    match section.options.iter_mut().find(|known| known.name == name) {
        Some(known) => {
            known.replaced = Some(known.line);
            known.line = line;
            known.value = UciValue::Single(text);
        }
        None => section.options.push(UciOption { line, name, value: UciValue::Single(text), replaced: None }),
    }
}

fn add_item(section: &mut Section, line: u32, name: String, text: String) {
    let item = Item { line, text };
    match section.options.iter_mut().find(|known| known.name == name) {
        Some(known) => match &mut known.value {
            UciValue::List(items) => items.push(item),
            UciValue::Single(first) => {
                let first = Item { line: known.line, text: std::mem::take(first) };
                known.value = UciValue::List(vec![first, item]);
            }
        },
        None => section.options.push(UciOption { line, name, value: UciValue::List(vec![item]), replaced: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(u32, String)> {
        parse(text.as_bytes()).errors.into_iter().map(|error| (error.line, error.to_string())).collect()
    }

    #[test]
    fn every_error_with_its_line() {
        for (text, want, why) in [
            ("optoin x 1\n\nconfig\n", vec![1, 3], "goes on with the next line"),
            (
                "config t a\noption x 'a\noption y-z 1\n",
                vec![2, 3],
                "and does not let a forgotten quote hide what follows",
            ),
            (
                "config t a-b\noption x 1\noption y-z 1\n",
                vec![1, 3],
                "options of a refused section are read for their own errors",
            ),
            ("config t a\nconfig u a\n", vec![2], "two types for one name"),
            ("option x 1\n", vec![1], "no section yet"),
            ("config t a\noption x \\\n  1\n", vec![3], "the surplus word stands on the second line"),
            ("\0\nconfig t a\n", vec![1, 1], "a zero byte is an error of its own"),
        ] {
            assert_eq!(
                errors(text).iter().map(|(line, _)| *line).collect::<Vec<_>>(),
                want,
                "{why}: {:?}",
                errors(text)
            );
        }
    }

    #[test]
    fn positions() {
        let file = parse(b"# c\nconfig t a\n\noption x 'a\nb'; option x 2\nlist y 1\nlist y 2\nconfig t a\n");
        let section = &file.sections[0];
        assert_eq!((section.line, section.repeated.as_slice()), (2, [8].as_slice()));
        let replaced = UciOption { line: 5, name: "x".into(), value: UciValue::Single("2".into()), replaced: Some(4) };
        assert_eq!(section.options[0], replaced, "a statement behind a multi-line value is on that value's last line");
        let items = [(6, "1"), (7, "2")].map(|(line, text)| Item { line, text: text.into() }).to_vec();
        assert_eq!(
            section.options[1],
            UciOption { line: 6, name: "y".into(), value: UciValue::List(items), replaced: None }
        );
    }

    #[test]
    fn messages_stay_on_one_line() {
        let (_, message) = errors(&format!("config t 'a\n{}'\n", "b".repeat(100))).remove(0);
        assert!(message.starts_with(r"'a\nbbb") && message.contains("...' is no UCI name"), "{message}");
    }
}
