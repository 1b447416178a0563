//! How a reply of the proxy's own is written: changed by `local_reply_config`, in gRPC's form for gRPC clients.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE},
};

use super::local_reply::LocalReply;
use crate::{
    http_headers::{GRPC_MESSAGE, GRPC_STATUS},
    router::header_transform,
    snapshot::{
        format::Format,
        listener::{BodyFormat, BodyTemplate, Comparison, JsonTemplate, LocalReplyConfig, ReplyFilter},
    },
    stream_info::{StreamInfo, formatter::FormatContext},
};

impl LocalReply {
    /// The response: changed by `local_reply_config`, in gRPC's form for gRPC clients.
    pub(crate) fn into_response(
        self,
        config: &LocalReplyConfig,
        grpc_client: bool,
        context: &FormatContext<'_>,
    ) -> Response<Bytes> {
        let info = context.info;
        info.details.set(self.details);
        if let Some(flag) = self.flag {
            info.flag(flag);
        }
        info.status.set(self.status.as_u16());

        let mut headers = HeaderMap::with_capacity(8);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        let mut body = self.body;
        let mut content_type = HeaderValue::from_static("text/plain");
        let mapper = config.mappers.iter().find(|mapper| mapper.filter.passes(info));
        let mut format = config.body_format.as_ref();
        if let Some(mapper) = mapper {
            // As in Envoy they still read the original status; the body reads the new one.
            header_transform::add(&mut headers, &mapper.headers, context);
            if let Some(status) = mapper.status {
                info.status.set(status.as_u16());
            }
            if let Some(text) = &mapper.body {
                body = Bytes::from(text.clone());
            }
            format = mapper.body_format.as_ref().or(format);
        }
        if let Some(format) = format {
            body = format.body(&body, context);
            content_type = format.content_type.clone();
        }
        let status = StatusCode::from_u16(info.status.get()).unwrap_or(self.status);
        if grpc_client && self.grpc {
            return grpc_response(status, &body, headers);
        }
        if !body.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            headers.entry(CONTENT_TYPE).or_insert(content_type);
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// gRPC clients read their own status, in a response that says 200 and has no body.
fn grpc_response(status: StatusCode, body: &[u8], mut headers: HeaderMap) -> Response<Bytes> {
    // The mapping is gRPC's own ("HTTP to gRPC Status Code Mapping").
    let code = match status.as_u16() {
        400 => 13_u16,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    if !body.is_empty()
        && let Ok(message) = HeaderValue::from_str(&percent_encode(body))
    {
        headers.insert(GRPC_MESSAGE, message);
    }
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = headers;
    response
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

impl ReplyFilter {
    fn passes(&self, info: &StreamInfo) -> bool {
        match self {
            Self::Status(comparison, value) => {
                let status = u32::from(info.status.get());
                match comparison {
                    Comparison::Equal => status == *value,
                    Comparison::AtLeast => status >= *value,
                    Comparison::AtMost => status <= *value,
                    Comparison::NotEqual => status != *value,
                }
            }
            Self::Flags(codes) if codes.is_empty() => !info.flags.get().is_empty(),
            Self::Flags(codes) => info.flags.get().contains_any(codes),
            Self::All(filters) => filters.iter().all(|filter| filter.passes(info)),
            Self::Any(filters) => filters.iter().any(|filter| filter.passes(info)),
        }
    }
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
        JsonTemplate::Text { parts, number } => {
            let mut text = String::new();
            write_parts(parts, body, context, &mut text);
            match (number, text.as_str()) {
                (true, "-") => out.push_str("null"),
                (true, text) => out.push_str(text),
                (false, text) => out.push_str(&quoted(text)),
            }
        }
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
