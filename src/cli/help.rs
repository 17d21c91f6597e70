//! Texts of the help: examples for every command, the environment, the settings.

use clap::Command;
use rdask_core::config::{Config, NAMES};
use std::fmt::Write;

/// Below the options of the whole program.
pub(super) const TOP: &str = "\
Examples:
  rdask-hpc graph.bin                          run on this machine
  mpirun -n 4 rdask-hpc graph.bin              rank 0 schedules, three ranks work
  srun rdask-hpc graph.bin --output results    the same in a batch script
  rdask-hpc graph import graph.json -o graph.bin
  rdask-hpc topology --ranks 4

Environment:
  RDASK_<OPTION>     each option of a run, such as RDASK_MEMORY_LIMIT=4GiB
  RDASK_<SETTING>    each setting, such as RDASK_SCHEDULER__WORKER_SATURATION=inf
  RDASK_MPI_SHIM     the MPI shim to open, instead of the one beside the binary
  An option is taken from its flag, the environment, the --config file,
  ~/.config/rdask-hpc.toml ($XDG_CONFIG_HOME is respected) or /etc/rdask-hpc.toml,
  whichever says it first; `rdask-hpc config` shows which.

Exit codes: 0 all results are there, 1 a task failed, 2 graph, option or configuration
is wrong, 3 the cluster failed or a signal stopped the run.
`rdask-hpc --help-all` shows rare options and all settings.";

/// Below `run`.
pub(super) const RUN: &str = "\
Examples:
  rdask-hpc run graph.bin --workers 2 --threads 4
  rdask-hpc run graph.json --output results --overwrite --json
  rdask-hpc run - --events events.jsonl < graph.bin
  rdask-hpc run graph.bin --set scheduler.worker-saturation=inf";

/// Below `graph`.
pub(super) const GRAPH: &str = "\
Examples:
  rdask-hpc graph generate stencil_1d --width 64 --steps 1000 -o graph.bin
  rdask-hpc graph import graph.json -o graph.bin
  rdask-hpc graph export graph.bin -o -
  rdask-hpc graph info graph.bin --json
  rdask-hpc graph validate graph.json
  rdask-hpc graph dot graph.bin | dot -Tsvg > graph.svg";

/// Below `topology`.
pub(super) const TOPOLOGY: &str = "\
Examples:
  rdask-hpc topology
  rdask-hpc topology --ranks 4 --scheduler-here yes
  rdask-hpc topology --allowed 0-7 --json
  rdask-hpc topology --synthetic 'package:2 numa:2 core:8 pu:2' --ranks 5";

/// Below `doctor`.
pub(super) const DOCTOR: &str = "\
Examples:
  rdask-hpc doctor
  srun -n 1 rdask-hpc doctor                   inside a job its limits are the job's
  rdask-hpc doctor --json | jq '.findings[] | select(.state != \"found\")'

The exit code is 0 whatever is found.";
/// Below `sweep`.
pub(super) const SWEEP: &str = "\
VALUES is a list such as a,b,c, whose items may be ranges such as 1..100 or 0..90..30 (both
ends included), or @FILE with one value a line. {NAME} in the command stands for the value,
{{ and }} for braces. Each run finds its parameters also as RDASK_PARAM_<NAME>. A run that
fails stops no other; sweep.json and sweep.csv in the output folder list all of them.

Examples:
  rdask-hpc sweep --param case=@cases.txt --param seed=1..100 -- ./model {case} {seed}
  mpirun -n 4 rdask-hpc sweep --param size=1,2,4 --capture result.nc -- ./model {size}
  rdask-hpc sweep --param seed=1..3 --dry-run -- ./model {seed}
  rdask-hpc sweep --param seed=1..100 --retry-failed -- ./model {seed}
  rdask-hpc logs seed=17";

/// Below `logs`.
pub(super) const LOGS: &str = "\
Examples:
  rdask-hpc logs run-7
  rdask-hpc logs 'case=a,seed=17' --output results
  rdask-hpc logs run-7 --json";

/// Below `simulate`.
pub(super) const SIMULATE: &str = "\
The real scheduler and workers run in simulated time; the same graph, options and seed give
the same answer on every machine. Durations and sizes are those that the graph says: the
attribute `time`, the parameters of busy, bytes and sleep, the shapes that are created. The
lower bound is what no scheduler can beat: the longest chain, all work over all threads, the
phases of a graph that is narrow at its ends, and the bytes that one task must gather.

Examples:
  rdask-hpc simulate graph.bin --workers 24
  rdask-hpc simulate graph.json --workers 168 --threads 4 --latency 5 --bandwidth 10
  rdask-hpc simulate graph.bin --workers 24 --faults crash,freeze --seed 7
  rdask-hpc simulate - --task-us 50000 --bytes 1MiB --json < graph.bin";

/// Below `replay`.
pub(super) const REPLAY: &str = "\
A record is written by `rdask-hpc --record FILE GRAPH`. The events in it run through a fresh
scheduler, which must end in the state that the recorded one ended in: the hashes of both are
compared. A record that ends in the middle, because the run was killed, runs to its last whole
event.

Examples:
  rdask-hpc replay run.record
  rdask-hpc replay run.record --story sum-17
  rdask-hpc replay run.record --until 5000 --json
  rdask-hpc replay run.record --events";

/// Below `config`.
pub(super) const CONFIG: &str = "\
Examples:
  rdask-hpc config
  RDASK_WORKERS=2 rdask-hpc config --config site.toml --threads 4
  rdask-hpc config --json";

/// Below `completions`.
pub(super) const COMPLETIONS: &str = "\
Examples:
  rdask-hpc completions bash > ~/.local/share/bash-completion/completions/rdask-hpc
  rdask-hpc completions zsh > ~/.zfunc/_rdask-hpc
  rdask-hpc completions fish > ~/.config/fish/completions/rdask-hpc.fish";

/// The help with rare options and all settings.
pub(super) fn all(command: Command) -> String {
    let mut command =
        command.mut_args(
            |argument| if argument.is_positional() { argument } else { argument.hide(false) },
        );
    let mut text = command.render_help().to_string();
    let _infallible = write!(text, "\n\nSettings (--set NAME=VALUE):\n{}", settings());
    text
}

/// One line and a sentence for each setting.
fn settings() -> String {
    let defaults = Config::default();
    let mut text = String::new();
    for setting in NAMES {
        let default = defaults.value(setting.name).unwrap_or_default();
        let default = if default.is_empty() { "none" } else { default.as_str() };
        let name = setting.name;
        let unit = setting.unit.name();
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            text,
            "  {name}  <{unit}> [default: {default}]\n          {}",
            setting.sentence
        );
    }
    text
}
