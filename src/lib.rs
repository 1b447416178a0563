//! spanway: an L7 proxy that reads Envoy's configuration, with tracing built in.

pub mod collector;
pub mod config;
pub mod sandbox;
pub mod server;
