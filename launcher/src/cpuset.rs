//! Sets of CPUs (or of NUMA nodes) by their numbers in the operating system.
//!
//! Owns the list syntax that taskset, Slurm and the kernel share (`0-7,16`) and the compact
//! byte form in which a rank's set travels at bootstrap. Knows nothing of cores: which CPUs
//! are siblings is the topology's business. Invariant: the last word is never zero, so that
//! equal sets are equal values.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Numbers at or above this are refused. Linux is built for at most 8,192 CPUs; the limit only
/// keeps a damaged list or blob from claiming memory.
pub const CPU_NUMBER_LIMIT: u32 = 1 << 16;

/// Why a list or a blob is not a set of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CpusetError {
    /// A part of the list is neither a number nor a range.
    #[error("`{part}` in the CPU list `{list}` is neither a number nor a range like 0-7")]
    NotANumber {
        /// The part between two commas.
        part: String,
        /// The whole list.
        list: String,
    },
    /// A range that runs backwards.
    #[error("the range `{part}` in the CPU list `{list}` runs backwards")]
    Backwards {
        /// The part between two commas.
        part: String,
        /// The whole list.
        list: String,
    },
    /// A number that no machine has.
    #[error("CPU number {number} is not below {CPU_NUMBER_LIMIT}")]
    TooLarge {
        /// The number.
        number: u64,
    },
    /// A byte form that ends early or names impossible numbers.
    #[error("the byte form of a CPU set is damaged")]
    Damaged,
}

/// A set of CPU numbers.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cpuset {
    words: Vec<u64>,
}

impl Cpuset {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one CPU. Numbers at or above [`CPU_NUMBER_LIMIT`] are ignored: no kernel reports
    /// them, and the parsers refuse them with an error before they come here.
    pub fn insert(&mut self, cpu: u32) {
        if cpu >= CPU_NUMBER_LIMIT {
            return;
        }
        let word = (cpu / 64) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (cpu % 64);
    }

    /// Whether the CPU is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        self.words.get((cpu / 64) as usize).is_some_and(|word| word >> (cpu % 64) & 1 == 1)
    }

    /// Whether no CPU is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many CPUs are in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(&word, at)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit)
        })
    }

    /// The lowest CPU.
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// The CPUs of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let len = self.words.len().max(other.words.len());
        Self { words: (0..len).map(|at| self.word(at) | other.word(at)).collect() }
    }

    /// The CPUs of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let len = self.words.len().min(other.words.len());
        Self { words: (0..len).map(|at| self.word(at) & other.word(at)).collect() }.trimmed()
    }

    /// The CPUs of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let len = self.words.len();
        Self { words: (0..len).map(|at| self.word(at) & !other.word(at)).collect() }.trimmed()
    }

    /// Whether the sets share no CPU.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(a, b)| a & b == 0)
    }

    /// Whether every CPU of this set is in the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    /// The set as 64-bit words, CPU 0 in the lowest bit of the first: the kernel's own form.
    pub fn as_words(&self) -> &[u64] {
        &self.words
    }

    /// A set from the kernel's form.
    pub fn from_words(words: &[u64]) -> Self {
        let len = words.len().min(CPU_NUMBER_LIMIT as usize / 64);
        Self { words: words[..len].to_vec() }.trimmed()
    }

    /// Appends the byte form: u16 number of runs, then per run u16 first CPU and u16 length
    /// minus one, little endian. The 128 CPUs of a whole node take 6 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let runs = self.runs();
        let number = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
        out.extend(number(runs.len() as u32));
        for (first, last) in runs {
            out.extend(number(first));
            out.extend(number(last - first));
        }
    }

    /// Reads the byte form from the front of `bytes` and moves past it.
    ///
    /// # Errors
    /// [`CpusetError::Damaged`] where the bytes end early or a run leaves the legal numbers.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, CpusetError> {
        let mut set = Self::new();
        let runs = take_u16(bytes)?;
        for _ in 0..runs {
            let first = u32::from(take_u16(bytes)?);
            let last = first + u32::from(take_u16(bytes)?);
            if last >= CPU_NUMBER_LIMIT {
                return Err(CpusetError::Damaged);
            }
            (first..=last).for_each(|cpu| set.insert(cpu));
        }
        Ok(set)
    }

    /// The runs of neighbouring CPUs, each as first and last.
    fn runs(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => runs.push((cpu, cpu)),
            }
        }
        runs
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    fn trimmed(mut self) -> Self {
        let len = self.words.iter().rposition(|&word| word != 0).map_or(0, |at| at + 1);
        self.words.truncate(len);
        self
    }
}

