//! Latency, jitter and loss, from first probes alone: those of a burst would bias all three. Kept by `probe`, judged by `quality`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::Aim;
use crate::event::ProbeToken;
use crate::moment::Moment;
use crate::order::sorted;
use crate::settings::CheckSettings;

/// First probes that an answer, however late, is matched to.
const OPEN: usize = 64;

/// How long a probe may take before the first round trip is known.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The last `quality_window` first probes, and the smoothed round trip of each test.
#[derive(Clone, Debug, Default)]
pub struct Window {
    probes: VecDeque<Probe>,
    /// Those without an answer, oldest first.
    open: VecDeque<(ProbeToken, Aim)>,
    /// By test: a page takes longer than an echo.
    round_trips: Vec<Option<RoundTrip>>,
    /// The test whose figures are the line's: the first one that asks beyond the gateway. Without one there are none.
    measuring: Option<usize>,
}

/// A smoothed round trip (RFC 6298, section 2: gains 1/8 and 1/4).
#[derive(Clone, Copy, Debug)]
struct RoundTrip {
    smoothed: Duration,
    deviation: Duration,
}

/// Small, as a provider may have a thousand of them.
#[derive(Clone, Copy, Debug)]
struct Probe {
    at: Moment,
    fate: Fate,
    sequence: u16,
    /// Test and target.
    aim: (u16, u16),
}

/// What became of first probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lost.
    pub lost: usize,
    /// Lost or answered.
    pub counted: usize,
    /// When the last answer came, and its latency.
    pub answer: Option<(Moment, Duration)>,
}

/// Of many figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The least.
    pub min: Duration,
    /// The one in the middle; of two the lower: one that was measured.
    pub median: Duration,
    /// The most.
    pub max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    Answered {
        micros: u32,
    },
    /// Lost, unless an answer comes after all.
    Lost,
    /// Lost as the whole check was.
    Outage,
    /// Neither loss nor latency: sent across a link that was lost, or in an outage that is over.
    Void,
}

impl Window {
    /// Nothing yet, of so many tests.
    pub(super) fn new(tests: usize, measuring: Option<usize>) -> Self {
        Self { round_trips: vec![None; tests], measuring, ..Self::default() }
    }

    /// A first probe was sent; `limits` say how many are kept.
    pub(super) fn sent(&mut self, at: Moment, token: ProbeToken, aim: Aim, limits: &CheckSettings) {
        // One that can only come late is lost, whatever becomes of the link.
        self.settle(Fate::Pending, Fate::Lost, |sent| at.since(sent) >= limits.timeout);
        while self.probes.len() >= limits.quality_window.max(1) {
            self.probes.pop_front();
        }
        let (sequence, place) = (token.sequence, numbers(aim.test, aim.target));
        self.probes.push_back(Probe { at, fate: Fate::Pending, sequence, aim: place });
        if self.open.len() >= OPEN {
            self.open.pop_front();
        }
        self.open.push_back((token, aim));
    }

