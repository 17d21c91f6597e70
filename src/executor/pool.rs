//! The worker's threads: pinned, one queue per NUMA node.
//!
//! The worker core hands out at most as many runs as there are slots, so queues stay short (bounded
//! by the number of threads). A thread whose own queue is empty takes from another node's: far
//! memory is better than an idle core. An idle thread first looks for work for a short while, then
//! sleeps: waking a halted core costs more than a small task. It does so only while a core is left
//! for the thread that brings the work, and a run that such a thread will find wakes no other.
//! Of the sleepers the last is woken first: the same few serve a trickle of runs, and the first
//! core is left to the scheduler, which launchers bind there.

use super::{Outcome, Run, Surroundings, execute};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// A look at the queue takes a microsecond. When this part of the whole time passed during one,
/// another thread ran on this core, so it is not free.
const TAKEN_AWAY: u32 = 4;
/// Waits without a look after that: on a crowded machine a thread that looks loses its turn, and
/// the run that was left to it waits as long.
const CROWDED: usize = 1024;

/// Where a thread sits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat {
    /// CPUs to bind it to; empty: not bound.
    pub cpus: Vec<u32>,
    /// Which queue it serves: index of the NUMA node among the worker's.
    pub node: usize,
}

/// Binds the calling thread to CPUs; a failure is the implementor's to report.
pub(crate) type Bind = Box<dyn Fn(&[u32]) + Send + Sync>;
/// Notes what a thread runs, for the nanny: called before and (with none) after each run.
pub(crate) type Note = Box<dyn Fn(u32, Option<&Run>) + Send + Sync>;
/// Takes an outcome; gives the thread its next run when there is one.
pub(crate) type Report = Box<dyn Fn(Outcome) -> Option<Run> + Send + Sync>;

/// What a pool needs.
pub(crate) struct PoolOptions {
    /// One seat per thread.
    pub seats: Vec<Seat>,
    /// Longest look for work before an idle thread sleeps.
    pub spin: Duration,
    /// Binds each thread to the CPUs of its seat.
    pub bind: Bind,
    /// Hears of every run.
    pub note: Note,
    /// Hears of every outcome.
    pub report: Report,
}

/// Hands runs to a pool; clones share it.
#[derive(Clone)]
pub(crate) struct Submitter {
    shared: Arc<PoolShared>,
}

/// The threads. Dropping the pool lets each end its run and joins them; what is still queued is
/// forgotten.
pub(crate) struct Pool {
    shared: Arc<PoolShared>,
    threads: Vec<JoinHandle<()>>,
}

struct PoolShared {
    nodes: Vec<Node>,
    stopping: AtomicBool,
    /// Threads that run or look for work.
    awake: AtomicUsize,
    /// How many may be awake so that a core stays free for the I/O thread.
    most_awake: usize,
    /// Waits to come that do not look for work.
    crowded: AtomicUsize,
    options: PoolOptions,
    around: Surroundings,
}

/// One NUMA node's queue.
#[derive(Default)]
struct Node {
    queue: Mutex<Queue>,
    /// Runs in the queue, for a look without the lock.
    queued: AtomicUsize,
    /// Threads that look for work or sleep.
    idle: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    runs: VecDeque<Run>,
    /// Threads that look at this queue until they find a run or leave under its lock.
    looking: usize,
    /// Threads that sleep until somebody takes them out of here.
    asleep: BTreeMap<usize, Thread>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(options: PoolOptions, around: Surroundings) -> std::io::Result<Self> {
        let nodes = options.seats.iter().map(|seat| seat.node + 1).max().unwrap_or(1);
        let count = options.seats.len();
        let cpus: BTreeSet<u32> = options.seats.iter().flat_map(|seat| seat.cpus.clone()).collect();
        let shared = Arc::new(PoolShared {
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            stopping: AtomicBool::new(false),
            awake: AtomicUsize::new(count),
            most_awake: cpus.len().saturating_sub(1),
            crowded: AtomicUsize::new(0),
            options,
            around,
        });
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let shared = Arc::clone(&shared);
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            let thread = std::thread::Builder::new()
                .name(format!("task-{index}"))
                .spawn(move || shared.work(index, number))?;
            threads.push(thread);
        }
        Ok(Self { shared, threads })
    }

    /// A handle that queues runs.
    #[must_use]
    pub(crate) fn submitter(&self) -> Submitter {
        Submitter { shared: Arc::clone(&self.shared) }
    }
}

