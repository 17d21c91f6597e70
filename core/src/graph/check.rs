//! The checks that make a `Graph` of whatever was read or built.
//!
//! `Graph::check` looks at everything that needs no kernel and no worker: tables that fit each
//! other, keys, numbers, cycles, attributes, arrays, order. It allocates in proportion to the
//! number of tasks and never recurses over the graph.

use super::error::NAMED_KEYS;
use super::intern::SpecInterner;
use super::{ArrayOutput, Attributes, Graph, GraphError, KeyIndex, Keys, Outputs};
use crate::ids::{SpecId, TaskId};
use crate::nearest::nearest;

/// Most tasks of a graph: numbers of 32 bits, one of which means "none".
pub const MAX_TASKS: usize = u32::MAX as usize - 1;
/// Longest key, bytes.
pub const MAX_KEY_BYTES: usize = 4096;
/// Most axes of an array: numpy's limit.
pub const MAX_AXES: usize = 64;
/// Stands where a key named no task.
pub(super) const UNKNOWN: TaskId = TaskId(u32::MAX);
/// Unknown names for which the nearest key is looked for; each costs a pass over all keys.
const NEAREST_SEARCHES: u32 = 10;

impl Graph {
    /// All faults, in the order of the tables; none for a graph that may be run.
    #[must_use]
    pub fn faults(&self) -> Vec<GraphError> {
        let mut faults = Vec::new();
        if self.push_layout_faults(&mut faults) {
            self.push_faults(&KeyIndex::new(&self.keys), false, &mut faults);
        }
        faults
    }

