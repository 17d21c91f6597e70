//! The record of a command in SPECS: its fields in the order of docs/graph-format.md.
//!
//! Owns the translation between the record and the core's `CommandSpec`, which may change without
//! the file. Strings are borrowed from the section when read, so a forged length runs into its end.

use rdask_core::graph::{Capture, CommandSpec};
use serde::{Deserialize, Serialize};

/// The number of this choice among run specs.
pub(super) const COMMAND: u32 = 3;

/// A command as it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct FileCommand<'a> {
    #[serde(borrow)]
    argv: Vec<&'a str>,
    #[serde(borrow)]
    env: Vec<(&'a str, &'a str)>,
    stdin: Option<u32>,
    #[serde(borrow)]
    files: Vec<(&'a str, u32)>,
    #[serde(borrow)]
    capture: FileCapture<'a>,
}

/// The numbers of the variants are those of the file.
#[derive(Serialize, Deserialize)]
enum FileCapture<'a> {
    Nothing,
    Stdout,
    File(&'a str),
}

impl<'a> FileCommand<'a> {
    pub(super) fn of(spec: &'a CommandSpec) -> Self {
        Self {
            argv: spec.argv.iter().map(String::as_str).collect(),
            env: spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            stdin: spec.stdin,
            files: spec.files.iter().map(|(name, input)| (name.as_str(), *input)).collect(),
            capture: match &spec.capture {
                Capture::Nothing => FileCapture::Nothing,
                Capture::Stdout => FileCapture::Stdout,
                Capture::File(name) => FileCapture::File(name),
            },
        }
    }

    pub(super) fn into_spec(self) -> CommandSpec {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        CommandSpec {
            argv: self.argv.into_iter().map(str::to_owned).collect(),
            env: self.env.into_iter().map(owned).collect(),
            stdin: self.stdin,
            files: self.files.into_iter().map(|(name, input)| (name.to_owned(), input)).collect(),
            capture: match self.capture {
                FileCapture::Nothing => Capture::Nothing,
                FileCapture::Stdout => Capture::Stdout,
                FileCapture::File(name) => Capture::File(name.to_owned()),
            },
        }
    }
}
