//! Entering and leaving `processing`: slots, occupancy, resources, needed inputs, and what the end
//! of a run teaches.
//!
//! A task's share of the occupancy is fixed when it is sent, so that leaving takes away exactly what
//! entering added. When the duration of a prefix becomes known for the first time, the shares of
//! its tasks that are out are corrected once.

use super::instruction::{DependencyAt, SchedulerInstruction, SchedulerOut, Span, position};
use super::task::{Flags, NONE};
use super::task_events::Output;
use super::trials::Trials;
use super::worker::Assigned;
use super::{SchedulerState, TaskState};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{Priority, TaskError};

/// Holders of one input that a worker is told; it asks for more when these are gone.
const HOLDERS_TOLD: usize = 16;
/// Bounds of the measured round trip.
const ROUND_TRIP_NS: std::ops::RangeInclusive<u64> = 10_000..=10_000_000;
/// Weight of the old round trip against one new measurement.
const ROUND_TRIP_MEMORY: u64 = 7;

impl SchedulerState {
    /// Sends a task to a worker.
    pub(super) fn add_to_processing(
        &mut self,
        task: TaskId,
        worker: WorkerId,
        out: &mut SchedulerOut,
    ) {
        self.last_run = RunId(self.last_run.0 + 1);
        self.set_state(task, TaskState::Processing);
        let cost_ns = self.duration_ns(task);
        let terms = self.asks.terms(self.tasks[task.index()].ask);
        let at = self.workers.at(worker);
        let record = &mut self.tasks[task.index()];
        let at_once = at.slots_used + terms.threads <= at.nthreads;
        record.run_id = self.last_run;
        let sent = Assigned { task, cost_ns, sent: self.now, at_once, refused: false };
        record.set_processing(worker, at.processing.insert(sent));
        at.slots_used = at.slots_used.saturating_add(terms.threads);
        at.compute_ns = at.compute_ns.saturating_add(cost_ns);
        self.total_compute_ns = self.total_compute_ns.saturating_add(cost_ns);
        for (name, need) in &terms.resources {
            let place = at.registration().resources.iter().position(|(has, _)| has == name);
            if let Some(place) = place {
                at.profile.used_resources[place] =
                    at.profile.used_resources[place].saturating_add(*need);
            }
        }
        if record.flags.has(Flags::STARTED) {
            self.totals.recomputed += 1;
        }
        self.reload(worker);
        let (dependencies, input_bytes) = self.tell_inputs(task, worker, out);
        if self.refuse_large_inputs(task, worker, input_bytes) {
            return;
        }
        let record = &self.tasks[task.index()];
        out.instructions.push(SchedulerInstruction::ComputeTask {
            worker,
            task,
            run_id: record.run_id,
            attempt: self.trials_of(task).attempt,
            priority: self.priority_of(task),
            dependencies,
        });
    }

    /// Its place among the tasks of a worker.
    fn priority_of(&self, task: TaskId) -> Priority {
        let rank = self.tasks[task.index()].rank;
        let &(user, order) = self.priorities.get(task.index()).unwrap_or(&(0, rank));
        Priority { user, generation: self.submissions.generation_of(task), order }
    }

    /// What went wrong with a task so far.
    pub(super) fn trials_of(&self, task: TaskId) -> Trials {
        if self.tasks[task.index()].flags.has(Flags::TRIED) {
            self.trials.of(task)
        } else {
            Trials::default()
        }
    }

    /// The same, to be changed.
    pub(super) fn trials_of_mut(&mut self, task: TaskId) -> &mut Trials {
        self.tasks[task.index()].flags.set(Flags::TRIED);
        self.trials.of_mut(task)
    }

