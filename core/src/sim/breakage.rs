//! Faults as they strike, and how what they broke works again.

use super::Simulation;
use super::agenda::Happening;
use super::faults::Fault;
use crate::config::SECOND_NS;
use crate::ids::{ClientId, TaskId, TransferId, WorkerId};
use crate::scheduler::{SchedulerEvent, TaskState};
use crate::time::Time;
use crate::worker::WorkerEvent;

impl Simulation {
    /// Something breaks.
    pub(super) fn on_break(&mut self, fault: Fault) {
        match fault {
            Fault::Crash { slot } => {
                if let Some(worker) = self.living(slot) {
                    self.end(worker, true);
                }
            }
            Fault::NodeLoss { slot } => {
                self.machines[slot].lost = true;
                if let Some(worker) = self.living(slot) {
                    self.end(worker, true);
                }
            }
            Fault::Freeze { slot, for_ns } => self.freeze(slot, for_ns, fault),
            Fault::Reset { slot } => self.reset(slot),
            Fault::Pause { slot, for_ns } => {
                if let Some(worker) = self.ready(slot)
                    && !std::mem::replace(&mut self.machines[slot].paused, true)
                {
                    self.work(worker, vec![WorkerEvent::Pause]);
                    self.mend_after(for_ns, fault);
                }
            }
            Fault::Cut { slot, peer, for_ns } => {
                self.cuts.insert((slot.min(peer), slot.max(peer)));
                self.mend_after(for_ns, fault);
            }
            Fault::Drop { slot, peer } => self.drop_connection(slot, peer),
            Fault::Partition { slot, for_ns } => self.part(slot, for_ns),
            Fault::Full { slot, for_ns } => {
                self.machines[slot].full = true;
                self.mend_after(for_ns, fault);
            }
            Fault::Corrupt { slot, for_ns } => {
                self.machines[slot].corrupt = true;
                self.mend_after(for_ns, fault);
            }
            Fault::Desires { client, task } => {
                let known = |state: TaskState| state == TaskState::Released;
                let task = self.next_in(task, known).unwrap_or(task);
                self.desire(client, task);
            }
            Fault::Releases { client, task } => {
                let task = self.next_wanted(client, task);
                self.clients.releases(client, task);
                let tasks = vec![task];
                self.schedule(SchedulerEvent::ClientReleasesKeys { client, tasks });
            }
            Fault::Cancels { client, task, force } => {
                // What another client wants stays, and so does the wish, unless it is forced.
                let (tasks, reason) = (vec![task], "on purpose".to_owned());
                self.schedule(SchedulerEvent::CancelKeys { client, tasks, force, reason });
            }
            Fault::Retries { task } => {
                let erred = |state: TaskState| state == TaskState::Erred;
                let tasks = self.next_in(task, erred).into_iter().collect();
                self.schedule(SchedulerEvent::Retry { tasks });
            }
        }
    }

    /// The first task in some state from a task on, around the end.
    pub(super) fn next_in(
        &self,
        task: TaskId,
        is_meant: impl Fn(TaskState) -> bool,
    ) -> Option<TaskId> {
        let count = self.workload.graph.len();
        let around = (0..count).map(|step| TaskId::from_index((task.index() + step) % count));
        around.into_iter().find(|task| is_meant(self.scheduler.state_of(*task)))
    }

    /// The first task that a client wants from a task on, around the end; the task itself when the
    /// client wants nothing.
    fn next_wanted(&self, client: ClientId, task: TaskId) -> TaskId {
        let wants = self.clients.wants().filter(|(who, ..)| *who == client);
        let mut wants: Vec<TaskId> = wants.map(|(_, task, _)| task).collect();
        let place = wants.partition_point(|wanted| *wanted < task);
        let count = wants.len();
        if count == 0 { task } else { wants.swap_remove(place % count) }
    }

    /// What one worker reads from another breaks off.
    fn drop_connection(&mut self, slot: usize, peer: usize) {
        let (Some(worker), Some(peer)) = (self.ready(slot), self.living(peer)) else { return };
        let Some(life) = self.life_mut(worker) else { return };
        let from_peer = life.asked.iter().filter(|(_, (asked, _))| *asked == peer);
        let mut broken: Vec<TransferId> = from_peer.map(|(transfer, _)| *transfer).collect();
        broken.sort_unstable();
        for transfer in &broken {
            life.asked.remove(transfer);
        }
        let events = broken
            .into_iter()
            .map(|transfer| WorkerEvent::GatherDepNetworkFailure { transfer })
            .collect();
        self.work(worker, events);
    }

