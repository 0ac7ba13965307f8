//! Text to a [`Trace`]: every line judged, each probe brought together with what became of it.
//!
//! The shell reads the file; `simulate` and `report` ask the result.

use std::time::Duration;

use super::line::{Fate, Line};
use super::{FORMAT, Fact, report, simulate};
use crate::event::{Neighbour, ProviderId, Resolved};
use crate::moment::Moment;
use crate::reason::Refusal;
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
pub struct Trace {
    /// When the daemon started.
    pub started: Moment,
    /// Of its random numbers.
    pub seed: u64,
    /// The times of the first and the last line.
    pub span: (Moment, Moment),
    /// Its providers.
    pub providers: Vec<Recorded>,
    /// Everything but probes and what is known by them, in order.
    pub facts: Vec<(Moment, Fact)>,
    /// When the daemon is known to have been awake: it sent a probe, judged or switched.
    pub(super) awake: Vec<Moment>,
    /// How many probes there are.
    pub probes: usize,
}

/// What was recorded of a provider's line.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The provider's name.
    pub name: String,
    /// Its number.
    pub id: ProviderId,
    /// By types of tests.
    pub lines: Vec<Line>,
    /// What was received, and how it stood with the gateway, at each judgement.
    pub(super) received: Vec<(Moment, (Option<u32>, Neighbour))>,
    /// Names looked up.
    pub(super) resolved: Vec<(Moment, (String, Result<Resolved, String>))>,
}

/// A probe whose line has yet to be told of it.
struct Sent {
    number: u64,
    at: Moment,
    provider: usize,
    line: usize,
    target: usize,
    fate: Fate,
}

impl Trace {
    /// Reads a trace, or two parts of one. The last line may be cut off, as by a crash.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let head = text.lines().next().unwrap_or_default();
        let mut trace = Self::head(head).ok_or(Problem { line: 1, text: "this is no trace of failoverd" })?;
        let mut sent: Vec<Sent> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Where a part begins, the first line comes again.
            if line != head {
                let judged =
                    if line.starts_with(FORMAT) { Err("another run begins here") } else { trace.line(line, &mut sent) };
                judged.map_err(|text| Problem { line: index + 1, text })?;
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

    fn line(&mut self, line: &str, sent: &mut Vec<Sent>) -> Result<(), &'static str> {
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
        if matches!(fact, Fact::Probe { .. } | Fact::Received(..) | Fact::Switch { .. }) {
            self.awake.push(at);
        }
        match fact {
            Fact::Probe { provider, number, kind, target } => {
                let provider = self.position(&provider)?;
                if sent.last().is_some_and(|last| last.number >= number) {
                    return Err("the number of a probe must be greater than the one before");
                }
                let Some(known) = self.providers.get_mut(provider) else { return Ok(()) };
                let line = known.lines.iter().position(|it| it.kind == kind).unwrap_or_else(|| {
                    known.lines.push(Line::new(kind));
                    known.lines.len().saturating_sub(1)
                });
                let target = known.lines.get_mut(line).map_or(0, |it| it.target(target));
                if line >= MOST || target >= MOST {
                    return Err("there are too many targets");
                }
                sent.push(Sent { number, at, provider, line, target, fate: Fate::Lost });
            }
            Fact::Answer(number, latency) => became(sent, number, |_| Fate::Answered(latency)),
            Fact::Refused(number, cause) => became(sent, number, |sent| refused(at.since(sent), &cause)),
            Fact::Received(provider, packets, gateway) => {
                self.known(&provider)?.received.push((at, (packets, gateway)));
            }
            Fact::Resolved(provider, name, outcome) => self.known(&provider)?.resolved.push((at, (name, outcome))),
            fact => {
                match &fact {
                    Fact::Provider(name, id) if self.position(name).is_err() => {
                        if self.providers.len() >= MOST {
                            return Err("there are too many providers");
                        }
                        let (name, id) = (name.clone(), *id);
                        self.providers.push(Recorded { name, id, lines: vec![], received: vec![], resolved: vec![] });
                    }
                    Fact::Uplink(provider, _) => drop(self.position(provider)?),
                    _ => {}
                }
                self.facts.push((at, fact));
            }
        }
        Ok(())
    }

    fn known(&mut self, name: &str) -> Result<&mut Recorded, &'static str> {
        let position = self.position(name)?;
        self.providers.get_mut(position).ok_or(UNKNOWN)
    }

    pub(super) fn position(&self, name: &str) -> Result<usize, &'static str> {
        self.providers.iter().position(|it| it.name == name).ok_or(UNKNOWN)
    }

    /// Whether the configuration was read again meanwhile.
    pub fn reloaded(&self) -> bool {
        self.facts.iter().any(|(_, fact)| *fact == Fact::Reload)
    }
}

const UNKNOWN: &str = "there is no such provider";

fn refused(after: Duration, cause: &Refusal) -> Fate {
    Fate::Refused(after, cause.clone())
}

/// What became of a probe; nothing where it was sent before the trace begins.
fn became(sent: &mut [Sent], number: u64, fate: impl Fn(Moment) -> Fate) {
    if let Some(sent) = sent.iter_mut().rev().take(LATE).find(|sent| sent.number == number) {
        sent.fate = fate(sent.at);
    }
}

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
    let text = String::from_utf8_lossy(bytes);
    for fact in text.lines().filter_map(|line| Fact::read(line.split_once(' ')?.1)) {
        let written = fact.to_string();
        assert_eq!(Fact::read(&written).map(|again| again.to_string()), Some(written));
    }
    let Ok(trace) = Trace::read(bytes) else { return };
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
