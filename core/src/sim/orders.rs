//! Orders to the scheduler at awkward moments: workers retire, results are copied and spread, a
//! client submits a further graph.
//!
//! An order is no fault: where nothing else breaks, every task still runs once, since a worker that
//! leaves hands over what it holds.

use super::Simulation;
use crate::config::{Config, MILLISECOND_NS, MemoryMeasure, Policies};
use crate::ids::{ClientId, TaskId, WorkerId};
use crate::rng::Rng;
use crate::scheduler::{CloseTerms, Retirees, SchedulerEvent, TaskState};
use crate::time::Time;
use crate::worker::State;

/// Keeps the draws of orders apart from all others of a seed.
const SALT: u64 = 0x0a55_e7e5_0f0a_44e2;

/// Something that the scheduler is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The worker in a slot shall leave.
    Retire {
        /// Where.
        slot: usize,
    },
    /// So many workers shall leave, whichever.
    Shrink {
        /// How many.
        count: usize,
    },
    /// Results shall have copies.
    Replicate {
        /// What.
        tasks: Vec<TaskId>,
        /// Copies of each; none: everywhere.
        n: Option<u32>,
        /// Only in these slots.
        slots: Option<Vec<usize>>,
    },
    /// Memory shall be used evenly.
    Rebalance,
    /// A client submits a graph of tasks that are there and new ones.
    Submit {
        /// Who.
        client: ClientId,
        /// What it draws the graph from.
        seed: u64,
    },
}

/// The orders of a seed over `span_ns`; none in a third of the seeds.
pub(super) fn draw(seed: u64, span_ns: u64, (slots, tasks): (usize, usize)) -> Vec<(Time, Order)> {
    let mut rng = Rng::new(seed ^ SALT);
    if rng.below(3) == 0 {
        return Vec::new();
    }
    let mut orders = Vec::new();
    for _ in 0..1 + rng.below(8) {
        let at = Time(rng.below(span_ns + span_ns / 2));
        let slot = |rng: &mut Rng| rng.below(slots as u64) as usize;
        let order = match rng.below(7) {
            0..=2 => Order::Retire { slot: slot(&mut rng) },
            3 => Order::Shrink { count: 1 + slot(&mut rng) },
            4 | 5 => {
                let count = 1 + rng.below(6);
                let tasks = (0..count).map(|_| TaskId(rng.below(tasks as u64) as u32)).collect();
                let n = (rng.below(3) > 0).then(|| rng.below(4) as u32);
                let some = rng.below(3) == 0;
                let slots = some.then(|| vec![slot(&mut rng), slot(&mut rng)]);
                Order::Replicate { tasks, n, slots }
            }
            _ => Order::Rebalance,
        };
        orders.push((at, order));
    }
    // Another stream of chance, so that the other orders of a seed stay.
    let mut rng = Rng::new(seed ^ SALT.rotate_left(2));
    let submissions = if rng.below(2) == 0 { 1 + rng.below(4) } else { 0 };
    for _ in 0..submissions {
        let at = Time(rng.below(span_ns + span_ns / 2));
        let client = ClientId(rng.below(2) as u32);
        orders.push((at, Order::Submit { client, seed: rng.next_u64() }));
    }
    orders.sort_by_key(|(at, _)| *at);
    orders
}

/// Numbers of the memory manager, so that it acts within the short time of a run.
pub(super) fn tune(seed: u64, config: &mut Config) {
    let mut rng = Rng::new(seed ^ SALT.rotate_left(1));
    config.amm_interval_ns = MILLISECOND_NS << rng.below(12);
    config.amm_start = rng.below(8) > 0;
    config.amm_policies = Policies { reduce_replicas: true, rebalance: rng.below(4) == 0 };
    let measures = [MemoryMeasure::Managed, MemoryMeasure::Optimistic, MemoryMeasure::Process];
    config.amm_measure = measures[rng.below(3) as usize];
    config.pause_patience_ns = MILLISECOND_NS << rng.below(10);
}

impl Simulation {
    /// The scheduler is told.
    pub(super) fn on_order(&mut self, order: Order) {
        let event = match order {
            Order::Retire { slot } => {
                let which = Retirees::Workers(self.living(slot).into_iter().collect());
                retire(which)
            }
            Order::Shrink { count } => retire(Retirees::ToClose(CloseTerms {
                memory_ratio: None,
                n: Some(count),
                by_host: count % 2 == 0,
                minimum: 1,
                target: None,
            })),
            Order::Replicate { tasks, n, slots } => {
                // What is not in memory has no copies: the next one that is.
                let held = |state: TaskState| state == TaskState::Memory;
                let tasks = tasks
                    .into_iter()
                    .map(|task| self.next_in(task, held).unwrap_or(task))
                    .collect();
                let workers: Option<Vec<WorkerId>> = slots
                    .map(|slots| slots.into_iter().filter_map(|slot| self.living(slot)).collect());
                SchedulerEvent::Replicate { tasks, n, workers, branching_factor: 2 }
            }
            Order::Rebalance => SchedulerEvent::Rebalance { tasks: None, workers: None },
            Order::Submit { client, seed } => return self.submit_further(client, seed),
        };
        self.schedule(event);
    }

    /// Orders are carried out, and no worker waits for a copy. Where room is short, a copy may find
    /// none.
    pub(super) fn orders_are_done(&self) -> bool {
        let fetches = |core: &crate::worker::WorkerState| core.is_fetching();
        let is_short = self.has_room() && self.scheduler.lacks_copies();
        !(self.scheduler.is_moving_data()
            || is_short
            || self.lives().any(|life| life.state.as_ref().is_some_and(fetches)))
    }

    /// What of the orders is left, for a run that is stuck.
    pub(super) fn orders_left(&self) -> String {
        let mut text = format!("\n  {}", self.scheduler.orders_left());
        for life in self.lives() {
            let Some(core) = life.state.as_ref().filter(|core| core.is_fetching()) else {
                continue;
            };
            for index in 0..self.workload.graph.len() {
                let task = TaskId::from_index(index);
                if let Some(state @ (State::Fetch | State::Flight | State::Missing)) =
                    core.state(task)
                {
                    let (worker, known) = (life.worker.0, self.scheduler.state_of(task));
                    text.push_str(&format!(
                        "\n  {index} is {state:?} on worker {worker}, {known:?}"
                    ));
                }
            }
        }
        text
    }
}

fn retire(which: Retirees) -> SchedulerEvent {
    SchedulerEvent::RetireWorkers { which, close: true, reason: "ordered".to_owned() }
}
