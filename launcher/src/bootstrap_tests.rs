//! The broadcast's layout, the port, the job id, and the bootstrap of a single process.

use super::*;

fn message() -> Bootstrap {
    Bootstrap {
        job_id: "0123456789abcdef".to_owned(),
        cwd: "/data/run".into(),
        addresses: vec!["10.0.0.1:99".parse().unwrap(), "[2001:db8::7]:99".parse().unwrap()],
        secret: JobSecret::new([7; 32]),
        local_directory: "/scratch".into(),
        death_timeout: Duration::from_millis(1500),
        plan: JobPlan::default(),
        options: "{}".to_owned(),
    }
}

fn host(names: &[(&str, &str)]) -> HostFacts {
    let interface =
        |(name, ip): &(&str, &str)| Interface { name: (*name).into(), ip: ip.parse().unwrap() };
    HostFacts {
        host: "n0".to_owned(),
        interfaces: names.iter().map(interface).collect(),
        ..HostFacts::default()
    }
}

#[test]
fn the_broadcast_survives_its_layout_and_every_cut_of_it_is_refused() {
    let bytes = message().encode();
    assert_eq!(Bootstrap::decode(&bytes).unwrap(), Some(message()));
    for len in 0..bytes.len() {
        assert!(Bootstrap::decode(&bytes[..len]).is_err(), "{len} bytes were enough");
    }
    assert_eq!(Bootstrap::decode(&Bootstrap::encode_fault()).unwrap(), None);
}

#[test]
fn secrets_are_drawn_and_never_shown() {
    let (one, other) = (JobSecret::draw().unwrap(), JobSecret::draw().unwrap());
    assert_ne!(one, other);
    assert_eq!(format!("{one:?}"), "JobSecret(…)");
}

#[test]
fn one_machine_listens_on_loopback_only() {
    let facts = host(&[("eth0", "10.0.0.1")]);
    let (listener, addresses) = listen(&facts, true, None).unwrap();
    assert!(listener.local_addr().unwrap().ip().is_loopback());
    assert_eq!(addresses, [listener.local_addr().unwrap()]);
}

#[test]
fn several_machines_are_told_every_address_in_order() {
    let facts = host(&[("ib0", "10.1.0.1"), ("eth0", "10.0.0.1")]);
    let (listener, addresses) = listen(&facts, false, None).unwrap();
    let port = listener.local_addr().unwrap().port();
    let expected: Vec<SocketAddr> =
        ["10.1.0.1", "10.0.0.1"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).into();
    assert_eq!(addresses, expected);
}

#[test]
fn an_interface_that_is_not_there_is_named_with_those_that_are() {
    let facts = host(&[("ib0", "10.1.0.1"), ("eth0", "10.0.0.1")]);
    let error = listen(&facts, false, Some("hsn0")).unwrap_err();
    assert_eq!(error.to_string(), "n0 has no network interface 'hsn0' with an address");
    assert_eq!(error.help().unwrap(), "choose with --interface among lo, ib0, eth0");
    let (listener, _) = listen(&facts, false, Some("lo")).unwrap();
    assert!(listener.local_addr().unwrap().ip().is_loopback());
}

#[test]
fn builds_that_differ_name_both_hosts() {
    let mut ranks = [host(&[]), host(&[]), host(&[])];
    assert!(same_builds(&ranks).is_ok());
    ranks[2].host = "n2".to_owned();
    ranks[2].build_id = 1;
    let error = same_builds(&ranks).unwrap_err().to_string();
    assert_eq!(error, "rdask-hpc on n0 and on n2 are different builds");
}

#[test]
fn a_process_of_its_own_needs_no_mpi() {
    let env = Env::from_pairs(&[("RDASK_JOB_ID", "mine")]);
    let launch = env::detect(&env).unwrap();
    let options = LaunchOptions { workers: Some(2), ..LaunchOptions::default() };
    let wishes = || Ok(Wishes { launch: options, options: "{\"a\":1}".to_owned() });
    let job = bootstrap(&launch, &env, Vec::new(), "", wishes).unwrap();
    assert_eq!((job.rank, job.size), (0, 1));
    assert_eq!(job.bootstrap.job_id, "mine");
    assert_eq!(job.bootstrap.options, "{\"a\":1}");
    assert_eq!(job.bootstrap.plan.workers().count(), 2);
    let address = job.listener.unwrap().local_addr().unwrap();
    assert_eq!(job.bootstrap.addresses, [address]);
}

#[test]
fn a_single_rank_of_any_launcher_needs_no_mpi_either() {
    let env = Env::from_pairs(&[("PMI_RANK", "0"), ("PMI_SIZE", "1"), ("MPI_LOCALRANKID", "0")]);
    let launch = env::detect(&env).unwrap();
    let wishes = || Ok(Wishes { launch: LaunchOptions::default(), options: String::new() });
    let job = bootstrap(&launch, &env, Vec::new(), "", wishes).unwrap();
    assert!(job.bootstrap.plan.ranks[0].together);
    assert_eq!(job.bootstrap.job_id.len(), 16);
}

#[test]
fn faults_and_launchers_without_mpi_end_before_anything_starts() {
    let env = Env::from_pairs(&[]);
    let launch = env::detect(&env).unwrap();
    let fault = bootstrap(&launch, &env, Vec::new(), "", || Err("error: no graph".to_owned()));
    assert!(matches!(fault, Err(BootstrapError::Fault(text)) if text == "error: no graph"));
    let step = [("SLURM_STEP_ID", "0"), ("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "3")];
    let env = Env::from_pairs(&step);
    let launch = env::detect(&env).unwrap();
    let error = bootstrap(&launch, &env, Vec::new(), "", || unreachable!("only rank 0 is asked"))
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "started as rank 1 of 3 by srun, which offers no MPI");
    assert!(error.help().is_some());
}
