//! The vocabulary of expressions and the tree that the parser makes.
//!
//! A tree is an array of nodes, operands before their users, so a long chain needs no recursion.

/// A function of one argument.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Unary {
    Negative,
    Invert,
    Abs,
    Sign,
    Sqrt,
    Cbrt,
    Exp,
    Expm1,
    Log,
    Log2,
    Log10,
    Log1p,
    Sin,
    Cos,
    Tan,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Floor,
    Ceil,
    Round,
    Trunc,
    IsNan,
    IsFinite,
    IsInf,
    Real,
    Imag,
    Conj,
}

impl Unary {
    /// The functions and their names. The operators `-` and `~` have numpy's function names.
    pub(super) const NAMES: [(&'static str, Self); 31] = [
        ("negative", Self::Negative),
        ("invert", Self::Invert),
        ("abs", Self::Abs),
        ("sign", Self::Sign),
        ("sqrt", Self::Sqrt),
        ("cbrt", Self::Cbrt),
        ("exp", Self::Exp),
        ("expm1", Self::Expm1),
        ("log", Self::Log),
        ("log2", Self::Log2),
        ("log10", Self::Log10),
        ("log1p", Self::Log1p),
        ("sin", Self::Sin),
        ("cos", Self::Cos),
        ("tan", Self::Tan),
        ("arcsin", Self::Arcsin),
        ("arccos", Self::Arccos),
        ("arctan", Self::Arctan),
        ("sinh", Self::Sinh),
        ("cosh", Self::Cosh),
        ("tanh", Self::Tanh),
        ("floor", Self::Floor),
        ("ceil", Self::Ceil),
        ("round", Self::Round),
        ("trunc", Self::Trunc),
        ("isnan", Self::IsNan),
        ("isfinite", Self::IsFinite),
        ("isinf", Self::IsInf),
        ("real", Self::Real),
        ("imag", Self::Imag),
        ("conj", Self::Conj),
    ];

    /// numpy's name.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, function)| *function == self).map_or("", |(name, _)| name)
    }
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Compare {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

impl Compare {
    /// The comparison that gives the same with its operands exchanged.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }

    /// The result for operands that are in this order; none when they cannot be ordered (NaN).
    pub(super) fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        match order {
            None => self == Self::NotEqual,
            Some(order) => match self {
                Self::Less => order.is_lt(),
                Self::LessEqual => order.is_le(),
                Self::Greater => order.is_gt(),
                Self::GreaterEqual => order.is_ge(),
                Self::Equal => order.is_eq(),
                Self::NotEqual => order.is_ne(),
            },
        }
    }
}

/// A function of two arguments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
    And,
    Or,
    Xor,
    Compare(Compare),
    Minimum,
    Maximum,
    Arctan2,
    Hypot,
}

impl Binary {
    /// numpy's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::FloorDivide => "floor_divide",
            Self::Remainder => "remainder",
            Self::Power => "power",
            Self::And => "bitwise_and",
            Self::Or => "bitwise_or",
            Self::Xor => "bitwise_xor",
            Self::Compare(Compare::Less) => "less",
            Self::Compare(Compare::LessEqual) => "less_equal",
            Self::Compare(Compare::Greater) => "greater",
            Self::Compare(Compare::GreaterEqual) => "greater_equal",
            Self::Compare(Compare::Equal) => "equal",
            Self::Compare(Compare::NotEqual) => "not_equal",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Arctan2 => "arctan2",
            Self::Hypot => "hypot",
        }
    }
}

/// One node; operands are indices of earlier nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Node {
    /// An integer literal.
    Int(i128),
    /// A float literal.
    Float(f64),
    /// What a comparison of literals gives.
    Bool(bool),
    /// Input number.
    Input(usize),
    /// A function of one argument.
    Unary(Unary, usize),
    /// A function of two arguments. The flag says that it was written as an operator.
    Binary(Binary, usize, usize, bool),
    /// `where(condition, x, y)`
    Where(usize, usize, usize),
}

/// A parsed expression: its last node is the result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    /// Operands before users; never empty.
    pub(super) nodes: Vec<Node>,
}
