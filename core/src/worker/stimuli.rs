//! Messages of the scheduler and the driver's own events, turned into recommendations.
//!
//! Handlers decide, transitions act. A message that names what is gone changes nothing and is
//! counted; nothing that a message says can break an invariant.

use super::task::{Live, Slot, State};
use super::{RunEnd, WorkerEvent, WorkerInstruction, WorkerState, replicas};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{ComputeTask, Dependency, TaskError};

/// No result is larger; a forged size cannot overflow the accounts.
pub(super) const MAX_NBYTES: u64 = 1 << 47;

impl WorkerState {
    /// Turns one event into recommendations.
    pub(super) fn dispatch(&mut self, event: WorkerEvent) {
        self.stimulus.number += 1;
        self.stimulus.kind = kind(&event);
        match event {
            WorkerEvent::AddPeer { worker, same_machine } => {
                let at = self.peers.find_or_insert(worker);
                self.peers.at_mut(at).same_machine = same_machine;
            }
            WorkerEvent::ComputeTask(message) => self.on_compute_task(*message),
            WorkerEvent::FreeKeys { tasks } => self.on_free_keys(&tasks),
            WorkerEvent::RemoveReplicas { tasks } => self.on_remove_replicas(&tasks),
            WorkerEvent::AcquireReplicas { tasks } => self.on_acquire_replicas(&tasks),
            WorkerEvent::StatusChange { status } => self.on_status_change(status),
            WorkerEvent::RefreshWhoHas { who_has } => self.on_refresh_who_has(&who_has),
            WorkerEvent::RemoveWorker { worker } => self.on_remove_worker(worker),
            WorkerEvent::BadKeyAck { task, peer } => self.on_bad_key_ack(task, peer),
            WorkerEvent::StealRequest { task, stimulus_id } => {
                self.on_steal_request(task, stimulus_id);
            }
            WorkerEvent::UpdateData { data } => self.on_update_data(&data),
            WorkerEvent::SetResources { resources } => self.on_set_resources(resources),
            WorkerEvent::Pause => self.on_pause(true),
            WorkerEvent::Unpause => self.on_pause(false),
            WorkerEvent::Unwritten { nbytes } => self.unwritten_bytes = nbytes,
            WorkerEvent::GatherDepSuccess { transfer, received, absent: _, bad } => {
                self.on_gather_success(transfer, &received, &bad);
            }
            WorkerEvent::GatherDepBusy { transfer } => self.on_gather_busy(transfer),
            WorkerEvent::GatherDepNetworkFailure { transfer } => {
                self.on_gather_network_failure(transfer);
            }
            WorkerEvent::GatherDepFailure { transfer, error } => {
                self.on_gather_failure(transfer, &error);
            }
            WorkerEvent::ExecuteSuccess {
                task,
                run_id,
                nbytes,
                type_code,
                thread,
                start_ns,
                stop_ns,
            } => {
                self.run_end = Some(RunEnd { thread, start_ns, stop_ns });
                self.on_execute_success(task, run_id, nbytes, type_code);
            }
            WorkerEvent::ExecuteFailure { task, run_id, error, thread, start_ns, stop_ns } => {
                self.run_end = Some(RunEnd { thread, start_ns, stop_ns });
                self.on_execute_failure(task, run_id, error);
            }
            WorkerEvent::Reschedule { task, run_id } => self.on_reschedule(task, run_id),
            WorkerEvent::Secede { task, run_id, compute_duration_ns } => {
                self.run_end =
                    Some(RunEnd { thread: 0, start_ns: 0, stop_ns: compute_duration_ns });
                self.on_secede(task, run_id);
            }
            WorkerEvent::Timeout => self.on_timeout(),
        }
    }

