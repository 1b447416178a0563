//! The embedded trace collector.

pub mod attribute;
mod intake;
pub mod span;
pub mod store;
pub mod tree;
