//! The interpreter of joined arithmetic: three accumulators that stay in vector registers.
//!
//! ```text
//!   (a + b) * (b - c)      0: Load a · 0: Add b · 1: Load b · 1: Subtract c · 0: Multiply above
//! ```
//!
//! A block is cut into tiles of a few vectors, and each instruction works on one tile: on an
//! accumulator and the one above, a tile of an operand or a tile set aside. Between instructions
//! nothing is stored, so the cost of an operation is its arithmetic, one load at most and one jump,
//! for which `steps` folds all that an instruction says into one number. The code is the same for
//! all levels and all levels round each operation by itself.

use crate::kernels::simd::{LaneLoop, Lanes, Level, Packed};
use bytemuck::Zeroable;

/// Accumulators, one above the other.
pub(super) const ACCUMULATORS: usize = 3;

/// What an instruction does with its accumulator x and the source y.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
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
    pub(super) place: u8,
    pub(super) action: Action,
    pub(super) source: Source,
}

/// An instruction as one number, its row and its action; and which operand or tile set aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    code: u8,
    index: usize,
}

/// Rows of instructions, one for each accumulator from these on: where y is.
const OPERAND: u8 = 0;
const REPEATED: u8 = 3;
const ASIDE: u8 = 6;
const ITSELF: u8 = 9;
const ABOVE: u8 = 12;

/// The steps of some code whose operands are repeated or not.
pub(super) fn steps(code: &[Instruction], is_repeated: impl Fn(usize) -> bool) -> Vec<Step> {
    let step = |instruction: &Instruction| {
        let (row, index) = match instruction.source {
            Source::Operand(index) if is_repeated(index) => (REPEATED, index),
            Source::Operand(index) => (OPERAND, index),
            Source::Aside(index) => (ASIDE, index),
            Source::Itself | Source::None => (ITSELF, 0),
            Source::Above => (ABOVE, 0),
        };
        Step { code: code_of(row + instruction.place, instruction.action), index }
    };
    code.iter().map(step).collect()
}

const fn code_of(row: u8, action: Action) -> u8 {
    row << 4 | action as u8
}

/// The codes of a row.
struct Row<const ROW: u8>;

