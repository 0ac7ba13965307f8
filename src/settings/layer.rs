//! One section's options as typed values, and how sections lie over each other: provider over `settings` over defaults.
//!
//! Filled from a UCI section by `load`, which reads the values back out; `check` compares them.

use std::net::IpAddr;
use std::time::Duration;

use super::option::{self, Value};
use super::problem::did_you_mean;
use super::schema::{Kind, OPTIONS, OptionSpec, SYNONYMS, SectionKind};
use super::{Drain, GatewaySetting, Limits, Required};
use crate::order::sorted;
use crate::text::nearest;
use crate::uci::{Section, Short, UciOption, UciValue};

/// Problems and warnings found, by line.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<(u32, String)>,
    pub(super) warnings: Vec<(u32, String)>,
}

/// The options of one section.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) kind: SectionKind,
    /// The section in messages: `provider 'lte'`.
    pub(super) label: String,
    /// The section's line.
    pub(super) line: u32,
    /// In file order; lists have one entry per item.
    values: Vec<(&'static OptionSpec, u32, Value)>,
    /// Options that are there but were refused: what depends on them is not judged.
    refused: Vec<&'static OptionSpec>,
    /// A line of the section could not be read at all: nothing is said about what seems to be missing.
    pub(super) damaged: bool,
}

impl Layer {
    /// A section that is not there.
    pub(super) fn empty(kind: SectionKind) -> Self {
        Self { kind, label: kind.uci_type().into(), line: 1, values: Vec::new(), refused: Vec::new(), damaged: false }
    }

    /// Reads every option of a section.
    pub(super) fn read(kind: SectionKind, section: &Section, found: &mut Findings) -> Self {
        let label = match (kind, &section.name) {
            (SectionKind::Settings, _) => "settings".into(),
            (_, Some(name)) => format!("{} '{}'", kind.uci_type(), Short(name)),
            (_, None) => format!("unnamed {}", kind.uci_type()),
        };
        let mut layer =
            Self { kind, label, line: section.line, values: Vec::new(), refused: Vec::new(), damaged: false };
        for option in &section.options {
            layer.take(option, found);
        }
        layer
    }

    fn take(&mut self, option: &UciOption, found: &mut Findings) {
        let UciOption { name, line, .. } = option;
        let Some(spec) = OptionSpec::find(self.kind, name) else {
            found.problems.push((*line, format!("{}: {}", self.label, unknown(self.kind, name))));
            return;
        };
        if let Some(earlier) = option.replaced {
            found.warnings.push((*line, format!("{}: {name} replaces the one on line {earlier}", self.label)));
        }
        match &option.value {
            UciValue::Single(text) if spec.list && in_one_line(spec.kind) => {
                self.items(spec, text.split_whitespace().map(|item| (*line, item)), found);
            }
            UciValue::List(items) if spec.list => {
                self.items(spec, items.iter().map(|item| (item.line, item.text.as_str())), found);
            }
            UciValue::Single(text) => self.items(spec, [(*line, text.as_str())].into_iter(), found),
            UciValue::List(items) => {
                self.refused.push(spec);
                let line = items.last().map_or(*line, |item| item.line);
                found.problems.push((line, format!("{}: {name} takes one value: write option, not list", self.label)));
            }
        }
    }

    fn items<'a>(
        &mut self,
        spec: &'static OptionSpec,
        items: impl Iterator<Item = (u32, &'a str)>,
        found: &mut Findings,
    ) {
        let mut read = Vec::new();
        for (line, text) in items {
            match option::read(spec.kind, text) {
                Ok(_) if spec.list && text.is_empty() => {
                    self.refused.push(spec);
                    found.problems.push((line, format!("{}: {} is empty", self.label, spec.name)));
                }
                Ok(value) => read.push((line, text, value)),
                Err(why) => {
                    self.refused.push(spec);
                    found.problems.push((line, format!("{}: {} '{}' {why}", self.label, spec.name, Short(text))));
                }
            }
        }
        // A rule may have thousands of addresses: only those are compared that look like another one.
        let alike = Alike::among(read.iter().map(|(_, _, value)| value.digest()).collect());
        let first = self.values.len();
        for (line, text, value) in read {
            let mut kept = self.values.get(first..).unwrap_or_default().iter();
            if alike.has(value.digest()) && kept.any(|(_, _, old)| *old == value) {
                found.warnings.push((line, format!("{}: {} '{}' is there twice", self.label, spec.name, Short(text))));
            } else {
                self.values.push((spec, line, value));
            }
        }
    }

