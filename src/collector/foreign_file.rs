//! A file that somebody else has written is not to be appended to.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// Bytes at the start of a line that tell whether it is OTLP.
const START: u64 = 256;

/// Fails if there is something at `path` and no line of it looks like a message of OTLP as JSON.
pub(super) fn refuse(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    // What is no file is refused where it is opened for writing.
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    let (mut file, mut is_empty) = (BufReader::new(file), true);
    let mut start = Vec::new();
    while file.by_ref().take(START).read_until(b'\n', &mut start)? > 0 {
        let text = start.trim_ascii_start();
        // A process that was killed may have left no more than the start of its first message.
        if text.strip_prefix(b"{").is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\"resource"))
        {
            return Ok(());
        }
        is_empty &= text.is_empty();
        if !start.ends_with(b"\n") {
            file.skip_until(b'\n')?;
        }
        start.clear();
    }
    if is_empty {
        return Ok(());
    }
    let told = "there is a file that holds no OTLP as JSON lines; it stays as it is: choose another path, or move it away";
    Err(io::Error::new(io::ErrorKind::InvalidData, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_otlp_or_an_empty_one_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(refuse(&path).is_ok(), "nothing is there yet");
        let long = "x".repeat(100_000);
        for (content, is_ours) in [
            ("", true),
            ("\n \n", true),
            ("{\"resourceSpans\":[]}\n", true),
            ("broken\n{ \"resourceLogs\": []}\n", true),
            ("{\"resourceSpans\":[{\"sco", true),
            (&format!("{long}\n{{\"resourceSpans\":[]}}"), true),
            (&long, false),
            ("node:\n  id: front\n", false),
            ("{\"level\":\"info\"}\n", false),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(refuse(&path).is_ok(), is_ours, "{content:.40}");
        }
        assert!(refuse(folder.path()).is_ok(), "told where it is opened");
    }
}
