//! Plugins: every part of include/rdask_kernel.h against functions in C, the files that are
//! refused before a run, crashes, and the example in three languages.

use crate::support::graphs::{Case, graph, task};
use crate::support::oracle::record;
use crate::support::{Launcher, Start};
use rdask_store::DType;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles C into a shared library; the compiler is the one that links this test.
pub(crate) fn compile(source: &Path, library: &Path, flags: &[&str]) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut command = Command::new("cc");
    command.args(["-Wall", "-Werror", "-fvisibility=hidden", "-I"]).arg(include).args(flags);
    let output = command.arg(source).arg("-o").arg(library).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const SHARED: [&str; 3] = ["-shared", "-fPIC", "-pthread"];

/// Builds tests/plugins/abi.c into the folder of a case.
fn with_plugin(tasks: Vec<Value>, outputs: &[&str]) -> Case {
    let case = Case::new(&graph(tasks, outputs));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins/abi.c");
    compile(&source, &case.path().join("libabi.so"), &SHARED);
    case
}

fn plugin(symbol: &str, params: &Value) -> Value {
    json!({"plugin": "libabi.so", "symbol": symbol, "params": params})
}

/// A run in the folder of the case, to which paths of plugins refer.
fn start(case: &Case) -> Start {
    Start::new(Launcher::Local)
        .args(case.args())
        .args(["--workers", "1", "--threads", "2"])
        .current_dir(case.path())
}

fn bytes(case: &Case, key: &str) -> Vec<u8> {
    let manifest = case.manifest();
    let file = manifest["outputs"][key]["file"].as_str().unwrap_or_else(|| panic!("{manifest:#}"));
    std::fs::read(case.out().join(file)).unwrap()
}

#[test]
fn a_call_holds_views_of_all_inputs_and_what_surrounds_it() {
    let empty = json!({"kernel": "full", "shape": [0, 7], "dtype": "u16", "value": 1});
    let scalar = json!({"kernel": "full", "shape": [], "dtype": "c128", "value": [1, -2]});
    let params = json!({"a": [1, 2.5], "b": {"c": "ü"}});
    let mut described = task("d", plugin("describe", &params), &["raw", "empty", "scalar", "raw"]);
    described["threads"] = json!(2);
    let tasks = vec![
        task("raw", json!({"kernel": "bytes", "size": 5}), &[]),
        task("empty", empty, &[]),
        task("scalar", scalar, &[]),
        described,
        task("none", plugin("describe", &json!({})), &[]),
    ];
    let case = with_plugin(tasks, &["d", "none"]);
    start(&case).finish().expect_code(0);
    assert_eq!(
        String::from_utf8(bytes(&case, "d")).unwrap(),
        "abi 1 threads 2 attempt 0 rank 0 params {\"a\":[1,2.5],\"b\":{\"c\":\"ü\"}}\n\
         -1 (5,) 5 aligned\n6 (0,7,) 0 aligned\n12 () 16 aligned\n-1 (5,) 5 aligned\n"
    );
    assert_eq!(
        String::from_utf8(bytes(&case, "none")).unwrap(),
        "abi 1 threads 1 attempt 0 rank 0 params {}\n"
    );
}

#[test]
fn results_of_every_type_and_form_come_back_as_they_were_made() {
    let shapes = [("many", json!([3, 5])), ("one", json!([])), ("no", json!([4, 0]))];
    let mut tasks = vec![
        task("b", json!({"kernel": "bytes", "size": 1000, "seed": 3}), &[]),
        task("copy-b", plugin("copy", &json!({})), &["b"]),
    ];
    let mut keys = vec!["b".to_owned()];
    for (name, shape) in &shapes {
        for dtype in DType::BASIC.map(DType::name) {
            let key = format!("{dtype}-{name}");
            let value = if dtype == "bool" { json!(true) } else { json!(3) };
            let full = json!({"kernel": "full", "shape": shape, "dtype": dtype, "value": value});
            tasks.push(task(&key, full, &[]));
            tasks.push(task(&format!("copy-{key}"), plugin("copy", &json!({})), &[&key]));
            keys.push(key);
        }
    }
    let copies: Vec<String> = keys.iter().map(|key| format!("copy-{key}")).collect();
    let outputs: Vec<&str> = keys.iter().chain(&copies).map(String::as_str).collect();
    let case = with_plugin(tasks, &outputs);
    start(&case).finish().expect_code(0);
    // The files hold type and shape too.
    for (key, copy) in keys.iter().zip(&copies) {
        assert_eq!(bytes(&case, key), bytes(&case, copy), "{key}");
    }
}

