//! Latency, jitter and loss, from first probes alone: those of a burst would bias all three. Kept by `probe`, judged by `quality`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::Aim;
use super::pace::Pace;
use crate::event::ProbeToken;
use crate::moment::Moment;
use crate::order::sorted;
use crate::settings::CheckSettings;

/// First probes that an answer, however late, is matched to.
const OPEN: usize = 64;

/// First probes beyond the window that are kept as long as they may be answered in time.
const MAX_PENDING: usize = 1000;

/// The last `quality_window` first probes, and the smoothed round trip.
#[derive(Clone, Debug, Default)]
pub struct Window {
    probes: VecDeque<Probe>,
    /// Those without an answer, oldest first.
    open: VecDeque<(ProbeToken, Aim)>,
    pace: Pace,
    /// The test whose latencies are the line's: the first one that asks beyond the gateway. Without one there are none.
    measuring: Option<usize>,
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
    /// Neither loss nor latency: answered wrongly, sent across a link that was lost, or in an outage that is over.
    Void,
}

impl Window {
    /// Nothing yet.
    pub(super) fn new(measuring: Option<usize>) -> Self {
        Self { measuring, ..Self::default() }
    }

    /// Whether the line's latency is this test's.
    pub(super) fn measures(&self, test: usize) -> bool {
        self.measuring == Some(test)
    }

    /// A first probe was sent; `limits` say how many are kept.
    pub(super) fn sent(&mut self, at: Moment, token: ProbeToken, aim: Aim, limits: &CheckSettings) {
        // One that can only come late is lost, whatever becomes of the link.
        self.settle(Fate::Pending, Fate::Lost, |sent| at.since(sent) >= limits.timeout);
        // What is still on its way takes nobody's place: with a short window and a long `timeout` nothing would ever be lost.
        let on_its_way = self.probes.iter().filter(|it| it.fate == Fate::Pending).count().min(MAX_PENDING);
        while self.probes.len() >= limits.quality_window.max(1) + on_its_way {
            self.probes.pop_front();
        }
        let (sequence, place) = (token.sequence, numbers(aim.test, aim.target));
        self.probes.push_back(Probe { at, fate: Fate::Pending, sequence, aim: place });
        if self.open.len() >= OPEN {
            self.open.pop_front();
        }
        self.open.push_back((token, aim));
    }

    /// An answer, however late, un-loses its probe: whom it was sent to, and when.
    pub(super) fn answered(&mut self, at: Moment, source: Option<IpAddr>, token: ProbeToken) -> Option<(Aim, Moment)> {
        let place = self.open.iter().rposition(|(open, aim)| *open == token && aim.fits(source))?;
        let (_, aim) = self.open.remove(place)?;
        let found = self.probes.iter_mut().rev().find(|probe| probe.sequence == token.sequence);
        let probe = found.filter(|probe| matches!(probe.fate, Fate::Pending | Fate::Lost | Fate::Outage))?;
        let sample = at.since(probe.at);
        probe.fate = Fate::Answered { micros: u32::try_from(sample.as_micros()).unwrap_or(u32::MAX) };
        let found = (aim, probe.at);
        if self.measures(aim.test) {
            self.pace.sample(sample);
        }
        Some(found)
    }

    /// Whom the probe with this sequence number was sent to, if it may have gone to `target`.
    pub(super) fn aim(&self, sequence: u16, target: Option<IpAddr>) -> Option<Aim> {
        let fits = |(token, aim): &&(ProbeToken, Aim)| token.sequence == sequence && aim.fits(target);
        self.open.iter().rev().find(fits).map(|(_, aim)| *aim)
    }

    /// A wrong answer has come to the probe with this sequence number: it was not lost.
    pub(super) fn not_lost(&mut self, sequence: u16) {
        let found = self.probes.iter_mut().rev().find(|probe| probe.sequence == sequence);
        if let Some(probe) = found.filter(|probe| matches!(probe.fate, Fate::Pending | Fate::Lost)) {
            probe.fate = Fate::Void;
        }
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

    /// The smoothed round trip.
    pub const fn latency(&self) -> Option<Duration> {
        self.pace.latency()
    }

    /// The smoothed deviation of the round trip.
    pub fn jitter(&self) -> Option<Duration> {
        self.pace.jitter()
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
