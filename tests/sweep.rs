//! Ensembles: a thousand runs of a program of which some fail, what is told of them, and a second
//! try that leaves what is whole alone.

use crate::support::run::Outcome;
use crate::support::schema::assert_fits;
use crate::support::{Launcher, Start, oracle};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Prints the product of its two arguments; multiples of 100 of the second fail until there is a
/// file `fixed`.
const MODEL: &str = "#!/bin/sh
echo \"run $1 $2\" >&2
if [ $(($2 % 100)) = 0 ] && [ ! -e $RDASK_CWD/fixed ]; then echo \"no luck with $2\" >&2; exit 7; fi
echo $(($1 * $2))
";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let model = folder.path("model");
        std::fs::write(&model, MODEL).unwrap();
        std::fs::set_permissions(&model, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
    }

    fn start(&self, launcher: Launcher, command: &str, words: &[&str]) -> Outcome {
        Start::new(launcher).args([command]).args(words).current_dir(self.0.path()).finish()
    }

    fn sweep(&self, launcher: Launcher, more: &[&str]) -> Outcome {
        let mut words = vec!["--param", "a=2,3", "--param", "n=1..500", "--output", "out"];
        words.extend(more);
        words.extend(["--", "./model", "{a}", "{n}"]);
        self.start(launcher, "sweep", &words)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// The lines of all indexes in a folder of logs.
    fn index(&self, logs: &str) -> Vec<Value> {
        let files = std::fs::read_dir(self.path(logs)).unwrap().map(|entry| entry.unwrap().path());
        let indexes = files.filter(|path| path.extension().is_some_and(|it| it == "index"));
        let texts: Vec<String> =
            indexes.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts the result of each run that is not said to fail; gives the keys of the others.
    fn results(&self) -> Vec<String> {
        let table = self.json("out/sweep.json");
        assert_fits("sweep", &table);
        let mut others = Vec::new();
        for run in table["runs"].as_array().unwrap() {
            let number = |name: &str| run["parameters"][name].as_str().unwrap().parse::<u64>();
            let (a, n) = (number("a").unwrap(), number("n").unwrap());
            assert_eq!(run["key"], format!("a={a},n={n}"));
            if run["state"] == "finished" {
                let file = format!("out/{}", run["file"].as_str().unwrap());
                assert_eq!(self.read(&file), format!("{}\n", a * n));
                assert_eq!(run["exit"], "exit code 0");
            } else {
                assert_eq!(run["exit"], "exit code 7", "{run}");
                assert!(run["error"].as_str().unwrap().contains(&format!("no luck with {n}")));
                others.push(run["key"].as_str().unwrap().to_owned());
            }
        }
        others
    }
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
}

#[test]
fn a_thousand_runs_of_which_some_fail_and_are_tried_again() {
    let folder = Folder::new();
    let outcome = folder.sweep(Launcher::Local, &["--workers", "2"]).expect_code(1);
    let failed = folder.results();
    let expected: Vec<String> =
        (0..10).map(|i| format!("a={},n={}", 2 + i / 5, (i % 5 + 1) * 100)).collect();
    assert_eq!(failed, expected);
    assert_eq!(outcome.stderr.matches("error: task '").count(), 10, "{outcome}");
    let told = "sweep: 990 of 1000 runs are whole, 10 failed";
    assert!(outcome.stderr.contains(told), "{outcome}");
    let csv = folder.read("out/sweep.csv");
    assert_eq!(csv.lines().count(), 1001);
    assert_eq!(csv.lines().next().unwrap(), "a,n,state,exit,attempts,seconds,file");
    assert!(csv.contains("2,100,failed,exit code 7,1,"), "{csv}");
    assert!(csv.contains("\"a=3,n=7.bin\"") || csv.contains(",a=3%2Cn=7.bin"), "{csv}");

    // Nothing is mended: the same ten fail again, and only they are run.
    let whole = folder.path(&format!(
        "out/{}",
        folder.json("out/manifest.json")["outputs"]["a=2,n=1"]["file"].as_str().unwrap()
    ));
    let before = inode(&whole);
    let again = folder.sweep(Launcher::Local, &["--retry-failed"]).expect_code(1);
    assert!(again.stderr.contains(told) && again.stdout.contains("0 tasks, "), "{again}");
    assert_eq!(folder.results(), expected);

    std::fs::write(folder.path("fixed"), "").unwrap();
    let again = folder.sweep(Launcher::Local, &["--retry-failed"]).expect_code(0);
    assert!(again.last_line().starts_with("10 tasks, 10 outputs, "), "{again}");
    let output = folder.path("out").canonicalize().unwrap();
    assert!(
        again.last_line().ends_with(&format!("moved (0/0/0), {}", output.display())),
        "{again}"
    );
    assert!(folder.results().is_empty());
    assert_eq!(inode(&whole), before, "a whole result was touched");
    assert!(!folder.path("out/.retry").exists());
    let manifest = folder.json("out/manifest.json");
    assert_eq!(manifest["outputs"].as_object().unwrap().len(), 1000);

    let nothing = folder.sweep(Launcher::Local, &["--retry-failed"]).expect_code(0);
    assert!(nothing.stderr.contains("all 1000 runs are whole"), "{nothing}");

    let lines = folder.index("out/logs");
    assert_eq!(lines.len(), 1000 + 10 + 10, "one for each attempt");
    lines.iter().for_each(|line| assert_fits("task-log-index", line));

    let logs = folder.start(Launcher::Local, "logs", &["a=3,n=200", "--output", "out"]);
    let logs = logs.expect_code(0);
    let headings: Vec<&str> = logs.stdout.lines().filter(|it| it.starts_with("====")).collect();
    assert_eq!(headings.len(), 3, "{logs}");
    let ends = ["exit code 7", "exit code 7", "exit code 0"];
    for (heading, end) in headings.iter().zip(ends) {
        assert!(heading.starts_with("==== a=3,n=200 attempt 1 of job ") && heading.contains(end));
    }
    assert_eq!(logs.stdout.matches("no luck with 200").count(), 2, "{logs}");
    assert_eq!(logs.stdout.matches("run 3 200").count(), 3, "{logs}");
}

#[test]
fn an_ensemble_runs_under_every_launcher() {
    for launcher in [Launcher::OpenMpi(2), Launcher::Mpich(3)] {
        if !launcher.available() {
            continue;
        }
        let folder = Folder::new();
        let words = ["--param", "n=98..101", "--output", "out", "--", "./model", "5", "{n}"];
        let outcome = folder.start(launcher, "sweep", &words);
        assert_ne!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stderr.contains("3 of 4 runs are whole, 1 failed"), "{outcome}");
        assert_eq!(folder.read("out/n=101.bin"), "505\n");
        std::fs::write(folder.path("fixed"), "").unwrap();
        let mut again = vec!["--retry-failed"];
        again.extend(words);
        folder.start(launcher, "sweep", &again).expect_code(0);
        assert_eq!(folder.read("out/n=100.bin"), "500\n");
        assert_eq!(folder.read("out/n=98.bin"), "490\n");
    }
}

