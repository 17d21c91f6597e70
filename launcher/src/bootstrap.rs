//! From "I am rank 3 of 64" to "this is my role, here is the scheduler, this is the secret".
//!
//! With MPI: gather the hosts' facts, then each machine's topology; rank 0 plans, binds the control
//! port, draws the secret and broadcasts one `Bootstrap` or a fault; finalize early, because a rank
//! that dies between init and finalize takes the job with it. With one process: the same without
//! MPI. A fault is told by rank 0 alone, which ends with 2; the other ranks end with 0.
//!
//! ```text
//! ranks:  facts ─allgather─▶ first rank of each machine: topology ─allgather─▶ rank 0: plan
//! rank 0: port, secret ─broadcast Bootstrap─▶ all ─finalize─▶ supervisors spawn their children
//! ```

use crate::assign::{self, LaunchOptions};
use crate::env::{self, Env, Launch, LaunchError, Launcher};
use crate::facts::{HostFacts, Interface};
use crate::layout::{LayoutError, Put, Take};
use crate::limits::MemoryLimit;
use crate::mpi::{Mpi, MpiError, Shim};
use crate::roles::JobPlan;
use crate::topology::{Topology, TopologyError};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroize;

/// Number of the layout of `Bootstrap`.
const VERSION: u32 = 1;
/// Longest text of a fault that another rank has, in characters of up to 4 bytes.
const MAX_FAULT_CHARS: usize = 4000;
/// Threads of a local run on a login node, unless the user says more.
const LOGIN_NODE_THREADS: u32 = 2;
/// Its memory, in bytes.
const LOGIN_NODE_BYTES: u64 = 4 << 30;

/// What every connection of a job proves to know. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct JobSecret([u8; 32]);

impl JobSecret {
    /// From its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh one from the system.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn draw() -> Result<Self, BootstrapError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| BootstrapError::Randomness)?;
        Ok(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for JobSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for JobSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobSecret(…)")
    }
}

/// The job did not come up. Rank 0 tells and ends with 2, the others end with 0.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// Rank 0 found a fault in the flags, the configuration or the graph; the whole text is here
    /// on rank 0 and empty elsewhere.
    #[error("{0}")]
    Fault(String),
    /// The environment names a launcher and does not fit it.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// MPI cannot be used.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// This launcher starts processes, but gives them no way to find each other.
    #[error("started as rank {rank} of {size} by {launcher}, which offers no MPI")]
    NoMpi {
        /// Who started us.
        launcher: &'static str,
        /// Rank by the environment.
        rank: u32,
        /// Size by the environment.
        size: u32,
    },
    /// The MPI library does not understand the launcher: each process is rank 0 of 1.
    #[error("started as rank {rank} of {size} by {launcher}, but MPI ({library}) says {mpi_size}")]
    Mismatch {
        /// Who started us.
        launcher: &'static str,
        /// Rank by the environment.
        rank: u32,
        /// Size by the environment.
        size: u32,
        /// Size by MPI.
        mpi_size: u32,
        /// The MPI library.
        library: String,
    },
    /// Two hosts run different builds.
    #[error("rdask-hpc on {first} and on {other} are different builds")]
    Builds {
        /// Host of rank 0.
        first: String,
        /// A host that differs.
        other: String,
    },
    /// A rank's blob cannot be read.
    #[error("what rank {rank} says of its host cannot be read: {source}")]
    Facts {
        /// Which rank.
        rank: usize,
        /// Why.
        source: LayoutError,
    },
    /// Rank 0's broadcast cannot be read.
    #[error("the bootstrap message cannot be read: {0}")]
    Message(#[from] LayoutError),
    /// The machine cannot be described.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// `--interface` names no interface of rank 0's host.
    #[error("{host} has no network interface '{name}' with an address")]
    Interface {
        /// Rank 0's host.
        host: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The control port cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No randomness for the secret.
    #[error("the system gives no random bytes for the job's secret")]
    Randomness,
    /// The working directory is gone.
    #[error("the working directory cannot be read: {0}")]
    WorkingDirectory(io::Error),
}

impl BootstrapError {
    /// Exit code of rank 0: 2 where a flag, the graph or the installation is wrong, 3 where the
    /// system failed.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::Fault(_)
            | Self::Launch(_)
            | Self::NoMpi { .. }
            | Self::Mismatch { .. }
            | Self::Builds { .. }
            | Self::Interface { .. }
            | Self::Mpi(
                MpiError::NoShim { .. } | MpiError::Load { .. } | MpiError::Interface { .. },
            ) => 2,
            Self::Mpi(MpiError::Call { .. })
            | Self::Facts { .. }
            | Self::Message(_)
            | Self::Topology(_)
            | Self::Listen { .. }
            | Self::Randomness
            | Self::WorkingDirectory(_) => 3,
        }
    }

    /// The way out, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<Cow<'static, str>> {
        let text = match self {
            Self::Interface { known, .. } => {
                return Some(format!("choose with --interface among {known}").into());
            }
            Self::Mpi(MpiError::NoShim { .. }) => Some(
                "build it with `make build` where mpicc is in PATH, or set RDASK_MPI_SHIM to \
                 librdask_mpi.so; without MPI start one process: `rdask-hpc --workers N …`",
            ),
            Self::NoMpi { .. } => {
                Some("start with mpirun, `srun --mpi=pmix` (Open MPI) or `srun --mpi=pmi2` (MPICH)")
            }
            Self::Mismatch { .. } => Some(
                "use the mpiexec of that MPI, or set RDASK_MPI_SHIM to the support library of \
                 the launcher's MPI",
            ),
            Self::Builds { .. } => Some("install the same rdask-hpc on all hosts"),
            Self::Launch(_) => Some("start with a launcher, or name one with --launcher"),
            _ => None,
        };
        text.map(Cow::Borrowed)
    }
}