impl Submitter {
    /// Queues a run on the node with the most idle threads.
    pub(crate) fn submit(&self, run: Run) {
        let node = self
            .shared
            .nodes
            .iter()
            .max_by_key(|node| {
                let idle = node.idle.load(Ordering::Relaxed);
                idle.saturating_sub(node.queued.load(Ordering::Relaxed))
            })
            .expect("a pool has at least one node");
        let mut queue = node.lock();
        queue.runs.push_back(run);
        node.queued.store(queue.runs.len(), Ordering::SeqCst);
        let found = queue.looking >= queue.runs.len();
        let sleeper = if found { None } else { queue.asleep.pop_last() };
        drop(queue);
        let woken = sleeper.or_else(|| {
            // One that falls asleep after this has seen the run before.
            let others = self.shared.nodes.iter().filter(|_| !found);
            others.filter(|other| other.idle.load(Ordering::SeqCst) > 0).find_map(Node::sleeper)
        });
        if let Some((_, thread)) = woken {
            thread.unpark();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        for node in &self.shared.nodes {
            // One that falls asleep after this has seen the flag before.
            while let Some((_, thread)) = node.sleeper() {
                thread.unpark();
            }
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has already been reported by the panic hook.
            let _ended = thread.join();
        }
    }
}

impl PoolShared {
    fn work(&self, index: usize, number: u32) {
        let seat = &self.options.seats[index];
        if !seat.cpus.is_empty() {
            (self.options.bind)(&seat.cpus);
        }
        let node = &self.nodes[seat.node];
        let mut next = None;
        while let Some(run) = next.take().or_else(|| self.wait(node, index)) {
            (self.options.note)(number, Some(&run));
            let outcome = execute(run, &self.around, number);
            (self.options.note)(number, None);
            next = (self.options.report)(outcome);
        }
    }

    /// The next run, or none when the pool stops.
    fn wait(&self, node: &Node, index: usize) -> Option<Run> {
        node.idle.fetch_add(1, Ordering::SeqCst);
        let run = self.look(node).or_else(|| self.sleep(node, index));
        node.idle.fetch_sub(1, Ordering::SeqCst);
        run
    }

    /// Looks for work for a short while, if a core is free for it.
    fn look(&self, node: &Node) -> Option<Run> {
        if self.options.spin.is_zero() || self.awake.load(Ordering::Relaxed) > self.most_awake {
            return None;
        }
        let fewer = |waits: usize| waits.checked_sub(1);
        if self.crowded.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok() {
            return None;
        }
        node.lock().looking += 1;
        let begun = Instant::now();
        let mut last = begun;
        loop {
            let queued = (0..64).any(|_| {
                std::hint::spin_loop();
                node.queued.load(Ordering::Acquire) > 0
            });
            let now = Instant::now();
            let taken_away = now.duration_since(last) > self.options.spin / TAKEN_AWAY;
            if taken_away {
                self.crowded.store(CROWDED, Ordering::Relaxed);
            }
            let over = taken_away || now.duration_since(begun) > self.options.spin;
            if over || self.stopping.load(Ordering::Relaxed) {
                return node.found(true);
            }
            if queued && let Some(run) = node.found(false) {
                return Some(run);
            }
            last = now;
        }
    }

