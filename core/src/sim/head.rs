//! The pretend rank 0: the scheduler core, its connections, what its driver does on a real machine.
//!
//! A worker that is lost is removed once: by its nanny's report, or, when none comes, a while after
//! its stream ended. What a removed worker still says is not heard.

use super::agenda::Happening;
use super::{Simulation, read_frame, write_message};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{ToScheduler, ToWorker};
use crate::scheduler::{SchedulerEvent, SchedulerInstruction, SchedulerOut};
use crate::wire;
use std::collections::BTreeMap;

/// How long the report of a nanny may lag behind the end of its worker's stream.
const REPORT_PATIENCE_NS: u64 = 2_000_000_000;

impl Simulation {
    /// One event of the scheduler core and all that follows at once.
    pub(super) fn schedule(&mut self, event: SchedulerEvent) {
        self.trace.events += 1;
        self.record(&event);
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        self.scheduler.handle(self.now, event, &mut out);
        if let Some(further) = self.further.take() {
            self.adopt(&further, &out);
        }
        if self.config.validate {
            self.cover_scheduler();
        }
        let mut frames: BTreeMap<WorkerId, Vec<u8>> = BTreeMap::new();
        for instruction in &out.instructions {
            let about = (Some(&*self.workload.graph), &self.scheduler);
            self.introductions.messages(instruction, &out, about, &mut |worker, message| {
                write_message(&message, frames.entry(worker).or_default());
            });
            self.carry_out(instruction, &out);
        }
        self.out = out;
        for (worker, frame) in frames {
            self.send_down(worker, frame);
        }
    }

    fn carry_out(&mut self, instruction: &SchedulerInstruction, out: &SchedulerOut) {
        use SchedulerInstruction as I;
        match instruction {
            I::KeyInMemory { client, task } => self.clients.in_memory(*client, *task, self.now),
            I::TaskErred { client, task } => self.clients.erred(*client, *task),
            I::LostData { client, task } | I::TaskRetried { client, task } => {
                self.clients.pending(*client, *task);
            }
            I::CancelledKeys { client, tasks, .. } => {
                for task in tasks.of(&out.tasks) {
                    self.clients.cancelled(*client, *task);
                }
            }
            I::SetTimer(at) => {
                let at = *at;
                self.timer = Some(at);
                self.agenda.at(at.max(self.now), Happening::SchedulerTimer { at });
            }
            I::WorkerRetired { .. } => self.trace.retired += 1,
            I::RestartWorker { worker, .. } => self.end(*worker, true),
            I::Idle => self.trace.makespan_ns = self.now.0,
            I::ComputeTask { task, .. } => self.sent[task.index()] += 1,
            // Messages to workers went out with the frames.
            I::FreeKeys { .. }
            | I::RemoveReplicas { .. }
            | I::AcquireReplicas { .. }
            | I::WorkerStatusChange { .. }
            | I::WorkerNotRetired { .. }
            | I::RefreshWhoHas { .. }
            | I::RemoveWorker { .. }
            | I::BadKeyAck { .. }
            | I::StealRequest { .. }
            | I::Stolen { .. }
            | I::AcceptWorker { .. }
            | I::RefuseWorker { .. }
            | I::CloseWorker { .. }
            | I::GraphRefused { .. }
            | I::Warn(_) => {}
        }
    }

    /// Puts a frame on the stream to a worker; what goes to the dead is lost.
    fn send_down(&mut self, worker: WorkerId, frame: Vec<u8>) {
        self.trace.frame(self.now, worker.0, &frame);
        let delay = self.network.delay_ns(&mut self.rng);
        let now = self.now;
        let Some(life) = self.life_mut(worker) else { return };
        let at = life.downward.arrival(now, delay);
        life.under_way += 1;
        self.agenda.at(at, Happening::ToWorker { worker, frame });
    }

    /// A frame of a worker arrives. It is not heard when the worker no longer counts.
    pub(super) fn on_frame_up(&mut self, worker: WorkerId, frame: &[u8]) {
        for message in read_frame::<ToScheduler>(frame) {
            let registers = matches!(message, ToScheduler::Register(_));
            if !registers && !self.connected.contains(&worker) {
                continue;
            }
            if registers {
                self.connected.insert(worker);
            }
            if let Some(event) = wire::scheduler_event(worker, message) {
                self.schedule(event);
            }
            if registers {
                self.submit_when_all_are_there();
            }
        }
    }

    /// The stream of a worker ended: its nanny may say why, for a while.
    pub(super) fn on_stream_end(&mut self, worker: WorkerId) {
        if self.connected.contains(&worker) {
            let at = self.now.after_ns(REPORT_PATIENCE_NS);
            self.agenda.at(at, Happening::PatienceEnds { worker });
        }
    }

    /// A worker is lost, with what its threads ran as far as anybody knows.
    pub(super) fn lose(&mut self, worker: WorkerId, executing: Option<Vec<(TaskId, RunId)>>) {
        if !self.connected.remove(&worker) {
            return;
        }
        self.introductions.forget(worker);
        let reason = "lost".to_owned();
        self.schedule(SchedulerEvent::RemoveWorker { worker, expected: false, executing, reason });
        // A process that still runs learns that its connection is closed.
        let delay = self.network.delay_ns(&mut self.rng);
        let at = self.now.after_ns(delay);
        if let Some(life) = self.life_mut(worker) {
            life.disowned = true;
            self.agenda.at(at, Happening::Disowned { worker });
        }
    }

    /// What a message to a worker does there besides its events.
    pub(super) const fn ends_worker(message: &ToWorker) -> bool {
        matches!(message, ToWorker::Close { .. })
    }
}
