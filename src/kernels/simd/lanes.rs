//! Numbers in vector registers: the few operations that joined arithmetic needs, for each level.
//!
//! `simd::run` leaves it to the compiler which values a loop keeps in registers. An interpreter of
//! joined operations (`elementwise::machine`) must keep its accumulators there from one operation
//! to the next, so it names the vectors itself. Each operation rounds once, as the plain one does,
//! and integers wrap: all levels give the same bits.
//!
//! A vector is made from a `Here` of its level, which exists only where the level was found.

use super::Level;
use bytemuck::Pod;

/// A vector register of floats or integers. Of integers only sums, differences, products and
/// negatives are asked for: joined arithmetic on them has no other operations, which here do nothing.
pub(in crate::kernels) trait Lanes: Copy {
    /// What it holds.
    type Element: Pod;
    /// Says that the machine has the level's instructions.
    type Here: Copy;
    /// Elements in one vector.
    const COUNT: usize;
    /// The first `COUNT` elements.
    fn load(here: Self::Here, from: &[Self::Element]) -> Self;
    /// Writes the first `COUNT` elements.
    fn store(self, to: &mut [Self::Element]);
    /// `x + y`
    fn add(self, other: Self) -> Self;
    /// `x - y`
    fn subtract(self, other: Self) -> Self;
    /// `x * y`
    fn multiply(self, other: Self) -> Self;
    /// `x / y`
    fn divide(self, other: Self) -> Self;
    /// The smaller one; NaN when either is.
    fn minimum(self, other: Self) -> Self;
    /// The larger one; NaN when either is.
    fn maximum(self, other: Self) -> Self;
    /// The smaller one; the other on a draw or where either is NaN.
    fn lesser(self, other: Self) -> Self;
    /// The larger one; the other on a draw or where either is NaN.
    fn greater(self, other: Self) -> Self;
    /// A bit for each element that equals the other one, the first one's lowest.
    fn equal(self, other: Self) -> u64;
    /// `-x`
    fn negative(self) -> Self;
    /// `|x|`
    fn abs(self) -> Self;
    /// The correctly rounded root.
    fn sqrt(self) -> Self;
}

/// Work on vectors, written once for all of them; `N` of one kind fit the registers three times.
/// `run` and all that it calls in its loops must be `#[inline(always)]`.
pub(in crate::kernels) trait LaneLoop<T> {
    /// Does it.
    fn run<V: Lanes<Element = T>, const N: usize>(self, here: V::Here);
}

/// Numbers that vectors hold.
pub(in crate::kernels) trait Packed: Pod {
    /// Runs `body` with the vectors of a level; one above the machine's best counts as that one.
    fn run(level: Level, body: impl LaneLoop<Self>);
}

/// Vectors of the portable level: as wide as a cache line, for the compiler to cut.
#[derive(Clone, Copy)]
pub(super) struct Plain<T, const COUNT: usize>([T; COUNT]);

macro_rules! plain {
    (
        $type:ident, $count:literal,
        two: [$($two:ident $x:ident $y:ident => $of_two:expr),*],
        one: [$($one:ident $z:ident => $of_one:expr),*]
    ) => {
        impl Lanes for Plain<$type, $count> {
            type Element = $type;
            type Here = ();
            const COUNT: usize = $count;
            #[inline(always)]
            fn load((): (), from: &[$type]) -> Self {
                Self(std::array::from_fn(
                    #[inline(always)]
                    |lane| from[lane],
                ))
            }
            #[inline(always)]
            fn store(self, to: &mut [$type]) {
                to[..$count].copy_from_slice(&self.0);
            }
            $(#[inline(always)]
            fn $two(self, other: Self) -> Self {
                Self(std::array::from_fn(
                    #[inline(always)]
                    |lane| {
                        let ($x, $y) = (self.0[lane], other.0[lane]);
                        $of_two
                    },
                ))
            })*
            $(#[inline(always)]
            fn $one(self) -> Self {
                Self(self.0.map(
                    #[inline(always)]
                    |$z| $of_one,
                ))
            })*
            #[inline(always)]
            fn equal(self, other: Self) -> u64 {
                let both = self.0.iter().zip(&other.0).enumerate();
                both.fold(0, |bits, (lane, (x, y))| bits | u64::from(x == y) << lane)
            }
        }
    };
}

