//! What the pretend machine works at: a graph, and how each of its tasks behaves.
//!
//! The value of a task is a hash of its number and its inputs' values, so every run of it, anywhere,
//! must give the value of a serial run.

use super::machine::MachineSpec;
use super::shapes;
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
    /// It can be stopped, as a program can and a kernel cannot.
    pub stops: bool,
    /// So many of a hundred runs take much longer than the others.
    pub straggles: u32,
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

/// What a task takes while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asks {
    /// Slots.
    pub(super) threads: u32,
    /// Millionths of the resource `GPU`.
    pub(super) gpu: u64,
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

    /// A random workload for some machines, without the tasks that `without` names and all that
    /// depends on them.
    #[must_use]
    pub(super) fn draw(
        rng: &mut Rng,
        machines: &[MachineSpec],
        (wild, anchored): (bool, bool),
        without: &[u32],
    ) -> Self {
        let drafts = draw(rng, machines, wild, anchored);
        let run_once = rng.below(4) == 0;
        Self::build(&drafts, run_once, without)
    }

    /// What a task takes while it runs.
    pub(super) fn asks(&self, task: TaskId) -> Asks {
        let attributes = self.graph.attributes_of(task);
        let gpu = |(name, amount): &(String, u64)| (name == "GPU").then_some(*amount);
        Asks {
            threads: attributes.and_then(|it| it.threads).unwrap_or(1),
            gpu: attributes.and_then(|it| it.resources.iter().find_map(gpu)).unwrap_or(0),
        }
    }

    /// Whether some task ends its worker.
    pub(super) fn kills(&self) -> bool {
        self.behaviours.iter().any(|behaviour| behaviour.kills > 0)
    }

    /// Whether a task may take longer than it is allowed to.
    pub(super) fn times_out(&self, task: usize) -> bool {
        let attributes = self.graph.attributes_of(TaskId::from_index(task));
        attributes.is_some_and(|attributes| attributes.timeout_ns.is_some())
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

/// Tasks of a random shape. `wild` ones fail, kill, run long, ask for things.
fn draw(rng: &mut Rng, machines: &[MachineSpec], wild: bool, anchored: bool) -> Vec<Draft> {
    let most = [40, 80, 160, 320][rng.below(4) as usize];
    let count = 2 + rng.below(most) as usize;
    let nodes = shapes::draw(rng, count);
    // Where every task is told its worker, everything moves.
    let pinned = rng.below(3) == 0;
    let asking = if wild { 2 + rng.below(12) } else { 0 };
    let mut temper = Temper::draw(rng, wild);
    if anchored {
        // Runs and transfers that last, so that much changes while they go on.
        (temper.slow, temper.size_bits, temper.straggles) = (2, 24, 30);
    }
    let last = nodes.len() - 1;
    let mut is_read = vec![false; nodes.len()];
    for node in &nodes {
        for input in &node.inputs {
            is_read[*input] = true;
        }
    }
    let mut drafts = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.into_iter().enumerate() {
        let mut attributes =
            (asking > 0 && rng.below(asking) == 0).then(|| attributes(rng, machines, &temper));
        if pinned && rng.below(2) == 0 {
            let slot = rng.below(machines.len() as u64);
            let pin = attributes.get_or_insert_default();
            pin.workers = vec![slot.to_string()];
            pin.allow_other_workers |= rng.below(2) == 0;
        }
        let behaviour = temper.behaviour(rng);
        if behaviour.errs > 0 && rng.below(10) > 0 {
            // Mostly enough: what errs for good takes all that depends on it away.
            attributes.get_or_insert_default().retries = Some(behaviour.errs);
        }
        drafts.push(Draft {
            key: format!("{}-{index}", node.group),
            inputs: node.inputs,
            attributes,
            behaviour,
            wanted: !anchored && (!is_read[index] || index == last || rng.below(6) == 0),
        });
    }
    if anchored {
        anchor(&mut drafts);
    }
    drafts
}

/// Adds a reader of everything that fails for want of an input that always does. It keeps every task
/// known while nobody needs it, so that clients can want it and let it go at any time.
fn anchor(drafts: &mut Vec<Draft>) {
    let fails = Behaviour { duration_ns: 1_000, errs: u32::MAX, ..Behaviour::default() };
    let stubborn = Attributes { retries: Some(0), ..Attributes::default() };
    let readers = (0..=drafts.len()).collect();
    drafts.push(Draft {
        key: "fails-0".to_owned(),
        inputs: Vec::new(),
        attributes: Some(stubborn),
        behaviour: fails,
        wanted: false,
    });
    drafts.push(Draft {
        key: "anchor-0".to_owned(),
        inputs: readers,
        attributes: None,
        behaviour: Behaviour::default(),
        wanted: true,
    });
}

/// What the tasks of one workload have in common.
struct Temper {
    wild: bool,
    /// How durations are drawn.
    slow: u64,
    /// Bits of the largest usual result.
    size_bits: u64,
    /// One task of so many fails, kills and so on.
    odd: u64,
    straggles: u32,
}

impl Temper {
    fn draw(rng: &mut Rng, wild: bool) -> Self {
        Self {
            wild,
            slow: rng.below(5),
            size_bits: [12, 20, 26][rng.below(3) as usize],
            odd: 8 << rng.below(5),
            straggles: if wild { [0, 5, 30, 30][rng.below(4) as usize] } else { 0 },
        }
    }

    fn behaviour(&self, rng: &mut Rng) -> Behaviour {
        let duration_ns = match self.slow {
            0 => 1_000,
            1 => 1 + rng.below(MILLISECOND_NS),
            2 => 5 * MILLISECOND_NS + rng.below(20 * MILLISECOND_NS),
            _ => 1 + skewed(rng, 28),
        };
        let long = if self.wild && rng.below(30) == 0 { 1 + rng.below(500) } else { 1 };
        let large = self.wild && rng.below(40) == 0;
        let mut odd = |times: u64| self.wild && rng.below(self.odd * times) == 0;
        let (errs, kills, gives_back) = (odd(2), odd(4), odd(3));
        let (secedes, stops) = (odd(1), odd(1));
        Behaviour {
            duration_ns: duration_ns * long,
            nbytes: if large { skewed(rng, 30) } else { skewed(rng, self.size_bits) },
            errs: if errs { 1 + rng.below(6) as u32 } else { 0 },
            kills: if kills { 1 + rng.below(2) as u32 } else { 0 },
            reschedules: if gives_back { 1 + rng.below(3) as u32 } else { 0 },
            secedes,
            stops,
            straggles: self.straggles,
        }
    }
}

/// A number of up to so many bits, small ones as likely as large ones.
fn skewed(rng: &mut Rng, bits: u64) -> u64 {
    let most = 1 << rng.below(bits);
    rng.below(most)
}

fn attributes(rng: &mut Rng, machines: &[MachineSpec], temper: &Temper) -> Attributes {
    let threads = machines.iter().map(|machine| machine.nthreads).max().unwrap_or(1);
    let slot = rng.below(machines.len() as u64) as usize;
    let mut chance = |of: u64| rng.below(of) == 0;
    let (named, hosted, gpu, wide) = (chance(3), chance(5), chance(3), chance(2));
    let (memory, timed, ends, open) = (chance(4), chance(4), chance(40), chance(2));
    let gpu = gpu.then(|| ("GPU".to_owned(), 500_000 * (1 + rng.below(2))));
    Attributes {
        priority: Some(rng.below(3) as i32 - 1),
        retries: Some(1 + rng.below(4) as u32),
        threads: wide.then(|| 1 + rng.below(u64::from(threads)) as u32),
        allow_other_workers: open,
        workers: if named { vec![slot.to_string()] } else { Vec::new() },
        hosts: if hosted { vec![machines[slot].host_name()] } else { Vec::new() },
        resources: gpu.into_iter().collect(),
        memory_bytes: memory.then(|| skewed(rng, 29)),
        time_ns: timed.then(|| 1 + skewed(rng, 30)),
        timeout_ns: ends.then(|| MILLISECOND_NS + temper.odd * MILLISECOND_NS),
    }
}
