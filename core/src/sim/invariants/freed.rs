//! Nothing lies on a worker that the scheduler does not know to be there, and nothing is kept that
//! no client wants.

use crate::ids::TaskId;
use crate::sim::Simulation;
use crate::worker::State;
use std::collections::BTreeSet;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    let wanted: BTreeSet<TaskId> = simulation.clients.wants().map(|(_, task, _)| task).collect();
    for life in simulation.lives() {
        let number = life.worker.0;
        for task in life.keys() {
            if !simulation.scheduler.who_has(task).any(|holder| holder == life.worker) {
                let story = simulation.scheduler.story(task);
                return Err(format!("worker {number} holds {}, unknown: {story}", task.0));
            }
            if !wanted.contains(&task) {
                return Err(format!("worker {number} keeps {}, unwanted", task.0));
            }
        }
        let Some(core) = &life.state else { continue };
        // A record stays, without a value, as long as one that depends on it.
        let inputs = |task: TaskId| simulation.workload.graph.inputs.row(task).iter().copied();
        let kept: BTreeSet<TaskId> = core.tasks().flat_map(inputs).collect();
        for task in core.tasks() {
            match core.state(task) {
                None | Some(State::Memory | State::Erred) => {}
                Some(State::Released) if kept.contains(&task) => {}
                Some(state) => {
                    let story: Vec<String> =
                        core.story(task).map(|step| step.to_string()).collect();
                    let story = story.join("\n  ");
                    return Err(format!("{} is {state:?} on worker {number}:\n  {story}", task.0));
                }
            }
        }
    }
    Ok(())
}
