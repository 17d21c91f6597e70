//! Every result equals that of a serial run; an error has a cause in the scenario; what must run
//! once has run.

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
    for index in 0..simulation.workload.graph.len() {
        let task = TaskId::from_index(index);
        if simulation.scheduler.state_of(task) == TaskState::Erred {
            let failure = simulation.scheduler.error_of(task);
            let failure = failure.ok_or_else(|| format!("{index} erred without an error"))?;
            let behaviour = simulation.workload.behaviours[failure.root.index()];
            let caused = match failure.error.kind.as_str() {
                "ValueError" => behaviour.errs > 0,
                "RuntimeError" => behaviour.reschedules > 0,
                "KilledWorker" => behaviour.kills > 0 || !simulation.faultless,
                "NoValidWorkerError" | "NoWorkerError" | "MemoryError" => true,
                _ => false,
            };
            if !caused {
                let (kind, message) = (&failure.error.kind, &failure.error.message);
                return Err(format!("{index} erred without a cause: {kind}: {message}"));
            }
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
