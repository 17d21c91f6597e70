//! Floats cut towards zero to integers, saturating, in a form that becomes vector instructions.
//!
//! Rust's `as` gives the same, but with branches that keep compilers from vectors. Here the value
//! is brought into the integer's range first, so that the machine's own conversion is defined.

/// What can be cut to an integer.
pub(in crate::kernels) trait Cut<I> {
    /// The next integer towards zero, the nearest end where there is none, 0 for NaN.
    fn cut(self) -> I;
}

macro_rules! cut {
    ($float:ident: $($integer:ident by $wide:ident),*) => {
        $(impl Cut<$integer> for $float {
            #[inline(always)]
            fn cut(self) -> $integer {
                const LOW: $float = $integer::MIN as $float;
                // The first number beyond, a power of two.
                const END: $float = $integer::MAX as $float + 1.0;
                // NaN becomes the lower end too.
                let raised = if self > LOW { self } else { LOW };
                let is_below = raised < END;
                let inside = if is_below { raised } else { 0.0 };
                // SAFETY: the value is finite and between the least integer and the end.
                let whole = unsafe { inside.to_int_unchecked::<$wide>() } as $integer;
                let whole = if is_below { whole } else { $integer::MAX };
                if LOW < 0.0 && self.is_nan() { 0 } else { whole }
            }
        })*
    };
}
cut!(f64: i8 by i32, i16 by i32, i32 by i32, i64 by i64);
cut!(f64: u8 by i32, u16 by i32, u32 by u32, u64 by u64);
cut!(f32: i8 by i32, i16 by i32, i32 by i32, i64 by i64);
cut!(f32: u8 by i32, u16 by i32, u32 by u32, u64 by u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_as_by_rust() {
        let mut values = vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::MAX, 5e-324, 0.5, 1e300];
        for power in 0..70 {
            let edge = 2.0_f64.powi(power);
            values.extend([
                edge,
                edge - 0.5,
                edge - 1.0,
                edge + 0.5,
                edge.next_up(),
                edge.next_down(),
            ]);
        }
        values.extend(values.clone().iter().map(|value| -value));
        macro_rules! check {
            ($($type:ident),*) => {
                $(for value in &values {
                    let cut: $type = (*value).cut();
                    assert_eq!(cut, *value as $type, "{value:e}");
                    let cut: $type = (*value as f32).cut();
                    assert_eq!(cut, *value as f32 as $type, "{value:e}");
                })*
            };
        }
        check!(i8, i16, i32, i64, u8, u16, u32, u64);
    }
}
