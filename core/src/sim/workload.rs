//! What the pretend machine works at: a graph, and how each of its tasks behaves.
//!
//! The value of a task is a hash of its number and its inputs' values, so every run of it, anywhere,
//! must give the value of a serial run.

use crate::config::MILLISECOND_NS;
use crate::graph::{Attributes, Csr, Graph, Keys, Outputs, RunSpec, static_order};
use crate::ids::{SpecId, TaskId};
use crate::rng::{Rng, mix};
use std::sync::Arc;

/// How a task behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Time of its code on a machine of speed 1, nanoseconds.
    pub duration_ns: u64,
    /// Size of its result.
    pub nbytes: u64,
    /// So many first attempts fail.
    pub errs: u32,
    /// So many first attempts kill their worker.
    pub kills: u32,
    /// It gives itself back so often.
    pub reschedules: u32,
    /// It leaves the pool after half its time.
    pub secedes: bool,
}

/// A graph with behaviour.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The graph.
    pub graph: Arc<Graph>,
    /// Static order: position of each task.
    pub order: Vec<u32>,
    /// By task.
    pub behaviours: Vec<Behaviour>,
    /// What the job wants.
    pub wanted: Vec<TaskId>,
    /// What must run once.
    pub run_once: Vec<TaskId>,
}

/// One task of a graph under construction.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    key: String,
    inputs: Vec<usize>,
    attributes: Option<Attributes>,
    behaviour: Behaviour,
    wanted: bool,
}

impl Workload {
    /// The value of a task, from those of its inputs.
    #[must_use]
    pub fn value(task: TaskId, inputs: impl Iterator<Item = u64>) -> u64 {
        inputs.fold(mix(u64::from(task.0) + 1), |value, input| mix(value ^ input.rotate_left(17)))
    }

    /// Values of all tasks, run one after the other.
    #[must_use]
    pub fn serial(&self) -> Vec<u64> {
        let mut by_position = vec![0_usize; self.graph.len()];
        for (task, position) in self.order.iter().enumerate() {
            by_position[*position as usize] = task;
        }
        let mut values = vec![0; self.graph.len()];
        for index in by_position {
            let task = TaskId::from_index(index);
            let inputs = self.graph.inputs.row(task).iter();
            values[index] = Self::value(task, inputs.map(|input| values[input.index()]));
        }
        values
    }

    /// A workload of a graph whose tasks behave as `behaviour` says; all sinks are wanted.
    #[must_use]
    pub fn of(graph: Arc<Graph>, behaviour: impl Fn(TaskId) -> Behaviour) -> Self {
        let mut is_sink = vec![true; graph.len()];
        for input in &graph.inputs.values {
            is_sink[input.index()] = false;
        }
        let tasks = (0..graph.len()).map(TaskId::from_index);
        let wanted = tasks.clone().filter(|task| is_sink[task.index()]).collect();
        Self {
            order: graph.order.clone().unwrap_or_else(|| static_order(&graph)),
            behaviours: tasks.map(behaviour).collect(),
            wanted,
            run_once: Vec::new(),
            graph,
        }
    }

    /// A random workload for machines with `threads` threads at most, without the tasks that
    /// `without` names and all that depends on them.
    #[must_use]
    pub(super) fn draw(rng: &mut Rng, threads: u32, wild: bool, without: &[u32]) -> Self {
        let drafts = draw(rng, threads, wild);
        let run_once = rng.below(4) == 0;
        Self::build(&drafts, run_once, without)
    }