#[test]
fn attempts_within_a_run_are_marked_and_a_killed_worker_loses_no_log() {
    let folder = Folder::new();
    // The second attempt kills its worker, the fourth is well: --retries counts errors only.
    let script = "echo attempt $RDASK_ATTEMPT >&2; case $RDASK_ATTEMPT in 0|2) exit 1;; \
                  1) kill -9 $RDASK_WORKER_PID; sleep 300;; esac; echo {x}";
    let words = ["--param", "x=7", "--retries", "2", "--output", "out", "--", "sh", "-c", script];
    folder.start(Launcher::Local, "sweep", &words).expect_code(0);
    assert_eq!(folder.read("out/x=7.bin"), "7\n");
    let logs = folder.start(Launcher::Local, "logs", &["x=7", "--output", "out", "--json"]);
    let logs: Vec<Value> = logs
        .expect_code(0)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said: Vec<(u64, &str)> = logs
        .iter()
        .map(|log| (log["attempt"].as_u64().unwrap(), log["stderr"].as_str().unwrap()))
        .collect();
    let expected = [(0, "attempt 0\n"), (1, "attempt 1\n"), (2, "attempt 2\n"), (3, "attempt 3\n")];
    assert_eq!(said, expected);
    let ends: Vec<&str> = logs.iter().map(|log| log["end"].as_str().unwrap()).collect();
    let killed = "killed with its worker";
    assert_eq!(ends, ["exit code 1", killed, "exit code 1", "exit code 0"]);
}

#[test]
fn a_sweep_can_be_looked_at_before_it_runs() {
    let folder = Folder::new();
    std::fs::write(folder.path("cases"), "one two\nthree\n").unwrap();
    let words =
        ["--param", "case=@cases", "--param", "n=1,2", "--zip", "--dry-run", "--", "./model"];
    let mut all = words.to_vec();
    all.extend(["{case}", "--n={n}", "{{}}"]);
    let outcome = folder.start(Launcher::Local, "sweep", &all).expect_code(0);
    assert_eq!(outcome.stdout, "./model 'one two' --n=1 '{}'\n./model three --n=2 '{}'\n");
    assert!(!folder.path("rdask-output").exists());

    let words = ["--param", "n=1..3", "--graph", "g.bin", "--capture", "r.txt", "--timeout", "9"];
    let mut all = words.to_vec();
    all.extend(["--threads-per-task", "2", "--memory-per-task", "1MiB", "--", "./model", "{n}"]);
    folder.start(Launcher::Local, "sweep", &all).expect_code(0);
    folder.start(Launcher::Local, "graph", &["export", "g.bin", "-o", "g.json"]).expect_code(0);
    let task = &folder.json("g.json")["tasks"][2];
    let run = serde_json::json!({"command": ["./model", "3"], "env": {"RDASK_PARAM_n": "3"},
                                 "capture": "r.txt"});
    assert_eq!(task["run"], run);
    assert_eq!(task["key"], "n=3");
    assert_eq!(
        (&task["threads"], &task["memory"], &task["timeout"]),
        (&2.into(), &1_048_576.into(), &9.into())
    );
}

