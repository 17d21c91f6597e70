//! The pretend worker process: the shell around a worker core.
//!
//! What its core keeps lies in `data`; the values of an event that the core does not keep are gone
//! with the event. A run computes its value when it begins, from inputs that must be there.

use super::agenda::Happening;
use super::machine::{Life, Running};
use super::workload::{Behaviour, Workload};
use super::{Simulation, read_frame, write_message};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{Heartbeat, TaskError, ToScheduler, ToWorker, TypeCode};
use crate::time::Time;
use crate::wire;
use crate::worker::{WorkerEvent, WorkerInstruction, WorkerState};

impl Simulation {
    /// A worker process starts and registers.
    pub(super) fn start(&mut self, slot: usize) {
        let machine = &mut self.machines[slot];
        machine.starting = false;
        if machine.life.is_some() || machine.lost {
            return;
        }
        let worker = WorkerId::from_index(self.slot_of.len());
        self.slot_of.push(slot);
        machine.lives += 1;
        machine.paused = false;
        machine.life = Some(Life::new(worker));
        let registration = Box::new(machine.spec.registration(slot, machine.lives));
        self.send_up(worker, &[ToScheduler::Register(registration)]);
    }

    /// Puts messages on the stream of a worker to the scheduler.
    pub(super) fn send_up(&mut self, worker: WorkerId, messages: &[ToScheduler]) {
        if messages.is_empty() {
            return;
        }
        let mut frame = Vec::new();
        let mut vitals = true;
        for message in messages {
            vitals &= matches!(message, ToScheduler::Heartbeat(_));
            write_message(message, &mut frame);
        }
        self.trace.frame(self.now, worker.0, &frame);
        let delay = self.network.delay_ns(&mut self.rng);
        let now = self.now;
        let Some(life) = self.life_mut(worker) else { return };
        let at = life.upward.arrival(now, delay);
        life.under_way += 1;
        let happening = if vitals {
            Happening::Vitals { worker, frame }
        } else {
            Happening::ToScheduler { worker, frame }
        };
        self.agenda.at(at, happening);
    }

    /// A frame of the scheduler arrives: all its messages are one batch.
    pub(super) fn on_frame_down(&mut self, worker: WorkerId, frame: &[u8]) {
        let slot = self.slot_of[worker.index()];
        let mut events = Vec::new();
        for message in read_frame::<ToWorker>(frame) {
            if let ToWorker::Registered { worker, heartbeat_ns } = message {
                self.on_registered(worker, heartbeat_ns);
            } else if Self::ends_worker(&message) {
                return self.end(worker, false);
            } else if let ToWorker::RemoveWorker { worker: gone } = message {
                events.push(WorkerEvent::RemoveWorker { worker: gone });
                self.forget(worker, gone, &mut events);
            } else if let Some(event) = wire::worker_event(message, &self.machines[slot].boot_id) {
                events.push(event);
            }
        }
        self.work(worker, events);
    }

    fn on_registered(&mut self, worker: WorkerId, heartbeat_ns: u64) {
        let slot = self.slot_of[worker.index()];
        let options = self.machines[slot].spec.options(worker);
        let state = WorkerState::new(self.config.clone(), options, self.seed ^ u64::from(worker.0));
        if let Some(life) = self.life_mut(worker) {
            life.state = Some(state);
            life.heartbeat_ns = heartbeat_ns;
        }
        let at = self.now.after_ns(heartbeat_ns);
        self.agenda.at(at, Happening::Heartbeat { worker });
    }

    /// Events of a worker core and all that follows at once.
    pub(super) fn work(&mut self, worker: WorkerId, mut events: Vec<WorkerEvent>) {
        let slot = self.slot_of[worker.index()];
        self.touched.push(worker);
        let mut out = std::mem::take(&mut self.machines[slot].out);
        let mut up = Vec::new();
        while !events.is_empty() {
            self.trace.events += events.len() as u64;
            out.clear();
            let now = self.now;
            let Some(life) = self.life_mut(worker) else { break };
            let Some(state) = life.state.as_mut() else { break };
            state.handle_batch(now, events.drain(..), &mut out);
            for instruction in out.instructions.drain(..) {
                self.obey(worker, instruction, &mut events, &mut up);
            }
            if let Some(life) = self.life_mut(worker) {
                life.offered.clear();
            }
        }
        self.machines[slot].out = out;
        if self.config.validate {
            self.cover_worker(worker);
        }
        self.send_up(worker, &up);
    }

