//! Bad input: each fault is one clear error with its place and the way out, and no run hangs.
//!
//! Faults of graphs and options end with 2 before anything runs; faults that only a task can meet
//! end with 1 and keep what is finished; a full disk ends with 3. Messages are snapshots with the
//! test's folder as `DIR`.

use crate::support::graphs::{Case, graph, task};
use crate::support::oracle::record;
use crate::support::run::Outcome;
use crate::support::{Launcher, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The binary as it is and under both MPIs, where a test does not care for one.
const LAUNCHERS: [Launcher; 3] = [Launcher::Local, Launcher::OpenMpi(3), Launcher::Mpich(3)];
/// A run that should end at once and has not by then counts as hanging. Far above what is needed,
/// below the 30 s of `--death-timeout` and the 60 s of `scheduler.no-workers-timeout`: nobody may
/// need to wait for either.
const AT_ONCE: Duration = Duration::from_secs(25);

fn full(shape: &Value) -> Value {
    json!({"kernel": "full", "shape": shape, "dtype": "f64", "value": 1})
}

fn x() -> Value {
    task("x", full(&json!([4])), &[])
}

fn y(run: Value, deps: &[&str]) -> Value {
    graph(vec![x(), task("y", run, deps)], &["y"])
}

fn with(mut task: Value, field: &str, value: Value) -> Value {
    task[field] = value;
    task
}

fn array(shape: u64, chunk: Value, grid: &[&str]) -> Value {
    let mut value = graph(vec![task("a-0", full(&json!([4])), &[]), task("a-1", chunk, &[])], &[]);
    value.as_object_mut().unwrap().remove("outputs");
    value["arrays"] = json!({"whole": {"shape": [shape], "dtype": "f64", "chunks": [[4, 4]],
                                       "grid": grid, "into": "npy"}});
    value
}

/// Graphs with one fault each, and what the file is called.
fn wrong_graphs() -> Vec<(&'static str, Value)> {
    let identity = || json!({"kernel": "identity"});
    let only = |run: Value| graph(vec![task("x", run, &[])], &["x"]);
    let ring = |count: usize| {
        let key = |i: usize| format!("k{}", i % count);
        let tasks = (0..count).map(|i| task(&key(i), identity(), &[&key(i + 1)]));
        graph(tasks.collect(), &["k0"])
    };
    let map = |expr: &str| y(json!({"kernel": "map", "expr": expr}), &["x"]);
    let mut newer = graph(vec![x()], &["x"]);
    newer["version"] = json!(2);
    vec![
        ("array of an unknown chunk", array(8, full(&json!([4])), &["a-0", "a-9"])),
        ("array with chunks that do not sum up", array(9, full(&json!([4])), &["a-0", "a-1"])),
        ("attribute mistyped", graph(vec![with(x(), "retries", json!("many"))], &["x"])),
        ("attribute unknown", graph(vec![with(x(), "retrys", json!(1))], &["x"])),
        ("cycle of one", ring(1)),
        ("cycle of three", ring(3)),
        ("cycle of fifty", ring(50)),
        ("dependency unknown", y(identity(), &["z"])),
        ("deps are no list", graph(vec![with(x(), "deps", json!("y"))], &["x"])),
        (
            "dtype unknown",
            only(json!({"kernel": "full", "shape": [4], "dtype": "float64", "value": 1})),
        ),
        ("expression cut off", map("a * (2 + ")),
        ("expression with an unknown function", map("a + sinn(a)")),
        ("expression with an unknown name", map("a + b")),
        ("inputs missing", y(json!({"kernel": "sum"}), &[])),
        ("inputs too many", y(json!({"kernel": "sum"}), &["x", "x"])),
        ("kernel mistyped", only(json!({"kernel": "arnage"}))),
        ("kernel unknown", only(json!({"kernel": "gaussian_blur"}))),
        ("key twice", graph(vec![x(), x()], &["x"])),
        ("command that is empty", only(json!({"command": []}))),
        ("command that leaves its folder", only(json!({"command": ["x"], "capture": "../x"}))),
        ("command with an input too many", only(json!({"command": ["x"], "stdin": 1}))),
        ("key empty", graph(vec![task("", full(&json!([4])), &[])], &[])),
        ("memory that is no size", graph(vec![with(x(), "memory", json!("2Gig"))], &["x"])),
        ("newer version", newer),
        ("output unknown", graph(vec![x()], &["z"])),
        ("parameter missing", only(json!({"kernel": "full", "shape": [4], "dtype": "f64"}))),
        ("parameter mistyped", only(full(&json!("four")))),
        (
            "parameter unknown",
            only(json!({"kernel": "full", "shap": [4], "shape": [4], "dtype": "f64", "value": 1})),
        ),
        (
            "plugin that is not there",
            only(json!({"plugin": "there/is/none.so", "symbol": "f", "params": {}})),
        ),
        ("task of another kind", only(json!({"python": "gASV"}))),
    ]
}

/// The graph file that all damaged ones are made from.
fn graph_bin(folder: &Path) -> Vec<u8> {
    let (json, bin) = (folder.join("good.json"), folder.join("good.bin"));
    fs::write(&json, y(json!({"kernel": "sum"}), &["x"]).to_string()).unwrap();
    let arguments = [json.to_str().unwrap(), "-o", bin.to_str().unwrap()];
    let import = Start::new(Launcher::Local).args(["graph", "import"]).args(arguments);
    import.finish().expect_code(0);
    fs::read(bin).unwrap()
}

/// Puts every wrong file into the folder and returns their names.
fn write_wrong_files(folder: &Path) -> Vec<String> {
    let good = graph_bin(folder);
    let changed = |at: usize, bit: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= bit;
        bytes
    };
    let text = br#"{"version": 1, "tasks": [{"key": "x", "run": {"kernel": "fu"#;
    let files = [
        ("bits flipped.bin", changed(good.len() / 2, 4)),
        ("cut off.bin", good[..100].to_vec()),
        ("cut off.json", text.to_vec()),
        ("empty.bin", Vec::new()),
        ("length flipped.bin", changed(20, 1)),
        ("newer version.bin", changed(8, 8)),
        ("no json.json", b"{\"version\": 1,\n \"tasks\": [nothing]}".to_vec()),
        ("text.txt", b"no graph at all\n".to_vec()),
    ];
    let mut names = vec!["there is none.bin".to_owned(), "folder".to_owned()];
    fs::create_dir(folder.join("folder")).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
        names.push(name.to_owned());
    }
    for (name, graph) in wrong_graphs() {
        let name = format!("{name}.json");
        fs::write(folder.join(&name), graph.to_string()).unwrap();
        names.push(name);
    }
    names
}

