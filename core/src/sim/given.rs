//! A simulation of a graph and of machines that somebody gives, without chance in the network.
//!
//! The workers are there before the graph arrives; results that are wanted count as written the
//! moment they are there and are let go. Transfers share the links of their machines. The same
//! scenario gives the same outcome on every machine.

use super::agenda::Agenda;
use super::bounds::{Bounds, needed};
use super::{Broken, Happening, Links, Scenario, Simulation, Trace};
use crate::config::SECOND_NS;
use crate::ids::TaskId;
use crate::scheduler::Unsatisfiable;
use crate::time::Time;

/// Workers are registered and the graph arrives this many latencies after the beginning.
const LATENCIES_BEFORE: u64 = 8;

/// What a simulation of a given graph came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// From the graph's arrival to the last result, nanoseconds.
    pub makespan_ns: u64,
    /// What no scheduler can beat.
    pub bounds: Bounds,
    /// Tasks that were needed.
    pub tasks: u64,
    /// Needed tasks that erred.
    pub erred: u64,
    /// The first of them that failed by itself, and its error.
    pub failure: Option<(TaskId, String)>,
    /// Most bytes of results on one worker.
    pub peak_worker_bytes: u64,
    /// Counts of the run.
    pub trace: Trace,
}

/// Why a given graph has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOutcome {
    /// A task asks for what no machine has.
    #[error("no worker can run task {}: it asks for {}", .0.task.0, .0.asks)]
    Unsatisfiable(Unsatisfiable),
    /// A property does not hold, or the job never ends.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl Simulation {
    /// Runs a given scenario. Faults strike at their times after the graph's arrival; `checked` has
    /// every property checked as for random seeds.
    ///
    /// # Errors
    /// When a task asks for what no machine has, the job does not end, or a property is broken.
    ///
    /// # Panics
    /// As `run`.
    pub fn given(mut scenario: Scenario, checked: bool) -> Result<Outcome, NoOutcome> {
        let arrival = Time(scenario.network.latency_ns.saturating_mul(LATENCIES_BEFORE).max(1));
        for (at, _) in &mut scenario.plan.faults {
            *at = arrival.after_ns(at.0);
        }
        scenario.plan.heals = arrival.after_ns(scenario.plan.heals.0);
        scenario.config.validate = checked;
        // What is written is let go at once, as is what must only run.
        let wanted = std::mem::take(&mut scenario.workload.wanted);
        scenario.workload.run_once.extend(wanted);
        scenario.workload.run_once.sort_unstable();
        scenario.workload.run_once.dedup();
        let bounds = bounds(&scenario);
        let faults = scenario.plan.clone();
        let mut me = Self::new(scenario);
        me.checked = checked;
        me.waits = false;
        me.links = Some(Links::default());
        me.patience_ns = patience_ns(&me.workload.behaviours);
        // Without faults all workers begin together, in the order of their slots.
        me.agenda = Agenda::default();
        for slot in 0..me.machines.len() {
            me.agenda.at(Time(0), Happening::Starts { slot });
        }
        for (at, fault) in faults.faults {
            me.agenda.at(at, Happening::Breaks { fault });
        }
        me.agenda.at(faults.heals, Happening::Heals);
        while let Some((at, number, happening)) = me.agenda.pop() {
            if at >= arrival {
                me.agenda.put_off(at, number, happening);
                break;
            }
            me.now = at;
            me.happen(happening);
        }
        me.now = arrival;
        if let Some(unsatisfiable) = me.scheduler.unsatisfiable(&me.submission()) {
            return Err(NoOutcome::Unsatisfiable(unsatisfiable));
        }
        let tasks = me.workload.run_once.iter().copied();
        let tasks = needed(&me.workload.graph, tasks).iter().filter(|needed| **needed).count();
        me.submit();
        let mut peak_worker_bytes = 0;
        let trace = me.go_on(&mut peak_worker_bytes)?;
        Ok(Outcome {
            makespan_ns: Time(trace.makespan_ns).since(arrival),
            bounds,
            tasks: tasks as u64,
            erred: me.scheduler.erred_count(),
            failure: me.failure(),
            peak_worker_bytes,
            trace,
        })
    }
}

impl Simulation {
    /// The first task that failed by itself, and its error.
    fn failure(&self) -> Option<(TaskId, String)> {
        let tasks = (0..self.workload.graph.len()).map(TaskId::from_index);
        let mut failures = tasks.filter_map(|task| self.scheduler.error_of(task));
        let first = failures.next()?;
        Some((first.root, first.error.message.clone()))
    }
}

/// The lower bounds of a scenario; of different machines the best count.
fn bounds(scenario: &Scenario) -> Bounds {
    let Scenario { workload, machines, network, .. } = scenario;
    let needed = needed(&workload.graph, workload.run_once.iter().copied());
    let threads = machines.iter().map(|machine| u64::from(machine.nthreads)).max().unwrap_or(1);
    let hosts: std::collections::BTreeSet<u32> = machines.iter().map(|one| one.host).collect();
    let alone = hosts.len() == machines.len();
    let bandwidth =
        if alone { network.bandwidth } else { network.bandwidth.max(network.bandwidth_within) };
    let count = machines.len() as u64;
    Bounds::of(&workload.graph, &workload.behaviours, &needed, (count, threads), bandwidth)
}

/// Longer than any sane schedule of this work takes: one thread, and an hour.
fn patience_ns(behaviours: &[super::Behaviour]) -> u64 {
    let work = behaviours.iter().fold(0_u64, |sum, one| sum.saturating_add(one.duration_ns));
    work.saturating_mul(2).saturating_add(3600 * SECOND_NS)
}

/// Peak of the results that are alive when tasks run one after the other in the order of `order`,
/// in their number and in bytes: a result is let go when its last dependent has run; a task without
/// dependents lets its own go at once.
#[must_use]
pub fn serial_peak(
    graph: &crate::graph::Graph,
    order: &[u32],
    nbytes: impl Fn(TaskId) -> u64,
) -> (u64, u64) {
    let count = graph.len();
    let mut at_place = vec![TaskId(0); count];
    for (task, place) in order.iter().enumerate() {
        at_place[*place as usize] = TaskId::from_index(task);
    }
    let mut uses = vec![0_u32; count];
    for input in &graph.inputs.values {
        uses[input.index()] += 1;
    }
    let (mut alive, mut bytes, mut peak, mut peak_bytes) = (0_u64, 0_u64, 0, 0);
    for task in at_place {
        alive += 1;
        bytes = bytes.saturating_add(nbytes(task));
        peak = alive.max(peak);
        peak_bytes = bytes.max(peak_bytes);
        let mut release = |task: TaskId| {
            alive -= 1;
            bytes = bytes.saturating_sub(nbytes(task));
        };
        for input in graph.inputs.row(task) {
            uses[input.index()] -= 1;
            if uses[input.index()] == 0 {
                release(*input);
            }
        }
        if uses[task.index()] == 0 {
            release(task);
        }
    }
    (peak, peak_bytes)
}
