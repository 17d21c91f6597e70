//! What the commands print: data to stdout, errors to stderr.

use super::{EXIT_CLUSTER, EXIT_USAGE};
use crate::user_error::UserError;
use std::io::Write;
use std::process::ExitCode;

/// Writes a text to stdout, with one newline at its end.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn data(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    out.flush()
}

/// Says what the user did wrong.
pub(super) fn user_error(error: &UserError) -> ExitCode {
    complain(&error.to_string());
    ExitCode::from(EXIT_USAGE)
}

/// Prints what clap has to say: help to stdout with 0, a mistake to stderr with 2.
pub(super) fn usage_error(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (false, Ok(())) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(EXIT_USAGE),
        (false, Err(error)) => failure(&error.into()),
    }
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

fn complain(text: &str) {
    // When stderr is gone, nobody can be told; the exit code still says it.
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}
