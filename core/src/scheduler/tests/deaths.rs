//! Deaths at every step of a small run: which step, which worker, what its nanny reports, whether
//! another comes, and a second death at every step after the first.

use super::cluster::{Cluster, Draft, checked, finished, registration};
use crate::config::Config;
use crate::graph::Attributes;
use crate::ids::{RunId, TaskId, WorkerId};
use crate::scheduler::{SchedulerEvent, TaskState as S};

/// What is known about the end of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    /// Its nanny says what ran.
    Ran,
    /// Nobody says anything: every task there counts.
    Nothing,
    /// It was told to close.
    Expected,
}

/// One death: before which step, of the worker in which place, and whether another comes.
#[derive(Clone, Copy, Debug)]
struct Death {
    step: usize,
    place: usize,
    report: Report,
    replaced: bool,
}

/// Two roots, two readers of both, a task that secedes, one that asks for a worker, a sum.
fn start() -> (Cluster, Vec<TaskId>) {
    let mut draft = Draft::default();
    let roots = [draft.task("root-0", &[]), draft.task("root-1", &[])];
    let readers = [draft.task("reader-0", &roots), draft.task("reader-1", &roots)];
    let secedes = draft.task("secedes", &[readers[0]]);
    let pinned = Attributes {
        workers: vec!["0".to_owned()],
        allow_other_workers: true,
        ..Attributes::default()
    };
    let pinned = draft.task_with("pinned", &[readers[1]], pinned);
    let sum = draft.task("sum", &[secedes, pinned, roots[0]]);
    let config = Config { allowed_failures: 1000, ..checked() };
    let mut cluster = Cluster::with(config, &[1, 2]);
    let wanted = vec![sum, secedes, roots[1]];
    cluster.submit(&draft.graph(), &wanted);
    (cluster, wanted)
}

/// The number of the task that secedes.
const SECEDES: TaskId = TaskId(4);

/// Plays the run with deaths to its end; steps that it took.
fn play(deaths: &[Death]) -> usize {
    let (mut cluster, wanted) = start();
    let (mut step, mut next, mut seceded) = (0, 2, RunId::NONE);
    let mut struck = None;
    loop {
        let due = deaths.iter().filter(|death| death.step == step && struck != Some(step));
        for death in due {
            kill(&mut cluster, death, &mut next);
        }
        struck = Some(step);
        let Some((worker, task, run_id)) = cluster.sent.pop_front() else {
            if cluster.state.is_idle() {
                break;
            }
            // All died, and nobody came so far.
            assert_eq!(cluster.state.workers().count(), 0, "{deaths:?}: nothing is sent");
            cluster.add_worker(registration(next, 1));
            next += 1;
            continue;
        };
        step += 1;
        assert!(step < 100, "{deaths:?} do not end");
        if task == SECEDES && seceded != run_id {
            seceded = run_id;
            let compute_duration_ns = None;
            cluster.handle(SchedulerEvent::LongRunning {
                worker,
                task,
                run_id,
                compute_duration_ns,
            });
            cluster.sent.push_back((worker, task, run_id));
        } else {
            // Also of the dead, as what was under way when they died.
            cluster.handle(finished(worker, task, run_id, 8));
        }
    }
    for task in wanted {
        let state = cluster.state.state_of(task);
        assert_eq!(state, S::Memory, "{deaths:?}: {}", cluster.state.story(task));
    }
    step
}

fn kill(cluster: &mut Cluster, death: &Death, next: &mut u32) {
    let workers: Vec<WorkerId> = cluster.state.workers().collect();
    let Some(worker) = workers.get(death.place).copied() else { return };
    let executing = (death.report == Report::Ran)
        .then(|| cluster.state.processing(worker).take(1).collect::<Vec<_>>());
    let (expected, reason) = (death.report == Report::Expected, "died".to_owned());
    cluster.handle(SchedulerEvent::RemoveWorker { worker, expected, executing, reason });
    for index in 0..7 {
        let task = TaskId::from_index(index);
        let state = cluster.state.state_of(task);
        if state == S::Processing {
            assert_ne!(cluster.on(task).0, worker, "{}", cluster.state.story(task));
        }
        assert!(cluster.state.who_has(task).all(|holder| holder != worker));
    }
    if death.replaced {
        cluster.add_worker(registration(*next, 1 + *next % 2));
        *next += 1;
    }
}

fn deaths_at(step: usize) -> impl Iterator<Item = Death> {
    let reports = [Report::Ran, Report::Nothing, Report::Expected];
    let ways = reports.into_iter().flat_map(|report| [(report, true), (report, false)]);
    ways.flat_map(move |(report, replaced)| {
        (0..2).map(move |place| Death { step, place, report, replaced })
    })
}

/// No task stays with a worker that is gone, whenever it goes, and the run ends.
#[test]
fn bug_3256_3196_a_worker_is_killed_at_every_step() {
    let steps = play(&[]);
    assert_eq!(steps, 8, "seven tasks, one of which secedes");
    let mut runs = 0;
    for step in 0..=steps {
        for first in deaths_at(step) {
            let more = play(&[first]);
            runs += 1;
            for second in (step..=more).flat_map(deaths_at) {
                play(&[first, second]);
                runs += 1;
            }
        }
    }
    assert!(runs > 9 * 12 * 4 * 12, "{runs} runs");
}

/// Worker after worker dies at the same step: the run goes on as soon as they live.
#[test]
fn bug_3256_3196_every_worker_is_killed_at_once_again_and_again() {
    for step in 0..8 {
        let one = |place| Death { step, place, report: Report::Nothing, replaced: true };
        let deaths: Vec<Death> = (0..20).map(|count| one(count % 2)).collect();
        play(&deaths);
    }
}
