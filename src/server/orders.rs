//! What is told to the process while it serves: by signals, and through the admin interface.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender},
        watch,
    },
};

use super::{log, worker::Course};
use crate::{
    access_log::file::{LogFile, LogFiles},
    admin::Order,
    snapshot::listener::DrainedListeners,
};

/// Whoever may end the process: SIGINT, SIGTERM, `/quitquitquit`.
#[derive(Debug)]
pub(super) struct Endings {
    interrupt: Signal,
    terminate: Signal,
    quit: UnboundedReceiver<()>,
}

impl Endings {
    /// Listen for them.
    pub(super) fn new(quit: UnboundedReceiver<()>) -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, quit })
    }

    /// Somebody wants the process to end.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            // Without an admin interface nobody can say so.
            Some(()) = self.quit.recv() => {}
        }
    }
}

/// What obeying takes.
#[derive(Debug)]
pub(super) struct Means {
    /// What workers are told.
    pub(super) course: Arc<watch::Sender<Course>>,
    /// The logs.
    pub(super) logs: Reopened,
    /// How long a graceful drain lasts.
    pub(super) drain_time: Duration,
    /// Ends the process.
    pub(super) quit: UnboundedSender<()>,
}

/// Do what the admin interface is told to have done.
pub(super) async fn obey(mut orders: UnboundedReceiver<Order>, means: Means) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::ReopenLogs => means.logs.reopen(),
            Order::HealthCheck { fails } => means.course.send_modify(|course| course.unhealthy = fails),
            Order::Drain { listeners, graceful, skip_exit } => {
                let (which, after) = (which(listeners), after(graceful, skip_exit, means.drain_time));
                tracing::info!("told to drain {which}: connections end with their next response, {after}");
                means.course.send_modify(|course| course.closing = course.closing.max(listeners));
                if skip_exit {
                    // They go on to accept, whatever else is said.
                } else if !graceful {
                    stop(&means.course, listeners);
                } else {
                    let (course, drain_time) = (Arc::clone(&means.course), means.drain_time);
                    tokio::spawn(async move {
                        tokio::time::sleep(drain_time).await;
                        stop(&course, listeners);
                    });
                }
            }
            // It fails when the process ends already.
            Order::Quit => drop(means.quit.send(())),
        }
    }
}

/// Those listeners in words.
fn which(listeners: DrainedListeners) -> &'static str {
    match listeners {
        DrainedListeners::None => "no listeners",
        DrainedListeners::Inbound => "listeners whose traffic_direction is INBOUND",
        DrainedListeners::All => "all listeners",
    }
}

/// What becomes of new connections, in words.
fn after(graceful: bool, skip_exit: bool, drain_time: Duration) -> String {
    if skip_exit {
        "and new ones are still accepted".to_owned()
    } else if graceful {
        format!("and new ones are accepted for another {drain_time:?}")
    } else {
        "and no new ones are accepted".to_owned()
    }
}

/// These listeners accept no more.
fn stop(course: &watch::Sender<Course>, listeners: DrainedListeners) {
    course.send_modify(|course| course.stopped = course.stopped.max(listeners));
}

/// Do what Envoy does on signals that would otherwise end the process: SIGHUP nothing, SIGUSR1 open logs again.
pub(super) fn mind_signals(logs: Reopened) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut rotated = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move { while hangup.recv().await.is_some() {} });
    tokio::spawn(async move {
        while rotated.recv().await.is_some() {
            logs.reopen();
        }
    });
    Ok(())
}

/// The logs that are opened again when they are told to, after somebody has moved their files away.
#[derive(Debug, Clone)]
pub(super) struct Reopened {
    /// `--log-path`
    pub(super) own: Option<log::LogFile>,
    /// The files of access logs.
    pub(super) access: Vec<LogFile>,
}

impl Reopened {
    fn reopen(&self) {
        LogFiles::reopen(&self.access);
        if let Some(Err(error)) = self.own.as_ref().map(log::LogFile::reopen) {
            tracing::error!("--log-path cannot be opened again: {error}; the old file goes on");
        }
    }
}
