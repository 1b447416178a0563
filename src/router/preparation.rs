//! What a request becomes on its way to a host: what the route asks for of its headers, its path and its authority. Pure.

use http::{HeaderMap, HeaderValue, Uri, header::HOST, request::Parts};

use super::{
    header_transform::{MutationLevels, rewrite_path, split_path, substitute, valid_path},
    path_and_query,
    retry::{self, RetryState},
    timeouts::Timeouts,
};
use crate::{
    http_headers::{
        X_ENVOY_ATTEMPT_COUNT, X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, X_ENVOY_ORIGINAL_HOST, X_ENVOY_ORIGINAL_PATH,
        X_FORWARDED_HOST,
    },
    snapshot::{
        matcher::{RequestView, header_text},
        route::{HeaderMutations, HostRewrite, Route, RouteAction, RouteConfiguration, VirtualHost},
    },
    stream_info::{
        StreamInfo,
        formatter::{FormatContext, Headers, PseudoHeaders},
    },
};

/// What preparing a request asks besides the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparation<'a, 's> {
    /// The stream.
    pub(crate) info: &'s StreamInfo,
    /// All routes.
    pub(crate) config: &'a RouteConfiguration,
    /// The virtual host.
    pub(crate) virtual_host: &'a VirtualHost,
    /// The route.
    pub(crate) route: &'a Route,
    /// Mutations of the weighted cluster that was drawn.
    pub(crate) mutations: Option<&'a HeaderMutations>,
    /// `:scheme`
    pub(crate) scheme: &'static str,
    /// Do not make `x-envoy-*` headers.
    pub(crate) suppress_envoy_headers: bool,
    /// The client is internal.
    pub(crate) internal: bool,
    /// How long it may take.
    pub(crate) timeouts: Timeouts,
}

impl<'a> Preparation<'a, '_> {
    /// The mutations that the request's route asks for.
    pub(crate) fn levels(&self) -> MutationLevels<'a> {
        MutationLevels {
            weighted_cluster: self.mutations,
            route: &self.route.headers,
            virtual_host: &self.virtual_host.headers,
            config: self.config,
        }
    }

    /// Do what the route asks for: mutations, rewrites, `x-envoy-*`.
    pub(crate) fn prepare(&self, action: &RouteAction, parts: &mut Parts) {
        match self.timeouts.expected_first(action) {
            Some(timeout) if !self.suppress_envoy_headers => {
                parts.headers.insert(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, timeout);
            }
            _ => drop(parts.headers.remove(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS)),
        }
        // As in Envoy this one is asked for by name, and so made even where others are suppressed.
        if self.virtual_host.include_request_attempt_count {
            parts.headers.insert(X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(self.info.attempts.get()));
        }
        let levels = self.levels();
        if levels.change_requests() {
            // Formats read what came in, so they get a copy; only requests with mutations pay for it.
            let (before, uri, method) = (parts.headers.clone(), parts.uri.clone(), parts.method.clone());
            let format = FormatContext {
                info: self.info,
                request: Headers::All(&before),
                pseudo: PseudoHeaders {
                    method: method.as_str(),
                    path: path_and_query(&uri),
                    authority: before.get(HOST).map_or("", header_text),
                    scheme: self.scheme,
                },
                response: None,
            };
            levels.apply_to_request(&mut parts.headers, &format);
        }
        rewrite_host(action, parts);
        if let Some(rewrite) = &action.path_rewrite {
            let before = path_and_query(&parts.uri).to_owned();
            let after = rewrite_path(rewrite, &self.route.matcher.path, &before);
            if let Ok(rewritten) = valid_path(&after) {
                parts.uri = Uri::from(rewritten);
                if !self.suppress_envoy_headers
                    && let Ok(original) = HeaderValue::from_str(&before)
                {
                    parts.headers.insert(X_ENVOY_ORIGINAL_PATH, original);
                }
            }
        }
    }

    /// The retries of a request, if it may be retried. What it says of them itself is taken off.
    pub(crate) fn retries(&self, action: &'a RouteAction, parts: &mut Parts) -> Option<RetryState<'a>> {
        let policy = action.retry.as_deref();
        // Clients from outside cannot say anything about it, but the route can for them.
        let by_headers = self.internal || self.levels().change_requests();
        if policy.is_none() && !by_headers {
            return None;
        }
        let view = RequestView {
            path_and_query: path_and_query(&parts.uri),
            method: parts.method.as_str(),
            authority: parts.headers.get(HOST).map_or("", header_text),
            scheme: self.scheme,
            headers: &parts.headers,
        };
        if !by_headers {
            return RetryState::of_policy(policy?, &view);
        }
        let retries = RetryState::of_request(policy, &view);
        retry::consume(&mut parts.headers);
        retries
    }
}

fn rewrite_host(action: &RouteAction, parts: &mut Parts) {
    let Some(rewrite) = &action.host_rewrite else { return };
    let host = match rewrite {
        HostRewrite::Literal(host) => Some(host.clone()),
        HostRewrite::Header(name) => parts.headers.get(name).filter(|value| !value.is_empty()).cloned(),
        HostRewrite::PathRegex(regex, substitution) => {
            let (path, _) = split_path(path_and_query(&parts.uri));
            HeaderValue::from_str(&substitute(regex, substitution, path)).ok()
        }
        // Each attempt's host has its own.
        HostRewrite::Auto => None,
    };
    if let Some(host) = host {
        replace_host(action, parts, host);
    }
}

/// The authority becomes the name of the chosen host, where the route says so.
pub(crate) fn rewrite_to_chosen(action: &RouteAction, parts: &mut Parts, hostname: &str) {
    if let Some(HostRewrite::Auto) = &action.host_rewrite
        && let Ok(host) = HeaderValue::from_str(hostname)
        && !host.is_empty()
    {
        replace_host(action, parts, host);
    }
}

fn replace_host(action: &RouteAction, parts: &mut Parts, host: HeaderValue) {
    let Some(before) = parts.headers.insert(HOST, host) else { return };
    parts.headers.insert(X_ENVOY_ORIGINAL_HOST, before.clone());
    if action.append_x_forwarded_host {
        append_forwarded_host(&mut parts.headers, &before);
    }
}

fn append_forwarded_host(headers: &mut HeaderMap, host: &HeaderValue) {
    let value = match headers.get(X_FORWARDED_HOST) {
        None => Some(host.clone()),
        Some(list) if list.as_bytes().rsplit(|byte| *byte == b',').next() == Some(host.as_bytes()) => None,
        Some(list) => HeaderValue::from_bytes(&[list.as_bytes(), host.as_bytes()].join(&b',')).ok(),
    };
    if let Some(value) = value {
        headers.insert(X_FORWARDED_HOST, value);
    }
}
