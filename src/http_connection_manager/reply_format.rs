//! How a reply of the proxy's own is written: changed by `local_reply_config`, in gRPC's form for gRPC clients.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE},
};

use super::local_reply::LocalReply;
use crate::{
    access_log::filter as log_filter,
    http_headers::{GRPC_MESSAGE, GRPC_STATUS},
    router::header_transform::{self, MutationLevels},
    snapshot::{
        format::Format,
        listener::{BodyFormat, BodyTemplate, JsonTemplate, LocalReplyConfig},
    },
    stream_info::{formatter::FormatContext, grpc_status},
};

impl LocalReply {
    /// The response: with what the route says of responses, changed by `local_reply_config`, in gRPC's form for gRPC
    /// clients. In the order in which Envoy does that.
    pub(crate) fn into_response(
        self,
        config: &LocalReplyConfig,
        levels: Option<MutationLevels<'_>>,
        grpc_client: bool,
        context: &FormatContext<'_>,
    ) -> Response<Bytes> {
        let info = context.info;
        info.details.set(self.details);
        if let Some(flag) = self.flag {
            info.flag(flag);
        }
        let mut headers = HeaderMap::with_capacity(8);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        if let Some(levels) = levels {
            // To these the status is not known yet.
            info.status.set(0);
            levels.apply_to_response(&mut headers, context);
        }
        info.status.set(self.status.as_u16());

        let mut body = self.body;
        let mut content_type = HeaderValue::from_static("text/plain");
        let mapper = config.mappers.iter().find(|mapper| log_filter::passes(&mapper.filter, context));
        let mut format = config.body_format.as_ref();
        let (mut rewritten, mut custom_type) = (false, false);
        if let Some(mapper) = mapper {
            // As in Envoy they still read the original status; the body reads the new one.
            let before = headers.get(CONTENT_TYPE).cloned();
            header_transform::add(&mut headers, &mapper.headers, context);
            custom_type = headers.get(CONTENT_TYPE) != before.as_ref();
            if let Some(status) = mapper.status {
                info.status.set(status.as_u16());
            }
            if let Some(text) = &mapper.body {
                body = Bytes::from(text.clone());
                rewritten = true;
            }
            format = mapper.body_format.as_ref().or(format);
        }
        if let Some(format) = format {
            body = format.body(&body, context);
            content_type = format.content_type.clone();
            rewritten = true;
        }
        let mut status = StatusCode::from_u16(info.status.get()).unwrap_or(self.status);
        if grpc_client {
            headers.remove(CONTENT_LENGTH);
            write_grpc_status(status, &body, &content_type, &mut headers);
            (status, body) = (StatusCode::OK, Bytes::new());
        } else if body.is_empty() {
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_TYPE);
        } else {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            // The route's is that of its own body, a mapper's that of any.
            if rewritten && !custom_type {
                headers.insert(CONTENT_TYPE, content_type);
            } else {
                headers.entry(CONTENT_TYPE).or_insert(content_type);
            }
        }
        // A client that was told that its request is bad is not trusted to have framed it well.
        if self.close || self.status == StatusCode::BAD_REQUEST {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// gRPC clients read their own status, in a response that says 200 and has no body.
fn write_grpc_status(status: StatusCode, body: &[u8], content_type: &HeaderValue, headers: &mut HeaderMap) {
    let code = grpc_status::of_http(status.as_u16());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.entry(GRPC_STATUS).or_insert_with(|| HeaderValue::from(code));
    // A line of JSON ends with a newline, a message does not.
    let line = content_type == "application/json";
    let message = if line { body.strip_suffix(b"\n").unwrap_or(body) } else { body };
    if !message.is_empty()
        && let Ok(message) = HeaderValue::from_str(&percent_encode(message))
    {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// As gRPC carries messages: what is not printable ASCII, and `%`, as `%XX`.
fn percent_encode(text: &[u8]) -> String {
    text.iter().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if *byte != b'%' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

impl BodyFormat {
    fn body(&self, body: &[u8], context: &FormatContext<'_>) -> Bytes {
        let body = String::from_utf8_lossy(body);
        let mut out = String::new();
        match &self.template {
            BodyTemplate::Text(parts) => write_parts(parts, &body, context, &mut out),
            BodyTemplate::Json(json) => {
                write_json(json, &body, context, &mut out);
                out.push('\n');
            }
        }
        Bytes::from(out)
    }
}

/// Write a text that was split at each `%LOCAL_REPLY_BODY%`.
fn write_parts(parts: &[Format], body: &str, context: &FormatContext<'_>, out: &mut String) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str(body);
        }
        part.write(context, "-", out);
    }
}

fn write_json(json: &JsonTemplate, body: &str, context: &FormatContext<'_>, out: &mut String) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match json {
        JsonTemplate::Literal(text) => out.push_str(text),
        JsonTemplate::Text(parts) => {
            let mut text = String::new();
            write_parts(parts, body, context, &mut text);
            out.push_str(&quoted(&text));
        }
        JsonTemplate::Value(format) => match format.only_value(context) {
            None => out.push_str("null"),
            Some((value, true)) => out.push_str(&value),
            Some((value, false)) => out.push_str(&quoted(&value)),
        },
        JsonTemplate::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, body, context, out);
            }
            out.push(']');
        }
        JsonTemplate::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(key));
                out.push(':');
                write_json(value, body, context, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_for_grpc_clients_are_percent_encoded() {
        assert_eq!(percent_encode("50 % é\n".as_bytes()), "50 %25 %C3%A9%0A");
    }
}
