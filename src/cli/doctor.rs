//! `rdask-hpc doctor`: what this machine offers and what is missing, with the remedy.
//!
//! Findings come from `crate::doctor`; here they become text or JSON. What is missing is no fault
//! of use, so the exit code is 0 whatever is found.

use super::print;
use crate::doctor::{Finding, State, examine};
use crate::user_error::UserError;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `doctor`.
#[derive(clap::Args, Debug)]
pub(super) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Look at the files of another machine (its proc, sys, etc, usr/lib …) below this folder
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Prints all findings.
pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    if !args.root.is_dir() {
        let place = args.root.display().to_string();
        return Err(UserError::new("there is no such folder", format!("{place}, --root")).into());
    }
    let findings = examine(&args.root);
    let text = if args.json { as_json(&findings).to_string() } else { as_text(&findings) };
    print::data(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn count(findings: &[Finding], state: State) -> usize {
    findings.iter().filter(|finding| finding.state == state).count()
}

fn as_json(findings: &[Finding]) -> Value {
    json!({
        "version": 1,
        "program": env!("CARGO_PKG_VERSION"),
        "found": count(findings, State::Found),
        "warnings": count(findings, State::Warning),
        "missing": count(findings, State::Missing),
        "findings": findings,
    })
}

fn as_text(findings: &[Finding]) -> String {
    let (mut text, mut group) = (String::new(), "");
    // Writing to a string cannot fail.
    for finding in findings {
        if finding.group != group {
            group = finding.group;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _infallible = writeln!(text, "{gap}{group}");
        }
        let (word, line) = (word(finding.state), line(finding));
        let _infallible = writeln!(text, "  {word:<8} {line}\n           why: {}", finding.why);
        if let Some(help) = &finding.help {
            let _infallible = writeln!(text, "           do:  {help}");
        }
    }
    let counts = [State::Found, State::Warning, State::Missing].map(|it| count(findings, it));
    let [found, warnings, missing] = counts;
    let plural = if warnings == 1 { "" } else { "s" };
    let _infallible =
        write!(text, "\n{found} found, {warnings} warning{plural}, {missing} missing");
    text
}

fn line(finding: &Finding) -> String {
    if finding.value.is_empty() {
        return finding.name.clone();
    }
    format!("{}: {}", finding.name, finding.value)
}

const fn word(state: State) -> &'static str {
    match state {
        State::Found => "found",
        State::Warning => "warning",
        State::Missing => "missing",
    }
}
