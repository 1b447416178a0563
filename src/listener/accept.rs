//! Accepts a listener's connections on one worker.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use tokio::net::{TcpListener, UnixListener};

use super::{BoundSocket, transport_socket};
use crate::{
    http_connection_manager::{self, Services},
    snapshot::{Address, listener::Listener},
    socket::Socket,
    stream_info::{ConnectionInfo, next_connection_id},
};

/// How long to wait when the process may open no more files.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(100);

/// Accept for ever; each connection becomes a task of this worker.
pub(crate) async fn run(
    socket: BoundSocket,
    listener: Arc<Listener>,
    services: Rc<Services>,
) -> io::Result<()> {
    match socket {
        BoundSocket::Tcp(socket) => {
            let socket = TcpListener::from_std(socket)?;
            loop {
                match socket.accept().await {
                    Ok((stream, peer)) => {
                        // A socket that cannot be asked is gone already.
                        let Ok(local) = stream.local_addr() else { continue };
                        let _ = stream.set_nodelay(true);
                        let info =
                            ConnectionInfo::new(next_connection_id(), Some(peer), Address::Socket(local));
                        spawn(&services, &listener, info, Socket::Tcp(stream));
                    }
                    Err(error) => after_error(&listener, &error).await,
                }
            }
        }
        BoundSocket::Unix(socket) => {
            let socket = UnixListener::from_std(socket)?;
            loop {
                match socket.accept().await {
                    Ok((stream, _)) => {
                        let info = ConnectionInfo::new(next_connection_id(), None, listener.address.clone());
                        spawn(&services, &listener, info, Socket::Unix(stream));
                    }
                    Err(error) => after_error(&listener, &error).await,
                }
            }
        }
    }
}

fn spawn(services: &Rc<Services>, listener: &Arc<Listener>, info: ConnectionInfo, socket: Socket) {
    let (services, listener) = (Rc::clone(services), Arc::clone(listener));
    match listener.tls.clone() {
        None => tokio::task::spawn_local(http_connection_manager::serve(
            services,
            listener,
            info,
            std::future::ready(Ok(socket)),
        )),
        Some(tls) => {
            let id = info.id;
            // Boxed, so that it takes no room once it is done.
            let socket = Box::pin(async move { transport_socket::handshake(socket, &tls, id).await });
            tokio::task::spawn_local(http_connection_manager::serve(services, listener, info, socket))
        }
    };
}

/// A client that left before it was accepted is its own affair; running out of files passes.
async fn after_error(listener: &Listener, error: &io::Error) {
    let harmless = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    );
    if !harmless {
        tracing::warn!("listener \"{}\" cannot accept connections: {error}; trying again", listener.name);
        tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
    }
}
