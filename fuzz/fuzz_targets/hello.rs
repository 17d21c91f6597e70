//! Any bytes as a Hello and as a proof: no panic, what is understood survives being written again,
//! and nothing made without the secret is ever a proof.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rdask_transport::handshake::{Side, Transcript};
use rdask_transport::{Hello, Secret};

fuzz_target!(|data: &[u8]| {
    let transcript = Transcript::new(Side::Acceptor, b"ours".to_vec(), data.to_vec());
    assert!(!transcript.verify(&Secret::from_bytes([3; 32]), &data[..data.len().min(32)]));
    if let Ok(hello) = Hello::decode(data) {
        assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
    }
});
