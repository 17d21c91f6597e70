//! The last line of a run.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Payload bytes that crossed between workers, by path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BytesMoved {
    /// Shared memory.
    pub shm: u64,
    /// UCX.
    pub ucx: u64,
    /// TCP.
    pub tcp: u64,
}

/// What a run did. Printed as one line, or as one JSON object with `--json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Distinct tasks that reached memory.
    pub tasks: u64,
    /// Outputs in the output folder.
    pub outputs: u64,
    /// Tasks in erred.
    pub erred: u64,
    /// Executions beyond the first of a task.
    pub recomputed: u64,
    /// Tasks that went from one worker to another before they began.
    pub stolen: u64,
    /// From the graph's arrival at the scheduler to its last result.
    pub seconds: f64,
    /// Workers.
    pub workers: u64,
    /// Sum of threads over the workers.
    pub threads: u64,
    /// Payload that moved.
    pub bytes_moved: BytesMoved,
    /// Largest VmHWM of a worker, bytes.
    pub peak_memory: u64,
    /// The output folder, absolute.
    pub output_dir: String,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BytesMoved { shm, ucx, tcp } = self.bytes_moved;
        let moved = shm.saturating_add(ucx).saturating_add(tcp);
        write!(
            formatter,
            "{} tasks, {} outputs, {:.3} s, {moved} bytes moved ({shm}/{ucx}/{tcp}), {}",
            self.tasks, self.outputs, self.seconds, self.output_dir
        )
    }
}

impl Summary {
    /// The line to print: words, or JSON.
    #[must_use]
    pub fn line(&self, json: bool) -> String {
        if json {
            serde_json::to_string(self).expect("numbers and strings are always JSON")
        } else {
            self.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_contract() {
        let summary = Summary {
            tasks: 16384,
            outputs: 1,
            seconds: 0.2139,
            bytes_moved: BytesMoved { tcp: 1_048_576, ..BytesMoved::default() },
            output_dir: "/abs/rdask-output".into(),
            ..Summary::default()
        };
        let line =
            "16384 tasks, 1 outputs, 0.214 s, 1048576 bytes moved (0/0/1048576), /abs/rdask-output";
        assert_eq!(summary.line(false), line);
        let back: Summary = serde_json::from_str(&summary.line(true)).unwrap();
        assert_eq!(back, summary);
    }
}
