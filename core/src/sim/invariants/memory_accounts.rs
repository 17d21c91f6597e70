//! The bytes that each side counts are the bytes that are there.

use crate::sim::Simulation;

/// The core of a worker counts what its shell keeps.
pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for (_, life, core) in simulation.touched() {
        let sizes = life.data.keys();
        let held: u64 = sizes.map(|task| simulation.workload.behaviours[task.index()].nbytes).sum();
        if core.nbytes() != held || life.bytes != held {
            let (number, counted) = (life.worker.0, core.nbytes());
            return Err(format!("worker {number} counts {counted} bytes and holds {held}"));
        }
    }
    Ok(())
}

/// The scheduler counts what is on its workers.
pub(super) fn check_both(simulation: &Simulation) -> Result<(), String> {
    for life in simulation.lives().filter(|life| life.state.is_some()) {
        let counted = simulation.scheduler.managed_bytes_of(life.worker);
        if counted != Some(life.bytes) {
            let (number, held) = (life.worker.0, life.bytes);
            return Err(format!(
                "the scheduler counts {counted:?} bytes on worker {number}, which holds {held}"
            ));
        }
    }
    Ok(())
}