#[test]
fn parameters_are_found_by_name_and_type() {
    let params = json!({"x": 0.5, "text": "naïve", "list": [1, 2.25, "inf"], "n": 1000});
    let few = json!({"x": 2, "text": "", "list": [], "none": null});
    let tasks = vec![
        task("all", plugin("parameters", &params), &[]),
        task("few", plugin("parameters", &few), &[]),
        task("bools", plugin("wild_bool", &json!({})), &[]),
    ];
    let case = with_plugin(tasks, &["all", "few", "bools"]);
    start(&case).finish().expect_code(0);
    assert_eq!(case.floats("all"), [f64::INFINITY]);
    // n = 10 by default, x = 2, no bytes twice.
    assert_eq!(case.floats("few"), [12.0]);
    assert_eq!(case.elements("bools"), [1, 0, 1]);
}

#[test]
fn whatever_goes_wrong_in_a_plugin_fails_its_task_with_a_text() {
    let cases = [
        ("fails", json!({"kind": "ValueError", "message": "no luck"}), "ValueError: no luck"),
        ("fails", json!({"kind": "two words", "message": "x"}), "PluginError: x"),
        ("fails", json!({}), "PluginError: no message"),
        ("returns", json!({"code": 3}), "PluginError: 'returns' of plugin 'libabi.so' returned 3"),
        ("returns", json!({}), "PluginError: 'returns' of plugin 'libabi.so' made no result"),
        ("asks", json!({"dtype": 99}), "TypeError: a plugin asked for a result of dtype 99"),
        ("asks", json!({"axes": 65}), "ValueError: a plugin asked for a result of 65 axes"),
        ("asks", json!({"axes": -1}), "ValueError: a plugin asked for a result of -1 axes"),
        ("asks", json!({"length": -4}), "ValueError: a plugin asked for a result of shape [-4]"),
        (
            "asks",
            json!({"axes": 2, "length": 1_i64 << 40}),
            "ValueError: array of shape [1099511627776, 1099511627776] is too big",
        ),
        ("asks", json!({"dtype": -1, "axes": 2}), "ValueError: bytes have one axis"),
        ("asks", json!({"length": 1_i64 << 50}), "MemoryError: "),
        ("asks", json!({"times": 2}), "PluginError: a plugin asked for a second result"),
        (
            "parameters",
            json!({"n": "many"}),
            "TypeError: parameter 'n': expected an integer, found the string \"many\"",
        ),
        (
            "parameters",
            json!({"x": 1, "text": "", "list": [1, "x"]}),
            "TypeError: parameter 'list'",
        ),
    ];
    let keys: Vec<String> = (0..cases.len()).map(|at| format!("t{at}")).collect();
    let tasks = keys
        .iter()
        .zip(&cases)
        .map(|(key, (symbol, params, _))| task(key, plugin(symbol, params), &[]));
    let outputs: Vec<&str> = keys.iter().map(String::as_str).collect();
    let case = with_plugin(tasks.collect(), &outputs);
    start(&case).args(["--keep-going", "--memory-limit", "1GiB"]).finish().expect_code(1);
    let manifest = case.manifest();
    for (key, (symbol, params, expected)) in keys.iter().zip(&cases) {
        let error = manifest["outputs"][key]["error"].as_str().unwrap();
        assert!(error.starts_with(expected), "{symbol} {params}: {error}");
    }
}

