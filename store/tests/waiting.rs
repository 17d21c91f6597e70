//! Who waits, who is served, who is refused; and what memory is used again.

use rdask_store::{DType, Header, Sealed, Store, StoreError, Writing};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A guard against hanging, far above anything here.
const HANG: Duration = Duration::from_secs(60);
const IMPATIENT: Duration = Duration::from_millis(20);

/// Reserves on a thread of its own, under an activity, and reports.
fn reserve_on_thread(
    store: &Store,
    nbytes: u64,
    priority: u64,
) -> mpsc::Receiver<Result<Writing, StoreError>> {
    let (sender, receiver) = mpsc::channel();
    let store = store.clone();
    let working = store.activity();
    drop(thread::spawn(move || {
        let reserved = store.reserve(nbytes, priority);
        drop(sender.send(reserved));
        drop(working);
    }));
    receiver
}

fn until(mut test: impl FnMut() -> bool) {
    while !test() {
        thread::yield_now();
    }
}

#[test]
fn a_thread_waits_until_another_frees() {
    let store = Store::new(1000);
    let held = store.reserve(800, 0).unwrap().seal(Header::Bytes).unwrap();
    let working = store.activity();
    let waiting = reserve_on_thread(&store, 500, 0);
    until(|| store.waiting_count() == 1);
    let view = held.with_header(Header::Array { dtype: DType::U8, shape: vec![8, 100] }).unwrap();
    drop(held);
    assert_eq!(store.waiting_count(), 1, "the view still pins the memory");
    drop(view);
    assert_eq!(waiting.recv_timeout(HANG).unwrap().unwrap().nbytes(), 500);
    drop(working);
}

#[test]
fn smaller_priorities_are_served_first_and_equal_ones_in_order() {
    let store = Store::with_patience(100, Duration::from_secs(3600));
    let working = store.activity();
    let held = store.reserve(100, 0).unwrap();
    let (sender, served) = mpsc::channel();
    let mut threads = Vec::new();
    for (turn, (name, priority)) in [('c', 5), ('a', 1), ('d', 5), ('b', 3)].into_iter().enumerate()
    {
        let (thread_store, sender) = (store.clone(), sender.clone());
        let activity = store.activity();
        threads.push(thread::spawn(move || {
            let writing = thread_store.reserve(100, priority).unwrap();
            sender.send(name).unwrap();
            drop((writing, activity));
        }));
        until(|| store.waiting_count() == turn + 1);
    }
    drop(held);
    let order: Vec<char> = (0..4).map(|_| served.recv_timeout(HANG).unwrap()).collect();
    assert_eq!(order, ['a', 'b', 'c', 'd']);
    for thread in threads {
        thread.join().unwrap();
    }
    drop(working);
}

#[test]
fn when_everybody_waits_the_last_is_refused_and_the_others_go_on() {
    let store = Store::with_patience(1000, IMPATIENT);
    // Two tasks hold half each and both want more.
    let (first, second) = (store.reserve(500, 0).unwrap(), store.reserve(500, 0).unwrap());
    let urgent = reserve_on_thread(&store, 400, 1);
    let other = reserve_on_thread(&store, 400, 2);
    let refused = other.recv_timeout(HANG).unwrap().unwrap_err();
    assert_eq!(refused, StoreError::Full { nbytes: 400, used: 1000, limit: 1000 });
    // The refused task fails and gives back what it held.
    drop(second);
    assert_eq!(urgent.recv_timeout(HANG).unwrap().unwrap().nbytes(), 400);
    drop(first);
}

#[test]
fn when_everybody_waits_those_that_fit_overtake() {
    let store = Store::with_patience(1000, Duration::from_secs(3600));
    let held = store.reserve(700, 0).unwrap();
    let working = store.activity();
    let large = reserve_on_thread(&store, 600, 1);
    until(|| store.waiting_count() == 1);
    let small = reserve_on_thread(&store, 300, 2);
    until(|| store.waiting_count() == 2);
    assert!(small.try_recv().is_err(), "as long as something works the order holds");
    // The last thing at work ends without freeing anything.
    drop(working);
    assert_eq!(small.recv_timeout(HANG).unwrap().unwrap().nbytes(), 300);
    drop(held);
    assert_eq!(large.recv_timeout(HANG).unwrap().unwrap().nbytes(), 600);
}

#[test]
fn nobody_is_refused_while_a_loan_to_a_peer_can_end() {
    let store = Store::with_patience(1000, IMPATIENT);
    let object = store.reserve(1000, 0).unwrap().seal(Header::Bytes).unwrap();
    let lent = object.lend();
    drop(object);
    assert_eq!(store.usage().pinned_bytes, 1000);
    let waiting = reserve_on_thread(&store, 1, 0);
    until(|| store.waiting_count() == 1);
    assert_eq!(lent.object().nbytes(), 1000);
    drop(lent);
    assert_eq!(waiting.recv_timeout(HANG).unwrap().unwrap().nbytes(), 1);
    assert_eq!(store.usage().pinned_bytes, 0);
}

