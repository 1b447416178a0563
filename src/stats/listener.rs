//! What is counted of a listener.

use super::{Counter, Gauge, Histogram, group};

group! {
    /// `listener.ADDRESS.*`
    pub(crate) struct ListenerStats {
        /// Connections that were accepted.
        downstream_cx_total: Counter,
        /// Those that are open.
        downstream_cx_active: Gauge,
        /// Those that are closed.
        downstream_cx_destroy: Counter,
        /// How long they lived, in milliseconds.
        downstream_cx_length_ms: Histogram,
    }
}
