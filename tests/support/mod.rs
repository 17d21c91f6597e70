//! Stand-in until merged.
pub(crate) mod oracle;