#[test]
fn an_object_above_the_limit_fails_at_once_and_one_of_it_passes() {
    let store = Store::new(1 << 20);
    let error = store.reserve((1 << 20) + 1, 0).unwrap_err();
    assert_eq!(error, StoreError::TooLarge { nbytes: (1 << 20) + 1, limit: 1 << 20 });
    // Also when the rest of the limit is warm memory of another class.
    for nbytes in [700_000, 300_000, 1 << 20] {
        drop(store.reserve(nbytes, 0).unwrap());
    }
    assert_eq!(Store::new(0).reserve(1 << 20, 0).unwrap().nbytes(), 1 << 20);
    assert!(matches!(Store::new(0).reserve(1 << 60, 0), Err(StoreError::System { .. })));
}

#[test]
fn a_failed_allocation_gives_its_share_back() {
    let store = Store::new(0);
    assert_eq!(store.reserve(1 << 60, 0).unwrap_err(), StoreError::System { nbytes: 1 << 60 });
    assert_eq!(store.usage().used_bytes, 0);
    assert_eq!(store.usage().capacity_bytes, 0);
}

#[test]
fn freed_memory_is_used_again_last_in_first_out() {
    let store = Store::new(0);
    let mut held: Vec<Writing> = (0..4).map(|_| store.reserve(3 << 20, 0).unwrap()).collect();
    let addresses: Vec<_> = held.iter_mut().map(|one| one.bytes_mut().as_ptr()).collect();
    held.truncate(2);
    // Two are warm.
    assert_eq!(store.usage().warm_free_bytes, 6 << 20);
    let mut again = store.reserve((3 << 20) - 100, 0).unwrap();
    assert!(addresses[2..].contains(&again.bytes_mut().as_ptr()));
    assert_eq!(store.usage().warm_free_bytes, 3 << 20);
    assert_eq!(store.usage().fragmentation_bytes, 100);
    drop((again, held));
    // All of it is little enough to lie idle.
    assert_eq!(store.usage().warm_free_bytes, 12 << 20);
    store.release_warm();
    assert_eq!(store.usage().capacity_bytes, 0);
}

/// Resident memory of this process, bytes.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[test]
fn warm_memory_never_raises_the_high_water_mark() {
    // 40 blocks of changing size, at most three alive: without a bound on warm memory the sizes
    // would pile up to a gigabyte.
    let store = Store::new(0);
    let before = resident("VmRSS");
    let mut alive = std::collections::VecDeque::new();
    for round in 0..40_u64 {
        let mut block = store.reserve((8 + round % 9) << 20, 0).unwrap();
        block.bytes_mut().fill(1);
        alive.push_back(block);
        if alive.len() > 3 {
            alive.pop_front();
        }
        let usage = store.usage();
        assert!(usage.used_bytes + usage.warm_free_bytes <= usage.peak_used_bytes);
    }
    // Other tests of this process hold a few MiB.
    assert!(resident("VmRSS") < before + store.usage().peak_used_bytes + (64 << 20));
}

/// Minor page faults of the calling thread so far.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The name may hold blanks; after it come state, five numbers and flags.
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(7).unwrap().parse().unwrap()
}

#[test]
fn flat_use_of_a_size_that_its_class_rounds_up_stays_warm() {
    // A million doubles; the class has 8 MiB.
    let nbytes = 8_000_000;
    let store = Store::new(0);
    let mut alive: std::collections::VecDeque<Writing> =
        (0..4).map(|_| store.reserve(nbytes, 0).unwrap()).collect();
    for block in &mut alive {
        block.bytes_mut().fill(1);
    }
    let before = page_faults();
    for _ in 0..100 {
        drop(alive.pop_front());
        assert_eq!(store.usage().warm_free_bytes, nbytes);
        let mut block = store.reserve(nbytes, 0).unwrap();
        assert_eq!(store.usage().warm_free_bytes, 0);
        block.bytes_mut().fill(2);
        alive.push_back(block);
    }
    assert_eq!(store.usage().peak_used_bytes, 4 * nbytes);
    // Fresh blocks cost 400 faults with huge pages and 195,400 without.
    assert!(page_faults() - before < 100, "{}", page_faults() - before);
}

#[test]
fn a_size_that_is_used_now_stays_warm_in_place_of_one_that_was() {
    // More than may always lie idle: half of the highest use stays warm.
    let (early, late) = (128 << 20, 32 << 20);
    let store = Store::new(0);
    let both = [store.reserve(early, 0).unwrap(), store.reserve(early, 0).unwrap()];
    drop(both);
    assert_eq!(store.usage().warm_free_bytes, early);
    let input = store.reserve(late, 0).unwrap();
    let mut result = store.reserve(late, 0).unwrap();
    let address = result.bytes_mut().as_ptr();
    drop(result);
    assert_eq!(store.usage().warm_free_bytes, late);
    assert_eq!(store.reserve(late, 0).unwrap().bytes_mut().as_ptr(), address);
    drop(input);
}

