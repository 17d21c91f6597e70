//! The static order.