    /// An answer, however late, un-loses its probe.
    pub(super) fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken) {
        let Some(place) = self.open.iter().rposition(|(open, aim)| *open == token && aim.fits(source)) else { return };
        self.open.remove(place);
        let found = self.probes.iter_mut().rev().find(|probe| probe.sequence == token.sequence);
        let Some(probe) = found.filter(|probe| matches!(probe.fate, Fate::Pending | Fate::Lost | Fate::Outage)) else {
            return;
        };
        let sample = at.since(probe.at);
        probe.fate = Fate::Answered { micros: u32::try_from(sample.as_micros()).unwrap_or(u32::MAX) };
        let Some(known) = self.round_trips.get_mut(usize::from(probe.aim.0)) else { return };
        *known = Some(match *known {
            None => RoundTrip { smoothed: sample, deviation: sample / 2 },
            Some(RoundTrip { smoothed, deviation }) => RoundTrip {
                smoothed: (smoothed * 7 + sample) / 8,
                deviation: (deviation * 3 + smoothed.abs_diff(sample)) / 4,
            },
        });
    }

    /// The link was lost, or the way to it: answers on their way prove nothing.
    pub(super) fn forget_pending(&mut self) {
        self.settle(Fate::Pending, Fate::Void, |_| true);
        self.open.clear();
    }

    /// The check begun then has failed.
    pub(super) fn lose_pending(&mut self, begun: Moment) {
        self.settle(Fate::Pending, Fate::Outage, |sent| sent >= begun);
    }

    /// The outage is over: it has had its verdict, and says nothing of the line as it is now.
    pub(super) fn forgive(&mut self) {
        self.settle(Fate::Outage, Fate::Void, |_| true);
    }

    /// The link is another one: what was lost on the one before says nothing of it.
    pub(super) fn begin_anew(&mut self) {
        self.forgive();
        self.settle(Fate::Lost, Fate::Void, |_| true);
    }

    fn settle(&mut self, from: Fate, to: Fate, which: impl Fn(Moment) -> bool) {
        self.probes.iter_mut().filter(|it| it.fate == from && which(it.at)).for_each(|it| it.fate = to);
    }

    /// How long a probe of a test may take before it is suspicious: smoothed round trip and four deviations, within the limits.
    pub fn wait(&self, test: usize, limits: &CheckSettings) -> Duration {
        let wait = self.round_trip(test).map_or(FIRST_WAIT, |it| it.smoothed + it.deviation * 4);
        wait.max(limits.min_timeout).min(limits.timeout)
    }

    /// The smoothed round trip.
    pub fn latency(&self) -> Option<Duration> {
        self.round_trip(self.measuring?).map(|it| it.smoothed)
    }

    /// The smoothed deviation of the round trip.
    pub fn jitter(&self) -> Option<Duration> {
        self.round_trip(self.measuring?).map(|it| it.deviation)
    }

    /// Whether the line's latency is this test's.
    pub(super) fn measures(&self, test: usize) -> bool {
        self.measuring == Some(test)
    }

    fn round_trip(&self, test: usize) -> Option<RoundTrip> {
        self.round_trips.get(test).copied().flatten()
    }

    /// What became of the first probes to `target` (test and target by number), or of all. One younger than `timeout` may still be answered and is not counted.
    pub fn tally(&self, now: Moment, timeout: Duration, target: Option<(usize, usize)>) -> Tally {
        let target = target.map(|(test, target)| numbers(test, target));
        let mut tally = Tally::default();
        for probe in self.probes.iter().filter(|probe| target.is_none_or(|target| target == probe.aim)) {
            match probe.fate {
                Fate::Answered { micros } => {
                    let after = Duration::from_micros(micros.into());
                    tally.answer = tally.answer.max(Some((probe.at + after, after)));
                }
                Fate::Lost | Fate::Outage => tally.lost += 1,
                Fate::Pending if now.since(probe.at) >= timeout => tally.lost += 1,
                Fate::Pending | Fate::Void => continue,
            }
            tally.counted += 1;
        }
        tally
    }

    /// The latencies, and the differences between those of two answers in a row of one target, as another target is another way.
    /// `None`: no answer.
    pub fn spreads(&self) -> Option<(Spread, Spread)> {
        let (mut latencies, mut differences) = (Vec::new(), Vec::new());
        let mut before: Vec<((u16, u16), u32)> = Vec::new();
        for probe in self.probes.iter().filter(|it| self.measures(it.aim.0.into())) {
            let Fate::Answered { micros } = probe.fate else { continue };
            latencies.push(micros);
            match before.iter_mut().find(|it| it.0 == probe.aim) {
                Some((_, last)) => {
                    differences.push(last.abs_diff(micros));
                    *last = micros;
                }
                None => before.push((probe.aim, micros)),
            }
        }
        Some((spread(latencies)?, spread(differences).unwrap_or_default()))
    }
}

fn spread(numbers: Vec<u32>) -> Option<Spread> {
    let sorted = sorted(numbers);
    let at = |place: usize| sorted.get(place).map(|micros| Duration::from_micros((*micros).into()));
    let last = sorted.len().checked_sub(1)?;
    Some(Spread { min: at(0)?, median: at(last / 2)?, max: at(last)? })
}

/// There are fewer than 65536 of each.
fn numbers(test: usize, target: usize) -> (u16, u16) {
    let number = |it: usize| u16::try_from(it).unwrap_or(u16::MAX);
    (number(test), number(target))
}
