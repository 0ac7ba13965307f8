//! What waits to be written to ubusd: bounded, whole frames only, hints given up before answers.
//!
//! Filled by `Bus` without waiting, emptied by it whenever the socket takes something.

use std::collections::VecDeque;

/// Beyond this, nothing more is queued (a single frame may be larger when nothing else waits).
const LIMIT: usize = 256 * 1024;

/// Whether somebody waits for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// An answer or a request of ours.
    Needed,
    /// A notification or event: whoever misses it can still ask for the status.
    Hint,
}

/// Frames in the order of writing.
#[derive(Debug, Default)]
pub(super) struct OutQueue {
    frames: VecDeque<(Weight, Vec<u8>)>,
    /// Bytes of the first frame that are written already.
    written: usize,
    /// Bytes of all frames.
    size: usize,
}

impl OutQueue {
    /// Puts a frame at the end; tells how many frames were lost for want of room, itself included.
    pub(super) fn push(&mut self, weight: Weight, frame: Vec<u8>) -> usize {
        let mut lost = 0;
        if weight == Weight::Needed && !self.fits(&frame) {
            lost = self.drop_hints();
        }
        if !self.fits(&frame) {
            return lost + 1;
        }
        self.size += frame.len();
        self.frames.push_back((weight, frame));
        lost
    }

    fn fits(&self, frame: &[u8]) -> bool {
        self.frames.is_empty() || self.size + frame.len() <= LIMIT
    }

    /// Never the frame that is half written: the stream could not be followed any more.
    fn drop_hints(&mut self) -> usize {
        let before = self.frames.len();
        let mut first_is_begun = self.written > 0;
        self.frames.retain(|(weight, _)| std::mem::take(&mut first_is_begun) || *weight == Weight::Needed);
        self.size = self.frames.iter().map(|(_, frame)| frame.len()).sum();
        before - self.frames.len()
    }

    /// What to write next.
    pub(super) fn front(&self) -> Option<&[u8]> {
        self.frames.front().and_then(|(_, frame)| frame.get(self.written..))
    }

    /// So much of `front` is written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if let Some((_, frame)) = self.frames.front()
            && self.written >= frame.len()
        {
            self.size -= frame.len();
            self.written = 0;
            self.frames.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_make_room_for_answers_and_not_the_other_way_round() {
        let mut queue = OutQueue::default();
        let kilobytes = |count: usize| vec![0; count * 1024];
        assert_eq!(queue.push(Weight::Hint, kilobytes(100)), 0);
        queue.advance(1);
        assert_eq!(queue.push(Weight::Hint, kilobytes(100)), 0);
        assert_eq!(queue.push(Weight::Hint, kilobytes(100)), 1, "over the limit: the new hint is lost");
        assert_eq!(queue.push(Weight::Needed, kilobytes(100)), 1, "an answer takes the place of the waiting hint");
        assert_eq!(queue.push(Weight::Needed, kilobytes(100)), 1, "the begun frame stays, so this does not fit");
        queue.advance(100 * 1024 - 1);
        assert_eq!(queue.front().map(<[u8]>::len), Some(100 * 1024));
        assert_eq!(queue.push(Weight::Needed, kilobytes(100)), 0);
        queue.advance(100 * 1024);
        queue.advance(100 * 1024);
        assert!(queue.is_empty());
        assert_eq!(queue.size, 0);
        assert_eq!(queue.push(Weight::Needed, kilobytes(900)), 0, "a single large answer goes out when nothing waits");
    }
}
