//! Fetching: whom to ask, how much, and what each failure leads to.
