//! A worker's entries until they are handed over to the threads that write them.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::sync::Notify;

use super::{
    file::{Batch, LogFile},
    stats,
};

/// So many bytes are handed over at once.
const HAND_OVER_BYTES: usize = 64 << 10;

/// A worker's entries of all files.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    /// By their places in `Snapshot::log_files`.
    files: Vec<(LogFile, RefCell<Batch>)>,
    interval: Duration,
    waiting: Notify,
}

impl LogBuffer {
    /// For these files. What is there is handed over after `interval` at the latest.
    pub(crate) fn new(files: Vec<LogFile>, interval: Duration) -> Rc<Self> {
        let files = files.into_iter().map(|file| (file, RefCell::default())).collect();
        Rc::new(Self { files, interval, waiting: Notify::new() })
    }

    /// Add an entry for a file, which `write` appends.
    pub(super) fn write(&self, file: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some((file, batch)) = self.files.get(file) else { return };
        let mut batch = batch.borrow_mut();
        if batch.entries == 0 {
            self.waiting.notify_one();
        }
        let before = batch.bytes.len();
        write(&mut batch.bytes);
        batch.entries += 1;
        stats::buffered(batch.bytes.len().saturating_sub(before));
        if batch.bytes.len() >= HAND_OVER_BYTES {
            // The next one will be as long.
            let next = Batch { bytes: Vec::with_capacity(HAND_OVER_BYTES + 1024), entries: 0 };
            file.hand_over(std::mem::replace(&mut *batch, next));
        }
    }

    /// Hand over all that waits: how many batches that is.
    pub(crate) fn flush(&self) -> usize {
        let mut batches = 0;
        for (file, batch) in &self.files {
            let batch = batch.take();
            if batch.entries > 0 {
                file.hand_over(batch);
                batches += 1;
            }
        }
        batches
    }

    /// Hand over what has waited long enough, for ever. A worker without entries is not woken.
    pub(crate) async fn flush_by_age(self: Rc<Self>) {
        loop {
            self.waiting.notified().await;
            tokio::time::sleep(self.interval).await;
            (0..self.flush()).for_each(|_| stats::flushed_by_timer());
        }
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}
