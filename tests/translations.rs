//! Every text that LuCI's pages show is in failover.pot, and every language has all of them.
//!
//! The texts are those of the pages themselves, the titles of menu and rights, the daemon's sentences (`say!`), and what options are for and take.
//! `openwrt/luci-app-failover/po/update` runs this with WRITE_POT=1: then the files are brought up to date instead of compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use failoverd::settings::export;
use failoverd::settings::schema::OPTIONS;
use serde_json::Value;

const APP: &str = "openwrt/luci-app-failover";
const UPDATE: &str =
    "openwrt/luci-app-failover/po/update brings it up to date, and leaves empty what is to be translated";

/// A text, with its form for several things if it has one.
type Text = (String, Option<String>);
/// Every text with the files it is in.
type Texts = BTreeMap<Text, BTreeSet<String>>;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files below a folder with this ending, named from the repository's root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&name, ending));
        } else if name.ends_with(ending) {
            found.push(name);
        }
    }
    found
}

/// What follows the opening bracket of every call of a function in a source.
fn calls<'a>(source: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    source.match_indices(name).filter_map(move |(at, _)| {
        let longer = source[..at].ends_with(|it: char| it.is_alphanumeric() || "_$.".contains(it));
        let call = source[at + name.len()..].strip_prefix('(')?;
        (!longer).then_some(call.trim_start())
    })
}

/// Takes literals off the front, several where they are joined by `+`: the text, and what follows.
fn literals(mut rest: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    loop {
        let quote = rest.chars().next().filter(|it| "'\"".contains(*it))?;
        let mut escaped = false;
        let end = rest[1..].find(|it| {
            let ends = it == quote && !escaped;
            escaped = it == '\\' && !escaped;
            ends
        })?;
        // The escapes of both languages that are used in texts.
        let plain = rest[1..=end].replace("\\'", "'").replace("\\\"", "\"").replace("\\u2026", "…");
        if plain.contains('\\') {
            return None;
        }
        text += &plain;
        rest = rest[end + 2..].trim_start();
        match rest.strip_prefix('+') {
            Some(more) => rest = more.trim_start(),
            None => return Some((text, rest)),
        }
    }
}

/// The texts of a page: `_('one')`, `N_(count, 'one', 'several')`. One that is written elsewhere, `_(text)`, is looked for there.
fn of_page(name: &str, add: &mut impl FnMut(&str, Text)) {
    let source = read(name);
    for call in calls(&source, "_").filter(|call| call.starts_with(['\'', '"', '`'])) {
        match literals(call) {
            Some((text, rest)) if rest.starts_with(')') => add(name, (text, None)),
            _ => panic!("{name}: neither a plain text nor a variable, or a context: _({call:.70}"),
        }
    }
    for call in calls(&source, "N_") {
        let forms = call.split_once(',').and_then(|(_, forms)| {
            let (one, rest) = literals(forms.trim_start())?;
            let (several, rest) = literals(rest.strip_prefix(',')?.trim_start())?;
            rest.starts_with(')').then_some((one, Some(several)))
        });
        add(name, forms.unwrap_or_else(|| panic!("{name}: not two plain texts: N_({call:.70}")));
    }
}

/// The patterns of the daemon's sentences in a source.
fn of_daemon(name: &str, add: &mut impl FnMut(&str, Text)) {
    let source = read(name);
    let lines = source.lines().take_while(|line| *line != "#[cfg(test)]");
    let code: Vec<&str> = lines.filter(|line| !line.trim_start().starts_with("//")).collect();
    for call in calls(&code.join("\n"), "say!").filter(|call| !call.starts_with('$')) {
        let (text, _) = literals(call).unwrap_or_else(|| panic!("{name}: not a plain text: say!({call:.70}"));
        add(name, (text, None));
    }
}

/// The values with this key, however deep.
fn of_json(value: &Value, key: &str, found: &mut Vec<String>) {
    let object = value.as_object().unwrap();
    for (name, value) in object {
        match value {
            Value::String(text) if name == key => found.push(text.clone()),
            Value::Object(_) => of_json(value, key, found),
            _ => {}
        }
    }
}

