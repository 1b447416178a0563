//! What an idle keep-alive connection costs in memory.

use std::{thread, time::Duration};

use crate::{
    client::Connection,
    peer::{Peer, Running, World},
    report::Row,
    setup::Setup,
};

/// Connections that are held.
const CONNECTIONS: usize = 4000;

/// For what is given back a moment later: to the system, and by connections that come to rest.
const SETTLE: Duration = Duration::from_secs(5);

/// Memory without and with the connections, of each proxy.
pub(crate) fn run(world: &World<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for peer in Peer::ALL.into_iter().filter(|peer| peer.installed(world.tools)) {
        match one(peer, world) {
            Ok(row) => rows.push(row),
            Err(error) => eprintln!("peers: idle, {}: {error}", peer.name()),
        }
    }
    rows
}

fn one(peer: Peer, world: &World<'_>) -> Result<Row, String> {
    let setup = Setup::default();
    let path = setup.path();
    // It has answered one request by then, so what that allocates once is not counted as a connection's.
    let running = Running::start(peer, world, &setup)?;
    thread::sleep(SETTLE);
    let idle = running.memory();
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        let opened = Connection::open(running.port).and_then(|mut connection| {
            connection.get(&path)?;
            Ok(connection)
        });
        held.push(opened.map_err(|error| format!("connection {number}: {error}"))?);
    }
    thread::sleep(SETTLE);
    let full = running.memory();
    let mut row = Row::new("idle", &format!("{CONNECTIONS} connections"), peer.name());
    let grown = full.resident.saturating_sub(idle.resident);
    row.set("connection_kb", grown as f64 / CONNECTIONS as f64);
    row.set("idle_mb", idle.resident as f64 / 1024.0);
    row.set("rss_mb", full.resident as f64 / 1024.0);
    row.set("hwm_mb", full.peak as f64 / 1024.0);
    drop(held);
    Ok(row)
}
