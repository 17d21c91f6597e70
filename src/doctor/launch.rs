//! How jobs start here: MPI shims and what they link, launcher, batch system, hwloc.

use super::Finding;
use super::machine::Machine;
use object::read::{Object, ReadCache};
use rdask_launcher::env::{self, BATCH_SYSTEMS, Launcher};
use std::fs::File;
use std::path::Path;

const SHIM: &str = "the shim of an MPI lets this binary start under its mpirun; without any a job \
                    has one node";
const LAUNCHER: &str = "rank and number of ranks come from the launcher that started the process";
const BATCH: &str = "a job's id, cores and end come from the batch system";
const HWLOC: &str = "threads and memory are bound by hwloc's topology; without it by /sys, which \
                     knows no memory-only nodes";

/// File names of shims, whose they are, and the packages that they are built with.
const SHIMS: [(&str, &str, &str); 3] = [
    ("librdask_mpi_openmpi.so", "shim for Open MPI", "libopenmpi-dev"),
    ("librdask_mpi_mpich.so", "shim for MPICH, Intel MPI and Cray MPICH", "libmpich-dev"),
    ("librdask_mpi.so", "shim for the site's MPI", ""),
];

pub(super) fn check(machine: &Machine) -> Vec<Finding> {
    let mut findings = shims(machine);
    findings.extend([launcher(machine), batch_system(machine), hwloc(machine)]);
    findings
}

fn shims(machine: &Machine) -> Vec<Finding> {
    let installed = machine.shims();
    let has_name = |path: &Path, name: &str| path.file_name().is_some_and(|it| it == name);
    let is_known = |path: &Path| SHIMS.iter().any(|(name, ..)| has_name(path, name));
    let mut findings = Vec::new();
    for (file, name, package) in SHIMS {
        match installed.iter().find(|path| has_name(path, file)) {
            Some(path) => findings.push(shim(machine, name, path)),
            // Where the two are the one of the site is not needed.
            None if package.is_empty() => {}
            None => findings.push(Finding::missing(name).why(SHIM).help(format!(
                "install that MPI with its compiler wrapper (apt-get install {package}), then \
                 `make mpi`"
            ))),
        }
    }
    let others = installed.iter().filter(|path| !is_known(path));
    findings.extend(others.map(|path| shim(machine, "shim named by RDASK_MPI_SHIM", path)));
    findings
}

/// A shim with the MPI library that it needs, and where that is.
fn shim(machine: &Machine, name: &str, path: &Path) -> Finding {
    let shown = path.display();
    let Some(needed) = needed(&machine.at(path)) else {
        return Finding::warning(name, format!("{shown} is no shared library"))
            .why(SHIM)
            .help("`make mpi` builds it again");
    };
    let Some(library) = needed.iter().find(|library| library.starts_with("libmpi")) else {
        return Finding::warning(name, format!("{shown} links no MPI"))
            .why(SHIM)
            .help("`make mpi` with that MPI's compiler wrapper builds it again");
    };
    match machine.library(library) {
        Some(found) => {
            Finding::found(name, format!("{shown} links {library}, {}", found.display())).why(SHIM)
        }
        None => Finding::warning(name, format!("{shown} links {library}, which is not found"))
            .why(SHIM)
            .help("load the module of that MPI, or set LD_LIBRARY_PATH"),
    }
}

/// Libraries that a shared library asks for.
fn needed(path: &Path) -> Option<Vec<String>> {
    let cache = ReadCache::new(File::open(path).ok()?);
    let file = object::File::parse(&cache).ok()?;
    let libraries = file.import_libraries().ok()?.filter_map(Result::ok);
    Some(libraries.map(|it| String::from_utf8_lossy(it.name()).into_owned()).collect())
}

fn launcher(machine: &Machine) -> Finding {
    let name = "launcher of this process";
    let variable = |launcher: Launcher| launcher.variables().map_or("", |names| names[0]);
    match env::detect(machine.env()) {
        Ok(launch) if launch.launcher == Launcher::Local => {
            Finding::found(name, "none: a run here has local processes on this machine")
                .help("`mpirun -n 4 rdask-hpc GRAPH`, or srun inside a job")
        }
        Ok(launch) => {
            let (who, by) = (launch.launcher.title(), variable(launch.launcher));
            let value = format!("{who}, rank {} of {} (by {by})", launch.rank, launch.size);
            if launch.size > 1 && launch.launcher.shims().is_empty() {
                Finding::warning(name, format!("{value}, which offers no MPI"))
                    .help("mpirun, or srun --mpi=pmix or --mpi=pmi2 (srun --mpi=list shows all)")
            } else {
                Finding::found(name, value)
            }
        }
        Err(error) => Finding::warning(name, error.to_string())
            .help("name it with --launcher, or start the job in a clean environment"),
    }
    .why(LAUNCHER)
}

fn batch_system(machine: &Machine) -> Finding {
    let name = "batch system";
    let command = BATCH_SYSTEMS.iter().find_map(|(command, _)| machine.program(command));
    match (machine.env().batch_job(), command) {
        (Some((variable, value)), _) => {
            Finding::found(name, format!("in a job: {variable}={value}"))
        }
        (None, Some(command)) => {
            let shown = command.display();
            Finding::warning(name, format!("{shown} is here, but this is no job: a login node?"))
                .help("submit a job script: jobscripts/ has templates")
        }
        (None, None) => Finding::missing(name)
            .help("nothing to do on a machine of your own: runs are local, or by mpirun"),
    }
    .why(BATCH)
}

fn hwloc(machine: &Machine) -> Finding {
    let name = "hwloc";
    let library = machine.library("libhwloc.so.15");
    match library {
        Some(path) if !machine.is_this() || cfg!(feature = "hwloc") => {
            Finding::found(name, path.display().to_string())
        }
        None if machine.is_this() && cfg!(feature = "hwloc") => {
            Finding::found(name, "linked by this binary")
        }
        Some(path) => {
            let value = format!("{} is here, but this binary is built without it", path.display());
            Finding::warning(name, value).help("apt-get install libhwloc-dev, then `make build`")
        }
        None => Finding::missing(name).help("apt-get install libhwloc-dev, then `make build`"),
    }
    .why(HWLOC)
}
