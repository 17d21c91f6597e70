//! `random`: arrays of pseudo-random numbers, the same on every machine.
//!
//! Element `i` uses word `i mod 4` of Philox block `i / 4` under the key (seed, 0):
//!
//! - uniform: the top 53 bits (f32: 24) times 2^-53 (2^-24), scaled to `[low, high)`.
//! - normal: elements `2k` and `2k + 1` share their two words `v`, `w` by Box and Muller:
//!   `r = sqrt(-2 ln(1 - u(v)))`, `θ = 2π u(w)`; they are `r cos θ` and `r sin θ`, computed in f64.
//! - integers: Lemire's method; a word that it rejects is replaced by word `i mod 4` of block
//!   `(i / 4, 1, 0, 0)`, then `(i / 4, 2, 0, 0)`, and so on, so no element depends on another.

use super::Context;
use super::array::Output;
use super::fault::Outcome;
use super::params::{Read, Reader};
use super::philox::{LANES, block, blocks, lanes};
use super::promotion::{Kind, kind_of};
use super::scalar::{Number, bounds};
use super::simd::{self, Level};
use super::table::{Entry, Inputs, entry, without_inputs};
use rdask_store::{DType, Sealed};

const PARAMETERS: &[&str] = &["shape", "dtype", "seed", "distribution", "low", "high"];

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[entry("random", Inputs::Exactly(0), PARAMETERS, |reader| {
    let random = Random::parse(reader)?;
    Ok(without_inputs(move |context| random.run(context)))
})];

#[derive(Clone, Copy, Debug)]
enum Distribution {
    /// From `low`, `width` wide.
    Uniform { low: f64, width: f64 },
    /// Mean 0, variance 1.
    Normal,
    /// `count` integers from `low` on; a count of 0 stands for 2^64.
    Integers { low: i128, count: u64 },
}

/// `random(shape, dtype, seed, distribution = "uniform", low?, high?)`.
#[derive(Debug)]
pub(super) struct Random {
    shape: Vec<usize>,
    dtype: DType,
    seed: u64,
    distribution: Distribution,
}

impl Random {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let shape = reader.need("shape", reader.shape("shape")?)?;
        let dtype = reader.need("dtype", reader.dtype("dtype")?)?;
        let seed = reader.need("seed", reader.count("seed")?)?;
        reader.check_size("shape", dtype, &shape)?;
        let integers = matches!(kind_of(dtype), Kind::Signed | Kind::Unsigned);
        if !integers && !matches!(dtype, DType::F32 | DType::F64) {
            let problem = format!("random makes f32, f64 and integers, not {}", dtype.name());
            return Err(reader.bad("dtype", problem));
        }
        let default = if integers { "integers" } else { "uniform" };
        let name = reader.string("distribution")?.unwrap_or(default);
        let distribution = match name {
            "uniform" | "normal" if integers => {
                let problem = format!("'{name}' makes f32 or f64, not {}", dtype.name());
                return Err(reader.bad("distribution", problem));
            }
            "integers" if !integers => {
                let problem = format!("'integers' makes integers, not {}", dtype.name());
                return Err(reader.bad("distribution", problem));
            }
            "uniform" => Self::uniform(reader)?,
            "normal" => {
                if let Some(name) = ["low", "high"].iter().find(|name| reader.value(name).is_some())
                {
                    return Err(reader.bad(name, "has no meaning for 'normal'"));
                }
                Distribution::Normal
            }
            "integers" => Self::integers(reader, dtype)?,
            other => {
                let problem = format!("unknown '{other}'; known are uniform, normal, integers");
                return Err(reader.bad("distribution", problem));
            }
        };
        Ok(Self { shape, dtype, seed, distribution })
    }

    fn uniform(reader: &Reader<'_>) -> Read<Distribution> {
        let bound = |name: &str, default: f64| match reader.number(name)? {
            None => Ok(default),
            Some(Number::Int(value)) => Ok(value as f64),
            Some(Number::Float(value)) if value.is_finite() => Ok(value),
            Some(other) => Err(reader.bad(name, format!("{other} is not a finite real number"))),
        };
        let (low, high) = (bound("low", 0.0)?, bound("high", 1.0)?);
        let width = high - low;
        if width < 0.0 || !width.is_finite() {
            return Err(reader.bad("high", format!("{high:?} is no bound above {low:?}")));
        }
        Ok(Distribution::Uniform { low, width })
    }

    fn integers(reader: &Reader<'_>, dtype: DType) -> Read<Distribution> {
        let bound = |name: &str| match reader.number(name)? {
            None => Ok(None),
            Some(Number::Int(value)) => Ok(Some(value)),
            Some(other) => Err(reader.bad(name, format!("{other} is not an integer"))),
        };
        let low = bound("low")?.unwrap_or(0);
        let high = reader.need("high", bound("high")?)?;
        let (least, greatest) = bounds(dtype);
        if low < least || high > greatest + 1 {
            let name = if low < least { "low" } else { "high" };
            let problem = format!("[{low}, {high}) is out of bounds for {}", dtype.numpy_name());
            return Err(reader.bad(name, problem));
        }
        if low >= high {
            return Err(reader.bad("high", format!("low {low} is not below high {high}")));
        }
        Ok(Distribution::Integers { low, count: (high - low) as u64 })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let mut output = Output::new(context, self.dtype, &self.shape)?;
        match self.dtype {
            DType::F64 => self.fill_f64(output.elements_mut()),
            DType::F32 => self.fill_f32(output.elements_mut()),
            dtype => self.fill_integers(output.bytes_mut(), dtype.size()),
        }
        output.seal()
    }

    fn words(&self, number: usize) -> [u64; 4] {
        block([self.seed, 0], [number as u64, 0, 0, 0])
    }

    fn fill_f64(&self, out: &mut [f64]) {
        let key = [self.seed, 0];
        match self.distribution {
            Distribution::Uniform { low, width } => {
                fill_words(Level::best(), key, out, |word| low + width * unit(word));
            }
            Distribution::Normal | Distribution::Integers { .. } => {
                fill_blocks(key, 0, out, normals);
            }
        }
    }

    fn fill_f32(&self, out: &mut [f32]) {
        let key = [self.seed, 0];
        match self.distribution {
            Distribution::Uniform { low, width } => {
                let (low, width) = (low as f32, width as f32);
                fill_words(Level::best(), key, out, |word| {
                    low + width * ((word >> 40) as f32 * (1.0 / 16_777_216.0))
                });
            }
            Distribution::Normal | Distribution::Integers { .. } => {
                fill_blocks(key, 0, out, |words| normals(words).map(|value| value as f32));
            }
        }
    }

    fn fill_integers(&self, out: &mut [u8], size: usize) {
        let Distribution::Integers { low, count } = self.distribution else { return };
        for (number, chunk) in out.chunks_mut(4 * size).enumerate() {
            let words = self.words(number);
            for (lane, element) in chunk.chunks_exact_mut(size).enumerate() {
                let value = low + i128::from(self.below(count, words[lane], number, lane));
                element.copy_from_slice(&value.to_le_bytes()[..size]);
            }
        }
    }

    /// An integer below `count`, every one as probable.
    fn below(&self, count: u64, word: u64, number: usize, lane: usize) -> u64 {
        if count == 0 {
            return word;
        }
        let mut product = u128::from(word) * u128::from(count);
        if (product as u64) < count {
            let threshold = count.wrapping_neg() % count;
            let mut attempt = 0;
            while (product as u64) < threshold {
                attempt += 1;
                let words = block([self.seed, 0], [number as u64, attempt, 0, 0]);
                product = u128::from(words[lane]) * u128::from(count);
            }
        }
        (product >> 64) as u64
    }
}

