//! gRPC through the proxy, with tonic on both ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, BufMut as _, Bytes};
use harness::{Bootstrap, TestProxy, refusing_address, within};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{
        Service,
        tokio_stream::{Stream, StreamExt as _, iter, wrappers::ReceiverStream},
    },
    server::{self, NamedService, ServerStreamingService, StreamingService, UnaryService},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

type Pinned<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Messages that are what they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// `/echo/once`, `/echo/thrice`, `/echo/each`: unary, server streaming, and both ways.
#[derive(Debug, Clone, Copy)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pinned<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = server::Grpc::new(Raw);
            Ok(match request.uri().path() {
                "/echo/once" => grpc.unary(Once, request).await,
                "/echo/thrice" => grpc.server_streaming(Thrice, request).await,
                "/echo/each" => grpc.streaming(Each, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Once;

impl UnaryService<Bytes> for Once {
    type Response = Bytes;
    type Future = Pinned<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            if request.get_ref() == "fail" {
                return Err(Status::failed_precondition("as it was asked to: 100 %"));
            }
            let mut response = Response::new(request.get_ref().clone());
            if let Some(token) = request.metadata().get("token") {
                response.metadata_mut().insert("token", token.clone());
            }
            Ok(response)
        })
    }
}

struct Thrice;

impl ServerStreamingService<Bytes> for Thrice {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Pinned<Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let message = request.into_inner();
        let messages =
            [Ok(message.clone()), Ok(message.clone()), Ok(message), Err(Status::aborted("enough"))];
        Box::pin(async { Ok(Response::new(Box::pin(iter(messages)) as Messages)) })
    }
}

struct Each;

impl StreamingService<Bytes> for Each {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Pinned<Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async { Ok(Response::new(Box::pin(request.into_inner()) as Messages)) })
    }
}

fn echo() -> SocketAddr {
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = incoming.local_addr().unwrap();
    tokio::spawn(Server::builder().add_service(Echo).serve_with_incoming(incoming));
    address
}

async fn client(proxy: &TestProxy) -> client::Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", proxy.address())).unwrap();
    let mut client = client::Grpc::new(within(endpoint.connect()).await.unwrap());
    client.ready().await.unwrap();
    client
}

fn path(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

#[tokio::test]
async fn a_unary_call_brings_message_metadata_and_status() {
    let proxy = Bootstrap::to(echo()).over_http2().start().await;
    let mut client = client(&proxy).await;
    let mut request = Request::new(Bytes::from_static(b"hello"));
    request.metadata_mut().insert("token", "t".parse().unwrap());
    let response = within(client.unary(request, path("/echo/once"), Raw)).await.unwrap();
    assert_eq!(response.metadata().get("token").unwrap(), "t");
    assert_eq!(response.into_inner(), "hello");
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let proxy = Bootstrap::to(echo()).over_http2().start().await;
    let message = Bytes::from(vec![7; 3 << 20]);
    let call = Request::new(message.clone());
    let mut client = client(&proxy).await;
    let response = within(client.unary(call, path("/echo/once"), Raw)).await.unwrap();
    assert!(response.into_inner() == message);
}

#[tokio::test]
async fn the_status_of_a_failed_call_arrives_with_its_message() {
    let proxy = Bootstrap::to(echo()).over_http2().start().await;
    let mut client = client(&proxy).await;
    let call = Request::new(Bytes::from_static(b"fail"));
    let status = within(client.unary(call, path("/echo/once"), Raw)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "as it was asked to: 100 %"));
    client.ready().await.unwrap();
    let call = Request::new(Bytes::new());
    let status = within(client.unary(call, path("/echo/none"), Raw)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_stream_of_messages_ends_with_its_status() {
    let proxy = Bootstrap::to(echo()).over_http2().start().await;
    let call = Request::new(Bytes::from_static(b"again"));
    let mut client = client(&proxy).await;
    let response = client.server_streaming(call, path("/echo/thrice"), Raw);
    let mut messages = within(response).await.unwrap().into_inner();
    for _ in 0..3 {
        assert_eq!(within(messages.message()).await.unwrap().unwrap(), "again");
    }
    let status = within(messages.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "enough"));
}

#[tokio::test]
async fn both_sides_of_a_stream_talk_in_turn() {
    let proxy = Bootstrap::to(echo()).over_http2().start().await;
    let (sender, messages) = mpsc::channel(1);
    sender.send(Bytes::from_static(b"first")).await.unwrap();
    let mut client = client(&proxy).await;
    let call = Request::new(ReceiverStream::new(messages));
    let response = within(client.streaming(call, path("/echo/each"), Raw)).await.unwrap();
    let mut answers = response.into_inner();
    assert_eq!(within(answers.next()).await.unwrap().unwrap(), "first");
    for message in ["second", "third"] {
        sender.send(Bytes::from_static(message.as_bytes())).await.unwrap();
        assert_eq!(within(answers.next()).await.unwrap().unwrap(), message);
    }
    drop(sender);
    assert!(within(answers.next()).await.is_none());
}

#[tokio::test]
async fn a_host_that_is_dead_is_unavailable() {
    let proxy = Bootstrap::to(refusing_address()).over_http2().start().await;
    let mut client = client(&proxy).await;
    let call = Request::new(Bytes::new());
    let status = within(client.unary(call, path("/echo/once"), Raw)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("remote connection failure"), "{status:?}");
}

#[tokio::test]
async fn a_call_without_a_route_is_unimplemented() {
    let proxy = Bootstrap::to(echo())
        .over_http2()
        .routes("[{match: {path: /other}, route: {cluster: upstream}}]")
        .start()
        .await;
    let mut client = client(&proxy).await;
    let call = Request::new(Bytes::new());
    let status = within(client.unary(call, path("/echo/once"), Raw)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
