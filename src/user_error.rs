//! What a user is told when something is wrong: `error: WHAT (WHERE)`, then `help: …`.
//!
//! It knows no reason of its own; each part of the program that meets a user's mistake makes one.
//! docs/errors.md lists them all.

use std::fmt;

/// A mistake of the user, or a fault of their files, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    /// What is wrong, in one line, without a full stop.
    pub what: String,
    /// Where: a path, a key, an option; empty when `what` says it.
    pub place: String,
    /// The way out, when there is one.
    pub help: Option<String>,
}

impl UserError {
    /// A mistake at a place; an empty place is not shown.
    #[must_use]
    pub fn new(what: impl Into<String>, place: impl Into<String>) -> Self {
        Self { what: what.into(), place: place.into(), help: None }
    }

    /// The same with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.what)?;
        if !self.place.is_empty() {
            write!(formatter, " ({})", self.place)?;
        }
        match &self.help {
            Some(help) => write!(formatter, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UserError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each() {
        let error = UserError::new("no such file", "a.bin").help("make one");
        assert_eq!(error.to_string(), "error: no such file (a.bin)\nhelp: make one");
        assert_eq!(UserError::new("stop", "").to_string(), "error: stop");
    }
}
