//! Lower bounds of a makespan: what no scheduler can beat on the given machines.
//!
//! * Critical path: the longest chain of durations.
//! * Work: all durations, over all threads.
//! * Phases: tasks that all have a chain of at least `a` before them and of at least `b` behind them
//!   lie between both, however wide the machine is: `a`, their work over all threads, `b`. A thread
//!   that runs the most of them runs at least their number over the threads, rounded up.
//! * Bytes: a task needs its inputs on one machine. Those that were computed there took its threads,
//!   the others came over its link. For each input one of the two is paid: with `w` the time of its
//!   producer on all threads of the machine and `s` the time of its bytes on the link, the longer of
//!   both sums is at least `Σ min(p·w, (1 − p)·s)` for every `p` between 0 and 1. The task itself and
//!   the chain behind it come on top.

use super::workload::Behaviour;
use crate::config::SECOND_NS;
use crate::graph::Graph;
use crate::ids::TaskId;

/// Lengths of chains that are looked at on either side.
const THRESHOLDS: usize = 64;
/// Steps of `p` that are tried.
const STEPS: u128 = 16;

/// Lower bounds of a makespan, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The longest chain.
    pub critical_path_ns: u64,
    /// All work over all threads.
    pub work_ns: u64,
    /// The work of tasks that have long chains before and behind them, and these chains.
    pub phases_ns: u64,
    /// The inputs that one task must gather, and the chain behind it.
    pub bytes_ns: u64,
}

impl Bounds {
    /// The greatest of them.
    #[must_use]
    pub fn greatest_ns(&self) -> u64 {
        self.critical_path_ns.max(self.work_ns).max(self.phases_ns).max(self.bytes_ns)
    }

    /// The bounds of the tasks that `needed` names, on `workers` machines of speed 1 with `threads`
    /// threads each, whose links carry `bandwidth` bytes a second.
    #[must_use]
    pub fn of(
        graph: &Graph,
        behaviours: &[Behaviour],
        needed: &[bool],
        (workers, threads): (u64, u64),
        bandwidth: u64,
    ) -> Self {
        let (workers, threads) = (workers.max(1), threads.max(1));
        let order = topological(graph);
        let chains = chains_behind(graph, behaviours, needed, &order);
        let tasks = || (0..graph.len()).filter(|index| needed[*index]);
        let work: u128 = tasks().map(|index| u128::from(behaviours[index].duration_ns)).sum();
        let work_ns = work.div_ceil(u128::from(workers) * u128::from(threads));
        let critical_path_ns = tasks().map(|index| chains[index]).max().unwrap_or(0);
        let gather = |index: usize| {
            let inputs = graph.inputs.row(TaskId::from_index(index));
            gathering_ns(inputs, behaviours, threads, bandwidth).saturating_add(chains[index])
        };
        let bytes_ns = if workers == 1 { 0 } else { tasks().map(gather).max().unwrap_or(0) };
        let work_ns = u64::try_from(work_ns).unwrap_or(u64::MAX);
        let before = chains_before(graph, behaviours, &order);
        let places: Vec<Place> = tasks()
            .map(|index| {
                let duration = behaviours[index].duration_ns;
                Place { before: before[index], behind: chains[index] - duration, duration }
            })
            .collect();
        let phases_ns = phases_ns(&places, u128::from(workers) * u128::from(threads));
        Self { critical_path_ns, work_ns, phases_ns, bytes_ns }
    }
}

/// What a task needs: itself and all it depends on.
pub(super) fn needed(graph: &Graph, wanted: impl Iterator<Item = TaskId>) -> Vec<bool> {
    let mut needed = vec![false; graph.len()];
    let mut stack: Vec<TaskId> = wanted.collect();
    while let Some(task) = stack.pop() {
        if !std::mem::replace(&mut needed[task.index()], true) {
            stack.extend(graph.inputs.row(task));
        }
    }
    needed
}

