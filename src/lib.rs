//! spanway: an L7 proxy that reads Envoy's configuration, with tracing built in.

mod access_log;
mod admin;
#[doc(hidden)]
pub mod benchmark;
mod body;
mod cluster;
pub mod collector;
pub mod config;
mod explain;
mod export;
mod filter;
mod http_connection_manager;
mod http_headers;
mod listener;
mod loggers;
mod proto_writer;
mod router;
pub mod sandbox;
pub mod server;
mod snapshot;
mod socket;
mod stat_sinks;
mod stats;
mod stream_info;
mod trace;
mod upstream;
