//! Prefixes and groups: what tasks with like keys have in common.
//!
//! A prefix averages durations and result sizes and counts states. A group knows how many tasks it
//! has and how few tasks of other groups it reads, which tells root-ish tasks. Names are interned
//! once, when the graph arrives; afterwards everything goes by number.

use super::task::{Edges, NONE, Task, TaskState};
use crate::graph::Graph;
use crate::ids::{TaskId, WorkerId};
use crate::key;
use rustc_hash::FxHashMap;

/// More groups than this are never few, whatever the setting.
const MOST_GROUPS: usize = 63;
/// Results up to this size do not strain memory when more tasks are sent ahead.
const SMALL_RESULT_BYTES: u64 = 64 << 10;
/// Slots for each thread that the measured round trip may add.
const MOST_SLOTS_PER_THREAD: u64 = 256;
/// Round trips that the tasks sent ahead must bridge.
const ROUND_TRIPS: u64 = 4;

/// A prefix that is known to be this short is never stolen.
const FAST_NS: u64 = 1_000_000;

/// Tasks that do the same thing.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    pub(super) name: Box<str>,
    /// Moving average of the time in the user code.
    pub(super) duration_average_ns: Option<u64>,
    /// Known beforehand to be so short that its tasks are never stolen.
    pub(super) is_fast: bool,
    /// What the tasks that are out were priced with.
    pub(super) priced_ns: u64,
    /// It is in the list of those whose tasks are to be priced anew.
    pub(super) is_drifted: bool,
    /// Longest time that a run in progress was reported with.
    pub(super) max_exec_ns: u64,
    /// Largest result so far.
    pub(super) max_nbytes: u64,
    /// Tasks in each state.
    pub(super) states: [u32; 8],
}

impl Prefix {
    /// Expected duration of a task, `unknown_ns` when nothing is known.
    pub(super) fn duration_ns(&self, unknown_ns: u64) -> u64 {
        match self.duration_average_ns {
            Some(average) => average,
            None if self.max_exec_ns > 0 => self.max_exec_ns.saturating_mul(2),
            None => unknown_ns,
        }
    }

    /// Takes a measured duration into the average; true when it is the first.
    pub(super) fn add_duration(&mut self, measured_ns: u64) -> bool {
        let first = self.duration_average_ns.is_none();
        self.duration_average_ns =
            Some(self.duration_average_ns.map_or(measured_ns, |old| old.midpoint(measured_ns)));
        first
    }

    /// Takes the time of a run in progress into account: one that takes more than twice the average
    /// makes the average worthless.
    pub(super) fn add_running(&mut self, so_far_ns: u64) {
        self.max_exec_ns = self.max_exec_ns.max(so_far_ns);
        if self.duration_average_ns.is_some_and(|average| so_far_ns > average.saturating_mul(2)) {
            self.duration_average_ns = None;
        }
    }

    /// Moving one takes longer than choosing with care where it is made.
    pub(super) fn has_large_results(&self) -> bool {
        self.max_nbytes > SMALL_RESULT_BYTES
    }

    /// Slots for its tasks on a worker: what saturation gives, or enough short tasks to bridge a
    /// few round trips.
    pub(super) fn slots(&self, nthreads: u32, saturation_slots: u32, round_trip_ns: u64) -> u32 {
        let Some(duration) = self.duration_average_ns else { return saturation_slots };
        if self.has_large_results() {
            return saturation_slots;
        }
        let threads = u64::from(nthreads);
        let bridge_ns = threads.saturating_mul(round_trip_ns).saturating_mul(ROUND_TRIPS);
        let ahead = bridge_ns.div_ceil(duration.max(1));
        let slots = threads.saturating_add(ahead).min(threads * MOST_SLOTS_PER_THREAD);
        saturation_slots.max(u32::try_from(slots).unwrap_or(u32::MAX))
    }
}

/// Tasks that one call made.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) prefix: u32,
    /// The first of its tasks, whose key names it.
    first: TaskId,
    /// Its tasks, also those that are forgotten by now.
    pub(super) tasks: u32,
    /// It reads few groups, with few tasks together.
    pub(super) few_inputs: bool,
    /// Worker that gets the next of its tasks while queuing is off, or `NONE`.
    pub(super) last_worker: u32,
    /// How many more that worker gets.
    pub(super) last_worker_tasks_left: u32,
}

/// All prefixes and groups of the graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Families {
    pub(super) prefixes: Vec<Prefix>,
    pub(super) groups: Vec<Group>,
    /// Prefixes whose tasks are to be priced anew.
    pub(super) drifted: Vec<u32>,
}

impl Families {
    /// The prefix of a task.
    pub(super) fn prefix_of(&self, task: &Task) -> u32 {
        self.groups[task.group as usize].prefix
    }