#[test]
fn two_threads_are_in_a_plugin_at_once() {
    let tasks = vec![
        task("a", plugin("meet", &json!({})), &[]),
        task("b", plugin("meet", &json!({"another": 1})), &[]),
    ];
    let case = with_plugin(tasks, &["a", "b"]);
    start(&case).finish().expect_code(0);
    assert_eq!(case.elements("a"), 2_i32.to_le_bytes());
    assert_eq!(case.elements("b"), 2_i32.to_le_bytes());
}

#[test]
fn a_crash_is_the_death_of_a_worker_that_names_plugin_and_key() {
    let full = json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": 1});
    let tasks = vec![task("good", full, &[]), task("bad", plugin("crash", &json!({})), &[])];
    let case = with_plugin(tasks, &["good", "bad"]);
    let outcome =
        start(&case).args(["--keep-going", "--allowed-failures", "1"]).finish().expect_code(1);
    let who = "'bad' (plugin 'libabi.so', function 'crash')";
    let died = format!("died by signal 11 (SIGSEGV) while running {who}");
    assert_eq!(outcome.stderr.matches(&died).count(), 2, "{outcome}");
    let manifest = case.manifest();
    let error = manifest["outputs"]["bad"]["error"].as_str().unwrap();
    assert!(error.contains(&format!("2 workers died while they ran {who}")), "{error}");
    assert_eq!(case.floats("good"), [1.0]);
}

#[test]
fn a_crash_with_one_rank_ends_the_run_and_names_plugin_and_key() {
    let tasks = vec![task("bad", plugin("crash", &json!({})), &[])];
    let case = with_plugin(tasks, &["bad"]);
    for launcher in [Launcher::OpenMpi(1), Launcher::Mpich(1)] {
        if !launcher.available() {
            continue;
        }
        let start = Start::new(launcher).args(case.args()).current_dir(case.path());
        let outcome = start.finish().expect_code(3);
        let message = "error: the process of the scheduler and worker was killed by signal 11 \
                       while running 'bad' (plugin 'libabi.so', function 'crash'); the job is lost";
        assert!(outcome.stderr.contains(message), "{outcome}");
    }
}

/// Puts libraries that cannot be used into the folder of the case.
fn write_wrong_libraries(folder: &Path) {
    let write = |name: &str, text: &str| {
        let source = folder.join(name);
        std::fs::write(&source, text).unwrap();
        source
    };
    let newer = "#include \"rdask_kernel.h\"\n#undef RDASK_KERNEL_ABI\n#define RDASK_KERNEL_ABI 2u\n\
                 RDASK_KERNEL_MODULE\nRDASK_EXPORT int32_t f(const rdask_call *c) { return 0; }\n";
    compile(&write("newer.c", newer), &folder.join("newer.so"), &SHARED);
    let plain =
        write("plain.c", "__attribute__((visibility(\"default\"))) int f(void) { return 0; }");
    compile(&plain, &folder.join("plain.so"), &SHARED);
    compile(&plain, &folder.join("object.so"), &["-c"]);
    std::fs::write(folder.join("text.so"), "no library at all\n").unwrap();
    let mut foreign = std::fs::read(folder.join("libabi.so")).unwrap();
    // The machine in an ELF header: 62 is x86-64, 183 is AArch64.
    foreign[18] = if foreign[18] == 183 { 62 } else { 183 };
    std::fs::write(folder.join("foreign.so"), foreign).unwrap();
}

