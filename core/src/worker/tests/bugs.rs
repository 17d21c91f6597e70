//! Bugs that others have met in machines like this one, as scripts; the numbers are those of issues
//! of dask/distributed.
