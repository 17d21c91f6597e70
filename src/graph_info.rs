//! What a graph is like: counts, kernels, depth, width, the longest chain, what is not needed.
//!
//! Levels: a task without inputs is on level 1, any other one below the lowest of its inputs. Depth
//! is the number of levels, width the number of tasks on the fullest one. Nothing here recurses.

use crate::graph_file;
use crate::output::checksum_text;
use rdask_core::graph::{Graph, Outputs, Param, RunSpec};
use rdask_core::ids::TaskId;
use rdask_store::DType;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most keys of the critical path that are named.
const NAMED_KEYS: usize = 10;

/// A summary of a graph; `graph info --json` prints it as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphInfo {
    /// Tasks.
    pub tasks: u64,
    /// Inputs of all tasks together.
    pub edges: u64,
    /// Distinct run specs.
    pub specs: u64,
    /// Tasks by kernel.
    pub kernels: BTreeMap<String, u64>,
    /// Tasks without inputs.
    pub sources: u64,
    /// Tasks without dependents.
    pub sinks: u64,
    /// Results that will be written one by one.
    pub outputs: u64,
    /// Arrays that will be put together from chunks.
    pub arrays: u64,
    /// Tasks with attributes of their own.
    pub with_attributes: u64,
    /// Tasks that no output and no array needs; they are not run.
    pub not_needed: u64,
    /// Length of the graph as graph.bin, bytes.
    pub file_bytes: u64,
    /// Bytes that tasks without inputs create, as far as their parameters say.
    pub created_bytes: u64,
    /// Number of levels: tasks on the longest chain.
    pub depth: u64,
    /// Tasks on the fullest level.
    pub width: u64,
    /// The chain that bounds the run from below.
    pub critical_path: CriticalPath,
    /// Hash of tasks, specs, edges and outputs, as the manifest has it: `xxh3-64:` and 16 hex digits.
    pub content_hash: String,
}

/// The longest chain of tasks: by expected time where tasks have one, else by their number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CriticalPath {
    /// Tasks on it.
    pub tasks: u64,
    /// Sum of the expected times on it; absent when no task has one.
    pub seconds: Option<f64>,
    /// Its first keys, at most 10, in the order of execution.
    pub keys: Vec<String>,
}

/// The summary of a checked graph.
#[must_use]
pub fn info(graph: &Graph) -> GraphInfo {
    let order = topological_order(graph);
    let levels = levels(graph, &order);
    let mut per_level = vec![0_u64; levels.iter().max().map_or(0, |level| *level as usize + 1)];
    for level in &levels {
        per_level[*level as usize] += 1;
    }
    let mut kernels = BTreeMap::new();
    let (mut sources, mut created_bytes) = (0, 0_u64);
    for task in tasks(graph) {
        let spec = graph.spec(task);
        match kernels.get_mut(spec.name()) {
            Some(count) => *count += 1,
            None => {
                kernels.insert(spec.name().to_owned(), 1);
            }
        }
        if graph.inputs.row(task).is_empty() {
            sources += 1;
            created_bytes = created_bytes.saturating_add(created(spec).unwrap_or(0));
        }
    }
    let needed = needed(graph);
    let sinks = sinks(graph).count() as u64;
    GraphInfo {
        tasks: graph.len() as u64,
        edges: graph.inputs.values.len() as u64,
        specs: graph.specs.len() as u64,
        kernels,
        sources,
        sinks,
        outputs: match &graph.outputs {
            Outputs::Tasks(outputs) => outputs.len() as u64,
            Outputs::Sinks => sinks,
        },
        arrays: graph.arrays.len() as u64,
        with_attributes: graph.attributes.len() as u64,
        not_needed: needed.iter().filter(|needed| !**needed).count() as u64,
        file_bytes: graph_file::file_bytes(graph),
        created_bytes,
        depth: per_level.len() as u64,
        width: per_level.into_iter().max().unwrap_or(0),
        critical_path: critical_path(graph, &order),
        content_hash: checksum_text(graph_file::content_hash(graph)),
    }
}

fn tasks(graph: &Graph) -> impl Iterator<Item = TaskId> + Clone {
    (0..graph.len()).map(TaskId::from_index)
}

