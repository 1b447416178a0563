//! Upgraded connections: bytes in both directions after client and host have switched protocols.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

use super::{Registration, Services, stream_end::StreamEnd};
use crate::{
    stream_info::{ResponseFlag, StreamInfo},
    trace::attempt,
    upstream::{Failure, TunnelGuard},
};

/// Bytes that each direction of a tunnel buffers.
const BUFFER_BYTES: usize = 16 * 1024;

/// Join client and host, once both have switched. The stream ends with the tunnel; a worker that drains waits for it.
pub(crate) fn join(
    client: OnUpgrade,
    host: OnUpgrade,
    guard: TunnelGuard,
    end: StreamEnd,
    services: Rc<Services>,
) {
    tokio::task::spawn_local(async move {
        let _registration = Registration::new(&services).await;
        let (Ok(client), Ok(host)) = (client.await, host.await) else { return };
        let info = end.info();
        let stats = end.connection().stats();
        stats.downstream_cx_upgrades_total.inc();
        stats.downstream_cx_upgrades_active.inc();
        let mut client = Counted { inner: TokioIo::new(client), info: Rc::clone(info), client: true };
        let mut host = Counted { inner: TokioIo::new(host), info: Rc::clone(info), client: false };
        let copy =
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut host, BUFFER_BYTES, BUFFER_BYTES);
        tokio::select! {
            // Either side may close when it likes: that is how tunnels end.
            _ = copy => info.response_complete.set(true),
            () = idled(info) => info.flag(ResponseFlag::StreamIdleTimeout),
        }
        if !info.flags.get().contains(ResponseFlag::UpstreamConnectionTermination) {
            guard.close_here();
        }
        stats.downstream_cx_upgrades_active.dec();
    });
}

/// Wait until nothing has moved for the stream's idle timeout.
async fn idled(info: &StreamInfo) {
    let Some(idle) = info.deadlines.get().idle else { return std::future::pending().await };
    while let Some(due) = info.last_activity.get().checked_add(idle) {
        if due <= Instant::now() {
            return;
        }
        sleep_until(due).await;
    }
    std::future::pending().await
}

/// One end of a tunnel; what is read from it is counted.
struct Counted {
    inner: TokioIo<Upgraded>,
    info: Rc<StreamInfo>,
    client: bool,
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, buf));
        let read = (buf.filled().len() - before) as u64;
        let counter = if this.client { &this.info.bytes_received } else { &this.info.bytes_sent };
        counter.set(counter.get() + read);
        // Who closes first is who ended the tunnel.
        if read == 0 && this.info.flags.get().is_empty() {
            if this.client {
                this.info.flag(ResponseFlag::DownstreamConnectionTermination);
            } else {
                let failure = Failure::Terminated;
                attempt::failed(&this.info, failure.reason(), failure.flag());
                this.info.flag(ResponseFlag::UpstreamConnectionTermination);
            }
        }
        this.info.touch();
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
