//! `rdask-hpc run`: the main job. Its options are made from the table in `config/table.rs`.

use crate::config::table::{Kind, OPTIONS, OptionRow};
use crate::config::{Flags, Surroundings, launcher_wish, resolve, strange_variables};
use crate::user_error::UserError;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use rdask_core::nearest::nearest;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options and graph of a run, as given on the command line.
#[derive(Clone, Debug, Default)]
pub struct RunArgs {
    /// Options by name.
    pub flags: Flags,
    /// `graph.bin`, a `.json`, or `-`.
    pub graph: Option<PathBuf>,
}

/// The options of a run, for a command that brings its graph itself.
#[derive(Clone, Debug, Default)]
pub(super) struct RunFlags(pub(super) Flags);

impl clap::Args for RunFlags {
    fn augment_args(command: Command) -> Command {
        OPTIONS.iter().fold(command, |command, row| command.arg(argument(row)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RunFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(flags_of(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(flags_of(matches));
        Ok(())
    }
}

/// What was given of the options of a run.
fn flags_of(matches: &ArgMatches) -> Flags {
    let mut flags = Flags::new();
    for row in OPTIONS {
        let values: Vec<String> = match row.kind {
            Kind::Switch if matches.get_flag(row.name) => vec!["true".to_owned()],
            Kind::Switch => Vec::new(),
            Kind::Value(_) | Kind::Choice(_) | Kind::List(_) => {
                matches.get_many(row.name).into_iter().flatten().cloned().collect()
            }
        };
        if !values.is_empty() {
            flags.insert(row.name, values);
        }
    }
    flags
}

impl clap::Args for RunArgs {
    fn augment_args(command: Command) -> Command {
        let graph = Arg::new("GRAPH")
            .help("graph.bin, a .json file, or - for stdin")
            .value_parser(clap::value_parser!(PathBuf));
        RunFlags::augment_args(command.arg(graph))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RunArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.graph = matches.get_one("GRAPH").cloned();
        self.flags.extend(flags_of(matches));
        Ok(())
    }
}

/// One row of the table for clap.
fn argument(row: &'static OptionRow) -> Arg {
    let help = match (row.default, row.kind) {
        ("", _) => row.help.to_owned(),
        (default, Kind::Choice(words)) => {
            format!("{} [{}; default: {default}]", row.help, words.join("|"))
        }
        (default, _) => format!("{} [default: {default}]", row.help),
    };
    let argument =
        Arg::new(row.name).long(row.name).help_heading(row.group).help(help).hide(row.rare);
    match row.kind {
        Kind::Switch => argument.action(ArgAction::SetTrue),
        Kind::Value(name) => argument.value_name(name),
        Kind::Choice(_) => argument.value_name("WORD"),
        Kind::List(name) => argument.value_name(name).action(ArgAction::Append),
    }
}

/// Resolves the options and runs the graph.
pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let Some(graph) = args.graph else {
        return Err(UserError::new("no graph is given", "")
            .help("try `rdask-hpc GRAPH`, or `rdask-hpc --help`")
            .into());
    };
    mistyped_command(&graph)?;
    let around = Surroundings::of_process()?;
    visible_everywhere(&args.flags, &around)?;
    let launcher = launcher_wish(&args.flags, &around);
    let options = resolve(args.flags, &around).and_then(|options| {
        crate::observe::log::check(&options.log)?;
        Ok(options)
    });
    let code = match options {
        Ok(options) => {
            let strange = strange_variables(&around);
            crate::run::run_with(options, &graph, strange)
        }
        Err(error) => crate::run::refuse(error, launcher.as_deref()),
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(super::EXIT_CLUSTER)))
}

/// A mistake on the command line is the same on every rank: none of them need start MPI for it.
fn visible_everywhere(flags: &Flags, around: &Surroundings) -> Result<(), UserError> {
    let mut flags = flags.clone();
    // A file may be there on one host and not on another.
    flags.remove("config");
    let options = resolve(flags, &around.bare())?;
    crate::observe::log::check(&options.log)
}

/// A bare word that is no file but nearly a command is a slip, not a graph.
fn mistyped_command(graph: &Path) -> Result<(), UserError> {
    let Some(word) = graph.to_str() else { return Ok(()) };
    if word == "-" || word.contains(['.', '/']) || graph.exists() {
        return Ok(());
    }
    let names = super::command_names();
    let Some(name) = nearest(word, names.iter().map(String::as_str)) else { return Ok(()) };
    Err(UserError::new("no such file", word).help(format!("did you mean the command '{name}'?")))
}