/// Tasks without dependents.
pub(crate) fn sinks(graph: &Graph) -> impl Iterator<Item = TaskId> {
    let mut has_dependents = vec![false; graph.len()];
    for input in &graph.inputs.values {
        has_dependents[input.index()] = true;
    }
    tasks(graph).filter(move |task| !has_dependents[task.index()])
}

/// Each task behind its inputs.
fn topological_order(graph: &Graph) -> Vec<TaskId> {
    let mut order = Vec::with_capacity(graph.len());
    let mut seen = vec![false; graph.len()];
    let mut stack: Vec<(TaskId, usize)> = Vec::new();
    for root in tasks(graph) {
        if std::mem::replace(&mut seen[root.index()], true) {
            continue;
        }
        stack.push((root, 0));
        while let Some((task, next)) = stack.last_mut() {
            match graph.inputs.row(*task).get(*next) {
                Some(input) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[input.index()], true) {
                        stack.push((*input, 0));
                    }
                }
                None => {
                    order.push(*task);
                    stack.pop();
                }
            }
        }
    }
    order
}

/// Level of each task, from 0.
fn levels(graph: &Graph, order: &[TaskId]) -> Vec<u32> {
    let mut levels = vec![0; graph.len()];
    for task in order {
        let inputs = graph.inputs.row(*task).iter();
        levels[task.index()] = inputs.map(|input| levels[input.index()] + 1).max().unwrap_or(0);
    }
    levels
}

fn critical_path(graph: &Graph, order: &[TaskId]) -> CriticalPath {
    let timed = graph.attributes.iter().any(|(_, attributes)| attributes.time_ns.is_some());
    let weight = |task: TaskId| match graph.attributes_of(task).and_then(|a| a.time_ns) {
        Some(time_ns) => u128::from(time_ns),
        None => u128::from(!timed),
    };
    // Weight of the heaviest chain that ends with each task, and the task before it there.
    let mut chains: Vec<(u128, Option<TaskId>)> = vec![(0, None); graph.len()];
    let mut last = None;
    for task in order {
        let mut before: (u128, Option<TaskId>) = (0, None);
        for input in graph.inputs.row(*task) {
            let weight = chains[input.index()].0;
            if before.1.is_none() || weight > before.0 {
                before = (weight, Some(*input));
            }
        }
        chains[task.index()] = (before.0 + weight(*task), before.1);
        if last.is_none_or(|last: TaskId| chains[task.index()].0 > chains[last.index()].0) {
            last = Some(*task);
        }
    }
    let Some(last) = last else { return CriticalPath::default() };
    let mut path = vec![last];
    while let Some(before) = chains[path[path.len() - 1].index()].1 {
        path.push(before);
    }
    #[expect(clippy::cast_precision_loss, reason = "a summary needs no more than 53 bits")]
    let seconds = timed.then(|| chains[last.index()].0 as f64 / 1e9);
    let named = path.iter().rev().take(NAMED_KEYS);
    CriticalPath {
        tasks: path.len() as u64,
        seconds,
        keys: named.map(|task| graph.key(*task).to_owned()).collect(),
    }
}

/// Which tasks an output or an array needs; with `outputs: []` and no arrays all of them.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut stack: Vec<TaskId> = match &graph.outputs {
        Outputs::Tasks(outputs) if outputs.is_empty() => tasks(graph).collect(),
        Outputs::Tasks(outputs) => outputs.clone(),
        Outputs::Sinks => sinks(graph).collect(),
    };
    stack.extend(graph.arrays.iter().flat_map(|array| &array.grid));
    let mut needed = vec![false; graph.len()];
    while let Some(task) = stack.pop() {
        if !std::mem::replace(&mut needed[task.index()], true) {
            stack.extend(graph.inputs.row(task));
        }
    }
    needed
}