    /// The line of an option that is there.
    pub(super) fn line_of(&self, name: &str) -> Option<u32> {
        self.values.iter().find(|(spec, ..)| spec.name == name).map(|(_, line, _)| *line)
    }

    /// Whether an option was there and refused.
    pub(super) fn refused(&self, name: &str) -> bool {
        self.refused.iter().any(|spec| spec.name == name)
    }

    /// The values of an option or list, with their lines.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = (u32, &Value)> {
        self.values.iter().filter(move |(spec, ..)| spec.name == name).map(|(_, line, value)| (*line, value))
    }

    /// The texts of a list, or of an option without default, with their lines.
    pub(super) fn texts(&self, name: &str) -> Vec<(u32, &str)> {
        self.of(name)
            .filter_map(|(line, value)| if let Value::Text(text) = value { Some((line, text.as_str())) } else { None })
            .collect()
    }

    /// The values of a list, as far as `pick` takes them.
    pub(super) fn each<T>(&self, name: &str, pick: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        self.of(name).filter_map(|(_, value)| pick(value)).collect()
    }

    /// The numbers of a list.
    pub(super) fn numbers(&self, name: &str) -> Vec<u32> {
        self.each(name, |value| if let Value::Number(number) = value { Some(*number) } else { None })
    }

    /// The addresses of a list, or of an option without default.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.each(name, |value| if let Value::Address(address) = value { Some(*address) } else { None })
    }
}

/// Which digests of a list are there more than once: what has another one has no twin.
pub(super) struct Alike(Vec<u32>);

impl Alike {
    pub(super) fn among(digests: Vec<u32>) -> Self {
        let digests = sorted(digests);
        let next = digests.iter().skip(1);
        Self(digests.iter().zip(next).filter(|(one, next)| one == next).map(|(one, _)| *one).collect())
    }

    pub(super) fn has(&self, digest: u32) -> bool {
        self.0.binary_search(&digest).is_ok()
    }
}

/// Whether several may stand in one option, with blanks between them, as OpenWrt's own files have it.
const fn in_one_line(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Network
            | Kind::AddressMatch
            | Kind::Ports
            | Kind::Protocol
            | Kind::Dscp
            | Kind::Device
            | Kind::Reference(_)
    )
}

/// Why an option cannot stand here.
fn unknown(section: SectionKind, name: &str) -> String {
    if let Some(elsewhere) = OPTIONS.iter().find(|spec| spec.name == name).and_then(|spec| spec.sections.first()) {
        let place = match elsewhere {
            SectionKind::Settings => "section 'settings'".into(),
            _ => format!("a {} section", elsewhere.uci_type()),
        };
        return format!("option '{name}' belongs into {place}");
    }
    let here = || OPTIONS.iter().filter(|spec| spec.sections.contains(&section)).map(|spec| spec.name);
    let mut hint = did_you_mean(name, here());
    if hint.is_empty() {
        let mut synonyms = SYNONYMS.iter().copied().filter(|(_, meant)| here().any(|name| name == *meant));
        let synonym = nearest(name, synonyms.clone().map(|(word, _)| word));
        let meant = synonyms.find(|(word, _)| Some(*word) == synonym);
        hint = meant.map(|(_, meant)| format!(" (did you mean '{meant}'?)")).unwrap_or_default();
    }
    format!("unknown option '{}'{hint}", Short(name))
}

