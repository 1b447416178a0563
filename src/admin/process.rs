//! What the system says of this process.

/// Bytes of memory that are really its own; 0 where the system does not tell.
pub(super) fn resident_bytes() -> u64 {
    status("VmRSS:")
}

/// Those of them that no file stands behind, the stacks of its threads included.
pub(super) fn heap_bytes() -> u64 {
    status("RssAnon:")
}

fn status(line: &str) -> u64 {
    let field = |status: String| {
        let line = status.lines().find_map(|found| found.strip_prefix(line))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    std::fs::read_to_string("/proc/self/status").ok().and_then(field).map_or(0, |kilobytes| kilobytes * 1024)
}
