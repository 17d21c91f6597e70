//! Who started us: the detection table over the environment, and nothing else reads it here.
//!
//! `detect` is a pure function over a map. It asks the rows of `ROWS` from the top and stops at the
//! first that matches; the order matters, because the layers leak into each other: under mpirun
//! inside a batch job each rank also sees the batch system's numbers of its node's daemon. Numbers
//! are strict: a row that matches with half of its variables is an error, never a guess.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;

/// Environment variables, as detection sees them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    /// Lines of the file that `PBS_NODEFILE` names.
    pbs_node_lines: Option<u32>,
}

impl Env {
    /// The variables of this process.
    #[must_use]
    pub fn from_process() -> Self {
        let lossy = |text: OsString| text.to_string_lossy().into_owned();
        let variables: BTreeMap<String, String> =
            std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let pbs_node_lines = variables
            .get("PBS_NODEFILE")
            .and_then(|path| std::fs::read_to_string(path).ok())
            .and_then(|text| u32::try_from(text.lines().count()).ok());
        Self { variables, pbs_node_lines }
    }

    /// These variables.
    #[must_use]
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let variables =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { variables, pbs_node_lines: None }
    }

    /// A variable's value.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    fn has_prefix(&self, prefix: &str) -> bool {
        self.variables
            .range(prefix.to_owned()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// A number that must be there, by its row.
    fn number(&self, row: Launcher, name: &str) -> Result<u32, LaunchError> {
        let value = self.var(name).ok_or_else(|| LaunchError::Missing {
            launcher: row.name(),
            variable: name.to_owned(),
        })?;
        parse(name, value)
    }

    /// A number that may be absent, but not wrong.
    fn maybe(&self, name: &str) -> Result<Option<u32>, LaunchError> {
        self.var(name).map(|value| parse(name, value)).transpose()
    }

    /// The id of a step that srun started; the batch script, the interactive shell and other
    /// steps that Slurm makes for itself have numbers from 0xffff_fff0 up or words.
    fn slurm_step(&self) -> Option<u32> {
        let step: u32 = self.var("SLURM_STEP_ID")?.parse().ok()?;
        (step < 0xffff_fff0).then_some(step)
    }

    /// A name for the job that no other run has at the same time and no earlier run had: only an
    /// srun step has one. `None`: rank 0 draws one.
    #[must_use]
    pub fn batch_job_id(&self) -> Option<String> {
        let job = self.var("SLURM_JOB_ID")?;
        let step = self.slurm_step()?;
        let restarts = self.var("SLURM_RESTART_COUNT").unwrap_or("0");
        Some(format!("slurm-{job}.{step}-{restarts}"))
    }
}

/// Batch systems: their submit command, and the variable that every job of theirs has.
pub const BATCH_SYSTEMS: [(&str, &str); 4] = [
    ("sbatch", "SLURM_JOB_ID"),
    ("qsub", "PBS_JOBID"),
    ("bsub", "LSB_JOBID"),
    ("flux", "FLUX_JOB_ID"),
];

impl Env {
    /// The variable that says that this is a batch job, and its value.
    #[must_use]
    pub fn batch_job(&self) -> Option<(&'static str, &str)> {
        // Grid Engine's qsub gives its jobs another name than PBS's.
        let names = BATCH_SYSTEMS.iter().map(|(_, job)| *job).chain(["SGE_TASK_ID"]);
        names.into_iter().find_map(|name| Some((name, self.var(name)?)))
    }

