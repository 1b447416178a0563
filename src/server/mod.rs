//! Process life: the command line, the main thread, the workers, signals.

pub mod admin_address;
mod command_line;
pub(crate) mod duration;
mod explain;
pub mod health;
mod keep;
pub(crate) mod log;
mod log_line;
mod log_services;
mod option_value;
pub mod options;
mod orders;
pub mod pages_address;
pub mod program_name;
mod serve;
mod trace_test;
mod worker;

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::Parser;

use self::options::{Command, CommandLine, Mode, Options};
use crate::{
    access_log::file::LogFiles,
    collector,
    config::{
        self, Sources,
        lower::{AddressMap, Overrides},
    },
    sandbox,
};

/// Run the command line `args` to its end. Exit codes are those of `spanway --help`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    sandbox::hold_leash();
    let command_line = CommandLine::parse_from(program_name::without_second(args));
    match command_line.command {
        None => run(&command_line.serve),
        Some(Command::Check(options)) => check(&options),
        Some(Command::Explain(options)) => explain::run(&options),
        Some(Command::Sandbox(options)) => sandbox::run(&options),
        Some(Command::SandboxService(options)) => sandbox::service::run(&options),
        Some(Command::Collector(options)) => collector::command::run(&options),
        Some(Command::Traces(options)) => collector::terminal::run(&options),
        Some(Command::Health(options)) => health::run(&options),
        Some(Command::TraceTest(options)) => trace_test::run(&options),
    }
}

/// `spanway check`.
fn check(options: &options::CheckOptions) -> ExitCode {
    let lower = |loaded: &config::Loaded, problems: &mut config::Problems| {
        config::lower::lower(loaded, &Overrides::default(), problems);
    };
    config::check::check(options, &mut std::io::stdout().lock(), lower).unwrap_or(ExitCode::FAILURE)
}

/// Serve, or only validate.
fn run(options: &Options) -> ExitCode {
    let log = match log::init(options) {
        Ok(log) => log,
        Err(error) => {
            let path = options.log_path.clone().unwrap_or_default();
            complain(&format!("--log-path {}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    };
    match serve::prepare(options) {
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
        Ok(snapshot) if options.mode == Mode::Validate => {
            // As Envoy does; what cannot be opened would not be served either.
            if let Err(error) = LogFiles::open(&snapshot.log_files) {
                complain(&error.to_string());
                return ExitCode::FAILURE;
            }
            drop(snapshot);
            let name =
                options.config_path.as_ref().map_or("--config-yaml".into(), |path| path.to_string_lossy());
            // As Envoy says it. A closed standard output is nobody's problem here.
            let _ = writeln!(std::io::stdout(), "configuration '{name}' OK");
            ExitCode::SUCCESS
        }
        Ok(snapshot) => match serve::serve(snapshot, options, log) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error.to_string());
                ExitCode::FAILURE
            }
        },
    }
}

/// Say what is wrong, on standard error: a log may go elsewhere, and whoever starts a program looks here.
fn complain(text: &str) {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Where the configuration comes from, as the command line says.
fn sources(options: &Options) -> Sources {
    Sources {
        path: options.config_path.clone(),
        yaml: options.config_yaml.clone(),
        skip_unsupported: options.skip_unsupported,
    }
}

/// What the command line says over the file.
fn overrides(options: &Options) -> Result<Overrides, config::lower::AddressMapError> {
    Ok(Overrides {
        node: options.service_node.clone(),
        cluster: options.service_cluster.clone(),
        zone: options.service_zone.clone(),
        addresses: AddressMap::parse(&options.map_address)?,
        variables: Vec::new(),
        log_format: options.log_format.is_some(),
    })
}
