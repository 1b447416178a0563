//! HTTP/1 at the level of bytes, from either side of a connection.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::within;

/// A request or a response as it stood on the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) start_line: String,
    /// Names and values as they were written, in their order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// What came after the last chunk.
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        let code = self.start_line.split(' ').nth(1).unwrap_or_default();
        code.parse().unwrap_or_else(|_| panic!("no status line: {self:?}"))
    }

    /// The path of a request, with its query.
    pub(crate) fn path(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap()
    }

    /// The value of the first header called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    /// The values of all headers called `name`.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value).collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// What was received and not yet read.
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(within(TcpStream::connect(address)).await.unwrap())
    }

    /// The address of this end.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Write all of `bytes`.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Write `bytes` as far as the other end takes them, which may be gone.
    pub(crate) async fn send_if_open(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within(self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Write `block` again and again until the other end has not taken one for a while; how many bytes it took.
    pub(crate) async fn send_until_held_up(&mut self, block: &[u8]) -> usize {
        const WHILE: Duration = Duration::from_millis(300);
        let mut sent = 0;
        while let Ok(written) = timeout(WHILE, self.stream.write(block)).await {
            sent += written.unwrap();
        }
        sent
    }

    /// Send no more; what the other end sends can still be read.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Close with a reset instead of an end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Send `GET path` and read the response.
    pub(crate) async fn get(&mut self, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
        self.response().await
    }

    /// Send a whole request and read the response.
    pub(crate) async fn ask(&mut self, request: &str) -> Message {
        self.send(request).await;
        if request.starts_with("HEAD ") { self.head().await } else { self.response().await }
    }

    /// Read a whole request.
    pub(crate) async fn request(&mut self) -> Message {
        let head = self.head().await;
        self.body_of(head, false).await
    }

    /// Read a whole response to anything but HEAD.
    pub(crate) async fn response(&mut self) -> Message {
        let head = self.head().await;
        let bodiless = matches!(head.status(), 100..=199 | 204 | 304);
        if bodiless { head } else { self.body_of(head, true).await }
    }

    /// Read a message up to the empty line.
    pub(crate) async fn head(&mut self) -> Message {
        let mut lines = self.lines().await;
        assert!(!lines.is_empty(), "an empty line instead of a start line");
        let start_line = lines.remove(0);
        Message { start_line, headers: lines.iter().map(|line| header(line)).collect(), ..Message::default() }
    }

    /// Whether anything comes before the other end closes.
    pub(crate) async fn has_more(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return true;
        }
        // A connection may stay open and silent for as long as its test runs.
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|length| length > 0)
    }

    /// Read exactly `length` bytes.
    pub(crate) async fn bytes(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(
                self.fill().await,
                "the connection ended after {:?}, {length} bytes were wanted",
                text(&self.buffer)
            );
        }
        self.buffer.drain(..length).collect()
    }

    /// Read until the other end closes, and return what was left. A reset is an end, too.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        while self.fill().await {}
        self.buffer
    }

    /// The other end closes without sending anything more.
    #[track_caller]
    pub(crate) fn assert_closed(self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let rest = self.rest().await;
            assert!(rest.is_empty(), "{:?} at {caller}", text(&rest));
        }
    }

    async fn body_of(&mut self, mut message: Message, until_end: bool) -> Message {
        let chunked = message.header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"));
        let length = message.header("content-length").map(|length| length.parse().unwrap());
        match length {
            _ if chunked => {
                while let Some(chunk) = self.chunk().await {
                    message.body.extend(chunk);
                }
                message.trailers = self.lines().await.iter().map(|line| header(line)).collect();
            }
            Some(length) => message.body = self.bytes(length).await,
            None if until_end => {
                while self.fill().await {}
                message.body = std::mem::take(&mut self.buffer);
            }
            None => {}
        }
        message
    }

    /// The next chunk of a chunked body, but for the last, which is empty.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line().await;
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
        if size == 0 {
            return None;
        }
        let chunk = self.bytes(size).await;
        assert_eq!(self.line().await, "", "after a chunk");
        Some(chunk)
    }

    /// Lines up to an empty one.
    async fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return lines;
            }
            lines.push(line);
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return text(&line[..end]);
            }
            assert!(self.fill().await, "the connection ended in the middle of {:?}", text(&self.buffer));
        }
    }

    /// Receive something, or learn that nothing more comes.
    async fn fill(&mut self) -> bool {
        within(self.stream.read_buf(&mut self.buffer)).await.is_ok_and(|length| length > 0)
    }
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
    (name.to_owned(), value.trim().to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
