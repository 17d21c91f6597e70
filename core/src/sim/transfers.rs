//! Requests between pretend workers: asked, served, answered, or broken off.
//!
//! Every request ends in exactly one event of its asker, whatever becomes of the peer.

use super::Simulation;
use super::agenda::{Answer, Happening};
use crate::ids::{TaskId, TransferId, WorkerId};
use crate::messages::TaskError;
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
        life.asked.insert(transfer, now);
        let tasks = tasks.iter().map(|(task, _)| *task).collect();
        let at = now.after_ns(delay);
        if self.is_cut(worker, peer) {
            let answer = Answer::Broken;
            self.agenda.at(at, Happening::Answered { worker, transfer, peer, answer });
            return;
        }
        self.agenda.at(at, Happening::Asked { worker, transfer, peer, tasks });
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
        let within = self.share_host(worker, peer);
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
        let took_ns = self.network.transfer_ns(nbytes, within);
        let at = match &mut self.links {
            Some(links) if !within && nbytes > 0 => {
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
        let alive = match self.life_mut(peer) {
            Some(life) => {
                life.serving -= u32::from(served);
                true
            }
            None => false,
        };
        let slot = self.slot_of[worker.index()];
        let full = self.machines[slot].full;
        let corrupt = self.machines[self.slot_of[peer.index()]].corrupt;
        let Some(life) = self.life_mut(worker) else { return };
        if life.asked.remove(&transfer).is_none() {
            return;
        }
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

    /// A request was not answered in time.
    pub(super) fn on_unanswered(&mut self, worker: WorkerId, transfer: TransferId) {
        let Some(life) = self.life_mut(worker) else { return };
        if life.asked.remove(&transfer).is_some() {
            self.work(worker, vec![WorkerEvent::GatherDepNetworkFailure { transfer }]);
        }
    }

    fn share_host(&self, worker: WorkerId, peer: WorkerId) -> bool {
        let host = |worker: WorkerId| self.machines[self.slot_of[worker.index()]].spec.host;
        host(worker) == host(peer)
    }

    fn is_cut(&self, worker: WorkerId, peer: WorkerId) -> bool {
        let (a, b) = (self.slot_of[worker.index()], self.slot_of[peer.index()]);
        self.cuts.contains(&(a.min(b), a.max(b)))
    }
}
