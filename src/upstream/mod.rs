//! One request on one connection to a host.

pub(crate) mod codec_client;
pub(crate) mod conn_pool;
pub(crate) mod connect;
mod counted;
mod host_permit;
mod slot;
pub(crate) mod tls_failure;
mod transport_socket;

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
};
use http_body::{Body, Frame, SizeHint};
use hyper::{Request, Response, Version, body::Incoming};

use self::tls_failure::TlsFailure;
use self::{
    codec_client::{Http1Client, Http2Stream},
    conn_pool::HostPool,
    host_permit::HostPermit,
    slot::Slot,
};
use crate::{
    body::RequestBody,
    snapshot::cluster::UpstreamProtocol,
    stream_info::{StreamInfo, flags::ResponseFlag},
    trace::attempt,
};

/// Connections that a request over HTTP/2 is tried on, if each is closed before anything of it is sent.
const MAX_HTTP2_CONNECTIONS: u32 = 3;

/// Runs hyper's tasks on the worker they belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection: refused, unreachable.
    Connect(io::ErrorKind),
    /// A connection, and no TLS on it.
    Tls(TlsFailure),
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// The host closed or reset the connection.
    Terminated,
    /// The host reset the stream (HTTP/2).
    Reset,
    /// The host refused the stream (HTTP/2, `REFUSED_STREAM`).
    Refused,
    /// What the host sent is not HTTP.
    Protocol,
    /// The request itself broke off on its way.
    RequestBroken,
    /// A circuit breaker is open.
    Overflow,
}

impl Failure {
    /// The reason in Envoy's words, as spans have it (`error.reason`).
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Tls(_) => "remote connection failure",
            Self::ConnectTimeout => "connection timeout",
            Self::Terminated => "connection termination",
            Self::Reset => "remote reset",
            Self::Refused => "remote refused stream reset",
            Self::Protocol => "protocol error",
            Self::RequestBroken => "local reset",
            Self::Overflow => "overflow",
        }
    }

    /// The same in a few words for people, after the host's address.
    pub(crate) const fn for_people(self) -> &'static str {
        match self {
            Self::Connect(io::ErrorKind::ConnectionRefused) => "refused the connection",
            Self::Connect(io::ErrorKind::HostUnreachable) => "cannot be reached",
            Self::Connect(io::ErrorKind::NetworkUnreachable) => "is in a network that cannot be reached",
            Self::Connect(_) => "no connection could be opened",
            Self::Tls(failure) => failure.for_people().0,
            Self::ConnectTimeout => "took no connection in time",
            Self::Terminated => "closed the connection",
            Self::Reset => "reset the stream",
            Self::Refused => "refused the stream",
            Self::Protocol => "sent what is not HTTP",
            Self::RequestBroken => "the request broke off",
            Self::Overflow => "a circuit breaker was open",
        }
    }

    /// Why there is no connection, in Envoy's words; empty if that is not why, or cannot be said.
    pub(crate) const fn transport_reason(self) -> &'static str {
        match self {
            Self::Connect(io::ErrorKind::ConnectionRefused) => "delayed_connect_error:_Connection_refused",
            Self::Connect(io::ErrorKind::HostUnreachable) => "delayed_connect_error:_No_route_to_host",
            Self::Connect(io::ErrorKind::NetworkUnreachable) => {
                "delayed_connect_error:_Network_is_unreachable"
            }
            Self::Connect(io::ErrorKind::ConnectionReset) => {
                "delayed_connect_error:_Connection_reset_by_peer"
            }
            Self::Tls(failure) => failure.names().0,
            _ => "",
        }
    }

    /// The flag that it sets; none for what is the client's fault.
    pub(crate) const fn flag(self) -> Option<ResponseFlag> {
        Some(match self {
            Self::Connect(_) | Self::Tls(_) | Self::ConnectTimeout => ResponseFlag::UpstreamConnectionFailure,
            Self::Terminated => ResponseFlag::UpstreamConnectionTermination,
            Self::Reset | Self::Refused => ResponseFlag::UpstreamRemoteReset,
            Self::Protocol => ResponseFlag::UpstreamProtocolError,
            Self::Overflow => ResponseFlag::UpstreamOverflow,
            Self::RequestBroken => return None,
        })
    }

    /// What an error in the middle of a response's body means: one that ends too early breaks its framing (RFC 9112, 8).
    pub(crate) fn of_body(error: &hyper::Error) -> Self {
        match Self::of_exchange(error) {
            Self::Reset => Self::Reset,
            _ => Self::Protocol,
        }
    }

    /// What an error of hyper's client means.
    pub(crate) fn of_exchange(error: &hyper::Error) -> Self {
        // The "user" of hyper's client is us: the body that we gave it has failed.
        if error.is_user() {
            return Self::RequestBroken;
        }
        if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
            return Self::Protocol;
        }
        let http2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
        match http2 {
            Some(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => Self::Refused,
            Some(error) if error.is_reset() && error.is_remote() => Self::Reset,
            Some(error) if error.is_reset() || error.is_library() => Self::Protocol,
            _ => Self::Terminated,
        }
    }
}

