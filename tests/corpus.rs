//! Replays the corpora of the fuzz targets (fuzz/corpus/NAME): nothing in them may panic.

use std::path::Path;

/// Calls `target` with every file of its corpus.
#[allow(clippy::disallowed_methods, clippy::unwrap_used)]
fn replay(name: &str, target: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus of {name} is empty");
}

#[test]
fn uci() {
    replay("uci", failoverd::settings::exercise);
}

#[test]
fn import() {
    replay("import", failoverd::import::exercise);
}

#[test]
fn icmp() {
    replay("icmp", |bytes| {
        let _ = failoverd::icmp::parse(bytes);
    });
}

#[test]
fn ubus() {
    replay("ubus", failoverd::ubus_call::exercise);
}

#[cfg(feature = "simulate")]
#[test]
fn trace() {
    replay("trace", failoverd::trace::exercise);
}

#[test]
fn netifd() {
    replay("netifd", failoverd::netifd::exercise);
}

#[test]
fn dns() {
    replay("dns", failoverd::dns::exercise);
}

#[test]
fn http() {
    replay("http", failoverd::http::exercise);
}
