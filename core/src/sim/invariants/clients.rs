//! A client that was told of a result or an error can rely on it until it is told otherwise; at the
//! end what it wants is in memory or erred, and it was told so.

use crate::scheduler::TaskState;
use crate::sim::{Belief, Simulation};

/// What a client believes is so.
pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for (client, task, belief) in simulation.clients.wants() {
        let state = simulation.scheduler.state_of(task);
        let right = match state {
            TaskState::Memory => belief == Belief::Finished,
            TaskState::Erred => belief == Belief::Erred,
            TaskState::Forgotten => false,
            TaskState::Released
            | TaskState::Waiting
            | TaskState::Queued
            | TaskState::NoWorker
            | TaskState::Processing => belief == Belief::Pending,
        };
        if !right {
            let (client, story) = (client.0, simulation.scheduler.story(task));
            return Err(format!("client {client} believes {belief:?} of {}: {story}", task.0));
        }
    }
    Ok(())
}

/// Nothing is pending any more.
pub(super) fn check_end(simulation: &Simulation) -> Result<(), String> {
    for (client, task, belief) in simulation.clients.wants() {
        if belief == Belief::Pending {
            let (client, story) = (client.0, simulation.scheduler.story(task));
            return Err(format!("client {client} still waits for {}: {story}", task.0));
        }
    }
    Ok(())
}
