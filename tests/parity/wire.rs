//! One end of a connection, at the level of bytes.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

/// How the other end ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// What is to be done with the connection, in this order.
#[derive(Debug)]
enum Order {
    Send(Vec<u8>),
    /// Send no more.
    Finish,
    /// Close at once.
    Close,
    /// Close by a reset.
    Reset,
}

/// What the other end did.
#[derive(Debug)]
enum Event {
    Bytes(Vec<u8>),
    End(End),
}

/// Sends; can be cloned for those who answer later.
#[derive(Debug, Clone)]
pub(crate) struct Writer(UnboundedSender<Order>);

impl Writer {
    pub(crate) fn send(&self, bytes: impl Into<Vec<u8>>) {
        // A connection that is gone takes nothing; what that means is seen by who reads.
        let _ = self.0.send(Order::Send(bytes.into()));
    }

    /// Send no more; what the other end sends can still be read.
    pub(crate) fn finish(&self) {
        let _ = self.0.send(Order::Finish);
    }

    /// Close, also if others hold it still.
    pub(crate) fn close(&self) {
        let _ = self.0.send(Order::Close);
    }

    /// Close with a reset instead of an end.
    pub(crate) fn reset(&self) {
        let _ = self.0.send(Order::Reset);
    }
}

/// A connection. It is read at once, however late its owner looks, so that nothing is lost by a reset; it is closed
/// when this and all its writers are dropped.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) writer: Writer,
    events: UnboundedReceiver<Event>,
    /// What was received and not yet read.
    pub(crate) buffer: Vec<u8>,
    /// Set when everything was received.
    pub(crate) end: Option<End>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Without it the test's small writes would be delayed; a connection that is gone already does not matter.
        let _ = stream.set_nodelay(true);
        let (orders, received_orders) = mpsc::unbounded_channel();
        let (sender, events) = mpsc::unbounded_channel();
        tokio::spawn(pump(stream, received_orders, sender));
        Self { writer: Writer(orders), events, buffer: Vec::new(), end: None }
    }

    /// Wait for more; false if nothing more comes.
    pub(crate) async fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        match self.events.recv().await {
            Some(Event::Bytes(bytes)) => {
                self.buffer.extend(bytes);
                true
            }
            Some(Event::End(end)) => {
                self.end = Some(end);
                false
            }
            None => {
                self.end = Some(End::Closed);
                false
            }
        }
    }

    /// Read on until the other end closes, or for this long.
    pub(crate) async fn drain(&mut self, time: Duration) {
        let _ = tokio::time::timeout(time, async { while self.fill().await {} }).await;
    }
}

/// Move bytes both ways until the owner is gone.
async fn pump(mut stream: TcpStream, mut orders: UnboundedReceiver<Order>, events: UnboundedSender<Event>) {
    let (mut reading, mut writing) = stream.split();
    let read = async {
        let mut block = vec![0; 16 * 1024];
        let end = loop {
            match reading.read(&mut block).await {
                Ok(0) => break End::Closed,
                Ok(length) => drop(events.send(Event::Bytes(block[..length].to_vec()))),
                Err(_) => break End::Reset,
            }
        };
        let _ = events.send(Event::End(end));
        // The owner decides when to close.
        std::future::pending::<()>().await;
    };
    let write = async {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Send(bytes) => drop(writing.write_all(&bytes).await),
                Order::Finish => drop(writing.shutdown().await),
                Order::Close => return false,
                Order::Reset => return true,
            }
        }
        false
    };
    let reset = tokio::select! {
        () = read => false,
        reset = write => reset,
    };
    if reset {
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
}
