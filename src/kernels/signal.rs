//! `fft`: the discrete Fourier transform along one axis, by `rustfft`.
//!
//! Transforms go in groups of a fixed number of rows or columns, since a library may compute
//! neighbours together: so the number of threads changes no bit. Last bits may differ between kinds
//! of CPU.

use super::Context;
use super::array::{Output, View, axis_of};
use super::cast::cast;
use super::fault::{Outcome, value_error};
use super::numeric::numeric;
use super::parallel;
use super::params::{Read, Reader};
use super::table::{Entry, Inputs, entry, of_one};
use bytemuck::Pod;
use ndarray::{ArrayViewMut2, ArrayViewMut3, Axis};
use num_complex::Complex;
use rdask_store::{DType, Sealed};
use rustfft::{Fft as Transform, FftDirection, FftNum, FftPlanner};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] =
    &[entry("fft", Inputs::Exactly(1), &["axis", "inverse"], |reader| {
        let fft = Fft::parse(reader)?;
        Ok(numeric("fft", of_one(move |context, input| fft.run(context, input))))
    })];

/// Transforms that are computed in one call.
const GROUP: usize = 16;

/// `fft(axis = -1, inverse = false)`; the inverse is divided by the length.
#[derive(Debug)]
struct Fft {
    axis: i64,
    direction: FftDirection,
}

impl Fft {
    fn parse(reader: &Reader<'_>) -> Read<Self> {
        let inverse = reader.flag("inverse")?.unwrap_or(false);
        let direction = if inverse { FftDirection::Inverse } else { FftDirection::Forward };
        Ok(Self { axis: reader.integer("axis")?.unwrap_or(-1), direction })
    }

    fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let axis = axis_of(self.axis, input.shape.len())?;
        let length = input.shape[axis];
        if length == 0 {
            return Err(value_error("Invalid number of FFT data points (0) specified."));
        }
        let single = matches!(input.dtype, DType::F32 | DType::C64);
        let dtype = if single { DType::C64 } else { DType::C128 };
        let mut output = Output::new(context, dtype, &input.shape)?;
        if output.bytes_mut().is_empty() {
            return output.seal();
        }
        let shape = [
            input.shape[..axis].iter().product(),
            length,
            input.shape[axis + 1..].iter().product(),
        ];
        if single {
            let scale = if self.inverts() { 1.0 / length as f32 } else { 1.0 };
            let plan = plan(&SINGLE, length, self.direction);
            Job { plan, scale, threads: context.threads }.run(input, shape, &mut output)?;
        } else {
            let scale = if self.inverts() { 1.0 / length as f64 } else { 1.0 };
            let plan = plan(&DOUBLE, length, self.direction);
            Job { plan, scale, threads: context.threads }.run(input, shape, &mut output)?;
        }
        output.seal()
    }

    fn inverts(&self) -> bool {
        self.direction == FftDirection::Inverse
    }
}

/// Plans are kept for so many lengths; then all are forgotten.
const KEPT_PLANS: usize = 64;

/// Makes plans and keeps them.
struct Planner<T: FftNum> {
    planner: FftPlanner<T>,
    made: usize,
}

static SINGLE: LazyLock<Mutex<Planner<f32>>> = LazyLock::new(Planner::locked);
static DOUBLE: LazyLock<Mutex<Planner<f64>>> = LazyLock::new(Planner::locked);

impl<T: FftNum> Planner<T> {
    fn locked() -> Mutex<Self> {
        Mutex::new(Self { planner: FftPlanner::new(), made: 0 })
    }
}

fn plan<T: FftNum>(
    planner: &Mutex<Planner<T>>,
    length: usize,
    direction: FftDirection,
) -> Arc<dyn Transform<T>> {
    let mut planner = planner.lock().unwrap_or_else(PoisonError::into_inner);
    planner.made += 1;
    if planner.made > KEPT_PLANS {
        *planner = Planner { planner: FftPlanner::new(), made: 1 };
    }
    planner.planner.plan_fft(length, direction)
}

/// Transforms of one length along the middle axis.
struct Job<T: FftNum> {
    plan: Arc<dyn Transform<T>>,
    scale: T,
    threads: u32,
}

