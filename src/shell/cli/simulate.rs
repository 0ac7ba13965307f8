//! `simulate`: a recorded trace and a configuration, and what would have come of it. Needs no daemon and touches nothing.
//!
//! Called by `cli`; the library's `trace` does it.

use std::fs;
use std::path::Path;

use failoverd::settings::LogLevel;
use failoverd::trace::{Trace, report, simulate};

use super::{Exit, complain_raw, print};
use crate::shell::logging::{self, Destination};
use crate::shell::{config, record};

/// Prints the switches and what they come to.
pub(super) fn run(file: &Path, trace: &Path) -> Exit {
    logging::start(Destination::Stderr, LogLevel::Error);
    match text(file, trace) {
        Ok(text) => {
            print(&text);
            Exit::Fine
        }
        Err(problems) => {
            problems.iter().for_each(|problem| complain_raw(problem));
            Exit::Usage
        }
    }
}

fn text(file: &Path, path: &Path) -> Result<String, Vec<String>> {
    let settings = config::load(file)?.settings;
    let name = path.display();
    let mut bytes = fs::read(path).map_err(|error| vec![format!("{name}: cannot be read: {error}")])?;
    let head = |bytes: &[u8]| {
        bytes.iter().position(|byte| *byte == b'\n').and_then(|end| bytes.get(..end).map(<[u8]>::to_vec))
    };
    // The older half, if it is of the same run.
    let mut older = fs::read(record::older(path)).unwrap_or_default();
    if head(&older) != head(&bytes) {
        older.clear();
    }
    let lines_before = older.iter().filter(|byte| **byte == b'\n').count();
    older.append(&mut bytes);
    let trace = Trace::read(&older).map_err(|problem| {
        let (name, line) = match problem.line.checked_sub(lines_before) {
            Some(line @ 1..) => (path.to_owned(), line),
            _ => (record::older(path), problem.line),
        };
        vec![format!("{}:{line}: {}", name.display(), problem.text)]
    })?;
    let outcome = simulate(&trace, settings);
    Ok(report(&name.to_string(), &trace, &outcome))
}
