//! What tasks ask of a worker: threads, memory, resources, which workers and hosts.
//!
//! Asks are interned, so that tasks that ask for the same share one record and one reach, the workers
//! that can serve it.

use super::reach::{Reach, Valid};
use super::worker::{Worker, Workers};
use crate::graph::Attributes;
use crate::ids::WorkerId;
use crate::messages::WorkerRegistration;
use rustc_hash::FxHashMap;

/// The ask of a task without attributes.
pub(super) const PLAIN: u32 = 0;

/// The terms themselves.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Terms {
    /// Slots, at least one.
    pub(super) threads: u32,
    pub(super) memory_bytes: u64,
    /// Expected duration, instead of the prefix average.
    pub(super) time_ns: Option<u64>,
    /// In millionths.
    pub(super) resources: Vec<(String, u64)>,
    /// Worker ids, names or addresses.
    pub(super) workers: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) allow_other_workers: bool,
}

impl Terms {
    fn new(attributes: Option<&Attributes>) -> Self {
        let Some(attributes) = attributes else { return Self { threads: 1, ..Self::default() } };
        let mut resources = attributes.resources.clone();
        resources.sort();
        Self {
            threads: attributes.threads.unwrap_or(1).max(1),
            memory_bytes: attributes.memory_bytes.unwrap_or(0),
            time_ns: attributes.time_ns,
            resources,
            workers: attributes.workers.clone(),
            hosts: attributes.hosts.clone(),
            allow_other_workers: attributes.allow_other_workers,
        }
    }

    /// Names workers or hosts.
    pub(super) fn names_workers(&self) -> bool {
        !self.workers.is_empty() || !self.hosts.is_empty()
    }

    /// Asks for resources, workers or hosts: such a task is never root-ish.
    pub(super) fn is_restricted(&self) -> bool {
        self.names_workers() || !self.resources.is_empty()
    }

    /// The worker is large enough.
    pub(super) fn fits(&self, worker: &WorkerRegistration) -> bool {
        let memory = worker.memory_limit_bytes;
        self.threads <= worker.nthreads
            && (memory == 0 || self.memory_bytes <= memory)
            && self.resources.iter().all(|(name, need)| {
                worker.resources.iter().any(|(has, total)| has == name && total >= need)
            })
    }

    /// The worker is one of those that are named, or none is.
    pub(super) fn names(&self, worker: &WorkerRegistration) -> bool {
        !self.names_workers()
            || self.workers.iter().any(|name| is_called(worker, name))
            || self.hosts.iter().any(|host| is_on(worker, host))
    }

    /// The terms in words.
    pub(super) fn describe(&self) -> String {
        let mut parts = Vec::new();
        if self.threads > 1 {
            parts.push(threads(self.threads));
        }
        if self.memory_bytes > 0 {
            parts.push(format!("{} of memory", about_bytes(self.memory_bytes)));
        }
        for (name, need) in &self.resources {
            parts.push(format!("{} of resource {name}", millionths(*need)));
        }
        if !self.workers.is_empty() {
            parts.push(format!("worker {}", self.workers.join(" or ")));
        }
        if !self.hosts.is_empty() {
            parts.push(format!("host {}", self.hosts.join(" or ")));
        }
        if parts.is_empty() { "any worker".to_owned() } else { parts.join(", ") }
    }
}

fn threads(count: u32) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") }
}

/// Bytes for a reader: to a tenth of the largest unit that they fill, rounded down.
fn about_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = bytes.max(1).ilog2() / 10;
    let Some(unit) = (power as usize).checked_sub(1).and_then(|index| UNITS.get(index)) else {
        return format!("{bytes} bytes");
    };
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, part) => format!("{whole}.{part} {unit}"),
    }
}

/// A number of millionths as a decimal number.
fn millionths(value: u64) -> String {
    let (whole, part) = (value / 1_000_000, value % 1_000_000);
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{part:06}").trim_end_matches('0').to_owned()
}

/// `name` is the worker's name, an address of it with or without its scheme, or its rank when the
/// worker has a name that is no number.
fn is_called(worker: &WorkerRegistration, name: &str) -> bool {
    let bare = |address: &str| address.split_once("://").is_some_and(|(_, rest)| rest == name);
    worker.name == name
        || worker.addresses.iter().any(|address| address == name || bare(address))
        || (worker.name.parse::<u32>().is_err() && name.parse() == Ok(worker.rank))
}

