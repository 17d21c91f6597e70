//! Every fork and exec, every passed descriptor, every signal mask: the launcher's system calls.
//!
//! A child is `/proc/self/exe`, opened once, so that a binary that is replaced during the run does
//! not matter. It gets its control socket, the page of running tasks and (the scheduler) the
//! listening socket at fixed descriptors; all others are closed by exec. It dies with its
//! supervisor (PR_SET_PDEATHSIG), ignores the signals that batch systems send to everybody, has a
//! process group of its own, and starts already bound to its CPUs and memory. Spawn only from the
//! main thread: the death signal follows the thread that forked.
//!
//! A task's program is a child of its worker's executor thread, which lives as long as the worker.
//! It gets signals, mask and group as a shell would give them, and dies with the worker.
#![expect(unsafe_code, reason = "fork, exec, descriptor passing, signal masks, shared page")]

use crate::env;
use crate::roles::{Role, WorkerSlot};
use rustix::event::{PollFd, PollFlags};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Descriptor of the control socket in a child. Far above what a fresh process opens by itself.
const CONTROL_FD: RawFd = 100;
/// Descriptor of the page of running tasks.
const EXECUTING_FD: RawFd = 101;
/// Descriptor of the scheduler's listening socket.
const LISTENER_FD: RawFd = 102;

/// Signals that batch systems send to every process of a job: only supervisors act on them.
const IGNORED_BY_CHILDREN: [i32; 5] =
    [libc::SIGUSR1, libc::SIGUSR2, libc::SIGINT, libc::SIGHUP, libc::SIGTERM];

/// A child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Something that must be there before the fork is not.
    #[error("cannot prepare a child process ({what}): {source}")]
    Prepare {
        /// What was being done.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Fork or exec failed.
    #[error("cannot start the child process of {slot}: {source}")]
    Exec {
        /// Its slot.
        slot: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// What to start.
pub struct ChildSpec<'a> {
    /// What the child is.
    pub role: Role,
    /// Name of its slot; empty for a scheduler.
    pub slot: &'a str,
    /// Id of the job, for its environment.
    pub job_id: &'a str,
    /// CPUs, memory and threads of its worker.
    pub worker: Option<&'a WorkerSlot>,
    /// The scheduler's listening socket.
    pub listener: Option<BorrowedFd<'a>>,
    /// The supervisor's stdin is handed on; else it is /dev/null.
    pub stdin: bool,
}

/// A child that was started.
pub struct SpawnedChild {
    /// Its process id, also its process group.
    pub pid: i32,
    /// Our end of the control socket.
    pub control: UnixStream,
    /// The reading end of its stderr and stdout; absent where it writes to ours.
    pub output: Option<OwnedFd>,
    /// What its threads run.
    pub executing: ExecutingPage,
}

/// Starts children of one supervisor.
pub struct Spawner {
    program: File,
    /// Keep the fixed numbers taken, so that nothing that the fork needs lands on one of them.
    _reserved: Vec<OwnedFd>,
}

impl Spawner {
    /// Children run this very program. Also makes this process the one that orphans below it
    /// come back to.
    ///
    /// # Errors
    /// When /proc/self/exe cannot be opened.
    pub fn new() -> Result<Self, SpawnError> {
        let prepare = |what| move |source: io::Error| SpawnError::Prepare { what, source };
        let program = File::open("/proc/self/exe").map_err(prepare("open /proc/self/exe"))?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| prepare("become the subreaper")(errno.into()))?;
        let mut reserved = Vec::new();
        for _ in CONTROL_FD..=LISTENER_FD {
            let fd = rustix::io::fcntl_dupfd_cloexec(&program, CONTROL_FD)
                .map_err(|errno| prepare("reserve descriptors")(errno.into()))?;
            reserved.push(fd);
        }
        Ok(Self { program, _reserved: reserved })
    }

    /// Starts a child. It waits for `Start` on its control socket.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn spawn(&self, spec: &ChildSpec<'_>) -> Result<SpawnedChild, SpawnError> {
        let slot = if spec.slot.is_empty() { "the scheduler" } else { spec.slot };
        let failed = |source: io::Error| SpawnError::Exec { slot: slot.to_owned(), source };
        let (control, child_control) = UnixStream::pair().map_err(failed)?;
        let threads = spec.worker.map_or(1, |worker| worker.threads.len());
        let (executing, page_fd) = ExecutingPage::create(threads).map_err(failed)?;

        let mut command = Command::new(format!("/proc/self/fd/{}", self.program.as_raw_fd()));
        command.arg0("rdask-hpc").arg("__role");
        match spec.role {
            Role::Scheduler => command.arg("scheduler"),
            Role::Worker => command.args(["worker", "--slot", spec.slot]),
            Role::Both => command.arg("both"),
        };
        for name in env::names_hidden_from_children() {
            command.env_remove(name);
        }
        command.env("RDASK_JOB_ID", spec.job_id);
        command.stdin(if spec.stdin { Stdio::inherit() } else { Stdio::null() });
        let output = match spec.role {
            // Rank 0's own voice: progress bar, messages and the summary need the real streams.
            Role::Scheduler | Role::Both => None,
            Role::Worker => Some(pipe_output(&mut command).map_err(failed)?),
        };

        let mut passed =
            vec![(child_control.as_raw_fd(), CONTROL_FD), (page_fd.as_raw_fd(), EXECUTING_FD)];
        passed.extend(spec.listener.map(|fd| (fd.as_raw_fd(), LISTENER_FD)));
        let placement = spec.worker.map(Placement::of).unwrap_or_default();
        let parent = rustix::process::getpid();
        command.process_group(0);
        // SAFETY: between fork and exec `become_child` makes system calls only; it allocates
        // nothing and takes no lock, and what it reads was made before the fork.
        unsafe {
            command.pre_exec(move || become_child(parent, &passed, &placement));
        }
        let child = command.spawn().map_err(failed)?;
        let pid = i32::try_from(child.id()).map_err(|error| failed(io::Error::other(error)))?;
        Ok(SpawnedChild { pid, control, output, executing })
    }
}

