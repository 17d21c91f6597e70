//! A worker's process, and the worker that shares the scheduler's process.

use super::{Request, endpoint, runtime, server_id};
use crate::clock::Clock;
use crate::executor::{Note, Programs, Run, Seat};
use crate::scheduler::Inbox;
use crate::task_log::TaskLog;
use crate::worker::{Worker, WorkerSetup};
use anyhow::Context;
use rdask_core::config::Config;
use rdask_core::messages::WorkerRegistration;
use rdask_launcher::control::{ChildEnd, FromSupervisor, Start};
use rdask_launcher::roles::WorkerSlot;
use rdask_launcher::scratch::TaskFolder;
use rdask_launcher::spawn::ExecutingPage;
use rdask_store::Store;
use rdask_transport::{Connection, DataServer, Endpoint, Listener, Role, choose_addresses};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long an idle thread looks for work when every thread of the job's share has a core.
const SPIN: Duration = Duration::from_micros(100);

/// Plays a worker until the scheduler or the supervisor ends it.
pub(super) fn play(start: &Start, request: &Request, end: &ChildEnd) -> anyhow::Result<i32> {
    // Nothing here is worth saving: what is unfinished is computed again elsewhere. The log has a
    // last line whichever end comes first.
    end.watch(|message| {
        match message {
            FromSupervisor::Close { reason } => tracing::debug!("worker ends: {reason}"),
            FromSupervisor::Gone => tracing::debug!("worker ends: its supervisor is gone"),
            FromSupervisor::Signal(_) => return,
        }
        std::process::exit(0);
    })?;
    let place = WorkerPlace::of(start, request)?;
    tracing::debug!(threads = place.slot.threads.len(), cpus = %place.slot.cpu_list(), "worker begins");
    let page = Arc::new(end.executing_page().context("the page of running tasks")?);
    let runtime = runtime()?;
    let local = tokio::task::LocalSet::new();
    let reason = local.block_on(&runtime, place.serve(end, &page))?;
    match reason {
        Ok(reason) => {
            tracing::debug!("worker ends: {reason}");
            // What is left on the threads is no death of this worker.
            page.close();
            Ok(0)
        }
        Err(reason) => {
            tracing::warn!("worker ends: {reason}");
            Ok(1)
        }
    }
}

/// A worker slot on this machine.
pub(super) struct WorkerPlace<'a> {
    start: &'a Start,
    request: &'a Request,
    slot: WorkerSlot,
    server_id: u128,
    store: Store,
}

impl<'a> WorkerPlace<'a> {
    /// The slot that the start message names.
    pub(super) fn of(start: &'a Start, request: &'a Request) -> anyhow::Result<Self> {
        let slot = start.worker().context("the plan has no such worker")?.clone();
        let store = Store::with_placement(slot.memory_limit_bytes, &slot.numa_nodes);
        Ok(Self { start, request, slot, server_id: server_id()?, store })
    }

    /// Connects to the scheduler, serves peers, works.
    async fn serve(
        self,
        end: &ChildEnd,
        page: &Arc<ExecutingPage>,
    ) -> anyhow::Result<Result<String, String>> {
        let config = self.request.options.config()?;
        let endpoint = endpoint(self.start, &config, Role::Worker, self.server_id);
        let limit = Duration::from_nanos(config.connect_timeout_ns);
        let channel = rdask_transport::connect(&self.start.addresses, &endpoint, limit)
            .await
            .context("the scheduler cannot be reached")?;
        let (listener, addresses) = self.listen(&endpoint)?;
        let note = noting(Arc::clone(page));
        let served = config.transfer_outgoing_count_limit as usize;
        let mut setup = self.setup(addresses, config, Clock::start(), note)?;
        setup.warnings = crate::observe::forward::open();
        let worker = Worker::new(setup);
        let server = DataServer::with_places(&endpoint, worker.places(served), worker.server());
        tokio::task::spawn_local(serve(listener, server));
        let server_id = self.server_id;
        let joined = || {
            if let Err(error) = end.ready(server_id, "") {
                tracing::warn!("the supervisor does not listen: {error}");
            }
        };
        Ok(worker.run(channel, endpoint, joined).await.and_then(|ended| {
            let reason = ended.reason.clone();
            ended.abandon();
            reason
        }))
    }

    /// Listens for peers. Workers of a job on one machine reach each other by loopback, when that
    /// is how they reach the scheduler.
    fn listen(&self, endpoint: &Endpoint) -> anyhow::Result<(Listener, Vec<String>)> {
        let local = self.start.addresses.iter().all(|address| address.ip().is_loopback());
        let hosts = if local {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]
        } else {
            choose_addresses(self.request.options.interface.as_deref())?
        };
        let any = if local { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let listener = Listener::bind(SocketAddr::new(any.into(), 0), endpoint)
            .with_context(|| format!("no port can be bound on {any}"))?;
        let port = listener.local_addr().port();
        let addresses =
            hosts.into_iter().map(|host| SocketAddr::new(host, port).to_string()).collect();
        Ok((listener, addresses))
    }