/// Layers from the most particular one down; below the last lie the defaults of the table.
#[derive(Clone, Copy)]
pub(super) struct Stack<'a>(pub(super) &'a [&'a Layer]);

impl Stack<'_> {
    fn value(&self, name: &str) -> Option<Value> {
        let top = self.0.first()?;
        let spec = OptionSpec::find(top.kind, name)?;
        let given = self.0.iter().flat_map(|layer| &layer.values).find(|(known, ..)| std::ptr::eq(*known, spec));
        given.map(|(_, _, value)| value.clone()).or_else(|| default(spec))
    }

    /// The line that decides an option, if one does.
    pub(super) fn line_of(&self, name: &str) -> Option<u32> {
        self.0.iter().find_map(|layer| layer.line_of(name))
    }

    /// Whether none of these options was refused in any layer.
    pub(super) fn sound(&self, names: &[&str]) -> bool {
        !self.0.iter().any(|layer| names.iter().any(|name| layer.refused(name)))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        self.optional_duration(name).unwrap_or_default()
    }

    /// `None` where nothing is given and the default is empty.
    pub(super) fn optional_duration(&self, name: &str) -> Option<Duration> {
        if let Some(Value::Duration(duration)) = self.value(name) { Some(duration) } else { None }
    }

    /// `max_latency` or `max_jitter` with where it ends.
    pub(super) fn duration_limits(&self, max: &str, recover: &str) -> Option<Limits<Duration>> {
        let max = self.optional_duration(max)?;
        Some(Limits { max, recover: self.optional_duration(recover).unwrap_or(max * 3 / 4) })
    }

    /// `max_loss` with where it ends, in per cent.
    pub(super) fn loss_limits(&self) -> Option<Limits<u32>> {
        let max = self.number("max_loss")?;
        Some(Limits { max, recover: self.number("recover_loss").unwrap_or(max * 3 / 4) })
    }

    /// The addresses of a list in the most particular layer that has it.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.0.iter().map(|layer| layer.addresses(name)).find(|all| !all.is_empty()).unwrap_or_default()
    }

    /// `None` where nothing is given and the default is empty.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        if let Some(Value::Number(number)) = self.value(name) { Some(number) } else { None }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        if let Some(Value::Text(text)) = self.value(name) { Some(text) } else { None }
    }

    pub(super) fn required(&self) -> Required {
        if let Some(Value::Required(required)) = self.value("required") { required } else { Required::All }
    }

    /// `None` where nothing is given.
    pub(super) fn drain(&self) -> Option<Drain> {
        if let Some(Value::Drain(drain)) = self.value("drain") { Some(drain) } else { None }
    }

    pub(super) fn gateway(&self) -> GatewaySetting {
        if let Some(Value::Gateway(gateway)) = self.value("gateway") { gateway } else { GatewaySetting::Learnt }
    }
}

fn default(spec: &OptionSpec) -> Option<Value> {
    if spec.default.is_empty() {
        // An omitted reference or text is none; a duration or flag always has a default (see the table's test).
        return None;
    }
    option::read(spec.kind, spec.default).ok()
}

#[cfg(test)]
mod tests {
    use super::super::schema::Kind;
    use super::*;

    #[test]
    fn what_needs_a_default_has_one() {
        for spec in OPTIONS {
            let optional = !matches!(
                spec.kind,
                Kind::Flag
                    | Kind::Duration { .. }
                    | Kind::CountOrAll { .. }
                    | Kind::Mask
                    | Kind::Choice(_)
                    | Kind::TestType
            ) || spec.doc.contains("empty: ");
            assert!(optional || !spec.default.is_empty(), "{}", spec.name);
        }
    }

    #[test]
    fn unknown_options() {
        for (section, name, want) in [
            (SectionKind::Settings, "intervall", "unknown option 'intervall' (did you mean 'interval'?)"),
            (SectionKind::Provider, "metirc", "unknown option 'metirc' (did you mean 'priority'?)"),
            (SectionKind::Provider, "pin", "option 'pin' belongs into section 'settings'"),
            (SectionKind::Settings, "gateway", "option 'gateway' belongs into a provider section"),
            (SectionKind::Test, "frobnicate", "unknown option 'frobnicate'"),
        ] {
            assert_eq!(unknown(section, name), want);
        }
    }
}