#[test]
fn mistakes_are_named_before_anything_runs() {
    let folder = Folder::new();
    let stderr = |command: &str, words: &[&str]| {
        let outcome = folder.start(Launcher::Local, command, words).expect_code(2);
        outcome.stderr.replace(folder.0.path().canonicalize().unwrap().to_str().unwrap(), "HERE")
    };
    assert_eq!(
        stderr("sweep", &["--param", "seed=1..2", "--", "./model", "{sed}"]),
        "error: there is no parameter 'sed' for {sed} (command word '{sed}')\n\
         help: did you mean {seed}?\n"
    );
    assert_eq!(
        stderr("sweep", &["--param", "n=1", "--timeout", "0", "--", "./model"]),
        "error: a time-out is more than 0 (option --timeout)\n"
    );
    let other = ["--param", "n=1..2", "--output", "o", "--", "echo", "{n}"];
    folder.start(Launcher::Local, "sweep", &other).expect_code(0);
    let retry = ["--param", "n=1..3", "--output", "o", "--retry-failed", "--", "echo", "{n}"];
    assert_eq!(
        stderr("sweep", &retry),
        "error: the output folder holds the results of another sweep (HERE/o/manifest.json)\n\
         help: give the parameters and the command of that sweep, or another --output\n"
    );
    assert_eq!(
        stderr("logs", &["n=22", "--output", "o"]),
        "error: no command task 'n=22' is in the logs (HERE/o/logs)\nhelp: did you mean 'n=2'?\n"
    );
    assert_eq!(
        stderr("logs", &["n=2", "--output", "nowhere"]),
        "error: no command task 'n=2' is in the logs (HERE/nowhere/logs)\n\
         help: name the output folder of the run with --output DIR\n"
    );
}

#[test]
fn the_example_gives_what_it_says() {
    let Some(python) = oracle::numpy() else { return };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/command_ensemble");
    for launcher in [Launcher::Local, Launcher::OpenMpi(2)] {
        if !launcher.available() {
            continue;
        }
        let folder = Folder::new();
        let model = example.join("logistic.sh");
        let words =
            ["--param", "r=3050..4040..90", "--param", "k=1,10", "--output", "results", "--"];
        let words = words.iter().map(|word| (*word).to_owned());
        let command = [model.to_str().unwrap(), "{r}", "{k}"].map(str::to_owned);
        let outcome = Start::new(launcher)
            .args(["sweep"])
            .args(words.chain(command))
            .current_dir(folder.0.path())
            .finish();
        assert!(outcome.stderr.contains("sweep: 22 of 24 runs are whole, 2 failed"), "{outcome}");
        let said = python.run_file("examples/command_ensemble/check.py", [folder.path("results")]);
        assert_eq!(said, "24 runs: 22 finished, 2 failed, as expected\n");
    }
    // The script passes its arguments on.
    let folder = Folder::new();
    let outcome = Start::new(Launcher::Local)
        .program(example.join("sweep.sh"))
        .args(["--dry-run"])
        .env("RDASK", env!("CARGO_BIN_EXE_rdask-hpc"))
        .current_dir(folder.0.path())
        .finish()
        .expect_code(0);
    assert_eq!(outcome.stdout.lines().count(), 1000);
    assert!(outcome.stdout.lines().last().unwrap().ends_with("logistic.sh 4040 10"));
}

#[test]
fn what_a_run_printed_is_shown_wherever_it_is_kept() {
    let folder = Folder::new();
    let script = "echo hello {s}; echo oops >&2; exit $(({s} / 2))";
    let arguments = ["--param", "s=1..2", "--output", "o", "--", "sh", "-c", script];
    folder.start(Launcher::Local, "sweep", &arguments).expect_code(1);
    let logs = |key: &str, more: &[&str]| {
        let outcome =
            folder.start(Launcher::Local, "logs", &[&[key, "--output", "o"], more].concat());
        outcome.expect_code(0).stdout
    };
    // The first is a result, the second, which failed, stands in the log.
    let text = logs("s=1", &[]);
    assert!(text.contains("---- stdout, the result: ") && text.contains("\nhello 1\n"), "{text}");
    assert!(text.contains("---- stderr\noops\n"), "{text}");
    let text = logs("s=2", &[]);
    assert!(text.contains("---- stdout\nhello 2\n---- stderr\noops\n"), "{text}");
    let line: Value = serde_json::from_str(&logs("s=1", &["--json"])).unwrap();
    assert_eq!((&line["stdout"], &line["captured"]), (&json!("hello 1\n"), &json!(true)), "{line}");
    std::fs::remove_file(folder.path("o").join("manifest.json")).unwrap();
    assert!(logs("s=1", &[]).contains("---- stdout became the result, which is in no file here"));
}
