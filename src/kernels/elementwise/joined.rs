//! Arithmetic on floats of one dtype, joined: as many operations as hang together become one step.
//!
//! An operation on a block in the cache costs more for its loads and stores than for its
//! arithmetic. Joined operations are compiled for the accumulator of `machine`: a value that the
//! next operation uses stays in it, others are set aside. Each operation rounds as it does alone.

use super::expression::{Binary, Unary};
use super::machine::{Action, Instruction, Tile};
use super::typing::{Typed, TypedExpression};
use rdask_store::DType;
use rustc_hash::FxHashMap;

/// Joined operations: a node of its own.
#[derive(Debug)]
pub(super) struct Joined {
    /// f32 or f64.
    pub(super) dtype: DType,
    /// The nodes that it reads, each once.
    pub(super) operands: Vec<usize>,
    /// What it does; the result is in the accumulator.
    pub(super) code: Vec<Instruction>,
    /// How many tiles are set aside at most.
    pub(super) aside: usize,
}

/// The action of a node on floats, the dtype of both sides, and its operands.
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
    matches!(dtype, DType::F32 | DType::F64).then_some((action, dtype, x, y))
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

/// Makes code for the one accumulator of `machine`.
struct Compiler {
    joined: Joined,
    /// Place among the operands.
    outside: FxHashMap<usize, usize>,
    /// Members that still use a value, the last one first.
    uses: FxHashMap<usize, Vec<usize>>,
    /// The member whose value is in the accumulator.
    held: Option<usize>,
    /// Tiles of values set aside.
    aside: FxHashMap<usize, usize>,
    free: Vec<usize>,
}

impl Compiler {
    fn compile(nodes: &[Typed], members: &[usize], dtype: DType) -> Joined {
        let mut compiler = Self {
            joined: Joined { dtype, operands: Vec::new(), code: Vec::new(), aside: 0 },
            outside: FxHashMap::default(),
            uses: FxHashMap::default(),
            held: None,
            aside: FxHashMap::default(),
            free: Vec::new(),
        };
        for member in members.iter().rev() {
            for operand in nodes[*member].operands() {
                compiler.uses.entry(operand).or_default().push(*member);
            }
        }
        for member in members {
            if let Some((action, _, x, y)) = arithmetic(nodes[*member]) {
                compiler.node(*member, action, x, y);
            }
        }
        compiler.joined
    }

    fn node(&mut self, node: usize, action: Action, x: usize, y: Option<usize>) {
        for operand in [Some(x), y].into_iter().flatten() {
            self.used(operand, node);
        }
        self.keep();
        // A value in the accumulator that is the right operand is taken from there too.
        let (x, y, action) = match (action, y) {
            (_, None) => (x, None, action),
            (_, Some(y)) if self.held != Some(y) || self.held == Some(x) => (x, Some(y), action),
            (Action::Subtract, Some(y)) => (y, Some(x), Action::SubtractFrom),
            (Action::Divide, Some(y)) => (y, Some(x), Action::DivideInto),
            (_, Some(y)) => (y, Some(x), action),
        };
        if self.held != Some(x) {
            let tile = self.tile(x);
            self.emit(Action::Load, tile);
        }
        let tile = match y {
            // Squares and the like read the accumulator's own value from memory.
            Some(y) if self.held == Some(y) => self.set_aside(y),
            Some(y) => self.tile(y),
            None => Tile::None,
        };
        self.emit(action, tile);
        self.held = Some(node);
        for operand in [Some(x), y].into_iter().flatten() {
            if !self.uses.contains_key(&operand) {
                self.free.extend(self.aside.remove(&operand));
            }
        }
    }

    fn emit(&mut self, action: Action, tile: Tile) {
        self.joined.code.push(Instruction { action, tile });
    }

    /// Sets the accumulator's value aside when something uses it after the next instruction.
    fn keep(&mut self) {
        if let Some(held) = self.held
            && self.uses.contains_key(&held)
        {
            self.set_aside(held);
        }
    }

    /// The tile of the accumulator's value.
    fn set_aside(&mut self, held: usize) -> Tile {
        if let Some(tile) = self.aside.get(&held) {
            return Tile::Aside(*tile);
        }
        let tile = self.free.pop().unwrap_or_else(|| {
            self.joined.aside += 1;
            self.joined.aside - 1
        });
        self.aside.insert(held, tile);
        self.emit(Action::Store, Tile::Aside(tile));
        Tile::Aside(tile)
    }

    /// Where a value is in memory.
    fn tile(&mut self, node: usize) -> Tile {
        if let Some(tile) = self.aside.get(&node) {
            return Tile::Aside(*tile);
        }
        let operands = &mut self.joined.operands;
        let place = *self.outside.entry(node).or_insert_with(|| {
            operands.push(node);
            operands.len() - 1
        });
        Tile::Operand(place)
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
