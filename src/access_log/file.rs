//! A file of access logs, and the thread that writes it.
//!
//! Each file has a thread of its own, so that a pipe that nobody reads holds up no other file. What waits for it is
//! bounded in bytes; what does not fit is lost and counted. No request waits for any of this.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::stats;
use crate::snapshot::access_log::LogTarget;

/// So many bytes may wait for a file.
const QUEUE_BYTES: usize = 16 << 20;

/// Entries that are written already.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// One after the other.
    pub(crate) bytes: Vec<u8>,
    /// How many.
    pub(crate) entries: u64,
    /// Where the room that they take goes once they are written.
    pub(crate) home: Option<mpsc::SyncSender<Vec<u8>>>,
}

enum Order {
    Write(Batch),
    Reopen,
    End,
}

/// A file that is open. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    /// Bytes that wait.
    bytes: AtomicUsize,
    /// Entries are being lost, which the log knows.
    losing: AtomicBool,
    /// Entries that were lost.
    lost: AtomicU64,
    /// All is written that was handed over before the end.
    finished: AtomicBool,
}

impl Shared {
    /// Count entries that are lost, and say so when that begins.
    fn lose(&self, entries: u64, why: &dyn std::fmt::Display) {
        stats::dropped(entries);
        self.lost.fetch_add(entries, Ordering::Relaxed);
        if !self.losing.swap(true, Ordering::Relaxed) {
            tracing::warn!("access log {}: {why}; entries are lost", self.name);
        }
    }

    fn written(&self) {
        if self.losing.load(Ordering::Relaxed) && self.losing.swap(false, Ordering::Relaxed) {
            tracing::info!("access log {} is written again", self.name);
        }
    }
}

impl LogFile {
    /// Hand entries over to the file's thread, unless too many wait for it.
    pub(super) fn hand_over(&self, batch: Batch) {
        let (bytes, entries) = (batch.bytes.len(), batch.entries);
        stats::handed_over(bytes);
        if self.shared.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > QUEUE_BYTES {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            stats::settled(bytes);
            return self.shared.lose(entries, &"it is not written fast enough");
        }
        if self.orders.send(Order::Write(batch)).is_err() {
            stats::settled(bytes);
            self.shared.lose(entries, &"its thread has ended");
        }
    }
}

/// The files of all access logs.
#[derive(Debug)]
pub(crate) struct LogFiles {
    /// By their places in `Snapshot::log_files`.
    pub(crate) files: Vec<LogFile>,
    ended: mpsc::Receiver<()>,
}

/// A file that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("unable to open file '{}': {error}", path.display())]
pub(crate) struct OpenError {
    path: PathBuf,
    error: io::Error,
}

impl LogFiles {
    /// Open all files, and start their threads.
    pub(crate) fn open(targets: &[LogTarget]) -> Result<Self, OpenError> {
        let (end, ended) = mpsc::channel();
        let mut files = Vec::new();
        for target in targets {
            let output = Output::open(target.clone())?;
            let (orders, receiver) = mpsc::channel();
            let name = match target {
                LogTarget::File(path) => format!("\"{}\"", path.display()),
                LogTarget::Stdout => "on standard output".to_owned(),
                LogTarget::Stderr => "on standard error".to_owned(),
            };
            let shared = Arc::new(Shared {
                name,
                bytes: AtomicUsize::new(0),
                losing: AtomicBool::new(false),
                lost: AtomicU64::new(0),
                finished: AtomicBool::new(false),
            });
            let (own, end) = (Arc::clone(&shared), end.clone());
            let started = thread::Builder::new().name("access-log".into()).spawn(move || {
                write_all(&receiver, output, &own);
                own.finished.store(true, Ordering::Relaxed);
                // Nobody waits any more if this fails.
                let _ = end.send(());
            });
            if let Err(error) = started {
                return Err(OpenError { path: PathBuf::from("access log"), error });
            }
            files.push(LogFile { orders, shared });
        }
        Ok(Self { files, ended })
    }

    /// Open all files again, after they were moved away.
    pub(crate) fn reopen(files: &[LogFile]) {
        for file in files {
            // A thread that has ended has no file.
            let _ = file.orders.send(Order::Reopen);
        }
    }

