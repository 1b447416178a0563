//! Calls over gRPC: messages that are there as bytes go to a method, and its answer is read.

use std::{fmt, marker::PhantomData};

use bytes::{Buf, BufMut, Bytes};
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, header::USER_AGENT, uri::PathAndQuery};
use prost::Message;
use tonic::{
    Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::Channel,
};

use super::{call_headers::CallHeaders, failure::Failure};

/// A collector has no more to say.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Calls one method.
pub(super) struct GrpcCall {
    client: Grpc<Channel>,
    method: PathAndQuery,
    user_agent: Option<&'static str>,
}

impl fmt::Debug for GrpcCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCall").field("method", &self.method).finish_non_exhaustive()
    }
}

impl GrpcCall {
    /// Of that method, by a channel. The library adds itself to the user agent.
    pub(super) fn new(
        channel: Channel,
        method: &'static str,
        user_agent: Option<&'static str>,
        gzip: bool,
    ) -> Self {
        let mut client = Grpc::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        if gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Self { client, method: PathAndQuery::from_static(method), user_agent }
    }

    /// Send one message: what the answer is, or why there is none.
    pub(super) async fn call<M: Message + Default + 'static>(
        &self,
        body: Bytes,
        headers: &CallHeaders,
    ) -> Result<M, Failure> {
        let mut client = self.client.clone();
        client.ready().await.map_err(|error| Failure::of_error(&error))?;
        let answer = client.unary(self.request(body, headers), self.method.clone(), Codes::new()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Failure::of_status(&status))
    }

    /// Send messages until there are no more: what the answer is, or why there is none. It may come before the end of
    /// the messages.
    pub(super) async fn stream<M: Message + Default + 'static>(
        &self,
        messages: impl Stream<Item = Bytes> + Send + 'static,
        headers: &CallHeaders,
    ) -> Result<M, Failure> {
        let mut client = self.client.clone();
        client.ready().await.map_err(|error| Failure::of_error(&error))?;
        let request = self.request(messages, headers);
        let answer = client.client_streaming(request, self.method.clone(), Codes::new()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Failure::of_status(&status))
    }

    fn request<T>(&self, body: T, headers: &CallHeaders) -> tonic::Request<T> {
        let mut metadata = HeaderMap::new();
        if let Some(user_agent) = self.user_agent {
            metadata.insert(USER_AGENT, HeaderValue::from_static(user_agent));
        }
        headers.apply(&mut metadata);
        let mut request = tonic::Request::new(body);
        *request.metadata_mut() = MetadataMap::from_headers(metadata);
        request
    }
}

/// gRPC messages: requests are there as bytes, answers are read.
#[derive(Debug)]
struct Codes<M>(PhantomData<fn() -> M>);

impl<M> Codes<M> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<M: Message + Default + 'static> Codec for Codes<M> {
    type Encode = Bytes;
    type Decode = M;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::new()
    }

    fn decoder(&mut self) -> Self {
        Self::new()
    }
}

impl<M> Encoder for Codes<M> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(message.len());
        to.put(message);
        Ok(())
    }
}

impl<M: Message + Default> Decoder for Codes<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        M::decode(message)
            .map(Some)
            .map_err(|error| Status::internal(format!("its answer cannot be read: {error}")))
    }
}