/// Worker processes have no streams of their own: both go to the supervisor, line by line.
fn pipe_output(command: &mut Command) -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok(reader.into())
}

/// CPUs and memory that a child is bound to before exec.
#[derive(Default)]
struct Placement {
    cpus: Option<rustix::thread::CpuSet>,
    /// Bit mask of NUMA nodes; empty: no policy.
    numa_mask: Vec<libc::c_ulong>,
}

impl Placement {
    fn of(worker: &WorkerSlot) -> Self {
        if !worker.bound {
            return Self::default();
        }
        let bits = libc::c_ulong::BITS;
        let mut numa_mask = Vec::new();
        for node in &worker.numa_nodes {
            let word = (node / bits) as usize;
            if numa_mask.len() <= word {
                numa_mask.resize(word + 1, 0);
            }
            numa_mask[word] |= 1 << (node % bits);
        }
        Self { cpus: cpu_set(&worker.cpus), numa_mask }
    }
}

/// A set of CPUs; none when there is nothing to bind to.
fn cpu_set(numbers: &[u32]) -> Option<rustix::thread::CpuSet> {
    let mut cpus = rustix::thread::CpuSet::new();
    for cpu in numbers {
        let cpu = *cpu as usize;
        if cpu < rustix::thread::CpuSet::MAX_CPU {
            cpus.set(cpu);
        }
    }
    (cpus.count() > 0).then_some(cpus)
}

