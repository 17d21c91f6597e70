//! The store against a model: any sequence of operations leaves bytes, accounts and the order of
//! the queue as a few lines of plain arithmetic predict.

use proptest::prelude::*;
use rdask_store::{Header, Sealed, Store, StoreError, Writing};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Longer than any test, so that nobody is refused for impatience.
const FOR_EVER: Duration = Duration::from_secs(3600);
const LIMIT: u64 = 1 << 20;

type Waiting = Pin<Box<dyn Future<Output = Result<Writing, StoreError>> + Send>>;

#[derive(Clone, Debug)]
enum Op {
    Reserve { nbytes: u64, priority: u64 },
    Seal(usize),
    View(usize),
    Clone(usize),
    Drop(usize),
    GiveUpWaiting(usize),
    ReleaseWarm,
}

fn op() -> impl Strategy<Value = Op> {
    let nbytes = prop_oneof![
        Just(0_u64),
        1..200_u64,
        8000..8400_u64,
        8193..300_000_u64,
        Just(65_536),
        Just(LIMIT),
        Just(LIMIT + 1),
    ];
    prop_oneof![
        5 => (nbytes, 0..4_u64).prop_map(|(nbytes, priority)| Op::Reserve { nbytes, priority }),
        3 => any::<usize>().prop_map(Op::Seal),
        1 => any::<usize>().prop_map(Op::View),
        1 => any::<usize>().prop_map(Op::Clone),
        5 => any::<usize>().prop_map(Op::Drop),
        1 => any::<usize>().prop_map(Op::GiveUpWaiting),
        1 => Just(Op::ReleaseWarm),
    ]
}

/// What lives: the number of its memory, and its face.
enum Face {
    Writing(Writing),
    Sealed(Sealed),
}

#[derive(Default)]
struct World {
    living: Vec<(u64, Face)>,
    waiting: BTreeMap<(u64, u64), (u64, Waiting)>,
    /// The model: sizes by number of memory, with the number of faces on each.
    memories: BTreeMap<u64, (u64, usize)>,
    next: u64,
}

