//! Runs what is installed of nginx, haproxy, Envoy and spanway side by side on loopback, and prints what a request costs
//! in each: see docs/performance.md.

mod accounting;
mod answers;
mod arguments;
mod client;
mod collector;
mod cores;
mod envoy;
mod faults;
mod faulty;
mod goals;
mod haproxy;
mod idle;
mod latency;
mod load;
mod measure;
mod modes;
mod nginx;
mod outage;
mod outage_plot;
mod paced;
mod peer;
mod plot;
mod process;
mod report;
mod scale;
mod series;
mod setup;
mod startup;
mod tools;
mod training;
mod upstream;
mod wire;

use std::{fs, path::Path, process::ExitCode};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    arguments::Arguments, cores::Cores, peer::World, report::Report, tools::Tools, upstream::Surroundings,
};

fn main() -> ExitCode {
    let arguments = match arguments::read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{}", arguments::help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("peers: {error}");
            return ExitCode::from(2);
        }
    };
    let done = measured(&arguments).and_then(|report| show(&report, &arguments));
    process::finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the modes.
fn measured(arguments: &Arguments) -> Result<Report, String> {
    process::watch(arguments.limit)?;
    let folder =
        tempfile::Builder::new().prefix("peers-").tempdir().map_err(|error| format!("a folder: {error}"))?;
    process::remove_at_end(folder.path().to_owned());
    // Thousands of connections; what is started inherits it.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let tools = Tools::find();
    if tools.spanway.is_none() {
        return Err("no spanway to measure".to_owned());
    }
    let cores = Cores::find()?;
    let load = cores.of_host();
    let around = Surroundings::start(&load)?;
    // This thread starts and polls; it must not do so on the proxy's core.
    cores::pin(&load)?;
    let world = World { tools: &tools, cores: &cores, around: &around, folder: folder.path() };
    let kernel = nix::sys::utsname::uname().map_err(|error| error.to_string())?;
    let mut report = Report {
        cores: cores.count(),
        // Without what tells whose it is.
        kernel: kernel.release().to_string_lossy().split('-').next().unwrap_or_default().to_owned(),
        versions: tools.versions(),
        seconds: arguments.effort.seconds,
        rounds: arguments.effort.rounds,
        rows: Vec::new(),
    };
    if arguments.train {
        training::run(&world)?;
    }
    for mode in &arguments.modes {
        eprintln!("peers: {mode}");
        report.rows.extend(modes::run(mode, &world, arguments.effort));
    }
    report.compare();
    Ok(report)
}

/// Prints, and writes the files that were asked for.
fn show(report: &Report, arguments: &Arguments) -> Result<(), String> {
    let write = |file: &Path, text: String| {
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    };
    if arguments.train {
        return Ok(());
    }
    if arguments.markdown {
        println!("{}", goals::markdown(report));
        for mode in [outage::NAME, faults::NAME] {
            println!("{}", report.markdown(mode));
        }
        println!("```text\n{}```", report.table());
    } else {
        println!("{}", report.table());
    }
    if let Some(file) = &arguments.json {
        write(file, format!("{:#}\n", report.json()))?;
    }
    if let Some(file) = &arguments.svg {
        // Two plots when there is something for both.
        let outage = if plot::has_something(report) {
            write(file, plot::svg(report))?;
            file.with_extension("outage.svg")
        } else {
            file.clone()
        };
        if outage_plot::has_something(report) {
            write(&outage, outage_plot::svg(report))?;
        }
    }
    Ok(())
}
