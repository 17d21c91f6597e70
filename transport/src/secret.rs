//! The job's secret, and the proofs made with it.
//!
//! It never reaches a log (no `Debug`), an argument list or an error text, and is wiped when
//! dropped. Proofs are HMAC-SHA256 and compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

/// Length of a secret and of a proof, bytes.
pub const SECRET_LEN: usize = 32;

/// 256 bits that every process of a job shares and nobody else knows.
#[derive(Clone)]
pub struct Secret([u8; SECRET_LEN]);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// A new one from the system's generator.
    ///
    /// # Errors
    /// The system has no entropy to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; SECRET_LEN];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }

    /// The secret of these bytes; the caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes, to hand them to another rank.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }

    /// HMAC-SHA256 over the concatenation of `parts`.
    pub(crate) fn prove(&self, parts: &[&[u8]]) -> [u8; SECRET_LEN] {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Whether `proof` is the one over `parts`, in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], proof: &[u8]) -> bool {
        self.mac(parts).verify_slice(proof).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_hmac_sha256() {
        // HMAC-SHA256 with a key of 32 zero bytes over the empty text, from Python's hmac module.
        let proof = Secret::from_bytes([0; 32]).prove(&[]);
        let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    }

    #[test]
    fn a_proof_holds_for_its_text_and_secret_only() {
        let (one, two) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        let proof = one.prove(&[b"ab", b"c"]);
        assert!(one.verify(&[b"abc"], &proof));
        assert!(!one.verify(&[b"abd"], &proof));
        assert!(!one.verify(&[b"abc"], &proof[..31]));
        assert!(!two.verify(&[b"abc"], &proof));
        assert!(Secret::random().unwrap().as_bytes() != Secret::random().unwrap().as_bytes());
    }
}
