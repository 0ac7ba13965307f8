//! What is wrong with a file, where, and what may have been meant.

use std::fmt;

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
pub(super) fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, candidates.into_iter().map(|candidate| (candidate, candidate)))
        .map(|meant| format!(" (did you mean '{meant}'?)"))
        .unwrap_or_default()
}

/// The second of the pair whose first is nearest to what was typed, if it is near.
pub(super) fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let length = typed.chars().count();
    // One slip per three letters, two at most, is a typing error; more is another word.
    let bound = (length / 3).min(2);
    if length > 40 {
        return None;
    }
    candidates
        .map(|(word, meant)| (distance(typed, word), meant))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, meant)| meant)
}

/// Letters to insert, delete, replace, or swap with the next.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (row, from) in a.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, &to) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, column) + usize::from(from != to))
                .min(at(&above, column + 1) + 1)
                .min(at(&line, column) + 1);
            let swapped = column.checked_sub(1).filter(|&left| b.get(left) == Some(&from) && last == Some(to));
            if let Some(left) = swapped {
                best = best.min(at(&before, left) + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
        last = Some(from);
    }
    above.last().copied().unwrap_or_default()
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
