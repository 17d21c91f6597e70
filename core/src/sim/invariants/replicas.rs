//! Every holder that the scheduler names holds the result.

use crate::ids::TaskId;
use crate::sim::Simulation;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for index in 0..simulation.workload.graph.len() {
        let task = TaskId::from_index(index);
        for holder in simulation.scheduler.who_has(task) {
            let life = simulation.life(holder);
            if !life.is_some_and(|life| life.data.contains_key(&task)) {
                return Err(format!("worker {} does not hold {index}", holder.0));
            }
        }
    }
    Ok(())
}
