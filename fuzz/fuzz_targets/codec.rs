//! Any bytes as a message in each direction.
//!
//! A message or an error, never a panic or memory without bound; and what is read comes back the
//! same when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdask_core::codec;
use rdask_core::messages::{FromNanny, ToNanny, ToScheduler, ToWorker};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn check<M: Serialize + DeserializeOwned>(body: &[u8]) {
    if let Ok(message) = codec::decode::<M>(body) {
        let written = codec::encode(&message).expect("it came from a shorter body");
        let again: M = codec::decode(&written).expect("it was just written");
        let twice = codec::encode(&again).expect("as above");
        // Compared as bytes: messages may hold numbers that are not equal to themselves.
        assert_eq!(written, twice);
    }
}

fuzz_target!(|data: &[u8]| {
    check::<ToWorker>(data);
    check::<ToScheduler>(data);
    check::<FromNanny>(data);
    check::<ToNanny>(data);
});
