//! `simulate`: a recorded trace and a configuration, and what would have come of it. Needs no daemon and touches nothing.
//!
//! Called by `cli`; the library's `trace` does it.

use std::fs;
use std::path::Path;

use failoverd::settings::LogLevel;
use failoverd::trace::{Problem, Trace, report, simulate};

use super::{Exit, complain_raw, print};
use crate::shell::config;
use crate::shell::logging::{self, Destination};

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
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| vec![format!("{name}: cannot be read: {error}")])?;
    let trace = Trace::read(&text).map_err(|Problem { line, text }| vec![format!("{name}:{line}: {text}")])?;
    Ok(report(&name, &trace, &simulate(&trace, settings)))
}
