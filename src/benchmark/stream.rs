//! A whole stream: a client's bytes in, a host's bytes out and back, on one thread over sockets that reach no network.
//!
//! The client and the host in it do next to nothing, so that what is measured is the proxy (and tokio).

use std::{net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    runtime::{Builder, LocalRuntime},
    sync::mpsc,
};

use super::{Operation, Variation, headers::connection, listener, snapshot, spans};
use crate::{
    access_log::{
        buffer::{LogBuffer, LogOutlets},
        file::LogFiles,
    },
    cluster::{ClusterManager, ClusterState},
    http_connection_manager::{self, Services, date::DateCache},
    socket::Socket,
    stream_info::ConnectionInfo,
    trace::batch::Batch,
};

const REQUEST: &[u8] = b"GET /service-00042/orders/7?page=2 HTTP/1.1\r\nhost: www.example.com\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\naccept-language: en-GB,en;q=0.5\r\n\
    accept-encoding: gzip, deflate, br\r\ncookie: session=c2Vzc2lvbg; theme=dark\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nserver: host\r\ndate: Fri, 20 Nov 2026 08:09:36 GMT\r\n\
    content-type: text/plain\r\ncontent-length: 12\r\nconnection: keep-alive\r\n\r\nhello world\n";
const BUFFER_BYTES: usize = 4096;
const HEADERS_END: &[u8] = b"\r\n\r\n";
const BODY_END: &[u8] = b"hello world\n";

/// A client's connection to a proxy with a hundred routes and one host.
pub(super) struct Stream {
    client: UnixStream,
    buffer: Vec<u8>,
    batches: Option<mpsc::UnboundedReceiver<Batch>>,
    runtime: LocalRuntime,
}

impl Stream {
    /// With these members of the connection manager.
    pub(super) fn new(manager: &str) -> Self {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(Default::default()).expect("a runtime");
        let place = std::env::temp_dir().join(format!("spanway-benchmark-{}.sock", std::process::id()));
        let routes = (0..100).map(|index| {
            format!(r#"{{"match": {{"prefix": "/service-{index:05}/"}}, "route": {{"cluster": "c"}}}}"#)
        });
        let routes = routes.collect::<Vec<_>>().join(",");
        let snapshot = snapshot(&Variation {
            manager,
            virtual_hosts: &format!(r#"{{"name": "v", "domains": ["*"], "routes": [{routes}]}}"#),
            hosts: &[format!(r#"{{"pipe": {{"path": "{}"}}}}"#, place.display())],
            ..Variation::default()
        });
        let (spans, batches) = spans::buffer(&snapshot);
        let logs = LogFiles::open(&snapshot.log_files).expect("a file");
        let services = Rc::new(Services {
            clusters: ClusterManager::new(&ClusterState::all(&snapshot)),
            spans,
            logs: LogBuffer::new(LogOutlets {
                files: logs.files.clone(),
                interval: Duration::from_secs(10),
                ..LogOutlets::default()
            }),
            date: DateCache::new(),
            own_ip: IpAddr::from([192, 0, 2, 1]).into(),
            open: Default::default(),
            snapshot: Arc::clone(&snapshot),
        });
        let listener = Arc::clone(listener(&snapshot));
        let client = runtime.block_on(async {
            let _ = std::fs::remove_file(&place);
            tokio::task::spawn_local(host(UnixListener::bind(&place).expect("a socket")));
            let (client, proxy) = UnixStream::pair().expect("two sockets");
            let ConnectionInfo { id, peer, local, .. } = &*connection();
            let info = ConnectionInfo::new(*id, *peer, local.clone());
            let socket = std::future::ready(Ok(Socket::Unix(proxy)));
            tokio::task::spawn_local(http_connection_manager::serve(services, listener, info, socket));
            client
        });
        let mut stream = Self { client, buffer: vec![0; BUFFER_BYTES], batches, runtime };
        // The connection to the host is there from now on, and its socket need not be found any more.
        stream.run(1);
        let _ = std::fs::remove_file(&place);
        stream
    }
}

/// Serves each connection that comes.
async fn host(listener: UnixListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            let mut buffer = vec![0; BUFFER_BYTES];
            while read_until(&mut stream, &mut buffer, HEADERS_END).await
                && stream.write_all(RESPONSE).await.is_ok()
            {}
        });
    }
}

/// Read a message that ends like that; false if there is none any more.
async fn read_until(stream: &mut UnixStream, buffer: &mut [u8], end: &[u8]) -> bool {
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..) {
        match stream.read(room).await {
            Ok(read) if read > 0 => length += read,
            _ => return false,
        }
        if buffer.get(..length).is_some_and(|message| message.ends_with(end)) {
            return true;
        }
    }
    false
}

impl Operation for Stream {
    fn prepare(&mut self, _: usize) {
        if let Some(batches) = &mut self.batches {
            while batches.try_recv().is_ok() {}
        }
    }

    fn run(&mut self, times: usize) {
        let Self { client, buffer, runtime, .. } = self;
        runtime.block_on(async {
            for _ in 0..times {
                client.write_all(REQUEST).await.expect("the proxy reads");
                assert!(read_until(client, buffer, BODY_END).await, "the proxy answers");
            }
        });
    }
}
