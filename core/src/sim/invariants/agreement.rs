//! Scheduler and workers agree on who is there, what runs where and what lies where.
//!
//! Whenever no frame between the two is under way, what the scheduler believes of a worker must be
//! what the worker does: a message that was forgotten shows here, long before the job hangs.

use crate::ids::{TaskId, WorkerId};
use crate::messages::WorkerStatus;
use crate::sim::Simulation;
use crate::sim::machine::Life;
use crate::worker::{Live, State, WorkerState};
use std::collections::BTreeSet;

pub(super) fn check(simulation: &Simulation) -> Result<(), String> {
    for (_, life, core) in simulation.touched() {
        if simulation.is_settled(life) {
            work_and_results(simulation, life, core)?;
            status_and_peers(simulation, life, core)?;
        }
    }
    Ok(())
}

/// What was sent is being worked at, and what is held is known.
fn work_and_results(
    simulation: &Simulation,
    life: &Life,
    core: &WorkerState,
) -> Result<(), String> {
    let computes = |task: &TaskId| {
        matches!(
            core.state(*task),
            Some(
                State::Waiting
                    | State::Ready
                    | State::Constrained
                    | State::Executing
                    | State::LongRunning
                    | State::Resumed(Live::Flight)
            )
        )
    };
    let sent = simulation.scheduler.processing(life.worker).map(|(task, _)| task);
    let sent: BTreeSet<TaskId> = sent.collect();
    let worked_at: BTreeSet<TaskId> = core.tasks().filter(computes).collect();
    let held: BTreeSet<TaskId> = life.data.keys().copied().collect();
    let known: BTreeSet<TaskId> = simulation.scheduler.results_on(life.worker).collect();
    let seceded = |task: &&TaskId| {
        let there = core.state(**task) == Some(State::LongRunning);
        there != simulation.scheduler.is_long_running(**task)
    };
    let apart = sent.symmetric_difference(&worked_at).chain(held.symmetric_difference(&known));
    if let Some(task) = apart.chain(sent.iter().filter(seceded)).min() {
        let told: Vec<String> = core.story(*task).map(|step| step.to_string()).collect();
        return Err(format!(
            "the scheduler sent {sent:?} to worker {}, which works at {worked_at:?}; it holds \
             {held:?}, known is {known:?}\n{}\n  there:\n  {}",
            life.worker.0,
            simulation.scheduler.story(*task),
            told.join("\n  ")
        ));
    }
    Ok(())
}

/// Paused is paused on both sides, and nobody counts on a peer that is gone.
fn status_and_peers(
    simulation: &Simulation,
    life: &Life,
    core: &WorkerState,
) -> Result<(), String> {
    let number = life.worker.0;
    let status = simulation.scheduler.status_of(life.worker);
    if (status == Some(WorkerStatus::Running)) != core.is_running() {
        return Err(format!("the scheduler takes worker {number} for {status:?}"));
    }
    let gone = |peer: &WorkerId| simulation.scheduler.registration_of(*peer).is_none();
    if let Some(peer) = core.wanted_from().find(gone) {
        return Err(format!("worker {number} counts on worker {}, which is gone", peer.0));
    }
    Ok(())
}

pub(super) fn check_end(simulation: &Simulation) -> Result<(), String> {
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
