//! Any bytes are a graph or an error, never a panic, an overflow or an allocation without bound.
//!
//! The bytes are read as they are and once more with the right checksum, behind which the checks of
//! sections and records stand. A graph that is read must come back the same when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdask::graph_file::{read_from, write};

fuzz_target!(|data: &[u8]| {
    check(data);
    if data.len() >= 64 {
        let mut summed = data.to_vec();
        let sum = xxhash_rust::xxh3::xxh3_64(&data[64..]);
        summed[24..32].copy_from_slice(&sum.to_le_bytes());
        check(&summed);
    }
});

fn check(bytes: &[u8]) {
    if let Ok(graph) = read_from(bytes) {
        let mut again = Vec::new();
        write(&graph, &mut again).expect("a graph that was read can be written");
        assert_eq!(read_from(again.as_slice()).expect("what was written can be read"), graph);
    }
}
