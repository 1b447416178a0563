//! What a request has to pass before it is routed: checks, normalization, and who its client is.

use std::{borrow::Cow, rc::Rc};

use http::{HeaderValue, Method, Version, header::CONTENT_TYPE, request::Parts, uri::PathAndQuery};

use super::{
    active_stream::ActiveStream,
    client_address::Client,
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

/// What lets requests of a connection in. Pure: it changes nothing but the request's headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate<'a> {
    /// The connection.
    pub(crate) edge: Edge<'a>,
    /// What the request came with.
    pub(crate) present: Present,
    /// It is gRPC.
    pub(crate) grpc: bool,
}

/// A request that was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Who sent it.
    pub(crate) client: Client,
    /// `:scheme` is https.
    pub(crate) https: bool,
    /// `x-request-id`, if it is to be returned.
    pub(crate) request_id: Option<HeaderValue>,
    /// The upgrade that it asks for.
    pub(crate) upgrade: Option<String>,
    /// It is a CONNECT, which no route takes.
    pub(crate) connect: bool,
}

impl Gate<'_> {
    /// Whether it can be a request at all.
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), LocalReply> {
        let manager = self.edge.manager;
        if parts.version == Version::HTTP_10 && !manager.http1.accept_http_10 {
            return Err(LocalReply::low_version());
        }
        if parts.headers.len() > manager.limits.headers_count {
            return Err(LocalReply::too_many_headers());
        }
        if parts.version != Version::HTTP_2 {
            check_method(&parts.method)?;
            if self.present.any(Present::TRANSFER_ENCODING) {
                check_transfer_coding(&parts.headers)?;
            }
            if !path_and_query(&parts.uri).is_ascii() {
                return Err(LocalReply::codec_error());
            }
        }
        Ok(())
    }

    /// Check and clean the headers of what can be a request.
    pub(crate) fn admit(&self, parts: &mut Parts) -> Result<Admitted, LocalReply> {
        let says_https = parts.uri.scheme_str() == Some("https");
        if parts.method == Method::CONNECT {
            check_connect(parts)?;
        }
        set_authority(&self.edge, parts)?;
        if parts.method == Method::CONNECT {
            remove_hop_by_hop(&mut parts.headers, self.present, false);
            return Ok(Admitted { connect: true, ..self.know_client(parts, says_https)? });
        }
        if parts.method.as_str() == "QUERY" && !parts.headers.contains_key(CONTENT_TYPE) {
            return Err(LocalReply::query_without_type());
        }
        if !path_and_query(&parts.uri).starts_with('/') {
            return Err(LocalReply::not_a_path());
        }
        let normalization = &self.edge.manager.normalization;
        match normalize(normalization, path_and_query(&parts.uri)) {
            Normalized::Path(Cow::Borrowed(_)) => {}
            Normalized::Path(Cow::Owned(path)) => {
                parts.uri = PathAndQuery::from_maybe_shared(path).map_err(|_| LocalReply::bad_path())?.into();
            }
            // gRPC clients follow no redirects.
            Normalized::Redirect(_) if self.grpc => return Err(LocalReply::bad_path()),
            Normalized::Redirect(path) => return Err(LocalReply::normalized_redirect(&path)),
            Normalized::Reject => return Err(LocalReply::bad_path()),
        }
        strip_port(normalization.strip_port, &self.edge.connection.local, parts);

        let upgrade = requested_upgrade(&parts.method, &parts.headers, self.present);
        remove_hop_by_hop(&mut parts.headers, self.present, upgrade.is_some());
        Ok(Admitted { upgrade, ..self.know_client(parts, says_https)? })
    }

    /// Find out who the client is, and make of the headers what such a client may say.
    fn know_client(&self, parts: &mut Parts, says_https: bool) -> Result<Admitted, LocalReply> {
        let manager = self.edge.manager;
        let client =
            self.edge.mutate_request(&mut parts.headers, self.present).map_err(LocalReply::unknown_client)?;
        let forced = self.present.any(Present::X_ENVOY) && parts.headers.contains_key(X_ENVOY_FORCE_TRACE);
        let returned = manager.request_id.always_set_in_response || forced;
        let https = manager.scheme_is_https.unwrap_or_else(|| {
            match parts.headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
                _ if says_https => true,
                Some(proto) if proto.eq_ignore_ascii_case(b"https") => true,
                Some(proto) if proto.eq_ignore_ascii_case(b"http") => false,
                _ => self.edge.tls,
            }
        });
        Ok(Admitted {
            client,
            https,
            request_id: if returned { parts.headers.get(X_REQUEST_ID).cloned() } else { None },
            upgrade: None,
            connect: false,
        })
    }
}

impl ActiveStream {
    /// Check and clean the request's headers; the name of an upgrade that it asks for and may have.
    pub(super) fn admit(
        &mut self,
        manager: &HttpConnectionManager,
        parts: &mut Parts,
    ) -> Result<Option<String>, LocalReply> {
        let connection = Rc::clone(&self.connection);
        let services = &connection.services;
        let gate = Gate {
            edge: Edge {
                connection: &connection.info,
                own_ip: &services.own_ip,
                manager,
                node: &services.snapshot.node,
                tls: connection.is_tls(),
            },
            present: self.present,
            grpc: self.grpc,
        };
        gate.check(parts)?;
        self.asked.close = asks_to_close(parts.version, &parts.headers, self.present);
        if is_last_request(&parts.headers, self.present) {
            connection.closed_here.set(true);
        }
        let admitted = gate.admit(parts)?;
        self.info.remote.set(admitted.client.address);
        self.internal = admitted.client.internal;
        self.info.internal.set(admitted.client.internal);
        self.asked.external = admitted.client.edge;
        self.asked.request_id = admitted.request_id;
        self.asked.https = admitted.https;
        if admitted.connect {
            self.start_span(&connection, parts, None);
            return Err(LocalReply::no_connect_route());
        }
        Ok(admitted.upgrade)
    }
}
