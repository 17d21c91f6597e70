//! Arithmetic on floats taken two or three operations at a time: `x * y + z`, `x * y + z * w`.
//!
//! An operation on a block in the cache costs more for its loads and stores than for its
//! arithmetic; joined operations keep what is between them in registers. Each one rounds as it
//! does alone.

use super::expression::{Binary, Unary};
use super::loops::many;
use super::real::Float;
use super::typing::{Typed, TypedExpression};
use crate::kernels::simd::Level;
use rdask_store::DType;

/// `+ - * /`
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Joined operations, of operands x, y, z, w in this order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Fused {
    /// `(x ∘ y) • z`
    Left(Arithmetic, Arithmetic),
    /// `x • (y ∘ z)`; the first is ∘
    Right(Arithmetic, Arithmetic),
    /// `(x ∘ y) • (z ∗ w)`; in the order ∘ ∗ •
    Both(Arithmetic, Arithmetic, Arithmetic),
    /// `|x ∘ y|`
    Abs(Arithmetic),
    /// The root of `x ∘ y`.
    Sqrt(Arithmetic),
}

impl Fused {
    /// How many operands it has.
    pub(super) fn arity(self) -> usize {
        match self {
            Self::Abs(_) | Self::Sqrt(_) => 2,
            Self::Left(..) | Self::Right(..) => 3,
            Self::Both(..) => 4,
        }
    }
}

/// The operation of a node on floats of this dtype, and its operands.
fn arithmetic(node: Typed, dtype: DType) -> Option<(Arithmetic, usize, usize)> {
    let Typed::Binary(function, computed, x, y) = node else { return None };
    let operation = match function {
        Binary::Add => Arithmetic::Add,
        Binary::Subtract => Arithmetic::Subtract,
        Binary::Multiply => Arithmetic::Multiply,
        Binary::Divide => Arithmetic::Divide,
        _ => return None,
    };
    (computed == dtype && matches!(dtype, DType::F32 | DType::F64)).then_some((operation, x, y))
}

/// Joins operations with those of their operands that nothing else uses. What depends on constants
/// alone stays apart, since it is computed once.
pub(super) fn join(typed: &mut TypedExpression) {
    let mut uses = vec![0_usize; typed.nodes.len()];
    let mut constant = vec![false; typed.nodes.len()];
    for (index, node) in typed.nodes.iter().enumerate() {
        constant[index] = !matches!(node, Typed::Input(_));
        for operand in node.operands() {
            uses[operand] += 1;
            constant[index] &= constant[operand];
        }
    }
    uses[typed.result] += 1;
    let mut absorbed = vec![false; typed.nodes.len()];
    for index in (0..typed.nodes.len()).rev().filter(|index| *index <= typed.result) {
        if absorbed[index] || constant[index] || uses[index] == 0 {
            continue;
        }
        let inner = |operand: usize, dtype: DType| {
            let free = uses[operand] == 1 && !constant[operand];
            free.then(|| arithmetic(typed.nodes[operand], dtype)).flatten()
        };
        let (node, taken) = match typed.nodes[index] {
            Typed::Unary(function @ (Unary::Abs | Unary::Sqrt), dtype, x) => {
                let Some((operation, y, z)) = inner(x, dtype) else { continue };
                let fused = if function == Unary::Abs { Fused::Abs } else { Fused::Sqrt };
                (Typed::Fused(fused(operation), dtype, [y, z, y, y]), [Some(x), None])
            }
            node => {
                let dtype = typed.dtypes[index];
                let Some((outer, x, y)) = arithmetic(node, dtype) else { continue };
                match (inner(x, dtype), inner(y, dtype)) {
                    (Some((left, a, b)), Some((right, c, d))) => {
                        let fused = Fused::Both(left, right, outer);
                        (Typed::Fused(fused, dtype, [a, b, c, d]), [Some(x), Some(y)])
                    }
                    (Some((left, a, b)), None) => {
                        let fused = Fused::Left(left, outer);
                        (Typed::Fused(fused, dtype, [a, b, y, y]), [Some(x), None])
                    }
                    (None, Some((right, a, b))) => {
                        let fused = Fused::Right(right, outer);
                        (Typed::Fused(fused, dtype, [x, a, b, b]), [Some(y), None])
                    }
                    (None, None) => continue,
                }
            }
        };
        typed.nodes[index] = node;
        taken.into_iter().flatten().for_each(|operand| absorbed[operand] = true);
    }
}

/// Computes joined operations on a block of floats.
pub(super) fn run(fused: Fused, dtype: DType, level: Level, operands: [&[u8]; 4], out: &mut [u8]) {
    if dtype == DType::F32 {
        typed::<f32>(fused, level, operands, out);
    } else {
        typed::<f64>(fused, level, operands, out);
    }
}

/// An operation as a type, so that each combination has a loop of its own.
trait Operation: Copy {
    fn on<T: Float>(self, x: T, y: T) -> T;
}

macro_rules! operations {
    ($($name:ident $sign:tt),*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;
            impl Operation for $name {
                #[inline(always)]
                fn on<T: Float>(self, x: T, y: T) -> T {
                    x $sign y
                }
            }
        )*
    };
}
operations!(Plus +, Minus -, Times *, Over /);

macro_rules! with_operation {
    ($operation:expr, $name:ident => $body:expr) => {
        match $operation {
            Arithmetic::Add => {
                let $name = Plus;
                $body
            }
            Arithmetic::Subtract => {
                let $name = Minus;
                $body
            }
            Arithmetic::Multiply => {
                let $name = Times;
                $body
            }
            Arithmetic::Divide => {
                let $name = Over;
                $body
            }
        }
    };
}

fn typed<T: Float>(fused: Fused, level: Level, [x, y, z, w]: [&[u8]; 4], out: &mut [u8]) {
    match fused {
        Fused::Abs(inner) => with_operation!(inner, f => {
            many(level, [x, y], out, |[x, y]: [T; 2]| f.on(x, y).abs());
        }),
        Fused::Sqrt(inner) => with_operation!(inner, f => {
            many(level, [x, y], out, |[x, y]: [T; 2]| f.on(x, y).sqrt());
        }),
        Fused::Left(inner, outer) => with_operation!(inner, f => with_operation!(outer, g => {
            many(level, [x, y, z], out, |[x, y, z]: [T; 3]| g.on(f.on(x, y), z));
        })),
        Fused::Right(inner, outer) => with_operation!(inner, f => with_operation!(outer, g => {
            many(level, [x, y, z], out, |[x, y, z]: [T; 3]| g.on(x, f.on(y, z)));
        })),
        Fused::Both(left, right, outer) => {
            with_operation!(left, f => with_operation!(right, g => with_operation!(outer, h => {
                many(level, [x, y, z, w], out, |[x, y, z, w]: [T; 4]| {
                    h.on(f.on(x, y), g.on(z, w))
                });
            })));
        }
    }
}
