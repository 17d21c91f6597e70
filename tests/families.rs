//! `graph generate`: every family has the tasks, edges and longest path of its definition.
//!
//! The study's table is copied from the paper; Task Bench's patterns are written down a second
//! time, point by point, from the definitions.

use rdask::generate::{GenerateError, Knob, Request, Wanted, generate};
use rdask::{Graph, Outputs, Param};
use rdask_core::ids::TaskId;
use std::collections::BTreeSet;

/// Tasks, edges and longest path in edges of the published graphs.
const PUBLISHED: [(&str, usize, usize, usize); 34] = [
    ("bag-25K-10", 236, 415, 6),
    ("bag-25K-50", 5458, 10_357, 7),
    ("bag-25K-100", 21_631, 41_430, 8),
    ("bag-25K-200", 86_116, 165_715, 9),
    ("bag-50K-50", 5458, 10_357, 7),
    ("merge-10K", 10_001, 10_000, 1),
    ("merge-15K", 15_001, 15_000, 1),
    ("merge-20K", 20_001, 20_000, 1),
    ("merge-25K", 25_001, 25_000, 1),
    ("merge-30K", 30_001, 30_000, 1),
    ("merge-50K", 50_001, 50_000, 1),
    ("merge-100K", 100_001, 100_000, 1),
    ("merge_slow-5K-0.1", 5001, 5000, 1),
    ("merge_slow-20K-0.1", 20_001, 20_000, 1),
    ("numpy-50K-10", 209, 228, 7),
    ("numpy-50K-50", 4892, 5491, 9),
    ("numpy-50K-100", 19_334, 21_783, 10),
    ("numpy-50K-200", 77_067, 86_966, 11),
    ("groupby-90-1S-8H", 1434, 1973, 7),
    ("groupby-90-1S-1H", 11_424, 15_743, 8),
    ("groupby-360-1S-8H", 5714, 7873, 8),
    ("groupby-360-1S-1H", 45_674, 62_953, 9),
    ("groupby-1440-1S-8H", 22_842, 31_481, 9),
    ("groupby-1440-1S-1H", 182_682, 251_801, 10),
    ("groupby-2880-1S-16H", 22_842, 31_481, 9),
    ("groupby-2880-1S-8H", 45_674, 62_953, 9),
    ("join-1-1S-1H", 673, 1224, 5),
    ("join-1-1S-1T", 72_001, 125_568, 11),
    ("join-1-2s-1H", 673, 1224, 5),
    ("tree-15", 32_767, 32_766, 14),
    ("vectorizer-1M-300", 301, 0, 0),
    ("wordbag-100K-50", 250, 200, 2),
    ("xarray-5", 9258, 14_976, 10),
    ("xarray-25", 552, 862, 10),
];

fn request(family: &str, sizes: &[(Knob, u64)]) -> Request {
    Request { family: family.to_owned(), sizes: sizes.to_vec(), ..Request::default() }
}

fn make(family: &str, sizes: &[(Knob, u64)]) -> Graph {
    generate(&request(family, sizes)).unwrap_or_else(|error| panic!("{family}: {error}"))
}

/// Tasks, edges, longest path. Families add every task behind its inputs.
fn counts(graph: &Graph) -> (usize, usize, usize) {
    let mut levels = vec![0; graph.len()];
    for task in (0..graph.len()).map(TaskId::from_index) {
        let inputs = graph.inputs.row(task);
        assert!(inputs.iter().all(|input| *input < task), "{}", graph.key(task));
        let level = inputs.iter().map(|input| levels[input.index()] + 1).max();
        levels[task.index()] = level.unwrap_or(0);
    }
    (graph.len(), graph.inputs.values.len(), levels.into_iter().max().unwrap_or(0))
}

#[test]
fn published_graphs_have_their_published_counts() {
    for (name, tasks, edges, longest) in PUBLISHED {
        let graph = make(name, &[]);
        assert_eq!(counts(&graph), (tasks, edges, longest), "{name}");
        assert_eq!(graph.outputs, Outputs::Tasks(vec![]), "{name}");
    }
}

