//! The command `rdask-hpc`.

fn main() {}
