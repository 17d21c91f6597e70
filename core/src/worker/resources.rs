//! set_resources: the worker has more or less of an abstract resource than it had.
//!
//! What runs keeps what it took. What has not begun and can never begin any more goes back to the
//! scheduler, which was told before; what it sent before it knew goes back as well.

use super::ready::Resource;
use super::status::is_unstarted;
use super::task::{Slot, State};
use super::{WorkerInstruction, WorkerState};
use crate::messages::ComputeTask;

impl WorkerState {
    /// The totals that are named are these from now on.
    pub(super) fn on_set_resources(&mut self, resources: Vec<(String, u64)>) {
        for (name, total) in &resources {
            match self.resources.iter_mut().find(|resource| resource.name == *name) {
                Some(resource) => {
                    self.resources_fell |= *total < resource.total;
                    resource.total = *total;
                }
                None => {
                    let name = name.clone();
                    self.resources.push(Resource { name, total: *total, taken: 0 });
                }
            }
        }
        self.emit(WorkerInstruction::SetResources { resources });
        if !self.resources_fell {
            return;
        }
        let stuck: Vec<Slot> = self.tasks.slots().filter(|slot| self.is_stuck(*slot)).collect();
        for slot in stuck {
            let record = &self.tasks[slot];
            let (task, run_id) = (record.task, record.run_id);
            self.emit(WorkerInstruction::Reschedule { task, run_id });
            self.recommend(slot, State::Released);
        }
    }

    /// To be computed here, not begun, and in need of more than there is in all.
    fn is_stuck(&self, slot: Slot) -> bool {
        let record = &self.tasks[slot];
        let Some(needs) = record.needs.as_deref() else { return false };
        let lacks = |&(at, amount): &(u32, u64)| amount > self.resources[at as usize].total;
        is_unstarted(record.state) && needs.resources.iter().any(lacks)
    }

    /// A task goes back to the scheduler as if it had given itself back.
    pub(super) fn send_back(&mut self, message: &ComputeTask) {
        let (task, run_id) = (message.task, message.run_id);
        self.emit(WorkerInstruction::Reschedule { task, run_id });
    }
}
