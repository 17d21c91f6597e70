//! Programs as tasks: what they get, what becomes of what they give, and that none outlives its run.

use crate::support::graphs::{Case, graph, task};
use crate::support::{Launcher, Start, oracle};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::Path;

const LAUNCHERS: [Launcher; 3] = [Launcher::Local, Launcher::OpenMpi(2), Launcher::Mpich(2)];

/// A task that runs a shell script and gives what it prints.
fn shell(key: &str, script: &str, deps: &[&str]) -> Value {
    task(key, json!({"command": ["sh", "-c", script], "capture": "stdout"}), deps)
}

fn bytes(case: &Case, key: &str) -> Vec<u8> {
    let manifest = case.manifest();
    let file = manifest["outputs"][key]["file"].as_str();
    let file = file.unwrap_or_else(|| panic!("no file for '{key}': {manifest:#}"));
    std::fs::read(case.out().join(file)).unwrap()
}

fn text(case: &Case, key: &str) -> String {
    String::from_utf8(bytes(case, key)).unwrap()
}

fn error(case: &Case, key: &str) -> String {
    let manifest = case.manifest();
    let error = manifest["outputs"][key]["error"].as_str();
    error.unwrap_or_else(|| panic!("no error for '{key}': {manifest:#}")).to_owned()
}

#[test]
fn results_flow_from_program_to_program() {
    // Task i adds 1 to what it reads: task 9 gives 10. One more adds four of them up.
    let mut tasks = vec![shell("n-0", "echo 1", &[])];
    for i in 1..10 {
        let add = json!({"command": ["sh", "-c", "read n; echo $((n + 1))"], "stdin": 0,
                         "capture": "stdout"});
        tasks.push(task(&format!("n-{i}"), add, &[&format!("n-{}", i - 1)]));
    }
    let sum = "cat a d/b d/c /dev/stdin | { s=0; while read n; do s=$((s + n)); done; echo $s; } \
               > result; echo ignored; rm a";
    let files = json!({"a": 0, "d/b": 1, "d/c": 1});
    let run =
        json!({"command": ["sh", "-c", sum], "files": files, "stdin": 2, "capture": "result"});
    tasks.push(task("sum", run, &["n-9", "n-4", "n-0"]));
    tasks.push(task("nothing", json!({"command": ["echo", "heard by nobody"]}), &[]));
    let case = Case::new(&graph(tasks, &["n-9", "sum", "nothing"]));
    for launcher in LAUNCHERS.into_iter().filter(|launcher| launcher.available()) {
        Start::new(launcher).args(case.args()).finish().expect_code(0);
        assert_eq!(text(&case, "n-9"), "10\n");
        assert_eq!(text(&case, "sum"), format!("{}\n", 10 + 5 + 5 + 1));
        assert_eq!(text(&case, "nothing"), "");
    }
}

#[test]
fn arrays_reach_a_program_as_npy() {
    let Some(python) = oracle::numpy() else { return };
    let script = "import sys, numpy as np; a = np.load(sys.stdin.buffer); b = np.load('in/b.npy'); \
                  assert a.dtype == 'f8' and a.shape == (5, 4) and b.dtype == 'i4', (a, b); \
                  np.save('out.npy', a.sum(axis=0) * b); np.save(sys.stdout.buffer, a)";
    let program = python.program().to_str().unwrap();
    let arange = |count: u32, dtype: &str| json!({"kernel": "arange", "start": 0, "step": 1, "count": count, "dtype": dtype});
    let run = |capture: &str| {
        json!({"command": [program, "-c", script], "stdin": 0, "files": {"in/b.npy": 1},
               "capture": capture})
    };
    let tasks = vec![
        task("column", json!({"kernel": "full", "shape": [5, 1], "dtype": "f64", "value": 0}), &[]),
        task("b", arange(4, "i32"), &[]),
        task("a", json!({"kernel": "map", "expr": "a + b"}), &["column", "b"]),
        task("file", run("out.npy"), &["a", "b"]),
        task("stdout", run("stdout"), &["a", "b"]),
    ];
    let case = Case::new(&graph(tasks, &["file", "stdout"]));
    Start::new(Launcher::Local).args(case.args()).finish().expect_code(0);
    let npy = |bytes: &[u8]| -> Vec<f64> {
        let begin = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let eights = bytes[begin..].chunks_exact(8);
        eights.map(|eight| f64::from_le_bytes(eight.try_into().unwrap())).collect()
    };
    // Column j of a holds j five times: its sum is 5 j, times j.
    assert_eq!(npy(&bytes(&case, "file")), [0.0, 5.0, 20.0, 45.0]);
    let rows = (0..20).map(|at| f64::from(at % 4));
    assert_eq!(npy(&bytes(&case, "stdout")), rows.collect::<Vec<_>>());
}

