//! Words of the active memory manager in settings: how memory is measured, which policies run.

use std::fmt;
use std::str::FromStr;

/// What counts as a worker's memory (Dask's names).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemoryMeasure {
    /// Resident bytes of the process.
    Process,
    /// Results, and what has been resident besides them for a while.
    #[default]
    Optimistic,
    /// Results alone.
    Managed,
}

impl MemoryMeasure {
    const NAMES: [(&'static str, Self); 3] =
        [("process", Self::Process), ("optimistic", Self::Optimistic), ("managed", Self::Managed)];
}

impl fmt::Display for MemoryMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, measure)| measure == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for MemoryMeasure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let name = text.trim().to_ascii_lowercase();
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, measure)| *measure).ok_or(())
    }
}

/// Policies that run by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policies {
    /// Copies that nobody needs are dropped.
    pub reduce_replicas: bool,
    /// Results move from full workers to empty ones.
    pub rebalance: bool,
}

impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.reduce_replicas, self.rebalance) {
            (true, true) => "ReduceReplicas,Rebalance",
            (true, false) => "ReduceReplicas",
            (false, true) => "Rebalance",
            (false, false) => "none",
        })
    }
}

impl FromStr for Policies {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut policies = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name.to_ascii_lowercase().as_str() {
                "reducereplicas" => policies.reduce_replicas = true,
                "rebalance" => policies.rebalance = true,
                "none" => {}
                _ => return Err(()),
            }
        }
        Ok(policies)
    }
}
