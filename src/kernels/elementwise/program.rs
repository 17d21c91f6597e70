//! A typed expression as a register program, and its run over blocks.
//!
//! ```text
//!   inputs ──▶ block of each input ──▶ step ──▶ step ──▶ … ──▶ block of the result
//!              (borrowed, gathered      registers of one block each,
//!               or one value repeated)  all in the first- or second-level cache
//! ```
//!
//! Memory is passed once whatever the number of operations. What depends on constants alone is
//! computed once, on one block, before the first.

use super::feed::{Feed, Room};
use super::joined::{self, Joined};
use super::loops::choose;
use super::machine::{self, Operand, TILE_BYTES};
use super::quotient;
use super::typing::{Typed, TypedExpression};
use super::vector;
use crate::kernels::array::View;
use crate::kernels::cast::cast_at;
use crate::kernels::fault::Outcome;
use crate::kernels::parallel;
use crate::kernels::scalar::fill;
use crate::kernels::simd::{Level, Packed};
use rdask_store::DType;

/// Bytes of a block of the largest dtype. Those of four inputs, the result and two registers fit a
/// first-level cache of 32 KiB; measured, 4 KiB beat 2, 8 and 16 KiB in and out of the cache.
const BLOCK_BYTES: usize = 4096;

/// Operands of joined operations that are few.
const FEW: usize = 8;

/// Where an operand is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    Input(usize),
    Register(usize),
    /// A register whose elements are all alike.
    Constant(usize),
}

#[derive(Debug)]
struct Step {
    node: Typed,
    /// Operands in order.
    operands: Vec<Slot>,
    /// dtype of the first operand, for casts.
    from: DType,
    /// dtype of the result.
    to: DType,
    /// The register that takes the result.
    target: usize,
}

/// A compiled expression for inputs of certain dtypes. Shapes are not part of it.
#[derive(Debug)]
pub(super) struct Program {
    once: Vec<Step>,
    steps: Vec<Step>,
    registers: usize,
    /// Inputs that steps read.
    used: Vec<usize>,
    result: Slot,
    /// dtype of the result.
    pub(super) dtype: DType,
    /// Elements of a block.
    block: usize,
    /// Bytes of the largest element.
    largest: usize,
    /// What the steps with joined operations do.
    joined: Vec<Joined>,
}

impl Program {
    /// Orders the nodes that the result needs and gives them registers.
    pub(super) fn new(mut typed: TypedExpression) -> Self {
        joined::join(&mut typed);
        let needed = needed(&typed);
        let mut last_use = vec![0; typed.nodes.len()];
        for index in (0..typed.nodes.len()).filter(|index| needed[*index]) {
            typed.operands(index).into_iter().for_each(|operand| last_use[operand] = index);
        }
        last_use[typed.result] = usize::MAX;
        let mut allocation = Allocation {
            slots: vec![Slot::Register(0); typed.nodes.len()],
            free: Vec::new(),
            registers: 0,
        };
        let (mut once, mut steps) = (Vec::new(), Vec::new());
        let mut used = Vec::new();
        let mut largest = 1;
        for index in (0..typed.nodes.len()).filter(|index| needed[*index]) {
            largest = largest.max(typed.dtypes[index].size());
            let node = typed.nodes[index];
            if let Typed::Input(input) = node {
                used.push(input);
                allocation.slots[index] = Slot::Input(input);
                continue;
            }
            let mut operands = typed.operands(index);
            let slots: Vec<Slot> =
                operands.iter().map(|operand| allocation.slots[*operand]).collect();
            let constant = slots.iter().all(|slot| matches!(slot, Slot::Constant(_)));
            let target = allocation.take(constant);
            let to = typed.dtypes[index];
            let from = operands.first().map_or(to, |operand| typed.dtypes[*operand]);
            let step = Step { node, operands: slots, from, to, target };
            if constant { &mut once } else { &mut steps }.push(step);
            allocation.slots[index] =
                if constant { Slot::Constant(target) } else { Slot::Register(target) };
            operands.sort_unstable();
            operands.dedup();
            for operand in operands.into_iter().filter(|operand| last_use[*operand] == index) {
                allocation.release(operand);
            }
        }
        Self {
            once,
            steps,
            registers: allocation.registers,
            used,
            result: allocation.slots[typed.result],
            dtype: typed.dtypes[typed.result],
            block: BLOCK_BYTES / largest,
            largest,
            joined: typed.joined,
        }
    }