    /// The graph, when it has no fault.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(self) -> Result<Self, GraphError> {
        self.faults().into_iter().next().map_or(Ok(self), Err)
    }

    /// Brings a graph that was read from a file into its one form: specs distinct and numbered by
    /// first use, parameters normalized, no empty attributes, no output twice.
    ///
    /// # Errors
    /// All faults, when there are any.
    pub fn normalized(mut self) -> Result<Self, Vec<GraphError>> {
        let mut faults = Vec::new();
        if !self.push_layout_faults(&mut faults) {
            return Err(faults);
        }
        self.normalize_specs(&mut faults);
        self.normalize_attributes();
        self.normalize_outputs();
        self.push_faults(&KeyIndex::new(&self.keys), false, &mut faults);
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    fn normalize_specs(&mut self, faults: &mut Vec<GraphError>) {
        let mut interner = SpecInterner::default();
        let mut given: Vec<_> = std::mem::take(&mut self.specs).into_iter().map(Some).collect();
        let mut numbers: Vec<Option<SpecId>> = vec![None; given.len()];
        for (task, spec_of) in self.spec_of.iter_mut().enumerate() {
            let old = spec_of.index();
            if let Some(mut spec) = given[old].take() {
                if let Err((parameter, problem)) = spec.normalize() {
                    let key = self.keys.key(TaskId::from_index(task)).to_owned();
                    faults.push(GraphError::Parameter { key, parameter, problem });
                }
                numbers[old] = Some(interner.intern(spec));
            }
            *spec_of = numbers[old].expect("the spec was interned at its first use");
        }
        self.specs = interner.specs;
    }

    /// Attributes sorted by task, the last of a task kept, empty ones dropped.
    pub(super) fn normalize_attributes(&mut self) {
        self.attributes.reverse();
        self.attributes.sort_by_key(|(task, _)| *task);
        self.attributes.dedup_by_key(|(task, _)| *task);
        self.attributes.retain(|(_, attributes)| *attributes != Attributes::default());
    }

    /// Each output once, where it stood first.
    pub(super) fn normalize_outputs(&mut self) {
        if let Outputs::Tasks(tasks) = &mut self.outputs {
            let mut seen = vec![false; self.spec_of.len()];
            tasks.retain(|task| match seen.get_mut(task.index()) {
                Some(seen) => !std::mem::replace(seen, true),
                None => true,
            });
        }
    }

    /// Whether rows may be read at all: every table has its length and every offset its place.
    fn push_layout_faults(&self, faults: &mut Vec<GraphError>) -> bool {
        let tasks = self.spec_of.len();
        let before = faults.len();
        if tasks > MAX_TASKS {
            faults.push(GraphError::TooManyTasks);
        }
        let text = &self.keys.text;
        check_offsets("keys", &self.keys.offsets, tasks, text.len(), faults);
        check_offsets("edges", &self.inputs.offsets, tasks, self.inputs.values.len(), faults);
        if faults.len() == before {
            let at =
                |offset: &u64| usize::try_from(*offset).is_ok_and(|o| text.is_char_boundary(o));
            if let Some(task) = self.keys.offsets.iter().position(|offset| !at(offset)) {
                let problem = format!("the key of task number {task} begins inside a character");
                faults.push(GraphError::Layout { table: "keys", problem });
            }
        }
        let specs = self.specs.len();
        if let Some(task) = self.spec_of.iter().position(|spec| spec.index() >= specs) {
            let number = self.spec_of[task].0;
            let problem = format!("task number {task} has run spec {number}, of {specs}");
            faults.push(GraphError::Layout { table: "run specs", problem });
        }
        faults.len() == before
    }

    /// Everything behind the layout. `unknown_reported`: placeholders were reported already.
    pub(super) fn push_faults(
        &self,
        index: &KeyIndex,
        unknown_reported: bool,
        faults: &mut Vec<GraphError>,
    ) {
        for task in (0..self.len()).map(TaskId::from_index) {
            let nbytes = self.key(task).len();
            if nbytes == 0 || nbytes > MAX_KEY_BYTES {
                faults.push(GraphError::KeyLength { task, nbytes });
            }
        }
        for (first, second) in index.duplicates(&self.keys) {
            let key = self.key(second).to_owned();
            faults.push(GraphError::DuplicateKey { key, first, second });
        }
        let mut numbers = Numbers { tasks: self.len(), unknown_reported, faults: &mut *faults };
        self.check_numbers(&mut numbers);
        self.push_cycles(faults);
        for (task, attributes) in &self.attributes {
            if task.index() < self.len() {
                push_attribute_faults(self.key(*task), attributes, faults);
            }
        }
        for array in &self.arrays {
            if let Some(problem) = array_problem(array) {
                faults.push(GraphError::Array { array: array.name.clone(), problem });
            }
        }
        self.push_name_clashes(index, faults);
        if let Some(order) = &self.order
            && let Some(problem) = order_problem(order, self.len())
        {
            faults.push(GraphError::Order { problem });
        }
    }

    fn check_numbers(&self, numbers: &mut Numbers<'_>) {
        for task in (0..self.len()).map(TaskId::from_index) {
            for (input, dependency) in self.inputs.row(task).iter().enumerate() {
                let place = || format!("task {}, input {input}", super::quoted(self.key(task)));
                numbers.check(*dependency, place);
            }
        }
        if let Outputs::Tasks(outputs) = &self.outputs {
            for output in outputs {
                numbers.check(*output, || "outputs".to_owned());
            }
        }
        for array in &self.arrays {
            for chunk in &array.grid {
                numbers.check(*chunk, || format!("array {}", super::quoted(&array.name)));
            }
        }
        for (task, _) in &self.attributes {
            numbers.check(*task, || "attributes".to_owned());
        }
    }

    /// One fault for each cycle that shares no task with one found before. Depth first along the
    /// inputs, with a stack of its own; a graph that is written in topological order needs none.
    fn push_cycles(&self, faults: &mut Vec<GraphError>) {
        let tasks = (0..self.len()).map(TaskId::from_index);
        let in_order = |task: TaskId| {
            self.inputs.row(task).iter().all(|input| *input < task || input.index() >= self.len())
        };
        if tasks.clone().all(in_order) {
            return;
        }
        let mut marks = vec![Mark::New; self.len()];
        let mut stack: Vec<(TaskId, usize)> = Vec::new();
        for root in tasks {
            if marks[root.index()] != Mark::New {
                continue;
            }
            marks[root.index()] = Mark::Open;
            stack.push((root, 0));
            while let Some((task, next)) = stack.last_mut() {
                let Some(input) = self.inputs.row(*task).get(*next).copied() else {
                    marks[task.index()] = Mark::Done;
                    stack.pop();
                    continue;
                };
                *next += 1;
                match marks.get(input.index()) {
                    Some(Mark::New) => {
                        marks[input.index()] = Mark::Open;
                        stack.push((input, 0));
                    }
                    Some(Mark::Open) => {
                        let begin = stack.iter().rposition(|(task, _)| *task == input);
                        let cycle = &stack[begin.expect("an open task is on the stack")..];
                        if cycle.iter().all(|(task, _)| marks[task.index()] == Mark::Open) {
                            faults.push(self.cycle_fault(cycle));
                            for (task, _) in cycle {
                                marks[task.index()] = Mark::Reported;
                            }
                        }
                    }
                    Some(Mark::Done | Mark::Reported) | None => {}
                }
            }
        }
    }

    fn cycle_fault(&self, cycle: &[(TaskId, usize)]) -> GraphError {
        let named = cycle.iter().take(NAMED_KEYS);
        GraphError::Cycle {
            keys: named.map(|(task, _)| self.key(*task).to_owned()).collect(),
            count: cycle.len(),
        }
    }

    /// Arrays and outputs are listed under their names side by side.
    fn push_name_clashes(&self, index: &KeyIndex, faults: &mut Vec<GraphError>) {
        let mut names: Vec<&str> = self.arrays.iter().map(|array| array.name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            let problem = "two arrays have this name".to_owned();
            faults.push(GraphError::Array { array: pair[0].to_owned(), problem });
        }
        names.dedup();
        let tasks: Vec<TaskId> =
            names.into_iter().filter_map(|name| index.find(&self.keys, name)).collect();
        if tasks.is_empty() {
            return;
        }
        let wanted = self.wanted();
        for task in tasks.into_iter().filter(|task| wanted[task.index()]) {
            let problem = "an output has the name of this array".to_owned();
            faults.push(GraphError::Array { array: self.key(task).to_owned(), problem });
        }
    }

    /// Which tasks are outputs.
    fn wanted(&self) -> Vec<bool> {
        let (mut wanted, marked, mark) = match &self.outputs {
            Outputs::Tasks(outputs) => (vec![false; self.len()], outputs, true),
            Outputs::Sinks => (vec![true; self.len()], &self.inputs.values, false),
        };
        for task in marked {
            // Numbers that no task has are faults of their own.
            if let Some(wanted) = wanted.get_mut(task.index()) {
                *wanted = mark;
            }
        }
        wanted
    }
}

