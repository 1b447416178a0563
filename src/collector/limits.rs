//! What a receiver takes at most. The same for gRPC and HTTP.

use std::time::Duration;

/// Size of one message, also after decompression. 16 MiB; exporters send some hundred kilobytes.
pub(super) const MESSAGE_BYTES: usize = 16 << 20;

/// Messages that may be on their way in at once, on all connections of a receiver; more are turned away and
/// come again. With [`MESSAGE_BYTES`] it bounds what unread messages can fill.
pub(super) const MESSAGES_AT_ONCE: usize = 32;

/// How long a message may take to arrive and be filed.
pub(super) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// When an exporter that was turned away should try again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