/// What was printed on stderr by us, with names of this machine and moment replaced.
fn message(outcome: &Outcome, folder: &Path) -> String {
    let ours = |line: &&str| line.starts_with("error: ") || line.starts_with("help: ");
    let lines: Vec<&str> = outcome.stderr.lines().filter(ours).collect();
    let text = lines.join("\n").replace(folder.to_str().unwrap(), "DIR");
    // Checksums change with the version that graph.bin names.
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches([':', ',']);
        let is_hash = bare.len() == 16 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { word.replace(bare, "[checksum]") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Names in an output folder, but for the file with the verdict, which tells job scripts the code.
fn results(out: &Path) -> Vec<String> {
    let entries = fs::read_dir(out).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".rdask-exit").collect()
}

/// One `error:` line, perhaps a `help:`, nothing else, and no results.
#[track_caller]
fn assert_refused(outcome: &Outcome, out: &Path, mpi: bool) {
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
    assert!(outcome.stdout.is_empty(), "{outcome}");
    if !mpi {
        let ours = |line: &str| line.starts_with("error: ") || line.starts_with("help: ");
        assert!(outcome.stderr.lines().all(ours), "{outcome}");
    }
    assert_eq!(results(out), [""; 0], "{outcome}");
}

#[test]
fn every_fault_of_a_graph_is_one_error_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut page = String::new();
    for name in write_wrong_files(folder.path()) {
        let graph = folder.path().join(&name);
        let start = Start::new(Launcher::Local).args([&graph]).args(["--workers", "1", "--output"]);
        let run = start.args([&out]).deadline(AT_ONCE).finish().expect_code(2);
        assert_refused(&run, &out, false);
        let told = message(&run, folder.path());
        page.push_str(&format!("# {name}\n{told}\n\n"));
        let checked = Start::new(Launcher::Local).args(["graph", "validate"]).args([&graph]);
        let checked = checked.finish().expect_code(2);
        assert_eq!(message(&checked, folder.path()), told, "{name}: validate says something else");
        assert!(checked.stdout.is_empty(), "{checked}");
    }
    insta::assert_snapshot!(page);
}

