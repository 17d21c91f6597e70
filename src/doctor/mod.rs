//! What a machine offers to a job and what is missing, with the reason and the remedy.
//!
//! ```text
//!   Machine (files below a root, variables) ─▶ checks by group ─▶ Finding ─▶ text or JSON
//! ```
//! A check looks, it changes nothing and is never an error: what is not there is a finding. Each
//! finding stands for itself; none is a promise that a job runs.

mod launch;
mod machine;
mod memory;
mod mounts;
mod network;
mod python;
mod storage;

use machine::Machine;
use serde::Serialize;
use std::path::Path;

/// How a thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Found,
    /// There, but in the way or not as it should be.
    Warning,
    /// Not there.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its group.
    pub group: &'static str,
    /// What it is.
    pub name: String,
    /// Found or not.
    pub state: State,
    /// What was found; empty where nothing was.
    pub value: String,
    /// Why it matters.
    pub why: &'static str,
    /// How to get it, where something can be done.
    pub help: Option<String>,
}

impl Finding {
    fn new(name: impl Into<String>, state: State, value: impl Into<String>) -> Self {
        Self { group: "", name: name.into(), state, value: value.into(), why: "", help: None }
    }

    fn found(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, State::Found, value)
    }

    fn warning(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, State::Warning, value)
    }

    fn missing(name: impl Into<String>) -> Self {
        Self::new(name, State::Missing, "")
    }

    const fn why(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All findings on the machine below a folder, in the order of their groups; `/` is this machine.
#[must_use]
pub fn examine(root: &Path) -> Vec<Finding> {
    let machine = Machine::below(root);
    let groups = [
        ("launch", launch::check(&machine)),
        ("network", network::check(&machine)),
        ("memory and processors", memory::check(&machine)),
        ("storage", storage::check(&machine)),
        ("python", python::check(&machine)),
    ];
    let named = groups.into_iter().flat_map(|(group, findings)| {
        findings.into_iter().map(move |finding| Finding { group, ..finding })
    });
    named.collect()
}

/// A number of bytes in words, rounded down to a tenth of a binary unit.
fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match UNITS.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                tenth => format!("{}.{tenth} {unit}", tenths / 10),
            }
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_down() {
        let words = [0, 1023, 1024, 65_536, 1_600_000, 270_582_939_648].map(bytes_in_words);
        assert_eq!(words, ["0 bytes", "1023 bytes", "1 KiB", "64 KiB", "1.5 MiB", "252 GiB"]);
        assert_eq!(bytes_in_words(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn an_empty_folder_is_a_machine_without_anything() {
        let folder = tempfile::tempdir().unwrap();
        let findings = examine(folder.path());
        assert!(findings.len() > 10, "{findings:#?}");
        for finding in &findings {
            assert!(!finding.why.is_empty() && !finding.name.is_empty(), "{finding:?}");
            assert!(finding.state != State::Missing || finding.help.is_some(), "{finding:?}");
        }
    }
}
