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
pub(super) fn run(args: &CompletionsArgs, command: &Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(args.shell, &mut without_hidden(command), "rdask-hpc", &mut script);
    print::data(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The generator shows hidden commands; nobody types those.
fn without_hidden(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("rdask-hpc").args(command.get_arguments().cloned()).subcommands(shown.cloned())
}
