//! A worker's entries for a service of the network until they are handed over to what sends them.
//!
//! As with spans, the worker takes no lock and wakes no other thread per entry. What it hands over is bounded in bytes,
//! since the thread behind it may get no time for a while.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, mpsc};

use super::file::Batch;
use crate::snapshot::log_service::LogService;

/// So many bytes may wait for a service in all, and half of it on the way to what sends them.
pub(crate) const QUEUE_BYTES: usize = 16 << 20;

/// What workers have handed over.
#[derive(Debug, Default)]
pub(crate) struct OnTheWay {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

impl OnTheWay {
    /// Those bytes have arrived.
    pub(crate) fn arrived(&self, batch: &Batch) {
        self.bytes.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
    }

    /// Entries that found no room since this was last asked.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Entries that found no room, and of which nobody has taken note yet.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The sending half of a service's hand-over; each worker has a clone.
#[derive(Debug, Clone)]
pub(crate) struct ServiceQueue {
    service: Arc<LogService>,
    sender: mpsc::UnboundedSender<Batch>,
    on_the_way: Arc<OnTheWay>,
}

/// A hand-over to one service: what workers get, what is read behind it, and what is counted.
pub(crate) fn queue(
    service: &Arc<LogService>,
) -> (ServiceQueue, mpsc::UnboundedReceiver<Batch>, Arc<OnTheWay>) {
    // The channel itself has no bound: the bytes in it have.
    let (sender, receiver) = mpsc::unbounded_channel();
    let on_the_way = Arc::<OnTheWay>::default();
    let queue = ServiceQueue { service: Arc::clone(service), sender, on_the_way: Arc::clone(&on_the_way) };
    (queue, receiver, on_the_way)
}

impl ServiceQueue {
    fn hand_over(&self, batch: Batch) {
        let (bytes, entries) = (batch.bytes.len(), batch.entries);
        let way = &self.on_the_way;
        if way.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > QUEUE_BYTES / 2 {
            way.bytes.fetch_sub(bytes, Ordering::Relaxed);
            way.lost.fetch_add(entries, Ordering::Relaxed);
            return;
        }
        // It fails only when the other side is gone, which is after the last request at the end.
        if let Err(mpsc::error::SendError(batch)) = self.sender.send(batch) {
            way.arrived(&batch);
            way.lost.fetch_add(entries, Ordering::Relaxed);
        }
    }
}

/// A worker's entries for one service.
#[derive(Debug)]
pub(crate) struct ServiceBuffer {
    queue: ServiceQueue,
    batch: RefCell<Batch>,
    waiting: Notify,
}

impl ServiceBuffer {
    /// An empty one.
    pub(crate) fn new(queue: ServiceQueue) -> Rc<Self> {
        Rc::new(Self { queue, batch: RefCell::default(), waiting: Notify::new() })
    }

    /// Add an entry, which `write` appends.
    pub(super) fn write(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut batch = self.batch.borrow_mut();
        if batch.entries == 0 {
            self.waiting.notify_one();
        }
        write(&mut batch.bytes);
        batch.entries += 1;
        if batch.bytes.len() >= self.queue.service.buffer_bytes {
            // The next one will be as long.
            let next = Batch { bytes: Vec::with_capacity(batch.bytes.len()), entries: 0, home: None };
            self.queue.hand_over(std::mem::replace(&mut *batch, next));
        }
    }

    /// Hand over what waits.
    pub(super) fn flush(&self) {
        let batch = self.batch.take();
        if batch.entries > 0 {
            self.queue.hand_over(batch);
        }
    }

    /// Hand over what has waited long enough, for ever. A worker without entries is not woken.
    pub(crate) async fn flush_by_age(self: Rc<Self>) {
        loop {
            self.waiting.notified().await;
            tokio::time::sleep(self.queue.service.interval).await;
            self.flush();
        }
    }
}
