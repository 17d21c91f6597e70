//! Where nothing fails, every task runs once.

use crate::sim::{Behaviour, Simulation};

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    let tame = |behaviour: &Behaviour| {
        let Behaviour { errs, kills, reschedules, .. } = *behaviour;
        errs == 0 && kills == 0 && reschedules == 0
    };
    if !simulation.faultless || !simulation.workload.behaviours.iter().all(tame) {
        return Ok(());
    }
    for (task, runs) in simulation.executions.iter().enumerate() {
        if *runs > 1 {
            return Err(format!("task {task} ran {runs} times"));
        }
    }
    Ok(())
}
