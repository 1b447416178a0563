//! HTTP/2 from either side, with the `h2` crate, which shows streams and resets as they are.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{RecvStream, SendStream, client, server};
use http::{HeaderMap, Request, Response, request, response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, UnboundedReceiver},
};

use super::within;

/// A client's connection, with prior knowledge.
pub(crate) struct H2Client {
    sender: client::SendRequest<Bytes>,
}

/// A response that is being received.
pub(crate) struct H2Response {
    pub(crate) head: response::Parts,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl H2Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        let (sender, connection) = within(client::handshake(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Send a request's headers; what follows is sent with what is returned.
    pub(crate) async fn start(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> (client::ResponseFuture, SendStream<Bytes>) {
        let mut ready = within(self.sender.clone().ready()).await.unwrap();
        ready.send_request(request, ends).unwrap()
    }

    /// Send a request without a body and read the whole response.
    pub(crate) async fn ask(&mut self, request: Request<()>) -> H2Response {
        let (response, _) = self.start(request, true).await;
        read(response).await
    }
}

/// Read a whole response.
pub(crate) async fn read(response: client::ResponseFuture) -> H2Response {
    let (head, mut stream) = within(response).await.unwrap().into_parts();
    let (body, trailers) = read_body(&mut stream).await.unwrap();
    H2Response { head, body, trailers }
}

/// Read a body to its end, and the trailers.
pub(crate) async fn read_body(stream: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = within(stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    Ok((body, within(stream.trailers()).await?))
}

/// A host that speaks HTTP/2 and leaves the answers to the test.
pub(crate) struct H2Upstream {
    address: SocketAddr,
    streams: UnboundedReceiver<H2Stream>,
}

/// A request, with the means to answer it.
pub(crate) struct H2Stream {
    pub(crate) head: request::Parts,
    pub(crate) body: RecvStream,
    pub(crate) respond: server::SendResponse<Bytes>,
}

impl H2Upstream {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, streams) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut connection = server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let (head, body) = request.into_parts();
                        // A test that ended no longer asks what arrived.
                        let _ = sender.send(H2Stream { head, body, respond });
                    }
                });
            }
        });
        Self { address, streams }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The proxy's next request.
    #[track_caller]
    pub(crate) fn request(&mut self) -> impl Future<Output = H2Stream> {
        let next = within(self.streams.recv());
        async { next.await.unwrap() }
    }
}

impl H2Stream {
    /// Answer with `body` and end.
    pub(crate) fn answer(&mut self, response: Response<()>, body: &'static str) {
        let mut stream = self.respond.send_response(response, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
        }
    }

    /// The values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}
