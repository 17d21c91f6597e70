//! What a key tells about its task: prefix and group (Dask's `key_split` and `key_split_group`).
//!
//! The prefix names what a task does (`mean-axis` of `('mean-axis-0a1b', 3)`): durations are
//! averaged over it. The group names the call that made it (`mean-axis-0a1b`): root-ish tasks are
//! recognised by the size of their group. Both are parts of the key itself, so that nothing is
//! copied; only hashes and objects without a name have a fixed one.

/// Name of what has none: a bare 32-digit hash.
const DATA: &str = "data";

/// Characters around the name in a key that was printed from a tuple.
const AROUND: [char; 5] = ['_', '\'', '(', ')', '"'];

/// The prefix of a key: its leading words up to the first token or number.
///
/// ```
/// use rdask_core::key::prefix;
/// assert_eq!(prefix("x-1"), "x");
/// assert_eq!(prefix("hello-world-1"), "hello-world");
/// assert_eq!(prefix("('mean-axis-0a1b2c3d', 3, 0)"), "mean-axis");
/// assert_eq!(prefix("ae05086432ca935f6eba409a8ecd4896"), "data");
/// ```
#[must_use]
pub fn prefix(key: &str) -> &str {
    let first_end = key.find('-').unwrap_or(key.len());
    let first = &key[..first_end];
    let (start, mut end) = if first.starts_with(char::is_alphabetic) {
        (0, first_end)
    } else {
        let head = first.split(',').next().unwrap_or(first);
        let without_start = head.trim_start_matches(AROUND);
        let start = head.len() - without_start.len();
        (start, start + without_start.trim_end_matches(AROUND).len())
    };
    // A name that was cut at its end has no further words.
    if end == first_end {
        for word in key[first_end..].split('-').skip(1) {
            if !is_name(word) {
                break;
            }
            end += 1 + word.len();
        }
    }
    named(&key[start..end])
}

/// The group of a key: the key without its index.
///
/// ```
/// use rdask_core::key::group;
/// assert_eq!(group("x-1"), "x");
/// assert_eq!(group("('mean-axis-0a1b2c3d', 3, 0)"), "mean-axis-0a1b2c3d");
/// ```
#[must_use]
pub fn group(key: &str) -> &str {
    if key.starts_with('(') {
        let head = key.split(',').next().unwrap_or(key);
        return head.trim_matches(['(', ')', '"', '\'']);
    }
    prefix(key)
}

/// A word of letters that is not an 8-digit hexadecimal token.
fn is_name(word: &str) -> bool {
    let token = word.len() == 8 && word.bytes().all(|b| matches!(b, b'a'..=b'f'));
    !word.is_empty() && word.chars().all(char::is_alphabetic) && !token
}

fn named(name: &str) -> &str {
    if name.len() == 32 && name.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9')) {
        return DATA;
    }
    if name.starts_with('<') {
        let inner = name.trim_matches(['<', '>']);
        let object = inner.split_whitespace().next().unwrap_or(inner);
        return object.rsplit('.').next().unwrap_or(object);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{group, prefix};

    #[test]
    fn prefixes_are_the_words_before_the_token() {
        for (key, expected) in [
            ("x", "x"),
            ("x-1", "x"),
            ("x-1-2-3", "x"),
            ("hello-world-1", "hello-world"),
            ("x-abcdefab", "x"),
            ("x-abcdefabc", "x-abcdefabc"),
            ("('x-2', 1)", "x"),
            ("('x', 1)", "x"),
            ("_(x)", "x"),
            ("load_npy-3-4", "load_npy"),
            ("<module.submodule.myclass object at 0xdaf372", "myclass"),
            ("ae05086432ca935f6eba409a8ecd4896", "data"),
            ("", ""),
            ("-", ""),
            ("é-2", "é"),
            ("17", "17"),
        ] {
            assert_eq!(prefix(key), expected, "{key:?}");
        }
    }

    #[test]
    fn groups_keep_the_token_of_tuple_keys() {
        for (key, expected) in [
            ("x-1", "x"),
            ("('x-2', 1)", "x-2"),
            ("('x-2', 1, 3)", "x-2"),
            ("ae05086432ca935f6eba409a8ecd4896", "data"),
            ("", ""),
        ] {
            assert_eq!(group(key), expected, "{key:?}");
        }
    }
}
