//! Lists of axes in parameters: what numpy says about repeated ones.

use crate::kernels::array::axis_of;
use crate::kernels::fault::{Outcome, value_error};

/// Marks the axes that are named, of `count`; a repeated one is a fault of these words.
pub(super) fn marked(axes: &[i64], count: usize, repeated: &str) -> Outcome<Vec<bool>> {
    let places = axes.iter().map(|axis| axis_of(*axis, count)).collect::<Outcome<Vec<_>>>()?;
    let mut marks = vec![false; count];
    if places.into_iter().any(|place| std::mem::replace(&mut marks[place], true)) {
        return Err(value_error(repeated));
    }
    Ok(marks)
}
