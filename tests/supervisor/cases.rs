//! The tests: what a rank or a whole mpirun does with each script, and that nothing is left.

use crate::path;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

/// Hang guard of every wait.
const GUARD: Duration = Duration::from_secs(20);

/// A test: its name and what it does.
type Case = (&'static str, fn(&Place));

const LOCAL: [Case; 10] = [
    ("a_local_run_starts_and_ends_with_the_verdict", |place| {
        let output = place.local("ok", 2);
        assert_code(&output, 0);
        assert!(text(&output).contains("nanny of 1 2"), "{}", text(&output));
        assert_code(&place.local("code-1", 1), 1);
    }),
    ("a_fault_is_told_once_and_nothing_starts", |place| {
        let output = place.local("fault", 1);
        assert_code(&output, 2);
        assert_eq!(text(&output), "error: no such graph\n");
    }),
    ("killed_workers_are_reported_with_their_tasks_and_started_again", |place| {
        assert_code(&place.local("kill", 3), 0);
    }),
    ("a_worker_is_ended_and_started_again_when_the_scheduler_asks", |place| {
        assert_code(&place.local("asked", 2), 0);
    }),
    ("a_worker_above_its_memory_limit_is_ended", |place| {
        assert_code(&place.local("memory", 1), 0);
    }),
    ("a_worker_that_cannot_live_is_given_up", |place| {
        assert_code(&place.local("give-up", 1), 3);
    }),
    ("processes_that_left_their_session_are_found_and_ended", |place| {
        assert_code(&place.local("orphan", 2), 0);
    }),
    ("a_dead_scheduler_ends_the_job", |place| {
        let output = place.local("scheduler-dies", 2);
        assert_code(&output, 3);
        assert!(text(&output).contains("was killed by signal 9"), "{}", text(&output));
    }),
    ("a_signal_ends_the_job", |place| {
        let child = place.spawn_local("hang", 2);
        place.wait_for_processes(4);
        send(&child, "INT");
        assert_code(&wait(child), 3);
    }),
    ("a_killed_supervisor_takes_its_children_with_it", |place| {
        let child = place.spawn_local("hang", 2);
        place.wait_for_processes(4);
        send(&child, "KILL");
        assert_eq!(wait(child).status.code(), None);
        place.wait_for_processes(0);
        // Nobody is left to remove the scratch folder: the next run does.
        assert_eq!(place.scratch().len(), 1);
        assert_code(&place.local_as("next", "ok", 1), 0);
    }),
];

const MPI: [Case; 5] = [
    ("ranks_find_each_other_and_rank_0_gives_the_code", |place| {
        for ranks in [1, 2, 4] {
            assert_code(&place.mpirun("ok", ranks), 0);
        }
        assert_code(&place.mpirun("code-1", 3), 1);
    }),
    ("a_fault_on_rank_0_is_told_once", |place| {
        let output = place.mpirun("fault", 3);
        assert_code(&output, 2);
        assert_eq!(text(&output).matches("no such graph").count(), 1, "{}", text(&output));
    }),
    ("killed_workers_of_ranks_are_started_again", |place| {
        assert_code(&place.mpirun("kill", 3), 0);
    }),
    ("a_signal_to_one_rank_ends_the_job", |place| {
        let child = place.spawn_mpirun("hang", 3);
        // Three supervisors, the scheduler, two workers.
        let pids = place.wait_for_processes(6);
        let supervisor_of_1 = pids.iter().find(|pid| is_rank(**pid, "1")).unwrap();
        let killed = Command::new("kill").args(["-TERM", &supervisor_of_1.to_string()]).status();
        assert!(killed.unwrap().success());
        assert_code(&wait(child), 3);
    }),
    ("a_foreign_mpi_is_named", |place| {
        let mut command = place.mpirun_command("ok", 2);
        command.env("RDASK_MPI_SHIM", place.other_shim.as_ref().unwrap());
        // Two processes that Open MPI did not start race for its folder; one loses.
        let host = Command::new("hostname").arg("-s").output().unwrap().stdout;
        let host = String::from_utf8(host).unwrap();
        let user = rustix::process::getuid().as_raw();
        let session = format!("ompi.{}.{user}", host.trim());
        std::fs::create_dir_all(place.folder.path().join(session)).unwrap();
        let output = wait(command.spawn().unwrap());
        assert_code(&output, 2);
        let text = text(&output);
        assert_eq!(text.matches("started as rank 0 of 2 by").count(), 1, "{text}");
        assert!(text.contains("MPI (") && text.contains("says 1"), "{text}");
    }),
];

/// Where a test runs: a folder of its own, a mark on its processes, and for MPI its launcher.
struct Place {
    folder: tempfile::TempDir,
    job_id: String,
    mpirun: &'static str,
    shim: Option<PathBuf>,
    other_shim: Option<PathBuf>,
}

pub(crate) fn run_all(filter: Option<&str>) -> ExitCode {
    let (openmpi, mpich) = (shim("openmpi"), shim("mpich"));
    let flavours = [
        ("", LOCAL.as_slice(), "", None, None),
        ("openmpi ", MPI.as_slice(), "mpirun.openmpi", openmpi.clone(), mpich.clone()),
        ("mpich ", MPI.as_slice(), "mpirun.mpich", mpich, openmpi),
    ];
    let (mut passed, mut not_run, mut failed) = (0, 0, Vec::new());
    for (flavour, cases, mpirun, shim, other_shim) in flavours {
        for (index, (name, case)) in cases.iter().enumerate() {
            let name = format!("{flavour}{name}");
            if filter.is_some_and(|filter| !name.contains(filter)) {
                continue;
            }
            if !mpirun.is_empty() && (shim.is_none() || other_shim.is_none()) {
                println!("test {name} ... not run: no MPI shims beside the build (make build)");
                not_run += 1;
                continue;
            }
            let place = Place {
                folder: tempfile::tempdir().unwrap(),
                job_id: format!("test-{}-{mpirun}-{index}", std::process::id()),
                mpirun,
                shim: shim.clone(),
                other_shim: other_shim.clone(),
            };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                case(&place);
                place.wait_for_processes(0);
                assert!(place.scratch().is_empty(), "left: {:?}", place.scratch());
            }));
            place.end();
            println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
            match outcome {
                Ok(()) => passed += 1,
                Err(_) => failed.push(name),
            }
        }
    }
    println!("\ntest result: {passed} passed; {} failed; {not_run} not run", failed.len());
    for name in &failed {
        println!("failed: {name}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `make build` puts the shims beside the binary: one folder above this test, or in the release
/// folder next to that.
fn shim(mpi: &str) -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let build = exe.parent()?.parent()?;
    let name = format!("librdask_mpi_{mpi}.so");
    [build.join(&name), build.parent()?.join("release").join(&name)]
        .into_iter()
        .find(|path| path.exists())
}

impl Place {
    fn rank_command(&self, job_id: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        self.prepare(&mut command, job_id);
        command
    }

    fn prepare(&self, command: &mut Command, job_id: &str) {
        command.env("RDASK_JOB_ID", job_id).env("TMPDIR", self.folder.path());
        command.env("PATH", path::without_batch_systems());
        for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
            command.env(name, "1");
        }
        command.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    fn spawn_local(&self, script: &str, workers: u32) -> Child {
        let mut command = self.rank_command(&self.job_id);
        command.args(["rank", script, &workers.to_string()]).spawn().unwrap()
    }

    fn local(&self, script: &str, workers: u32) -> Output {
        wait(self.spawn_local(script, workers))
    }

    fn local_as(&self, suffix: &str, script: &str, workers: u32) -> Output {
        let mut command = self.rank_command(&format!("{}-{suffix}", self.job_id));
        wait(command.args(["rank", script, &workers.to_string()]).spawn().unwrap())
    }

    fn mpirun_command(&self, script: &str, ranks: u32) -> Command {
        let mut command = Command::new(self.mpirun);
        self.prepare(&mut command, &self.job_id);
        command.env("RDASK_MPI_SHIM", self.shim.as_ref().unwrap());
        command.args(["-n", &ranks.to_string()]).arg(std::env::current_exe().unwrap());
        command.args(["rank", script, "1"]);
        command
    }

    fn spawn_mpirun(&self, script: &str, ranks: u32) -> Child {
        self.mpirun_command(script, ranks).spawn().unwrap()
    }

    fn mpirun(&self, script: &str, ranks: u32) -> Output {
        wait(self.spawn_mpirun(script, ranks))
    }

    /// Processes of this test that are ranks or children of ranks; the launcher is not counted.
    fn processes(&self) -> Vec<i32> {
        let mark = format!("RDASK_JOB_ID={}", self.job_id);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let launchers: [&[u8]; 4] = [b"mpirun", b"orted", b"hydra", b"mpiexec"];
            let first = command.split(|byte| *byte == 0).next().unwrap_or_default();
            let contains = |word: &&[u8]| first.windows(word.len()).any(|part| part == *word);
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
                && !launchers.iter().any(contains)
        })
        .collect()
    }

    fn wait_for_processes(&self, count: usize) -> Vec<i32> {
        let deadline = Instant::now() + GUARD;
        loop {
            let pids = self.processes();
            if pids.len() == count {
                return pids;
            }
            assert!(Instant::now() < deadline, "{} processes, not {count}", pids.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Scratch folders that are there.
    fn scratch(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("rdask-")
        };
        entries.map(|entry| entry.path()).filter(is_ours).collect()
    }

    /// After a failed test too, nothing of it goes on.
    fn end(&self) {
        for pid in self.processes() {
            let _gone = Command::new("kill").args(["-9", &pid.to_string()]).status().is_ok();
        }
    }
}

/// Whether a process is the supervisor of that rank, by what its launcher told it.
fn is_rank(pid: i32, rank: &str) -> bool {
    let environ = std::fs::read(Path::new("/proc").join(pid.to_string()).join("environ"));
    let environ = environ.unwrap_or_default();
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let names = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"];
    let says = |name| {
        let variable = format!("{name}={rank}");
        environ.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    names.into_iter().any(says) && command.windows(6).any(|part| part == b"\0rank\0")
}

fn send(child: &Child, signal: &str) {
    let arguments = [format!("-{signal}"), child.id().to_string()];
    assert!(Command::new("kill").args(arguments).status().unwrap().success());
}

/// The end of a process, or its death when it takes too long.
fn wait(mut child: Child) -> Output {
    let deadline = Instant::now() + GUARD;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("hangs; it said: {}", text(&output));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "it said: {}", text(output));
}
