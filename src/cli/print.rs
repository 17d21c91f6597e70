//! What the commands print: data to stdout, errors to stderr.

use super::{EXIT_CLUSTER, EXIT_USAGE};
use crate::user_error::UserError;
use clap::error::{ContextKind, ContextValue};
use rdask_launcher::env::{Env, detect};
use std::io::Write;
use std::process::ExitCode;

/// Only rank 0 talks: a mistake that every rank sees is told once, and only rank 0's exit code
/// tells it, since a launcher prints a page of its own for each further one.
pub(super) fn speaks() -> bool {
    detect(&Env::from_process()).map_or(true, |launch| launch.rank == 0)
}

/// Writes a text to stdout, with one newline at its end. Ranks other than 0 write nothing.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn data(text: &str) -> std::io::Result<()> {
    if !speaks() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    out.flush()
}

/// Says what the user did wrong.
pub(super) fn user_error(error: &UserError) -> ExitCode {
    if !speaks() {
        return ExitCode::SUCCESS;
    }
    complain(&error.to_string());
    ExitCode::from(EXIT_USAGE)
}

/// Prints what clap has to say: help to stdout with 0, a mistake to stderr with 2.
pub(super) fn usage_error(error: &clap::Error) -> ExitCode {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let names = "import, export, info, validate and dot";
        let fault = UserError::new("a command is missing behind `graph`", "");
        return user_error(&fault.help(format!("there are {names}")));
    }
    if error.kind() == clap::error::ErrorKind::ArgumentConflict
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
    {
        return user_error(&second_word(word));
    }
    if error.use_stderr() {
        return user_error(&in_our_words(&error.to_string()));
    }
    match data(&error.render().to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error.into()),
    }
}

/// A word behind the graph, which clap takes for a command.
fn second_word(word: &str) -> UserError {
    UserError::new(format!("'{word}' is one argument too many: a run has one graph"), "")
        .help("run graphs one after the other, or try `rdask-hpc --help` for commands")
}

/// The first paragraph of clap's text as the error, its tip as the help.
fn in_our_words(text: &str) -> UserError {
    let first = text.split("\n\n").next().unwrap_or(text);
    let words: Vec<&str> = first.trim_start_matches("error:").split_whitespace().collect();
    let tip = text.lines().find_map(|line| line.trim_start().strip_prefix("tip: "));
    UserError::new(words.join(" "), "").help(tip.unwrap_or("try `rdask-hpc --help`"))
}

/// Says what failed. A reader that closed our stdout is no failure.
pub(super) fn failure(error: &anyhow::Error) -> ExitCode {
    let closed = error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    });
    if closed {
        return ExitCode::SUCCESS;
    }
    complain(&format!("error: {error:#}"));
    ExitCode::from(EXIT_CLUSTER)
}

/// Says something on stderr that is no error.
pub(super) fn note(text: &str) {
    if speaks() {
        complain(text);
    }
}

/// Says something that does not change the end.
pub(super) fn remark(text: &str) {
    if speaks() {
        complain(&format!("warning: {text}"));
    }
}

fn complain(text: &str) {
    // When stderr is gone, nobody can be told; the exit code still says it.
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_style_of_errors() {
        let text = "error: unexpected argument '--wrokers' found\n\n  tip: a similar argument exists: \
                    '--workers'\n\nUsage: rdask-hpc\n";
        assert_eq!(
            in_our_words(text).to_string(),
            "error: unexpected argument '--wrokers' found\n\
             help: a similar argument exists: '--workers'"
        );
        let text = "error: the following required arguments were not provided:\n  --output <GRAPH>\n\n\
                    Usage: x";
        assert_eq!(
            in_our_words(text).to_string(),
            "error: the following required arguments were not provided: --output <GRAPH>\n\
             help: try `rdask-hpc --help`"
        );
    }
}
