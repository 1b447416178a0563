//! Clients: send what a scenario says and keep what comes back.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
    time::Duration,
};

use regex::Regex;
use tokio::{
    net::TcpSocket,
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    h2::H2Client,
    http1,
    message::Message,
    scenario::{Bytes, Piece, RequestSpec},
    wire::{End, Wire},
    world::World,
};

/// How long to wait for responses.
const FOR_RESPONSES: Duration = Duration::from_secs(4);
/// How long to wait for a close that is announced, and for one that is not.
const FOR_ANNOUNCED_CLOSE: Duration = Duration::from_secs(3);
const FOR_CLOSE: Duration = Duration::from_millis(600);
const SHORTLY: Duration = Duration::from_millis(50);
/// How long a host may take to see a request, if it is to see it.
const FOR_ARRIVAL: Duration = Duration::from_millis(500);
/// A tunnel that is silent for so long says no more.
const SILENCE: Duration = Duration::from_millis(300);

/// Where a request begins, to know its method.
static START_LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^(\S+) \S+ HTTP/1\.\d\r?$").unwrap());

/// What one request led to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) responses: Vec<Message>,
    /// What became of the connection, if this was the last on it.
    pub(crate) last: Option<Last>,
}

/// The end of what a client sees of a connection.
#[derive(Debug, Default)]
pub(crate) struct Last {
    pub(crate) state: &'static str,
    /// Bytes that belong to no response.
    pub(crate) extra: Vec<u8>,
    pub(crate) goaway: Option<String>,
}

/// All requests of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) outcomes: Vec<Outcome>,
    /// The clients' own ports.
    pub(crate) ports: Vec<u16>,
}

/// A connection, in its version.
enum Connection {
    Http1(Http1),
    Http2(H2Client),
}

struct Http1 {
    wire: Wire,
    /// Of the requests that have no response yet.
    methods: VecDeque<String>,
    is_tunnel: bool,
}

/// Send a scenario's requests, one after the other.
pub(crate) async fn run(world: &World) -> Result<Outcomes, String> {
    let mut open: HashMap<String, Connection> = HashMap::new();
    let mut ends: Vec<(usize, JoinHandle<Last>)> = Vec::new();
    let mut all = Outcomes::default();
    let requests = &world.spec.requests;
    for (index, request) in requests.iter().enumerate() {
        if let Some(pause) = request.after {
            sleep(pause.0).await;
        }
        let name = request.connection.clone().unwrap_or_else(|| format!("#{index}"));
        let mut connection = match open.remove(&name) {
            Some(connection) => connection,
            None => match connect(world, request).await? {
                Some((wire, port)) => {
                    all.ports.push(port);
                    if request.h2.is_some() {
                        Connection::Http2(H2Client::new(wire))
                    } else if begins_http2(request) {
                        Connection::Http2(H2Client::silent(wire))
                    } else {
                        Connection::Http1(Http1 { wire, methods: VecDeque::new(), is_tunnel: false })
                    }
                }
                None => {
                    let last = Last { state: "refused", ..Last::default() };
                    all.outcomes.push(Outcome { responses: Vec::new(), last: Some(last) });
                    continue;
                }
            },
        };
        let responses = match &mut connection {
            Connection::Http1(connection) => connection.ask(request, world).await,
            Connection::Http2(client) => {
                if let Some(Bytes::Pieces(pieces)) = &request.send {
                    send_pieces(&client.wire, pieces).await;
                }
                client.ask(request, FOR_RESPONSES, world).await
            }
        };
        let wait = patience(request, responses.last());
        let has_response = !responses.is_empty();
        all.outcomes.push(Outcome { responses, last: None });
        let is_last = !requests[index + 1..].iter().any(|later| later.connection.as_ref() == Some(&name));
        if !is_last {
            open.insert(name, connection);
        } else if request.leave_after.is_none() {
            ends.push((index, tokio::spawn(end(connection, wait, has_response))));
        }
    }
    for (index, last) in ends {
        all.outcomes[index].last = Some(last.await.map_err(|error| error.to_string())?);
    }
    Ok(all)
}

/// How long to wait for the close.
fn patience(request: &RequestSpec, response: Option<&Message>) -> Duration {
    let says_close = |response: &Message| {
        response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    };
    match request.wait {
        Some(wait) => wait.0,
        None if response.is_some_and(|response| says_close(response) || !response.complete) => {
            FOR_ANNOUNCED_CLOSE
        }
        None => FOR_CLOSE,
    }
}

/// Connect from where the scenario says; none if refused.
async fn connect(world: &World, request: &RequestSpec) -> Result<Option<(Wire, u16)>, String> {
    let listeners = &world.spec.listeners;
    let name = match &request.to {
        Some(name) => name.as_str(),
        None if listeners.contains_key("in") => "in",
        None => listeners.keys().next().map_or("in", String::as_str),
    };
    if !listeners.contains_key(name) {
        return Err(format!("no listener is called {name}"));
    }
    let from: IpAddr =
        request.from.as_deref().unwrap_or("127.0.0.1").parse().map_err(|_| "from is no address")?;
    let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
    socket.bind(SocketAddr::new(from, 0)).map_err(|error| format!("from {from}: {error}"))?;
    let Ok(stream) = socket.connect(world.address(name)).await else { return Ok(None) };
    let port = stream.local_addr().map_err(|error| error.to_string())?.port();
    Ok(Some((Wire::new(stream), port)))
}

