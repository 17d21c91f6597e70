//! Putting a graph together, task by task.
//!
//! Rust programs name inputs by handle; files whose tasks refer to each other by key, forwards too,
//! name them by key. Nothing is checked while tasks are added, so that a caller sees all faults at
//! the end: `build` gives the first one, `finish` all of them.

use super::check::{MAX_TASKS, Nearest, UNKNOWN};
use super::intern::SpecInterner;
use super::{ArrayOutput, Attributes, Csr, Graph, GraphError, KeyIndex, Keys, Outputs, RunSpec};
use crate::ids::{SpecId, TaskId};

/// A task of a `GraphBuilder`; valid for that builder only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskHandle(TaskId);

impl TaskHandle {
    /// The number that the task has in the graph.
    #[must_use]
    pub const fn task(self) -> TaskId {
        self.0
    }
}

/// Makes a checked `Graph`.
///
/// ```
/// use rdask_core::graph::{Attributes, GraphBuilder, Outputs, RunSpec};
///
/// let mut graph = GraphBuilder::new();
/// let x = graph.add("x", RunSpec::kernel("arange", [("count", 10.into())]), &[]);
/// let y = graph.add("y", RunSpec::kernel("map", [("expr", "a * a".into())]), &[x]);
/// let s = graph.add("s", RunSpec::kernel::<&str>("sum", []), &[y]);
/// graph.attributes(s, Attributes { retries: Some(2), ..Attributes::default() });
/// graph.outputs(&[s]);
/// let graph = graph.build()?;
///
/// assert_eq!(graph.len(), 3);
/// assert_eq!(graph.inputs.row(s.task()), [y.task()]);
/// assert_eq!(graph.outputs, Outputs::Tasks(vec![s.task()]));
/// # Ok::<(), rdask_core::graph::GraphError>(())
/// ```
///
/// By key, in any order:
///
/// ```
/// use rdask_core::graph::{GraphBuilder, RunSpec};
///
/// let mut graph = GraphBuilder::new();
/// graph.add_by_key("y", RunSpec::kernel::<&str>("identity", []), ["x-0"]);
/// graph.add_by_key("x0", RunSpec::kernel::<&str>("rank", []), [] as [&str; 0]);
/// let error = graph.build().unwrap_err();
/// assert_eq!(error.to_string(), "unknown dependency 'x-0' (task 'y', input 0)");
/// assert_eq!(error.help().unwrap(), "did you mean 'x0'?");
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    keys: Keys,
    specs: SpecInterner,
    spec_of: Vec<SpecId>,
    inputs: Csr,
    attributes: Vec<(TaskId, Attributes)>,
    outputs: Outputs,
    arrays: Vec<ArrayOutput>,
    order: Option<Vec<u32>>,
    meta: String,
    /// Inputs named by key: name `i` belongs to `inputs.values[named_at[i]]`.
    named: Keys,
    named_at: Vec<u64>,
    outputs_named: Vec<String>,
    /// Chunks named by key: array, position in its grid, name.
    chunks_named: Vec<(usize, usize, String)>,
    faults: Vec<GraphError>,
}

