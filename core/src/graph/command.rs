//! What a command task runs: a program with its arguments, and what it is given and asked for.
//!
//! Plain data. `CommandSpec::check` finds what can be wrong with it before anything runs; nothing
//! here knows a process or a file. A file name stays inside the task's own folder.

use super::quoted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A program that a task runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandSpec {
    /// The program and its arguments. A program without a slash is looked for in PATH, a relative
    /// one with a slash refers to the working directory of the run.
    pub argv: Vec<String>,
    /// Variables that it finds beside those of the worker, in the order they were written.
    pub env: Vec<(String, String)>,
    /// The input that it reads as standard input.
    pub stdin: Option<u32>,
    /// Inputs that it finds as files in its folder: name and input.
    pub files: Vec<(String, u32)>,
    /// What becomes the result.
    pub capture: Capture,
}

/// What of a command becomes the task's result, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Capture {
    /// Nothing: the result is empty, what the program prints goes to the log.
    #[default]
    Nothing,
    /// What it writes to standard output.
    Stdout,
    /// A file that it leaves in its folder.
    File(String),
}

/// Something wrong with a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandFault {
    /// There is no program.
    #[error("the command is empty: its first word is the program")]
    Empty,
    /// A text that no system call takes.
    #[error("{what} holds a zero byte")]
    ZeroByte {
        /// Which text.
        what: &'static str,
    },
    /// An input that the task does not have.
    #[error("{what} is to be input {index}, but the task has {inputs}")]
    NoSuchInput {
        /// What is to be made of it.
        what: String,
        /// Which was asked for, from 0.
        index: u32,
        /// How many there are.
        inputs: Inputs,
    },
    /// A file name that leaves the folder, or is none.
    #[error("{} is not the name of a file inside the task's folder ({field})", quoted(name))]
    Outside {
        /// `files` or `capture`.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// Two inputs want the same place.
    #[error("the files {} and {} cannot both be there", quoted(first), quoted(second))]
    Clash {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// Something else than the name of a variable.
    #[error("{} cannot be the name of a variable (env)", quoted(name))]
    Variable {
        /// The name.
        name: String,
    },
    /// A variable that is given twice.
    #[error("the variable {} is given twice (env)", quoted(name))]
    VariableTwice {
        /// The name.
        name: String,
    },
}

/// A number of inputs, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs(pub usize);

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("none"),
            1 => f.write_str("1 input"),
            count => write!(f, "{count} inputs"),
        }
    }
}

/// The word that captures standard output in every form, so no file is captured under it.
const STDOUT: &str = "stdout";

impl CommandSpec {
    /// Brings it into its one form.
    pub(super) fn normalize(&mut self) {
        if matches!(&self.capture, Capture::File(name) if name == STDOUT) {
            self.capture = Capture::Stdout;
        }
    }

    /// Looks for faults; `inputs` is how many the task has.
    ///
    /// # Errors
    /// The first one found.
    pub fn check(&self, inputs: usize) -> Result<(), CommandFault> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(CommandFault::Empty);
        }
        if self.argv.iter().any(|word| word.contains('\0')) {
            return Err(CommandFault::ZeroByte { what: "a word of the command" });
        }
        self.check_variables()?;
        let known = |what: String, index: u32| {
            let inputs = Inputs(inputs);
            let fault = CommandFault::NoSuchInput { what, index, inputs };
            if (index as usize) < inputs.0 { Ok(()) } else { Err(fault) }
        };
        if let Some(index) = self.stdin {
            known("stdin".to_owned(), index)?;
        }
        let mut names = BTreeSet::new();
        for (name, index) in &self.files {
            stays_inside("files", name)?;
            known(format!("the file {}", quoted(name)), *index)?;
            // A name that begins another one would have to be a file and a folder.
            let second = || name.clone();
            let clash = names.iter().find(|other: &&&str| one_holds_the_other(other, name));
            if let Some(first) = clash {
                return Err(CommandFault::Clash { first: (**first).into(), second: second() });
            }
            names.insert(name.as_str());
        }
        match &self.capture {
            Capture::File(name) => stays_inside("capture", name),
            Capture::Nothing | Capture::Stdout => Ok(()),
        }
    }

    fn check_variables(&self) -> Result<(), CommandFault> {
        let mut names = BTreeSet::new();
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(CommandFault::Variable { name: name.clone() });
            }
            if value.contains('\0') {
                return Err(CommandFault::ZeroByte { what: "the value of a variable" });
            }
            if !names.insert(name) {
                return Err(CommandFault::VariableTwice { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// A relative name of ordinary parts.
fn stays_inside(field: &'static str, name: &str) -> Result<(), CommandFault> {
    let ordinary = |part: &str| !matches!(part, "" | "." | "..");
    if name.split('/').all(ordinary) && !name.contains('\0') {
        return Ok(());
    }
    Err(CommandFault::Outside { field, name: name.to_owned() })
}

fn one_holds_the_other(a: &str, b: &str) -> bool {
    let holds = |folder: &str, name: &str| {
        name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    holds(a, b) || holds(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut CommandSpec)) -> CommandSpec {
        let mut spec = CommandSpec { argv: vec!["cat".to_owned()], ..CommandSpec::default() };
        change(&mut spec);
        spec
    }

    fn message(inputs: usize, change: impl FnOnce(&mut CommandSpec)) -> String {
        spec(change).check(inputs).unwrap_err().to_string()
    }

    #[test]
    fn a_right_command_uses_inputs_that_are_there() {
        let right = spec(|spec| {
            spec.argv.push(String::new());
            spec.env = vec![("A".into(), "x=y".into()), ("B".into(), String::new())];
            spec.stdin = Some(0);
            spec.files = vec![("a.npy".into(), 1), ("d/a.npy".into(), 1), ("d/b".into(), 0)];
            spec.capture = Capture::File("out/result.bin".into());
        });
        assert_eq!(right.check(2), Ok(()));
        let fault = right.check(1).unwrap_err().to_string();
        assert_eq!(fault, "the file 'a.npy' is to be input 1, but the task has 1 input");
        assert_eq!(
            message(0, |spec| spec.stdin = Some(3)),
            "stdin is to be input 3, but the task has none"
        );
    }

    #[test]
    fn every_wrong_part_is_named() {
        let empty = "the command is empty: its first word is the program";
        assert_eq!(message(0, |spec| spec.argv.clear()), empty);
        assert_eq!(message(0, |spec| spec.argv[0].clear()), empty);
        assert_eq!(
            message(0, |spec| spec.argv.push("a\0b".into())),
            "a word of the command holds a zero byte"
        );
        for name in ["", "/etc/x", "..", "a/../b", "a//b", "./a", "a/"] {
            assert_eq!(
                message(0, |spec| spec.capture = Capture::File(name.into())),
                format!(
                    "{} is not the name of a file inside the task's folder (capture)",
                    quoted(name)
                )
            );
            let files = message(1, |spec| spec.files = vec![(name.into(), 0)]);
            assert!(files.ends_with("(files)"), "{files}");
        }
        assert_eq!(
            message(1, |spec| spec.files = vec![("a/b".into(), 0), ("a".into(), 0)]),
            "the files 'a/b' and 'a' cannot both be there"
        );
        assert_eq!(
            message(0, |spec| spec.env = vec![("A=".into(), String::new())]),
            "'A=' cannot be the name of a variable (env)"
        );
        let twice = vec![("A".into(), "1".into()), ("A".into(), "2".into())];
        assert_eq!(message(0, |spec| spec.env = twice), "the variable 'A' is given twice (env)");
    }
}