    /// Variables whose names begin so, by name.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn in_batch_job(&self) -> bool {
        self.batch_job().is_some()
    }

    /// The submit command that tells that this is a login node: a batch system can be asked for
    /// jobs here, and we are in none.
    #[must_use]
    pub fn login_node(&self) -> Option<&'static str> {
        if self.in_batch_job() {
            return None;
        }
        let folders: Vec<_> = std::env::split_paths(self.var("PATH")?).collect();
        let is_program = |folder: &std::path::PathBuf, name| {
            std::fs::metadata(folder.join(name))
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        BATCH_SYSTEMS
            .iter()
            .map(|(command, _)| *command)
            .find(|command| folders.iter().any(|folder| is_program(folder, *command)))
    }

    /// Whether somebody asked for the mask of one core that each rank has: the user of a local run
    /// by taskset, or of srun by one CPU per task.
    #[must_use]
    pub fn is_mask_wished(&self, launcher: Launcher) -> bool {
        let by_srun = self.slurm_step().is_some() && !launcher.has_own_daemons();
        launcher == Launcher::Local || (by_srun && self.has("SLURM_CPUS_PER_TASK"))
    }

    /// Whether all of these CPUs of the node are ours: under a plain mpirun always, in Slurm where
    /// the job has as many. Other batch systems do not tell what the job has.
    #[must_use]
    pub fn owns_node(&self, cpus: usize) -> bool {
        !self.in_batch_job() || self.slurm_node_cpus().is_some_and(|job| job as usize >= cpus)
    }

    /// CPUs of this node that the Slurm job has, from `64(x2),32` over the job's nodes.
    fn slurm_node_cpus(&self) -> Option<u32> {
        let list = self.var("SLURM_JOB_CPUS_PER_NODE")?;
        let node = self.maybe("SLURM_NODEID").ok()?.unwrap_or(0);
        nth_of_list("SLURM_JOB_CPUS_PER_NODE", list, node).ok()?
    }
}

/// Strict: decimal digits only, no sign, no spaces.
fn parse(name: &str, value: &str) -> Result<u32, LaunchError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wrong = || LaunchError::Number { variable: name.to_owned(), value: value.to_owned() };
    if digits { value.parse().map_err(|_| wrong()) } else { Err(wrong()) }
}

/// The environment does not fit the launcher that it names. Exit code 2.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LaunchError {
    /// A row matched, but a variable that it needs is not there.
    #[error("started by {launcher}, but {variable} is not set")]
    Missing {
        /// The row.
        launcher: &'static str,
        /// The variable.
        variable: String,
    },
    /// A variable is no number.
    #[error("{variable}={value} is not a number")]
    Number {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
    },
    /// Rank and size do not fit.
    #[error("{variable}={rank} is not a rank of {size}")]
    Rank {
        /// The variable that holds the rank.
        variable: &'static str,
        /// Its value.
        rank: u32,
        /// The size.
        size: u32,
    },
    /// `--launcher` names no row.
    #[error("launcher {name} is not known; known are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// `RDASK_JOB_ID` cannot stand in the name of a folder.
    #[error("RDASK_JOB_ID={value} must be 1 to 64 letters, digits, '.', '_' or '-'")]
    JobId {
        /// Its value.
        value: String,
    },
}

/// A row of the detection table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Launcher {
    /// Open MPI 4's mpirun.
    OpenMpi,
    /// Open MPI 5's mpirun.
    Prrte,
    /// Intel MPI's mpirun.
    IntelMpi,
    /// Cray PALS.
    Pals,
    /// Flux.
    Flux,
    /// LSF's jsrun.
    Jsrun,
    /// MPICH's mpirun (Hydra).
    Hydra,
    /// `srun --mpi=pmix`.
    SrunPmix,
    /// `srun --mpi=pmi2`.
    SrunPmi2,
    /// srun without MPI.
    Srun,
    /// PBS's pbsdsh.
    Pbsdsh,
    /// LSF's blaunch.
    Blaunch,
    /// None: a local run.
    Local,
}

/// All rows, in the order in which they are asked.
pub const ROWS: [Launcher; 13] = [
    // Open MPI 5 sets what 4 sets, and more; so it is asked first, which changes no match.
    Launcher::Prrte,
    Launcher::OpenMpi,
    Launcher::IntelMpi,
    Launcher::Pals,
    Launcher::Flux,
    Launcher::Jsrun,
    Launcher::Hydra,
    Launcher::SrunPmix,
    Launcher::SrunPmi2,
    Launcher::Srun,
    Launcher::Pbsdsh,
    Launcher::Blaunch,
    Launcher::Local,
];

