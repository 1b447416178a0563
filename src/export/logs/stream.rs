//! Entries for an `AccessLogService`: messages on a stream that stays open, to which nothing is ever answered.
//!
//! So nobody knows whether an entry has arrived. One counts as written when its message was sent and the stream has not
//! failed for a moment after it; what the stream fails upon counts as lost.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Duration, Instant},
};

use super::{Inbox, LAST_EXPORT, Portion, report::hint, wait_until};
use crate::{
    cluster::async_client,
    export::{
        backoff::Backoff,
        call_headers::CallHeaders,
        failure::{Failure, FailureKind, Protocol, Retry, short},
        grpc_call::GrpcCall,
        sender::{Surroundings, destination},
    },
    proto_writer::put_bytes,
    snapshot::delivery::GrpcService,
};

const STREAM_ACCESS_LOGS: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
/// So many bytes are sent in one message, of which receivers take 4 MiB.
const MESSAGE_BYTES: usize = 256 << 10;
/// A stream that has not failed for so long after a message has taken it.
const MOMENT: Duration = Duration::from_secs(1);

/// `StreamAccessLogsMessage.identifier` and `http_logs`
const IDENTIFIER: u32 = 1;
const HTTP_LOGS: u32 = 2;

/// Keeps the stream of one service open.
pub(super) struct LogStream {
    caller: Arc<Caller>,
    identifier: Box<[u8]>,
    backoff: Backoff,
    open: Option<Open>,
}

struct Caller {
    call: GrpcCall,
    headers: CallHeaders,
}

/// A stream that is open, or about to be.
struct Open {
    messages: mpsc::Sender<Bytes>,
    call: Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>,
    sent: Arc<Sent>,
    /// How many messages it was given.
    given: u64,
    /// The latest of these.
    latest: Option<Portion>,
    /// Entries of messages that were sent, the number of the message, and when it was first seen that they were.
    unsettled: VecDeque<(u64, u64, Option<Instant>)>,
}

/// How many messages the connection has asked for.
#[derive(Default)]
struct Sent {
    count: AtomicU64,
    changed: Notify,
}

/// Messages as the connection asks for them.
struct Messages {
    receiver: mpsc::Receiver<Bytes>,
    sent: Arc<Sent>,
}

impl Stream for Messages {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let message = self.receiver.poll_recv(cx);
        if let Poll::Ready(Some(_)) = message {
            self.sent.count.fetch_add(1, Ordering::Relaxed);
            self.sent.changed.notify_one();
        }
        message
    }
}

/// The answer, which has no fields.
#[derive(Clone, PartialEq, prost::Message)]
struct StreamAccessLogsResponse {}

