//! What became of every datagram of a stream, and the questions tests, demo and bench ask about it. Filled by
//! `stream.rs`.

use std::time::{Duration, Instant};

/// One datagram to the stream server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// Sequence number, from 0.
    pub sequence: u64,
    /// When it was sent.
    pub sent_at: Instant,
    /// Its first answer; `None` is lost, or still on its way.
    pub answer: Option<Answer>,
}

/// An answer of the stream server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Number of the provider it came through.
    pub provider: u8,
    /// When it arrived.
    pub at: Instant,
}

impl Datagram {
    /// From sending to the answer.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.answer.map(|answer| answer.at - self.sent_at)
    }
}

/// All datagrams of a stream in the order they were sent.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// The datagrams; the index is the sequence number.
    pub datagrams: Vec<Datagram>,
}

impl Timeline {
    /// Datagrams sent in a window.
    pub fn sent_between(&self, from: Instant, until: Instant) -> impl Iterator<Item = &Datagram> {
        self.datagrams.iter().filter(move |datagram| datagram.sent_at >= from && datagram.sent_at <= until)
    }

    /// How many of those sent in a window have no answer. Leave the last ones time to be answered.
    #[must_use]
    pub fn lost_between(&self, from: Instant, until: Instant) -> usize {
        self.sent_between(from, until).filter(|datagram| datagram.answer.is_none()).count()
    }

    /// The most datagrams of a window that were on their way at the same time, of those that were answered; at least one. When an
    /// entry of connection tracking goes, their answers go with it.
    #[must_use]
    pub fn on_their_way_between(&self, from: Instant, until: Instant) -> usize {
        let spans = || self.sent_between(from, until).filter_map(|it| Some((it.sent_at, it.answer?.at)));
        let at_once = |at: Instant| spans().filter(|(sent, answered)| *sent <= at && at < *answered).count();
        spans().map(|(sent, _)| at_once(sent)).max().unwrap_or(0).max(1)
    }

    /// The longest time between two answers, of which the later came, or is still missing, in the window. A stream
    /// without any loss shows its interval here.
    #[must_use]
    pub fn outage_between(&self, from: Instant, until: Instant) -> Duration {
        let mut arrivals: Vec<Instant> =
            self.datagrams.iter().filter_map(|datagram| datagram.answer.map(|answer| answer.at)).collect();
        arrivals.sort();
        let before = arrivals.iter().rev().find(|at| **at < from).copied().unwrap_or(from);
        let inside = arrivals.into_iter().filter(|at| *at >= from && *at <= until);
        let mut last = before;
        let mut longest = Duration::ZERO;
        for at in inside.chain([until]) {
            longest = longest.max(at.saturating_duration_since(last));
            last = at;
        }
        longest
    }

    /// Answered datagrams sent in a window, by provider, in order of appearance: `[(0, 40), (1, 12)]`. A provider that
    /// takes over twice appears twice.
    #[must_use]
    pub fn providers_between(&self, from: Instant, until: Instant) -> Vec<(u8, usize)> {
        let mut runs: Vec<(u8, usize)> = Vec::new();
        for answer in self.sent_between(from, until).filter_map(|datagram| datagram.answer) {
            match runs.last_mut() {
                Some((provider, count)) if *provider == answer.provider => *count += 1,
                _ => runs.push((answer.provider, 1)),
            }
        }
        runs
    }

    /// The first answer through `provider` to a datagram sent at `from` or later.
    #[must_use]
    pub fn first_via(&self, provider: u8, from: Instant) -> Option<Datagram> {
        let after = self.datagrams.partition_point(|datagram| datagram.sent_at < from);
        let later = self.datagrams.get(after..).unwrap_or_default();
        later.iter().find(|datagram| datagram.answer.is_some_and(|answer| answer.provider == provider)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `.` lost, a digit: answered by that provider 5 ms later; 20 ms apart.
    fn timeline(start: Instant, script: &str) -> Timeline {
        let datagram = |(index, mark): (usize, char)| {
            let sent_at = start + Duration::from_millis(20) * index as u32;
            let answer =
                mark.to_digit(10).map(|digit| Answer { provider: digit as u8, at: sent_at + Duration::from_millis(5) });
            Datagram { sequence: index as u64, sent_at, answer }
        };
        Timeline { datagrams: script.chars().enumerate().map(datagram).collect() }
    }

    #[test]
    fn outage_and_loss() {
        let start = Instant::now();
        for (script, lost, outage_ms, why) in [
            ("00000", 0, 20, "a whole stream shows its interval"),
            ("00.11", 1, 40, "one lost: two intervals"),
            ("0....1", 4, 100, "four lost"),
            ("00....", 4, 80, "the end counts, up to the window's"),
            ("......", 6, 105, "nothing at all: the whole window"),
        ] {
            let timeline = timeline(start, script);
            let end = start + Duration::from_millis(20 * (script.len() as u64 - 1) + 5);
            assert_eq!(timeline.lost_between(start, end), lost, "{why}");
            assert_eq!(timeline.outage_between(start, end).as_millis(), outage_ms, "{why}");
        }
    }

    #[test]
    fn how_many_are_on_their_way() {
        let start = Instant::now();
        for (answered_ms, want) in [([5, 5, 5], 1), ([25, 5, 5], 2), ([45, 45, 45], 3)] {
            let mut timeline = timeline(start, "000");
            for (datagram, after) in timeline.datagrams.iter_mut().zip(answered_ms) {
                let at = datagram.sent_at + Duration::from_millis(after);
                datagram.answer = Some(Answer { provider: 0, at });
            }
            assert_eq!(timeline.on_their_way_between(start, start + Duration::from_secs(1)), want, "{answered_ms:?}");
        }
    }

    #[test]
    fn providers_in_order() {
        let start = Instant::now();
        let timeline = timeline(start, "00.1100");
        let end = start + Duration::from_secs(1);
        assert_eq!(timeline.providers_between(start, end), [(0, 2), (1, 2), (0, 2)]);
        assert_eq!(timeline.first_via(1, start).map(|datagram| datagram.sequence), Some(3));
        assert_eq!(timeline.first_via(2, start), None);
    }
}