/// See what becomes of the connection.
async fn end(connection: Connection, wait: Duration, has_response: bool) -> Last {
    let is_http1 = matches!(connection, Connection::Http1(_));
    let (mut wire, goaway) = match connection {
        Connection::Http1(connection) => (connection.wire, None),
        Connection::Http2(client) => client.end(wait).await,
    };
    if is_http1 {
        wire.drain(wait).await;
    }
    let state = match wire.end {
        None => "open",
        // An end is a reset if something of the client's was underway, such as its SETTINGS: a matter of time.
        Some(End::Reset) if is_http1 && has_response => "reset",
        Some(_) => "closed",
    };
    Last { state, extra: std::mem::take(&mut wire.buffer), goaway }
}

impl Http1 {
    async fn ask(&mut self, request: &RequestSpec, world: &World) -> Vec<Message> {
        let before = world.arrived();
        self.send(request).await;
        if request.half_close || request.leave_after.is_some() {
            arrival(world, before).await;
        }
        if request.half_close {
            sleep(SHORTLY).await;
            self.wire.writer.finish();
        }
        let wait = request.leave_after.or(request.wait).map_or(FOR_RESPONSES, |wait| wait.0);
        let deadline = Instant::now() + wait;
        let wanted = request.responses.unwrap_or(1);
        let mut responses = Vec::new();
        let mut finals = 0;
        while finals < wanted {
            let mut response = Message::default();
            if self.is_tunnel {
                self.read_tunnel(&mut response, deadline).await;
                responses.extend(response.raw.is_some().then_some(response));
                break;
            }
            let method = self.methods.front().cloned().unwrap_or_default();
            let read = http1::read_response(&mut self.wire, &mut response, &method);
            let read = timeout_at(deadline, read).await;
            if response.start.is_none() {
                break;
            }
            if http1::is_tunnel(&response, &method) {
                self.is_tunnel = true;
                self.read_tunnel(&mut response, deadline).await;
            }
            if self.is_tunnel || !(100..200).contains(&response.status()) {
                finals += 1;
                self.methods.pop_front();
            }
            responses.push(response);
            if !matches!(read, Ok(true)) {
                break;
            }
        }
        responses
    }

    async fn send(&mut self, request: &RequestSpec) {
        let mut sent = Vec::new();
        match &request.send {
            None => sent.extend(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
            Some(Bytes::Text(text)) => sent.extend(lines(text).into_bytes()),
            Some(Bytes::Pieces(pieces)) => {
                sent = send_pieces(&self.wire, pieces).await;
            }
        }
        if !self.is_tunnel {
            let text = String::from_utf8_lossy(&sent);
            self.methods.extend(START_LINE.captures_iter(&text).map(|found| found[1].to_owned()));
        }
        if !matches!(request.send, Some(Bytes::Pieces(_))) {
            self.wire.writer.send(sent);
        }
    }

    /// Read on until it is silent.
    async fn read_tunnel(&mut self, message: &mut Message, deadline: Instant) {
        if message.start.is_none() && self.wire.buffer.is_empty() {
            let _ = timeout_at(deadline, self.wire.fill()).await;
        }
        while let Ok(true) = timeout(SILENCE, self.wire.fill()).await {}
        let bytes = std::mem::take(&mut self.wire.buffer);
        message.raw = (!bytes.is_empty()).then_some(bytes);
    }
}

/// Wait until a host has seen more than `before`: what a client breaks off is underway then, however busy the machine.
pub(crate) async fn arrival(world: &World, before: usize) {
    let seen = async {
        while world.arrived() == before {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(FOR_ARRIVAL, seen).await;
}

/// Whether the bytes are those of HTTP/2, written by hand.
fn begins_http2(request: &RequestSpec) -> bool {
    let Some(Bytes::Pieces(pieces)) = &request.send else { return false };
    matches!(pieces.first(), Some(Piece::Bytes(text)) if text.starts_with("PRI * HTTP/2.0\r\n"))
}

/// Send exact bytes; all that were sent.
async fn send_pieces(wire: &Wire, pieces: &[Piece]) -> Vec<u8> {
    let mut sent = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(text) => {
                let bytes = exact(text);
                sent.extend(&bytes);
                wire.writer.send(bytes);
            }
            Piece::Pause { pause } => sleep(pause.0).await,
        }
    }
    sent
}

/// Lines as HTTP/1 ends them. Without an empty line it is a head.
fn lines(text: &str) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text =
        if text.contains("\n\n") || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n\n") };
    let text = if text.ends_with('\n') && !text.contains("\n\n") { text + "\n" } else { text };
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Characters up to U+00FF are bytes.
fn exact(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for letter in text.chars() {
        match u8::try_from(u32::from(letter)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend(letter.to_string().into_bytes()),
        }
    }
    bytes
}
