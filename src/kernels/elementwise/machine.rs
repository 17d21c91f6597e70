//! The interpreter of joined arithmetic: three accumulators that stay in vector registers.
//!
//! A block is cut into tiles of a few vectors, and each instruction works on one tile: on an
//! accumulator and another one, a tile of an operand or a tile set aside. Between instructions
//! nothing is stored, so the cost of an operation is its arithmetic and one load at most. The code
//! is the same for all levels and all levels round each operation by itself.

use crate::kernels::simd::{LaneLoop, Lanes, Level, Packed};
use bytemuck::Zeroable;

/// What an instruction does with the accumulator x and the source y.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// y
    Load,
    /// x + y
    Add,
    /// x − y
    Subtract,
    /// y − x
    SubtractFrom,
    /// x · y
    Multiply,
    /// x / y
    Divide,
    /// y / x
    DivideInto,
    /// The smaller one.
    Minimum,
    /// The larger one.
    Maximum,
    /// −x
    Negative,
    /// |x|
    Abs,
    /// The root of x.
    Sqrt,
    /// Sets x aside.
    Store,
}

/// A tile in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tile {
    /// Of this operand.
    Operand(usize),
    /// One of those set aside.
    Aside(usize),
    /// The action looks at x alone.
    None,
}

/// One instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Instruction {
    pub(super) action: Action,
    pub(super) tile: Tile,
}

/// An operand's elements; `repeated` ones are all alike, so that the first tile serves for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand<'a, T> {
    pub(super) elements: &'a [T],
    pub(super) repeated: bool,
}

/// Bytes of a tile at most: sixteen of the widest vectors.
pub(super) const TILE_BYTES: usize = 16 * 64;

/// Runs the code over all elements of `out`, which the accumulator holds at the end. `aside` has
/// room for all tiles that the code sets aside.
pub(super) fn run<T: Packed>(
    level: Level,
    code: &[Instruction],
    operands: &[Operand<'_, T>],
    aside: &mut [T],
    out: &mut [T],
) {
    T::run(level, Machine { code, operands, aside, out });
}

struct Machine<'a, T> {
    code: &'a [Instruction],
    operands: &'a [Operand<'a, T>],
    aside: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Packed> LaneLoop<T> for Machine<'_, T> {
    #[inline(always)]
    fn run<V: Lanes<Element = T>, const N: usize>(self, here: V::Here) {
        let length = N * V::COUNT;
        let whole = self.out.len() / length * length;
        let (tiles, rest) = self.out.split_at_mut(whole);
        let operands: Vec<Reader<'_, T>> =
            self.operands.iter().map(|operand| Reader::new(operand, length)).collect();
        tiled::<V, N>(here, self.code, &operands, self.aside, tiles);
        if !rest.is_empty() {
            // The last few elements, in whole tiles of their own.
            let mut padded = vec![T::zeroed(); (self.operands.len() + 1) * length];
            for (tile, operand) in padded.chunks_exact_mut(length).zip(self.operands) {
                let start = if operand.repeated { 0 } else { whole };
                tile[..rest.len()].copy_from_slice(&operand.elements[start..start + rest.len()]);
            }
            let (padded, last) = padded.split_at_mut(self.operands.len() * length);
            let operands: Vec<Reader<'_, T>> = padded
                .chunks_exact(length)
                .map(|elements| Reader { elements, step: length })
                .collect();
            tiled::<V, N>(here, self.code, &operands, self.aside, last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// Gives the tiles of an operand.
struct Reader<'a, T> {
    elements: &'a [T],
    step: usize,
}

impl<'a, T> Reader<'a, T> {
    fn new(operand: &Operand<'a, T>, length: usize) -> Self {
        Self { elements: operand.elements, step: if operand.repeated { 0 } else { length } }
    }
}

#[inline(always)]
fn tiled<V: Lanes, const N: usize>(
    here: V::Here,
    code: &[Instruction],
    operands: &[Reader<'_, V::Element>],
    aside: &mut [V::Element],
    out: &mut [V::Element],
) {
    let length = N * V::COUNT;
    let nothing = [V::Element::zeroed(); 16];
    let mut x = [V::load(here, &nothing); N];
    for (number, out) in out.chunks_exact_mut(length).enumerate() {
        for instruction in code {
            let tile: &mut [V::Element];
            let y: &[V::Element] = match instruction.tile {
                Tile::Operand(index) => {
                    let Reader { elements, step } = &operands[index];
                    &elements[number * step..][..length]
                }
                Tile::Aside(index) => {
                    tile = &mut aside[index * length..][..length];
                    if instruction.action == Action::Store {
                        put(x, tile);
                        continue;
                    }
                    tile
                }
                Tile::None => &[],
            };
            match instruction.action {
                Action::Load => on::<V, N>(here, &mut x, y, |_, y| y),
                Action::Add => on::<V, N>(here, &mut x, y, V::add),
                Action::Subtract => on::<V, N>(here, &mut x, y, V::subtract),
                Action::SubtractFrom => on::<V, N>(here, &mut x, y, |x, y| y.subtract(x)),
                Action::Multiply => on::<V, N>(here, &mut x, y, V::multiply),
                Action::Divide => on::<V, N>(here, &mut x, y, V::divide),
                Action::DivideInto => on::<V, N>(here, &mut x, y, |x, y| y.divide(x)),
                Action::Minimum => on::<V, N>(here, &mut x, y, V::minimum),
                Action::Maximum => on::<V, N>(here, &mut x, y, V::maximum),
                Action::Negative => on_each(&mut x, V::negative),
                Action::Abs => on_each(&mut x, V::abs),
                Action::Sqrt => on_each(&mut x, V::sqrt),
                Action::Store => {}
            }
        }
        put(x, out);
    }
}

/// `x = f(x, y)` for each vector of a tile.
#[inline(always)]
fn on<V: Lanes, const N: usize>(
    here: V::Here,
    x: &mut [V; N],
    y: &[V::Element],
    f: impl Fn(V, V) -> V,
) {
    for lane in 0..N {
        let y = V::load(here, &y[lane * V::COUNT..(lane + 1) * V::COUNT]);
        x[lane] = f(x[lane], y);
    }
}

/// `x = f(x)` for each vector of a tile.
#[inline(always)]
fn on_each<V: Lanes, const N: usize>(x: &mut [V; N], f: impl Fn(V) -> V) {
    for x in x {
        *x = f(*x);
    }
}

#[inline(always)]
fn put<V: Lanes, const N: usize>(vectors: [V; N], tile: &mut [V::Element]) {
    for lane in 0..N {
        vectors[lane].store(&mut tile[lane * V::COUNT..(lane + 1) * V::COUNT]);
    }
}
