//! Simple work from compute-task to free-keys.

