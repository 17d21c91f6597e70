//! The scheduler's state machine.
//!
//! ```text
//!   event ─▶ handle ─▶ stimulus (client_events, task_events, worker_events)
//!                         │ recommends task → state
//!                         ▼
//!                      drain ─▶ transition ─▶ one function per edge (edges, propagate)
//!                         ▲          │              │ placement chooses the worker
//!                         └──────────┘              ▼
//!                        recommendations       instructions
//! ```
//!
//! A stimulus recommends, the drain carries recommendations out until none is left, then free slots
//! take queued tasks. docs/states.md has every edge. This file holds the state and the
//! entry; nothing here knows a socket or a clock.

mod amm;
mod ask;
mod client;
mod client_events;
mod edges;
mod emptiest;
mod event;
mod failure;
mod family;
mod foresee;
mod hash;
mod instruction;
mod needs;
mod paths;
mod pause;
mod placement;
mod places;
mod processing;
mod propagate;
mod queue;
mod reach;
mod replicas;
mod report;
mod resources;
mod retire;
mod stealing;
mod submit;
mod task;
mod task_events;
mod together;
mod transitions;
mod trials;
mod unrunnable;
mod update_graph;
mod validate;
mod worker;
mod worker_events;

#[cfg(test)]
mod tests;

pub use ask::Unsatisfiable;
pub use event::{CloseTerms, GraphSubmission, Retirees, SchedulerEvent};
pub use instruction::{DependencyAt, SchedulerInstruction, SchedulerOut, Span};
pub use report::FailureOf;
pub use task::TaskState;

use crate::config::Config;
use crate::graph::Graph;
use crate::ids::{RunId, TaskId, WorkerId};
use crate::rng::Rng;
use crate::story::{Stimulus, Story};
use crate::time::Time;
use amm::Amm;
use ask::Asks;
use client::Clients;
use failure::Failures;
use family::Families;
use needs::NeedsWhat;
use paths::Paths;
use placement::Scratch;
use queue::RankSet;
use std::collections::BTreeSet;
use std::sync::Arc;
use stealing::{Answer, Stealing};
use task::{Edges, Overflow, Task};
use trials::TrialsByTask;
use unrunnable::Unrunnable;
use update_graph::Submissions;
use worker::Workers;

/// The scheduler: every task, worker and wish of the job.
#[derive(Debug)]
pub struct SchedulerState {
    config: Config,
    rng: Rng,
    /// For ties among equals.
    seed: u64,
    now: Time,
    stimulus: Stimulus,
    /// All graphs, one behind the other.
    graph: Option<Arc<Graph>>,
    submissions: Submissions,
    tasks: Vec<Task>,
    /// Distinct inputs of each task, in the order of their first use.
    dependencies: Edges,
    dependents: Edges,
    /// Tasks by rank.
    ranked: Vec<TaskId>,
    /// The user's priority, negated, and the position in the static order of its graph of each task.
    /// Empty when no task has a priority and there is one graph: then ranks are positions.
    priorities: Vec<(i32, u32)>,
    overflow: Overflow,
    families: Families,
    asks: Asks,
    workers: Workers,
    needs_what: NeedsWhat,
    clients: Clients,
    failures: Failures,
    trials: TrialsByTask,
    queued: RankSet,
    unrunnable: Unrunnable,
    amm: Amm,
    /// Tasks with a pending recommendation, the next one last.
    recommended: Vec<TaskId>,
    /// Where the recommendations of the running transition begin.
    merge_start: usize,
    story: Story<TaskState>,
    last_run: RunId,
    /// Tasks in each state.
    counts: [u32; 8],
    totals: Totals,
    /// How fast results travel.
    paths: Paths,
    /// From sending a task to its end, less its duration.
    round_trip_ns: u64,
    /// Expected time of all pools together.
    total_compute_ns: u64,
    /// All ranks have come.
    arrived: Option<Time>,
    /// Since when no worker runs.
    stopped: Option<Time>,
    /// Paused workers, by when they will be started again.
    paused: BTreeSet<(Time, WorkerId)>,
    /// Names of workers that were started again for their pause while so many tasks had finished.
    pause_restarts: (u64, BTreeSet<String>),
    /// Until then a paused worker may run again: the no-workers time-out begins after it.
    pause_grace: Time,
    /// The timer that the driver holds.
    timer: Option<Time>,
    /// `Idle` was said and nothing has happened since.
    idle_said: bool,
    scratch: Scratch,
    stealing: Stealing,
}

/// Numbers for the summary of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    /// Distinct tasks that reached memory.
    finished: u64,
    /// Sendings of a task after a run of it had begun.
    recomputed: u64,
    /// Events that named what is gone.
    stale: u64,
    /// State changes of this event.
    transitions: u64,
}

