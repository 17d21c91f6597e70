//! What a reservation costs, beside plain allocation; what a warm buffer saves, beside memcpy.
//! Prints ratios to anchors measured in the same run; decides nothing.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints and may panic")]

use rdask_store::{Header, Store};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The median of several runs of `body`, which does `count` things.
fn median(count: u32, mut body: impl FnMut()) -> Duration {
    let mut runs: Vec<Duration> = (0..7)
        .map(|_| {
            let begun = Instant::now();
            body();
            begun.elapsed() / count
        })
        .collect();
    runs.sort_unstable();
    runs[runs.len() / 2]
}

fn small_objects() {
    const COUNT: u32 = 100_000;
    let store = Store::new(1 << 30);
    let plain = median(COUNT, || {
        for _ in 0..COUNT {
            drop(black_box(vec![0_u8; 8]));
        }
    });
    let stored = median(COUNT, || {
        for _ in 0..COUNT {
            let _working = store.activity();
            drop(black_box(store.reserve(8, 0).unwrap().seal(Header::Bytes).unwrap()));
        }
    });
    println!("8 B: reserve, seal, free {stored:?}; vec![0; 8] {plain:?}");
}

fn large_objects() {
    for mib in [1, 16, 64] {
        let nbytes = mib << 20;
        let source = vec![1_u8; nbytes];
        let mut target = vec![0_u8; nbytes];
        let memcpy = median(1, || black_box(&mut target).copy_from_slice(black_box(&source)));
        let store = Store::new(0);
        // A second object keeps the highest use, so that the freed one stays warm.
        let other = store.reserve(nbytes as u64, 0).unwrap();
        let mut write = || {
            let mut writing = store.reserve(nbytes as u64, 0).unwrap();
            writing.bytes_mut().copy_from_slice(black_box(&source));
        };
        let begun = Instant::now();
        write();
        let fresh = begun.elapsed();
        let warm = median(1, write);
        drop(other);
        let ratio = memcpy.as_secs_f64() / warm.as_secs_f64();
        println!(
            "{mib} MiB: into warm store {warm:?} ({:.0} % of memcpy's speed), \
             into fresh {fresh:?}, memcpy {memcpy:?}",
            ratio * 100.0
        );
    }
}

fn main() {
    let created = median(1000, || {
        for _ in 0..1000 {
            drop(black_box(Store::new(1 << 40)));
        }
    });
    println!("a new store: {created:?}");
    small_objects();
    large_objects();
}
