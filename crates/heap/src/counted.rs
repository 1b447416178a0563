//! The same allocator, with each thread's allocations counted. Benchmarks have it; what is released has not.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
};

use crate::Heap;

/// What the current thread has allocated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocations {
    /// How often: each block, and each change of a block's size.
    pub count: u64,
    /// Bytes that were asked for; of a change of size the new ones.
    pub bytes: u64,
}

thread_local! {
    // Constant and without a destructor, so that counting never allocates.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// What this thread has allocated so far, if [`Counted`] is the global allocator.
pub fn allocations() -> Allocations {
    Allocations { count: COUNT.get(), bytes: BYTES.get() }
}

fn count(bytes: usize) {
    COUNT.set(COUNT.get().wrapping_add(1));
    BYTES.set(BYTES.get().wrapping_add(bytes as u64));
}

/// [`Heap`], counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted;

// SAFETY: every call is handed to `Heap` as it came; counting touches two cells of the thread and nothing else.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as for this function.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as for this function.
        unsafe { Heap.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as for this function.
        unsafe { Heap.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { Heap.dealloc(block, layout) }
    }
}
