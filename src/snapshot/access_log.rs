//! Access logs: what is written of each request, and where to.

use http::HeaderName;

/// What is kept of requests and responses until their entries are written.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Headers of requests.
    pub(crate) request: Vec<HeaderName>,
    /// Headers of responses.
    pub(crate) response: Vec<HeaderName>,
    /// How many bytes a request's headers have.
    pub(crate) request_bytes: bool,
    /// The same of a response's.
    pub(crate) response_bytes: bool,
}
