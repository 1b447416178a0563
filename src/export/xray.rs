//! Finished spans as the daemon of AWS X-Ray takes them: a datagram each.

use std::{
    borrow::Cow,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::SystemTime,
};

use serde_json::Map;
use tokio::net::UdpSocket;

use super::{failure::Failure, sender::Accepted};
use crate::{
    snapshot::{
        Node,
        tracing::{Conventions, XRay},
    },
    trace::{
        FinishedSpan, Subject,
        attributes::{self, Emitter},
        context::Carrier,
        xray::{MAX_DATAGRAM, ParentId, Segment, TraceId},
    },
};

/// Sends spans to an X-Ray daemon.
#[derive(Debug)]
pub(super) struct XRaySender {
    socket: UdpSocket,
    node: Node,
    tracer: XRay,
    conventions: Conventions,
}

impl XRaySender {
    /// For the spans of that node. Needs a runtime.
    pub(super) fn new(node: &Node, (tracer, conventions): (&XRay, Conventions)) -> io::Result<Self> {
        let any: SocketAddr = match tracer.daemon {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        // So that the system tells of a port on this machine where nobody listens.
        socket.connect(tracer.daemon)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            node: node.clone(),
            tracer: tracer.clone(),
            conventions,
        })
    }

    /// Send `spans`, each by itself: those that cannot be sent count as rejected. A datagram that nobody takes is lost
    /// unseen.
    pub(super) async fn send(&self, spans: &[FinishedSpan]) -> Result<Accepted, Failure> {
        let mut accepted = Accepted::default();
        for span in spans {
            let datagram = self.datagram(span);
            let sent = if datagram.len() > MAX_DATAGRAM {
                Err(format!("a segment of {} bytes fits no datagram", datagram.len()))
            } else {
                let sent = self.socket.send(&datagram).await;
                sent.map_err(|error| error.to_string())
            };
            match sent {
                Ok(bytes) => accepted.bytes += bytes,
                Err(error) => {
                    accepted.rejected += 1;
                    accepted.message = error;
                }
            }
        }
        Ok(accepted)
    }

    fn datagram(&self, span: &FinishedSpan) -> Vec<u8> {
        let emitter = Emitter { node_id: &self.node.id, zone: &self.node.zone };
        let tags: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            attributes::attributes(span, Some(emitter), self.conventions)
                .into_texts()
                .map(|(key, value)| (key.into(), value))
                .collect();
        let above = span.parent.map(|parent| ParentId::Number(u64::from_be_bytes(parent.to_bytes())));
        let of_trace = TraceId::Number(u128::from_be_bytes(span.trace_id.to_bytes()));
        let (trace_id, remote) = match &span.carrier {
            Carrier::XRay(ids) => (&ids.trace, ids.parent.as_ref()),
            Carrier::TraceContext | Carrier::B3 { .. } | Carrier::Listed => (&of_trace, above.as_ref()),
        };
        let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (request, name) = match &span.subject {
            Subject::Stream { record, .. } => {
                (Some(&record.request), Cow::Borrowed(&*self.tracer.segment_name))
            }
            Subject::Attempt(_) => (None, attributes::router_name(span)),
        };
        let nothing = Map::new();
        Segment {
            name: &name,
            id: u64::from_be_bytes(span.span_id.to_bytes()),
            trace_id,
            parent: if request.is_some() { remote } else { above.as_ref() },
            start: since_1970(span.start),
            end: since_1970(span.end),
            subsegment: request.is_none(),
            egress: span.egress,
            forwarded_for: request
                .and_then(|request| request.forwarded_for.as_ref())
                .map(http::HeaderValue::as_bytes),
            origin: if request.is_some() { &self.tracer.origin } else { "" },
            aws: if request.is_some() { &self.tracer.aws } else { &nothing },
            tags: &tags,
        }
        .encode()
    }
}