impl Launcher {
    /// Name, as `--launcher` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "openmpi",
            Self::Prrte => "prrte",
            Self::IntelMpi => "intelmpi",
            Self::Pals => "pals",
            Self::Flux => "flux",
            Self::Jsrun => "jsrun",
            Self::Hydra => "mpich",
            Self::SrunPmix => "srun-pmix",
            Self::SrunPmi2 => "srun-pmi2",
            Self::Srun => "srun",
            Self::Pbsdsh => "pbsdsh",
            Self::Blaunch => "blaunch",
            Self::Local => "local",
        }
    }

    /// In words, for messages.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenMpi | Self::Prrte => "Open MPI's mpirun",
            Self::IntelMpi => "Intel MPI's mpirun",
            Self::Pals => "Cray PALS",
            Self::Flux => "Flux",
            Self::Jsrun => "jsrun",
            Self::Hydra => "MPICH's mpirun",
            Self::SrunPmix => "srun --mpi=pmix",
            Self::SrunPmi2 => "srun --mpi=pmi2",
            Self::Srun => "srun",
            Self::Pbsdsh => "pbsdsh",
            Self::Blaunch => "blaunch",
            Self::Local => "nobody",
        }
    }

    /// File names of the MPI shim that speaks with this launcher, best first; none: no MPI here.
    #[must_use]
    pub const fn shims(self) -> &'static [&'static str] {
        match self {
            Self::OpenMpi | Self::Prrte | Self::SrunPmix => {
                &["librdask_mpi_openmpi.so", "librdask_mpi.so"]
            }
            Self::IntelMpi | Self::Pals | Self::Hydra | Self::SrunPmi2 => {
                &["librdask_mpi_mpich.so", "librdask_mpi.so"]
            }
            Self::Flux | Self::Jsrun => &["librdask_mpi.so"],
            Self::Srun | Self::Pbsdsh | Self::Blaunch | Self::Local => &[],
        }
    }

    /// Whether its own daemons start the ranks: what srun sets is then meant for the daemons.
    const fn has_own_daemons(self) -> bool {
        matches!(self, Self::OpenMpi | Self::Prrte | Self::IntelMpi | Self::Hydra)
    }

    /// Whether the environment says that this launcher started us.
    fn matches(self, env: &Env) -> bool {
        let in_step = || env.slurm_step().is_some() && env.has("SLURM_PROCID");
        match self {
            Self::OpenMpi => env.has("OMPI_COMM_WORLD_RANK") || env.has("OMPI_COMM_WORLD_SIZE"),
            Self::Prrte => {
                Self::OpenMpi.matches(env)
                    && env.has_prefix("PRTE_")
                    && !env.has_prefix("OMPI_MCA_orte_")
            }
            Self::IntelMpi => {
                (env.has("I_MPI_MPIRUN") || env.has_prefix("I_MPI_HYDRA_")) && env.has("PMI_RANK")
            }
            Self::Pals => env.has("PALS_RANKID"),
            Self::Flux => env.has("FLUX_TASK_RANK"),
            Self::Jsrun => env.has("JSM_NAMESPACE_RANK"),
            // srun --mpi=pmi2 sets PMI_RANK too, but not the local id.
            Self::Hydra => env.has("PMI_RANK") && env.has("MPI_LOCALRANKID"),
            Self::SrunPmix => {
                let namespace = env.var("PMIX_NAMESPACE").unwrap_or_default();
                in_step() && namespace.starts_with("slurm.pmix.")
            }
            Self::SrunPmi2 => {
                in_step() && env.has("PMI_FD") && env.var("SLURM_MPI_TYPE") == Some("pmi2")
            }
            Self::Srun => in_step(),
            // The batch script itself is task 1 on virtual node 0.
            Self::Pbsdsh => {
                env.has("PBS_TASKNUM")
                    && env.has("PBS_NODEFILE")
                    && env.has("PBS_ENVIRONMENT")
                    && !(env.var("PBS_TASKNUM") == Some("1")
                        && matches!(env.var("PBS_VNODENUM"), None | Some("0")))
            }
            Self::Blaunch => env.has("LSF_PM_TASKID"),
            Self::Local => true,
        }
    }

    /// Names of the variables for rank and size, and for local rank and local size where they are.
    #[must_use]
    pub const fn variables(self) -> Option<[&'static str; 4]> {
        Some(match self {
            Self::OpenMpi | Self::Prrte => [
                "OMPI_COMM_WORLD_RANK",
                "OMPI_COMM_WORLD_SIZE",
                "OMPI_COMM_WORLD_LOCAL_RANK",
                "OMPI_COMM_WORLD_LOCAL_SIZE",
            ],
            Self::IntelMpi | Self::Hydra => {
                ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"]
            }
            Self::Pals => ["PALS_RANKID", "PALS_SIZE", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE"],
            Self::Flux => ["FLUX_TASK_RANK", "FLUX_JOB_SIZE", "FLUX_TASK_LOCAL_ID", ""],
            Self::Jsrun => [
                "JSM_NAMESPACE_RANK",
                "JSM_NAMESPACE_SIZE",
                "JSM_NAMESPACE_LOCAL_RANK",
                "JSM_NAMESPACE_LOCAL_SIZE",
            ],
            Self::SrunPmix | Self::SrunPmi2 | Self::Srun => {
                ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""]
            }
            Self::Pbsdsh => ["PBS_VNODENUM", "PBS_NODEFILE", "", ""],
            Self::Blaunch => ["LSF_PM_TASKID", "LSB_DJOB_NUMPROC", "", ""],
            Self::Local => return None,
        })
    }
}

