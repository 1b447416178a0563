//! The names of statistics, kept where it takes more than a glance to tell what becomes of them: with expressions of the
//! configuration, or where they are asked for every few seconds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::fast::RandomState;

use crate::{snapshot::stats::StatsConfig, stats::StatName};

/// Names that are no more are forgotten when so many more are kept than there are.
const SPARE: usize = 1024;

/// What statistics are called.
#[derive(Debug)]
pub(crate) struct Names {
    config: Arc<StatsConfig>,
    kept: Option<Mutex<Kept>>,
}

/// By their whole names; `None` for those that are not wanted.
type Kept = HashMap<Box<str>, Option<Arc<StatName>>, RandomState>;

impl Names {
    /// By that configuration. They are kept if it, or what is done with them, makes that worth it.
    pub(crate) fn new(config: Arc<StatsConfig>, sent: bool) -> Self {
        let kept = (config.is_costly || sent).then(Mutex::default);
        Self { config, kept }
    }

    /// What the statistic of that name is called; `None` if it is not wanted.
    pub(super) fn of(&self, full: String) -> Option<Arc<StatName>> {
        let make = |full: &str| self.config.name(full).map(Arc::new);
        let Some(kept) = &self.kept else { return make(&full) };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(&*full) {
            Some(known) => known.clone(),
            None => {
                let name = make(&full);
                kept.insert(full.into(), name.clone());
                name
            }
        }
    }

    /// Begin anew if far more are kept than the `count` that there are.
    pub(super) fn forget_beyond(&self, count: usize) {
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() > 2 * count + SPARE {
                *kept = Kept::default();
            }
        }
    }
}
