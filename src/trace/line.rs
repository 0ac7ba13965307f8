//! How a provider's line was at a time, by what became of the probes sent into it: what `simulate` asks for every probe of its own.
//!
//! Filled by `read`. A line that answered nothing for a while carried nothing, whomever it was asked for; while it carried, each target is
//! a matter of its own.

use std::cell::Cell;
use std::time::Duration;

use crate::moment::Moment;
use crate::reason::Refusal;

/// So many probes in a row without an answer, and the line did not carry. One or two get lost on every line.
const IN_A_ROW: usize = 3;
/// A probe to the same target as close as this is the same one: the simulated daemon does not wake up to the microsecond when the recorded
/// one did, on a busy machine.
const SAME: Duration = Duration::from_millis(50);

/// A recorded probe speaks for one probe in this time, the next one is spoken for by another: else a single loss would become an outage
/// for somebody who probes more often.
const SPEAKS_ONCE: Duration = Duration::from_secs(1);

/// What becomes of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// No answer.
    Lost,
    /// Answered after this time.
    Answered(Duration),
    /// Failed without being lost, after this time.
    Refused(Duration, Refusal),
}

/// One provider's line, for one type of test.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The type.
    pub(super) kind: String,
    /// When probes were sent.
    sent: Vec<(Moment, ())>,
    /// When it ceased to carry, and in which way, and when it carried again (`None`).
    steps: Vec<(Moment, Option<Fate>)>,
    /// The probes to each target.
    targets: Vec<(String, Vec<(Moment, Said)>)>,
    /// Probes without an answer of late, each with its target.
    doubtful: Vec<(Moment, usize, Fate)>,
}

/// What became of a probe, and for which time it has spoken last.
#[derive(Clone, Debug)]
struct Said {
    fate: Fate,
    /// The line did not carry.
    outage: bool,
    spoke: Cell<Option<Moment>>,
}

impl Said {
    fn is_silent(&self, at: Moment) -> bool {
        self.spoke.get().is_none_or(|spoke| apart(spoke, at) > SPEAKS_ONCE)
    }
}

impl Line {
    pub(super) fn new(kind: String) -> Self {
        Self { kind, ..Self::default() }
    }

    /// The number of a target.
    pub(super) fn target(&mut self, target: String) -> usize {
        self.targets.iter().position(|(known, _)| *known == target).unwrap_or_else(|| {
            self.targets.push((target, vec![]));
            self.targets.len().saturating_sub(1)
        })
    }

    /// The next probe, in the order in which they were sent.
    pub(super) fn probe(&mut self, at: Moment, target: usize, fate: Fate) {
        self.sent.push((at, ()));
        if !matches!(fate, Fate::Answered(_)) {
            self.doubtful.push((at, target, fate));
            return;
        }
        if self.settle() {
            self.steps.push((at, None));
        }
        self.told(at, target, fate, false);
    }

    /// There will be no further probe that could put the last ones in another light. True: an outage ends.
    pub(super) fn settle(&mut self) -> bool {
        let doubtful = std::mem::take(&mut self.doubtful);
        let outage = doubtful.len() >= IN_A_ROW;
        for (at, target, fate) in doubtful {
            self.told(at, target, fate.clone(), outage);
            if outage && self.steps.last().is_none_or(|(_, last)| last.as_ref() != Some(&fate)) {
                self.steps.push((at, Some(fate)));
            }
        }
        outage
    }

    fn told(&mut self, at: Moment, target: usize, fate: Fate, outage: bool) {
        if let Some((_, probes)) = self.targets.get_mut(target) {
            probes.push((at, Said { fate, outage, spoke: Cell::default() }));
        }
    }

    fn outage(&self, at: Moment) -> Option<&Fate> {
        let next = self.steps.partition_point(|(since, _)| *since <= at);
        self.steps.get(next.checked_sub(1)?)?.1.as_ref()
    }

    /// Whether it carried anything.
    pub(super) fn carries(&self, at: Moment) -> bool {
        self.outage(at).is_none()
    }

    /// When that changes.
    pub(super) fn next_step(&self, at: Moment) -> Option<Moment> {
        self.steps.get(self.steps.partition_point(|(since, _)| *since <= at)).map(|(at, _)| *at)
    }

    /// How far the nearest probe is from this time.
    pub(super) fn distance(&self, at: Moment) -> Duration {
        nearest(&self.sent, at).map_or(Duration::MAX, |(sent, ())| apart(*sent, at))
    }

    /// A simulation begins: no probe has spoken yet.
    pub(super) fn begin(&self) {
        self.targets.iter().flat_map(|(_, probes)| probes).for_each(|(_, said)| said.spoke.set(None));
    }

    /// What would have become of a probe sent at this time: what became of the nearest one, of those to the same target if there are any.
    pub(super) fn fate(&self, at: Moment, target: &str) -> Fate {
        let same = self.targets.iter().find(|(known, _)| known == target).map_or(&[][..], |(_, it)| it);
        let found = nearest(same, at).filter(|(sent, said)| apart(*sent, at) <= SAME && said.is_silent(at));
        if let Some(fate) = self.outage(at).filter(|_| found.is_none()) {
            return fate.clone();
        }
        let any = || {
            let all = self.targets.iter().filter_map(|(_, it)| silent(it, at));
            all.min_by_key(|(sent, _)| apart(*sent, at))
        };
        // All have spoken of late: once more, in turn.
        let again = || {
            let all = self.targets.iter().flat_map(|(_, it)| it).filter(|(_, said)| !said.outage);
            all.min_by_key(|(_, said)| said.spoke.get())
        };
        let found = found.or_else(|| silent(same, at)).or_else(any).or_else(again);
        let Some((_, said)) = found else { return Fate::Lost };
        said.spoke.set(Some(at));
        said.fate.clone()
    }
}

/// The nearest probe that was sent into a line that carried, and has not spoken of late.
fn silent(probes: &[(Moment, Said)], at: Moment) -> Option<&(Moment, Said)> {
    let silent = |(_, said): &&(Moment, Said)| !said.outage && said.is_silent(at);
    let (before, after) = probes.split_at(probes.partition_point(|(sent, _)| *sent < at));
    let found = [before.iter().rev().find(silent), after.iter().find(silent)];
    found.into_iter().flatten().min_by_key(|(sent, _)| apart(*sent, at))
}

/// What is nearest in time.
pub(super) fn nearest<T>(all: &[(Moment, T)], at: Moment) -> Option<&(Moment, T)> {
    let next = all.partition_point(|(when, _)| *when < at);
    let before = next.checked_sub(1).and_then(|last| all.get(last));
    [before, all.get(next)].into_iter().flatten().min_by_key(|(when, _)| apart(*when, at))
}

/// The time between two moments, whichever comes first.
pub(super) fn apart(a: Moment, b: Moment) -> Duration {
    a.since(b).max(b.since(a))
}
