//! Sends one marked span by the way that traffic's spans take, and tells of each step.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    failure::{Failure, FailureKind, Protocol},
    sender::{Accepted, Sender, Surroundings},
};
use crate::{
    cluster::async_client::{ConnectStep, Observer},
    snapshot::tracing::Tracer,
    trace::{batch::Batch, otlp::SpanEncoder, probe},
};

/// What became of the span.
#[derive(Debug)]
pub(crate) struct Report {
    /// The way it took, or should have taken.
    pub(crate) route: String,
    /// The trace that it is, in hexadecimal.
    pub(crate) trace_id: String,
    /// The steps, in order, up to the first that failed.
    pub(crate) steps: Vec<Step>,
}

/// A step of the way.
#[derive(Debug)]
pub(crate) struct Step {
    /// What was done.
    pub(crate) name: &'static str,
    /// How it went.
    pub(crate) verdict: Verdict,
    /// How long it took, where that was seen.
    pub(crate) took: Option<Duration>,
    /// What was seen.
    pub(crate) says: String,
    /// What to do, where it failed.
    pub(crate) hint: Option<&'static str>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Well.
    Ok,
    /// There is nothing to do.
    None,
    /// Badly: the spans of requests do not arrive.
    Failed,
}

impl Report {
    /// Whether the span arrived.
    pub(crate) fn is_good(&self) -> bool {
        self.steps.iter().all(|step| step.verdict != Verdict::Failed)
    }
}

impl Step {
    /// One that went well.
    pub(crate) fn ok(name: &'static str, took: Option<Duration>, says: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, took, says: says.into(), hint: None }
    }

    fn none(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::None, took: None, says: says.into(), hint: None }
    }

    fn failed(name: &'static str, took: Option<Duration>, says: String, hint: Option<&'static str>) -> Self {
        Self { name, verdict: Verdict::Failed, took, says, hint }
    }
}

/// When what was seen of a connection.
type Trail = Arc<Mutex<Vec<(Instant, ConnectStep)>>>;

/// Send a span of `tracer`. `resolve` is what was done to find its host.
pub(crate) async fn examine(
    tracer: &Tracer,
    around: &Surroundings<'_>,
    resolve: Option<Step>,
) -> Result<Report, String> {
    let trail = Trail::default();
    let observer: Observer = {
        let trail = Arc::clone(&trail);
        Some(Arc::new(move |step| {
            trail.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), step));
        }))
    };
    let sender = Sender::new(tracer, &Surroundings { observer, ..around.clone() })?;
    let span = probe::span(tracer.id);
    let trace_id = span.trace_id.to_string();
    let batch = Batch::of(span, SpanEncoder::of(tracer, around.node));
    let started = Instant::now();
    let outcome = sender.send(&batch).await;
    let ended = Instant::now();
    let trail = std::mem::take(&mut *trail.lock().unwrap_or_else(PoisonError::into_inner));
    let mut steps = Vec::from_iter(resolve);
    let way = Way { protocol: sender.protocol(), started, ended, trail };
    if way.protocol == Protocol::XRay {
        steps.push(way.datagram(&outcome));
    } else {
        way.tell(&outcome, &mut steps);
    }
    let route = format!("{} to {}", sender.protocol().name(), sender.destination());
    Ok(Report { route, trace_id, steps })
}

/// What was seen of one call.
struct Way {
    protocol: Protocol,
    started: Instant,
    ended: Instant,
    trail: Vec<(Instant, ConnectStep)>,
}

impl Way {
    /// A datagram is sent, and that is all that can be seen.
    fn datagram(&self, outcome: &Result<Accepted, Failure>) -> Step {
        let took = Some(self.ended - self.started);
        match outcome {
            Ok(Accepted { rejected: 0, .. }) => {
                Step::ok("send", took, "the datagram is under way; the daemon does not answer, so look there")
            }
            Ok(accepted) => Step::failed("send", took, accepted.message.clone(), None),
            Err(failure) => Step::failed("send", took, failure.cause.clone(), failure.hint(self.protocol)),
        }
    }

