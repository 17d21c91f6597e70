//! One run of the real binary, under mpirun or as it is.
//!
//! Output goes to files, not pipes: nobody has to read for the run to go on, and a process that
//! outlives its launcher cannot make a test wait. The environment is cleaned of what a launcher
//! or a user around the tests has set.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::leftovers::{self, Before, Process, tick};
use super::oracle;
use super::path;

/// How long a run may take. Only a hang guard; `Start::deadline` sets another.
const DEADLINE: Duration = Duration::from_secs(120);

/// Variables of launchers, batch systems and of ours that must not leak into a run.
const FOREIGN: [&str; 10] =
    ["OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_", "HYDI_", "PALS_", "SLURM_", "FLUX_", "RDASK_"];

/// Who starts the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launcher {
    /// Nobody: the binary as it is.
    Local,
    /// Open MPI's mpirun with so many ranks.
    OpenMpi(u32),
    /// MPICH's mpirun with so many ranks.
    Mpich(u32),
}

impl Launcher {
    /// The name in the table of what ran.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Local => None,
            Self::OpenMpi(_) => Some("Open MPI"),
            Self::Mpich(_) => Some("MPICH"),
        }
    }

    /// Whether runs can be started so; recorded for the table, so call it once per test and
    /// return where it says no.
    pub(crate) fn available(self) -> bool {
        let Some(name) = self.name() else { return true };
        let (mpirun, shim) = self.parts();
        let why = if find_in_path(mpirun).is_none() {
            Some(format!("no {mpirun}"))
        } else if find_shim(shim).is_none() {
            Some(format!("no {shim} (make build)"))
        } else {
            None
        };
        oracle::record(name, why.as_deref());
        why.is_none()
    }

    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Local => ("", ""),
            Self::OpenMpi(_) => ("mpirun.openmpi", "librdask_mpi_openmpi.so"),
            Self::Mpich(_) => ("mpirun.mpich", "librdask_mpi_mpich.so"),
        }
    }

    fn command(self, program: &OsStr) -> Command {
        let (mpirun, shim) = self.parts();
        let ranks = match self {
            Self::Local => return Command::new(program),
            Self::OpenMpi(ranks) | Self::Mpich(ranks) => ranks,
        };
        let mut command = Command::new(mpirun);
        command.arg("-n").arg(ranks.to_string()).arg(program);
        for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
            command.env(name, "1").env(name.replace("OMPI", "PRTE"), "1");
        }
        command.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
        command.env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
        // The shims stand beside the release binary; tests of a debug build borrow them.
        if let Some(shim) = find_shim(shim) {
            command.env("RDASK_MPI_SHIM", shim);
        }
        command
    }
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// The shim beside the binary, or beside the release binary of the same target folder.
fn find_shim(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_rdask-hpc")).parent()?;
    let release = oracle::target_dir().join("release");
    [beside, &release].map(|folder| folder.join(name)).into_iter().find(|file| file.exists())
}

/// A run that is about to start.
pub(crate) struct Start {
    launcher: Launcher,
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    stdin: Option<PathBuf>,
    deadline: Duration,
}

impl Start {
    /// A run of the real binary.
    pub(crate) fn new(launcher: Launcher) -> Self {
        Self {
            launcher,
            program: env!("CARGO_BIN_EXE_rdask-hpc").into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            folder: None,
            stdin: None,
            deadline: DEADLINE,
        }
    }

    /// Another program instead of the binary.
    pub(crate) fn program(mut self, program: impl AsRef<OsStr>) -> Self {
        self.program = program.as_ref().to_owned();
        self
    }

