//! The static order is topological for every graph and good for the ones that people write.

use super::*;
use crate::graph::{Keys, Outputs, Params, RunSpec};
use crate::ids::SpecId;
use proptest::prelude::*;

fn graph(inputs: &[Vec<u32>]) -> Graph {
    let mut csr = Csr { offsets: vec![0], values: Vec::new() };
    let mut keys = Keys { offsets: vec![0], text: String::new() };
    for (task, row) in inputs.iter().enumerate() {
        csr.values.extend(row.iter().map(|input| TaskId(*input)));
        csr.offsets.push(csr.values.len() as u64);
        keys.text.push_str(&task.to_string());
        keys.offsets.push(keys.text.len() as u64);
    }
    Graph {
        keys,
        specs: vec![RunSpec::Kernel { name: "identity".into(), params: Params::new() }],
        spec_of: vec![SpecId(0); inputs.len()],
        inputs: csr,
        attributes: Vec::new(),
        outputs: Outputs::Sinks,
        arrays: Vec::new(),
        order: None,
        meta: "{}".into(),
    }
}

fn order(inputs: &[Vec<u32>]) -> Vec<u32> {
    let positions = static_order(&graph(inputs));
    let mut sorted = positions.clone();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..inputs.len() as u32), "not a permutation");
    for (task, row) in inputs.iter().enumerate() {
        for input in row {
            assert!(positions[*input as usize] < positions[task], "{input} after {task}");
        }
    }
    positions
}

/// Largest number of results that live after a step, when each goes with its last dependent.
/// Results without dependents go at once: they are written.
fn peak(inputs: &[Vec<u32>], positions: &[u32]) -> usize {
    let mut sequence: Vec<usize> = (0..inputs.len()).collect();
    sequence.sort_by_key(|task| positions[*task]);
    let mut waiting = vec![0; inputs.len()];
    let rows: Vec<Vec<u32>> = inputs
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row.sort_unstable();
            row.dedup();
            row
        })
        .collect();
    for input in rows.iter().flatten() {
        waiting[*input as usize] += 1;
    }
    let (mut live, mut peak) = (0, 0);
    for task in sequence {
        for input in &rows[task] {
            waiting[*input as usize] -= 1;
            live -= usize::from(waiting[*input as usize] == 0);
        }
        live += usize::from(waiting[task] > 0);
        peak = peak.max(live);
    }
    peak
}

/// A tree that takes `arity` results into one, until one is left; leaves first.
fn reduce(rows: &mut Vec<Vec<u32>>, mut level: Vec<u32>, arity: usize) -> u32 {
    while level.len() > 1 {
        let groups: Vec<Vec<u32>> = level.chunks(arity).map(<[u32]>::to_vec).collect();
        level = groups
            .into_iter()
            .map(|group| {
                rows.push(group);
                rows.len() as u32 - 1
            })
            .collect();
    }
    level[0]
}

#[test]
fn nothing_and_one() {
    assert!(order(&[]).is_empty());
    assert_eq!(order(&[vec![]]), [0]);
}

#[test]
fn a_chain_runs_along_itself() {
    assert_eq!(order(&[vec![], vec![0], vec![1], vec![2]]), [0, 1, 2, 3]);
    assert_eq!(order(&[vec![1], vec![2], vec![3], vec![]]), [3, 2, 1, 0]);
}

#[test]
fn independent_chains_are_not_interleaved() {
    let rows = [vec![], vec![], vec![0], vec![1], vec![2], vec![3]];
    assert_eq!(order(&rows), [0, 3, 1, 4, 2, 5]);
}

#[test]
fn the_shorter_goal_comes_first() {
    let rows = [vec![], vec![0], vec![1], vec![], vec![3]];
    assert_eq!(order(&rows), [2, 3, 4, 0, 1]);
}

#[test]
fn an_input_that_stands_twice_counts_once() {
    assert_eq!(order(&[vec![], vec![0, 0], vec![1, 0, 1]]), [0, 1, 2]);
}

#[test]
fn leaves_of_one_subtree_are_adjacent() {
    let mut rows = vec![vec![]; 16];
    reduce(&mut rows, (0..16).collect(), 2);
    let positions = order(&rows);
    for pair in (0..16).step_by(2) {
        assert_eq!(positions[pair].abs_diff(positions[pair + 1]), 1, "{positions:?}");
    }
    for four in (0..16).step_by(4) {
        let four = &positions[four..four + 4];
        let span = four.iter().max().unwrap() - four.iter().min().unwrap();
        assert_eq!(span, 4, "four leaves and the sum of the first two");
    }
}