fn texts() -> Texts {
    let mut texts = Texts::new();
    let mut add = |name: &str, text: Text| {
        for form in [Some(&text.0), text.1.as_ref()].into_iter().flatten() {
            // LuCI looks for texts without surplus blanks; po2lmo takes them as they are.
            let plain = form.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(*form, plain, "{name}: blanks that LuCI would not find");
            let html = form
                .match_indices(['<', '&'])
                .any(|(at, _)| form[at + 1..].starts_with(|it: char| it.is_alphabetic() || it == '/'));
            assert!(!html, "{name}: HTML in: {form}");
        }
        texts.entry(text).or_default().insert(name.to_owned());
    };
    for name in files(&format!("{APP}/htdocs"), ".js") {
        of_page(&name, &mut add);
    }
    for (folder, key) in [("luci/menu.d", "title"), ("rpcd/acl.d", "description")] {
        for name in files(&format!("{APP}/root/usr/share/{folder}"), ".json") {
            let mut found = Vec::new();
            of_json(
                &serde_json::from_str(&read(&name)).unwrap_or_else(|error| panic!("{name}: {error}")),
                key,
                &mut found,
            );
            assert!(!found.is_empty(), "{name}: no {key}");
            for text in found {
                add(&name, (text, None));
            }
        }
    }
    for name in files("src", ".rs").iter().filter(|name| !name.contains("/tests")) {
        of_daemon(name, &mut add);
    }
    for option in OPTIONS {
        add("src/settings/schema.rs", (option.doc.to_owned(), None));
        add("src/settings/schema.rs", (option.kind.describe(), None));
    }
    let table = export();
    for form in table["options"].as_array().unwrap().iter().flat_map(|it| it["forms"].as_array()).flatten() {
        add("src/settings/test.rs", (form["must"].as_str().unwrap().to_owned(), None));
    }
    texts
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A .pot or .po file: what a language has for each text, nothing in the .pot.
fn written(header: &str, texts: &Texts, said: &BTreeMap<Text, Vec<String>>, forms: usize) -> String {
    let mut file = header.to_owned();
    for (text, places) in texts {
        file.push('\n');
        for place in places {
            writeln!(file, "#: {place}").unwrap();
        }
        writeln!(file, "msgid {}", quoted(&text.0)).unwrap();
        let said = |form| quoted(said.get(text).and_then(|said| said.get(form)).map_or("", String::as_str));
        let Some(several) = &text.1 else {
            writeln!(file, "msgstr {}", said(0)).unwrap();
            continue;
        };
        writeln!(file, "msgid_plural {}", quoted(several)).unwrap();
        for form in 0..forms {
            writeln!(file, "msgstr[{form}] {}", said(form)).unwrap();
        }
    }
    file
}

/// A .po file's header, the number of forms that the language has, and what it has for each text.
fn parsed(name: &str) -> (String, usize, BTreeMap<Text, Vec<String>>) {
    let file = read(name);
    let (header, entries) = file.split_once("\n\n").unwrap_or((file.trim_end(), ""));
    let forms = header.split_once("nplurals=").and_then(|(_, rest)| rest.split(';').next()?.parse().ok());
    let mut said = BTreeMap::new();
    for entry in entries.split("\n\n") {
        let field = |start: &str| {
            let line = entry.lines().find_map(|line| line.strip_prefix(start))?;
            let line = line.strip_prefix(' ').unwrap_or(line);
            let text = line.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            let text = text.unwrap_or_else(|| panic!("{name}: not in quotes: {line}"));
            Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
        };
        // What somebody is not sure of is not translated.
        let Some(text) = field("msgid ").filter(|_| !entry.contains("#, fuzzy")) else { continue };
        let all = std::iter::once(field("msgstr ")).chain((0..9).map(|form| field(&format!("msgstr[{form}]"))));
        said.insert((text, field("msgid_plural ")), all.flatten().collect());
    }
    (format!("{header}\n"), forms.unwrap_or_else(|| panic!("{name}: no Plural-Forms")), said)
}

/// The places that something is put into: `{0}` in any order, `%d` in theirs.
fn places(text: &str) -> (BTreeSet<&str>, Vec<&str>) {
    let braces = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
    let percents = text.match_indices('%').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        rest[end..].starts_with(|it: char| it.is_ascii_alphabetic() || it == '%').then(|| &rest[..=end])
    });
    (braces, percents.collect())
}

#[test]
fn every_text_is_there_and_translated() {
    let texts = texts();
    let write = std::env::var_os("WRITE_POT").is_some();
    let compare = |name: &str, wanted: String| {
        if write {
            fs::write(path(name), wanted).unwrap();
        } else if read(name) != wanted {
            let there = read(name);
            let missing: Vec<&str> = wanted.lines().filter(|line| !there.contains(line)).collect();
            let surplus: Vec<&str> = there.lines().filter(|line| !wanted.contains(line)).collect();
            panic!("{name}: {UPDATE}; missing: {missing:#?}, surplus: {surplus:#?}");
        }
    };
    let header = "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\"\n";
    compare(&format!("{APP}/po/templates/failover.pot"), written(header, &texts, &BTreeMap::new(), 2));

    let languages = files(&format!("{APP}/po"), ".po");
    for name in ["de", "zh_Hans"].map(|language| format!("{APP}/po/{language}/failover.po")) {
        assert!(languages.contains(&name), "no {name}");
    }
    let mut wrong = Vec::new();
    for name in languages {
        let (header, forms, said) = parsed(&name);
        // So there is nothing else in the file either: no text of old, none in doubt.
        compare(&name, written(&header, &texts, &said, forms));
        for text in texts.keys() {
            let originals = [Some(&text.0), text.1.as_ref()];
            let originals: Vec<&String> = originals.into_iter().flatten().collect();
            let none = Vec::new();
            let said = said.get(text).unwrap_or(&none);
            let wanted = if text.1.is_some() { forms } else { 1 };
            if said.iter().filter(|said| !said.is_empty()).count() < wanted {
                wrong.push(format!("{name}: not translated: {}", text.0));
            } else if let Some(said) =
                said.iter().find(|said| originals.iter().all(|text| places(said) != places(text)))
            {
                wrong.push(format!("{name}: other places for what is put in: {} -> {said}", text.0));
            }
        }
    }
    assert!(write || wrong.is_empty(), "{wrong:#?}");
    // Told while writing, too.
    print!("{}", wrong.iter().map(|line| format!("{line}\n")).collect::<String>());
}
