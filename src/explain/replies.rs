//! What the proxy answers itself.

use super::{report::Reply, walk::Walk, words::shown};
use crate::{
    http_connection_manager::local_reply::LocalReply,
    router::header_transform::MutationLevels,
    snapshot::matcher::header_text,
    stream_info::formatter::{FormatContext, Headers},
};

/// Characters of a body that are shown.
const SHOWN: usize = 400;

/// The answer, as the client gets it, and its status before it was put into gRPC's form.
pub(super) fn report(walk: &Walk<'_>, reply: LocalReply, levels: Option<MutationLevels<'_>>) -> (Reply, u16) {
    let why = meaning(reply.details).map(str::to_owned);
    let parts = &walk.admitted;
    let context = FormatContext {
        info: &walk.info,
        request: Headers::All(&parts.headers),
        pseudo: walk.pseudo(parts),
        response: None,
    };
    let response = reply.into_response(&walk.manager.local_reply, levels, walk.grpc, &context);
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), shown(name.as_str(), header_text(value))));
    let text = String::from_utf8_lossy(response.body());
    let reply = Reply {
        status: response.status().as_u16(),
        details: walk.info.details.get().to_owned(),
        flags: walk.info.flags.get().text().into_owned(),
        headers: headers.collect(),
        body: text.chars().take(SHOWN).collect(),
        body_bytes: response.body().len(),
        why,
    };
    (reply, walk.info.status.get())
}

/// What `%RESPONSE_CODE_DETAILS%` means.
fn meaning(details: &str) -> Option<&'static str> {
    Some(match details {
        "route_not_found" => "no virtual host, or none of its routes, takes the request",
        "direct_response" => "the route, or require_tls of the virtual host, says so",
        "path_normalization_failed" => "the path is one that normalization refuses or redirects",
        "absolute_path_rejected" => "the request target is no path",
        "missing_host_header" => "there is no host",
        "http.invalid_authority" => "the host cannot be one",
        "http1.invalid_url" => "no client may send such a request target",
        "http1.codec_error" => "it is no HTTP/1, such as a method that nobody knows",
        "http1.too_many_headers" => {
            "there are more headers than max_headers_count, or more bytes of them than max_request_headers_kb"
        }
        "http1.invalid_transfer_encoding" => "its body is in another coding than chunked",
        "http1.https_url_on_plaintext_connection" => "it asks for https on a connection without TLS",
        "low_version" => "HTTP/1.0 is served only with accept_http_10",
        "query_missing_content_type" => "a QUERY has to say its content-type",
        "rejecting_because_detection_failed" => "the client's address cannot be told, and that is refused",
        "upgrade_failed" => "upgrade_configs does not allow the upgrade",
        "cluster_not_found" => "the route leads to a cluster that does not exist",
        "no_healthy_upstream" => "the cluster has no host",
        "health_check_ok" | "health_check_failed" => "the health check filter answers",
        _ => return None,
    })
}
