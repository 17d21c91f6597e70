//! What is simulated: machines, network, work, faults and numbers, all drawn from one seed, or put
//! together by hand.

use super::faults::{Extent, FaultPlan, KINDS};
use super::machine::MachineSpec;
use super::network::{Network, Path};
use super::orders::{self, Order};
use super::workload::{Behaviour, Workload};
use crate::config::{Config, MILLISECOND_NS, SECOND_NS};
use crate::rng::Rng;
use crate::time::Time;

/// Keeps the draw of the graph's arrival apart from all others of a seed.
const ARRIVAL_SALT: u64 = 0x6a09_e667_f3bc_c908;

/// One simulation before it begins.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Seed of all chance in the run.
    pub seed: u64,
    /// Numbers of both machines.
    pub config: Config,
    /// The network.
    pub network: Network,
    /// A worker slot each.
    pub machines: Vec<MachineSpec>,
    /// What is computed.
    pub workload: Workload,
    /// What breaks.
    pub plan: FaultPlan,
    /// What the scheduler is told to do, and when.
    pub orders: Vec<(Time, Order)>,
}

impl Scenario {
    /// The scenario of a seed, every invariant of the cores checked after every event.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        Self::shrunk(seed, &[])
    }

    /// The graph arrives when every slot has a worker, as in a job; else before the first one, which
    /// the core has to cope with as well.
    pub(super) fn waits(&self) -> bool {
        Rng::new(self.seed ^ ARRIVAL_SALT).below(2) == 0
    }

    /// The same without some tasks of its graph and what depends on them; all else stays.
    #[must_use]
    pub fn shrunk(seed: u64, without: &[u32]) -> Self {
        let mut rng = Rng::new(seed);
        // A quarter of the runs have no fault at all, and tame tasks.
        let wild = rng.below(4) > 0;
        let machines = machines(&mut rng);
        let network = network(&mut rng);
        let mut config = config(&mut rng);
        orders::tune(seed, &mut config);
        let anchored = wild && rng.below(2) == 0;
        let kinds = if wild { kinds(&mut rng) } else { 0 };
        let mut faults = Rng::new(rng.next_u64());
        let workload = Workload::draw(&mut rng, &machines, (wild, anchored), without);
        // Where clients keep changing their minds, the work goes on as long as they do.
        let times = if anchored { 1 + rng.below(6) } else { 1 };
        let span_ns = span_ns(&workload, &machines, &network) * times;
        let bounds = Extent {
            span_ns,
            slots: machines.len(),
            tasks: workload.graph.len().max(1),
            ttl_ns: config.worker_ttl_ns,
            restless: anchored,
        };
        let plan = FaultPlan::draw(&mut faults, kinds, &bounds);
        let orders = orders::draw(seed, span_ns, (machines.len(), workload.graph.len().max(1)));
        Self { seed, config, network, machines, workload, plan, orders }
    }
}

/// Kinds of faults of a run: each kind is off in some runs, alone in others.
fn kinds(rng: &mut Rng) -> u16 {
    let all = (1 << KINDS.len()) - 1;
    match rng.below(4) {
        0 => 0,
        1 => 1 << rng.below(KINDS.len() as u64),
        2 => rng.next_u64() as u16 & rng.next_u64() as u16 & all,
        // Restless clients, and whatever else.
        _ => (rng.next_u64() as u16 | 0b111 << 10) & all,
    }
}

fn machines(rng: &mut Rng) -> Vec<MachineSpec> {
    let count = 1 + rng.below(9);
    let hosts = 1 + rng.below(count);
    let nodes = 1 + rng.below(2);
    let equal = rng.below(2) == 0;
    let small = rng.below(8) == 0;
    let threads = 1 + rng.below(4) as u32;
    (0..count)
        .map(|slot| MachineSpec {
            host: (slot % hosts) as u32,
            numa: (slot / hosts % nodes) as u32,
            nthreads: if equal { threads } else { 1 + rng.below(u64::from(threads)) as u32 },
            speed: if equal { 100 } else { 50 + rng.below(150) as u32 },
            memory_limit_bytes: if small || rng.below(3) == 0 { 1 << 28 } else { 0 },
            disk_bytes: if small { 1 << 27 } else { 0 },
            gpu: if slot == 0 || rng.below(2) == 0 { 1_000_000 } else { 0 },
        })
        .collect()
}

fn network(rng: &mut Rng) -> Network {
    let latency_ns = 1_000 << rng.below(12);
    let slowest = [1_000_000, 10_000_000][rng.below(2) as usize];
    Network {
        latency_ns,
        jitter_ns: latency_ns * rng.below(20),
        bandwidth: slowest << rng.below(8),
        bandwidth_within: 1 << 33,
        bandwidth_disk: 1 << 30,
        timeout_ns: 30 * SECOND_NS,
    }
}

fn config(rng: &mut Rng) -> Config {
    Config {
        validate: true,
        worker_saturation: if rng.below(4) == 0 { f64::INFINITY } else { 1.1 },
        allowed_failures: [0, 1, 3, 1000, 1000, 1000, 1000, 1000][rng.below(8) as usize],
        worker_ttl_ns: SECOND_NS,
        default_retries: rng.below(3) as u32,
        max_reschedules: [1, 10][rng.below(2) as usize],
        no_workers_timeout_ns: if rng.below(2) == 0 { 60 * SECOND_NS } else { 600 * SECOND_NS },
        transfer_message_bytes_limit: 1_000_000 << rng.below(6),
        transfer_incoming_count_limit: 1 + rng.below(8) as u32,
        transfer_outgoing_count_limit: 1 + rng.below(4) as u32,
        transfer_throttle_floor_bytes: 1 << rng.below(24),
        ..Config::default()
    }
}

/// About how long the work takes: code, transfers of half of what is read, messages.
fn span_ns(workload: &Workload, machines: &[MachineSpec], network: &Network) -> u64 {
    // A straggler takes some 35 times as long.
    let time = |it: &Behaviour| it.duration_ns + it.duration_ns / 3 * u64::from(it.straggles);
    let total: u64 = workload.behaviours.iter().map(time).sum();
    let threads: u64 = machines.iter().map(|machine| u64::from(machine.nthreads)).sum();
    let read = workload.graph.inputs.values.iter();
    let read: u64 = read.map(|input| workload.behaviours[input.index()].nbytes / 2).sum();
    let transfers = network.transfer_ns(read, Path::Fabric) / machines.len() as u64;
    let messages = workload.graph.len() as u64 * network.latency_ns;
    MILLISECOND_NS + total / threads.max(1) + transfers.min(100 * SECOND_NS) + messages
}
