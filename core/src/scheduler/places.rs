//! A list whose members keep their places: what leaves makes a hole, which the next to come fills.
//!
//! A task knows its place in the lists of its workers. If the last member moved into the hole, its
//! record would have to be written too, and with thousands of workers that record is in no cache.

use super::worker::Assigned;
use crate::ids::TaskId;
use std::ops::Range;

/// Marks a hole: the remaining bits name the next hole, counted from 1, or none.
const HOLE: u32 = 1 << 31;
/// Tasks that can be told from holes.
pub(super) const MOST_TASKS: usize = HOLE as usize;

/// A member that can stand for a hole.
pub(super) trait Member {
    /// Its task, or `HOLE` and a link.
    fn mark(&self) -> u32;
    /// Makes a hole of it.
    fn set_mark(&mut self, mark: u32);
}

impl Member for TaskId {
    fn mark(&self) -> u32 {
        self.0
    }

    fn set_mark(&mut self, mark: u32) {
        self.0 = mark;
    }
}

impl Member for Assigned {
    fn mark(&self) -> u32 {
        self.task.0
    }

    fn set_mark(&mut self, mark: u32) {
        self.task.0 = mark;
    }
}

/// The list.
#[derive(Clone, Debug)]
pub(super) struct Places<T> {
    rows: Vec<T>,
    len: u32,
    /// The hole that is filled next, counted from 1; 0 is none.
    hole: u32,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), len: 0, hole: 0 }
    }
}

impl<T: Member> Places<T> {
    /// Members.
    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    /// No members.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a member; its place.
    pub(super) fn insert(&mut self, member: T) -> u32 {
        self.len += 1;
        let Some(place) = self.hole.checked_sub(1) else {
            self.rows.push(member);
            return super::instruction::position(self.rows.len() - 1);
        };
        let row = &mut self.rows[place as usize];
        self.hole = row.mark() & !HOLE;
        *row = member;
        place
    }

    /// Takes the member at a place out.
    pub(super) fn remove(&mut self, place: u32) {
        self.len -= 1;
        if self.len == 0 {
            self.rows.clear();
            self.hole = 0;
            return;
        }
        self.rows[place as usize].set_mark(HOLE | self.hole);
        self.hole = place + 1;
    }

    /// The member at a place.
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.rows.get(place as usize).filter(|row| row.mark() & HOLE == 0)
    }

    /// The member at a place, to be changed.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.rows.get_mut(place as usize).filter(|row| row.mark() & HOLE == 0)
    }

    /// Reads the row at a place, so that it comes into the cache.
    pub(super) fn read(&self, place: u32) -> u32 {
        self.rows.get(place as usize).map_or(0, Member::mark)
    }

    /// Reads the row that is filled next.
    pub(super) fn read_next(&self) -> u32 {
        self.read(self.hole.wrapping_sub(1))
    }

    /// Places, the holes included.
    pub(super) const fn places(&self) -> usize {
        self.rows.len()
    }

    /// The members in a range of places.
    pub(super) fn within(&self, places: Range<usize>) -> impl Iterator<Item = &T> {
        let rows = self.rows.get(places).unwrap_or_default();
        rows.iter().filter(|row| row.mark() & HOLE == 0)
    }

    /// All members, by place.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().filter(|row| row.mark() & HOLE == 0)
    }

    /// All members, by place, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().filter(|row| row.mark() & HOLE == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::Places;
    use crate::ids::TaskId;
    use crate::rng::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_map_from_places() {
        let mut rng = Rng::new(5);
        let (mut places, mut expected) = (Places::<TaskId>::default(), BTreeMap::new());
        for number in 0..50_000_u32 {
            // Grows and shrinks in turn, to nothing now and then.
            if rng.below(100) < if number / 500 % 2 == 1 { 60 } else { 35 } {
                let place = places.insert(TaskId(number));
                assert_eq!(expected.insert(place, TaskId(number)), None);
            } else if let Some(drawn) =
                expected.keys().copied().nth(rng.below(expected.len() as u64) as usize)
            {
                let task = expected.remove(&drawn);
                assert_eq!(places.get(drawn).copied(), task);
                places.remove(drawn);
                assert_eq!(places.get(drawn), None);
            }
            assert_eq!(places.len(), expected.len());
        }
        assert!(places.iter().eq(expected.values()));
        assert!(expected.len() > 1);
        // Holes are filled before the list grows.
        let most = expected.keys().last().copied();
        let holes = (0..most.unwrap()).filter(|place| !expected.contains_key(place)).count();
        for number in 0..holes as u32 {
            assert!(Some(places.insert(TaskId(number))) < most);
        }
        assert!(Some(places.insert(TaskId(7))) > most);
    }
}
