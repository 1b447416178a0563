//! Spans that outlive the process: a file of OTLP messages, one as JSON on each line, which is read back at the start.
//!
//! Reference: OpenTelemetry Protocol File Exporter (`OTLP JSON lines`).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::JoinHandle,
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::{
    intake,
    otlp_json::{self, Json},
    store::Store,
};

/// Messages that may wait for the disk; of more it is counted how many are left out.
const WAITING: usize = 256;

/// Bytes of a line that are read as one. JSON takes more room than the messages that receivers take.
const LONGEST_LINE: u64 = 64 << 20;

/// Writes messages to the file, in a thread of its own: a disk that is slow or full holds up no receiver.
#[derive(Debug)]
pub(super) struct Journal {
    lines: Option<SyncSender<String>>,
    left_out: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl Journal {
    /// Append to the file at `path`. When it has become `limit_bytes` long it is renamed, with `.1` after its name, in the
    /// place of the one before.
    pub(super) fn open(path: &Path, limit_bytes: u64) -> io::Result<Self> {
        let mut file = LogFile::open(path, limit_bytes)?;
        if !file.file.get_ref().metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        let (lines, waiting) = mpsc::sync_channel(WAITING);
        let left_out = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&left_out);
        let writer = std::thread::Builder::new().name("journal".to_owned());
        let writer = writer.spawn(move || file.write_all(&waiting, &counted))?;
        Ok(Self { lines: Some(lines), left_out, writer: Some(writer) })
    }

    /// Write `request`, unless too much waits already.
    pub(super) fn append(&self, request: &ExportTraceServiceRequest) {
        let Some(lines) = &self.lines else { return };
        // A message that came in as OTLP goes out as such.
        let Ok(line) = serde_json::to_string(&Json(request)) else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = lines.try_send(line) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It ends when there is nothing more to write.
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Read what the files hold into `store`, the older one first: how many messages, and how many lines are none.
pub(super) fn read_back(path: &Path, store: &Store) -> io::Result<(usize, usize)> {
    let mut counts = (0, 0);
    for path in [rotated(path), path.to_owned()] {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        if !file.metadata()?.is_file() {
            continue;
        }
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        // What is longer than any message is none, and not read to its end.
        while file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? > 0 {
            let line = std::mem::take(&mut line);
            if line == b"\n" {
                continue;
            }
            // The last line of a process that was killed may be half of one.
            match otlp_json::traces(&line) {
                Ok((request, invalid)) => {
                    intake::accept(store, request, invalid);
                    counts.0 += 1;
                }
                Err(_) => counts.1 += 1,
            }
        }
    }
    Ok(counts)
}

fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

struct LogFile {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    limit_bytes: u64,
}

impl LogFile {
    fn open(path: &Path, limit_bytes: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        // A process that was killed may have left half a line, which is not to spoil the next one.
        let mut last = [b'\n'];
        if written > 0 && file.metadata()?.is_file() {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), written, limit_bytes })
    }

    /// Write what comes until nobody can send any more. What cannot be written is counted and said once in a row.
    fn write_all(&mut self, waiting: &Receiver<String>, left_out: &AtomicU64) {
        let mut failing = false;
        while let Ok(first) = waiting.recv() {
            let mut next = Some(first);
            let mut outcome = Ok(());
            while let Some(line) = next {
                outcome = outcome.and(self.write(&line));
                if outcome.is_err() {
                    left_out.fetch_add(1, Ordering::Relaxed);
                }
                next = waiting.try_recv().ok();
            }
            let outcome = outcome.and_then(|()| self.file.flush());
            let lost = left_out.swap(0, Ordering::Relaxed);
            match outcome {
                Err(error) if !failing => complain(&self.path, &error.to_string()),
                Ok(()) if lost > 0 => {
                    complain(&self.path, &format!("{lost} messages came faster than they can be written"));
                }
                _ => {}
            }
            failing = lost > 0;
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.written > 0 && self.written + line.len() as u64 > self.limit_bytes {
            self.file.flush()?;
            fs::rename(&self.path, rotated(&self.path))?;
            *self = Self::open(&self.path, self.limit_bytes)?;
        }
        self.written += line.len() as u64 + 1;
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")
    }
}

fn complain(path: &Path, problem: &str) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "spanway collector: --file {}: {problem}", path.display());
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

    use super::*;

    fn request(trace: u8) -> ExportTraceServiceRequest {
        let spans = vec![Span {
            trace_id: vec![trace; 16],
            span_id: vec![1; 8],
            name: "buy".into(),
            start_time_unix_nano: u64::from(trace),
            end_time_unix_nano: u64::MAX / 2,
            ..Span::default()
        }];
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        }
    }

    #[test]
    fn what_was_written_is_read_back_and_a_broken_line_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spans.jsonl");
        let journal = Journal::open(&path, 1 << 20).unwrap();
        (1..=3).for_each(|trace| journal.append(&request(trace)));
        drop(journal);
        let mut text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        text.push_str("{\"resourceSpans\":[{\"sco");
        fs::write(&path, text).unwrap();
        let store = Store::new(1 << 20);
        assert_eq!(read_back(&path, &store).unwrap(), (3, 1));
        assert_eq!(store.totals().traces, 3);
        let newest = store.newest(1).remove(0);
        assert_eq!(newest.root.as_ref().unwrap().end_unix_nano, u64::MAX / 2, "numbers are kept whole");
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spans.jsonl");
        fs::write(&path, "{\"resourceSpans\":[{\"sco").unwrap();
        let journal = Journal::open(&path, 1 << 20).unwrap();
        journal.append(&request(1));
        drop(journal);
        let store = Store::new(1 << 20);
        assert_eq!(read_back(&path, &store).unwrap(), (1, 1));
    }

    #[test]
    fn a_file_that_is_full_is_renamed_and_the_one_before_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spans.jsonl");
        let line = serde_json::to_string(&Json(&request(1))).unwrap().len() as u64 + 1;
        let journal = Journal::open(&path, 2 * line).unwrap();
        (1..=7).for_each(|trace| journal.append(&request(trace)));
        drop(journal);
        let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&rotated(&path)), lines(&path)), (2, 1));
        let store = Store::new(1 << 20);
        assert_eq!(read_back(&path, &store).unwrap(), (3, 0));
        assert_eq!(read_back(&folder.path().join("none"), &store).unwrap(), (0, 0));
    }
}
