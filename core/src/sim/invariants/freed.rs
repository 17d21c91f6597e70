//! Nothing lies on a worker that the scheduler does not know to be there, and nothing is kept that
//! no client wants.

use crate::ids::TaskId;
use crate::scheduler::TaskState;
use crate::sim::Simulation;
use crate::worker::State;
use std::collections::BTreeSet;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for life in simulation.lives() {
        for task in life.keys() {
            if !simulation.scheduler.who_has(task).any(|holder| holder == life.worker) {
                return Err(format!(
                    "worker {} holds {} unknown to the scheduler: {}",
                    life.worker.0,
                    task.0,
                    simulation.scheduler.story(task)
                ));
            }
            let wanted = simulation.clients.wants().any(|(_, wanted, _)| wanted == task);
            if !wanted {
                let state = simulation.scheduler.state_of(task);
                debug_assert_eq!(state, TaskState::Memory);
                return Err(format!("worker {} keeps {}, unwanted", life.worker.0, task.0));
            }
        }
        let Some(core) = &life.state else { continue };
        let tasks = (0..simulation.workload.graph.len()).map(TaskId::from_index);
        // A record stays, without a value, as long as one that depends on it.
        let known = |task: &TaskId| core.state(*task).is_some();
        let inputs = |task: TaskId| simulation.workload.graph.inputs.row(task).iter().copied();
        let kept: BTreeSet<TaskId> = tasks.clone().filter(known).flat_map(inputs).collect();
        for task in tasks {
            match core.state(task) {
                None | Some(State::Memory | State::Erred) => {}
                Some(State::Released) if kept.contains(&task) => {}
                Some(state) => {
                    let worker = life.worker.0;
                    let story: Vec<String> =
                        core.story(task).map(|step| step.to_string()).collect();
                    return Err(format!(
                        "{} is {state:?} on worker {worker}:\n  {}",
                        task.0,
                        story.join("\n  ")
                    ));
                }
            }
        }
    }
    Ok(())
}
