//! What whoever operates the proxy can do about a call that failed.

use std::io;

use http::StatusCode;
use tonic::Code;

use super::failure::{FailureKind, Protocol};

/// A sentence for that kind of failure of calls that are made in that way, if there is something to say.
pub(super) fn hint(kind: FailureKind, over: Protocol) -> Option<&'static str> {
    use FailureKind as Kind;
    let grpc = over == Protocol::OtlpGrpc;
    Some(match kind {
        Kind::NoHost => "check the name of the collector, and that it resolves from here",
        Kind::Connect(io::ErrorKind::ConnectionRefused) if grpc => {
            "nothing listens there: check that the collector runs, and its port (4317 is usual for gRPC)"
        }
        Kind::Connect(io::ErrorKind::ConnectionRefused) if over == Protocol::OtlpHttp => {
            "nothing listens there: check that the collector runs, and its port (4318 is usual for HTTP)"
        }
        Kind::Connect(io::ErrorKind::ConnectionRefused) => {
            "nothing listens there: check that the collector runs, and its port"
        }
        Kind::Connect(_) | Kind::ConnectTimeout => "check the address, and firewalls on the way to it",
        Kind::Tls => {
            "check sni and trusted_ca of the cluster's transport_socket (or OTEL_EXPORTER_OTLP_CERTIFICATE), whether the \
             collector asks for a client certificate, and that the port speaks TLS"
        }
        Kind::OtherProtocol if grpc => {
            "this port does not speak gRPC: use 4317, or http_service and 4318; or it wants TLS: give the cluster a \
             transport_socket"
        }
        Kind::OtherProtocol => {
            "this port does not speak HTTP/1.1: gRPC is served on 4317 by grpc_service; or it wants TLS: give the \
             cluster a transport_socket"
        }
        Kind::Closed if grpc => "check that this port speaks gRPC (4317 is usual), and whether it wants TLS",
        Kind::Closed => "check that this port speaks HTTP (4318 is usual), and whether it wants TLS",
        Kind::NoAnswer => "it is overloaded, or something between swallows what is sent",
        Kind::Grpc(Code::Unimplemented) => {
            "this port has no OTLP trace service: it may speak HTTP, then use 4318 or http_service; or it does not know \
             gzip"
        }
        Kind::Grpc(Code::Unauthenticated | Code::PermissionDenied)
        | Kind::Http(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            "check the header that carries the key or token, and whether it is still valid"
        }
        Kind::Grpc(Code::ResourceExhausted) | Kind::Http(StatusCode::TOO_MANY_REQUESTS) => {
            "the collector asks for less: sample less, or raise its limits"
        }
        Kind::Http(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
            "check the path of the address: OTLP over HTTP is usually at /v1/traces"
        }
        Kind::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
            "this address takes no protobuf: check that it is an OTLP receiver"
        }
        Kind::Http(StatusCode::PAYLOAD_TOO_LARGE) => {
            "lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE, or raise the collector's limit"
        }
        _ => return None,
    })
}
