//! The table of a sweep: `sweep.json` and `sweep.csv`, one row for each run.
//!
//! What is whole and what failed comes from the manifest, how a program ended and how long it took
//! from the task log. The CSV quotes as RFC 4180 says.

use super::Sweep;
use crate::output::whole::write_whole;
use crate::output::{Entry, Manifest};
use crate::task_log::{Record, TaskLogs};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Names of the two files in the output folder.
const JSON: &str = "sweep.json";
const CSV: &str = "sweep.csv";

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Its result is whole.
    Finished,
    /// It failed for good.
    Failed,
    /// It has not been run, or its end is not known.
    Missing,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
struct Row<'a> {
    key: &'a str,
    parameters: BTreeMap<&'a str, &'a str>,
    state: State,
    /// How the program ended the last time: `exit code 0`.
    exit: Option<String>,
    /// How often it was run, over all jobs.
    attempts: usize,
    seconds: Option<f64>,
    worker: Option<String>,
    /// Name of the result in the output folder.
    file: Option<String>,
    error: Option<String>,
}

/// All runs of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Table<'a> {
    parameters: &'a [String],
    command: &'a [String],
    counts: Counts,
    runs: Vec<Row<'a>>,
}

/// How many runs stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Whole.
    pub finished: usize,
    /// Failed for good.
    pub failed: usize,
    /// Not run.
    pub missing: usize,
}

impl<'a> Table<'a> {
    /// Puts together what is known of each run.
    #[must_use]
    pub fn new(sweep: &'a Sweep, manifest: &Manifest, logs: &TaskLogs) -> Self {
        let mut attempts: BTreeMap<&str, (usize, &Record)> = BTreeMap::new();
        for record in logs.records() {
            let (count, last) = attempts.entry(&record.key).or_insert((0, record));
            (*count, *last) = (*count + 1, record);
        }
        let mut counts = Counts::default();
        let mut runs = Vec::with_capacity(sweep.runs.len());
        for run in &sweep.runs {
            let known = attempts.get(run.key.as_str());
            let (state, file, error) = match manifest.outputs.get(&run.key) {
                Some(Entry::File { file, .. }) => (State::Finished, Some(file.clone()), None),
                Some(Entry::Error { error, .. }) if known.is_some() => {
                    (State::Failed, None, Some(error.clone()))
                }
                Some(Entry::Error { error, .. }) => (State::Missing, None, Some(error.clone())),
                None => (State::Missing, None, None),
            };
            *match state {
                State::Finished => &mut counts.finished,
                State::Failed => &mut counts.failed,
                State::Missing => &mut counts.missing,
            } += 1;
            let names = sweep.names.iter().map(String::as_str);
            runs.push(Row {
                key: &run.key,
                parameters: names.zip(run.values.iter().map(String::as_str)).collect(),
                state,
                exit: known.map(|(_, record)| record.end.clone()),
                attempts: known.map_or(0, |(count, _)| *count),
                seconds: known.map(|(_, record)| record.seconds),
                worker: known.map(|(_, record)| record.worker.clone()),
                file,
                error,
            });
        }
        Self { parameters: &sweep.names, command: sweep.template.words(), counts, runs }
    }

    /// How many runs stand where.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes both files, each whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        write_whole(&folder.join(JSON), false, |out| {
            serde_json::to_writer_pretty(&mut *out, self)?;
            out.write_all(b"\n")
        })?;
        write_whole(&folder.join(CSV), false, |out| self.csv(out))
    }

    fn csv(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let fixed = ["state", "exit", "attempts", "seconds", "file"];
        let names = self.parameters.iter().map(String::as_str);
        line(names.chain(fixed).map(str::to_owned), out)?;
        for row in &self.runs {
            let values = self.parameters.iter().map(|name| {
                row.parameters.get(name.as_str()).copied().unwrap_or_default().to_owned()
            });
            let state = match serde_json::to_value(row.state)? {
                Value::String(state) => state,
                other => other.to_string(),
            };
            let seconds = row.seconds.map(|seconds| format!("{seconds:.6}"));
            let known = [
                state,
                row.exit.clone().unwrap_or_default(),
                row.attempts.to_string(),
                seconds.unwrap_or_default(),
                row.file.clone().unwrap_or_default(),
            ];
            line(values.chain(known), out)?;
        }
        Ok(())
    }
}

/// One line of a CSV file.
fn line(cells: impl Iterator<Item = String>, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let quoted = |cell: String| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    };
    let cells: Vec<String> = cells.map(quoted).collect();
    out.write_all(cells.join(",").as_bytes())?;
    out.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must() {
        let mut out = Vec::new();
        let cells = ["a", "b c", "d,e", "say \"f\"", ""].map(str::to_owned);
        line(cells.into_iter(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,b c,\"d,e\",\"say \"\"f\"\"\",\r\n");
    }
}
