//! Each row of the detection table with variables as its launcher sets them, the leaks between the
//! layers, and the half-set rows.

use super::*;

/// What a process of `sbatch`'s script sees.
const BATCH: [(&str, &str); 5] = [
    ("SLURM_JOB_ID", "7"),
    ("SLURM_PROCID", "0"),
    ("SLURM_LOCALID", "0"),
    ("SLURM_NTASKS", "4"),
    ("SLURM_JOB_NUM_NODES", "2"),
];

/// What srun adds; rank 2 of 5 on the second node.
const STEP: [(&str, &str); 6] = [
    ("SLURM_STEP_ID", "3"),
    ("SLURM_PROCID", "2"),
    ("SLURM_STEP_NUM_TASKS", "5"),
    ("SLURM_LOCALID", "1"),
    ("SLURM_NODEID", "1"),
    ("SLURM_STEP_TASKS_PER_NODE", "2(x2),1"),
];

fn found(pairs: &[&[(&str, &str)]]) -> Result<Launch, LaunchError> {
    detect(&Env::from_pairs(&pairs.concat()))
}

fn check(pairs: &[&[(&str, &str)]], expected: (Launcher, u32, u32, Option<u32>, Option<u32>)) {
    let launch = found(pairs).unwrap();
    let got = (launch.launcher, launch.rank, launch.size, launch.local_rank, launch.local_size);
    assert_eq!(got, expected, "{pairs:?}");
}

const OMPI: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_RANK", "3"),
    ("OMPI_COMM_WORLD_SIZE", "8"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
];

const HYDRA: [(&str, &str); 4] =
    [("PMI_RANK", "2"), ("PMI_SIZE", "4"), ("MPI_LOCALRANKID", "2"), ("MPI_LOCALNRANKS", "4")];

#[test]
fn each_row_is_found() {
    let ompi4 = [("OMPI_MCA_orte_app_num", "0"), ("PMIX_NAMESPACE", "123")];
    check(&[&OMPI, &ompi4], (Launcher::OpenMpi, 3, 8, Some(1), Some(2)));
    check(&[&OMPI, &[("PRTE_LAUNCHED", "1")]], (Launcher::Prrte, 3, 8, Some(1), Some(2)));
    let intel = [("I_MPI_MPIRUN", "mpirun")];
    check(&[&HYDRA, &intel], (Launcher::IntelMpi, 2, 4, Some(2), Some(4)));
    let intel = [("I_MPI_HYDRA_TOPOLIB", "hwloc")];
    check(&[&HYDRA, &intel], (Launcher::IntelMpi, 2, 4, Some(2), Some(4)));
    let pals = [("PALS_RANKID", "1"), ("PALS_SIZE", "2"), ("PALS_LOCAL_RANKID", "0")];
    check(&[&pals], (Launcher::Pals, 1, 2, Some(0), None));
    let pals = [("PALS_RANKID", "1"), ("PMI_SIZE", "6")];
    check(&[&pals], (Launcher::Pals, 1, 6, None, None));
    let flux = [("FLUX_TASK_RANK", "4"), ("FLUX_JOB_SIZE", "9"), ("FLUX_TASK_LOCAL_ID", "1")];
    check(&[&flux], (Launcher::Flux, 4, 9, Some(1), None));
    let jsrun = [("JSM_NAMESPACE_RANK", "0"), ("JSM_NAMESPACE_SIZE", "3")];
    check(&[&jsrun], (Launcher::Jsrun, 0, 3, None, None));
    check(&[&HYDRA], (Launcher::Hydra, 2, 4, Some(2), Some(4)));
    let pmix = [("PMIX_NAMESPACE", "slurm.pmix.7.3"), ("PMIX_RANK", "2")];
    check(&[&BATCH[..1], &STEP, &pmix], (Launcher::SrunPmix, 2, 5, Some(1), Some(2)));
    let pmi2 = [("PMI_FD", "11"), ("SLURM_MPI_TYPE", "pmi2"), ("PMI_RANK", "2")];
    check(&[&BATCH[..1], &STEP, &pmi2], (Launcher::SrunPmi2, 2, 5, Some(1), Some(2)));
    check(&[&BATCH[..1], &STEP], (Launcher::Srun, 2, 5, Some(1), Some(2)));
    let blaunch = [("LSF_PM_TASKID", "2"), ("LSB_DJOB_NUMPROC", "2")];
    check(&[&blaunch], (Launcher::Blaunch, 1, 2, None, None));
    check(&[&[]], (Launcher::Local, 0, 1, Some(0), Some(1)));
}

