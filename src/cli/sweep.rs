//! `rdask-hpc sweep`: an ensemble from the command line, its graph, its run and its table.
//!
//! Every rank reads the same arguments and makes the same ensemble; only rank 0 writes files. The
//! graph stands in the output folder, so that the other processes of the run find it there.

use super::run::RunFlags;
use super::{EXIT_CLUSTER, print};
use crate::config::{RunOptions, Surroundings, resolve};
use crate::graph_file;
use crate::output::whole::write_whole;
use crate::output::{MANIFEST, forget_verdict};
use crate::run::{Around, run_around};
use crate::sweep::{Before, Counts, Needs, Pairing, Parameter, Sweep, Table};
use crate::task_log::TaskLogs;
use crate::user_error::UserError;
use rdask_core::graph::{Capture, Graph};
use rdask_core::units::{parse_bytes, parse_duration_ns};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Name of the graph in the output folder.
const GRAPH: &str = "sweep.bin";

/// Parameters, needs and the command.
#[derive(Debug, clap::Args)]
pub(super) struct SweepArgs {
    /// A parameter and its values; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUES", help_heading = "Sweep")]
    parameters: Vec<String>,
    /// First value with first value instead of every combination
    #[arg(long, help_heading = "Sweep")]
    zip: bool,
    /// What each run leaves as its result: stdout, none, or the name of a file in its folder
    #[arg(long, value_name = "WHAT", default_value = "stdout", help_heading = "Sweep")]
    capture: String,
    /// Slots that each run takes
    #[arg(long, value_name = "N", help_heading = "Sweep")]
    threads_per_task: Option<u32>,
    /// Memory that must be free before a run starts, such as 2GiB
    #[arg(long, value_name = "BYTES", help_heading = "Sweep")]
    memory_per_task: Option<String>,
    /// A run that takes longer is killed and has failed
    #[arg(long, value_name = "SECONDS", help_heading = "Sweep")]
    timeout: Option<String>,
    /// Run only what failed or is missing in the output folder
    #[arg(long, help_heading = "Sweep")]
    retry_failed: bool,
    /// Print the commands and run nothing
    #[arg(long, help_heading = "Sweep")]
    dry_run: bool,
    /// Write the graph to FILE and run nothing
    #[arg(long, value_name = "FILE", help_heading = "Sweep")]
    graph: Option<PathBuf>,
    #[command(flatten)]
    options: RunFlags,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Makes the ensemble and does with it what was asked for.
pub(super) fn run(mut args: SweepArgs) -> anyhow::Result<ExitCode> {
    let flags = &mut args.options.0;
    flags.insert("keep-going", vec!["true".to_owned()]);
    let options = resolve(std::mem::take(flags), &Surroundings::of_process()?)?;
    crate::observe::log::check(&options.log)?;
    let sweep = sweep_of(&args, &options)?;
    if args.dry_run {
        print::data(&commands(&sweep))?;
        return Ok(ExitCode::SUCCESS);
    }
    let graph = sweep.graph(|_| true)?;
    if let Some(path) = &args.graph {
        write_graph(&graph, &options.working_directory.join(path))?;
        return Ok(ExitCode::SUCCESS);
    }
    let ensemble = Ensemble { sweep, graph, output: options.output.clone() };
    let code = if args.retry_failed { ensemble.retry(options)? } else { ensemble.run(options) };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(EXIT_CLUSTER)))
}

fn sweep_of(args: &SweepArgs, options: &RunOptions) -> Result<Sweep, UserError> {
    let folder = &options.working_directory;
    let parameters = args.parameters.iter().map(|text| Parameter::parse(text, folder));
    let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
    let pairing = if args.zip { Pairing::Zip } else { Pairing::Product };
    let bad = |option: &str, problem: String| UserError::new(problem, format!("option --{option}"));
    let bytes = |text: &String| {
        parse_bytes(text).map_err(|error| bad("memory-per-task", error.to_string()))
    };
    let time = |text: &String| {
        let given = parse_duration_ns(text).map_err(|error| bad("timeout", error.to_string()))?;
        if given == 0 {
            Err(bad("timeout", "a time-out is more than 0".to_owned()))
        } else {
            Ok(given)
        }
    };
    if args.threads_per_task == Some(0) {
        return Err(bad("threads-per-task", "a run takes 1 slot or more".to_owned()));
    }
    let needs = Needs {
        threads: args.threads_per_task,
        memory_bytes: args.memory_per_task.as_ref().map(bytes).transpose()?,
        timeout_ns: args.timeout.as_ref().map(time).transpose()?,
        capture: match args.capture.as_str() {
            "stdout" => Capture::Stdout,
            "none" => Capture::Nothing,
            file => Capture::File(file.to_owned()),
        },
    };
    Sweep::new(&parameters, pairing, &args.command, needs)
}

