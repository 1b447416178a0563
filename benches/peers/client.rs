//! A blocking HTTP/1.1 client for what is not measured under load.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// The most that an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A kept-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects to a port of loopback.
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Self { stream })
    }

    /// Sends a GET and reads the whole answer, which must be 200.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<()> {
        self.stream.write_all(request(path).as_bytes())?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 16384]);
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
            if let Some(length) = length(&answer)
                && answer.len() >= length
            {
                let ok = answer.starts_with(b"HTTP/1.1 200");
                return if ok { Ok(()) } else { Err(io::Error::other("another status than 200")) };
            }
        }
    }
}

/// A GET as it is on the wire.
pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench.test\r\nuser-agent: peers\r\naccept: */*\r\n\r\n")
}

/// How long the answer that begins here is, once its headers are there. All that is asked has a content-length.
pub(crate) fn length(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let body = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(end + body.unwrap_or(0))
}

/// One request on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> io::Result<()> {
    Connection::open(port)?.get(path)
}

/// Whether something listens.
pub(crate) fn accepts(port: u16) -> bool {
    Connection::open(port).is_ok()
}
