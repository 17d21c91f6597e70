//! The command line: one file per command, `main` as the table of contents.
//!
//! ```text
//!   arguments ─▶ later options refused ─▶ clap ─▶ command ─▶ exit code
//! ```
//!
//! Data goes to stdout, everything else to stderr. A mistake of the user is `error: … (…)` and
//! `help: …`, exit code 2. Nothing in the library names this module.

mod completions;
mod config;
mod doctor;
#[cfg(test)]
mod document;
mod generate;
mod graph;
mod graph_files;
mod help;
mod later;
mod logs;
mod print;
mod replay;
pub mod role;
mod run;
mod simulate;
mod sweep;
pub mod topology;
mod version;

pub use run::RunArgs;

use crate::user_error::UserError;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Exit code when a task failed.
pub const EXIT_TASK: u8 = 1;
/// Exit code when the graph, a flag or the configuration is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Exit code when the cluster or this machine failed.
pub const EXIT_CLUSTER: u8 = 3;

/// Runs a Dask-like task graph on the cores of a batch allocation.
#[derive(Debug, Parser)]
#[command(
    name = "rdask-hpc",
    override_usage = "rdask-hpc [RUN OPTIONS] GRAPH\n       rdask-hpc COMMAND …",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_version_flag = true,
    max_term_width = 100,
    after_help = help::TOP
)]
struct Cli {
    /// Print version, build and what was found beside the binary
    #[arg(short = 'V', long)]
    version: bool,
    /// Print help with rare options and all settings
    #[arg(long)]
    help_all: bool,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a graph; the same as `rdask-hpc [RUN OPTIONS] GRAPH`
    #[command(after_help = help::RUN, override_usage = "rdask-hpc run [RUN OPTIONS] GRAPH")]
    Run(RunArgs),
    /// Make, check and show graph files
    #[command(subcommand, after_help = help::GRAPH)]
    Graph(graph::GraphCommand),
    /// Show what would be pinned where, and why
    #[command(after_help = help::TOPOLOGY)]
    Topology(topology::TopologyArgs),
    /// Show what this machine offers and what is missing, with the remedy
    #[command(after_help = help::DOCTOR)]
    Doctor(doctor::DoctorArgs),
    /// Run a command for every combination of parameters
    #[command(
        after_help = help::SWEEP,
        override_usage = "rdask-hpc sweep --param NAME=VALUES... [RUN OPTIONS] -- COMMAND..."
    )]
    Sweep(sweep::SweepArgs),
    /// Show what a command task printed
    #[command(after_help = help::LOGS)]
    Logs(logs::LogsArgs),
    /// Run a graph on a machine that is not there: makespan, transfers, memory
    #[command(after_help = help::SIMULATE)]
    Simulate(simulate::SimulateArgs),
    /// Run a flight record again
    #[command(after_help = help::REPLAY)]
    Replay(replay::ReplayArgs),
    /// Show every option and setting with its value and where it comes from
    #[command(after_help = help::CONFIG, override_usage = "rdask-hpc config [RUN OPTIONS]")]
    Config(config::ConfigArgs),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(completions::CompletionsArgs),
    /// Play a role; supervisors start this
    #[command(name = "__role", hide = true)]
    Role(role::RoleArgs),
}

/// Parses the arguments, runs the command and returns the exit code. `commit` is what `--version`
/// says was built.
pub fn main(arguments: impl IntoIterator<Item = OsString>, commit: Option<&str>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Err(error) = later::refuse(&arguments) {
        return print::user_error(&error);
    }
    match Cli::command().try_get_matches_from(arguments) {
        Ok(matches) => match Cli::from_arg_matches(&matches) {
            Ok(cli) => end(dispatch(cli, commit)),
            Err(error) => print::usage_error(&error),
        },
        Err(error) => print::usage_error(&error),
    }
}

fn dispatch(cli: Cli, commit: Option<&str>) -> anyhow::Result<ExitCode> {
    if cli.version {
        print::data(&version::text(commit))?;
        return Ok(ExitCode::SUCCESS);
    }
    if cli.help_all {
        print::data(&help::all(Cli::command()))?;
        return Ok(ExitCode::SUCCESS);
    }
    match cli.command {
        None => run::run(cli.run),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Graph(command)) => graph::run(command),
        Some(Command::Topology(args)) => topology::run(args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Sweep(args)) => sweep::run(args),
        Some(Command::Logs(args)) => logs::run(args),
        Some(Command::Simulate(args)) => simulate::run(args),
        Some(Command::Replay(args)) => replay::run(&args, commit),
        Some(Command::Config(args)) => config::run(args),
        Some(Command::Completions(args)) => completions::run(&args, &Cli::command()),
        Some(Command::Role(args)) => role::run(&args),
    }
}

/// A user's mistake is 2, a reader that closed our stdout is no fault, anything else is 3.
fn end(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<UserError>() {
            Some(error) => print::user_error(error),
            None => print::failure(&error),
        },
    }
}

/// Names of all commands that exist, for suggestions.
fn command_names() -> Vec<String> {
    Cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_owned())
        .collect()
}

#[cfg(test)]
mod tests;
