//! The numbers that policies depend on: Dask's names, our defaults, units in the field names.
//!
//! Each is `--set NAME=VALUE` (for example `scheduler.worker-saturation=inf`), the environment
//! variable `RDASK_SCHEDULER__WORKER_SATURATION`, or a key of the TOML file. `settings.rs` maps the
//! names to the fields.

mod memory;
mod settings;

pub use memory::{MemoryMeasure, Policies};
pub use settings::{ConfigError, NAMES, REFUSED, Setting, Unit, environment_name};

/// One second in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;
/// One millisecond in nanoseconds.
pub const MILLISECOND_NS: u64 = 1_000_000;

/// Every number of both machines.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Deaths of its worker that a task survives; one more ends it (KilledWorker).
    pub allowed_failures: u32,
    /// Slots per thread that root-ish tasks may fill on a worker; infinity: no queuing.
    pub worker_saturation: f64,
    /// A root-ish group has more tasks than this for each thread.
    pub rootish_tasks_per_thread: u32,
    /// It reads fewer groups than this,
    pub rootish_groups: u32,
    /// and these have fewer tasks than this together.
    pub rootish_group_tasks: u32,
    /// Bytes a second between machines until measured.
    pub bandwidth: u64,
    /// Assumed duration of a prefix that never ran.
    pub unknown_task_duration_ns: u64,
    /// Known durations by prefix.
    pub default_task_durations_ns: Vec<(String, u64)>,
    /// A worker silent for this long is lost.
    pub worker_ttl_ns: u64,
    /// Interval of a worker's heartbeats; 0 = by the number of workers.
    pub heartbeat_ns: u64,
    /// A task that no worker can run errs after this long; 0 = never.
    pub no_workers_timeout_ns: u64,
    /// Times that a task may give itself back before it errs.
    pub max_reschedules: u32,
    /// Errors that a task survives when its attributes do not say (`--retries`).
    pub default_retries: u32,
    /// Round trip to a worker and back until measured.
    pub round_trip_ns: u64,
    /// Tasks that wait on one worker go to another that has nothing to do.
    pub work_stealing: bool,
    /// How often the loads of all workers are compared.
    pub work_stealing_interval_ns: u64,
    /// The least time that a steal is reckoned with, however short the round trip.
    pub work_stealing_latency_ns: u64,
    /// The active memory manager runs its policies by itself; orders are carried out in any case.
    pub amm_start: bool,
    /// Interval of its policies.
    pub amm_interval_ns: u64,
    /// What counts as a worker's memory when copies are placed.
    pub amm_measure: MemoryMeasure,
    /// What it does by itself.
    pub amm_policies: Policies,
    /// Fraction of its memory limit below which a worker gives nothing away in a rebalance.
    pub rebalance_sender_min: f64,
    /// Fraction of its memory limit above which a worker gets nothing in a rebalance.
    pub rebalance_recipient_max: f64,
    /// Width, as a fraction of the memory limit, of the band around the mean that a rebalance
    /// leaves alone.
    pub rebalance_sender_recipient_gap: f64,
    /// Unmanaged memory that has been there for this long is old: it will not go away by itself.
    pub memory_recent_to_old_ns: u64,
    /// A paused worker that makes no progress for this long gives back what it has not started;
    /// 0 = never.
    pub pause_patience_ns: u64,
    /// Age at which a worker process retires; 0 = never.
    pub lifetime_ns: u64,
    /// Up to this much is added to or taken from the lifetime of each worker.
    pub lifetime_stagger_ns: u64,
    /// A worker that retired at the end of its lifetime is started again.
    pub lifetime_restart: bool,
    /// Fraction of the memory limit for incoming transfers.
    pub memory_transfer: f64,
    /// How often resident memory is looked at.
    pub memory_monitor_ns: u64,
    /// Fraction of the memory limit (rss) at which a worker pauses; 0 = never.
    pub memory_pause: f64,
    /// Fraction of the memory limit (rss) at which the nanny ends the worker; 0 = never.
    pub memory_terminate: f64,
    /// A worker that stays paused is started again after this long; 0 = never.
    pub pause_restart_ns: u64,
    /// Bytes in one `GatherDep`.
    pub transfer_message_bytes_limit: u64,
    /// Incoming transfers at once (Dask's `connections.outgoing`).
    pub transfer_incoming_count_limit: u32,
    /// Transfers served at once (Dask's `connections.incoming`).
    pub transfer_outgoing_count_limit: u32,
    /// Below this many incoming bytes the count limit does not throttle.
    pub transfer_throttle_floor_bytes: u64,
    /// While results of more bytes wait to be written on a worker, it starts nothing.
    pub write_backlog_bytes: u64,
    /// First wait after a busy answer; doubles up to `busy_retry_max_ns`.
    pub busy_retry_ns: u64,
    /// Longest wait after a busy answer.
    pub busy_retry_max_ns: u64,
    /// Interval of find-missing on the worker; 0 = that of its heartbeats.
    pub find_missing_ns: u64,
    /// Connecting may take this long.
    pub connect_timeout_ns: u64,
    /// Times that a peer is called before it counts as unreachable.
    pub connect_attempts: u32,
    /// A connection without progress for this long is dead.
    pub tcp_timeout_ns: u64,
    /// Transitions that the scheduler's story keeps.
    pub log_length: usize,
    /// Transitions that a worker's story keeps: the last thousand tasks or so, in a ring that stays
    /// in a core's cache.
    pub worker_log_length: usize,
    /// Erred tasks whose errors are kept whole.
    pub erred_tasks: usize,
    /// `validate()` after every event.
    pub validate: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_failures: 3,
            worker_saturation: 1.1,
            rootish_tasks_per_thread: 2,
            rootish_groups: 5,
            rootish_group_tasks: 5,
            bandwidth: 100_000_000,
            unknown_task_duration_ns: 50 * MILLISECOND_NS,
            default_task_durations_ns: Vec::new(),
            worker_ttl_ns: 30 * SECOND_NS,
            heartbeat_ns: 0,
            no_workers_timeout_ns: 60 * SECOND_NS,
            max_reschedules: 1000,
            default_retries: 0,
            round_trip_ns: 200_000,
            work_stealing: true,
            work_stealing_interval_ns: 100 * MILLISECOND_NS,
            work_stealing_latency_ns: MILLISECOND_NS,
            amm_start: true,
            amm_interval_ns: 2 * SECOND_NS,
            amm_measure: MemoryMeasure::Optimistic,
            amm_policies: Policies { reduce_replicas: true, rebalance: false },
            rebalance_sender_min: 0.30,
            rebalance_recipient_max: 0.60,
            rebalance_sender_recipient_gap: 0.10,
            memory_recent_to_old_ns: 30 * SECOND_NS,
            pause_patience_ns: 30 * SECOND_NS,
            lifetime_ns: 0,
            lifetime_stagger_ns: 0,
            lifetime_restart: false,
            memory_transfer: 0.10,
            memory_monitor_ns: 100 * MILLISECOND_NS,
            memory_pause: 0.80,
            memory_terminate: 0.95,
            pause_restart_ns: 300 * SECOND_NS,
            transfer_message_bytes_limit: 50_000_000,
            transfer_incoming_count_limit: 50,
            transfer_outgoing_count_limit: 10,
            transfer_throttle_floor_bytes: 10_000_000,
            write_backlog_bytes: 32 << 20,
            // Ten small results, all that a peer serves at once, take less at 1 GB/s.
            busy_retry_ns: MILLISECOND_NS / 2,
            busy_retry_max_ns: SECOND_NS,
            find_missing_ns: 0,
            connect_timeout_ns: 30 * SECOND_NS,
            connect_attempts: 3,
            tcp_timeout_ns: 30 * SECOND_NS,
            log_length: 100_000,
            worker_log_length: 10_000,
            erred_tasks: 1000,
            validate: false,
        }
    }
}
