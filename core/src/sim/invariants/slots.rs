//! No more runs hold a slot than the worker has threads, and none is forgotten while it runs.

use crate::sim::Simulation;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for life in simulation.lives() {
        let Some(core) = &life.state else { continue };
        let known = core.executing().count();
        if known != life.running.len() {
            return Err(format!(
                "worker {} counts {known} runs, {} go on",
                life.worker.0,
                life.running.len()
            ));
        }
    }
    Ok(())
}
