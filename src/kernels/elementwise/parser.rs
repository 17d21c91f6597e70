//! Parses an expression with Python's precedence, by precedence climbing.
//!
//! ```text
//!   lowest   < <= > >= == !=      not chained
//!            |
//!            ^
//!            &
//!            + -
//!            * / // %
//!            unary - ~
//!   highest  **                   right operand may have a unary - or ~
//! ```
//!
//! Faults name the column. Length and nesting are bounded, so no text can exhaust the stack.

use super::expression::{Binary, Compare, Expression, Node, Unary};
use super::lexer::{Token, tokens};
use super::literal;
use crate::kernels::array::{input_index, input_name};
use rdask_core::nearest::nearest;

/// Longest expression, characters: far above what anyone writes, compiled in a few milliseconds.
const MAX_LENGTH: usize = 100_000;

/// Deepest nesting of parentheses, calls, unary operators and powers. Each level costs a few
/// hundred bytes of stack.
const MAX_DEPTH: usize = 200;

/// Functions of two arguments.
const BINARY_NAMES: [(&str, Binary); 4] = [
    ("minimum", Binary::Minimum),
    ("maximum", Binary::Maximum),
    ("arctan2", Binary::Arctan2),
    ("hypot", Binary::Hypot),
];

/// Infix operators with their precedence, all left-associative.
const OPERATORS: [(&str, u8, Binary); 16] = [
    ("<", 1, Binary::Compare(Compare::Less)),
    ("<=", 1, Binary::Compare(Compare::LessEqual)),
    (">", 1, Binary::Compare(Compare::Greater)),
    (">=", 1, Binary::Compare(Compare::GreaterEqual)),
    ("==", 1, Binary::Compare(Compare::Equal)),
    ("!=", 1, Binary::Compare(Compare::NotEqual)),
    ("|", 2, Binary::Or),
    ("^", 3, Binary::Xor),
    ("&", 4, Binary::And),
    ("+", 5, Binary::Add),
    ("-", 5, Binary::Subtract),
    ("*", 6, Binary::Multiply),
    ("/", 6, Binary::Divide),
    ("//", 6, Binary::FloorDivide),
    ("%", 6, Binary::Remainder),
    ("**", 8, Binary::Power),
];

const COMPARISON: u8 = 1;
const LOWEST: u8 = 1;
const POWER: u8 = 8;

