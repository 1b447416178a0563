//! Stands in for the C library `zlib-ng`, whose build needs cmake.
//!
//! `pingora-core`, which `pingora-load-balancing` builds upon, asks `flate2` for its `zlib-ng` back end,
//! and `flate2` then builds that C library with cmake, although spanway picks hosts with pingora and
//! compresses nothing through it. zlib-rs offers the same interface in Rust, so that a machine with Rust
//! and a C compiler builds spanway.
//!
//! This is the one crate of the project with `unsafe` in it: it forwards C-shaped calls. The only
//! difference bridged is the type of two fields, a function pointer there and an `Option` of it here.
#![allow(non_camel_case_types, non_snake_case)]
#![allow(clippy::missing_safety_doc)] // the contract of each function is that of zlib.h

use core::ffi::{c_char, c_int, c_void};
pub use libz_rs_sys::{
    Bytef, Z_BLOCK, Z_BUF_ERROR, Z_DATA_ERROR, Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH, Z_FULL_FLUSH,
    Z_MEM_ERROR, Z_NEED_DICT, Z_NO_FLUSH, Z_OK, Z_PARTIAL_FLUSH, Z_STREAM_END, Z_STREAM_ERROR,
    Z_SYNC_FLUSH, internal_state, uInt, uLong, voidpf,
};

/// `alloc_func` of zlib.h.
pub type alloc_func = unsafe extern "C" fn(voidpf, uInt, uInt) -> voidpf;
/// `free_func` of zlib.h.
pub type free_func = unsafe extern "C" fn(voidpf, voidpf);

/// `z_stream` of zlib.h, with allocators that are always set.
#[repr(C)]
#[derive(Copy, Clone)]
pub struct z_stream {
    pub next_in: *mut Bytef,
    pub avail_in: uInt,
    pub total_in: uLong,
    pub next_out: *mut Bytef,
    pub avail_out: uInt,
    pub total_out: uLong,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: uLong,
    pub reserved: uLong,
}

/// `z_streamp` of zlib.h.
pub type z_streamp = *mut z_stream;

const _: () = assert!(size_of::<z_stream>() == size_of::<libz_rs_sys::z_stream>());

macro_rules! forward {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        #[doc = concat!("`", stringify!($name), "` of zlib.h.")]
        pub unsafe extern "C" fn $name(strm: z_streamp, $($arg: $ty),*) -> c_int {
            // SAFETY: both structs are `repr(C)` with the same fields in the same order, and a function
            // pointer has the layout of an `Option` of it; the rest is the caller's contract of zlib.h.
            unsafe { libz_rs_sys::$name(strm.cast(), $($arg),*) }
        }
    )*};
}

forward! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const Bytef, length: uInt);
    deflateInit2_(level: c_int, method: c_int, window_bits: c_int, mem_level: c_int, strategy: c_int,
        version: *const c_char, stream_size: c_int);
    inflate(flush: c_int);
    inflateEnd();
    inflateReset2(window_bits: c_int);
    inflateSetDictionary(dictionary: *const Bytef, length: uInt);
    inflateInit2_(window_bits: c_int, version: *const c_char, stream_size: c_int);
}

/// `zlibVersion` of zlib.h.
pub extern "C" fn zlibVersion() -> *const c_char {
    libz_rs_sys::zlibVersion()
}
