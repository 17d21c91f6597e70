//! Cores among workers: whole NUMA domains where there are enough, else runs inside one.
//!
//! Owns only the division; who takes part and what binding means is decided before. Invariant:
//! every core goes to exactly one worker and every worker gets at least one. Ties go to the
//! lower index: earlier workers get more domains, earlier domains more workers.

use std::collections::BTreeMap;

use super::Notes;
use crate::topology::Topology;

/// The allowed cores of one NUMA domain.
struct Domain {
    package: u32,
    cores: Vec<usize>,
}

/// Divides `cores` (logical numbers, ascending) among `workers`, of which there are at most as
/// many as cores.
pub(super) fn divide(topology: &Topology, cores: &[usize], workers: usize) -> Vec<Vec<usize>> {
    let domains = domains(topology, cores);
    if workers == 0 {
        return Vec::new();
    }
    if workers <= domains.len() {
        return whole_domains(&domains, workers);
    }
    let counts = workers_per_domain(&domains, workers);
    let parts = domains.iter().zip(counts);
    parts.flat_map(|(domain, count)| runs(topology, &domain.cores, count)).collect()
}

/// Says how the division went, and warns where it wastes.
pub(super) fn explain(topology: &Topology, cores: &[usize], workers: usize, notes: &mut Notes) {
    let count = domains(topology, cores).len();
    if count < 2 || workers == 0 {
        return;
    }
    notes.reasons.push(if workers <= count {
        format!("{count} NUMA domains with allowed cores: whole neighbouring ones per worker")
    } else {
        format!("{count} NUMA domains with allowed cores: several workers in each")
    });
    let fits: Vec<usize> = if workers <= count {
        let divides = |some: &usize| count.is_multiple_of(*some);
        let below = (1..=workers).rev().find(divides);
        let above = (workers..=count).find(divides);
        below.into_iter().chain(above).collect()
    } else {
        let below = workers / count * count;
        let above = below + count;
        [below, above].into_iter().filter(|&some| some <= cores.len()).collect()
    };
    if fits.contains(&workers) {
        return;
    }
    let fits: Vec<String> = fits.iter().map(usize::to_string).collect();
    notes.warnings.push(format!(
        "{workers} workers over {count} NUMA domains is uneven: use {}",
        fits.join(" or ")
    ));
}

fn domains(topology: &Topology, cores: &[usize]) -> Vec<Domain> {
    let mut domains: BTreeMap<u32, Domain> = BTreeMap::new();
    for &core in cores {
        let at = topology.cores()[core].domain;
        let package = topology.domains()[at as usize].package;
        let new = || Domain { package, cores: Vec::new() };
        domains.entry(at).or_insert_with(new).cores.push(core);
    }
    domains.into_values().collect()
}

/// At most as many workers as domains: each gets whole neighbouring ones, none of them in two
/// packages where the packages can be served one by one.
fn whole_domains(domains: &[Domain], workers: usize) -> Vec<Vec<usize>> {
    let packages: Vec<&[Domain]> = domains.chunk_by(|a, b| a.package == b.package).collect();
    let per_package = workers / packages.len();
    let by_package = workers.is_multiple_of(packages.len())
        && packages.iter().all(|package| package.len() >= per_package);
    if by_package {
        packages.iter().flat_map(|package| neighbours(package, per_package)).collect()
    } else {
        neighbours(domains, workers)
    }
}

fn neighbours(domains: &[Domain], workers: usize) -> Vec<Vec<usize>> {
    let (least, more) = (domains.len() / workers, domains.len() % workers);
    let mut rest = domains;
    (0..workers)
        .map(|worker| {
            let (own, others) = rest.split_at(least + usize::from(worker < more));
            rest = others;
            own.iter().flat_map(|domain| domain.cores.iter().copied()).collect()
        })
        .collect()
}

