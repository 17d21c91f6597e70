//! `rdask-hpc completions`: a script for a shell, made from the definitions of the command line.

use super::print;
use clap::Command;
use clap_complete::{Shell, generate};
use std::process::ExitCode;

/// Which shell.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell: bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "rdask-hpc", &mut script);
    print::data(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