#[test]
fn plugins_that_cannot_run_are_one_error_before_the_run() {
    let case = with_plugin(vec![task("x", plugin("describe", &json!({})), &[])], &["x"]);
    write_wrong_libraries(case.path());
    let wrong = [
        ("there-is-none.so", "describe", "there is no such file"),
        ("text.so", "f", "this is no shared library: "),
        ("object.so", "f", "this is no shared library: it is an object file"),
        ("plain.so", "f", "it does not export rdask_kernel_abi"),
        ("newer.so", "f", "it is built with version 2 of rdask_kernel.h, this rdask-hpc takes 1"),
        ("foreign.so", "describe", "it is built for "),
        ("libabi.so", "descripe", "it exports no function 'descripe'"),
        ("libabi.so", "rdask_kernel_abi", "it exports no function 'rdask_kernel_abi'"),
    ];
    for (path, symbol, expected) in wrong {
        let run = json!({"plugin": path, "symbol": symbol});
        let text = graph(vec![task("x", run, &[])], &["x"]).to_string();
        std::fs::write(case.path().join("graph.json"), text).unwrap();
        let outcome = start(&case).finish().expect_code(2);
        let message = format!("error: plugin '{path}': {expected}");
        assert!(outcome.stderr.contains(&message), "{outcome}");
        assert!(outcome.stderr.contains("(task 'x', "), "{outcome}");
        assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
        let checked = Start::new(Launcher::Local).args(["graph", "validate", "graph.json"]);
        let checked = checked.current_dir(case.path()).finish().expect_code(2);
        assert!(checked.stderr.contains(&message), "{checked}");
        if symbol == "descripe" {
            assert!(outcome.stderr.contains("help: did you mean 'describe'?"), "{outcome}");
        }
    }
}

#[test]
fn a_library_that_lacks_another_one_fails_the_task_and_says_which() {
    let case = with_plugin(vec![task("x", plugin("f", &json!({})), &[])], &["x"]);
    let folder = case.path();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    let below =
        write("below.c", "__attribute__((visibility(\"default\"))) int g(void) { return 0; }");
    compile(&below, &folder.join("libbelow.so"), &SHARED);
    let above = write(
        "above.c",
        "#include \"rdask_kernel.h\"\nint g(void);\nRDASK_KERNEL_MODULE\n\
         RDASK_EXPORT int32_t f(const rdask_call *c) { return g(); }\n",
    );
    let place = format!("-L{}", folder.display());
    compile(
        &above,
        &folder.join("libabi.so"),
        &[&SHARED[..], &[&place, "-Wl,--no-as-needed", "-lbelow"]].concat(),
    );
    std::fs::remove_file(folder.join("libbelow.so")).unwrap();
    let outcome = start(&case).finish().expect_code(1);
    let message = "OSError: plugin 'libabi.so': it cannot be loaded: libbelow.so";
    assert!(outcome.stderr.contains(message), "{outcome}");
}

#[test]
fn a_file_that_is_another_one_where_the_task_runs_fails_the_task() {
    let run = json!({"plugin": "late.so", "symbol": "describe"});
    let tasks = vec![
        task(
            "array",
            json!({"kernel": "arange", "start": 0, "step": 1, "count": 3, "dtype": "f64"}),
            &[],
        ),
        task("over", json!({"kernel": "store_npy", "path": "late.so"}), &["array"]),
        task("x", run, &["over"]),
    ];
    let case = with_plugin(tasks, &["x"]);
    std::fs::copy(case.path().join("libabi.so"), case.path().join("late.so")).unwrap();
    let outcome = start(&case).finish().expect_code(1);
    let message = "task 'x' failed: OSError: plugin 'late.so': this is no shared library: ";
    assert!(outcome.stderr.contains(message), "{outcome}");
}

#[test]
fn kinds_of_tasks_that_are_not_allowed_are_refused_by_name() {
    let case = with_plugin(vec![task("x", plugin("describe", &json!({})), &[])], &["x"]);
    let outcome = start(&case).args(["--allow", "native,command"]).finish().expect_code(2);
    let message = "error: tasks of the kind 'plugin' are not allowed (task 'x', ";
    assert!(outcome.stderr.contains(message), "{outcome}");
    assert!(outcome.stderr.contains("help: --allow native,command is in force"), "{outcome}");
    start(&case).args(["--allow", "plugin"]).finish().expect_code(0);
    let outcome = start(&case).args(["--allow", "plugins"]).finish().expect_code(2);
    let message = "'plugins' is not a list of native, command, plugin, python (option --allow)";
    assert!(outcome.stderr.contains(message), "{outcome}");
}

