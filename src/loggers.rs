//! The levels of the log, one for each room: set by the command line, changed while serving.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tracing::{
    Metadata, Subscriber, callsite::rebuild_interest_cache, level_filters::LevelFilter, subscriber::Interest,
};
use tracing_subscriber::{Layer, layer::Context};

/// The loggers: rooms by their names, and one for all others.
const NAMES: &[&str] = &[
    "access_log",
    "admin",
    "cluster",
    "config",
    "export",
    "filter",
    "http_connection_manager",
    "listener",
    "router",
    "server",
    "stats",
    "trace",
    "upstream",
    OTHERS,
];

/// The logger of what has none of its own.
const OTHERS: &str = "misc";

/// Names that Envoy has for what is called otherwise here.
const ENVOY_NAMES: &[(&str, &str)] = &[
    ("client", "upstream"),
    ("conn_handler", "listener"),
    ("connection", "listener"),
    ("dns", "cluster"),
    ("http", "http_connection_manager"),
    ("main", "server"),
    ("pool", "upstream"),
    ("tracing", "trace"),
];

/// Envoy's levels, and what is let through at each. spanway has nothing above errors.
const LEVELS: &[(&str, LevelFilter)] = &[
    ("trace", LevelFilter::TRACE),
    ("debug", LevelFilter::DEBUG),
    ("info", LevelFilter::INFO),
    ("warning", LevelFilter::WARN),
    ("error", LevelFilter::ERROR),
    ("critical", LevelFilter::ERROR),
    ("off", LevelFilter::OFF),
];

/// A level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(usize);

impl Level {
    /// Starts, stops, and changes of state.
    pub(crate) const INFO: Self = Self(2);

    /// All of their names, from the one that says most.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        LEVELS.iter().map(|(name, _)| *name)
    }

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = if name == "warn" { "warning" } else { name };
        LEVELS.iter().position(|(known, _)| *known == name).map(Self)
    }

    /// Envoy's name.
    pub(crate) fn name(self) -> &'static str {
        LEVELS.get(self.0).map_or("off", |(name, _)| name)
    }

    fn filter(self) -> LevelFilter {
        LEVELS.get(self.0).map_or(LevelFilter::OFF, |(_, filter)| *filter)
    }
}

/// What is wrong with a change of levels, in Envoy's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LevelError {
    /// There is no such logger.
    #[error("unknown logger name")]
    Name(String),
    /// There is no such level.
    #[error("unknown logger level")]
    Level(String),
    /// A name without a level, or the other way round.
    #[error("empty logger name or empty logger level")]
    Empty,
}

impl LevelError {
    /// What Envoy's words leave out: what was said, and what could be.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Name(name) => format!("there is no logger {name:?}, but {}", NAMES.join(", ")),
            Self::Level(level) => {
                format!("there is no level {level:?}, but {}", Level::names().collect::<Vec<_>>().join(", "))
            }
            Self::Empty => "write logger:level,logger:level".to_owned(),
        }
    }
}

/// The levels of all loggers.
#[derive(Debug)]
pub(crate) struct Loggers(Vec<AtomicUsize>);

impl Loggers {
    /// All at one level.
    pub(crate) fn new(level: Level) -> Self {
        Self(NAMES.iter().map(|_| AtomicUsize::new(level.0)).collect())
    }

    /// The loggers with their levels.
    pub(crate) fn levels(&self) -> impl Iterator<Item = (&'static str, Level)> {
        NAMES.iter().zip(&self.0).map(|(name, level)| (*name, Level(level.load(Ordering::Relaxed))))
    }

    /// All loggers have `level` from now on.
    pub(crate) fn set_all(&self, level: Level) {
        self.0.iter().for_each(|place| place.store(level.0, Ordering::Relaxed));
        rebuild_interest_cache();
    }

