//! The log: one line per event, in Envoy's pattern language.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{Event, Subscriber, field::Visit, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::options::Options;
use crate::{
    loggers::{self, Level, LoggerFilter, Loggers},
    stream_info::calendar::civil_date,
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

/// The log, once it has begun.
#[derive(Debug)]
pub(crate) struct Log {
    /// Its file, if it goes to one.
    pub(crate) file: Option<LogFile>,
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
    let registry = tracing_subscriber::registry().with(LoggerFilter(Arc::clone(&loggers)));
    let lines = tracing_subscriber::fmt::layer().event_format(Pattern(pattern));
    let file = options.log_path.as_deref().map(LogFile::open).transpose()?;
    let started = match file.clone() {
        None => registry.with(lines.with_writer(io::stderr)).try_init(),
        Some(file) => registry.with(lines.with_writer(move || file.clone())).try_init(),
    };
    // It fails only when a log was begun before, which then goes on.
    drop(started);
    Ok(Log { file, loggers })
}

/// Begin to log to standard error what somebody should look at: for commands that have no flags of a log.
pub(crate) fn init_for_command() {
    let targets = Targets::new().with_target("spanway", LevelFilter::WARN);
    let pattern = Pattern(DEFAULT_PATTERN.to_owned());
    let lines = tracing_subscriber::fmt::layer().event_format(pattern).with_writer(io::stderr);
    // It fails only when a log was begun before, which then goes on.
    drop(tracing_subscriber::registry().with(targets).with(lines).try_init());
}

/// A line's pattern: `%Y %m %d %T %e %l %n %v %P %%`.
struct Pattern(String);

impl<S, N> FormatEvent<S, N> for Pattern
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
        let (year, month, day) = civil_date(days);
        let mut letters = self.0.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                line.write_char(letter)?;
                continue;
            }
            match letters.next() {
                Some('Y') => write!(line, "{year:04}")?,
                Some('m') => write!(line, "{month:02}")?,
                Some('d') => write!(line, "{day:02}")?,
                Some('T') => {
                    write!(line, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)?;
                }
                Some('e') => write!(line, "{:03}", now.subsec_millis())?,
                Some('l') => line.write_str(level_name(*event.metadata().level()))?,
                Some('n') => line.write_str(event.metadata().target())?,
                Some('v') => event.record(&mut Message(&mut line)),
                Some('P') => write!(line, "{}", std::process::id())?,
                Some('%') => line.write_char('%')?,
                // What is not known stands as it is, so that a pattern made for Envoy still logs.
                Some(other) => write!(line, "%{other}")?,
                None => line.write_char('%')?,
            }
        }
        writeln!(line)
    }
}

/// Envoy's names of levels.
fn level_name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warning",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

/// Writes the message of an event.
struct Message<'a, 'w>(&'a mut Writer<'w>);

impl Visit for Message<'_, '_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // A line that cannot be written cannot be logged either.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
