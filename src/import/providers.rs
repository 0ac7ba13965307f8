//! Lines to provider sections in order of preference: names, priorities, weights, options that all have in common.
//!
//! Called by the importers at their end; the tests come from `targets`.

use super::line::{Line, Rule};
use super::notes::Notes;
use crate::draft::{Draft, Section, free_name, section_name};
use crate::order::ordered;
use crate::settings::schema::{MAX_PROVIDERS, OptionSpec, SectionKind};
use crate::uci::Short;

/// The greatest weight that a provider can have.
const MAX_WEIGHT: u64 = 256;

impl Notes<'_> {
    /// The draft of these lines; `sharing` is the file's word for what makes several of them share traffic.
    pub(super) fn finish(mut self, mut lines: Vec<Line>, sharing: &str) -> Draft {
        lines = ordered(lines, |line| (line.rank.is_none(), line.rank));
        // Rules may need the last number for what is to go nowhere.
        let most = MAX_PROVIDERS - usize::from(!self.rules.is_empty());
        for line in lines.split_off(lines.len().min(most)) {
            let text = format!("'{}' is one more than the {most} providers there can be", Short(&line.name));
            self.left_out(line.line, text);
        }
        self.once_per_source(&mut lines);
        self.say_sharing(&lines, sharing);
        let names = names(&lines);
        let mut sections: Vec<Section> = names.iter().map(|name| Section::new(name)).collect();
        let priorities = priorities(&lines);
        let weights = weights(&lines);
        for (at, (section, line)) in sections.iter_mut().zip(&mut lines).enumerate() {
            if section.name != section_name(&line.name) {
                let (name, own) = (Short(&line.name), &section.name);
                self.draft.decisions.push(format!("'{name}' is called '{own}': another section has the first name."));
            }
            if !line.enabled {
                section.set("enabled", "0");
            }
            section.set(line.source.0, line.source.1.clone());
            section.options.append(&mut line.options);
            if let Some(priority) = priorities.get(at) {
                section.set("priority", priority.to_string());
            }
            if let Some(Some(weight)) = weights.get(at) {
                section.set("weight", weight.to_string());
            }
        }
        // What concerns single providers is said before what concerns all.
        let decided = std::mem::take(&mut self.draft.decisions);
        self.tests(&lines, &mut sections);
        self.draft.decisions.extend(decided);
        self.rules(&lines, &sections);
        self.in_common(&mut sections);
        self.draft.providers = sections;
        self.into_draft()
    }

    /// failoverd has one provider per interface or device; further ones wait there.
    fn once_per_source(&mut self, lines: &mut [Line]) {
        let mut taken: Vec<(&'static str, String)> = Vec::new();
        for line in lines.iter_mut().filter(|line| line.enabled) {
            if !taken.contains(&line.source) {
                taken.push(line.source.clone());
                continue;
            }
            line.enabled = false;
            let (name, option, source) = (Short(&line.name), line.source.0, Short(&line.source.1));
            let text = format!(
                "'{name}' uses {option} '{source}' like another one: failoverd has one provider for each, so this one is \
                 written with enabled '0'"
            );
            self.left_out(line.line, text);
        }
    }

    /// Writes the rules; `sections` belong to `lines`.
    fn rules(&mut self, lines: &[Line], sections: &[Section]) {
        let mut taken: Vec<String> =
            sections.iter().chain(&self.draft.tests).map(|section| section.name.clone()).collect();
        for Rule { mut section, uses } in std::mem::take(&mut self.rules) {
            let (mut used, mut off) = (Vec::new(), Vec::new());
            for (line, provider) in
                uses.iter().flat_map(|name| lines.iter().zip(sections).filter(move |(it, _)| it.name == *name))
            {
                if line.enabled {
                    used.push(provider.name.clone())
                } else {
                    off.push(format!("'{}'", Short(&line.name)))
                }
            }
            if !off.is_empty() {
                let text = format!("Rule '{}' does not name {}, which is off.", Short(&section.name), off.join(", "));
                self.decided(text);
            }
            if !used.is_empty() {
                section.lists.push(("use", used));
            } else if !section.options.iter().any(|(name, _)| *name == "fallback") {
                section.set("fallback", "default");
            }
            section.rename(&mut taken);
            self.draft.rules.push(section);
        }
    }

    fn say_sharing(&mut self, lines: &[Line], subject: &str) {
        let mut said = None;
        for line in lines.iter().filter(|line| line.enabled && line.rank.is_some()) {
            if said == line.rank {
                continue;
            }
            said = line.rank;
            let peers: Vec<String> = lines
                .iter()
                .filter(|peer| peer.enabled && peer.rank == line.rank)
                .map(|peer| format!("'{}'", Short(&peer.name)))
                .collect();
            if peers.len() > 1 {
                self.decided(format!(
                    "{subject} shared traffic among {}: they have one priority and share it by weight, what a client has with a \
                     server always through one of them.",
                    peers.join(", ")
                ));
            }
        }
    }

    /// What every provider has alike is written once, in `settings`.
    fn in_common(&mut self, sections: &mut [Section]) {
        let Some(first) = sections.first().map(|first| first.options.clone()) else { return };
        for option in first {
            let check = OptionSpec::find(SectionKind::Provider, option.0).is_some_and(|spec| spec.sections.len() > 1);
            if check && sections.iter().all(|section| section.options.contains(&option)) {
                sections.iter_mut().for_each(|section| section.options.retain(|own| *own != option));
                self.draft.settings.push(option);
            }
        }
    }
}