/// Send `request` to the pool's host and wait for its response's headers. A request that met a connection which
/// the host had just closed, and of which nothing was sent, goes out again on another one.
pub(crate) async fn exchange(
    pool: &Rc<HostPool>,
    mut request: Request<RequestBody>,
    info: &Rc<StreamInfo>,
) -> Result<Response<UpstreamBody>, Failure> {
    let http2 = match &pool.cluster.config.protocol {
        UpstreamProtocol::Http1 { .. } => None,
        UpstreamProtocol::Http2(options) => Some(options),
        UpstreamProtocol::Downstream { http2, .. } => (info.protocol == Version::HTTP_2).then_some(http2),
    };
    // A route may have added it, unasked by the client.
    let upgrade = request.headers().contains_key(UPGRADE);
    for connections in 1.. {
        // A host that closes every new connection is not asked for ever.
        let last;
        let permit;
        let (outcome, mut lease) = if let Some(options) = http2 {
            let mut client = pool.http2(options).await?;
            info.connected.set(true);
            permit = admit(pool)?;
            // h2 sends a request without an authority only if it comes from HTTP/1, where a host may be empty.
            *request.version_mut() =
                if request.uri().authority().is_some() { Version::HTTP_2 } else { Version::HTTP_11 };
            attempt::connected(info, Version::HTTP_2);
            info.count(|stats| stats.upstream_rq_total.inc());
            if let Some(observed) = &info.observed {
                observed.connected(client.facts(), Version::HTTP_2);
            }
            let stream = client.stream();
            last = connections == MAX_HTTP2_CONNECTIONS;
            (client.send(request).await, Lease::Http2(stream))
        } else {
            let mut client = pool.http1().await?;
            info.connected.set(true);
            permit = match admit(pool) {
                Ok(permit) => permit,
                Err(failure) => {
                    pool.put_back(client);
                    return Err(failure);
                }
            };
            *request.version_mut() = Version::HTTP_11;
            attempt::connected(info, Version::HTTP_11);
            info.count(|stats| stats.upstream_rq_total.inc());
            if let Some(observed) = &info.observed {
                observed.connected(&client.facts, Version::HTTP_11);
            }
            last = client.served == 0;
            let slot = if upgrade { client.slot() } else { None };
            let sent = client.send(request);
            let lease = Lease::Http1(Http1Lease {
                client: Some(client),
                pool: Rc::clone(pool),
                info: Rc::clone(info),
                // What a host makes of a request to switch protocols that it does not take is not sure.
                reusable: !upgrade,
                slot,
            });
            (sent.await, lease)
        };
        match outcome {
            Ok(mut response) => {
                if http2.is_none() {
                    check_framing(&response)?;
                    lease.note_version(response.version());
                }
                *response.version_mut() = Version::HTTP_11;
                return Ok(response.map(|incoming| UpstreamBody {
                    incoming,
                    lease: Some(lease),
                    permit: Some(permit),
                }));
            }
            Err(mut error) => match error.take_message() {
                Some(unsent) if !last => request = unsent,
                _ => return Err(Failure::of_exchange(error.error())),
            },
        }
    }
    Err(Failure::Terminated)
}

