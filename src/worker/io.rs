//! The worker's I/O thread: messages in, transfers, writes, heartbeats, the core's timer.

use super::gather::gather;
use super::measure::Meter;
use super::memory::MemoryWatch;
use super::shell::{Command, Gather, Gathered};
use super::{Shared, decode, writer};
use crate::clock::Clock;
use rdask_core::ids::WorkerId;
use rdask_core::messages::{ToScheduler, TransferOutcome, TransferReport};
use rdask_core::time::Time;
use rdask_transport::{Batch, Cancel, ChannelReceiver, Endpoint, Fetcher};
use rustc_hash::FxHashMap;
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Frames of the scheduler that may wait for this thread.
const FRAMES: usize = 64;

/// What the I/O thread owns.
pub(super) struct Io {
    pub(super) shared: Arc<Shared>,
    pub(super) fetcher: Fetcher,
    pub(super) endpoint: Endpoint,
    pub(super) meter: Meter,
    pub(super) memory: MemoryWatch,
    pub(super) writes: std_mpsc::Sender<writer::Order>,
    pub(super) reports_transfers: bool,
    pub(super) heartbeat: Duration,
    pub(super) timer: Option<Time>,
    /// Ends the transfers from a peer.
    pub(super) peers: FxHashMap<WorkerId, Cancel>,
    pub(super) clock: Clock,
}

impl Io {
    /// Works until the scheduler says `Close` (its reason) or is gone (what broke).
    pub(super) async fn run(
        &mut self,
        receiver: ChannelReceiver,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) -> Result<String, String> {
        let (sender, mut frames) = mpsc::channel(FRAMES);
        tokio::task::spawn_local(forward(receiver, sender));
        let mut next_heartbeat = Instant::now();
        loop {
            let wake = self.timer.map(|at| self.clock.instant(at));
            let due = [wake, self.memory.due()].into_iter().flatten();
            let deadline = due.fold(next_heartbeat, Instant::min);
            tokio::select! {
                biased;
                command = commands.recv() => {
                    if let Some(command) = command
                        && let Some(reason) = self.carry_out(command)
                    {
                        return Ok(reason);
                    }
                }
                frame = frames.recv() => match frame {
                    Some(Ok(batch)) => {
                        let messages = decode(&batch)?;
                        self.shared.with(|shell| shell.on_messages(messages.into_iter()));
                    }
                    Some(Err(reason)) => return Err(reason),
                    None => return Err("the scheduler closed the connection".to_owned()),
                },
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
            // Looked at each time: messages may come faster than they are handled.
            let now = Instant::now();
            if next_heartbeat <= now {
                next_heartbeat = now + self.heartbeat;
                self.send_heartbeat();
            }
            if self.timer.is_some_and(|at| self.clock.instant(at) <= now) {
                self.timer = None;
                self.shared.with(|shell| shell.on_timeout());
            }
            self.memory.look_and_tell(&self.shared);
        }
    }

    /// Does what the shell asked for; a reason ends the worker.
    fn carry_out(&mut self, command: Command) -> Option<String> {
        match command {
            Command::Gather(gather) => self.start_gather(gather),
            Command::SetTimer(at) => self.timer = Some(at),
            Command::Write { task, value, target } => {
                self.order(writer::Order::Write { task, value, target });
            }
            Command::AwaitDrained => self.await_drained(),
            Command::Forget { worker, server_id } => {
                self.fetcher.forget(server_id);
                if let Some(cancel) = self.peers.remove(&worker) {
                    cancel.cancel();
                }
            }
            Command::Sync => self.order(writer::Order::Sync),
            Command::Close { reason } => return Some(reason),
        }
        None
    }

    fn await_drained(&self) {
        let shared = Arc::clone(&self.shared);
        if let Some(drained) = shared.with(|shell| shell.drained()) {
            tokio::task::spawn_local(async move {
                drained.await;
                shared.with(super::shell::Shell::on_drained);
            });
        }
    }

    fn order(&self, order: writer::Order) {
        if self.writes.send(order).is_err() {
            tracing::error!("the writing thread is gone");
        }
    }

    fn start_gather(&mut self, request: Gather) {
        let (shared, fetcher) = (Arc::clone(&self.shared), self.fetcher.clone());
        let meter = self.meter.clone();
        let cancel = self.peers.entry(request.worker).or_default().clone();
        let (clock, reports) = (self.clock, self.reports_transfers);
        tokio::task::spawn_local(async move {
            let start = clock.now();
            if reports {
                let begin = began(&request, start);
                shared.with(|shell| shell.send(&ToScheduler::Transferred(Box::new(begin))));
            }
            let end = gather(&fetcher, &request, &cancel).await;
            let report = ended(&request, &end, start, clock.now());
            meter.add_transfer(
                request.class,
                report.nbytes,
                report.stop_ns.saturating_sub(start.0),
            );
            shared.with(|shell| {
                if reports {
                    shell.send(&ToScheduler::Transferred(Box::new(report)));
                }
                shell.on_gathered(request.transfer, end);
            });
        });
    }

    /// Tells the scheduler how this worker is.
    pub(super) fn send_heartbeat(&mut self) {
        let mut heartbeat = self.meter.measure(&self.endpoint);
        let now = self.clock.now();
        self.shared.with(|shell| {
            let state = shell.state();
            heartbeat.executing =
                state.executing().map(|run| (run.task, now.since(run.started))).collect();
            heartbeat.ready_count = u32::try_from(state.ready_count()).unwrap_or(u32::MAX);
            shell.send(&ToScheduler::Heartbeat(Box::new(heartbeat)));
        });
    }
}

/// Forwards frames until the connection ends.
async fn forward(mut receiver: ChannelReceiver, frames: mpsc::Sender<Result<Batch, String>>) {
    loop {
        let frame = match receiver.recv().await {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => return,
            Err(error) => Err(error.to_string()),
        };
        let failed = frame.is_err();
        if frames.send(frame).await.is_err() || failed {
            return;
        }
    }
}

/// The report of a transfer's begin.
fn began(request: &Gather, start: Time) -> TransferReport {
    TransferReport {
        transfer: request.transfer,
        outcome: TransferOutcome::Started,
        tasks: request.tasks.iter().map(|(task, _)| *task).collect(),
        from: request.worker,
        path: "tcp".to_owned(),
        nbytes: 0,
        start_ns: start.0,
        stop_ns: start.0,
    }
}

/// The report of a transfer's end.
fn ended(request: &Gather, end: &Gathered, start: Time, stop: Time) -> TransferReport {
    let report = TransferReport { stop_ns: stop.0, ..began(request, start) };
    match end {
        Gathered::Answer { received, .. } => TransferReport {
            outcome: TransferOutcome::Finished,
            tasks: received.iter().map(|(task, _)| *task).collect(),
            nbytes: received.iter().map(|(_, value)| value.nbytes()).sum(),
            ..report
        },
        Gathered::Busy | Gathered::NetworkFailure | Gathered::Failure(_) => {
            TransferReport { outcome: TransferOutcome::Failed, ..report }
        }
    }
}
