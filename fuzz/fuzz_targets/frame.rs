//! Any bytes as a token, a frame header and a batch: no panic, bounded lengths, and what is
//! accepted survives being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdask_transport::{Batch, frame};

fuzz_target!(|data: &[u8]| {
    let Some((token, rest)) = data.split_first_chunk::<16>() else { return };
    let Some((header, body)) = rest.split_first_chunk::<16>() else { return };
    let Ok(head) = frame::decode(header, token) else { return };
    assert!(head.len <= frame::MAX_MESSAGE + 4);
    if let Some(kind) = head.kind {
        let again = frame::encode(kind, head.request, head.len, token);
        assert_eq!(frame::decode(&again, token).unwrap(), head);
    }
    let Ok(batch) = Batch::check(body.to_vec().into()) else { return };
    let total: usize = batch.iter().map(|one| one.len() + 4).sum();
    assert_eq!(total, body.len());
});
