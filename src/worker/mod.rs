//! The worker on a real machine: connection, threads and transfers → event → `WorkerState` → deeds.
//!
//! ```text
//!   scheduler ──frames──▶ I/O thread ─┐                 ┌─▶ pool: runs on pinned threads
//!   peers ────get_data──▶ data server ┼─▶ Shell (lock) ─┼─▶ I/O thread: transfers, timer
//!   pool ─────outcomes────────────────┘    core inside  └─▶ scheduler: task-finished, …
//! ```
//! User code never runs on the I/O thread, so a long task never delays a heartbeat.

mod gather;
mod io;
mod measure;
mod memory;
mod shell;
mod writer;

use crate::clock::Clock;
use crate::config::Fsync;
use crate::executor::{Bind, Note, Pool, PoolOptions, Programs, Seat, Surroundings};
use crate::outgoing::Outgoing;
use io::Io;
use measure::Meter;
use memory::MemoryWatch;
use rdask_core::codec;
use rdask_core::config::Config;
use rdask_core::ids::{TaskId, WorkerId};
use rdask_core::messages::{ToScheduler, ToWorker, WorkerRegistration};
use rdask_core::worker::{WorkerOptions, WorkerState};
use rdask_store::{Sealed, Store};
use rdask_transport::{
    AtOnce, Batch, Channel, ChannelReceiver, ChannelSender, Endpoint, Fetcher, Lookup, Serve,
};
use shell::{Command, Shell};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// What a worker needs.
pub(crate) struct WorkerSetup {
    /// What it says about itself; its slots and limits are in here.
    pub registration: WorkerRegistration,
    /// Numbers of the policies.
    pub config: Config,
    /// Seed of ties and jitter.
    pub seed: u64,
    /// The worker's clock.
    pub clock: Clock,
    /// Where results live.
    pub store: Store,
    /// One per thread.
    pub seats: Vec<Seat>,
    /// Longest look for work of an idle thread.
    pub spin: Duration,
    /// Binds the calling thread.
    pub bind: Bind,
    /// Notes what a thread runs, for the nanny.
    pub note: Note,
    /// Relative paths refer to it.
    pub working_directory: PathBuf,
    /// Where commands run and what becomes of their words.
    pub programs: Programs,
    /// The output folder.
    pub output: PathBuf,
    /// When results are synced.
    pub fsync: Fsync,
    /// Report transfers, for the event file.
    pub reports_transfers: bool,
    /// Warnings of this process that the scheduler shall tell the user; none: they are told here.
    pub warnings: Option<mpsc::Receiver<String>>,
}

/// A worker that is not connected yet; its data server may start before it joins.
pub(crate) struct Worker {
    setup: WorkerSetup,
    shared: Arc<Shared>,
}

/// What threads, transfers and the data server share.
struct Shared {
    /// None until the worker has joined.
    shell: Mutex<Option<Shell>>,
    /// Its memory is short: for those who need not know more, and do not wait for the lock.
    paused: AtomicBool,
}

/// A worker that has ended; its threads may still be at their last runs.
pub(crate) struct Ended {
    /// Why: the scheduler's reason, or what broke.
    pub reason: Result<String, String>,
    pool: Pool,
}

impl Ended {
    /// Waits for the threads. A process that exits anyway need not.
    pub(crate) fn join(self) {
        drop(self.pool);
    }

