//! Tests of the worker core: a worker to play with and the checks that every test uses.
//!
//! `check` gives one event and demands exactly the instructions named; `nothing_left` at the end
//! demands that no instruction went unread. `validate` runs after every event.

mod bugs;
mod cancelled;
mod checker;
mod computing;
mod edges;
mod gathering;
mod random;
mod replicas;
mod resources;
mod status;
mod stealing;

use super::{Live, State, WorkerEvent, WorkerInstruction, WorkerOptions, WorkerOut, WorkerState};
use crate::config::Config;
use crate::ids::{RunId, SpecId, TaskId, TransferId, WorkerId};
use crate::messages::{
    ComputeTask, Dependency, Needs, Priority, TaskError, TypeCode, WorkerStatus,
};
use crate::time::Time;

/// The worker under test.
pub(super) const SELF: u32 = 0;

/// A worker with a clock of its own and the instructions that nobody looked at yet.
pub(super) struct Bench {
    pub(super) worker: WorkerState,
    pub(super) now: Time,
}

impl Bench {
    /// A worker with `nthreads` slots and no limits.
    pub(super) fn new(nthreads: u32) -> Self {
        Self::with(nthreads, 0, &[])
    }

    /// A worker with `nthreads` slots, a memory limit and resources in millionths.
    pub(super) fn with(nthreads: u32, memory_limit_bytes: u64, resources: &[(&str, u64)]) -> Self {
        let config = Config { validate: true, pause_patience_ns: 0, ..Config::default() };
        Self::configured(config, nthreads, memory_limit_bytes, resources)
    }

    /// A worker with numbers of its own.
    pub(super) fn configured(
        config: Config,
        nthreads: u32,
        memory_limit_bytes: u64,
        resources: &[(&str, u64)],
    ) -> Self {
        let resources = resources.iter().map(|&(name, n)| (name.to_owned(), n)).collect();
        let worker = WorkerId(SELF);
        let options = WorkerOptions { nthreads, memory_limit_bytes, resources, worker };
        Self { worker: WorkerState::new(config, options, 7), now: Time(NOW) }
    }

    /// Gives events as one batch and returns what came out.
    pub(super) fn give(&mut self, events: Vec<WorkerEvent>) -> Vec<WorkerInstruction> {
        let mut out = WorkerOut::default();
        self.worker.handle_batch(self.now, events, &mut out);
        out.instructions
    }

    /// Gives an event whose instructions do not matter to the test.
    pub(super) fn set_up(&mut self, event: WorkerEvent) -> &mut Self {
        let _unimportant = self.give(vec![event]);
        self
    }

