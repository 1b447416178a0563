//! What a request has to pass before it is routed: checks, normalization, and who its client is.

use std::{borrow::Cow, rc::Rc};

use http::{HeaderValue, Method, Version, header::CONTENT_TYPE, request::Parts, uri::PathAndQuery};

use super::{
    active_stream::ActiveStream,
    edge_headers::{Edge, asks_to_close, is_last_request, remove_hop_by_hop, requested_upgrade},
    local_reply::LocalReply,
    path_normalization::{Normalized, normalize},
    request_target::{check_connect, check_method, check_transfer_coding, set_authority, strip_port},
};
use crate::{
    http_headers::{Present, X_ENVOY_FORCE_TRACE, X_FORWARDED_PROTO, X_REQUEST_ID},
    router::path_and_query,
    snapshot::listener::HttpConnectionManager,
};

impl ActiveStream {
    /// Check and clean the request's headers; the name of an upgrade that it asks for and may have.
    pub(super) fn admit(
        &mut self,
        manager: &HttpConnectionManager,
        parts: &mut Parts,
    ) -> Result<Option<String>, LocalReply> {
        if parts.version == Version::HTTP_10 && !manager.http1.accept_http_10 {
            return Err(LocalReply::low_version());
        }
        if parts.headers.len() > manager.limits.headers_count {
            return Err(LocalReply::too_many_headers());
        }
        let present = self.present;
        if parts.version != Version::HTTP_2 {
            check_method(&parts.method)?;
            if present.any(Present::TRANSFER_ENCODING) {
                check_transfer_coding(&parts.headers)?;
            }
            if !path_and_query(&parts.uri).is_ascii() {
                return Err(LocalReply::codec_error());
            }
        }
        let says_https = parts.uri.scheme_str() == Some("https");
        self.asked.close = asks_to_close(parts.version, &parts.headers, present);
        if is_last_request(&parts.headers, present) {
            self.connection.closed_here.set(true);
        }
        if parts.method == Method::CONNECT {
            check_connect(parts)?;
        }
        set_authority(&self.connection, parts)?;
        if parts.method == Method::CONNECT {
            remove_hop_by_hop(&mut parts.headers, present, false);
            self.know_client(manager, parts, says_https)?;
            self.start_span(&Rc::clone(&self.connection), parts, None);
            return Err(LocalReply::no_connect_route());
        }
        if parts.method.as_str() == "QUERY" && !parts.headers.contains_key(CONTENT_TYPE) {
            return Err(LocalReply::query_without_type());
        }
        if !path_and_query(&parts.uri).starts_with('/') {
            return Err(LocalReply::not_a_path());
        }
        match normalize(&manager.normalization, path_and_query(&parts.uri)) {
            Normalized::Path(Cow::Borrowed(_)) => {}
            Normalized::Path(Cow::Owned(path)) => {
                parts.uri = PathAndQuery::from_maybe_shared(path).map_err(|_| LocalReply::bad_path())?.into();
            }
            // gRPC clients follow no redirects.
            Normalized::Redirect(_) if self.grpc => return Err(LocalReply::bad_path()),
            Normalized::Redirect(path) => return Err(LocalReply::normalized_redirect(&path)),
            Normalized::Reject => return Err(LocalReply::bad_path()),
        }
        strip_port(manager.normalization.strip_port, &self.connection, parts);

        let upgrade = requested_upgrade(&parts.method, &parts.headers, present);
        remove_hop_by_hop(&mut parts.headers, present, upgrade.is_some());
        self.know_client(manager, parts, says_https)?;
        Ok(upgrade)
    }

    /// Find out who the client is, and make of the headers what such a client may say.
    fn know_client(
        &mut self,
        manager: &HttpConnectionManager,
        parts: &mut Parts,
        says_https: bool,
    ) -> Result<(), LocalReply> {
        let services = &self.connection.services;
        let edge = Edge {
            connection: &self.info.connection,
            own_ip: &services.own_ip,
            manager,
            node: &services.snapshot.node,
            tls: self.connection.is_tls(),
        };
        let client =
            edge.mutate_request(&mut parts.headers, self.present).map_err(LocalReply::unknown_client)?;
        self.info.remote.set(client.address);
        self.internal = client.internal;
        self.info.internal.set(client.internal);
        self.asked.external = client.edge;
        let forced = self.present.any(Present::X_ENVOY) && parts.headers.contains_key(X_ENVOY_FORCE_TRACE);
        if manager.request_id.always_set_in_response || forced {
            self.asked.request_id = parts.headers.get(X_REQUEST_ID).cloned();
        }
        self.asked.https = manager.scheme_is_https.unwrap_or_else(|| {
            match parts.headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
                _ if says_https => true,
                Some(proto) if proto.eq_ignore_ascii_case(b"https") => true,
                Some(proto) if proto.eq_ignore_ascii_case(b"http") => false,
                _ => self.connection.is_tls(),
            }
        });
        Ok(())
    }
}
