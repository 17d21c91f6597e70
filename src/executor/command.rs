//! Commands: a program for each run, in a fresh folder, and what of it becomes the result.
//!
//! ```text
//!   inputs ─▶ stdin, files ─▶ program ─▶ stdout | file ─▶ store
//!                                └─────▶ stderr, stdout ─▶ task log
//! ```
//! Standard streams are files beside the folder, not pipes: nothing has to be fed or emptied while
//! the program runs, a process that it leaves behind blocks nobody, and what it has printed is there
//! when its worker dies.
//! Invariant: when `run` returns, the program's group is dead and its folder removed.

use super::Surroundings;
use crate::kernels::npy_header;
use crate::task_log::{self, ABOUT, Begun, Ended, STDERR, STDOUT, TaskLog};
use rdask_core::graph::{Capture, CommandSpec};
use rdask_core::ids::{RunId, TaskId};
use rdask_core::messages::TaskError;
use rdask_launcher::descendants::WORKER_MARK;
use rdask_launcher::programs::{ProgramError, find_program};
use rdask_launcher::scratch::TaskFolder;
use rdask_launcher::signals;
use rdask_launcher::spawn::{Sweeper, TaskCommand, TaskProcess, kill_task};
use rdask_store::{Header, Sealed, Store};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Ending of the file that a program reads; the others are the log's.
const STDIN: &str = "in";
/// Of standard error an error quotes at most this much, from its end, bytes.
const QUOTED_BYTES: u64 = 4096;

/// A run of a command.
#[derive(Clone, Debug)]
pub(crate) struct CommandRun {
    /// What to run.
    pub spec: Arc<CommandSpec>,
    /// Name of the task.
    pub key: String,
    /// By which others end it.
    pub control: Arc<Control>,
}

/// What the pool knows of a run beside its command.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) task: TaskId,
    pub(super) run_id: RunId,
    pub(super) attempt: u32,
    pub(super) inputs: &'a [Sealed],
    pub(super) threads: u32,
    pub(super) timeout_ns: u64,
    pub(super) priority: u64,
}

/// Ends a command from another thread.
#[derive(Debug, Default)]
pub(crate) struct Control {
    state: Mutex<ControlState>,
}

#[derive(Debug, Default)]
struct ControlState {
    cancelled: bool,
    /// Process group of a program that runs and is not reaped.
    group: Option<i32>,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the program, or keeps it from starting.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        if let Some(group) = state.group {
            kill_task(group);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Starts the program unless it was cancelled.
    fn start(&self, command: TaskCommand<'_>) -> io::Result<Option<TaskProcess>> {
        let mut state = self.lock();
        if state.cancelled {
            return Ok(None);
        }
        let process = TaskProcess::start(command)?;
        state.group = Some(process.pid());
        Ok(Some(process))
    }

    /// From now on the number of its group may be another's.
    fn reap(&self, process: TaskProcess) -> io::Result<ExitStatus> {
        self.lock().group = None;
        process.reap()
    }
}

/// What all commands of a worker share.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: TaskFolder,
    /// The worker that a process of its own sweeps after; none: nobody does.
    swept: Option<String>,
    /// Made with the first command.
    made: Mutex<Option<Made>>,
    /// Where what they print goes; none: nowhere.
    log: Option<TaskLog>,
    /// CPUs of all seats of the worker, for a task with several slots; empty: not bound.
    cpus: Vec<u32>,
}

/// What stands behind the folder.
#[derive(Debug)]
struct Made {
    /// Says to others that its worker lives.
    _lock: Option<File>,
    _sweeper: Option<Sweeper>,
}

impl Programs {
    /// Nothing is made yet. What they print goes nowhere without `of_worker`.
    pub(crate) fn new(folder: TaskFolder) -> Self {
        Self { folder, swept: None, made: Mutex::new(None), log: None, cpus: Vec::new() }
    }

    /// For a worker process: its name, its log, and the CPUs of all its seats.
    pub(crate) fn of_worker(mut self, name: &str, log: TaskLog, cpus: Vec<u32>) -> Self {
        (self.swept, self.log, self.cpus) = (Some(name.to_owned()), Some(log), cpus);
        self
    }