    /// Notes a prefix whose duration is by now more than twice, or less than half, of what its
    /// tasks that are out were priced with.
    pub(super) fn note_drift(&mut self, prefix: u32, unknown_ns: u64) {
        let family = &mut self.prefixes[prefix as usize];
        let (now, priced) = (family.duration_ns(unknown_ns), family.priced_ns);
        if !family.is_drifted && (now / 2 > priced || now < priced / 2) {
            family.is_drifted = true;
            self.drifted.push(prefix);
        }
    }

    /// Gives every needed task from number `first` on its group. `known` are durations by prefix.
    pub(super) fn extend(
        &mut self,
        graph: &Graph,
        tasks: &mut [Task],
        first: usize,
        known: &[(String, u64)],
    ) {
        let (mut prefixes, mut groups) = (FxHashMap::default(), FxHashMap::default());
        for (group, number) in self.groups.iter().zip(0..) {
            let key = graph.key(group.first);
            groups.insert(key::group(key), number);
            prefixes.insert(key::prefix(key), group.prefix);
        }
        let mut last = None;
        for (index, task) in tasks.iter_mut().enumerate().skip(first) {
            if task.state == TaskState::Forgotten {
                continue;
            }
            let id = TaskId::from_index(index);
            let name = key::group(graph.key(id));
            // Neighbours mostly belong together.
            let group = match last {
                Some((same, group)) if same == name => group,
                _ => self.intern((id, graph.key(id)), name, (&mut prefixes, &mut groups), known),
            };
            last = Some((name, group));
            task.group = group;
            self.groups[group as usize].tasks += 1;
            let prefix = self.groups[group as usize].prefix;
            self.prefixes[prefix as usize].states[task.state as usize] += 1;
        }
    }

    fn intern<'a>(
        &mut self,
        (first, key): (TaskId, &'a str),
        name: &'a str,
        (prefixes, groups): (&mut FxHashMap<&'a str, u32>, &mut FxHashMap<&'a str, u32>),
        known: &[(String, u64)],
    ) -> u32 {
        if let Some(group) = groups.get(name) {
            return *group;
        }
        let prefix_name = key::prefix(key);
        let prefix = *prefixes.entry(prefix_name).or_insert_with(|| {
            let duration = known.iter().find(|(name, _)| name == prefix_name);
            self.prefixes.push(Prefix {
                name: prefix_name.into(),
                duration_average_ns: duration.map(|(_, ns)| *ns),
                is_fast: duration.is_some_and(|(_, ns)| *ns <= FAST_NS),
                priced_ns: duration.map_or(0, |(_, ns)| *ns),
                is_drifted: false,
                max_exec_ns: 0,
                max_nbytes: 0,
                states: [0; 8],
            });
            number(self.prefixes.len() - 1)
        });
        self.groups.push(Group {
            prefix,
            first,
            tasks: 0,
            few_inputs: true,
            last_worker: NONE,
            last_worker_tasks_left: 0,
        });
        let group = number(self.groups.len() - 1);
        groups.insert(name, group);
        group
    }

    /// A worker is gone: no group has a share left for it.
    pub(super) fn forget_worker(&mut self, worker: WorkerId) {
        for group in self.groups.iter_mut().filter(|group| group.last_worker == worker.0) {
            group.last_worker = NONE;
        }
    }

    /// Finds out which groups read fewer than `few_groups` groups, with fewer than `few_tasks` tasks
    /// together.
    pub(super) fn link(
        &mut self,
        tasks: &[Task],
        dependencies: &Edges,
        (few_groups, few_tasks): (u32, u32),
    ) {
        for group in &mut self.groups {
            group.few_inputs = true;
        }
        let width = (few_groups as usize).saturating_sub(1).min(MOST_GROUPS);
        let mut read: Vec<u32> = vec![NONE; width * self.groups.len()];
        for (index, task) in tasks.iter().enumerate() {
            if task.state == TaskState::Forgotten || !self.groups[task.group as usize].few_inputs {
                continue;
            }
            for input in dependencies.row(TaskId::from_index(index)) {
                let input_group = tasks[input.index()].group;
                let known = &mut read[task.group as usize * width..][..width];
                if known.contains(&input_group) {
                    continue;
                }
                match known.iter_mut().find(|slot| **slot == NONE) {
                    Some(slot) => *slot = input_group,
                    None => self.groups[task.group as usize].few_inputs = false,
                }
            }
        }
        for group in 0..self.groups.len() {
            let inputs = read[group * width..][..width].iter().filter(|input| **input != NONE);
            let tasks = inputs.map(|input| u64::from(self.groups[*input as usize].tasks));
            self.groups[group].few_inputs &= tasks.sum::<u64>() < u64::from(few_tasks);
        }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("no more families than tasks")
}