#[test]
fn sizes_and_durations_are_the_published_ones() {
    let of = |name: &str| {
        let graph = make(name, &[]);
        let last = graph.spec(TaskId::from_index(graph.len() - 1)).clone();
        assert_eq!(last.name(), "bytes");
        last.params().clone()
    };
    let param = |name: &str, value: i64| (name.to_owned(), Param::Int(value));
    assert_eq!(of("vectorizer-1M-300"), [param("size", 10_471_424), param("us", 1_504_000)]);
    assert_eq!(of("tree-15"), [param("size", 28), param("us", 7)]);
    // The sum of all means is one number.
    assert_eq!(of("numpy-50K-50"), [param("size", 8), param("us", 8300)]);
    // x has blocks of 1000 by 1000.
    let graph = make("numpy-50K-50", &[]);
    assert_eq!(graph.spec(TaskId(0)).params()[0], param("size", 8_000_000));
    let slow = make("merge_slow-5K-0.1", &[]);
    assert_eq!(slow.spec(TaskId(0)).name(), "sleep");
    assert_eq!(slow.spec(TaskId(0)).params(), &[("ms".to_owned(), Param::Float(100.0))]);
}

#[test]
fn other_sizes_follow_the_definitions() {
    for n in [1, 2, 17, 1000] {
        assert_eq!(counts(&make("merge", &[(Knob::N, n)])), (n as usize + 1, n as usize, 1));
    }
    for depth in 1..12 {
        let tasks = (1 << depth) - 1;
        let expected = (tasks, tasks - 1, depth - 1);
        assert_eq!(counts(&make("tree", &[(Knob::Depth, depth as u64)])), expected);
    }
    // Today's Dask makes this graph for 20,000 in 10 by 10 chunks too.
    let small = [(Knob::Size, 20_000), (Knob::Chunks, 10)];
    assert_eq!(counts(&make("numpy", &small)), (209, 228, 7));
    for partitions in [1, 2, 31, 32, 33, 1025] {
        let sizes = [(Knob::Partitions, partitions)];
        for family in ["bag", "groupby", "join", "vectorizer", "wordbag"] {
            if partitions < 1000 || family != "bag" {
                assert!(make(family, &sizes).len() > partitions as usize, "{family}");
            }
        }
    }
    // One stage for 32 partitions, two of six ways for 33.
    let join = |count| counts(&make("join", &[(Knob::Partitions, count)]));
    assert_eq!(join(32), (32 * 32 + 4 * 32 + 1, 2 * 32 * 32 + 3 * 32, 5));
    assert_eq!(join(33).2, 8);
}

/// Points that a step has, from the definitions.
fn active(pattern: &str, w: i64, t_all: i64, t: i64) -> (i64, i64) {
    match pattern {
        "dom" => ((t + w - t_all).max(0), w.min(t + 1).min(t_all - t)),
        "tree_tb" => (0, if t < 40 { w.min(1 << t) } else { w }),
        _ => (0, w),
    }
}

/// D(t, p) before it is clipped to the points of step t - 1.
fn definition(pattern: &str, (w, k, period): (i64, i64, i64), (t, p): (i64, i64)) -> BTreeSet<i64> {
    let interval = |low: i64, high: i64| (low..=high).collect();
    match pattern {
        "trivial" => BTreeSet::new(),
        "no_comm" => [p].into(),
        "stencil_1d" => interval(p - 1, p + 1),
        "stencil_1d_periodic" => [p - 1, p, p + 1].map(|q| q.rem_euclid(w)).into(),
        "dom" => interval(p - 1, p),
        "tree_tb" => [p / 2].into(),
        "fft_butterfly" => {
            let rounds = (w as f64).log2().ceil() as i64;
            let far = 1 << if rounds == 0 { 0 } else { (t - 1) % rounds };
            [p - far, p, p + far].into()
        }
        "all_to_all" => interval(0, w - 1),
        "nearest" if k == 0 => BTreeSet::new(),
        "nearest" => interval(p - k / 2, p + (k - 1) / 2),
        "spread" => (0..k)
            .map(|i| (p + i * w / k + if i > 0 { t % period } else { 0 }).rem_euclid(w))
            .collect(),
        other => panic!("no definition of {other}"),
    }
}

