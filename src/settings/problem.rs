//! What is wrong with a file, where, and what may have been meant.

use std::fmt;

use crate::text::nearest;

/// One thing wrong with a configuration file; displays as `FILE:LINE: TEXT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named by whoever read it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// ` (did you mean 'X'?)` for the candidate nearest to what was typed, or nothing.
pub(crate) fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, candidates.into_iter()).map(|meant| format!(" (did you mean '{meant}'?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_place() {
        let problem = Problem { file: "/etc/config/failover".into(), line: 14, text: "provider 'lte': no".into() };
        assert_eq!(problem.to_string(), "/etc/config/failover:14: provider 'lte': no");
    }

    #[test]
    fn suggestions() {
        for (typed, want, why) in [
            ("metirc", " (did you mean 'metric'?)", "two letters swapped"),
            ("intervall", " (did you mean 'interval'?)", "one too many"),
            ("inteval", " (did you mean 'interval'?)", "one missing"),
            ("up", " (did you mean 'up'?)", "the same"),
            ("ap", "", "short words have too many neighbours"),
            ("colour", "", "nothing like it"),
        ] {
            assert_eq!(did_you_mean(typed, ["metric", "interval", "up"]), want, "{why}");
        }
    }
}
