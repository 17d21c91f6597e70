//! Requests between pretend workers: asked, served, answered, or broken off.
//!
//! Every request ends in exactly one event of its asker, whatever becomes of the peer.

use super::Simulation;
use super::agenda::{Answer, Happening};
use super::network::Path;
use crate::ids::{TaskId, TransferId, WorkerId};
use crate::messages::TaskError;
use crate::paths::PathClass;
use crate::worker::WorkerEvent;

impl Simulation {
    /// A worker core asks a peer.
    pub(super) fn ask(
        &mut self,
        worker: WorkerId,
        transfer: TransferId,
        peer: WorkerId,
        tasks: &[(TaskId, u64)],
    ) {
        self.trace.transfers += 1;
        let now = self.now;
        let delay = self.network.delay_ns(&mut self.rng);
        let Some(life) = self.life_mut(worker) else { return };
        life.asked.insert(transfer, (peer, now));
        let tasks = tasks.iter().map(|(task, _)| *task).collect();
        let at = now.after_ns(delay);
        if self.is_cut(worker, peer) {
            let answer = Answer::Broken;
            self.agenda.at(at, Happening::Answered { worker, transfer, peer, answer });
            return;
        }
        if !self.is_apart(worker, peer) {
            self.agenda.at(at, Happening::Asked { worker, transfer, peer, tasks });
        }
        let at = now.after_ns(self.network.timeout_ns);
        self.agenda.at(at, Happening::Unanswered { worker, transfer });
    }

    /// A request arrives at a peer.
    pub(super) fn on_asked(
        &mut self,
        worker: WorkerId,
        transfer: TransferId,
        peer: WorkerId,
        tasks: &[TaskId],
    ) {
        let limit = self.config.transfer_outgoing_count_limit;
        let delay = self.network.delay_ns(&mut self.rng);
        let path = self.path(worker, peer);
        let limit_bytes = self.machines[self.slot_of[peer.index()]].spec.memory_limit_bytes;
        let (answer, nbytes) = match self.life_mut(peer) {
            None => (Answer::Broken, 0),
            Some(life) if life.serving >= limit => (Answer::Busy, 0),
            Some(life) => {
                life.serving += 1;
                let held = tasks.iter().filter_map(|task| Some((*task, *life.data.get(task)?)));
                let values: Vec<(TaskId, u64)> = held.collect();
                let sizes = values.iter().map(|(task, _)| task.index());
                let nbytes = sizes.map(|task| self.workload.behaviours[task].nbytes).sum();
                (Answer::Values(values), nbytes)
            }
        };
        let mut took_ns = self.network.transfer_ns(nbytes, path);
        if limit_bytes > 0 && self.life_mut(peer).is_some_and(|life| life.bytes > limit_bytes) {
            took_ns += self.network.transfer_ns(nbytes, Path::Disk);
        }
        if matches!(answer, Answer::Values(_)) {
            self.answering.insert((worker, transfer));
        }
        let at = match &mut self.links {
            Some(links) if path == Path::Fabric && nbytes > 0 => {
                let host = |worker: WorkerId| self.machines[self.slot_of[worker.index()]].spec.host;
                links.arrival(host(peer), host(worker), self.now, took_ns).after_ns(delay)
            }
            _ => self.now.after_ns(delay + took_ns),
        };
        self.agenda.at(at, Happening::Answered { worker, transfer, peer, answer });
        // Kept with the request, so that the answer can say what is absent.
        if let Some(life) = self.life_mut(worker)
            && life.asked.contains_key(&transfer)
        {
            self.requests.insert((worker, transfer), tasks.to_vec());
        }
    }