#[test]
fn rank_0_alone_tells_of_a_wrong_graph_and_nobody_hangs() {
    let folder = tempfile::tempdir().unwrap();
    write_wrong_files(folder.path());
    let out = folder.path().join("out");
    for launcher in [Launcher::OpenMpi(3), Launcher::Mpich(3), Launcher::Mpich(1)] {
        if !launcher.available() {
            continue;
        }
        for name in ["there is none.bin", "bits flipped.bin", "cycle of three.json"] {
            let start = Start::new(launcher).args([folder.path().join(name)]).args(["--output"]);
            let run = start.args([&out]).deadline(AT_ONCE).finish().expect_code(2);
            assert_refused(&run, &out, true);
        }
    }
}

#[test]
fn what_no_worker_can_satisfy_is_told_with_the_largest_worker() {
    let cases = [
        ("workers", json!(["99"]), "worker 99", "; the workers are 1 on "),
        ("hosts", json!(["node77"]), "host node77", "; the workers are 1 on "),
        ("resources", json!({"GPU": 1}), "1 of resource GPU", "; --resources NAME=AMOUNT"),
        ("threads", json!(4096), "4096 threads", "2 threads, 64 MiB of memory"),
        ("memory", json!("900TiB"), "900 TiB of memory", "2 threads, 64 MiB of memory"),
    ];
    for (field, value, asks, help) in cases {
        let case = Case::new(&graph(vec![with(x(), field, value)], &["x"]));
        let size = ["--workers", "1", "--threads", "2", "--memory-limit", "64MiB"];
        let run = Start::new(Launcher::Local).args(case.args()).args(size).deadline(AT_ONCE);
        let run = run.finish().expect_code(2);
        assert_refused(&run, &case.out(), false);
        let error = format!("error: no worker can run task 'x': it asks for {asks}\n");
        assert!(run.stderr.contains(&error), "{run}");
        assert!(run.stderr.contains("help: the largest worker is worker 1 on "), "{run}");
        assert!(run.stderr.contains(help), "{run}");
    }
}

#[test]
fn a_worker_that_does_not_exist_is_told_under_mpi() {
    let case = Case::new(&graph(vec![with(x(), "workers", json!(["7"]))], &["x"]));
    for launcher in [Launcher::OpenMpi(3), Launcher::Mpich(3)] {
        if launcher.available() {
            let run = Start::new(launcher).args(case.args()).deadline(AT_ONCE);
            let run = run.finish().expect_code(2);
            assert_refused(&run, &case.out(), true);
            assert!(run.stderr.contains("; the workers are 1 on "), "{run}");
        }
    }
}