/// How this process was started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// By whom.
    pub launcher: Launcher,
    /// Rank of this process.
    pub rank: u32,
    /// Ranks of the job.
    pub size: u32,
    /// Rank among those of this node, where the launcher says so.
    pub local_rank: Option<u32>,
    /// Ranks of this node, where the launcher says so.
    pub local_size: Option<u32>,
    /// A sentence for the user, when what they typed probably is not what they want.
    pub hint: Option<String>,
}

/// Finds out who started this process.
///
/// # Errors
/// When a row matches and its variables are incomplete or wrong.
pub fn detect(env: &Env) -> Result<Launch, LaunchError> {
    let launcher = ROWS.into_iter().find(|row| row.matches(env)).unwrap_or(Launcher::Local);
    read_row(launcher, env)
}

/// As `detect`, with the row named by the user (`--launcher`).
///
/// # Errors
/// When no row has that name, or its variables are incomplete or wrong.
pub fn detect_as(name: &str, env: &Env) -> Result<Launch, LaunchError> {
    let launcher = ROWS.into_iter().find(|row| row.name() == name).ok_or_else(|| {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name()).collect();
        LaunchError::Unknown { name: name.to_owned(), known: known.join(", ") }
    })?;
    read_row(launcher, env)
}

fn read_row(launcher: Launcher, env: &Env) -> Result<Launch, LaunchError> {
    let Some([rank_name, size_name, local_rank, local_size]) = launcher.variables() else {
        let hint = local_hint(env);
        return Ok(Launch {
            launcher,
            rank: 0,
            size: 1,
            local_rank: Some(0),
            local_size: Some(1),
            hint,
        });
    };
    let rank = match launcher {
        // Counts from one.
        Launcher::Blaunch => env.number(launcher, rank_name)?.checked_sub(1).ok_or_else(|| {
            LaunchError::Number { variable: rank_name.to_owned(), value: "0".to_owned() }
        })?,
        _ => env.number(launcher, rank_name)?,
    };
    let size = match launcher {
        Launcher::Pals if !env.has("PALS_SIZE") => env.number(launcher, "PMI_SIZE")?,
        Launcher::Pbsdsh => env.pbs_node_lines.ok_or_else(|| LaunchError::Missing {
            launcher: launcher.name(),
            variable: "a readable PBS_NODEFILE".to_owned(),
        })?,
        _ => env.number(launcher, size_name)?,
    };
    if rank >= size {
        return Err(LaunchError::Rank { variable: rank_name, rank, size });
    }
    let local_size = match launcher {
        Launcher::SrunPmix | Launcher::SrunPmi2 | Launcher::Srun => slurm_local_size(env)?,
        _ => env.maybe(local_size)?,
    };
    let local_rank = env.maybe(local_rank)?;
    Ok(Launch { launcher, rank, size, local_rank, local_size, hint: None })
}

