//! What is simulated: machines, network, work, faults and numbers, all drawn from one seed, or put
//! together by hand.

use super::faults::{FaultPlan, KINDS};
use super::machine::MachineSpec;
use super::network::Network;
use super::orders::{self, Order};
use super::workload::Workload;
use crate::config::{Config, MILLISECOND_NS, SECOND_NS};
use crate::rng::Rng;
use crate::time::Time;

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
        let threads = machines.iter().map(|machine| machine.nthreads).max().unwrap_or(1);
        let kinds = if wild { rng.next_u64() as u16 & rng.next_u64() as u16 } else { 0 };
        let mut faults = Rng::new(rng.next_u64());
        let workload = Workload::draw(&mut rng, threads, wild, without);
        let span_ns = span_ns(&workload, &machines, &network);
        let size = (machines.len(), workload.graph.len().max(1));
        let kinds = kinds & ((1 << KINDS.len()) - 1);
        let plan = FaultPlan::draw(&mut faults, kinds, span_ns, size, config.worker_ttl_ns);
        let orders = orders::draw(seed, span_ns, size);
        Self { seed, config, network, machines, workload, plan, orders }
    }
}

fn machines(rng: &mut Rng) -> Vec<MachineSpec> {
    let count = 1 + rng.below(7);
    let hosts = 1 + rng.below(count);
    let equal = rng.below(2) == 0;
    let threads = 1 + rng.below(4) as u32;
    (0..count)
        .map(|slot| MachineSpec {
            host: (slot % hosts) as u32,
            nthreads: if equal { threads } else { 1 + rng.below(u64::from(threads)) as u32 },
            speed: if equal { 100 } else { 50 + rng.below(150) as u32 },
            memory_limit_bytes: if rng.below(3) == 0 { 1 << 30 } else { 0 },
            gpu: if slot == 0 || rng.below(2) == 0 { 1_000_000 } else { 0 },
        })
        .collect()
}

fn network(rng: &mut Rng) -> Network {
    let latency_ns = 1_000 << rng.below(10);
    Network {
        latency_ns,
        jitter_ns: latency_ns * rng.below(20),
        bandwidth: 10_000_000 << rng.below(10),
        bandwidth_within: 1 << 33,
        timeout_ns: 30 * SECOND_NS,
    }
}

fn config(rng: &mut Rng) -> Config {
    Config {
        validate: true,
        worker_saturation: if rng.below(4) == 0 { f64::INFINITY } else { 1.1 },
        allowed_failures: if rng.below(2) == 0 { 3 } else { 1000 },
        worker_ttl_ns: SECOND_NS,
        default_retries: rng.below(3) as u32,
        max_reschedules: 10,
        no_workers_timeout_ns: if rng.below(2) == 0 { 60 * SECOND_NS } else { 600 * SECOND_NS },
        transfer_message_bytes_limit: 1_000_000 << rng.below(6),
        transfer_incoming_count_limit: 1 + rng.below(8) as u32,
        transfer_outgoing_count_limit: 1 + rng.below(4) as u32,
        transfer_throttle_floor_bytes: 1 << rng.below(24),
        ..Config::default()
    }
}

/// About how long the work takes.
fn span_ns(workload: &Workload, machines: &[MachineSpec], network: &Network) -> u64 {
    let total: u64 = workload.behaviours.iter().map(|behaviour| behaviour.duration_ns).sum();
    let threads: u64 = machines.iter().map(|machine| u64::from(machine.nthreads)).sum();
    let messages = workload.graph.len() as u64 * network.latency_ns;
    MILLISECOND_NS + total / threads.max(1) + messages
}
