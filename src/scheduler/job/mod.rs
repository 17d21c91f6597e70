//! The batch job as the scheduler's client: it wants results, has them written, lets them go.
//!
//! ```text
//!   wanted ──key-in-memory──▶ writing ──written──▶ done      (released: its memory is free)
//!      ▲                        │  │
//!      └──── lost-data ─────────┘  └── 3 failures in 30 s ──▶ the run ends with 3
//! ```
//! Each wanted key has one or more targets: a file of its own, chunks of arrays. It is let go when
//! all of them are written, so that a job needs memory for what is under way only.

mod targets;

use rdask_core::graph::{ArrayOutput, Graph, Outputs};
use rdask_core::ids::{TaskId, WorkerId};
use rdask_core::messages::{WriteTarget, Written};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};
use targets::{Targets, Writing};

/// Times that a write is tried.
const WRITE_TRIES: u32 = 3;
/// Time over which they are spread.
const WRITE_PERIOD: Duration = Duration::from_secs(30);

/// What must be sent: this worker writes that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Who.
    pub(super) worker: WorkerId,
    /// Which result.
    pub(super) task: TaskId,
    /// Where to.
    pub(super) target: WriteTarget,
}

/// A write that its worker could not do.
#[derive(Debug)]
pub(super) struct FailedWrite {
    /// Which result.
    pub(super) task: TaskId,
    /// Where to.
    pub(super) target: WriteTarget,
    /// The system's reason; empty: the worker does not hold the result.
    pub(super) reason: String,
    /// The result does not fit its array.
    pub(super) mismatch: bool,
}

impl FailedWrite {
    /// The worker had the result, so that writing itself failed.
    pub(super) fn was_held(&self) -> bool {
        !self.reason.is_empty()
    }
}

/// What a failed write means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It is tried again.
    Retry,
    /// The order was taken back before: nothing to do.
    Stale,
    /// Nobody can write it: the run ends.
    GivenUp,
    /// The result does not fit its array: a fault of the task.
    Mismatch,
}

/// The client's books.
#[derive(Debug, Default)]
pub(super) struct Job {
    targets: FxHashMap<TaskId, Targets>,
    /// Keys whose targets are not all written and that did not err.
    open: usize,
    /// Wanted keys, in the graph's order.
    wanted: Vec<TaskId>,
    /// Keys that erred, or (with the reason) whose results do not fit their arrays.
    erred: FxHashMap<TaskId, Option<String>>,
    /// Targets in `Writing::Again`.
    again: usize,
    /// Results stay in memory instead (a run inside the calling process).
    keep: bool,
}

/// What a job asks of the scheduler core.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Keys to keep until they are written.
    pub(super) wanted: Vec<TaskId>,
    /// Keys to compute once.
    pub(super) run_once: Vec<TaskId>,
}

/// The tasks without dependents.
pub(crate) fn sinks(graph: &Graph) -> Vec<TaskId> {
    let mut has_dependents = vec![false; graph.len()];
    for input in &graph.inputs.values {
        has_dependents[input.index()] = true;
    }
    (0..graph.len()).map(TaskId::from_index).filter(|task| !has_dependents[task.index()]).collect()
}

/// The tasks whose results go into files of their own.
pub(crate) fn outputs(graph: &Graph) -> Vec<TaskId> {
    match &graph.outputs {
        Outputs::Sinks => {
            // A chunk goes into its array and needs no file of its own.
            let mut chunks: Vec<_> = graph.arrays.iter().flat_map(|array| &array.grid).collect();
            chunks.sort_unstable();
            let mut tasks = sinks(graph);
            tasks.retain(|task| chunks.binary_search(&task).is_err());
            tasks
        }
        Outputs::Tasks(tasks) => {
            let mut tasks = tasks.clone();
            tasks.sort_unstable();
            tasks.dedup();
            tasks
        }
    }
}

