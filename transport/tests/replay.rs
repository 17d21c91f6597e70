//! The fuzz targets' corpora on a stable compiler: each file through the same functions, which
//! must not panic, and must read back what they write.

use rdask_transport::handshake::{Side, Transcript};
use rdask_transport::{Batch, Hello, Secret, frame};
use std::path::PathBuf;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.display().to_string(), std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{} has too few files", folder.display());
    files
}

/// What `fuzz/fuzz_targets/frame.rs` does.
fn frame(data: &[u8]) -> Result<(), &'static str> {
    let (token, rest) = data.split_first_chunk::<16>().ok_or("no token")?;
    let (header, body) = rest.split_first_chunk::<16>().ok_or("no header")?;
    let head = frame::decode(header, token).map_err(|_| "refused header")?;
    assert!(head.len <= frame::MAX_MESSAGE + 4);
    if let Some(kind) = head.kind {
        let again = frame::encode(kind, head.request, head.len, token);
        assert_eq!(frame::decode(&again, token).unwrap(), head);
    }
    let batch = Batch::check(body.to_vec().into()).map_err(|_| "refused batch")?;
    let total: usize = batch.iter().map(|one| one.len() + 4).sum();
    assert_eq!(total, body.len());
    Ok(())
}

/// What `fuzz/fuzz_targets/hello.rs` does.
fn hello(data: &[u8]) -> Result<(), &'static str> {
    // Nothing that a stranger says without the secret is a proof.
    let ours = b"ours".to_vec();
    let transcript = Transcript::new(Side::Acceptor, ours, data.to_vec());
    assert!(!transcript.verify(&Secret::from_bytes([3; 32]), &data[..data.len().min(32)]));
    let hello = Hello::decode(data).map_err(|_| "refused")?;
    assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
    Ok(())
}

#[test]
fn the_corpora_hold_good_and_bad_input_and_none_panics() {
    for (target, replay) in [("frame", frame as fn(&[u8]) -> _), ("hello", hello)] {
        let outcomes: Vec<_> = corpus(target).iter().map(|(_, data)| replay(data)).collect();
        assert!(outcomes.contains(&Ok(())), "{target}: nothing is accepted");
        assert!(outcomes.iter().any(Result::is_err), "{target}: nothing is refused");
    }
}
