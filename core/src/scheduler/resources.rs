//! set_resources: a worker has more or less of an abstract resource than it said.
//!
//! Placement asks for the total, so what found no worker is tried again. What the worker was sent and
//! can no longer run it gives back itself; what runs there keeps what it took.

use super::SchedulerState;
use crate::ids::WorkerId;

impl SchedulerState {
    /// set_resources. What is not named stays; 0 is none.
    pub(super) fn on_set_resources(&mut self, worker: WorkerId, resources: &[(String, u64)]) {
        let Some(at) = self.workers.get_mut(worker) else { return };
        let totals = &mut at.profile.registration.resources;
        for (name, total) in resources {
            match totals.iter_mut().find(|(has, _)| has == name) {
                Some((_, old)) => *old = *total,
                None => totals.push((name.clone(), *total)),
            }
        }
        let mut used = vec![0_u64; totals.len()];
        for sent in at.processing.iter() {
            let terms = self.asks.terms(self.tasks[sent.task.index()].ask);
            for (name, need) in &terms.resources {
                if let Some(place) = totals.iter().position(|(has, _)| has == name) {
                    used[place] = used[place].saturating_add(*need);
                }
            }
        }
        at.profile.used_resources = used;
        self.workers.note_change(worker);
        self.try_unrunnable(worker);
    }
}