/// More workers than domains: the floor of W/D each, the rest to those with more cores; none
/// gets more workers than it has cores.
fn workers_per_domain(domains: &[Domain], workers: usize) -> Vec<usize> {
    let floor = workers / domains.len();
    let mut counts: Vec<usize> =
        domains.iter().map(|domain| floor.min(domain.cores.len())).collect();
    let mut left = workers - counts.iter().sum::<usize>();
    let mut by_cores: Vec<usize> = (0..domains.len()).collect();
    by_cores.sort_by_key(|&at| std::cmp::Reverse(domains[at].cores.len()));
    // Several rounds where a small domain could not take its floor.
    while left > 0 {
        let before = left;
        for &at in &by_cores {
            if left > 0 && counts[at] < domains[at].cores.len() {
                counts[at] += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    counts
}

/// Contiguous runs of `cores` whose sizes differ by at most one. Which runs are the longer ones
/// is free: the choice that cuts through the fewest L3 groups, earlier runs longer on a tie.
fn runs(topology: &Topology, cores: &[usize], count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return Vec::new();
    }
    let (least, more) = (cores.len() / count, cores.len() % count);
    let l3 = |at: usize| topology.cores()[cores[at]].l3;
    // cuts[run][longer]: groups cut by the runs from `run` on, when `longer` of the runs before
    // it were longer ones. A boundary inside a group is one cut.
    let is_cut = |at: usize| usize::from(at > 0 && at < cores.len() && l3(at - 1) == l3(at));
    let mut cuts = vec![vec![usize::MAX; more + 2]; count + 1];
    cuts[count][more] = 0;
    for run in (0..count).rev() {
        for longer in 0..=more.min(run) {
            let end = (run + 1) * least + longer;
            let next = &cuts[run + 1];
            let long = next[longer + 1].saturating_add(is_cut(end + 1));
            let short = next[longer].saturating_add(is_cut(end));
            cuts[run][longer] = long.min(short);
        }
    }
    let (mut parts, mut start, mut longer) = (Vec::new(), 0, 0);
    for run in 0..count {
        let end = (run + 1) * least + longer;
        let next = &cuts[run + 1];
        let long = next[longer + 1].saturating_add(is_cut(end + 1));
        let takes_more = longer < more && long <= next[longer].saturating_add(is_cut(end));
        let end = end + usize::from(takes_more);
        longer += usize::from(takes_more);
        parts.push(cores[start..end].to_vec());
        start = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(description: &str, cores: std::ops::Range<usize>, workers: usize) -> Vec<usize> {
        let topology = Topology::synthetic(description).unwrap();
        let cores: Vec<usize> = cores.collect();
        divide(&topology, &cores, workers).iter().map(Vec::len).collect()
    }

    #[test]
    fn longer_runs_go_where_they_spare_an_l3_group() {
        // Cores 1 to 15 of two groups of eight: 7 and 8 keep the groups whole, 8 and 7 do not.
        assert_eq!(sizes("numa:1 l3:2 core:8", 1..16, 2), [7, 8]);
        assert_eq!(sizes("numa:1 l3:2 core:8", 0..15, 2), [8, 7]);
        // Without groups to spare the earlier run is the longer one.
        assert_eq!(sizes("numa:1 core:16", 1..16, 2), [8, 7]);
        assert_eq!(sizes("numa:1 l3:4 core:4", 0..16, 3), [6, 5, 5]);
    }

    #[test]
    fn small_domains_are_not_overfilled() {
        // Domain 0 with its last core only, domain 1 whole.
        assert_eq!(sizes("numa:2 core:8", 7..16, 6), [1, 2, 2, 2, 1, 1]);
    }

    #[test]
    fn packages_are_not_straddled_where_they_need_not_be() {
        // Package 0 has one domain left, package 1 three.
        assert_eq!(sizes("pack:2 numa:3 core:2", 4..12, 2), [2, 6]);
        assert_eq!(sizes("pack:2 numa:3 core:2", 4..12, 4), [2, 2, 2, 2]);
        assert_eq!(sizes("pack:2 numa:4 core:1", 0..8, 3), [3, 3, 2]);
    }
}
