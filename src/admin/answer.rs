//! Answers of the admin interface, with Envoy's types of content.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Serializer, ser::PrettyFormatter};

/// Text.
pub(super) fn text(body: impl Into<String>) -> Response {
    refusal(StatusCode::OK, body)
}

/// Text with another status than 200.
pub(super) fn refusal(status: StatusCode, body: impl Into<String>) -> Response {
    typed(status, "text/plain; charset=UTF-8", body.into())
}

/// JSON, indented as Envoy does it.
pub(super) fn json(value: &impl Serialize) -> Response {
    let mut body = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut body, PrettyFormatter::with_indent(b" "));
    match value.serialize(&mut serializer) {
        Ok(()) => {
            body.push(b'\n');
            json_text(String::from_utf8(body).unwrap_or_default())
        }
        // What is answered here are plain structs, which can be written.
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// What is JSON already.
pub(super) fn json_text(body: String) -> Response {
    typed(StatusCode::OK, "application/json", body)
}

/// An answer of some type.
pub(super) fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}
