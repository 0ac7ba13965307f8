//! How a provider's line was at a time, by what became of the probes sent into it: what `simulate` asks for every probe of its own.
//!
//! Filled by `read`. A line that answered nothing for a while carried nothing, whomever it was asked for; while it carried, each target is
//! a matter of its own.

use std::cell::Cell;
use std::time::Duration;

use crate::moment::Moment;

/// So many probes in a row without an answer, and the line did not carry. One or two get lost on every line.
const IN_A_ROW: usize = 3;
/// A probe to the same target as close as this is the same one: the simulated daemon does not wake up to the microsecond when the recorded
/// one did, on a busy machine.
const SAME: Duration = Duration::from_millis(50);
/// A recorded probe speaks for one probe in this time, the next one is spoken for by another: else a single loss would become an outage
/// for somebody who probes more often.
const SPEAKS_ONCE: Duration = Duration::from_secs(1);

/// What becomes of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// No answer.
    Lost,
    /// Answered after so many microseconds.
    Answered(u32),
    /// Failed without being lost, after this time.
    Refused(Duration, &'a str),
}

/// One provider's line, for one type of test.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// The type.
    pub(super) kind: &'a str,
    targets: Vec<&'a str>,
    /// All probes, in order.
    probes: Vec<Said<'a>>,
    /// When it ceased to carry, and in which way, and when it carried again (`None`).
    steps: Vec<(Moment, Option<Fate<'a>>)>,
    /// The first of the last probes that nobody has answered.
    doubtful: usize,
}

/// A probe.
#[derive(Clone, Debug)]
struct Said<'a> {
    at: Moment,
    target: usize,
    fate: Fate<'a>,
    /// The line did not carry.
    outage: bool,
    /// For which time it has spoken last.
    spoke: Cell<Option<Moment>>,
}

impl Said<'_> {
    fn is_silent(&self, at: Moment) -> bool {
        self.spoke.get().is_none_or(|spoke| apart(spoke, at) > SPEAKS_ONCE)
    }
}

impl<'a> Line<'a> {
    pub(super) const fn new(kind: &'a str) -> Self {
        Self { kind, targets: vec![], probes: vec![], steps: vec![], doubtful: 0 }
    }

    /// The number of a target.
    pub(super) fn target(&mut self, target: &'a str) -> usize {
        self.targets.iter().position(|known| *known == target).unwrap_or_else(|| {
            self.targets.push(target);
            self.targets.len().saturating_sub(1)
        })
    }

    /// The next probe, in the order in which they were sent.
    pub(super) fn probe(&mut self, at: Moment, target: usize, fate: Fate<'a>) {
        if matches!(fate, Fate::Answered(_)) {
            if self.settle() {
                self.steps.push((at, None));
            }
            self.doubtful += 1;
        }
        self.probes.push(Said { at, target, fate, outage: false, spoke: Cell::new(None) });
    }

    /// There will be no further probe that could put the last ones in another light. True: an outage ends.
    pub(super) fn settle(&mut self) -> bool {
        let doubtful = self.probes.get_mut(self.doubtful..).unwrap_or_default();
        let outage = doubtful.len() >= IN_A_ROW;
        self.doubtful += doubtful.len();
        for said in doubtful.iter_mut().filter(|_| outage) {
            said.outage = true;
            if self.steps.last().is_none_or(|(_, last)| *last != Some(said.fate)) {
                self.steps.push((said.at, Some(said.fate)));
            }
        }
        outage
    }

    fn outage(&self, at: Moment) -> Option<Fate<'a>> {
        let next = self.steps.partition_point(|(since, _)| *since <= at);
        self.steps.get(next.checked_sub(1)?)?.1
    }

    /// Whether it carried anything.
    pub(super) fn carries(&self, at: Moment) -> bool {
        self.outage(at).is_none()
    }

    /// When that changes.
    pub(super) fn next_step(&self, at: Moment) -> Option<Moment> {
        self.steps.get(self.steps.partition_point(|(since, _)| *since <= at)).map(|(at, _)| *at)
    }

    /// A simulation begins: no probe has spoken yet.
    pub(super) fn begin(&self) {
        self.probes.iter().for_each(|said| said.spoke.set(None));
    }

    /// The nearest probe of which this is true.
    fn nearest(&self, at: Moment, is: &dyn Fn(&Said<'_>) -> bool) -> Option<&Said<'a>> {
        let (before, after) = self.probes.split_at(self.probes.partition_point(|said| said.at < at));
        let found = [before.iter().rev().find(|said| is(said)), after.iter().find(|said| is(said))];
        found.into_iter().flatten().min_by_key(|said| apart(said.at, at))
    }

    /// How far the nearest probe is from this time.
    pub(super) fn distance(&self, at: Moment) -> Duration {
        self.nearest(at, &|_| true).map_or(Duration::MAX, |said| apart(said.at, at))
    }

    /// What would have become of a probe sent at this time: what became of the nearest one, of those to the same target if there are any.
    pub(super) fn fate(&self, at: Moment, target: &str) -> Fate<'a> {
        let target = self.targets.iter().position(|known| *known == target);
        let same = |said: &Said<'_>| target.is_none_or(|target| said.target == target);
        let found =
            self.nearest(at, &same).filter(|said| target.is_some() && apart(said.at, at) <= SAME && said.is_silent(at));
        if let Some(fate) = self.outage(at).filter(|_| found.is_none()) {
            return fate;
        }
        let found = found.or_else(|| self.nearest(at, &|said| same(said) && !said.outage && said.is_silent(at)));
        let found = found.or_else(|| self.nearest(at, &|said| !said.outage && said.is_silent(at)));
        // All have spoken of late: once more, in turn.
        let again = || self.probes.iter().filter(|said| !said.outage).min_by_key(|said| said.spoke.get());
        let Some(said) = found.or_else(again) else { return Fate::Lost };
        said.spoke.set(Some(at));
        said.fate
    }
}

/// The time between two moments, whichever comes first.
pub(super) fn apart(a: Moment, b: Moment) -> Duration {
    a.since(b).max(b.since(a))
}
