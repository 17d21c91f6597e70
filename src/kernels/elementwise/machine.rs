//! The interpreter of joined arithmetic: three accumulators that stay in vector registers.
//!
//! ```text
//!   (a + b) * (b - c)      0: Load a · 0: Add b · 1: Load b · 1: Subtract c · 0: Multiply above
//! ```
//!
//! A block is cut into tiles of a few vectors, and each instruction works on one tile: on an
//! accumulator and the one above, a tile of an operand or a tile set aside. Between instructions
//! nothing is stored, so the cost of an operation is its arithmetic and one load at most. The code
//! is the same for all levels and all levels round each operation by itself.

use crate::kernels::simd::{LaneLoop, Lanes, Level, Packed};
use bytemuck::Zeroable;

/// Accumulators, one above the other.
pub(super) const ACCUMULATORS: usize = 3;

/// What an instruction does with its accumulator x and the source y.
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

/// Where y is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// A tile of this operand.
    Operand(usize),
    /// A tile of those set aside.
    Aside(usize),
    /// The accumulator above x.
    Above,
    /// x itself.
    Itself,
    /// The action looks at x alone.
    None,
}

/// One instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Instruction {
    /// Which accumulator is x, 0 the lowest.
    pub(super) place: usize,
    pub(super) action: Action,
    pub(super) source: Source,
}

/// An operand's elements; `repeated` ones are all alike, so that the first vector serves for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand<'a, T> {
    /// Those that have not been read.
    elements: &'a [T],
    repeated: bool,
    /// Those of the current tile.
    tile: &'a [T],
}

impl<'a, T> Operand<'a, T> {
    pub(super) fn new(elements: &'a [T], repeated: bool) -> Self {
        Self { elements, repeated, tile: &[] }
    }

    /// Goes on to the next tile.
    #[inline(always)]
    fn advance(&mut self, length: usize) {
        if self.repeated {
            self.tile = self.elements;
        } else {
            (self.tile, self.elements) = self.elements.split_at(length);
        }
    }
}

/// Bytes of a tile at most: eight of the widest vectors.
pub(super) const TILE_BYTES: usize = 8 * 64;