/// Runs in the child between fork and exec.
fn become_child(
    parent: rustix::process::Pid,
    passed: &[(RawFd, RawFd)],
    placement: &Placement,
) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        // The supervisor died before the death signal was set: nobody would ever end this child.
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    for signal in IGNORED_BY_CHILDREN {
        // SAFETY: sets a disposition of this process; no handler is involved.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    if let Some(cpus) = &placement.cpus {
        // CPUs that are gone (a cpuset that shrank) must not keep a worker from starting.
        let _unbound = rustix::thread::sched_setaffinity(None, cpus).is_err();
    }
    if !placement.numa_mask.is_empty() {
        prefer_memory(&placement.numa_mask);
    }
    close_others_on_exec();
    for (from, to) in passed {
        // SAFETY: `from` is open (its owner outlives the spawn) and `to` is one of the reserved
        // numbers, which no owner in this process uses after the fork. dup2 clears close-on-exec.
        if unsafe { libc::dup2(*from, *to) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A program that a task runs: what to start.
pub struct TaskCommand<'a> {
    /// The file to execute. Absolute.
    pub program: &'a Path,
    /// Its words as it sees them, its own name first.
    pub argv: &'a [String],
    /// Variables beside those of this process, which launchers' own are taken from.
    pub env: &'a [(&'a str, &'a OsStr)],
    /// Its working directory.
    pub folder: &'a Path,
    /// What it reads; none: nothing.
    pub stdin: Option<File>,
    /// Where it writes.
    pub stdout: File,
    /// Where it complains.
    pub stderr: File,
    /// CPUs to bind it to; empty: those of the calling thread.
    pub cpus: &'a [u32],
}

/// A task's program that was started, and everything in its process group.
#[derive(Debug)]
pub struct TaskProcess {
    child: Child,
    pid: rustix::process::Pid,
    /// Absent on kernels before 5.3.
    pidfd: Option<OwnedFd>,
}

impl TaskProcess {
    /// Starts it, in a process group of its own. It dies with the calling thread.
    ///
    /// # Errors
    /// When the system refuses, or the file cannot be executed.
    pub fn start(spec: TaskCommand<'_>) -> io::Result<Self> {
        let mut command = Command::new(spec.program);
        if let Some((name, words)) = spec.argv.split_first() {
            command.arg0(name).args(words);
        }
        for name in env::names_hidden_from_children() {
            command.env_remove(name);
        }
        command.envs(spec.env.iter().copied()).current_dir(spec.folder);
        command.stdin(spec.stdin.map_or_else(Stdio::null, Stdio::from));
        command.stdout(spec.stdout).stderr(spec.stderr);
        let cpus = cpu_set(spec.cpus);
        let parent = rustix::process::getpid();
        command.process_group(0);
        // SAFETY: between fork and exec `become_task` makes system calls only; it allocates
        // nothing and takes no lock, and what it reads was made before the fork.
        unsafe {
            command.pre_exec(move || become_task(parent, cpus.as_ref()));
        }
        let child = command.spawn()?;
        let pid = rustix::process::Pid::from_child(&child);
        let flags = rustix::process::PidfdFlags::empty();
        let pidfd = rustix::process::pidfd_open(pid, flags).ok();
        Ok(Self { child, pid, pidfd })
    }

    /// Its process id, also its process group. Nobody else has the number before `reap`.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits for its end; false when the deadline comes first.
    ///
    /// # Errors
    /// When the system has no memory.
    pub fn wait_until(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let Some(pidfd) = &self.pidfd else { return self.look_until(deadline) };
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // Rounded up, so that a wait that ends in time is not cut into many short ones.
            let left = left.map(|left| rustix::event::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
            match rustix::event::poll(&mut ended, left.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// As `wait_until`, for kernels that have no descriptors of processes.
    fn look_until(&self, deadline: Option<Instant>) -> io::Result<bool> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        /// Between two looks: far shorter than any program that is worth a process takes.
        const PAUSE: Duration = Duration::from_millis(5);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(self.pid), options)?.is_none() {
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(true)
    }

    /// Kills what is left of its group, waits for it and gives its end.
    ///
    /// # Errors
    /// When the system has lost it.
    pub fn reap(mut self) -> io::Result<ExitStatus> {
        kill_task(self.pid());
        self.child.wait()
    }
}

/// A process beside a worker that runs programs: when the worker is gone, in whatever way and with
/// whoever else, it ends what the programs have left and, once its supervisor has had its chance to
/// keep what they printed, removes their folder.
#[derive(Debug)]
pub struct Sweeper {
    _process: Child,
    /// Closed by the kernel with this process.
    _alive: io::PipeWriter,
}

impl Sweeper {
    /// Starts it for this process, the worker of `slot`; `folder` is that of its tasks.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn start(slot: &str, folder: &Path) -> io::Result<Self> {
        let (reader, alive) = io::pipe()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("rdask-hpc").args(["__role", "sweeper", "--slot", slot, "--pid"]);
        command.arg(std::process::id().to_string()).arg("--folder").arg(folder);
        if let Some(supervisor) = rustix::process::getppid() {
            command.arg("--supervisor").arg(supervisor.as_raw_pid().to_string());
        }
        // Its own group: the supervisor kills the worker's.
        command.process_group(0).stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { _process: command.spawn()?, _alive: alive })
    }
}

/// SIGKILL to the process group of a task's program that has not been reaped.
pub fn kill_task(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // An error means that all of them are gone.
        let _gone = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

/// Runs in the child between fork and exec.
fn become_task(
    parent: rustix::process::Pid,
    cpus: Option<&rustix::thread::CpuSet>,
) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    for signal in IGNORED_BY_CHILDREN {
        // SAFETY: sets a disposition of this process; no handler is involved.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: zeroed memory is a valid signal set, and `sigemptyset` writes it whole.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` is valid for writing.
    unsafe { libc::sigemptyset(&raw mut none) };
    // SAFETY: changes the mask of this thread, the only one after a fork, to a valid set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
    if let Some(cpus) = cpus {
        // CPUs that are gone (a cpuset that shrank) must not keep a task from starting.
        let _unbound = rustix::thread::sched_setaffinity(None, cpus).is_err();
    }
    close_others_on_exec();
    Ok(())
}

/// Prefers these NUMA nodes for memory. Never strict: that would end in an out-of-memory kill.
fn prefer_memory(mask: &[libc::c_ulong]) {
    const MPOL_PREFERRED: libc::c_long = 1;
    const MPOL_PREFERRED_MANY: libc::c_long = 5;
    let bits = mask.len() * libc::c_ulong::BITS as usize + 1;
    for policy in [MPOL_PREFERRED_MANY, MPOL_PREFERRED] {
        // SAFETY: the mask is as long as said, and the call only reads it. The kernel looks at one
        // bit less than the number given.
        let done = unsafe { libc::syscall(libc::SYS_set_mempolicy, policy, mask.as_ptr(), bits) };
        if done == 0 {
            return;
        }
    }
}

/// Nothing of MPI, of the launcher or of other children may stay open in a child: Hydra sees a
/// dead rank only when all of its sockets are closed.
fn close_others_on_exec() {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: marks descriptors of this process; nothing is closed before exec.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC)
    };
    if done == 0 {
        return;
    }
    // Kernels before 5.11.
    for fd in 3..4096 {
        // SAFETY: as above; a number that is not open is refused with EBADF.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Takes an inherited descriptor if it is open, and closes it on any further exec.
fn take_inherited(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: asks for and sets flags of a number; one that is not open is refused with EBADF.
    let open = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == 0;
    // SAFETY: the number is open, was passed to this process for this purpose, and has no other
    // owner: the callers below take each number once, at the start of the child.
    open.then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The control socket of this child; also names the process and offers it to the OOM killer
/// before its supervisor.
pub(crate) fn inherited_control() -> Option<UnixStream> {
    let stream = UnixStream::from(take_inherited(CONTROL_FD)?);
    // A descriptor that is no socket means that somebody else started this command.
    stream.peer_addr().ok()?;
    let named = rustix::thread::set_name(c"rdask-hpc");
    let offered = std::fs::write("/proc/self/oom_score_adj", "500");
    if named.is_err() || offered.is_err() {
        tracing::debug!("process name or oom_score_adj could not be set");
    }
    Some(stream)
}

/// The scheduler's listening socket, bound by the supervisor.
pub(crate) fn inherited_listener() -> Option<TcpListener> {
    take_inherited(LISTENER_FD).map(TcpListener::from)
}

/// What the executor threads of a worker run, in memory that outlives the worker: after a death
/// its supervisor reads here which tasks were executing.
///
/// One slot a thread; only that thread writes it.
pub struct ExecutingPage {
    slots: *const Slot,
    count: usize,
    /// This process ends on purpose: nothing is noted any more.
    closed: AtomicBool,
}

#[repr(C)]
struct Slot {
    /// `RunId`; 0: nothing runs.
    run: AtomicU64,
    /// `TaskId`.
    task: AtomicU32,
    _pad: u32,
}

// SAFETY: the memory is mapped until the page is dropped and holds atomics only.
unsafe impl Send for ExecutingPage {}
// SAFETY: as above.
unsafe impl Sync for ExecutingPage {}

impl ExecutingPage {
    /// A fresh page for that many threads, and its descriptor for the child.
    ///
    /// # Errors
    /// When the system has no memory or descriptors.
    pub fn create(threads: usize) -> io::Result<(Self, OwnedFd)> {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let fd = rustix::fs::memfd_create("rdask-executing", flags)?;
        let nbytes = (threads.max(1) * size_of::<Slot>()) as u64;
        rustix::fs::ftruncate(&fd, nbytes)?;
        Ok((Self::map(&fd)?, fd))
    }

    /// The page that the supervisor passed to this process.
    ///
    /// # Errors
    /// When none was passed or it cannot be mapped.
    pub fn open_inherited() -> io::Result<Self> {
        let fd = take_inherited(EXECUTING_FD)
            .ok_or_else(|| io::Error::other("no page of running tasks was inherited"))?;
        Self::map(&fd)
    }

    fn map(fd: &OwnedFd) -> io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let nbytes = usize::try_from(rustix::fs::fstat(fd)?.st_size)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let count = nbytes / size_of::<Slot>();
        // SAFETY: a new mapping at an address of the kernel's choice; the file has that length and
        // is never shortened, so no access faults.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                nbytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        Ok(Self { slots: address.cast_const().cast(), count, closed: AtomicBool::new(false) })
    }

    fn slots(&self) -> &[Slot] {
        // SAFETY: the mapping holds `count` slots, is page aligned and lives as long as `self`;
        // zeroed memory is a valid slot.
        unsafe { std::slice::from_raw_parts(self.slots, self.count) }
    }

    /// Notes that a thread begins a run. A thread beyond the page is not noted.
    pub fn set(&self, thread: usize, task: u32, run: u64) {
        if let Some(slot) = self.slots().get(thread)
            && !self.closed.load(Ordering::Acquire)
        {
            // The run stands last: a death between the two leaves nothing instead of a mixture.
            slot.run.store(0, Ordering::Release);
            slot.task.store(task, Ordering::Release);
            slot.run.store(run, Ordering::Release);
        }
    }

    /// Notes that a thread is idle.
    pub fn clear(&self, thread: usize) {
        if let Some(slot) = self.slots().get(thread) {
            slot.run.store(0, Ordering::Release);
        }
    }

    /// Clears all for good, before the process ends on purpose: what its threads still run is no
    /// longer wanted of it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for thread in 0..self.count {
            self.clear(thread);
        }
    }

    /// Task and run of each thread that is busy, by thread.
    #[must_use]
    pub fn read(&self) -> Vec<(u32, u64)> {
        self.slots()
            .iter()
            .filter_map(|slot| {
                let run = slot.run.load(Ordering::Acquire);
                (run != 0).then(|| (slot.task.load(Ordering::Acquire), run))
            })
            .collect()
    }
}

