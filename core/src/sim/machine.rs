//! A pretend machine: one slot of a nanny, and the worker process that lives in it now.
//!
//! A life holds the real worker core; the shell around it here is what `src/worker` is on a real
//! machine: values by task, runs that end later, transfers that end later. A frozen slot takes
//! nothing in until it thaws.

use super::network::Stream;
use crate::ids::{RunId, TaskId, TransferId, WorkerId};
use crate::messages::WorkerRegistration;
use crate::paths::PathMeter;
use crate::time::Time;
use crate::worker::{WorkerOptions, WorkerOut, WorkerState};
use rustc_hash::FxHashMap;

/// What a machine is.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Host: equal numbers share a machine.
    pub host: u32,
    /// NUMA node of the host: equal ones share a memory controller.
    pub numa: u32,
    /// Slots.
    pub nthreads: u32,
    /// Percent of the speed that durations are given for.
    pub speed: u32,
    /// Bytes; 0 = unlimited.
    pub memory_limit_bytes: u64,
    /// Bytes of results that find room beside memory; 0 = no limit.
    pub disk_bytes: u64,
    /// Millionths of the resource `GPU`; 0 = none.
    pub gpu: u64,
}

impl MachineSpec {
    /// Name of its host.
    #[must_use]
    pub fn host_name(&self) -> String {
        format!("host{}", self.host)
    }

    fn boot_id(&self) -> String {
        format!("boot{}", self.host)
    }

    /// Bytes of results that it can keep.
    pub(super) const fn room_bytes(&self) -> u64 {
        if self.memory_limit_bytes == 0 || self.disk_bytes == 0 {
            return u64::MAX;
        }
        self.memory_limit_bytes.saturating_add(self.disk_bytes)
    }

    fn resources(&self) -> Vec<(String, u64)> {
        if self.gpu == 0 { Vec::new() } else { vec![("GPU".to_owned(), self.gpu)] }
    }

    /// What a worker that starts here says about itself.
    pub(super) fn registration(&self, slot: usize, life: u32) -> WorkerRegistration {
        let rank = u32::try_from(slot).unwrap_or(u32::MAX);
        WorkerRegistration {
            server_id: (u128::from(life) << 32) | u128::from(rank),
            name: slot.to_string(),
            rank,
            host: self.host_name(),
            machine: self.boot_id(),
            pid: life + 1,
            nanny_pid: 1,
            nanny: 1 + u128::from(rank),
            addresses: vec![format!("10.0.{}.{}:1", slot / 256, slot % 256)],
            nthreads: self.nthreads,
            cpus: String::new(),
            memory_limit_bytes: self.memory_limit_bytes,
            resources: self.resources(),
            cpu_features: String::new(),
        }
    }

    /// What its core is told about itself.
    pub(super) fn options(&self, worker: WorkerId) -> WorkerOptions {
        WorkerOptions {
            nthreads: self.nthreads,
            memory_limit_bytes: self.memory_limit_bytes,
            resources: self.resources(),
            worker,
        }
    }
}

/// A run on a thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) attempt: u32,
    pub(super) started: Time,
    pub(super) value: u64,
    /// It left the pool.
    pub(super) seceded: bool,
}

/// A worker process.
pub(super) struct Life {
    pub(super) worker: WorkerId,
    /// There from the answer to its registration on.
    pub(super) state: Option<WorkerState>,
    /// Values of the keys in memory.
    pub(super) data: FxHashMap<TaskId, u64>,
    /// Values that the present event announced.
    pub(super) offered: Vec<(TaskId, u64)>,
    pub(super) running: FxHashMap<(TaskId, RunId), Running>,
    /// Requests that were not answered yet: whom each asks, and since when.
    pub(super) asked: FxHashMap<TransferId, (WorkerId, Time)>,
    /// What it measures of its transfers.
    pub(super) meter: PathMeter,
    /// Requests that it serves now.
    pub(super) serving: u32,
    /// Messages to the scheduler.
    pub(super) upward: Stream,
    /// Messages from the scheduler.
    pub(super) downward: Stream,
    pub(super) timer: Option<Time>,
    /// The scheduler has let it go; it ends as soon as it sees that.
    pub(super) disowned: bool,
    pub(super) heartbeat_ns: u64,
    /// Bytes of `data`.
    pub(super) bytes: u64,
    /// Frames between it and the scheduler, both ways.
    pub(super) under_way: u32,
    /// State changes of its core that are counted already.
    pub(super) transitions: u64,
}

impl Life {
    pub(super) fn new(worker: WorkerId) -> Self {
        Self {
            worker,
            state: None,
            data: FxHashMap::default(),
            offered: Vec::new(),
            running: FxHashMap::default(),
            asked: FxHashMap::default(),
            meter: PathMeter::default(),
            serving: 0,
            upward: Stream::default(),
            downward: Stream::default(),
            timer: None,
            disowned: false,
            heartbeat_ns: 0,
            bytes: 0,
            under_way: 0,
            transitions: 0,
        }
    }

    /// Keys in memory, sorted.
    pub(super) fn keys(&self) -> Vec<TaskId> {
        let mut keys: Vec<TaskId> = self.data.keys().copied().collect();
        keys.sort_unstable();
        keys
    }
}

/// A slot of a nanny.
pub(super) struct Machine {
    pub(super) spec: MachineSpec,
    /// Of the kernel: equal on one host.
    pub(super) boot_id: String,
    pub(super) life: Option<Life>,
    /// Processes that started here so far.
    pub(super) lives: u32,
    /// Stopped until then.
    pub(super) frozen_until: Option<Time>,
    /// Its host reaches nobody until then.
    pub(super) apart_until: Option<Time>,
    pub(super) paused: bool,
    pub(super) full: bool,
    pub(super) corrupt: bool,
    /// Its nanny is gone.
    pub(super) lost: bool,
    /// A start is on the agenda.
    pub(super) starting: bool,
    pub(super) out: WorkerOut,
    /// Bytes of results here, now and at most.
    pub(super) bytes: u64,
    pub(super) peak_bytes: u64,
}

impl Machine {
    pub(super) fn new(spec: MachineSpec) -> Self {
        Self {
            boot_id: spec.boot_id(),
            spec,
            life: None,
            lives: 0,
            frozen_until: None,
            apart_until: None,
            paused: false,
            full: false,
            corrupt: false,
            lost: false,
            starting: false,
            out: WorkerOut::default(),
            bytes: 0,
            peak_bytes: 0,
        }
    }
    /// A result came to lie here.
    pub(super) fn stored(&mut self, nbytes: u64) {
        self.bytes += nbytes;
        self.peak_bytes = self.peak_bytes.max(self.bytes);
    }
}
