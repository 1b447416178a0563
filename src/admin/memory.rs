//! `/memory`: what the process takes.

use axum::response::Response;
use serde::Serialize;

use super::{answer, command::Asked, process};

/// `envoy.admin.v3.Memory`. Its numbers are texts, as JSON has them for 64 bits.
#[derive(Debug, Serialize)]
struct Memory {
    /// What is resident of the heap. The allocator counts nothing on the way of a request.
    allocated: String,
    /// The same: what the allocator keeps in reserve is not resident.
    heap_size: String,
    pageheap_unmapped: &'static str,
    pageheap_free: &'static str,
    total_thread_cache: &'static str,
    total_physical_bytes: String,
}

/// `/memory`
pub(super) fn page(_: &Asked) -> Response {
    let heap = process::heap_bytes().to_string();
    answer::json(&Memory {
        allocated: heap.clone(),
        heap_size: heap,
        pageheap_unmapped: "0",
        pageheap_free: "0",
        total_thread_cache: "0",
        total_physical_bytes: process::resident_bytes().to_string(),
    })
}