#[test]
fn a_program_that_fails_is_an_error_with_its_last_words() {
    let long = "head -c 10000 /dev/zero | tr '\\0' x >&2; printf 'the end' >&2; echo out; exit 3";
    let tasks = vec![
        shell("code", long, &[]),
        shell("signal", "kill -TERM $$", &[]),
        task("late", json!({"command": ["sh", "-c", "sleep 300 & sleep 300"]}), &[]),
        task("missing", json!({"command": ["no-such-program"], "env": {"PATH": "/a:/b"}}), &[]),
        task("no-file", json!({"command": ["./no-such-program"]}), &[]),
        task("plain", json!({"command": ["./plain"]}), &[]),
        task("left", json!({"command": ["true"], "capture": "result"}), &[]),
        shell("good", "echo good", &[]),
    ];
    let mut graph = graph(tasks, &[]);
    graph["tasks"][2]["timeout"] = json!(0.25);
    graph.as_object_mut().unwrap().remove("outputs");
    let case = Case::new(&graph);
    std::fs::write(case.path().join("plain"), "no program").unwrap();
    let outcome = Start::new(Launcher::Local)
        .args(case.args())
        .args(["--keep-going"])
        .current_dir(case.path())
        .finish()
        .expect_code(1);
    let words = format!("{}the end", "x".repeat(4096 - "the end".len()));
    let expected = format!("CalledProcessError: 'sh' ended with exit code 3\n  | {words}");
    assert_eq!(error(&case, "code"), expected);
    assert!(outcome.stderr.contains(&words), "{outcome}");
    let killed = "CalledProcessError: 'sh' was killed by signal SIGTERM";
    assert_eq!(error(&case, "signal"), killed);
    let late = "TimeoutError: 'sh' was killed: it took longer than its 0.25 s";
    assert_eq!(error(&case, "late"), late);
    let missing =
        "FileNotFoundError: there is no program 'no-such-program' in PATH, which is /a:/b";
    assert_eq!(error(&case, "missing"), missing);
    let folder = case.path().canonicalize().unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    assert_eq!(
        error(&case, "no-file"),
        format!("FileNotFoundError: there is no program '{}'", at("./no-such-program"))
    );
    let plain = format!("PermissionError: '{}' is not a file that may be executed", at("./plain"));
    assert_eq!(error(&case, "plain"), plain);
    assert_eq!(
        error(&case, "left"),
        "FileNotFoundError: the program ended well, but left no file 'result' in its folder"
    );
    assert_eq!(text(&case, "good"), "good\n");
}

