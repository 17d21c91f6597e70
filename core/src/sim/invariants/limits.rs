//! What runs on a worker at once fits its threads and its resources, counted anew from what each task
//! asks for, and may run there; the core knows of every run, and what a run reads stays until it ends.

use crate::sim::Simulation;
use crate::worker::State;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for (machine, life, core) in simulation.touched() {
        let number = life.worker.0;
        let known = core.executing().count();
        if known != life.running.len() {
            let running = life.running.len();
            return Err(format!("worker {number} counts {known} runs, {running} go on"));
        }
        let (mut threads, mut gpu) = (0, 0);
        for run in core.executing() {
            let asks = simulation.workload.asks(run.task);
            let Some(running) = life.running.get(&(run.task, run.run_id)) else {
                return Err(format!("worker {number} believes that {} runs", run.task.0));
            };
            if !running.seceded {
                threads += asks.threads.clamp(1, machine.spec.nthreads);
            }
            gpu += asks.gpu;
            if !simulation.may_run(run.task, simulation.slot_of[life.worker.index()]) {
                return Err(format!("worker {number} runs {}, which asks for others", run.task.0));
            }
            // A run that was given up and wanted again has read what it reads.
            let fresh = simulation.scheduler.run_of(run.task) == run.run_id;
            let wanted = fresh
                && matches!(core.state(run.task), Some(State::Executing | State::LongRunning));
            let mut inputs = simulation.workload.graph.inputs.row(run.task).iter();
            if let Some(input) = inputs.find(|input| wanted && !life.data.contains_key(input)) {
                let (input, task) = (input.0, run.task.0);
                return Err(format!("worker {number} dropped {input}, which running {task} reads"));
            }
        }
        if threads > machine.spec.nthreads {
            let most = machine.spec.nthreads;
            return Err(format!("worker {number} runs {threads} threads' worth, it has {most}"));
        }
        if gpu > machine.spec.gpu {
            let most = machine.spec.gpu;
            return Err(format!("tasks of worker {number} hold {gpu} of a GPU, it has {most}"));
        }
    }
    Ok(())
}
