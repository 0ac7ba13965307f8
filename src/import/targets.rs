//! What lines were tested with to test sections, shared where they are the same.
//!
//! Called by `providers`. An answer of one of several addresses is one test with them all; an answer of several of them is a
//! test for each, and `required`.

use super::line::Line;
use super::notes::{Notes, Options};
use crate::draft::{Section, free_name};
use crate::settings::BUILTIN_TEST;
use crate::uci::Short;

/// The most that option `required` takes.
const MOST_REQUIRED: usize = 1000;

/// A test section in the making, and what it asks.
struct Test {
    name: String,
    options: Options,
    targets: Vec<String>,
}

impl Notes<'_> {
    /// Writes the tests, and names them in the providers that do not use all of them. `sections` belong to `lines`.
    pub(super) fn tests(&mut self, lines: &[Line], sections: &mut [Section]) {
        let mut taken: Vec<String> = sections.iter().map(|section| section.name.clone()).collect();
        let mut tests: Vec<Test> = Vec::new();
        let mut used: Vec<Vec<String>> = Vec::with_capacity(lines.len());
        let mut untested: Vec<String> = Vec::new();
        for (line, section) in lines.iter().zip(sections.iter_mut()) {
            let required = line.required.min(line.targets.len()).min(MOST_REQUIRED);
            let asked: Vec<(String, Vec<String>)> = match required {
                // There is one gateway to ask, whatever the file names.
                _ if line.kind() == "arp" => vec![("gateway".to_owned(), Vec::new())],
                0 => Vec::new(),
                1 => vec![(BUILTIN_TEST.to_owned(), line.targets.clone())],
                _ => line.targets.iter().map(|target| (test_name(line.kind(), target), vec![target.clone()])).collect(),
            };
            if asked.is_empty() {
                untested.push(format!("'{}'", Short(&line.name)));
            }
            if required < line.required && required > 0 {
                let text = format!(
                    "'{}' wanted answers of {} addresses, but {required} can be asked: all of these must answer now",
                    Short(&line.name),
                    line.required
                );
                self.left_out(line.line, text);
            }
            let mut names = Vec::with_capacity(asked.len());
            for (name, targets) in asked {
                let known = tests.iter().find(|test| test.targets == targets && test.options == line.asks);
                let known = known.map(|test| test.name.clone());
                names.push(known.unwrap_or_else(|| {
                    let name = free_name(&name, &taken);
                    taken.push(name.clone());
                    tests.push(Test { name: name.clone(), options: line.asks.clone(), targets });
                    name
                }));
            }
            if required > 1 {
                section.set("required", required.to_string());
            }
            used.push(names);
        }
        self.say_required(lines);
        if !untested.is_empty() {
            let (who, with) =
                (untested.join(", "), if tests.is_empty() { "failoverd's own test" } else { "all tests" });
            self.decided(format!("{who}: no address to ask in the file, so it is checked with {with}."));
        }
        for (section, names) in sections.iter_mut().zip(used) {
            if !names.is_empty() && names.len() < tests.len() {
                section.lists.push(("test", names));
            }
        }
        self.draft.tests = tests.into_iter().map(Test::section).collect();
    }

    fn say_required(&mut self, lines: &[Line]) {
        let mut said: Vec<(&[String], usize)> = Vec::new();
        for line in lines.iter().filter(|line| line.required > 1 && line.targets.len() > 1) {
            let kind = (line.targets.as_slice(), line.required);
            if said.contains(&kind) {
                continue;
            }
            said.push(kind);
            let who: Vec<String> = lines
                .iter()
                .filter(|peer| (peer.targets.as_slice(), peer.required) == kind)
                .map(|peer| format!("'{}'", Short(&peer.name)))
                .collect();
            let (required, count) = (line.required.min(line.targets.len()), line.targets.len());
            self.decided(format!(
                "{}: {required} of {count} addresses must answer, as before: a test for each address, and option required.",
                who.join(", ")
            ));
        }
    }
}

impl Test {
    fn section(self) -> Section {
        let lists = Some(("target", self.targets)).filter(|(_, targets)| !targets.is_empty()).into_iter().collect();
        Section { options: self.options, lists, ..Section::new(&self.name) }
    }
}

fn test_name(kind: &str, target: &str) -> String {
    crate::draft::section_name(&format!("{kind}_{target}"))
}