impl Job {
    /// The job of a graph: `stem_of` names files, `part_of` the part file of an array and the bytes
    /// before its first element.
    pub(super) fn new(
        graph: &Graph,
        mut stem_of: impl FnMut(TaskId) -> String,
        part_of: impl Fn(usize) -> (String, u64),
    ) -> (Self, Wishes) {
        let mut job = Self::default();
        for task in outputs(graph) {
            job.add(task, WriteTarget::File { stem: stem_of(task) });
        }
        for (index, array) in graph.arrays.iter().enumerate() {
            let (path, data_offset) = part_of(index);
            for (task, start, chunk) in chunks(array) {
                let what = WriteTarget::Chunk {
                    path: path.clone(),
                    data_offset,
                    shape: array.shape.clone(),
                    start,
                    chunk,
                    dtype: array.dtype.clone(),
                };
                job.add(task, what);
            }
        }
        job.wanted.sort_unstable();
        job.open = job.wanted.len();
        let run_once = match &graph.outputs {
            Outputs::Tasks(tasks) if tasks.is_empty() => {
                let mut once = sinks(graph);
                once.retain(|task| !job.targets.contains_key(task));
                once
            }
            _ => Vec::new(),
        };
        let wishes = Wishes { wanted: job.wanted.clone(), run_once };
        (job, wishes)
    }

    /// A job whose wanted results stay in memory.
    pub(super) fn kept(graph: &Graph) -> (Self, Wishes) {
        let (job, wishes) = Self::new(graph, |_| String::new(), |_| (String::new(), 0));
        (Self { keep: true, ..job }, wishes)
    }

    fn add(&mut self, task: TaskId, what: WriteTarget) {
        let targets = self.targets.entry(task).or_default();
        if targets.is_empty() {
            self.wanted.push(task);
        }
        targets.push(what);
    }

    /// Nothing is left to write.
    pub(super) fn is_done(&self) -> bool {
        self.open == 0
    }

    /// A key is in memory at these workers: the writes to order.
    pub(super) fn on_key_in_memory(&mut self, task: TaskId, holders: &[WorkerId]) -> Vec<Order> {
        let Some(&worker) = holders.first() else { return Vec::new() };
        if self.keep {
            self.open -= usize::from(self.targets.remove(&task).is_some());
            return Vec::new();
        }
        let mut orders = Vec::new();
        for target in self.targets.get_mut(&task).into_iter().flat_map(Targets::iter_mut) {
            if matches!(target.state, Writing::Waiting) {
                target.state = Writing::By(worker);
                orders.push(Order { worker, task, target: target.what.clone() });
            }
        }
        orders
    }

    /// The last copy of a key is gone; it will come again.
    pub(super) fn on_lost_data(&mut self, task: TaskId) {
        for target in self.targets.get_mut(&task).into_iter().flat_map(Targets::iter_mut) {
            if matches!(target.state, Writing::Again(_)) {
                self.again -= 1;
            }
            if !target.is_settled() {
                target.state = Writing::Waiting;
            }
        }
    }

