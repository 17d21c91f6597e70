//! Machines that are not there, from hwloc's synthetic syntax.
//!
//! Reads levels from the machine down, `TYPE:COUNT` each, with `[numa]` for memory attached to
//! the level above it and attributes in parentheses, which do not matter here. One parser
//! serves builds with and without hwloc, so that a description means the same in both.
//! Invariant: CPUs, cores and nodes are numbered depth first, as hwloc numbers them.

use super::{Row, Source, Topology, TopologyError};

/// More CPUs than any machine has; keeps `core:1000000 pu:1000000` from claiming memory.
const CPU_LIMIT: u64 = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Package,
    Numa,
    L3,
    Core,
    Pu,
    /// Levels that the plan does not look at: groups, dies, other caches.
    Other,
}

/// A level below the machine. `memory` counts the nodes attached to each of its objects.
struct Level {
    kind: Kind,
    count: u64,
    memory: u32,
}

/// Reads a description.
pub(super) fn parse(description: &str) -> Result<Topology, TopologyError> {
    let levels = read_levels(description)?;
    let total = levels.iter().fold(1u64, |total, level| total.saturating_mul(level.count));
    if total > CPU_LIMIT {
        return Err(fault(description, description, "it has more than 16384 CPUs"));
    }
    let has_core = levels.iter().any(|level| level.kind == Kind::Core);
    let has_l3 = levels.iter().any(|level| level.kind == Kind::L3);
    let mut walk = Walk { levels: &levels, rows: Vec::new(), memory_only: Vec::new(), nodes: 0 };
    let mut at = Row { cpu: 0, core: 0, l3: 0, node: 0, package: 0 };
    walk.attach(0, &mut at);
    walk.descend(1, at);
    let Walk { mut rows, memory_only, .. } = walk;
    for row in &mut rows {
        if !has_core {
            row.core = row.cpu;
        }
        if !has_l3 {
            row.l3 = row.package;
        }
    }
    Topology::from_rows(rows, memory_only, Source::Synthetic)
}

/// The levels, the machine itself first.
fn read_levels(description: &str) -> Result<Vec<Level>, TopologyError> {
    let fail = |token: &str, reason| fault(token, description, reason);
    let mut levels = vec![Level { kind: Kind::Other, count: 1, memory: 0 }];
    for token in &tokens(description) {
        let bare = token.split('(').next().unwrap_or(token);
        if token.contains("indexes=") {
            return Err(fail(token, "CPUs are numbered depth first, `indexes` is not supported"));
        }
        if let Some(attached) = bare.strip_prefix('[') {
            if kind_of(attached.trim_end_matches(']').trim()) != Some(Kind::Numa) {
                return Err(fail(token, "only NUMA nodes can be attached in brackets"));
            }
            if let Some(level) = levels.last_mut() {
                level.memory += 1;
            }
            continue;
        }
        let (name, count) =
            bare.split_once(':').ok_or_else(|| fail(token, "a level is TYPE:COUNT, as core:16"))?;
        let kind = kind_of(name).ok_or_else(|| {
            fail(token, "levels are package, numa, die, group, l1 to l5, core and pu")
        })?;
        let count = count.trim().parse().ok().filter(|&count| count > 0);
        let count = count.ok_or_else(|| fail(token, "the count must be a number above 0"))?;
        if levels.last().is_some_and(|level| level.kind == Kind::Pu) {
            return Err(fail(token, "nothing can stand below pu"));
        }
        if kind != Kind::Other && levels.iter().any(|level| level.kind == kind) {
            return Err(fail(token, "this level stands there twice"));
        }
        let memory = u32::from(kind == Kind::Numa);
        levels.push(Level { kind, count, memory });
    }
    if levels.len() == 1 {
        return Err(fail("", "it names no level; an example is `pack:2 numa:4 core:16 pu:2`"));
    }
    Ok(levels)
}

