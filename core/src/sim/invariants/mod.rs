//! What must be true across both machines, a property a file.
//!
//! `Always` is checked after every event, so it must be cheap; `Quiet` once everything has ended and
//! no message is under way.

mod agreement;
mod bounded_transfers;
mod clients;
mod freed;
mod memory_accounts;
mod once;
mod outcomes;
mod replicas;
mod slots;

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

/// Every property besides progress, which `Simulation::run` itself demands, and the invariants of
/// each core, which check themselves after every event.
pub const ALL: &[Invariant] = &[
    property("bounded transfers per worker", When::Always, bounded_transfers::check),
    property("slots within limits", When::Always, slots::check),
    property("memory accounts add up", When::Quiet, memory_accounts::check),
    property("results are where who_has says", When::Quiet, replicas::check),
    property("what nobody needs is freed everywhere", When::Quiet, freed::check),
    property("both sides agree when quiet", When::Quiet, agreement::check),
    property("a task runs once unless lost or retried", When::Quiet, once::check),
    property("clients get what they asked for", When::Quiet, clients::check),
    property("results equal a serial run", When::Quiet, outcomes::check),
];
