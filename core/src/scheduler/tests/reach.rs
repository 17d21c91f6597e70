//! The lists of workers that serve an ask follow every change, also after a time in which nobody
//! asked.

use super::cluster::registration;
use crate::graph::Attributes;
use crate::ids::WorkerId;
use crate::rng::Rng;
use crate::scheduler::ask::{Asks, Terms};
use crate::scheduler::reach::Valid;
use crate::scheduler::worker::{Worker, Workers};
use crate::time::Time;

/// Asks by number of threads, by name, by name or else by size, and by size with a time.
fn attributes() -> [Attributes; 4] {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    [
        Attributes { threads: Some(2), ..Attributes::default() },
        Attributes { workers: named(&["1", "4", "6"]), ..Attributes::default() },
        Attributes {
            threads: Some(3),
            workers: named(&["2", "3"]),
            allow_other_workers: true,
            ..Attributes::default()
        },
        Attributes { threads: Some(2), time_ns: Some(7), ..Attributes::default() },
    ]
}

/// What the lists should say: none for every worker.
fn expected(terms: &Terms, workers: &Workers) -> Option<Vec<WorkerId>> {
    let fits = |worker: &Worker| terms.fits(worker.registration());
    let serves = |worker: &Worker| fits(worker) && terms.names(worker.registration());
    if workers.iter().all(|(_, worker)| serves(worker)) {
        return None;
    }
    let running = |serves: &dyn Fn(&Worker) -> bool| -> Vec<WorkerId> {
        let all = workers.iter().filter(|(id, _)| workers.emptiest.contains(*id));
        all.filter(|(_, worker)| serves(worker)).map(|(id, _)| id).collect()
    };
    let named = running(&serves);
    Some(if named.is_empty() && terms.allow_other_workers { running(&fits) } else { named })
}

#[test]
fn they_are_those_that_run_and_fit() {
    let mut rng = Rng::new(8);
    let mut workers = Workers::new(1);
    let mut asks = Asks::default();
    let attributes = attributes();
    let numbers = asks.intern(attributes.iter());
    let (mut some, mut every) = (0, 0);
    for _ in 0..2000 {
        // More changes than are remembered, now and then.
        let changes = if rng.below(100) == 0 { 3000 } else { rng.below(4) };
        for _ in 0..changes {
            let id = WorkerId(rng.below(8) as u32);
            match rng.below(4) {
                0 => {
                    workers.remove(id);
                }
                1 => workers.run(id),
                2 => workers.stop(id),
                _ if workers.contains(id) => {}
                _ => {
                    let record = Box::new(registration(id.0, 1 + rng.below(4) as u32));
                    workers.insert(id, Worker::new(record, 1.1, Time(0)));
                }
            }
        }
        for ask in &numbers {
            let expected = expected(asks.terms(*ask), &workers);
            let valid = match asks.valid(*ask, &workers) {
                Valid::Any => None,
                Valid::Only(valid) => Some(valid.to_vec()),
            };
            assert_eq!(valid, expected);
            some += usize::from(valid.is_some_and(|valid| !valid.is_empty()));
            every += usize::from(expected.is_none());
            for id in (0..8).map(WorkerId).filter(|id| workers.emptiest.contains(*id)) {
                let terms = asks.terms(*ask);
                let worker = workers.get(id).unwrap().registration();
                let serves =
                    terms.fits(worker) && (terms.allow_other_workers || terms.names(worker));
                assert_eq!(asks.serves(*ask, id, &workers), serves);
            }
        }
    }
    assert!(some > 1000 && every > 500, "{some} lists and {every} times everybody");
}
