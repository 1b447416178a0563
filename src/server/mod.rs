//! Process life: the command line, the main thread, the workers, signals.

pub mod health;
pub mod options;
pub mod program_name;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use self::options::{Command, CommandLine};
use crate::{collector, sandbox};

/// Run the command line `args` to its end. Exit codes are those of `spanway --help`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    sandbox::hold_leash();
    match CommandLine::parse_from(program_name::without_second(args)).command {
        Some(Command::Sandbox(options)) => sandbox::run(&options),
        Some(Command::SandboxService(options)) => sandbox::service::run(&options),
        Some(Command::Health(options)) => health::run(&options),
        Some(Command::Collector(options)) => collector::command::run(&options),
        Some(Command::Check(_)) | None => ExitCode::SUCCESS,
    }
}
