//! Task Bench's patterns (Slaughter et al., 2020): a row of points for each step, each of which
//! reads some points of the step before.
//!
//! What a point reads follows the definitions of the paper and its program, clipped to the points
//! that the step before has. Reads are a set: a point is read once.

use super::GenerateError;
use super::knobs::{Knob, MILLION};
use super::plan::{Plan, check_output};
use super::tiles::{map, random};
use super::weaver::{MOST_BYTES, Weaver};
use crate::{RunSpec, TaskHandle};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Durations that an uneven graph has: so many and no more, since each is a run spec of its own.
const LEVELS: u64 = 64;

/// The points that (t, p) reads, before they are clipped; any number of times, in any order.
trait Reads: Fn(&Shape, u64, u64, &mut Vec<u64>) {}
impl<F: Fn(&Shape, u64, u64, &mut Vec<u64>)> Reads for F {}

/// What a pattern is besides what its points read.
struct Pattern {
    /// Begins every key.
    name: &'static str,
    active: fn(&Shape, u64) -> (u64, u64),
    /// At most so many reads of a point.
    degree: u64,
}

/// A pattern with every point in every step.
const fn full(name: &'static str, degree: u64) -> Pattern {
    Pattern { name, active: all, degree }
}

/// Sizes of a pattern.
struct Shape {
    width: u64,
    steps: u64,
    radix: u64,
    period: u64,
    /// First point and number of points of a step.
    active: fn(&Self, u64) -> (u64, u64),
}

/// Every point in every step.
const fn all(shape: &Shape, _step: u64) -> (u64, u64) {
    (0, shape.width)
}

pub(super) fn trivial(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    build(plan, weaver, &full("trivial", 0), |_, _, _, _| {})
}

pub(super) fn no_comm(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    build(plan, weaver, &full("no-comm", 1), |_, _, p, reads| reads.push(p))
}

pub(super) fn stencil_1d(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    build(plan, weaver, &full("stencil", 3), |_, _, p, reads| {
        reads.extend(p.saturating_sub(1)..=p + 1);
    })
}

pub(super) fn stencil_1d_periodic(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    build(plan, weaver, &full("periodic", 3), |shape, _, p, reads| {
        let width = shape.width;
        reads.extend([(p + width - 1) % width, p, (p + 1) % width]);
    })
}

pub(super) fn fft(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    build(plan, weaver, &full("fft", 3), |shape, t, p, reads| {
        let rounds = u64::from(shape.width.next_power_of_two().trailing_zeros());
        let far = 1 << (t - 1).checked_rem(rounds).unwrap_or(0);
        reads.extend(p.checked_sub(far));
        reads.extend([p, p + far]);
    })
}

pub(super) fn nearest(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let radix = plan.knobs[Knob::Radix];
    build(plan, weaver, &full("nearest", radix), |shape, _, p, reads| {
        reads.extend(neighbours(shape.radix, p).take_while(|q| *q < shape.width));
    })
}

pub(super) fn spread(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let radix = plan.knobs[Knob::Radix];
    build(plan, weaver, &full("spread", radix), |shape, t, p, reads| {
        let turn = t % shape.period;
        reads.extend((0..shape.radix).map(|i| {
            let shift = if i == 0 { 0 } else { turn };
            (p + i * shape.width / shape.radix + shift) % shape.width
        }));
    })
}

pub(super) fn random_nearest(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let (radix, fraction, seed) = (plan.knobs[Knob::Radix], plan.knobs[Knob::Fraction], plan.seed);
    build(plan, weaver, &full("random", radix), |shape, t, p, reads| {
        let turn = t % shape.period;
        let near = neighbours(shape.radix, p).take_while(|q| *q < shape.width);
        reads.extend(near.filter(|q| {
            let chance = u128::from(hash(seed, [shape.radix, turn, *q, p])) * u128::from(MILLION);
            *q == p || (chance >> 64) < u128::from(fraction)
        }));
    })
}

pub(super) fn all_to_all(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let width = plan.knobs[Knob::Width];
    build(plan, weaver, &full("all", width), |shape, _, _, reads| reads.extend(0..shape.width))
}

pub(super) fn dom(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let diagonal = |shape: &Shape, t: u64| {
        let width = shape.width.min(t + 1).min(shape.steps - t);
        ((t + shape.width).saturating_sub(shape.steps), width)
    };
    build(plan, weaver, &Pattern { name: "dom", active: diagonal, degree: 2 }, |_, _, p, reads| {
        reads.extend(p.saturating_sub(1)..=p);
    })
}

pub(super) fn tree(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let growing = |shape: &Shape, t: u64| {
        let points = u32::try_from(t).ok().and_then(|t| 1_u64.checked_shl(t));
        (0, points.map_or(shape.width, |points| points.min(shape.width)))
    };
    build(plan, weaver, &Pattern { name: "tree", active: growing, degree: 1 }, |_, _, p, reads| {
        reads.push(p / 2);
    })
}

/// The interval of the k nearest points, not clipped at its upper end; without k it is empty.
fn neighbours(radix: u64, p: u64) -> std::ops::Range<u64> {
    if radix == 0 {
        return 0..0;
    }
    p.saturating_sub(radix / 2)..p + (radix - 1) / 2 + 1
}

