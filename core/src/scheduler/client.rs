//! Who wants results. Each client has a bit in `Task::who_wants`; the wishes themselves stand
//! nowhere else. Bit 0 is the pseudo-client `fire-and-forget`, whose wish ends the moment a task
//! reaches memory or erred.

use crate::ids::ClientId;

/// The bit of the pseudo-client.
pub(super) const FIRE_AND_FORGET: u32 = 1;
/// Clients at a time besides the pseudo-client: one bit each.
const MOST: usize = 31;

/// The clients that are there, by bit.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    bits: Vec<Option<ClientId>>,
}

impl Clients {
    /// The bit of a client that is there.
    pub(super) fn bit(&self, client: ClientId) -> Option<u32> {
        let place = self.bits.iter().position(|known| *known == Some(client))?;
        Some(2 << place)
    }

    /// Adds a client; its bit, or none when there are too many.
    pub(super) fn add(&mut self, client: ClientId) -> Option<u32> {
        if let Some(bit) = self.bit(client) {
            return Some(bit);
        }
        let place = match self.bits.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.bits.len() < MOST => {
                self.bits.push(None);
                self.bits.len() - 1
            }
            None => return None,
        };
        self.bits[place] = Some(client);
        Some(2 << place)
    }

    /// Takes a client out; its bit is free once no task has it.
    pub(super) fn remove(&mut self, client: ClientId) {
        for known in &mut self.bits {
            if *known == Some(client) {
                *known = None;
            }
        }
    }

    /// The clients that hear of a failure: those of a set of bits, and for the pseudo-client, which
    /// cannot be told, the one that submitted the task.
    pub(super) fn told_of_failure(
        &self,
        bits: u32,
        submitter: Option<ClientId>,
    ) -> impl Iterator<Item = ClientId> {
        let submitter = submitter.and_then(|client| self.bit(client)).unwrap_or(0);
        self.of(if bits & FIRE_AND_FORGET == 0 { bits } else { bits | submitter })
    }

    /// The clients of a set of bits; the pseudo-client is not reported to.
    pub(super) fn of(&self, bits: u32) -> impl Iterator<Item = ClientId> {
        let wanted = move |place: usize| bits >> (place + 1) & 1 == 1;
        let known = self.bits.iter().enumerate();
        known.filter_map(move |(place, client)| client.filter(|_| wanted(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::Clients;
    use crate::ids::ClientId;

    #[test]
    fn each_client_has_a_bit_and_gives_it_back() {
        let mut clients = Clients::default();
        assert_eq!(clients.add(ClientId(7)), Some(2));
        assert_eq!(clients.add(ClientId(3)), Some(4));
        assert_eq!(clients.add(ClientId(7)), Some(2));
        assert_eq!(clients.of(6).collect::<Vec<_>>(), [ClientId(7), ClientId(3)]);
        assert_eq!(clients.of(1).count(), 0);
        clients.remove(ClientId(7));
        assert_eq!(clients.bit(ClientId(7)), None);
        assert_eq!(clients.add(ClientId(9)), Some(2));
        for id in 10..39 {
            assert!(clients.add(ClientId(id)).is_some());
        }
        assert_eq!(clients.add(ClientId(39)), None);
    }

    #[test]
    fn the_submitter_hears_once_of_a_failure_that_nobody_waits_for() {
        let mut clients = Clients::default();
        let bit = clients.add(ClientId(7)).unwrap();
        let told = |bits, submitter| clients.told_of_failure(bits, submitter).collect::<Vec<_>>();
        assert_eq!(told(super::FIRE_AND_FORGET, None), []);
        let submitter = Some(ClientId(7));
        assert_eq!(told(super::FIRE_AND_FORGET, submitter), [ClientId(7)]);
        assert_eq!(told(super::FIRE_AND_FORGET | bit, submitter), [ClientId(7)]);
        assert_eq!(told(bit, submitter), [ClientId(7)]);
        assert_eq!(told(0, submitter), []);
        assert_eq!(told(super::FIRE_AND_FORGET, Some(ClientId(8))), [], "that one is gone");
    }
}