    /// Further arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|it| it.as_ref().to_owned()));
        self
    }

    /// A variable of the environment.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The working directory.
    pub(crate) fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// A file as standard input, which is empty otherwise.
    pub(crate) fn stdin(mut self, file: impl AsRef<Path>) -> Self {
        self.stdin = Some(file.as_ref().to_owned());
        self
    }

    /// How long the run may take before it counts as hanging.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts the run.
    pub(crate) fn spawn(self) -> Run {
        let (temp_dir, logs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let job_id = job_id();
        let mut command = self.launcher.command(&self.program);
        let ours: Vec<OsString> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for (name, _) in std::env::vars_os().filter(|(name, _)| !ours.contains(name)) {
            let text = name.to_string_lossy();
            if FOREIGN.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command
            .args(&self.arguments)
            .env("RDASK_JOB_ID", &job_id)
            .env("TMPDIR", temp_dir.path())
            // The settings file of whoever runs the tests is none of ours.
            .env("HOME", logs.path())
            .env("PATH", path::without_batch_systems())
            .env_remove("XDG_CONFIG_HOME")
            .envs(self.variables)
            .current_dir(self.folder.as_deref().unwrap_or_else(|| logs.path()))
            .stdin(match &self.stdin {
                Some(file) => Stdio::from(File::open(file).unwrap()),
                None => Stdio::null(),
            })
            .stdout(File::create(logs.path().join("stdout")).unwrap())
            .stderr(File::create(logs.path().join("stderr")).unwrap());
        let (before, started) = (Before::new(), Instant::now());
        let child = command.spawn().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
        let deadline = started + self.deadline;
        Run { child, job_id, temp_dir, logs, before, started, deadline, over: false }
    }

    /// Runs to the end and asserts that nothing is left.
    pub(crate) fn finish(self) -> Outcome {
        self.spawn().wait()
    }
}

fn job_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since_boot = fs::read_to_string("/proc/uptime").unwrap();
    let since_boot = since_boot.split_whitespace().next().unwrap().replace('.', "");
    format!("test-{}-{since_boot}-{count}", std::process::id())
}

/// A run that has started.
pub(crate) struct Run {
    child: Child,
    job_id: String,
    temp_dir: TempDir,
    logs: TempDir,
    before: Before,
    started: Instant,
    deadline: Instant,
    over: bool,
}

impl Run {
    /// The process that was started: the launcher, or the binary itself.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The job id that marks its processes.
    pub(crate) fn job_id(&self) -> &str {
        &self.job_id
    }

    /// Its TMPDIR.
    pub(crate) fn temp_dir(&self) -> &Path {
        self.temp_dir.path()
    }

    /// What it has printed so far, results and messages.
    pub(crate) fn printed(&self) -> (String, String) {
        let read = |name| {
            let bytes = fs::read(self.logs.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (read("stdout"), read("stderr"))
    }

    /// Its processes that play a role (`scheduler` or `worker`).
    pub(crate) fn processes_of_role(&self, role: &str) -> Vec<Process> {
        let mut all = leftovers::processes(&self.job_id);
        all.retain(|process| process.has_role(role));
        all
    }

    /// The process that was started has not ended.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal to the process that was started.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until the condition gives something.
    ///
    /// # Panics
    /// When the run ends, or its deadline passes, without it.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        loop {
            let over = self.child.try_wait().unwrap().is_some();
            if let Some(found) = condition(self) {
                return found;
            }
            assert!(!over, "the run ended without {what}:\n{}", self.all_printed());
            assert!(Instant::now() < self.deadline, "no {what} in time:\n{}", self.all_printed());
            tick();
        }
    }

    /// Waits for the end and asserts that nothing is left.
    ///
    /// # Panics
    /// When the deadline passes, or something is left.
    pub(crate) fn wait(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let hangs = Instant::now() >= self.deadline;
            assert!(!hangs, "the run hangs:\n{}", self.all_printed());
            tick();
        };
        let seconds = self.started.elapsed().as_secs_f64();
        self.over = true;
        let left = self.before.left_by(&self.job_id, self.temp_dir.path());
        let (stdout, stderr) = self.printed();
        let outcome =
            Outcome { code: status.code(), signal: status.signal(), stdout, stderr, seconds };
        assert!(left.is_empty(), "left behind: {left:#?}\n{outcome}");
        outcome
    }

    fn all_printed(&self) -> String {
        let (stdout, stderr) = self.printed();
        format!("--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.over {
            leftovers::kill(&self.job_id);
            // Reaps it; it was killed above, unless it ended by itself.
            let _ended = self.child.kill();
            let _status = self.child.wait();
        }
    }
}

/// A run that is over.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The exit code; none after a signal.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From the start to the end of the process that was started.
    pub(crate) seconds: f64,
}

impl Outcome {
    /// Asserts the exit code, and shows what was printed if it is another.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The last line of stdout: a run's summary.
    #[track_caller]
    pub(crate) fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_else(|| panic!("nothing on stdout\n{self}"))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, signal, stdout, stderr, seconds } = self;
        writeln!(f, "code {code:?}, signal {signal:?}, {seconds:.2} s")?;
        write!(f, "--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