#[test]
fn pbsdsh_counts_the_lines_of_its_node_file() {
    let pairs = [
        ("PBS_TASKNUM", "3"),
        ("PBS_NODEFILE", "nodes"),
        ("PBS_ENVIRONMENT", "PBS_BATCH"),
        ("PBS_VNODENUM", "1"),
    ];
    let mut env = Env::from_pairs(&pairs);
    assert!(matches!(detect(&env), Err(LaunchError::Missing { launcher: "pbsdsh", .. })));
    env.pbs_node_lines = Some(4);
    let launch = detect(&env).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.size), (Launcher::Pbsdsh, 1, 4));
    env.variables.insert("PBS_TASKNUM".to_owned(), "1".to_owned());
    env.variables.insert("PBS_VNODENUM".to_owned(), "0".to_owned());
    assert_eq!(detect(&env).unwrap().launcher, Launcher::Local, "the batch script itself");
}

#[test]
fn mpirun_inside_a_batch_job_wins_over_the_daemons_numbers() {
    check(&[&STEP, &OMPI, &BATCH], (Launcher::OpenMpi, 3, 8, Some(1), Some(2)));
    check(&[&STEP, &HYDRA, &BATCH], (Launcher::Hydra, 2, 4, Some(2), Some(4)));
}

#[test]
fn a_batch_script_and_an_interactive_shell_are_local_and_say_so() {
    let launch = found(&[&BATCH]).unwrap();
    assert_eq!((launch.launcher, launch.size), (Launcher::Local, 1));
    assert!(launch.hint.unwrap().contains("allocation of 2 nodes but started without srun"));
    // The step that Slurm makes for an interactive shell, and words in place of a number.
    for step in ["4294967290", "batch", "interactive"] {
        let pairs = [("SLURM_STEP_ID", step), ("SLURM_STEP_NUM_TASKS", "1")];
        assert_eq!(found(&[&BATCH, &pairs]).unwrap().launcher, Launcher::Local, "{step}");
    }
    assert_eq!(found(&[&[]]).unwrap().hint, None);
}

