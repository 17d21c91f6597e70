//! Tests of building and checking: each fault once, and graphs drawn at random against a slow and
//! obvious check.

use super::*;
use crate::ids::SpecId;
use proptest::prelude::*;

fn spec() -> RunSpec {
    RunSpec::kernel::<&str>("identity", [])
}

fn builder(tasks: &[(&str, &[&str])]) -> GraphBuilder {
    let mut builder = GraphBuilder::new();
    for (key, inputs) in tasks {
        builder.add_by_key(key, spec(), inputs.iter());
    }
    builder
}

fn faults(builder: GraphBuilder) -> Vec<String> {
    builder.finish().1.iter().map(ToString::to_string).collect()
}

#[test]
fn inputs_keep_their_order_and_may_repeat() {
    let graph = builder(&[("c", &["b", "a", "b"]), ("a", &[]), ("b", &["a"])]).build().unwrap();
    assert_eq!(graph.inputs.row(TaskId(0)), [TaskId(2), TaskId(1), TaskId(2)]);
    assert_eq!(graph.inputs.row(TaskId(1)), []);
    assert_eq!(graph.inputs.row(TaskId(2)), [TaskId(1)]);
    assert_eq!((graph.key(TaskId(2)), graph.specs.len()), ("b", 1));
}

#[test]
fn an_empty_graph_is_a_graph() {
    let graph = GraphBuilder::new().build().unwrap();
    assert_eq!((graph.len(), graph.keys.len()), (0, 0));
    assert_eq!(graph.faults(), []);
}

#[test]
fn all_faults_are_found_not_only_the_first() {
    let mut graph = builder(&[("alpha", &["alfa", "beta"]), ("beta", &[]), ("beta", &["gone"])]);
    graph.outputs_by_key(["bet", "beta", "zzz"]);
    assert_eq!(
        faults(graph.clone()),
        [
            "unknown dependency 'alfa' (task 'alpha', input 0)",
            "unknown dependency 'gone' (task 'beta', input 0)",
            "unknown output 'bet' (outputs)",
            "unknown output 'zzz' (outputs)",
            "the key 'beta' stands twice (task numbers 1 and 2)",
        ]
    );
    let first = graph.build().unwrap_err();
    assert_eq!(first.help().as_deref(), None);
    let mut near = builder(&[("alpha", &[])]);
    near.outputs_by_key(["alpa"]);
    assert_eq!(near.build().unwrap_err().help().as_deref(), Some("did you mean 'alpha'?"));
}

#[test]
fn keys_have_1_to_4096_bytes() {
    let longest = "k".repeat(MAX_KEY_BYTES);
    assert!(builder(&[(&longest, &[])]).build().is_ok());
    let longer = "k".repeat(MAX_KEY_BYTES + 1);
    assert_eq!(
        faults(builder(&[("", &[]), (&longer, &[])])),
        ["a key has 0 bytes (task number 0)", "a key has 4097 bytes (task number 1)"]
    );
}

#[test]
fn a_cycle_is_named_in_the_order_of_needs() {
    let graph =
        builder(&[("x", &["a"]), ("a", &["b"]), ("b", &["c", "x0"]), ("c", &["a"]), ("x0", &[])]);
    assert_eq!(
        faults(graph),
        ["3 tasks need each other: 'a' needs 'b' needs 'c' needs 'a' (task 'a')"]
    );
    assert_eq!(faults(builder(&[("s", &["s"])])), ["a task needs itself (task 's')"]);
}

#[test]
fn separate_cycles_are_separate_faults() {
    let graph = builder(&[("a", &["b"]), ("b", &["a"]), ("c", &["d", "a"]), ("d", &["c"])]);
    assert_eq!(faults(graph).len(), 2);
}

#[test]
fn a_chain_of_a_million_tasks_backwards_needs_no_deep_stack() {
    let mut graph = GraphBuilder::new();
    let count = 1_000_000;
    for i in 0..count {
        let input = (i + 1 < count).then(|| (i + 1).to_string());
        graph.add_by_key(&i.to_string(), spec(), input);
    }
    assert_eq!(graph.build().unwrap().inputs.row(TaskId(0)), [TaskId(1)]);
}

#[test]
fn specs_are_shared_and_numbered_by_first_use() {
    let full = |value: f64| RunSpec::kernel("full", [("value", value.into())]);
    let mut graph = GraphBuilder::new();
    for (i, value) in [0.0, -0.0, f64::NAN, 0.0, f64::NAN].into_iter().enumerate() {
        graph.add(&i.to_string(), full(value), &[]);
    }
    let graph = graph.build().unwrap();
    assert_eq!(graph.spec_of, [0, 1, 2, 0, 2].map(SpecId));
    assert_eq!(graph.specs[2].params()[0].1, Param::Str("nan".into()));
}

