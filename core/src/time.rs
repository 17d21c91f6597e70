//! The only clock that the cores know: nanoseconds since the process of the driver began.

use serde::{Deserialize, Serialize};

/// A moment, in nanoseconds since an origin that the driver chose.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// The moment `ns` nanoseconds later; saturates at the end of time.
    #[must_use]
    pub const fn after_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds since the origin.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "reports need no more than 53 bits")]
    pub const fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}
