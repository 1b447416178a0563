//! Which cores the proxy has, and which the load and the host behind it.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The cores that the run may use, shared out.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    all: Vec<usize>,
}

impl Cores {
    /// Those that this process was allowed when it started.
    pub(crate) fn find() -> Result<Self, String> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(|error| format!("affinity: {error}"))?;
        let all: Vec<usize> =
            (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect();
        if all.len() < 2 {
            return Err("one core for the proxy and one for the load are needed".to_owned());
        }
        Ok(Self { all })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether a proxy of `workers` leaves the load as many cores as it has itself.
    pub(crate) fn leave_room(&self, workers: usize) -> bool {
        self.all.len() >= 2 * workers
    }

    /// Where the host stands that all proxies share: off the cores of two workers if that leaves any.
    pub(crate) fn of_host(&self) -> Vec<usize> {
        self.of_load(if self.leave_room(2) { 2 } else { 1 })
    }

    /// The first cores, one per worker; what is too few is shared with the load.
    pub(crate) fn of_proxy(&self, workers: usize) -> Vec<usize> {
        self.all.iter().copied().take(workers).collect()
    }

    /// Those that no proxy of `workers` has; all when it would leave none.
    pub(crate) fn of_load(&self, workers: usize) -> Vec<usize> {
        let rest: Vec<usize> = self.all.iter().copied().skip(workers).collect();
        if rest.is_empty() { self.all.clone() } else { rest }
    }
}

/// Pins the calling thread; what it starts later inherits that.
pub(crate) fn pin(cores: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core).map_err(|error| format!("core {core}: {error}"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).map_err(|error| format!("pinning to {cores:?}: {error}"))
}

/// Runs `action` pinned to `cores`, and goes back to where the thread was.
pub(crate) fn pinned<T>(cores: &[usize], action: impl FnOnce() -> T) -> Result<T, String> {
    let before = sched_getaffinity(Pid::from_raw(0)).map_err(|error| format!("affinity: {error}"))?;
    pin(cores)?;
    let done = action();
    sched_setaffinity(Pid::from_raw(0), &before).map_err(|error| format!("affinity: {error}"))?;
    Ok(done)
}
