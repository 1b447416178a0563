//! What a receiver takes at most. The same for gRPC and HTTP.

use std::time::Duration;

/// Size of one message, also after decompression. 16 MiB; exporters send some hundred kilobytes.
pub(super) const MESSAGE_BYTES: usize = 16 << 20;

/// Messages that may be on their way in at once, on all connections of a receiver; more are turned away and
/// come again. Clients that send slowly take one of these places each, so that there are many.
pub(super) const MESSAGES_AT_ONCE: usize = 1024;

/// Bytes of messages on their way in that a receiver holds at once; who sends more is turned away and comes again.
pub(super) const UNREAD_BYTES: usize = 8 * MESSAGE_BYTES;

/// How long a message may take to arrive and be filed.
pub(super) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// When an exporter that was turned away should try again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    use axum::{Router, body::Body, response::Response};
    use bytes::Bytes;
    use http::{Request, header};
    use http_body::Frame;
    use tower::ServiceExt as _;

    use super::{
        super::{intake::Intake, otlp_grpc, otlp_http, store::Store},
        *,
    };

    /// A message that never arrives.
    struct Never;

    impl http_body::Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    /// What one message more than the limit is answered.
    async fn one_too_many(router: Router, path: &str, content_type: &str) -> Response {
        let request = || {
            let head = Request::post(path).header(header::CONTENT_TYPE, content_type);
            head.body(Body::new(Never)).unwrap()
        };
        let mut waiting = Vec::new();
        for _ in 0..MESSAGES_AT_ONCE {
            let mut call = Box::pin(router.clone().oneshot(request()));
            assert!(poll_once(&mut call).await.is_pending());
            waiting.push(call);
        }
        router.oneshot(request()).await.unwrap()
    }

    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
    }

    #[tokio::test]
    async fn http_turns_away_what_is_too_much_and_says_when_to_come_again() {
        let router = otlp_http::router(Arc::new(Intake::new(Arc::new(Store::new(0)), None)));
        let answer = one_too_many(router, "/v1/traces", "application/json").await;
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    }

    #[tokio::test]
    async fn grpc_turns_away_what_is_too_much_and_says_when_to_come_again() {
        let router = otlp_grpc::router(Arc::new(Intake::new(Arc::new(Store::new(0)), None)));
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let answer = one_too_many(router, path, "application/grpc").await;
        let status = tonic::Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        let retry = tonic_types::StatusExt::get_details_retry_info(&status).unwrap();
        assert_eq!(retry.retry_delay, Some(RETRY_AFTER));
    }
}
