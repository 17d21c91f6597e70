//! Lower bounds of a makespan: what no scheduler can beat on the given machines.
//!
//! * Critical path: the longest chain of durations.
//! * Work: all durations, over all threads.
//! * Bytes: a task needs its inputs on one machine. Those that were computed there took its threads,
//!   the others came over its link. For each input one of the two is paid: with `w` the time of its
//!   producer on all threads of the machine and `s` the time of its bytes on the link, the longer of
//!   both sums is at least `Σ min(p·w, (1 − p)·s)` for every `p` between 0 and 1. The task itself and
//!   the chain behind it come on top.

use super::workload::Behaviour;
use crate::config::SECOND_NS;
use crate::graph::Graph;
use crate::ids::TaskId;

/// Steps of `p` that are tried.
const STEPS: u128 = 16;

/// Lower bounds of a makespan, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The longest chain.
    pub critical_path_ns: u64,
    /// All work over all threads.
    pub work_ns: u64,
    /// The inputs that one task must gather, and the chain behind it.
    pub bytes_ns: u64,
}

impl Bounds {
    /// The greatest of them.
    #[must_use]
    pub fn greatest_ns(&self) -> u64 {
        self.critical_path_ns.max(self.work_ns).max(self.bytes_ns)
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
        Self { critical_path_ns, work_ns, bytes_ns }
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
    for index in 0..count {
        let task = TaskId::from_index(index);
        let inputs = graph.inputs.row(task);
        open[index] = u32::try_from(inputs.len()).expect("checked graphs have fewer edges");
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
        assert_eq!((bounds.critical_path_ns, bounds.work_ns, bounds.bytes_ns), (650, 525, 50));
        assert_eq!(bounds.greatest_ns(), 650);
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