/// What a task reads, by the last number of its inputs' keys.
fn points_read(graph: &Graph, task: TaskId) -> Vec<i64> {
    let point = |input: &TaskId| graph.key(*input).rsplit('-').next().unwrap().parse().unwrap();
    graph.inputs.row(task).iter().map(point).collect()
}

#[test]
fn patterns_read_what_their_definitions_say() {
    let patterns = [
        "trivial",
        "no_comm",
        "stencil_1d",
        "stencil_1d_periodic",
        "dom",
        "tree_tb",
        "fft_butterfly",
        "all_to_all",
        "nearest",
        "spread",
    ];
    for pattern in patterns {
        for (w, t_all) in [(1, 1), (1, 5), (2, 3), (3, 7), (8, 4), (13, 20), (16, 16)] {
            for (k, period) in [(0, 1), (1, 1), (2, 3), (5, 3), (9, 4), (20, 2)] {
                let takes_radix = ["nearest", "spread"].contains(&pattern);
                if !takes_radix && k != 0 {
                    continue;
                }
                let mut sizes = vec![(Knob::Width, w as u64), (Knob::Steps, t_all as u64)];
                if takes_radix {
                    sizes.push((Knob::Radix, k as u64));
                }
                if pattern == "spread" {
                    sizes.push((Knob::Period, period as u64));
                }
                check_pattern(pattern, &make(pattern, &sizes), [w, t_all, k, period]);
            }
        }
    }
}

#[track_caller]
fn check_pattern(pattern: &str, graph: &Graph, [w, t_all, k, period]: [i64; 4]) {
    let mut number = 0;
    for t in 0..t_all {
        let (offset, width) = active(pattern, w, t_all, t);
        for p in offset..offset + width {
            let task = TaskId::from_index(number);
            number += 1;
            let place = format!("{pattern} W {w} T {t_all} k {k} t {t} p {p}");
            assert!(graph.key(task).ends_with(&format!("-{t}-{p}")), "{place}");
            let mut expected = BTreeSet::new();
            if t > 0 {
                let (first, count) = active(pattern, w, t_all, t - 1);
                expected = definition(pattern, (w, k, period), (t, p));
                expected.retain(|q| (first..first + count).contains(q));
            }
            let read = points_read(graph, task);
            assert_eq!(read.len(), expected.len(), "{place}: {read:?}");
            assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), expected, "{place}");
        }
    }
    assert_eq!(graph.len(), number, "{pattern}");
}

#[test]
fn random_patterns_keep_a_fraction_of_the_nearest_and_always_their_own_point() {
    let (w, t_all) = (64, 40);
    let sizes = |fraction| {
        let [width, steps] = [(Knob::Width, w), (Knob::Steps, t_all)];
        [width, steps, (Knob::Radix, 9), (Knob::Period, 4), (Knob::Fraction, fraction)]
    };
    let whole = make("random_nearest", &sizes(1_000_000));
    let nearest = [(Knob::Width, w), (Knob::Steps, t_all), (Knob::Radix, 9)];
    assert_eq!(whole.inputs, make("nearest", &nearest).inputs);
    let none = make("random_nearest", &sizes(0));
    assert_eq!(none.inputs, make("no_comm", &nearest[..2]).inputs);

    let graph = make("random_nearest", &sizes(500_000));
    let (mut kept, mut possible) = (0.0, 0.0);
    for task in (w as usize..graph.len()).map(TaskId::from_index) {
        let p = (task.index() as i64) % w as i64;
        let read = points_read(&graph, task);
        assert!(read.contains(&p) && read.iter().all(|q| (q - p).abs() <= 4), "{read:?}");
        kept += read.len() as f64 - 1.0;
        possible += whole.inputs.row(task).len() as f64 - 1.0;
        // What is read depends on t mod 4 alone.
        if task.index() >= 5 * w as usize {
            let before = TaskId::from_index(task.index() - 4 * w as usize);
            assert_eq!(read, points_read(&graph, before));
        }
    }
    assert!((kept / possible - 0.5).abs() < 0.1, "{kept} of {possible}");
    let mut other = request("random_nearest", &sizes(500_000));
    other.seed = 1;
    assert_ne!(generate(&other).unwrap().inputs, graph.inputs);
}

