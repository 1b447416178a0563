//! A client that sends at a constant rate, whatever the answers do: latency counts from when a request was due, so that
//! a pause of the proxy is seen by all the requests that it delayed. The same client can send as fast as answers come,
//! for what is to be counted second by second.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

use crate::{
    client,
    load::{Sample, percentiles},
};

/// Kept-alive connections; more requests than that wait for one.
const CONNECTIONS: usize = 64;

/// A connection, and the request that it waits for.
struct Slot {
    stream: TcpStream,
    /// When the request was due.
    due: Option<Instant>,
    answer: Vec<u8>,
    /// How long the answer is, once its headers are there.
    length: Option<usize>,
}

/// What happens when a connection has something to read.
enum Progress {
    Waits,
    Done,
    Broken,
}

impl Slot {
    fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, due: None, answer: Vec::with_capacity(4096), length: None })
    }

    fn send(&mut self, request: &[u8], due: Instant) -> bool {
        self.due = Some(due);
        self.answer.clear();
        self.length = None;
        // A request is smaller than any socket buffer.
        self.stream.write(request).is_ok_and(|written| written == request.len())
    }

    fn read(&mut self) -> Progress {
        let mut buffer = [0; 16384];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Progress::Broken,
            Ok(read) => self.answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
            Err(_) => return Progress::Broken,
        }
        self.length = self.length.or_else(|| client::length(&self.answer));
        match self.length {
            Some(length) if self.answer.len() >= length => {
                if self.answer.starts_with(b"HTTP/1.1 200") {
                    Progress::Done
                } else {
                    Progress::Broken
                }
            }
            _ => Progress::Waits,
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// So many a second, whatever the answers do.
    Constant(f64),
    /// The next one on each connection as soon as the last is answered.
    Full,
}

/// How a request went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// When it was due, from the start on.
    pub(crate) due: Duration,
    /// Microseconds from then until its answer was there; None if it failed or was not sent in time.
    pub(crate) latency: Option<f64>,
}

/// Sends requests for as long as it is told, and tells of each; the calling thread must be where the load belongs.
pub(crate) fn send(
    port: u16,
    path: &str,
    pace: Pace,
    seconds: u64,
    mut tell: impl FnMut(Outcome),
) -> Result<(), String> {
    // Sleeps are rounded to 50 microseconds otherwise, which is what is measured.
    let _ = nix::sys::prctl::set_timerslack(1);
    let request = client::request(path).into_bytes();
    let slots: io::Result<Vec<Slot>> = (0..CONNECTIONS).map(|_| Slot::open(port)).collect();
    let mut slots = slots.map_err(|error| format!("connecting: {error}"))?;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let due = |number: u64, now: Instant| match pace {
        Pace::Constant(rate) => start + Duration::from_secs_f64(number as f64 / rate),
        Pace::Full => now,
    };
    let outcome = |due: Instant, latency| Outcome { due: due.saturating_duration_since(start), latency };
    let mut next = 0_u64;
    loop {
        let now = Instant::now();
        while due(next, now) <= now && due(next, now) < end {
            let Some(free) = slots.iter_mut().find(|slot| slot.due.is_none()) else { break };
            let this = due(next, now);
            if !free.send(&request, this) {
                tell(outcome(this, None));
                *free = Slot::open(port).map_err(|error| format!("connecting: {error}"))?;
            }
            next += 1;
        }
        let sent_all = due(next, now) >= end;
        let waiting = slots.iter().filter(|slot| slot.due.is_some()).count();
        // What is not answered, or not even sent, a second after the end is not waited for.
        if (sent_all && waiting == 0) || now > end + Duration::from_secs(1) {
            let unsent = (next..).map(|number| due(number, now)).take_while(|due| *due < end);
            let lost = slots.iter().filter_map(|slot| slot.due).chain(unsent);
            lost.for_each(|due| tell(outcome(due, None)));
            return Ok(());
        }
        let full = waiting == slots.len();
        let until = if sent_all || full { now + Duration::from_millis(100) } else { due(next, now) };
        let timeout = until.saturating_duration_since(Instant::now());
        let mut polled: Vec<PollFd<'_>> = slots
            .iter()
            .filter(|slot| slot.due.is_some())
            .map(|slot| PollFd::new(slot.stream.as_fd(), PollFlags::POLLIN))
            .collect();
        let _ = ppoll(&mut polled, Some(TimeSpec::from(timeout)), None);
        let ready: Vec<bool> = polled.iter().map(|polled| polled.any().unwrap_or(false)).collect();
        for (slot, ready) in slots.iter_mut().filter(|slot| slot.due.is_some()).zip(ready) {
            if !ready {
                continue;
            }
            let due = slot.due.unwrap_or(start);
            match slot.read() {
                Progress::Waits => {}
                Progress::Done => {
                    slot.due = None;
                    tell(outcome(due, Some(due.elapsed().as_secs_f64() * 1e6)));
                }
                Progress::Broken => {
                    tell(outcome(due, None));
                    *slot = Slot::open(port).map_err(|error| format!("connecting: {error}"))?;
                }
            }
        }
    }
}

/// Sends `rate` requests a second, and sums up.
pub(crate) fn run(port: u16, path: &str, rate: f64, seconds: u64) -> Result<Sample, String> {
    let (mut errors, mut latencies) = (0_u64, Vec::new());
    let start = Instant::now();
    send(port, path, Pace::Constant(rate), seconds, |outcome| match outcome.latency {
        Some(latency) => latencies.push(latency),
        None => errors += 1,
    })?;
    Ok(Sample {
        requests: latencies.len() as f64,
        seconds: start.elapsed().as_secs_f64().min(seconds as f64 + 1.0),
        errors: errors as f64,
        percentiles: percentiles(latencies),
    })
}
