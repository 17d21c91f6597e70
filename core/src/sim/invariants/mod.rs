//! What must be true across both machines, a property a file.
//!
//! `Always` is checked after every event, for the workers that the event concerns, so it must be
//! cheap; `Quiet` once everything has ended and no message is under way. `Simulation::run` itself
//! demands progress: after the last fault everything ends.

mod agreement;
mod bounded_transfers;
mod clients;
mod freed;
mod limits;
mod memory_accounts;
mod no_task_lost;
mod once;
mod outcomes;
mod replicas;
mod waiting_counts;

use super::Simulation;

/// When a property is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// After every event.
    Always,
    /// At the end.
    Quiet,
}

/// One property.
pub struct Invariant {
    /// Its name.
    pub name: &'static str,
    /// When it is checked.
    pub when: When,
    pub(super) check: fn(&Simulation) -> Result<(), String>,
}

const fn property(
    name: &'static str,
    when: When,
    check: fn(&Simulation) -> Result<(), String>,
) -> Invariant {
    Invariant { name, when, check }
}

/// Every property besides progress and the invariants of each core, which check themselves after
/// every event.
pub const ALL: &[Invariant] = &[
    property("slots and resources within limits", When::Always, limits::check),
    property("memory accounts add up", When::Always, memory_accounts::check),
    property("bounded transfers per worker", When::Always, bounded_transfers::check),
    property("a task runs once unless lost, retried or stolen", When::Always, once::check),
    property("both sides agree when quiet", When::Always, agreement::check),
    property("clients get what they asked for", When::Always, clients::check),
    property("no task lost", When::Quiet, no_task_lost::check),
    property("waiting counts equal unfinished dependencies", When::Quiet, waiting_counts::check),
    property("results are where who_has says", When::Quiet, replicas::check),
    property("memory accounts add up on both sides", When::Quiet, memory_accounts::check_both),
    property("what nobody needs is freed everywhere", When::Quiet, freed::check),
    property("both sides agree at the end", When::Quiet, agreement::check_end),
    property("a tame task runs once", When::Quiet, once::check_end),
    property("clients get what they asked for at the end", When::Quiet, clients::check_end),
    property("results equal a serial run", When::Quiet, outcomes::check),
];