#[test]
fn attributes_are_sorted_and_the_last_call_wins() {
    let mut graph = GraphBuilder::new();
    let a = graph.add("a", spec(), &[]);
    let b = graph.add("b", spec(), &[]);
    let retries = |n| Attributes { retries: Some(n), ..Attributes::default() };
    graph.attributes(b, retries(1));
    graph.attributes(a, retries(2));
    graph.attributes(b, retries(3));
    let graph = graph.build().unwrap();
    assert_eq!(graph.attributes, [(a.task(), retries(2)), (b.task(), retries(3))]);
    assert_eq!(graph.attributes_of(b.task()), Some(&retries(3)));
}

#[test]
fn attributes_that_cannot_hold_are_faults() {
    let mut graph = GraphBuilder::new();
    let a = graph.add("a", spec(), &[]);
    graph.attributes(
        a,
        Attributes {
            threads: Some(0),
            timeout_ns: Some(0),
            resources: vec![("GPU".into(), 1), (String::new(), 1), ("GPU".into(), 2)],
            workers: vec![String::new()],
            ..Attributes::default()
        },
    );
    assert_eq!(
        faults(graph),
        [
            "a task takes at least one thread (task 'a', threads)",
            "a timeout is more than 0 seconds (task 'a', timeout)",
            "a resource has no name (task 'a', resources)",
            "the resource 'GPU' stands twice (task 'a', resources)",
            "a worker has no name (task 'a', workers)",
        ]
    );
}

fn array(name: &str, shape: &[u64], chunks: &[&[u64]], grid: &[u32]) -> ArrayOutput {
    ArrayOutput {
        name: name.into(),
        shape: shape.to_vec(),
        dtype: "f64".into(),
        chunks: chunks.iter().map(|axis| axis.to_vec()).collect(),
        grid: grid.iter().map(|task| TaskId(*task)).collect(),
    }
}

#[test]
fn arrays_must_fit_their_chunks() {
    let check = |array: ArrayOutput| {
        let mut graph = builder(&[("a", &[]), ("b", &[])]);
        graph.array(array);
        faults(graph)
    };
    assert!(check(array("n", &[5], &[&[2, 3]], &[0, 1])).is_empty());
    assert!(check(array("n", &[], &[], &[0])).is_empty());
    assert!(check(array("n", &[0], &[&[]], &[])).is_empty());
    let cases = [
        (array("n", &[5], &[&[2, 2]], &[0, 1]), "the chunks of axis 0 sum to 4, not 5 (array 'n')"),
        (array("n", &[5, 1], &[&[2, 3]], &[0, 1]), "1 lists of chunks for 2 axes (array 'n')"),
        (
            array("n", &[2, 2], &[&[1, 1], &[2]], &[0]),
            "the grid holds 1 tasks for 2 x 1 chunks (array 'n')",
        ),
        (array("n", &[1], &[&[1]], &[9]), "task number 9 in a graph of 2 tasks (array 'n')"),
        (array("a", &[1], &[&[1]], &[1]), "an output has the name of this array (array 'a')"),
    ];
    for (array, expected) in cases {
        assert_eq!(check(array), [expected]);
    }
    let overflow = check(array("n", &[1], &[&[u64::MAX, 2]], &[0, 1]));
    assert_eq!(overflow, ["the chunks of axis 0 sum to more than 2^64 (array 'n')"]);
}

#[test]
fn two_arrays_cannot_share_a_name_and_chunks_must_exist() {
    let mut graph = builder(&[("a", &[])]);
    graph.array(array("n", &[1], &[&[1]], &[0]));
    graph.array_by_key(array("n", &[2], &[&[1, 1]], &[]), ["a", "aa"]);
    assert_eq!(
        faults(graph),
        ["unknown chunk 'aa' (array 'n')", "two arrays have this name (array 'n')"]
    );
}

#[test]
fn an_order_is_a_permutation() {
    let check = |order: &[u32]| {
        let mut graph = builder(&[("a", &[]), ("b", &["a"])]);
        graph.order(order.to_vec());
        faults(graph)
    };
    assert!(check(&[1, 0]).is_empty());
    assert_eq!(check(&[0]), ["1 positions for 2 tasks (order)"]);
    assert_eq!(check(&[0, 2]), ["position 2 in an order of 2 tasks (order)"]);
    assert_eq!(check(&[0, 0]), ["the position 0 stands twice (order)"]);
}