/// The languages of the example that can be built here.
fn languages() -> Vec<&'static str> {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let fortran = has("gfortran");
    record("gfortran", (!fortran).then_some("no gfortran (apt-get install gfortran)"));
    let mut languages = vec!["c", "rust"];
    languages.extend(fortran.then_some("fortran"));
    languages
}

/// Rows × columns of f64: the mean along the first axis, weighted, by its definition.
fn running_mean(x: &[f64], columns: usize, weights: &[f64]) -> Vec<f64> {
    let rows = (x.len() / columns) as i64;
    let middle = weights.len() as i64 / 2;
    let element = |i: i64, j: usize| {
        let inside = (0_i64..).zip(weights).map(|(k, weight)| (i + k - middle, weight));
        let inside: Vec<_> = inside.filter(|(row, _)| (0..rows).contains(row)).collect();
        let sum: f64 = inside.iter().map(|(row, w)| *w * x[*row as usize * columns + j]).sum();
        sum / inside.iter().map(|(_, weight)| *weight).sum::<f64>()
    };
    (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| element(i, j)).collect()
}

#[test]
fn the_example_gives_the_same_in_every_language() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("examples/plugin/graph.json")).unwrap();
    let mut graph: Value = serde_json::from_str(&text).unwrap();
    let languages = languages();
    let there = |key: &Value| key == "x" || languages.iter().any(|language| key == language);
    graph["tasks"].as_array_mut().unwrap().retain(|task| there(&task["key"]));
    graph["outputs"].as_array_mut().unwrap().retain(there);
    let case = Case::new(&graph);
    let mut build = Command::new("bash");
    build.arg(root.join("examples/plugin/build.sh")).args(&languages).current_dir(case.path());
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    start(&case).finish().expect_code(0);
    let expected = running_mean(&case.floats("x"), 40, &[1.0, 2.0, 3.0, 2.0, 1.0]);
    let c = case.elements("c");
    for (found, expected) in case.floats("c").iter().zip(&expected) {
        // Five additions of numbers below 1.
        assert!((found - expected).abs() <= 4.0 * f64::EPSILON, "{found} {expected}");
    }
    assert_eq!(c.len(), expected.len() * 8);
    for language in languages {
        assert!(case.elements(language) == c, "{language} gives other bytes");
    }
}

#[test]
fn the_header_is_c_and_cpp_and_says_what_the_store_says() {
    let folder = tempfile::tempdir().unwrap();
    let names = DType::BASIC.map(|dtype| {
        let name = dtype.name().to_uppercase();
        format!("static_assert(RDASK_{name} == {}, \"{name}\");\n", dtype.code())
    });
    let include = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("include");
    let sizes =
        "static_assert(sizeof(rdask_array) == 32 && sizeof(rdask_call) == 104, \"size\");\n";
    let text = format!(
        "#include <assert.h>\n#include \"rdask_kernel.h\"\nRDASK_KERNEL_MODULE\n{}{sizes}",
        names.concat()
    );
    for (language, standard) in [("c", "-std=c11"), ("c++", "-std=c++11")] {
        let source = folder.path().join(format!("header.{}", language.replace("c++", "cpp")));
        std::fs::write(&source, &text).unwrap();
        let mut command = Command::new("cc");
        command.args(["-x", language, standard, "-Wall", "-Wextra", "-pedantic", "-Werror"]);
        command.args(["-fsyntax-only", "-I"]).arg(&include).arg(&source);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let absent = stderr.contains("cc1plus");
        record("C++", absent.then_some("no C++ compiler (apt-get install g++)"));
        assert!(output.status.success() || absent, "{language}: {stderr}");
    }
}
