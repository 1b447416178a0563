//! From a configuration to a serving process, and to its end.

use std::{
    io,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use hickory_resolver::TokioResolver;
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    time::Instant,
};

use super::{
    command_line::command_line_options,
    keep,
    log::Log,
    log_services::{self, LogExporting},
    options::Options,
    orders::{self, Endings, Means, Reopened},
    overrides, sources,
    worker::{self, Course, Stage, WorkerSetup, WorkerSockets},
};
use crate::{
    access_log::{
        buffer::LogOutlets,
        file::{LogFile, LogFiles, OpenError},
    },
    admin::{self, AdminError, LastLook, ListenerStatus, StatNames, TracerStatus},
    cluster::{ClusterState, discovery},
    collector::store::Store,
    config::{
        self, Problems, Sources,
        lower::{AddressMapError, Overrides},
    },
    export::{
        Exporter,
        sender::{Sender, Surroundings},
        stats::TracerStats,
    },
    listener::{self, BindError},
    snapshot::{Address, Snapshot, cluster::Discovery, listener::Listener, stats::StatsFlush},
    stat_sinks::{Flushes, SinkError},
    stats,
    trace::{
        buffer::{self, SpanQueue},
        otlp::SpanEncoder,
    },
};

/// How long clusters may take to find their first hosts before serving starts without them.
const FIRST_RESOLUTION: Duration = Duration::from_secs(5);

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// The configuration is bad.
    #[error("{0}")]
    Config(#[from] Problems),
    /// A flag is bad.
    #[error("{0}")]
    AddressMap(#[from] AddressMapError),
}

/// Why serving did not begin, or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// A listener cannot listen.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The admin interface cannot.
    #[error("{0}")]
    Admin(#[from] AdminError),
    /// The file of an access log cannot be opened.
    #[error("{0}")]
    AccessLog(#[from] OpenError),
    /// The system refuses a thread, a runtime or a signal handler.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// An exporter cannot be made.
    #[error("tracer \"{service}\": {error}")]
    Tracer {
        /// Its service name.
        service: Arc<str>,
        /// What the library says.
        error: String,
    },
    /// What sends entries of an access log cannot be made.
    #[error("access log \"{name}\": {error}")]
    AccessLogService {
        /// Its name.
        name: Arc<str>,
        /// What the library says.
        error: String,
    },
    /// A stats sink cannot be made.
    #[error("{0}")]
    StatsSink(#[from] SinkError),
    /// A worker panicked; the others were ended in order.
    #[error("a worker failed, which is a bug of spanway; the log has its message")]
    Worker,
}

/// Read, check and lower the configuration, on a thread of its own: what reading took in memory is given back to the
/// system when the thread ends, and would otherwise stay with the main thread's heap.
pub(crate) fn prepare(options: &Options) -> Result<Snapshot, PrepareError> {
    stats::set_workers(workers(options));
    let prepared = thread::scope(|scope| scope.spawn(|| read(options)).join());
    prepared.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn read(options: &Options) -> Result<Snapshot, PrepareError> {
    Ok(load(&sources(options), &overrides(options)?)?)
}

/// What `sources` say under those `overrides`.
pub(super) fn load(sources: &Sources, overrides: &Overrides) -> Result<Snapshot, Problems> {
    // All that is wrong is told in one run: what the file says, and what it means.
    let (loaded, mut problems) = config::examine(sources)?;
    let mut found = Problems::new();
    let snapshot = config::lower::lower(&loaded, overrides, &mut found);
    loaded.add_found(found, &mut problems);
    for warning in loaded.warnings.iter() {
        tracing::warn!("{warning}");
    }
    drop(loaded);
    config::release();
    if problems.is_empty() { Ok(snapshot) } else { Err(problems) }
}

/// Serve `snapshot` until told to stop.
pub(crate) fn serve(snapshot: Snapshot, options: &Options, log: Log) -> Result<(), ServeError> {
    if let Some(format) = &snapshot.application_log {
        log.format.change(format);
    }
    let snapshot = Arc::new(snapshot);
    let workers = workers(options);
    // All or none: no listener accepts before all are bound.
    let sockets = bind(&snapshot, workers)?;
    let logs = LogFiles::open(&snapshot.log_files)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        orders::mind_signals(Reopened { own: log.file.clone(), access: logs.files.clone() })?;
        run(snapshot, sockets, &logs.files, options, log).await
    });
    logs.finish();
    served
}

fn workers(options: &Options) -> usize {
    options.concurrency.map_or_else(cores, |workers| workers.max(1) as usize)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Bind all listeners, and sort the sockets by worker.
fn bind(snapshot: &Snapshot, workers: usize) -> Result<Vec<WorkerSockets>, BindError> {
    let mut by_worker: Vec<WorkerSockets> = (0..workers).map(|_| Vec::new()).collect();
    for listener in snapshot.listeners.iter().filter(|listener| listener.bind_to_port) {
        let bound = listener::bind(listener, workers)?;
        for (worker, socket) in by_worker.iter_mut().zip(bound) {
            worker.push((Arc::clone(listener), socket));
        }
    }
    Ok(by_worker)
}

/// Where each listener listens, which for port 0 the system decides; a worker's sockets tell.
fn listeners(snapshot: &Snapshot, sockets: Option<&WorkerSockets>) -> Vec<ListenerStatus> {
    let bound = |listener: &Arc<Listener>| {
        let (_, socket) = sockets?.iter().find(|(bound, _)| Arc::ptr_eq(bound, listener))?;
        socket.socket_address().map(Address::Socket)
    };
    let status = |listener: &Arc<Listener>| ListenerStatus {
        name: Arc::clone(&listener.name),
        address: bound(listener).unwrap_or_else(|| listener.address.clone()),
    };
    snapshot.listeners.iter().map(status).collect()
}

/// The main thread: discovery, export and the admin interface run here, and so does waiting for the end.
async fn run(
    snapshot: Arc<Snapshot>,
    sockets: Vec<WorkerSockets>,
    logs: &[LogFile],
    options: &Options,
    log: Log,
) -> Result<(), ServeError> {
    let (quit, quitting) = mpsc::unbounded_channel();
    let mut endings = Endings::new(quitting)?;
    let started = Instant::now();
    let clusters = ClusterState::all(&snapshot);
    let admin = match &snapshot.admin {
        Some(address) => Some(admin::bind(address, options.admin_address_path.as_deref()).await?),
        None => {
            if options.admin_address_path.is_some() {
                tracing::warn!("--admin-address-path: nothing is written, since there is no admin.address");
            }
            None
        }
    };
    discover(&clusters).await;
    let kept = options.keep_traces.map(|bytes| Arc::new(Store::new(bytes)));
    if kept.is_some() && snapshot.tracers.is_empty() {
        tracing::warn!(
            "--keep-traces keeps nothing: no listener traces; give its HTTP connection manager `tracing` with a provider"
        );
    }
    let (hurry, patience) = watch::channel(false);
    let (orders, received) = mpsc::unbounded_channel();
    let course = Arc::new(watch::Sender::new(Course::SERVING));
    let means = Means {
        course: Arc::clone(&course),
        logs: Reopened { own: log.file, access: logs.to_vec() },
        drain_time: options.drain_time(),
        quit,
    };
    tokio::spawn(orders::obey(received, means));
    let around =
        Surroundings { node: &snapshot.node, clusters: &clusters, own_ip: worker::own_ip(), observer: None };
    let Exporting { queues, mut exporters, statuses } = export(&snapshot, &around, kept.as_ref(), &patience)?;
    let LogExporting { queues: log_queues, exporters: log_exporters, stats: log_stats } =
        log_services::start(&snapshot, &clusters, &patience)
            .map_err(|(name, error)| ServeError::AccessLogService { name, error })?;
    exporters.extend(log_exporters);
    let flush = Arc::new(Notify::new());
    let on_admin = snapshot.stats_flush == StatsFlush::OnAdmin;
    let subject = Arc::new(admin::Process {
        snapshot: Arc::clone(&snapshot),
        clusters: clusters.clone(),
        stat_names: StatNames::new(Arc::clone(&snapshot.stats_config), !snapshot.stats_sinks.is_empty()),
        tracers: statuses,
        logs: log_stats,
        workers: sockets.len(),
        started,
        loaded: SystemTime::now(),
        unhealthy: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        last_look: LastLook::default(),
        loggers: log.loggers,
        keeps_traces: kept.is_some(),
        listeners: listeners(&snapshot, sockets.first()),
        options: command_line_options(options, sockets.len()),
        flush: on_admin.then(|| Arc::clone(&flush)),
        own_ip: worker::own_ip().into(),
        orders,
    });
    let (counted, process) = (Arc::clone(&subject), Arc::clone(&subject));
    let flushes = Flushes::start(&snapshot, &around, flush, move || admin::collect_stats(&counted))?;
    if let Some(admin) = admin {
        tokio::spawn(admin::serve(admin, subject, kept));
    } else if kept.is_some() {
        tracing::warn!(
            "--keep-traces has no effect: this configuration has no admin.address to show them at"
        );
    }

    for (listener, socket) in sockets.first().into_iter().flatten() {
        let address = socket
            .socket_address()
            .map_or_else(|| listener.address.to_string(), |address| address.to_string());
        tracing::info!("listener \"{}\" serves on {address}", listener.name);
    }
    let outlets =
        LogOutlets { files: logs.to_vec(), interval: options.file_flush_interval(), services: log_queues };
    let mut threads = Vec::new();
    for (index, sockets) in sockets.into_iter().enumerate() {
        threads.push(worker::start(WorkerSetup {
            index,
            snapshot: Arc::clone(&snapshot),
            sockets,
            clusters: clusters.clone(),
            spans: queues.clone(),
            logs: outlets.clone(),
            course: course.subscribe(),
        })?);
    }
    // Only workers hold queues from here on, so that exporters end when the last worker has.
    drop((queues, outlets));
    let count = threads.len();
    tracing::info!("serving with {count} worker{}", if count == 1 { "" } else { "s" });
    tokio::spawn(trim_memory());

    let ended = tokio::task::spawn_blocking(move || {
        threads.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count()
    });
    tokio::pin!(ended);
    let failed = tokio::select! {
        failed = &mut ended => failed,
        () = endings.next() => {
            process.ending.store(true, Ordering::Relaxed);
            stop(&course, options.drain_time(), &mut endings, ended).await
        }
    };
    // Each ends when its spans have left, or its time for that is over, or somebody has no patience.
    let all_exported = async {
        if let Some(flushes) = flushes {
            flushes.finish(patience).await;
        }
        for exporter in exporters {
            let _ = exporter.await;
        }
    };
    tokio::pin!(all_exported);
    tokio::select! {
        () = &mut all_exported => {}
        () = endings.next() => leave_spans(&hurry, all_exported).await,
    }
    if failed.is_ok_and(|failed| failed == 0) { Ok(()) } else { Err(ServeError::Worker) }
}

/// Reading the configuration freed most of what the process ever had; an idle proxy would keep it for ever.
async fn trim_memory() {
    // Once the worker threads have what they need.
    tokio::time::sleep(Duration::from_millis(250)).await;
    spanway_heap::collect();
}

/// Let open requests finish, for as long as that may take; who says it a second time ends it.
async fn stop<E: Future>(
    course: &watch::Sender<Course>,
    drain_time: Duration,
    endings: &mut Endings,
    mut ended: std::pin::Pin<&mut E>,
) -> E::Output {
    tracing::info!("stopping: open requests have {drain_time:?} to finish; a second signal ends them");
    course.send_modify(|course| course.stage = Stage::Draining);
    tokio::select! {
        ended = &mut ended => return ended,
        () = tokio::time::sleep(drain_time) => {}
        () = endings.next() => {}
    }
    course.send_modify(|course| course.stage = Stage::Stopping);
    ended.await
}

/// Let exporters end at once, which they do with a word of what is lost.
async fn leave_spans(hurry: &watch::Sender<bool>, ended: impl Future<Output = ()>) {
    tracing::warn!(
        "told again to stop: spans and entries of access logs that were still to be sent are lost"
    );
    hurry.send_replace(true);
    ended.await;
}

/// Begin to resolve names, and wait until each cluster has an answer or an error, though not for ever.
pub(super) async fn discover(clusters: &[Arc<ClusterState>]) {
    let named = clusters.iter().filter(|cluster| !matches!(cluster.config.discovery, Discovery::Static(_)));
    let named = named.cloned().collect::<Vec<_>>();
    if named.is_empty() {
        return;
    }
    let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
        // Names are asked for as often as their clusters say, not as often as a cache thinks.
        builder.options_mut().cache_size = 0;
        builder.build()
    });
    let resolver = match resolver {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            tracing::error!(
                "the system's resolver configuration cannot be read: {error}; no name can be resolved"
            );
            return;
        }
    };
    let resolved = Arc::new(Semaphore::new(0));
    let waiting = u32::try_from(named.len()).unwrap_or(u32::MAX);
    for cluster in named {
        let resolved = Arc::clone(&resolved);
        tokio::spawn(discovery::run(cluster, Arc::clone(&resolver), move || resolved.add_permits(1)));
    }
    if tokio::time::timeout(FIRST_RESOLUTION, resolved.acquire_many(waiting)).await.is_err() {
        tracing::warn!("not all names were resolved within {FIRST_RESOLUTION:?}; serving without them");
    }
}

