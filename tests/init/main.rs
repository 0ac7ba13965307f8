//! `failoverd init` on routers as they are: each directory of `cases` has a router's files and what is made of them (`expected`).
//! `WRITE_EXPECTED=1 cargo test --test init` writes those anew, to be read before they are committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

mod names;

use std::fs;
use std::path::Path;

use failoverd::advice::advice;
use failoverd::init::{Facts, draft};
use failoverd::neighbours::Neighbours;
use failoverd::{netifd, settings, uci};

/// What a person sees, and what is written.
fn outcome(case: &Path) -> String {
    let read = |name: &str| fs::read(case.join(name)).ok();
    let (network, wireless, firewall) = (read("network"), read("wireless"), read("firewall"));
    let neighbours = Neighbours::parse(
        network.as_deref().map(|text| ("/etc/config/network", text)),
        wireless.as_deref().map(|text| ("/etc/config/wireless", text)),
        firewall.as_deref().map(|text| ("/etc/config/firewall", text)),
    );
    let dump = read("dump.json").map(|text| serde_json::from_slice(&text).unwrap());
    let interfaces = dump.map(|dump| netifd::interfaces(&dump));
    let defaults = String::from_utf8(read("defaults").unwrap_or_default()).unwrap();
    let default_devices: Vec<String> = defaults.lines().map(str::to_owned).collect();
    let facts =
        Facts { interfaces: interfaces.as_deref(), neighbours: Some(&neighbours), default_devices: &default_devices };
    let draft = match draft(facts) {
        Ok(draft) => draft,
        Err(sentences) => return sentences.join("\n") + "\n",
    };
    let text = draft.text();
    let loaded = settings::parse("failover", text.as_bytes()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let advice = advice("failover", &uci::parse(text.as_bytes()), &loaded.settings, &neighbours);
    let lines = draft.decisions.into_iter();
    let lines = lines.chain(draft.left_out.iter().map(|line| format!("left out: {line}")));
    let lines: Vec<String> = lines.chain(advice.iter().map(|line| format!("warning: {line}"))).collect();
    format!("{}\n\n{text}", lines.join("\n"))
}

#[test]
fn routers_as_they_are() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/init/cases");
    let mut seen = 0;
    for entry in fs::read_dir(cases).unwrap() {
        let case = entry.unwrap().path();
        let (about, expected) = (fs::read_to_string(case.join("about")).unwrap(), case.join("expected"));
        let found = outcome(&case);
        if std::env::var_os("WRITE_EXPECTED").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&expected).unwrap_or_default(), "{}: {about}", case.display());
        seen += 1;
    }
    assert!(seen >= 12);
}