/// Runs the code over all elements of `out`, which the lowest accumulator holds at the end. `aside`
/// has room for all tiles that the code sets aside.
pub(super) fn run<T: Packed>(
    level: Level,
    code: &[Instruction],
    operands: &mut [Operand<'_, T>],
    aside: &mut [T],
    out: &mut [T],
) {
    T::run(level, Machine { code, operands, aside, out });
}

struct Machine<'a, 'b, T> {
    code: &'a [Instruction],
    operands: &'a mut [Operand<'b, T>],
    aside: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Packed> LaneLoop<T> for Machine<'_, '_, T> {
    #[inline(always)]
    fn run<V: Lanes<Element = T>, const N: usize>(self, here: V::Here) {
        let length = N * V::COUNT;
        let whole = self.out.len() / length * length;
        let (tiles, rest) = self.out.split_at_mut(whole);
        tiled::<V, N>(here, self.code, self.operands, self.aside, tiles);
        if !rest.is_empty() {
            // The last few elements, in whole tiles of their own.
            let mut padded = vec![T::zeroed(); (self.operands.len() + 1) * length];
            for (tile, operand) in padded.chunks_exact_mut(length).zip(&*self.operands) {
                tile[..rest.len()].copy_from_slice(&operand.elements[..rest.len()]);
            }
            let (padded, last) = padded.split_at_mut(self.operands.len() * length);
            let mut operands: Vec<Operand<'_, T>> =
                padded.chunks_exact(length).map(|elements| Operand::new(elements, false)).collect();
            tiled::<V, N>(here, self.code, &mut operands, self.aside, last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// The accumulators, each as many vectors as a tile.
struct Stack<V, const N: usize>([V; N], [V; N], [V; N]);

#[inline(always)]
fn tiled<V: Lanes, const N: usize>(
    here: V::Here,
    code: &[Instruction],
    operands: &mut [Operand<'_, V::Element>],
    aside: &mut [V::Element],
    out: &mut [V::Element],
) {
    let length = N * V::COUNT;
    let nothing = [V::load(here, &[V::Element::zeroed(); 16]); N];
    let mut stack = Stack(nothing, nothing, nothing);
    for out in out.chunks_exact_mut(length) {
        for operand in &mut *operands {
            operand.advance(length);
        }
        for Instruction { place, action, source } in code {
            let tile = match source {
                Source::Operand(index) => {
                    let Operand { tile, repeated, .. } = &operands[*index];
                    if *repeated {
                        let y = V::load(here, tile);
                        stack.act(*place, *action, |_| y);
                        continue;
                    }
                    &tile[..length]
                }
                Source::Aside(index) => {
                    let tile = &mut aside[index * length..][..length];
                    if *action == Action::Store {
                        stack.put(*place, tile);
                        continue;
                    }
                    tile
                }
                Source::Above => {
                    stack.act_above(*place, *action);
                    continue;
                }
                Source::Itself => {
                    stack.act_itself(*place, *action);
                    continue;
                }
                Source::None => {
                    stack.act_alone(*place, *action);
                    continue;
                }
            };
            stack.act(*place, *action, |lane| V::load(here, &tile[lane * V::COUNT..][..V::COUNT]));
        }
        stack.put(0, out);
    }
}

/// Each accumulator has code of its own, so that all of them stay in registers.
impl<V: Lanes, const N: usize> Stack<V, N> {
    /// An action whose other side is `y(lane)`.
    #[inline(always)]
    fn act(&mut self, place: usize, action: Action, y: impl Fn(usize) -> V) {
        match place {
            0 => act(&mut self.0, action, y),
            1 => act(&mut self.1, action, y),
            _ => act(&mut self.2, action, y),
        }
    }

    /// An action with the accumulator above.
    #[inline(always)]
    fn act_above(&mut self, place: usize, action: Action) {
        if place == 0 {
            act(&mut self.0, action, |lane| self.1[lane]);
        } else {
            act(&mut self.1, action, |lane| self.2[lane]);
        }
    }

    /// An action of an accumulator with itself.
    #[inline(always)]
    fn act_itself(&mut self, place: usize, action: Action) {
        let Self(first, second, third) = *self;
        match place {
            0 => act(&mut self.0, action, |lane| first[lane]),
            1 => act(&mut self.1, action, |lane| second[lane]),
            _ => act(&mut self.2, action, |lane| third[lane]),
        }
    }

    /// An action on one accumulator alone.
    #[inline(always)]
    fn act_alone(&mut self, place: usize, action: Action) {
        match place {
            0 => act_alone(&mut self.0, action),
            1 => act_alone(&mut self.1, action),
            _ => act_alone(&mut self.2, action),
        }
    }

    #[inline(always)]
    fn put(&self, place: usize, tile: &mut [V::Element]) {
        match place {
            0 => put(&self.0, tile),
            1 => put(&self.1, tile),
            _ => put(&self.2, tile),
        }
    }
}

#[inline(always)]
fn act<V: Lanes, const N: usize>(x: &mut [V; N], action: Action, y: impl Fn(usize) -> V) {
    match action {
        Action::Load => on(x, y, |_, y| y),
        Action::Add => on(x, y, V::add),
        Action::Subtract => on(x, y, V::subtract),
        Action::SubtractFrom => on(x, y, |x, y| y.subtract(x)),
        Action::Multiply => on(x, y, V::multiply),
        Action::Divide => on(x, y, V::divide),
        Action::DivideInto => on(x, y, |x, y| y.divide(x)),
        Action::Minimum => on(x, y, V::minimum),
        Action::Maximum => on(x, y, V::maximum),
        // These have no other side.
        Action::Negative | Action::Abs | Action::Sqrt | Action::Store => {}
    }
}

#[inline(always)]
fn act_alone<V: Lanes, const N: usize>(x: &mut [V; N], action: Action) {
    match action {
        Action::Negative => on_each(x, V::negative),
        Action::Abs => on_each(x, V::abs),
        Action::Sqrt => on_each(x, V::sqrt),
        // All others have another side.
        _ => {}
    }
}

/// `x = f(x, y)` for each vector of a tile.
#[inline(always)]
fn on<V: Lanes, const N: usize>(x: &mut [V; N], y: impl Fn(usize) -> V, f: impl Fn(V, V) -> V) {
    for lane in 0..N {
        x[lane] = f(x[lane], y(lane));
    }
}

/// `x = f(x)` for each vector of a tile. (`map` would be a call.)
#[inline(always)]
fn on_each<V: Lanes, const N: usize>(x: &mut [V; N], f: impl Fn(V) -> V) {
    for x in x {
        *x = f(*x);
    }
}

#[inline(always)]
fn put<V: Lanes, const N: usize>(vectors: &[V; N], tile: &mut [V::Element]) {
    for lane in 0..N {
        vectors[lane].store(&mut tile[lane * V::COUNT..(lane + 1) * V::COUNT]);
    }
}
