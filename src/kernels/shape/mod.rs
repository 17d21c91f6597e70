//! Kernels that move elements without changing them: transpose to squeeze.
//!
//! Everything works on item sizes, so every dtype is moved alike. A result is either one layout of
//! one input (`strided::gather`: transpose, slice, flip, broadcast_to), boxes put side by side
//! (`pieces`: concatenate, stack, block, pad, roll), chosen runs (take), or the same bytes under
//! another shape. Large results are written by all threads that a task asks for, each its own rows.

mod axes;
mod join;
mod pad;
mod permute;
mod pieces;
mod reshape;
mod roll;
mod slice;
mod take;

use super::Context;
use super::array::{Output, View};
use super::fault::Outcome;
use super::parallel;
use super::strided::{Layout, gather};
use super::table::{Entry, Inputs, entry, of_many, of_one};
use rdask_store::Sealed;

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("transpose", Inputs::Exactly(1), &["axes"], |reader| {
        let transpose = permute::Transpose::parse(reader)?;
        Ok(of_one(move |context, input| transpose.run(context, input)))
    }),
    entry("reshape", Inputs::Exactly(1), &["shape"], |reader| {
        let reshape = reshape::Reshape::parse(reader)?;
        Ok(of_one(move |context, input| reshape.run(context, input)))
    }),
    entry("slice", Inputs::Exactly(1), &["ranges"], |reader| {
        let slice = slice::Slice::parse(reader)?;
        Ok(of_one(move |context, input| slice.run(context, input)))
    }),
    entry("take", Inputs::Exactly(1), &["axis", "indices"], |reader| {
        let take = take::Take::parse(reader)?;
        Ok(of_one(move |context, input| take.run(context, input)))
    }),
    entry("concatenate", Inputs::AtLeast(1), &["axis"], |reader| {
        let concatenate = join::Concatenate::parse(reader)?;
        Ok(of_many(move |context, inputs| concatenate.run(context, inputs)))
    }),
    entry("stack", Inputs::AtLeast(1), &["axis"], |reader| {
        let stack = join::Stack::parse(reader)?;
        Ok(of_many(move |context, inputs| stack.run(context, inputs)))
    }),
    entry("block", Inputs::AtLeast(1), &["grid"], |reader| {
        let block = join::Block::parse(reader)?;
        Ok(of_many(move |context, inputs| block.run(context, inputs)))
    }),
    entry("broadcast_to", Inputs::Exactly(1), &["shape"], |reader| {
        let broadcast = reshape::BroadcastTo::parse(reader)?;
        Ok(of_one(move |context, input| broadcast.run(context, input)))
    }),
    entry("pad", Inputs::Exactly(1), &["widths", "value"], |reader| {
        let pad = pad::Pad::parse(reader)?;
        Ok(of_one(move |context, input| pad.run(context, input)))
    }),
    entry("flip", Inputs::Exactly(1), &["axis"], |reader| {
        let flip = permute::Flip::parse(reader)?;
        Ok(of_one(move |context, input| flip.run(context, input)))
    }),
    entry("roll", Inputs::Exactly(1), &["shift", "axis"], |reader| {
        let roll = roll::Roll::parse(reader)?;
        Ok(of_one(move |context, input| roll.run(context, input)))
    }),
    entry("expand_dims", Inputs::Exactly(1), &["axis"], |reader| {
        let expand = reshape::ExpandDims::parse(reader)?;
        Ok(of_one(move |context, input| expand.run(context, input)))
    }),
    entry("squeeze", Inputs::Exactly(1), &["axis"], |reader| {
        let squeeze = reshape::Squeeze::parse(reader)?;
        Ok(of_one(move |context, input| squeeze.run(context, input)))
    }),
];

/// The elements of the input at the places of a layout.
fn arranged(context: &Context<'_>, input: &View<'_>, layout: &Layout) -> Outcome<Sealed> {
    let size = input.dtype.size();
    let mut output = Output::new(context, input.dtype, &layout.shape)?;
    // Threads share the first axis that is longer than one.
    let axis = layout.shape.iter().position(|length| *length > 1).unwrap_or(0);
    let width = layout.shape.iter().skip(axis + 1).product::<usize>() * size;
    parallel::rows(output.bytes_mut(), width, context.threads, |first, rows| {
        let mut part = layout.clone();
        if let (Some(length), Some(stride)) = (part.shape.get_mut(axis), part.strides.get(axis)) {
            *length = rows.len() / width;
            part.start = part.start.wrapping_add_signed(first as isize * stride);
        }
        gather(input.bytes, size, &part, rows);
        Ok(())
    })?;
    output.seal()
}

/// The same elements under another shape of as many.
fn reshaped(context: &Context<'_>, input: &View<'_>, shape: &[usize]) -> Outcome<Sealed> {
    let mut output = Output::new(context, input.dtype, shape)?;
    parallel::rows(output.bytes_mut(), 1, context.threads, |first, part| {
        part.copy_from_slice(&input.bytes[first..first + part.len()]);
        Ok(())
    })?;
    output.seal()
}
