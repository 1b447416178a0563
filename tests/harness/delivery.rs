//! A proxy whose spans go to a collector that a test can break.

use std::{collections::HashMap, fmt::Debug, time::Duration};

use nix::sys::signal::Signal;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Admin, Behaviour, Bootstrap, CannedUpstream, FaultyCollector, OK, SpanCounts, TestProxy, TracerReport,
    within,
};

/// The way to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    pub(crate) const BOTH: &[Self] = &[Self::Grpc, Self::Http];

    /// Of a tracer: what a call may take.
    pub(crate) fn call_timeout(self, timeout: &str) -> String {
        match self {
            Self::Grpc => format!("grpc_service: {{timeout: {timeout}}}"),
            Self::Http => format!("http_service: {{http_uri: {{timeout: {timeout}}}}}"),
        }
    }
}

/// A proxy with an admin interface, its host, and the collector of its tracer, which is called [`Self::TRACER`].
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) collector: FaultyCollector,
    pub(crate) proxy: TestProxy,
    began: Instant,
    _upstream: CannedUpstream,
}

impl Delivery {
    pub(crate) const TRACER: &'static str = "front";

    /// With a call's time so long that it passes only where an answer does not come.
    pub(crate) async fn start(
        protocol: Protocol,
        behaviour: Behaviour,
        change: impl FnOnce(Bootstrap) -> Bootstrap,
    ) -> Self {
        let upstream = CannedUpstream::answering(OK).await;
        let collector = FaultyCollector::start(behaviour).await;
        let config = Bootstrap::to(upstream.address()).admin();
        let config = match protocol {
            Protocol::Grpc => config.traced_to(collector.address(), Self::TRACER),
            Protocol::Http => config.traced_over_http_to(collector.address(), Self::TRACER),
        };
        let proxy = change(config.tracer(&protocol.call_timeout("10s"))).start().await;
        Self { collector, proxy, began: Instant::now(), _upstream: upstream }
    }

    pub(crate) fn admin(&self) -> Admin {
        self.proxy.admin()
    }

    /// Ask for `/0`, `/1` and so on, `count` times; each is answered 200.
    pub(crate) async fn ask(&self, count: usize) {
        self.ask_from(0, count).await;
    }

    /// The same, beginning with `/first`.
    pub(crate) async fn ask_from(&self, first: usize, count: usize) {
        let mut client = self.proxy.connect().await;
        for number in first..first + count {
            assert_eq!(client.get(&format!("/{number}")).await.status(), 200);
        }
    }

    /// The tracer's report, once it has made `created` spans and none waits any more.
    pub(crate) async fn settled(&self, created: usize) -> TracerReport {
        self.admin().settled(Self::TRACER, created as u64).await
    }

    /// The tracer's report, once it has made `created` spans, and all of them wait.
    pub(crate) async fn waiting(&self, created: usize) -> TracerReport {
        let created = created as u64;
        let waiting = SpanCounts { created, queued: created, ..SpanCounts::default() };
        self.admin().until(Self::TRACER, |report| report.spans == waiting).await
    }

    /// The lines of the log that are about the tracer, since the proxy serves.
    pub(crate) fn log(&self) -> Vec<String> {
        let about = format!("\"{}\"", Self::TRACER);
        let log = self.proxy.log();
        let since = log.lines().skip_while(|line| !line.contains("serving with"));
        since.filter(|line| line.contains(&about)).map(str::to_owned).collect()
    }

    /// Wait until the log says that something is wrong.
    #[track_caller]
    pub(crate) fn warned(&self) -> impl Future<Output = ()> {
        self.log_until(|log| log.iter().any(|line| line.contains("[warning]")))
    }

    /// Wait until the lines of the log are as they should be.
    #[track_caller]
    pub(crate) fn log_until(&self, is: impl Fn(&[String]) -> bool) -> impl Future<Output = ()> {
        within(async move {
            while !is(&self.log()) {
                // Nothing tells when a file changes.
                sleep(Duration::from_millis(20)).await;
            }
        })
    }

    /// The log has as many lines about the tracer, and if this has taken long, one more for each ten seconds.
    #[track_caller]
    pub(crate) fn assert_quiet(&self, lines: usize) {
        let log = self.log();
        let repeated = self.began.elapsed().as_secs() / 10;
        assert!((lines..=lines + repeated as usize).contains(&log.len()), "{lines} lines of {log:#?}");
    }

    /// The numbers of the requests whose spans the collector took, in the order of numbers.
    pub(crate) fn taken(&self) -> Vec<usize> {
        let urls = self.collector.taken();
        let mut numbers: Vec<usize> =
            urls.iter().map(|url| url.trim_start_matches("http://h/").parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// End the proxy, and say how long that took.
    pub(crate) async fn end(&mut self) -> Duration {
        let begin = Instant::now();
        self.proxy.signal(Signal::SIGTERM);
        assert_eq!(self.proxy.exit_code().await, Some(0), "{}", self.proxy.log());
        begin.elapsed()
    }
}

/// Run `test` with all of `cases` at once, and tell with which it fails.
pub(crate) async fn each_at_once<C, T, F>(cases: Vec<C>, test: T)
where
    C: Debug,
    T: Fn(C) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut names = HashMap::new();
    for case in cases {
        let name = format!("{case:?}");
        names.insert(running.spawn(test(case)).id(), name);
    }
    let mut wrong = Vec::new();
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            wrong.push(names[&error.id()].clone());
        }
    }
    assert!(wrong.is_empty(), "see above; wrong with:\n{}", wrong.join("\n"));
}
