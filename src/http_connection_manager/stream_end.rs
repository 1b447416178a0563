//! The end of a stream: its span is finished, its connection may idle.

use std::{cell::Cell, rc::Rc};

use tokio::time::Instant;

use super::Connection;
use crate::{
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
}

impl StreamEnd {
    /// Of a stream that begins.
    pub(crate) fn new(connection: Rc<Connection>, info: Rc<StreamInfo>, bodiless: bool) -> Self {
        Self(Rc::new(EndGuard { connection, info, bodiless: Cell::new(bodiless) }))
    }

    /// The stream.
    pub(crate) fn info(&self) -> &Rc<StreamInfo> {
        &self.0.info
    }

    /// Its connection.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.0.connection
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

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.info.response_complete.get() && self.info.flags.get().is_empty() {
            self.info.flag(ResponseFlag::DownstreamConnectionTermination);
        }
        self.connection.count_stream_end(&self.info);
        if let Some(observed) = &self.info.observed
            && self.info.response_complete.get()
        {
            observed.reply_end.set(Some(Instant::now()));
        }
        trace::stream::finish(&self.info, &self.connection.services.spans);
        self.connection.stream_ended();
    }
}