/// Where the search for cycles is with a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// On the stack.
    Open,
    /// In a cycle that was reported.
    Reported,
    Done,
}

/// Checks task numbers against their limit.
struct Numbers<'a> {
    tasks: usize,
    unknown_reported: bool,
    faults: &'a mut Vec<GraphError>,
}

impl Numbers<'_> {
    fn check(&mut self, task: TaskId, place: impl FnOnce() -> String) {
        if task.index() < self.tasks || (self.unknown_reported && task == UNKNOWN) {
            return;
        }
        let (number, tasks) = (task.0, self.tasks);
        self.faults.push(GraphError::TaskNumber { place: place(), number, tasks });
    }
}

/// Offsets of `rows` rows in an array of `len` values.
fn check_offsets(
    table: &'static str,
    offsets: &[u64],
    rows: usize,
    len: usize,
    faults: &mut Vec<GraphError>,
) {
    let problem = if offsets.len() != rows + 1 {
        format!("{} offsets for {rows} tasks, one more than tasks is right", offsets.len())
    } else if offsets[0] != 0 {
        format!("the first offset is {}, not 0", offsets[0])
    } else if let Some(row) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
        format!("the offsets decrease at task number {row}")
    } else if offsets[rows] != len as u64 {
        format!("the last offset is {}, not {len}", offsets[rows])
    } else {
        return;
    };
    faults.push(GraphError::Layout { table, problem });
}