#[test]
fn a_longer_object_in_a_warm_buffer_pays_for_its_new_pages_only() {
    let (short, long) = (7_400_000, 8_000_000);
    let store = Store::new(2 * long);
    let other = store.reserve(long, 0).unwrap();
    drop(store.reserve(short, 0).unwrap());
    assert_eq!(store.usage().warm_free_bytes, short);
    // Both lie in one class; only 600,000 bytes of the limit are left.
    let held = store.reserve(long, 0).unwrap();
    assert_eq!(store.usage().warm_free_bytes, 0);
    assert_eq!(store.usage().used_bytes, 2 * long);
    drop(other);
    // Now it counts as long; a short one in it leaves the rest of it to others.
    assert_eq!(store.usage().warm_free_bytes, long);
    let short_one = store.reserve(short, 0).unwrap();
    assert_eq!(store.reserve(long - short, 0).unwrap().nbytes(), 600_000);
    drop((held, short_one));
    assert!(store.usage().warm_free_bytes <= 2 * long);
}

#[test]
fn several_at_once_are_all_or_nothing() {
    let store = Store::with_patience(1000, IMPATIENT);
    let all = |sizes: &[u64]| {
        let mut future = Box::pin(store.reserve_all(sizes, 0));
        let waker = std::task::Waker::noop();
        future.as_mut().poll(&mut std::task::Context::from_waker(waker))
    };
    let std::task::Poll::Ready(Ok(written)) = all(&[0, 10, 400, 10]) else { panic!("it fits") };
    assert_eq!(written.iter().map(Writing::nbytes).collect::<Vec<_>>(), [0, 10, 400, 10]);
    let _working = store.activity();
    assert!(all(&[300, 300]).is_pending());
    assert_eq!(store.usage().used_bytes, 420, "the one that would have fitted was not taken");
    assert_eq!(store.waiting_count(), 0, "a dropped future leaves the queue");
    let too_large = all(&[600, 600]);
    assert!(matches!(
        too_large,
        std::task::Poll::Ready(Err(StoreError::TooLarge { nbytes: 1200, limit: 1000 }))
    ));
}

#[test]
fn many_threads_leave_the_accounts_at_zero() {
    let store = Store::new(3 << 20);
    let threads: Vec<_> = (1..=8_u64)
        .map(|seed| {
            let store = store.clone();
            thread::spawn(move || {
                let mut state = seed;
                for _ in 0..2000 {
                    let _working = store.activity();
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let mut writing = store.reserve(state % 300_000, state % 3).unwrap();
                    writing.bytes_mut().fill(seed as u8);
                    let sealed = writing.seal(Header::Bytes).unwrap();
                    assert!(sealed.bytes().iter().all(|byte| *byte == seed as u8));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let usage = store.usage();
    assert_eq!((usage.used_bytes, usage.sealed_bytes, usage.pinned_bytes), (0, 0, 0));
    assert!(usage.warm_free_bytes <= 3 << 20);
    store.release_warm();
    assert_eq!(store.usage().capacity_bytes, 0);
}

#[test]
fn headers_must_fit_their_bytes() {
    let store = Store::new(0);
    let array = |shape: &[u64]| Header::Array { dtype: DType::F64, shape: shape.to_vec() };
    let error = store.reserve(24, 0).unwrap().seal(array(&[2, 2])).unwrap_err();
    assert_eq!(error, StoreError::WrongSize { header: 32, buffer: 24 });
    assert!(store.reserve(24, 0).unwrap().seal(array(&[u64::MAX, u64::MAX])).is_err());
    assert_eq!(store.usage().used_bytes, 0);
    let matrix = store.reserve(32, 0).unwrap().seal(array(&[2, 2])).unwrap();
    let vector = matrix.with_header(array(&[4])).unwrap();
    let again = vector.with_header(array(&[1, 4])).unwrap();
    assert_eq!(vector.bytes().as_ptr(), matrix.bytes().as_ptr());
    assert!(matrix.with_header(array(&[5])).is_err());
    drop((matrix, vector));
    assert_eq!(again.header(), &array(&[1, 4]));
    assert_eq!(store.usage().used_bytes, 32);
    let bytes = again.to_bytes();
    drop(again);
    assert_eq!((bytes.len(), store.usage().used_bytes), (32, 32));
    drop(bytes);
    assert_eq!(store.usage().used_bytes, 0);
    let inline = Sealed::from_bytes(&[1, 2, 3], Header::Bytes).unwrap();
    assert_eq!((inline.bytes(), inline.bytes().as_ptr().align_offset(64)), (&[1, 2, 3][..], 0));
}
