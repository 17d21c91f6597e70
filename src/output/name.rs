//! File names from keys: safe on every file system, never the same for two keys.
//!
//! A stem is the key with unusual bytes as `%XX`, cut at 200 bytes. Names that differ only in case,
//! or that were cut, end with `~` and a hash; `~` stands in no other stem.

use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// Longest stem, bytes: with suffix and temporary parts below the 255 of every file system.
const MAX_STEM_BYTES: usize = 200;
/// `~` and 16 hex digits.
const HASH_BYTES: usize = 17;
/// Names that some systems keep for devices.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// Gives out stems, each once.
#[derive(Debug, Default)]
pub struct Names {
    used: HashSet<String>,
}

impl Names {
    /// None given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stem for a key; asked again, it gives another one.
    pub fn stem(&mut self, key: &str) -> String {
        let encoded = encode(key);
        let plain = if encoded.len() > MAX_STEM_BYTES {
            with_hash(&encoded, key, 0)
        } else {
            encoded.clone()
        };
        if self.used.insert(plain.to_ascii_lowercase()) {
            return plain;
        }
        let mut round = 0;
        loop {
            let stem = with_hash(&encoded, key, round);
            if self.used.insert(stem.to_ascii_lowercase()) {
                return stem;
            }
            round += 1;
        }
    }
}

/// The key with everything but letters, digits and `_-.,=+@` as `%XX`; different keys differ.
fn encode(key: &str) -> String {
    let mut stem = String::with_capacity(key.len());
    let reserved = is_reserved(key);
    for (place, byte) in key.bytes().enumerate() {
        let usual = byte.is_ascii_alphanumeric() || b"_-.,=+@".contains(&byte);
        let first = place == 0 && (b".-".contains(&byte) || reserved);
        if usual && !first {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("%{byte:02X}"));
        }
    }
    stem
}

fn is_reserved(key: &str) -> bool {
    let name = key.split('.').next().unwrap_or(key).to_ascii_lowercase();
    let name = name.trim_end_matches(|last: char| last.is_ascii_digit());
    RESERVED.contains(&name)
}

fn with_hash(encoded: &str, key: &str, round: u64) -> String {
    let cut = encoded.len().min(MAX_STEM_BYTES - HASH_BYTES);
    let hash = xxh3_64(key.as_bytes()).wrapping_add(round);
    format!("{}~{hash:016x}", &encoded[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_keys_stay() {
        let mut names = Names::new();
        for key in ["s", "x-0", "mean_agg-1a2b", "a.b,c=1", "Sum"] {
            assert_eq!(names.stem(key), key);
        }
    }

    #[test]
    fn unusual_bytes_are_escaped() {
        for (key, stem) in [
            ("('x', 0, 1)", "%28%27x%27,%200,%201%29"),
            ("../etc/passwd", "%2E.%2Fetc%2Fpasswd"),
            (".hidden", "%2Ehidden"),
            ("-rf", "%2Drf"),
            ("nul", "%6Eul"),
            ("COM1.x", "%43OM1.x"),
            ("100%", "100%25"),
            ("é\n\0", "%C3%A9%0A%00"),
            ("", ""),
        ] {
            assert_eq!(Names::new().stem(key), stem, "{key:?}");
        }
    }

    #[test]
    fn case_alone_makes_no_difference_to_a_file_system() {
        let mut names = Names::new();
        assert_eq!(names.stem("sum"), "sum");
        let other = names.stem("SUM");
        assert!(other.starts_with("SUM~") && other.len() == 20, "{other}");
        assert_ne!(names.stem("sum"), "sum");
    }

    #[test]
    fn long_keys_are_cut_apart() {
        let mut names = Names::new();
        let one = names.stem(&"a".repeat(4096));
        let two = names.stem(&("a".repeat(4095) + "b"));
        assert!(one.len() == 200 && two.len() == 200 && one != two);
    }

    proptest! {
        #[test]
        fn stems_are_safe_and_differ(keys in prop::collection::hash_set("(?s).{0,90}", 0..40)) {
            let mut names = Names::new();
            let stems: Vec<String> = keys.iter().map(|key| names.stem(key)).collect();
            let lower: HashSet<String> =
                stems.iter().map(|stem| stem.to_ascii_lowercase()).collect();
            prop_assert_eq!(lower.len(), keys.len());
            for stem in stems {
                prop_assert!(stem.len() <= 200);
                prop_assert!(!stem.starts_with(['.', '-']));
                prop_assert!(stem.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
            }
        }
    }
}
