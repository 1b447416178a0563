//! A worker's entries until they are handed over to the threads that write them.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_local},
};

use super::{
    file::{Batch, LogFile},
    service::{ServiceBuffer, ServiceQueue},
    stats,
};

/// So many bytes are handed over at once.
const HAND_OVER_BYTES: usize = 64 << 10;

/// So much room for a batch each worker keeps for each file, besides what it fills.
const SPARE: usize = 2;

/// Where workers hand entries over.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogOutlets {
    /// By their places in `Snapshot::log_files`.
    pub(crate) files: Vec<LogFile>,
    /// How long entries may wait for a file.
    pub(crate) interval: Duration,
    /// By their places in `Snapshot::log_services`.
    pub(crate) services: Vec<ServiceQueue>,
}

/// A worker's entries of all files and services.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    files: Vec<FileBuffer>,
    interval: Duration,
    waiting: Notify,
    services: Vec<Rc<ServiceBuffer>>,
}

/// A worker's entries of one file.
#[derive(Debug)]
struct FileBuffer {
    file: LogFile,
    batch: RefCell<Batch>,
    /// Room that was filled before and is written: new memory would be taken from the system, page by page.
    spare: Receiver<Vec<u8>>,
    home: SyncSender<Vec<u8>>,
}

impl FileBuffer {
    fn new(file: LogFile) -> Self {
        let (home, spare) = sync_channel(SPARE);
        Self { file, batch: RefCell::default(), spare, home }
    }

    /// What is there, with room for the next ones in its place.
    fn take(&self) -> Batch {
        let mut batch = self.batch.borrow_mut();
        let room = || {
            Vec::with_capacity(if batch.bytes.len() < HAND_OVER_BYTES { 0 } else { HAND_OVER_BYTES + 1024 })
        };
        let bytes = self.spare.try_recv().unwrap_or_else(|_| room());
        let next = Batch { bytes, entries: 0, home: None };
        Batch { home: Some(self.home.clone()), ..std::mem::replace(&mut *batch, next) }
    }
}

impl LogBuffer {
    /// For these files and services.
    pub(crate) fn new(outlets: LogOutlets) -> Rc<Self> {
        let files = outlets.files.into_iter().map(FileBuffer::new).collect();
        let services = outlets.services.into_iter().map(ServiceBuffer::new).collect();
        Rc::new(Self { files, interval: outlets.interval, waiting: Notify::new(), services })
    }

    /// Add an entry for a file, which `write` appends.
    pub(super) fn write(&self, file: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(buffer) = self.files.get(file) else { return };
        let mut batch = buffer.batch.borrow_mut();
        if batch.entries == 0 {
            self.waiting.notify_one();
        }
        let before = batch.bytes.len();
        write(&mut batch.bytes);
        batch.entries += 1;
        stats::buffered(batch.bytes.len().saturating_sub(before));
        if batch.bytes.len() >= HAND_OVER_BYTES {
            drop(batch);
            buffer.file.hand_over(buffer.take());
        }
    }

    /// Add an entry for a service, which `write` appends.
    pub(super) fn write_to_service(&self, service: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(service) = self.services.get(service) {
            service.write(write);
        }
    }

    /// Hand over all that waits.
    pub(crate) fn flush(&self) {
        self.flush_files();
        self.services.iter().for_each(|service| service.flush());
    }

    /// Hand over what waits for files: how many batches that is.
    fn flush_files(&self) -> usize {
        let mut batches = 0;
        for buffer in &self.files {
            if buffer.batch.borrow().entries > 0 {
                buffer.file.hand_over(buffer.take());
                batches += 1;
            }
        }
        batches
    }

    /// Hand over what has waited long enough, in tasks of their own that never end.
    pub(crate) fn flush_by_age(self: &Rc<Self>) -> Vec<JoinHandle<()>> {
        let services = self.services.iter().map(|service| spawn_local(Rc::clone(service).flush_by_age()));
        services.chain([spawn_local(Rc::clone(self).flush_files_by_age())]).collect()
    }

    /// A worker without entries is not woken.
    async fn flush_files_by_age(self: Rc<Self>) {
        loop {
            self.waiting.notified().await;
            tokio::time::sleep(self.interval).await;
            (0..self.flush_files()).for_each(|_| stats::flushed_by_timer());
        }
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}