/// The exporters, one per tracer.
#[derive(Default)]
struct Exporting {
    /// What workers put spans into.
    queues: Vec<SpanQueue>,
    /// What to wait for at the end.
    exporters: Vec<tokio::task::JoinHandle<()>>,
    /// What can be seen of them.
    statuses: Vec<TracerStatus>,
}

/// Start the exporter of each tracer.
fn export(
    snapshot: &Snapshot,
    around: &Surroundings<'_>,
    kept: Option<&Arc<Store>>,
    patience: &watch::Receiver<bool>,
) -> Result<Exporting, ServeError> {
    let mut all = Exporting::default();
    for tracer in &snapshot.tracers {
        let sender = Sender::new(tracer, around)
            .map_err(|error| ServeError::Tracer { service: tracer.name().into(), error })?;
        let (name, protocol) = (tracer.name(), sender.protocol().name());
        tracing::info!("tracer \"{name}\" sends spans by {protocol} to {}", sender.destination());
        let encoder = SpanEncoder::of(tracer, &snapshot.node);
        let (queue, spans, workers) = buffer::queue(tracer.flush, tracer.delivery.queue, encoder);
        let stats = Arc::new(TracerStats::new(Arc::clone(&workers)));
        all.queues.push(queue);
        all.statuses.push(TracerStatus {
            tracer: Arc::clone(tracer),
            destination: sender.destination().to_owned(),
            protocol: sender.protocol(),
            stats: Arc::clone(&stats),
        });
        let onlooker = kept.map(|store| keep::into(store, tracer, &snapshot.node));
        let exporter = Exporter::new(tracer, sender, spans, workers, stats, onlooker);
        all.exporters.push(tokio::spawn(exporter.run(patience.clone())));
    }
    Ok(all)
}