    fn obey(
        &mut self,
        worker: WorkerId,
        instruction: WorkerInstruction,
        events: &mut Vec<WorkerEvent>,
        up: &mut Vec<ToScheduler>,
    ) {
        use WorkerInstruction as I;
        match instruction {
            I::Execute { task, run_id, attempt, inputs, timeout_ns, .. } => {
                let terms = (attempt, timeout_ns);
                if let Some(event) = self.execute(worker, (task, run_id), terms, &inputs) {
                    events.push(event);
                }
            }
            I::GatherDep { transfer, peer, tasks, .. } => {
                self.ask(worker, transfer, peer, &tasks);
            }
            I::Store { task } => {
                let nbytes = self.workload.behaviours[task.index()].nbytes;
                self.trace.stored(nbytes);
                let slot = self.slot_of[worker.index()];
                self.machines[slot].stored(nbytes);
                let Some(life) = self.life_mut(worker) else { return };
                let place = life.offered.iter().position(|(offered, _)| *offered == task);
                let place = place.expect("the core keeps only what its event announced");
                let (_, value) = life.offered.swap_remove(place);
                life.bytes += nbytes;
                life.data.insert(task, value);
            }
            I::Drop { task } => {
                let nbytes = self.workload.behaviours[task.index()].nbytes;
                self.trace.dropped(nbytes);
                let slot = self.slot_of[worker.index()];
                self.machines[slot].bytes -= nbytes;
                if let Some(life) = self.life_mut(worker) {
                    life.bytes -= nbytes;
                    life.data.remove(&task);
                }
            }
            I::SetTimer(at) => {
                if let Some(life) = self.life_mut(worker) {
                    life.timer = Some(at);
                }
                self.agenda.at(at.max(self.now), Happening::WorkerTimer { worker, at });
            }
            I::Cancel { task, run_id } => {
                if self.workload.behaviours[task.index()].stops {
                    let patience = self.network.latency_ns * (1 + self.rng.below(60));
                    let at = self.now.after_ns(patience);
                    let kind = "Stopped";
                    self.agenda.at(at, Happening::RunStops { worker, task, run_id, kind });
                }
            }
            message => up.extend(wire::message_of(message)),
        }
    }

    /// Begins a run; an event when it cannot begin.
    fn execute(
        &mut self,
        worker: WorkerId,
        (task, run_id): (TaskId, RunId),
        (attempt, timeout_ns): (u32, u64),
        inputs: &[TaskId],
    ) -> Option<WorkerEvent> {
        self.trace.executed += 1;
        self.executions[task.index()] += 1;
        if !self.begun.insert(run_id) {
            self.doubled = Some((task, run_id));
        }
        let behaviour = self.workload.behaviours[task.index()];
        let slot = self.slot_of[worker.index()];
        let speed = u64::from(self.machines[slot].spec.speed.max(1));
        let now = self.now;
        let life = self.life_mut(worker)?;
        let values: Option<Vec<u64>> =
            inputs.iter().map(|input| life.data.get(input).copied()).collect();
        let Some(values) = values else {
            return Some(failure((task, run_id), now, "InternalError", "an input went away"));
        };
        let value = Workload::value(task, values.into_iter());
        let running = Running { attempt, started: now, value, seceded: false };
        life.running.insert((task, run_id), running);
        let mut needed = behaviour.duration_ns.saturating_mul(100) / speed;
        if self.rng.below(100) < u64::from(behaviour.straggles) {
            needed = needed.saturating_mul(10 + self.rng.below(50));
        }
        if timeout_ns > 0 && timeout_ns < needed {
            let (at, kind) = (now.after_ns(timeout_ns), "TimeoutError");
            self.agenda.at(at, Happening::RunStops { worker, task, run_id, kind });
        }
        if behaviour.secedes {
            let at = now.after_ns(needed / (1 + self.rng.below(8)));
            self.agenda.at(at, Happening::Secedes { worker, task, run_id });
        }
        self.agenda.at(now.after_ns(needed), Happening::RunEnds { worker, task, run_id });
        None
    }

    /// The code of a task ends.
    pub(super) fn on_run_end(&mut self, worker: WorkerId, task: TaskId, run_id: RunId) {
        let Behaviour { nbytes, errs, kills, reschedules, .. } =
            self.workload.behaviours[task.index()];
        let (now, rescheduled) = (self.now, self.rescheduled[task.index()]);
        let slot = self.slot_of[worker.index()];
        let (full, room) = (self.machines[slot].full, self.machines[slot].spec.room_bytes());
        let Some(life) = self.life_mut(worker) else { return };
        let Some(running) = life.running.get(&(task, run_id)).copied() else { return };
        if running.attempt < kills {
            return self.end(worker, true);
        }
        life.running.remove(&(task, run_id));
        let event = if running.attempt < errs.saturating_add(kills) {
            failure((task, run_id), now, "ValueError", "bang")
        } else if rescheduled < reschedules {
            self.rescheduled[task.index()] += 1;
            WorkerEvent::Reschedule { task, run_id }
        } else if full || life.bytes.saturating_add(nbytes) > room {
            failure((task, run_id), now, "MemoryError", "no room for the result")
        } else {
            life.offered.push((task, running.value));
            WorkerEvent::ExecuteSuccess {
                task,
                run_id,
                nbytes,
                type_code: TypeCode(1),
                thread: 0,
                start_ns: running.started.0,
                stop_ns: now.0,
            }
        };
        self.work(worker, vec![event]);
    }