/// What rank 0 tells all ranks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap {
    /// Id of the job.
    pub job_id: String,
    /// Working directory of rank 0.
    pub cwd: PathBuf,
    /// The scheduler's addresses, best first.
    pub addresses: Vec<SocketAddr>,
    /// The job's secret.
    pub secret: JobSecret,
    /// Where scratch folders are made; empty: nowhere.
    pub local_directory: PathBuf,
    /// Supervisors end when they cannot reach the scheduler for this long.
    pub death_timeout: Duration,
    /// Who does what.
    pub plan: JobPlan,
    /// The run options as JSON.
    pub options: String,
}

impl Bootstrap {
    /// The message: kind 0, or 1 for a fault, which has no more.
    fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.u32(VERSION);
        put.u8(0);
        put.text(&self.job_id);
        put.text(&self.cwd.to_string_lossy());
        put.addresses(&self.addresses);
        put.raw(self.secret.expose());
        put.text(&self.local_directory.to_string_lossy());
        put.u64(u64::try_from(self.death_timeout.as_millis()).unwrap_or(u64::MAX));
        self.plan.put(&mut put);
        put.text(&self.options);
        put.0
    }

    fn encode_fault() -> Vec<u8> {
        let mut put = Put::default();
        put.u32(VERSION);
        put.u8(1);
        put.0
    }

    /// `None`: rank 0 found a fault.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, LayoutError> {
        let mut take = Take::new(bytes);
        if take.u32("version")? != VERSION {
            return Err(LayoutError::Wrong { field: "version of the bootstrap" });
        }
        if take.bool("fault")? {
            return Ok(None);
        }
        let bootstrap = Self {
            job_id: take.text("job id")?,
            cwd: take.text("working directory")?.into(),
            addresses: take.addresses("addresses")?,
            secret: JobSecret::new(take.array("secret")?),
            local_directory: take.text("local directory")?.into(),
            death_timeout: Duration::from_millis(take.u64("death timeout")?),
            plan: JobPlan::take(&mut take)?,
            options: take.text("options")?,
        };
        take.end()?;
        Ok(Some(bootstrap))
    }
}

/// What rank 0 knows before the start: the options, or the fault that it found.
pub struct Wishes {
    /// Of the launch.
    pub launch: LaunchOptions,
    /// All options of the run as JSON, for the children.
    pub options: String,
}

/// A job that came up, seen from one rank.
pub struct Job {
    /// This rank.
    pub rank: u32,
    /// All ranks.
    pub size: u32,
    /// Who started us.
    pub launcher: Launcher,
    /// What rank 0 told.
    pub bootstrap: Bootstrap,
    /// This rank's host.
    pub facts: HostFacts,
    /// Identity of this process among all of the job's.
    pub identity: u128,
    /// On rank 0 the scheduler's socket, bound before anybody could connect.
    pub listener: Option<TcpListener>,
}

