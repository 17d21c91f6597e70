//! Integration tests: the real binary under real launchers. Each module is one subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_input;
mod building;
mod command_line;
mod commands;
mod configuration;
mod doctor;
mod edge_cases;
mod errors_page;
mod examples;
mod failures;
mod families;
mod families_real;
mod give_up;
mod kernels;
mod kernels_dtypes;
mod kernels_elementwise;
mod kernels_linalg;
mod kernels_oracle;
mod kernels_order;
mod kernels_random;
mod kernels_reduce;
mod kernels_shape;
mod kernels_signal;
mod main_job;
mod npy_statistics;
mod plugins;
mod readme;
mod replay;
mod schemas;
mod silences;
mod simulate;
mod support;
mod sweep;
mod tidy;
mod topology;
