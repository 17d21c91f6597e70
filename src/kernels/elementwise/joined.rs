//! Arithmetic on one dtype, joined: as many operations as hang together become one step.
//!
//! An operation on a block in the cache costs more for its loads and stores than for its
//! arithmetic. Joined operations are compiled for the accumulators of `machine`: a value that one
//! operation uses waits there, others are set aside. Each operation rounds as it does alone.

use super::expression::{Binary, Unary};
use super::machine::{ACCUMULATORS, Action, Instruction, Source};
use super::typing::{Typed, TypedExpression};
use rdask_store::DType;
use rustc_hash::FxHashMap;

/// Joined operations: a node of its own.
#[derive(Debug)]
pub(super) struct Joined {
    /// f32, f64 or an integer of 32 or 64 bits.
    pub(super) dtype: DType,
    /// The nodes that it reads, each once.
    pub(super) operands: Vec<usize>,
    /// What it does; the result is in the accumulator.
    pub(super) code: Vec<Instruction>,
    /// How many tiles are set aside at most.
    pub(super) aside: usize,
}

/// The action of a node, the dtype of both sides, and its operands.
fn arithmetic(node: Typed) -> Option<(Action, DType, usize, Option<usize>)> {
    let (action, dtype, x, y) = match node {
        Typed::Binary(function, dtype, x, y) => {
            let action = match function {
                Binary::Add => Action::Add,
                Binary::Subtract => Action::Subtract,
                Binary::Multiply => Action::Multiply,
                Binary::Divide => Action::Divide,
                Binary::Minimum => Action::Minimum,
                Binary::Maximum => Action::Maximum,
                _ => return None,
            };
            (action, dtype, x, Some(y))
        }
        Typed::Unary(function, dtype, x) => {
            let action = match function {
                Unary::Negative => Action::Negative,
                Unary::Abs => Action::Abs,
                Unary::Sqrt => Action::Sqrt,
                _ => return None,
            };
            (action, dtype, x, None)
        }
        _ => return None,
    };
    let is_joined = match dtype {
        DType::F32 | DType::F64 => true,
        // Integers wrap, so that signs make no difference.
        DType::I32 | DType::I64 | DType::U32 | DType::U64 => {
            matches!(action, Action::Add | Action::Subtract | Action::Multiply | Action::Negative)
        }
        _ => false,
    };
    is_joined.then_some((action, dtype, x, y))
}

/// Joins operations wherever only joined ones use their results. What depends on constants alone
/// stays apart, since it is computed once.
pub(super) fn join(typed: &mut TypedExpression) {
    let roots = roots(typed);
    let mut members: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
    for (node, root) in roots.iter().enumerate() {
        if let Some(root) = root {
            members.entry(*root).or_default().push(node);
        }
    }
    for root in 0..typed.nodes.len() {
        let Some(nodes) = members.get(&root) else { continue };
        let joined = Compiler::compile(&typed.nodes, nodes, typed.dtypes[root]);
        typed.nodes[root] = Typed::Joined(typed.joined.len());
        typed.joined.push(joined);
    }
}

/// For each node of joined operations the one that is their result.
fn roots(typed: &TypedExpression) -> Vec<Option<usize>> {
    let count = typed.nodes.len();
    let mut constant = vec![false; count];
    for (index, node) in typed.nodes.iter().enumerate() {
        let mut operands = node.operands();
        constant[index] =
            !matches!(node, Typed::Input(_)) && operands.all(|operand| constant[operand]);
    }
    let mut needed = vec![false; count];
    needed[typed.result] = true;
    let mut roots = vec![None; count];
    // Set where users do not agree, or are no joined operations.
    let mut apart = vec![false; count];
    apart[typed.result] = true;
    for index in (0..=typed.result).rev() {
        if !needed[index] {
            continue;
        }
        let node = typed.nodes[index];
        let kind = arithmetic(node).map(|(_, dtype, ..)| dtype);
        if kind.is_some() && (apart[index] || roots[index].is_none()) {
            roots[index] = Some(index);
        }
        if kind.is_none() {
            roots[index] = None;
        }
        for operand in node.operands() {
            needed[operand] = true;
            let joins = kind.is_some()
                && typed.dtypes[operand] == typed.dtypes[index]
                && constant[operand] == constant[index]
                && (roots[operand].is_none() || roots[operand] == roots[index]);
            if joins {
                roots[operand] = roots[index];
            } else {
                apart[operand] = true;
            }
        }
    }
    roots
}

/// Makes code for the accumulators of `machine`.
struct Compiler {
    joined: Joined,
    /// Accumulators to be used.
    most: usize,
    /// Place among the operands.
    outside: FxHashMap<usize, usize>,
    /// Members that still use a value, the last one first.
    uses: FxHashMap<usize, Vec<usize>>,
    /// The members whose values are in accumulators, the uppermost last.
    held: Vec<usize>,
    /// Tiles of values set aside.
    aside: FxHashMap<usize, usize>,
    free: Vec<usize>,
}