    /// An answer arrives.
    pub(super) fn on_answered(
        &mut self,
        worker: WorkerId,
        transfer: TransferId,
        peer: WorkerId,
        answer: Answer,
    ) {
        let tasks = self.requests.remove(&(worker, transfer)).unwrap_or_default();
        let served = matches!(answer, Answer::Values(_));
        self.answering.remove(&(worker, transfer));
        let alive = match self.life_mut(peer) {
            Some(life) => {
                life.serving -= u32::from(served);
                true
            }
            None => false,
        };
        let slot = self.slot_of[worker.index()];
        let (full, room) = (self.machines[slot].full, self.machines[slot].spec.room_bytes());
        let apart = self.is_apart(worker, peer);
        let corrupt = self.machines[self.slot_of[peer.index()]].corrupt;
        if apart && served {
            // It does not arrive; the patience of the one who asked ends.
            return;
        }
        let nbytes: u64 = match &answer {
            Answer::Values(values) => {
                let sizes = values.iter().map(|(task, _)| task.index());
                sizes.map(|task| self.workload.behaviours[task].nbytes).sum()
            }
            Answer::Busy | Answer::Broken => 0,
        };
        let (now, class) = (self.now, self.path_class(worker, peer));
        let Some(life) = self.life_mut(worker) else { return };
        let Some((_, since)) = life.asked.remove(&transfer) else { return };
        let full = full || life.bytes.saturating_add(nbytes) > room;
        let event = match answer {
            // It died while it was sending.
            Answer::Values(_) if !alive => WorkerEvent::GatherDepNetworkFailure { transfer },
            Answer::Broken => WorkerEvent::GatherDepNetworkFailure { transfer },
            Answer::Busy => WorkerEvent::GatherDepBusy { transfer },
            Answer::Values(values) if full && !values.is_empty() => {
                let error = TaskError {
                    kind: "MemoryError".to_owned(),
                    message: "no room for what arrives".to_owned(),
                    traceback: String::new(),
                };
                WorkerEvent::GatherDepFailure { transfer, error: Box::new(error) }
            }
            Answer::Values(mut values) => {
                let mut bad = Vec::new();
                if corrupt {
                    bad.extend(values.pop().map(|(task, _)| task));
                }
                let held = |task: &TaskId| values.iter().any(|(held, _)| held == task);
                let absent =
                    tasks.iter().filter(|task| !held(task) && !bad.contains(task)).copied();
                let absent = absent.collect();
                life.offered.extend(&values);
                life.meter.add(class, nbytes, now.since(since));
                let sizes = values
                    .iter()
                    .map(|(task, _)| (*task, self.workload.behaviours[task.index()].nbytes));
                let received: Vec<(TaskId, u64)> = sizes.collect();
                self.trace.moved_bytes += received.iter().map(|(_, nbytes)| nbytes).sum::<u64>();
                WorkerEvent::GatherDepSuccess { transfer, received, absent, bad }
            }
        };
        self.work(worker, vec![event]);
    }

    /// Nothing came for too long; a payload that is on its way is not nothing.
    pub(super) fn on_unanswered(&mut self, worker: WorkerId, transfer: TransferId) {
        let Some(life) = self.life_mut(worker) else { return };
        let Some((peer, _)) = life.asked.get(&transfer).copied() else { return };
        let silent = self.machines[self.slot_of[peer.index()]].frozen_until.is_some();
        let comes = self.answering.contains(&(worker, transfer)) && !silent;
        if comes && !self.is_apart(worker, peer) && self.life_mut(peer).is_some() {
            let at = self.now.after_ns(self.network.timeout_ns);
            self.agenda.at(at, Happening::Unanswered { worker, transfer });
            return;
        }
        let Some(life) = self.life_mut(worker) else { return };
        if life.asked.remove(&transfer).is_some() {
            self.work(worker, vec![WorkerEvent::GatherDepNetworkFailure { transfer }]);
        }
    }

    /// A worker is told that a peer is gone: it waits no longer for what it asked it for.
    pub(super) fn forget(
        &mut self,
        worker: WorkerId,
        gone: WorkerId,
        events: &mut Vec<WorkerEvent>,
    ) {
        let Some(life) = self.life_mut(worker) else { return };
        let given_up: Vec<_> =
            life.asked.iter().filter(|(_, (peer, _))| *peer == gone).map(|(one, _)| *one).collect();
        for transfer in given_up {
            life.asked.remove(&transfer);
            events.push(WorkerEvent::GatherDepNetworkFailure { transfer });
        }
    }

    fn path(&self, worker: WorkerId, peer: WorkerId) -> Path {
        let spec = |worker: WorkerId| &self.machines[self.slot_of[worker.index()]].spec;
        let (a, b) = (spec(worker), spec(peer));
        match (a.host == b.host, a.numa == b.numa) {
            (true, true) => Path::SameNode,
            (true, false) => Path::SameHost,
            (false, _) => Path::Fabric,
        }
    }

    fn path_class(&self, worker: WorkerId, peer: WorkerId) -> PathClass {
        match self.path(worker, peer) {
            Path::SameNode | Path::SameHost => PathClass::SameMachine,
            Path::Fabric | Path::Disk => PathClass::Fabric,
        }
    }

    fn is_cut(&self, worker: WorkerId, peer: WorkerId) -> bool {
        let (a, b) = (self.slot_of[worker.index()], self.slot_of[peer.index()]);
        self.cuts.contains(&(a.min(b), a.max(b)))
    }

    /// A partition lies between the two.
    fn is_apart(&self, worker: WorkerId, peer: WorkerId) -> bool {
        let machine = |worker: WorkerId| &self.machines[self.slot_of[worker.index()]];
        let (a, b) = (machine(worker), machine(peer));
        a.spec.host != b.spec.host && (a.apart_until.is_some() || b.apart_until.is_some())
    }
}
