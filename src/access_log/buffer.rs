//! A worker's entries until they are handed over to the threads that write them.

use std::{cell::RefCell, rc::Rc, time::Duration};

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
    files: Vec<(LogFile, RefCell<Batch>)>,
    interval: Duration,
    waiting: Notify,
    services: Vec<Rc<ServiceBuffer>>,
}

impl LogBuffer {
    /// For these files and services.
    pub(crate) fn new(outlets: LogOutlets) -> Rc<Self> {
        let files = outlets.files.into_iter().map(|file| (file, RefCell::default())).collect();
        let services = outlets.services.into_iter().map(ServiceBuffer::new).collect();
        Rc::new(Self { files, interval: outlets.interval, waiting: Notify::new(), services })
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
        for (file, batch) in &self.files {
            let batch = batch.take();
            if batch.entries > 0 {
                file.hand_over(batch);
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
