//! One internet line of another tool's configuration, before it becomes a provider.
//!
//! Made by the importers, put in order and written by `providers` and `targets`. Rules as well, which name lines.

use super::notes::Options;
use crate::draft::Section;

/// What an importer knows of a line.
#[derive(Debug)]
pub(super) struct Line {
    /// Where the file describes it.
    pub(super) line: u32,
    /// What the file calls it.
    pub(super) name: String,
    /// `interface` or `device`, and which.
    pub(super) source: (&'static str, String),
    /// Further options of the provider section.
    pub(super) options: Options,
    /// Whether it was in use.
    pub(super) enabled: bool,
    /// Lower is preferred; `None`: it never carried the default route.
    pub(super) rank: Option<u32>,
    /// Share of the traffic among lines of equal rank.
    pub(super) weight: u32,
    /// Options of its tests: the type, and what belongs to it.
    pub(super) asks: Options,
    /// Whom it asked, each once, as its type of test has it.
    pub(super) targets: Vec<String>,
    /// How many of them must answer.
    pub(super) required: usize,
}

/// A rule of another tool's configuration.
pub(super) struct Rule {
    /// Its section, but for whom it uses.
    pub(super) section: Section,
    /// The names of the lines that it uses.
    pub(super) uses: Vec<String>,
}

impl Line {
    /// The type of its tests.
    pub(super) fn kind(&self) -> &str {
        self.asks.iter().find(|(name, _)| *name == "type").map_or("ping", |(_, kind)| kind)
    }
}