impl SchedulerState {
    /// A scheduler without tasks and workers. Equal seeds and events give equal instructions.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            seed,
            now: Time::default(),
            stimulus: Stimulus::default(),
            graph: None,
            submissions: Submissions::default(),
            tasks: Vec::new(),
            dependencies: Edges::default(),
            dependents: Edges::default(),
            ranked: Vec::new(),
            priorities: Vec::new(),
            overflow: Overflow::default(),
            families: Families::default(),
            asks: Asks::default(),
            workers: Workers::new(seed),
            needs_what: NeedsWhat::default(),
            clients: Clients::default(),
            failures: Failures::default(),
            trials: TrialsByTask::default(),
            queued: RankSet::default(),
            unrunnable: Unrunnable::default(),
            amm: Amm::default(),
            recommended: Vec::new(),
            merge_start: 0,
            story: Story::new(config.log_length),
            last_run: RunId::NONE,
            counts: [0; 8],
            totals: Totals::default(),
            paths: Paths::new(config.bandwidth),
            round_trip_ns: config.round_trip_ns,
            total_compute_ns: 0,
            arrived: None,
            stopped: Some(Time::default()),
            paused: BTreeSet::new(),
            pause_restarts: (0, BTreeSet::new()),
            pause_grace: Time::default(),
            timer: None,
            idle_said: true,
            scratch: Scratch::default(),
            stealing: Stealing::default(),
            config,
        }
    }

    /// Takes an event in and appends what is to be done.
    ///
    /// # Panics
    /// When an invariant is broken: an unknown transition, or, with `config.validate`, what
    /// `validate` finds. The message holds the task's story.
    pub fn handle(&mut self, now: Time, event: SchedulerEvent, out: &mut SchedulerOut) {
        self.now = now;
        self.stimulus = Stimulus { number: self.stimulus.number + 1, kind: event.name() };
        self.totals.transitions = 0;
        self.dispatch(event, out);
        self.drain(out);
        self.manage_memory(out);
        self.fill_slots(out);
        self.consider_stealing(out);
        self.say_idle(out);
        self.set_timer(out);
        if self.config.validate
            && let Err(broken) = self.validate()
        {
            panic!("after {}: {broken}", self.stimulus.kind);
        }
    }

    fn dispatch(&mut self, event: SchedulerEvent, out: &mut SchedulerOut) {
        use SchedulerEvent as E;
        match event {
            E::AddClient(client) => self.on_add_client(client, out),
            E::RemoveClient(client) => self.on_remove_client(client),
            E::UpdateGraph(submission) => self.on_update_graph(*submission, out),
            E::ClientDesiresKeys { client, tasks } => {
                self.on_client_desires_keys(client, &tasks, out);
            }
            E::ClientReleasesKeys { client, tasks } => {
                self.on_client_releases_keys(client, &tasks);
            }
            E::CancelKeys { client, tasks, force, reason } => {
                let cancellation = client_events::Cancellation { client, force, reason };
                self.on_cancel_keys(tasks, &cancellation, out);
            }
            E::Retry { tasks } => self.on_retry(tasks, out),
            E::AddWorker { worker, registration } => self.on_add_worker(worker, registration, out),
            E::RemoveWorker { worker, expected, executing, reason } => {
                let cause = worker_events::Loss { expected, executing, reason };
                self.on_remove_worker(worker, &cause, out);
            }
            E::TaskFinished { worker, task, run_id, nbytes, type_code, duration_ns } => {
                let end = task_events::End { worker, task, run_id };
                let result = task_events::Output { nbytes, type_code, duration_ns };
                self.on_task_finished(end, result, out);
            }
            E::TaskErred { worker, task, run_id, error } => {
                self.on_task_erred(task_events::End { worker, task, run_id }, *error, out);
            }
            E::ReleaseWorkerData { worker, task } => self.on_release_worker_data(worker, task),
            E::AddKeys { worker, tasks } => self.on_add_keys(worker, &tasks, out),
            E::LongRunning { worker, task, run_id, compute_duration_ns } => {
                let end = task_events::End { worker, task, run_id };
                self.on_long_running(end, compute_duration_ns);
            }
            E::Reschedule { worker, task, run_id } => {
                self.on_reschedule(task_events::End { worker, task, run_id });
            }
            E::WorkerStatusChange { worker, status } => {
                self.on_worker_status_change(worker, status);
            }
            E::RequestRefreshWhoHas { worker, tasks } => {
                self.on_request_refresh_who_has(worker, &tasks, out);
            }
            E::BadReplica { worker, task, peer, why: _ } => {
                self.on_bad_replica(worker, task, peer, out);
            }
            E::Heartbeat { worker, worker_now_ns, executing, paths, rss_bytes } => {
                let vitals = worker_events::Vitals { worker_now_ns, paths, rss_bytes };
                self.on_heartbeat(worker, vitals, &executing);
            }
            E::StealResponse { worker, task, stimulus_id, state } => {
                self.on_steal_response(Answer { worker, task, stimulus_id, state }, out);
            }
            E::RetireWorkers { which, close, reason } => {
                self.on_retire_workers(which, close, &reason, out);
            }
            E::Replicate { tasks, n, workers, branching_factor } => {
                self.on_replicate(&tasks, (n, workers), branching_factor, out);
            }
            E::Rebalance { tasks, workers } => self.on_rebalance(tasks, workers),
            E::AllWorkersArrived => self.arrived = self.arrived.or(Some(self.now)),
            E::Timeout => self.on_timeout(out),
            E::SetResources { worker, resources } => self.on_set_resources(worker, &resources),
        }
    }

    /// Says once that nothing is left to do.
    fn say_idle(&mut self, out: &mut SchedulerOut) {
        let idle = self.is_idle();
        if idle && !self.idle_said {
            out.instructions.push(SchedulerInstruction::Idle);
        }
        self.idle_said = idle;
    }
}