#[test]
fn task_errors_name_the_task_its_inputs_and_what_depends_on_it() {
    let sum = || task("z", json!({"kernel": "sum"}), &["y"]);
    let add = task("y", json!({"kernel": "map", "expr": "a + b"}), &["x", "w"]);
    let shapes = graph(vec![x(), task("w", full(&json!([5])), &[]), add, sum()], &["z"]);
    let load = json!({"kernel": "load_npy", "path": "none/data.npy"});
    let missing = graph(vec![task("y", load, &[]), sum()], &["z"]);
    let large = graph(vec![task("y", full(&json!([1 << 27])), &[]), sum()], &["z"]);
    let cases = [("shapes", shapes), ("missing .npy", missing), ("allocation", large)];
    let mut page = String::new();
    for (name, value) in cases {
        let case = Case::new(&value);
        for launcher in LAUNCHERS.into_iter().filter(|launcher| launcher.available()) {
            let start = Start::new(launcher).args(case.args()).args(["--memory-limit", "64MiB"]);
            let start = start.current_dir(case.path()).deadline(AT_ONCE);
            let run = start.finish().expect_code(1);
            assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
            assert!(run.stderr.contains("error: task 'y' failed: "), "{run}");
            assert!(run.stderr.contains("not computed because of it: 'z'"), "{run}");
            if launcher == Launcher::Local {
                page.push_str(&format!("# {name}\n{}\n\n", message(&run, case.path())));
            }
            assert!(case.manifest()["outputs"]["z"]["error"].as_str().unwrap().contains("'y'"));
        }
    }
    insta::assert_snapshot!(page);
}

#[test]
fn a_chunk_that_does_not_fit_its_array_is_named() {
    let f32 = json!({"kernel": "full", "shape": [4], "dtype": "f32", "value": 1});
    for (chunk, found) in [(full(&json!([3])), "f64 [3]"), (f32, "f32 [4]")] {
        let case = Case::new(&array(8, chunk, &["a-0", "a-1"]));
        for arguments in [&[][..], &["--keep-going"]] {
            let start = Start::new(Launcher::Local).args(case.args()).args(arguments);
            let run = start.args(["--workers", "2"]).deadline(AT_ONCE).finish().expect_code(1);
            let error = format!(
                "error: task 'a-1' failed: ValueError: the chunk is {found}, the array says f64 [4]"
            );
            assert_eq!(run.stderr.matches(&error).count(), 1, "{run}");
            assert_eq!(case.files(), ["manifest.json"], "no part of the array stays");
            let told = case.manifest()["outputs"]["whole"]["error"].as_str().unwrap().to_owned();
            assert!(told.contains(found), "{told}");
        }
    }
}

#[test]
fn options_that_cannot_be_kept_are_named_before_anything_runs() {
    let case = Case::new(&graph(vec![x()], &["x"]));
    fs::write(case.path().join("file"), "mine").unwrap();
    fs::create_dir(case.path().join("folder")).unwrap();
    let path = |name: &str| case.path().join(name).to_str().unwrap().to_owned();
    let cases = [
        vec!["--events".to_owned(), path("none/e.jsonl")],
        vec!["--events".to_owned(), path("folder")],
        vec!["--scheduler-file".to_owned(), path("none/s.json")],
        vec!["--scheduler-file".to_owned(), path("folder")],
        vec!["--local-directory".to_owned(), path("file")],
        vec!["--local-directory".to_owned(), path("file/scratch")],
        vec!["--set".to_owned(), "scheduler.worker-tll=3".to_owned()],
        vec!["--wrokers".to_owned(), "2".to_owned()],
        vec!["--threads".to_owned(), "many".to_owned()],
        vec!["other.bin".to_owned()],
    ];
    let mut page = String::new();
    for extra in cases {
        for launcher in LAUNCHERS.into_iter().filter(|launcher| launcher.available()) {
            // Open MPI takes about 3 s to end after such a code; one of the MPIs is enough.
            if matches!(launcher, Launcher::OpenMpi(_)) && !extra[0].contains("events") {
                continue;
            }
            let start = || Start::new(launcher).args(case.args()).args(&extra).deadline(AT_ONCE);
            let mut run = start().finish();
            // Seen once in some 500: Hydra itself dies of SIGPIPE before it has started a rank.
            if matches!(launcher, Launcher::Mpich(_)) && run.signal == Some(13) {
                run = start().finish();
            }
            let run = run.expect_code(2);
            assert_refused(&run, &case.out(), launcher != Launcher::Local);
            if launcher == Launcher::Local {
                let told = message(&run, case.path());
                let given = extra.join(" ").replace(case.path().to_str().unwrap(), "DIR");
                page.push_str(&format!("# {given}\n{told}\n\n"));
            }
        }
    }
    insta::assert_snapshot!(page);
    assert_eq!(fs::read_to_string(case.path().join("file")).unwrap(), "mine");
}

