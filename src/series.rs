//! How a provider's line was: its last single check results, and a day of minutes. In memory alone, and never more than that.
//!
//! Fed by `core` with every finished check and every state; read by ubus `series`, a little at a time.
//!
//! Nothing has to happen for a minute to begin: what passed is filled in with the next event, or when somebody looks.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::moment::Moment;
use crate::order::sorted;
use crate::provider::ProviderState;
use crate::reliability::Check;
use crate::sentence::Sentence;

/// Single check results kept.
const RESULTS: usize = 900;
/// Minutes kept: a day, with the one that is not over.
const MINUTES: u16 = 1440;
/// The seconds of one.
const MINUTE: u32 = 60;
/// Entries in one reply: a day of 16 providers in stretches of ten minutes, of which the first and the last are not whole; 240 kB. A day
/// of minutes would be more than ubus carries, and a reply takes several times its size of a small router's memory while it is made.
const PAGE: usize = 16 * 145;

/// Another provider became active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// When.
    pub at: Moment,
    /// The provider before.
    pub from: Option<String>,
    /// The provider now.
    pub to: Option<String>,
    /// Why, for programs.
    pub reason_code: &'static str,
    /// Why, for people.
    pub reason: Sentence,
}

/// A latency in microseconds; less than one counts as one.
pub type Micros = NonZeroU32;

/// One finished check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// Twice the second, and one more where it succeeded: there are many of these.
    second_and_ok: u32,
    /// The shortest latency of its first probes, where one was answered before it ended.
    pub latency: Option<Micros>,
}

impl CheckResult {
    /// The second in which it ended, since the daemon's start.
    pub const fn at(self) -> u32 {
        self.second_and_ok / 2
    }

    /// Whether it succeeded.
    pub const fn is_ok(self) -> bool {
        self.second_and_ok % 2 == 1
    }
}

/// A minute, or several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The worst state in it.
    pub state: ProviderState,
    /// First probes of its checks.
    pub probes: usize,
    /// Of these, lost.
    pub lost: usize,
    /// Of its checks, where one had any.
    pub latency: Option<Latency>,
}

/// The latencies of a [`Stretch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The shortest.
    pub min: Micros,
    /// The median of those among the last 900 results; of several minutes the median of their medians. Of two in the middle the lower.
    pub median: Micros,
    /// The longest.
    pub max: Micros,
}

/// A [`Stretch`] as it is kept.
#[derive(Clone, Copy, Debug)]
struct Minute {
    latency: Option<Latency>,
    probes: u16,
    lost: u16,
    state: ProviderState,
}

/// What is remembered of one provider.
#[derive(Clone, Debug)]
pub struct Series {
    started: Moment,
    results: VecDeque<CheckResult>,
    /// One after the other without a gap.
    minutes: VecDeque<Minute>,
    /// The number of the last of them, since the daemon's start.
    last: u32,
    /// The state of the moment; `None`: not told yet.
    state: Option<ProviderState>,
}

impl Series {
    /// Nothing yet, for a daemon that started then: its seconds and minutes count from there.
    pub const fn new(started: Moment) -> Self {
        Self { started, results: VecDeque::new(), minutes: VecDeque::new(), last: 0, state: None }
    }

    /// The provider is in this state from now on.
    pub fn tell(&mut self, now: Moment, state: ProviderState) {
        self.state.get_or_insert(state);
        self.pass(now);
        self.state = Some(state);
        if let Some(minute) = self.minutes.back_mut() {
            minute.state = worse(minute.state, state);
        }
    }

    /// A check has ended. `now`, not the time of its answer: what was read up to now is not added to.
    pub fn record(&mut self, now: Moment, check: &Check) {
        self.state.get_or_insert(ProviderState::Checking);
        self.pass(now);
        let latency = check.latency.map(micros);
        let second_and_ok = self.second(now).saturating_mul(2) | u32::from(check.failure.is_none());
        push(&mut self.results, CheckResult { second_and_ok, latency }, RESULTS);
        let Some(minute) = self.minutes.back_mut() else { return };
        minute.probes = minute.probes.saturating_add(u16::try_from(check.first).unwrap_or(u16::MAX));
        minute.lost = minute.lost.saturating_add(u16::try_from(check.first_lost).unwrap_or(u16::MAX));
        if let Some(new) = latency {
            let so_far = minute.latency.get_or_insert(Latency { min: new, median: new, max: new });
            so_far.min = so_far.min.min(new);
            so_far.max = so_far.max.max(new);
        }
    }

    /// Fills in the minutes that passed since anything was told.
    fn pass(&mut self, now: Moment) {
        let Some(state) = self.state else { return };
        let number = self.second(now) / MINUTE;
        let passed = if self.minutes.is_empty() { 1 } else { number.saturating_sub(self.last) };
        if passed == 0 {
            return;
        }
        self.settle();
        for _ in 0..passed.min(MINUTES.into()) {
            push(&mut self.minutes, Minute { latency: None, probes: 0, lost: 0, state }, MINUTES.into());
        }
        self.last = number;
    }