impl Drop for ExecutingPage {
    fn drop(&mut self) {
        let nbytes = self.count * size_of::<Slot>();
        // SAFETY: unmaps what `map` mapped; no reference into it outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.slots.cast_mut().cast(), nbytes) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Blocks signals in this thread (and those it starts) and opens a descriptor that reads them.
///
/// # Errors
/// When the system has no descriptors.
pub(crate) fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: zeroed memory is a valid signal set, and `sigemptyset` writes it whole.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for writing.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in signals {
        // SAFETY: `set` is a valid set; a wrong number is refused.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    // SAFETY: changes the mask of this thread only; the old mask is not asked for.
    let masked =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if masked != 0 {
        return Err(io::Error::from_raw_os_error(masked));
    }
    // SAFETY: a new descriptor for a valid set.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_runs_and_nothing_else() {
        let (page, fd) = ExecutingPage::create(3).unwrap();
        let other = ExecutingPage::map(&fd).unwrap();
        page.set(0, 7, 70);
        page.set(2, 9, 90);
        page.set(3, 1, 1);
        assert_eq!(other.read(), [(7, 70), (9, 90)]);
        page.clear(0);
        assert_eq!(other.read(), [(9, 90)]);
        page.close();
        page.set(1, 8, 80);
        assert_eq!(other.read(), []);
        drop(page);
        assert_eq!(other.read(), []);
    }

    #[test]
    fn placement_becomes_masks() {
        let worker = WorkerSlot {
            cpus: vec![0, 65],
            bound: true,
            numa_nodes: vec![1, 64],
            ..WorkerSlot::default()
        };
        let placement = Placement::of(&worker);
        let cpus = placement.cpus.unwrap();
        assert!(cpus.is_set(0) && cpus.is_set(65) && cpus.count() == 2);
        assert_eq!(placement.numa_mask, [0b10, 0b1]);
        let unbound = Placement::of(&WorkerSlot { bound: false, ..worker });
        assert!(unbound.cpus.is_none() && unbound.numa_mask.is_empty());
    }
}
