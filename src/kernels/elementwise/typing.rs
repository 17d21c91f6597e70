//! Gives every node of an expression its dtype, with numpy 2's rules, and makes casts explicit.
//!
//! Inputs are strong; literals are weak until they meet a dtype or a function. Equal nodes are made
//! once, so common subexpressions are shared.

use super::expression::{Binary, Compare, Expression, Node, Unary};
use super::joined::Joined;
use crate::kernels::fault::{Outcome, fault, type_error};
use crate::kernels::promotion::{Kind, inexact, is_integer, kind_of, promote};
use crate::kernels::scalar::{Element, Number, bounds};
use rdask_core::messages::TaskError;
use rdask_store::DType;
use rustc_hash::FxHashMap;

/// A node whose operands have the dtype that it computes in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Typed {
    /// A constant.
    Const(DType, Element),
    /// Input number.
    Input(usize),
    /// A conversion from the operand's dtype.
    Cast(DType, usize),
    /// A function of an operand of this dtype.
    Unary(Unary, DType, usize),
    /// A function of two operands of this dtype.
    Binary(Binary, DType, usize, usize),
    /// A comparison of an i64 with a u64.
    Mixed(Compare, usize, usize),
    /// A choice between two operands of this dtype by a bool.
    Where(DType, usize, usize, usize),
    /// Joined operations, by their number; what they read is listed there.
    Joined(usize),
}

impl Typed {
    /// The nodes that it reads, in order; for joined operations the expression knows them.
    pub(super) fn operands(self) -> impl Iterator<Item = usize> {
        let (all, count) = match self {
            Self::Const(..) | Self::Input(_) | Self::Joined(_) => ([0; 3], 0),
            Self::Cast(_, x) | Self::Unary(_, _, x) => ([x, 0, 0], 1),
            Self::Binary(_, _, x, y) | Self::Mixed(_, x, y) => ([x, y, 0], 2),
            Self::Where(_, condition, x, y) => ([condition, x, y], 3),
        };
        all.into_iter().take(count)
    }
}

/// Typed nodes, operands before users.
#[derive(Debug)]
pub(super) struct TypedExpression {
    /// The nodes.
    pub(super) nodes: Vec<Typed>,
    /// dtype of each node.
    pub(super) dtypes: Vec<DType>,
    /// The node that is the result.
    pub(super) result: usize,
    /// What `Typed::Joined` counts.
    pub(super) joined: Vec<Joined>,
}

impl TypedExpression {
    /// The nodes that a node reads, in order.
    pub(super) fn operands(&self, index: usize) -> Vec<usize> {
        match self.nodes[index] {
            Typed::Joined(number) => self.joined[number].operands.clone(),
            node => node.operands().collect(),
        }
    }
}

/// What an untyped node has become.
#[derive(Clone, Copy, Debug)]
enum Value {
    Strong(usize),
    Int(i128),
    Float(f64),
}

/// Types an expression for inputs of these dtypes.
///
/// # Errors
/// `TypeError` and `OverflowError` as numpy raises them.
pub(super) fn typed(expression: &Expression, inputs: &[DType]) -> Outcome<TypedExpression> {
    let mut typing = Typing { nodes: Vec::new(), dtypes: Vec::new(), known: FxHashMap::default() };
    let mut values = Vec::with_capacity(expression.nodes.len());
    for node in &expression.nodes {
        let value = match *node {
            Node::Int(value) => Value::Int(value),
            Node::Float(value) => Value::Float(value),
            Node::Bool(value) => Value::Strong(typing.constant(DType::Bool, Number::Bool(value))?),
            Node::Input(index) => Value::Strong(typing.add(Typed::Input(index), inputs[index])),
            Node::Unary(function, x) => typing.unary(function, values[x])?,
            Node::Binary(function, x, y, operator) => {
                typing.binary(function, values[x], values[y], operator)?
            }
            Node::Where(condition, x, y) => {
                let condition = typing.strong(values[condition])?;
                let condition = typing.cast(condition, DType::Bool);
                let dtype = typing.common(values[x], values[y])?;
                let (x, y) = (typing.to(values[x], dtype)?, typing.to(values[y], dtype)?);
                Value::Strong(typing.add(Typed::Where(dtype, condition, x, y), dtype))
            }
        };
        values.push(value);
    }
    let last = values.last().copied().unwrap_or(Value::Int(0));
    let result = typing.strong(last)?;
    let Typing { nodes, dtypes, .. } = typing;
    Ok(TypedExpression { nodes, dtypes, result, joined: Vec::new() })
}

struct Typing {
    nodes: Vec<Typed>,
    dtypes: Vec<DType>,
    known: FxHashMap<Typed, usize>,
}