impl Default for GraphBuilder {
    fn default() -> Self {
        let no_keys = || Keys { offsets: vec![0], text: String::new() };
        Self {
            keys: no_keys(),
            specs: SpecInterner::default(),
            spec_of: Vec::new(),
            inputs: Csr { offsets: vec![0], values: Vec::new() },
            attributes: Vec::new(),
            outputs: Outputs::Sinks,
            arrays: Vec::new(),
            order: None,
            meta: "{}".to_owned(),
            named: no_keys(),
            named_at: Vec::new(),
            outputs_named: Vec::new(),
            chunks_named: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl GraphBuilder {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of tasks so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spec_of.len()
    }

    /// True before the first task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spec_of.is_empty()
    }

    /// Adds a task whose inputs were added before, in the order of its arguments.
    pub fn add(&mut self, key: &str, spec: RunSpec, inputs: &[TaskHandle]) -> TaskHandle {
        self.inputs.values.extend(inputs.iter().map(|input| input.0));
        self.close_task(key, spec)
    }

    /// Adds a task whose inputs are named by key; they may be added later.
    pub fn add_by_key<K: AsRef<str>>(
        &mut self,
        key: &str,
        spec: RunSpec,
        inputs: impl IntoIterator<Item = K>,
    ) -> TaskHandle {
        for input in inputs {
            self.named_at.push(self.inputs.values.len() as u64);
            push_key(&mut self.named, input.as_ref());
            self.inputs.values.push(UNKNOWN);
        }
        self.close_task(key, spec)
    }

    fn close_task(&mut self, key: &str, mut spec: RunSpec) -> TaskHandle {
        if self.len() >= MAX_TASKS {
            // The numbers have run out: the graph is refused, so its last task may stand for all.
            self.faults.push(GraphError::TooManyTasks);
            let kept = self.inputs.offsets[self.len()];
            self.inputs.values.truncate(usize::try_from(kept).expect("it was a length"));
            self.named_at.truncate(self.named_at.partition_point(|at| *at < kept));
            return TaskHandle(TaskId::from_index(MAX_TASKS - 1));
        }
        if let Err((parameter, problem)) = spec.normalize() {
            self.faults.push(GraphError::Parameter { key: key.to_owned(), parameter, problem });
        }
        let task = TaskId::from_index(self.len());
        push_key(&mut self.keys, key);
        self.spec_of.push(self.specs.intern(spec));
        self.inputs.offsets.push(self.inputs.values.len() as u64);
        TaskHandle(task)
    }

    /// Says what a task wishes; a second call replaces the first.
    pub fn attributes(&mut self, task: TaskHandle, attributes: Attributes) {
        self.attributes.push((task.0, attributes));
    }

    /// Wants these results; more calls want more. None at all: every task runs and nothing is
    /// written. Never called: the tasks without dependents are wanted.
    pub fn outputs(&mut self, tasks: &[TaskHandle]) {
        self.wanted().extend(tasks.iter().map(|task| task.0));
    }

    /// As `outputs`, by key.
    pub fn outputs_by_key<K: Into<String>>(&mut self, keys: impl IntoIterator<Item = K>) {
        let _ = self.wanted();
        self.outputs_named.extend(keys.into_iter().map(Into::into));
    }

    fn wanted(&mut self) -> &mut Vec<TaskId> {
        if self.outputs == Outputs::Sinks {
            self.outputs = Outputs::Tasks(Vec::new());
        }
        match &mut self.outputs {
            Outputs::Tasks(tasks) => tasks,
            Outputs::Sinks => unreachable!("it was replaced above"),
        }
    }

    /// Wants an array put together from chunks; `grid` holds numbers from `TaskHandle::task`.
    pub fn array(&mut self, array: ArrayOutput) {
        self.arrays.push(array);
    }

    /// As `array`, with the chunks by key in C order; the array's own grid is not looked at.
    pub fn array_by_key<K: Into<String>>(
        &mut self,
        mut array: ArrayOutput,
        grid: impl IntoIterator<Item = K>,
    ) {
        let number = self.arrays.len();
        let before = self.chunks_named.len();
        let chunks = grid.into_iter().enumerate().map(|(at, key)| (number, at, key.into()));
        self.chunks_named.extend(chunks);
        array.grid = vec![UNKNOWN; self.chunks_named.len() - before];
        self.arrays.push(array);
    }

    /// Gives the order of execution instead of having it computed: position of each task.
    pub fn order(&mut self, positions: Vec<u32>) {
        self.order = Some(positions);
    }

    /// Says who made the graph: a JSON object on one line, checked when the graph is written.
    pub fn meta(&mut self, object: impl Into<String>) {
        self.meta = object.into();
    }

    /// Checks and gives the graph.
    ///
    /// # Errors
    /// The first fault.
    pub fn build(self) -> Result<Graph, GraphError> {
        let (graph, faults) = self.finish();
        faults.into_iter().next().map_or(Ok(graph), Err)
    }

    /// The graph and all its faults. It may be run only when there are none; with faults it is
    /// good for further checks of single tasks.
    #[must_use]
    pub fn finish(mut self) -> (Graph, Vec<GraphError>) {
        let index = KeyIndex::new(&self.keys);
        let mut nearest = Nearest::default();
        self.resolve_inputs(&index, &mut nearest);
        self.resolve_outputs(&index, &mut nearest);
        self.resolve_chunks(&index, &mut nearest);
        let mut faults = self.faults;
        let mut graph = Graph {
            keys: self.keys,
            specs: self.specs.specs,
            spec_of: self.spec_of,
            inputs: self.inputs,
            attributes: self.attributes,
            outputs: self.outputs,
            arrays: self.arrays,
            order: self.order,
            meta: self.meta,
        };
        graph.normalize_attributes();
        graph.normalize_outputs();
        graph.push_faults(&index, true, &mut faults);
        (graph, faults)
    }

    fn resolve_inputs(&mut self, index: &KeyIndex, nearest: &mut Nearest) {
        for (i, at) in self.named_at.iter().enumerate() {
            let name = self.named.key(TaskId::from_index(i));
            if let Some(task) = index.find(&self.keys, name) {
                self.inputs.values[usize::try_from(*at).expect("it was a length")] = task;
                continue;
            }
            let task = self.inputs.offsets.partition_point(|offset| offset <= at) - 1;
            self.faults.push(GraphError::UnknownDependency {
                key: self.keys.key(TaskId::from_index(task)).to_owned(),
                input: usize::try_from(at - self.inputs.offsets[task]).expect("it was a length"),
                dependency: name.to_owned(),
                nearest: nearest.key(&self.keys, name),
            });
        }
    }

    fn resolve_outputs(&mut self, index: &KeyIndex, nearest: &mut Nearest) {
        for output in std::mem::take(&mut self.outputs_named) {
            match index.find(&self.keys, &output) {
                Some(task) => self.wanted().push(task),
                None => self.faults.push(GraphError::UnknownOutput {
                    nearest: nearest.key(&self.keys, &output),
                    output,
                }),
            }
        }
    }

    fn resolve_chunks(&mut self, index: &KeyIndex, nearest: &mut Nearest) {
        for (number, at, chunk) in std::mem::take(&mut self.chunks_named) {
            match index.find(&self.keys, &chunk) {
                Some(task) => self.arrays[number].grid[at] = task,
                None => self.faults.push(GraphError::UnknownChunk {
                    array: self.arrays[number].name.clone(),
                    nearest: nearest.key(&self.keys, &chunk),
                    chunk,
                }),
            }
        }
    }
}

fn push_key(keys: &mut Keys, key: &str) {
    keys.text.push_str(key);
    keys.offsets.push(keys.text.len() as u64);
}