impl<T: FftNum + Pod> Job<T>
where
    Complex<T>: Pod,
{
    fn run(&self, input: &View<'_>, shape: [usize; 3], output: &mut Output) -> Outcome<()> {
        let dtype = if size_of::<T>() == 4 { DType::C64 } else { DType::C128 };
        if shape[2] == 1 {
            return self.along_rows(input, dtype, shape[1], output);
        }
        let out = output.elements_mut::<Complex<T>>();
        cast_all(self.threads, input, dtype, out)?;
        self.along_columns(shape, out)
    }

    /// The axis is the last one: each row is a transform, in place.
    fn along_rows(
        &self,
        input: &View<'_>,
        dtype: DType,
        length: usize,
        output: &mut Output,
    ) -> Outcome<()> {
        let group = length.saturating_mul(GROUP);
        let size = input.dtype.size();
        let out = output.elements_mut::<Complex<T>>();
        parallel::rows(out, group, self.threads, |start, rows| {
            let mut scratch = self.scratch();
            let mut source = &input.bytes[start * group * size..];
            for rows in rows.chunks_mut(group) {
                let (from, rest) = source.split_at(rows.len() * size);
                source = rest;
                cast(input.dtype, from, dtype, bytemuck::cast_slice_mut(rows));
                self.transform(rows, &mut scratch);
            }
            Ok(())
        })
    }

    fn along_columns(&self, shape: [usize; 3], out: &mut [Complex<T>]) -> Outcome<()> {
        let whole = "the output has as many elements as the shape";
        let all = ArrayViewMut3::from_shape(shape, out).expect(whole);
        let mut groups = Vec::new();
        let mut rest = all;
        while rest.len_of(Axis(0)) > 0 {
            let (plane, below) = rest.split_at(Axis(0), 1);
            let mut plane = plane.index_axis_move(Axis(0), 0);
            while plane.ncols() > GROUP {
                let (group, right) = plane.split_at(Axis(1), GROUP);
                groups.push(group);
                plane = right;
            }
            groups.push(plane);
            rest = below;
        }
        let bytes = shape[1].saturating_mul(GROUP * size_of::<Complex<T>>());
        let least = parallel::LEAST_PART_BYTES.div_ceil(bytes);
        let parts = parallel::split(groups.len(), self.threads, least, 1);
        let mut groups = groups.into_iter();
        let pieces: Vec<Vec<_>> =
            parts.iter().map(|part| groups.by_ref().take(part.len()).collect()).collect();
        parallel::each(pieces, |groups| {
            let mut scratch = self.scratch();
            let mut lines = vec![Complex::new(T::zero(), T::zero()); shape[1] * GROUP];
            for group in groups {
                self.columns(group, &mut lines, &mut scratch);
            }
            Ok(())
        })
    }

    /// Transforms neighbouring columns by way of rows.
    fn columns(
        &self,
        mut group: ArrayViewMut2<'_, Complex<T>>,
        lines: &mut [Complex<T>],
        scratch: &mut [Complex<T>],
    ) {
        let (length, width) = group.dim();
        let lines = &mut lines[..length * width];
        for (at, row) in group.rows().into_iter().enumerate() {
            for (line, value) in lines[at..].iter_mut().step_by(length).zip(row) {
                *line = *value;
            }
        }
        self.transform(lines, scratch);
        for (at, row) in group.rows_mut().into_iter().enumerate() {
            for (value, line) in row.into_iter().zip(lines[at..].iter().step_by(length)) {
                *value = *line;
            }
        }
    }

    fn scratch(&self) -> Vec<Complex<T>> {
        vec![Complex::new(T::zero(), T::zero()); self.plan.get_inplace_scratch_len()]
    }

    fn transform(&self, rows: &mut [Complex<T>], scratch: &mut [Complex<T>]) {
        self.plan.process_with_scratch(rows, scratch);
        if self.scale != T::one() {
            for value in rows {
                *value = Complex::new(value.re * self.scale, value.im * self.scale);
            }
        }
    }
}

/// Converts the input into the output.
fn cast_all<T: Pod + Send>(
    threads: u32,
    input: &View<'_>,
    dtype: DType,
    out: &mut [T],
) -> Outcome<()> {
    let size = input.dtype.size();
    parallel::rows(out, 1, threads, |start, part| {
        let source = &input.bytes[start * size..][..part.len() * size];
        cast(input.dtype, source, dtype, bytemuck::cast_slice_mut(part));
        Ok(())
    })
}