impl Typing {
    fn add(&mut self, node: Typed, dtype: DType) -> usize {
        if let Some(index) = self.known.get(&node) {
            return *index;
        }
        let index = self.nodes.len();
        self.nodes.push(node);
        self.dtypes.push(dtype);
        self.known.insert(node, index);
        index
    }

    fn constant(&mut self, dtype: DType, number: Number) -> Outcome<usize> {
        let element = number.encode(dtype).map_err(|problem| {
            let kind = if matches!(number, Number::Int(_)) { "OverflowError" } else { "TypeError" };
            fault(kind, format!("Python number {problem}"))
        })?;
        // Only the dtype's own bytes count, so that equal constants are one node.
        let mut bytes = [0; 16];
        bytes[..dtype.size()].copy_from_slice(&element[..dtype.size()]);
        Ok(self.add(Typed::Const(dtype, bytes), dtype))
    }

    fn cast(&mut self, node: usize, to: DType) -> usize {
        if self.dtypes[node] == to {
            return node;
        }
        self.add(Typed::Cast(to, node), to)
    }

    /// A value as an operand of this dtype.
    fn to(&mut self, value: Value, dtype: DType) -> Outcome<usize> {
        match value {
            Value::Strong(node) => Ok(self.cast(node, dtype)),
            Value::Int(value) => self.constant(dtype, Number::Int(value)),
            Value::Float(value) => self.constant(dtype, Number::Float(value)),
        }
    }

    /// A value as an array: literals become i64 (u64 above its range) or f64.
    fn strong(&mut self, value: Value) -> Outcome<usize> {
        self.to(value, self.dtype_of(value))
    }

    fn dtype_of(&self, value: Value) -> DType {
        match value {
            Value::Strong(node) => self.dtypes[node],
            Value::Int(value) if value > bounds(DType::I64).1 => DType::U64,
            Value::Int(_) => DType::I64,
            Value::Float(_) => DType::F64,
        }
    }

    /// The dtype that two operands are converted to.
    fn common(&self, x: Value, y: Value) -> Outcome<DType> {
        Ok(match (x, y) {
            (Value::Strong(x), Value::Strong(y)) => promote(self.dtypes[x], self.dtypes[y])?,
            (Value::Strong(node), weak) | (weak, Value::Strong(node)) => {
                let dtype = self.dtypes[node];
                match weak {
                    _ if dtype.is_time() => promote(dtype, self.dtype_of(weak))?,
                    Value::Int(_) if dtype == DType::Bool => DType::I64,
                    Value::Float(_) if kind_of(dtype) < Kind::Float => DType::F64,
                    _ => dtype,
                }
            }
            (x, y) => promote(self.dtype_of(x), self.dtype_of(y))?,
        })
    }

    /// A value of f16 as f32, in which f16 is computed.
    fn widened(&mut self, value: Value) -> Outcome<Value> {
        let node = self.to(value, DType::F16)?;
        Ok(Value::Strong(self.cast(node, DType::F32)))
    }

    /// Back to f16, what was computed in f32.
    fn narrowed(&mut self, node: usize) -> usize {
        if self.dtypes[node] == DType::F32 { self.cast(node, DType::F16) } else { node }
    }

    fn unary(&mut self, function: Unary, value: Value) -> Outcome<Value> {
        let node = self.strong(value)?;
        let dtype = self.dtypes[node];
        if dtype == DType::F16 {
            let wide = self.widened(value)?;
            let wide = self.unary(function, wide)?;
            let result = self.strong(wide)?;
            return Ok(Value::Strong(self.narrowed(result)));
        }
        if dtype.is_time() && !matches!(function, Unary::IsNan | Unary::IsInf | Unary::IsFinite) {
            return Err(unsupported(function.name(), &[dtype]));
        }
        let kind = kind_of(dtype);
        let exact = kind < Kind::Float;
        let same = |typing: &mut Self| typing.add(Typed::Unary(function, dtype, node), dtype);
        let node = match function {
            Unary::Negative if dtype == DType::Bool => {
                return Err(type_error(
                    "The numpy boolean negative, the `-` operator, is not supported, use the `~` \
                     operator instead",
                ));
            }
            Unary::Negative => same(self),
            Unary::Invert if exact => same(self),
            Unary::Invert => return Err(unsupported(function.name(), &[dtype])),
            Unary::Sign if dtype == DType::Bool => {
                return Err(unsupported(function.name(), &[dtype]));
            }
            Unary::Sign => same(self),
            Unary::Abs | Unary::Real | Unary::Imag => self.part(function, node),
            Unary::Conj if dtype == DType::Bool => self.cast(node, DType::I8),
            Unary::Conj if kind == Kind::Complex => same(self),
            Unary::Conj => node,
            Unary::Round if dtype == DType::Bool => self.cast(node, DType::F32),
            Unary::Floor | Unary::Ceil | Unary::Trunc if kind == Kind::Complex => {
                return Err(unsupported(function.name(), &[dtype]));
            }
            Unary::Floor | Unary::Ceil | Unary::Trunc | Unary::Round if exact => node,
            Unary::Floor | Unary::Ceil | Unary::Trunc | Unary::Round => same(self),
            Unary::IsNan | Unary::IsInf | Unary::IsFinite if exact => {
                self.constant(DType::Bool, Number::Bool(function == Unary::IsFinite))?
            }
            Unary::IsNan | Unary::IsInf | Unary::IsFinite => {
                self.add(Typed::Unary(function, dtype, node), DType::Bool)
            }
            Unary::Cbrt if kind == Kind::Complex => {
                return Err(unsupported(function.name(), &[dtype]));
            }
            _ => {
                let dtype = inexact(dtype);
                let operand = self.cast(node, dtype);
                self.add(Typed::Unary(function, dtype, operand), dtype)
            }
        };
        Ok(Value::Strong(node))
    }