    fn build(drafts: &[Draft], run_once: bool, without: &[u32]) -> Self {
        let mut number = vec![None; drafts.len()];
        let mut kept = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            let dropped = without.iter().any(|task| *task as usize == index)
                || draft.inputs.iter().any(|input| number[*input].is_none());
            if !dropped {
                number[index] = Some(TaskId::from_index(kept.len()));
                kept.push(index);
            }
        }
        let mut keys = Keys { offsets: vec![0], text: String::new() };
        let mut inputs = Csr { offsets: vec![0], values: Vec::new() };
        let mut attributes = Vec::new();
        let mut wanted = Vec::new();
        for (place, index) in kept.iter().enumerate() {
            let draft = &drafts[*index];
            keys.text.push_str(&draft.key);
            keys.offsets.push(keys.text.len() as u64);
            inputs.values.extend(draft.inputs.iter().filter_map(|input| number[*input]));
            inputs.offsets.push(inputs.values.len() as u64);
            let task = TaskId::from_index(place);
            attributes.extend(draft.attributes.clone().map(|attributes| (task, attributes)));
            if draft.wanted || place + 1 == kept.len() {
                wanted.push(task);
            }
        }
        let graph = Arc::new(Graph {
            spec_of: vec![SpecId(0); kept.len()],
            keys,
            specs: vec![RunSpec::Kernel { name: "identity".to_owned(), params: Vec::new() }],
            inputs,
            attributes,
            outputs: Outputs::Sinks,
            arrays: Vec::new(),
            order: None,
            meta: String::new(),
        });
        let (wanted, run_once) = if run_once {
            (Vec::new(), (0..kept.len()).map(TaskId::from_index).collect())
        } else {
            (wanted, Vec::new())
        };
        Self {
            order: static_order(&graph),
            behaviours: kept.iter().map(|index| drafts[*index].behaviour).collect(),
            wanted,
            run_once,
            graph,
        }
    }
}

/// Tasks of a random shape: a mesh, a reduction, chains, many roots, a shuffle.
fn draw(rng: &mut Rng, threads: u32, wild: bool) -> Vec<Draft> {
    let most = [8, 30, 120][rng.below(3) as usize];
    let count = 2 + rng.below(most) as usize;
    let shape = rng.below(5);
    let width = 1 + rng.below(9) as usize;
    let slow = rng.below(4);
    let mut drafts: Vec<Draft> = Vec::with_capacity(count);
    for index in 0..count {
        let inputs = match shape {
            0 if index > 0 && rng.below(3) > 0 => {
                (0..=rng.below(3)).map(|_| rng.below(index as u64) as usize).collect()
            }
            1 if index >= count / 2 => {
                let first = (index - count / 2) * 2;
                vec![first, (first + 1).min(index - 1)]
            }
            2 if index >= width => vec![index - width],
            3 if index + 1 == count => (0..index).collect(),
            4 if index >= width => {
                let start = (index / width - 1) * width;
                (start..(start + width).min(index)).collect()
            }
            _ => Vec::new(),
        };
        let group = ["load", "map", "sum"][rng.below(3) as usize];
        drafts.push(Draft {
            key: format!("{group}-{index}"),
            inputs,
            attributes: (wild && rng.below(8) == 0).then(|| attributes(rng, threads)),
            behaviour: behaviour(rng, wild, slow),
            wanted: rng.below(5) == 0,
        });
    }
    drafts
}

fn behaviour(rng: &mut Rng, wild: bool, slow: u64) -> Behaviour {
    let duration_ns = match slow {
        0 => 1_000,
        1 => 1 + rng.below(MILLISECOND_NS),
        _ => 1 + skewed(rng, 28),
    };
    let odd = |rng: &mut Rng, of: u64| wild && rng.below(of) == 0;
    Behaviour {
        duration_ns,
        nbytes: skewed(rng, 26),
        errs: if odd(rng, 20) { 1 + rng.below(3) as u32 } else { 0 },
        kills: if odd(rng, 40) { 1 + rng.below(2) as u32 } else { 0 },
        reschedules: if odd(rng, 20) { 1 + rng.below(3) as u32 } else { 0 },
        secedes: odd(rng, 15),
    }
}

/// A number of up to so many bits, small ones as likely as large ones.
fn skewed(rng: &mut Rng, bits: u64) -> u64 {
    let most = 1 << rng.below(bits);
    rng.below(most)
}

fn attributes(rng: &mut Rng, threads: u32) -> Attributes {
    let workers = if rng.below(3) == 0 { vec![rng.below(4).to_string()] } else { Vec::new() };
    let gpu = (rng.below(3) == 0).then(|| ("GPU".to_owned(), 500_000 * (1 + rng.below(2))));
    Attributes {
        priority: Some(rng.below(3) as i32 - 1),
        retries: Some(rng.below(4) as u32),
        threads: Some(1 + rng.below(u64::from(threads)) as u32),
        allow_other_workers: rng.below(2) == 0,
        workers,
        resources: gpu.into_iter().collect(),
        ..Attributes::default()
    }
}
