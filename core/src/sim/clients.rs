//! The pretend clients: what each wants, and what it was told.

use crate::ids::{ClientId, TaskId};
use crate::time::Time;
use std::collections::BTreeMap;

/// What a client believes of a key that it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belief {
    /// It will come.
    Pending,
    /// It is there.
    Finished,
    /// It failed.
    Erred,
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    wants: BTreeMap<(ClientId, TaskId), Belief>,
    /// When the last key came.
    pub(super) last: Time,
}

impl Clients {
    /// Keys that are wanted, by client and task.
    pub fn wants(&self) -> impl Iterator<Item = (ClientId, TaskId, Belief)> {
        self.wants.iter().map(|((client, task), belief)| (*client, *task, *belief))
    }

    pub(super) fn desires(&mut self, client: ClientId, task: TaskId) {
        self.wants.entry((client, task)).or_insert(Belief::Pending);
    }

    pub(super) fn releases(&mut self, client: ClientId, task: TaskId) {
        self.wants.remove(&(client, task));
    }

    pub(super) fn cancelled(&mut self, client: ClientId, task: TaskId) {
        self.wants.remove(&(client, task));
    }

    pub(super) fn in_memory(&mut self, client: ClientId, task: TaskId, now: Time) {
        self.set(client, task, Belief::Finished);
        self.last = now;
    }

    pub(super) fn erred(&mut self, client: ClientId, task: TaskId) {
        self.set(client, task, Belief::Erred);
    }

    pub(super) fn pending(&mut self, client: ClientId, task: TaskId) {
        self.set(client, task, Belief::Pending);
    }

    fn set(&mut self, client: ClientId, task: TaskId, belief: Belief) {
        if let Some(known) = self.wants.get_mut(&(client, task)) {
            *known = belief;
        }
    }
}
