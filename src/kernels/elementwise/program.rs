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

use super::typing::{Typed, TypedExpression};
use super::vector;
use crate::kernels::array::{View, broadcast_strides};
use crate::kernels::cast::cast;
use crate::kernels::fault::Outcome;
use crate::kernels::scalar::{Element, fill};
use crate::kernels::strided::Walk;
use rdask_store::DType;

/// Bytes of a register: four of them and the inputs' blocks fit a second-level cache, and two or
/// three the first.
const REGISTER_BYTES: usize = 8192;

/// Where an operand is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    Input(usize),
    Register(usize),
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Fill(DType, Element),
    Compute(Typed),
}

#[derive(Clone, Copy, Debug)]
struct Step {
    action: Action,
    /// Operands in order; unused ones repeat the first.
    operands: [Slot; 3],
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
}

impl Program {
    /// Orders the nodes that the result needs and gives them registers.
    pub(super) fn new(typed: &TypedExpression) -> Self {
        let needed = needed(typed);
        let mut last_use = vec![0; typed.nodes.len()];
        for (index, node) in typed.nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
            operands(*node).for_each(|operand| last_use[operand] = index);
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
        };
        let mut largest = 1;
        for (index, node) in typed.nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
            largest = largest.max(typed.dtypes[index].size());
            if let Typed::Input(input) = node {
                program.used.push(*input);
                allocation.slots[index] = Slot::Input(*input);
                continue;
            }
            let constant = operands(*node).all(|operand| allocation.constant[operand]);
            allocation.constant[index] = constant;
            let target = allocation.take(constant);
            let mut slots = [Slot::Register(target); 3];
            for (slot, operand) in slots.iter_mut().zip(operands(*node)) {
                *slot = allocation.slots[operand];
            }
            let first = operands(*node).next();
            let action = match node {
                Typed::Const(dtype, element) => Action::Fill(*dtype, *element),
                other => Action::Compute(*other),
            };
            let to = typed.dtypes[index];
            let from = first.map_or(to, |operand| typed.dtypes[operand]);
            let step = Step { action, operands: slots, from, to, target };
            if constant {
                program.once.push(step);
            } else {
                program.steps.push(step);
            }
            allocation.slots[index] = Slot::Register(target);
            let mut ended: Vec<usize> = operands(*node).collect();
            ended.dedup();
            for operand in ended.into_iter().filter(|operand| last_use[*operand] == index) {
                allocation.release(operand);
            }
        }
        program.result = allocation.slots[typed.result];
        program.registers = allocation.registers;
        program.block = REGISTER_BYTES / largest;
        program
    }

    /// Computes all elements of `out`, whose shape is `shape`.
    ///
    /// # Errors
    /// What an operation refuses because of its data.
    pub(super) fn run(&self, inputs: &[View<'_>], shape: &[usize], out: &mut [u8]) -> Outcome<()> {
        let size = self.dtype.size();
        let total = out.len() / size;
        let block = self.block.min(total);
        if block == 0 {
            return Ok(());
        }
        let mut feeds: Vec<Option<Feed<'_>>> = inputs.iter().map(|_| None).collect();
        for index in &self.used {
            feeds[*index] = Some(Feed::new(&inputs[*index], shape, block));
        }
        // Registers are made of words so that every dtype is aligned.
        let mut registers = vec![vec![0_u64; REGISTER_BYTES / 8]; self.registers];
        for step in &self.once {
            step.run(&feeds, &mut registers, block, None)?;
        }
        for out in out.chunks_mut(block * size) {
            let count = out.len() / size;
            for index in &self.used {
                if let Some(feed) = &mut feeds[*index] {
                    feed.load(count);
                }
            }
            let Some((last, others)) = self.steps.split_last() else {
                out.copy_from_slice(&operand(self.result, &feeds, &registers)[..out.len()]);
                continue;
            };
            for step in others {
                step.run(&feeds, &mut registers, count, None)?;
            }
            // The last step makes the result, unless that is an input or a constant.
            if Slot::Register(last.target) == self.result {
                last.run(&feeds, &mut registers, count, Some(out))?;
            } else {
                out.copy_from_slice(&operand(self.result, &feeds, &registers)[..out.len()]);
            }
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
            operands(typed.nodes[index]).for_each(|operand| needed[operand] = true);
        }
    }
    needed
}

fn operands(node: Typed) -> impl Iterator<Item = usize> {
    let (all, count) = match node {
        Typed::Const(..) | Typed::Input(_) => ([0; 3], 0),
        Typed::Cast(_, x) | Typed::Unary(_, _, x) => ([x, 0, 0], 1),
        Typed::Binary(_, _, x, y) | Typed::Mixed(_, x, y) => ([x, y, 0], 2),
        Typed::Where(_, condition, x, y) => ([condition, x, y], 3),
    };
    all.into_iter().take(count)
}

fn operand<'a>(slot: Slot, feeds: &'a [Option<Feed<'_>>], registers: &'a [Vec<u64>]) -> &'a [u8] {
    match slot {
        Slot::Input(index) => feeds[index].as_ref().map_or(&[], Feed::bytes),
        Slot::Register(index) => bytemuck::cast_slice(&registers[index]),
    }
}