    /// compute-task: the run's number always counts; the rest only where nothing of it is under
    /// way yet.
    fn on_compute_task(&mut self, message: ComputeTask) {
        if !is_sound(&message) {
            self.ignored_count += 1;
            return;
        }
        let needs = match message.needs.as_deref().map(|needs| self.requirement(needs)).transpose()
        {
            Ok(needs) => needs.flatten(),
            // It was sent before the scheduler knew.
            Err(_) if self.resources_fell => return self.send_back(&message),
            Err(error) => return self.refuse(&message, error),
        };
        let (slot, _) = self.tasks.find_or_insert(message.task);
        let record = &mut self.tasks[slot];
        record.run_id = message.run_id;
        record.attempt = message.attempt;
        record.key = message.key;
        let state = record.state;
        match state {
            State::Memory => {
                self.report_finished(slot);
                return;
            }
            State::Waiting | State::Ready | State::Constrained => {
                for dependency in &message.dependencies {
                    if let Some(input) = self.tasks.find(dependency.task) {
                        self.update_who_has(input, &dependency.who_has);
                    }
                }
                return;
            }
            // Its place in the queues of its holders goes by the old priority.
            State::Fetch => self.transition(slot, State::Released),
            _ => {}
        }
        let same = self.tasks[slot].spec == Some(message.spec)
            && self.has_inputs(slot, &message.dependencies, &message.arguments);
        let record = &mut self.tasks[slot];
        if let Some(run) = &mut record.run {
            run.outdated |= !same;
        }
        record.spec = Some(message.spec);
        record.arguments = message.arguments;
        record.timeout_ns = message.needs.map_or(0, |needs| needs.timeout_ns);
        record.needs = needs;
        self.generation = self.generation.wrapping_sub(1);
        record.priority = message.priority;
        record.generation = self.generation;
        if !same {
            self.link_inputs(slot, &message.dependencies);
        }
        for (at, dependency) in message.dependencies.iter().enumerate() {
            let input = self.tasks[slot].dependencies[at].slot;
            self.update_who_has(input, &dependency.who_has);
        }
        if !matches!(state, State::Executing | State::LongRunning) {
            self.recommend(slot, State::Waiting);
        }
    }

    /// What the worker cannot give: the scheduler hears of it at once.
    fn refuse(&mut self, message: &ComputeTask, error: Box<TaskError>) {
        let now = self.now.0;
        self.emit(WorkerInstruction::TaskErred {
            task: message.task,
            run_id: message.run_id,
            error,
            thread: 0,
            start_ns: now,
            stop_ns: now,
        });
    }

    fn has_inputs(&self, slot: Slot, inputs: &[Dependency], arguments: &[u32]) -> bool {
        let record = &self.tasks[slot];
        record.arguments == arguments
            && record.dependencies.len() == inputs.len()
            && record
                .dependencies
                .iter()
                .zip(inputs)
                .all(|(link, input)| self.tasks[link.slot].task == input.task)
    }

    /// Links a task to its inputs, old ones cut; an input that is new gets the task's priority.
    fn link_inputs(&mut self, slot: Slot, inputs: &[Dependency]) {
        for at in 0..self.tasks[slot].dependencies.len() {
            self.tasks.set_waiting(slot, at, false);
        }
        let mut cut = std::mem::take(&mut self.cut);
        self.tasks.unlink(slot, &mut cut);
        let (priority, generation) = {
            let record = &self.tasks[slot];
            (record.priority, record.generation)
        };
        for dependency in inputs {
            let (input, is_new) = self.tasks.find_or_insert(dependency.task);
            self.tasks.link(slot, input);
            if is_new || self.tasks[input].priority == replicas::ACQUIRE {
                self.set_priority(input, priority, generation);
            }
            let record = &mut self.tasks[input];
            if record.state != State::Memory {
                record.nbytes = dependency.nbytes.min(MAX_NBYTES);
            }
        }
        for input in cut.drain(..) {
            let record = &self.tasks[input];
            if record.state == State::Released && record.dependents.is_empty() {
                self.recommend(input, State::Forgotten);
            }
        }
        self.cut = cut;
    }

    /// free-keys: strong, the scheduler no longer counts on this worker for them. A record with a
    /// newer run is not meant.
    fn on_free_keys(&mut self, tasks: &[(TaskId, RunId)]) {
        for &(task, run_id) in tasks {
            match self.tasks.find(task) {
                Some(slot) if run_id == RunId::NONE || self.tasks[slot].run_id <= run_id => {
                    self.recommend(slot, State::Released);
                }
                _ => self.ignored_count += 1,
            }
        }
    }

    /// remove-replicas: refused while somebody here needs the value.
    fn on_remove_replicas(&mut self, tasks: &[TaskId]) {
        let mut refused = Vec::new();
        for &task in tasks {
            let Some(slot) = self.tasks.find(task) else {
                continue;
            };
            let record = &self.tasks[slot];
            if record.state != State::Memory {
                continue;
            }
            let needs_it = |state: State| state.is_processing();
            if record.dependents.iter().any(|link| needs_it(self.tasks[link.slot].state)) {
                refused.push(task);
            } else {
                self.recommend(slot, State::Released);
            }
        }
        if !refused.is_empty() {
            self.emit(WorkerInstruction::AddKeys { tasks: refused });
        }
    }

