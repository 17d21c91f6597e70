//! The options of `run`, one row each: the command line, the environment, the files, the help and
//! docs/cli.md are all made from this table.
//!
//! An option that comes with a later version stands in `LATER` and is refused by name, wherever it
//! is given. Names are unique in both tables together.

/// How an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One value; the text is how help calls it.
    Value(&'static str),
    /// No value on the command line; `true` or `false` elsewhere.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A value that may be given more than once.
    List(&'static str),
}

/// One option of `run`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionRow {
    /// Name on the command line, without dashes.
    pub(crate) name: &'static str,
    /// Heading in the help.
    pub(crate) group: &'static str,
    /// Its value.
    pub(crate) kind: Kind,
    /// What holds when nobody says; empty: decided at the start, or off.
    pub(crate) default: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
    /// Shown by `--help-all` only.
    pub(crate) rare: bool,
}

impl OptionRow {
    /// Its environment variable, `RDASK_MEMORY_LIMIT` for example.
    pub(crate) fn environment_name(&self) -> String {
        environment_name(self.name)
    }
}

/// The environment variable of an option.
pub(crate) fn environment_name(option: &str) -> String {
    format!("RDASK_{}", option.replace('-', "_").to_uppercase())
}

const fn row(
    name: &'static str,
    group: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> OptionRow {
    OptionRow { name, group, kind, default, help, rare: false }
}

const fn rare(
    name: &'static str,
    group: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> OptionRow {
    OptionRow { name, group, kind, default, help, rare: true }
}

const OUTPUT: &str = "Output";
const WORKERS: &str = "Workers";
const LAUNCH: &str = "Launch";
const FAILURES: &str = "Failures";
const SETTINGS: &str = "Settings";

use Kind::{Choice, List, Switch, Value};

/// Every option of `run`, in the order of the help.
pub(crate) const OPTIONS: &[OptionRow] = &[
    row("output", OUTPUT, Value("DIR"), "rdask-output", "Folder for results and manifest.json"),
    row(
        "overwrite",
        OUTPUT,
        Switch,
        "",
        "Replace the results of another graph in the output folder",
    ),
    rare(
        "fsync",
        OUTPUT,
        Choice(&["each", "end", "none"]),
        "end",
        "When results are synced to disk: each file before it appears, all before the manifest, never",
    ),
    row("json", OUTPUT, Switch, "", "Print the summary as one JSON object"),
    row(
        "scheduler-file",
        OUTPUT,
        Value("FILE"),
        "",
        "Write addresses, secret and workers of the running job to FILE",
    ),
    row("events", OUTPUT, Value("FILE"), "", "Write what happens to FILE, one JSON object a line"),
    row(
        "progress",
        OUTPUT,
        Choice(&["auto", "bar", "log", "none"]),
        "auto",
        "How progress is shown: a bar, lines, or not; auto takes a bar on a terminal",
    ),
    row("log", OUTPUT, Value("FILTER"), "warn", "What is logged, such as info or rdask=debug,warn"),
    rare("log-dir", OUTPUT, Value("DIR"), "", "Write the log of each process to a file in DIR"),
    row(
        "workers",
        WORKERS,
        Value("N"),
        "",
        "Worker processes of a local run [default: one for each NUMA domain]",
    ),
    row("threads", WORKERS, Value("N"), "", "Threads of each worker [default: its cores]"),
    row(
        "bind",
        WORKERS,
        Choice(&["auto", "none", "core", "numa", "package"]),
        "auto",
        "What threads are bound to",
    ),
    row(
        "rank0",
        WORKERS,
        Choice(&["scheduler", "both"]),
        "scheduler",
        "What rank 0 runs: the scheduler alone, or a worker beside it",
    ),
    rare("scheduler-cores", WORKERS, Value("N"), "", "Cores kept for the scheduler"),
    row(
        "memory-limit",
        WORKERS,
        Value("BYTES|PERCENT|auto|none"),
        "auto",
        "Memory of each worker, such as 4GiB, or 80% of its share",
    ),
    row("resources", WORKERS, Value("LIST"), "", "What each worker has, such as GPU=1,NVME=1"),
    row(
        "local-directory",
        WORKERS,
        Value("DIR"),
        "",
        "Make a scratch folder for the run there, on each node",
    ),
    row(
        "allow",
        WORKERS,
        Value("KINDS"),
        "native,command,plugin,python",
        "Kinds of tasks that may run; a graph with others is refused",
    ),
    rare("launcher", LAUNCH, Value("NAME"), "", "Overrides the detected launcher"),
    rare("bootstrap", LAUNCH, Choice(&["auto", "mpi"]), "auto", "How the ranks find each other"),
    rare(
        "startup-timeout",
        LAUNCH,
        Value("SECONDS"),
        "120",
        "Ranks must have registered within this time",
    ),
    row("interface", LAUNCH, Value("IFACE"), "", "Network interface that connections use"),
    row("retries", FAILURES, Value("N"), "0", "Errors that a task survives"),
    row("allowed-failures", FAILURES, Value("N"), "3", "Deaths of its worker that a task survives"),
    row("keep-going", FAILURES, Switch, "", "Compute what does not depend on a failed task"),
    row("worker-ttl", FAILURES, Value("SECONDS"), "30", "A worker silent for this long is lost"),
    row(
        "death-timeout",
        FAILURES,
        Value("SECONDS"),
        "30",
        "A worker ends itself when the scheduler is away for this long",
    ),
    row(
        "record",
        FAILURES,
        Value("FILE"),
        "",
        "Write every event of the scheduler to FILE, for `replay`",
    ),
    rare(
        "record-size",
        FAILURES,
        Value("BYTES"),
        "",
        "Keep only the latest events in FILE, in so many bytes",
    ),
    rare("validate", FAILURES, Switch, "", "Check every invariant after every event"),
    rare("seed", FAILURES, Value("N"), "0", "Seed of ties and jitter; results never depend on it"),
    row("config", SETTINGS, Value("FILE"), "", "TOML file with options and settings"),
    row("set", SETTINGS, List("NAME=VALUE"), "", "Change a setting; may be repeated"),
];

/// Options that later versions bring.
pub(crate) const LATER: &[&str] = &[
    "report",
    "lifetime",
    "lifetime-stagger",
    "bootstrap-dir",
    "transport",
    "verify-transfers",
    "walltime",
    "grace",
    "checkpoint",
    "resume",
    "checkpoint-interval",
    "max-requeues",
    "python",
    "native",
];

/// Commands that later versions bring.
pub(crate) const LATER_COMMANDS: &[&str] =
    &["jobscript", "serve", "report", "worker", "setup", "story"];

/// The row of an option.
pub(crate) fn find(name: &str) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_choices_hold_their_default() {
        let names: Vec<&str> =
            OPTIONS.iter().map(|row| row.name).chain(LATER.iter().copied()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for row in OPTIONS {
            if let Choice(words) = row.kind {
                assert!(words.contains(&row.default), "{}", row.name);
            }
            assert!(!row.help.ends_with('.'), "{}", row.name);
        }
    }
}