    /// The code of a task was stopped before its end.
    pub(super) fn on_run_stop(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        run_id: RunId,
        kind: &'static str,
    ) {
        let now = self.now;
        let Some(life) = self.life_mut(worker) else { return };
        if life.running.remove(&(task, run_id)).is_some() {
            self.work(worker, vec![failure((task, run_id), now, kind, "stopped")]);
        }
    }

    /// The code of a task leaves the pool.
    pub(super) fn on_secede(&mut self, worker: WorkerId, task: TaskId, run_id: RunId) {
        let now = self.now;
        let Some(life) = self.life_mut(worker) else { return };
        let Some(running) = life.running.get_mut(&(task, run_id)) else { return };
        running.seceded = true;
        let compute_duration_ns = now.since(running.started);
        self.work(worker, vec![WorkerEvent::Secede { task, run_id, compute_duration_ns }]);
    }

    /// The timer of a core, unless it was set anew since.
    pub(super) fn on_worker_timer(&mut self, worker: WorkerId, at: Time) {
        if let Some(life) = self.life_mut(worker)
            && life.timer == Some(at)
        {
            life.timer = None;
            self.work(worker, vec![WorkerEvent::Timeout]);
        }
    }

    /// A worker is due to send its vitals.
    pub(super) fn on_heartbeat(&mut self, worker: WorkerId) {
        let now = self.now;
        let Some(life) = self.life_mut(worker) else { return };
        let Some(state) = &life.state else { return };
        let executing = state.executing();
        let heartbeat = Heartbeat {
            now_ns: now.0,
            managed_bytes: state.nbytes(),
            executing: executing.map(|run| (run.task, now.since(run.started))).collect(),
            paths: life.meter.speeds(),
            ..Heartbeat::default()
        };
        let next = now.after_ns(life.heartbeat_ns);
        self.send_up(worker, &[ToScheduler::Heartbeat(Box::new(heartbeat))]);
        self.agenda.at(next, Happening::Heartbeat { worker });
    }

    /// A worker process ends: `unexpected` when its scheduler did not ask for it. Its nanny starts
    /// another.
    pub(super) fn end(&mut self, worker: WorkerId, unexpected: bool) {
        if self.life_mut(worker).is_none() {
            return;
        }
        let slot = self.slot_of[worker.index()];
        let Some(life) = self.machines[slot].life.take() else { return };
        self.trace.deaths += 1;
        self.machines[slot].bytes = 0;
        for task in life.keys() {
            let nbytes = self.workload.behaviours[task.index()].nbytes;
            self.trace.dropped(nbytes);
        }
        let mut executing: Vec<(TaskId, RunId)> = Vec::new();
        if let Some(state) = &life.state {
            executing.extend(state.executing().map(|run| (run.task, run.run_id)));
        }
        // What was sent still arrives, and then the end of the stream.
        let mut upward = life.upward;
        let delay = self.network.delay_ns(&mut self.rng);
        let at = upward.arrival(self.now, delay);
        self.agenda.at(at, Happening::StreamEnds { worker });
        if unexpected && !self.machines[slot].lost {
            let delay = self.network.delay_ns(&mut self.rng) * (1 + self.rng.below(4));
            self.agenda.at(self.now.after_ns(delay), Happening::Reported { worker, executing });
        }
        self.start_again(slot);
    }

    /// Puts the next start of a slot on the agenda.
    pub(super) fn start_again(&mut self, slot: usize) {
        let machine = &mut self.machines[slot];
        if !machine.lost && !machine.starting && machine.life.is_none() {
            machine.starting = true;
            let backoff = self.network.latency_ns * (1 + self.rng.below(200));
            self.agenda.at(self.now.after_ns(backoff), Happening::Starts { slot });
        }
    }
}

fn failure((task, run_id): (TaskId, RunId), now: Time, kind: &str, message: &str) -> WorkerEvent {
    let error =
        TaskError { kind: kind.to_owned(), message: message.to_owned(), traceback: String::new() };
    let (start_ns, stop_ns) = (now.0, now.0);
    let error = Box::new(error);
    WorkerEvent::ExecuteFailure { task, run_id, error, thread: 0, start_ns, stop_ns }
}
