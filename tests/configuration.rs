//! Options from all places through the real binary: which one counts, where it is said to come from,
//! faults with file, line and nearest name, under both MPIs also where another rank has the fault.

use crate::command_line::binary;
use crate::support::graphs::{Case, graph, task};
use crate::support::oracle::record;
use crate::support::run::Outcome;
use crate::support::{Launcher, Start};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// A run that should end at once and has not by then counts as hanging.
const AT_ONCE: Duration = Duration::from_secs(25);

/// A home folder with a user's file, and a named file beside it.
struct Home(tempfile::TempDir);

impl Home {
    fn new(user: &str, named: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".config")).unwrap();
        fs::write(folder.path().join(".config/rdask-hpc.toml"), user).unwrap();
        fs::write(folder.path().join("named.toml"), named).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command.args(arguments).current_dir(self.path()).env("HOME", self.path());
        command
    }
}

/// What `config --json` says of a name: value, from, place.
fn row(output: &Output, name: &str) -> [String; 3] {
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
    ["value", "from", "place"].map(|field| row[field].as_str().unwrap().to_owned())
}

#[track_caller]
fn fault(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty() && text.starts_with("error: "), "{text}");
    text
}

#[test]
fn the_nearest_place_counts_and_is_named() {
    let user = "workers = 2\nthreads = 2\nseed = 2\nlog = 'info'\n";
    let home = Home::new(user, "# named\nworkers = 3\nthreads = 3\nseed = 0x3\n");
    let mut command = home.command(&["config", "--json", "--workers", "5"]);
    command.env("RDASK_CONFIG", "named.toml").env("RDASK_THREADS", "4");
    let output = command.env("RDASK_SCHEDULER__WORKER_TTL", "40s").output().unwrap();
    assert!(output.stderr.is_empty() && output.status.success(), "{output:?}");
    let place = |file: &str, line: u32, name: &str| {
        format!("'{name}' in {}, line {line}", home.path().join(file).display())
    };
    assert_eq!(row(&output, "workers"), ["5", "flag", "option --workers"]);
    let threads = ["4", "environment", "environment variable RDASK_THREADS"];
    assert_eq!(row(&output, "threads"), threads);
    assert_eq!(row(&output, "seed"), ["3", "file", &place("named.toml", 4, "seed")]);
    let log = place(".config/rdask-hpc.toml", 4, "log");
    assert_eq!(row(&output, "log"), ["info", "file", &log]);
    assert_eq!(row(&output, "fsync"), ["end", "default", ""]);
    let ttl = ["40s", "environment", "environment variable RDASK_SCHEDULER__WORKER_TTL"];
    assert_eq!(row(&output, "scheduler.worker-ttl"), ttl);
    // A short name is the setting, too.
    let short = home.command(&["config", "--json", "--retries", "7"]).output().unwrap();
    let retries = ["7", "flag", "option --retries"];
    assert_eq!(row(&short, "retries"), retries);
    assert_eq!(row(&short, "scheduler.default-retries"), retries);
    let table = home.command(&["config"]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    let line = table.lines().find(|line| line.starts_with("workers ")).unwrap();
    let place = place(".config/rdask-hpc.toml", 1, "workers");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), format!("workers 2 {place}"));
}

#[test]
fn the_users_folder_may_be_elsewhere() {
    let home = Home::new("workers = 2", "");
    fs::create_dir(home.path().join("xdg")).unwrap();
    fs::write(home.path().join("xdg/rdask-hpc.toml"), "workers = 6").unwrap();
    let workers = |folder: &str| {
        let mut command = home.command(&["config", "--json"]);
        let output = command.env("XDG_CONFIG_HOME", folder).output().unwrap();
        row(&output, "workers")[0].clone()
    };
    assert_eq!(workers(home.path().join("xdg").to_str().unwrap()), "6");
    // Its specification says that a relative one, as an empty one, counts as none.
    assert_eq!((workers("xdg"), workers("")), ("2".to_owned(), "2".to_owned()));
}

/// In a name space of its own this test may put a file into /etc.
#[test]
fn the_sites_file_comes_last() {
    let home = Home::new("workers = 2", "");
    fs::write(home.path().join("site.toml"), "workers = 7\nthreads = 7\n").unwrap();
    let script = "mount -t tmpfs none /etc && cp site.toml /etc/rdask-hpc.toml && exec \"$@\"";
    let wrapped = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).args(arguments);
        command.current_dir(home.path()).env("HOME", home.path()).env_remove("XDG_CONFIG_HOME");
        command.output()
    };
    let possible = wrapped(&["true"]).is_ok_and(|output| output.status.success());
    record("mount", (!possible).then_some("no mount name space for a site file"));
    if !possible {
        return;
    }
    let output = wrapped(&[env!("CARGO_BIN_EXE_rdask-hpc"), "config", "--json"]).unwrap();
    assert_eq!(row(&output, "workers")[0], "2");
    let threads = ["7", "file", "'threads' in /etc/rdask-hpc.toml, line 2"];
    assert_eq!(row(&output, "threads"), threads);
}