macro_rules! plain_floats {
    ($($type:ident $count:literal),*) => {
        $(plain!($type, $count,
            two: [
                add x y => x + y, subtract x y => x - y, multiply x y => x * y, divide x y => x / y,
                minimum x y => if (x <= y) | x.is_nan() { x } else { y },
                maximum x y => if (x >= y) | x.is_nan() { x } else { y },
                lesser x y => if x < y { x } else { y },
                greater x y => if x > y { x } else { y }
            ],
            one: [negative x => -x, abs x => x.abs(), sqrt x => x.sqrt()]);)*
    };
}
plain_floats!(f32 16, f64 8);

macro_rules! plain_integers {
    ($($type:ident $count:literal),*) => {
        $(plain!($type, $count,
            two: [
                add x y => x.wrapping_add(y), subtract x y => x.wrapping_sub(y),
                multiply x y => x.wrapping_mul(y),
                divide x _y => x, minimum x _y => x, maximum x _y => x, lesser x _y => x,
                greater x _y => x
            ],
            one: [negative x => x.wrapping_neg(), abs x => x, sqrt x => x]);)*
    };
}
plain_integers!(i32 16, i64 8);

#[cfg(not(target_arch = "x86_64"))]
macro_rules! packed {
    ($($type:ident, $count:literal),*) => {
        $(impl Packed for $type {
            fn run(_the_only_one: Level, body: impl LaneLoop<Self>) {
                body.run::<Plain<Self, $count>, 2>(());
            }
        })*
    };
}
#[cfg(not(target_arch = "x86_64"))]
packed!(f32, 16, f64, 8, i32, 16, i64, 8);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LaneLoop, Lanes, Level, Packed, Plain};
    use std::arch::x86_64::*;

    /// The machine has AVX2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Has2(());

    /// The machine has AVX-512 as `Level::Avx512` says.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Has512(());

    /// Calls an intrinsic function. A `Here` of the level, or a vector made from one, is at hand
    /// wherever this stands.
    macro_rules! call {
        ($($call:tt)*) => {
            // SAFETY: the level's `Here` was given for a vector, so the machine has its
            // instructions; pointers come from slices whose length was asserted.
            unsafe { $($call)* }
        };
    }

    macro_rules! lanes {
        (
            $name:ident $vector:ident of $count:literal $type:ident, $here:ident,
            [$load:ident $store:ident $add:ident $subtract:ident $multiply:ident $divide:ident
             $sqrt:ident $xor:ident $and:ident $splat:ident $lesser:ident $greater:ident],
            $choose:ident $equal:ident
        ) => {
            #[derive(Clone, Copy)]
            pub(in super::super) struct $name($vector);

            impl Lanes for $name {
                type Element = $type;
                type Here = $here;
                const COUNT: usize = $count;
                #[inline(always)]
                fn load(_here: $here, from: &[$type]) -> Self {
                    assert!(from.len() >= $count);
                    Self(call!($load(from.as_ptr())))
                }
                #[inline(always)]
                fn store(self, to: &mut [$type]) {
                    assert!(to.len() >= $count);
                    call!($store(to.as_mut_ptr(), self.0));
                }
                #[inline(always)]
                fn add(self, other: Self) -> Self {
                    Self(call!($add(self.0, other.0)))
                }
                #[inline(always)]
                fn subtract(self, other: Self) -> Self {
                    Self(call!($subtract(self.0, other.0)))
                }
                #[inline(always)]
                fn multiply(self, other: Self) -> Self {
                    Self(call!($multiply(self.0, other.0)))
                }
                #[inline(always)]
                fn divide(self, other: Self) -> Self {
                    Self(call!($divide(self.0, other.0)))
                }
                #[inline(always)]
                fn minimum(self, other: Self) -> Self {
                    Self($choose!($type, _CMP_LE_OQ, self.0, other.0))
                }
                #[inline(always)]
                fn maximum(self, other: Self) -> Self {
                    Self($choose!($type, _CMP_GE_OQ, self.0, other.0))
                }
                #[inline(always)]
                fn lesser(self, other: Self) -> Self {
                    Self(call!($lesser(self.0, other.0)))
                }
                #[inline(always)]
                fn greater(self, other: Self) -> Self {
                    Self(call!($greater(self.0, other.0)))
                }
                #[inline(always)]
                fn equal(self, other: Self) -> u64 {
                    $equal!($type, self.0, other.0)
                }
                #[inline(always)]
                fn negative(self) -> Self {
                    let sign = call!($splat(-0.0));
                    Self(call!($xor(self.0, sign)))
                }
                #[inline(always)]
                fn abs(self) -> Self {
                    let mask = call!($splat($type::from_bits(!(-0.0 as $type).to_bits())));
                    Self(call!($and(self.0, mask)))
                }
                #[inline(always)]
                fn sqrt(self) -> Self {
                    Self(call!($sqrt(self.0)))
                }
            }
        };
    }

    macro_rules! integers {
        (
            $name:ident $vector:ident of $count:literal $type:ident, $here:ident,
            [$load:ident $store:ident $add:ident $subtract:ident $zero:ident], $times:ident
        ) => {
            #[derive(Clone, Copy)]
            pub(in super::super) struct $name($vector);

            impl Lanes for $name {
                type Element = $type;
                type Here = $here;
                const COUNT: usize = $count;
                #[inline(always)]
                fn load(_here: $here, from: &[$type]) -> Self {
                    assert!(from.len() >= $count);
                    Self(call!($load(from.as_ptr().cast())))
                }
                #[inline(always)]
                fn store(self, to: &mut [$type]) {
                    assert!(to.len() >= $count);
                    call!($store(to.as_mut_ptr().cast(), self.0));
                }
                #[inline(always)]
                fn add(self, other: Self) -> Self {
                    Self(call!($add(self.0, other.0)))
                }
                #[inline(always)]
                fn subtract(self, other: Self) -> Self {
                    Self(call!($subtract(self.0, other.0)))
                }
                #[inline(always)]
                fn multiply(self, other: Self) -> Self {
                    Self($times!(self.0, other.0))
                }
                #[inline(always)]
                fn divide(self, _: Self) -> Self {
                    self
                }
                #[inline(always)]
                fn minimum(self, _: Self) -> Self {
                    self
                }
                #[inline(always)]
                fn maximum(self, _: Self) -> Self {
                    self
                }
                #[inline(always)]
                fn lesser(self, _: Self) -> Self {
                    self
                }
                #[inline(always)]
                fn greater(self, _: Self) -> Self {
                    self
                }
                #[inline(always)]
                fn equal(self, _: Self) -> u64 {
                    0
                }
                #[inline(always)]
                fn negative(self) -> Self {
                    let zero = call!($zero());
                    Self(call!($subtract(zero, self.0)))
                }
                #[inline(always)]
                fn abs(self) -> Self {
                    self
                }
                #[inline(always)]
                fn sqrt(self) -> Self {
                    self
                }
            }
        };
    }

    /// `x` where the comparison holds or `x` is NaN, else `y`.
    macro_rules! choose2 {
        (f64, $compare:ident, $x:expr, $y:expr) => {
            choose2!(@ _mm256_cmp_pd, _mm256_or_pd, _mm256_blendv_pd, $compare, $x, $y)
        };
        (f32, $compare:ident, $x:expr, $y:expr) => {
            choose2!(@ _mm256_cmp_ps, _mm256_or_ps, _mm256_blendv_ps, $compare, $x, $y)
        };
        (@ $cmp:ident, $or:ident, $blend:ident, $compare:ident, $x:expr, $y:expr) => {{
            let holds = call!($cmp::<$compare>($x, $y));
            let nan = call!($cmp::<_CMP_UNORD_Q>($x, $x));
            let either = call!($or(holds, nan));
            call!($blend($y, $x, either))
        }};
    }

    macro_rules! choose512 {
        (f64, $compare:ident, $x:expr, $y:expr) => {
            choose512!(@ _mm512_cmp_pd_mask, _mm512_mask_blend_pd, $compare, $x, $y)
        };
        (f32, $compare:ident, $x:expr, $y:expr) => {
            choose512!(@ _mm512_cmp_ps_mask, _mm512_mask_blend_ps, $compare, $x, $y)
        };
        (@ $cmp:ident, $blend:ident, $compare:ident, $x:expr, $y:expr) => {{
            let holds = call!($cmp::<$compare>($x, $y));
            let nan = call!($cmp::<_CMP_UNORD_Q>($x, $x));
            call!($blend(holds | nan, $y, $x))
        }};
    }

    /// A bit for each pair that is equal.
    macro_rules! equal2 {
        (f64, $x:expr, $y:expr) => {
            equal2!(@ _mm256_cmp_pd, _mm256_movemask_pd, $x, $y)
        };
        (f32, $x:expr, $y:expr) => {
            equal2!(@ _mm256_cmp_ps, _mm256_movemask_ps, $x, $y)
        };
        (@ $cmp:ident, $mask:ident, $x:expr, $y:expr) => {{
            let equal = call!($cmp::<_CMP_EQ_OQ>($x, $y));
            call!($mask(equal)) as u64
        }};
    }

    macro_rules! equal512 {
        (f64, $x:expr, $y:expr) => {
            u64::from(call!(_mm512_cmp_pd_mask::<_CMP_EQ_OQ>($x, $y)))
        };
        (f32, $x:expr, $y:expr) => {
            u64::from(call!(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>($x, $y)))
        };
    }

    lanes!(Four __m256d of 4 f64, Has2, [_mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd
        _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_sqrt_pd _mm256_xor_pd _mm256_and_pd
        _mm256_set1_pd _mm256_min_pd _mm256_max_pd], choose2 equal2);
    lanes!(Eight __m256 of 8 f32, Has2, [_mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps
        _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_sqrt_ps _mm256_xor_ps _mm256_and_ps
        _mm256_set1_ps _mm256_min_ps _mm256_max_ps], choose2 equal2);
    lanes!(WideEight __m512d of 8 f64, Has512, [_mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd
        _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_sqrt_pd _mm512_xor_pd _mm512_and_pd
        _mm512_set1_pd _mm512_min_pd _mm512_max_pd], choose512 equal512);
    lanes!(WideSixteen __m512 of 16 f32, Has512, [_mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps
        _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_sqrt_ps _mm512_xor_ps _mm512_and_ps
        _mm512_set1_ps _mm512_min_ps _mm512_max_ps], choose512 equal512);

    /// The lower halves of products of 64 bits, of three products of 32.
    macro_rules! times2_64 {
        ($x:expr, $y:expr) => {{
            let (x, y) = ($x, $y);
            let (x_high, y_high) =
                (call!(_mm256_srli_epi64::<32>(x)), call!(_mm256_srli_epi64::<32>(y)));
            let (left, right) =
                (call!(_mm256_mul_epu32(x_high, y)), call!(_mm256_mul_epu32(x, y_high)));
            let upper = call!(_mm256_add_epi64(left, right));
            let lower = call!(_mm256_mul_epu32(x, y));
            let shifted = call!(_mm256_slli_epi64::<32>(upper));
            call!(_mm256_add_epi64(lower, shifted))
        }};
    }
    macro_rules! times2_32 {
        ($x:expr, $y:expr) => {
            call!(_mm256_mullo_epi32($x, $y))
        };
    }
    macro_rules! times512_64 {
        ($x:expr, $y:expr) => {
            call!(_mm512_mullo_epi64($x, $y))
        };
    }
    macro_rules! times512_32 {
        ($x:expr, $y:expr) => {
            call!(_mm512_mullo_epi32($x, $y))
        };
    }

    integers!(FourWhole __m256i of 4 i64, Has2, [_mm256_loadu_si256 _mm256_storeu_si256
        _mm256_add_epi64 _mm256_sub_epi64 _mm256_setzero_si256], times2_64);
    integers!(EightWhole __m256i of 8 i32, Has2, [_mm256_loadu_si256 _mm256_storeu_si256
        _mm256_add_epi32 _mm256_sub_epi32 _mm256_setzero_si256], times2_32);
    integers!(WideEightWhole __m512i of 8 i64, Has512, [_mm512_loadu_si512 _mm512_storeu_si512
        _mm512_add_epi64 _mm512_sub_epi64 _mm512_setzero_si512], times512_64);
    integers!(WideSixteenWhole __m512i of 16 i32, Has512, [_mm512_loadu_si512 _mm512_storeu_si512
        _mm512_add_epi32 _mm512_sub_epi32 _mm512_setzero_si512], times512_32);

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
    fn avx2<V: Lanes<Here = Has2>>(body: impl LaneLoop<V::Element>) {
        body.run::<V, 4>(Has2(()));
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd")]
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
    fn avx512<V: Lanes<Here = Has512>>(body: impl LaneLoop<V::Element>) {
        body.run::<V, 8>(Has512(()));
    }

    macro_rules! packed {
        ($($type:ident, $count:literal, $narrow:ident, $wide:ident);*) => {
            $(impl Packed for $type {
                fn run(level: Level, body: impl LaneLoop<Self>) {
                    match level.min(Level::best()) {
                        Level::Portable => body.run::<Plain<Self, $count>, 1>(()),
                        // SAFETY: this machine has all instructions of its best level.
                        Level::Avx2 => unsafe { avx2::<$narrow>(body) },
                        // SAFETY: as above.
                        Level::Avx512 => unsafe { avx512::<$wide>(body) },
                    }
                }
            })*
        };
    }
    packed!(
        f32, 16, Eight, WideSixteen;
        f64, 8, Four, WideEight;
        i32, 16, EightWhole, WideSixteenWhole;
        i64, 8, FourWhole, WideEightWhole
    );
}
