//! What is counted of the process itself.

use super::{Counter, group};

group! {
    /// `server.*`, as far as it is counted and not looked up.
    pub(crate) struct FlushStats {
        /// Flushes of statistics that a sink was not ready for.
        dropped_stat_flushes: Counter,
    }
}

group! {
    /// `stats_sinks.KIND.*`
    pub(crate) struct StatsSinkStats {
        /// Flushes that the sink took.
        flush_success: Counter,
        /// Those that it did not.
        flush_failure: Counter,
    }
}
