//! `spanway explain`: why a request would go where it goes, from a file or from a process that serves.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use form_urlencoded::Serializer;
use http::StatusCode;

use super::{admin_address::AdminAddress, complain, options::ExplainOptions, worker};
use crate::{
    cluster::ClusterState,
    collector::client,
    config::{
        self, Loaded, Problems, Sources,
        lower::{AddressMap, Overrides},
    },
    explain::{self, Explanation, IS_ERROR, Question, Subject, Words},
    snapshot::Snapshot,
};

/// The proxy itself would answer with an error.
const ERROR: u8 = 1;
/// There is nothing to tell.
const USAGE: u8 = 2;

/// What to give instead of an address that does not answer as it should.
const ADMIN: &str =
    "--live takes the address of spanway's admin interface, which its configuration has as admin.address";

/// What is told, and whether the proxy would answer with an error.
struct Told {
    text: String,
    is_error: bool,
}

/// Print what becomes of a request. Exit codes are those of `spanway explain --help`.
pub(super) fn run(options: &ExplainOptions) -> ExitCode {
    let told = match &options.live {
        Some(address) => live(address, options),
        None => from_file(options),
    };
    match told {
        Ok(told) => {
            // A closed standard output is nobody's problem here: the exit code tells, too.
            let _ = io::stdout().write_all(told.text.as_bytes());
            if told.is_error { ERROR.into() } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            complain(&format!("spanway explain: {error}"));
            USAGE.into()
        }
    }
}

fn words(options: &ExplainOptions) -> Words {
    Words {
        request: options.request.clone(),
        headers: options.header.clone(),
        source: options.source.clone(),
        listener: options.listener.clone(),
        random: options.random.map(|random| random.to_string()),
        http: options.http.clone(),
    }
}

fn from_file(options: &ExplainOptions) -> Result<Told, String> {
    let question = Question::read(&words(options)).map_err(|error| error.to_string())?;
    let (loaded, snapshot) = load(options)?;
    let clusters = ClusterState::all(&snapshot);
    let subject = Subject {
        snapshot: &snapshot,
        clusters: &clusters,
        addresses: &[],
        own_ip: worker::own_ip().into(),
        live: None,
    };
    let mut explanation = explain::explain(&subject, &question).map_err(|error| error.to_string())?;
    locate(&mut explanation, &loaded);
    let text = if options.format == "json" {
        let json = serde_json::to_string_pretty(&explanation).map_err(|error| error.to_string())?;
        json + "\n"
    } else {
        explain::as_text(&explanation)
    };
    Ok(Told { text, is_error: explanation.outcome.is_error() })
}

fn load(options: &ExplainOptions) -> Result<(Loaded, Snapshot), String> {
    let sources = Sources {
        path: options.config_path.clone(),
        yaml: options.config_yaml.clone(),
        skip_unsupported: options.skip_unsupported,
    };
    let overrides = Overrides {
        addresses: AddressMap::parse(&options.map_address).map_err(|error| error.to_string())?,
        ..Overrides::default()
    };
    let told = |problems: Problems| format!("the configuration is bad:\n{problems}");
    let (loaded, mut problems) = config::examine(&sources).map_err(told)?;
    let mut found = Problems::new();
    let snapshot = config::lower::lower(&loaded, &overrides, &mut found);
    loaded.add_found(found, &mut problems);
    for warning in loaded.warnings.iter() {
        complain(&format!("warning: {warning}"));
    }
    if problems.is_empty() { Ok((loaded, snapshot)) } else { Err(told(problems)) }
}

/// Say of each place in which file and line it is.
fn locate(explanation: &mut Explanation, loaded: &Loaded) {
    let mut places = explanation.places();
    let positions = loaded.positions(places.iter().map(|place| &*place.path));
    for (place, position) in places.iter_mut().zip(positions) {
        place.position = position.map(|position| position.to_string());
    }
}

/// Ask a process that serves.
fn live(address: &AdminAddress, options: &ExplainOptions) -> Result<Told, String> {
    let words = words(options);
    // What is wrong with the question need not go anywhere to be told.
    Question::read(&words).map_err(|error| error.to_string())?;
    let mut query = Serializer::new(String::new());
    query.append_pair("request", &words.request);
    for header in &words.headers {
        query.append_pair("header", header);
    }
    let optional = [
        ("listener", words.listener),
        ("source", words.source),
        ("random", words.random),
        ("http", words.http),
        ("format", Some(options.format.clone())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let path = format!("/explain?{}", query.finish());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot run: {error}"))?;
    let asked = runtime.block_on(async {
        match address {
            AdminAddress::Tcp(tcp) => {
                client::get(&tcp.authority, &tcp.authority, &format!("{}{path}", tcp.base)).await
            }
            AdminAddress::Unix(socket) => client::get_unix(socket, &path).await,
        }
    });
    let answer = asked.map_err(|error| format!("no proxy answers at {address}: {error}; {ADMIN}"))?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    match (answer.status, answer.headers.get(IS_ERROR).map(|value| value == "true")) {
        (StatusCode::OK, Some(is_error)) => Ok(Told { text, is_error }),
        (StatusCode::BAD_REQUEST, _) => Err(format!("the proxy at {address} says: {}", text.trim_end())),
        (status, _) => Err(format!(
            "what answers at {address} is no proxy that can explain: it says {}; {ADMIN} (Envoy's own cannot explain: give \
             the file of an Envoy by --config-path)",
            status.as_u16()
        )),
    }
}
