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
use super::fused;
use super::loops::choose;
use super::typing::{Typed, TypedExpression};
use super::vector;
use crate::kernels::array::View;
use crate::kernels::cast::cast_at;
use crate::kernels::fault::Outcome;
use crate::kernels::parallel;
use crate::kernels::scalar::fill;
use crate::kernels::simd::Level;
use rdask_store::DType;

/// Bytes of a block of the largest dtype. Those of four inputs, the result and two registers fit a
/// first-level cache of 32 KiB; measured, 4 KiB beat 2, 8 and 16 KiB in and out of the cache.
const BLOCK_BYTES: usize = 4096;

/// Where an operand is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    Input(usize),
    Register(usize),
}

#[derive(Clone, Copy, Debug)]
struct Step {
    node: Typed,
    /// Operands in order; unused ones repeat the first.
    operands: [Slot; 4],
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
}

impl Program {
    /// Orders the nodes that the result needs and gives them registers.
    pub(super) fn new(mut typed: TypedExpression) -> Self {
        fused::join(&mut typed);
        let needed = needed(&typed);
        let mut last_use = vec![0; typed.nodes.len()];
        for (index, node) in typed.nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
            node.operands().for_each(|operand| last_use[operand] = index);
        }
        last_use[typed.result] = usize::MAX;
        let mut allocation = Allocation {
            slots: vec![Slot::Register(0); typed.nodes.len()],
            constant: vec![false; typed.nodes.len()],
            free: Vec::new(),
            registers: 0,
        };
        let mut program = Self {
            once: Vec::new(),
            steps: Vec::new(),
            registers: 0,
            used: Vec::new(),
            result: Slot::Register(0),
            dtype: typed.dtypes[typed.result],
            block: 0,
            largest: 1,
        };
        for (index, node) in typed.nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
            program.largest = program.largest.max(typed.dtypes[index].size());
            if let Typed::Input(input) = node {
                program.used.push(*input);
                allocation.slots[index] = Slot::Input(*input);
                continue;
            }
            let constant = node.operands().all(|operand| allocation.constant[operand]);
            allocation.constant[index] = constant;
            let target = allocation.take(constant);
            let mut slots = [Slot::Register(target); 4];
            let first = node.operands().next();
            if let Some(first) = first {
                slots = [allocation.slots[first]; 4];
            }
            for (slot, operand) in slots.iter_mut().zip(node.operands()) {
                *slot = allocation.slots[operand];
            }
            let to = typed.dtypes[index];
            let from = first.map_or(to, |operand| typed.dtypes[operand]);
            let step = Step { node: *node, operands: slots, from, to, target };
            if constant {
                program.once.push(step);
            } else {
                program.steps.push(step);
            }
            allocation.slots[index] = Slot::Register(target);
            let mut ended: Vec<usize> = node.operands().collect();
            ended.sort_unstable();
            ended.dedup();
            for operand in ended.into_iter().filter(|operand| last_use[*operand] == index) {
                allocation.release(operand);
            }
        }
        program.result = allocation.slots[typed.result];
        program.registers = allocation.registers;
        program.block = BLOCK_BYTES / program.largest;
        program
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

/// One thread's part of a run.
struct Run<'a> {
    program: &'a Program,
    level: Level,
    feeds: Vec<Option<Feed<'a>>>,
    registers: Vec<Room>,
    block: usize,
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
        Self { program, level, feeds, registers, block }
    }

    fn all(mut self, out: &mut [u8]) -> Outcome<()> {
        let program = self.program;
        let size = program.dtype.size();
        for step in &program.once {
            self.step(step, self.block.min(out.len() / size), None)?;
        }
        for out in out.chunks_mut(self.block * size) {
            let count = out.len() / size;
            for index in &program.used {
                if let Some(feed) = &mut self.feeds[*index] {
                    feed.load(count);
                }
            }
            // The last step makes the result, unless that is an input or a constant.
            match program.steps.split_last() {
                Some((last, others)) if Slot::Register(last.target) == program.result => {
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
            Slot::Register(index) => self.registers[index].bytes(),
        }
    }

    /// Computes `count` elements into the target register, or into `out` when it is given.
    fn step(&mut self, step: &Step, count: usize, out: Option<&mut [u8]>) -> Outcome<()> {
        if let Some(out) = out {
            return self.compute(step, count, out);
        }
        // No operand is in the target, so it can be taken out while the others are read.
        let mut target = std::mem::replace(&mut self.registers[step.target], Room::none());
        let result = self.compute(step, count, &mut target.bytes_mut()[..count * step.to.size()]);
        self.registers[step.target] = target;
        result
    }

    fn compute(&self, step: &Step, count: usize, out: &mut [u8]) -> Outcome<()> {
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
                vector::binary(level, function, dtype, operands, out)?;
            }
            Typed::Mixed(compare, _, _) => {
                vector::mixed(compare, read(0, DType::I64), read(1, DType::U64), out);
            }
            Typed::Where(dtype, ..) => {
                let chosen = [read(1, dtype), read(2, dtype)];
                choose(level, dtype.size(), read(0, DType::Bool), chosen, out);
            }
            Typed::Fused(function, dtype, _) => {
                let operands = [0, 1, 2, 3].map(|place| read(place, dtype));
                fused::run(function, dtype, level, operands, out);
            }
            // Inputs are no steps.
            Typed::Input(_) => {}
        }
        Ok(())
    }
}

struct Allocation {
    slots: Vec<Slot>,
    constant: Vec<bool>,
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
        if let (Slot::Register(register), false) = (self.slots[node], self.constant[node]) {
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
            typed.nodes[index].operands().for_each(|operand| needed[operand] = true);
        }
    }
    needed
}
