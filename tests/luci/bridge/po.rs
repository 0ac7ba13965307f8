//! A .po file to what a page looks its texts up in. Asked by `site.rs`.

use serde_json::{Map, Value};

/// The key under which LuCI keeps the rule for plurals.
const RULE: &str = "00000000";

/// By text, with its context before a \u{1} and the number of the plural form behind a \u{2}, as LuCI puts its keys together.
pub(crate) fn read(text: &str) -> Map<String, Value> {
    let mut texts = Map::new();
    let mut entry: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        let line = line.trim();
        if line.is_empty() {
            finish(&std::mem::take(&mut entry), &mut texts);
        } else if let Some(rest) = line.strip_prefix('"') {
            if let Some((_, text)) = entry.last_mut() {
                text.push_str(&unquote(rest));
            }
        } else if !line.starts_with('#')
            && let Some((word, quoted)) = line.split_once(' ')
        {
            entry.push((word.to_owned(), unquote(quoted.trim_start().trim_start_matches('"'))));
        }
    }
    texts
}

fn finish(entry: &[(String, String)], texts: &mut Map<String, Value>) {
    let word = |name: &str| entry.iter().find(|(word, _)| word == name).map(|(_, text)| text.as_str());
    let Some(id) = word("msgid") else { return };
    if id.is_empty() {
        let rule = word("msgstr").into_iter().flat_map(str::lines).find_map(|it| it.strip_prefix("Plural-Forms:"));
        if let Some((_, rule)) = rule.and_then(|rule| rule.split_once("plural=")) {
            texts.insert(RULE.to_owned(), format!("plural={};", rule.trim_end_matches([';', ' '])).into());
        }
        return;
    }
    let context = word("msgctxt").map_or_else(String::new, |context| format!("{}\u{1}", plain(context)));
    let mut add = |key: String, text: &str| {
        if !text.is_empty() {
            texts.insert(key, text.into());
        }
    };
    for (word, text) in entry {
        if word == "msgstr" {
            add(format!("{context}{}", plain(id)), text);
        } else if let Some(form) = word.strip_prefix("msgstr[").and_then(|rest| rest.strip_suffix(']')) {
            add(format!("{context}{}\u{2}{form}", plain(id)), text);
        }
    }
}

/// White space does not count in keys.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rest of a quoted string, up to its end.
fn unquote(rest: &str) -> String {
    let mut text = String::new();
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text
}