#[test]
fn patterns_stand_side_by_side_and_may_be_uneven() {
    let sizes = [(Knob::Width, 8), (Knob::Steps, 10)];
    let one = make("stencil_1d", &sizes);
    let four = make("stencil_1d", &[&sizes[..], &[(Knob::Graphs, 4)]].concat());
    assert_eq!(counts(&four), (4 * 80, 4 * one.inputs.values.len(), 9));
    let mut uneven = request("no_comm", &[&sizes[..], &[(Knob::Imbalance, 1_000_000)]].concat());
    uneven.task_us = Some(640.0);
    let graph = generate(&uneven).unwrap();
    let durations: Vec<f64> = (0..graph.len())
        .map(|task| match graph.spec(TaskId::from_index(task)).params().last().unwrap() {
            (name, Param::Int(us)) if name == "us" => *us as f64,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(durations.iter().all(|us| (0.0..=640.0).contains(us)));
    let mean = durations.iter().sum::<f64>() / durations.len() as f64;
    assert!((mean - 320.0).abs() < 80.0, "{mean}");
}

#[test]
fn the_same_request_gives_the_same_graph() {
    let hash =
        |request: &Request| rdask::graph_info::info(&generate(request).unwrap()).content_hash;
    for (name, _) in rdask::generate::families() {
        let mut request = request(name, &[]);
        let first = hash(&request);
        assert_eq!(first, hash(&request), "{name}");
        request.seed = 7;
        // `--seed` changes what tasks make; sums of given numbers have nothing to change.
        let depends = !["jacobi"].contains(&name);
        assert_eq!(first != hash(&request), depends, "{name}");
    }
}

#[test]
fn what_is_written_is_what_was_asked_for() {
    let outputs = |family: &str, real, wanted| {
        let graph = generate(&Request { real, wanted, ..request(family, &[]) }).unwrap();
        (graph.outputs, graph.arrays.len())
    };
    let nothing = (Outputs::Tasks(vec![]), 0);
    assert_eq!(outputs("tree", false, None), nothing);
    assert_eq!(outputs("tree", true, None), (Outputs::Sinks, 0));
    assert_eq!(outputs("tree", true, Some(Wanted::None)), nothing);
    assert_eq!(outputs("bag", false, Some(Wanted::Sinks)), (Outputs::Sinks, 0));
    assert_eq!(outputs("cholesky", false, None), nothing);
    assert_eq!(outputs("cholesky", true, None), (Outputs::Tasks(vec![]), 1));
    assert_eq!(outputs("qr", false, Some(Wanted::Sinks)), (Outputs::Tasks(vec![]), 2));
}

#[test]
fn tiled_algorithms_have_the_tasks_of_their_loops() {
    let kernels = |family: &str, tiles: u64, steps: &[(Knob, u64)]| {
        let sizes = [&[(Knob::N, 10 * tiles), (Knob::Block, 10)], steps].concat();
        rdask::graph_info::info(&make(family, &sizes)).kernels
    };
    for t in 1..6 {
        let found = kernels("cholesky", t, &[]);
        let count = |name: &str| found.get(name).copied().unwrap_or(0);
        assert_eq!(count("cholesky"), t);
        assert_eq!((count("trsm"), count("syrk")), (t * (t - 1) / 2, t * (t - 1) / 2));
        assert_eq!(count("gemm"), t * (t - 1) * (t.max(2) - 2) / 6);
        assert_eq!(kernels("matmul", t, &[])["gemm"], t.pow(3));
        assert_eq!(kernels("jacobi", t, &[(Knob::Steps, 3)])["stencil"], 3 * t * t);
        assert_eq!(kernels("rechunk", t, &[])["slice"], t * t);
        assert_eq!(kernels("qr", t, &[])["qr"], 2 * t * (t + 1));
    }
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let refused = |request: Request| {
        let error = generate(&request).unwrap_err();
        error.help().map_or(error.to_string(), |help| format!("{error}; {help}"))
    };
    assert_eq!(
        refused(request("megre", &[])),
        "no family of graphs is called 'megre'; did you mean 'merge'?"
    );
    assert_eq!(
        refused(request("merge", &[(Knob::Width, 3)])),
        "'merge' takes no --width; it takes --n, --task-us, --bytes, --seed"
    );
    assert_eq!(
        refused(request("tree-15", &[(Knob::Depth, 3)])),
        "'tree-15' takes no --depth; it takes --task-us, --bytes, --seed"
    );
    assert_eq!(
        refused(request("tree", &[(Knob::Depth, 32)])),
        "--depth 32 is out of range: it goes from 1 to 31"
    );
    assert_eq!(
        refused(request("cholesky", &[(Knob::N, 1000), (Knob::Block, 300)])),
        "--n 1000 is no multiple of --block 300"
    );
    let mut bag = request("bag", &[]);
    bag.real = true;
    assert!(refused(bag).contains("'bag' has no form with real kernels; these have one: merge "));
    let mut tree = request("tree", &[]);
    (tree.real, tree.task_us) = (true, Some(1.0));
    assert_eq!(refused(tree), "'tree' with --real takes no --task-us; it takes --depth, --seed");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let mut merge = request("merge", &[]);
        merge.task_us = Some(bad);
        assert!(refused(merge).contains("is out of range"));
    }
    let mut stencil = request("stencil_1d", &[]);
    (stencil.real, stencil.bytes) = (true, Some(12));
    assert_eq!(refused(stencil), "--bytes 12 is no multiple of 8, the size of an f64");
}

#[test]
fn what_would_not_fit_is_refused_before_it_is_made() {
    let largest = 1 << 32;
    let sizes = [(Knob::Width, largest), (Knob::Steps, largest)];
    let too_large = |family: &str, sizes: &[(Knob, u64)]| {
        matches!(generate(&request(family, sizes)), Err(GenerateError::TooLarge { .. }))
    };
    for family in ["trivial", "all_to_all", "dom", "tree_tb", "spread", "random_nearest"] {
        assert!(too_large(family, &sizes), "{family}");
    }
    for family in ["bag", "groupby", "join", "vectorizer", "wordbag"] {
        assert!(too_large(family, &[(Knob::Partitions, largest)]), "{family}");
    }
    for family in ["cholesky", "qr", "matmul", "jacobi", "transpose_sum", "rechunk"] {
        assert!(too_large(family, &[(Knob::N, largest), (Knob::Block, 1)]), "{family}");
    }
    assert!(too_large("merge", &[(Knob::N, largest)]));
    assert!(too_large("tree", &[(Knob::Depth, 31)]));
    let numpy = generate(&request("numpy", &[(Knob::Size, largest), (Knob::Chunks, 2)]));
    assert!(matches!(numpy, Err(GenerateError::BlockTooLarge { .. })));
    let rechunk = generate(&request("rechunk", &[(Knob::N, largest), (Knob::Block, 1 << 18)]));
    assert!(matches!(rechunk, Err(GenerateError::BlockTooLarge { .. })));
}