    /// Gives an event and demands exactly these instructions.
    #[track_caller]
    pub(super) fn check(
        &mut self,
        event: WorkerEvent,
        expected: &[WorkerInstruction],
    ) -> &mut Self {
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

    /// The bench itself, with task 1 in the state that was asked for.
    #[track_caller]
    fn reached(mut self, state: State) -> Self {
        self.is(1, state);
        self
    }

    /// Demands that the worker does not know a task.
    #[track_caller]
    pub(super) fn is_gone(&mut self, task: u32) -> &mut Self {
        assert_eq!(self.worker.state(TaskId(task)), None, "state of task {task}");
        self
    }

    /// Demands that the worker is at rest: nothing runs, moves or waits, and an event that changes
    /// nothing brings no instruction up.
    #[track_caller]
    pub(super) fn nothing_left(&mut self) {
        let left = self.give(vec![peer(77)]);
        assert_eq!(left, [], "instructions nobody asked for");
        assert_eq!(self.worker.executing().count(), 0, "runs");
        assert_eq!(self.worker.transfer_count(), 0, "transfers");
        assert_eq!(self.worker.ready_count(), 0, "tasks that could run");
    }

    /// As `ends_empty`, after one more event.
    #[track_caller]
    pub(super) fn ends_empty_after(&mut self, event: WorkerEvent, tasks: &[u32]) {
        self.set_up(event).ends_empty(tasks);
    }

    /// Frees every task given and demands that the worker then knows none.
    #[track_caller]
    pub(super) fn ends_empty(&mut self, tasks: &[u32]) {
        let tasks: Vec<(u32, u64)> = tasks.iter().map(|&task| (task, 0)).collect();
        self.set_up(free(&tasks));
        assert_eq!(self.worker.task_count(), 0, "records left");
        assert_eq!(self.worker.nbytes(), 0, "bytes left");
        self.nothing_left();
    }
}

/// The time at which a bench starts.
pub(super) const NOW: u64 = 1_000;
/// Size of every input that a test announces.
pub(super) const INPUT: u64 = 8;
/// Size of every result.
pub(super) const RESULT: u64 = 16;

pub(super) fn peer(worker: u32) -> WorkerEvent {
    WorkerEvent::AddPeer { worker: WorkerId(worker), same_machine: false }
}

pub(super) fn workers(workers: &[u32]) -> Vec<WorkerId> {
    workers.iter().map(|&worker| WorkerId(worker)).collect()
}

pub(super) fn tasks(tasks: &[u32]) -> Vec<TaskId> {
    tasks.iter().map(|&task| TaskId(task)).collect()
}

/// A compute-task message: inputs with their holders; the priority is the task's number.
pub(super) fn message(task: u32, run: u64, inputs: &[(u32, &[u32])]) -> ComputeTask {
    ComputeTask {
        task: TaskId(task),
        key: format!("t{task}"),
        run_id: RunId(run),
        attempt: 0,
        priority: priority(task),
        spec: SpecId(0),
        dependencies: inputs
            .iter()
            .map(|&(input, holders)| Dependency {
                task: TaskId(input),
                nbytes: INPUT,
                who_has: workers(holders),
            })
            .collect(),
        arguments: Vec::new(),
        needs: None,
    }
}

pub(super) fn priority(order: u32) -> Priority {
    Priority { user: 0, generation: 0, order }
}

pub(super) fn send(message: ComputeTask) -> WorkerEvent {
    WorkerEvent::ComputeTask(Box::new(message))
}

pub(super) fn compute(task: u32, run: u64, inputs: &[(u32, &[u32])]) -> WorkerEvent {
    send(message(task, run, inputs))
}

/// A compute-task that takes one unit of resource GPU.
pub(super) fn compute_on_gpu(task: u32, run: u64) -> WorkerEvent {
    let needs = Needs {
        threads: 1,
        memory_bytes: 0,
        resources: vec![("GPU".into(), 1_000_000)],
        timeout_ns: 0,
    };
    send(ComputeTask { needs: Some(Box::new(needs)), ..message(task, run, &[]) })
}

/// free-keys; run 0 = whatever there is.
pub(super) fn free(tasks: &[(u32, u64)]) -> WorkerEvent {
    let tasks = tasks.iter().map(|&(task, run)| (TaskId(task), RunId(run))).collect();
    WorkerEvent::FreeKeys { tasks }
}

pub(super) fn success(task: u32, run: u64) -> WorkerEvent {
    WorkerEvent::ExecuteSuccess {
        task: TaskId(task),
        run_id: RunId(run),
        nbytes: RESULT,
        type_code: TypeCode(17),
        thread: 2,
        start_ns: 5,
        stop_ns: 9,
    }
}

pub(super) fn failure(task: u32, run: u64) -> WorkerEvent {
    WorkerEvent::ExecuteFailure {
        task: TaskId(task),
        run_id: RunId(run),
        error: an_error("broken"),
        thread: 2,
        start_ns: 5,
        stop_ns: 9,
    }
}

pub(super) fn an_error(message: &str) -> Box<TaskError> {
    Box::new(TaskError {
        kind: "ValueError".into(),
        message: message.into(),
        traceback: String::new(),
    })
}

pub(super) fn reschedule(task: u32, run: u64) -> WorkerEvent {
    WorkerEvent::Reschedule { task: TaskId(task), run_id: RunId(run) }
}

pub(super) fn secede(task: u32, run: u64) -> WorkerEvent {
    WorkerEvent::Secede { task: TaskId(task), run_id: RunId(run), compute_duration_ns: 33 }
}

/// A transfer that brought `received` and found `lacking` absent.
pub(super) fn gathered(transfer: u64, received: &[u32], lacking: &[u32]) -> WorkerEvent {
    WorkerEvent::GatherDepSuccess {
        transfer: TransferId(transfer),
        received: received.iter().map(|&task| (TaskId(task), INPUT)).collect(),
        absent: tasks(lacking),
        bad: Vec::new(),
    }
}

/// A transfer whose payload was damaged.
pub(super) fn damaged(transfer: u64, bad: &[u32]) -> WorkerEvent {
    WorkerEvent::GatherDepSuccess {
        transfer: TransferId(transfer),
        received: Vec::new(),
        absent: Vec::new(),
        bad: tasks(bad),
    }
}

pub(super) fn busy(transfer: u64) -> WorkerEvent {
    WorkerEvent::GatherDepBusy { transfer: TransferId(transfer) }
}

pub(super) fn broken(transfer: u64) -> WorkerEvent {
    WorkerEvent::GatherDepNetworkFailure { transfer: TransferId(transfer) }
}

pub(super) fn unstorable(transfer: u64) -> WorkerEvent {
    WorkerEvent::GatherDepFailure { transfer: TransferId(transfer), error: an_error("no memory") }
}

pub(super) fn refresh(task: u32, holders: &[u32]) -> WorkerEvent {
    WorkerEvent::RefreshWhoHas { who_has: vec![(TaskId(task), workers(holders))] }
}

/// acquire-replicas of one task.
pub(super) fn acquire(task: u32, holders: &[u32]) -> WorkerEvent {
    let copy = Dependency { task: TaskId(task), nbytes: INPUT, who_has: workers(holders) };
    WorkerEvent::AcquireReplicas { tasks: vec![copy] }
}

pub(super) fn change(status: WorkerStatus) -> WorkerEvent {
    WorkerEvent::StatusChange { status }
}

pub(super) fn gives_back(task: u32, run: u64) -> WorkerInstruction {
    WorkerInstruction::Reschedule { task: TaskId(task), run_id: RunId(run) }
}

pub(super) fn lost(worker: u32) -> WorkerEvent {
    WorkerEvent::RemoveWorker { worker: WorkerId(worker) }
}

pub(super) fn execute(task: u32, run: u64, inputs: &[u32]) -> WorkerInstruction {
    WorkerInstruction::Execute {
        task: TaskId(task),
        run_id: RunId(run),
        attempt: 0,
        spec: SpecId(0),
        inputs: tasks(inputs),
        threads: 1,
        timeout_ns: 0,
        priority: priority(task),
    }
}

pub(super) fn cancel(task: u32, run: u64) -> WorkerInstruction {
    WorkerInstruction::Cancel { task: TaskId(task), run_id: RunId(run) }
}

/// A request for `wanted` with the priority of task `best`.
pub(super) fn gather(transfer: u64, from: u32, wanted: &[u32], best: u32) -> WorkerInstruction {
    WorkerInstruction::GatherDep {
        transfer: TransferId(transfer),
        peer: WorkerId(from),
        tasks: wanted.iter().map(|&task| (TaskId(task), INPUT)).collect(),
        priority: priority(best),
    }
}

pub(super) fn store(task: u32) -> WorkerInstruction {
    WorkerInstruction::Store { task: TaskId(task) }
}

pub(super) fn dropped(task: u32) -> WorkerInstruction {
    WorkerInstruction::Drop { task: TaskId(task) }
}

pub(super) fn gave_up(task: u32) -> WorkerInstruction {
    WorkerInstruction::ReleaseWorkerData { task: TaskId(task) }
}

/// task-finished of a run.
pub(super) fn finished(task: u32, run: u64) -> WorkerInstruction {
    WorkerInstruction::TaskFinished {
        task: TaskId(task),
        run_id: RunId(run),
        nbytes: RESULT,
        type_code: TypeCode(17),
        thread: 2,
        start_ns: 5,
        stop_ns: 9,
    }
}

/// task-finished of a value that came from a peer.
pub(super) fn finished_by_copy(task: u32, run: u64) -> WorkerInstruction {
    WorkerInstruction::TaskFinished {
        task: TaskId(task),
        run_id: RunId(run),
        nbytes: INPUT,
        type_code: TypeCode(0),
        thread: 0,
        start_ns: NOW,
        stop_ns: NOW,
    }
}

/// task-erred of a run.
pub(super) fn erred(task: u32, run: u64) -> WorkerInstruction {
    WorkerInstruction::TaskErred {
        task: TaskId(task),
        run_id: RunId(run),
        error: an_error("broken"),
        thread: 2,
        start_ns: 5,
        stop_ns: 9,
    }
}

/// task-erred of a task that never ran.
pub(super) fn erred_unrun(task: u32, run: u64, message: &str) -> WorkerInstruction {
    WorkerInstruction::TaskErred {
        task: TaskId(task),
        run_id: RunId(run),
        error: an_error(message),
        thread: 0,
        start_ns: NOW,
        stop_ns: NOW,
    }
}

pub(super) fn long_running(task: u32, run: u64, duration: Option<u64>) -> WorkerInstruction {
    WorkerInstruction::LongRunning {
        task: TaskId(task),
        run_id: RunId(run),
        compute_duration_ns: duration,
    }
}

pub(super) fn add_keys(added: &[u32]) -> WorkerInstruction {
    WorkerInstruction::AddKeys { tasks: tasks(added) }
}

pub(super) fn ask_who_has(asked: &[u32]) -> WorkerInstruction {
    WorkerInstruction::RequestRefreshWhoHas { tasks: tasks(asked) }
}

pub(super) fn timer(after_ns: u64) -> WorkerInstruction {
    WorkerInstruction::SetTimer(Time(NOW + after_ns))
}

/// The timer of find-missing, set when the first task goes missing.
pub(super) fn missing_timer() -> WorkerInstruction {
    timer(super::FIND_MISSING_NS)
}

pub(super) fn status(status: WorkerStatus) -> WorkerInstruction {
    WorkerInstruction::WorkerStatusChange { status }
}

/// A worker of one slot with task 1 in a state, reached by the shortest way. Where a dependent is
/// needed to get there it is task 9, run 9; the run of task 1 is 1, its transfer 0 from worker 1.
pub(super) fn in_state(state: State) -> Bench {
    let mut bench = Bench::with(1, 0, &[("GPU", 1_000_000)]);
    let wanted_by_9 = || compute(9, 9, &[(1, &[1])]);
    match state {
        State::Waiting => bench.set_up(compute(1, 1, &[(2, &[1])])),
        State::Ready => bench.set_up(WorkerEvent::Pause).set_up(compute(1, 1, &[])),
        State::Constrained => bench.set_up(WorkerEvent::Pause).set_up(compute_on_gpu(1, 1)),
        State::Executing => bench.set_up(compute(1, 1, &[])),
        State::LongRunning => bench.set_up(compute(1, 1, &[])).set_up(secede(1, 1)),
        State::Fetch => bench.set_up(WorkerEvent::Pause).set_up(wanted_by_9()),
        State::Flight => bench.set_up(wanted_by_9()),
        State::Missing => bench.set_up(compute(9, 9, &[(1, &[SELF])])),
        State::Memory => bench.set_up(compute(1, 1, &[])).set_up(success(1, 1)),
        State::Erred => bench.set_up(compute(1, 1, &[])).set_up(failure(1, 1)),
        State::Released => {
            let mut bench = in_state(State::Flight);
            bench.set_up(gathered(0, &[1], &[])).set_up(success(9, 9)).set_up(free(&[(1, 0)]));
            return bench.reached(state);
        }
        State::Cancelled(Live::Flight) => bench.set_up(wanted_by_9()).set_up(free(&[(9, 9)])),
        State::Cancelled(Live::Executing) => {
            bench.set_up(compute(1, 1, &[])).set_up(free(&[(1, 1)]))
        }
        State::Cancelled(Live::LongRunning) => {
            bench.set_up(compute(1, 1, &[])).set_up(secede(1, 1)).set_up(free(&[(1, 1)]))
        }
        State::Resumed(Live::Flight) => bench.set_up(wanted_by_9()).set_up(compute(1, 1, &[])),
        State::Resumed(live) => {
            let mut bench = in_state(State::Cancelled(live));
            bench.set_up(wanted_by_9());
            return bench.reached(state);
        }
        State::Rescheduled | State::Forgotten => panic!("no record is ever in {state:?}"),
    };
    bench.reached(state)
}
