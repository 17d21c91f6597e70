//! Order: `sort`, `argsort`, `topk`, `argtopk` along an axis.
//!
//! Lines along the last axis are taken as they stand; those along another axis are gathered, some
//! neighbours at a time, so that memory is read and written in whole cache lines. Threads share the
//! lines. `line` orders one of them, `key` says in which order.

mod key;
mod line;

use super::Context;
use super::array::{Output, View, axis_of};
use super::fault::Outcome;
use super::parallel;
use super::params::{Read, Reader};
use super::reduce::element::with_element;
use super::table::{Entry, Inputs, Operation, entry, of_one};
use super::widened;
use bytemuck::Pod;
use line::Sortable;
use rdask_store::{DType, Sealed};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("sort", Inputs::Exactly(1), &["axis"], |reader| order(reader, What::Sort)),
    entry("argsort", Inputs::Exactly(1), &["axis"], |reader| order(reader, What::ArgSort)),
    entry("topk", Inputs::Exactly(1), &["k", "axis"], |reader| order(reader, What::Top)),
    entry("argtopk", Inputs::Exactly(1), &["k", "axis"], |reader| order(reader, What::ArgTop)),
];

/// Elements that a thread gathers at once: they stay in the second-level cache.
const GATHERED: usize = 32 * 1024;

/// Most neighbouring lines that are gathered at once: a few cache lines.
const NEIGHBOURS: usize = 64;

/// Elements below which a thread costs more than it saves.
const LEAST_PART: usize = 16 * 1024;

fn order(reader: &Reader<'_>, what: What) -> Read<Operation> {
    let axis = match reader.integer("axis")? {
        None if reader.is_null("axis") => None,
        None => Some(-1),
        given => given,
    };
    let k = match what {
        What::Sort | What::ArgSort => None,
        What::Top | What::ArgTop => {
            let k = reader.need("k", reader.count("k")?)?;
            Some(usize::try_from(k).unwrap_or(usize::MAX))
        }
    };
    let order = Order { what, axis, k };
    Ok(of_one(move |context, input| order.run(context, input)))
}

/// What is computed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum What {
    Sort,
    ArgSort,
    Top,
    ArgTop,
}

/// `sort(axis = -1)`, `argsort(axis = -1)`, `topk(k, axis = -1)`, `argtopk(k, axis = -1)`; without
/// an axis of all elements.
#[derive(Debug)]
struct Order {
    what: What,
    axis: Option<i64>,
    k: Option<usize>,
}

impl Order {
    fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        widened::run(context, input, |input| self.order(context, input))
    }

    fn order(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Output> {
        let mut shape = match self.axis {
            // numpy's argsort of a 0-d array is one of length one, its sort refuses an axis.
            Some(_) if self.what == What::Sort || !input.shape.is_empty() => input.shape.clone(),
            _ => vec![input.len()],
        };
        let axis = axis_of(self.axis.unwrap_or(0), shape.len())?;
        let length = shape[axis];
        let inner = shape[axis + 1..].iter().product();
        let kept = self.k.map_or(length, |k| k.min(length));
        shape[axis] = kept;
        let indices = matches!(self.what, What::ArgSort | What::ArgTop);
        let dtype = if indices { DType::I64 } else { input.dtype };
        let mut output = Output::new(context, dtype, &shape)?;
        let lines = Lines { length, kept, inner, threads: context.threads };
        with_element!(input.dtype, T => {
            let source = input.elements::<T>();
            match self.what {
                What::Sort => lines.run(source, output.elements_mut(), sort_line::<T>)?,
                What::ArgSort => lines.run(source, output.elements_mut(), argsort_line::<T>)?,
                What::Top => lines.run(source, output.elements_mut(), top_line::<T>)?,
                What::ArgTop => lines.run(source, output.elements_mut(), argtop_line::<T>)?,
            }
        });
        Ok(output)
    }
}

/// Lines into lines, with memory that is used again.
type LineWork<T, R> = fn(&[T], &mut Room<T>, &mut [R]);

/// What a thread keeps from line to line.
struct Room<T: Sortable> {
    scratch: T::Scratch,
    places: Vec<i64>,
}

/// What a thread does to lines, and where.
struct Worker<T: Sortable, R> {
    work: LineWork<T, R>,
    room: Room<T>,
    /// Lines that are ordered, one behind the other.
    ordered: Vec<R>,
}

impl<T: Sortable, R> Worker<T, R> {
    fn new(work: LineWork<T, R>) -> Self {
        let room = Room { scratch: T::Scratch::default(), places: Vec::new() };
        Self { work, room, ordered: Vec::new() }
    }
}

fn sort_line<T: Sortable>(line: &[T], room: &mut Room<T>, out: &mut [T]) {
    out.copy_from_slice(line);
    T::sort(out, &mut room.scratch);
}

fn argsort_line<T: Sortable>(line: &[T], room: &mut Room<T>, out: &mut [i64]) {
    T::argsort(line, &mut room.scratch, out);
}