impl Compiler {
    fn compile(nodes: &[Typed], members: &[usize], dtype: DType) -> Joined {
        // Only common subexpressions can make a value wait where it cannot be taken from.
        let mut compiler = Self::new(nodes, members, dtype, ACCUMULATORS);
        if members.iter().all(|member| compiler.member(nodes, *member)) && compiler.held.len() == 1
        {
            return compiler.joined;
        }
        // With one accumulator all that waits is set aside.
        let mut compiler = Self::new(nodes, members, dtype, 1);
        for member in members {
            compiler.member(nodes, *member);
        }
        compiler.joined
    }

    fn new(nodes: &[Typed], members: &[usize], dtype: DType, most: usize) -> Self {
        let mut uses: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
        for member in members.iter().rev() {
            for operand in nodes[*member].operands() {
                uses.entry(operand).or_default().push(*member);
            }
        }
        Self {
            joined: Joined { dtype, operands: Vec::new(), code: Vec::new(), aside: 0 },
            most,
            outside: FxHashMap::default(),
            uses,
            held: Vec::new(),
            aside: FxHashMap::default(),
            free: Vec::new(),
        }
    }

    /// Adds a member's instructions; false where an operand waits below others.
    fn member(&mut self, nodes: &[Typed], member: usize) -> bool {
        let Some((action, _, x, y)) = arithmetic(nodes[member]) else { return true };
        for operand in [Some(x), y].into_iter().flatten() {
            self.used(operand, member);
        }
        if !self.operation(action, x, y) {
            return false;
        }
        self.held.pop();
        self.held.push(member);
        // What several operations use is in memory from the begin.
        if self.uses.get(&member).is_some_and(|users| users.first() != users.last()) {
            self.set_aside(member);
        }
        for operand in [Some(x), y].into_iter().flatten() {
            if !self.uses.contains_key(&operand) {
                self.free.extend(self.aside.remove(&operand));
            }
        }
        true
    }

    /// Emits what leaves the result in the uppermost accumulator.
    fn operation(&mut self, action: Action, x: usize, y: Option<usize>) -> bool {
        let (top, below) = match self.held.as_slice() {
            [.., below, top] => (Some(*top), Some(*below)),
            [top] => (Some(*top), None),
            [] => (None, None),
        };
        let y = match y {
            Some(y) if y != x => y,
            same => {
                let source = if same.is_some() { Source::Itself } else { Source::None };
                let loaded = top == Some(x) || self.load(x);
                self.emit(action, source);
                return loaded;
            }
        };
        // With the sides changed where y is the one that is there.
        if top == Some(y) && below == Some(x) || top == Some(x) && below == Some(y) {
            self.held.pop();
            let action = if top == Some(y) { action } else { reversed(action) };
            self.emit(action, Source::Above);
            return true;
        }
        let (upper, lower, action) =
            if top == Some(y) { (y, x, reversed(action)) } else { (x, y, action) };
        if top != Some(upper) && !self.load(upper) {
            return false;
        }
        let source = self.source(lower);
        self.emit(action, source.unwrap_or(Source::None));
        source.is_some()
    }

    /// An instruction on the uppermost accumulator.
    fn emit(&mut self, action: Action, source: Source) {
        // There are a few at most.
        let place = self.held.len().saturating_sub(1) as u8;
        self.joined.code.push(Instruction { place, action, source });
    }

    /// Loads a value from memory into the uppermost accumulator; false where it is not there.
    fn load(&mut self, node: usize) -> bool {
        let Some(source) = self.source(node) else { return false };
        match self.held.last() {
            // What is in memory too makes room.
            Some(top) if self.aside.contains_key(top) => self.held.truncate(self.held.len() - 1),
            Some(top) if self.held.len() == self.most => {
                self.set_aside(*top);
                self.held.pop();
            }
            _ => {}
        }
        self.held.push(node);
        self.emit(Action::Load, source);
        true
    }

    /// Puts the value of the uppermost accumulator into memory too.
    fn set_aside(&mut self, top: usize) {
        let tile = self.free.pop().unwrap_or_else(|| {
            self.joined.aside += 1;
            self.joined.aside - 1
        });
        self.aside.insert(top, tile);
        self.emit(Action::Store, Source::Aside(tile));
    }

    /// Where a value is in memory; none for one in an accumulator alone.
    fn source(&mut self, node: usize) -> Option<Source> {
        if let Some(tile) = self.aside.get(&node) {
            return Some(Source::Aside(*tile));
        }
        if self.held.contains(&node) {
            return None;
        }
        let operands = &mut self.joined.operands;
        let place = *self.outside.entry(node).or_insert_with(|| {
            operands.push(node);
            operands.len() - 1
        });
        Some(Source::Operand(place))
    }

    /// The uses of an operand by one member are over.
    fn used(&mut self, operand: usize, by: usize) {
        if let Some(uses) = self.uses.get_mut(&operand) {
            while uses.last() == Some(&by) {
                uses.pop();
            }
            if uses.is_empty() {
                self.uses.remove(&operand);
            }
        }
    }
}

/// The action with its sides changed.
fn reversed(action: Action) -> Action {
    match action {
        Action::Subtract => Action::SubtractFrom,
        Action::Divide => Action::DivideInto,
        same => same,
    }
}
