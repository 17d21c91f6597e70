//! `clip(min?, max?)`: numpy's `clip` with Python numbers as bounds.
//!
//! It is the expression `minimum(maximum(a, min), max)` with weak literals, so a NaN anywhere gives
//! NaN, and where `min` is above `max` the result is `max`. An integer bound that no value of an
//! integer dtype can pass has no effect, as in numpy 2, while one that all values pass is an
//! `OverflowError`.

use super::Map;
use super::expression::{Binary, Expression, Node};
use crate::kernels::Context;
use crate::kernels::array::View;
use crate::kernels::fault::Outcome;
use crate::kernels::params::{Read, Reader};
use crate::kernels::promotion::is_integer;
use crate::kernels::scalar::{Number, bounds};
use rdask_store::{DType, Sealed};

/// `clip(min?, max?)`
#[derive(Debug)]
pub(super) struct Clip {
    min: Option<Number>,
    max: Option<Number>,
    /// Without bounds, with `min`, with `max`, with both.
    maps: [Map; 4],
}

impl Clip {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let bound = |name: &str| match reader.number(name)? {
            Some(Number::Complex(..)) => Err(reader.bad(name, "expected a real number")),
            other => Ok(other),
        };
        let (min, max) = (bound("min")?, bound("max")?);
        // Beside a float bound an integer one is a float too, since all three meet in one dtype.
        let beside = |bound: Option<Number>, other: Option<Number>| match (bound, other) {
            (Some(Number::Int(value)), Some(Number::Float(_))) => Some(Number::Float(value as f64)),
            (bound, _) => bound,
        };
        let both = [beside(min, max), beside(max, min)];
        let maps = [[None, None], [min, None], [None, max], both].map(limited);
        Ok(Self { min, max, maps })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let (low, high) = bounds(input.dtype);
        let idle = |bound: Option<Number>, passes: fn(i128, i128) -> bool, end: i128| match bound {
            None => true,
            Some(Number::Int(value)) => is_integer(input.dtype) && passes(value, end),
            Some(_) => false,
        };
        let min = !idle(self.min, |value, end| value <= end, low);
        let max = !idle(self.max, |value, end| value >= end, high);
        if !min && !max && input.dtype == DType::Bool {
            return Err(super::typing::unsupported("positive", &[input.dtype]));
        }
        let map = &self.maps[usize::from(min) + 2 * usize::from(max)];
        map.run(context, std::slice::from_ref(input))
    }
}

/// The expression with these bounds.
fn limited([min, max]: [Option<Number>; 2]) -> Map {
    let mut nodes = vec![Node::Input(0)];
    for (function, bound) in [(Binary::Maximum, min), (Binary::Minimum, max)] {
        let Some(bound) = bound else { continue };
        let inner = nodes.len() - 1;
        nodes.push(match bound {
            Number::Bool(value) => Node::Bool(value),
            Number::Int(value) => Node::Int(value),
            Number::Float(value) | Number::Complex(value, _) => Node::Float(value),
        });
        nodes.push(Node::Binary(function, inner, inner + 1, false));
    }
    Map::of(Expression { nodes })
}
