//! The command `topology` of the real binary: each row of the example table, the machine we
//! are on, machines in hwloc's XML, and wrong arguments.
//!
//! Expected values stand here as the table of the design states them; nothing is taken from
//! the planner.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::schema::assert_fits;

/// Two packages of four NUMA domains of sixteen cores.
const BIG: &str = "pack:2 numa:4 core:16 pu:2";

fn topology(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdask-hpc"));
    command.arg("topology").args(arguments).env_remove("HWLOC_SYNTHETIC");
    command.output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let output = topology(&arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "topology {arguments:?}: {stderr}");
    let plan = serde_json::from_slice(&output.stdout).unwrap();
    assert_fits("topology", &plan);
    plan
}

fn of_each(plan: &Value, field: &str) -> Vec<Value> {
    let workers = plan["workers"].as_array().unwrap();
    workers.iter().map(|worker| worker[field].clone()).collect()
}

/// A row of the table: machine, ranks, scheduler here, expected cores and threads of each worker.
fn row(machine: &str, options: &[&str], cores: &[&str], threads: &[u64]) {
    let plan = json(&[&["--synthetic", machine], options].concat());
    assert_eq!(of_each(&plan, "cores"), cores, "{options:?}");
    assert_eq!(of_each(&plan, "threads"), threads, "{options:?}");
}

fn ranks<'a>(count: &'a str, scheduler_here: &'a str) -> [&'a str; 4] {
    ["--ranks", count, "--scheduler-here", scheduler_here]
}

#[test]
fn two_cores_one_rank_here() {
    row("core:2", &ranks("1", "yes"), &["0-1"], &[2]);
}

#[test]
fn two_cores_two_ranks_here() {
    row("core:2", &ranks("2", "yes"), &["0-1"], &[2]);
    let plan = json(&[&["--synthetic", "core:2"][..], &ranks("2", "yes")].concat());
    assert_eq!(plan["scheduler"]["bound"], false, "the scheduler floats");
}

#[test]
fn two_cores_four_ranks_here() {
    row("core:2", &ranks("4", "yes"), &["0-1"; 3], &[1; 3]);
    let plan = json(&[&["--synthetic", "core:2"][..], &ranks("4", "yes")].concat());
    assert_eq!(of_each(&plan, "bound"), [false; 3]);
    assert_eq!(plan["warnings"].as_array().unwrap().len(), 1, "warned once");
}

#[test]
fn large_node_two_ranks_here() {
    row(BIG, &ranks("2", "yes"), &["0-126"], &[127]);
    let plan = json(&[&["--synthetic", BIG][..], &ranks("2", "yes")].concat());
    assert_eq!(plan["scheduler"]["cores"], "127");
    assert_eq!(plan["scheduler"]["cpus"], "254-255", "both hardware threads of the core");
}

#[test]
fn large_node_two_ranks_elsewhere() {
    row(BIG, &ranks("2", "no"), &["0-63", "64-127"], &[64, 64]);
}

#[test]
fn large_node_five_ranks_here() {
    let cores = ["0-31", "32-63", "64-95", "96-126"];
    row(BIG, &ranks("5", "yes"), &cores, &[32, 32, 32, 31]);
}

#[test]
fn large_node_five_ranks_elsewhere() {
    let cores = ["0-31", "32-63", "64-95", "96-111", "112-127"];
    row(BIG, &ranks("5", "no"), &cores, &[32, 32, 32, 16, 16]);
    let plan = json(&[&["--synthetic", BIG][..], &ranks("5", "no")].concat());
    let hint = "5 workers over 8 NUMA domains is uneven: use 4 or 8";
    assert_eq!(plan["warnings"], serde_json::json!([hint]));
}

#[test]
fn large_node_eight_ranks_here() {
    let cores = ["0-31", "32-47", "48-63", "64-79", "80-95", "96-111", "112-126"];
    row(BIG, &ranks("8", "yes"), &cores, &[32, 16, 16, 16, 16, 16, 15]);
}

const DOMAINS: [&str; 8] =
    ["0-15", "16-31", "32-47", "48-63", "64-79", "80-95", "96-111", "112-127"];

#[test]
fn large_node_eight_ranks_elsewhere() {
    row(BIG, &ranks("8", "no"), &DOMAINS, &[16; 8]);
}

#[test]
fn large_node_nine_ranks_here() {
    let mut cores = DOMAINS;
    cores[7] = "112-126";
    row(BIG, &ranks("9", "yes"), &cores, &[16, 16, 16, 16, 16, 16, 16, 15]);
}

