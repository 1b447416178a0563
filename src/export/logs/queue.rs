//! Entries that wait for a service: bounded in bytes, and the oldest go first when there are too many.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::access_log::{file::Batch, service::QUEUE_BYTES};

/// So many bytes wait here; as many may be on their way from the workers.
const LIMIT: usize = QUEUE_BYTES / 2;

/// What is sent at once.
#[derive(Debug)]
pub(super) struct Portion {
    /// The entries.
    pub(super) batch: Batch,
    /// When they were sent for the first time.
    pub(super) first_sent: Option<Instant>,
}

/// Entries that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    portions: VecDeque<Portion>,
    bytes: usize,
}

impl Queue {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.portions.is_empty()
    }

    /// Add new entries, and say how many others were dropped for them.
    pub(super) fn push(&mut self, batch: Batch) -> u64 {
        self.bytes += batch.bytes.len();
        self.portions.push_back(Portion { batch, first_sent: None });
        self.make_room()
    }

    /// The next entries: about as many bytes as that.
    pub(super) fn take(&mut self, most_bytes: usize) -> Option<Portion> {
        let mut portion = self.portions.pop_front()?;
        while let Some(next) = self.portions.front()
            && portion.first_sent.is_none()
            && next.first_sent.is_none()
            && portion.batch.bytes.len() + next.batch.bytes.len() <= most_bytes
            && let Some(next) = self.portions.pop_front()
        {
            portion.batch.bytes.extend_from_slice(&next.batch.bytes);
            portion.batch.entries += next.batch.entries;
        }
        self.bytes -= portion.batch.bytes.len();
        Some(portion)
    }

    /// Put back what could not be sent, and say how many entries were dropped for want of room.
    pub(super) fn put_back(&mut self, portion: Portion) -> u64 {
        self.bytes += portion.batch.bytes.len();
        self.portions.push_front(portion);
        self.make_room()
    }

    /// Drop all, and say how many entries that were.
    pub(super) fn clear(&mut self) -> u64 {
        self.bytes = 0;
        self.portions.drain(..).map(|portion| portion.batch.entries).sum()
    }

    fn make_room(&mut self) -> u64 {
        let mut dropped = 0;
        while self.bytes > LIMIT
            && let Some(oldest) = self.portions.pop_front()
        {
            self.bytes -= oldest.batch.bytes.len();
            dropped += oldest.batch.entries;
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(letter: u8, bytes: usize, entries: u64) -> Batch {
        Batch { bytes: vec![letter; bytes], entries, home: None }
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(batch(b'a', LIMIT / 2, 3)), 0);
        assert_eq!(queue.push(batch(b'b', LIMIT / 2, 2)), 0);
        assert_eq!(queue.push(batch(b'c', 1, 1)), 3);
        let first = queue.take(10).unwrap();
        assert_eq!((first.batch.bytes[0], first.batch.entries), (b'b', 2));
        assert_eq!(queue.push(batch(b'd', LIMIT / 2 + 1, 1)), 0);
        assert_eq!(queue.put_back(first), 2, "what is put back is the oldest");
        assert_eq!(queue.clear(), 2);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn what_waits_is_sent_together_but_for_what_was_sent_before() {
        let mut queue = Queue::default();
        for letter in [b'a', b'b', b'c'] {
            queue.push(batch(letter, 4, 1));
        }
        let mut first = queue.take(9).unwrap();
        assert_eq!((&*first.batch.bytes, first.batch.entries), (&b"aaaabbbb"[..], 2));
        first.first_sent = Some(Instant::now());
        queue.put_back(first);
        assert_eq!(queue.take(100).unwrap().batch.entries, 2);
        assert_eq!(queue.take(100).unwrap().batch.bytes, b"cccc");
        assert!(queue.is_empty() && queue.bytes == 0);
    }
}
