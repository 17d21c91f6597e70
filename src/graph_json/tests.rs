//! The JSON form: all fields, there and back, and every kind of fault with its place.

use super::*;
use crate::graph_samples::{any_graph, full};
use crate::{Attributes, Capture, CommandSpec, Fault, Graph, Outputs, Param, RunSpec};
use proptest::prelude::*;
use rdask_core::ids::TaskId;

fn text_of(graph: &Graph) -> String {
    let mut text = Vec::new();
    export(graph, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn lines(text: &str) -> Vec<String> {
    import(text).unwrap_err().lines().collect()
}

/// The only fault of a text and its help.
fn fault(text: &str) -> (String, Option<String>) {
    let error = import(text).unwrap_err();
    let lines: Vec<String> = error.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    (lines[0].clone(), error.help())
}

fn one_task(fields: &str) -> String {
    format!("{{\"version\": 1, \"tasks\": [{{\"key\": \"x\", {fields}}}]}}")
}

#[test]
fn the_example_of_the_interface_is_read() {
    let graph = import(
        r#"{"version": 1,
 "tasks": [
   {"key": "x-0", "run": {"kernel": "random", "shape": [1000, 1000], "dtype": "f64", "seed": 7}},
   {"key": "y-0", "run": {"kernel": "map", "expr": "a * 2 + 1"}, "deps": ["x-0"]},
   {"key": "y-1", "run": {"kernel": "map", "expr": "a * 2 + 1"}, "deps": ["x-0"]},
   {"key": "s",   "run": {"kernel": "sum", "axis": [0]}, "deps": ["y-0"],
    "priority": 10, "retries": 2, "resources": {"GPU": 1, "NVME": 0.5}, "workers": ["1"],
    "hosts": ["node7"], "allow_other_workers": true,
    "threads": 1, "memory": "2GiB", "time": 30, "timeout": 0.25}
 ],
 "outputs": ["s"],
 "arrays": {"anomaly": {"shape": [2000, 1000], "dtype": "f64", "chunks": [[1000, 1000], [1000]],
                        "grid": [["y-0"], ["y-1"]], "into": "npy"}},
 "meta": {"any": "json", "n": [1.50, null]}}"#,
    )
    .unwrap();
    assert_eq!((graph.len(), graph.specs.len()), (4, 3));
    assert_eq!(graph.inputs.row(TaskId(3)), [TaskId(1)]);
    assert_eq!(graph.outputs, Outputs::Tasks(vec![TaskId(3)]));
    assert_eq!(
        graph.attributes,
        [(
            TaskId(3),
            Attributes {
                priority: Some(10),
                retries: Some(2),
                resources: vec![("GPU".into(), 1_000_000), ("NVME".into(), 500_000)],
                workers: vec!["1".into()],
                hosts: vec!["node7".into()],
                allow_other_workers: true,
                threads: Some(1),
                memory_bytes: Some(2_147_483_648),
                time_ns: Some(30_000_000_000),
                timeout_ns: Some(250_000_000),
            }
        )]
    );
    let array = &graph.arrays[0];
    assert_eq!((array.name.as_str(), array.dtype.as_str()), ("anomaly", "f64"));
    assert_eq!(
        (array.shape.as_slice(), array.grid.as_slice()),
        (&[2000, 1000][..], &[TaskId(1), TaskId(2)][..])
    );
    assert_eq!(array.chunks, [vec![1000, 1000], vec![1000]]);
    assert_eq!(graph.meta, r#"{"any":"json","n":[1.50,null]}"#);
}

#[test]
fn numbers_are_what_they_are_written_as() {
    let graph = import(&one_task(
        r#""run": {"kernel": "k", "a": 1, "b": 1.0, "c": 18446744073709551615,
            "d": -9223372036854775808, "e": 1e3, "f": -0.0, "g": "nan",
            "h": [null, true, {"z": 0.1}], "i": 18446744073709551616}"#,
    ))
    .unwrap();
    let values: Vec<&Param> = graph.specs[0].params().iter().map(|(_, value)| value).collect();
    let object = Param::Map(vec![("z".into(), Param::Float(0.1))]);
    assert_eq!(
        values,
        [
            &Param::Int(1),
            &Param::Float(1.0),
            &Param::UInt(u64::MAX),
            &Param::Int(i64::MIN),
            &Param::Float(1000.0),
            &Param::Float(-0.0),
            &Param::Str("nan".into()),
            &Param::List(vec![Param::Null, Param::Bool(true), object]),
            &Param::Float(18_446_744_073_709_551_616.0),
        ]
    );
}

#[test]
fn every_field_comes_back() {
    let graph = full();
    assert_eq!(import(&text_of(&graph)).unwrap(), graph);
}

#[test]
fn outputs_may_be_missing_or_none() {
    let graph = |outputs: &str| {
        import(&format!(r#"{{"version": 1, "tasks": []{outputs}}}"#)).unwrap().outputs
    };
    assert_eq!(graph(""), Outputs::Sinks);
    assert_eq!(graph(r#", "outputs": []"#), Outputs::Tasks(vec![]));
}

#[test]
fn unknown_fields_are_faults_with_the_nearest_name() {
    let (line, help) = fault(&one_task("\n  \"run\": {\"kernel\": \"rank\"},\n  \"prioritty\": 1"));
    assert_eq!(line, "unknown field 'prioritty' (tasks[0].prioritty, line 3 column 16)");
    assert_eq!(help.unwrap(), "did you mean 'priority'?");
    let (line, help) = fault(r#"{"version": 1, "tasks": [], "output": []}"#);
    assert_eq!(line, "unknown field 'output' (output, line 1 column 39)");
    assert_eq!(help.unwrap(), "did you mean 'outputs'?");
    let (line, help) = fault(r#"{"version": 1, "tasks": [], "x": {"y": [1]}}"#);
    assert_eq!(line, "unknown field 'x' (x, line 1 column 34)");
    assert_eq!(help.unwrap(), "known fields are version, tasks, outputs, arrays, order, meta");
    let array = r#"{"shape": [0], "dtype": "f8", "chunks": [[]], "grid": [], "chunk": 1}"#;
    let (line, _) =
        fault(&format!(r#"{{"version": 1, "tasks": [], "arrays": {{"a b": {array}}}}}"#));
    assert_eq!(line, "unknown field 'chunk' (arrays.'a b'.chunk, line 1 column 114)");
}

#[test]
fn mistyped_fields_are_faults_with_their_place() {
    let run = r#""run": {"kernel": "rank"}"#;
    let cases = [
        (
            r#""priority": "high""#,
            "expected a whole number from -2147483648 to 2147483647, found string \"high\" (tasks[0].priority, ",
        ),
        (
            r#""retries": -1"#,
            "expected a whole number from 0 to 4294967295, found integer -1 (tasks[0].retries, ",
        ),
        (
            r#""threads": 1.5"#,
            "expected a whole number from 0 to 4294967295, found floating point 1.5 (tasks[0].threads, ",
        ),
        (r#""workers": [1]"#, "expected a string, found integer 1 (tasks[0].workers, "),
        (r#""allow_other_workers": 1"#, "expected true or false, found integer 1 (tasks[0].allow_"),
        (
            r#""memory": "2 XB""#,
            "'2 XB' has the unknown unit 'XB'; units are B, kB, KiB, MB, MiB, GB, GiB, TB, TiB, PB, PiB \
             (tasks[0].memory, ",
        ),
        (r#""time": "30s""#, "a number is expected (tasks[0].time, "),
        (r#""timeout": -1"#, "-1 is negative (tasks[0].timeout, "),
        (r#""resources": {"GPU": "one"}"#, "a number is expected (tasks[0].resources.GPU, "),
        (
            r#""resources": {"GPU": 1e-9}"#,
            "a resource is counted in millionths (tasks[0].resources.GPU, ",
        ),
        (r#""resources": 1"#, "expected an object, found integer 1 (tasks[0].resources, "),
        (r#""deps": "x""#, "expected a list, found string \"x\" (tasks[0].deps, "),
        (r#""retries": 1, "retries": 2"#, "the field 'retries' stands twice (tasks[0].retries, "),
        (r#""threads": 0"#, "a task takes at least one thread (task 'x', threads)"),
    ];
    for (field, expected) in cases {
        let (line, _) = fault(&one_task(&format!("{run}, {field}")));
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn what_a_task_runs_must_be_known() {
    let cases = [
        (r#""run": {"plugin": "x.so"}"#, "the field 'symbol' is missing"),
        (r#""run": {"plugin": "x", "symbol": "f", "parms": {}}"#, "a plugin has no field 'parms'"),
        (r#""run": {"plugin": "x", "symbol": "f", "n": 1}"#, "a plugin has no field 'n'"),
        (r#""run": {"python": "gASV"}"#, "tasks of the kind 'python' are not supported"),
        (r#""run": {"kernal": "sum"}"#, "the field 'kernel' is missing"),
        (r#""run": {}"#, "the field 'kernel' is missing"),
        (r#""run": {"kernel": ""}"#, "the kernel has no name"),
        (r#""run": "sum""#, "expected an object, found string \"sum\""),
    ];
    for (run, expected) in cases {
        let (line, help) = fault(&one_task(run));
        assert!(line.starts_with(&format!("{expected} (tasks[0].run, line 1 column ")), "{line}");
        assert_eq!(help.is_some(), run.contains('{') && !run.contains("\"\""), "{run}");
    }
    let plain = [
        (r#""run": {"plugin": 7, "symbol": "f"}"#, "'plugin' of a plugin is a string"),
        (
            r#""run": {"plugin": "x", "symbol": "f", "params": 1}"#,
            "'params' of a plugin is an object",
        ),
        (
            r#""run": {"plugin": "x", "symbol": "f", "symbol": "g"}"#,
            "the field 'symbol' stands twice",
        ),
    ];
    for (run, expected) in plain {
        let (line, _) = fault(&one_task(run));
        assert!(line.starts_with(&format!("{expected} (tasks[0].run, line 1 column ")), "{line}");
    }
    assert_eq!(
        fault(&one_task(r#""run": {"plugin": "", "symbol": "f"}"#)).0,
        "the parameter 'plugin' is empty or holds a zero byte (task 'x')"
    );
    let (line, _) = fault(&one_task(r#""run": {"kernel": 7}"#));
    assert!(line.starts_with("expected ") && line.contains(", found integer 7 ("), "{line}");
    assert!(line.contains("(tasks[0].run.kernel, "), "{line}");
    assert_eq!(
        fault(&one_task(r#""run": {"kernel": "k", "p": 1, "p": 2}"#)).0,
        "the parameter 'p' is given twice (task 'x')"
    );
}

#[test]
fn commands_are_read_field_by_field_and_written_without_empty_ones() {
    let run = r#"{"command": ["sh", "-c", "x y"], "env": {"A": "1", "B": ""}, "stdin": 1, \
                 "files": {"d/a": 0}, "capture": "out.bin"}"#;
    let run = run.replace("\\\n                 ", "");
    let text = format!(
        r#"{{"version": 1, "tasks": [
 {{"key": "a", "run": {{"command": ["true"]}}}},
 {{"key": "b", "run": {{"command": ["cat"], "stdin": 0, "capture": "stdout"}}, "deps": ["a"]}},
 {{"key": "c", "run": {run}, "deps": ["a", "b"]}}]}}"#
    );
    let graph = import(&text).unwrap();
    let command = |task: u32| match graph.spec(TaskId(task)) {
        RunSpec::Command(command) => (**command).clone(),
        other => panic!("{other:?}"),
    };
    let plain = |word: &str| CommandSpec { argv: vec![word.into()], ..CommandSpec::default() };
    assert_eq!(command(0), plain("true"));
    let cat = CommandSpec { stdin: Some(0), capture: Capture::Stdout, ..plain("cat") };
    assert_eq!(command(1), cat);
    let all = CommandSpec {
        argv: ["sh", "-c", "x y"].map(Into::into).into(),
        env: [("A", "1"), ("B", "")].map(|(name, value)| (name.into(), value.into())).into(),
        stdin: Some(1),
        files: vec![("d/a".into(), 0)],
        capture: Capture::File("out.bin".into()),
    };
    assert_eq!(command(2), all);
    let written = text_of(&graph);
    assert!(written.contains(r#""run": {"command": ["true"]}}"#), "{written}");
    assert!(written.contains(&run), "{written}");
}

#[test]
fn wrong_commands_are_faults_with_their_place() {
    let cases = [
        (r#"{"command": "ls"}"#, "expected a list, found string \"ls\" (tasks[0].run.command, "),
        (r#"{"command": [1]}"#, "expected a string, found integer 1 (tasks[0].run.command, "),
        (r#"{"command": ["x"], "evn": {}}"#, "unknown field 'evn' (tasks[0].run.evn, "),
        (
            r#"{"command": ["x"], "env": {"A": 1}}"#,
            "expected a string, found integer 1 (tasks[0].run.env, ",
        ),
        (r#"{"command": ["x"], "stdin": -1}"#, "expected a whole number from 0 to 4294967295, "),
        (
            r#"{"command": ["x"], "files": {"a": "b"}}"#,
            "expected a whole number from 0 to 4294967295, ",
        ),
        (
            r#"{"command": ["x"], "capture": null}"#,
            "expected a string, found null (tasks[0].run.capture, ",
        ),
        (
            r#"{"command": ["x"], "command": ["y"]}"#,
            "the field 'command' stands twice (tasks[0].run.command, ",
        ),
    ];
    for (run, expected) in cases {
        let (line, _) = fault(&one_task(&format!(r#""run": {run}"#)));
        assert!(line.starts_with(expected), "{run}: {line}");
    }
}

#[test]
fn missing_fields_are_faults() {
    assert_eq!(
        lines("{}"),
        [
            "the field 'version' is missing (line 1 column 1)",
            "the field 'tasks' is missing (line 1 column 1)",
        ]
    );
    let found = lines(r#"{"version": 1, "tasks": [{"deps": []}]}"#);
    assert_eq!(
        found,
        [
            "the field 'key' is missing (tasks[0], line 1 column 35)",
            "the field 'run' is missing (tasks[0], line 1 column 35)",
        ]
    );
}

#[test]
fn another_version_is_the_only_fault() {
    let (line, _) = fault(r#"{"tasks": [{"future": 1}], "version": 2, "more": 3}"#);
    assert_eq!(
        line,
        "version 2 of the JSON form, this rdask-hpc reads version 1 (version, line 1 column 39)"
    );
}

#[test]
fn text_that_is_no_json_stops_with_its_place() {
    assert_eq!(
        fault("{\"version\": 1,\n \"tasks\": [").0,
        "the text is cut off (line 2 column 11)"
    );
    let (line, _) = fault("{\"version\": 1, \"tasks\": [1]}");
    assert_eq!(line, "expected a task, which is an object, found integer 1 (line 1 column 26)");
    let (line, _) = fault("{\"version\": 1, \"tasks\": []} x");
    assert!(line.starts_with("this is no JSON: trailing characters (line 1 column "), "{line}");
}

#[test]
fn a_text_cut_at_any_byte_is_an_error() {
    let text = text_of(&full());
    let text = text.trim_end();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        assert_eq!(import(&text[..end]).unwrap_err().faults.len(), 1, "cut at {end}");
    }
}

#[test]
fn faults_of_text_and_graph_are_found_in_one_reading() {
    let found = lines(
        r#"{"version": 1, "tasks": [
  {"key": "a", "run": {"kernel": "rank"}, "retry": 1},
  {"key": "b", "run": {"python": "x"}, "deps": ["a", "aa"]},
  {"key": "c", "run": {"kernel": "rank"}, "deps": ["b", "d"]},
  {"key": "d", "run": {"kernel": "rank"}, "deps": ["c"]},
  {"key": "d", "run": {"kernel": "rank"}}],
 "outputs": ["e"]}"#,
    );
    assert_eq!(
        found,
        [
            "unknown field 'retry' (tasks[0].retry, line 2 column 52)",
            "tasks of the kind 'python' are not supported (tasks[1].run, line 3 column 23)",
            "unknown dependency 'aa' (task 'b', input 1)",
            "unknown output 'e' (outputs)",
            "the key 'd' stands twice (task numbers 3 and 4)",
            "2 tasks need each other: 'c' needs 'd' needs 'c' (task 'c')",
        ]
    );
}

#[test]
fn grids_must_be_nested_like_their_chunks() {
    let grid = |shape: &str, chunks: &str, grid: &str| {
        let tasks = r#"[{"key": "k", "run": {"kernel": "rank"}}]"#;
        let array =
            format!(r#"{{"shape": {shape}, "dtype": "f64", "chunks": {chunks}, "grid": {grid}}}"#);
        import(&format!(r#"{{"version": 1, "tasks": {tasks}, "arrays": {{"n": {array}}}}}"#))
    };
    assert!(grid("[]", "[]", "\"k\"").is_ok());
    assert!(grid("[2]", "[[1, 1]]", "[\"k\", \"k\"]").is_ok());
    assert!(grid("[2, 0]", "[[1, 1], []]", "[[], []]").is_ok());
    let problem = |result: Result<Graph, crate::LoadError>| match result {
        Ok(_) => "read".to_owned(),
        Err(error) => error.to_string(),
    };
    let cases = [
        (("[2]", "[[1, 1]]", "[\"k\"]"), "1 entries for 2 chunks (arrays.n.grid, "),
        (
            ("[1, 1]", "[[1], [1]]", "[\"k\"]"),
            "expected a list, found string \"k\" (arrays.n.grid[0], ",
        ),
        (("[1]", "[[1]]", "[[\"k\"]]"), "expected a string, found a list (arrays.n.grid[0], "),
        (("[1]", "[[2]]", "[\"k\"]"), "the chunks of axis 0 sum to 2, not 1 (array 'n')"),
        (("[1]", "[[1]]", "[\"l\"]"), "unknown chunk 'l' (array 'n')"),
        (
            ("[-1]", "[[1]]", "[\"k\"]"),
            "expected a whole number from 0 to 18446744073709551615, found integer -1 (arrays.n.shape, ",
        ),
    ];
    for ((shape, chunks, keys), expected) in cases {
        let line = problem(grid(shape, chunks, keys));
        assert!(line.starts_with(expected), "{line}");
    }
    let deep = format!("[{}]", vec!["[1]"; 65].join(","));
    let line = problem(grid("[1]", &deep, "[]"));
    assert!(line.starts_with("65 axes, 64 are possible (arrays.n.chunks, "), "{line}");
}

#[test]
fn bottomless_nesting_is_an_error_and_no_overflow() {
    let nested = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    let (line, _) = fault(&one_task(&format!(r#""run": {{"kernel": "k", "p": {nested}}}"#)));
    assert!(
        line.starts_with("this is no JSON: recursion limit exceeded (tasks[0].run, "),
        "{line}"
    );
    let nested = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let (line, _) = fault(&one_task(&format!(r#""run": {{"kernel": "k", "p": {nested}}}"#)));
    assert_eq!(line, "the parameter 'p' is nested too deep (task 'x')");
}

#[test]
fn meta_is_kept_but_for_its_spaces() {
    assert_eq!(
        compact_object(" { \"a b\" : \"c \\\" d\" , \"e\" : [ 1 , 2.50 ] } ").unwrap(),
        r#"{"a b":"c \" d","e":[1,2.50]}"#
    );
    assert_eq!(compact_object("[]").unwrap_err(), "it is no JSON object");
    assert!(compact_object("{").unwrap_err().starts_with("no JSON: "));
}

#[test]
fn a_fault_says_its_file_among_the_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.json");
    std::fs::write(&path, one_task(r#""run": {"kernel": "rank"}, "deps": ["y"]"#)).unwrap();
    let path = path.display().to_string();
    let error = crate::graph_load::load(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("unknown dependency 'y' (task 'x', input 0, {path})"));
    assert!(matches!(error.faults[0], Fault::Graph(_)));
}

proptest! {
    #[test]
    fn import_of_export_is_the_graph(graph in any_graph()) {
        let text = text_of(&graph);
        let read = import(&text);
        prop_assert!(read.is_ok(), "{:?} of {text}", read);
        prop_assert_eq!(read.unwrap(), graph);
    }

    #[test]
    fn any_text_gives_a_graph_or_an_error(
        graph in any_graph(),
        at in any::<prop::sample::Index>(),
        insert in "[\\[\\]{}\":,0-9a-z ]{0,3}",
    ) {
        let mut text = text_of(&graph);
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &insert);
        if let Err(error) = import(&text) {
            prop_assert!(!error.faults.is_empty());
            prop_assert!(error.lines().all(|line| !line.contains('\n')));
        }
    }
}
