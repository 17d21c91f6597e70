//! The command `rdask-hpc`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rdask::cli::main(std::env::args_os())
}
