//! An ensemble: one command with placeholders, run once for every combination of parameters.
//!
//! ```text
//!   --param case=@cases.txt ─▶ Parameter ─┐
//!   --param seed=1..100     ─▶ Parameter ─┼─▶ Run: key, values ─▶ graph of command tasks
//!   ./model {case} {seed}   ─▶ Template  ─┘                          │
//!                    sweep.json, sweep.csv ◀── manifest, task log ◀──┘
//! ```
//! The runs are independent tasks, so one that fails stops no other. A key is made of the parameters
//! and is the same however the lists were written: that is what `--retry-failed` goes by.

mod parameter;
mod retry;
mod table;
mod template;

pub use parameter::Parameter;
pub use retry::Before;
pub use table::{Counts, Table};
pub use template::Template;

use crate::user_error::UserError;
use rdask_core::graph::{
    Attributes, Capture, CommandSpec, Graph, GraphBuilder, MAX_KEY_BYTES, RunSpec,
};
use serde_json::json;
use std::collections::BTreeSet;

/// Most runs of one sweep: far above what a batch job starts as processes in its time.
pub const MAX_RUNS: usize = 1_000_000;
/// What the variables begin with that tell a program its parameters.
const VARIABLE: &str = "RDASK_PARAM_";

/// How the lists of several parameters go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Every value of one with every value of the others; the last varies fastest.
    Product,
    /// The first with the first, the second with the second.
    Zip,
}

/// What each run needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// Slots.
    pub threads: Option<u32>,
    /// Bytes that must be free before it starts.
    pub memory_bytes: Option<u64>,
    /// It is killed after so many nanoseconds.
    pub timeout_ns: Option<u64>,
    /// What of it is kept as its output.
    pub capture: Capture,
}

/// One combination of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Key of its task: `case=a,seed=1`.
    pub key: String,
    /// A value for each parameter.
    pub values: Vec<String>,
}

/// An ensemble of runs.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Names of the parameters.
    pub names: Vec<String>,
    /// The command.
    pub template: Template,
    /// What each run needs.
    pub needs: Needs,
    /// The runs, in order.
    pub runs: Vec<Run>,
}

impl Sweep {
    /// Puts parameters and command together.
    ///
    /// # Errors
    /// No parameter, one that stands twice, lists of different lengths to zip, too many runs, a
    /// placeholder without a parameter, a key that stands twice or is too long.
    pub fn new(
        parameters: &[Parameter],
        pairing: Pairing,
        command: &[String],
        needs: Needs,
    ) -> Result<Self, UserError> {
        if parameters.is_empty() {
            return Err(UserError::new("a sweep has at least one parameter", "")
                .help("for example --param seed=1..100, and {seed} in the command"));
        }
        let names: Vec<String> = parameters.iter().map(|one| one.name.clone()).collect();
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(UserError::new(format!("the parameter '{twice}' is given twice"), "")
                .help("give all of its values in one list, or in a file"));
        }
        let template = Template::parse(command, &names)?;
        let count = count_of(parameters, pairing)?;
        let mut runs = Vec::with_capacity(count);
        let mut keys = BTreeSet::new();
        for number in 0..count {
            let run = run_of(parameters, pairing, number);
            if run.key.len() > MAX_KEY_BYTES {
                let what =
                    format!("the parameters of run {number} have more than {MAX_KEY_BYTES} bytes");
                return Err(UserError::new(what, "").help("name long values by a short word"));
            }
            if !keys.insert(run.key.clone()) {
                let what = format!("the run '{}' stands twice", run.key);
                return Err(UserError::new(what, "").help("give each value once"));
            }
            runs.push(run);
        }
        Ok(Self { names, template, needs, runs })
    }

    /// The graph of those runs that `wanted` names, each an output.
    ///
    /// # Errors
    /// A command that no system can run.
    pub fn graph(&self, wanted: impl Fn(&Run) -> bool) -> Result<Graph, UserError> {
        let mut graph = GraphBuilder::new();
        for run in self.runs.iter().filter(|run| wanted(run)) {
            let command = self.command(run);
            command
                .check(0)
                .map_err(|fault| UserError::new(fault.to_string(), format!("run '{}'", run.key)))?;
            let task = graph.add(&run.key, RunSpec::command(command), &[]);
            let Needs { threads, memory_bytes, timeout_ns, .. } = self.needs;
            let attributes =
                Attributes { threads, memory_bytes, timeout_ns, ..Attributes::default() };
            if attributes != Attributes::default() {
                graph.attributes(task, attributes);
            }
        }
        let meta = json!({"sweep": {"parameters": self.names, "command": self.template.words()}});
        graph.meta(meta.to_string());
        graph.build().map_err(|error| UserError::new(error.to_string(), "sweep"))
    }

    /// What a run runs.
    #[must_use]
    pub fn command(&self, run: &Run) -> CommandSpec {
        let variable =
            |(name, value): (&String, &String)| (format!("{VARIABLE}{name}"), value.clone());
        CommandSpec {
            argv: self.template.fill(&run.values),
            env: self.names.iter().zip(&run.values).map(variable).collect(),
            capture: self.needs.capture.clone(),
            ..CommandSpec::default()
        }
    }
}