    /// Computes all elements of `out`, whose shape is `shape`, on so many threads. Neither their
    /// number nor the level changes a bit.
    ///
    /// # Errors
    /// What an operation refuses because of its data.
    pub(super) fn run(
        &self,
        inputs: &[View<'_>],
        shape: &[usize],
        out: &mut [u8],
        (level, threads): (Level, u32),
    ) -> Outcome<()> {
        let size = self.dtype.size();
        let block = self.block.min(out.len() / size);
        parallel::rows(out, block * size, threads, |first, out| {
            Run::new((self, level), inputs, shape, first * block, block).all(out)
        })
    }
}

impl Program {
    /// Whether one step reads inputs where they are and writes the result, so that blocks would
    /// only cost. Joined operations take repeated elements too.
    fn is_single(&self, feeds: &[Option<Feed<'_>>]) -> bool {
        let [step] = self.steps.as_slice() else { return false };
        let joined = matches!(step.node, Typed::Joined(_));
        self.result == Slot::Register(step.target)
            && step.operands.iter().all(|slot| match slot {
                Slot::Input(index) => feeds[*index]
                    .as_ref()
                    .is_some_and(|feed| feed.is_direct() || (joined && feed.is_repeated())),
                Slot::Constant(_) => joined,
                Slot::Register(_) => false,
            })
    }
}

/// One thread's part of a run.
struct Run<'a> {
    program: &'a Program,
    level: Level,
    feeds: Vec<Option<Feed<'a>>>,
    registers: Vec<Room>,
    /// What joined operations do, by their numbers.
    joined: Vec<Vec<machine::Step>>,
    /// Tiles that joined operations set aside.
    aside: Room,
    /// Elements that are repeated in a constant.
    block: usize,
    /// Elements computed at once.
    stride: usize,
}

impl<'a> Run<'a> {
    /// From element `first` of the result on, `block` elements at once.
    fn new(
        (program, level): (&'a Program, Level),
        inputs: &[View<'a>],
        shape: &[usize],
        first: usize,
        block: usize,
    ) -> Self {
        let mut feeds: Vec<Option<Feed<'_>>> = inputs.iter().map(|_| None).collect();
        for index in &program.used {
            feeds[*index] = Some(Feed::new(&inputs[*index], shape, first, block));
        }
        let room = block * program.largest;
        let registers = (0..program.registers).map(|_| Room::new(room)).collect();
        let tiles = program.joined.iter().map(|joined| joined.aside).max().unwrap_or(0);
        let aside = if tiles == 0 { Room::none() } else { Room::new(tiles * TILE_BYTES) };
        let stride = if program.is_single(&feeds) { usize::MAX / 16 } else { block };
        let joined = vec![Vec::new(); program.joined.len()];
        let mut run = Self { program, level, feeds, registers, joined, aside, block, stride };
        for step in program.once.iter().chain(&program.steps) {
            if let Typed::Joined(number) = step.node {
                run.joined[number] = machine::steps(&program.joined[number].code, |operand| {
                    run.is_repeated(step.operands[operand])
                });
            }
        }
        run
    }

    fn all(mut self, out: &mut [u8]) -> Outcome<()> {
        let program = self.program;
        let size = program.dtype.size();
        for step in &program.once {
            self.step(step, self.block.min(out.len() / size), None)?;
        }
        for out in out.chunks_mut(self.stride * size) {
            let count = out.len() / size;
            for index in &program.used {
                if let Some(feed) = &mut self.feeds[*index] {
                    feed.load(count);
                }
            }
            // The last step makes the result, unless that is an input or a constant.
            match program.steps.split_last() {
                Some((last, others)) if program.result == Slot::Register(last.target) => {
                    for step in others {
                        self.step(step, count, None)?;
                    }
                    self.step(last, count, Some(out))?;
                }
                _ => out.copy_from_slice(&self.operand(program.result)[..out.len()]),
            }
        }
        Ok(())
    }

    fn operand(&self, slot: Slot) -> &[u8] {
        match slot {
            Slot::Input(index) => self.feeds[index].as_ref().map_or(&[], Feed::bytes),
            Slot::Register(index) | Slot::Constant(index) => self.registers[index].bytes(),
        }
    }

    /// Whether all elements of an operand are alike.
    fn is_repeated(&self, slot: Slot) -> bool {
        match slot {
            Slot::Constant(_) => true,
            Slot::Input(index) => self.feeds[index].as_ref().is_some_and(Feed::is_repeated),
            Slot::Register(_) => false,
        }
    }

    /// Computes `count` elements into the target register, or into `out` when it is given.
    fn step(&mut self, step: &Step, count: usize, out: Option<&mut [u8]>) -> Outcome<()> {
        let mut aside = std::mem::replace(&mut self.aside, Room::none());
        let result = if let Some(out) = out {
            self.compute(step, count, &mut aside, out)
        } else {
            // No operand is in the target, so it can be taken out while the others are read.
            let mut target = std::mem::replace(&mut self.registers[step.target], Room::none());
            let out = &mut target.bytes_mut()[..count * step.to.size()];
            let result = self.compute(step, count, &mut aside, out);
            self.registers[step.target] = target;
            result
        };
        self.aside = aside;
        result
    }

    fn compute(&self, step: &Step, count: usize, aside: &mut Room, out: &mut [u8]) -> Outcome<()> {
        let level = self.level;
        let read = |place: usize, dtype: DType| {
            &self.operand(step.operands[place])[..count * dtype.size()]
        };
        match step.node {
            Typed::Const(dtype, element) => fill(out, &element, dtype.size()),
            Typed::Cast(to, _) => cast_at(level, step.from, read(0, step.from), to, out),
            Typed::Unary(function, dtype, _) => {
                vector::unary(level, function, dtype, read(0, dtype), out);
            }
            Typed::Binary(function, dtype, _, _) => {
                let operands = [read(0, dtype), read(1, dtype)];
                if self.is_repeated(step.operands[1]) {
                    let divisor = &operands[1][..dtype.size().min(operands[1].len())];
                    let operands = [operands[0], divisor];
                    if !divisor.is_empty()
                        && quotient::by_one(level, function, dtype, operands, out)
                    {
                        return Ok(());
                    }
                }
                vector::binary(level, function, dtype, operands, out)?;
            }
            Typed::Mixed(compare, _, _) => {
                vector::mixed(compare, read(0, DType::I64), read(1, DType::U64), out);
            }
            Typed::Where(dtype, ..) => {
                let chosen = [read(1, dtype), read(2, dtype)];
                choose(level, dtype.size(), read(0, DType::Bool), chosen, out);
            }
            Typed::Joined(number) => {
                let joined = &self.program.joined[number];
                let slots = &step.operands;
                match joined.dtype {
                    DType::F32 => self.joined::<f32>(number, slots, aside, out),
                    DType::F64 => self.joined::<f64>(number, slots, aside, out),
                    DType::I32 | DType::U32 => self.joined::<i32>(number, slots, aside, out),
                    // No other dtypes are joined.
                    _ => self.joined::<i64>(number, slots, aside, out),
                }
            }
            // Inputs are no steps.
            Typed::Input(_) => {}
        }
        Ok(())
    }

    /// Runs joined operations.
    fn joined<T: Packed>(&self, number: usize, slots: &[Slot], aside: &mut Room, out: &mut [u8]) {
        let operand = |slot: &Slot| {
            Operand::new(bytemuck::cast_slice(self.operand(*slot)), self.is_repeated(*slot))
        };
        let out = bytemuck::cast_slice_mut(out);
        let aside = bytemuck::cast_slice_mut(aside.bytes_mut());
        // A block takes less than a microsecond, so few operands need no memory of their own.
        let mut few = [Operand::<T>::new(&[], false); FEW];
        let mut many: Vec<Operand<'_, T>>;
        let operands = if let Some(operands) = few.get_mut(..slots.len()) {
            operands.iter_mut().zip(slots).for_each(|(place, slot)| *place = operand(slot));
            operands
        } else {
            many = slots.iter().map(operand).collect();
            &mut many
        };
        machine::run(self.level, &self.joined[number], operands, aside, out);
    }
}

struct Allocation {
    slots: Vec<Slot>,
    free: Vec<usize>,
    registers: usize,
}

impl Allocation {
    /// A register; constants get one for ever.
    fn take(&mut self, constant: bool) -> usize {
        if !constant && let Some(register) = self.free.pop() {
            return register;
        }
        self.registers += 1;
        self.registers - 1
    }

    fn release(&mut self, node: usize) {
        if let Slot::Register(register) = self.slots[node] {
            self.free.push(register);
        }
    }
}

/// Which nodes the result depends on.
fn needed(typed: &TypedExpression) -> Vec<bool> {
    let mut needed = vec![false; typed.nodes.len()];
    needed[typed.result] = true;
    for index in (0..typed.nodes.len()).rev().filter(|index| *index <= typed.result) {
        if needed[index] {
            typed.operands(index).into_iter().for_each(|operand| needed[operand] = true);
        }
    }
    needed
}
