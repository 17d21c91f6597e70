//! The record of one task and the tables that all records share.
//!
//! A record has no list: inputs and dependents are rows of shared arrays, `waiting_on` and `waiters`
//! are counts, one holder stands in the record and several in an overflow table; what went wrong
//! with a task stands beside. So a record is one cache line, a task costs it and its edges, and no
//! change of state allocates.
//!
//! `waiters` counts the dependents that hold the task (`HOLDS`): those that are waiting, queued,
//! no-worker or processing, and those on their way back to waiting.

use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::TypeCode;

/// No task, worker or group.
pub(super) const NONE: u32 = u32::MAX;

/// State of a task as the scheduler sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum TaskState {
    /// Known, not wanted now, or just lost its result.
    Released,
    /// Wanted; some input is not in memory.
    Waiting,
    /// Runnable and root-ish; all slots for such tasks are taken.
    Queued,
    /// Runnable; no running worker satisfies what it asks for.
    NoWorker,
    /// Sent to exactly one worker.
    Processing,
    /// Its result is on at least one worker.
    Memory,
    /// It or an ancestor failed for good.
    Erred,
    /// Removed, or never needed.
    Forgotten,
}

impl TaskState {
    /// Every state, in the order of its number.
    pub const ALL: [Self; 8] = [
        Self::Released,
        Self::Waiting,
        Self::Queued,
        Self::NoWorker,
        Self::Processing,
        Self::Memory,
        Self::Erred,
        Self::Forgotten,
    ];
}

/// Yes-or-no facts about a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flags(u8);

impl Flags {
    /// Counted among the waiters of its inputs.
    pub(super) const HOLDS: Self = Self(1);
    /// An input was forgotten: it can never run again.
    pub(super) const LOST_DEPENDENCIES: Self = Self(2);
    /// It left the pool of its worker while it runs.
    pub(super) const LONG_RUNNING: Self = Self(4);
    /// Its result was in memory once.
    pub(super) const REACHED: Self = Self(8);
    /// A run of it began, so that the next sending is a repetition.
    pub(super) const STARTED: Self = Self(16);
    /// `Failures` has an entry for it.
    pub(super) const FAILED: Self = Self(32);
    /// It was submitted to run once, so a retry is wanted although nobody wants the result.
    pub(super) const RUN_ONCE: Self = Self(64);
    /// `TrialsByTask` has an entry for it.
    pub(super) const TRIED: Self = Self(128);

    pub(super) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) const fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    pub(super) const fn clear(&mut self, flag: Self) {
        self.0 &= !flag.0;
    }
}

/// One copy of a result: who holds it and where in the holder's `has_what`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) worker: WorkerId,
    pub(super) at: u32,
}

const NOBODY: Held = Held { worker: WorkerId(NONE), at: 0 };
/// Stands for "several": `at` is a row of the overflow table.
const SEVERAL: WorkerId = WorkerId(NONE - 1);

/// What the scheduler knows of a task.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Task {
    /// The latest sending.
    pub(super) run_id: RunId,
    /// Size of the result; only meaningful once it reached memory.
    pub(super) nbytes: u64,
    /// Its holder, or where they are listed. While it is processing it has none, and `at` is its
    /// place in the worker's `processing`.
    pub(super) holder: Held,
    /// Clients that want it, a bit each.
    pub(super) who_wants: u32,
    /// Inputs without a holder, while waiting.
    pub(super) waiting_on: u32,
    /// Dependents that hold it.
    pub(super) waiters: u32,
    /// Dependents that are not forgotten.
    pub(super) live_dependents: u32,
    /// Place among all tasks, by priority.
    pub(super) rank: u32,
    /// Worker that it was sent to, or `NONE`.
    pub(super) processing_on: u32,
    /// Its group.
    pub(super) group: u32,
    /// What it asks for.
    pub(super) ask: u32,
    /// Task that is to blame for its failure, or `NONE`.
    pub(super) blame: u32,
    pub(super) state: TaskState,
    /// State that is recommended for it.
    pub(super) pending: Option<TaskState>,
    pub(super) flags: Flags,
    /// What its result is.
    pub(super) type_code: TypeCode,
}

const _: () = assert!(size_of::<Task>() == 64, "a task is one cache line");

impl Task {
    /// A task that nobody needs.
    pub(super) const UNKNOWN: Self = Self {
        run_id: RunId::NONE,
        nbytes: 0,
        holder: NOBODY,
        who_wants: 0,
        waiting_on: 0,
        waiters: 0,
        live_dependents: 0,
        rank: 0,
        processing_on: NONE,
        group: 0,
        ask: 0,
        blame: NONE,
        state: TaskState::Forgotten,
        pending: None,
        flags: Flags(0),
        type_code: TypeCode(0),
    };

