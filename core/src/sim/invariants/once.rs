//! A task runs once unless it is lost, retried or stolen: no run begins twice, no task runs more often
//! than it was sent, and where nothing fails it is sent once.

use crate::sim::{Behaviour, Simulation};

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    match simulation.doubled {
        Some((task, run)) => Err(format!("run {} of {} began twice", run.0, task.0)),
        None => Ok(()),
    }
}

pub(super) fn check_end(simulation: &Simulation) -> Result<(), String> {
    // What a further graph reads again may have been let go.
    let tame = simulation.faultless
        && simulation.trace.further_graphs == 0
        && !simulation.workload.kills()
        && simulation.has_room();
    for (task, runs) in simulation.executions.iter().enumerate() {
        let sent = simulation.sent[task];
        if *runs > sent {
            return Err(format!("task {task} ran {runs} times and was sent {sent} times"));
        }
        let Behaviour { errs, reschedules, .. } = simulation.workload.behaviours[task];
        if tame && *runs > 1 + errs + reschedules && !simulation.workload.times_out(task) {
            return Err(format!("task {task} ran {runs} times, nothing was lost"));
        }
    }
    Ok(())
}