#[test]
fn an_interface_that_is_not_there_is_told_with_those_that_are() {
    let case = Case::new(&graph(vec![x()], &["x"]));
    for launcher in LAUNCHERS.into_iter().filter(|launcher| launcher.available()) {
        let start = Start::new(launcher).args(case.args()).args(["--interface", "nope0"]);
        let run = start.deadline(AT_ONCE).finish().expect_code(2);
        assert_refused(&run, &case.out(), launcher != Launcher::Local);
        assert!(run.stderr.contains("no network interface 'nope0' with an address"), "{run}");
        assert!(run.stderr.contains("help: choose with --interface among lo"), "{run}");
    }
}

/// In a network name space of its own whose free ports are all reserved.
#[test]
fn a_port_that_cannot_be_bound_is_named() {
    let case = Case::new(&graph(vec![x()], &["x"]));
    let script = "ip link set lo up && cd /proc/sys/net/ipv4 && \
                  echo 40000 40001 > ip_local_port_range && \
                  echo 40000-40001 > ip_local_reserved_ports && cd \"$OLDPWD\" && exec \"$@\"";
    let inside = ["-n", "sh", "-c", script, "sh"];
    let possible = Command::new("unshare").args(inside).arg("true").output();
    let possible = possible.is_ok_and(|output| output.status.success());
    record("netns", (!possible).then_some("no network name space without free ports"));
    if !possible {
        return;
    }
    let start = Start::new(Launcher::Local).program("unshare").args(inside);
    let start = start.args([env!("CARGO_BIN_EXE_rdask-hpc")]).args(case.args());
    let run = start.deadline(AT_ONCE).finish().expect_code(3);
    assert_refused(&run, &case.out(), false);
    let error = "error: cannot listen on 127.0.0.1:0: Address already in use";
    assert!(run.stderr.starts_with(error), "{run}");
}

#[test]
fn an_output_folder_that_cannot_be_used_is_named() {
    let case = Case::new(&graph(vec![x()], &["x"]));
    let refused = |output: &str, words: &str| {
        let mut args = case.args();
        args[2] = output.to_owned();
        let run = Start::new(Launcher::Local).args(args).deadline(AT_ONCE).finish();
        let run = run.expect_code(2);
        assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
        assert!(run.stderr.contains(words) && run.stderr.contains("--output DIR"), "{run}");
        assert!(run.stderr.contains(output), "{run}");
    };
    fs::write(case.path().join("file"), "mine").unwrap();
    let path = |name: &str| case.path().join(name).to_str().unwrap().to_owned();
    refused(&path("file"), "it is a file, not a folder");
    refused(&path("file/out"), "file is a file, not a folder");
    refused("/proc/rdask-output", "cannot write to the output folder");
    let foreign = case.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("manifest.json"), "{\"name\": \"app\"}").unwrap();
    refused(&path("foreign"), "holds a manifest of another kind");
    assert_eq!(fs::read(foreign.join("manifest.json")).unwrap(), b"{\"name\": \"app\"}");
}

/// A small file system that is taken away at the end of the test.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// None, recorded, where mounting is not allowed.
    fn mounted() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "none"]);
        let mounted = succeeds(&mut mount, folder.path());
        record("mount", (!mounted).then_some("mounting a tmpfs is not allowed"));
        mounted.then_some(Self(folder))
    }
}

fn succeeds(command: &mut Command, folder: &Path) -> bool {
    command.arg(folder).output().is_ok_and(|output| output.status.success())
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        succeeds(&mut Command::new("umount"), self.0.path());
    }
}

