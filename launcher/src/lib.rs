//! Ranks and CPUs.