    /// Finds the last minute's median, from its results.
    fn settle(&mut self) {
        let begin = self.last.saturating_mul(MINUTE);
        let results = self.results.iter().rev().take_while(|result| result.at() >= begin);
        let latencies = results.filter_map(|result| result.latency).map(Micros::get).collect();
        set_median(self.minutes.back_mut().and_then(|minute| minute.latency.as_mut()), latencies);
    }

    /// Makes ready for being read: everything up to now is in its place.
    pub fn catch_up(&mut self, now: Moment) {
        self.pass(now);
        self.settle();
    }

    /// Adds when its entries begin that fall into `since..until` at least in part: results, or with a `step` other than 0 stretches of
    /// that many seconds.
    pub fn starts(&self, since: u32, until: u32, step: u32, starts: &mut Vec<u32>) {
        let Some(whole) = since.checked_div(step) else {
            return starts.extend(self.results(since, until).map(CheckResult::at));
        };
        if self.minutes.is_empty() {
            return;
        }
        let oldest = self.first().saturating_mul(MINUTE) / step;
        let mut start = whole.max(oldest).saturating_mul(step);
        while start < until {
            starts.push(start);
            start = start.saturating_add(step);
        }
    }

    /// The results of `since..until`, oldest first.
    pub fn results(&self, since: u32, until: u32) -> impl Iterator<Item = CheckResult> {
        self.results.iter().copied().filter(move |result| (since..until).contains(&result.at()))
    }

    /// The minutes from `start` on, `step` seconds of them, as one. `None`: nothing is kept of that time.
    pub fn stretch(&self, start: u32, step: u32) -> Option<Stretch> {
        let first = self.first();
        let (from, to) = (start / MINUTE, start.saturating_add(step) / MINUTE);
        let count = |minutes: u32| usize::try_from(minutes).unwrap_or(usize::MAX);
        let (before, within) = (count(from.saturating_sub(first)), count(to.saturating_sub(from.max(first))));
        let mut medians = Vec::new();
        let mut all: Option<Stretch> = None;
        for minute in self.minutes.iter().skip(before).take(within) {
            let all = all.get_or_insert(Stretch { state: minute.state, probes: 0, lost: 0, latency: None });
            all.state = worse(all.state, minute.state);
            all.probes += usize::from(minute.probes);
            all.lost += usize::from(minute.lost);
            if let Some(new) = minute.latency {
                medians.push(new.median.get());
                let so_far = all.latency.get_or_insert(new);
                so_far.min = so_far.min.min(new.min);
                so_far.max = so_far.max.max(new.max);
            }
        }
        set_median(all.as_mut()?.latency.as_mut(), medians);
        all
    }

    /// The number of the first minute kept.
    fn first(&self) -> u32 {
        (self.last + 1).saturating_sub(u32::try_from(self.minutes.len()).unwrap_or(u32::MAX))
    }

    fn second(&self, now: Moment) -> u32 {
        u32::try_from(now.since(self.started).as_secs()).unwrap_or(u32::MAX)
    }
}

/// The end of what fits into one reply, where `starts` has the beginnings of all entries up to `until`.
pub fn page(starts: Vec<u32>, until: u32) -> u32 {
    if starts.len() <= PAGE {
        return until;
    }
    let starts = sorted(starts);
    // The entries of one second are never torn apart, however many they are: the reader must get on.
    let beyond_first = starts.first().map_or(until, |first| first.saturating_add(1));
    starts.get(PAGE).map_or(until, |beyond| beyond_first.max(*beyond))
}

/// Of an even number the lower of the two in the middle: one that was measured.
fn set_median(latency: Option<&mut Latency>, latencies: Vec<u32>) {
    let middle = latencies.len().saturating_sub(1) / 2;
    if let (Some(latency), Some(median)) = (latency, sorted(latencies).get(middle).and_then(|it| Micros::new(*it))) {
        latency.median = median;
    }
}

fn micros(latency: Duration) -> Micros {
    u32::try_from(latency.as_micros()).map_or(Micros::MAX, |micros| Micros::new(micros).unwrap_or(Micros::MIN))
}

fn worse(one: ProviderState, other: ProviderState) -> ProviderState {
    const BEST_FIRST: [ProviderState; 7] = [
        ProviderState::Disabled,
        ProviderState::Online,
        ProviderState::Checking,
        ProviderState::Degraded,
        ProviderState::Unresolved,
        ProviderState::NoCarrier,
        ProviderState::Offline,
    ];
    let badness = |state| BEST_FIRST.iter().position(|it| *it == state);
    if badness(other) > badness(one) { other } else { one }
}

/// Room is taken as it is needed, and exactly `most` in the end.
fn push<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    } else if ring.len() == ring.capacity() {
        ring.reserve_exact(ring.len().max(4).min(most - ring.len()));
    }
    ring.push_back(item);
}

#[cfg(test)]
mod tests;