fn poll(waiting: &mut Waiting) -> Poll<Result<Writing, StoreError>> {
    waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The byte that memory of this number is filled with.
fn fill(number: u64) -> u8 {
    number.wrapping_mul(37) as u8
}

impl World {
    fn used(&self) -> u64 {
        self.memories.values().map(|(nbytes, _)| nbytes).sum()
    }

    fn born(&mut self, mut writing: Writing) {
        self.next += 1;
        writing.bytes_mut().fill(fill(self.next));
        self.memories.insert(self.next, (writing.nbytes(), 1));
        self.living.push((self.next, Face::Writing(writing)));
    }

    fn drop_face(&mut self, index: usize) {
        let (number, face) = self.living.swap_remove(index);
        drop(face);
        let memory = self.memories.get_mut(&number).unwrap();
        memory.1 -= 1;
        if memory.1 == 0 {
            self.memories.remove(&number);
        }
    }

    /// Serves the model's queue: its head as long as it fits. The store must agree on each.
    fn serve(&mut self) {
        while let Some(mut entry) = self.waiting.first_entry() {
            let (nbytes, future) = entry.get_mut();
            let polled = poll(future);
            if self.memories.values().map(|(nbytes, _)| nbytes).sum::<u64>() + *nbytes > LIMIT {
                assert!(polled.is_pending(), "the head does not fit");
                break;
            }
            let Poll::Ready(Ok(writing)) = polled else { panic!("the head fits: {polled:?}") };
            drop(entry.remove());
            self.born(writing);
        }
        for (_, future) in self.waiting.values_mut() {
            assert!(poll(future).is_pending(), "nobody overtakes");
        }
    }

    fn apply(&mut self, store: &Store, op: &Op) {
        match *op {
            Op::Reserve { nbytes, priority } => {
                let mut future: Waiting = Box::pin(store.reserve_async(nbytes, priority));
                match poll(&mut future) {
                    Poll::Ready(Err(error)) => {
                        assert_eq!(error, StoreError::TooLarge { nbytes, limit: LIMIT });
                        assert!(nbytes > LIMIT);
                    }
                    Poll::Ready(Ok(writing)) => {
                        assert!(self.used() + nbytes <= LIMIT);
                        // Only a smaller priority than everybody's may go first.
                        let first = self.waiting.first_key_value();
                        assert!(first.is_none_or(|((other, _), _)| priority < *other));
                        self.born(writing);
                    }
                    Poll::Pending => {
                        self.next += 1;
                        self.waiting.insert((priority, self.next), (nbytes, future));
                    }
                }
            }
            Op::GiveUpWaiting(which) => {
                if let Some(key) = self.waiting.keys().nth(which % self.waiting.len().max(1)) {
                    let key = *key;
                    self.waiting.remove(&key);
                }
            }
            Op::ReleaseWarm => {
                store.release_warm();
                assert_eq!(store.usage().warm_free_bytes, 0);
            }
            Op::Seal(which) | Op::View(which) | Op::Clone(which) | Op::Drop(which) => {
                if !self.living.is_empty() {
                    self.touch(op, which % self.living.len());
                }
            }
        }
        self.serve();
    }

    fn touch(&mut self, op: &Op, index: usize) {
        if matches!(op, Op::Drop(_)) {
            self.drop_face(index);
            return;
        }
        let (number, face) = self.living.swap_remove(index);
        let extra = match (&face, op) {
            (Face::Sealed(sealed), Op::View(_)) => Some(sealed.with_header(Header::Bytes).unwrap()),
            (Face::Sealed(sealed), Op::Clone(_)) => Some(sealed.clone()),
            _ => None,
        };
        let face = match face {
            Face::Writing(writing) if matches!(op, Op::Seal(_)) => {
                Face::Sealed(writing.seal(Header::Bytes).unwrap())
            }
            face => face,
        };
        self.living.push((number, face));
        if let Some(sealed) = extra {
            self.memories.get_mut(&number).unwrap().1 += 1;
            self.living.push((number, Face::Sealed(sealed)));
        }
    }

    fn check(&mut self, store: &Store) {
        let usage = store.usage();
        let writing: u64 = self
            .living
            .iter()
            .map(|(_, face)| match face {
                Face::Writing(writing) => writing.nbytes(),
                Face::Sealed(_) => 0,
            })
            .sum();
        assert_eq!(usage.used_bytes, self.used());
        assert_eq!(usage.reserved_bytes, writing);
        assert_eq!(usage.sealed_bytes, self.used() - writing);
        assert!(usage.used_bytes + usage.warm_free_bytes <= LIMIT);
        assert!(usage.used_bytes + usage.warm_free_bytes <= usage.peak_used_bytes);
        assert_eq!(store.waiting_count(), self.waiting.len());
        for (number, face) in &mut self.living {
            let bytes = match face {
                Face::Writing(writing) => writing.bytes_mut(),
                Face::Sealed(sealed) => sealed.bytes(),
            };
            assert!(bytes.iter().all(|byte| *byte == fill(*number)), "foreign bytes");
            assert_eq!(bytes.as_ptr().align_offset(64), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_agrees_with_the_model(ops in prop::collection::vec(op(), 0..80)) {
        let store = Store::with_patience(LIMIT, FOR_EVER);
        // Something is always at work, so the queue is served strictly in order.
        let working: Vec<_> = (0..1000).map(|_| store.activity()).collect();
        let mut world = World::default();
        for op in &ops {
            world.apply(&store, op);
            world.check(&store);
        }
        world.waiting.clear();
        world.living.clear();
        drop(working);
        store.release_warm();
        let usage = store.usage();
        let nothing = rdask_store::Usage {
            limit_bytes: LIMIT,
            peak_used_bytes: usage.peak_used_bytes,
            ..rdask_store::Usage::default()
        };
        prop_assert_eq!(usage, nothing);
    }
}
