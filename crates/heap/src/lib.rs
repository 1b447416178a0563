//! spanway's allocator, the calls to it that Rust has no safe name for, and a count of calls for benchmarks.

mod counted;

pub use counted::{Allocations, Counted, allocations};
pub use mimalloc::MiMalloc as Heap;

/// Give back to the system what this thread freed some time ago.
pub fn collect_unused() {
    // SAFETY: mi_collect takes no pointer and may be called at any time from any thread.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

/// Give freed memory back to the system now, rather than when the allocator next looks for some.
pub fn collect() {
    // SAFETY: mi_collect takes no pointer and may be called at any time from any thread.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
