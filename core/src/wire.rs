//! Between the cores and the wire: instructions as messages, messages as events.
//!
//! Nothing is decided here. Numbers cross alone; a spec and a peer's name and addresses go ahead of
//! the first message that needs them, once to each worker: `Introductions` knows what has gone.
//! Drivers and the simulator use the same code, so what the simulator proves is what runs.

use crate::codec;
use crate::graph::Graph;
use crate::ids::{RunId, SpecId, TaskId, WorkerId};
use crate::messages::{ComputeTask, Dependency, Needs, Peer, Priority, ToScheduler, ToWorker};
use crate::scheduler::{
    DependencyAt, SchedulerEvent, SchedulerInstruction, SchedulerOut, SchedulerState,
};
use crate::worker::{WorkerEvent, WorkerInstruction};
use rustc_hash::FxHashMap;

/// Bits by index: which specs and peers a worker knows.
#[derive(Debug, Default)]
struct Known {
    words: Vec<u64>,
}

impl Known {
    /// Marks one; true when it was not marked before.
    fn insert(&mut self, index: usize) -> bool {
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        fresh
    }
}

/// What one worker has been told.
#[derive(Debug, Default)]
struct Told {
    specs: Known,
    peers: Known,
}

/// What each worker has been told of specs and peers.
#[derive(Debug, Default)]
pub struct Introductions {
    told: FxHashMap<WorkerId, Told>,
}

impl Introductions {
    /// A worker is gone: its number will not come again.
    pub fn forget(&mut self, worker: WorkerId) {
        self.told.remove(&worker);
    }

    /// The messages that an instruction becomes, in order; none for those to clients and timers,
    /// and without a graph none for tasks.
    pub fn messages(
        &mut self,
        instruction: &SchedulerInstruction,
        out: &SchedulerOut,
        (graph, state): (Option<&Graph>, &SchedulerState),
        send: &mut dyn FnMut(WorkerId, ToWorker),
    ) {
        use SchedulerInstruction as I;
        match instruction {
            I::ComputeTask { worker, task, run_id, attempt, priority, dependencies } => {
                let Some(graph) = graph else { return };
                let dependencies = dependencies.of(&out.dependencies);
                self.introduce(*worker, dependencies, (out, state), send);
                let spec = self.define(*worker, graph, *task, send);
                let sending = (*run_id, *attempt, *priority);
                let compute = compute((graph, spec), *task, sending, (dependencies, out));
                send(*worker, ToWorker::ComputeTask(compute));
            }
            I::FreeKeys { worker, tasks } => {
                send(*worker, ToWorker::FreeKeys { tasks: tasks.of(&out.frees).to_vec() });
            }
            I::RemoveReplicas { worker, tasks } => {
                send(*worker, ToWorker::RemoveReplicas { tasks: tasks.of(&out.tasks).to_vec() });
            }
            I::AcquireReplicas { worker, who_has } => {
                let copies = who_has.of(&out.dependencies);
                self.introduce(*worker, copies, (out, state), send);
                send(*worker, ToWorker::AcquireReplicas { tasks: listed(copies, out) });
            }
            I::WorkerStatusChange { worker, status } => {
                send(*worker, ToWorker::WorkerStatusChange { status: *status });
            }
            I::RefreshWhoHas { worker, who_has } => {
                let entries = who_has.of(&out.dependencies);
                self.introduce(*worker, entries, (out, state), send);
                let told =
                    |entry: &DependencyAt| (entry.task, entry.holders.of(&out.holders).to_vec());
                let who_has = entries.iter().map(told).collect();
                send(*worker, ToWorker::RefreshWhoHas { who_has });
            }
            I::RemoveWorker { worker, gone } => {
                send(*worker, ToWorker::RemoveWorker { worker: *gone });
            }
            I::BadKeyAck { worker, task, peer } => {
                send(*worker, ToWorker::BadKeyAck { task: *task, peer: *peer });
            }
            &I::StealRequest { worker, task, stimulus_id } => {
                send(worker, ToWorker::StealRequest { task, stimulus_id });
            }
            &I::AcceptWorker { worker, heartbeat_ns } => {
                send(worker, ToWorker::Registered { worker, heartbeat_ns });
            }
            I::RefuseWorker { worker, reason } | I::CloseWorker { worker, reason } => {
                send(*worker, ToWorker::Close { reason: reason.clone() });
            }
            I::WorkerRetired { .. }
            | I::WorkerNotRetired { .. }
            | I::KeyInMemory { .. }
            | I::TaskErred { .. }
            | I::LostData { .. }
            | I::TaskRetried { .. }
            | I::CancelledKeys { .. }
            | I::GraphRefused { .. }
            | I::Stolen { .. }
            | I::RestartWorker { .. }
            | I::Idle
            | I::SetTimer(_)
            | I::Warn(_) => {}
        }
    }

