//! What the processes of a sandbox write.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Write},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::mpsc,
};

/// How many lines are kept of each child.
const KEPT_LINES: usize = 20;

/// How many lines may wait to be looked at; a child that writes faster has to wait.
const WAITING_LINES: usize = 64;

/// The end of what a child wrote.
#[derive(Debug, Default)]
pub(super) struct LastLines(VecDeque<String>);

impl LastLines {
    /// Keep `line`, forgetting the oldest if there are enough.
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.0.iter().enumerate() {
            write!(f, "{}    {line}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// The lines of both streams as they come; ends when both are closed.
pub(super) fn follow(
    stdout: Option<impl AsyncRead + Send + Unpin + 'static>,
    stderr: Option<impl AsyncRead + Send + Unpin + 'static>,
) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(WAITING_LINES);
    if let Some(stdout) = stdout {
        tokio::spawn(read_lines(stdout, sender.clone()));
    }
    if let Some(stderr) = stderr {
        tokio::spawn(read_lines(stderr, sender));
    }
    lines
}

async fn read_lines(stream: impl AsyncRead + Unpin, sender: mpsc::Sender<String>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    // Bytes and not strings: a line that is not UTF-8 is still worth showing.
    while let Ok(1..) = stream.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if sender.send(text).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// Show a line of a child, as compose does: with its name before it.
pub(super) fn show(name: &str, line: &str) {
    // Nobody may be reading; the sandbox goes on.
    let _ = writeln!(io::stderr().lock(), "{name:<17} | {line}");
}

/// Tell the user something.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Tell the user what went wrong.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "spanway sandbox: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_are_forgotten() {
        let mut lines = LastLines::default();
        for number in 0..KEPT_LINES + 3 {
            lines.push(number.to_string());
        }
        assert_eq!(lines.0.len(), KEPT_LINES);
        assert_eq!(lines.0.front().map(String::as_str), Some("3"));
    }

    #[tokio::test]
    async fn lines_need_neither_utf8_nor_a_last_line_feed() {
        let mut lines = follow(Some(&b"a\xff\n\nb"[..]), None::<tokio::io::Empty>);
        assert_eq!(lines.recv().await.as_deref(), Some("a\u{fffd}"));
        assert_eq!(lines.recv().await.as_deref(), Some(""));
        assert_eq!(lines.recv().await.as_deref(), Some("b"));
        assert_eq!(lines.recv().await, None);
    }
}