/// One line for each command, as a shell would take it.
fn commands(sweep: &Sweep) -> String {
    let mut text = String::new();
    for run in &sweep.runs {
        let words: Vec<String> = sweep.command(run).argv.iter().map(|word| quoted(word)).collect();
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{}", words.join(" "));
    }
    text
}

/// A word that a shell reads as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn write_graph(graph: &Graph, path: &Path) -> Result<(), UserError> {
    if !print::speaks() {
        return Ok(());
    }
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written =
        written.and_then(|()| write_whole(path, false, |out| graph_file::write(graph, out)));
    written.map_err(|error| {
        UserError::new(format!("the graph cannot be written: {error}"), path.display().to_string())
    })
}

/// An ensemble with its whole graph and the folder of its results.
struct Ensemble {
    sweep: Sweep,
    graph: Graph,
    output: PathBuf,
}

impl Ensemble {
    /// Runs all of it.
    fn run(&self, options: RunOptions) -> i32 {
        let path = self.output.join(GRAPH);
        let logs = options.task_logs.clone();
        let before = || write_graph(&self.graph, &path);
        run_around(
            options,
            &path,
            Around { before, after: |code, folder| (self.conclude(code, &logs), folder) },
        )
    }

    /// Runs what is not whole in the output folder, as a job of its own.
    fn retry(&self, mut options: RunOptions) -> Result<i32, UserError> {
        let hash = graph_file::content_hash(&self.graph);
        let Some(mut earlier) = Before::read(&self.output, hash)? else {
            return Ok(self.run(options));
        };
        let graph = self.sweep.graph(|run| !earlier.is_whole(&run.key))?;
        if graph.is_empty() {
            print::note(&format!("all {} runs are whole: nothing to do", self.sweep.runs.len()));
            return Ok(0);
        }
        let folder = self.output.clone();
        let logs = options.task_logs.clone();
        options.results = Some(folder.clone());
        options.output = Before::retry_path(&folder);
        let path = options.output.join(GRAPH);
        let before = || {
            Before::clear(&folder).map_err(|error| {
                let what = format!("what is left of an earlier retry cannot be removed: {error}");
                UserError::new(what, folder.display().to_string())
            })?;
            forget_verdict(&folder);
            write_graph(&graph, &path)
        };
        let after = |code, _retried| {
            let code = match earlier.merge() {
                Ok(()) => self.conclude(code, &logs),
                Err(error) => {
                    print::note(&format!("error: the results cannot be put together: {error}"));
                    EXIT_CLUSTER.into()
                }
            };
            (code, folder.clone())
        };
        Ok(run_around(options, &path, Around { before, after }))
    }

    /// Writes the table and says what is left to do.
    fn conclude(&self, code: i32, logs: &Path) -> i32 {
        let tabled = self.table(logs);
        let counts = match tabled {
            Ok(counts) => counts,
            Err(error) => {
                let folder = self.output.display();
                print::note(&format!(
                    "error: the table of the sweep cannot be written: {error} ({folder})"
                ));
                return if code == 0 { EXIT_CLUSTER.into() } else { code };
            }
        };
        let Counts { finished, failed, missing } = counts;
        if failed + missing > 0 {
            let all = self.sweep.runs.len();
            let missing = if missing > 0 { format!(", {missing} not run") } else { String::new() };
            print::note(&format!(
                "sweep: {finished} of {all} runs are whole, {failed} failed{missing} (sweep.csv lists \
                 them)\nhelp: `rdask-hpc logs KEY` shows what a run printed, the same sweep with \
                 --retry-failed runs these again"
            ));
        }
        code
    }

    fn table(&self, logs: &Path) -> std::io::Result<Counts> {
        let manifest = std::fs::read(self.output.join(MANIFEST))?;
        let manifest = serde_json::from_slice(&manifest)?;
        let logs = TaskLogs::open(&[logs.to_owned()]).map_err(|(_, error)| error)?;
        let table = Table::new(&self.sweep, &manifest, &logs);
        table.write(&self.output)?;
        Ok(table.counts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("--n=1.5"), "--n=1.5");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