/// Least time until all these inputs are on one machine.
fn gathering_ns(inputs: &[TaskId], behaviours: &[Behaviour], threads: u64, bandwidth: u64) -> u64 {
    let mut distinct: Vec<TaskId> = inputs.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let costs: Vec<(u128, u128)> = distinct
        .iter()
        .map(|input| {
            let Behaviour { duration_ns, nbytes, .. } = behaviours[input.index()];
            let here = u128::from(duration_ns) / u128::from(threads);
            let there = u128::from(nbytes) * u128::from(SECOND_NS) / u128::from(bandwidth.max(1));
            (here, there)
        })
        .collect();
    let bound = |step: u128| -> u128 {
        costs.iter().map(|(here, there)| (here * step).min(there * (STEPS - step))).sum()
    };
    let best = (1..STEPS).map(bound).max().unwrap_or(0) / STEPS;
    u64::try_from(best).unwrap_or(u64::MAX)
}

/// A task between the longest chains before and behind it.
struct Place {
    before: u64,
    behind: u64,
    duration: u64,
}

/// Of all pairs of chains, the greatest sum with the work between them.
fn phases_ns(places: &[Place], threads: u128) -> u64 {
    let (starts, ends) = (
        thresholds(places.iter().map(|place| place.before)),
        thresholds(places.iter().map(|place| place.behind)),
    );
    // What lies at or above each pair of thresholds: work, tasks, shortest of them.
    let mut above = vec![(0_u128, 0_u128, u64::MAX); (starts.len() + 1) * (ends.len() + 1)];
    let at = |start: usize, end: usize| start * (ends.len() + 1) + end;
    for place in places.iter().filter(|place| place.duration > 0) {
        let start = starts.partition_point(|threshold| *threshold <= place.before) - 1;
        let end = ends.partition_point(|threshold| *threshold <= place.behind) - 1;
        let (work, count, shortest) = &mut above[at(start, end)];
        *work += u128::from(place.duration);
        *count += 1;
        *shortest = place.duration.min(*shortest);
    }
    for start in (0..starts.len()).rev() {
        // The row behind is summed up already; along this one, from the right.
        let mut row = (0, 0, u64::MAX);
        for end in (0..ends.len()).rev() {
            let here = above[at(start, end)];
            row = (row.0 + here.0, row.1 + here.1, here.2.min(row.2));
            let later = above[at(start + 1, end)];
            above[at(start, end)] = (row.0 + later.0, row.1 + later.1, later.2.min(row.2));
        }
    }
    let mut greatest = 0;
    for (start, before) in starts.iter().enumerate() {
        for (end, behind) in ends.iter().enumerate() {
            let (work, count, shortest) = above[at(start, end)];
            if count > 0 {
                let rounds = count.div_ceil(threads) * u128::from(shortest);
                let between = rounds.max(work.div_ceil(threads));
                greatest = greatest.max(u128::from(*before) + between + u128::from(*behind));
            }
        }
    }
    u64::try_from(greatest).unwrap_or(u64::MAX)
}

/// Some of the distinct values, the least among them.
fn thresholds(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.dedup();
    let step = values.len().div_ceil(THRESHOLDS).max(1);
    values.into_iter().step_by(step).collect()
}

/// The longest chain before each task.
fn chains_before(graph: &Graph, behaviours: &[Behaviour], order: &[TaskId]) -> Vec<u64> {
    let mut chains = vec![0_u64; graph.len()];
    for task in order {
        let inputs = graph.inputs.row(*task).iter();
        let through = |input: &TaskId| {
            chains[input.index()].saturating_add(behaviours[input.index()].duration_ns)
        };
        chains[task.index()] = inputs.map(through).max().unwrap_or(0);
    }
    chains
}

/// The longest chain that begins with each needed task.
fn chains_behind(
    graph: &Graph,
    behaviours: &[Behaviour],
    needed: &[bool],
    order: &[TaskId],
) -> Vec<u64> {
    let mut chains = vec![0_u64; graph.len()];
    for task in order.iter().rev() {
        if !needed[task.index()] {
            continue;
        }
        let chain = chains[task.index()].saturating_add(behaviours[task.index()].duration_ns);
        chains[task.index()] = chain;
        for input in graph.inputs.row(*task) {
            chains[input.index()] = chains[input.index()].max(chain);
        }
    }
    chains
}

