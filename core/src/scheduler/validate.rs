//! Checks every invariant of the scheduler's state: whatever is counted or indexed is counted anew.
//!
//! It holds between events, when no recommendation is pending. The first broken invariant is
//! reported, with the story of the task when it is about one.

use super::task::{Flags, NONE, Task};
use super::worker::Worker;
use super::{SchedulerState, TaskState, client};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{TypeCode, WorkerStatus};
use rustc_hash::{FxHashMap, FxHashSet};

type Check = Result<(), String>;
/// How many tasks of a worker need an input.
type Needs = FxHashMap<(WorkerId, TaskId), u32>;

fn ensure(holds: bool, what: &str) -> Check {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

impl SchedulerState {
    /// Checks the whole state.
    ///
    /// # Errors
    /// The first broken invariant, in words, with the story of the task that breaks it.
    pub fn validate(&self) -> Result<(), String> {
        ensure(self.recommended.is_empty(), "recommendations are left")?;
        let mut runs = FxHashSet::default();
        for index in 0..self.tasks.len() {
            let task = TaskId::from_index(index);
            self.check_task(task, &mut runs).map_err(|broken| {
                format!("{}: {broken}\n{}", self.key_of(task), self.story(task))
            })?;
        }
        self.check_counts()?;
        let (mut running, mut needs) = (0, Needs::default());
        for (id, worker) in self.workers.iter() {
            running += usize::from(worker.profile.status == WorkerStatus::Running);
            self.check_worker(id, worker, &mut needs)
                .map_err(|broken| format!("worker {}: {broken}", worker.registration().name))?;
        }
        self.check_stealing()?;
        let status = |worker| self.status_of(worker);
        let paused = self.paused.iter().all(|(_, one)| status(*one) == Some(WorkerStatus::Paused));
        ensure(paused, "a worker that runs or is gone counts as paused")?;
        ensure(needs.len() == self.needs_what.len(), "needed inputs are miscounted")?;
        let agrees = |(worker, input, count)| needs.get(&(worker, input)) == Some(&count);
        ensure(self.needs_what.iter().all(agrees), "needed inputs are off")?;
        self.check_workers(running)?;
        self.check_amm()
    }

    fn check_task(&self, task: TaskId, runs: &mut FxHashSet<RunId>) -> Check {
        let record = &self.tasks[task.index()];
        ensure(record.pending.is_none(), "a recommendation is pending")?;
        ensure(record.processing_on != NONE || !record.flags.has(Flags::LONG_RUNNING), "long")?;
        let processing = record.state == TaskState::Processing;
        ensure((record.processing_on != NONE) == processing, "processing_on without processing")?;
        ensure(record.is_held() == (record.state == TaskState::Memory), "who_has without memory")?;
        ensure(
            self.queued.contains(record.rank) == (record.state == TaskState::Queued),
            "in the queue without being queued",
        )?;
        ensure(
            self.unrunnable.contains(task) == (record.state == TaskState::NoWorker),
            "unrunnable without being in no-worker",
        )?;
        ensure(record.run_id <= self.last_run, "a run that was never given")?;
        ensure(record.run_id == RunId::NONE || runs.insert(record.run_id), "two tasks, one run")?;
        ensure((record.blame != NONE) == (record.state == TaskState::Erred), "blame")?;
        self.check_neighbours(task, record)?;
        self.check_state(record)?;
        self.check_places(task, record)
    }

    fn check_neighbours(&self, task: TaskId, record: &Task) -> Check {
        if record.state == TaskState::Forgotten {
            return Ok(());
        }
        let holds = matches!(
            record.state,
            TaskState::Waiting | TaskState::Queued | TaskState::NoWorker | TaskState::Processing
        );
        ensure(record.flags.has(Flags::HOLDS) == holds, "holds its inputs in the wrong state")?;
        let dependents = || {
            let row = self.dependents.row(task).iter();
            row.map(|dependent| &self.tasks[dependent.index()])
        };
        let waiters = dependents().filter(|one| one.flags.has(Flags::HOLDS)).count();
        ensure(record.waiters as usize == waiters, "waiters are miscounted")?;
        let live = dependents().filter(|one| one.state != TaskState::Forgotten).count();
        ensure(record.live_dependents as usize == live, "dependents are miscounted")?;
        for dependent in self.dependents.row(task) {
            let mutual = self.dependencies.row(*dependent).contains(&task);
            ensure(mutual, "dependencies and dependents are not mutual")?;
        }
        if holds {
            let inputs = self.dependencies.row(task).iter();
            let missing = inputs.filter(|input| !self.tasks[input.index()].is_held()).count();
            ensure(record.waiting_on as usize == missing, "waiting_on is miscounted")?;
            for input in self.dependencies.row(task) {
                let live = !matches!(
                    self.tasks[input.index()].state,
                    TaskState::Released | TaskState::Erred | TaskState::Forgotten
                );
                ensure(live, "waits for an input that nobody makes")?;
            }
        }
        Ok(())
    }

    fn check_state(&self, record: &Task) -> Check {
        let fire_and_forget = record.who_wants & client::FIRE_AND_FORGET != 0;
        match record.state {
            TaskState::Released => {
                ensure(!record.is_needed(), "released, but wanted or held")?;
                ensure(record.live_dependents > 0, "neither wanted nor needed, but not forgotten")
            }
            TaskState::Waiting => {
                ensure(record.waiting_on > 0, "waits for nothing")?;
                ensure(record.is_needed(), "waits, but nobody needs it")
            }
            TaskState::Queued => {
                let terms = self.asks.terms(record.ask);
                ensure(!terms.is_restricted(), "queued with a restriction")?;
                ensure(record.waiting_on == 0 && record.is_needed(), "queued too early or in vain")
            }
            TaskState::NoWorker | TaskState::Processing => {
                ensure(record.waiting_on == 0, "runnable, but an input is not held")?;
                ensure(record.is_needed(), "runnable, but nobody needs it")
            }
            TaskState::Memory => {
                ensure(record.is_needed(), "in memory, but nobody needs it")?;
                ensure(record.type_code != TypeCode::default(), "in memory without a type")?;
                ensure(!fire_and_forget, "in memory, but still to be run once")
            }
            TaskState::Erred => {
                ensure(self.failures.get(TaskId(record.blame)).is_some(), "no error is kept")?;
                ensure(!fire_and_forget, "erred, but still to be run once")
            }
            TaskState::Forgotten => ensure(record.who_wants == 0, "forgotten, but wanted"),
        }
    }

    /// Places in vectors of workers.
    fn check_places(&self, task: TaskId, record: &Task) -> Check {
        let holders = self.overflow.holders(record);
        ensure(holders.is_sorted_by(|a, b| a.worker < b.worker), "who_has is not sorted")?;
        for held in holders {
            let Some(worker) = self.workers.get(held.worker) else {
                return Err("held by a worker that is gone".to_owned());
            };
            let there = worker.has_what.get(held.at) == Some(&task);
            ensure(there, "who_has and has_what disagree")?;
        }
        let Some(on) = record.worker() else { return Ok(()) };
        let Some(worker) = self.workers.get(on) else {
            return Err("processing on a worker that is gone".to_owned());
        };
        let sent = worker.processing.get(record.processing_at());
        ensure(sent.is_some_and(|sent| sent.task == task), "processing and its worker disagree")
    }

    fn check_counts(&self) -> Check {
        let mut counts = [0_u32; 8];
        let mut prefixes = vec![[0_u32; 8]; self.families.prefixes.len()];
        let mut groups = vec![0_u32; self.families.groups.len()];
        for task in &self.tasks {
            counts[task.state as usize] += 1;
            // Tasks that were never needed have no family.
            if task.state != TaskState::Forgotten {
                prefixes[self.families.prefix_of(task) as usize][task.state as usize] += 1;
                groups[task.group as usize] += 1;
            }
        }
        ensure(counts == self.counts, "states are miscounted")?;
        let forgotten = TaskState::Forgotten as usize;
        for (prefix, counted) in self.families.prefixes.iter().zip(prefixes) {
            let agree = prefix.states[..forgotten] == counted[..forgotten];
            ensure(agree, "states of a prefix are miscounted")?;
        }
        for (group, counted) in self.families.groups.iter().zip(groups) {
            ensure(group.tasks > 0 && counted <= group.tasks, "a group is miscounted")?;
            let last = WorkerId(group.last_worker);
            let there = group.last_worker == NONE || self.workers.contains(last);
            ensure(there, "a group has a share for a worker that is gone")?;
        }
        ensure(self.queued.len() == counts[TaskState::Queued as usize] as usize, "queue")?;
        ensure(
            self.unrunnable.len() == counts[TaskState::NoWorker as usize] as usize,
            "no-worker",
        )?;
        let ordered = self.unrunnable.iter().is_sorted_by_key(|(_, since)| since);
        ensure(ordered, "unrunnable tasks are not in the order of their age")
    }

    /// `needs` collects which inputs its tasks have yet to fetch.
    fn check_worker(&self, id: WorkerId, worker: &Worker, needs: &mut Needs) -> Check {
        let runs = worker.profile.status == WorkerStatus::Running;
        ensure(self.workers.emptiest.contains(id) == runs, "runs in one register only")?;
        let leaves = worker.profile.status == WorkerStatus::ClosingGracefully;
        let registered = self.amm.retiring.contains_key(&id);
        ensure(leaves == registered, "leaves in one register only")?;
        if let Some(load) = self.workers.emptiest.load(id) {
            ensure(load == worker.load(), "stands under an old load")?;
        }
        let (mut slots, mut compute_ns) = (0_u32, 0_u64);
        let mut used = vec![0_u64; worker.profile.used_resources.len()];
        let mut missing = FxHashSet::default();
        for sent in worker.processing.iter() {
            let record = &self.tasks[sent.task.index()];
            ensure(record.processing_on == id.0, "processes what was sent elsewhere")?;
            let terms = self.asks.terms(record.ask);
            if record.flags.has(Flags::LONG_RUNNING) {
                ensure(sent.cost_ns == 0, "a task outside the pool has a cost")?;
            } else {
                slots += terms.threads;
            }
            compute_ns += sent.cost_ns;
            for (name, need) in &terms.resources {
                for (place, (has, _)) in worker.registration().resources.iter().enumerate() {
                    used[place] += if has == name { *need } else { 0 };
                }
            }
            for input in self.dependencies.row(sent.task) {
                if !self.overflow.holds(&self.tasks[input.index()], id) {
                    missing.insert(*input);
                    if self.has_one_reader(*input) {
                        continue;
                    }
                    *needs.entry((id, *input)).or_insert(0) += 1;
                }
            }
        }
        ensure(slots == worker.slots_used, "slots are miscounted")?;
        ensure(compute_ns == worker.compute_ns, "occupancy is off")?;
        ensure(used == worker.profile.used_resources, "used resources are off")?;
        ensure(self.sizes(missing.iter()) == worker.network_bytes, "bytes to fetch are off")?;
        ensure(self.sizes(worker.has_what.iter()) == worker.nbytes, "bytes held are off")?;
        ensure(worker.has_what.iter().count() == worker.has_what.len(), "results miscounted")?;
        ensure(worker.processing.iter().count() == worker.processing.len(), "tasks miscounted")?;
        let there = |task: &TaskId| self.overflow.holds(&self.tasks[task.index()], id);
        ensure(worker.has_what.iter().all(there), "holds what it should not")
    }

    /// Sizes of results together; the order does not matter.
    fn sizes<'a>(&self, tasks: impl Iterator<Item = &'a TaskId>) -> u64 {
        tasks.map(|task| self.tasks[task.index()].nbytes).sum()
    }

    fn check_workers(&self, running: usize) -> Check {
        ensure(self.workers.emptiest.len() == running, "running workers are miscounted")?;
        let (names, addresses) = self.workers.register_sizes();
        ensure(names == self.workers.len(), "names are left of workers that are gone")?;
        let known: usize = self.workers.iter().map(|(_, w)| w.registration().addresses.len()).sum();
        ensure(addresses == known, "addresses are left of workers that are gone")?;
        let threads: u64 = self.workers.iter().map(|(_, w)| u64::from(w.nthreads)).sum();
        ensure(threads == self.workers.nthreads, "threads are miscounted")?;
        self.workers.check_limits()?;
        self.asks.check(&self.workers)?;
        let compute: u64 = self.workers.iter().map(|(_, worker)| worker.compute_ns).sum();
        ensure(compute == self.total_compute_ns, "occupancy of all workers is off")?;
        let wasted = self.queued.first().is_some_and(|rank| {
            let first = self.workers.emptiest.first();
            first.is_some_and(|worker| self.has_slot(worker, self.ranked[rank as usize]))
        });
        ensure(!wasted, "a slot is free while a task is queued")
    }
}
