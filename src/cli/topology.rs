//! `rdask-hpc topology`: what would be pinned where, and why.
//!
//! Gathers what is known of this node, or of one that is described, and prints the plan that
//! the launcher would make of it. It binds nothing. Invariant: the plan printed is the plan
//! used, since both come from `rdask_launcher::plan`.

use std::fmt::Write as _;
use std::process::ExitCode;

use rdask_launcher::cpuset::Cpuset;
use rdask_launcher::limits::{self, MemoryFacts, MemoryLimit};
use rdask_launcher::pinning;
use rdask_launcher::plan::{Bind, NodeFacts, NodePlan, SchedulerPlace, plan};
use rdask_launcher::topology::Topology;
use serde_json::{Value, json};

use super::print;
use crate::user_error::UserError;

/// Most ranks that one node can have here; beyond any machine, and quick to plan.
const RANKS_LIMIT: i64 = 16_384;

/// Arguments of `topology`.
#[derive(clap::Args, Debug)]
pub struct TopologyArgs {
    /// Cores that may be used, as 0-7,16 (logical numbers as hwloc counts them, hardware
    /// threads follow their core); `pu:0-7` lists CPUs as taskset does, `numa:2,3` NUMA nodes
    /// [default: what this process may use, or the whole described machine]
    #[arg(long, value_name = "LIST")]
    allowed: Option<String>,
    /// A machine that is not there, in hwloc's syntax: 'pack:2 numa:4 core:16 pu:2'
    #[arg(long, value_name = "DESC")]
    synthetic: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

/// What the plan depends on besides the machine.
#[derive(clap::Args, Clone, Copy, Debug)]
struct Options {
    /// Ranks on this node [default: a local run's scheduler and a worker per NUMA domain]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=RANKS_LIMIT))]
    ranks: Option<u32>,
    /// Whether the scheduler is one of these ranks; with one rank it shares the process
    #[arg(long, value_name = "yes|no", default_value = "yes")]
    scheduler_here: YesNo,
    /// What executor threads are bound to: auto, none, core, numa or package
    #[arg(long, value_name = "WHAT", default_value = "auto")]
    bind: Bind,
    /// Cores that the scheduler takes from the workers [default: 1 of at least 8]
    #[arg(long, value_name = "N")]
    scheduler_cores: Option<u32>,
    /// Threads per worker [default: its cores]
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// Memory per worker: bytes (8GiB), a part of its share (50%), auto or none
    #[arg(long, value_name = "LIMIT", default_value = "auto")]
    memory_limit: MemoryLimit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum YesNo {
    Yes,
    No,
}

/// Prints the plan.
///
/// # Errors
/// A description or a list that makes no sense; a machine that cannot be read.
pub fn run(args: TopologyArgs) -> anyhow::Result<ExitCode> {
    let TopologyArgs { allowed: list, synthetic, json, options } = args;
    let topology = match synthetic {
        Some(description) => Topology::synthetic(&description)
            .map_err(|fault| UserError::new(fault.to_string(), "--synthetic"))?,
        None => Topology::discover()?,
    };
    let allowed = allowed(&topology, list.as_deref())?;
    let facts = facts(options, topology, allowed)?;
    let plan = plan(&facts);
    let text = if json { as_json(&facts, &plan).to_string() } else { table(&facts, &plan) };
    print::data(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The CPUs that the ranks may use.
fn allowed(topology: &Topology, list: Option<&str>) -> anyhow::Result<Cpuset> {
    let Some(list) = list else {
        return Ok(if topology.is_this_system() {
            pinning::current_mask()?.intersection(&topology.cpus())
        } else {
            topology.cpus()
        });
    };
    let (what, numbers) = list.split_once(':').unwrap_or(("core", list));
    let wrong = |fault: String| UserError::new(fault, "--allowed");
    let numbers: Cpuset = numbers.parse().map_err(|fault| wrong(format!("{fault}")))?;
    let (known, cpus): (Cpuset, Cpuset) = match what {
        "core" => ((0..topology.cores().len() as u32).collect(), topology.cpus_of_cores(&numbers)),
        "pu" => (topology.cpus(), topology.cpus().intersection(&numbers)),
        "numa" => {
            let domains = (0u32..).zip(topology.domains());
            let chosen = domains.filter(|(_, domain)| numbers.contains(domain.node));
            let cpus = chosen
                .fold(Cpuset::new(), |cpus, (at, _)| cpus.union(&topology.cpus_of_domain(at)));
            (topology.domains().iter().map(|domain| domain.node).collect(), cpus)
        }
        _ => {
            let help = "lists are 0-7 (cores), core:0-7, pu:0-7 or numa:0";
            return Err(wrong(format!("`{what}` is no kind of number")).help(help).into());
        }
    };
    let unknown = numbers.difference(&known);
    if !unknown.is_empty() {
        let fault = wrong(format!("this machine has no {what} {unknown}"));
        return Err(fault.help(format!("it has {what} {known}")).into());
    }
    if cpus.is_empty() {
        return Err(wrong("the list is empty".to_owned()).into());
    }
    Ok(cpus)
}

fn facts(args: Options, topology: Topology, allowed: Cpuset) -> anyhow::Result<NodeFacts> {
    let here = args.scheduler_here == YesNo::Yes;
    let local = topology.domain_count(&allowed) + usize::from(here);
    let ranks = args.ranks.map_or(local, |ranks| ranks as usize);
    let scheduler = match (here, ranks) {
        (false, _) => SchedulerPlace::Elsewhere,
        (true, 1) => SchedulerPlace::SameProcess,
        (true, _) => SchedulerPlace::OwnRank,
    };
    let real = topology.is_this_system();
    Ok(NodeFacts {
        node: if real { node_name()? } else { "the described node".to_owned() },
        masks: vec![allowed; ranks],
        scheduler,
        widest: None,
        quota_millicpus: real.then(limits::cpu_quota_millicpus).flatten(),
        bind: args.bind,
        scheduler_cores: args.scheduler_cores,
        threads: args.threads,
        memory: MemoryFacts {
            node_bytes: real.then(limits::node_memory_bytes).flatten(),
            scheduler_bytes: 0,
            limit: args.memory_limit,
        },
        topology,
    })
}

fn node_name() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned())
}

fn as_json(facts: &NodeFacts, plan: &NodePlan) -> Value {
    let topology = &facts.topology;
    let cores = |cpus: &Cpuset| topology.core_numbers(cpus).to_string();
    let workers = plan.workers.iter().enumerate().map(|(at, worker)| {
        json!({
            "local_rank": facts.rank_of_worker(at),
            "threads": worker.threads.len(),
            "cores": cores(&worker.cpus),
            "cpus": worker.cpus.to_string(),
            "numa_nodes": worker.nodes,
            "bound": worker.bound,
            "memory_limit": worker.memory_limit_bytes,
        })
    });
    let allowed = allowed_of(facts);
    json!({
        "version": 1,
        "machine": {
            "source": topology.source().name(),
            "this_system": topology.is_this_system(),
            "packages": topology.package_count(),
            "numa_domains": topology.domains().len(),
            "memory_only_nodes": topology.memory_only_nodes(),
            "l3_caches": topology.l3_count(),
            "cores": topology.cores().len(),
            "cpus": topology.cpus().count(),
        },
        "local_ranks": facts.masks.len(),
        "allowed": { "cores": cores(&allowed), "cpus": allowed.to_string() },
        "scheduler": plan.scheduler.as_ref().map(|scheduler| json!({
            "cores": cores(&scheduler.cpus),
            "cpus": scheduler.cpus.to_string(),
            "bound": scheduler.bound,
        })),
        "workers": workers.collect::<Vec<_>>(),
        "reasons": plan.reasons,
        "warnings": plan.warnings,
    })
}

fn table(facts: &NodeFacts, plan: &NodePlan) -> String {
    let topology = &facts.topology;
    let cores = |cpus: &Cpuset| topology.core_numbers(cpus).to_string();
    let allowed = allowed_of(facts);
    let mut text = String::new();
    let mut line = |label: &str, rest: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{label:<10} {rest}");
    };
    line("machine", machine(topology));
    line("allowed", format!("cores {} (CPUs {allowed})", cores(&allowed)));
    let place = match (&plan.scheduler, facts.scheduler) {
        (Some(own), _) if own.bound => format!("cores {} (CPUs {})", cores(&own.cpus), own.cpus),
        (Some(own), _) => format!("floats over cores {}", cores(&own.cpus)),
        (None, SchedulerPlace::SameProcess) => "in the worker's process".to_owned(),
        (None, _) => "on another node".to_owned(),
    };
    line("scheduler", place);
    text.push('\n');
    let mut rows = vec![
        ["local rank", "threads", "cores", "CPUs", "NUMA", "memory", "bound"].map(str::to_owned),
    ];
    for (at, worker) in plan.workers.iter().enumerate() {
        let nodes: Cpuset = worker.nodes.iter().copied().collect();
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        rows.push([
            facts.rank_of_worker(at).to_string(),
            worker.threads.len().to_string(),
            cores(&worker.cpus),
            worker.cpus.to_string(),
            or_dash(nodes.to_string()),
            worker.memory_limit_bytes.map_or("-".to_owned(), gibibytes),
            if worker.bound { "yes" } else { "no" }.to_owned(),
        ]);
    }
    align(&mut text, &rows);
    text.push('\n');
    for (label, sentences) in [("why", &plan.reasons), ("warning", &plan.warnings)] {
        for sentence in sentences {
            let _infallible = writeln!(text, "{label}: {sentence}");
        }
    }
    text
}

fn allowed_of(facts: &NodeFacts) -> Cpuset {
    facts.masks.iter().fold(Cpuset::new(), |all, mask| all.union(mask))
}

fn machine(topology: &Topology) -> String {
    let count = |count: usize, noun: &str| {
        let s = if count == 1 { "" } else { "s" };
        format!("{count} {noun}{s}")
    };
    format!(
        "{}, {}, {}, {}, {} (from {})",
        count(topology.package_count() as usize, "package"),
        count(topology.domains().len(), "NUMA domain"),
        count(topology.l3_count() as usize, "L3 cache"),
        count(topology.cores().len(), "core"),
        count(topology.cpus().count(), "CPU"),
        topology.source().name()
    )
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Appends the rows with their columns aligned.
fn align<const N: usize>(text: &mut String, rows: &[[String; N]]) {
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    for row in rows {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", width(at)));
        let _infallible = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
