//! The end of a stream: its span is finished, its connection may idle.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::task::AbortHandle;

use super::Connection;
use crate::{
    access_log,
    snapshot::access_log::LogType,
    stream_info::{ResponseFlag, StreamInfo},
    trace,
};

/// Ends the stream when the last of its owners goes: the body of its response, or its tunnel.
#[derive(Debug, Clone)]
pub(crate) struct StreamEnd(Rc<EndGuard>);

#[derive(Debug)]
struct EndGuard {
    connection: Rc<Connection>,
    info: Rc<StreamInfo>,
    bodiless: Cell<bool>,
    /// Writes entries at intervals.
    by_time: RefCell<Option<AbortHandle>>,
}

impl StreamEnd {
    /// Of a stream that begins.
    pub(crate) fn new(connection: Rc<Connection>, info: Rc<StreamInfo>, bodiless: bool) -> Self {
        Self(Rc::new(EndGuard {
            connection,
            info,
            bodiless: Cell::new(bodiless),
            by_time: RefCell::default(),
        }))
    }

    /// The stream.
    pub(crate) fn info(&self) -> &Rc<StreamInfo> {
        &self.0.info
    }

    /// Its connection.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.0.connection
    }

    /// Write an entry of it in each access log, before it ends.
    pub(crate) fn log(&self, log_type: LogType) {
        self.0.log(log_type);
    }

    /// Write an entry of it each time `interval` has passed, for as long as it lasts.
    pub(crate) fn log_by_time(&self, interval: Duration) {
        let guard = Rc::downgrade(&self.0);
        let task = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(guard) = guard.upgrade() else { return };
                guard.log(LogType::Periodic);
            }
        });
        self.0.by_time.replace(Some(task.abort_handle()));
    }

    /// Its response has no body.
    pub(crate) fn set_bodiless(&self) {
        self.0.bodiless.set(true);
    }

    /// Whether its response has no body, whatever its headers say.
    pub(crate) fn bodiless(&self) -> bool {
        self.0.bodiless.get()
    }
}

impl EndGuard {
    /// Write an entry of it in each access log.
    fn log(&self, log_type: LogType) {
        let logs = &self.connection.listener.manager.access_log;
        if !logs.logs.is_empty() {
            access_log::log(logs, &self.connection.services.logs, &self.info, log_type);
        }
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.info.response_complete.get() && self.info.flags.get().is_empty() {
            self.info.flag(ResponseFlag::DownstreamConnectionTermination);
            self.info.details.set("downstream_remote_disconnect");
        }
        self.connection.count_stream_end(&self.info);
        if let Some(observed) = &self.info.observed
            && self.info.response_complete.get()
        {
            observed.reply_end.set(observed.now());
        }
        if let Some(task) = self.by_time.take() {
            task.abort();
        }
        // Before the span ends, since entries may name it.
        self.log(LogType::End);
        trace::stream::finish(&self.info, &self.connection.services.spans);
        self.connection.stream_ended();
    }
}