    /// A fresh folder for one run.
    fn place(&self, task: TaskId, run_id: RunId) -> Result<Place, TaskError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_none() {
            *made = Some(self.make()?);
        }
        let path = self.folder.path().join(format!("{}-{}", task.0, run_id.0));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| io_error(&error, &path))?;
        Ok(Place { path })
    }

    fn make(&self) -> Result<Made, TaskError> {
        let lock = self.folder.make().map_err(|error| fault("OSError", error.to_string()))?;
        let sweeper = self.swept.as_ref().map(|name| Sweeper::start(name, self.folder.path()));
        let sweeper = sweeper.transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "nothing sweeps after this worker when its supervisor is killed");
            None
        });
        Ok(Made { _lock: lock, _sweeper: sweeper })
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock goes first: a folder whose lock is held belongs to somebody.
        if made.take().is_some() {
            self.folder.remove();
        }
    }
}

/// The folder of one run and the streams beside it; removed when dropped.
struct Place {
    path: PathBuf,
}

impl Place {
    /// A file beside the folder, in which a stream goes.
    fn stream(&self, ending: &str) -> Result<File, TaskError> {
        let path = self.path.with_extension(ending);
        let opened = File::options().read(true).append(true).create_new(true).open(&path);
        opened.map_err(|error| io_error(&error, &path))
    }

    /// Says whose streams these are, in case that the worker dies.
    fn announce(&self, begun: &Begun) -> Result<(), TaskError> {
        let path = self.path.with_extension(ABOUT);
        let text = serde_json::to_vec(begun).map_err(io::Error::from);
        let written = text.and_then(|text| fs::write(&path, text));
        written.map_err(|error| io_error(&error, &path))
    }

    /// The bytes of an input as standard input.
    fn stdin(&self, input: &Sealed) -> Result<File, TaskError> {
        let mut file = self.stream(STDIN)?;
        let written = write_input(input, &mut file).and_then(|()| file.seek(SeekFrom::Start(0)));
        written.map_err(|error| io_error(&error, &self.path))?;
        Ok(file)
    }

