//! Dense numbers that stand for tasks, workers, clients and runs.
//!
//! The scheduler gives them out, from zero upwards, and never uses one twice in a job. A stale
//! number in a late message therefore names something that is gone, never something else.

use serde::{Deserialize, Serialize};

macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The number as an index into a table.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The number for an index.
            ///
            /// # Panics
            /// When the index does not fit 32 bits; tables are limited to 2^32 − 2 entries.
            #[must_use]
            pub fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("tables hold at most 2^32 - 2 entries"))
            }
        }
    };
}

dense_id!(
    /// A task of the job: its position in the graph.
    TaskId
);
dense_id!(
    /// A distinct run spec of the graph.
    SpecId
);
dense_id!(
    /// One life of a worker process. A restarted worker has a new one.
    WorkerId
);
dense_id!(
    /// Somebody who wants results.
    ClientId
);

/// One sending of a task to a worker (Dask's `run_id`): unique in the job, larger means later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

impl RunId {
    /// Never sent (Dask writes −1).
    pub const NONE: Self = Self(0);
}

/// One `GatherDep` of a worker: tells the end of an abandoned transfer from that of a newer one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransferId(pub u64);
