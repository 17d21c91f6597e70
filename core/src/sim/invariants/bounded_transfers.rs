//! No worker asks or serves more than its limits allow, and none asks a peer twice at once.

use crate::sim::Simulation;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    let config = &simulation.config;
    for (_, life, core) in simulation.touched() {
        let number = life.worker.0;
        if life.serving > config.transfer_outgoing_count_limit {
            return Err(format!("worker {number} serves {} requests", life.serving));
        }
        let open = life.asked.len();
        if core.transfer_count() != open {
            let counted = core.transfer_count();
            return Err(format!("worker {number} counts {counted} transfers, {open} are open"));
        }
        let mut peers: Vec<_> = life.asked.values().map(|(peer, _)| *peer).collect();
        peers.sort_unstable();
        if !peers.is_sorted_by(|a, b| a < b) || peers.contains(&life.worker) {
            return Err(format!("worker {number} asks {peers:?} at once"));
        }
    }
    Ok(())
}
