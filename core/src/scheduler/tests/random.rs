//! Random graphs on workers that come, die, pause, fail, lose copies and answer late. Every event is
//! followed by `validate`; at the end every wanted task is in memory or erred.

use super::cluster::{Cluster, Draft, bang, checked, finished, registration};
use crate::config::Config;
use crate::graph::Attributes;
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{StateAtWorker, WorkerStatus};
use crate::paths::PathSpeed;
use crate::rng::Rng;
use crate::scheduler::{SchedulerEvent, TaskState};

/// A graph of up to 60 tasks in a few groups, some with attributes; some are wanted.
fn graph(rng: &mut Rng) -> (Draft, Vec<TaskId>) {
    let mut draft = Draft::default();
    let count = 2 + rng.below(60) as usize;
    let mut wanted = Vec::new();
    for index in 0..count {
        let mut inputs = Vec::new();
        if index > 0 && rng.below(3) > 0 {
            for _ in 0..=rng.below(3) {
                inputs.push(TaskId::from_index(rng.below(index as u64) as usize));
            }
        }
        let key = format!("{}-{index}", ["load", "map", "sum"][rng.below(3) as usize]);
        let task = match rng.below(8) {
            0 => draft.task_with(&key, &inputs, attributes(rng)),
            _ => draft.task(&key, &inputs),
        };
        if rng.below(4) == 0 || index + 1 == count {
            wanted.push(task);
        }
    }
    (draft, wanted)
}

fn attributes(rng: &mut Rng) -> Attributes {
    let workers = if rng.below(3) == 0 { vec![rng.below(4).to_string()] } else { Vec::new() };
    Attributes {
        priority: Some(rng.below(3) as i32 - 1),
        retries: Some(rng.below(2) as u32),
        threads: Some(1 + rng.below(2) as u32),
        allow_other_workers: true,
        workers,
        ..Attributes::default()
    }
}

struct World {
    cluster: Cluster,
    rng: Rng,
    next_worker: u32,
    /// Runs that were given up, for late reports.
    past: Vec<(WorkerId, TaskId, RunId)>,
}

impl World {
    fn pick_worker(&mut self) -> Option<WorkerId> {
        let workers: Vec<WorkerId> = self.cluster.state.workers().collect();
        let place = self.rng.below(workers.len() as u64) as usize;
        workers.get(place).copied()
    }

    /// A number of a task, now and then of none.
    fn pick_task(&mut self, count: usize) -> TaskId {
        TaskId(self.rng.below(count as u64 + 2) as u32)
    }

    fn pick_sent(&mut self) -> Option<(WorkerId, TaskId, RunId)> {
        let place = self.rng.below(self.cluster.sent.len() as u64) as usize;
        let sent = self.cluster.sent.remove(place)?;
        self.past.push(sent);
        Some(sent)
    }

    fn add_worker(&mut self) {
        let worker = self.next_worker;
        self.next_worker += 1;
        let mut new = registration(worker, 1 + self.rng.below(3) as u32);
        if self.rng.below(4) == 0 {
            // Starts again in the place of an earlier one.
            new.name = self.rng.below(u64::from(worker) + 1).to_string();
        }
        new.nanny = 1;
        self.cluster.add_worker(new);
    }

    /// One event that may happen at any time.
    fn disturb(&mut self, count: usize) {
        let task = self.pick_task(count);
        let Some(worker) = self.pick_worker() else { return self.add_worker() };
        match self.rng.below(10) {
            9 => self.answer_steal(),
            0 => self.add_worker(),
            1 => {
                let executing = match self.rng.below(2) {
                    0 => None,
                    _ => Some(self.cluster.state.processing(worker).take(1).collect()),
                };
                let (expected, reason) = (self.rng.below(4) == 0, "died".to_owned());
                let lost = SchedulerEvent::RemoveWorker { worker, expected, executing, reason };
                self.cluster.handle(lost);
            }
            2 => {
                let running = self.rng.below(2) == 0;
                let status = if running { WorkerStatus::Running } else { WorkerStatus::Paused };
                self.cluster.handle(SchedulerEvent::WorkerStatusChange { worker, status });
            }
            3 => self.cluster.handle(SchedulerEvent::ReleaseWorkerData { worker, task }),
            4 => self.cluster.handle(SchedulerEvent::AddKeys { worker, tasks: vec![task] }),
            5 => {
                let (peer, why) = (self.pick_worker().unwrap_or(worker), "mismatch".to_owned());
                self.cluster.handle(SchedulerEvent::BadReplica { worker, task, peer, why });
            }
            6 => {
                let tasks = vec![task];
                self.cluster.handle(SchedulerEvent::RequestRefreshWhoHas { worker, tasks });
            }
            7 => self.cluster.handle(SchedulerEvent::Heartbeat {
                worker,
                worker_now_ns: 0,
                executing: vec![(task, self.cluster.now.0)],
                paths: [1 << 30, 1 << 28]
                    .map(|bandwidth| PathSpeed { bandwidth, latency_ns: 1000 }),
                rss_bytes: 0,
            }),
            _ => self.late_report(),
        }
    }