/// Brings the job up. `interfaces` are the addresses of this host that others may reach, best first.
/// `wishes` is called on rank 0 only, after MPI is initialised, so that a fault that it finds
/// reaches the other ranks. `fault` is what another rank found wrong with its own configuration, or
/// empty: it takes part all the same, so that nobody waits for it, and rank 0 tells.
///
/// # Errors
/// As `BootstrapError`; MPI is then finalized.
pub fn bootstrap(
    launch: &Launch,
    env: &Env,
    interfaces: Vec<Interface>,
    fault: &str,
    wishes: impl FnOnce() -> Result<Wishes, String>,
) -> Result<Job, BootstrapError> {
    if launch.size == 1 {
        return alone(launch, env, interfaces, wishes);
    }
    let (rank, size) = (launch.rank, launch.size);
    let launcher = launch.launcher.title();
    if launch.launcher.shims().is_empty() && env::path("RDASK_MPI_SHIM").is_none() {
        return Err(BootstrapError::NoMpi { launcher, rank, size });
    }
    let mpi = Shim::open(launch.launcher)?.init()?;
    if mpi.size != size {
        let (mpi_size, library) = (mpi.size, mpi.shim().version());
        mpi.finalize()?;
        return Err(BootstrapError::Mismatch { launcher, rank, size, mpi_size, library });
    }
    let mut own = facts(launch, env, interfaces);
    own.fault = shortened(fault);
    let outcome = with_mpi(&mpi, (launch.launcher, env), own, wishes);
    let finalized = mpi.finalize();
    let job = outcome?;
    finalized?;
    Ok(job)
}

/// The part between init and finalize. Every rank makes the same calls whatever goes wrong.
fn with_mpi(
    mpi: &Mpi,
    (launcher, env): (Launcher, &Env),
    own: HostFacts,
    wishes: impl FnOnce() -> Result<Wishes, String>,
) -> Result<Job, BootstrapError> {
    let blobs = mpi.allgather(&own.encode())?;
    let ranks: Result<Vec<HostFacts>, BootstrapError> = blobs
        .iter()
        .enumerate()
        .map(|(rank, blob)| {
            HostFacts::decode(blob).map_err(|source| BootstrapError::Facts { rank, source })
        })
        .collect();
    let machines = ranks.as_deref().map(assign::machines).unwrap_or_default();
    let reads_topology = machines.iter().any(|ranks| ranks[0] == mpi.rank as usize);
    let mut topology = Vec::new();
    if reads_topology && let Ok(found) = Topology::discover() {
        found.encode(&mut topology);
    }
    let topologies = mpi.allgather(&topology)?;
    let (planned, listener) = if mpi.rank == 0 {
        let made = ranks.and_then(|ranks| {
            let topologies: Result<Vec<Topology>, TopologyError> = machines
                .iter()
                .map(|members| Topology::decode(&mut &topologies[members[0]][..]))
                .collect();
            let wishes = wishes().map_err(BootstrapError::Fault)?;
            same_builds(&ranks)?;
            if let Some(faulty) = ranks.iter().find(|facts| !facts.fault.is_empty()) {
                return Err(BootstrapError::Fault(faulty.fault.clone()));
            }
            let plan = assign::assign(&ranks, &topologies?, &wishes.launch);
            let alone = machines.len() == 1 && ranks.iter().all(|r| r.shares_sockets_with(&own));
            let (listener, addresses) = listen(&own, alone, wishes.launch.interface.as_deref())?;
            Ok((make(env, wishes, plan, addresses)?, listener))
        });
        let message = match &made {
            Ok((bootstrap, _)) => bootstrap.encode(),
            Err(_) => Bootstrap::encode_fault(),
        };
        mpi.broadcast(Some(&message))?;
        let (bootstrap, listener) = made?;
        (bootstrap, Some(listener))
    } else {
        let message = mpi.broadcast(None)?;
        let bootstrap = Bootstrap::decode(&message)?;
        (bootstrap.ok_or(BootstrapError::Fault(String::new()))?, None)
    };
    Ok(Job {
        rank: mpi.rank,
        size: mpi.size,
        launcher,
        bootstrap: planned,
        facts: own,
        identity: draw_identity()?,
        listener,
    })
}

/// One process: a local run, or a launcher that started a single rank.
fn alone(
    launch: &Launch,
    env: &Env,
    interfaces: Vec<Interface>,
    wishes: impl FnOnce() -> Result<Wishes, String>,
) -> Result<Job, BootstrapError> {
    let mut wishes = wishes().map_err(BootstrapError::Fault)?;
    let facts = facts(launch, env, interfaces);
    let topology = Topology::discover()?;
    let plan = match launch.launcher {
        Launcher::Local => {
            let remark = spare_the_login_node(env, facts.mask.len(), &mut wishes.launch);
            let mut plan = assign::assign_local(&facts, &topology, &wishes.launch);
            plan.remarks.extend(remark);
            plan
        }
        _ => assign::assign_single(&facts, &topology, &wishes.launch),
    };
    let (listener, addresses) = listen(&facts, true, wishes.launch.interface.as_deref())?;
    let bootstrap = make(env, wishes, plan, addresses)?;
    let launcher = launch.launcher;
    let (identity, listener) = (draw_identity()?, Some(listener));
    Ok(Job { rank: 0, size: 1, launcher, bootstrap, facts, identity, listener })
}

