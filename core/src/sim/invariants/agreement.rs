//! Scheduler and workers agree on who is there and what runs where.

use crate::sim::Simulation;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    let known: Vec<_> = simulation.scheduler.workers().collect();
    let mut living: Vec<_> = simulation.lives().map(|life| life.worker).collect();
    living.sort_unstable();
    if known != living {
        return Err(format!("the scheduler knows {known:?}, {living:?} are there"));
    }
    for life in simulation.lives() {
        let processing = simulation.scheduler.processing(life.worker).count();
        if processing > 0 || !life.running.is_empty() {
            return Err(format!(
                "worker {}: {processing} tasks processing, {} running",
                life.worker.0,
                life.running.len()
            ));
        }
    }
    Ok(())
}
