//! Powers: those of small integers by multiplication, as numpy's, and all others by the logarithm.
//!
//! The logarithm's 60 bits are what a large exponent leaves bits of. With infinities and NaN the
//! product before the exponential is annex G's, as C's `cpow` forms it.

use super::super::real::Float;
use super::exponential::{exp, finite_exp};
use super::logarithm::{log, parts};
use super::pair::Pair;
use super::{C, divide, multiply};
use num_complex::Complex;

/// `x ** y`
pub(in super::super) fn power<T: Float>(x: Complex<T>, y: Complex<T>) -> Complex<T> {
    let nan = T::narrow(f64::NAN);
    if y.re == T::ZERO && y.im == T::ZERO {
        return Complex { re: T::ONE, im: T::ZERO };
    }
    if x.re == T::ZERO && x.im == T::ZERO {
        let part = if y.re > T::ZERO { T::ZERO } else { nan };
        return Complex { re: part, im: part };
    }
    let exponent = y.re.wide();
    let wide = |x: Complex<T>| C::new(x.re.wide(), x.im.wide());
    let narrow = |x: C| Complex { re: T::narrow(x.re), im: T::narrow(x.im) };
    if y.im == T::ZERO && exponent.fract() == 0.0 && exponent.abs() < 100.0 {
        let own = integer_power(x, exponent as i32);
        if size_of::<T>() == size_of::<f64>() {
            return own;
        }
        // What leaves the range on the way does so as in numpy; all else is rounded once.
        let value = narrow(integer_power(wide(x), exponent as i32));
        let part = |own: T, once: T| if own.is_finite() && own != T::ZERO { once } else { own };
        return Complex { re: part(own.re, value.re), im: part(own.im, value.im) };
    }
    let (x, y) = (wide(x), wide(y));
    if let Some(value) = any_power(x, y) {
        return narrow(value);
    }
    // A logarithm that the dtype rounds to 0 makes NaN of an infinite exponent.
    narrow(exp(recovered_product(y, wide(narrow(log(x))))))
}

fn integer_power<T: Float>(x: Complex<T>, exponent: i32) -> Complex<T> {
    match exponent {
        1 => return x,
        2 => return multiply(x, x),
        3 => return multiply(x, multiply(x, x)),
        _ => {}
    }
    let one = Complex { re: T::ONE, im: T::ZERO };
    let mut rest = exponent.unsigned_abs();
    let (mut base, mut result) = (x, one);
    while rest > 0 {
        if rest & 1 == 1 {
            result = multiply(result, base);
        }
        rest >>= 1;
        if rest > 0 {
            base = multiply(base, base);
        }
    }
    if exponent < 0 { divide(one, result) } else { result }
}

/// `exp(y · ln x)`, unless a number is infinite, NaN, zero or so large that parts of products leave
/// the range.
fn any_power(x: C, y: C) -> Option<C> {
    let usual = |part: f64| part.abs() < 1e280;
    if !(usual(y.re) && usual(y.im)) {
        return None;
    }
    let (length, angle) = parts(Pair::of(x.re), x.im)?;
    let (re, im) = (Pair::of(y.re), Pair::of(y.im));
    let turn = re * angle + im * length;
    // Sums of pairs lose the sign of zero.
    let plain = y.re * angle.high + y.im * length.high;
    let turn = if turn.high == 0.0 { Pair::of(0.0_f64.copysign(plain)) } else { turn };
    Some(finite_exp(re * length - im * angle, turn))
}

/// The product of annex G: an infinity times anything but zero and NaN is infinite.
fn recovered_product(x: C, y: C) -> C {
    let value = multiply(x, y);
    if !(value.re.is_nan() && value.im.is_nan()) {
        return value;
    }
    let infinite = |x: C| x.re.is_infinite() || x.im.is_infinite();
    // Infinity as a unit square's corner or side, NaN as zero.
    let boxed = |part: f64| if part.is_infinite() { 1.0_f64 } else { 0.0 }.copysign(part);
    let cleared = |part: f64| if part.is_nan() { 0.0_f64.copysign(part) } else { part };
    let (mut a, mut b) = (x, y);
    let mut recover = false;
    if infinite(x) {
        a = C::new(boxed(a.re), boxed(a.im));
        b = C::new(cleared(b.re), cleared(b.im));
        recover = true;
    }
    if infinite(y) {
        b = C::new(boxed(b.re), boxed(b.im));
        a = C::new(cleared(a.re), cleared(a.im));
        recover = true;
    }
    let parts = [x.re * y.re, x.im * y.im, x.re * y.im, x.im * y.re];
    if !recover && parts.iter().any(|part| part.is_infinite()) {
        (a, b) = (C::new(cleared(a.re), cleared(a.im)), C::new(cleared(b.re), cleared(b.im)));
        recover = true;
    }
    if !recover {
        return value;
    }
    let value = multiply(a, b);
    C::new(value.re * f64::INFINITY, value.im * f64::INFINITY)
}