impl<const ROW: u8> Row<ROW> {
    const LOAD: u8 = code_of(ROW, Action::Load);
    const ADD: u8 = code_of(ROW, Action::Add);
    const SUBTRACT: u8 = code_of(ROW, Action::Subtract);
    const SUBTRACT_FROM: u8 = code_of(ROW, Action::SubtractFrom);
    const MULTIPLY: u8 = code_of(ROW, Action::Multiply);
    const DIVIDE: u8 = code_of(ROW, Action::Divide);
    const DIVIDE_INTO: u8 = code_of(ROW, Action::DivideInto);
    const MINIMUM: u8 = code_of(ROW, Action::Minimum);
    const MAXIMUM: u8 = code_of(ROW, Action::Maximum);
    const NEGATIVE: u8 = code_of(ROW, Action::Negative);
    const ABS: u8 = code_of(ROW, Action::Abs);
    const SQRT: u8 = code_of(ROW, Action::Sqrt);
    const STORE: u8 = code_of(ROW, Action::Store);
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

/// Runs the steps over all elements of `out`, which the lowest accumulator holds at the end. `aside`
/// has room for all tiles that they set aside.
pub(super) fn run<T: Packed>(
    level: Level,
    steps: &[Step],
    operands: &mut [Operand<'_, T>],
    aside: &mut [T],
    out: &mut [T],
) {
    T::run(level, Machine { steps, operands, aside, out });
}

struct Machine<'a, 'b, T> {
    steps: &'a [Step],
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
        tiled::<V, N>(here, self.steps, self.operands, self.aside, tiles);
        if !rest.is_empty() {
            // The last few elements, in whole tiles of their own.
            let mut padded = vec![T::zeroed(); (self.operands.len() + 1) * length];
            for (tile, operand) in padded.chunks_exact_mut(length).zip(&*self.operands) {
                tile[..rest.len()].copy_from_slice(&operand.elements[..rest.len()]);
            }
            let (padded, last) = padded.split_at_mut(self.operands.len() * length);
            let mut operands: Vec<Operand<'_, T>> =
                padded.chunks_exact(length).map(|elements| Operand::new(elements, false)).collect();
            tiled::<V, N>(here, self.steps, &mut operands, self.aside, last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// One arm for each row and action, so that one jump leads to it and accumulators stay in registers.
macro_rules! interpret {
    (
        $code:expr, $aside:expr;
        $(two $row:expr, $x:ident, $y:expr;)*
        $(one $own:expr, $z:ident;)*
        $(put $kept:expr, $from:ident;)*
    ) => {
        match $code {
            $(
            Row::<{ $row }>::LOAD => on($y, &mut $x, |_, y| y),
            Row::<{ $row }>::ADD => on($y, &mut $x, V::add),
            Row::<{ $row }>::SUBTRACT => on($y, &mut $x, V::subtract),
            Row::<{ $row }>::SUBTRACT_FROM => on($y, &mut $x, |x, y| y.subtract(x)),
            Row::<{ $row }>::MULTIPLY => on($y, &mut $x, V::multiply),
            Row::<{ $row }>::DIVIDE => on($y, &mut $x, V::divide),
            Row::<{ $row }>::DIVIDE_INTO => on($y, &mut $x, |x, y| y.divide(x)),
            Row::<{ $row }>::MINIMUM => on($y, &mut $x, V::minimum),
            Row::<{ $row }>::MAXIMUM => on($y, &mut $x, V::maximum),
            )*
            $(
            Row::<{ $own }>::NEGATIVE => on_each(&mut $z, V::negative),
            Row::<{ $own }>::ABS => on_each(&mut $z, V::abs),
            Row::<{ $own }>::SQRT => on_each(&mut $z, V::sqrt),
            )*
            $(Row::<{ $kept }>::STORE => put(&$from, $aside),)*
            // `steps` makes no others.
            _ => {}
        }
    };
}

#[inline(always)]
fn tiled<V: Lanes, const N: usize>(
    here: V::Here,
    steps: &[Step],
    operands: &mut [Operand<'_, V::Element>],
    aside: &mut [V::Element],
    out: &mut [V::Element],
) {
    let length = N * V::COUNT;
    let nothing = [V::load(here, &[V::Element::zeroed(); 16]); N];
    let (mut a, mut b, mut c) = (nothing, nothing, nothing);
    for out in out.chunks_exact_mut(length) {
        for operand in &mut *operands {
            operand.advance(length);
        }
        for Step { code, index } in steps {
            interpret!(*code, &mut aside[index * length..][..length];
                two OPERAND, a, tile::<V, N>(here, operands[*index].tile);
                two OPERAND + 1, b, tile::<V, N>(here, operands[*index].tile);
                two OPERAND + 2, c, tile::<V, N>(here, operands[*index].tile);
                two REPEATED, a, alike::<V>(here, operands[*index].tile);
                two REPEATED + 1, b, alike::<V>(here, operands[*index].tile);
                two REPEATED + 2, c, alike::<V>(here, operands[*index].tile);
                two ASIDE, a, tile::<V, N>(here, &aside[index * length..]);
                two ASIDE + 1, b, tile::<V, N>(here, &aside[index * length..]);
                two ASIDE + 2, c, tile::<V, N>(here, &aside[index * length..]);
                two ITSELF, a, held(a);
                two ITSELF + 1, b, held(b);
                two ITSELF + 2, c, held(c);
                two ABOVE, a, held(b);
                two ABOVE + 1, b, held(c);
                one ITSELF, a;
                one ITSELF + 1, b;
                one ITSELF + 2, c;
                put ASIDE, a;
                put ASIDE + 1, b;
                put ASIDE + 2, c;
            );
        }
        put(&a, out);
    }
}

/// The vectors of an accumulator.
#[inline(always)]
fn held<V: Lanes, const N: usize>(vectors: [V; N]) -> impl Fn(usize) -> V {
    move |lane| vectors[lane]
}

/// One vector for all.
#[inline(always)]
fn alike<V: Lanes>(here: V::Here, elements: &[V::Element]) -> impl Fn(usize) -> V + use<V> {
    let vector = V::load(here, elements);
    move |_| vector
}

/// The vectors of a tile in memory.
#[inline(always)]
fn tile<V: Lanes, const N: usize>(here: V::Here, elements: &[V::Element]) -> impl Fn(usize) -> V {
    let elements = &elements[..N * V::COUNT];
    move |lane| V::load(here, &elements[lane * V::COUNT..][..V::COUNT])
}

/// `x = f(x, y)` for each vector of a tile.
#[inline(always)]
fn on<V: Lanes, const N: usize>(y: impl Fn(usize) -> V, x: &mut [V; N], f: impl Fn(V, V) -> V) {
    for (lane, x) in x.iter_mut().enumerate() {
        *x = f(*x, y(lane));
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
