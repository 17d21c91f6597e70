//! Tests of the worker core: a worker to play with and the checks that every test uses.
//!
//! `check` gives one event and demands exactly the instructions named; `nothing_left` at the end
//! demands that no instruction went unread. `validate` runs after every event.

mod computing;

use super::{State, WorkerEvent, WorkerInstruction, WorkerOptions, WorkerOut, WorkerState};
use crate::config::Config;
use crate::ids::{RunId, SpecId, TaskId, TransferId, WorkerId};
use crate::messages::{ComputeTask, Dependency, Needs, Priority, TaskError, TypeCode};
use crate::time::Time;

/// The worker under test.
pub(super) const SELF: u32 = 0;

/// A worker with a clock of its own and the instructions that nobody looked at yet.
pub(super) struct Bench {
    pub(super) worker: WorkerState,
    pub(super) now: Time,
    unread: Vec<WorkerInstruction>,
}

impl Bench {
    /// A worker with `nthreads` slots and no limits.
    pub(super) fn new(nthreads: u32) -> Self {
        Self::with(nthreads, 0, &[])
    }

    /// A worker with `nthreads` slots, a memory limit and resources in millionths.
    pub(super) fn with(nthreads: u32, memory_limit_bytes: u64, resources: &[(&str, u64)]) -> Self {
        let config = Config { validate: true, ..Config::default() };
        let resources = resources.iter().map(|&(name, n)| (name.to_owned(), n)).collect();
        let worker = WorkerId(SELF);
        let options = WorkerOptions { nthreads, memory_limit_bytes, resources, worker };
        Self {
            worker: WorkerState::new(config, options, 7),
            now: Time(1_000),
            unread: Vec::new(),
        }
    }

    /// Gives events as one batch and returns what came out, unread instructions first.
    pub(super) fn give(&mut self, events: Vec<WorkerEvent>) -> Vec<WorkerInstruction> {
        let mut out = WorkerOut::default();
        self.worker.handle_batch(self.now, events, &mut out);
        self.unread.append(&mut out.instructions);
        std::mem::take(&mut self.unread)
    }

    /// Gives an event whose instructions do not matter to the test.
    pub(super) fn set_up(&mut self, event: WorkerEvent) -> &mut Self {
        let _unimportant = self.give(vec![event]);
        self
    }

    /// Gives an event and demands exactly these instructions.
    #[track_caller]
    pub(super) fn check(&mut self, event: WorkerEvent, expected: &[WorkerInstruction]) -> &mut Self {
        let got = self.give(vec![event]);
        assert_eq!(got, expected, "instructions");
        self
    }

    /// Demands the state of a task.
    #[track_caller]
    pub(super) fn is(&mut self, task: u32, state: State) -> &mut Self {
        assert_eq!(self.worker.state(TaskId(task)), Some(state), "state of task {task}");
        self
    }

    /// Demands that the worker does not know a task.
    #[track_caller]
    pub(super) fn is_gone(&mut self, task: u32) -> &mut Self {
        assert_eq!(self.worker.state(TaskId(task)), None, "state of task {task}");
        self
    }

    /// Demands that a quiet event brings nothing up: no instruction went unread.
    #[track_caller]
    pub(super) fn nothing_left(&mut self) {
        let left = self.give(Vec::new());
        assert!(left.is_empty(), "instructions nobody asked for: {left:?}");
    }
}
