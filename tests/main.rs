//! Integration tests: the real binary under real launchers. Each module is one subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod command_line;
mod errors_page;
mod schemas;
mod support;
mod topology;