impl Step {
    /// Computes `count` elements into the target register, or into `out` when it is given.
    fn run(
        &self,
        feeds: &[Option<Feed<'_>>],
        registers: &mut [Vec<u64>],
        count: usize,
        out: Option<&mut [u8]>,
    ) -> Outcome<()> {
        // No operand is in the target, so it can be taken out while the others are read.
        let mut target = std::mem::take(&mut registers[self.target]);
        let out = match out {
            Some(out) => out,
            None => &mut bytemuck::cast_slice_mut(&mut target)[..count * self.to.size()],
        };
        let read = |place: usize, dtype: DType| {
            &operand(self.operands[place], feeds, registers)[..count * dtype.size()]
        };
        let result = match self.action {
            Action::Fill(dtype, element) => {
                fill(out, &element, dtype.size());
                Ok(())
            }
            Action::Compute(node) => match node {
                Typed::Cast(to, _) => {
                    cast(self.from, read(0, self.from), to, out);
                    Ok(())
                }
                Typed::Unary(function, dtype, _) => {
                    vector::unary(function, dtype, read(0, dtype), out);
                    Ok(())
                }
                Typed::Binary(function, dtype, _, _) => {
                    vector::binary(function, dtype, read(0, dtype), read(1, dtype), out)
                }
                Typed::Mixed(compare, _, _) => {
                    vector::mixed(compare, read(0, DType::I64), read(1, DType::U64), out);
                    Ok(())
                }
                Typed::Where(dtype, ..) => {
                    let condition = read(0, DType::Bool);
                    vector::choose(dtype.size(), condition, read(1, dtype), read(2, dtype), out);
                    Ok(())
                }
                // Constants are `Fill`s and inputs are no steps.
                Typed::Const(..) | Typed::Input(_) => Ok(()),
            },
        };
        registers[self.target] = target;
        result
    }
}

/// Gives the blocks of one input, one behind the other.
struct Feed<'a> {
    source: &'a [u8],
    size: usize,
    kind: FeedKind,
}

enum FeedKind {
    /// The result's elements are the input's: blocks are borrowed.
    Direct { start: usize, end: usize },
    /// One element, repeated once and for all.
    Repeated { buffer: Vec<u64> },
    /// Rows of the innermost axis are gathered.
    Rows { buffer: Vec<u64>, walk: Walk, length: usize, stride: usize, done: usize },
}

impl<'a> Feed<'a> {
    fn new(view: &View<'a>, shape: &[usize], block: usize) -> Self {
        let size = view.dtype.size();
        let words = (block * size).div_ceil(8);
        let kind = if view.len() == shape.iter().product::<usize>() {
            FeedKind::Direct { start: 0, end: 0 }
        } else if view.len() == 1 {
            let mut buffer = vec![0_u64; words];
            let mut element = [0; 16];
            element[..size].copy_from_slice(view.bytes);
            fill(&mut bytemuck::cast_slice_mut(&mut buffer)[..block * size], &element, size);
            FeedKind::Repeated { buffer }
        } else {
            let strides = broadcast_strides(&view.shape, shape);
            // Axes of length one say nothing; here at least one is longer.
            let (shape, strides): (Vec<usize>, Vec<isize>) =
                shape.iter().zip(strides).filter(|(length, _)| **length != 1).unzip();
            let mut inner = shape.len() - 1;
            let (mut length, stride) = (shape[inner], strides[inner]);
            // Trailing axes that are repeated, or not, alike make one row.
            while inner > 0 && strides[inner - 1] == stride * length as isize {
                inner -= 1;
                length *= shape[inner];
            }
            FeedKind::Rows {
                buffer: vec![0; words],
                walk: Walk::new(&shape[..inner], &strides[..inner], 0),
                length,
                stride: stride as usize,
                done: 0,
            }
        };
        Self { source: view.bytes, size, kind }
    }

    /// Goes on to the next `count` elements.
    fn load(&mut self, count: usize) {
        let size = self.size;
        match &mut self.kind {
            FeedKind::Direct { start, end } => {
                *start = *end;
                *end += count * size;
            }
            FeedKind::Repeated { .. } => {}
            FeedKind::Rows { buffer, walk, length, stride, done } => {
                let mut rest = &mut bytemuck::cast_slice_mut(buffer)[..count * size];
                while !rest.is_empty() {
                    let taken = (*length - *done).min(rest.len() / size);
                    let (part, behind) = rest.split_at_mut(taken * size);
                    let from = (walk.position() + *done * *stride) * size;
                    if *stride == 0 {
                        let mut element = [0; 16];
                        element[..size].copy_from_slice(&self.source[from..from + size]);
                        fill(part, &element, size);
                    } else {
                        part.copy_from_slice(&self.source[from..from + taken * size]);
                    }
                    rest = behind;
                    *done += taken;
                    if *done == *length {
                        *done = 0;
                        walk.advance();
                    }
                }
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.kind {
            FeedKind::Direct { start, end } => &self.source[*start..*end],
            FeedKind::Repeated { buffer } | FeedKind::Rows { buffer, .. } => {
                bytemuck::cast_slice(buffer)
            }
        }
    }
}
