//! The `spanway` command: hands over to the library and turns its outcome into an exit code.

use std::process::ExitCode;

#[global_allocator]
static HEAP: spanway_heap::Heap = spanway_heap::Heap;

fn main() -> ExitCode {
    spanway::server::main(std::env::args_os())
}