/// A number from 0 to 2^64 − 1 that depends on all words.
fn hash(seed: u64, words: [u64; 4]) -> u64 {
    xxh3_64_with_seed(words.map(u64::to_le_bytes).as_flattened(), seed)
}

/// Builds `--graphs` patterns side by side.
fn build(
    plan: &Plan,
    weaver: &mut Weaver,
    pattern: &Pattern,
    reads: impl Reads,
) -> Result<(), GenerateError> {
    let shape = Shape {
        width: plan.knobs[Knob::Width],
        steps: plan.knobs[Knob::Steps],
        radix: plan.knobs[Knob::Radix],
        period: plan.knobs[Knob::Period],
        active: pattern.active,
    };
    let graphs = plan.knobs[Knob::Graphs];
    let tasks = u128::from(shape.width) * u128::from(shape.steps) * u128::from(graphs);
    weaver.expect(tasks, tasks.saturating_mul(pattern.degree.into()))?;
    let work = PointWork::new(plan)?;
    for graph in 0..graphs {
        let name = pattern.name;
        let name = if graphs == 1 { name.to_owned() } else { format!("{name}-g{graph}") };
        weave(weaver, &shape, &name, &reads, |t, p, inputs| work.of(graph, t, p, inputs));
    }
    Ok(())
}

fn weave(
    weaver: &mut Weaver,
    shape: &Shape,
    name: &str,
    reads: &impl Reads,
    work: impl Fn(u64, u64, usize) -> RunSpec,
) {
    let mut before: (u64, Vec<TaskHandle>) = (0, Vec::new());
    let (mut read, mut inputs) = (Vec::new(), Vec::new());
    // The last point that read this one, so that it is read once by each.
    let mut reader = vec![u64::MAX; shape.width as usize];
    for t in 0..shape.steps {
        let (offset, width) = (shape.active)(shape, t);
        reader.fill(u64::MAX);
        let mut row = Vec::with_capacity(width as usize);
        for p in offset..offset + width {
            inputs.clear();
            read.clear();
            if t > 0 {
                reads(shape, t, p, &mut read);
            }
            for q in &read {
                let place = q.checked_sub(before.0).and_then(|at| before.1.get(at as usize));
                let Some(task) = place else { continue };
                if std::mem::replace(&mut reader[*q as usize], p) != p {
                    inputs.push(*task);
                }
            }
            row.push(weaver.add(
                format_args!("{name}-{t}-{p}"),
                &work(t, p, inputs.len()),
                &inputs,
            ));
        }
        before = (offset, row);
    }
}

/// The work of a point.
enum PointWork {
    /// The same for all.
    Even(RunSpec),
    /// By level; which level a point has follows from a hash.
    Uneven { levels: Vec<RunSpec>, seed: u64 },
    /// Means of what is read; the first step is random.
    Real { first: Vec<RunSpec>, means: Vec<RunSpec> },
}

impl PointWork {
    fn new(plan: &Plan) -> Result<Self, GenerateError> {
        if plan.real {
            return Self::real(plan);
        }
        let imbalance = plan.knobs[Knob::Imbalance];
        if imbalance == 0 {
            return Ok(Self::Even(plan.work()));
        }
        let uneven = imbalance as f64 / MILLION as f64;
        let level = |level| {
            let part = (level as f64 + 0.5) / LEVELS as f64;
            plan.work_of(plan.bytes, plan.us * (1.0 - uneven + uneven * part))
        };
        Ok(Self::Uneven { levels: (0..LEVELS).map(level).collect(), seed: plan.seed })
    }

    /// A point is an array of numbers; each step it becomes the mean of those that it reads.
    fn real(plan: &Plan) -> Result<Self, GenerateError> {
        if plan.bytes == 0 || !plan.bytes.is_multiple_of(8) || plan.bytes > MOST_BYTES {
            let what = format!("--bytes {}", plan.bytes);
            return Err(GenerateError::Uneven { what, of: "8, the size of an f64".to_owned() });
        }
        for knob in [Knob::Imbalance, Knob::Graphs] {
            let (plain, value) = (u64::from(knob == Knob::Graphs), plan.knobs[knob]);
            if value != plain {
                let range = format!("{plain} to {plain} with --real");
                let value = value.to_string();
                return Err(GenerateError::OutOfRange { option: knob.name(), value, range });
            }
        }
        let numbers = plan.bytes / 8;
        check_output(1, numbers)?;
        let first = (0..plan.knobs[Knob::Width]).map(|p| random(plan, p, [1, numbers])).collect();
        Ok(Self::Real { first, means: ["a", "(a + b) / 2", "(a + b + c) / 3"].map(map).to_vec() })
    }

    fn of(&self, graph: u64, t: u64, p: u64, inputs: usize) -> RunSpec {
        match self {
            Self::Even(spec) => spec.clone(),
            Self::Uneven { levels, seed } => {
                let level = u128::from(hash(*seed, [u64::MAX, graph, t, p])) * u128::from(LEVELS);
                levels[(level >> 64) as usize].clone()
            }
            Self::Real { first, means } => {
                if t == 0 {
                    first[p as usize].clone()
                } else {
                    means[inputs - 1].clone()
                }
            }
        }
    }
}
