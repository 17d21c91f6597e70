//! The same functions of f32, computed in f32 where its bits suffice, else in short f64.
//!
//! Polynomials are fitted to the least relative error, below 0.2 ulp; what is rounded on the way is
//! kept below 2 ulp by leaving the largest term to the last sum. Integers that scale are split off
//! in parts whose products are exact, for nothing is fused. Tests hold each function against f64
//! over arguments of all magnitudes.

mod circular;
mod exponential;
mod inverse;
mod logarithm;
mod power;

/// Added to a number below 2^22 it rounds it to an integer, which its lowest bits then hold.
const ROUNDER: f32 = 12_582_912.0;

/// The nearest integer, as a number and as bits of an i32.
#[inline(always)]
fn rounded(x: f32) -> (f32, u32) {
    let shifted = x + ROUNDER;
    (shifted - ROUNDER, shifted.to_bits().wrapping_sub(ROUNDER.to_bits()))
}

/// 2 to an integer power within ±126.
#[inline(always)]
fn power_of_two(exponent: u32) -> f32 {
    f32::from_bits(exponent.wrapping_add(127) << 23)
}

/// `x`, but no more than `limit`; NaN stays.
#[inline(always)]
fn at_most(x: f32, limit: f32) -> f32 {
    if x > limit { limit } else { x }
}

/// `x`, but no less than `limit`; NaN stays.
#[inline(always)]
fn at_least(x: f32, limit: f32) -> f32 {
    if x < limit { limit } else { x }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    /// Arguments of all magnitudes and either sign, evenly spaced among all floats.
    fn arguments() -> impl Iterator<Item = f32> {
        (0..u32::MAX).step_by(1009).map(f32::from_bits).filter(|x| !x.is_nan())
    }

    /// How far a value is from the exact one, in units of the last place of that.
    fn ulp(value: f32, exact: f64) -> f64 {
        if f64::from(value) == exact || f64::from(value).is_nan() && exact.is_nan() {
            return 0.0;
        }
        let near = exact as f32;
        if near == value {
            // Rounded right, or an overflow of both.
            return 0.5;
        }
        let size = f64::from(near.abs().min(f32::MAX));
        let unit = (size.to_bits() >> 52).saturating_sub(23).max(1023 - 149);
        (f64::from(value) - exact).abs() / f64::from_bits(unit << 52)
    }

    fn check<C: Curve<f32>>(_: C, name: &str, exact: fn(f64) -> f64) {
        for x in arguments() {
            let near = C::near(x);
            let value = if C::covers(x, near) { near } else { C::any(x) };
            let exact = exact(f64::from(x));
            assert!(ulp(value, exact) < 2.0, "{name}({x:e}) = {value:e}, not {exact:e}");
            let zero = value == 0.0 && exact == 0.0;
            assert!(!zero || value.is_sign_negative() == exact.is_sign_negative(), "{name}({x:e})");
        }
        assert!(
            C::any(f32::NAN).is_nan() && !C::covers(f32::NAN, 0.0) || C::near(f32::NAN).is_nan()
        );
    }

    #[test]
    fn functions_of_one_argument_are_within_two_ulp() {
        check(Exp, "exp", libm::exp);
        check(Expm1, "expm1", libm::expm1);
        check(Sinh, "sinh", libm::sinh);
        check(Cosh, "cosh", libm::cosh);
        check(Tanh, "tanh", libm::tanh);
        check(Log, "log", libm::log);
        check(Log2, "log2", libm::log2);
        check(Log10, "log10", libm::log10);
        check(Log1p, "log1p", libm::log1p);
        check(Sin, "sin", libm::sin);
        check(Cos, "cos", libm::cos);
        check(Tan, "tan", libm::tan);
        check(Arcsin, "arcsin", libm::asin);
        check(Arccos, "arccos", libm::acos);
        check(Arctan, "arctan", libm::atan);
        check(Cbrt, "cbrt", libm::cbrt);
    }

    fn check_both<C: Curve2<f32>>(_: C, name: &str, exact: fn(f64, f64) -> f64) {
        let others = [0.0, -0.0, 0.3, -0.5, 1.0, -3.0, 7.7, 1e-40, -1e30, f32::INFINITY, -f32::NAN];
        for x in arguments().step_by(11) {
            // One near to it, and those.
            for y in others.into_iter().chain([x * 1.7, 87.0 / x.abs().ln()]) {
                for [x, y] in [[x, y], [y, x]] {
                    let near = C::near(x, y);
                    let value = if C::covers(x, y, near) { near } else { C::any(x, y) };
                    let exact = exact(f64::from(x), f64::from(y));
                    let far = ulp(value, exact);
                    assert!(far < 2.0, "{name}({x:e}, {y:e}) = {value:e}, not {exact:e}");
                    let zero = value == 0.0 && exact == 0.0;
                    assert!(
                        !zero || value.is_sign_negative() == exact.is_sign_negative(),
                        "{name}({x:e}, {y:e})"
                    );
                }
            }
        }
    }

    #[test]
    fn functions_of_two_arguments_are_within_two_ulp() {
        check_both(Arctan2, "arctan2", libm::atan2);
        check_both(Hypot, "hypot", libm::hypot);
        check_both(Power, "power", libm::pow);
    }

    #[test]
    fn limits_leave_what_is_no_number() {
        assert!(at_most(f32::NAN, 1.0).is_nan() && at_least(f32::NAN, 1.0).is_nan());
        assert_eq!([at_most(2.0, 1.0), at_most(0.5, 1.0), at_least(0.5, 1.0)], [1.0, 0.5, 1.0]);
    }
}
