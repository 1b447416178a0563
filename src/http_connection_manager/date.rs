//! The `date` header, made once a second.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;

/// The last `date` that was made on this worker.
#[derive(Debug)]
pub(crate) struct DateCache(RefCell<(u64, HeaderValue)>);

impl DateCache {
    /// With nothing made yet.
    pub(crate) fn new() -> Self {
        Self(RefCell::new((u64::MAX, HeaderValue::from_static(""))))
    }

    /// The value for `time` (RFC 9110, 5.6.7).
    pub(crate) fn now(&self, time: SystemTime) -> HeaderValue {
        let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut cached = self.0.borrow_mut();
        if cached.0 != second
            && let Ok(value) = HeaderValue::from_str(&httpdate::fmt_http_date(time))
        {
            *cached = (second, value);
        }
        cached.1.clone()
    }
}