    /// The loggers of `pairs` have those levels from now on; all or, where one is wrong, none.
    pub(crate) fn set(&self, pairs: &[(&str, &str)]) -> Result<(), LevelError> {
        let mut found = Vec::new();
        for (name, level) in pairs {
            if name.is_empty() || level.is_empty() {
                return Err(LevelError::Empty);
            }
            let level = Level::named(level).ok_or_else(|| LevelError::Level((*level).to_owned()))?;
            let place = index(name).and_then(|index| self.0.get(index));
            let place = place.ok_or_else(|| LevelError::Name((*name).to_owned()))?;
            found.push((place, level));
        }
        found.into_iter().for_each(|(place, level)| place.store(level.0, Ordering::Relaxed));
        rebuild_interest_cache();
        Ok(())
    }

    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries log for their developers; what an operator needs to know spanway says itself.
        let Some(place) = place_of(metadata.target()) else { return false };
        let level = self.0.get(place).map_or(0, |level| level.load(Ordering::Relaxed));
        *metadata.level() <= Level(level).filter()
    }
}

/// Which logger an event of `target`, a path of modules, belongs to; `None` for libraries.
fn place_of(target: &str) -> Option<usize> {
    let path = target.strip_prefix("spanway")?;
    let room = path.trim_start_matches("::").split("::").next().unwrap_or_default();
    Some(NAMES.iter().position(|name| *name == room).unwrap_or(NAMES.len() - 1))
}

/// The name of the logger that an event of `target`, a path of modules, belongs to.
pub(crate) fn name_of(target: &str) -> &'static str {
    place_of(target).and_then(|place| NAMES.get(place)).copied().unwrap_or(OTHERS)
}

fn index(name: &str) -> Option<usize> {
    let name = ENVOY_NAMES.iter().find(|(envoy, _)| *envoy == name).map_or(name, |(_, ours)| ours);
    NAMES.iter().position(|known| *known == name)
}

/// `name:level,name:level` as pairs.
pub(crate) fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.split(',').map(|pair| pair.split_once(':').unwrap_or((pair, ""))).collect()
}

/// Lets through what the loggers let through. Each place that logs remembers the answer until a level changes, so that one
/// that is silent costs a load.
#[derive(Debug, Clone)]
pub(crate) struct LoggerFilter(pub(crate) Arc<Loggers>);

impl<S: Subscriber> Layer<S> for LoggerFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.lets_through(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.lets_through(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.levels().map(|(_, level)| level.filter()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(loggers: &Loggers, name: &str) -> &'static str {
        loggers.levels().find(|(known, _)| *known == name).map_or("none", |(_, level)| level.name())
    }

    #[test]
    fn loggers_are_set_by_their_name_or_by_envoys() {
        let loggers = Loggers::new(Level::named("info").expect("a level"));
        assert_eq!(loggers.set(&pairs("router:debug,http:warn")), Ok(()));
        assert_eq!(level(&loggers, "router"), "debug");
        assert_eq!(level(&loggers, "http_connection_manager"), "warning");
        assert_eq!(level(&loggers, "admin"), "info");
    }

    #[test]
    fn a_change_that_is_wrong_in_one_place_changes_nothing() {
        let loggers = Loggers::new(Level::named("info").expect("a level"));
        for (text, error) in [
            ("router:debug,nobody:debug", LevelError::Name("nobody".to_owned())),
            ("router:debug,admin:loud", LevelError::Level("loud".to_owned())),
            ("router:debug,admin", LevelError::Empty),
            ("router:debug,", LevelError::Empty),
        ] {
            assert_eq!(loggers.set(&pairs(text)), Err(error), "{text}");
            assert_eq!(level(&loggers, "router"), "info", "{text}");
        }
    }

    #[test]
    fn an_event_belongs_to_its_room_or_to_none_of_them() {
        for (target, name) in [
            ("spanway::http_connection_manager::cause", "http_connection_manager"),
            ("spanway::router", "router"),
            ("spanway::sandbox::once", "misc"),
            ("spanway", "misc"),
            ("hyper::proto::h1", "misc"),
        ] {
            assert_eq!(name_of(target), name, "{target}");
        }
    }
}
