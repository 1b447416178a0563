//! Process life: the command line, the main thread, the workers, signals.

pub mod options;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

/// Run the command line `args` to its end. Exit codes are those of `spanway --help`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line = options::CommandLine::parse_from(args);
    match command_line.command {
        Some(options::Command::Collector(options)) => crate::collector::command::run(&options),
        _ => ExitCode::SUCCESS,
    }
}