    /// Lists the inputs for the worker, and notes which are not there; their sizes together.
    fn tell_inputs(
        &mut self,
        task: TaskId,
        worker: WorkerId,
        out: &mut SchedulerOut,
    ) -> (Span, u64) {
        let start = position(out.dependencies.len());
        let mut input_bytes = 0_u64;
        for i in self.dependencies.range(task) {
            let input = self.dependencies.values[i];
            let record = &self.tasks[input.index()];
            let nbytes = record.nbytes;
            input_bytes = input_bytes.saturating_add(nbytes);
            let known = self.overflow.holders(record);
            let first = position(out.holders.len());
            let is_there = match known {
                [only] => {
                    out.holders.push(only.worker);
                    only.worker == worker
                }
                _ => {
                    let from = many_from(known.len(), self.last_run);
                    let shown = known.iter().cycle().skip(from).take(known.len().min(HOLDERS_TOLD));
                    out.holders.extend(shown.map(|held| held.worker));
                    self.overflow.holds(record, worker)
                }
            };
            let holders = Span { start: first, end: position(out.holders.len()) };
            out.dependencies.push(DependencyAt { task: input, nbytes, holders });
            if !is_there {
                self.needs(worker, input, 1, nbytes);
            }
        }
        (Span { start, end: position(out.dependencies.len()) }, input_bytes)
    }

    /// Inputs that can never be together in the worker's memory: the task errs.
    fn refuse_large_inputs(&mut self, task: TaskId, worker: WorkerId, input_bytes: u64) -> bool {
        if !self.exceeds_memory(worker, input_bytes) {
            return false;
        }
        let Some(at) = self.workers.get(worker) else { return false };
        let limit = at.registration().memory_limit_bytes;
        let message = format!(
            "the inputs of {} take {input_bytes} bytes together, the memory limit of worker {} is \
             {limit} bytes; raise it with --memory-limit or make the inputs smaller",
            self.key_of(task),
            at.registration().name
        );
        self.blame_itself(task, None, error("MemoryError", message));
        self.recommend(task, TaskState::Erred);
        true
    }

    /// So many bytes can never be together in a worker's memory.
    pub(super) fn exceeds_memory(&self, worker: WorkerId, nbytes: u64) -> bool {
        // Most of the time no worker is that small, and its profile need not be read.
        if nbytes <= self.workers.smallest_memory_limit() || self.config.memory_terminate <= 0.0 {
            return false;
        }
        let Some(at) = self.workers.get(worker) else { return false };
        let limit = at.registration().memory_limit_bytes;
        limit != 0 && nbytes > limit
    }

    /// Notes that a task failed by itself.
    pub(super) fn blame_itself(
        &mut self,
        task: TaskId,
        worker: Option<WorkerId>,
        error: TaskError,
    ) {
        self.failures.add(task, worker, error, self.config.erred_tasks);
        let record = &mut self.tasks[task.index()];
        record.flags.set(Flags::FAILED);
        record.blame = task.0;
    }

    /// Takes a task off its worker; which worker that was, perhaps one that is gone.
    pub(super) fn leave_processing(&mut self, task: TaskId) -> WorkerId {
        self.stealing.in_flight.remove(task);
        let record = &mut self.tasks[task.index()];
        let worker = WorkerId(std::mem::replace(&mut record.processing_on, NONE));
        let place = record.processing_at();
        let long_running = record.flags.has(Flags::LONG_RUNNING);
        record.flags.clear(Flags::LONG_RUNNING);
        let terms = self.asks.terms(record.ask);
        let Some(at) = self.workers.get_mut(worker) else { return worker };
        let cost_ns = at.processing.get(place).map_or(0, |assigned| assigned.cost_ns);
        at.processing.remove(place);
        if at.processing.is_empty() {
            self.amm.emptied(worker);
        }
        if !long_running {
            at.slots_used = at.slots_used.saturating_sub(terms.threads);
        }
        at.compute_ns = at.compute_ns.saturating_sub(cost_ns);
        self.total_compute_ns = self.total_compute_ns.saturating_sub(cost_ns);
        for (name, need) in &terms.resources {
            let place = at.registration().resources.iter().position(|(has, _)| has == name);
            if let Some(place) = place {
                at.profile.used_resources[place] =
                    at.profile.used_resources[place].saturating_sub(*need);
            }
        }
        self.reload(worker);
        for i in self.dependencies.range(task) {
            let input = self.dependencies.values[i];
            let record = &self.tasks[input.index()];
            if !self.overflow.holds(record, worker) {
                let nbytes = record.nbytes;
                self.needs_no_more(worker, input, nbytes);
            }
        }
        worker
    }