#[test]
fn half_set_and_wrong_numbers_name_the_variable() {
    let missing =
        |launcher, variable: &str| LaunchError::Missing { launcher, variable: variable.to_owned() };
    assert_eq!(found(&[&OMPI[..1]]), Err(missing("openmpi", "OMPI_COMM_WORLD_SIZE")));
    assert_eq!(found(&[&OMPI[1..2]]), Err(missing("openmpi", "OMPI_COMM_WORLD_RANK")));
    let hydra = [("PMI_RANK", "0"), ("MPI_LOCALRANKID", "0")];
    assert_eq!(found(&[&hydra]), Err(missing("mpich", "PMI_SIZE")));
    assert_eq!(found(&[&STEP[..2]]), Err(missing("srun", "SLURM_STEP_NUM_TASKS")));
    for value in ["", "-1", "+1", " 1", "1x", "4294967296"] {
        let pairs = [("OMPI_COMM_WORLD_RANK", value), ("OMPI_COMM_WORLD_SIZE", "2")];
        let wrong = LaunchError::Number {
            variable: "OMPI_COMM_WORLD_RANK".to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(found(&[&pairs]), Err(wrong));
    }
    let pairs = [("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "2")];
    let error = found(&[&pairs]).unwrap_err();
    assert_eq!(error.to_string(), "OMPI_COMM_WORLD_RANK=2 is not a rank of 2");
    let blaunch = [("LSF_PM_TASKID", "0"), ("LSB_DJOB_NUMPROC", "2")];
    assert!(matches!(found(&[&blaunch]), Err(LaunchError::Number { .. })));
}

#[test]
fn the_user_may_name_the_row() {
    let env = Env::from_pairs(&[&OMPI[..], &HYDRA[..]].concat());
    assert_eq!(detect(&env).unwrap().launcher, Launcher::OpenMpi);
    let launch = detect_as("mpich", &env).unwrap();
    assert_eq!((launch.launcher, launch.rank, launch.size), (Launcher::Hydra, 2, 4));
    assert_eq!(detect_as("local", &env).unwrap().size, 1);
    let error = detect_as("lam", &env).unwrap_err().to_string();
    assert!(error.starts_with("launcher lam is not known; known are prrte, openmpi,"));
}

#[test]
fn job_ids_come_from_the_user_or_the_step() {
    let id = |value| given_job_id(&Env::from_pairs(&[("RDASK_JOB_ID", value)]));
    assert_eq!(id("a-1.b_2").unwrap().as_deref(), Some("a-1.b_2"));
    for value in ["", ".", "../x", "a/b", "ü", &"x".repeat(65)] {
        assert!(matches!(id(value), Err(LaunchError::JobId { .. })), "{value}");
    }
    let env = Env::from_pairs(&[&BATCH[..], &STEP[..], &[("SLURM_RESTART_COUNT", "2")]].concat());
    assert_eq!(env.batch_job_id().as_deref(), Some("slurm-7.3-2"));
    assert_eq!(Env::from_pairs(&BATCH).batch_job_id(), None);
}

#[test]
fn children_see_no_launcher() {
    for name in ["OMPI_MCA_pml", "PMIX_RANK", "PMI_FD", "PRTE_X", "HYDI_CONTROL_FD", "PALS_SIZE"] {
        assert!(is_hidden_from_children(name), "{name}");
    }
    assert!(is_hidden_from_children("MPI_LOCALRANKID"));
    assert!(is_hidden_from_children("SLURM_PROCID"));
    for name in ["SLURM_JOB_ID", "PATH", "RDASK_JOB_ID", "MPICC"] {
        assert!(!is_hidden_from_children(name), "{name}");
    }
}

#[test]
fn a_submit_command_without_a_job_tells_a_login_node() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let program = folder.path().join("sbatch");
    assert_eq!(Env::from_pairs(&[("PATH", path)]).login_node(), None);
    std::fs::write(&program, "").unwrap();
    assert_eq!(Env::from_pairs(&[("PATH", path)]).login_node(), None, "no program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("/nowhere:{path}");
    assert_eq!(Env::from_pairs(&[("PATH", &path)]).login_node(), Some("sbatch"));
    let in_job = [("PATH", &path[..]), ("SLURM_JOB_ID", "7")];
    assert_eq!(Env::from_pairs(&in_job).login_node(), None);
    assert_eq!(Env::from_pairs(&[]).login_node(), None);
}

#[test]
fn masks_are_widened_only_where_the_node_is_ours() {
    let owns = |pairs: &[&[(&str, &str)]], cpus| Env::from_pairs(&pairs.concat()).owns_node(cpus);
    let slurm = [("SLURM_JOB_CPUS_PER_NODE", "64,32(x2)")];
    assert!(owns(&[&OMPI], 64));
    // The second node has 32 CPUs of the job.
    assert!(owns(&[&BATCH, &STEP, &slurm], 32));
    assert!(!owns(&[&BATCH, &STEP, &slurm], 64), "others are on the node");
    assert!(!owns(&[&BATCH, &STEP], 32), "nobody tells what the job has");
    assert!(!owns(&[&[("PBS_JOBID", "1")], &OMPI], 2));
}

#[test]
fn masks_that_somebody_asked_for_stay() {
    let wished = |pairs: &[&[(&str, &str)]], launcher| {
        Env::from_pairs(&pairs.concat()).is_mask_wished(launcher)
    };
    let one = [("SLURM_CPUS_PER_TASK", "1")];
    assert!(wished(&[], Launcher::Local), "by taskset");
    assert!(!wished(&[&OMPI], Launcher::OpenMpi));
    assert!(!wished(&[&BATCH, &STEP], Launcher::SrunPmix));
    assert!(wished(&[&BATCH, &STEP, &one], Launcher::SrunPmix), "one each, by -c");
    assert!(!wished(&[&BATCH, &STEP, &one, &OMPI], Launcher::OpenMpi), "mpirun's doing");
}