/// A section name for each line, all different, none that of `settings`.
fn names(lines: &[Line]) -> Vec<String> {
    let mut names = Vec::with_capacity(lines.len());
    for line in lines {
        let name = free_name(&section_name(&line.name), &names);
        names.push(name);
    }
    names
}

/// Priorities from 1; none at all where the order of the file says the same. A line without rank comes after the ranked ones.
fn priorities(lines: &[Line]) -> Vec<u32> {
    let mut priorities: Vec<u32> = Vec::with_capacity(lines.len());
    let mut previous: Option<&Line> = None;
    for line in lines {
        let last = priorities.last().copied().unwrap_or_default();
        let equal = previous.is_some_and(|previous| line.rank.is_some() && previous.rank == line.rank);
        priorities.push(if equal { last } else { last + 1 });
        previous = Some(line);
    }
    if priorities.last().is_some_and(|last| usize::try_from(*last).is_ok_and(|last| last == lines.len())) {
        priorities.clear();
    }
    priorities
}

/// The weights that say something: among lines of equal rank that differ in it.
fn weights(lines: &[Line]) -> Vec<Option<u64>> {
    let weight = |line: &Line| {
        let peers = || {
            let equals = lines.iter().filter(|peer| peer.enabled && peer.rank == line.rank);
            equals.map(|peer| u64::from(peer.weight))
        };
        let (least, greatest) = (peers().min()?, peers().max()?);
        let own = u64::from(line.weight);
        let scaled = if greatest > MAX_WEIGHT { (own * MAX_WEIGHT / greatest).max(1) } else { own.max(1) };
        (line.enabled && line.rank.is_some() && least != greatest).then_some(scaled)
    };
    lines.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::super::notes::Options;
    use super::*;

    #[test]
    fn priorities_and_weights() {
        for (ranks, priorities_wanted, weights_wanted, why) in [
            (
                vec![(Some(1), 3), (Some(2), 2)],
                vec![],
                vec![None, None],
                "the order says it all, and nothing is shared",
            ),
            (vec![(Some(10), 3), (Some(10), 3)], vec![1, 1], vec![None, None], "equal shares need no weights"),
            (
                vec![(Some(10), 3), (Some(10), 1), (Some(20), 9)],
                vec![1, 1, 2],
                vec![Some(3), Some(1), None],
                "weights among equals alone",
            ),
            (
                vec![(Some(0), 512), (Some(0), 1)],
                vec![1, 1],
                vec![Some(256), Some(1)],
                "weights have a limit, and none is 0",
            ),
            (vec![(Some(7), 1), (None, 1), (None, 2)], vec![], vec![None; 3], "lines without rank share nothing"),
        ] {
            let line = |(rank, weight): &(Option<u32>, u32)| Line {
                line: 1,
                name: String::new(),
                source: ("device", String::new()),
                options: Vec::new(),
                enabled: true,
                rank: *rank,
                weight: *weight,
                asks: Options::new(),
                targets: Vec::new(),
                required: 1,
            };
            let lines: Vec<Line> = ranks.iter().map(line).collect();
            assert_eq!((priorities(&lines), weights(&lines)), (priorities_wanted, weights_wanted), "{why}");
        }
    }
}