    /// The bytes of an input as a file.
    fn file(&self, name: &str, input: &Sealed) -> Result<(), TaskError> {
        let path = self.path.join(name);
        let write = || {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            write_input(input, &mut File::create(&path)?)
        };
        write().map_err(|error| io_error(&error, &path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for ending in [ABOUT, STDOUT, STDERR, STDIN] {
            // Not all of them are there when the program was not started.
            let _removed = fs::remove_file(self.path.with_extension(ending)).is_ok();
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "folder of a command not removed");
        }
    }
}

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Exited(ExitStatus),
    TimedOut,
    Cancelled,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit code {code}"),
                (None, Some(signal)) => write!(f, "signal {}", signals::name(signal)),
                (None, None) => write!(f, "{status}"),
            },
            Self::TimedOut => f.write_str("timeout"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// Runs a command on the calling thread.
pub(super) fn run(
    command: &CommandRun,
    asked: &Asked<'_>,
    around: &Surroundings,
) -> Result<Sealed, TaskError> {
    let began = (SystemTime::now(), Instant::now());
    let ran = carry_out(command, asked, around, began.1);
    if let Some(log) = &around.programs.log {
        let ended_well =
            ran.as_ref().is_ok_and(|ran| ran.end == End::Exited(ExitStatus::default()));
        let added = log.add(&Ended {
            key: &command.key,
            attempt: asked.attempt,
            began: began.0,
            seconds: began.1.elapsed().as_secs_f64(),
            end: match &ran {
                Ok(ran) => ran.end.to_string(),
                Err(error) => format!("not started: {}", error.message),
            },
            stdout: ran.as_ref().ok().map(|ran| &ran.stdout),
            captured: ended_well && command.spec.capture == Capture::Stdout,
            stderr: ran.as_ref().ok().map(|ran| &ran.stderr),
        });
        if let Err(error) = added {
            tracing::warn!(key = command.key, %error, "what a task printed is not in the log");
        }
    }
    let Ran { place, stdout, stderr, end } = ran?;
    if end != End::Exited(ExitStatus::default()) {
        return Err(failure(&command.spec.argv[0], end, asked.timeout_ns, &stderr));
    }
    let captured = match &command.spec.capture {
        Capture::Nothing => return sealed(&around.store, asked.priority, 0, |_| Ok(())),
        Capture::Stdout => (stdout, PathBuf::from("standard output")),
        Capture::File(name) => left_behind(&place.path, name)?,
    };
    take(captured, &around.store, asked.priority)
}

/// A program that has ended, and what it left.
struct Ran {
    place: Place,
    stdout: File,
    stderr: File,
    end: End,
}

/// Gives a program its inputs, starts it and waits for its end.
fn carry_out(
    command: &CommandRun,
    asked: &Asked<'_>,
    around: &Surroundings,
    began: Instant,
) -> Result<Ran, TaskError> {
    let spec = &*command.spec;
    let program = program_of(spec, &around.working_directory)?;
    let place = around.programs.place(asked.task, asked.run_id)?;
    for (name, input) in &spec.files {
        place.file(name, input_of(asked, *input)?)?;
    }
    let stdin = spec.stdin.map(|input| place.stdin(input_of(asked, input)?)).transpose()?;
    let (stdout, stderr) = (place.stream(STDOUT)?, place.stream(STDERR)?);
    if around.programs.log.is_some() {
        place.announce(&Begun {
            key: command.key.clone(),
            attempt: asked.attempt,
            began: task_log::seconds_of(SystemTime::now()),
        })?;
    }
    let streams =
        Streams { program: &program, folder: &place.path, stdin, stdout: &stdout, stderr: &stderr };
    let Some(process) = start(command, asked, around, streams)? else {
        return Ok(Ran { place, stdout, stderr, end: End::Cancelled });
    };
    // A moment that no clock reaches is no deadline.
    let limit = Some(Duration::from_nanos(asked.timeout_ns)).filter(|limit| !limit.is_zero());
    let waited = process.wait_until(limit.and_then(|limit| began.checked_add(limit)));
    let lost = |error: io::Error| fault("OSError", format!("the program was lost: {error}"));
    let status = command.control.reap(process).map_err(lost)?;
    let end = match (command.control.is_cancelled(), waited.map_err(lost)?) {
        (true, _) => End::Cancelled,
        (false, false) => End::TimedOut,
        (false, true) => End::Exited(status),
    };
    Ok(Ran { place, stdout, stderr, end })
}

/// What a program is connected to.
struct Streams<'a> {
    program: &'a Path,
    folder: &'a Path,
    stdin: Option<File>,
    stdout: &'a File,
    stderr: &'a File,
}

/// Starts the program; none when it was cancelled before.
fn start(
    command: &CommandRun,
    asked: &Asked<'_>,
    around: &Surroundings,
    streams: Streams<'_>,
) -> Result<Option<TaskProcess>, TaskError> {
    let spec = &*command.spec;
    let (threads, attempt) = (asked.threads.to_string(), asked.attempt.to_string());
    let worker = std::process::id().to_string();
    let own: [(&str, &OsStr); 6] = [
        ("RDASK_CWD", around.working_directory.as_os_str()),
        ("RDASK_KEY", command.key.as_ref()),
        ("RDASK_THREADS", threads.as_ref()),
        ("RDASK_ATTEMPT", attempt.as_ref()),
        (WORKER_MARK, worker.as_ref()),
        ("PWD", streams.folder.as_os_str()),
    ];
    let given = spec.env.iter().map(|(name, value)| (name.as_str(), OsStr::new(value)));
    let env: Vec<(&str, &OsStr)> = given.chain(own).collect();
    let refused = |error: io::Error| not_started(&error, streams.program);
    let started = command.control.start(TaskCommand {
        program: streams.program,
        argv: &spec.argv,
        env: &env,
        folder: streams.folder,
        stdin: streams.stdin,
        stdout: streams.stdout.try_clone().map_err(refused)?,
        stderr: streams.stderr.try_clone().map_err(refused)?,
        cpus: if asked.threads > 1 { &around.programs.cpus } else { &[] },
    });
    started.map_err(refused)
}

