//! The bytes that each side counts are the bytes that are there.

use crate::sim::Simulation;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for life in simulation.lives() {
        let Some(core) = &life.state else { continue };
        let sizes = life.keys().into_iter();
        let held: u64 = sizes.map(|task| simulation.workload.behaviours[task.index()].nbytes).sum();
        if core.nbytes() != held {
            return Err(format!(
                "worker {} counts {} bytes and holds {held}",
                life.worker.0,
                core.nbytes()
            ));
        }
        let counted = simulation.scheduler.managed_bytes_of(life.worker);
        if counted != Some(held) {
            return Err(format!(
                "the scheduler counts {counted:?} bytes on worker {}, which holds {held}",
                life.worker.0
            ));
        }
    }
    Ok(())
}