/// Parses an expression over this many inputs.
///
/// # Errors
/// What is wrong and at which column, in one line.
pub(super) fn parse(text: &str, inputs: usize) -> Result<Expression, String> {
    if text.chars().nth(MAX_LENGTH).is_some() {
        return Err(format!("the expression is longer than {MAX_LENGTH} characters"));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, inputs, depth: 0, nodes: Vec::new() };
    parser.infix(LOWEST)?;
    match parser.peek() {
        Token::End => literal::fold(Expression { nodes: parser.nodes }),
        _ => Err(parser.unexpected("an operator")),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    inputs: usize,
    depth: usize,
    nodes: Vec<Node>,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn column(&self) -> usize {
        self.tokens[self.at].1
    }

    /// Never goes beyond `End`.
    fn step(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(known) if *known == sign);
        if found {
            self.step();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.accept(sign) { Ok(()) } else { Err(self.unexpected(&format!("'{sign}'"))) }
    }

    fn unexpected(&self, expected: &str) -> String {
        let column = self.column();
        match self.peek() {
            Token::End => format!("expected {expected} at column {column}, where the text ends"),
            Token::Sign(sign) => format!("expected {expected} at column {column}, found '{sign}'"),
            Token::Name(name) => format!("expected {expected} at column {column}, found '{name}'"),
            Token::Int(value) => format!("expected {expected} at column {column}, found {value}"),
            Token::Float(value) => {
                format!("expected {expected} at column {column}, found {value:?}")
            }
        }
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn operator(&self) -> Option<(u8, Binary)> {
        let Token::Sign(sign) = self.peek() else { return None };
        let found = OPERATORS.iter().find(|(known, _, _)| known == sign);
        found.map(|(_, precedence, operator)| (*precedence, *operator))
    }

    /// An operand and all infix operators behind it that bind at least as tightly as `least`.
    fn infix(&mut self, least: u8) -> Result<usize, String> {
        let mut left = self.unary()?;
        let mut compared = false;
        while let Some((precedence, operator)) = self.operator() {
            if precedence < least || precedence == POWER {
                break;
            }
            if precedence == COMPARISON && compared {
                return Err(format!(
                    "chained comparison at column {}; join two comparisons with & and parentheses",
                    self.column()
                ));
            }
            compared |= precedence == COMPARISON;
            self.step();
            let right = self.infix(precedence + 1)?;
            left = self.push(Node::Binary(operator, left, right, true));
        }
        Ok(left)
    }

    /// Unary operators, then a power.
    fn unary(&mut self) -> Result<usize, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep at column {}", self.column()));
        }
        let operator = match self.peek() {
            Token::Sign("-") => Some(Unary::Negative),
            Token::Sign("~") => Some(Unary::Invert),
            _ => None,
        };
        let node = if let Some(operator) = operator {
            self.step();
            let operand = self.unary()?;
            self.push(Node::Unary(operator, operand))
        } else {
            let base = self.atom()?;
            if self.accept("**") {
                let exponent = self.unary()?;
                self.push(Node::Binary(Binary::Power, base, exponent, true))
            } else {
                base
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    fn atom(&mut self) -> Result<usize, String> {
        let column = self.column();
        match self.peek().clone() {
            Token::Int(value) => {
                self.step();
                Ok(self.push(Node::Int(value)))
            }
            Token::Float(value) => {
                self.step();
                Ok(self.push(Node::Float(value)))
            }
            Token::Name(name) => {
                self.step();
                if self.accept("(") { self.call(&name, column) } else { self.name(&name, column) }
            }
            Token::Sign("(") => {
                self.step();
                let inner = self.infix(LOWEST)?;
                self.expect(")")?;
                Ok(inner)
            }
            _ => Err(self.unexpected("an operand")),
        }
    }

    fn call(&mut self, name: &str, column: usize) -> Result<usize, String> {
        let mut arguments = Vec::new();
        if !self.accept(")") {
            loop {
                arguments.push(self.infix(LOWEST)?);
                if !self.accept(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        let count = |expected: usize| {
            let plural = if expected == 1 { "" } else { "s" };
            Err(format!(
                "{name} takes {expected} argument{plural}, not {}, at column {column}",
                arguments.len()
            ))
        };
        // `negative` and `invert` are written `-` and `~`.
        let mut unary = Unary::NAMES.iter().skip(2);
        if let Some((_, function)) = unary.find(|(known, _)| *known == name) {
            return match arguments.as_slice() {
                [argument] => Ok(self.push(Node::Unary(*function, *argument))),
                _ => count(1),
            };
        }
        if let Some((_, function)) = BINARY_NAMES.iter().find(|(known, _)| *known == name) {
            return match arguments.as_slice() {
                [x, y] => Ok(self.push(Node::Binary(*function, *x, *y, false))),
                _ => count(2),
            };
        }
        if name == "where" {
            return match arguments.as_slice() {
                [condition, x, y] => Ok(self.push(Node::Where(*condition, *x, *y))),
                _ => count(3),
            };
        }
        let known = Unary::NAMES.iter().skip(2).map(|(known, _)| *known);
        let known = known.chain(BINARY_NAMES.iter().map(|(known, _)| *known)).chain(["where"]);
        let hint = nearest(name, known).map(|name| format!("; '{name}' is known"));
        Err(format!("unknown function '{name}' at column {column}{}", hint.unwrap_or_default()))
    }

    fn name(&mut self, name: &str, column: usize) -> Result<usize, String> {
        let constant = match name {
            "pi" => Some(std::f64::consts::PI),
            "nan" => Some(f64::NAN),
            "inf" => Some(f64::INFINITY),
            // With five inputs or more, `e` is the fifth.
            "e" if self.inputs < 5 => Some(std::f64::consts::E),
            _ => None,
        };
        if let Some(value) = constant {
            return Ok(self.push(Node::Float(value)));
        }
        if let Some(index) = input_index(name) {
            if index < self.inputs {
                return Ok(self.push(Node::Input(index)));
            }
            let known = match self.inputs {
                0 => "the task has no inputs".to_owned(),
                1 => "the only input is a".to_owned(),
                count => format!("the inputs are a to {}", input_name(count - 1)),
            };
            if name.len() == 1 {
                return Err(format!("unknown name '{name}' at column {column}; {known}"));
            }
        }
        let function = name == "where"
            || Unary::NAMES.iter().any(|(known, _)| *known == name)
            || BINARY_NAMES.iter().any(|(known, _)| *known == name);
        let hint = if function { "; it is a function and needs arguments" } else { "" };
        Err(format!("unknown name '{name}' at column {column}{hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree in prefix form.
    fn prefix(text: &str, inputs: usize) -> Result<String, String> {
        let expression = parse(text, inputs)?;
        let mut texts: Vec<String> = Vec::new();
        for node in &expression.nodes {
            let text = match node {
                Node::Int(value) => value.to_string(),
                Node::Float(value) => format!("{value:?}"),
                Node::Bool(value) => value.to_string(),
                Node::Input(index) => input_name(*index),
                Node::Unary(function, x) => format!("({} {})", function.name(), texts[*x]),
                Node::Binary(function, x, y, _) => {
                    format!("({} {} {})", function.name(), texts[*x], texts[*y])
                }
                Node::Where(c, x, y) => {
                    format!("(where {} {} {})", texts[*c], texts[*x], texts[*y])
                }
            };
            texts.push(text);
        }
        Ok(texts.pop().unwrap())
    }

    #[test]
    fn precedence_is_pythons() {
        let cases = [
            ("a - b - c", "(subtract (subtract a b) c)"),
            ("a + b * c", "(add a (multiply b c))"),
            ("-a ** 2", "(negative (power a 2))"),
            ("a ** -b ** c", "(power a (negative (power b c)))"),
            ("2 ** 3 ** 2", "512"),
            ("2 ** c ** 2", "(power 2 (power c 2))"),
            ("-a * b", "(multiply (negative a) b)"),
            ("~a & b | c ^ a", "(bitwise_or (bitwise_and (invert a) b) (bitwise_xor c a))"),
            ("a & b == c", "(equal (bitwise_and a b) c)"),
            ("a + 1 < b // 2 % 3", "(less (add a 1) (remainder (floor_divide b 2) 3))"),
            ("where(a > 0, sqrt(b), hypot(a, (c)))", "(where (greater a 0) (sqrt b) (hypot a c))"),
            ("(a < b) == (b < c)", "(equal (less a b) (less b c))"),
            ("- - a", "(negative (negative a))"),
        ];
        for (text, expected) in cases {
            assert_eq!(prefix(text, 3).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(prefix("e", 4).unwrap(), "2.718281828459045");
        assert_eq!(prefix("e", 5).unwrap(), "e");
        assert_eq!(prefix("aa + z", 27).unwrap(), "(add aa z)");
        assert_eq!(prefix("pi", 1000).unwrap(), "3.141592653589793");
    }

    #[test]
    fn faults_name_the_column() {
        let cases = [
            ("a +", "expected an operand at column 4, where the text ends"),
            ("", "expected an operand at column 1, where the text ends"),
            ("a b", "expected an operator at column 3, found 'b'"),
            ("(a + b", "expected ')' at column 7, where the text ends"),
            (
                "a < b < a",
                "chained comparison at column 7; join two comparisons with & and \
                           parentheses",
            ),
            ("a + d", "unknown name 'd' at column 5; the inputs are a to b"),
            ("sqr(a)", "unknown function 'sqr' at column 1; 'sqrt' is known"),
            ("a + sqrt", "unknown name 'sqrt' at column 5; it is a function and needs arguments"),
            ("sqrt(a, b)", "sqrt takes 1 argument, not 2, at column 1"),
            ("where(a, b)", "where takes 3 arguments, not 2, at column 1"),
            ("a + + b", "expected an operand at column 5, found '+'"),
            ("a)", "expected an operator at column 2, found ')'"),
        ];
        for (text, expected) in cases {
            assert_eq!(prefix(text, 2).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn hostile_texts_are_refused() {
        for open in ["(", "-", "~", "sqrt(", "2**"] {
            let problem = parse(&open.repeat(20_000), 1).unwrap_err();
            assert!(problem.contains("nested more than 200 deep"), "{problem}");
        }
        assert!(parse(&" ".repeat(1_000_000), 1).unwrap_err().contains("longer"));
        let chain = format!("a{}", "+a".repeat(40_000));
        assert_eq!(parse(&chain, 1).unwrap().nodes.len(), 80_001);
    }
}