fn program_of(spec: &CommandSpec, folder: &Path) -> Result<PathBuf, TaskError> {
    let name = spec.argv.first().map(String::as_str).unwrap_or_default();
    let path = spec.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| OsStr::new(path));
    find_program(name, path, folder).map_err(|error| {
        let kind = match error {
            ProgramError::NotInPath { .. } | ProgramError::Missing { .. } => "FileNotFoundError",
            ProgramError::NotExecutable { .. } => "PermissionError",
        };
        fault(kind, error.to_string())
    })
}

fn input_of<'a>(asked: &Asked<'a>, input: u32) -> Result<&'a Sealed, TaskError> {
    asked.inputs.get(input as usize).ok_or_else(|| {
        let message = format!("the command asks for input {input} of {}", asked.inputs.len());
        fault("IndexError", message)
    })
}

/// Bytes as they are, an array as `.npy`.
fn write_input(input: &Sealed, file: &mut File) -> io::Result<()> {
    if let Header::Array { dtype, shape } = input.header() {
        file.write_all(&npy_header(*dtype, shape))?;
    }
    file.write_all(input.bytes())
}

/// The file that the program was to leave.
fn left_behind(folder: &Path, name: &str) -> Result<(File, PathBuf), TaskError> {
    let path = folder.join(name);
    let wrong = |what: &str| {
        let message = format!("the program ended well, but {what} '{name}' in its folder");
        fault("FileNotFoundError", message)
    };
    match fs::metadata(&path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(wrong("there is no plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(wrong("left no file"));
        }
        Err(error) => return Err(io_error(&error, &path)),
    }
    let file = File::open(&path).map_err(|error| io_error(&error, &path))?;
    Ok((file, path))
}

/// Reads a whole file into the store: from the page cache into the object, without a buffer.
fn take(
    (mut file, path): (File, PathBuf),
    store: &Store,
    priority: u64,
) -> Result<Sealed, TaskError> {
    let failed = |error: io::Error| io_error(&error, &path);
    let length = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    sealed(store, priority, length, |bytes| file.read_exact(bytes).map_err(failed))
}

fn sealed(
    store: &Store,
    priority: u64,
    nbytes: u64,
    fill: impl FnOnce(&mut [u8]) -> Result<(), TaskError>,
) -> Result<Sealed, TaskError> {
    let no_room = |error: rdask_store::StoreError| fault("MemoryError", error.to_string());
    let mut writing = store.reserve(nbytes, priority).map_err(no_room)?;
    fill(writing.bytes_mut())?;
    writing.seal(Header::Bytes).map_err(no_room)
}

/// The error of a program that did not end well.
fn failure(name: &str, end: End, timeout_ns: u64, stderr: &File) -> TaskError {
    let limit_s = Duration::from_nanos(timeout_ns).as_secs_f64();
    let (kind, message) = match end {
        End::Exited(status) if status.signal().is_some() => {
            ("CalledProcessError", format!("'{name}' was killed by {end}"))
        }
        End::Exited(_) => ("CalledProcessError", format!("'{name}' ended with {end}")),
        End::TimedOut => {
            let message = format!("'{name}' was killed: it took longer than its {limit_s} s");
            ("TimeoutError", message)
        }
        End::Cancelled => ("CancelledError", format!("'{name}' was ended: nobody wants it")),
    };
    // What cannot be read back is no reason to lose the error itself.
    let traceback = tail(stderr).unwrap_or_default();
    TaskError { traceback, ..fault(kind, message) }
}

/// The end of a file as text.
fn tail(mut file: &File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn not_started(error: &io::Error, program: &Path) -> TaskError {
    let hint = match error.raw_os_error() {
        Some(libc::ENOEXEC) => "; a script begins with #! and its interpreter",
        Some(libc::ENOENT) => "; its interpreter is missing",
        _ => "",
    };
    fault("OSError", format!("'{}' cannot be started: {error}{hint}", program.display()))
}

fn io_error(error: &io::Error, path: &Path) -> TaskError {
    fault("OSError", format!("{error}: '{}'", path.display()))
}

fn fault(kind: &str, message: impl Into<String>) -> TaskError {
    TaskError { kind: kind.to_owned(), message: message.into(), traceback: String::new() }
}