    /// Some worker holds its result.
    pub(super) fn is_held(&self) -> bool {
        self.holder.worker.0 != NONE
    }

    /// Its place in the `processing` of the worker that it was sent to.
    pub(super) const fn processing_at(&self) -> u32 {
        self.holder.at
    }

    /// Notes to which worker it was sent, and its place there.
    pub(super) const fn set_processing(&mut self, worker: WorkerId, at: u32) {
        self.processing_on = worker.0;
        self.holder = Held { worker: WorkerId(NONE), at };
    }

    /// A client or a dependent needs it.
    pub(super) const fn is_needed(&self) -> bool {
        self.waiters > 0 || self.who_wants != 0
    }

    /// The worker that it was sent to.
    pub(super) fn worker(&self) -> Option<WorkerId> {
        (self.processing_on != NONE).then_some(WorkerId(self.processing_on))
    }
}

/// Rows of distinct task numbers in one array, with 32-bit offsets.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    pub(super) offsets: Vec<u32>,
    pub(super) values: Vec<TaskId>,
}

impl Edges {
    /// Positions of a row; `values[i]` for each of them.
    pub(super) fn range(&self, task: TaskId) -> std::ops::Range<usize> {
        self.offsets[task.index()] as usize..self.offsets[task.index() + 1] as usize
    }

    /// A row.
    pub(super) fn row(&self, task: TaskId) -> &[TaskId] {
        &self.values[self.range(task)]
    }
}

/// Lists of holders for tasks that have several, sorted by worker. So the rows in use are Dask's
/// `replicated_tasks`.
#[derive(Clone, Debug, Default)]
pub(super) struct Overflow {
    rows: Vec<Vec<Held>>,
    /// Task of each row; of a row that is not in use the last one.
    of: Vec<TaskId>,
    free: Vec<u32>,
}

impl Overflow {
    /// Holders of a task, sorted by worker.
    pub(super) fn holders<'a>(&'a self, task: &'a Task) -> &'a [Held] {
        match task.holder {
            Held { worker: WorkerId(NONE), .. } => &[],
            Held { worker: SEVERAL, at } => &self.rows[at as usize],
            Held { .. } => std::slice::from_ref(&task.holder),
        }
    }

    /// True when `worker` holds the task.
    pub(super) fn holds(&self, task: &Task, worker: WorkerId) -> bool {
        let holders = self.holders(task);
        holders.binary_search_by_key(&worker, |held| held.worker).is_ok()
    }

    /// How many tasks have several holders.
    pub(super) const fn replicated_count(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// Rows, in use or not.
    pub(super) const fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The task of a row that is in use, with its holders.
    pub(super) fn replicated(&self, row: usize) -> Option<(TaskId, &[Held])> {
        let holders = self.rows.get(row).filter(|holders| !holders.is_empty())?;
        Some((self.of[row], holders))
    }

    /// Adds a holder that is not there yet.
    pub(super) fn insert(&mut self, id: TaskId, task: &mut Task, held: Held) {
        if !task.is_held() {
            task.holder = held;
            return;
        }
        if task.holder.worker != SEVERAL {
            let row = self.free.pop().unwrap_or_else(|| {
                self.rows.push(Vec::new());
                self.of.push(id);
                u32::try_from(self.rows.len() - 1).expect("fewer rows than tasks")
            });
            self.rows[row as usize].push(task.holder);
            self.of[row as usize] = id;
            task.holder = Held { worker: SEVERAL, at: row };
        }
        let row = &mut self.rows[task.holder.at as usize];
        let place = row.partition_point(|other| other.worker < held.worker);
        row.insert(place, held);
    }

    /// Takes a holder away; its place in that worker's `has_what`, when it was one.
    pub(super) fn remove(&mut self, task: &mut Task, worker: WorkerId) -> Option<u32> {
        if task.holder.worker != SEVERAL {
            if task.holder.worker != worker || !task.is_held() {
                return None;
            }
            let at = task.holder.at;
            task.holder = NOBODY;
            return Some(at);
        }
        let index = task.holder.at;
        let row = &mut self.rows[index as usize];
        let place = row.binary_search_by_key(&worker, |held| held.worker).ok()?;
        let at = row.remove(place).at;
        if let [only] = row[..] {
            row.clear();
            task.holder = only;
            self.free.push(index);
        }
        Some(at)
    }
}
