//! The worker's threads: pinned, one queue per NUMA node.
//!
//! The worker core hands out at most as many runs as there are slots, so queues stay short (bounded
//! by the number of threads). An idle thread first looks for work for a short while, then sleeps:
//! waking a halted core costs more than a small task. It never does so when the machine has fewer
//! cores than the worker has threads.

use super::{Outcome, Run, Surroundings, execute};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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

/// The threads. Dropping the pool lets each end its run and joins them.
pub(crate) struct Pool {
    shared: Arc<PoolShared>,
    threads: Vec<JoinHandle<()>>,
}

struct PoolShared {
    nodes: Vec<Node>,
    stopping: AtomicBool,
    options: PoolOptions,
    around: Surroundings,
}

/// One NUMA node's queue.
#[derive(Default)]
struct Node {
    queue: Mutex<VecDeque<Run>>,
    /// Runs in the queue, for a look without the lock.
    queued: AtomicUsize,
    /// Threads that look for work or sleep.
    idle: AtomicUsize,
    /// Threads that sleep.
    asleep: AtomicUsize,
    wake: Condvar,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(options: PoolOptions, around: Surroundings) -> std::io::Result<Self> {
        let nodes = options.seats.iter().map(|seat| seat.node + 1).max().unwrap_or(1);
        let count = options.seats.len();
        let shared = Arc::new(PoolShared {
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            stopping: AtomicBool::new(false),
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
        let mut queue = node.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(run);
        node.queued.store(queue.len(), Ordering::Release);
        let asleep = node.asleep.load(Ordering::Acquire) > 0;
        drop(queue);
        if asleep {
            node.wake.notify_one();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        for node in &self.shared.nodes {
            // Taking the lock orders the flag before any sleeper's last look.
            drop(node.queue.lock().unwrap_or_else(PoisonError::into_inner));
            node.wake.notify_all();
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
        while let Some(run) = next.take().or_else(|| self.wait(node)) {
            (self.options.note)(number, Some(&run));
            let outcome = execute(run, &self.around, number);
            (self.options.note)(number, None);
            next = (self.options.report)(outcome);
        }
    }

    /// The next run, or none when the pool stops.
    fn wait(&self, node: &Node) -> Option<Run> {
        node.idle.fetch_add(1, Ordering::AcqRel);
        let run = self.look(node).or_else(|| self.sleep(node));
        node.idle.fetch_sub(1, Ordering::AcqRel);
        run
    }

    /// Looks for work for a short while.
    fn look(&self, node: &Node) -> Option<Run> {
        if self.options.spin.is_zero() {
            return None;
        }
        let until = Instant::now() + self.options.spin;
        while Instant::now() < until {
            for _ in 0..64 {
                if node.queued.load(Ordering::Acquire) > 0 {
                    let mut queue = node.queue.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(run) = queue.pop_front() {
                        node.queued.store(queue.len(), Ordering::Release);
                        return Some(run);
                    }
                }
                std::hint::spin_loop();
            }
        }
        None
    }

    fn sleep(&self, node: &Node) -> Option<Run> {
        let mut queue = node.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(run) = queue.pop_front() {
                node.queued.store(queue.len(), Ordering::Release);
                return Some(run);
            }
            if self.stopping.load(Ordering::Acquire) {
                return None;
            }
            node.asleep.fetch_add(1, Ordering::AcqRel);
            queue = node.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            node.asleep.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