    /// Leaves the threads to the end of the process.
    pub(crate) fn abandon(self) {
        std::mem::forget(self.pool);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Shell>> {
        self.shell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acts on the shell, then hands out the runs that follow: with the lock open, since a thread
    /// that is awake begins at once and needs the lock soon.
    fn with<R>(&self, act: impl FnOnce(&mut Shell) -> R) -> Option<R> {
        let mut guard = self.lock();
        let shell = guard.as_mut()?;
        let result = act(shell);
        let handed = shell.take_runs();
        drop(guard);
        if let Some((submitter, runs)) = handed {
            runs.into_iter().for_each(|run| submitter.submit(run));
        }
        Some(result)
    }
}

impl Worker {
    /// A worker that has not joined.
    #[must_use]
    pub(crate) fn new(setup: WorkerSetup) -> Self {
        let shared = Shared { shell: Mutex::new(None), paused: AtomicBool::new(false) };
        Self { setup, shared: Arc::new(shared) }
    }

    /// How many requests of peers are answered at once, `usual` of them from other machines.
    #[must_use]
    pub(crate) fn places(&self, usual: usize) -> AtOnce {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |same_machine| {
            served_at_once(usual, same_machine, shared.paused.load(Ordering::Relaxed))
        })
    }

    /// Answers a peer's request for data by name (the number of a task).
    #[must_use]
    pub(crate) fn server(&self) -> Lookup {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |names, answers| {
            let guard = shared.lock();
            for name in names {
                let task = u32::try_from(*name).ok().map(TaskId);
                let value =
                    guard.as_ref().zip(task).and_then(|(shell, task)| shell.value(task).cloned());
                answers.push(value.map_or(Serve::Absent, Serve::Object));
            }
        })
    }

    /// Looks a value up, for a run inside the calling process.
    pub(crate) fn values(&self) -> impl Fn(TaskId) -> Option<Sealed> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move |task| shared.with(|shell| shell.value(task).cloned()).flatten()
    }

    /// Joins the scheduler at the other end of `channel` and works until it says `Close` or is gone.
    ///
    /// Must be called inside a `tokio::task::LocalSet`; `joined` is called when the scheduler has
    /// accepted the worker.
    ///
    /// # Errors
    /// When the scheduler refused the worker or went away before, or the system refuses a thread.
    pub(crate) async fn run(
        self,
        channel: Channel,
        endpoint: Endpoint,
        joined: impl FnOnce(),
    ) -> Result<Ended, String> {
        let Self { mut setup, shared } = self;
        let (sender, mut receiver) = channel.split();
        let registration = ToScheduler::Register(Box::new(setup.registration.clone()));
        Outgoing::new(sender.clone()).send(&registration);
        let (worker, heartbeat, rest) = registered(&mut receiver).await?;
        joined();
        let (commands, queue) = mpsc::unbounded_channel();
        if setup.config.find_missing_ns == 0 {
            setup.config.find_missing_ns = nanoseconds(heartbeat);
        }
        *shared.lock() = Some(shell(&setup, worker, sender.clone(), commands));
        let refused = |error| format!("the system refuses threads: {error}");
        let writes = {
            let shared = Arc::clone(&shared);
            let answer = move |nbytes, message: &ToScheduler| {
                shared.with(|shell| shell.on_written(nbytes, message));
            };
            writer::start(setup.output.clone(), setup.fsync, answer).map_err(refused)?
        };
        let meter = Meter::new(setup.clock, setup.store.clone());
        let limit_bytes = setup.registration.memory_limit_bytes;
        let mut memory = MemoryWatch::new(&setup.config, limit_bytes, setup.store.clone());
        let fetcher = Fetcher::new(&endpoint, &setup.store, setup.seats.len());
        let (clock, reports_transfers) = (setup.clock, setup.reports_transfers);
        let mut warnings = setup.warnings.take();
        let pool = start_pool(setup, &shared, sender.clone()).map_err(refused)?;
        shared.with(|shell| shell.set_submitter(Some(pool.submitter())));
        // Before the first task: what is too small for the program itself starts nothing.
        memory.look_and_tell(&shared);
        shared.with(|shell| shell.on_messages(rest.into_iter()));
        let mut io = Io {
            shared,
            fetcher,
            endpoint,
            meter,
            memory,
            writes,
            reports_transfers,
            heartbeat,
            clock,
            timer: None,
            peers: rustc_hash::FxHashMap::default(),
        };
        let shared = Arc::clone(&io.shared);
        let reason = tokio::select! {
            reason = io.run(receiver, queue) => reason,
            never = pass_on(warnings.as_mut(), &shared) => match never {},
        };
        while let Some(Ok(text)) = warnings.as_mut().map(mpsc::Receiver::try_recv) {
            shared.with(|shell| shell.send(&ToScheduler::Warning { text }));
        }
        drop(warnings);
        // The last measurements go into the summary.
        io.send_heartbeat();
        io.shared.with(|shell| {
            shell.send(&ToScheduler::Goodbye);
            shell.set_submitter(None);
        });
        // Without a scheduler there is nobody to flush for, and the end is the same.
        let _closed = sender.close().await;
        Ok(Ended { reason, pool })
    }
}

