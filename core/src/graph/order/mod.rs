//! The static order: which task runs first when nothing else decides, so that few results live at
//! once (Dask's `dask.order`).
//!
//! Three rules, the first that applies:
//!
//! ```text
//!   forward   a task whose inputs are all there, when running it frees an input, or when it is one
//!             of few that wait for nothing but the task just done: run it, depth-first
//!   backward  walk from the goal towards its inputs, the input that needs most room first
//!   goal      the goal of the latest task that holds a finished input; else the cheapest goal left
//! ```
//!
//! The result is a topological numbering, the same for the same graph, made in O(E log V) without
//! recursion. A graph file may carry its own order instead.

use super::{Csr, Graph};
use crate::ids::TaskId;

/// A task with at most this many dependents runs those that wait for nothing else at once; with
/// more, such as the splits of a shuffle, each would add a live result. Array programs use a block 2 to 5 times.
const FEW_DEPENDENTS: usize = 8;

/// Position of each task in the static order; the graph's own order when it has one.
#[must_use]
pub fn static_order(graph: &Graph) -> Vec<u32> {
    match &graph.order {
        Some(order) => order.clone(),
        None => Walk::new(Edges::of(&graph.inputs)).run(),
    }
}

/// Both directions of the graph, every edge once.
struct Edges {
    inputs: Rows,
    dependents: Rows,
}

/// Rows of task numbers, as `Csr`, without duplicates.
struct Rows {
    offsets: Vec<usize>,
    values: Vec<u32>,
}

impl Rows {
    fn row(&self, task: u32) -> &[u32] {
        &self.values[self.offsets[task as usize]..self.offsets[task as usize + 1]]
    }
}

impl Edges {
    fn of(graph: &Csr) -> Self {
        let tasks = graph.rows();
        let mut inputs = Rows { offsets: Vec::with_capacity(tasks + 1), values: Vec::new() };
        inputs.values.reserve(graph.values.len());
        inputs.offsets.push(0);
        let mut offsets = vec![0_usize; tasks + 1];
        // Who took an input last: an input that stands twice in a row counts once.
        let mut taken_by = vec![u32::MAX; tasks];
        for task in 0..tasks {
            let task = TaskId::from_index(task);
            for input in graph.row(task) {
                if taken_by[input.index()] != task.0 {
                    taken_by[input.index()] = task.0;
                    inputs.values.push(input.0);
                    offsets[input.index() + 1] += 1;
                }
            }
            inputs.offsets.push(inputs.values.len());
        }
        for task in 0..tasks {
            offsets[task + 1] += offsets[task];
        }
        let mut next = offsets.clone();
        let mut values = vec![0; inputs.values.len()];
        for task in 0..tasks {
            let task = TaskId::from_index(task).0;
            for &input in inputs.row(task) {
                values[next[input as usize]] = task;
                next[input as usize] += 1;
            }
        }
        Self { inputs, dependents: Rows { offsets, values } }
    }

    /// Any topological order, inputs first.
    fn topological(&self, tasks: u32) -> Vec<u32> {
        let mut missing: Vec<usize> = (0..tasks).map(|t| self.inputs.row(t).len()).collect();
        let mut order: Vec<u32> = (0..tasks).filter(|t| missing[*t as usize] == 0).collect();
        let mut done = 0;
        while done < order.len() {
            for &dependent in self.dependents.row(order[done]) {
                missing[dependent as usize] -= 1;
                if missing[dependent as usize] == 0 {
                    order.push(dependent);
                }
            }
            done += 1;
        }
        order
    }
}

/// The state of the walk.
struct Walk {
    edges: Edges,
    /// Room that a task's cone needs when it is a tree, in results (Sethi and Ullman's number).
    room: Vec<u32>,
    /// Rank of the cheapest goal that a task leads to.
    goal_of: Vec<u32>,
    /// Tasks without dependents, cheapest first.
    goals: Vec<u32>,
    /// Inputs that are not done.
    missing: Vec<u32>,
    /// Dependents that are not done.
    waiting: Vec<u32>,
    /// Position of each task; `NOT_DONE` before it has one.
    position: Vec<u32>,
    next: u32,
    forward: Vec<u32>,
    /// Goals that got an input of theirs, the latest on top.
    touched: Vec<u32>,
    /// Reused between tasks.
    batch: Vec<u32>,
}

const NOT_DONE: u32 = u32::MAX;

impl Walk {
    fn new(edges: Edges) -> Self {
        let tasks = TaskId::from_index(edges.inputs.offsets.len() - 1).0;
        let order = edges.topological(tasks);
        let (room, size) = measures(&edges, &order);
        let mut goals: Vec<u32> =
            (0..tasks).filter(|task| edges.dependents.row(*task).is_empty()).collect();
        goals.sort_by_key(|goal| (size[*goal as usize], *goal));
        let mut goal_of = vec![u32::MAX; tasks as usize];
        for (rank, goal) in (0..).zip(&goals) {
            goal_of[*goal as usize] = rank;
        }
        for &task in order.iter().rev() {
            let dependents = edges.dependents.row(task);
            if let Some(rank) = dependents.iter().map(|d| goal_of[*d as usize]).min() {
                goal_of[task as usize] = rank;
            }
        }
        let count = |row: &[u32]| TaskId::from_index(row.len()).0;
        Self {
            missing: (0..tasks).map(|task| count(edges.inputs.row(task))).collect(),
            waiting: (0..tasks).map(|task| count(edges.dependents.row(task))).collect(),
            position: vec![NOT_DONE; tasks as usize],
            next: 0,
            forward: Vec::new(),
            touched: Vec::new(),
            batch: Vec::new(),
            edges,
            room,
            goal_of,
            goals,
        }
    }

