//! A collector whose behaviour can be changed while proxies send to it: a thread on the cores of the load.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    client, cores,
    faulty::{self, Behaviour, Dialect},
};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long it may take until it listens.
const PATIENCE: Duration = Duration::from_secs(2);

/// The collector; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Where it listens, when it does.
    pub(crate) port: u16,
    /// Told how to behave from now on.
    behaviour: watch::Sender<Behaviour>,
    /// Those that were taken.
    spans: Arc<AtomicU64>,
}

impl Collector {
    /// Starts one that behaves well, for OTLP over gRPC or over HTTP.
    pub(crate) fn start(load: &[usize], http1: bool) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("runtime: {error}"))?;
        let (behaviour, behaviours) = watch::channel(Behaviour::HEALTHY);
        let dialect = Dialect { http1, spans: Arc::default() };
        let spans = Arc::clone(&dialect.spans);
        let bound = || -> io::Result<(TcpSocket, u16)> {
            let _inside = runtime.enter();
            let place = bind(0)?;
            let port = place.local_addr()?.port();
            Ok((place, port))
        };
        let (place, port) = bound().map_err(|error| format!("listening: {error}"))?;
        let load = load.to_owned();
        thread::spawn(move || {
            if cores::pin(&load).is_ok() {
                runtime.block_on(live(port, behaviours, dialect));
            }
            // Held until now, without listening: nobody else can take the port while the collector is away.
            drop(place);
        });
        let until = Instant::now() + PATIENCE;
        while !client::accepts(port) {
            if Instant::now() > until {
                return Err("the collector does not listen".to_owned());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(Self { port, behaviour, spans })
    }

    /// Behaves like this from now on. All connections are closed, and the port is left or taken again.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        let _ = self.behaviour.send(behaviour);
    }

    /// How many spans have arrived. What was answered but is sent again, since the answer was lost, counts twice.
    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }
}

/// A socket on a port that others of this process may be bound to, too; any port if it is 0.
fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// Listens, unless that is what it does not do.
fn listen(port: u16, behaviour: Behaviour) -> io::Result<Option<TcpListener>> {
    if behaviour == Behaviour::Refuses {
        return Ok(None);
    }
    bind(port)?.listen(BACKLOG).map(Some)
}

/// The next connection, or none for ever.
async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// One behaviour after the other, until nobody can change it any more.
async fn live(port: u16, mut behaviours: watch::Receiver<Behaviour>, dialect: Dialect) {
    loop {
        let behaviour = *behaviours.borrow_and_update();
        let listener = match listen(port, behaviour) {
            Ok(listener) => listener,
            Err(error) => return eprintln!("peers: the collector does not listen: {error}"),
        };
        // Ended, and with them their sockets, when this is dropped.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                changed = behaviours.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                accepted = accept(listener.as_ref()) => if let Ok(stream) = accepted {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(faulty::behave(behaviour, dialect.clone(), stream));
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}
