//! Workers: one thread, one runtime, its own connections and pools. Nothing is shared but the snapshot and
//! atomics.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    access_log::buffer::{LogBuffer, LogOutlets},
    cluster::{ClusterManager, ClusterState},
    http_connection_manager::{Services, date::DateCache},
    listener::{BoundSocket, accept},
    snapshot::{
        Snapshot,
        listener::{DrainedListeners, Listener},
    },
    stats,
    trace::buffer::{SpanBuffer, SpanQueue},
};

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Accept and serve.
    Serving,
    /// Accept no more; end connections after what they are doing.
    Draining,
    /// End at once.
    Stopping,
}

/// What a worker is to do, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Course {
    /// Whether it serves.
    pub(crate) stage: Stage,
    /// Whose sockets accept no more.
    pub(crate) stopped: DrainedListeners,
    /// Whose connections end with their next response.
    pub(crate) closing: DrainedListeners,
    /// Health checks are answered badly, and all connections end with their next response.
    pub(crate) unhealthy: bool,
}

impl Course {
    /// Serve.
    pub(crate) const SERVING: Self = Self {
        stage: Stage::Serving,
        stopped: DrainedListeners::None,
        closing: DrainedListeners::None,
        unhealthy: false,
    };
}

/// A worker's own socket of each listener.
pub(crate) type WorkerSockets = Vec<(Arc<Listener>, BoundSocket)>;

/// What a worker starts with.
#[derive(Debug)]
pub(crate) struct WorkerSetup {
    /// Counted from 0.
    pub(crate) index: usize,
    /// What is served.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its own sockets.
    pub(crate) sockets: WorkerSockets,
    /// What it shares of the clusters with the others.
    pub(crate) clusters: Vec<Arc<ClusterState>>,
    /// One per tracer.
    pub(crate) spans: Vec<SpanQueue>,
    /// Where entries of access logs go.
    pub(crate) logs: LogOutlets,
    /// What it is to do.
    pub(crate) course: watch::Receiver<Course>,
}

/// Start a worker. It fails if the thread, or its runtime, cannot be had.
pub(crate) fn start(setup: WorkerSetup) -> io::Result<JoinHandle<()>> {
    let (started, outcome) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("worker-{}", setup.index)).spawn(move || {
        // It may not change threads, so that it is built on its own. Its scheduler runs the worker's tasks itself,
        // which is cheaper than a `LocalSet` inside of it.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
        match runtime {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                runtime.block_on(run(setup));
            }
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    // A thread that ends without a word has panicked, which its join tells.
    outcome.recv().unwrap_or(Ok(())).map(|()| thread)
}

async fn run(setup: WorkerSetup) {
    let WorkerSetup { index, snapshot, sockets, clusters, spans, logs, mut course } = setup;
    stats::enter_worker(index);
    let logs = LogBuffer::new(logs);
    let log_flushers = logs.flush_by_age();
    let spans = SpanBuffer::new(spans);
    let flusher = tokio::task::spawn_local(Rc::clone(&spans).flush_by_age());
    let services = Rc::new(Services {
        clusters: ClusterManager::new(&clusters),
        spans: Rc::clone(&spans),
        logs: Rc::clone(&logs),
        date: DateCache::new(),
        own_ip: own_ip().into(),
        open: Default::default(),
        snapshot,
    });
    let trimmer = tokio::task::spawn_local(give_back(Rc::clone(&services)));
    let acceptors = sockets
        .into_iter()
        .map(|(listener, socket)| {
            let services = Rc::clone(&services);
            let direction = listener.direction;
            let task = tokio::task::spawn_local(async move {
                let name = Arc::clone(&listener.name);
                if let Err(error) = accept::run(socket, listener, services).await {
                    tracing::error!("listener \"{name}\" stopped: {error}");
                }
            });
            (direction, task)
        })
        .collect::<Vec<_>>();

    // An error means that the main thread is gone, which ends everything.
    loop {
        let now = *course.borrow_and_update();
        if now.stage != Stage::Serving {
            break;
        }
        services.open.close_with_responses(now.closing, now.unhealthy);
        acceptors
            .iter()
            .filter(|(direction, _)| now.stopped.has(*direction))
            .for_each(|(_, task)| task.abort());
        if course.changed().await.is_err() {
            break;
        }
    }
    acceptors.iter().for_each(|(_, task)| task.abort());
    services.open.drain();
    tokio::select! {
        () = services.open.emptied() => {}
        _ = course.wait_for(|course| course.stage == Stage::Stopping) => {}
    }
    services.clusters.close();
    // Streams that are cut now push their spans later; the buffer hands over what is left when it is dropped.
    spans.flush();
    logs.flush();
    flusher.abort();
    log_flushers.iter().for_each(tokio::task::JoinHandle::abort);
    trimmer.abort();
}

/// Give what connections at rest have freed back to the system, for ever. The allocator would do it with a later
/// allocation, but a worker whose connections rest makes none.
async fn give_back(services: Rc<Services>) {
    /// How long what is freed may stay, so that one call serves many connections.
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        services.open.rested().await;
        tokio::time::sleep(PAUSE).await;
        spanway_heap::collect_unused();
    }
}

/// This machine's address towards others: what stands for a loopback client in `x-forwarded-for`.
pub(super) fn own_ip() -> IpAddr {
    // Connecting a datagram socket sends nothing; it only asks the system which address it would send from.
    let probe = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // An address of documentation (RFC 5737), which is routed like any other.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        Ok(socket.local_addr()?.ip())
    };
    probe().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
