//! Graphs for tests: one that uses every part of the formats, and any graph at random.

use crate::{
    ArrayOutput, Attributes, Capture, CommandSpec, Graph, GraphBuilder, Param, Params, RunSpec,
};
use proptest::prelude::*;

/// A graph with every kind of section and every field of the JSON form.
pub(crate) fn full() -> Graph {
    let mut graph = GraphBuilder::new();
    let shape: Param = vec![2_i64, 3].into();
    let full = |value: Param| {
        let dtype = ("dtype", "f64".into());
        RunSpec::kernel("full", [("shape", shape.clone()), dtype, ("value", value)])
    };
    graph.add_by_key("sum", RunSpec::kernel::<&str>("sum", []), ["b", "b"]);
    let a = graph.add("a", full(1.5.into()), &[]);
    let b = graph.add("b", full("nan".into()), &[]);
    let blob = RunSpec::kernel("data", [("base64", "QUJD".repeat(1100).into())]);
    graph.add("c", blob, &[]);
    graph.add("d", full(u64::MAX.into()), &[a, b]);
    let map = Param::Map(vec![("x".into(), Param::Null), ("y".into(), true.into())]);
    graph.add("e", RunSpec::kernel("identity", [("map", map)]), &[]);
    graph.attributes(
        a,
        Attributes {
            priority: Some(-10),
            retries: Some(2),
            resources: vec![("GPU".into(), 1_000_000), ("NVME".into(), 250_000)],
            workers: vec!["1".into(), "tcp://h:1".into()],
            hosts: vec!["node7".into()],
            allow_other_workers: true,
            threads: Some(4),
            memory_bytes: Some(2 << 30),
            time_ns: Some(30_500_000_000),
            timeout_ns: Some(600_000_000_000),
        },
    );
    graph.outputs_by_key(["sum", "c"]);
    let array = ArrayOutput {
        name: "anomaly".into(),
        shape: vec![4, 3],
        dtype: "f64".into(),
        chunks: vec![vec![2, 2], vec![3]],
        grid: vec![],
    };
    graph.array_by_key(array, ["a", "b"]);
    graph.order(vec![5, 0, 1, 2, 3, 4]);
    graph.meta(r#"{"by":"a test","n":[1,2.50,"x y\" \\"]}"#);
    graph.build().expect("the sample is right")
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[a-z]{1,6}", 1 => "\\PC{0,5}", 1 => "[\\x00-\\x7f]{0,5}"]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => name(),
        1 => (4090_usize..4200).prop_map(|len| "é".repeat(len / 2)),
    ]
}

fn param() -> impl Strategy<Value = Param> {
    let leaf = prop_oneof![
        Just(Param::Null),
        any::<bool>().prop_map(Param::Bool),
        any::<i64>().prop_map(Param::Int),
        any::<u64>().prop_map(Param::UInt),
        prop::num::f64::ANY.prop_map(Param::Float),
        text().prop_map(Param::Str),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Param::List),
            fields(inner).prop_map(Param::Map),
        ]
    })
}

fn fields(value: impl Strategy<Value = Param>) -> impl Strategy<Value = Params> {
    prop::collection::vec((name(), value), 0..4).prop_map(|fields| {
        let numbered = fields.into_iter().enumerate();
        numbered.map(|(i, (name, value))| (format!("{name}{i}"), value)).collect()
    })
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let names = || prop::collection::vec("[a-z0-9]{1,4}", 0..3);
    let numbers = any::<(Option<i32>, Option<u32>, bool, Option<u64>, Option<u64>)>();
    let positive = any::<(Option<std::num::NonZeroU32>, Option<std::num::NonZeroU64>)>();
    let resources = prop::collection::btree_map("[A-Z]{1,3}", any::<u64>(), 0..3);
    (numbers, positive, resources, names(), names()).prop_map(
        |((priority, retries, allow_other_workers, memory_bytes, time_ns), positive, r, w, h)| {
            Attributes {
                priority,
                retries,
                resources: r.into_iter().collect(),
                workers: w,
                hosts: h,
                allow_other_workers,
                threads: positive.0.map(Into::into),
                memory_bytes,
                time_ns,
                timeout_ns: positive.1.map(Into::into),
            }
        },
    )
}

