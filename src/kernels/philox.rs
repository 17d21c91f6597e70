//! Philox4x64-10, the counter-based generator of Salmon and others (2011).
//!
//! Block `n` depends on the key and `n` alone, so any element of a random array is computed without
//! the ones before it, on any machine.

const MULTIPLIERS: [u64; 2] = [0xD2E7_470E_E14C_6C93, 0xCA5A_8263_9512_1157];
const WEYL: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xBB67_AE85_84CA_A73B];
const ROUNDS: usize = 10;

/// The four words of a counter under a key.
pub(super) fn block(key: [u64; 2], counter: [u64; 4]) -> [u64; 4] {
    let [words] = blocks(key, [counter]);
    words
}

/// The words of several counters. The rounds of one block wait for each other, so two blocks side
/// by side take little longer than one.
#[inline(always)]
pub(super) fn blocks<const N: usize>(key: [u64; 2], counters: [[u64; 4]; N]) -> [[u64; 4]; N] {
    let mut key = key;
    let mut states = counters;
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        for state in &mut states {
            let first = u128::from(MULTIPLIERS[0]) * u128::from(state[0]);
            let second = u128::from(MULTIPLIERS[1]) * u128::from(state[2]);
            *state = [
                (second >> 64) as u64 ^ state[1] ^ key[0],
                second as u64,
                (first >> 64) as u64 ^ state[3] ^ key[1],
                first as u64,
            ];
        }
    }
    states
}

/// Blocks that `lanes` computes at once.
pub(super) const LANES: usize = 16;

/// The words of the blocks `first` to `first + LANES - 1`, word by word. Written in products of 32
/// bits, which vector instructions have; faster than `blocks` where these are 64 bytes wide.
#[inline(always)]
pub(super) fn lanes(key: [u64; 2], first: u64) -> [[u64; LANES]; 4] {
    let mut key = key;
    let mut state = [[0; LANES]; 4];
    state[0] = std::array::from_fn(|lane| first.wrapping_add(lane as u64));
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let mut next = [[0; LANES]; 4];
        for lane in 0..LANES {
            let first = product(MULTIPLIERS[0], state[0][lane]);
            let second = product(MULTIPLIERS[1], state[2][lane]);
            next[0][lane] = second[1] ^ state[1][lane] ^ key[0];
            next[1][lane] = second[0];
            next[2][lane] = first[1] ^ state[3][lane] ^ key[1];
            next[3][lane] = first[0];
        }
        state = next;
    }
    state
}

/// Lower and upper half of a product. No sum here overflows: each is the upper part of a product
/// of smaller numbers.
#[inline(always)]
fn product(a: u64, b: u64) -> [u64; 2] {
    const LOW: u64 = 0xFFFF_FFFF;
    let low = (a & LOW).wrapping_mul(b & LOW);
    let middle = (a & LOW).wrapping_mul(b >> 32).wrapping_add(low >> 32);
    let other = (a >> 32).wrapping_mul(b & LOW).wrapping_add(middle & LOW);
    let high = (a >> 32).wrapping_mul(b >> 32);
    [(other << 32) | (low & LOW), high.wrapping_add(middle >> 32).wrapping_add(other >> 32)]
}

#[cfg(test)]
mod tests {
    use super::{LANES, block, blocks, lanes, product};

    /// The known answers that the authors publish with their reference code.
    #[test]
    fn known_answers() {
        assert_eq!(
            block([0, 0], [0; 4]),
            [0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b, 0x7e68b68aec7ba23b]
        );
        assert_eq!(
            block([u64::MAX; 2], [u64::MAX; 4]),
            [0x87b092c3013fe90b, 0x438c3c67be8d0224, 0x9cc7d7c69cd777b6, 0xa09caebf594f0ba0]
        );
    }

    #[test]
    fn blocks_side_by_side_are_those_one_by_one() {
        let counters = [[1, 2, 3, 4], [u64::MAX, 0, 7, 1 << 63], [5, 0, 0, 0]];
        let one_by_one = counters.map(|counter| block([9, 1 << 40], counter));
        assert_eq!(blocks([9, 1 << 40], counters), one_by_one);
    }

    #[test]
    fn lanes_are_blocks_word_by_word() {
        for first in [0, 1, u64::from(u32::MAX) - 3, u64::MAX - LANES as u64] {
            let key = [0x1234_5678_9ABC_DEF0, u64::MAX];
            let words = lanes(key, first);
            for lane in 0..LANES {
                let expected = block(key, [first + lane as u64, 0, 0, 0]);
                assert_eq!(words.map(|word| word[lane]), expected, "{first} {lane}");
            }
        }
    }

    #[test]
    fn products_have_all_their_bits() {
        let numbers = [0, 1, 0xFFFF_FFFF, 1 << 32, u64::MAX, super::MULTIPLIERS[0], 0x8000_0001];
        for (a, b) in numbers.iter().flat_map(|a| numbers.map(|b| (*a, b))) {
            let expected = u128::from(a) * u128::from(b);
            assert_eq!(product(a, b), [expected as u64, (expected >> 64) as u64], "{a} {b}");
        }
    }
}
