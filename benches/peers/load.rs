//! wrk and h2load, and what they say of a run.

use std::{fs, path::Path, process::Command, time::Duration};

use crate::{peer::World, process, setup::Setup};

/// Keep-alive connections of HTTP/1.1.
const CONNECTIONS: usize = 64;
/// Connections of HTTP/2.
const H2_CONNECTIONS: usize = 4;
/// Streams at once on each of them.
const H2_STREAMS: usize = 100;

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// wrk: HTTP/1.1 as fast as it goes, with a body of `upload` bytes if any.
    Http1 { close: bool, upload: usize },
    /// h2load: 100 streams on each of 4 connections, as fast as it goes.
    Http2,
}

/// One round of one proxy as its clients saw it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Failed, timed out, or answered with another status than 2xx and 3xx.
    pub(crate) errors: f64,
    /// Microseconds that 50, 99 and 99.9 % of the requests stayed below.
    pub(crate) percentiles: [f64; 3],
}

/// The values that 50, 99 and 99.9 % are below.
pub(crate) fn percentiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.5, 0.99, 0.999].map(|share| {
        let at = (values.len() as f64 * share) as usize;
        values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    })
}

impl Load {
    /// Whether its tool is there.
    pub(crate) fn installed(self, world: &World<'_>) -> bool {
        match self {
            Self::Http1 { .. } => world.tools.wrk.is_some(),
            Self::Http2 => world.tools.h2load.is_some(),
        }
    }

    /// Loads a port for `seconds`.
    pub(crate) fn run(
        self,
        world: &World<'_>,
        setup: &Setup,
        port: u16,
        seconds: u64,
    ) -> Result<Sample, String> {
        let url = format!("http://127.0.0.1:{port}{}", setup.path());
        match self {
            Self::Http1 { close, upload } => wrk(world, setup, &url, seconds, close, upload),
            Self::Http2 => h2load(world, setup, &url, seconds),
        }
    }
}

/// More than the run itself, for the tool to start and to end.
fn limit(seconds: u64) -> Duration {
    Duration::from_secs(seconds + 15)
}

/// Says in one line what wrk's own report does not have.
const REPORT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("peers %d %d %d %f %f %f\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"#;

fn wrk(
    world: &World<'_>,
    setup: &Setup,
    url: &str,
    seconds: u64,
    close: bool,
    upload: usize,
) -> Result<Sample, String> {
    let cores = world.cores.of_load(setup.workers);
    let script = world.folder.join(format!("wrk-{upload}.lua"));
    let body = match upload {
        0 => String::new(),
        bytes => format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {bytes})\n"),
    };
    fs::write(&script, body + REPORT).map_err(|error| error.to_string())?;
    let mut command = Command::new(world.tools.wrk.as_ref().ok_or("no wrk")?);
    command.arg(format!("-t{}", cores.len())).arg(format!("-c{CONNECTIONS}")).arg(format!("-d{seconds}s"));
    command.args(["--timeout", "5s", "-s"]).arg(&script);
    if close {
        command.args(["-H", "Connection: close"]);
    }
    let said = process::run(command.arg(url), &cores, limit(seconds))?;
    let line = said.lines().find_map(|line| line.strip_prefix("peers "));
    let numbers = line.unwrap_or_default().split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>();
    match numbers.as_deref() {
        Ok([requests, microseconds, errors, p50, p99, p999]) => Ok(Sample {
            requests: *requests,
            seconds: *microseconds / 1e6,
            errors: *errors,
            percentiles: [*p50, *p99, *p999],
        }),
        _ => Err("wrk printed no figures".to_owned()),
    }
}

fn h2load(world: &World<'_>, setup: &Setup, url: &str, seconds: u64) -> Result<Sample, String> {
    let cores = world.cores.of_load(setup.workers);
    let log = world.folder.join("h2load.log");
    let _ = fs::remove_file(&log);
    let mut command = Command::new(world.tools.h2load.as_ref().ok_or("no h2load")?);
    command.arg(format!("-c{H2_CONNECTIONS}")).arg(format!("-m{H2_STREAMS}"));
    command.arg(format!("-t{}", cores.len().min(H2_CONNECTIONS))).arg(format!("-D{seconds}"));
    command.arg("--log-file").arg(&log);
    let said = process::run(command.arg(url), &cores, limit(seconds))?;
    let count = |line: &str, what: &str| -> Option<f64> {
        let line = said.lines().find_map(|said| said.strip_prefix(line))?;
        let part = line.split(", ").find(|part| part.ends_with(what))?;
        part.split(' ').next()?.parse().ok()
    };
    // "succeeded" is any answer at all, so the status is what counts.
    let (Some(done), Some(succeeded)) = (count("requests: ", " done"), count("status codes: ", " 2xx"))
    else {
        return Err("h2load printed no figures".to_owned());
    };
    Ok(Sample {
        requests: done,
        seconds: seconds as f64,
        errors: (done - succeeded).max(0.0),
        percentiles: percentiles(logged(&log)),
    })
}

/// The last column of h2load's log: microseconds of a request.
fn logged(log: &Path) -> Vec<f64> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter_map(|line| line.rsplit('\t').next()?.parse().ok()).collect()
}
