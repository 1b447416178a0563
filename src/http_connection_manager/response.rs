//! The way back: from what a stream came to, to the client's response.

use std::rc::Rc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, DATE, SERVER, TRANSFER_ENCODING, UPGRADE},
};
use hyper::ext::ReasonPhrase;

use super::{
    active_stream::{ActiveStream, Outcome},
    edge_headers::append_via,
    response_body::ResponseBody,
    tunnel,
};
use crate::{
    filter,
    http_headers::{
        KEEP_ALIVE, PROXY_CONNECTION, Present, SERVER_TIMING, X_ENVOY_ATTEMPT_COUNT, X_REQUEST_ID,
        X_SPANWAY_CAUSE,
    },
    router::header_transform::MutationLevels,
    snapshot::{
        access_log::LogType,
        listener::{HttpConnectionManager, ServerHeaderTransformation},
    },
    stream_info::ResponseFlag,
    trace::{
        decorator::decorate_response,
        stream::{note_grpc_status, note_response, server_timing},
    },
    upstream::UpstreamBody,
};

impl ActiveStream {
    /// Make the client's response of an outcome.
    pub(super) fn respond(
        &mut self,
        manager: &HttpConnectionManager,
        outcome: Outcome<'_>,
    ) -> Response<ResponseBody> {
        let local = matches!(outcome, Outcome::Local(..));
        let tunnel = matches!(outcome, Outcome::Tunnel(..));
        let mut response = match outcome {
            Outcome::Local(reply, levels) => {
                let mut response = {
                    let context = self.format_context(None);
                    reply.into_response(&manager.local_reply, levels, self.grpc, &context)
                };
                self.count_attempts(response.headers_mut());
                self.encode_headers(manager, response.headers_mut());
                self.finish_headers(manager, response.headers_mut(), false);
                if let Some(cause) = self.cause_header(manager) {
                    response.headers_mut().insert(X_SPANWAY_CAUSE, cause);
                }
                if self.grpc {
                    note_grpc_status(&self.info, response.headers());
                }
                let end = self.end.clone();
                let bodiless = end.bodiless();
                response.map(|body| ResponseBody::local(if bodiless { Bytes::new() } else { body }, end))
            }
            Outcome::Upstream(mut response, levels, timer) => {
                response.extensions_mut().clear();
                // hyper reads no body of these, and so never asks for their end.
                if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
                    self.end.set_bodiless();
                }
                self.accept_response(&mut response, levels);
                self.encode_headers(manager, response.headers_mut());
                self.finish_headers(manager, response.headers_mut(), false);
                let trailers = self.trailers(manager) && self.info.upstream_trailers.get();
                if self.info.request_end.get().is_none() && self.info.protocol != Version::HTTP_2 {
                    // The rest of the request is not wanted any more, and the connection cannot be used without it.
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    self.connection.ending.set(true);
                }
                let end = self.end.clone();
                response.map(|body| ResponseBody::upstream(body, timer, trailers, end))
            }
            Outcome::Tunnel(mut response, levels, client) => {
                let host = hyper::upgrade::on(&mut response);
                response.extensions_mut().clear();
                self.accept_response(&mut response, levels);
                self.encode_headers(manager, response.headers_mut());
                self.finish_headers(manager, response.headers_mut(), true);
                let (parts, body) = response.into_parts();
                let end = self.end.clone();
                tunnel::join(
                    client,
                    host,
                    body.into_tunnel(),
                    end.clone(),
                    Rc::clone(&self.connection.services),
                );
                Response::from_parts(parts, ResponseBody::local(Bytes::new(), end))
            }
        };
        // To a client that is gone there is no status.
        let gone = self.info.flags.get().contains(ResponseFlag::DownstreamConnectionTermination);
        self.info.status.set(if gone { 0 } else { response.status().as_u16() });
        self.connection.count_response(&self.info, local);
        note_response(&self.info, response.headers());
        if let Some(observed) = &self.info.observed {
            observed.reply_start.set(observed.now());
            observed.keep_response(&manager.access_log.wanted, response.headers());
            if tunnel && manager.access_log.on_tunnel {
                self.end.log(LogType::TunnelEstablished);
            }
        }
        if response.status().canonical_reason().is_none() {
            let reason = match response.status().as_u16() {
                599 => ReasonPhrase::from_static(b"Last Unassigned Server Error Code"),
                _ => ReasonPhrase::from_static(b"Unknown"),
            };
            response.extensions_mut().insert(reason);
        }
        response
    }

    /// What a host's response tells, and the route's changes of it.
    fn accept_response(&self, response: &mut Response<UpstreamBody>, levels: Option<MutationLevels<'_>>) {
        self.info.status.set(response.status().as_u16());
        self.info.details.set("via_upstream");
        note_grpc_status(&self.info, response.headers());
        if let Some(levels) = levels {
            let before = response.headers().clone();
            let context = self.format_context(Some(&before));
            levels.apply_to_response(response.headers_mut(), &context);
        }
        self.count_attempts(response.headers_mut());
    }

    /// What filters make of the response's headers.
    fn encode_headers(&self, manager: &HttpConnectionManager, headers: &mut HeaderMap) {
        filter::encode_headers(
            &manager.filters,
            headers,
            &self.info,
            &self.connection.services.snapshot.node,
            self.connection.services.open.unhealthy.get(),
        );
    }

    /// Tell the client how many attempts there were, where that is asked for. As in Envoy that is so even where other
    /// `x-envoy-*` headers are suppressed.
    fn count_attempts(&self, headers: &mut HeaderMap) {
        if self.asked.attempt_count {
            headers.insert(X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(self.info.attempts.get()));
        }
    }

    /// The connection manager's own headers, on each response.
    fn finish_headers(&mut self, manager: &HttpConnectionManager, headers: &mut HeaderMap, upgrade: bool) {
        let present = Present::of(headers);
        let close = present.any(Present::CONNECTION)
            && headers.get(CONNECTION).is_some_and(|value| value == "close")
            && !self.is_from_host();
        for (name, kept, bit) in [
            (CONNECTION, upgrade, Present::CONNECTION),
            (UPGRADE, upgrade, Present::UPGRADE),
            (KEEP_ALIVE, false, Present::KEEP_ALIVE),
            (PROXY_CONNECTION, false, Present::PROXY_CONNECTION),
            (TRANSFER_ENCODING, false, Present::TRANSFER_ENCODING),
        ] {
            if present.any(bit) && !kept {
                headers.remove(name);
            }
        }
        if !present.any(Present::DATE) {
            headers.insert(DATE, self.connection.services.date.now(self.info.start_time));
        }
        match manager.server_header {
            ServerHeaderTransformation::Overwrite => {
                drop(headers.insert(SERVER, manager.server_name.clone()))
            }
            ServerHeaderTransformation::AppendIfAbsent => {
                headers.entry(SERVER).or_insert_with(|| manager.server_name.clone());
            }
            ServerHeaderTransformation::PassThrough => {}
        }
        if let Some(id) = self.asked.request_id.take() {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(via) = &manager.via {
            append_via(headers, via);
        }
        if let Some(tracing) = &manager.tracing {
            if tracing.extras.server_timing
                && let Some(value) = server_timing(&self.info)
            {
                headers.append(SERVER_TIMING, value);
            }
            let direction = self.connection.listener.direction;
            let decoration = std::mem::take(&mut self.decoration);
            decorate_response(headers, direction, decoration, self.info.span.borrow_mut().as_mut());
        }
        let last = close || self.asked.close || self.connection.is_last_response();
        if last && self.info.protocol != Version::HTTP_2 && !upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            self.connection.ending.set(true);
        }
        if self.info.protocol == Version::HTTP_2 {
            headers.remove(CONNECTION);
        }
    }

    /// Whether a host made the response: then its `connection` speaks of its own connection only.
    fn is_from_host(&self) -> bool {
        self.info.details.get() == "via_upstream"
    }
}
