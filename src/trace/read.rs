//! Text to a [`Trace`]: every line judged, each probe brought together with what became of it.
//!
//! The shell reads the file; `simulate` and `report` ask the result.

use std::time::Duration;

use super::line::{Fate, Line};
use super::{FORMAT, Fact, report, simulate};
use crate::event::ProviderId;
use crate::moment::Moment;
use crate::settings;

/// More providers, types of tests or targets than a daemon can have.
const MOST: usize = 256;
/// Answers to probes further back than this do not count.
const LATE: usize = 4096;

/// What is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// In words.
    pub text: &'static str,
}

/// What was recorded.
#[derive(Clone, Debug, Default)]
pub struct Trace<'a> {
    /// When the daemon started.
    pub started: Moment,
    /// Of its random numbers.
    pub seed: u64,
    /// The times of the first and the last line.
    pub span: (Moment, Moment),
    /// Its providers.
    pub providers: Vec<Recorded<'a>>,
    /// Everything but probes and what became of them, in order.
    pub facts: Vec<(Moment, Fact<'a>)>,
    /// When the daemon is known to have been awake: it sent a probe, judged or switched.
    pub(super) awake: Vec<Moment>,
    /// How many probes there are.
    pub probes: usize,
}

/// What was recorded of a provider's line.
#[derive(Clone, Debug)]
pub struct Recorded<'a> {
    /// The provider's name.
    pub name: &'a str,
    /// Its number.
    pub id: ProviderId,
    /// By types of tests.
    pub lines: Vec<Line<'a>>,
}

/// A probe whose line has yet to be told of it.
struct Sent<'a> {
    number: u64,
    at: Moment,
    provider: usize,
    line: usize,
    target: usize,
    fate: Fate<'a>,
}

impl<'a> Trace<'a> {
    /// Reads a trace, or two parts of one. The last line may be cut off, as by a crash.
    pub fn read(text: &'a str) -> Result<Self, Problem> {
        let head = text.lines().next().unwrap_or_default();
        let mut trace = Self::head(head).ok_or(Problem { line: 1, text: "this is no trace of failoverd" })?;
        let mut sent: Vec<Sent<'a>> = Vec::new();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            // Where a part begins, the first line comes again.
            if let Some(line) = line.strip_suffix('\n').filter(|line| *line != head) {
                trace.line(line, &mut sent).map_err(|text| Problem { line: index + 1, text })?;
            }
        }
        trace.probes = sent.len();
        for Sent { at, provider, line, target, fate, .. } in sent {
            if let Some(line) = trace.providers.get_mut(provider).and_then(|it| it.lines.get_mut(line)) {
                line.probe(at, target, fate);
            }
        }
        for line in trace.providers.iter_mut().flat_map(|provider| &mut provider.lines) {
            line.settle();
        }
        Ok(trace)
    }

    fn head(line: &str) -> Option<Self> {
        let (started, seed) = line.strip_prefix(FORMAT)?.split_once(' ')?;
        // Time must be able to go on.
        let started = Moment::from_nanos(started.parse().ok().filter(|nanos| *nanos < u64::MAX / 4)?);
        Some(Self { started, seed: seed.parse().ok()?, span: (started, started), ..Self::default() })
    }

    fn line(&mut self, line: &'a str, sent: &mut Vec<Sent<'a>>) -> Result<(), &'static str> {
        if line.starts_with(FORMAT) {
            return Err("another run begins here");
        }
        let (time, rest) = line.split_once(' ').ok_or("a time and a fact are missing")?;
        let at = self.started + time_of(time).ok_or("this is no time")?;
        let fact = Fact::read(rest).ok_or("this makes no sense")?;
        if at < self.span.1 {
            return Err("time goes backwards");
        }
        if self.facts.is_empty() {
            self.span.0 = at;
        }
        self.span.1 = at;
        if matches!(fact, Fact::Probe(..) | Fact::Received(..) | Fact::Switch(..)) {
            self.awake.push(at);
        }
        match fact {
            Fact::Probe(name, number, kind, target) => {
                let provider = self.position(name).ok_or(UNKNOWN)?;
                if sent.last().is_some_and(|last| last.number >= number) {
                    return Err("the number of a probe must be greater than the one before");
                }
                let Some(known) = self.providers.get_mut(provider) else { return Ok(()) };
                let line = known.lines.iter().position(|it| it.kind == kind).unwrap_or_else(|| {
                    known.lines.push(Line::new(kind));
                    known.lines.len().saturating_sub(1)
                });
                let target = known.lines.get_mut(line).map_or(0, |it| it.target(target));
                if line.max(target) >= MOST {
                    return Err("there are too many targets");
                }
                sent.push(Sent { number, at, provider, line, target, fate: Fate::Lost });
            }
            Fact::Answer(number, _) | Fact::Refused(number, _) => {
                // Nothing if it was sent before the trace begins.
                if let Some(sent) = sent.iter_mut().rev().take(LATE).find(|sent| sent.number == number) {
                    sent.fate = match fact {
                        Fact::Refused(_, cause) => Fate::Refused(at.since(sent.at), cause),
                        Fact::Answer(_, micros) => Fate::Answered(micros),
                        _ => Fate::Lost,
                    };
                }
            }
            fact => {
                match fact {
                    Fact::Provider(name, id) if self.position(name).is_none() => {
                        if self.providers.len() >= MOST {
                            return Err("there are too many providers");
                        }
                        self.providers.push(Recorded { name, id: ProviderId(id), lines: vec![] });
                    }
                    Fact::Uplink(name, _) if self.position(name).is_none() => return Err(UNKNOWN),
                    _ => {}
                }
                self.facts.push((at, fact));
            }
        }
        Ok(())
    }

    /// Which provider has this name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.providers.iter().position(|it| it.name == name)
    }
}

const UNKNOWN: &str = "there is no such provider";

/// `12.345678`.
fn time_of(text: &str) -> Option<Duration> {
    let (seconds, micros) = text.split_once('.').filter(|(_, micros)| micros.len() == 6)?;
    let (seconds, micros): (u32, u32) = (seconds.parse().ok()?, micros.parse().ok()?);
    Some(Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into()))
}

/// Takes any bytes as a trace, for fuzzing: nothing may panic, and what a fact is written as must be read as the same. What is not too long
/// is lived through, with two of its providers.
#[doc(hidden)]
pub fn exercise(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for fact in text.lines().filter_map(|line| Fact::read(line.split_once(' ')?.1)) {
        let written = fact.to_string();
        assert_eq!(Fact::read(&written).map(|again| again.to_string()).as_ref(), Some(&written));
    }
    let Ok(trace) = Trace::read(text) else { return };
    if trace.span.1.since(trace.span.0) > Duration::from_secs(60) {
        return;
    }
    let sections = trace.providers.iter().zip(["device", "interface"]);
    let sections =
        sections.map(|(provider, source)| format!("config provider {}\n option {source} x\n", provider.name));
    if let Ok(loaded) = settings::parse("failover", sections.collect::<String>().as_bytes()) {
        let outcome = simulate(&trace, loaded.settings);
        assert!(!report("trace", &trace, &outcome).is_empty());
    }
}