    /// A victim answers, in any order and with any state.
    fn answer_steal(&mut self) {
        use StateAtWorker as S;
        let place = self.rng.below(self.cluster.asked.len() as u64) as usize;
        let Some((worker, task, stimulus_id)) = self.cluster.asked.remove(place) else { return };
        let states = [Some(S::Ready), Some(S::Waiting), Some(S::Executing), Some(S::Memory), None];
        let state = states[self.rng.below(5) as usize];
        self.cluster.handle(SchedulerEvent::StealResponse { worker, task, stimulus_id, state });
    }

    fn late_report(&mut self) {
        let place = self.rng.below(self.past.len() as u64) as usize;
        let Some((worker, task, run_id)) = self.past.get(place).copied() else { return };
        let event = match self.rng.below(2) {
            0 => finished(worker, task, run_id, 9),
            _ => SchedulerEvent::TaskErred { worker, task, run_id, error: Box::new(bang()) },
        };
        self.cluster.handle(event);
    }

    /// The end of a run that was sent.
    fn answer(&mut self, faults: bool) {
        let Some((worker, task, run_id)) = self.pick_sent() else { return };
        let event = match if faults { self.rng.below(12) } else { 9 } {
            0 => SchedulerEvent::TaskErred { worker, task, run_id, error: Box::new(bang()) },
            1 => SchedulerEvent::Reschedule { worker, task, run_id },
            2 => {
                let long = SchedulerEvent::LongRunning {
                    worker,
                    task,
                    run_id,
                    compute_duration_ns: Some(5),
                };
                self.cluster.handle(long);
                finished(worker, task, run_id, 7)
            }
            _ => finished(worker, task, run_id, 1 + self.rng.below(1 << 20)),
        };
        self.cluster.handle(event);
    }
}

fn live(seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let (draft, mut wanted) = graph(&mut rng);
    let saturation = if rng.below(4) == 0 { f64::INFINITY } else { 1.1 };
    let config = Config { worker_saturation: saturation, ..checked() };
    let cluster = Cluster::new(config);
    let mut world = World { cluster, rng, next_worker: 0, past: Vec::new() };
    let graph = draft.graph();
    let all: Vec<TaskId> = (0..graph.len()).map(TaskId::from_index).collect();
    if world.rng.below(2) == 0 {
        world.add_worker();
    }
    if world.rng.below(4) == 0 {
        world.cluster.run_once(&graph, &all);
        wanted.clear();
    } else {
        world.cluster.submit(&graph, &wanted);
    }
    let mut stolen = 0;
    for _ in 0..300 {
        world.cluster.now = world.cluster.now.after_ns(world.rng.below(1_000_000));
        if world.rng.below(3) == 0 {
            world.disturb(graph.len());
        } else {
            world.answer(true);
        }
        stolen = world.cluster.state.stolen_count();
    }
    // From here on nothing breaks any more.
    let mut whole = registration(world.next_worker, 4);
    whole.name = "whole".to_owned();
    world.cluster.add_worker(whole);
    while !world.cluster.sent.is_empty() {
        world.answer(false);
    }
    assert!(world.cluster.state.is_idle(), "seed {seed}: work is left");
    for task in wanted {
        let state = world.cluster.state.state_of(task);
        let ended = matches!(state, TaskState::Memory | TaskState::Erred);
        assert!(ended, "seed {seed}: {}", world.cluster.state.story(task));
        if state == TaskState::Erred {
            let failure = world.cluster.state.error_of(task).unwrap();
            assert_eq!(world.cluster.state.state_of(failure.root), TaskState::Erred);
        }
    }
    stolen
}

#[test]
fn every_wanted_task_ends_whatever_happens() {
    let stolen: u64 = (0..400).map(live).sum();
    assert!(stolen > 0, "nothing was stolen");
}

#[test]
fn equal_seeds_and_events_give_equal_stories() {
    let story = |seed| {
        let (draft, wanted) = graph(&mut Rng::new(seed));
        let mut cluster = Cluster::with(checked(), &[1, 2]);
        let graph = draft.graph();
        cluster.submit(&graph, &wanted);
        cluster.run_to_end();
        let tasks = (0..graph.len()).map(TaskId::from_index);
        tasks.map(|task| cluster.state.story(task)).collect::<Vec<_>>()
    };
    for seed in 0..20 {
        assert_eq!(story(seed), story(seed));
    }
}