/// Results on their way stay in memory: a worker that is short of it lends one at a time.
const fn served_at_once(usual: usize, same_machine: bool, paused: bool) -> usize {
    match (paused, same_machine) {
        (true, _) => 1,
        (false, true) => usual.saturating_mul(2),
        (false, false) => usual,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Sends warnings to the scheduler as they come, for ever.
async fn pass_on(warnings: Option<&mut mpsc::Receiver<String>>, shared: &Shared) -> Infallible {
    if let Some(warnings) = warnings {
        while let Some(text) = warnings.recv().await {
            shared.with(|shell| shell.send(&ToScheduler::Warning { text }));
        }
    }
    std::future::pending().await
}

/// Waits for the scheduler's answer to the registration; gives what came behind it.
async fn registered(
    receiver: &mut ChannelReceiver,
) -> Result<(WorkerId, Duration, Vec<ToWorker>), String> {
    loop {
        let batch = receiver
            .recv()
            .await
            .map_err(|error| error.to_string())?
            .ok_or("the scheduler closed the connection before it answered the registration")?;
        let mut messages = decode(&batch)?;
        if messages.is_empty() {
            continue;
        }
        let rest = messages.split_off(1);
        return match messages.swap_remove(0) {
            ToWorker::Registered { worker, heartbeat_ns } => {
                Ok((worker, Duration::from_nanos(heartbeat_ns), rest))
            }
            ToWorker::Close { reason } => {
                Err(format!("the scheduler refused this worker: {reason}"))
            }
            _ => Err("the scheduler answered the registration with something else".to_owned()),
        };
    }
}

fn decode(batch: &Batch) -> Result<Vec<ToWorker>, String> {
    batch
        .iter()
        .map(|body| codec::decode::<ToWorker>(body).map_err(|error| error.to_string()))
        .collect()
}

fn shell(
    setup: &WorkerSetup,
    worker: WorkerId,
    sender: ChannelSender,
    commands: mpsc::UnboundedSender<Command>,
) -> Shell {
    let registration = &setup.registration;
    let options = WorkerOptions {
        nthreads: registration.nthreads,
        memory_limit_bytes: registration.memory_limit_bytes,
        resources: registration.resources.clone(),
        worker,
    };
    let state = WorkerState::new(setup.config.clone(), options, setup.seed);
    let around = (setup.store.clone(), registration.machine.clone());
    Shell::new(state, setup.clock, sender, commands, around)
}

fn start_pool(
    setup: WorkerSetup,
    shared: &Arc<Shared>,
    sender: ChannelSender,
) -> std::io::Result<Pool> {
    let around = Surroundings {
        store: setup.store,
        rank: i64::from(setup.registration.rank),
        working_directory: setup.working_directory.into_boxed_path(),
        programs: setup.programs,
    };
    let shared = Arc::clone(shared);
    let options = PoolOptions {
        seats: setup.seats,
        spin: setup.spin,
        bind: setup.bind,
        note: setup.note,
        report: Box::new(move |outcome| {
            let next = shared.with(|shell| shell.on_outcome(outcome)).flatten();
            // A thread that goes on leaves the writing to the I/O thread, which batches.
            if next.is_some() {
                sender.release();
            } else {
                sender.write_now();
            }
            next
        }),
    };
    Pool::start(options, around)
}

#[cfg(test)]
mod tests {
    use super::served_at_once;

    #[test]
    fn peers_on_the_same_machine_find_twice_the_places_and_a_paused_worker_one() {
        assert_eq!(served_at_once(10, false, false), 10);
        assert_eq!(served_at_once(10, true, false), 20);
        assert_eq!(served_at_once(10, true, true), 1);
        assert_eq!(served_at_once(10, false, true), 1);
    }
}
