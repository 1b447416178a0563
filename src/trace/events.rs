//! When the bytes of a stream moved: what spans of a verbose listener tell.

use std::time::SystemTime;

use tokio::time::Instant;

/// The moments of one stream, or of one attempt of it. `HttpConnectionManager.Tracing.verbose`.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct StreamEvents {
    /// The request was sent to a host from here on.
    pub(crate) first_upstream_tx: Option<Instant>,
    /// The request was sent whole.
    pub(crate) last_upstream_tx: Option<Instant>,
    /// The host's response began.
    pub(crate) first_upstream_rx: Option<Instant>,
    /// The host's response was complete.
    pub(crate) last_upstream_rx: Option<Instant>,
    /// The response to the client began.
    pub(crate) first_downstream_tx: Option<Instant>,
}

/// A moment of the steady clock as the wall clock would have told it.
pub(super) fn at(moment: Instant, start: Instant, start_time: SystemTime) -> SystemTime {
    start_time.checked_add(moment.saturating_duration_since(start)).unwrap_or(start_time)
}

impl StreamEvents {
    /// Those of the way to the host, in Envoy's order and by its names.
    pub(super) fn upstream(&self) -> impl Iterator<Item = (&'static str, Instant)> {
        let all = [
            ("first_upstream_tx_byte_sent", self.first_upstream_tx),
            ("last_upstream_tx_byte_sent", self.last_upstream_tx),
            ("first_upstream_rx_byte_received", self.first_upstream_rx),
            ("last_upstream_rx_byte_received", self.last_upstream_rx),
        ];
        all.into_iter().filter_map(|(name, moment)| Some((name, moment?)))
    }
}
