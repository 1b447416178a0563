//! Statistics: what is counted on the path of a request, under Envoy's names.
//!
//! Each thread writes cells of its own, which are atomics only so that the main thread can read them: an increment is a
//! load and a store, and no two threads ever write the same memory. What all threads counted is added up when somebody asks.
//!
//! A [`Group`] holds what is counted of one kind of thing, such as a cluster; a [`Scope`] is the group of one such thing,
//! once per thread. The configuration makes scopes while it is lowered, and they live in the snapshot beside what they
//! count.

mod cluster;
mod codes;
mod exemplar;
mod histogram;
mod host;
mod http;
mod listener;
mod process;
mod request;
mod route;
mod stat;

use std::{
    cell::Cell,
    fmt,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};

pub(crate) use self::{
    cluster::ClusterStats,
    codes::Codes,
    exemplar::Exemplar,
    histogram::{Bins, Histogram},
    host::HostStats,
    http::{HttpListenerStats, HttpStats},
    listener::ListenerStats,
    process::{FlushStats, StatsSinkStats},
    request::{RequestGroup, RequestStats},
    route::{BOUNDS as ROUTE_BOUNDS, MethodClass, RouteStats},
    stat::{BUCKETS, Stat, StatName, Tag, Value},
};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    /// `count` more.
    pub(crate) fn add(&self, count: u64) {
        // No other thread writes it, so that this needs no atomic step.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// What it has come to.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks. That of one thread may be below zero, where another one took away what it added.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    value: AtomicI64,
    used: AtomicBool,
}

impl Gauge {
    /// One more.
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    /// One less.
    pub(crate) fn dec(&self) {
        self.add(-1);
    }

    /// `change` more.
    pub(crate) fn add(&self, change: i64) {
        self.value.store(self.value.load(Ordering::Relaxed).wrapping_add(change), Ordering::Relaxed);
        self.used.store(true, Ordering::Relaxed);
    }

    /// What it is now.
    pub(crate) fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }

    /// Whether it was ever written.
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

/// Something that is counted, and can be read.
pub(crate) trait Metric: Default {
    /// Add what `other` has come to.
    fn absorb(&self, other: &Self);

    /// Show it to `reader`, under `name`.
    fn read(&self, name: &str, reader: &mut dyn Reader);

    /// Take off what `base` has, if it only grows.
    fn rebase(&self, _base: &Self) {}
}

/// Whoever reads what was counted.
pub(crate) trait Reader {
    /// A counter.
    fn counter(&mut self, name: &str, value: u64);
    /// A gauge, and whether it was ever written.
    fn gauge(&mut self, name: &str, value: u64, used: bool);
    /// A histogram.
    fn histogram(&mut self, name: &str, histogram: &Histogram);
}

impl Metric for Counter {
    fn absorb(&self, other: &Self) {
        self.add(other.get());
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        reader.counter(name, self.get());
    }

    fn rebase(&self, base: &Self) {
        self.0.store(self.get().saturating_sub(base.get()), Ordering::Relaxed);
    }
}

impl Metric for Gauge {
    fn absorb(&self, other: &Self) {
        if other.is_used() {
            self.add(other.get());
        }
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        // Threads are read one after the other, so that for a moment more may have gone than come.
        reader.gauge(name, u64::try_from(self.get()).unwrap_or(0), self.is_used());
    }
}

/// What is counted of one kind of thing. The macro [`group!`] makes them.
pub(crate) trait Group: Metric + fmt::Debug + Send + Sync + 'static {}

/// A struct of metrics, each under its field's name. What has several names of its own, as [`Codes`] has, puts them after
/// that name and a dot, or has them as they are where the field begins with an underscore.
macro_rules! group {
    ($(#[$about:meta])* pub(crate) struct $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            $($(#[$doc])* pub(crate) $field: $kind,)*
        }

        impl $crate::stats::Metric for $name {
            fn absorb(&self, other: &Self) {
                $(self.$field.absorb(&other.$field);)*
            }

            fn read(&self, name: &str, reader: &mut dyn $crate::stats::Reader) {
                $(self.$field.read(&$crate::stats::field_name(name, stringify!($field)), reader);)*
            }

            fn rebase(&self, base: &Self) {
                $(self.$field.rebase(&base.$field);)*
            }
        }

        impl $crate::stats::Group for $name {}
    };
}
pub(crate) use group;

/// The name of a group's field; that of the group itself for one whose name begins with an underscore.
pub(crate) fn field_name(group: &str, field: &str) -> String {
    match (group, field.starts_with('_')) {
        (_, true) => group.to_owned(),
        ("", false) => field.to_owned(),
        (_, false) => [group, ".", field].concat(),
    }
}

thread_local! {
    /// Which worker this thread is, counted from 1; 0 is the main thread.
    static THREAD: Cell<usize> = const { Cell::new(0) };
}

/// How many workers count.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// `workers` threads will count besides the main thread. To be said before scopes are made.
pub(crate) fn set_workers(workers: usize) {
    WORKERS.store(workers, Ordering::Relaxed);
}

/// This thread is worker `index`, counted from 0.
pub(crate) fn enter_worker(index: usize) {
    THREAD.set(index.saturating_add(1));
}

/// The group of one thing, once per thread; made when a thread first counts something.
pub(crate) struct Scope<G> {
    main: OnceLock<Box<G>>,
    workers: Box<[OnceLock<Box<G>>]>,
    /// What was counted when the counters were reset.
    base: Mutex<Option<Box<G>>>,
}

impl<G: Group> Default for Scope<G> {
    fn default() -> Self {
        let workers = WORKERS.load(Ordering::Relaxed);
        Self {
            main: OnceLock::new(),
            workers: (0..workers).map(|_| OnceLock::new()).collect(),
            base: Mutex::new(None),
        }
    }
}

impl<G: Group> Scope<G> {
    /// This thread's group.
    pub(crate) fn mine(&self) -> &G {
        // Wraps around for the main thread, whose index is no worker's.
        let mine = self.workers.get(THREAD.get().wrapping_sub(1)).unwrap_or(&self.main);
        mine.get_or_init(Box::default)
    }

    /// What all threads counted since the counters were reset.
    pub(crate) fn total(&self) -> G {
        let total = self.sum();
        if let Some(base) = &*self.base.lock().unwrap_or_else(PoisonError::into_inner) {
            total.rebase(base);
        }
        total
    }

    /// Whether anything was counted since the start.
    pub(crate) fn is_used(&self) -> bool {
        std::iter::once(&self.main).chain(&self.workers).any(|group| group.get().is_some())
    }

    /// What each worker counted, by its index; those that counted nothing are left out.
    pub(crate) fn by_worker(&self) -> impl Iterator<Item = (usize, &G)> {
        self.workers.iter().enumerate().filter_map(|(index, group)| Some((index, &**group.get()?)))
    }

    /// Counters begin at zero again.
    pub(crate) fn reset_counters(&self) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(self.sum()));
    }

    fn sum(&self) -> G {
        let total = G::default();
        let groups = std::iter::once(&self.main).chain(&self.workers);
        groups.filter_map(OnceLock::get).for_each(|group| total.absorb(group));
        total
    }
}

impl<G: Group> fmt::Debug for Scope<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.sum()).finish()
    }
}