fn argtop_line<T: Sortable>(line: &[T], room: &mut Room<T>, out: &mut [i64]) {
    T::argtop(line, &mut room.scratch, out);
}

fn top_line<T: Sortable>(line: &[T], room: &mut Room<T>, out: &mut [T]) {
    room.places.resize(out.len(), 0);
    T::argtop(line, &mut room.scratch, &mut room.places);
    for (out, place) in out.iter_mut().zip(&room.places) {
        *out = line[*place as usize];
    }
}

/// Lines of `length` elements, `inner` apart, that become lines of `kept` elements.
struct Lines {
    length: usize,
    kept: usize,
    inner: usize,
    threads: u32,
}

impl Lines {
    fn run<T: Sortable, R: Pod + Send>(
        &self,
        source: &[T],
        out: &mut [R],
        work: LineWork<T, R>,
    ) -> Outcome<()> {
        if out.is_empty() {
            return Ok(());
        }
        let (read, written) = (self.length * self.inner, self.kept * self.inner);
        let blocks = source.chunks_exact(read);
        if blocks.len() >= self.threads as usize || self.inner == 1 {
            let least = LEAST_PART.div_ceil(read);
            let mut rest = out;
            let mut jobs: Vec<parallel::Job<'_>> = Vec::new();
            for part in parallel::split(blocks.len(), self.threads, least, 1) {
                let (out, behind) = rest.split_at_mut(part.len() * written);
                rest = behind;
                let source = &source[part.start * read..part.end * read];
                jobs.push(Box::new(move || {
                    let mut worker = Worker::new(work);
                    let outs = out.chunks_exact_mut(written);
                    for (block, out) in source.chunks_exact(read).zip(outs) {
                        self.block(block, &mut worker, out);
                    }
                    Ok(())
                }));
            }
            return parallel::all(jobs);
        }
        for (block, out) in blocks.zip(out.chunks_exact_mut(written)) {
            self.shared_block(block, out, work)?;
        }
        Ok(())
    }

    /// One block of `[length, inner]`.
    fn block<T: Sortable, R: Pod>(&self, block: &[T], worker: &mut Worker<T, R>, out: &mut [R]) {
        if self.inner == 1 {
            (worker.work)(block, &mut worker.room, out);
            return;
        }
        let together = self.together();
        for first in (0..self.inner).step_by(together) {
            let count = together.min(self.inner - first);
            self.columns(block, first..first + count, worker);
            scatter(&worker.ordered, self.kept, self.inner, first, out);
        }
    }

    /// Lines that are gathered at once.
    fn together(&self) -> usize {
        (GATHERED / self.length).clamp(8, NEIGHBOURS)
    }

    /// Orders some columns of a block, one behind the other.
    fn columns<T: Sortable, R: Pod>(
        &self,
        block: &[T],
        columns: std::ops::Range<usize>,
        worker: &mut Worker<T, R>,
    ) {
        let Worker { work, room, ordered } = worker;
        let count = columns.len();
        let mut gathered = vec![T::zeroed(); count * self.length];
        for (index, row) in block.chunks_exact(self.inner).enumerate() {
            for (column, x) in row[columns.clone()].iter().enumerate() {
                gathered[column * self.length + index] = *x;
            }
        }
        ordered.resize(count * self.kept, R::zeroed());
        let lines = gathered.chunks_exact(self.length);
        for (line, out) in lines.zip(ordered.chunks_exact_mut(self.kept)) {
            work(line, room, out);
        }
    }

    /// Threads order the columns of one block, the caller writes them.
    fn shared_block<T: Sortable, R: Pod + Send>(
        &self,
        block: &[T],
        out: &mut [R],
        work: LineWork<T, R>,
    ) -> Outcome<()> {
        let least = LEAST_PART.div_ceil(self.length).max(8);
        let parts = parallel::split(self.inner, self.threads, least, 8);
        let mut results: Vec<Vec<R>> = parts.iter().map(|_| Vec::new()).collect();
        let mut jobs: Vec<parallel::Job<'_>> = Vec::new();
        for (part, result) in parts.iter().zip(&mut results) {
            jobs.push(Box::new(move || {
                let mut worker = Worker::new(work);
                for first in part.clone().step_by(self.together()) {
                    let last = (first + self.together()).min(part.end);
                    self.columns(block, first..last, &mut worker);
                    result.extend_from_slice(&worker.ordered);
                }
                Ok(())
            }));
        }
        parallel::all(jobs)?;
        for (part, result) in parts.iter().zip(&results) {
            scatter(result, self.kept, self.inner, part.start, out);
        }
        Ok(())
    }
}

/// Writes lines of `kept` elements as the columns from `first` on of rows of `width`.
fn scatter<R: Pod>(lines: &[R], kept: usize, width: usize, first: usize, out: &mut [R]) {
    let count = lines.len() / kept;
    for (index, row) in out.chunks_exact_mut(width).enumerate() {
        for (column, out) in row[first..first + count].iter_mut().enumerate() {
            *out = lines[column * kept + index];
        }
    }
}