    /// The spec of a task, which the worker is told once.
    fn define(
        &mut self,
        worker: WorkerId,
        graph: &Graph,
        task: TaskId,
        send: &mut dyn FnMut(WorkerId, ToWorker),
    ) -> SpecId {
        let spec = graph.spec_of[task.index()];
        if self.told.entry(worker).or_default().specs.insert(spec.index()) {
            // Each time: kept, the bytes of as many specs as there are tasks would be kept too.
            let bytes = codec::encode(&graph.specs[spec.index()]);
            let bytes = bytes.expect("the graph's check bounds specs");
            send(worker, ToWorker::DefineSpec { spec, bytes });
        }
        spec
    }

    /// Sends who the holders are, so far as the worker does not know.
    fn introduce(
        &mut self,
        worker: WorkerId,
        inputs: &[DependencyAt],
        (out, state): (&SchedulerOut, &SchedulerState),
        send: &mut dyn FnMut(WorkerId, ToWorker),
    ) {
        for peer in inputs.iter().flat_map(|input| input.holders.of(&out.holders)) {
            if *peer == worker {
                continue;
            }
            let Some(registration) = state.registration_of(*peer) else { continue };
            if self.told.entry(worker).or_default().peers.insert(peer.index()) {
                let peer = Peer {
                    worker: *peer,
                    server_id: registration.server_id,
                    name: registration.name.clone(),
                    addresses: registration.addresses.clone(),
                    machine: registration.machine.clone(),
                };
                send(worker, ToWorker::AddPeer(peer));
            }
        }
    }
}

/// A task as it crosses, for one sending of it.
fn compute(
    (graph, spec): (&Graph, SpecId),
    task: TaskId,
    (run_id, attempt, priority): (RunId, u32, Priority),
    (inputs, out): (&[DependencyAt], &SchedulerOut),
) -> ComputeTask {
    ComputeTask {
        task,
        key: graph.key(task).to_owned(),
        run_id,
        attempt,
        priority,
        spec,
        arguments: arguments(graph.inputs.row(task), inputs),
        dependencies: listed(inputs, out),
        needs: needs(graph, task),
    }
}

/// Results with their sizes and holders, as they cross.
fn listed(inputs: &[DependencyAt], out: &SchedulerOut) -> Vec<Dependency> {
    let one = |input: &DependencyAt| {
        let who_has = input.holders.of(&out.holders).to_vec();
        Dependency { task: input.task, nbytes: input.nbytes, who_has }
    };
    inputs.iter().map(one).collect()
}

/// Arguments as positions among the distinct inputs; empty when they are just those in order.
fn arguments(inputs: &[TaskId], dependencies: &[DependencyAt]) -> Vec<u32> {
    let same = inputs.len() == dependencies.len()
        && inputs.iter().zip(dependencies).all(|(input, dependency)| *input == dependency.task);
    if same {
        return Vec::new();
    }
    let positions: FxHashMap<TaskId, u32> = dependencies
        .iter()
        .zip(0..)
        .map(|(dependency, position)| (dependency.task, position))
        .collect();
    inputs.iter().map(|input| positions[input]).collect()
}

fn needs(graph: &Graph, task: TaskId) -> Option<Box<Needs>> {
    if graph.attributes.is_empty() {
        return None;
    }
    let attributes = graph.attributes_of(task)?;
    let needs = Needs {
        threads: attributes.threads.unwrap_or(1),
        memory_bytes: attributes.memory_bytes.unwrap_or(0),
        resources: attributes.resources.clone(),
        timeout_ns: attributes.timeout_ns.unwrap_or(0),
    };
    let plain = needs.threads == 1
        && needs.memory_bytes == 0
        && needs.resources.is_empty()
        && needs.timeout_ns == 0;
    (!plain).then(|| Box::new(needs))
}

