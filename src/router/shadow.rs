//! Copies of requests for other clusters: sent beside the request, and nobody waits for what becomes of them.

use std::{rc::Rc, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, StatusCode, header::HOST, request::Parts};
use http_body_util::BodyExt;

use super::{RouterContext, attempt_count::AttemptCount, framing, in_time};
use crate::{
    body::{ClientBody, CopyReader, RequestBody},
    http_headers::{X_ENVOY_INTERNAL, X_FORWARDED_FOR},
    snapshot::{
        matcher::header_text,
        route::{MirrorHost, RouteAction},
    },
    stream_info::{IpText, StreamInfo},
    trace::{self, buffer::SpanBuffer},
    upstream::{self, conn_pool::HostPool},
};

/// Send a copy of the request, as it will go to its host, wherever its route says. Its body is copied as it is read.
pub(super) fn send(
    action: &RouteAction,
    parts: &Parts,
    body: &mut ClientBody,
    hash: Option<u64>,
    context: &RouterContext<'_, '_>,
) {
    // A tunnel has no copy.
    if action.mirrors.is_empty() || context.upgrade {
        return;
    }
    for mirror in action.mirrors.iter() {
        let drawn = |denominator| fastrand::u32(..denominator);
        if mirror.fraction.is_some_and(|share| drawn(share.denominator) >= share.numerator) {
            continue;
        }
        let pool = context.clusters.cluster(mirror.cluster).and_then(|cluster| cluster.choose_host(hash));
        let Some(pool) = pool else { continue };
        let mut parts = parts.clone();
        set_host(&mut parts.headers, &mirror.host);
        as_own_request(&mut parts.headers, context.own_ip);
        let info = Rc::new(StreamInfo::new(Rc::clone(&context.info.connection), context.info.protocol));
        *info.cluster.borrow_mut() = Some(Rc::new(Arc::clone(&pool.cluster.config)));
        if let Some(tracing) = context.tracing {
            trace::attempt::start_copy(context.info, &info, tracing, mirror.trace_sampled);
            trace::attempt::chose_host(&info, &pool.host.address_text);
            trace::stream::inject(&info, tracing, &mut parts.headers);
        }
        let body = body.copy(context.buffer_limit_bytes, Rc::clone(&info));
        let spans = Rc::clone(context.spans);
        tokio::task::spawn_local(exchange(pool, parts, body, info, Limits::of(context), spans));
    }
}

/// What of a request's context its copy needs.
struct Limits {
    timeout: Option<std::time::Duration>,
    scheme: &'static str,
    trailers: bool,
}

impl Limits {
    fn of(context: &RouterContext<'_, '_>) -> Self {
        Self {
            timeout: context.timeouts.route,
            scheme: context.scheme,
            trailers: context.downstream_trailers,
        }
    }
}

/// Send the copy, and read its response to the end, so that its connection can serve others.
async fn exchange(
    pool: Rc<HostPool>,
    mut parts: Parts,
    body: CopyReader,
    info: Rc<StreamInfo>,
    limits: Limits,
    spans: Rc<SpanBuffer>,
) {
    let (http2, trailers) = framing::protocol(&pool.cluster.config.protocol, info.protocol);
    let body = RequestBody::copy(body, trailers && limits.trailers);
    framing::frame(&mut parts, http2, http_body::Body::is_end_stream(&body), limits.scheme, &info);
    let exchange = async {
        let count = AttemptCount::new(&pool, &info);
        let outcome = upstream::exchange(&pool, Request::from_parts(parts, body), &info).await;
        count.ended(Some(&outcome));
        let response = match outcome {
            Ok(response) => response,
            Err(failure) => {
                trace::attempt::failed(&info, failure.reason(), failure.flag());
                return;
            }
        };
        trace::attempt::responded(&info, response.status().as_u16());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut body = response.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(trailers) = frame.trailers_ref() {
                trace::stream::note_grpc_status(&info, trailers);
            }
        }
        trace::attempt::completed(&info);
    };
    match limits.timeout {
        None => exchange.await,
        Some(limit) => drop(in_time(limit, Box::pin(exchange), &info).await),
    }
    trace::stream::finish(&info, &spans);
}

/// The copy's authority.
fn set_host(headers: &mut HeaderMap, host: &MirrorHost) {
    let host = match host {
        MirrorHost::Same => return,
        MirrorHost::Literal(host) => host.clone(),
        MirrorHost::Suffixed => {
            let Some(host) = headers.get(HOST).map(header_text) else { return };
            let Ok(host) = HeaderValue::from_str(&suffixed(host)) else { return };
            host
        }
    };
    headers.insert(HOST, host);
}

/// `host-shadow`, before the port if there is one.
fn suffixed(host: &str) -> String {
    // In `[::1]` there is none.
    let port = host.rfind(':').filter(|colon| host.rfind(']').is_none_or(|bracket| bracket < *colon));
    let (name, port) = host.split_at_checked(port.unwrap_or(host.len())).unwrap_or((host, ""));
    format!("{name}-shadow{port}")
}

/// As in Envoy the copy is a request of the proxy's own: an internal one, on behalf of whom the request came from.
fn as_own_request(headers: &mut HeaderMap, own_ip: &IpText) {
    headers.insert(X_ENVOY_INTERNAL, HeaderValue::from_static("true"));
    let list = match headers.get(X_FORWARDED_FOR).map(header_text) {
        None | Some("") => Ok(own_ip.text.clone()),
        Some(list) => HeaderValue::try_from(format!("{list},{}", header_text(&own_ip.text))),
    };
    if let Ok(list) = list {
        headers.insert(X_FORWARDED_FOR, list);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn the_suffix_comes_before_the_port() {
        for (host, shadow) in [
            ("h", "h-shadow"),
            ("h:81", "h-shadow:81"),
            ("[::1]", "[::1]-shadow"),
            ("[::1]:81", "[::1]-shadow:81"),
            ("", "-shadow"),
        ] {
            assert_eq!(suffixed(host), shadow);
        }
    }

    #[test]
    fn a_copy_is_an_internal_request_of_the_proxys_own() {
        let own_ip = &IpAddr::from([192, 0, 2, 2]).into();
        let mut headers = HeaderMap::new();
        as_own_request(&mut headers, own_ip);
        assert_eq!(headers[X_FORWARDED_FOR], "192.0.2.2");
        as_own_request(&mut headers, own_ip);
        assert_eq!(headers[X_FORWARDED_FOR], "192.0.2.2,192.0.2.2");
        assert_eq!(headers[X_ENVOY_INTERNAL], "true");
    }
}
