//! What an attempt counts as for its host: a success, an error, a timeout.

use http::Response;

use crate::{
    stats::HostStats,
    stream_info::{ResponseFlag, StreamInfo},
    upstream::{Failure, UpstreamBody, conn_pool::HostPool},
};

/// An attempt whose outcome is not known yet. One that is broken off counts as a timeout if that is why, else as nothing.
pub(super) struct AttemptCount<'a> {
    stats: &'a HostStats,
    info: &'a StreamInfo,
    over: bool,
}

impl<'a> AttemptCount<'a> {
    /// An attempt to send a request to the pool's host.
    pub(super) fn new(pool: &'a HostPool, info: &'a StreamInfo) -> Self {
        Self { stats: pool.host.stats.mine(), info, over: false }
    }

    /// It has got the headers of a response, or failed; `None` is a timeout of its own.
    pub(super) fn ended(mut self, outcome: Option<&Result<Response<UpstreamBody>, Failure>>) {
        self.over = true;
        match outcome {
            None => self.timed_out(),
            Some(Ok(response)) if response.status().is_server_error() => self.failed(),
            Some(Ok(_)) => self.stats.rq_success.inc(),
            // That was the client's fault.
            Some(Err(Failure::RequestBroken)) => {}
            Some(Err(_)) => self.failed(),
        }
    }

    fn timed_out(&self) {
        self.stats.rq_timeout.inc();
        self.failed();
    }

    /// As in Envoy health checks of clients count for no host.
    fn failed(&self) {
        if !self.info.health_check.get() {
            self.stats.rq_error.inc();
        }
    }
}

impl Drop for AttemptCount<'_> {
    fn drop(&mut self) {
        if !self.over && self.info.flags.get().contains(ResponseFlag::UpstreamRequestTimeout) {
            self.timed_out();
        }
    }
}