    /// Joins the scheduler in this process, on a thread of its own.
    pub(super) fn join_here(
        self,
        scheduler: &Endpoint,
        inbox: &mpsc::Sender<Inbox>,
        clock: Clock,
        page: ExecutingPage,
    ) -> anyhow::Result<()> {
        let config = self.request.options.config()?;
        let endpoint = endpoint(self.start, &config, Role::Worker, self.server_id);
        let (theirs, ours) = rdask_transport::inproc::pair(scheduler, &endpoint)?;
        let worker = Worker::new(self.setup(Vec::new(), config, clock, noting(Arc::new(page)))?);
        std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let Ok(runtime) = runtime() else { return };
            let local = tokio::task::LocalSet::new();
            match local.block_on(&runtime, worker.run(ours, endpoint, || {})) {
                Ok(ended) => ended.abandon(),
                Err(reason) => tracing::error!("the worker could not join: {reason}"),
            }
        })?;
        inbox
            .try_send(Inbox::Connected(Box::new(theirs)))
            .context("the inbox is full at the start")?;
        Ok(())
    }

    fn setup(
        &self,
        addresses: Vec<String>,
        config: Config,
        clock: Clock,
        note: Note,
    ) -> anyhow::Result<WorkerSetup> {
        let run = &self.request.options;
        Ok(WorkerSetup {
            registration: self.registration(addresses)?,
            seed: run.seed ^ u64::from(self.start.rank),
            clock,
            store: self.store.clone(),
            seats: seats(&self.slot),
            spin: self.spin(),
            bind: Box::new(|cpus| {
                let cpus = cpus.iter().copied().collect();
                if let Err(error) = rdask_launcher::pinning::bind_thread(&cpus) {
                    tracing::warn!("a thread could not be bound: {error}");
                }
            }),
            note,
            working_directory: self.start.cwd.clone(),
            programs: self.programs(),
            output: run.output.clone(),
            fsync: run.fsync,
            reports_transfers: run.events.is_some(),
            warnings: None,
            config,
        })
    }

    /// Where this worker's commands run, and the log of what they print.
    fn programs(&self) -> Programs {
        let (start, options) = (self.start, &self.request.options);
        let folder = TaskFolder::of(&start.scratch, &start.job_id, start.rank, &self.slot.name);
        let logs = options.task_logs.clone();
        let (job, name) = (start.job_id.clone(), self.slot.name.clone());
        let log = TaskLog::new(logs, job, name, start.host.clone());
        let bound = self.slot.threads.iter().filter(|_| self.slot.bound);
        let cpus = bound.flat_map(|it| it.cpus.clone()).collect();
        Programs::new(folder).of_worker(&self.slot.name, log, cpus)
    }

    fn registration(&self, addresses: Vec<String>) -> anyhow::Result<WorkerRegistration> {
        let threads = u32::try_from(self.slot.threads.len()).context("too many threads")?;
        Ok(WorkerRegistration {
            server_id: self.server_id,
            name: self.slot.name.clone(),
            rank: self.start.rank,
            host: self.start.host.clone(),
            machine: self.start.machine.clone(),
            pid: std::process::id(),
            nanny_pid: self.start.nanny_pid,
            nanny: self.start.nanny,
            addresses,
            nthreads: threads,
            cpus: self.slot.cpu_list(),
            memory_limit_bytes: self.slot.memory_limit_bytes,
            resources: self.request.options.resources.clone(),
            cpu_features: cpu_features(),
        })
    }

    /// Idle threads look for work only where no other process needs their core.
    fn spin(&self) -> Duration {
        if self.slot.bound { SPIN } else { Duration::ZERO }
    }
}

/// Notes runs where the supervisor finds them after a death.
fn noting(page: Arc<ExecutingPage>) -> Note {
    Box::new(move |thread: u32, run: Option<&Run>| match run {
        Some(run) => page.set(thread as usize, run.task.0, run.run_id.0),
        None => page.clear(thread as usize),
    })
}

/// Vector instructions of this CPU that kernels choose by, and the rest of its kind: matmul may
/// differ in its last bits between CPUs whose texts differ.
fn cpu_features() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("sse4.1", std::arch::is_x86_feature_detected!("sse4.1")),
            ("avx", std::arch::is_x86_feature_detected!("avx")),
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ];
        let names: Vec<&str> = has.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        format!("x86_64 {}", names.join(" "))
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_owned()
}

fn seats(slot: &WorkerSlot) -> Vec<Seat> {
    let mut nodes: Vec<u32> = slot.threads.iter().map(|thread| thread.numa_node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    slot.threads
        .iter()
        .map(|thread| Seat {
            cpus: if slot.bound { thread.cpus.clone() } else { Vec::new() },
            node: nodes.binary_search(&thread.numa_node).unwrap_or(0),
        })
        .collect()
}

async fn serve(mut listener: Listener, server: DataServer) {
    while let Some(connection) = listener.accept().await {
        match connection {
            Connection::Data(lane) => server.attach(lane),
            Connection::Control(channel) => {
                let peer = &channel.peer().identity.label;
                tracing::warn!(%peer, "a worker takes no control connection");
            }
        }
    }
}
