//! Graph building and checks.
