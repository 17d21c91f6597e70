//! Arithmetic on literals alone, with Python's rules, before any dtype is known.
//!
//! `a + 2 * 3` is `a + 6`, and the 6 stays a weak Python integer. Functions of literals are left to
//! the run: `sqrt(2)` is numpy's, a strong f64.

use super::expression::{Binary, Compare, Expression, Node, Unary};
use super::real::{floor_divide, remainder};

/// Replaces operators on literals by their values.
///
/// # Errors
/// What Python would raise: a division by zero, a result that no literal holds.
pub(super) fn fold(expression: Expression) -> Result<Expression, String> {
    let mut nodes = expression.nodes;
    for index in 0..nodes.len() {
        let folded = match nodes[index] {
            Node::Unary(function @ (Unary::Negative | Unary::Invert), x) => {
                literal(nodes[x]).map(|x| unary(function, x)).transpose()?
            }
            Node::Binary(operator, x, y, true) => match (literal(nodes[x]), literal(nodes[y])) {
                (Some(x), Some(y)) => Some(binary(operator, x, y)?),
                _ => None,
            },
            _ => None,
        };
        if let Some(value) = folded {
            nodes[index] = match value {
                Literal::Bool(value) => Node::Bool(value),
                Literal::Int(value) => Node::Int(value),
                Literal::Float(value) => Node::Float(value),
            };
        }
    }
    Ok(Expression { nodes })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Literal {
    Bool(bool),
    Int(i128),
    Float(f64),
}

impl Literal {
    /// The integer that it is in Python, where a bool is one.
    fn integer(self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(i128::from(value)),
            Self::Int(value) => Some(value),
            Self::Float(_) => None,
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

fn literal(node: Node) -> Option<Literal> {
    match node {
        Node::Bool(value) => Some(Literal::Bool(value)),
        Node::Int(value) => Some(Literal::Int(value)),
        Node::Float(value) => Some(Literal::Float(value)),
        Node::Input(_) | Node::Unary(..) | Node::Binary(..) | Node::Where(..) => None,
    }
}

fn unary(function: Unary, x: Literal) -> Result<Literal, String> {
    match (function, x.integer()) {
        (Unary::Negative, Some(value)) => Ok(Literal::Int(-value)),
        (Unary::Negative, None) => Ok(Literal::Float(-x.float())),
        (_, Some(value)) => Ok(Literal::Int(!value)),
        (_, None) => Err("bad operand for ~: a float".to_owned()),
    }
}

fn binary(operator: Binary, x: Literal, y: Literal) -> Result<Literal, String> {
    if let Binary::Compare(compare) = operator {
        return Ok(Literal::Bool(holds(compare, x, y)));
    }
    if let (Literal::Bool(x), Literal::Bool(y)) = (x, y) {
        match operator {
            Binary::And => return Ok(Literal::Bool(x & y)),
            Binary::Or => return Ok(Literal::Bool(x | y)),
            Binary::Xor => return Ok(Literal::Bool(x ^ y)),
            _ => {}
        }
    }
    let divides = matches!(operator, Binary::Divide | Binary::FloorDivide | Binary::Remainder);
    if divides && y.float() == 0.0 {
        return Err("division of a literal by zero".to_owned());
    }
    match (x.integer(), y.integer()) {
        (Some(x), Some(y)) => integers(operator, x, y),
        _ => floats(operator, x.float(), y.float()),
    }
}

fn holds(compare: Compare, x: Literal, y: Literal) -> bool {
    match (x.integer(), y.integer()) {
        (Some(x), Some(y)) => compare.holds(Some(x.cmp(&y))),
        _ => compare.holds(x.float().partial_cmp(&y.float())),
    }
}

fn integers(operator: Binary, x: i128, y: i128) -> Result<Literal, String> {
    let value = match operator {
        Binary::Add => x.checked_add(y),
        Binary::Subtract => x.checked_sub(y),
        Binary::Multiply => x.checked_mul(y),
        Binary::Divide => return finite(x as f64 / y as f64),
        Binary::FloorDivide => x.checked_rem(y).map(|rest| {
            let exact = (x - rest) / y;
            if rest != 0 && (rest < 0) != (y < 0) { exact - 1 } else { exact }
        }),
        Binary::Remainder => x
            .checked_rem(y)
            .map(|rest| if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }),
        Binary::Power if y < 0 => return floats(operator, x as f64, y as f64),
        Binary::Power => match (x, u32::try_from(y)) {
            (0 | 1, _) => Some(if y == 0 { 1 } else { x }),
            (-1, _) => Some(if y % 2 == 0 { 1 } else { -1 }),
            (_, Ok(exponent)) => x.checked_pow(exponent),
            (_, Err(_)) => None,
        },
        Binary::And => Some(x & y),
        Binary::Or => Some(x | y),
        Binary::Xor => Some(x ^ y),
        Binary::Compare(_)
        | Binary::Minimum
        | Binary::Maximum
        | Binary::Arctan2
        | Binary::Hypot => None,
    };
    // Bounded well inside i128, so that a negation of any literal exists.
    let value = value.filter(|value| value.unsigned_abs() < 1 << 126);
    value.map(Literal::Int).ok_or_else(|| "a literal is too large".to_owned())
}

fn floats(operator: Binary, x: f64, y: f64) -> Result<Literal, String> {
    let value = match operator {
        Binary::Add => x + y,
        Binary::Subtract => x - y,
        Binary::Multiply => x * y,
        Binary::Divide => x / y,
        Binary::FloorDivide => floor_divide(x, y),
        Binary::Remainder => remainder(x, y),
        Binary::Power if x == 0.0 && y < 0.0 => {
            return Err("a literal zero to a negative power".to_owned());
        }
        Binary::Power if x < 0.0 && x.is_finite() && y.is_finite() && y.fract() != 0.0 => {
            return Err("a negative literal to a fractional power is complex".to_owned());
        }
        Binary::Power if x.is_finite() && y.is_finite() => return finite(libm::pow(x, y)),
        Binary::Power => libm::pow(x, y),
        _ => {
            return Err(format!("{} takes integers, not float literals", operator.name()));
        }
    };
    Ok(Literal::Float(value))
}

fn finite(value: f64) -> Result<Literal, String> {
    if value.is_finite() {
        Ok(Literal::Float(value))
    } else {
        Err("a literal is too large for a float".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::elementwise::parser::parse;

    #[test]
    fn literals_follow_python() {
        let cases = [
            ("7 // -2", Node::Int(-4)),
            ("7 % -2", Node::Int(-1)),
            ("-7 % 3", Node::Int(2)),
            ("7.5 // 2", Node::Float(3.0)),
            ("1 / 4", Node::Float(0.25)),
            ("2 ** -1", Node::Float(0.5)),
            ("2 ** 70", Node::Int(1 << 70)),
            ("-2 ** 2", Node::Int(-4)),
            ("~5 & 0 - 1", Node::Int(-6)),
            ("1 < 2", Node::Bool(true)),
            ("(1 < 2) + 1", Node::Int(2)),
            ("(1 < 2) ^ (1 < 3)", Node::Bool(false)),
            ("nan == nan", Node::Bool(false)),
            ("nan != nan", Node::Bool(true)),
            ("0 ** 0", Node::Int(1)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, 0).unwrap().nodes.last(), Some(&expected), "{text}");
        }
        for text in
            ["1 / 0", "1 % 0.0", "10 ** 100", "1.5 & 2", "0 ** -1", "(0 - 8) ** 0.5", "~1.5"]
        {
            assert!(parse(text, 0).is_err(), "{text}");
        }
    }
}
