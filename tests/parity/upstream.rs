//! Hosts that answer as a scenario says and keep what they were asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{Instant, sleep},
};

use crate::{
    collector,
    frames::{self, PREFACE},
    http1,
    message::Message,
    scenario::{Answer, Then, UpstreamSpec},
    upstream_h2,
    wire::Wire,
};

/// A host on a port of its own.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    listener: Option<TcpListener>,
    task: Option<AbortHandle>,
    pub(crate) received: Received,
}

/// What arrived at a host, in its order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Message>,
    connections: usize,
    /// The ports at the other ends.
    ports: Vec<u16>,
    last: Option<Instant>,
}

impl Received {
    /// A new request; its number.
    pub(crate) fn begin(&self, message: Message) -> usize {
        let mut log = self.0.lock().unwrap();
        log.last = Some(Instant::now());
        log.requests.push(message);
        log.requests.len() - 1
    }

    /// The request is known better now.
    pub(crate) fn update(&self, number: usize, message: Message) {
        let mut log = self.0.lock().unwrap();
        log.last = Some(Instant::now());
        log.requests[number] = message;
    }

    /// The same, in place.
    pub(crate) fn change(&self, number: usize, change: impl FnOnce(&mut Message)) {
        let mut log = self.0.lock().unwrap();
        log.last = Some(Instant::now());
        change(&mut log.requests[number]);
    }

    pub(crate) fn get(&self, number: usize) -> Message {
        self.0.lock().unwrap().requests[number].clone()
    }

    pub(crate) fn all(&self) -> Vec<Message> {
        self.0.lock().unwrap().requests.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().requests.len()
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.0.lock().unwrap().ports.clone()
    }

    /// When something arrived last.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.0.lock().unwrap().last
    }
}

/// How a host answers.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) spec: UpstreamSpec,
    /// As collectors do, unless the scenario says otherwise.
    is_collector: bool,
}

impl Script {
    /// The answer to request number `number`.
    pub(crate) fn answer(&self, number: usize, request: &Message) -> Answer {
        let sequence = &self.spec.sequence;
        match sequence.get(number).or(sequence.last()) {
            Some(answer) => answer.clone(),
            None if self.is_collector => collector::answer(request),
            None => Answer::default(),
        }
    }
}

impl Host {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, listener: Some(listener), task: None, received: Received::default() }
    }

    /// Begin to answer.
    pub(crate) fn serve(&mut self, spec: UpstreamSpec, is_collector: bool) {
        let Some(listener) = self.listener.take() else { return };
        let received = self.received.clone();
        let script = Arc::new(Script { spec, is_collector });
        let task = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let number = {
                    let mut log = received.0.lock().unwrap();
                    log.connections += 1;
                    log.ports.push(peer.port());
                    log.connections - 1
                };
                tokio::spawn(connection(stream, number, Arc::clone(&script), received.clone()));
            }
        });
        self.task = Some(task.abort_handle());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Serve one connection in the version that it speaks.
async fn connection(stream: TcpStream, number: usize, script: Arc<Script>, received: Received) {
    let mut wire = Wire::new(stream);
    while wire.buffer.len() < PREFACE.len() && PREFACE.starts_with(&wire.buffer) {
        if !wire.fill().await {
            return;
        }
    }
    if wire.buffer.starts_with(PREFACE) {
        wire.buffer.drain(..PREFACE.len());
        wire.writer.send(frames::frame(frames::SETTINGS, 0, 0, &[]));
        upstream_h2::serve(wire, number, script, received).await;
    } else {
        serve(wire, number, script, received).await;
    }
}

/// HTTP/1, one request after the other.
async fn serve(mut wire: Wire, connection: usize, script: Arc<Script>, received: Received) {
    loop {
        let mut request = Message { connection, ..Message::default() };
        if !http1::read_request_head(&mut wire, &mut request).await {
            return;
        }
        let number = received.begin(request.clone());
        let answer = script.answer(number, &request);
        if !answer.early {
            http1::read_request_body(&mut wire, &mut request).await;
            received.update(number, request.clone());
        }
        sleep(answer.delay.0).await;
        if script.spec.websocket && request.header("upgrade").is_some() || request.method() == "CONNECT" {
            wire.writer.send(switch(&answer, &request));
            return echo(wire, number, &received).await;
        }
        wire.writer.send(respond(&answer, request.method() == "HEAD"));
        if answer.early {
            http1::read_request_body(&mut wire, &mut request).await;
            received.update(number, request);
        }
        match answer.then {
            Then::Open => {}
            Then::Close => return,
            Then::Reset => {
                wire.writer.reset();
                return;
            }
        }
    }
}

/// The bytes of an answer.
fn respond(answer: &Answer, is_head: bool) -> Vec<u8> {
    if let Some(raw) = &answer.raw {
        return raw.as_bytes().to_vec();
    }
    let bodiless = matches!(answer.status, 100..=199 | 204 | 304);
    let says = |name: &str| answer.headers.0.iter().any(|(found, _)| found.eq_ignore_ascii_case(name));
    let mut text = format!("HTTP/1.1 {} Status\r\n", answer.status);
    for (name, value) in &answer.headers.0 {
        text += &format!("{name}: {value}\r\n");
    }
    if answer.chunked {
        text += "transfer-encoding: chunked\r\n";
    } else if !bodiless && !says("content-length") && !says("transfer-encoding") {
        text += &format!("content-length: {}\r\n", answer.body.len());
    }
    text += "\r\n";
    if is_head || bodiless {
        return text.into_bytes();
    }
    if answer.chunked {
        if !answer.body.is_empty() {
            text += &format!("{:x}\r\n{}\r\n", answer.body.len(), answer.body);
        }
        text += "0\r\n";
        for (name, value) in &answer.trailers.0 {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
    } else {
        text += &answer.body;
    }
    text.into_bytes()
}

/// The answer to an upgrade.
fn switch(answer: &Answer, request: &Message) -> Vec<u8> {
    let mut text = match request.header("upgrade") {
        Some(protocol) => {
            format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: {protocol}\r\nconnection: Upgrade\r\n")
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    for (name, value) in &answer.headers.0 {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

/// Send back what comes.
async fn echo(mut wire: Wire, number: usize, received: &Received) {
    loop {
        let bytes = std::mem::take(&mut wire.buffer);
        if !bytes.is_empty() {
            received.change(number, |request| request.raw.get_or_insert_default().extend(&bytes));
            wire.writer.send(bytes);
        }
        if !wire.fill().await {
            return;
        }
    }
}