fn count_of(parameters: &[Parameter], pairing: Pairing) -> Result<usize, UserError> {
    let lengths = || parameters.iter().map(|one| one.values.len());
    let count = match pairing {
        Pairing::Product => lengths().try_fold(1, usize::checked_mul),
        Pairing::Zip => {
            let first = lengths().next().unwrap_or(0);
            if let Some(other) = parameters.iter().find(|one| one.values.len() != first) {
                let what = format!(
                    "--zip needs lists of one length: '{}' has {first} values, '{}' has {}",
                    parameters[0].name,
                    other.name,
                    other.values.len()
                );
                return Err(UserError::new(what, ""));
            }
            Some(first)
        }
    };
    count.filter(|count| *count <= MAX_RUNS).ok_or_else(|| {
        UserError::new(format!("these parameters make more than {MAX_RUNS} runs"), "")
            .help("divide them into several sweeps")
    })
}

/// The run of a number: its digits in a system where each parameter is one place.
fn run_of(parameters: &[Parameter], pairing: Pairing, number: usize) -> Run {
    let mut rest = number;
    let mut values: Vec<String> = Vec::with_capacity(parameters.len());
    for parameter in parameters.iter().rev() {
        let at = match pairing {
            Pairing::Zip => number,
            Pairing::Product => {
                let at = rest % parameter.values.len();
                rest /= parameter.values.len();
                at
            }
        };
        values.push(parameter.values[at].clone());
    }
    values.reverse();
    let parts = parameters.iter().zip(&values);
    let parts: Vec<String> = parts.map(|(one, value)| format!("{}={value}", one.name)).collect();
    Run { key: parts.join(","), values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(parameters: &[&str], pairing: Pairing) -> Result<Sweep, UserError> {
        let parameters: Vec<Parameter> =
            parameters.iter().map(|text| Parameter::parse(text, "/".as_ref()).unwrap()).collect();
        let command = ["run", "{a}-{b}", "{{{a}}}"].map(str::to_owned);
        Sweep::new(&parameters, pairing, &command, Needs::default())
    }

    #[test]
    fn the_product_varies_the_last_parameter_fastest() {
        let sweep = sweep(&["a=x,y", "b=1..3"], Pairing::Product).unwrap();
        let keys: Vec<&str> = sweep.runs.iter().map(|run| run.key.as_str()).collect();
        assert_eq!(keys, ["a=x,b=1", "a=x,b=2", "a=x,b=3", "a=y,b=1", "a=y,b=2", "a=y,b=3"]);
        let command = sweep.command(&sweep.runs[4]);
        assert_eq!(command.argv, ["run", "y-2", "{y}"]);
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(command.env, [variable("RDASK_PARAM_a", "y"), variable("RDASK_PARAM_b", "2")]);
        let graph = sweep.graph(|run| run.values[0] == "x").unwrap();
        assert_eq!(graph.len(), 3);
    }

    #[test]
    fn lists_are_zipped_when_they_are_of_one_length() {
        let zipped = sweep(&["a=x,y", "b=1..2"], Pairing::Zip).unwrap();
        let keys: Vec<&str> = zipped.runs.iter().map(|run| run.key.as_str()).collect();
        assert_eq!(keys, ["a=x,b=1", "a=y,b=2"]);
        let error = sweep(&["a=x,y", "b=1..3"], Pairing::Zip).unwrap_err();
        assert_eq!(error.what, "--zip needs lists of one length: 'a' has 2 values, 'b' has 3");
    }

    #[test]
    fn what_cannot_be_swept_is_said() {
        let what = |parameters: &[&str]| sweep(parameters, Pairing::Product).unwrap_err().what;
        assert_eq!(what(&[]), "a sweep has at least one parameter");
        assert_eq!(what(&["a=1", "a=2"]), "the parameter 'a' is given twice");
        assert_eq!(what(&["a=1,1", "b=1"]), "the run 'a=1,b=1' stands twice");
        assert_eq!(what(&["a=1"]), "there is no parameter 'b' for {b}");
        let many = what(&["a=1..2000", "b=1..2000"]);
        assert_eq!(many, "these parameters make more than 1000000 runs");
    }
}