/// Fills `out` with what `value` makes of each word in turn.
pub(super) fn fill_words<T: Copy>(
    level: Level,
    key: [u64; 2],
    out: &mut [T],
    value: impl Fn(u64) -> T,
) {
    match level {
        Level::Avx512 => simd::run(level, Words::<_, _, true> { key, out, value }),
        _ => simd::run(level, Words::<_, _, false> { key, out, value }),
    }
}

struct Words<'a, T, F, const WIDE: bool> {
    key: [u64; 2],
    out: &'a mut [T],
    value: F,
}

impl<T: Copy, F: Fn(u64) -> T, const WIDE: bool> simd::Loop for Words<'_, T, F, WIDE> {
    #[inline(always)]
    fn run(self) {
        let Self { key, out, value } = self;
        let (groups, rest) =
            if WIDE { out.as_chunks_mut::<{ 4 * LANES }>() } else { (&mut [][..], out) };
        let mut first = 0_u64;
        for group in groups {
            let words = lanes(key, first);
            for lane in 0..LANES {
                for (place, word) in words.iter().enumerate() {
                    group[4 * lane + place] = value(word[lane]);
                }
            }
            first = first.wrapping_add(LANES as u64);
        }
        fill_blocks(key, first, rest, |words| words.map(&value));
    }
}

/// Fills `out` with what `values` makes of the words of each block from `first` on.
#[inline(always)]
fn fill_blocks<T: Copy>(
    key: [u64; 2],
    first: u64,
    out: &mut [T],
    values: impl Fn([u64; 4]) -> [T; 4],
) {
    let mut number = first;
    let (chunks, rest) = out.as_chunks_mut::<4>();
    let (pairs, last) = chunks.as_chunks_mut::<2>();
    for pair in pairs {
        let counters = [[number, 0, 0, 0], [number.wrapping_add(1), 0, 0, 0]];
        for (chunk, words) in pair.iter_mut().zip(blocks(key, counters)) {
            *chunk = values(words);
        }
        number = number.wrapping_add(2);
    }
    let last = last.iter_mut().map(<[T; 4]>::as_mut_slice).chain([rest]);
    for chunk in last {
        let [words] = blocks(key, [[number, 0, 0, 0]]);
        let values = values(words);
        chunk.copy_from_slice(&values[..chunk.len()]);
        number = number.wrapping_add(1);
    }
}

/// A float from `[0, 1)`: the top 53 bits.
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

fn normals(words: [u64; 4]) -> [f64; 4] {
    let pair = |first: u64, second: u64| {
        let radius = (-2.0 * libm::log(1.0 - unit(first))).sqrt();
        let angle = 2.0 * std::f64::consts::PI * unit(second);
        (radius * libm::cos(angle), radius * libm::sin(angle))
    };
    let (a, b) = pair(words[0], words[1]);
    let (c, d) = pair(words[2], words[3]);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_and_length_has_the_words_of_the_blocks() {
        for len in [0, 1, 3, 4, 7, 8, 9, 63, 64, 65, 200, 1003] {
            let key = [42, 0];
            let expected: Vec<u64> =
                (0..len).map(|index| block(key, [index as u64 / 4, 0, 0, 0])[index % 4]).collect();
            for level in Level::available() {
                let mut words = vec![0; len];
                fill_words(level, key, &mut words, |word| word);
                assert_eq!(words, expected, "{level:?}");
            }
        }
    }
}
