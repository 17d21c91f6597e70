//! Integration tests: the real binary under real launchers.

mod command_line;
mod schemas;
mod support;
