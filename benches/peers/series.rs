//! A load second by second, while something happens to the proxy's surroundings.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    cores,
    load::percentiles,
    paced::{self, Outcome, Pace},
    peer::{Running, World},
};

/// The requests that were due in one second, and the proxy at its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Second {
    /// Microseconds that each took which was answered.
    pub(crate) latencies: Vec<f64>,
    /// How many were not answered with 200.
    pub(crate) failed: u64,
    /// Resident memory in MB.
    pub(crate) rss_mb: f64,
}

impl Second {
    /// How many were answered.
    pub(crate) fn answered(&self) -> f64 {
        self.latencies.len() as f64
    }

    /// Microseconds that 50 and 99 % of the requests stayed below.
    pub(crate) fn percentiles(&self) -> [f64; 2] {
        let [p50, p99, _] = percentiles(self.latencies.clone());
        [p50, p99]
    }

    /// Several seconds as if they were one; memory is that at their end.
    pub(crate) fn together(seconds: &[Self]) -> Self {
        Self {
            latencies: seconds.iter().flat_map(|second| second.latencies.iter().copied()).collect(),
            failed: seconds.iter().map(|second| second.failed).sum(),
            rss_mb: seconds.last().map_or(f64::NAN, |second| second.rss_mb),
        }
    }
}

/// Loads a proxy for `seconds`, calls `act` with the number of each second when it begins, and looks at the proxy's
/// memory when it ends.
pub(crate) fn watch(
    running: &Running,
    world: &World<'_>,
    path: &str,
    pace: Pace,
    seconds: usize,
    mut act: impl FnMut(usize),
) -> Result<Vec<Second>, String> {
    let port = running.port;
    let load = world.cores.of_load(1);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut series = vec![Second::default(); seconds];
            let tell = |Outcome { due, latency }: Outcome| {
                let Some(second) = usize::try_from(due.as_secs()).ok().and_then(|at| series.get_mut(at))
                else {
                    return;
                };
                match latency {
                    Some(latency) => second.latencies.push(latency),
                    None => second.failed += 1,
                }
            };
            cores::pin(&load)?;
            paced::send(port, path, pace, seconds as u64, tell)?;
            Ok::<_, String>(series)
        });
        let start = Instant::now();
        let mut memory = Vec::new();
        for second in 0..seconds {
            act(second);
            let end = start + Duration::from_secs(second as u64 + 1);
            thread::sleep(end.saturating_duration_since(Instant::now()));
            memory.push(running.memory().resident as f64 / 1024.0);
        }
        let mut series = client.join().map_err(|_| "the client has panicked".to_owned())??;
        for (second, rss_mb) in series.iter_mut().zip(memory) {
            second.rss_mb = rss_mb;
        }
        Ok(series)
    })
}
