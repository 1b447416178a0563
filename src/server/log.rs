//! The log: one line per event, to standard error or a file.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use super::options::Options;
use crate::{
    loggers::{self, Level, LoggerFilter, Loggers},
    snapshot::application_log::ApplicationLogFormat,
};

/// Envoy's default, without what names places in its own code.
pub(super) const DEFAULT_PATTERN: &str = "[%Y-%m-%d %T.%e][%l] %v";

/// The file of `--log-path`.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(Mutex::new(Self::open_file(path)?));
        Ok(Self { path: path.to_owned(), file })
    }

    fn open_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    }

    /// Open the path again, after the file there was moved away; until that works, the old file goes on.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let file = Self::open_file(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

impl io::Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// The format of lines, which changes once the configuration is read and says so. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Format(Arc<ArcSwap<ApplicationLogFormat>>);

impl Format {
    fn new(format: ApplicationLogFormat) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(format)))
    }

    /// What it is now.
    pub(super) fn load(&self) -> impl Deref<Target = Arc<ApplicationLogFormat>> {
        self.0.load()
    }

    /// From now on it is this.
    pub(crate) fn change(&self, format: &ApplicationLogFormat) {
        self.0.store(Arc::new(format.clone()));
    }
}

/// The log, once it has begun.
#[derive(Debug)]
pub(crate) struct Log {
    /// Its file, if it goes to one.
    pub(crate) file: Option<LogFile>,
    /// The format of its lines.
    pub(crate) format: Format,
    /// Its levels.
    pub(crate) loggers: Arc<Loggers>,
}

/// Begin to log as the flags say. Fails if its file cannot be opened.
pub(crate) fn init(options: &Options) -> io::Result<Log> {
    let level = Level::named(options.log_level.name()).unwrap_or(Level::INFO);
    let loggers = Arc::new(Loggers::new(level));
    if let Some(levels) = &options.component_log_level {
        // The flag was looked at when it was read.
        let _ = loggers.set(&loggers::pairs(levels));
    }
    let pattern = options.log_format.clone().unwrap_or_else(|| DEFAULT_PATTERN.to_owned());
    let format = Format::new(ApplicationLogFormat::Text(pattern));
    let registry = tracing_subscriber::registry().with(LoggerFilter(Arc::clone(&loggers)));
    let lines = tracing_subscriber::fmt::layer().event_format(format.clone());
    let file = options.log_path.as_deref().map(LogFile::open).transpose()?;
    let started = match file.clone() {
        None => registry.with(lines.with_writer(io::stderr)).try_init(),
        Some(file) => registry.with(lines.with_writer(move || file.clone())).try_init(),
    };
    // It fails only when a log was begun before, which then goes on.
    drop(started);
    Ok(Log { file, format, loggers })
}

/// Begin to log to standard error what somebody should look at: for commands that have no flags of a log.
pub(crate) fn init_for_command() {
    let targets = Targets::new().with_target("spanway", LevelFilter::WARN);
    let format = Format::new(ApplicationLogFormat::Text(DEFAULT_PATTERN.to_owned()));
    let lines = tracing_subscriber::fmt::layer().event_format(format).with_writer(io::stderr);
    // It fails only when a log was begun before, which then goes on.
    drop(tracing_subscriber::registry().with(targets).with(lines).try_init());
}