/// `host` is the worker's host name, whole or without its domain.
fn is_on(worker: &WorkerRegistration, host: &str) -> bool {
    worker.host == host || worker.host.split('.').next() == Some(host)
}

/// One distinct ask.
#[derive(Clone, Debug)]
struct Ask {
    terms: Terms,
    /// Who serves it, among the reaches.
    reach: u32,
}

/// All distinct asks of the graph.
#[derive(Clone, Debug)]
pub(super) struct Asks {
    asks: Vec<Ask>,
    reaches: Vec<Reach>,
}

impl Default for Asks {
    fn default() -> Self {
        let plain = Ask { terms: Terms::new(None), reach: 0 };
        Self { asks: vec![plain], reaches: vec![Reach::default()] }
    }
}

impl Asks {
    /// The asks of a graph's attributes: for each of them its number.
    pub(super) fn intern<'a>(
        &mut self,
        attributes: impl Iterator<Item = &'a Attributes>,
    ) -> Vec<u32> {
        let known = self.asks.iter().zip(0..).map(|(ask, number)| (ask.terms.clone(), number));
        let mut numbers: FxHashMap<Terms, u32> = known.collect();
        let mut reaches = FxHashMap::default();
        attributes
            .map(|attributes| {
                let terms = Terms::new(Some(attributes));
                if let Some(number) = numbers.get(&terms) {
                    return *number;
                }
                let timeless = Terms { time_ns: None, ..terms.clone() };
                let reach = *reaches.entry(timeless).or_insert_with(|| {
                    self.reaches.push(Reach::default());
                    number(self.reaches.len() - 1)
                });
                self.asks.push(Ask { terms: terms.clone(), reach });
                numbers.insert(terms, number(self.asks.len() - 1));
                number(self.asks.len() - 1)
            })
            .collect()
    }

    pub(super) fn terms(&self, ask: u32) -> &Terms {
        &self.asks[ask as usize].terms
    }

    /// The workers that serve an ask.
    pub(super) fn valid(&mut self, ask: u32, workers: &Workers) -> Valid<'_> {
        if ask == PLAIN {
            return Valid::Any;
        }
        let Ask { terms, reach } = &self.asks[ask as usize];
        self.reaches[*reach as usize].valid(terms, workers)
    }

    /// Lists that are current name workers that are there.
    pub(super) fn check(&self, workers: &Workers) -> Result<(), String> {
        self.reaches.iter().try_for_each(|reach| reach.check(workers))
    }

    /// A worker that runs may take what asks for this.
    pub(super) fn serves(&mut self, ask: u32, worker: WorkerId, workers: &Workers) -> bool {
        if ask == PLAIN {
            return true;
        }
        let Ask { terms, reach } = &self.asks[ask as usize];
        self.reaches[*reach as usize].contains(worker, terms, workers)
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("no more asks than tasks")
}

/// A task that no registered worker can ever run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsatisfiable {
    /// The task.
    pub task: crate::ids::TaskId,
    /// What it asks for, in words.
    pub asks: String,
    /// The registered worker with the most threads, then memory, in words.
    pub largest_worker: String,
}

/// The attributes in the graph that no registered worker satisfies; none when there is no worker.
pub(super) fn unsatisfiable_terms(
    attributes: &Attributes,
    workers: &Workers,
) -> Option<(String, String)> {
    let terms = Terms::new(Some(attributes));
    let serves = |(_, worker): (WorkerId, &Worker)| {
        let registration = worker.registration();
        terms.fits(registration) && (terms.allow_other_workers || terms.names(registration))
    };
    if workers.iter().any(serves) {
        return None;
    }
    let size = |worker: &Worker| {
        let limit = worker.registration().memory_limit_bytes;
        (worker.nthreads, if limit == 0 { u64::MAX } else { limit })
    };
    let (_, largest) = workers.iter().max_by_key(|(_, worker)| size(worker))?;
    Some((terms.describe(), describe_worker(largest.registration())))
}

/// A worker's size in words.
fn describe_worker(worker: &WorkerRegistration) -> String {
    let memory = match worker.memory_limit_bytes {
        0 => "unlimited memory".to_owned(),
        limit => format!("{} of memory", about_bytes(limit)),
    };
    let mut text = format!(
        "worker {} on {} with {}, {memory}",
        worker.name,
        worker.host,
        threads(worker.nthreads)
    );
    for (name, total) in &worker.resources {
        text.push_str(&format!(", {} of resource {name}", millionths(*total)));
    }
    text
}
