//! The envelope in which Jaeger's query service answers, good or bad.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;

/// All answers have this shape; its names and nulls are Jaeger's.
#[derive(Debug, Serialize)]
struct Envelope<T> {
    data: Option<T>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Complaint>>,
}

/// One of the `errors` of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Complaint {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Complaint {
    /// One of several traces that were asked for is not here.
    pub(super) fn no_trace(id: impl ToString) -> Self {
        Self { code: None, msg: NOT_FOUND.to_owned(), trace_id: Some(id.to_string()) }
    }
}

/// What Jaeger says of a trace that it does not have.
const NOT_FOUND: &str = "trace not found";

/// Why a request gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// The request is wrong.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// A parameter cannot be read.
    pub(super) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("unable to parse param '{name}': {why}"))
    }

    /// The trace is not here.
    pub(super) fn no_trace() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: NOT_FOUND.to_owned() }
    }

    /// There is no such path.
    pub(super) fn no_path() -> Self {
        let message = "no such path: /api/openapi.json has all of them".to_owned();
        Self { status: StatusCode::NOT_FOUND, message }
    }

    /// What it says.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let complaint = Complaint { code: Some(self.status.as_u16()), msg: self.message, trace_id: None };
        let envelope: Envelope<()> =
            Envelope { data: None, total: 0, limit: 0, offset: 0, errors: Some(vec![complaint]) };
        (self.status, json(&envelope)).into_response()
    }
}

/// A list of names, with how many there are.
pub(super) fn list<T: Serialize>(data: Vec<T>) -> Response {
    json(&Envelope { total: data.len(), data: Some(data), limit: 0, offset: 0, errors: None })
}

/// Traces or dependencies, which Jaeger does not count, and what is missing of them.
pub(super) fn uncounted<T: Serialize>(data: Vec<T>, missing: Vec<Complaint>) -> Response {
    let errors = Some(missing).filter(|missing| !missing.is_empty());
    json(&Envelope { data: Some(data), total: 0, limit: 0, offset: 0, errors })
}

/// `value` as JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(cause) => (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()).into_response(),
    }
}
