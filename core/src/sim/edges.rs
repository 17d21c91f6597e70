//! The edges that there are: rows of docs/states.md, which a test compares, and the edges that each
//! stands for.
//!
//! 300 seeds must take all of them but those that `…_RARE` and `…_UNREACHED` name.

use super::coverage::{SchedulerEdge, WorkerEdge};
use crate::scheduler::TaskState as S;
use crate::worker::{Live, State};
use Live::{Executing as E, Flight as F, LongRunning as L};
use State::*;

/// Rows of "Worker: all transitions" and the edges that each stands for.
pub const WORKER_ROWS: &[(&str, &[WorkerEdge])] = &[
    ("released → waiting", &[(Released, Waiting, Waiting)]),
    ("released → fetch", &[(Released, Fetch, Fetch)]),
    ("released → missing", &[(Released, Fetch, Missing)]),
    ("released → memory", &[(Released, Memory, Memory)]),
    ("released → erred", &[(Released, Erred, Erred)]),
    ("released → forgotten", &[(Released, Forgotten, Forgotten)]),
    ("waiting → ready", &[(Waiting, Ready, Ready)]),
    ("waiting → constrained", &[(Waiting, Ready, Constrained)]),
    (
        "ready, constrained → executing",
        &[(Ready, Executing, Executing), (Constrained, Executing, Executing)],
    ),
    (
        "waiting, ready, constrained, erred → released",
        &[
            (Waiting, Released, Released),
            (Ready, Released, Released),
            (Constrained, Released, Released),
            (Erred, Released, Released),
        ],
    ),
    (
        "executing, long-running → memory",
        &[(Executing, Memory, Memory), (LongRunning, Memory, Memory)],
    ),
    ("executing, long-running → erred", &[(Executing, Erred, Erred), (LongRunning, Erred, Erred)]),
    (
        "executing, long-running → rescheduled",
        &[(Executing, Rescheduled, Released), (LongRunning, Rescheduled, Released)],
    ),
    ("executing → long-running", &[(Executing, LongRunning, LongRunning)]),
    (
        "executing, long-running → released",
        &[(Executing, Released, Cancelled(E)), (LongRunning, Released, Cancelled(L))],
    ),
    ("fetch → flight", &[(Fetch, Flight, Flight)]),
    ("fetch → missing", &[(Fetch, Missing, Missing)]),
    ("fetch → released", &[(Fetch, Released, Released)]),
    ("flight → memory", &[(Flight, Memory, Memory)]),
    ("flight → fetch", &[(Flight, Fetch, Fetch), (Flight, Fetch, Flight)]),
    ("flight → missing", &[(Flight, Fetch, Missing)]),
    ("flight → erred", &[(Flight, Erred, Released)]),
    ("flight → released", &[(Flight, Released, Cancelled(F)), (Flight, Released, Released)]),
    ("missing → fetch", &[(Missing, Fetch, Fetch), (Missing, Fetch, Missing)]),
    ("missing → waiting", &[(Missing, Waiting, Waiting)]),
    ("missing → released", &[(Missing, Released, Released)]),
    ("missing → erred", &[(Missing, Released, Released), (Released, Erred, Erred)]),
    ("memory → released", &[(Memory, Released, Released)]),
    ("any other pair", &[(Executing, Released, Released)]),
];