#[test]
fn a_full_disk_ends_the_run_with_3_and_keeps_what_is_whole() {
    let Some(disk) = Tmpfs::mounted() else { return };
    let tasks =
        vec![task("small", full(&json!([4])), &[]), task("big", full(&json!([1 << 20])), &[])];
    let case = Case::new(&graph(tasks, &["small", "big"]));
    let out = disk.0.path().join("out");
    let mut args = case.args();
    args[2] = out.to_str().unwrap().to_owned();
    // Three tries with ten seconds between them.
    let run = Start::new(Launcher::Local).args(args).args(["--workers", "2"]);
    let run = run.deadline(Duration::from_secs(60)).finish().expect_code(3);
    assert!(run.stderr.contains("error: the result of 'big' cannot be written: "), "{run}");
    assert!(run.stderr.contains(&format!("({})", out.display())), "{run}");
    assert_eq!(run.stderr.matches("is tried again").count(), 2, "{run}");
    let mut names = results(&out);
    names.sort();
    assert_eq!(names, ["manifest.json", "small.npy"]);
    assert_eq!(fs::read(out.join("small.npy")).unwrap().len(), 128 + 4 * 8);
}

#[test]
fn an_array_without_room_is_told_before_anything_runs() {
    let Some(disk) = Tmpfs::mounted() else { return };
    let mut value = array(8, full(&json!([4])), &["a-0", "a-1"]);
    value["arrays"]["whole"]["shape"] = json!([8, 1 << 20]);
    value["arrays"]["whole"]["chunks"] = json!([[4, 4], [1 << 20]]);
    value["arrays"]["whole"]["grid"] = json!([["a-0"], ["a-1"]]);
    let case = Case::new(&value);
    let out = disk.0.path().join("out");
    let mut args = case.args();
    args[2] = out.to_str().unwrap().to_owned();
    let run = Start::new(Launcher::Local).args(args).deadline(AT_ONCE).finish().expect_code(3);
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
    assert_eq!(results(&out), [""; 0], "{run}");
    assert!(run.stderr.contains("whole.npy.part") && run.stderr.contains("array 'whole'"), "{run}");
}

/// A rank whose supervisor dies in its first moments, after MPI is finalized: a shell is the
/// process that the launcher sees, and it ends well. Whether the worker had registered by then, the
/// scheduler must name it and go on, or end when it was the only one.
#[test]
fn a_rank_that_dies_early_is_named_and_nobody_hangs() {
    let script = "if [ \"$OMPI_COMM_WORLD_RANK$PMI_RANK\" = $VICTIM ]; \
                  then \"$@\" & wait $!; exit 0; else exec \"$@\"; fi";
    let binary = env!("CARGO_BIN_EXE_rdask-hpc");
    // Long enough that the run is not over when the rank dies.
    let pause = task("p", json!({"kernel": "sleep", "ms": 3000}), &[]);
    let case = Case::new(&graph(vec![x(), pause], &["x", "p"]));
    for (launcher, code) in [
        (Launcher::OpenMpi(3), 0),
        (Launcher::Mpich(3), 0),
        (Launcher::OpenMpi(2), 3),
        (Launcher::Mpich(2), 3),
    ] {
        if !launcher.available() {
            continue;
        }
        let victim = if code == 0 { "2" } else { "1" };
        let start = Start::new(launcher).program("sh").args(["-c", script, "sh", binary]);
        let start = start.args(case.args()).args(["--startup-timeout", "3"]);
        let mut run = start.env("VICTIM", victim).deadline(AT_ONCE).spawn();
        let worker = run.until("the rank's worker", |run| {
            let mut workers = run.processes_of_role("worker").into_iter();
            workers.find(|worker| worker.arguments.iter().any(|word| word == victim))
        });
        let supervisor = parent(worker.pid);
        kill_process(Pid::from_raw(supervisor).unwrap(), Signal::KILL).unwrap();
        let outcome = run.wait();
        assert_eq!(outcome.code, Some(code), "{launcher:?}: {outcome}");
        let names = ["worker ", "worker=", "rank=", "rank "].map(|word| format!("{word}{victim}"));
        let named = names.iter().any(|name| outcome.stderr.contains(name));
        assert!(named, "{launcher:?}: {outcome}");
    }
}

/// The process that started this one.
fn parent(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line["PPid:".len()..].trim().parse().unwrap()
}
