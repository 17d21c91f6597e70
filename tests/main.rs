//! Integration tests: the real binary under real launchers.

mod topology;