    /// Takes a run of its own node, else of another one, else sleeps until there is one.
    fn sleep(&self, node: &Node, index: usize) -> Option<Run> {
        loop {
            if self.stopping.load(Ordering::SeqCst) {
                return None;
            }
            let run = std::iter::once(node).chain(&self.nodes).find_map(Node::take);
            if run.is_some() {
                return run;
            }
            node.lock().asleep.insert(index, std::thread::current());
            let work = self.nodes.iter().any(|node| node.queued.load(Ordering::SeqCst) > 0);
            if work || self.stopping.load(Ordering::SeqCst) {
                node.lock().asleep.remove(&index);
                continue;
            }
            self.awake.fetch_sub(1, Ordering::Relaxed);
            while node.lock().asleep.contains_key(&index) {
                std::thread::park();
            }
            self.awake.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Node {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread that sleeps here, who is then to be woken.
    fn sleeper(&self) -> Option<(usize, Thread)> {
        self.lock().asleep.pop_last()
    }

    /// The run that has waited longest. Looks at an empty queue without its lock.
    fn take(&self) -> Option<Run> {
        if self.queued.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.pop(&mut self.lock())
    }

    /// The same for a thread that looks for work; it then looks no more, nor if it `leaves`.
    fn found(&self, leaves: bool) -> Option<Run> {
        let mut queue = self.lock();
        let run = self.pop(&mut queue);
        if leaves || run.is_some() {
            queue.looking -= 1;
        }
        run
    }

    fn pop(&self, queue: &mut Queue) -> Option<Run> {
        let run = queue.runs.pop_front();
        self.queued.store(queue.runs.len(), Ordering::SeqCst);
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{Programs, Work};
    use crate::kernels;
    use rdask_core::graph::Param;
    use rdask_core::ids::{RunId, TaskId};
    use rdask_launcher::scratch::TaskFolder;
    use rdask_store::Store;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};

    /// Guards against a hang; nothing here takes long.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn run(task: u32, kernel: &str, params: &[(&str, Param)]) -> Run {
        let params: Vec<(String, Param)> =
            params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Run {
            task: TaskId(task),
            run_id: RunId(1),
            attempt: 0,
            work: Work::Kernel(Arc::new(kernels::parse(kernel, &params, 0).unwrap())),
            inputs: Vec::new(),
            threads: 1,
            timeout_ns: 0,
            priority: 0,
        }
    }

    fn pool(nodes: &[usize], note: Note, report: Report) -> Pool {
        let seats = nodes.iter().map(|node| Seat { cpus: Vec::new(), node: *node }).collect();
        started(seats, Duration::ZERO, note, report)
    }

    fn started(seats: Vec<Seat>, spin: Duration, note: Note, report: Report) -> Pool {
        let options = PoolOptions { seats, spin, bind: Box::new(|_| {}), note, report };
        let working_directory = Path::new(".").into();
        let programs = Programs::new(TaskFolder::at("unused".into()));
        let store = Store::new(0);
        let around = Surroundings { store, rank: 3, working_directory, programs };
        Pool::start(options, around).unwrap()
    }

    fn reporting(nodes: &[usize]) -> (Pool, Receiver<Outcome>) {
        let (sender, outcomes) = channel();
        let report = Box::new(move |outcome| {
            sender.send(outcome).unwrap();
            None
        });
        (pool(nodes, Box::new(|_, _| {}), report), outcomes)
    }

    #[test]
    fn every_run_is_reported_once() {
        let (pool, outcomes) = reporting(&[0, 0, 1]);
        let submitter = pool.submitter();
        (0..100).for_each(|task| submitter.submit(run(task, "rank", &[])));
        let mut tasks = Vec::new();
        for _ in 0..100 {
            let outcome = outcomes.recv_timeout(PATIENCE).unwrap();
            // The rank as a little-endian i64.
            assert_eq!(outcome.result.unwrap().bytes(), [3, 0, 0, 0, 0, 0, 0, 0]);
            assert!(outcome.thread < 3);
            tasks.push(outcome.task.0);
        }
        tasks.sort_unstable();
        assert_eq!(tasks, (0..100).collect::<Vec<u32>>());
    }

    #[test]
    fn a_thread_goes_on_after_errors_and_time_outs() {
        let (pool, outcomes) = reporting(&[0]);
        let submitter = pool.submitter();
        submitter.submit(run(0, "fail", &[("message", "on purpose".into())]));
        submitter.submit(Run { timeout_ns: 1, ..run(1, "sleep", &[("ms", 1.0.into())]) });
        submitter.submit(Run { timeout_ns: u64::MAX, ..run(2, "rank", &[]) });
        let outcomes: Vec<Outcome> =
            (0..3).map(|_| outcomes.recv_timeout(PATIENCE).unwrap()).collect();
        assert!(outcomes[0].result.is_err());
        let late = outcomes[1].result.as_ref().unwrap_err();
        assert_eq!(late.kind, "TimeoutError");
        assert!(outcomes[1].stopped - outcomes[1].started >= Duration::from_millis(1));
        assert!(outcomes[2].result.is_ok());
    }

    #[test]
    fn a_thread_takes_the_next_run_along() {
        let (sender, outcomes) = channel();
        let next = Mutex::new(vec![run(2, "rank", &[]), run(1, "rank", &[])]);
        let report = Box::new(move |outcome: Outcome| {
            sender.send((outcome.task.0, outcome.thread)).unwrap();
            next.lock().unwrap().pop()
        });
        let pool = pool(&[0, 0], Box::new(|_, _| {}), report);
        pool.submitter().submit(run(0, "rank", &[]));
        let seen: Vec<(u32, u32)> =
            (0..3).map(|_| outcomes.recv_timeout(PATIENCE).unwrap()).collect();
        let thread = seen[0].1;
        assert_eq!(seen, [(0, thread), (1, thread), (2, thread)]);
    }

    #[test]
    fn a_trickle_of_runs_is_served_by_one_thread_that_looks_for_the_next() {
        let (sender, outcomes) = channel();
        let report = Box::new(move |outcome: Outcome| {
            sender.send(outcome.thread).unwrap();
            None
        });
        let seats = (0..3).map(|cpu| Seat { cpus: vec![cpu], node: 0 }).collect();
        let pool = started(seats, PATIENCE, Box::new(|_, _| {}), report);
        let queue = || pool.shared.nodes[0].lock();
        let idle = || {
            let queue = queue();
            queue.looking + queue.asleep.len()
        };
        let all_idle = || {
            while idle() < 3 {
                std::thread::yield_now();
            }
        };
        all_idle();
        pool.submitter().submit(run(0, "rank", &[]));
        outcomes.recv_timeout(PATIENCE).unwrap();
        all_idle();
        // At most two are awake, so that a core is left for the I/O thread.
        let asleep: Vec<usize> = queue().asleep.keys().copied().collect();
        assert!((1..3).contains(&asleep.len()), "{asleep:?}");
        for task in 1..50 {
            pool.submitter().submit(run(task, "rank", &[]));
            let thread = outcomes.recv_timeout(PATIENCE).unwrap() as usize;
            assert!(!asleep.contains(&thread), "a run that another finds woke {thread}");
            all_idle();
        }
        assert_eq!(queue().asleep.keys().copied().collect::<Vec<_>>(), asleep);
    }

    #[test]
    fn an_idle_node_takes_what_waits_at_a_busy_one() {
        // Each thread waits in its first run until it is let go; both nodes are busy when four more
        // runs come, which then stand in one queue or two.
        let gates: Vec<_> = (0..2).map(|_| channel::<()>()).collect();
        let (open, closed): (Vec<_>, Vec<_>) = gates.into_iter().unzip();
        let closed: Vec<_> = closed.into_iter().map(Mutex::new).collect();
        let (began, begins) = channel();
        let note = Box::new(move |thread: u32, run: Option<&Run>| {
            if let Some(run) = run.filter(|run| run.task.0 < 2) {
                began.send((run.task.0, thread)).unwrap();
                closed[run.task.0 as usize].lock().unwrap().recv().unwrap();
            }
        });
        let (sender, outcomes) = channel();
        let report = Box::new(move |outcome: Outcome| {
            sender.send((outcome.task.0, outcome.thread)).unwrap();
            None
        });
        let pool = pool(&[0, 1], note, report);
        let submitter = pool.submitter();
        let mut at = [0; 2];
        for task in 0..2 {
            submitter.submit(run(task, "rank", &[]));
            let (task, thread) = begins.recv_timeout(PATIENCE).unwrap();
            at[task as usize] = thread;
        }
        assert_ne!(at[0], at[1]);
        for first in 0..2 {
            let waiting: Vec<u32> = (0..4).map(|n| 10 * (first + 1) + n).collect();
            waiting.iter().for_each(|task| submitter.submit(run(*task, "rank", &[])));
            open[first as usize].send(()).unwrap();
            let thread = at[first as usize];
            let seen = |_| outcomes.recv_timeout(PATIENCE).unwrap();
            let mut ended: Vec<(u32, u32)> = (0..5).map(seen).collect();
            if first == 0 {
                // The other thread is still in its run: this one does all that waits, each once.
                ended.sort_unstable();
                let all = std::iter::once(first).chain(waiting);
                assert_eq!(ended, all.map(|task| (task, thread)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn dropping_the_pool_ends_what_runs_and_forgets_what_waits() {
        let (began, begins) = channel();
        let (sender, outcomes) = channel();
        let note = Box::new(move |_, run: Option<&Run>| {
            if let Some(run) = run {
                began.send(run.task.0).unwrap();
            }
        });
        let report = Box::new(move |outcome: Outcome| {
            sender.send(outcome.task.0).unwrap();
            None
        });
        let pool = pool(&[0], note, report);
        let submitter = pool.submitter();
        submitter.submit(run(0, "sleep", &[("ms", 20.0.into())]));
        assert_eq!(begins.recv_timeout(PATIENCE), Ok(0));
        submitter.submit(run(1, "rank", &[]));
        drop(pool);
        // The thread is joined: what it reported is here, and nothing can follow.
        let ended: Vec<u32> = outcomes.try_iter().collect();
        assert_eq!(ended[0], 0);
        assert!(ended == [0] || ended == [0, 1], "{ended:?}");
    }
}