#[test]
fn outputs_none_said_and_listed_are_three_things() {
    let graph = builder(&[("a", &[])]);
    assert_eq!(graph.clone().build().unwrap().outputs, Outputs::Sinks);
    let mut none = graph.clone();
    none.outputs(&[]);
    assert_eq!(none.build().unwrap().outputs, Outputs::Tasks(vec![]));
    let mut twice = graph;
    twice.outputs_by_key(["a", "a"]);
    assert_eq!(twice.build().unwrap().outputs, Outputs::Tasks(vec![TaskId(0)]));
}

#[test]
fn tables_that_do_not_fit_are_faults_and_no_panics() {
    let good = builder(&[("ä", &[]), ("b", &["ä"])]).build().unwrap();
    let broken = |change: fn(&mut Graph)| {
        let mut graph = good.clone();
        change(&mut graph);
        let faults = graph.faults();
        assert_eq!(graph.normalized().unwrap_err(), faults);
        faults.first().unwrap().to_string()
    };
    type Case = (fn(&mut Graph), &'static str);
    let cases: [Case; 8] = [
        (
            |g| g.keys.offsets = vec![],
            "0 offsets for 2 tasks, one more than tasks is right (table keys)",
        ),
        (|g| g.keys.offsets[0] = 1, "the first offset is 1, not 0 (table keys)"),
        (|g| g.keys.offsets[1] = 9, "the offsets decrease at task number 1 (table keys)"),
        (|g| g.keys.offsets[2] = 9, "the last offset is 9, not 3 (table keys)"),
        (
            |g| g.keys.offsets[1] = 1,
            "the key of task number 1 begins inside a character (table keys)",
        ),
        (|g| g.spec_of[1] = SpecId(1), "task number 1 has run spec 1, of 1 (table run specs)"),
        (
            |g| g.inputs.values[0] = TaskId(2),
            "task number 2 in a graph of 2 tasks (task 'b', input 0)",
        ),
        (
            |g| g.inputs.values[0] = TaskId(u32::MAX),
            "task number 4294967295 in a graph of 2 tasks (task 'b', input 0)",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(broken(change), expected);
    }
}

/// Kahn's algorithm, the slow way: whether all tasks can be taken one after the other.
fn runs_to_the_end(edges: &[Vec<usize>]) -> bool {
    let mut done = vec![false; edges.len()];
    for _ in 0..edges.len() {
        for task in 0..edges.len() {
            done[task] |= edges[task].iter().all(|input| done[*input]);
        }
    }
    done.iter().all(|done| *done)
}

proptest! {
    #[test]
    fn a_graph_is_refused_exactly_when_it_cannot_run(
        edges in (1_usize..12).prop_flat_map(|n| {
            prop::collection::vec(prop::collection::vec(0..n, 0..3), n)
        })
    ) {
        let mut graph = GraphBuilder::new();
        for (task, inputs) in edges.iter().enumerate() {
            graph.add_by_key(&format!("k{task}"), spec(), inputs.iter().map(|i| format!("k{i}")));
        }
        match graph.build() {
            Ok(graph) => {
                prop_assert!(runs_to_the_end(&edges));
                for (task, inputs) in edges.iter().enumerate() {
                    let row: Vec<usize> = graph.inputs.row(TaskId::from_index(task))
                        .iter().map(|input| input.index()).collect();
                    prop_assert_eq!(&row, inputs);
                }
            }
            Err(GraphError::Cycle { keys, count }) => {
                prop_assert!(!runs_to_the_end(&edges));
                prop_assert_eq!(keys.len(), count.min(10));
                let number = |key: &String| key[1..].parse::<usize>().unwrap();
                for pair in keys.windows(2) {
                    prop_assert!(edges[number(&pair[0])].contains(&number(&pair[1])));
                }
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn normalizing_keeps_what_each_task_runs(
        specs in prop::collection::vec(0_i64..4, 1..6),
        uses in prop::collection::vec(0_usize..6, 0..12),
    ) {
        let mut graph = GraphBuilder::new();
        for task in 0..uses.len() {
            graph.add(&task.to_string(), spec(), &[]);
        }
        let mut graph = graph.build().unwrap();
        graph.specs =
            specs.iter().map(|n| RunSpec::kernel("bytes", [("size", Param::Int(*n))])).collect();
        graph.spec_of = uses.iter().map(|u| SpecId::from_index(u % specs.len())).collect();
        let ran: Vec<RunSpec> =
            (0..uses.len()).map(|t| graph.spec(TaskId::from_index(t)).clone()).collect();
        let graph = graph.normalized().unwrap();
        let runs: Vec<RunSpec> =
            (0..uses.len()).map(|t| graph.spec(TaskId::from_index(t)).clone()).collect();
        prop_assert_eq!(runs, ran);
        let mut next = 0;
        for number in &graph.spec_of {
            prop_assert!(number.0 <= next);
            next = next.max(number.0 + 1);
        }
        prop_assert_eq!(graph.specs.len(), next as usize);
    }
}
