//! How a sandbox's processes end with the sandbox, however that ends.
//!
//! A parent that is killed hard cannot tell its children anything, but the system closes its end of
//! every pipe. So each child has a pipe as standard input on which nothing is ever written, and ends
//! when that closes. This needs no unsafe code and works on every Unix.

use std::{ffi::OsStr, io, process, thread};

/// The environment variable that tells a child to watch its standard input.
pub(super) const VARIABLE: &str = "SPANWAY_LEASH";

/// Its one meaningful value. Otherwise standard input is left alone: a proxy that someone starts with
/// `< /dev/null` must not end at once.
pub(super) const STDIN: &str = "stdin";

/// End this process when its parent is gone, if it was started as part of a sandbox.
///
/// To be called first thing in the process. Ends with exit code 1: nobody asked for an orderly end.
pub fn hold() {
    if std::env::var_os(VARIABLE).as_deref() != Some(OsStr::new(STDIN)) {
        return;
    }
    let watch = || {
        // Returns when the other end is closed, or if there never was one.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        process::exit(1);
    };
    // Without a thread to watch it the process still ends by SIGTERM, the ordinary way.
    let _ = thread::Builder::new().name("leash".to_owned()).spawn(watch);
}
