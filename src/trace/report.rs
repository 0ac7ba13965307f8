//! What came of a simulation, for the terminal: its switches, and how long traffic would have been without the internet.
//!
//! Asked by the command line; compares with what happened when the trace was recorded.

use std::fmt::Write as _;
use std::time::Duration;

use super::Fact;
use super::read::{Recorded, Trace};
use super::simulate::Outcome;
use crate::moment::Moment;
use crate::notice::Notice;

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

impl Recorded<'_> {
    /// Whether its line carried anything, whatever it was asked; one that was never asked is believed.
    pub(super) fn carries(&self, at: Moment) -> bool {
        self.lines.is_empty() || self.lines.iter().any(|line| line.carries(at))
    }
}

/// The whole of it. `name` is the trace's.
pub fn report(name: &str, trace: &Trace<'_>, outcome: &Outcome) -> String {
    let mut text = String::new();
    let span = seconds(trace.span.1.since(trace.span.0));
    let _ = writeln!(text, "{name}: {span}, {} providers, {} probes", trace.providers.len(), trace.probes);
    for name in &outcome.left_out {
        let _ = writeln!(text, "warning: provider '{name}' is not in the trace, and left out");
    }
    for (at, Notice { from, to, reason, .. }) in &outcome.switches {
        let [from, to, reason] = [from, to, reason].map(|it| it.as_deref().unwrap_or("nobody"));
        let _ = writeln!(text, "{:>12}  {from} -> {to}  {reason}", seconds(at.since(trace.started)));
    }

    let (mut turns, mut switches, mut same) = (vec![], 0_u32, true);
    let mut again = outcome.switches.iter().map(|(_, it)| (it.from.as_deref(), it.to.as_deref(), it.reason_code));
    for (at, fact) in &trace.facts {
        match *fact {
            Fact::Switch(from, to, code) => {
                switches += 1;
                same &= again.next() == Some((from, to, Some(code)));
                turns.push((*at, to.and_then(|name| trace.position(name))));
            }
            Fact::Active(name) => turns.push((*at, name.and_then(|name| trace.position(name)))),
            Fact::Reload => {
                let time = seconds(at.since(trace.started));
                let _ = writeln!(text, "warning: {time} after the start the configuration was read again");
            }
            _ => {}
        }
    }
    same &= again.next().is_none();
    let (then, now) = (account(trace, &turns), account(trace, &outcome.active));
    let mut row = |what: &str, then: &str, now: &str| {
        let _ = writeln!(text, "{what:<20} {then:>12} {now:>12}");
    };
    row("", "recorded", "simulated");
    row("switches", &switches.to_string(), &outcome.switches.len().to_string());
    row("offline", &seconds(then.offline), &seconds(now.offline));
    row("no provider active", &seconds(then.nobody), &seconds(now.nobody));
    for ((provider, then), now) in trace.providers.iter().zip(then.active).zip(now.active) {
        row(provider.name, &seconds(then), &seconds(now));
    }
    if same {
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
fn account(trace: &Trace<'_>, turns: &[(Moment, Option<usize>)]) -> Account {
    let mut usable = vec![false; trace.providers.len()];
    let mut account = Account { active: vec![Duration::ZERO; usable.len()], ..Account::default() };
    let (mut at, end) = trace.span;
    let (mut facts, mut turns) = (trace.facts.iter().peekable(), turns.iter().peekable());
    let mut active: Option<usize> = None;
    while at < end {
        while let Some((_, fact)) = facts.next_if(|(when, _)| *when <= at) {
            if let Fact::Uplink(name, uplink) = fact
                && let Some(usable) = trace.position(name).and_then(|position| usable.get_mut(position))
            {
                *usable = uplink.is_ok();
            }
        }
        while let Some((_, turn)) = turns.next_if(|(when, _)| *when <= at) {
            active = *turn;
        }
        let line = active.and_then(|position| trace.providers.get(position));
        let mut next = end;
        next = facts.peek().map_or(next, |(when, _)| next.min(*when));
        next = turns.peek().map_or(next, |(when, _)| next.min(*when));
        for line in line.iter().flat_map(|it| &it.lines) {
            next = line.next_step(at).map_or(next, |when| next.min(when));
        }
        let time = next.since(at);
        let place = active.and_then(|position| Some((account.active.get_mut(position)?, *usable.get(position)?)));
        match place {
            None => account.nobody += time,
            Some((total, usable)) => {
                *total += time;
                if !usable || !line.is_some_and(|line| line.carries(at)) {
                    account.offline += time;
                }
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