    /// A worker is gone: what it was writing must be ordered again where a copy is left.
    pub(super) fn on_worker_lost(&mut self, lost: WorkerId) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        for task in &self.wanted {
            for target in self.targets.get_mut(task).into_iter().flat_map(Targets::iter_mut) {
                if matches!(target.state, Writing::By(worker) if worker == lost) {
                    target.state = Writing::Waiting;
                    if tasks.last() != Some(task) {
                        tasks.push(*task);
                    }
                }
            }
        }
        tasks
    }

    /// A target is written: true when its key has no other left and may be let go.
    pub(super) fn on_written(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        what: &WriteTarget,
        written: Written,
    ) -> bool {
        let Some(targets) = self.targets.get_mut(&task) else { return false };
        let Some(at) = targets.being_written(worker, what) else { return false };
        targets.settle(at, Writing::Done(written));
        let settled = targets.are_settled();
        if settled && !self.erred.contains_key(&task) {
            self.open -= 1;
        }
        settled
    }

    /// Nothing is left to do with a key's result.
    pub(super) fn is_settled(&self, task: TaskId) -> bool {
        self.targets.get(&task).is_some_and(Targets::are_settled)
    }

    /// A write failed.
    pub(super) fn on_failed(&mut self, worker: WorkerId, failed: &FailedWrite) -> Failed {
        let Some(targets) = self.targets.get_mut(&failed.task) else { return Failed::Stale };
        let Some(at) = targets.being_written(worker, &failed.target) else { return Failed::Stale };
        if failed.mismatch {
            targets.settle(at, Writing::Never);
            self.give_up(failed.task, Some(&failed.reason));
            return Failed::Mismatch;
        }
        let mut pause = Duration::ZERO;
        if failed.was_held() {
            targets[at].failures += 1;
            pause = WRITE_PERIOD / WRITE_TRIES;
        }
        if targets[at].failures >= WRITE_TRIES {
            targets.settle(at, Writing::Never);
            return Failed::GivenUp;
        }
        targets[at].state = Writing::Again(Instant::now() + pause);
        self.again += 1;
        Failed::Retry
    }

    /// Keys whose next try is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        if self.again == 0 {
            return tasks;
        }
        for task in &self.wanted {
            for target in self.targets.get_mut(task).into_iter().flat_map(Targets::iter_mut) {
                if matches!(target.state, Writing::Again(at) if at <= now) {
                    self.again -= 1;
                    target.state = Writing::Waiting;
                    if tasks.last() != Some(task) {
                        tasks.push(*task);
                    }
                }
            }
        }
        tasks
    }

    /// A wanted key erred for good.
    pub(super) fn on_erred(&mut self, task: TaskId) {
        self.give_up(task, None);
    }

    /// A wanted key's result is there but does not fit one of its arrays.
    pub(super) fn on_unfit(&mut self, task: TaskId, reason: &str) {
        self.give_up(task, Some(reason));
    }

    /// A wanted key will not be written whole; `reason`: when its result is there all the same.
    fn give_up(&mut self, task: TaskId, reason: Option<&str>) {
        let Some(targets) = self.targets.get(&task) else { return };
        if !targets.are_written() && self.erred.insert(task, reason.map(str::to_owned)).is_none() {
            self.open -= 1;
        }
    }

    /// Why a result that was computed cannot be written.
    pub(super) fn why_unfit(&self, task: TaskId) -> Option<&str> {
        self.erred.get(&task)?.as_deref()
    }

    /// Writes under way.
    pub(super) fn writing(&self) -> bool {
        let mut all = self.targets.values().flat_map(Targets::iter);
        all.any(|target| matches!(target.state, Writing::By(_)))
    }

    /// Files that are written.
    pub(super) fn files_written(&self) -> u64 {
        self.targets.keys().filter(|task| self.file_of(**task).is_some()).count() as u64
    }

    /// What became of the file of a key; none when it was not written.
    pub(super) fn file_of(&self, task: TaskId) -> Option<&Written> {
        self.targets.get(&task)?.file()
    }

    /// What became of a chunk that starts there in the array with this part file.
    pub(super) fn chunk_of(&self, task: TaskId, part: &str, at: &[u64]) -> Option<&Written> {
        self.targets.get(&task)?.chunk(part, at)
    }
}

/// The chunks of an array in C order: task, first index on each axis, shape.
pub(super) fn chunks(array: &ArrayOutput) -> impl Iterator<Item = (TaskId, Vec<u64>, Vec<u64>)> {
    let starts: Vec<Vec<u64>> = array
        .chunks
        .iter()
        .map(|lengths| {
            let before = lengths.iter().scan(0, |sum, length| {
                let start = *sum;
                *sum += length;
                Some(start)
            });
            before.collect()
        })
        .collect();
    array.grid.iter().enumerate().map(move |(position, task)| {
        let mut rest = position;
        let mut start = vec![0; starts.len()];
        let mut chunk = vec![0; starts.len()];
        for axis in (0..starts.len()).rev() {
            let index = rest % starts[axis].len();
            rest /= starts[axis].len();
            start[axis] = starts[axis][index];
            chunk[axis] = array.chunks[axis][index];
        }
        (*task, start, chunk)
    })
}

#[cfg(test)]
mod tests;