#[test]
fn a_program_finds_a_fresh_folder_its_key_and_no_launcher() {
    let script = "ls -A | wc -l; echo $RDASK_KEY $RDASK_THREADS $RDASK_ATTEMPT $MINE $PWD; \
                  echo $RDASK_CWD; env | grep -c -E '^(OMPI_|PMIX_|PMI_|MPI_LOCAL|HYDI_)'; \
                  touch left; mkdir -p d/e; sleep 300 & exit 0";
    let run = json!({"command": ["sh", "-c", script], "env": {"MINE": "a b"}, "capture": "stdout"});
    let tasks = (0..4).map(|i| task(&format!("t-{i}"), run.clone(), &[]));
    let case = Case::new(&graph(tasks.collect(), &["t-0", "t-1", "t-2", "t-3"]));
    let scratch = case.path().join("scratch");
    for launcher in LAUNCHERS.into_iter().filter(|launcher| launcher.available()) {
        for local in [None, Some(&scratch)] {
            let mut start = Start::new(launcher).args(case.args()).current_dir(case.path());
            if let Some(local) = local {
                start = start.args(["--local-directory"]).args([local]);
            }
            start.finish().expect_code(0);
            for i in 0..4 {
                let text = text(&case, &format!("t-{i}"));
                let lines: Vec<&str> = text.lines().collect();
                assert_eq!(lines[0].trim(), "0", "{text}");
                let begin = format!("t-{i} 1 0 a b /");
                assert!(lines[1].starts_with(&begin), "{text}");
                let folder = Path::new(lines[1].split_once('/').unwrap().1);
                assert!(!Path::new("/").join(folder).exists(), "{text}");
                let inside = lines[1].contains(scratch.to_str().unwrap());
                assert_eq!(inside, local.is_some(), "{text}");
                assert_eq!(Path::new(lines[2]), case.path().canonicalize().unwrap(), "{text}");
                assert_eq!(lines[3], "0", "{text}");
            }
            if local.is_some() {
                assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "scratch is left");
            }
        }
    }
}

/// Runs a task that begins by leaving the number of a process that has left its session, and the
/// first time sleeps until it is killed; later it waits until that process is gone.
fn sleeper() -> Case {
    let script = "if [ $RDASK_ATTEMPT = 0 ]; then setsid sleep 300 & \
                  sleep 300 & echo $! > $RDASK_CWD/pid.new; mv $RDASK_CWD/pid.new $RDASK_CWD/pid; \
                  sleep 300; fi; while kill -0 $(cat $RDASK_CWD/pid); do sleep 0.01; done; echo done";
    Case::new(&graph(vec![shell("x", script, &[])], &["x"]))
}

#[test]
fn a_killed_worker_takes_its_programs_along() {
    for launcher in LAUNCHERS.into_iter().filter(|launcher| launcher.available()) {
        let case = sleeper();
        let mut run = Start::new(launcher).args(case.args()).current_dir(case.path()).spawn();
        run.until("the program", |_| std::fs::read(case.path().join("pid")).ok());
        for worker in run.processes_of_role("worker") {
            kill_process(Pid::from_raw(worker.pid).unwrap(), Signal::KILL).unwrap();
        }
        run.wait().expect_code(0);
        assert_eq!(text(&case, "x"), "done\n");
    }
}

#[test]
fn nothing_survives_a_stop_or_the_death_of_the_supervisor() {
    for signal in [Signal::INT, Signal::KILL] {
        let case = sleeper();
        let mut run =
            Start::new(Launcher::Local).args(case.args()).current_dir(case.path()).spawn();
        run.until("the program", |_| std::fs::read(case.path().join("pid")).ok());
        run.signal(signal);
        // That nothing is left is asserted there.
        let outcome = run.wait();
        let by_kill = signal == Signal::KILL;
        assert_eq!(outcome.signal.is_some(), by_kill, "{outcome}");
        assert_eq!(outcome.code, (!by_kill).then_some(3), "{outcome}");
    }
}

#[test]
fn a_run_that_nobody_waits_for_ends_with_the_job() {
    // The first failure ends the job while the other program would sleep on.
    let tasks = vec![shell("fails", "exit 1", &[]), shell("sleeps", "sleep 300", &[])];
    let case = Case::new(&graph(tasks, &["fails", "sleeps"]));
    let outcome = Start::new(Launcher::Local).args(case.args()).args(["--threads", "2"]).finish();
    assert_eq!(outcome.expect_code(1).signal, None);
}