fn take_u16(bytes: &mut &[u8]) -> Result<u16, CpusetError> {
    let (head, rest) = bytes.split_first_chunk::<2>().ok_or(CpusetError::Damaged)?;
    *bytes = rest;
    Ok(u16::from_le_bytes(*head))
}

impl FromIterator<u32> for Cpuset {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut set = Self::new();
        cpus.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

impl fmt::Display for Cpuset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.runs().into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Cpuset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cpuset({self})")
    }
}

impl FromStr for Cpuset {
    type Err = CpusetError;

    /// Parses `0-7,16`. An empty string is the empty set, as in the kernel's files.
    fn from_str(list: &str) -> Result<Self, CpusetError> {
        let mut set = Self::new();
        let parts = list.trim().split(',').map(str::trim);
        for part in parts.filter(|_| !list.trim().is_empty()) {
            let fault = || CpusetError::NotANumber { part: part.to_owned(), list: list.to_owned() };
            let number = |text: &str| {
                if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(fault());
                }
                let number: u64 = text.parse().map_err(|_| fault())?;
                u32::try_from(number)
                    .ok()
                    .filter(|&cpu| cpu < CPU_NUMBER_LIMIT)
                    .ok_or(CpusetError::TooLarge { number })
            };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                let (part, list) = (part.to_owned(), list.to_owned());
                return Err(CpusetError::Backwards { part, list });
            }
            (first..=last).for_each(|cpu| set.insert(cpu));
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(list: &str) -> Cpuset {
        list.parse().unwrap()
    }

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        assert_eq!(set("0-7,16").to_string(), "0-7,16");
        assert_eq!(set(" 3,1,2,9 \n").to_string(), "1-3,9");
        assert_eq!(set("").to_string(), "");
        assert_eq!(set("0-7,16").count(), 9);
        assert_eq!(set("64").as_words(), &[0, 1]);
    }

    #[test]
    fn faults_in_lists_are_named() {
        let fault = |list: &str| list.parse::<Cpuset>().unwrap_err().to_string();
        assert!(fault("0,x").contains("`x`"));
        assert!(fault("0,,1").contains("``"));
        assert!(fault("+1").contains("`+1`"));
        assert!(fault("7-0").contains("backwards"));
        assert!(fault("0-4000000000").contains("4000000000"));
        assert!(fault("1-2-3").contains("`1-2-3`"));
    }

    #[test]
    fn a_whole_node_travels_in_six_bytes() {
        let mut bytes = Vec::new();
        set("0-127").encode(&mut bytes);
        assert_eq!(bytes, [1, 0, 0, 0, 127, 0]);
        assert_eq!(Cpuset::decode(&mut &bytes[..]).unwrap(), set("0-127"));
        assert_eq!(Cpuset::decode(&mut &bytes[..5]), Err(CpusetError::Damaged));
        assert_eq!(Cpuset::decode(&mut &[1, 0, 255, 255, 1, 0][..]), Err(CpusetError::Damaged));
    }

    proptest! {
        #[test]
        fn the_operations_are_those_of_sets(
            a in prop::collection::btree_set(0u32..300, 0..40),
            b in prop::collection::btree_set(0u32..300, 0..40),
        ) {
            let (x, y): (Cpuset, Cpuset) = (a.iter().copied().collect(), b.iter().copied().collect());
            let plain = |set: &Cpuset| set.iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(plain(&x.union(&y)), &a | &b);
            prop_assert_eq!(plain(&x.intersection(&y)), &a & &b);
            prop_assert_eq!(plain(&x.difference(&y)), &a - &b);
            prop_assert_eq!(x.is_disjoint(&y), a.is_disjoint(&b));
            prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
            prop_assert_eq!(x.count(), a.len());
            prop_assert_eq!(&x.to_string().parse::<Cpuset>().unwrap(), &x);
            prop_assert_eq!(&Cpuset::from_words(x.as_words()), &x);
            let mut bytes = Vec::new();
            x.encode(&mut bytes);
            prop_assert_eq!(Cpuset::decode(&mut &bytes[..]).unwrap(), x);
        }
    }
}
