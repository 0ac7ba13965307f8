//! Replays what the real libuci said (tests/uci-oracle recorded it): our parser accepts and refuses the same files and reads
//! the same from them.

use std::path::Path;

use failoverd::uci::{self, UciValue};
use serde_json::{Value, json};

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/uci-corpus")
}

#[allow(clippy::disallowed_methods, clippy::unwrap_used)]
fn read_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(directory().join(name)).unwrap()).unwrap()
}

/// The form of tests/uci-oracle/src/verdict.rs.
fn verdict(text: &[u8]) -> Value {
    let file = uci::parse(text);
    if !file.errors.is_empty() {
        return json!("error");
    }
    let sections = file.sections.iter().map(|section| {
        let options = section.options.iter().map(|option| {
            let value = match &option.value {
                UciValue::Single(text) => json!(text),
                UciValue::List(items) => items.iter().map(|item| item.text.as_str()).collect(),
            };
            (option.name.clone(), value)
        });
        json!({"kind": section.kind, "name": section.name, "options": Value::Object(options.collect())})
    });
    json!({"sections": sections.collect::<Vec<_>>()})
}

#[test]
#[allow(clippy::disallowed_methods)]
fn handwritten_files_are_read_as_libuci_reads_them() {
    let verdicts = read_json("verdicts.json");
    let mut compared = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "uci") {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(verdict(&std::fs::read(&path).unwrap()), verdicts[name], "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, verdicts.as_object().unwrap().len(), "every file has a verdict and every verdict a file");
}

#[test]
fn generated_files_are_read_as_libuci_reads_them() {
    for case in read_json("generated.json").as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(verdict(text.as_bytes()), case["verdict"], "{text:?}");
    }
}
