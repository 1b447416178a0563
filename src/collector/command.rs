//! `spanway collector`: a collector as a process of its own.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{Addresses, Collector, CollectorError, ui::Size};
use crate::server::{log, options::CollectorOptions};

/// Collect until Ctrl-C or SIGTERM. Exit code 1, with the reason on standard error, if it cannot start.
pub fn run(options: &CollectorOptions) -> ExitCode {
    log::init_for_command();
    match collect(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(io::stderr(), "spanway collector: {error}");
            ExitCode::FAILURE
        }
    }
}

fn collect(options: &CollectorOptions) -> Result<(), CollectorError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything is announced, so that whoever reads the announcement can already stop it.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let collector = Collector::bind(options).await?;
        // A collector whose output nobody reads collects all the same.
        let _ = announce(collector.addresses(), options.store_bytes);
        let told_to_stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        collector.serve(told_to_stop).await;
        Ok(())
    })
}

fn announce(addresses: Addresses, store_bytes: usize) -> io::Result<()> {
    let Addresses { grpc, http, pages, health } = addresses;
    let mut out = io::stdout().lock();
    writeln!(out, "spanway collector keeps traces in memory, up to {}\n", Size(store_bytes))?;
    writeln!(out, "  OTLP/gRPC   {grpc}")?;
    writeln!(out, "  OTLP/HTTP   http://{http}/v1/traces")?;
    if let Some(health) = health {
        writeln!(out, "  health      http://{health}/")?;
    }
    writeln!(out, "  traces      http://{pages}/")?;
    out.flush()
}