#[test]
fn a_binary_tree_needs_one_result_a_level() {
    for k in 0..12 {
        let mut rows = vec![vec![]; 1 << k];
        reduce(&mut rows, (0..1 << k).collect(), 2);
        let positions = order(&rows);
        // The root has no dependent and is not counted, so one task alone needs nothing.
        let expected = if k == 0 { 0 } else { k + 1 };
        assert_eq!(peak(&rows, &positions), expected, "k = {k}");
    }
}

#[test]
fn a_lopsided_tree_starts_at_its_deep_end() {
    // ((((0 + 1) + 2) + 3) + 4), with the shallow leaf before the deep one in each row.
    let rows =
        [vec![], vec![], vec![], vec![], vec![], vec![0, 1], vec![2, 5], vec![3, 6], vec![4, 7]];
    assert_eq!(peak(&rows, &order(&rows)), 2);
}

#[test]
fn blocks_that_several_reductions_read_are_dropped_soon() {
    for uses in 2..=5_u32 {
        let blocks = 64_u32;
        let mut rows = vec![vec![]; blocks as usize];
        for _ in 0..uses {
            let first = rows.len() as u32;
            rows.extend((0..blocks).map(|block| vec![block]));
            reduce(&mut rows, (first..first + blocks).collect(), 4);
        }
        let found = peak(&rows, &order(&rows));
        // A tree of arity 4 over 64 blocks keeps at most 3 · 3 + 1 results; all blocks would be 64.
        assert!(found <= uses as usize * 10 + 1, "{uses} uses: {found} results live");
    }
}

#[test]
fn a_shared_input_with_many_readers_does_not_start_them_all() {
    // y_i = f(shared, a_i), z_i = g(y_i): one pair after the other.
    let n = 100_u32;
    let mut rows = vec![vec![]];
    rows.extend((0..n).map(|_| vec![]));
    rows.extend((0..n).map(|i| vec![0, 1 + i]));
    rows.extend((0..n).map(|i| vec![1 + n + i]));
    assert_eq!(peak(&rows, &order(&rows)), 2);
}

#[test]
fn tiles_of_a_product_are_finished_one_after_the_other() {
    let n = 6_u32;
    let (a, b) = (0, n * n);
    let mut rows = vec![vec![]; 2 * (n * n) as usize];
    for i in 0..n {
        for j in 0..n {
            let first = rows.len() as u32;
            rows.extend((0..n).map(|k| vec![a + i * n + k, b + k * n + j]));
            rows.push((first..first + n).collect());
        }
    }
    // Both matrices and the products of one tile.
    assert!(peak(&rows, &order(&rows)) <= (2 * n * n + n) as usize);
}

#[test]
fn the_order_of_the_file_wins() {
    let mut graph = graph(&[vec![], vec![], vec![0, 1]]);
    graph.order = Some(vec![1, 0, 2]);
    assert_eq!(static_order(&graph), [1, 0, 2]);
}

#[test]
fn deep_and_wide_graphs_need_no_deep_stack() {
    let n = 300_000_u32;
    let chain: Vec<Vec<u32>> =
        (0..n).map(|task| if task == 0 { vec![] } else { vec![task - 1] }).collect();
    assert!(order(&chain).iter().copied().eq(0..n));
    let mut star = vec![vec![]];
    star.extend((1..n).map(|_| vec![0]));
    assert!(order(&star).iter().copied().eq(0..n));
    let mut funnel = vec![vec![]; n as usize];
    funnel.push((0..n).collect());
    funnel.push((0..n).collect());
    assert!(order(&funnel).iter().copied().eq(0..=n + 1));
}

proptest! {
    #[test]
    fn every_order_is_topological_and_repeatable(
        seeds in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..5), 0..80),
        backwards: bool,
    ) {
        let n = seeds.len() as u32;
        let mut rows: Vec<Vec<u32>> = seeds
            .iter()
            .zip(0..)
            .map(|(row, task): (_, u32)| {
                if task == 0 { vec![] } else { row.iter().map(|seed| seed % task).collect() }
            })
            .collect();
        if backwards {
            // Numbers that rise towards the roots.
            rows.reverse();
            for input in rows.iter_mut().flatten() {
                *input = n - 1 - *input;
            }
        }
        prop_assert_eq!(order(&rows), order(&rows));
    }
}
