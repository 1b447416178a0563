//! What is counted of a host. `/clusters` shows it; it has no names among the statistics.

use super::{Counter, Gauge, group};

group! {
    /// `cluster::address::*`
    pub(crate) struct HostStats {
        /// Connections that could not be opened.
        cx_connect_fail: Counter,
        /// Connections.
        cx_total: Counter,
        /// Attempts that ended with an error, or with a status of 5xx.
        rq_error: Counter,
        /// Attempts that got another response.
        rq_success: Counter,
        /// Attempts that took too long.
        rq_timeout: Counter,
        /// Attempts that got a connection.
        rq_total: Counter,
        /// Connections that are open or opening.
        cx_active: Gauge,
        /// Attempts under way.
        rq_active: Gauge,
        /// Attempts that wait for a connection.
        rq_pending_active: Gauge,
    }
}