/// Rows of "Worker: cancelled and resumed" and the edges that each stands for.
pub const RESUMED_ROWS: &[(&str, &[WorkerEdge])] = &[
    ("cancelled(executing), waiting", &[(Cancelled(E), Waiting, Executing)]),
    ("cancelled(long-running), waiting", &[(Cancelled(L), Waiting, LongRunning)]),
    ("cancelled(flight), waiting", &[(Cancelled(F), Waiting, Resumed(F))]),
    (
        "cancelled(executing or long-running), fetch",
        &[(Cancelled(E), Fetch, Resumed(E)), (Cancelled(L), Fetch, Resumed(L))],
    ),
    ("cancelled(flight), fetch", &[(Cancelled(F), Fetch, Flight), (Cancelled(F), Fetch, Released)]),
    (
        "cancelled(any), released",
        &[
            (Cancelled(E), Released, Cancelled(E)),
            (Cancelled(L), Released, Cancelled(L)),
            (Cancelled(F), Released, Cancelled(F)),
            (Cancelled(F), Released, Released),
        ],
    ),
    (
        "cancelled(any), memory, erred, missing, rescheduled",
        &[
            (Cancelled(E), Memory, Released),
            (Cancelled(L), Memory, Released),
            (Cancelled(F), Memory, Released),
            (Cancelled(E), Rescheduled, Released),
            (Cancelled(L), Rescheduled, Released),
            (Cancelled(F), Erred, Released),
        ],
    ),
    (
        "cancelled or resumed(executing), long-running",
        &[(Cancelled(E), LongRunning, Cancelled(L)), (Resumed(E), LongRunning, Resumed(L))],
    ),
    (
        "resumed(executing→fetch), memory",
        &[(Resumed(E), Memory, Memory), (Resumed(L), Memory, Memory)],
    ),
    (
        "resumed(executing→fetch), erred or rescheduled",
        &[
            (Resumed(E), Rescheduled, Fetch),
            (Resumed(L), Rescheduled, Fetch),
            (Resumed(E), Rescheduled, Missing),
            (Resumed(L), Rescheduled, Missing),
        ],
    ),
    (
        "resumed(executing→fetch), fetch or missing",
        &[(Resumed(E), Fetch, Resumed(E)), (Resumed(L), Fetch, Resumed(L))],
    ),
    (
        "resumed(executing→fetch), waiting",
        &[(Resumed(E), Waiting, Executing), (Resumed(L), Waiting, LongRunning)],
    ),
    ("resumed(flight→waiting), memory", &[(Resumed(F), Memory, Memory)]),
    (
        "resumed(flight→waiting), erred, fetch or missing",
        &[(Resumed(F), Erred, Waiting), (Resumed(F), Fetch, Waiting), (Resumed(F), Fetch, Flight)],
    ),
    (
        "resumed(any), released",
        &[
            (Resumed(E), Released, Cancelled(E)),
            (Resumed(L), Released, Cancelled(L)),
            (Resumed(F), Released, Cancelled(F)),
        ],
    ),
];

/// Every edge of the scheduler, those through released included.
pub const SCHEDULER_EDGES: &[SchedulerEdge] = &[
    (S::Released, S::Waiting),
    (S::Waiting, S::Processing),
    (S::Waiting, S::Queued),
    (S::Waiting, S::NoWorker),
    (S::Waiting, S::Memory),
    (S::Waiting, S::Released),
    (S::Queued, S::Processing),
    (S::Queued, S::Released),
    (S::Queued, S::Erred),
    (S::NoWorker, S::Processing),
    (S::NoWorker, S::Released),
    (S::NoWorker, S::Erred),
    (S::Processing, S::Memory),
    (S::Processing, S::Released),
    (S::Processing, S::Erred),
    (S::Memory, S::Released),
    (S::Memory, S::Forgotten),
    (S::Erred, S::Released),
    (S::Released, S::Erred),
    (S::Released, S::Forgotten),
    (S::Waiting, S::Erred),
    (S::Waiting, S::Forgotten),
    (S::Queued, S::Waiting),
    (S::Queued, S::Forgotten),
    (S::NoWorker, S::Waiting),
    (S::NoWorker, S::Forgotten),
    (S::Processing, S::Waiting),
    (S::Processing, S::Forgotten),
    (S::Erred, S::Waiting),
    (S::Erred, S::Forgotten),
];