    fn tell(&self, outcome: &Result<Accepted, Failure>, steps: &mut Vec<Step>) {
        let mut last = self.started;
        let mut host = "";
        let (mut connected, mut secured, mut spoke) = (false, false, false);
        for (time, step) in &self.trail {
            let took = Some(*time - last);
            match step {
                ConnectStep::Host(address) => host = address,
                ConnectStep::Connected => {
                    steps.push(Step::ok("connect", took, host));
                    connected = true;
                }
                ConnectStep::Secured(protocol) => {
                    let grpc = self.protocol == Protocol::OtlpGrpc;
                    let agreed = match protocol {
                        Some(protocol) => format!("verified, {protocol} agreed"),
                        None if grpc => "verified, but HTTP/2 was not agreed on, which gRPC needs".to_owned(),
                        None => "verified".to_owned(),
                    };
                    steps.push(Step::ok("TLS", took, agreed));
                    secured = true;
                }
                ConnectStep::Said(bytes) => {
                    if !secured {
                        steps.push(Step::none("TLS", "plain text"));
                        secured = true;
                    }
                    steps.push(self.spoken(bytes, took));
                    spoke = true;
                }
            }
            last = *time;
        }
        if steps.iter().any(|step| step.verdict == Verdict::Failed) {
            return;
        }
        let took = Some(self.ended - last);
        match outcome {
            Ok(accepted) => {
                steps.push(Step::ok("answer", took, "it took the call"));
                steps.push(verdict_of(accepted));
            }
            Err(failure) => {
                let name = match failure.kind {
                    FailureKind::NoHost => "resolve",
                    FailureKind::Tls => "TLS",
                    _ if !connected => "connect",
                    _ if !spoke && failure.kind == FailureKind::OtherProtocol => self.protocol_step(),
                    _ => "answer",
                };
                // What went well at first, as a resolution that found nothing, failed all the same.
                steps.retain(|step| step.name != name);
                steps.push(Step::failed(
                    name,
                    took,
                    format!("it {}", failure.cause),
                    failure.hint(self.protocol),
                ));
            }
        }
    }

    fn protocol_step(&self) -> &'static str {
        if self.protocol == Protocol::OtlpGrpc { "HTTP/2" } else { "HTTP/1.1" }
    }

    /// What the first bytes of the other side are.
    fn spoken(&self, bytes: &[u8], took: Option<Duration>) -> Step {
        let name = self.protocol_step();
        let http1 = bytes.starts_with(b"HTTP/1");
        // The head of a frame: three bytes of length, a type, flags, the stream. It begins with SETTINGS.
        let http2 = matches!(bytes, [0, _, _, 4, _, 0, 0, 0, 0]);
        let tls = matches!(bytes, [21 | 22, 3, ..]);
        let grpc = self.protocol == Protocol::OtlpGrpc;
        let failed = |says: &str, hint| Step::failed(name, took, says.to_owned(), Some(hint));
        match () {
            () if http2 && grpc => Step::ok(name, took, "it greets with SETTINGS"),
            () if http1 && !grpc => Step::ok(name, took, "it answers in HTTP/1.1"),
            () if http1 => {
                failed("it answers in HTTP/1.1", "this port speaks HTTP: use 4318 or http_service")
            }
            () if http2 => failed("it speaks HTTP/2", "this port speaks gRPC: use 4317 or grpc_service"),
            () if tls => {
                failed("it answers in TLS", "give the cluster a transport_socket, or an https address")
            }
            () => failed("it answers in no HTTP", "check that an OTLP collector listens on this port"),
        }
    }
}

fn verdict_of(accepted: &Accepted) -> Step {
    let said = &accepted.message;
    match (accepted.rejected, said.as_str()) {
        (0, "") => Step::ok("accepted", None, "the span was taken"),
        (0, said) => Step::ok("accepted", None, format!("the span was taken, with the remark: {said}")),
        (_, said) => Step::failed("accepted", None, format!("the span was rejected: {said}"), None),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.route)?;
        for step in &self.steps {
            let verdict = match step.verdict {
                Verdict::Ok => "ok",
                Verdict::None => "-",
                Verdict::Failed => "FAILED",
            };
            let took =
                step.took.map(|took| format!("{:.1} ms", took.as_secs_f64() * 1e3)).unwrap_or_default();
            writeln!(f, "  {verdict:<7}{:<9}{took:>10}  {}", step.name, step.says)?;
            if let Some(hint) = step.hint {
                writeln!(f, "{:30}{hint}", "")?;
            }
        }
        if self.is_good() {
            writeln!(f, "  look for the trace {} (\"{}\")", self.trace_id, probe::NAME)?;
        }
        Ok(())
    }
}