    fn run(mut self) -> Vec<u32> {
        let mut cheapest = 0;
        loop {
            let goal = match self.touched.pop() {
                Some(rank) => self.goals[rank as usize],
                None if cheapest < self.goals.len() => {
                    cheapest += 1;
                    self.goals[cheapest - 1]
                }
                None => return self.position,
            };
            self.backward(goal);
        }
    }

    /// Does all that a goal needs, and the goal.
    fn backward(&mut self, goal: u32) {
        let mut stack = vec![goal];
        while let Some(&task) = stack.last() {
            if self.is_done(task) {
                stack.pop();
            } else if self.missing[task as usize] == 0 {
                stack.pop();
                self.finish(task);
                self.run_forward();
            } else {
                let start = stack.len();
                let inputs = self.edges.inputs.row(task);
                let open = inputs.iter().filter(|t| self.position[**t as usize] == NOT_DONE);
                stack.extend(open);
                // Most room first, which is on top; among equals the first of the graph.
                stack[start..].sort_by_key(|t| (self.room[*t as usize], u32::MAX - *t));
            }
        }
    }

    fn run_forward(&mut self) {
        while let Some(task) = self.forward.pop() {
            if !self.is_done(task) {
                self.finish(task);
            }
        }
    }

    fn is_done(&self, task: u32) -> bool {
        self.position[task as usize] != NOT_DONE
    }

    /// Gives a task its position and looks at what that makes possible.
    fn finish(&mut self, task: u32) {
        self.position[task as usize] = self.next;
        self.next += 1;
        self.batch.clear();
        for &input in self.edges.inputs.row(task) {
            self.waiting[input as usize] -= 1;
            if self.waiting[input as usize] == 1 {
                // The last dependent frees this input; looked for once for each input.
                let open = |it: &&u32| self.position[**it as usize] == NOT_DONE;
                let last = self.edges.dependents.row(input).iter().find(open);
                self.batch.extend(last.filter(|last| self.missing[**last as usize] == 0));
            }
        }
        let dependents = self.edges.dependents.row(task);
        let few = dependents.len() <= FEW_DEPENDENTS;
        for &dependent in dependents.iter().rev() {
            let missing = &mut self.missing[dependent as usize];
            *missing -= 1;
            if *missing > 0 {
                let rank = self.goal_of[dependent as usize];
                if self.touched.last() != Some(&rank) {
                    self.touched.push(rank);
                }
            } else if few && self.follows_alone(dependent, task) || self.frees(dependent) {
                self.batch.push(dependent);
            }
        }
        // What frees most is on top; among equals the first of the graph.
        let mut batch = std::mem::take(&mut self.batch);
        batch.sort_unstable();
        batch.dedup();
        batch.sort_by_cached_key(|t| (self.freed_count(*t), u32::MAX - *t));
        self.forward.extend_from_slice(&batch);
        self.batch = batch;
    }

    /// True when only `task` decides how long the inputs of `dependent` live: the others, such as
    /// weights of all blocks, stay for many more. Tiles of a product do not follow alone.
    fn follows_alone(&self, dependent: u32, task: u32) -> bool {
        self.edges
            .inputs
            .row(dependent)
            .iter()
            .all(|input| *input == task || self.edges.dependents.row(*input).len() > FEW_DEPENDENTS)
    }

    fn frees(&self, task: u32) -> bool {
        self.edges.inputs.row(task).iter().any(|input| self.waiting[*input as usize] == 1)
    }

    fn freed_count(&self, task: u32) -> usize {
        let inputs = self.edges.inputs.row(task).iter();
        inputs.filter(|input| self.waiting[**input as usize] == 1).count()
    }
}

/// Room and size of each task's cone, counted as if it were a tree.
fn measures(edges: &Edges, order: &[u32]) -> (Vec<u32>, Vec<u64>) {
    let mut room = vec![0_u32; order.len()];
    let mut size = vec![0_u64; order.len()];
    let mut rooms = Vec::new();
    for &task in order {
        let inputs = edges.inputs.row(task);
        let below = inputs.iter().fold(0_u64, |sum, t| sum.saturating_add(size[*t as usize]));
        size[task as usize] = below.saturating_add(1);
        rooms.clear();
        rooms.extend(inputs.iter().map(|input| room[*input as usize]));
        rooms.sort_unstable_by(|left, right| right.cmp(left));
        let need = (0_u32..).zip(&rooms).map(|(held, need)| need.saturating_add(held)).max();
        room[task as usize] = need.unwrap_or(0).max(1);
    }
    (room, size)
}

#[cfg(test)]
mod tests;