/// What one task is made of: key, kernel, parameters, inputs (before the remainder), attributes.
type TaskParts = (String, String, Params, Vec<usize>, Option<Attributes>);

fn task() -> impl Strategy<Value = TaskParts> {
    let inputs = prop::collection::vec(any::<usize>(), 0..4);
    (name(), "[a-z_]{1,6}", fields(param()), inputs, prop::option::of(attributes()))
}

/// A command of texts at hand; formats do not look at what they say.
fn command(name: &str, params: &Params) -> CommandSpec {
    let names = || params.iter().map(|(name, _)| name.clone());
    let number = u32::try_from(name.len()).expect("short");
    CommandSpec {
        argv: std::iter::once(name.to_owned()).chain(names()).collect(),
        env: names().map(|name| (name, "a=b".to_owned())).collect(),
        stdin: (number % 2 == 1).then_some(number),
        files: names().zip(number..).collect(),
        capture: match number % 3 {
            0 => Capture::Nothing,
            1 => Capture::Stdout,
            _ => Capture::File(name.to_owned()),
        },
    }
}

/// Any checked graph, small.
pub(crate) fn any_graph() -> impl Strategy<Value = Graph> {
    let arrays = prop::collection::vec((name(), any::<[u8; 6]>()), 0..3);
    let outputs = prop::option::of(prop::collection::vec(any::<usize>(), 0..4));
    let metas = prop::sample::select(vec!["{}", r#"{"a":[1,2.50,"x y\" \\"],"b":null}"#]);
    let tasks = prop::collection::vec(task(), 0..7);
    (tasks, outputs, arrays, any::<bool>(), any::<bool>(), metas).prop_map(
        |(tasks, outputs, arrays, backwards, ordered, meta)| {
            let mut graph = GraphBuilder::new();
            let count = tasks.len();
            let keys: Vec<String> =
                tasks.iter().enumerate().map(|(i, task)| format!("{}-{i}", task.0)).collect();
            for (i, (_, kernel, params, inputs, attributes)) in tasks.into_iter().enumerate() {
                let possible = if backwards { i + 1..count } else { 0..i };
                let inputs = inputs.iter().filter(|_| !possible.is_empty());
                let inputs = inputs.map(|n| keys[possible.start + n % possible.len()].as_str());
                let spec = match kernel.split_at(1) {
                    ("p", symbol) => {
                        RunSpec::plugin(format!("lib{kernel}.so"), format!("f{symbol}"), params)
                    }
                    ("c", _) => RunSpec::command(command(&kernel, &params)),
                    _ => RunSpec::Kernel { name: kernel, params },
                };
                let task = graph.add_by_key(&keys[i], spec, inputs);
                if let Some(attributes) = attributes {
                    graph.attributes(task, attributes);
                }
            }
            if count > 0 {
                if let Some(outputs) = outputs {
                    graph.outputs_by_key(outputs.iter().map(|n| keys[n % count].clone()));
                }
                for (i, (name, bytes)) in arrays.iter().enumerate() {
                    add_array(&mut graph, format!("array {name}{i}"), *bytes, &keys);
                }
            }
            if ordered {
                graph.order((0..u32::try_from(count).expect("few")).rev().collect());
            }
            graph.meta(meta);
            graph.build().expect("it was made to be right")
        },
    )
}

/// An array of 0 to 2 axes with up to 3 chunks each.
fn add_array(graph: &mut GraphBuilder, name: String, bytes: [u8; 6], keys: &[String]) {
    let axes = usize::from(bytes[0] % 3);
    let chunks: Vec<Vec<u64>> = (0..axes)
        .map(|axis| {
            (0..bytes[1 + axis] % 4).map(|c| u64::from(c) * u64::from(bytes[3 + axis])).collect()
        })
        .collect();
    let grid = (0..chunks.iter().map(Vec::len).product()).map(|i: usize| &keys[i % keys.len()]);
    let shape = chunks.iter().map(|axis| axis.iter().sum()).collect();
    let grid: Vec<String> = grid.cloned().collect();
    graph.array_by_key(ArrayOutput { name, shape, dtype: "i8".into(), chunks, grid: vec![] }, grid);
}
