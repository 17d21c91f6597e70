//! Shapes of pretend graphs: which task reads which, and what its group is called.
//!
//! A shape is a list of nodes in an order in which every input stands before its reader. Together
//! they have what real graphs have: roots in great number, reductions, chains with inputs from the
//! side, layers in which everybody reads everybody, neighbours on a grid, one value that all read.

use crate::rng::Rng;

/// One task of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// First part of its key.
    pub(super) group: &'static str,
    /// Positions of its inputs, not necessarily distinct.
    pub(super) inputs: Vec<usize>,
}

type Shape = fn(&mut Rng, usize) -> Vec<Node>;

/// All shapes.
const SHAPES: [Shape; 10] = [
    random,
    independent,
    tree,
    chains,
    all_to_all,
    split_shuffle,
    stencil,
    wavefront,
    broadcast,
    fan_in,
];

/// A shape of about `count` tasks.
pub(super) fn draw(rng: &mut Rng, count: usize) -> Vec<Node> {
    let shape = SHAPES[rng.below(SHAPES.len() as u64) as usize];
    shape(rng, count.max(2))
}

fn node(group: &'static str, inputs: Vec<usize>) -> Node {
    Node { group, inputs }
}

fn width(rng: &mut Rng, most: u64) -> usize {
    2 + rng.below(most - 1) as usize
}

/// Each task reads up to three of those before it.
fn random(rng: &mut Rng, count: usize) -> Vec<Node> {
    let groups = ["load", "map", "sum"];
    (0..count)
        .map(|index| {
            let reads = if index == 0 { 0 } else { rng.below(4) };
            let inputs = (0..reads).map(|_| rng.below(index as u64) as usize).collect();
            node(groups[rng.below(3) as usize], inputs)
        })
        .collect()
}

/// Many alike, and nothing else.
fn independent(_: &mut Rng, count: usize) -> Vec<Node> {
    (0..count).map(|_| node("load", Vec::new())).collect()
}

/// Leaves, then sums of a few.
fn tree(rng: &mut Rng, count: usize) -> Vec<Node> {
    let arity = width(rng, 4);
    let mut nodes: Vec<Node> = (0..count / 2 + 1).map(|_| node("load", Vec::new())).collect();
    let mut layer: Vec<usize> = (0..nodes.len()).collect();
    while layer.len() > 1 {
        let mut next = Vec::new();
        for inputs in layer.chunks(arity) {
            next.push(nodes.len());
            nodes.push(node("sum", inputs.to_vec()));
        }
        layer = next;
    }
    nodes
}

/// Chains side by side; now and then a step also reads a fresh value or one of a neighbour.
fn chains(rng: &mut Rng, count: usize) -> Vec<Node> {
    let width = width(rng, 6);
    let mut nodes: Vec<Node> = Vec::new();
    let mut heads: Vec<Option<usize>> = vec![None; width];
    while nodes.len() < count {
        for chain in 0..width {
            let mut inputs: Vec<usize> = heads[chain].into_iter().collect();
            match rng.below(4) {
                0 => {
                    inputs.push(nodes.len());
                    nodes.push(node("side", Vec::new()));
                }
                1 => inputs.extend(heads[(chain + 1) % width]),
                _ => {}
            }
            heads[chain] = Some(nodes.len());
            nodes.push(node("step", inputs));
        }
    }
    nodes
}

/// Layers in which every task reads all of the layer before.
fn all_to_all(rng: &mut Rng, count: usize) -> Vec<Node> {
    let width = width(rng, 8);
    (0..count)
        .map(|index| {
            let first = (index / width).checked_sub(1).map(|layer| layer * width);
            node("mix", first.map_or_else(Vec::new, |first| (first..first + width).collect()))
        })
        .collect()
}

/// The shuffle of tables: every piece is split, every output joins one part of each.
fn split_shuffle(rng: &mut Rng, count: usize) -> Vec<Node> {
    let pieces = width(rng, 6).min(count.isqrt().max(2));
    let mut nodes: Vec<Node> = (0..pieces).map(|_| node("load", Vec::new())).collect();
    for piece in 0..pieces {
        nodes.extend((0..pieces).map(|_| node("split", vec![piece])));
    }
    for output in 0..pieces {
        let parts = (0..pieces).map(|piece| pieces + piece * pieces + output).collect();
        nodes.push(node("join", parts));
    }
    nodes
}

/// A row of cells, step after step: each reads itself and its neighbours.
fn stencil(rng: &mut Rng, count: usize) -> Vec<Node> {
    let width = width(rng, 9);
    (0..count)
        .map(|index| {
            let (step, cell) = (index / width, index % width);
            let Some(before) = step.checked_sub(1).map(|step| step * width) else {
                return node("load", Vec::new());
            };
            let near = cell.saturating_sub(1)..(cell + 2).min(width);
            node("cell", near.map(|cell| before + cell).collect())
        })
        .collect()
}

/// A grid: each reads the one above and the one to the left.
fn wavefront(_: &mut Rng, count: usize) -> Vec<Node> {
    let width = count.isqrt().max(2);
    (0..count)
        .map(|index| {
            let left = (index % width > 0).then(|| index - 1);
            let inputs = left.into_iter().chain(index.checked_sub(width)).collect();
            node("front", inputs)
        })
        .collect()
}

/// One value that all read, alone or in pairs with values of their own.
fn broadcast(rng: &mut Rng, count: usize) -> Vec<Node> {
    let alone = rng.below(2) == 0;
    let mut nodes = vec![node("root", Vec::new())];
    while nodes.len() < count {
        if alone {
            nodes.push(node("apply", vec![0]));
        } else {
            let own = nodes.len();
            nodes.push(node("load", Vec::new()));
            nodes.push(node("apply", vec![0, own]));
        }
    }
    nodes
}

/// Many roots, one reader of all of them.
fn fan_in(_: &mut Rng, count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..count).map(|_| node("load", Vec::new())).collect();
    nodes.push(node("sum", (0..count - 1).collect()));
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_stand_before_their_readers() {
        for (number, shape) in SHAPES.iter().enumerate() {
            let mut reads = 0;
            for count in 2..60 {
                let nodes = shape(&mut Rng::new(count), count as usize);
                assert!(nodes.len() >= 2, "shape {number}");
                for (index, node) in nodes.iter().enumerate() {
                    assert!(node.inputs.iter().all(|input| *input < index), "shape {number}");
                    reads += node.inputs.len();
                }
            }
            assert!(reads > 0 || number == 1, "shape {number} reads nothing");
        }
    }

    #[test]
    fn a_shuffle_reads_every_part_once() {
        let nodes = split_shuffle(&mut Rng::new(1), 50);
        let joins = nodes.iter().filter(|node| node.group == "join");
        let mut parts: Vec<usize> = joins.flat_map(|node| node.inputs.iter().copied()).collect();
        parts.sort_unstable();
        let splits = nodes.iter().enumerate().filter(|(_, node)| node.group == "split");
        assert_eq!(parts, splits.map(|(index, _)| index).collect::<Vec<_>>());
    }
}
