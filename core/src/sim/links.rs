//! Links that transfers share: each machine sends and receives at the bandwidth of the network, one
//! payload behind the other.
//!
//! Both ends do their part independently: a payload has arrived when the sender's link and the
//! receiver's link have each had the time for it. So a link that waits for the other end serves
//! others meanwhile, and no link ever carries more than its bandwidth.

use crate::time::Time;

/// Until when the links of one machine are taken.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    outward: Time,
    inward: Time,
}

/// The links of all machines, by host.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    taken: Vec<Taken>,
}

impl Links {
    /// When a payload that is there to be sent from `ready` on, and that takes `took_ns` on a free
    /// link, has arrived.
    pub(super) fn arrival(&mut self, from: u32, to: u32, ready: Time, took_ns: u64) -> Time {
        let hosts = from.max(to) as usize + 1;
        if self.taken.len() < hosts {
            self.taken.resize(hosts, Taken::default());
        }
        let outward = &mut self.taken[from as usize].outward;
        *outward = ready.max(*outward).after_ns(took_ns);
        let sent = *outward;
        let inward = &mut self.taken[to as usize].inward;
        *inward = ready.max(*inward).after_ns(took_ns);
        sent.max(*inward)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_carries_more_than_its_bandwidth() {
        let mut links = Links::default();
        // Three senders to one receiver: its link is the narrow place.
        let arrivals: Vec<u64> =
            (1..4).map(|from| links.arrival(from, 0, Time(100), 10).0).collect();
        assert_eq!(arrivals, [110, 120, 130]);
        // One of those senders to somebody else: its own link was taken for one payload only.
        assert_eq!(links.arrival(1, 5, Time(100), 10), Time(120));
        // A link that was idle meanwhile saves nothing up.
        assert_eq!(links.arrival(1, 6, Time(1000), 10), Time(1010));
    }
}
