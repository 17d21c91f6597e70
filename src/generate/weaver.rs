//! Puts the tasks of a family into a graph: keys, limits, trees of reductions, results.
//!
//! A family says how large its graph will be before it adds the first task, so that nobody waits
//! for a graph that cannot be.

use super::{GenerateError, Wanted};
use crate::{ArrayOutput, Graph, GraphBuilder, RunSpec, TaskHandle};
use std::fmt;

/// Most tasks and edges together: with 60 to 100 bytes for each while the graph is made, what a
/// large machine has as memory.
pub(super) const MOST_TASKS_AND_EDGES: u128 = 1 << 28;

/// Largest result of a task, bytes: the limit of graph.bin.
pub(super) const MOST_BYTES: u64 = 1 << 40;

/// A graph in the making.
pub(super) struct Weaver {
    graph: GraphBuilder,
    /// The key that is being written, kept for its memory.
    key: String,
    arrays: Vec<ArrayOutput>,
}

impl Weaver {
    pub(super) fn new() -> Self {
        Self { graph: GraphBuilder::new(), key: String::new(), arrays: Vec::new() }
    }

    /// Refuses a graph of more tasks and edges than there may be.
    pub(super) fn expect(&self, tasks: u128, edges: u128) -> Result<(), GenerateError> {
        if tasks.saturating_add(edges) > MOST_TASKS_AND_EDGES {
            return Err(GenerateError::TooLarge { tasks, edges });
        }
        Ok(())
    }

    /// Adds a task.
    pub(super) fn add(
        &mut self,
        key: fmt::Arguments<'_>,
        spec: &RunSpec,
        inputs: &[TaskHandle],
    ) -> TaskHandle {
        self.key.clear();
        // Writing to a string cannot fail.
        let _infallible = fmt::write(&mut self.key, key);
        self.graph.add(&self.key, spec.clone(), inputs)
    }

    /// Adds a reduction of at most `arity` tasks at a time; one that is left alone at the end of a
    /// level goes on as it is. `spec` gives the work of a task with so many inputs, and is told
    /// whether it is the last one.
    pub(super) fn reduce(
        &mut self,
        name: &str,
        mut items: Vec<TaskHandle>,
        arity: usize,
        spec: impl Fn(usize, bool) -> RunSpec,
    ) -> TaskHandle {
        let mut level = 0;
        let whole = spec(arity, false);
        while items.len() > arity {
            let mut next = Vec::with_capacity(items.len() / arity + 1);
            for (at, group) in items.chunks(arity).enumerate() {
                let key = format_args!("{name}-{level}-{at}");
                next.push(match group {
                    [single] => *single,
                    group if group.len() == arity => self.add(key, &whole, group),
                    group => self.add(key, &spec(group.len(), false), group),
                });
            }
            items = next;
            level += 1;
        }
        self.add(format_args!("{name}"), &spec(items.len(), true), &items)
    }

    /// Makes an array of tiles a result; tiles in C order.
    pub(super) fn result(&mut self, name: &str, axes: [Axis; 2], tiles: &[TaskHandle]) {
        self.arrays.push(ArrayOutput {
            name: name.to_owned(),
            shape: axes.map(|axis| axis.tiles * axis.length).to_vec(),
            dtype: "f64".to_owned(),
            chunks: axes.map(|axis| vec![axis.length; axis.tiles as usize]).to_vec(),
            grid: tiles.iter().map(|tile| tile.task()).collect(),
        });
    }

    /// The graph.
    pub(super) fn finish(mut self, wanted: Wanted, meta: String) -> Result<Graph, GenerateError> {
        match wanted {
            Wanted::None => self.graph.outputs(&[]),
            Wanted::Sinks if self.arrays.is_empty() => {}
            Wanted::Sinks => {
                self.graph.outputs(&[]);
                for array in self.arrays {
                    self.graph.array(array);
                }
            }
        }
        self.graph.meta(meta);
        Ok(self.graph.build()?)
    }
}

/// One axis of an array of equal tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) tiles: u64,
    /// Length of a tile along the axis.
    pub(super) length: u64,
}
