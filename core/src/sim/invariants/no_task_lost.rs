//! No task is lost: whatever the job asked for has ended in memory, in an error or in being given up
//! on purpose, and what must run once has run.

use crate::ids::TaskId;
use crate::scheduler::TaskState;
use crate::sim::Simulation;
use std::collections::BTreeSet;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    let wanted: BTreeSet<TaskId> = simulation.clients.wants().map(|(_, task, _)| task).collect();
    for index in 0..simulation.workload.graph.len() {
        let task = TaskId::from_index(index);
        let settled = match simulation.scheduler.state_of(task) {
            TaskState::Memory => simulation.scheduler.who_has(task).next().is_some(),
            TaskState::Erred => simulation.scheduler.error_of(task).is_some(),
            TaskState::Released | TaskState::Forgotten => !wanted.contains(&task),
            TaskState::Waiting
            | TaskState::Queued
            | TaskState::NoWorker
            | TaskState::Processing => false,
        };
        if !settled {
            return Err(simulation.scheduler.story(task));
        }
    }
    for task in &simulation.workload.run_once {
        let erred = simulation.scheduler.state_of(*task) == TaskState::Erred;
        let cancelled = !simulation.faultless;
        if simulation.executions[task.index()] == 0 && !erred && !cancelled {
            return Err(format!("{} never ran", task.0));
        }
    }
    Ok(())
}
