//! The draft in the making, with what an importer has to say about each line of the file.
//!
//! Filled by the importers; `finish` makes providers and tests of their lines.

use std::fmt::Display;

use super::line::{Line, Rule};
use crate::draft::Draft;
use crate::order::ordered;
use crate::settings::schema::{OptionSpec, SectionKind};
use crate::uci::Short;

/// Options of a section in the making.
pub(super) type Options = Vec<(&'static str, String)>;

/// What becomes of a name as the target of a line that netifd does not know.
pub(super) const NO_SERVERS: &str = "is a name, and the file does not say which DNS servers to ask for it (list resolver of a provider would); left out";

/// Whether a target that failoverd takes is a name.
pub(super) fn is_name(target: &str) -> bool {
    target.parse::<std::net::IpAddr>().is_err()
}

/// A draft and its sentences.
pub(super) struct Notes<'a> {
    path: &'a str,
    pub(super) draft: Draft,
    pub(super) rules: Vec<Rule>,
    left_out: Vec<(u32, String)>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(path: &'a str) -> Self {
        Self { path, draft: Draft::default(), rules: Vec::new(), left_out: Vec::new() }
    }

    /// A sentence about a line of the file.
    pub(super) fn at(&self, line: u32, text: impl Display) -> String {
        format!("{}:{line}: {text}", self.path)
    }

    /// What is not carried over.
    pub(super) fn left_out(&mut self, line: u32, text: impl Into<String>) {
        self.left_out.push((line, text.into()));
    }

    /// What was decided, and why.
    pub(super) fn decided(&mut self, text: impl Into<String>) {
        self.draft.decisions.push(text.into());
    }

    /// Adds an option, if failoverd takes the value and it is not the default; `what` had it under the name `theirs`.
    pub(super) fn set(
        &mut self,
        options: &mut Options,
        (line, what, theirs): (u32, &str, &str),
        (section, ours): (SectionKind, &'static str),
        value: &str,
    ) {
        let Some(spec) = OptionSpec::find(section, ours) else { return };
        match spec.accepts(value) {
            Ok(()) if spec.default == value => {}
            Ok(()) => options.push((ours, value.to_owned())),
            Err(why) => self.left_out(line, format!("{what}{theirs} '{}' {why}; left out", Short(value))),
        }
    }

    /// A line that never carried the default route, and answered what came in through it.
    pub(super) fn apart(&mut self, line: &mut Line) {
        line.options.push(("default", "0".to_owned()));
        let inbound = ("inbound", "1".to_owned());
        if !self.draft.settings.contains(&inbound) {
            self.draft.settings.push(inbound);
        }
    }

    /// The draft with its sentences in the order of the file.
    pub(super) fn into_draft(mut self) -> Draft {
        self.draft.left_out = self.sentences();
        self.draft
    }

    /// Why there is no draft: the sentences so far, and this one.
    pub(super) fn refuse(mut self, why: &str) -> Vec<String> {
        let mut sentences = self.sentences();
        sentences.push(format!("{}: {why}", self.path));
        sentences
    }

    fn sentences(&mut self) -> Vec<String> {
        let left_out = ordered(std::mem::take(&mut self.left_out), |(line, _)| *line);
        left_out.iter().map(|(line, text)| self.at(*line, text)).collect()
    }
}