#[test]
fn large_node_sixty_four_ranks_elsewhere() {
    let cores: Vec<String> = (0..64).map(|at| format!("{}-{}", 2 * at, 2 * at + 1)).collect();
    let cores: Vec<&str> = cores.iter().map(String::as_str).collect();
    row(BIG, &ranks("64", "no"), &cores, &[2; 64]);
}

#[test]
fn large_node_sixty_four_ranks_here() {
    let mut cores: Vec<String> = (0..56).map(|at| format!("{}-{}", 2 * at, 2 * at + 1)).collect();
    cores.push("112-114".to_owned());
    cores.extend((0..6).map(|at| format!("{}-{}", 115 + 2 * at, 116 + 2 * at)));
    let cores: Vec<&str> = cores.iter().map(String::as_str).collect();
    let mut threads = [2; 63];
    threads[56] = 3;
    row(BIG, &ranks("64", "yes"), &cores, &threads);
}

#[test]
fn two_domains_allowed_three_ranks_elsewhere() {
    for allowed in ["32-63", "numa:2,3", "pu:64-127"] {
        let options = [&["--allowed", allowed], &ranks("3", "no")[..]].concat();
        row(BIG, &options, &["32-39", "40-47", "48-63"], &[8, 8, 16]);
    }
}

#[test]
fn some_cores_allowed_two_ranks_elsewhere() {
    for allowed in ["0-23", "core:0-23", "pu:0-47"] {
        let options = [&["--allowed", allowed], &ranks("2", "no")[..]].concat();
        row(BIG, &options, &["0-15", "16-23"], &[16, 8]);
    }
}

#[test]
fn every_plan_says_why() {
    let output = topology(&["--synthetic", BIG, "--ranks", "5"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("2 packages, 8 NUMA domains"), "{text}");
    assert!(text.contains("why: the scheduler takes core 127 (CPUs 254-255)"), "{text}");
    assert!(text.contains("why: 8 NUMA domains with allowed cores"), "{text}");
}

#[test]
fn this_machine_gives_its_workers_what_this_process_may_use() {
    let plan = json(&["--ranks", "1"]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    assert_eq!(plan["allowed"]["cpus"], mask.trim());
    assert_eq!(plan["machine"]["this_system"], true);
    assert!(plan["workers"][0]["memory_limit"].as_u64().unwrap() > 0);
}

#[cfg(feature = "hwloc")]
#[test]
fn machines_in_hwlocs_xml_and_environment_are_planned() {
    let command = |name: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdask-hpc"));
        command.args(["topology", "--json", "--ranks", "2", "--scheduler-here", "no"]);
        let output = command.env(name, value).env("HWLOC_THISSYSTEM", "0").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}={value}: {stderr}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    for name in ["epyc-8ccd", "spr-hbm", "a64fx"] {
        let file = format!("{}/tests/machines/{name}.xml", env!("CARGO_MANIFEST_DIR"));
        let plan = command("HWLOC_XMLFILE", &file);
        assert_eq!(plan["machine"]["this_system"], false);
        let (memory_only, cores) = match name {
            "epyc-8ccd" => (serde_json::json!([]), ["0-31", "32-63"]),
            "spr-hbm" => (serde_json::json!([1, 3]), ["0-55", "56-111"]),
            _ => (serde_json::json!([]), ["0-23", "24-47"]),
        };
        assert_eq!(plan["machine"]["memory_only_nodes"], memory_only, "{name}");
        assert_eq!(of_each(&plan, "cores"), cores, "{name}");
    }
    let plan = command("HWLOC_SYNTHETIC", BIG);
    assert_eq!(of_each(&plan, "cores"), ["0-63", "64-127"]);
}

#[test]
fn wrong_arguments_are_exit_2_with_the_place() {
    for (arguments, part) in [
        (&["--synthetic", "pack:2 corn:4"][..], "corn:4"),
        (&["--synthetic", "core:4", "--allowed", "3-9"], "4-9"),
        (&["--synthetic", "core:4", "--allowed", "x"], "`x`"),
        (&["--synthetic", "core:4", "--allowed", "gpu:0"], "gpu"),
        (&["--ranks", "0"], "--ranks"),
        (&["--memory-limit", "lots"], "lots"),
    ] {
        let output = topology(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part) && stderr.contains("error: "), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}
