//! `map(expr)`: an expression over the inputs, compiled once for each combination of dtypes and run
//! blockwise in one pass over memory.
//!
//! ```text
//!   text ─ lexer ─ parser ─ literal ─▶ Expression ─ typing ─▶ TypedExpression ─ program ─▶ blocks
//!   (once, at parse)                   (once for each combination of dtypes)   (each run)
//! ```
//!
//! `joined` takes arithmetic together for the interpreter in `machine`; `vector` has one loop for
//! every other operation, `curves` the functions beyond arithmetic, `quotient` division of integers
//! by one number. Results do not depend on the block length, the number of threads or the vector
//! width.

mod clip;
pub(super) mod complex;
mod curves;
mod expression;
mod feed;
mod joined;
mod lexer;
mod literal;
mod loops;
mod machine;
mod parser;
mod program;
mod quotient;
pub(super) mod real;
#[cfg(test)]
mod tests;
mod time;
mod typing;
mod vector;

use super::Context;
use super::array::{Output, View, broadcast};
use super::fault::Outcome;
use super::params::{Read, Reader};
use super::simd::Level;
use super::table::{Entry, Inputs, entry, of_many, of_one};
use expression::{Expression, Node};
use program::Program;
use rdask_store::{DType, Sealed};
use std::sync::{Arc, PoisonError, RwLock};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("map", Inputs::Any, &["expr"], |reader| {
        let map = Map::parse(reader)?;
        Ok(of_many(move |context, inputs| map.run(context, inputs)))
    }),
    entry("clip", Inputs::Exactly(1), &["min", "max"], |reader| {
        let clip = clip::Clip::parse(reader)?;
        Ok(of_one(move |context, input| clip.run(context, input)))
    }),
];

/// Most compiled programs that one expression keeps: a graph uses one or two combinations of
/// dtypes.
const MOST_PROGRAMS: usize = 16;

/// `map(expr)`.
#[derive(Debug)]
pub(super) struct Map {
    expression: Expression,
    /// Inputs that the expression names, in order.
    used: Vec<usize>,
    programs: RwLock<Vec<(Vec<DType>, Arc<Program>)>>,
}

impl Map {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let text = reader.need("expr", reader.string("expr")?)?;
        let expression =
            parser::parse(text, reader.inputs).map_err(|problem| reader.bad("expr", problem))?;
        Ok(Self::of(expression))
    }

    /// A checked expression.
    fn of(expression: Expression) -> Self {
        let mut used: Vec<usize> = expression
            .nodes
            .iter()
            .filter_map(|node| if let Node::Input(index) = node { Some(*index) } else { None })
            .collect();
        used.sort_unstable();
        used.dedup();
        Self { expression, used, programs: RwLock::new(Vec::new()) }
    }

    pub(super) fn run(&self, context: &Context<'_>, inputs: &[View<'_>]) -> Outcome<Sealed> {
        let shapes: Vec<&[usize]> =
            self.used.iter().map(|index| inputs[*index].shape.as_slice()).collect();
        let shape = broadcast(&shapes)?;
        let program = self.program(inputs)?;
        let mut output = Output::new(context, program.dtype, &shape)?;
        program.run(inputs, &shape, output.bytes_mut(), (Level::best(), context.threads))?;
        output.seal()
    }

    /// dtype of the result.
    pub(super) fn dtype(&self, inputs: &[View<'_>]) -> Outcome<DType> {
        Ok(self.program(inputs)?.dtype)
    }

    /// Computes as many elements as `out` has room for, on inputs of as many, on this thread.
    pub(super) fn fill(&self, inputs: &[View<'_>], out: &mut [u8]) -> Outcome<()> {
        let program = self.program(inputs)?;
        let count = out.len() / program.dtype.size();
        program.run(inputs, &[count], out, (Level::best(), 1))
    }

    fn program(&self, inputs: &[View<'_>]) -> Outcome<Arc<Program>> {
        let dtypes: Vec<DType> = inputs.iter().map(|view| view.dtype).collect();
        // A list in a poisoned lock is whole: entries are only pushed.
        let programs = self.programs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, program)) = programs.iter().find(|(known, _)| *known == dtypes) {
            return Ok(program.clone());
        }
        drop(programs);
        let program = Arc::new(Program::new(typing::typed(&self.expression, &dtypes)?));
        let mut programs = self.programs.write().unwrap_or_else(PoisonError::into_inner);
        if programs.len() < MOST_PROGRAMS {
            programs.push((dtypes, program.clone()));
        }
        Ok(program)
    }
}