#[test]
fn faults_of_a_file_name_it_the_line_and_the_nearest_name() {
    let cases = [
        ("seed = 1\nwrokers = 2\n", "unknown option 'wrokers'", 2, "did you mean 'workers'?"),
        ("\n[scheduler]\n\nworker-tll = 3\n", "'scheduler.worker-tll'", 4, "worker-ttl"),
        ("[schedulr]\nx = 1\n", "unknown option 'schedulr'", 1, "help: "),
        ("a = 1\nseed = = 2\n", "not TOML", 2, ""),
        ("# here\nseed = 'many'\n", "'many' is not a whole number", 2, ""),
        ("\nscheduler.worker-ttl = 'soon'\n", "'soon'", 2, ""),
        ("seed = [1]\n", "'seed' takes a string", 1, ""),
        ("walltime = 3\n", "comes with a later version", 1, "leave it out"),
    ];
    for (text, what, line, help) in cases {
        let home = Home::new(text, "");
        let told = fault(&home.command(&["config"]).output().unwrap());
        let file = home.path().join(".config/rdask-hpc.toml");
        let place = format!("{}, line {line}", file.display());
        assert!(told.contains(what) && told.contains(&place) && told.contains(help), "{told}");
        let run = fault(&home.command(&["graph.bin"]).output().unwrap());
        assert_eq!(run, told, "a run says something else");
    }
    let home = Home::new("", "");
    let file = home.path().join(".config/rdask-hpc.toml");
    fs::write(&file, b"seed = 1\nlog = '\xff'\n").unwrap();
    let told = fault(&home.command(&["config"]).output().unwrap());
    let place = format!("error: the file is not UTF-8 ({}, line 2)\n", file.display());
    assert_eq!(told, place);
    fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
    let told = fault(&home.command(&["config"]).output().unwrap());
    assert!(told.contains("it is longer than 1 MiB"), "{told}");
}

fn small() -> Case {
    let full = json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": 1});
    Case::new(&graph(vec![task("x", full, &[])], &["x"]))
}

#[test]
fn mistyped_variables_are_warned_of_once() {
    let case = small();
    for launcher in [Launcher::Local, Launcher::OpenMpi(2), Launcher::Mpich(2)] {
        if !launcher.available() {
            continue;
        }
        let start = Start::new(launcher).args(case.args()).args(["--overwrite"]);
        let start = start.env("RDASK_WROKERS", "2").env("RDASK_MEMORY_LIMTI", "1GiB");
        // Of another program: nothing of ours is near.
        let run = start.env("RDASK_UNRELATED_THING", "1").finish().expect_code(0);
        let warning = "environment variables that mean nothing here: RDASK_MEMORY_LIMTI (did you \
                       mean RDASK_MEMORY_LIMIT?), RDASK_WROKERS (did you mean RDASK_WORKERS?)";
        assert_eq!(run.stderr.matches(warning).count(), 1, "{run}");
        assert_eq!(run.stderr.matches("RDASK_").count(), 4, "{run}");
    }
}

/// Rank 1 alone sees a faulty variable: a shell gives it to that rank.
fn with_a_fault_on_rank(launcher: Launcher, rank: &str, case: &Case) -> Outcome {
    let script = "if [ \"$OMPI_COMM_WORLD_RANK$PMI_RANK\" = $FAULTY ]; \
                  then export RDASK_THREADS=many; fi; exec \"$@\"";
    let start = Start::new(launcher).program("sh");
    let start = start.args(["-c", script, "sh", env!("CARGO_BIN_EXE_rdask-hpc")]);
    start.args(case.args()).env("FAULTY", rank).deadline(AT_ONCE).finish()
}

#[test]
fn a_fault_on_any_rank_is_told_by_rank_0_and_nobody_hangs() {
    let case = small();
    for launcher in [Launcher::OpenMpi(3), Launcher::Mpich(3)] {
        if !launcher.available() {
            continue;
        }
        for rank in ["0", "2"] {
            let run = with_a_fault_on_rank(launcher, rank, &case).expect_code(2);
            let what = "error: 'many' is not a whole number, 1 or more \
                        (environment variable RDASK_THREADS";
            assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
            assert!(run.stderr.contains(what), "{run}");
            assert_eq!(run.stderr.contains(", rank 2 on "), rank == "2", "{run}");
            assert!(!case.out().exists(), "{run}");
        }
    }
}

#[test]
fn completions_know_commands_and_options() {
    let home = Home::new("", "");
    let script = |shell: &str| {
        let output = home.command(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let text = script(shell);
        for word in ["topology", "memory-limit", "import", "completions"] {
            assert!(text.contains(word), "{shell}: no {word}");
        }
        assert!(!text.contains("__role"), "{shell} shows what is hidden");
    }
    fs::write(home.path().join("rdask.bash"), script("bash")).unwrap();
    let ask = "source ./rdask.bash; COMP_WORDS=(rdask-hpc topo); COMP_CWORD=1; \
               _rdask-hpc rdask-hpc topo rdask-hpc; echo \"${COMPREPLY[@]}\"";
    let Ok(output) = Command::new("bash").args(["-c", ask]).current_dir(home.path()).output()
    else {
        record("bash", Some("no bash"));
        return;
    };
    record("bash", None);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "topology", "{output:?}");
}