fn push_attribute_faults(key: &str, attributes: &Attributes, faults: &mut Vec<GraphError>) {
    let mut push = |attribute, problem: String| {
        faults.push(GraphError::Attribute { key: key.to_owned(), attribute, problem });
    };
    if attributes.threads == Some(0) {
        push("threads", "a task takes at least one thread".to_owned());
    }
    if attributes.timeout_ns == Some(0) {
        push("timeout", "a timeout is more than 0 seconds".to_owned());
    }
    let mut names: Vec<&str> = attributes.resources.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.first() == Some(&"") {
        push("resources", "a resource has no name".to_owned());
    }
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        push("resources", format!("the resource {} stands twice", super::quoted(pair[0])));
    }
    if attributes.workers.iter().any(String::is_empty) {
        push("workers", "a worker has no name".to_owned());
    }
    if attributes.hosts.iter().any(String::is_empty) {
        push("hosts", "a host has no name".to_owned());
    }
}

fn array_problem(array: &ArrayOutput) -> Option<String> {
    let ArrayOutput { name, shape, dtype: _, chunks, grid } = array;
    if name.is_empty() || name.len() > MAX_KEY_BYTES {
        return Some(format!("the name of an array has 1 to {MAX_KEY_BYTES} bytes"));
    }
    if shape.len() > MAX_AXES {
        return Some(format!("{} axes, {MAX_AXES} are possible", shape.len()));
    }
    if chunks.len() != shape.len() {
        return Some(format!("{} lists of chunks for {} axes", chunks.len(), shape.len()));
    }
    for (axis, (chunks, length)) in chunks.iter().zip(shape).enumerate() {
        let sum = chunks.iter().try_fold(0_u64, |sum, chunk| sum.checked_add(*chunk));
        match sum {
            Some(sum) if sum == *length => {}
            Some(sum) => {
                return Some(format!("the chunks of axis {axis} sum to {sum}, not {length}"));
            }
            None => return Some(format!("the chunks of axis {axis} sum to more than 2^64")),
        }
    }
    let expected = chunks.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.len()));
    if expected != Some(grid.len()) {
        let counts: Vec<String> = chunks.iter().map(|axis| axis.len().to_string()).collect();
        let counts = counts.join(" x ");
        return Some(format!("the grid holds {} tasks for {counts} chunks", grid.len()));
    }
    None
}

fn order_problem(order: &[u32], tasks: usize) -> Option<String> {
    if order.len() != tasks {
        return Some(format!("{} positions for {tasks} tasks", order.len()));
    }
    let mut seen = vec![false; tasks];
    for position in order {
        match seen.get_mut(*position as usize) {
            None => return Some(format!("position {position} in an order of {tasks} tasks")),
            Some(true) => return Some(format!("the position {position} stands twice")),
            Some(seen) => *seen = true,
        }
    }
    None
}

/// Looks for the nearest key, a limited number of times.
#[derive(Default)]
pub(super) struct Nearest {
    searches: u32,
}

impl Nearest {
    pub(super) fn key(&mut self, keys: &Keys, name: &str) -> Option<String> {
        if self.searches == NEAREST_SEARCHES {
            return None;
        }
        self.searches += 1;
        let all = (0..keys.len()).map(|task| keys.key(TaskId::from_index(task)));
        nearest(name, all).map(str::to_owned)
    }
}
