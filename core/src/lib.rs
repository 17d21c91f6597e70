//! The two state machines of rdask-hpc, pure: events in, instructions out.
//!
//! ```text
//!            event                       instructions
//!   shell ───────────▶ handle(now, …) ───────────────▶ shell
//!     ▲                                                  │ socket, thread, store, timer
//!     └──────────────── one later event ◀────────────────┘
//! ```
//!
//! * `handle(&mut self, now, event, out)` has one owner, runs to completion and never waits.
//! * The driver carries out all instructions in order before the next event; each asynchronous
//!   instruction ends in exactly one later event.
//! * Time enters only as `now`; timers leave as `SetTimer(at)` and come back as `Timeout`. Chance
//!   comes from a seeded generator. Same events in, same instructions out.
//! * A wrong message from outside is an error at decoding or an ignored, counted event. A broken
//!   invariant is a panic that prints the task's story.
//! * `validate()` checks every invariant; it runs after every event in tests and under `--validate`.
//!
//! Nothing here names a socket, a clock, a thread or a file.
#![forbid(unsafe_code)]

pub mod codec;
pub mod config;
pub mod graph;
pub mod ids;
pub mod key;
pub mod messages;
pub mod nearest;
pub mod paths;
pub mod record;
pub mod rng;
pub mod scheduler;
pub mod sim;
pub mod story;
pub mod time;
pub mod units;
pub mod wire;
pub mod worker;
