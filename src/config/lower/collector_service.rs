//! Lowers the services that take spans: who they are, and what calls to them carry.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD};
use envoy_types::pb::envoy::config::core::v3::{
    GrpcService as ProtoGrpcService, HttpService as ProtoHttpService, data_source::Specifier,
    grpc_service::TargetSpecifier, http_uri::HttpUpstreamType,
};
use http::{HeaderName, HeaderValue, Uri, uri::PathAndQuery};

use super::{Lowering, extras::Header};
use crate::{
    config::FieldPath,
    snapshot::{
        ClusterId,
        cluster::UpstreamProtocol,
        delivery::{CallHeader, GrpcService, HeaderSource, HttpService},
    },
};

/// Envoy waits for ever; a hanging collector would hold one batch for as long.
pub(super) const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What says how long a call is and in which form; the rest of it would be read wrongly.
pub(super) const OWN_HEADERS: [&str; 6] =
    ["connection", "content-encoding", "content-length", "te", "transfer-encoding", "upgrade"];

impl Lowering<'_> {
    /// A gRPC service.
    pub(super) fn grpc_service(
        &mut self,
        path: &FieldPath<'_>,
        service: &ProtoGrpcService,
    ) -> Option<GrpcService> {
        let Some(TargetSpecifier::EnvoyGrpc(target)) = &service.target_specifier else { return None };
        let name_path = path.field("envoy_grpc.cluster_name");
        let cluster = self.cluster_id(&name_path, &target.cluster_name)?;
        if !self.speaks_http2(cluster) {
            self.problems.push_with_hint(
                &name_path,
                format!("the cluster \"{}\" speaks HTTP/1.1, and gRPC needs HTTP/2", target.cluster_name),
                "give the cluster http2_protocol_options in typed_extension_protocol_options",
            );
        }
        let metadata = self.initial_metadata(&path.field("initial_metadata"), service);
        let default = self.environment().timeout.unwrap_or(EXPORT_TIMEOUT);
        let timeout = self.timeout(&path.field("timeout"), service.timeout.as_ref(), None);
        Some(GrpcService {
            cluster,
            authority: match target.authority.as_str() {
                "" => target.cluster_name.as_str().into(),
                authority => authority.into(),
            },
            timeout: timeout.unwrap_or(default),
            metadata,
        })
    }

    /// Whether calls may have that header; a problem of `path` if they set it themselves.
    fn may_be_set(&mut self, path: &FieldPath<'_>, name: &HeaderName) -> bool {
        let own = OWN_HEADERS.contains(&name.as_str());
        if own {
            self.problems.push(path, format!("calls to a collector set \"{name}\" themselves"));
        }
        !own
    }

    /// Headers of an exporter's own gRPC calls, which are texts. What is binary is written in base64.
    fn initial_metadata(&mut self, path: &FieldPath<'_>, service: &ProtoGrpcService) -> Vec<CallHeader> {
        let mut headers = Vec::new();
        for (index, header) in service.initial_metadata.iter().enumerate() {
            let path = path.index(index);
            let Some(name) = self.header_name(&path.field("key"), &header.key) else { continue };
            let binary = name.as_str().ends_with("-bin");
            let text = if binary { STANDARD_NO_PAD.encode(&header.value) } else { header.value.clone() };
            if let Some(value) = self.header_value(&path.field("value"), &text) {
                headers.push(CallHeader { name, value: HeaderSource::Fixed(value) });
            }
        }
        headers
    }

    /// `TracingConfig.Export.headers`
    pub(super) fn call_headers(&mut self, path: &FieldPath<'_>, headers: &[Header]) -> Vec<CallHeader> {
        let mut lowered = Vec::new();
        for (index, Header { name, value }) in headers.iter().enumerate() {
            let path = path.index(index);
            let Some(name) = self.header_name(&path.field("name"), name) else { continue };
            if !self.may_be_set(&path.field("name"), &name) {
                continue;
            }
            let path = path.field("value");
            let Some(source) = value else {
                self.problems.push(&path, "no value");
                continue;
            };
            let before = self.problems.len();
            let text = self.data_source(&path, source);
            // White space at its ends belongs to the file, and to no header.
            let value = HeaderValue::from_bytes(text.trim_ascii());
            match value {
                _ if self.problems.len() > before => continue,
                Err(_) => self.problems.push(&path, "a header value cannot have control characters"),
                Ok(value) if value.is_empty() => self.problems.push(&path, "it is empty"),
                Ok(value) => {
                    let value = match &source.specifier {
                        Some(Specifier::Filename(file)) => HeaderSource::File(file.into()),
                        _ => HeaderSource::Fixed(value),
                    };
                    lowered.push(CallHeader { name, value });
                }
            }
        }
        lowered
    }

    fn speaks_http2(&self, cluster: ClusterId) -> bool {
        let cluster = self.clusters.get(cluster.0);
        cluster.is_some_and(|cluster| !matches!(cluster.protocol, UpstreamProtocol::Http1 { .. }))
    }

    /// An HTTP service.
    pub(super) fn http_service(
        &mut self,
        path: &FieldPath<'_>,
        service: &ProtoHttpService,
    ) -> Option<HttpService> {
        let Some(target) = &service.http_uri else {
            self.problems.push(path, "no http_uri");
            return None;
        };
        let target_path = path.field("http_uri");
        let HttpUpstreamType::Cluster(name) = target.http_upstream_type.as_ref()?;
        let cluster = self.cluster_id(&target_path.field("cluster"), name)?;
        let uri_path = target_path.field("uri");
        let (authority, path_and_query) = self.collector_uri(&uri_path, &target.uri)?;
        let timeout =
            self.timeout(&target_path.field("timeout"), target.timeout.as_ref(), Some(EXPORT_TIMEOUT));
        let headers = self.collector_headers(&path.field("request_headers_to_add"), service);
        Some(HttpService {
            cluster,
            authority,
            path: path_and_query,
            timeout: timeout.unwrap_or(EXPORT_TIMEOUT),
            headers,
        })
    }

    /// Authority and path of a URI; Envoy takes one without a scheme, too.
    fn collector_uri(&mut self, path: &FieldPath<'_>, text: &str) -> Option<(HeaderValue, PathAndQuery)> {
        let without_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
        let at = without_scheme.find(['/', '?']).unwrap_or(without_scheme.len());
        let (authority, rest) = without_scheme.split_at(at);
        let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        let parsed = HeaderValue::from_str(authority)
            .ok()
            .filter(|_| authority.parse::<http::uri::Authority>().is_ok())
            .zip(rest.parse::<Uri>().ok().and_then(|uri| uri.path_and_query().cloned()));
        if parsed.is_none() {
            self.problems.push_with_hint(
                path,
                format!("\"{text}\" is no address of a collector"),
                "an address looks like http://collector:4318/v1/traces",
            );
        }
        parsed
    }

    /// Headers of an exporter's own requests: formats may read what does not depend on a request.
    fn collector_headers(&mut self, path: &FieldPath<'_>, service: &ProtoHttpService) -> Vec<CallHeader> {
        let mut headers = Vec::new();
        for (index, option) in service.request_headers_to_add.iter().enumerate() {
            let path = path.index(index);
            let path = path.field("header");
            let Some(header) = &option.header else { continue };
            let Some(name) = self.header_name(&path.field("key"), &header.key) else { continue };
            if !self.may_be_set(&path.field("key"), &name) {
                continue;
            }
            let value_path = path.field("value");
            let Some(format) = self.format(&value_path, &header.value) else { continue };
            let Some(text) = format.as_literal() else {
                self.problems.push_with_hint(
                    &value_path,
                    "this command reads a request, and there is none when a collector is called",
                    "use a text, %ENVIRONMENT(NAME)% or %HOSTNAME%",
                );
                continue;
            };
            if let Some(value) = self.header_value(&value_path, text) {
                // Of several with one name the last counts.
                headers.retain(|header: &CallHeader| header.name != name);
                headers.push(CallHeader { name, value: HeaderSource::Fixed(value) });
            }
        }
        headers
    }
}
