//! What came of a simulation, for the terminal: its switches, and how long traffic would have been without the internet.
//!
//! Asked by the command line; compares with what happened when the trace was recorded.

use std::fmt::Write as _;
use std::time::Duration;

use super::Fact;
use super::read::{Recorded, Trace};
use super::simulate::Outcome;
use crate::moment::Moment;

/// How the time went.
#[derive(Debug, Default)]
struct Account {
    /// A provider was active whose line did not carry.
    offline: Duration,
    /// None was active.
    nobody: Duration,
    /// By provider of the trace.
    active: Vec<Duration>,
}

impl Recorded {
    /// Whether its line carried anything, whatever it was asked; one that was never asked is believed.
    pub(super) fn carries(&self, at: Moment) -> bool {
        self.lines.is_empty() || self.lines.iter().any(|line| line.carries(at))
    }
}

/// The whole of it. `name` is the trace's.
pub fn report(name: &str, trace: &Trace, outcome: &Outcome) -> String {
    let mut text = String::new();
    let span = trace.span.1.since(trace.span.0);
    let (providers, probes) = (trace.providers.len(), trace.probes);
    let _ = writeln!(text, "{name}: {}, {providers} providers, {probes} probes", seconds(span));
    for name in &outcome.left_out {
        let _ = writeln!(text, "warning: provider '{name}' is not in the trace, and left out");
    }
    if trace.reloaded() {
        text.push_str("warning: the configuration was read again while this was recorded\n");
    }
    for it in &outcome.switches {
        let [from, to] = [&it.from, &it.to].map(|name| name.as_deref().unwrap_or("nobody"));
        let time = seconds(it.at.since(trace.started));
        let _ = writeln!(text, "{time:>12}  {from} -> {to}  {}", it.reason);
    }

    let mut turns = vec![];
    let mut switches: Vec<(Option<&str>, Option<&str>, &str)> = vec![];
    for (at, fact) in &trace.facts {
        match fact {
            Fact::Switch { from, to, code } => {
                switches.push((from.as_deref(), to.as_deref(), code));
                turns.push((*at, to.clone()));
            }
            Fact::Active(name) => turns.push((*at, name.clone())),
            _ => {}
        }
    }
    let (then, now) = (account(trace, &turns), account(trace, &outcome.active));
    let mut row = |what: &str, then: String, now: String| {
        let _ = writeln!(text, "{what:<20} {then:>12} {now:>12}");
    };
    row("", "recorded".to_owned(), "simulated".to_owned());
    row("switches", switches.len().to_string(), outcome.switches.len().to_string());
    row("offline", seconds(then.offline), seconds(now.offline));
    row("no provider active", seconds(then.nobody), seconds(now.nobody));
    for ((provider, then), now) in trace.providers.iter().zip(then.active).zip(now.active) {
        row(&provider.name, seconds(then), seconds(now));
    }
    let simulated = outcome.switches.iter().map(|it| (it.from.as_deref(), it.to.as_deref(), it.code.as_str()));
    if simulated.eq(switches) {
        text.push_str("The switches are the very ones that happened.\n");
    }
    let percent = outcome.guessed.saturating_mul(100).checked_div(outcome.probes).unwrap_or(0);
    if percent > 0 {
        let _ = writeln!(
            text,
            "{percent}% of the probes had a fate that is a guess: none was recorded within 1 s of them."
        );
    }
    text
}

/// Goes through the time with who was active from when on.
fn account(trace: &Trace, turns: &[(Moment, Option<String>)]) -> Account {
    let mut usable = vec![false; trace.providers.len()];
    let mut account = Account { active: vec![Duration::ZERO; usable.len()], ..Account::default() };
    let (mut at, end) = trace.span;
    let (mut facts, mut turns) = (trace.facts.iter().peekable(), turns.iter().peekable());
    let mut active: Option<usize> = None;
    while at < end {
        while let Some((_, fact)) = facts.next_if(|(when, _)| *when <= at) {
            if let Fact::Uplink(name, uplink) = fact
                && let Some(usable) = trace.position(name).ok().and_then(|position| usable.get_mut(position))
            {
                *usable = uplink.is_ok();
            }
        }
        while let Some((_, name)) = turns.next_if(|(when, _)| *when <= at) {
            active = name.as_ref().and_then(|name| trace.position(name).ok());
        }
        let line = active.and_then(|position| trace.providers.get(position));
        let steps = line.iter().flat_map(|it| &it.lines).filter_map(|line| line.next_step(at));
        let next = [facts.peek().map(|(when, _)| *when), turns.peek().map(|(when, _)| *when)].into_iter().flatten();
        let next = steps.chain(next).min().map_or(end, |next| next.min(end));
        let time = next.since(at);
        match active {
            None => account.nobody += time,
            Some(position) => {
                if let Some(total) = account.active.get_mut(position) {
                    *total += time;
                }
                let carries = usable.get(position) == Some(&true) && line.is_some_and(|line| line.carries(at));
                account.offline += if carries { Duration::ZERO } else { time };
            }
        }
        at = next;
    }
    account
}

/// `12.3 s`.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