/// Splits at spaces outside parentheses and brackets, and before each bracket.
fn tokens(description: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    let mut depth = 0usize;
    for c in description.chars() {
        let starts = c == '[' || (depth == 0 && c.is_whitespace());
        if starts && tokens.last().is_some_and(|token| !token.is_empty()) {
            tokens.push(String::new());
        }
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Some(token) = tokens.last_mut().filter(|_| depth > 0 || !c.is_whitespace()) {
            token.push(c);
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn kind_of(name: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    let prefix_of = |full: &str, least: usize| name.len() >= least && full.starts_with(&name);
    let cache = name.strip_prefix('l').and_then(|rest| rest.chars().next());
    match name.as_str() {
        "socket" => Some(Kind::Package),
        "node" => Some(Kind::Numa),
        "pu" => Some(Kind::Pu),
        _ if prefix_of("package", 2) => Some(Kind::Package),
        _ if prefix_of("numanode", 2) => Some(Kind::Numa),
        _ if prefix_of("core", 2) => Some(Kind::Core),
        _ if prefix_of("group", 2) || prefix_of("die", 2) => Some(Kind::Other),
        "l3" | "l3u" | "l3cache" | "l3ucache" => Some(Kind::L3),
        _ if cache.is_some_and(|level| ('1'..='5').contains(&level)) => Some(Kind::Other),
        _ => None,
    }
}

fn fault(token: &str, description: &str, reason: &'static str) -> TopologyError {
    let (token, description) = (token.to_owned(), description.to_owned());
    TopologyError::Synthetic { token, description, reason }
}

/// A walk through the tree, depth first.
struct Walk<'a> {
    levels: &'a [Level],
    rows: Vec<Row>,
    memory_only: Vec<u32>,
    nodes: u32,
}

impl Walk<'_> {
    /// Makes the memory of an object of level `depth`. The deepest level with memory gives the
    /// domains their node; every other node holds memory only.
    fn attach(&mut self, depth: usize, at: &mut Row) {
        let deeper = self.levels[depth + 1..].iter().any(|level| level.memory > 0);
        for attached in 0..self.levels[depth].memory {
            if attached == 0 && !deeper {
                at.node = self.nodes;
            } else {
                self.memory_only.push(self.nodes);
            }
            self.nodes += 1;
        }
    }

    fn descend(&mut self, depth: usize, at: Row) {
        let Some(level) = self.levels.get(depth) else {
            let cpu = self.rows.len() as u32;
            self.rows.push(Row { cpu, ..at });
            return;
        };
        for _ in 0..level.count {
            let mut child = at;
            // The first CPU below an object is a label that no other object of its level has.
            let label = self.rows.len() as u32;
            match level.kind {
                Kind::Package => child.package = label,
                Kind::L3 => child.l3 = label,
                Kind::Core => child.core = label,
                Kind::Numa | Kind::Pu | Kind::Other => {}
            }
            self.attach(depth, &mut child);
            self.descend(depth + 1, child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(description: &str) -> (usize, usize, u32, usize) {
        let topology = parse(description).unwrap();
        let cpus = topology.cpus().count();
        (topology.domains().len(), topology.cores().len(), topology.l3_count(), cpus)
    }

    #[test]
    fn descriptions_multiply_out() {
        assert_eq!(shape("pack:2 numa:4 core:16 pu:2"), (8, 128, 2, 256));
        assert_eq!(
            shape("Package:1 [NUMANode(memory=1GB)] L3Cache:2(size=3) Core:4 PU:1"),
            (1, 8, 2, 8)
        );
        assert_eq!(shape("core:2"), (1, 2, 1, 2));
        assert_eq!(shape("pu:3"), (1, 3, 1, 3));
        assert_eq!(shape("numa:2 l2:2 core:2 pu:2"), (2, 8, 1, 16));
    }

    #[test]
    fn siblings_share_a_core_and_are_numbered_depth_first() {
        let topology = parse("pack:2 numa:2 core:2 pu:2").unwrap();
        assert_eq!(topology.cores()[3].cpus.to_string(), "6-7");
        assert_eq!(topology.cores()[3].domain, 1);
        assert_eq!(topology.domains()[3].package, 1);
        assert_eq!(topology.package_count(), 2);
    }

    #[test]
    fn further_memory_of_a_package_is_listed_apart() {
        let topology = parse("pack:2 [numa][numa] core:2 pu:1").unwrap();
        assert_eq!(topology.domains().len(), 2);
        assert_eq!(topology.domains()[1].node, 2);
        assert_eq!(topology.memory_only_nodes(), [1, 3]);
        let topology = parse("[numa] pack:2 numa:2 core:1").unwrap();
        assert_eq!(topology.memory_only_nodes(), [0]);
        assert_eq!(topology.domains().len(), 4);
    }

    #[test]
    fn faults_name_the_part() {
        let fault = |description: &str| parse(description).unwrap_err().to_string();
        assert!(fault("pack:2 corn:4").contains("`corn:4`"));
        assert!(fault("pack:0").contains("above 0"));
        assert!(fault("2 3 4").contains("TYPE:COUNT"));
        assert!(fault("").contains("names no level"));
        assert!(fault("pu:2 core:2").contains("below pu"));
        assert!(fault("core:2 core:2").contains("twice"));
        assert!(fault("core:99999999 pu:9").contains("16384"));
        assert!(fault("core:2(indexes=1,0)").contains("indexes"));
        assert!(fault("pack:2 [core] pu:2").contains("brackets"));
    }
}
