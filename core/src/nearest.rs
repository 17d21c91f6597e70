//! The name that somebody probably meant: the nearest by edit distance.
//!
//! Every "did you mean" of the project comes from here. A name is near when no more than a third
//! of its characters (at least one, at most three) must be inserted, removed, replaced or swapped
//! with its neighbour. Ties go to the candidate that comes first.

/// The nearest of the candidates, if one is near enough.
///
/// ```
/// use rdask_core::nearest::nearest;
/// assert_eq!(nearest("matmull", ["mean", "matmul", "map"]), Some("matmul"));
/// assert_eq!(nearest("qr", ["mean", "matmul"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().collect();
    let mut limit = (name.len() / 3).clamp(1, 3);
    if name.len() <= limit {
        return None;
    }
    let mut best = None;
    let mut rows = Rows::default();
    for candidate in candidates {
        // A distance is at least the difference in length; bytes are never fewer than characters.
        if candidate.len() + limit < name.len() || candidate.len() > 4 * (name.len() + limit) {
            continue;
        }
        let distance = rows.distance(&name, candidate, limit);
        if distance <= limit && candidate.chars().ne(name.iter().copied()) {
            best = Some(candidate);
            if distance == 1 {
                break;
            }
            limit = distance - 1;
        }
    }
    best
}

/// Three rows of the table of distances between prefixes, kept between candidates.
#[derive(Default)]
struct Rows {
    candidate: Vec<char>,
    before_last: Vec<usize>,
    last: Vec<usize>,
    current: Vec<usize>,
}

impl Rows {
    /// Edit distance with swaps of neighbours; anything above `limit` when it is larger.
    fn distance(&mut self, name: &[char], candidate: &str, limit: usize) -> usize {
        self.candidate.clear();
        self.candidate.extend(candidate.chars());
        let other = &self.candidate;
        if other.len().abs_diff(name.len()) > limit {
            return limit + 1;
        }
        self.last.clear();
        self.last.extend(0..=other.len());
        for row in [&mut self.before_last, &mut self.current] {
            row.clear();
            row.resize(other.len() + 1, 0);
        }
        for i in 1..=name.len() {
            self.current[0] = i;
            let mut smallest = i;
            for j in 1..=other.len() {
                let replaced = self.last[j - 1] + usize::from(name[i - 1] != other[j - 1]);
                let mut cost = replaced.min(self.last[j] + 1).min(self.current[j - 1] + 1);
                let swapped =
                    i > 1 && j > 1 && name[i - 1] == other[j - 2] && name[i - 2] == other[j - 1];
                if swapped {
                    cost = cost.min(self.before_last[j - 2] + 1);
                }
                self.current[j] = cost;
                smallest = smallest.min(cost);
            }
            if smallest > limit {
                return limit + 1;
            }
            std::mem::swap(&mut self.before_last, &mut self.last);
            std::mem::swap(&mut self.last, &mut self.current);
        }
        self.last[other.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_edit_of_each_kind_is_near() {
        for typo in ["transpos", "transposee", "trenspose", "tranpsose"] {
            assert_eq!(nearest(typo, ["full", "transpose", "slice"]), Some("transpose"), "{typo}");
        }
    }

    #[test]
    fn the_nearest_wins_and_ties_go_to_the_first() {
        assert_eq!(nearest("means", ["max", "men", "mean"]), Some("mean"));
        assert_eq!(nearest("cat", ["bat", "hat"]), Some("bat"));
    }

    #[test]
    fn short_and_strange_names_do_not_match_everything() {
        assert_eq!(nearest("", ["ab", "abc"]), None);
        assert_eq!(nearest("x", ["mean", "map"]), None);
        assert_eq!(nearest("größe", ["große"]), Some("große"));
        assert_eq!(nearest("aaaaaaaaa", ["bbbbbbbbb"]), None);
    }
}
