//! LuCI's app fits the daemon: the rights name what the daemon offers, the pages ask for nothing else, the menu leads to pages that are there.
//!
//! And the sources are as LuCI's are: tabs, no blanks at the end, strict. What the pages do is tried in a browser, by `tests/luci`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use failoverd::ubus_call::{self, OBJECT};
use serde_json::Value;
use ubus::BlobIter;

const ACL: &str = "root/usr/share/rpcd/acl.d/luci-app-failover.json";
const MENU: &str = "root/usr/share/luci/menu.d/luci-app-failover.json";

fn app() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/luci-app-failover")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_str(&read(&app().join(name))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every script and style sheet of the app.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(sources(&path)) } else { found.push(path) }
    }
    found
}

/// The pairs of object and method that a part of the rights allows.
fn allowed(part: &Value) -> BTreeSet<(String, String)> {
    let objects = part["ubus"].as_object().unwrap().iter();
    let pairs = objects.flat_map(|(object, methods)| {
        methods.as_array().unwrap().iter().map(|method| (object.clone(), method.as_str().unwrap().to_owned()))
    });
    pairs.collect()
}

#[test]
fn the_rights_are_those_to_what_the_daemon_offers() {
    let acl = &json(ACL)["luci-app-failover"];
    let signature = ubus_call::signature();
    let offered: BTreeSet<&str> = BlobIter::new(&signature).filter_map(|method| method.name).collect();
    let of_ours = |part: &str| -> BTreeSet<String> {
        allowed(&acl[part]).into_iter().filter(|(object, _)| object == OBJECT).map(|(_, method)| method).collect()
    };
    let (read, write) = (of_ours("read"), of_ours("write"));
    for method in read.union(&write) {
        assert!(offered.contains(method.as_str()), "the daemon has no '{method}'");
    }
    // What changes something is for those who may change something.
    for method in ["check", "pin", "reload", "unpin"] {
        assert!(!read.contains(method), "'{method}' needs the right to write");
    }
    // A page that only looks changes no file.
    assert_eq!(acl["write"]["uci"], serde_json::json!(["failover"]));
    assert!(acl["read"]["uci"].as_array().unwrap().contains(&Value::from("failover")));
}

#[test]
fn the_pages_ask_for_what_the_rights_allow() {
    let acl = &json(ACL)["luci-app-failover"];
    let mut allowed_calls = allowed(&acl["read"]);
    allowed_calls.extend(allowed(&acl["write"]));
    let mut asked = BTreeSet::new();
    for path in sources(&app().join("htdocs")) {
        let source = read(&path);
        for (at, _) in source.match_indices("rpc.declare(") {
            let declared = source[at..].split_once("})").unwrap().0;
            // A text, or the name of a constant.
            let field = |name: &str| {
                let word = declared.split_once(name)?.1.trim_start().strip_prefix(':')?.trim_start();
                let word = word.split([',', ' ', '\n']).next()?;
                let Some(text) = word.strip_prefix('\'') else {
                    let constant = source.split_once(&format!("const {word} = '"))?.1;
                    return constant.split('\'').next().map(str::to_owned);
                };
                text.strip_suffix('\'').map(str::to_owned)
            };
            let object = field("object").unwrap_or_else(|| panic!("{}: {declared}", path.display()));
            let methods = match field("method") {
                Some(method) => vec![method],
                // const call = (method, ...) => rpc.declare({ ..., method, ... }), and then call('status') and the like.
                None => {
                    let function = source[..at].rsplit_once(" = (method").unwrap().0.rsplit(' ').next().unwrap();
                    let call = format!("{function}('");
                    source.split(&call).skip(1).map(|rest| rest.split_once('\'').unwrap().0.to_owned()).collect()
                }
            };
            for call in methods.into_iter().map(|method| (object.clone(), method)) {
                assert!(allowed_calls.contains(&call), "{}: {call:?} is not in {ACL}", path.display());
                asked.insert(call);
            }
        }
    }
    for call in allowed_calls.into_iter().filter(|(object, _)| object == OBJECT) {
        let for_programs = ["history", "route"].contains(&call.1.as_str());
        assert!(asked.contains(&call) || for_programs, "no page asks for {call:?}");
    }
}

#[test]
fn the_menu_leads_to_pages_that_are_there() {
    let (menu, acl) = (json(MENU), json(ACL));
    let entries = menu.as_object().unwrap();
    let paths: BTreeSet<&str> = entries.keys().map(String::as_str).collect();
    assert_eq!(paths, BTreeSet::from(["admin/network/failover", "admin/status/failover"]));
    for (path, entry) in entries {
        let view = entry["action"]["path"].as_str().unwrap();
        let file = app().join(format!("htdocs/luci-static/resources/view/{view}.js"));
        assert!(file.is_file(), "{path}: no {}", file.display());
        for group in entry["depends"]["acl"].as_array().unwrap() {
            assert!(acl.get(group.as_str().unwrap()).is_some(), "{path}: no rights called {group}");
        }
    }
}

#[test]
fn the_sources_are_as_lucis_are() {
    let app = app();
    let mut paths = sources(&app.join("htdocs"));
    assert!(paths.len() >= 4, "{paths:?}");
    for path in &paths {
        let source = read(path);
        let name = path.display();
        let directive = |line: &&str| line.is_empty() || line.starts_with('\'');
        let first = source.lines().find(|line| !directive(line)).unwrap();
        assert!(first.starts_with("/*"), "{name}: begins without a word on what it is");
        // The package leaves such comments out, by lines: cross/openwrt/feeds/luci/luci.mk.
        for (at, _) in source.match_indices("/*") {
            let before = source[..at].trim_end_matches('\t');
            let begins = before.is_empty() || before.ends_with('\n');
            let (_, rest) = source[at..].split_once("*/").unwrap();
            assert!(!begins || rest.starts_with('\n'), "{name}: code behind a comment: {:.70}", &source[at..]);
        }
        if path.extension().unwrap() == "css" {
            continue;
        }
        assert_eq!(path.extension().unwrap(), "js", "{name}");
        assert!(source.lines().any(|line| line == "'use strict';"), "{name}: not strict");
        // Text from outside is never taken for HTML.
        for evil in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!source.contains(evil), "{name}: {evil}");
        }
    }
    paths.extend([app.join(ACL), app.join(MENU)]);
    for path in paths {
        let source = read(&path);
        assert!(source.ends_with('\n') && !source.ends_with("\n\n"), "{}: the end of the last line", path.display());
        let mut comment = false;
        for (number, line) in source.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            let indented = line.trim_start_matches('\t');
            assert_eq!(line, line.trim_end(), "{place}: blanks at the end");
            assert!(comment || !indented.starts_with(' '), "{place}: indented with blanks");
            for (at, _) in line.match_indices('\'').filter(|_| !comment) {
                let text = line[at + 1..].split('\'').next().unwrap();
                let words = text.contains(' ') && text.starts_with(|it: char| it.is_ascii_uppercase());
                let sentence = words && text.chars().all(|it| it.is_alphabetic() || " .,:?%".contains(it));
                assert!(!sentence || line[..at].ends_with("_("), "{place}: English whatever the language: {text}");
            }
            comment = (comment || indented.starts_with("/*")) && !line.ends_with("*/");
        }
    }
}