    /// A task left its worker's pool: it takes neither slot nor time there.
    pub(super) fn secede(&mut self, task: TaskId) {
        self.stealing.in_flight.remove(task);
        let record = &mut self.tasks[task.index()];
        record.flags.set(Flags::LONG_RUNNING);
        let (worker, place) = (WorkerId(record.processing_on), record.processing_at());
        let threads = self.asks.terms(record.ask).threads;
        let at = self.workers.at(worker);
        let assigned = at.processing.get_mut(place);
        let cost_ns = assigned.map_or(0, |assigned| std::mem::take(&mut assigned.cost_ns));
        at.slots_used = at.slots_used.saturating_sub(threads);
        at.compute_ns = at.compute_ns.saturating_sub(cost_ns);
        self.total_compute_ns = self.total_compute_ns.saturating_sub(cost_ns);
        self.reload(worker);
    }

    /// Expected duration of a task.
    pub(super) fn duration_ns(&self, task: TaskId) -> u64 {
        let record = &self.tasks[task.index()];
        self.asks.terms(record.ask).time_ns.unwrap_or_else(|| {
            let prefix = self.families.prefix_of(record) as usize;
            self.families.prefixes[prefix].duration_ns(self.config.unknown_task_duration_ns)
        })
    }

    /// Learns from the end of a run: duration and result size of the prefix, round trip.
    pub(super) fn measure(&mut self, task: TaskId, result: &Output) {
        let record = &self.tasks[task.index()];
        let prefix = self.families.prefix_of(record);
        let family = &mut self.families.prefixes[prefix as usize];
        family.max_nbytes = family.max_nbytes.max(result.nbytes);
        // The duration of a task that left its pool was told when it did.
        let measures = !record.flags.has(Flags::LONG_RUNNING);
        let first = measures && family.add_duration(result.duration_ns);
        self.families.note_drift(prefix, self.config.unknown_task_duration_ns);
        let family = &self.families.prefixes[prefix as usize];
        let others = family.states[TaskState::Processing as usize] > 1;
        let (place, worker) = (record.processing_at(), WorkerId(record.processing_on));
        if let Some(assigned) = self.workers.at(worker).processing.get(place)
            && assigned.at_once
            && let Some(trip) = self.now.since(assigned.sent).checked_sub(result.duration_ns)
            && trip > 0
        {
            let sum = self.round_trip_ns * ROUND_TRIP_MEMORY + trip.min(*ROUND_TRIP_NS.end());
            let average = sum / (ROUND_TRIP_MEMORY + 1);
            self.round_trip_ns = average.clamp(*ROUND_TRIP_NS.start(), *ROUND_TRIP_NS.end());
        }
        if first && others {
            self.reprice_drifted();
        }
    }

    /// Corrects the shares of the tasks that are out of the prefixes whose duration has changed.
    pub(super) fn reprice(&mut self) {
        for index in 0..self.workers.emptiest.len() {
            let worker = self.workers.emptiest.at(index);
            let mut processing = std::mem::take(&mut self.workers.at(worker).processing);
            for assigned in processing.iter_mut() {
                let record = &self.tasks[assigned.task.index()];
                let prefix = self.families.prefix_of(record) as usize;
                let stands = !self.families.prefixes[prefix].is_drifted;
                if stands || record.flags.has(Flags::LONG_RUNNING) {
                    continue;
                }
                let cost_ns = self.duration_ns(assigned.task);
                let old = std::mem::replace(&mut assigned.cost_ns, cost_ns);
                let at = self.workers.at(worker);
                at.compute_ns = at.compute_ns.saturating_sub(old).saturating_add(cost_ns);
                self.total_compute_ns =
                    self.total_compute_ns.saturating_sub(old).saturating_add(cost_ns);
            }
            self.workers.at(worker).processing = processing;
        }
        for prefix in self.families.drifted.drain(..) {
            let family = &mut self.families.prefixes[prefix as usize];
            family.is_drifted = false;
            family.priced_ns = family.duration_ns(self.config.unknown_task_duration_ns);
        }
    }
}

/// Where to begin in a long list of holders, so that readers spread over them.
const fn many_from(holder_count: usize, run: RunId) -> usize {
    if holder_count > HOLDERS_TOLD {
        (crate::rng::mix(run.0) % holder_count as u64) as usize
    } else {
        0
    }
}

/// An error that the scheduler itself gives a task.
pub(super) fn error(kind: &str, message: String) -> TaskError {
    TaskError { kind: kind.to_owned(), message, traceback: String::new() }
}
