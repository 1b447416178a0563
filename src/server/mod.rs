//! Process life: the command line, the main thread, the workers, signals.

pub mod options;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

/// Run the command line `args` to its end. Exit codes are those of `spanway --help`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _command_line = options::CommandLine::parse_from(args);
    ExitCode::SUCCESS
}
