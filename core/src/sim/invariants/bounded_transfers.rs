//! No worker asks or serves more than its limits allow.

use crate::sim::Simulation;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    let limit = simulation.config.transfer_outgoing_count_limit;
    for life in simulation.lives() {
        if life.serving > limit {
            return Err(format!(
                "worker {} serves {} requests, the limit is {limit}",
                life.worker.0, life.serving
            ));
        }
        let Some(core) = &life.state else { continue };
        if core.transfer_count() != life.asked.len() {
            return Err(format!(
                "worker {} counts {} transfers, {} are open",
                life.worker.0,
                core.transfer_count(),
                life.asked.len()
            ));
        }
    }
    Ok(())
}
