//! How bytes can move between nodes: UCX and its transports, InfiniBand, interfaces.

use super::Finding;
use super::machine::Machine;
use std::collections::BTreeSet;

const UCX: &str = "the data path over UCX comes with a later version; results move over TCP now";
const UCX_SETTINGS: &str = "UCX's own variables win over what rdask-hpc will set";
const INFINIBAND: &str = "UCX reaches a fabric's speed only through its devices; TCP uses their \
                          IP interfaces";
const INTERFACE: &str = "results move between nodes over TCP; --interface NAME chooses";

/// Speeds below this are called slow, Mb/s: a worker's disk is faster.
const SLOW_MBITS: u64 = 10_000;
/// Hardware type of IP over InfiniBand in /sys/class/net (ARPHRD_INFINIBAND).
const TYPE_INFINIBAND: u64 = 32;

pub(super) fn check(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![ucx(machine)];
    findings.extend(ucx_transports(machine));
    findings.extend(ucx_settings(machine));
    findings.extend(infiniband(machine));
    findings.extend(interfaces(machine));
    findings
}

fn ucx(machine: &Machine) -> Finding {
    let Some(library) = machine.library("libucp.so.0") else {
        return Finding::missing("UCX")
            .why(UCX)
            .help("apt-get install libucx0 ucx-utils, or load the site's module");
    };
    let shown = library.display();
    let value = match ucx_version(machine, &library) {
        Some(version) => format!("{version}, {shown}"),
        None => format!("{shown}, version not known (ucx_info is not installed)"),
    };
    Finding::found("UCX", value).why(UCX)
}

/// By `ucx_info -v`, else by the package's description beside the library.
fn ucx_version(machine: &Machine, library: &std::path::Path) -> Option<String> {
    let told = machine.program("ucx_info").and_then(|tool| machine.output(&tool, &["-v"]));
    let told = told.and_then(|text| {
        let line = text.lines().find_map(|line| line.split("ersion").nth(1))?;
        Some(line.split_whitespace().next()?.to_owned())
    });
    told.or_else(|| {
        let text = machine.read(library.parent()?.join("pkgconfig/ucx.pc"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Version:"))?;
        Some(line.trim().to_owned())
    })
}

fn ucx_transports(machine: &Machine) -> Option<Finding> {
    let Some(tool) = machine.program("ucx_info") else {
        machine.library("libucp.so.0")?;
        let missing = Finding::missing("UCX transports").why(UCX);
        return Some(missing.help("ucx_info lists them: apt-get install ucx-utils"));
    };
    let text = machine.output(&tool, &["-d"])?;
    let names = text.lines().filter_map(|line| line.split_once("Transport:"));
    let names: BTreeSet<&str> = names.map(|(_, name)| name.trim()).collect();
    let list = names.into_iter().collect::<Vec<_>>().join(" ");
    Some(Finding::found("UCX transports", list).why(UCX))
}

fn ucx_settings(machine: &Machine) -> Option<Finding> {
    let set: Vec<String> =
        machine.env().with_prefix("UCX_").map(|(name, value)| format!("{name}={value}")).collect();
    (!set.is_empty()).then(|| Finding::found("UCX variables", set.join(" ")).why(UCX_SETTINGS))
}

fn infiniband(machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    for device in machine.list("sys/class/infiniband") {
        let ports = format!("sys/class/infiniband/{device}/ports");
        for port in machine.list(&ports) {
            let read = |name: &str| machine.read(format!("{ports}/{port}/{name}"));
            // `4: ACTIVE`
            let state = read("state").unwrap_or_default();
            let state = state.split_once(": ").map_or(state.as_str(), |(_, word)| word);
            let link = read("link_layer").unwrap_or_else(|| "unknown link".to_owned());
            let rate = read("rate").unwrap_or_else(|| "unknown rate".to_owned());
            let (name, value) =
                (format!("{device} port {port}"), format!("{link}, {rate}, {state}"));
            findings.push(match state {
                "ACTIVE" => Finding::found(name, value),
                _ => Finding::warning(name, value).help("is the cable in, the subnet manager up?"),
            });
        }
    }
    if findings.is_empty() {
        let help = "nothing to do where there is no fabric; else load the driver, or let the \
                    container see /sys/class/infiniband and /dev/infiniband";
        return vec![Finding::missing("InfiniBand").why(INFINIBAND).help(help)];
    }
    if machine.list("dev/infiniband").iter().all(|name| !name.starts_with("uverbs")) {
        let name = "/dev/infiniband/uverbs*";
        let help = "let the container see /dev/infiniband, or load ib_uverbs";
        findings.push(Finding::missing(name).help(help));
    }
    findings.into_iter().map(|finding| finding.why(INFINIBAND)).collect()
}

fn interfaces(machine: &Machine) -> Vec<Finding> {
    let (mut findings, mut down) = (Vec::new(), Vec::new());
    for name in machine.list("sys/class/net").into_iter().filter(|name| name != "lo") {
        let read = |file: &str| machine.read(format!("sys/class/net/{name}/{file}"));
        // A virtual interface does not know: its carrier tells.
        let state = read("operstate").unwrap_or_default();
        let is_up =
            state == "up" || (state == "unknown" && read("carrier").as_deref() == Some("1"));
        if !is_up {
            // A file beside the interfaces (bonding_masters) is none.
            down.extend(read("operstate").is_some().then_some(name));
            continue;
        }
        let number = |file: &str| read(file).and_then(|text| text.parse::<u64>().ok());
        // Unknown speeds are -1.
        let speed = number("speed").filter(|mbits| *mbits > 0);
        let mtu = number("mtu").map_or_else(String::new, |mtu| format!(", MTU {mtu}"));
        let kind = match number("type") {
            Some(TYPE_INFINIBAND) => "IP over InfiniBand, ",
            _ => "",
        };
        let title = format!("interface {name}");
        findings.push(match speed {
            Some(mbits) if mbits < SLOW_MBITS => {
                Finding::warning(title, format!("{kind}{}{mtu}", speed_in_words(mbits)))
                    .help("choose a faster one with --interface, where there is one")
            }
            Some(mbits) => Finding::found(title, format!("{kind}{}{mtu}", speed_in_words(mbits))),
            None => Finding::found(title, format!("{kind}up, speed not known{mtu}")),
        });
    }
    if findings.is_empty() {
        let help = "jobs on this machine alone use the loopback; `ip link` shows all";
        findings.push(Finding::missing("a network interface that is up").help(help));
    }
    if !down.is_empty() {
        findings.push(Finding::found("interfaces that are down", down.join(" ")));
    }
    findings.into_iter().map(|finding| finding.why(INTERFACE)).collect()
}

fn speed_in_words(mbits: u64) -> String {
    match (mbits / 1000, mbits % 1000 / 100) {
        (0, _) => format!("{mbits} Mb/s"),
        (whole, 0) => format!("{whole} Gb/s"),
        (whole, tenth) => format!("{whole}.{tenth} Gb/s"),
    }
}
