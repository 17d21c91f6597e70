//! Specs of the real kernels that several families use, and square matrices in tiles.

use super::GenerateError;
use super::knobs::Knob;
use super::plan::{Plan, check_output};
use super::weaver::{Axis, Weaver};
use crate::{Param, RunSpec, TaskHandle};

/// A kernel without parameters.
pub(super) fn kernel(name: &str) -> RunSpec {
    RunSpec::kernel::<&str>(name, [])
}

/// An expression.
pub(super) fn map(expr: &str) -> RunSpec {
    RunSpec::kernel("map", [("expr", expr.into())])
}

/// Several kernels as one task: each with the names of its inputs, `a`, `b`, … for the task's own
/// and then the steps in their order.
pub(super) fn fuse<const N: usize>(steps: [(RunSpec, &[&str]); N]) -> RunSpec {
    let step = |(spec, inputs): (RunSpec, &[&str])| {
        let named = [("kernel", spec.name().into()), ("inputs", inputs.to_vec().into())];
        let named = named.map(|(field, value)| (field.to_owned(), value));
        Param::Map(named.into_iter().chain(spec.params().iter().cloned()).collect())
    };
    RunSpec::kernel("fuse", [("steps", Vec::from(steps.map(step)).into())])
}

/// Random numbers from 0 to 1, f64. Tile `number` has the plan's seed plus its number as seed, so
/// that each can be made again alone.
pub(super) fn random(plan: &Plan, number: u64, shape: [u64; 2]) -> RunSpec {
    let shape: Param = shape.to_vec().into();
    let seed = plan.seed.wrapping_add(number).into();
    RunSpec::kernel("random", [("shape", shape), ("dtype", "f64".into()), ("seed", seed)])
}

/// An f64 array of one value.
pub(super) fn full(shape: [u64; 2], value: f64) -> RunSpec {
    let shape: Param = shape.to_vec().into();
    RunSpec::kernel("full", [("shape", shape), ("dtype", "f64".into()), ("value", value.into())])
}

/// A part of an array: `[start, stop]` for each axis.
pub(super) fn part(rows: [u64; 2], columns: [u64; 2]) -> RunSpec {
    let ranges: Param = [rows, columns].map(|range| range.to_vec()).to_vec().into();
    RunSpec::kernel("slice", [("ranges", ranges)])
}

/// How a square matrix of n rows is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Square {
    /// Rows.
    pub(super) n: u64,
    /// Rows of a tile.
    pub(super) block: u64,
    /// Tiles along each axis.
    pub(super) tiles: usize,
}

impl Square {
    /// From `--n` and `--block`.
    pub(super) fn new(plan: &Plan) -> Result<Self, GenerateError> {
        let tiles = plan.tiles(Knob::N, Knob::Block)?;
        let (n, block) = (plan.knobs[Knob::N], plan.knobs[Knob::Block]);
        check_output(block, block)?;
        Ok(Self { n, block, tiles: tiles as usize })
    }

    /// Tiles along each axis, for estimates.
    pub(super) fn wide(self) -> u128 {
        self.tiles as u128
    }

    /// A tile for each place, in C order.
    pub(super) fn each(self, mut tile: impl FnMut(usize, usize) -> TaskHandle) -> Grid {
        let places = (0..self.tiles * self.tiles).map(|at| (at / self.tiles, at % self.tiles));
        Grid { tiles: self.tiles, tasks: places.map(|(i, j)| tile(i, j)).collect() }
    }

    /// Random numbers in each place; the first tile has number `first`.
    pub(super) fn random(self, plan: &Plan, weaver: &mut Weaver, name: &str, first: usize) -> Grid {
        self.each(|i, j| {
            let number = (first + i * self.tiles + j) as u64;
            let spec = random(plan, number, [self.block, self.block]);
            weaver.add(format_args!("{name}-{i}-{j}"), &spec, &[])
        })
    }

    /// Makes a matrix a result of the graph.
    pub(super) fn result(self, weaver: &mut Weaver, name: &str, grid: &Grid) {
        let axis = Axis { tiles: self.tiles as u64, length: self.block };
        weaver.result(name, [axis, axis], &grid.tasks);
    }
}

/// The tasks that make the tiles of a matrix, replaced as the algorithm goes on.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    tiles: usize,
    tasks: Vec<TaskHandle>,
}

impl Grid {
    /// Tiles along each axis.
    pub(super) const fn tiles(&self) -> usize {
        self.tiles
    }

    /// The task of a tile.
    pub(super) fn at(&self, i: usize, j: usize) -> TaskHandle {
        self.tasks[i * self.tiles + j]
    }

    /// Another task for a tile.
    pub(super) fn set(&mut self, i: usize, j: usize, task: TaskHandle) {
        self.tasks[i * self.tiles + j] = task;
    }

    /// All tasks in C order.
    pub(super) fn into_tasks(self) -> Vec<TaskHandle> {
        self.tasks
    }
}