/// Tasks of this node, from a list such as `2(x3),1` over the nodes of the step.
fn slurm_local_size(env: &Env) -> Result<Option<u32>, LaunchError> {
    let name = "SLURM_STEP_TASKS_PER_NODE";
    let (Some(list), Some(node)) = (env.var(name), env.maybe("SLURM_NODEID")?) else {
        return Ok(None);
    };
    nth_of_list(name, list, node)
}

/// The value for a node in Slurm's form `2(x3),1`, where a value stands for several nodes.
fn nth_of_list(name: &str, list: &str, mut node: u32) -> Result<Option<u32>, LaunchError> {
    for part in list.split(',') {
        let (value, repeat) = match part.split_once("(x") {
            Some((value, repeat)) => (value, parse(name, repeat.trim_end_matches(')'))?),
            None => (part, 1),
        };
        if node < repeat {
            return parse(name, value).map(Some);
        }
        node -= repeat;
    }
    Ok(None)
}

/// A batch job without a launcher uses one node only, which is rarely meant.
fn local_hint(env: &Env) -> Option<String> {
    let nodes = env.var("SLURM_JOB_NUM_NODES").or_else(|| env.var("SLURM_NNODES"))?;
    env.has("SLURM_JOB_ID").then(|| {
        format!(
            "in a Slurm allocation of {nodes} nodes but started without srun: \
             using this node only; use `srun rdask-hpc …`"
        )
    })
}

/// The job id that the user set around the whole launch.
///
/// # Errors
/// When it cannot stand in the name of a folder.
pub fn given_job_id(env: &Env) -> Result<Option<String>, LaunchError> {
    let Some(value) = env.var("RDASK_JOB_ID") else { return Ok(None) };
    let fits = (1..=64).contains(&value.len())
        && !value.starts_with('.')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        Ok(Some(value.to_owned()))
    } else {
        Err(LaunchError::JobId { value: value.to_owned() })
    }
}

/// Variables of this process that children must not see: with them, an MPI program that a task
/// runs would try to join our job as a rank.
pub(crate) fn names_hidden_from_children() -> Vec<OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_str().is_some_and(is_hidden_from_children))
        .collect()
}

fn is_hidden_from_children(name: &str) -> bool {
    const PREFIXES: [&str; 6] = ["OMPI_", "PMIX_", "PMI_", "PRTE_", "PALS_", "MPI_LOCAL"];
    const NAMES: [&str; 2] = ["HYDI_CONTROL_FD", "SLURM_PROCID"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// The id of the job that this process belongs to, as its supervisor named it.
#[must_use]
pub fn job_id() -> Option<String> {
    std::env::var("RDASK_JOB_ID").ok()
}

/// Where this process looks for programs.
pub(crate) fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}

/// A path from the environment; empty counts as absent.
pub(crate) fn path(name: &str) -> Option<std::path::PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(Into::into)
}

/// Open MPI starts faster without looking for fast networks, which a bootstrap does not need.
/// Returns the variable to set in this process, unless the user chose.
pub(crate) fn openmpi_tuning(launcher: Launcher) -> Option<(&'static str, &'static str)> {
    let openmpi = matches!(launcher, Launcher::OpenMpi | Launcher::Prrte | Launcher::SrunPmix);
    (openmpi && std::env::var_os("OMPI_MCA_pml").is_none()).then_some(("OMPI_MCA_pml", "ob1"))
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