/// Each task behind its inputs.
fn topological(graph: &Graph) -> Vec<TaskId> {
    let count = graph.len();
    let mut open: Vec<u32> = vec![0; count];
    let mut offsets = vec![0_usize; count + 1];
    for input in &graph.inputs.values {
        offsets[input.index() + 1] += 1;
    }
    for index in 0..count {
        offsets[index + 1] += offsets[index];
    }
    let mut dependents = vec![TaskId(0); graph.inputs.values.len()];
    let mut next = offsets.clone();
    let mut order = Vec::with_capacity(count);
    for (index, open) in open.iter_mut().enumerate() {
        let task = TaskId::from_index(index);
        let inputs = graph.inputs.row(task);
        *open = u32::try_from(inputs.len()).expect("checked graphs have fewer edges");
        if inputs.is_empty() {
            order.push(task);
        }
        for input in inputs {
            dependents[next[input.index()]] = task;
            next[input.index()] += 1;
        }
    }
    let mut at = 0;
    while at < order.len() {
        let index = order[at].index();
        at += 1;
        for dependent in &dependents[offsets[index]..offsets[index + 1]] {
            open[dependent.index()] -= 1;
            if open[dependent.index()] == 0 {
                order.push(*dependent);
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, RunSpec};

    /// Two sources and a task that reads both, and one that nobody needs.
    fn bounds(bandwidth: u64, machines: (u64, u64)) -> Bounds {
        let mut graph = GraphBuilder::new();
        let spec = RunSpec::kernel::<&str>("rank", []);
        let a = graph.add("a", spec.clone(), &[]);
        let b = graph.add("b", spec.clone(), &[]);
        graph.add("long", spec.clone(), &[]);
        graph.add("end", spec, &[a, b, a]);
        let graph = graph.build().unwrap();
        let end = TaskId(3);
        let durations = [600, 400, 100_000, 50];
        let behaviours = durations.map(|duration_ns| Behaviour {
            duration_ns,
            nbytes: 1000,
            ..Behaviour::default()
        });
        Bounds::of(&graph, &behaviours, &needed(&graph, [end].into_iter()), machines, bandwidth)
    }

    #[test]
    fn path_and_work_leave_out_what_nobody_needs() {
        let bounds = bounds(u64::MAX, (2, 1));
        assert_eq!((bounds.critical_path_ns, bounds.work_ns, bounds.bytes_ns), (650, 525, 650));
        assert_eq!(bounds.greatest_ns(), 650);
    }

    #[test]
    fn what_lies_between_chains_takes_rounds() {
        // A head of 10, five tasks of 7 and 8 behind it, a tail of 20 that needs them all.
        let mut graph = GraphBuilder::new();
        let spec = RunSpec::kernel::<&str>("rank", []);
        let head = graph.add("head", spec.clone(), &[]);
        let middle: Vec<_> =
            (0..5).map(|at| graph.add(&format!("middle-{at}"), spec.clone(), &[head])).collect();
        graph.add("tail", spec, &middle);
        let graph = graph.build().unwrap();
        let durations = [10, 7, 7, 7, 7, 8, 20];
        let behaviours =
            durations.map(|duration_ns| Behaviour { duration_ns, ..Behaviour::default() });
        let all = vec![true; 7];
        let phases = |workers| Bounds::of(&graph, &behaviours, &all, (workers, 1), 1).phases_ns;
        // Alone, all work; of two threads one runs three; with five, the longest chain is better.
        assert_eq!((phases(1), phases(2), phases(4), phases(5)), (66, 51, 44, 38));
        assert_eq!(Bounds::of(&graph, &behaviours, &all, (5, 1), 1).greatest_ns(), 38);
    }

    #[test]
    fn bytes_are_paid_by_time_on_the_link_or_on_the_threads() {
        // 1000 bytes take 1000 ns: computing both on one machine takes 1000 ns, fetching the
        // shorter one 1000 ns beside the longer one's 600. The bound must not exceed that.
        let narrow = bounds(SECOND_NS, (2, 1)).bytes_ns;
        assert!((500..=1050).contains(&narrow), "{narrow}");
        // By hand: the best p is 10/16 with min(375, 375) + min(250, 375) = 625.
        assert_eq!(narrow, 625 + 50);
        // One machine fetches nothing.
        assert_eq!(bounds(SECOND_NS, (1, 1)).bytes_ns, 0);
    }
}