    /// `abs`, `real` and `imag`, whose results are real.
    fn part(&mut self, function: Unary, node: usize) -> usize {
        let dtype = self.dtypes[node];
        let result = match dtype {
            DType::C64 => DType::F32,
            DType::C128 => DType::F64,
            other => other,
        };
        match (function, kind_of(dtype)) {
            (Unary::Real, kind) if kind != Kind::Complex => node,
            (Unary::Abs, Kind::Bool | Kind::Unsigned) => node,
            (Unary::Imag, kind) if kind != Kind::Complex => {
                self.add(Typed::Const(dtype, [0; 16]), dtype)
            }
            _ => self.add(Typed::Unary(function, dtype, node), result),
        }
    }

    fn binary(&mut self, function: Binary, x: Value, y: Value, operator: bool) -> Outcome<Value> {
        if let Binary::Compare(compare) = function {
            return self.compare(compare, x, y).map(Value::Strong);
        }
        if function == Binary::Power
            && let Some(node) = self.special_power(x, y, operator)?
        {
            return Ok(Value::Strong(node));
        }
        let operands = [self.dtype_of(x), self.dtype_of(y)];
        if operands.iter().any(|dtype| dtype.is_time()) {
            return self.times(function, x, y).map(Value::Strong);
        }
        let mut dtype = self.common(x, y)?;
        if dtype == DType::F16 {
            let (x, y) = (self.widened(x)?, self.widened(y)?);
            let wide = self.binary(function, x, y, false)?;
            let result = self.strong(wide)?;
            return Ok(Value::Strong(self.narrowed(result)));
        }
        let mut computed = function;
        let kind = kind_of(dtype);
        match function {
            Binary::Subtract if dtype == DType::Bool => {
                return Err(type_error(
                    "numpy boolean subtract, the `-` operator, is not supported, use the `^` \
                     operator instead",
                ));
            }
            Binary::Add if dtype == DType::Bool => computed = Binary::Or,
            Binary::Multiply if dtype == DType::Bool => computed = Binary::And,
            Binary::Divide if kind < Kind::Float => dtype = DType::F64,
            Binary::FloorDivide | Binary::Remainder if kind == Kind::Complex => {
                return Err(unsupported(function.name(), &operands));
            }
            Binary::FloorDivide | Binary::Remainder | Binary::Power if dtype == DType::Bool => {
                dtype = DType::I8;
            }
            Binary::And | Binary::Or | Binary::Xor if kind >= Kind::Float => {
                return Err(unsupported(function.name(), &operands));
            }
            Binary::Minimum if dtype == DType::Bool => computed = Binary::And,
            Binary::Maximum if dtype == DType::Bool => computed = Binary::Or,
            Binary::Arctan2 | Binary::Hypot if kind == Kind::Complex => {
                return Err(unsupported(function.name(), &operands));
            }
            Binary::Arctan2 | Binary::Hypot => {
                dtype = match (x, y) {
                    (Value::Strong(_), Value::Strong(_)) => {
                        promote(inexact(operands[0]), inexact(operands[1]))?
                    }
                    _ => inexact(dtype),
                };
            }
            _ => {}
        }
        let (x, y) = (self.to(x, dtype)?, self.to(y, dtype)?);
        Ok(Value::Strong(self.add(Typed::Binary(computed, dtype, x, y), dtype)))
    }

    /// Dates and durations are compared and chosen from, nothing else.
    fn times(&mut self, function: Binary, x: Value, y: Value) -> Outcome<usize> {
        let operands = [self.dtype_of(x), self.dtype_of(y)];
        let kinds = operands.map(kind_of);
        let mixed = kinds.contains(&Kind::Datetime) && kinds[0] != kinds[1];
        let result = match function {
            _ if mixed => return Err(unsupported(function.name(), &operands)),
            Binary::Compare(_) => Some(DType::Bool),
            Binary::Minimum | Binary::Maximum => None,
            _ => return Err(unsupported(function.name(), &operands)),
        };
        let dtype = self.common(x, y)?;
        let (x, y) = (self.to(x, dtype)?, self.to(y, dtype)?);
        Ok(self.add(Typed::Binary(function, dtype, x, y), result.unwrap_or(dtype)))
    }