    /// Wait until all is written that was handed over, though not for ever.
    pub(crate) fn finish(self) {
        /// How long a process that ends waits for a file that is not written.
        const PATIENCE: Duration = Duration::from_secs(2);
        for file in &self.files {
            let _ = file.orders.send(Order::End);
        }
        for _ in &self.files {
            if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(PATIENCE) {
                break;
            }
        }
        for LogFile { shared, .. } in &self.files {
            let (name, lost) = (&shared.name, shared.lost.load(Ordering::Relaxed));
            if lost > 0 {
                tracing::warn!("access log {name}: {lost} entries were lost since the start");
            }
            if !shared.finished.load(Ordering::Relaxed) {
                tracing::warn!("access log {name} is not written; its last entries are lost");
            }
        }
    }
}

/// Do what is ordered, until the end.
fn write_all(orders: &mpsc::Receiver<Order>, mut output: Output, shared: &Shared) {
    for order in orders {
        match order {
            Order::Write(batch) => {
                match output.write(&batch.bytes) {
                    Ok(()) => {
                        stats::written();
                        shared.written();
                    }
                    Err(error) => {
                        stats::failed();
                        shared.lose(batch.entries, &format_args!("it cannot be written: {error}"));
                    }
                }
                stats::settled(batch.bytes.len());
                shared.bytes.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
                if let Batch { mut bytes, home: Some(home), .. } = batch {
                    bytes.clear();
                    // Where there is room enough already it is given back to the system.
                    let _ = home.try_send(bytes);
                }
            }
            Order::Reopen => {
                if let Err(error) = output.reopen() {
                    stats::reopen_failed();
                    tracing::error!(
                        "access log {} cannot be opened again: {error}; the old file goes on",
                        shared.name
                    );
                }
            }
            Order::End => return,
        }
    }
}

/// What is written to.
enum Output {
    File(PathBuf, File),
    Stdout,
    Stderr,
}

impl Output {
    fn open(target: LogTarget) -> Result<Self, OpenError> {
        Ok(match target {
            LogTarget::Stdout => Self::Stdout,
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => match open(&path) {
                Ok(file) => Self::File(path, file),
                Err(error) => return Err(OpenError { path, error }),
            },
        })
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(path, file) = self {
            *file = open(path)?;
        }
        Ok(())
    }

    /// Write it all. A file that fails is opened again, once, for what is left.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut reopened = false;
        while !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if reopened => return Err(error),
                Err(_) => {
                    reopened = true;
                    self.reopen().inspect_err(|_| stats::reopen_failed())?;
                }
            }
        }
        match self {
            Self::File(..) | Self::Stderr => Ok(()),
            Self::Stdout => io::stdout().flush(),
        }
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(_, file) => file.write(bytes),
            Self::Stdout => io::stdout().write(bytes),
            Self::Stderr => io::stderr().write(bytes),
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str) -> Batch {
        Batch { bytes: text.into(), entries: 1, home: None }
    }

    #[test]
    fn entries_go_where_the_path_leads_after_it_was_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
        let files = LogFiles::open(&[LogTarget::File(path.clone())]).unwrap();
        let file = files.files[0].clone();
        file.hand_over(batch("a\n"));
        std::fs::rename(&path, &moved).unwrap();
        file.hand_over(batch("b\n"));
        LogFiles::reopen(&files.files);
        file.hand_over(batch("c\n"));
        files.finish();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "a\nb\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "c\n");
    }

    #[test]
    fn a_full_disk_costs_the_entries_and_nothing_else() {
        let files = LogFiles::open(&[LogTarget::File("/dev/full".into())]).unwrap();
        let before = stats::all_dropped();
        files.files[0].hand_over(batch("a\n"));
        files.finish();
        assert!(stats::all_dropped() > before);
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_so_much_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        // Open for both, so that opening waits for nobody.
        let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let files = LogFiles::open(&[LogTarget::File(path)]).unwrap();
        let before = stats::all_dropped();
        for _ in 0..40 {
            files.files[0].hand_over(Batch { bytes: vec![b'x'; 1 << 20], entries: 3, home: None });
        }
        assert!(stats::all_dropped() >= before + 3 * 20);
        assert!(files.files[0].shared.bytes.load(Ordering::Relaxed) <= QUEUE_BYTES);
        drop(reader);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let error = LogFiles::open(&[LogTarget::File("/nonexistent/log".into())]).unwrap_err();
        assert!(error.to_string().starts_with("unable to open file '/nonexistent/log': "));
    }
}
