//! Every result equals that of a serial run, and an error has a cause in the scenario.

use crate::ids::TaskId;
use crate::scheduler::TaskState;
use crate::sim::Simulation;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for life in simulation.lives() {
        for task in life.keys() {
            if life.data[&task] != simulation.expected[task.index()] {
                return Err(format!("worker {} holds a wrong value of {}", life.worker.0, task.0));
            }
        }
    }
    let kills = simulation.workload.kills();
    for index in 0..simulation.workload.graph.len() {
        let task = TaskId::from_index(index);
        match simulation.scheduler.state_of(task) {
            TaskState::Erred => has_cause(simulation, task)?,
            TaskState::Memory if simulation.faultless => deserved(simulation, task, kills)?,
            _ => {}
        }
    }
    Ok(())
}

/// An error is one that the scenario asks for.
fn has_cause(simulation: &Simulation, task: TaskId) -> Result<(), String> {
    let index = task.index();
    let failure = simulation.scheduler.error_of(task);
    let failure = failure.ok_or_else(|| format!("{index} erred without an error"))?;
    let root = failure.root;
    let behaviour = simulation.workload.behaviours[root.index()];
    let caused = match failure.error.kind.as_str() {
        "ValueError" => behaviour.errs > 0,
        "TooManyReschedules" => {
            let often = behaviour.reschedules > simulation.config.max_reschedules;
            often || !simulation.faultless
        }
        "TimeoutError" => simulation.workload.times_out(root.index()),
        // Tasks beside one that kills are suspected as well.
        "KilledWorker" => simulation.workload.kills() || !simulation.faultless,
        "MemoryError" => !simulation.faultless || !simulation.is_roomy(),
        "NoValidWorkerError" | "NoWorkerError" => {
            !simulation.faultless || !simulation.is_satisfiable(root)
        }
        _ => false,
    };
    if !caused {
        let (kind, message) = (&failure.error.kind, &failure.error.message);
        return Err(format!("{index} erred without a cause: {kind}: {message}"));
    }
    Ok(())
}

/// A result is one that its retries allow.
fn deserved(simulation: &Simulation, task: TaskId, kills: bool) -> Result<(), String> {
    let behaviour = simulation.workload.behaviours[task.index()];
    let attributes = simulation.workload.graph.attributes_of(task);
    let retries = attributes.and_then(|attributes| attributes.retries);
    // A death that others caused, and a time that ran out, count as attempts too.
    let others_kill = kills && behaviour.kills == 0;
    if simulation.workload.times_out(task.index()) || others_kill {
        return Ok(());
    }
    if behaviour.errs > retries.unwrap_or(simulation.config.default_retries) {
        return Err(format!("{} failed {} times and is there", task.0, behaviour.errs));
    }
    if behaviour.kills > simulation.config.allowed_failures {
        return Err(format!("{} killed {} workers and is there", task.0, behaviour.kills));
    }
    Ok(())
}