    /// Exponents that are products, roots and reciprocals: numpy's, and cubes of reals.
    fn special_power(&mut self, x: Value, y: Value, operator: bool) -> Outcome<Option<usize>> {
        let Value::Strong(base) = x else { return Ok(None) };
        let dtype = self.dtypes[base];
        if dtype == DType::F16 {
            let wide = self.widened(x)?;
            let power = self.special_power(wide, y, operator)?;
            return Ok(power.map(|node| self.narrowed(node)));
        }
        let exponent = match y {
            Value::Int(value) if value.unsigned_abs() < 4 => value as f64,
            Value::Float(value) => value,
            _ => return Ok(None),
        };
        // numpy squares a bool as int8, while its other powers with a literal are int64.
        if operator && dtype == DType::Bool && matches!(y, Value::Int(2)) {
            let base = self.cast(base, DType::I8);
            let square = Typed::Binary(Binary::Multiply, DType::I8, base, base);
            return Ok(Some(self.add(square, DType::I8)));
        }
        // Products wrap as powers do.
        let whole = is_integer(dtype) && matches!(y, Value::Int(2 | 3));
        if !operator || (kind_of(dtype) < Kind::Float && !whole) {
            return Ok(None);
        }
        let node = if exponent == 2.0 {
            Typed::Binary(Binary::Multiply, dtype, base, base)
        } else if exponent == 3.0 && kind_of(dtype) != Kind::Complex {
            // Two roundings are within 2 ulp; longer products are not.
            let square = self.add(Typed::Binary(Binary::Multiply, dtype, base, base), dtype);
            Typed::Binary(Binary::Multiply, dtype, square, base)
        } else if exponent == 0.5 {
            Typed::Unary(Unary::Sqrt, dtype, base)
        } else if exponent == -1.0 {
            let one = self.constant(dtype, Number::Int(1))?;
            Typed::Binary(Binary::Divide, dtype, one, base)
        } else {
            return Ok(None);
        };
        Ok(Some(self.add(node, dtype)))
    }

    fn compare(&mut self, compare: Compare, x: Value, y: Value) -> Outcome<usize> {
        if let (Value::Int(value), Value::Strong(node)) = (x, y) {
            return self.compare(compare.mirrored(), Value::Strong(node), Value::Int(value));
        }
        if self.dtype_of(x).is_time() || self.dtype_of(y).is_time() {
            return self.times(Binary::Compare(compare), x, y);
        }
        let mut dtype = self.common(x, y)?;
        if let (Value::Strong(node), Value::Int(value)) = (x, y)
            && is_integer(self.dtypes[node])
        {
            // A literal that the dtype does not hold is below or above all of its values.
            let (low, high) = bounds(dtype);
            if value < low || value > high {
                let order = if value < low {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                };
                return self.constant(DType::Bool, Number::Bool(compare.holds(Some(order))));
            }
        }
        let kinds = (kind_of(self.dtype_of(x)), kind_of(self.dtype_of(y)));
        match (dtype, kinds) {
            // u64 against a signed integer would meet in f64 and lose digits.
            (DType::F64, (Kind::Signed, Kind::Unsigned)) => {
                let (x, y) = (self.to(x, DType::I64)?, self.to(y, DType::U64)?);
                return Ok(self.add(Typed::Mixed(compare, x, y), DType::Bool));
            }
            (DType::F64, (Kind::Unsigned, Kind::Signed)) => {
                let (x, y) = (self.to(x, DType::U64)?, self.to(y, DType::I64)?);
                return Ok(self.add(Typed::Mixed(compare.mirrored(), y, x), DType::Bool));
            }
            (DType::Bool, _) => dtype = DType::U8,
            _ => {}
        }
        let (mut x, mut y) = (self.to(x, dtype)?, self.to(y, dtype)?);
        if dtype == DType::F16 {
            dtype = DType::F32;
            (x, y) = (self.cast(x, dtype), self.cast(y, dtype));
        }
        Ok(self.add(Typed::Binary(Binary::Compare(compare), dtype, x, y), DType::Bool))
    }
}

/// numpy has no such function of these dtypes.
pub(super) fn unsupported(name: &str, operands: &[DType]) -> TaskError {
    let names: Vec<&str> = operands.iter().map(|dtype| dtype.numpy_name()).collect();
    type_error(format!("'{name}' is not supported for the input types {}", names.join(", ")))
}
