//! A task waits for as many inputs as have no holder, and one that waits for none goes on.
//!
//! Counted anew from the graph and the holders, for the tasks of this and that moment: all of them
//! at every event would cost more than the run.

use crate::ids::TaskId;
use crate::sim::Simulation;
use std::collections::BTreeSet;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for index in 0..simulation.workload.graph.len() {
        let task = TaskId::from_index(index);
        let Some(counted) = simulation.scheduler.waiting_on(task) else { continue };
        let inputs: BTreeSet<TaskId> =
            simulation.workload.graph.inputs.row(task).iter().copied().collect();
        let lacks = |input: &&TaskId| simulation.scheduler.who_has(**input).next().is_none();
        let missing = inputs.iter().filter(lacks).count();
        if counted as usize != missing || missing == 0 {
            return Err(format!("{index} waits for {counted} inputs, {missing} are missing"));
        }
    }
    Ok(())
}