/// Bytes of what a spec creates, where its parameters say: `shape` or `count` with `dtype`, `size`.
fn created(spec: &RunSpec) -> Option<u64> {
    let param = |name: &str| spec.params().iter().find(|(n, _)| n == name).map(|(_, value)| value);
    let number = |value: &Param| match value {
        Param::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    };
    if let Some(size) = param("size") {
        return number(size);
    }
    let Some(Param::Str(dtype)) = param("dtype") else { return None };
    let size = DType::from_name(dtype)?.size() as u64;
    match (param("shape"), param("count")) {
        (Some(Param::List(shape)), _) => {
            shape.iter().try_fold(size, |bytes, length| bytes.checked_mul(number(length)?))
        }
        (None, Some(count)) => size.checked_mul(number(count)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArrayOutput, Attributes, GraphBuilder};

    fn diamond() -> GraphBuilder {
        let mut graph = GraphBuilder::new();
        let map = || RunSpec::kernel("map", [("expr", "a".into())]);
        let full = RunSpec::kernel(
            "full",
            [("shape", vec![3_i64, 5].into()), ("dtype", "f64".into()), ("value", 0.into())],
        );
        graph.add_by_key("end", map(), ["left", "right"]);
        graph.add_by_key("left", map(), ["begin"]);
        graph.add_by_key("right", map(), ["middle"]);
        graph.add_by_key("middle", map(), ["begin", "begin"]);
        graph.add("begin", full, &[]);
        graph.add("alone", RunSpec::kernel("bytes", [("size", 7.into())]), &[]);
        graph
    }

    #[test]
    fn counts_levels_and_the_longest_chain() {
        let info = info(&diamond().build().unwrap());
        assert_eq!((info.tasks, info.edges, info.specs), (6, 6, 3));
        assert_eq!((info.sources, info.sinks, info.outputs, info.not_needed), (2, 2, 2, 0));
        assert_eq!((info.depth, info.width), (4, 2));
        assert_eq!(info.created_bytes, 3 * 5 * 8 + 7);
        let kernels: Vec<_> = info.kernels.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        assert_eq!(kernels, [("bytes", 1), ("full", 1), ("map", 4)]);
        assert_eq!(info.critical_path.keys, ["begin", "middle", "right", "end"]);
        assert_eq!((info.critical_path.tasks, info.critical_path.seconds), (4, None));
    }

    #[test]
    fn expected_times_weigh_the_critical_path() {
        let mut graph = diamond();
        let slow = graph.add("slow", RunSpec::kernel::<&str>("rank", []), &[]);
        graph.attributes(slow, Attributes { time_ns: Some(2_500_000_000), ..Default::default() });
        let path = info(&graph.build().unwrap()).critical_path;
        assert_eq!((path.tasks, path.seconds), (1, Some(2.5)));
        assert_eq!(path.keys, ["slow"]);
    }

    #[test]
    fn counts_what_nobody_needs() {
        let mut graph = diamond();
        graph.outputs_by_key(["left"]);
        let not_needed = |graph: &GraphBuilder| info(&graph.clone().build().unwrap()).not_needed;
        assert_eq!(not_needed(&graph), 4);
        let mut array = ArrayOutput {
            name: "array".into(),
            shape: vec![1],
            dtype: "f64".into(),
            chunks: vec![vec![1]],
            grid: vec![],
        };
        graph.array_by_key(array.clone(), ["middle"]);
        assert_eq!(not_needed(&graph), 3);
        let mut all = diamond();
        all.outputs(&[]);
        assert_eq!(not_needed(&all), 0);
        array.name = "second".into();
        all.array_by_key(array, ["middle"]);
        assert_eq!(not_needed(&all), 0);
    }

    #[test]
    fn an_empty_graph_has_no_depth() {
        let info = info(&GraphBuilder::new().build().unwrap());
        assert_eq!((info.depth, info.width, info.critical_path), (0, 0, CriticalPath::default()));
    }

    #[test]
    fn the_content_hash_leaves_attributes_and_meta_out() {
        let hash = |graph: GraphBuilder| info(&graph.build().unwrap()).content_hash;
        let plain = hash(diamond());
        let mut same = diamond();
        same.meta("{\"by\": \"hand\"}");
        let task = same.add("x", RunSpec::kernel::<&str>("rank", []), &[]);
        let with_x = same.clone();
        same.attributes(task, Attributes { retries: Some(1), ..Default::default() });
        assert_eq!(hash(same.clone()), hash(with_x));
        assert_ne!(hash(same), plain);
        let mut other_outputs = diamond();
        other_outputs.outputs_by_key(["end"]);
        assert_ne!(hash(other_outputs), plain);
        let digits = plain.strip_prefix("xxh3-64:").unwrap();
        assert!(digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