    fn on_refresh_who_has(&mut self, who_has: &[(TaskId, Vec<WorkerId>)]) {
        for (task, holders) in who_has {
            let Some(slot) = self.tasks.find(*task) else {
                self.ignored_count += 1;
                continue;
            };
            self.update_who_has(slot, holders);
            let record = &self.tasks[slot];
            if record.state == State::Missing && !record.who_has.is_empty() {
                self.recommend(slot, State::Fetch);
            }
        }
    }

    /// A transfer from the lost peer ends by itself, as a network failure.
    fn on_remove_worker(&mut self, worker: WorkerId) {
        let at = self.peers.find_or_insert(worker);
        self.peers.at_mut(at).gone = true;
        self.forget_holdings(at);
    }

    fn on_bad_key_ack(&mut self, task: TaskId, peer: WorkerId) {
        if let (Some(slot), Some(peer)) = (self.tasks.find(task), self.peers.find(peer)) {
            self.drop_holder(slot, peer);
        }
    }

    /// Data from outside. It overtakes a transfer; while a run of the task is live there is no
    /// place for it, and the scheduler hears that it is not here.
    fn on_update_data(&mut self, data: &[(TaskId, u64)]) {
        for &(task, nbytes) in data {
            let (slot, _) = self.tasks.find_or_insert(task);
            let record = &mut self.tasks[slot];
            match record.state {
                State::Memory => continue,
                State::Executing
                | State::LongRunning
                | State::Cancelled(Live::Executing | Live::LongRunning)
                | State::Resumed(Live::Executing | Live::LongRunning) => {
                    self.emit(WorkerInstruction::ReleaseWorkerData { task });
                    continue;
                }
                State::Flight | State::Resumed(Live::Flight) => {
                    record.transfer = None;
                    record.done = true;
                }
                State::Cancelled(Live::Flight) => {
                    record.transfer = None;
                    record.done = true;
                    self.transition(slot, State::Released);
                }
                _ => {}
            }
            self.tasks[slot].nbytes = nbytes;
            self.recommend(slot, State::Memory);
        }
    }
}

/// Arguments name inputs that are there, and no task is its own input.
fn is_sound(message: &ComputeTask) -> bool {
    let count = message.dependencies.len();
    message.arguments.iter().all(|&at| (at as usize) < count)
        && message.dependencies.iter().all(|input| input.task != message.task)
}

/// Dask's name of an event, for stories.
const fn kind(event: &WorkerEvent) -> &'static str {
    match event {
        WorkerEvent::AddPeer { .. } => "add-peer",
        WorkerEvent::ComputeTask(_) => "compute-task",
        WorkerEvent::FreeKeys { .. } => "free-keys",
        WorkerEvent::RemoveReplicas { .. } => "remove-replicas",
        WorkerEvent::AcquireReplicas { .. } => "acquire-replicas",
        WorkerEvent::StatusChange { .. } => "worker-status-change",
        WorkerEvent::RefreshWhoHas { .. } => "refresh-who-has",
        WorkerEvent::RemoveWorker { .. } => "remove-worker",
        WorkerEvent::BadKeyAck { .. } => "bad-key-ack",
        WorkerEvent::StealRequest { .. } => "steal-request",
        WorkerEvent::UpdateData { .. } => "update-data",
        WorkerEvent::SetResources { .. } => "set-resources",
        WorkerEvent::Pause => "pause",
        WorkerEvent::Unpause => "unpause",
        WorkerEvent::Unwritten { .. } => "unwritten",
        WorkerEvent::GatherDepSuccess { .. } => "gather-dep-success",
        WorkerEvent::GatherDepBusy { .. } => "gather-dep-busy",
        WorkerEvent::GatherDepNetworkFailure { .. } => "gather-dep-network-failure",
        WorkerEvent::GatherDepFailure { .. } => "gather-dep-failure",
        WorkerEvent::ExecuteSuccess { .. } => "execute-success",
        WorkerEvent::ExecuteFailure { .. } => "execute-failure",
        WorkerEvent::Reschedule { .. } => "reschedule",
        WorkerEvent::Secede { .. } => "secede",
        WorkerEvent::Timeout => "timeout",
    }
}