/// A text that fits into a rank's blob beside everything else.
fn shortened(fault: &str) -> String {
    fault.chars().take(MAX_FAULT_CHARS).collect()
}

fn facts(launch: &Launch, env: &Env, interfaces: Vec<Interface>) -> HostFacts {
    let mut facts = HostFacts::of_this_process(interfaces);
    if env.is_mask_wished(launch.launcher) {
        facts.widest = None;
    } else if facts.widest.as_ref().is_some_and(|widest| !env.owns_node(widest.len())) {
        // No more than what the ranks of this node got, together.
        facts.widest = Some(facts.mask.clone());
    }
    facts
}

/// Others work on a login node too: without a word of the user a run takes little of it. Returns
/// what to say.
fn spare_the_login_node(env: &Env, cpus: usize, options: &mut LaunchOptions) -> Option<String> {
    let command = env.login_node()?;
    if options.workers.is_some() || options.threads.is_some() {
        return None;
    }
    let threads = LOGIN_NODE_THREADS.min(u32::try_from(cpus).unwrap_or(u32::MAX)).max(1);
    (options.workers, options.threads) = (Some(1), Some(threads));
    if options.memory_limit == MemoryLimit::Auto {
        options.memory_limit = MemoryLimit::Bytes(LOGIN_NODE_BYTES);
    }
    Some(format!(
        "this looks like a login node ({command} is in PATH, and we are in no job): one worker \
         with {threads} threads and 4 GiB; --workers or --threads take more, a job takes all"
    ))
}

/// A job of two builds would fail in the middle.
fn same_builds(ranks: &[HostFacts]) -> Result<(), BootstrapError> {
    let first = &ranks[0];
    match ranks.iter().find(|facts| facts.build_id != first.build_id) {
        None => Ok(()),
        Some(other) => {
            Err(BootstrapError::Builds { first: first.host.clone(), other: other.host.clone() })
        }
    }
}

fn make(
    env: &Env,
    wishes: Wishes,
    plan: JobPlan,
    addresses: Vec<SocketAddr>,
) -> Result<Bootstrap, BootstrapError> {
    let job_id = match env::given_job_id(env)?.or_else(|| env.batch_job_id()) {
        Some(job_id) => job_id,
        None => draw_job_id()?,
    };
    Ok(Bootstrap {
        job_id,
        cwd: std::env::current_dir().map_err(BootstrapError::WorkingDirectory)?,
        addresses,
        secret: JobSecret::draw()?,
        local_directory: wishes.launch.local_directory.unwrap_or_default(),
        death_timeout: wishes.launch.death_timeout,
        plan,
        options: wishes.options,
    })
}

fn draw_identity() -> Result<u128, BootstrapError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| BootstrapError::Randomness)?;
    Ok(u128::from_le_bytes(bytes))
}

fn draw_job_id() -> Result<String, BootstrapError> {
    let number = getrandom::u64().map_err(|_| BootstrapError::Randomness)?;
    Ok(format!("{number:016x}"))
}

/// Binds the control port. On one machine the loopback address is enough, and nobody else can
/// reach it; else all addresses of this host are told, best first, or those of one interface.
fn listen(
    facts: &HostFacts,
    one_machine: bool,
    interface: Option<&str>,
) -> Result<(TcpListener, Vec<SocketAddr>), BootstrapError> {
    let ips: Vec<IpAddr> = match interface {
        Some(name) => {
            let of_it = facts.interfaces.iter().filter(|interface| interface.name == name);
            let mut ips: Vec<IpAddr> = of_it.map(|interface| interface.ip).collect();
            if name == "lo" {
                ips.push(Ipv4Addr::LOCALHOST.into());
            }
            ips
        }
        None if one_machine => vec![Ipv4Addr::LOCALHOST.into()],
        None => facts.interfaces.iter().map(|interface| interface.ip).collect(),
    };
    let any: IpAddr = match (interface, &ips[..]) {
        (Some(name), []) => {
            let mut known: Vec<&str> = vec!["lo"];
            for interface in &facts.interfaces {
                if !known.contains(&interface.name.as_str()) {
                    known.push(&interface.name);
                }
            }
            return Err(BootstrapError::Interface {
                host: facts.host.clone(),
                name: name.to_owned(),
                known: known.join(", "),
            });
        }
        (_, []) => Ipv4Addr::LOCALHOST.into(),
        (_, [only]) => *only,
        (_, ips) if ips.iter().all(IpAddr::is_ipv4) => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    };
    let address = SocketAddr::new(any, 0);
    let failed = |source| BootstrapError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let ips = if ips.is_empty() { vec![any] } else { ips };
    Ok((listener, ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()))
}

#[cfg(test)]
#[path = "bootstrap_tests.rs"]
mod tests;
