//! `spanway traces`: the traces of a running collector, in the terminal.

mod layout;
mod list;
mod logs;
mod query;
mod style;
mod tree;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use self::{
    list::{Heading, Seen},
    query::{DEFAULT_LIMIT, NoPair},
    style::Style,
    tree::Tree,
};
use super::{
    client::{self, ClientError},
    intake::Intake,
    otlp_json,
    span::TraceId,
    store::Store,
};
use crate::server::options::TracesOptions;

/// How long `--follow` waits between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How many traces `--follow` asks for at once: more than usually come between two looks.
const FOLLOWED: usize = 200;
/// How many it asks for at most, when more have come.
const MOST_FOLLOWED: usize = 100_000;

/// What `/api/traces` answers.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Vec<Value>>,
    #[serde(default)]
    errors: Option<Vec<Complaint>>,
}

#[derive(Debug, Deserialize)]
struct Complaint {
    msg: String,
}

/// Why nothing, or nothing more, is printed.
#[derive(Debug, thiserror::Error)]
enum TracesError {
    #[error(
        "no collector answers at {address}: {cause}\nstart one with `spanway collector`, or say where it has its pages with --address"
    )]
    NoCollector { address: String, cause: ClientError },
    #[error("what answers at {0} is no collector of spanway; say where one has its pages with --address")]
    NotOurs(String),
    #[error("the collector says: {0}")]
    Refused(String),
    #[error("{0}")]
    Attribute(#[from] NoPair),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Print what `options` ask for. Exit code 1, with the reason on standard error, if that is not to be had.
pub fn run(options: &TracesOptions) -> ExitCode {
    let printed = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TracesError::from)
        .and_then(|runtime| runtime.block_on(print(options, &mut io::stdout())));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough, as `head` does.
        Err(TracesError::Io(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(io::stderr(), "spanway traces: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn print(options: &TracesOptions, out: &mut impl Write) -> Result<(), TracesError> {
    let style = Style::of_environment();
    match &options.trace_id {
        Some(id) if options.json => print_json(out, &data(options, &of_trace(id)).await?),
        Some(id) => print_tree(options, id, style, out).await,
        None if options.follow => follow(options, style, out).await,
        None => {
            let limit = options.limit.unwrap_or(DEFAULT_LIMIT);
            let data = data(options, &query::list(options, limit)?).await?;
            if options.json { print_json(out, &data) } else { print_list(options, &data, style, out) }
        }
    }
}

fn of_trace(id: &str) -> String {
    format!("/api/traces/{}", query::segment(id))
}

fn print_json(out: &mut impl Write, data: &[Value]) -> Result<(), TracesError> {
    for trace in data {
        writeln!(out, "{trace}")?;
    }
    Ok(out.flush()?)
}

fn print_list(
    options: &TracesOptions,
    data: &[Value],
    style: Style,
    out: &mut impl Write,
) -> Result<(), TracesError> {
    let traces = summaries(options, data)?;
    if traces.is_empty() {
        // Not on standard output: a program that reads lines shall find none.
        let _ = writeln!(io::stderr(), "no trace found at {}", options.address);
        return Ok(());
    }
    let width = style::columns();
    writeln!(out, "{}", Heading { style, width })?;
    for trace in &traces {
        writeln!(out, "{}", trace.line(style, width))?;
    }
    Ok(out.flush()?)
}

/// The tree is drawn from OTLP, which has all that the collector has, by the code that draws its pages.
async fn print_tree(
    options: &TracesOptions,
    id: &str,
    style: Style,
    out: &mut impl Write,
) -> Result<(), TracesError> {
    let (status, body) = fetch(options, &format!("/trace/{}.json", query::segment(id))).await?;
    if !status.is_success() {
        return Err(refused(options, &body));
    }
    let not_ours = |_| TracesError::NotOurs(options.address.to_string());
    let (logs, bad_logs) = otlp_json::logs(&body).map_err(not_ours)?;
    let (spans, bad_spans) = otlp_json::traces(&body).map_err(not_ours)?;
    let store = Arc::new(Store::new(usize::MAX));
    let intake = Intake::new(Arc::clone(&store), None);
    intake.logs(logs, bad_logs);
    intake.traces(spans, bad_spans);
    let warnings = warnings(options, id).await?;
    let trace = TraceId::from_short_hex(id).and_then(|id| store.trace(&id));
    if let Some(trace) = trace {
        write!(out, "{}", Tree { trace: &trace, warnings: &warnings, style, width: style::columns() })?;
    }
    Ok(out.flush()?)
}

/// What the collector says of the trace as a whole, for which OTLP has no field.
async fn warnings(options: &TracesOptions, id: &str) -> Result<Vec<String>, TracesError> {
    let (status, body) = fetch(options, &of_trace(id)).await?;
    // Jaeger has no trace without spans; one of which only logs have come is not there.
    if status == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    let data = read::<Answer>(options, &body)?.data.unwrap_or_default();
    let of_trace = |trace: &Value| Vec::<String>::deserialize(trace.get("warnings")?).ok();
    Ok(data.iter().filter_map(of_trace).flatten().collect())
}

/// Print the newest traces, oldest first, and then each new one once no more of it comes.
async fn follow(options: &TracesOptions, style: Style, out: &mut impl Write) -> Result<(), TracesError> {
    let mut limit = FOLLOWED.max(options.limit.unwrap_or_default());
    let path = query::list(options, limit)?;
    let mut seen = Seen::default();
    let first = data(options, &path).await?;
    let traces = summaries(options, &first)?;
    traces.iter().for_each(|trace| seen.mark(trace));
    if !options.json {
        let width = style::columns();
        writeln!(out, "{}", Heading { style, width })?;
    }
    let newest = first.iter().zip(&traces).take(options.limit.unwrap_or(DEFAULT_LIMIT));
    for (json, trace) in newest.collect::<Vec<_>>().into_iter().rev() {
        line(options, json, trace, style, out)?;
    }
    loop {
        out.flush()?;
        tokio::time::sleep(PAUSE).await;
        let (mut data, mut traces);
        loop {
            data = self::data(options, &query::list(options, limit)?).await?;
            traces = summaries(options, &data)?;
            // If none is known, more may have come than were asked for.
            if traces.len() < limit || traces.iter().any(|trace| seen.knows(trace)) {
                break;
            }
            if limit >= MOST_FOLLOWED {
                writeln!(out, "(more than {limit} traces came at once; these are the newest)")?;
                break;
            }
            limit = limit.saturating_mul(4);
        }
        let ready = seen.ready(&traces);
        for ((json, trace), _) in data.iter().zip(&traces).zip(ready).rev().filter(|(_, ready)| *ready) {
            line(options, json, trace, style, out)?;
        }
    }
}

fn line(
    options: &TracesOptions,
    json: &Value,
    trace: &list::Trace,
    style: Style,
    out: &mut impl Write,
) -> io::Result<()> {
    // Asked each time: windows change while they are followed.
    let width = style::columns();
    if options.json { writeln!(out, "{json}") } else { writeln!(out, "{}", trace.line(style, width)) }
}

fn summaries(options: &TracesOptions, data: &[Value]) -> Result<Vec<list::Trace>, TracesError> {
    let not_ours = |_| TracesError::NotOurs(options.address.to_string());
    data.iter().map(|trace| list::Trace::deserialize(trace).map_err(not_ours)).collect()
}

/// The traces that the collector answers to a request for `path`.
async fn data(options: &TracesOptions, path: &str) -> Result<Vec<Value>, TracesError> {
    let (status, body) = fetch(options, path).await?;
    if !status.is_success() {
        return Err(refused(options, &body));
    }
    let answer: Answer = read(options, &body)?;
    answer.data.ok_or_else(|| TracesError::NotOurs(options.address.to_string()))
}

async fn fetch(options: &TracesOptions, path: &str) -> Result<(StatusCode, Bytes), TracesError> {
    let address = &options.address;
    let path = format!("{}{path}", address.base);
    match client::get(&address.authority, &address.authority, &path).await {
        Ok(answer) => Ok((answer.status, answer.body)),
        Err(cause) => Err(TracesError::NoCollector { address: address.to_string(), cause }),
    }
}

fn refused(options: &TracesOptions, body: &[u8]) -> TracesError {
    let told = read::<Answer>(options, body).ok().and_then(|answer| answer.errors?.into_iter().next());
    match told {
        Some(complaint) => TracesError::Refused(style::Plain(&complaint.msg).to_string()),
        None => TracesError::NotOurs(options.address.to_string()),
    }
}

fn read<T: DeserializeOwned>(options: &TracesOptions, body: &[u8]) -> Result<T, TracesError> {
    serde_json::from_slice(body).map_err(|_| TracesError::NotOurs(options.address.to_string()))
}