/// A worker's message as an event of the scheduler core; none for those that end at the driver.
#[must_use]
pub fn scheduler_event(worker: WorkerId, message: ToScheduler) -> Option<SchedulerEvent> {
    use SchedulerEvent as E;
    use ToScheduler as M;
    Some(match message {
        M::Register(registration) => E::AddWorker { worker, registration },
        M::TaskFinished { task, run_id, nbytes, type_code, start_ns, stop_ns, .. } => {
            let duration_ns = stop_ns.saturating_sub(start_ns);
            E::TaskFinished { worker, task, run_id, nbytes, type_code, duration_ns }
        }
        M::TaskErred { task, run_id, error, .. } => E::TaskErred { worker, task, run_id, error },
        M::LongRunning { task, run_id, compute_duration_ns } => {
            E::LongRunning { worker, task, run_id, compute_duration_ns }
        }
        M::Reschedule { task, run_id } => E::Reschedule { worker, task, run_id },
        M::AddKeys { tasks } => E::AddKeys { worker, tasks },
        M::ReleaseWorkerData { task } => E::ReleaseWorkerData { worker, task },
        M::RequestRefreshWhoHas { tasks } => E::RequestRefreshWhoHas { worker, tasks },
        M::WorkerStatusChange { status } => E::WorkerStatusChange { worker, status },
        M::BadReplica { task, peer, why } => E::BadReplica { worker, task, peer, why },
        M::StealResponse { task, stimulus_id, state } => {
            E::StealResponse { worker, task, stimulus_id, state }
        }
        M::SetResources { resources } => E::SetResources { worker, resources },
        M::Heartbeat(heartbeat) => E::Heartbeat {
            worker,
            worker_now_ns: heartbeat.now_ns,
            executing: heartbeat.executing,
            paths: heartbeat.paths,
            rss_bytes: heartbeat.rss_bytes,
        },
        M::Transferred(_)
        | M::OutputWritten { .. }
        | M::OutputFailed { .. }
        | M::OutputsSynced { .. }
        | M::Warning { .. }
        | M::Goodbye => return None,
    })
}

/// A scheduler's message as an event of the worker core on `machine`; none for those that end at
/// the shell.
#[must_use]
pub fn worker_event(message: ToWorker, machine: &str) -> Option<WorkerEvent> {
    use ToWorker as M;
    use WorkerEvent as E;
    Some(match message {
        M::AddPeer(peer) => {
            E::AddPeer { worker: peer.worker, same_machine: peer.machine == machine }
        }
        M::ComputeTask(compute) => E::ComputeTask(Box::new(compute)),
        M::FreeKeys { tasks } => E::FreeKeys { tasks },
        M::RemoveReplicas { tasks } => E::RemoveReplicas { tasks },
        M::AcquireReplicas { tasks } => E::AcquireReplicas { tasks },
        M::WorkerStatusChange { status } => E::StatusChange { status },
        M::RefreshWhoHas { who_has } => E::RefreshWhoHas { who_has },
        M::RemoveWorker { worker } => E::RemoveWorker { worker },
        M::BadKeyAck { task, peer } => E::BadKeyAck { task, peer },
        M::StealRequest { task, stimulus_id } => E::StealRequest { task, stimulus_id },
        M::Registered { .. }
        | M::DefineSpec { .. }
        | M::WriteOutput { .. }
        | M::SyncOutputs
        | M::Close { .. } => return None,
    })
}

/// A worker's instruction as a message; none for those that the shell carries out.
#[must_use]
pub fn message_of(instruction: WorkerInstruction) -> Option<ToScheduler> {
    use ToScheduler as M;
    use WorkerInstruction as I;
    Some(match instruction {
        I::TaskFinished { task, run_id, nbytes, type_code, thread, start_ns, stop_ns } => {
            M::TaskFinished { task, run_id, nbytes, type_code, thread, start_ns, stop_ns }
        }
        I::TaskErred { task, run_id, error, thread, start_ns, stop_ns } => {
            M::TaskErred { task, run_id, error, thread, start_ns, stop_ns }
        }
        I::LongRunning { task, run_id, compute_duration_ns } => {
            M::LongRunning { task, run_id, compute_duration_ns }
        }
        I::Reschedule { task, run_id } => M::Reschedule { task, run_id },
        I::AddKeys { tasks } => M::AddKeys { tasks },
        I::ReleaseWorkerData { task } => M::ReleaseWorkerData { task },
        I::RequestRefreshWhoHas { tasks } => M::RequestRefreshWhoHas { tasks },
        I::WorkerStatusChange { status } => M::WorkerStatusChange { status },
        I::BadReplica { task, peer, why } => M::BadReplica { task, peer, why },
        I::StealResponse { task, stimulus_id, state } => {
            M::StealResponse { task, stimulus_id, state }
        }
        I::SetResources { resources } => M::SetResources { resources },
        I::Execute { .. }
        | I::Cancel { .. }
        | I::GatherDep { .. }
        | I::Store { .. }
        | I::Drop { .. }
        | I::SetTimer(_) => return None,
    })
}
