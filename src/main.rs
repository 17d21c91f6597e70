//! The command `rdask-hpc`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Read here and not in the library, which would be compiled anew at every commit.
    rdask::cli::main(std::env::args_os(), option_env!("RDASK_COMMIT"))
}
