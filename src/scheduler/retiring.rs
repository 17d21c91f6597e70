//! Workers that leave on purpose: the orders of supervisors, and the end of a worker that has left.
//!
//! The core moves what the worker holds and strikes it off. Then its process ends: told by us, or,
//! when another shall take its place, by its supervisor. Files that it wrote are synced before.

use super::driver::Driver;
use rdask_core::ids::WorkerId;
use rdask_core::messages::ToWorker;
use rdask_core::scheduler::{Retirees, SchedulerEvent};

/// A worker that was ordered to leave.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    /// Another one is started in its place.
    restart: bool,
    /// Why it left, once it is a member no more.
    left: Option<String>,
}

impl Leaving {
    /// The core has struck it off: its end is no loss.
    pub(super) const fn has_left(&self) -> bool {
        self.left.is_some()
    }
}

impl Driver {
    /// A supervisor wants its worker to leave.
    pub(super) fn on_retire_order(&mut self, slot: &str, reason: String, restart: bool) {
        if self.phase.is_over() {
            return;
        }
        let named = self.links.iter_mut().find(|(_, link)| link.registration.name == slot);
        let Some((&worker, link)) = named else {
            self.nannies.not_retired(slot, "it has not joined");
            return;
        };
        if link.leaving.is_some() {
            return;
        }
        link.leaving = Some(Leaving { restart, left: None });
        tracing::info!(worker = slot, "worker retires: {reason}");
        let which = Retirees::Workers(vec![worker]);
        self.handle(SchedulerEvent::RetireWorkers { which, close: false, reason });
    }

    /// A worker's results are elsewhere, and it is a member no more.
    pub(super) fn on_retired(&mut self, worker: WorkerId, reason: &str) {
        let Some(link) = self.links.get_mut(&worker) else { return };
        let restart = link.leaving.as_ref().is_some_and(|leaving| leaving.restart);
        link.leaving = Some(Leaving { restart, left: Some(reason.to_owned()) });
        let registration = link.registration.clone();
        let syncs = link.wrote && self.syncs_at_end();
        tracing::info!(worker = %registration.name, "worker retired: {reason}");
        self.observer.worker_retired(self.clock.now(), &registration, reason);
        if !restart {
            self.nannies.expect_empty(&registration.name);
        }
        if syncs {
            // What it wrote must be on disk with the rest; its answer ends it.
            self.send(worker, &ToWorker::SyncOutputs);
        } else {
            self.end_retired(worker);
        }
    }

    /// Ends the process of a worker that has left and has nothing more to do.
    pub(super) fn end_retired(&mut self, worker: WorkerId) {
        let Some(link) = self.links.get(&worker) else { return };
        let Some(Leaving { restart, left: Some(reason) }) = &link.leaving else { return };
        let (nanny, name) = (link.registration.nanny, &link.registration.name);
        if *restart {
            self.nannies.kill_worker(nanny, name, reason);
        } else {
            let reason = format!("retired: {reason}");
            self.send(worker, &ToWorker::Close { reason });
        }
    }

    /// Nobody can take what a worker holds: it stays, and its supervisor hears of it.
    pub(super) fn on_not_retired(&mut self, worker: WorkerId, reason: &str) {
        let Some(link) = self.links.get_mut(&worker) else { return };
        link.leaving = None;
        let name = link.registration.name.clone();
        tracing::info!(worker = %name, "worker stays, nobody can take its results: {reason}");
        self.nannies.not_retired(&name, "nobody can take its results");
    }
}
