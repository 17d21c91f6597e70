//! The harness checked against runs that misbehave on purpose.

use std::time::Duration;

use rustix::process::Signal;

use super::leftovers::{self, Before};
use super::oracle::{numpy, record};
use super::path::hide;
use super::{Launcher, Start};

fn shell(script: &str) -> Start {
    Start::new(Launcher::Local).program("sh").args(["-c", script])
}

#[test]
fn output_code_and_environment_of_a_run_are_seen() {
    let script = "echo out $VALUE; cat; echo err >&2; exit 3";
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    std::fs::write(&input, "given\nlast\n").unwrap();
    let start = shell(script).env("VALUE", "7").stdin(&input).current_dir(folder.path());
    let outcome = start.deadline(Duration::from_secs(60)).finish().expect_code(3);
    assert_eq!(outcome.stdout, "out 7\ngiven\nlast\n");
    assert_eq!(outcome.last_line(), "last");
    assert_eq!(outcome.stderr, "err\n");
    assert!(outcome.seconds > 0.0);
}

#[test]
fn a_signal_is_sent_and_seen() {
    let mut run = shell("echo ready; exec sleep 1000").spawn();
    run.until("ready", |run| run.printed().0.contains("ready").then_some(()));
    assert!(run.temp_dir().exists());
    run.signal(Signal::TERM);
    assert_eq!(run.wait().signal, Some(15));
}

#[test]
fn processes_are_found_by_role() {
    let script = "sh -c 'read line < fifo' __role worker";
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("fifo")).status();
    assert!(made.unwrap().success());
    let mut run = shell(&format!("{script}; exit 0")).current_dir(folder.path()).spawn();
    let found = run.until("a worker", |run| run.processes_of_role("worker").pop());
    assert_eq!(found.arguments[3..], ["__role", "worker"]);
    std::fs::write(folder.path().join("fifo"), "line\n").unwrap();
    run.wait().expect_code(0);
}

#[test]
fn an_orphan_is_found_by_its_mark_and_killed() {
    let mut run = shell("setsid sleep 1000 & wait").spawn();
    let job_id = run.job_id().to_owned();
    run.until("an orphan", |run| {
        let all = leftovers::processes(run.job_id());
        all.iter().any(|process| process.arguments == ["sleep", "1000"]).then_some(())
    });
    drop(run);
    assert_eq!(leftovers::processes(&job_id), []);
}

#[test]
fn a_file_that_stays_in_the_temporary_folder_is_reported_at_once_when_it_is_gone() {
    let before = Before::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rdask-left");
    std::fs::write(&file, "").unwrap();
    let waits = std::thread::spawn({
        let folder = folder.path().to_owned();
        move || before.left_by("test-nobody", &folder)
    });
    std::fs::remove_file(&file).unwrap();
    assert_eq!(waits.join().unwrap(), [""; 0]);
}

#[test]
fn numpy_is_asked() {
    let Some(python) = numpy() else { return };
    let script = "import sys, numpy; print(numpy.arange(int(sys.argv[1])).sum())";
    assert_eq!(python.run(script, ["5"]).trim(), "10");
    let help = python.run_file("examples/npy_statistics/make_graph.py", ["--help"]);
    assert!(help.contains("--block-mib"), "{help}");
}

#[test]
fn both_mpis_start_as_many_processes_as_asked() {
    for launcher in [Launcher::OpenMpi(3), Launcher::Mpich(3)] {
        if launcher.available() {
            let outcome = Start::new(launcher).program("echo").args(["here"]).finish();
            assert_eq!(outcome.expect_code(0).stdout, "here\nhere\nhere\n", "{launcher:?}");
        }
    }
}

#[test]
fn hwloc_is_recorded() {
    let why = "built without hwloc (libhwloc-dev)";
    record("hwloc", (!cfg!(feature = "hwloc")).then_some(why));
}

#[test]
fn only_submit_commands_are_hidden_from_runs() {
    let (folder, links) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().to_owned();
    std::fs::write(path.join("mpirun"), "").unwrap();
    assert_eq!(hide(path.clone(), links.path()), path);
    std::fs::write(path.join("sbatch"), "").unwrap();
    // The second time the links are there already.
    for _ in 0..2 {
        let shown = hide(path.clone(), links.path());
        assert_ne!(shown, path);
        assert!(shown.join("mpirun").exists() && !shown.join("sbatch").exists());
    }
}