    /// The host of a slot is cut off from the scheduler and all other hosts.
    fn part(&mut self, slot: usize, for_ns: u64) {
        let host = self.machines[slot].spec.host;
        let until = self.now.after_ns(for_ns);
        for slot in 0..self.machines.len() {
            let machine = &mut self.machines[slot];
            if machine.spec.host != host || machine.apart_until.is_some() {
                continue;
            }
            machine.apart_until = Some(until);
            self.listen_for(slot);
            self.mend_after(for_ns, Fault::Partition { slot, for_ns });
        }
    }

    /// The scheduler will notice when the worker of a slot stays silent.
    fn listen_for(&mut self, slot: usize) {
        if let Some(worker) = self.living(slot) {
            let at = self.now.after_ns(self.config.worker_ttl_ns);
            self.agenda.at(at, Happening::Silent { worker, since: self.now });
        }
    }

    fn desire(&mut self, client: ClientId, task: TaskId) {
        if self.scheduler.state_of(task) != TaskState::Forgotten {
            self.clients.desires(client, task);
            let tasks = vec![task];
            self.schedule(SchedulerEvent::ClientDesiresKeys { client, tasks });
        }
    }

    fn freeze(&mut self, slot: usize, for_ns: u64, fault: Fault) {
        if self.machines[slot].frozen_until.is_some() {
            return;
        }
        self.machines[slot].frozen_until = Some(self.now.after_ns(for_ns));
        self.listen_for(slot);
        self.mend_after(for_ns, fault);
    }

    /// A worker that was frozen or cut off then still is: the scheduler gives it up.
    pub(super) fn on_silent(&mut self, worker: WorkerId, since: Time) {
        let slot = self.slot_of[worker.index()];
        let machine = &self.machines[slot];
        let silent = machine.frozen_until.max(machine.apart_until);
        let limit = self.config.worker_ttl_ns;
        if silent.is_some_and(|until| until > self.now) && self.now.since(since) >= limit {
            self.lose(worker, None);
        }
    }

    /// Both ends see the control connection broken; what is under way is lost.
    fn reset(&mut self, slot: usize) {
        let Some(worker) = self.living(slot) else { return };
        self.deaf.insert(worker);
        let delay = self.network.delay_ns(&mut self.rng);
        let at = self.now.after_ns(delay);
        self.agenda.at(at, Happening::StreamEnds { worker });
        let delay = self.network.delay_ns(&mut self.rng) * (1 + self.rng.below(8));
        // It may take the worker a while to see it.
        let delay = delay + self.rng.below(3) / 2 * self.rng.below(SECOND_NS);
        if let Some(life) = self.life_mut(worker) {
            life.disowned = true;
        }
        self.agenda.at(self.now.after_ns(delay), Happening::Disowned { worker });
    }

    fn mend_after(&mut self, for_ns: u64, fault: Fault) {
        self.agenda.at(self.now.after_ns(for_ns), Happening::Mends { fault });
    }

    /// What a fault broke works again.
    pub(super) fn on_mend(&mut self, fault: &Fault) {
        match *fault {
            Fault::Freeze { slot, .. } => self.machines[slot].frozen_until = None,
            Fault::Partition { slot, .. } => self.machines[slot].apart_until = None,
            Fault::Pause { slot, .. } => self.unpause(slot),
            Fault::Cut { slot, peer, .. } => {
                self.cuts.remove(&(slot.min(peer), slot.max(peer)));
            }
            Fault::Full { slot, .. } => self.machines[slot].full = false,
            Fault::Corrupt { slot, .. } => self.machines[slot].corrupt = false,
            Fault::Crash { .. }
            | Fault::NodeLoss { .. }
            | Fault::Reset { .. }
            | Fault::Drop { .. }
            | Fault::Desires { .. }
            | Fault::Releases { .. }
            | Fault::Cancels { .. }
            | Fault::Retries { .. } => {}
        }
    }

    fn unpause(&mut self, slot: usize) {
        if std::mem::take(&mut self.machines[slot].paused)
            && let Some(worker) = self.ready(slot)
        {
            self.work(worker, vec![WorkerEvent::Unpause]);
        }
    }

    /// Nothing breaks any more, and all slots have workers again.
    pub(super) fn on_heal(&mut self) {
        self.healed = true;
        self.cuts.clear();
        for slot in 0..self.machines.len() {
            let machine = &mut self.machines[slot];
            // A stopped process and a host apart come back by themselves: earlier, they would see
            // late what came first.
            machine.full = false;
            machine.corrupt = false;
            machine.lost = false;
            self.unpause(slot);
            self.start_again(slot);
        }
    }

    /// The worker that lives in a slot.
    pub(super) fn living(&self, slot: usize) -> Option<WorkerId> {
        Some(self.machines[slot].life.as_ref()?.worker)
    }

    /// The worker that lives in a slot, once it has registered.
    fn ready(&self, slot: usize) -> Option<WorkerId> {
        let life = self.machines[slot].life.as_ref()?;
        life.state.is_some().then_some(life.worker)
    }
}