impl LogStream {
    /// To a service, and where that is. It fails if it has no usable address.
    pub(super) fn new(
        service: &GrpcService,
        identifier: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<(Self, String), String> {
        let cluster = around.cluster(service.cluster)?;
        let channel =
            async_client::grpc_channel(Arc::clone(&cluster), &service.authority, around.observer.clone())
                .map_err(|error| error.to_string())?;
        let caller = Caller {
            call: GrpcCall::new(channel, STREAM_ACCESS_LOGS, None, false),
            headers: CallHeaders::new(&service.metadata),
        };
        let stream = Self {
            caller: Arc::new(caller),
            identifier: identifier.into(),
            backoff: Backoff::default(),
            open: None,
        };
        Ok((stream, destination(&cluster.config)))
    }

    /// Send messages until the end, of which what is left of the inbox tells.
    pub(super) async fn run(mut self, mut inbox: Inbox, mut hurry: watch::Receiver<bool>) -> Inbox {
        // Set when the workers are gone.
        let mut end: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if self.open.is_none() && self.backoff.is_over(now) && !inbox.queue.is_empty() {
                self.open = Some(Open::new(Arc::clone(&self.caller)));
            }
            let settles = self.settle(&mut inbox, now);
            let all_given = inbox.queue.is_empty();
            if let Some(end) = end {
                let all_sent = self.open.as_ref().is_none_or(|open| open.latest.is_none());
                if now >= end || all_given && all_sent {
                    break;
                }
            }
            let wake = [self.backoff.until(now), settles, end].into_iter().flatten().min();
            let more = !all_given;
            let progress = async {
                match &mut self.open {
                    Some(open) => open.progress(more).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = inbox.incoming.recv(), if end.is_none() => match received {
                    Some(batch) => inbox.receive(batch),
                    None => {
                        end = Some(Instant::now() + LAST_EXPORT);
                        self.backoff.forget();
                    }
                },
                progress = progress => match progress {
                    Progress::Room => self.give(&mut inbox),
                    Progress::Sent => {}
                    Progress::Ended(outcome) => self.ended(outcome, &mut inbox),
                },
                () = wait_until(wake) => {}
                _ = hurry.wait_for(|hurry| *hurry), if end.is_some() => break,
            }
        }
        self.close(&mut inbox).await;
        inbox
    }

    /// Give the stream its next message.
    fn give(&mut self, inbox: &mut Inbox) {
        let Some(open) = &mut self.open else { return };
        let Some(portion) = inbox.queue.take(MESSAGE_BYTES) else { return };
        let mut message = Vec::with_capacity(portion.batch.bytes.len() + self.identifier.len() + 16);
        if open.given == 0 {
            put_bytes(&mut message, IDENTIFIER, &self.identifier);
        }
        put_bytes(&mut message, HTTP_LOGS, &portion.batch.bytes);
        match open.messages.try_send(message.into()) {
            Ok(()) => {
                open.given += 1;
                open.unsettled.push_back((portion.batch.entries, open.given, None));
                open.latest = Some(portion);
            }
            Err(_) => inbox.put_back(portion),
        }
    }

    /// Count what was sent long enough ago, and say when more will have been.
    fn settle(&mut self, inbox: &mut Inbox, now: Instant) -> Option<Instant> {
        let open = self.open.as_mut()?;
        let sent = open.sent.count.load(Ordering::Relaxed);
        if sent == open.given {
            open.latest = None;
        }
        for (_, number, since) in &mut open.unsettled {
            if *number <= sent {
                since.get_or_insert(now);
            }
        }
        while let Some((entries, _, Some(since))) = open.unsettled.front().copied() {
            if now < since + MOMENT {
                return Some(since + MOMENT);
            }
            open.unsettled.pop_front();
            inbox.stats.count_written(entries);
            self.backoff.forget();
            inbox.report.succeeded(inbox.stats.dropped());
        }
        None
    }

    /// The stream has ended: what was not sent goes to the next one.
    fn ended(&mut self, outcome: Result<(), Failure>, inbox: &mut Inbox) {
        let now = Instant::now();
        self.settle(inbox, now);
        let Some(mut open) = self.open.take() else { return };
        if let Some(unsent) = open.latest.take() {
            open.unsettled.pop_back();
            inbox.put_back(unsent);
        }
        let entries = open.unsettled.iter().map(|(entries, ..)| entries).sum::<u64>();
        let lost_before = inbox.stats.dropped();
        match outcome {
            // Who wants another stream ends this one.
            Ok(()) => {
                inbox.stats.count_written(entries);
                self.backoff.failed(Retry::Soon, now);
            }
            Err(failure) => {
                inbox.stats.count_dropped(entries);
                let retry = if failure.retry == Retry::No { Retry::Soon } else { failure.retry };
                self.backoff.failed(retry, now);
                if entries > 0 || self.backoff.failures() > 1 {
                    // Who has taken entries before speaks gRPC.
                    let spoke = inbox.stats.written() > 0 && failure.kind == FailureKind::Closed;
                    let hint = hint(&failure, Protocol::OtlpGrpc).filter(|_| !spoke);
                    inbox.report.failed(&failure.told(), hint, lost_before);
                }
            }
        }
    }

    /// End the stream, and give it a moment to say what it thinks of its last messages.
    async fn close(mut self, inbox: &mut Inbox) {
        let Some(Open { messages, call, .. }) = &mut self.open else { return };
        // Nothing more comes after this.
        *messages = mpsc::channel(1).0;
        let outcome = tokio::time::timeout(MOMENT, call).await;
        self.ended(outcome.unwrap_or(Ok(())), inbox);
    }
}

enum Progress {
    /// There is room for a message.
    Room,
    /// One was sent.
    Sent,
    /// It has ended.
    Ended(Result<(), Failure>),
}

impl Open {
    fn new(caller: Arc<Caller>) -> Self {
        let (messages, receiver) = mpsc::channel(1);
        let sent = Arc::<Sent>::default();
        let stream = Messages { receiver, sent: Arc::clone(&sent) };
        let call = Box::pin(async move {
            let Caller { call, headers } = &*caller;
            let answer = call.stream::<StreamAccessLogsResponse>(stream, headers).await;
            answer
                .map(|_| ())
                .map_err(|failure| Failure { cause: short(&headers.redact(failure.cause)), ..failure })
        });
        Self { messages, call, sent, given: 0, latest: None, unsettled: VecDeque::new() }
    }

    /// What happens next; room is waited for only if there is `more` to send.
    async fn progress(&mut self, more: bool) -> Progress {
        let room = async {
            match self.messages.reserve().await {
                // It is there still when it is used, since nobody else uses it.
                Ok(_) => {}
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = &mut self.call => Progress::Ended(outcome),
            () = self.sent.changed.notified() => Progress::Sent,
            () = room, if more => Progress::Room,
        }
    }
}