/// Edges of workers that take luck, and what must meet: thousands of seeds take some of them, 300 need
/// not.
pub const WORKER_RARE: &[(WorkerEdge, &str)] = &[
    ((Released, Fetch, Missing), "the last holder goes while a compute-task is on its way"),
    ((Fetch, Missing, Missing), "the last holder goes before it was asked"),
    ((Missing, Fetch, Missing), "a second reader of what nobody holds"),
    ((Missing, Waiting, Waiting), "what is missing here is to be computed here"),
    ((Executing, Released, Released), "a run was stopped after it was wanted again"),
    ((Cancelled(F), Waiting, Resumed(F)), "a transfer outlives its need and its source"),
    ((Cancelled(F), Released, Cancelled(F)), "let go twice within one transfer"),
    ((Cancelled(F), Released, Released), "let go again as the transfer ends"),
    ((Cancelled(F), Erred, Released), "no room for what nobody wants any more"),
    ((Cancelled(F), Memory, Released), "a transfer outlives its need"),
    ((Cancelled(L), Waiting, LongRunning), "let go and wanted again after it seceded"),
    ((Cancelled(L), Rescheduled, Released), "stopped after it seceded"),
    ((Cancelled(L), Released, Cancelled(L)), "let go twice after it seceded"),
    ((Cancelled(E), Released, Cancelled(E)), "let go twice while it runs"),
    (
        (Cancelled(E), Fetch, Resumed(E)),
        "computed elsewhere and read here while an old run goes on",
    ),
    ((Cancelled(L), Fetch, Resumed(L)), "the same after secede"),
    ((Resumed(E), LongRunning, Resumed(L)), "a resumed run secedes"),
    ((Resumed(E), Memory, Memory), "a resumed run ends before the copy is asked for"),
    ((Resumed(L), Memory, Memory), "the same after secede"),
    ((Resumed(E), Rescheduled, Fetch), "a resumed run is stopped"),
    ((Resumed(L), Rescheduled, Fetch), "the same after secede"),
    ((Resumed(E), Rescheduled, Missing), "a resumed run is stopped, and the copy is gone"),
    ((Resumed(L), Rescheduled, Missing), "the same after secede"),
    ((Resumed(E), Fetch, Resumed(E)), "a second reader of a resumed run"),
    ((Resumed(L), Fetch, Resumed(L)), "the same after secede"),
    ((Resumed(E), Waiting, Executing), "a resumed run is to be computed here after all"),
    ((Resumed(L), Waiting, LongRunning), "the same after secede"),
    ((Resumed(F), Memory, Memory), "a transfer that must be computed arrives"),
    ((Resumed(F), Erred, Waiting), "a transfer that must be computed finds no room"),
    ((Resumed(F), Fetch, Waiting), "a transfer that must be computed fails"),
    ((Resumed(F), Fetch, Flight), "a resumed transfer is wanted as a copy again"),
    ((Resumed(E), Released, Cancelled(E)), "a resumed run is let go again"),
    ((Resumed(L), Released, Cancelled(L)), "the same after secede"),
    ((Resumed(F), Released, Cancelled(F)), "a resumed transfer is let go again"),
    ((Flight, Released, Released), "let go as the transfer ends"),
];

/// Edges of workers that no pretend cluster takes, and why.
pub const WORKER_UNREACHED: &[(WorkerEdge, &str)] =
    &[((Released, Memory, Memory), "pretend clients scatter nothing")];

/// Edges of the scheduler that take luck.
pub const SCHEDULER_RARE: &[(SchedulerEdge, &str)] = &[
    ((S::Queued, S::Erred), "all workers gone for a minute"),
    ((S::Waiting, S::Memory), "an input is lost while the result is on its way"),
];

/// Edges of the scheduler that no pretend cluster takes, and why.
pub const SCHEDULER_UNREACHED: &[(SchedulerEdge, &str)] =
    &[((S::Erred, S::Released), "only ever a step on the way to waiting or forgotten")];
