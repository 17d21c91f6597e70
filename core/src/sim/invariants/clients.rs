//! What a client wants is in memory or erred at the end, and the client was told so.

use crate::scheduler::TaskState;
use crate::sim::{Belief, Simulation};

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for (client, task, belief) in simulation.clients.wants() {
        let state = simulation.scheduler.state_of(task);
        let right = match state {
            TaskState::Memory => belief == Belief::Finished,
            TaskState::Erred => belief == Belief::Erred,
            TaskState::Released
            | TaskState::Waiting
            | TaskState::Queued
            | TaskState::NoWorker
            | TaskState::Processing
            | TaskState::Forgotten => false,
        };
        if !right {
            return Err(format!(
                "client {} believes {belief:?} of {}: {}",
                client.0,
                task.0,
                simulation.scheduler.story(task)
            ));
        }
    }
    Ok(())
}