/// Count a request that now has a connection against the cluster's limit.
fn admit(pool: &Rc<HostPool>) -> Result<HostPermit, Failure> {
    HostPermit::request(pool).ok_or(Failure::Overflow)
}

/// Refuse a response whose end cannot be told for sure (RFC 9112, 6.3): what follows on its connection might be
/// taken for another request's response.
fn check_framing(response: &Response<Incoming>) -> Result<(), Failure> {
    let (mut chunked, mut length) = (false, None);
    for (name, value) in response.headers() {
        let value = value.as_bytes();
        if name == TRANSFER_ENCODING {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Failure::Protocol);
            }
            chunked = true;
        } else if name == CONTENT_LENGTH {
            if length.is_some() || !value.iter().all(u8::is_ascii_digit) {
                return Err(Failure::Protocol);
            }
            length = Some(value);
        }
    }
    let no_content = response.status() == StatusCode::NO_CONTENT;
    match length {
        Some(_) if chunked => Err(Failure::Protocol),
        Some(length) if no_content && length != b"0" => Err(Failure::Protocol),
        _ => Ok(()),
    }
}

/// The body of a host's response. At its end the connection goes back to its pool; dropped before, the
/// exchange is cancelled.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
    permit: Option<HostPermit>,
}

/// A tunnel counts as the request that it began as, and as a connection, for as long as it lives.
#[derive(Debug)]
pub(crate) struct TunnelGuard {
    slot: Option<Rc<Slot>>,
    _permit: Option<HostPermit>,
}

impl TunnelGuard {
    /// The tunnel ends from this side.
    pub(crate) fn close_here(&self) {
        if let Some(slot) = &self.slot {
            slot.close_here();
            slot.count_streams(1, 1);
        }
    }
}

/// What an exchange holds of a pool.
#[derive(Debug)]
enum Lease {
    Http1(Http1Lease),
    Http2(#[expect(dead_code, reason = "counts until dropped")] Http2Stream),
}

/// An HTTP/1 connection in use. Dropped while it still holds one, it closes it: its response was not read whole.
#[derive(Debug)]
struct Http1Lease {
    client: Option<Http1Client>,
    pool: Rc<HostPool>,
    info: Rc<StreamInfo>,
    reusable: bool,
    /// Of a request to switch protocols: the connection's place, which outlives its codec.
    slot: Option<Rc<Slot>>,
}

impl Lease {
    /// A host that answers HTTP/1.0 gets each request on a connection of its own.
    fn note_version(&mut self, version: Version) {
        if let Self::Http1(lease) = self {
            lease.reusable &= version == Version::HTTP_11;
        }
    }
}

impl Http1Lease {
    fn give_back(mut self) {
        // A response that comes before the request is sent whole leaves a connection that means nothing.
        if self.reusable
            && self.info.request_end.get().is_some()
            && let Some(client) = self.client.take()
        {
            self.pool.put_back(client);
        } else if !self.reusable
            && let Some(client) = self.client.take()
        {
            client.abort();
        }
    }
}

impl Drop for Http1Lease {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            slot::count_cut(self.pool.cluster.config.stats.mine(), !client.is_closed());
            client.abort();
        }
    }
}

impl UpstreamBody {
    /// The response is a switch of protocols: the connection belongs to the tunnel now.
    pub(crate) fn into_tunnel(mut self) -> TunnelGuard {
        let slot = match self.lease.take() {
            Some(Lease::Http1(mut lease)) => {
                lease.client.take();
                lease.slot.take()
            }
            _ => None,
        };
        TunnelGuard { slot, _permit: self.permit.take() }
    }

    /// The body has been read whole.
    fn finish(&mut self) {
        match self.lease.take() {
            Some(Lease::Http1(lease)) => lease.give_back(),
            Some(Lease::Http2(_)) | None => {}
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        match &frame {
            None => this.finish(),
            // Nothing follows trailers, and hyper's server stops asking once the body says that it is at its end.
            Some(Ok(frame)) if frame.is_trailers() || this.incoming.is_end_stream() => this.finish(),
            // An error leaves the lease to be dropped, which closes the connection.
            Some(_) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // A response without body is never polled.
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }
}
