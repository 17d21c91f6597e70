//! Tests of the scheduler's state machine: a table test for each edge and each stale report, tests
//! of placement and of failures, and random runs.

mod amm;
mod bugs;
mod cluster;
mod deaths;
mod edges;
mod failures;
mod graphs;
mod paths;
mod pause;
mod placement;
mod random;
mod reach;
mod resources;
mod retire;
mod retries;
mod runs;
mod stale;
mod stealing;
mod stealing_bugs;
mod workers;
