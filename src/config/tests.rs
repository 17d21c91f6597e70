//! Layers, types and faults of the run options.

use super::*;
use rdask_core::config::Config;
use table::{Kind, OPTIONS};

fn surroundings(folder: &Path) -> Surroundings {
    Surroundings {
        variables: BTreeMap::new(),
        user_file: Some(folder.join("user.toml")),
        site_file: Some(folder.join("site.toml")),
        working_directory: folder.to_owned(),
    }
}

fn flags(pairs: &[(&'static str, &str)]) -> Flags {
    let mut flags = Flags::new();
    for (name, value) in pairs {
        flags.entry(name).or_default().push((*value).to_owned());
    }
    flags
}

fn fault(pairs: &[(&'static str, &str)]) -> String {
    resolve(flags(pairs), &surroundings(Path::new("/nowhere"))).unwrap_err().to_string()
}

#[test]
fn defaults() {
    let options = resolve(Flags::new(), &surroundings(Path::new("/nowhere"))).unwrap();
    assert_eq!(options.output, Path::new("/nowhere/rdask-output"));
    assert_eq!(options.fsync, Fsync::End);
    assert_eq!(options.progress, Progress::Auto);
    assert_eq!(options.bind, Bind::Auto);
    assert_eq!(options.rank0, Rank0::Scheduler);
    assert_eq!(options.memory_limit, MemoryLimit::Auto);
    assert_eq!(options.startup_timeout_ns, 120_000_000_000);
    assert_eq!(options.death_timeout_ns, 30_000_000_000);
    assert_eq!((options.workers, options.threads, options.seed), (None, None, 0));
    assert!(!options.json && !options.overwrite && !options.keep_going);
    assert_eq!(options.config().unwrap(), Config::default());
}

#[test]
fn each_layer_beats_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("site.toml"), "workers = 1\nthreads = 1\nseed = 1\nlog = 'site'\n")
        .unwrap();
    std::fs::write(path.join("user.toml"), "workers = 2\nthreads = 2\nseed = 2\n").unwrap();
    std::fs::write(path.join("mine.toml"), "workers = 3\nthreads = 3\n").unwrap();
    let mut around = surroundings(path);
    around.variables.insert("RDASK_CONFIG".into(), "mine.toml".into());
    around.variables.insert("RDASK_WORKERS".into(), "4".into());
    let options = resolve(flags(&[("workers", "5")]), &around).unwrap();
    assert_eq!(options.workers, Some(5));
    assert_eq!(resolve(Flags::new(), &around).unwrap().workers, Some(4));
    assert_eq!((options.threads, options.seed, options.log.as_str()), (Some(3), 2, "site"));
}

#[test]
fn settings_of_all_layers() {
    let folder = tempfile::tempdir().unwrap();
    let text = "log-length = 5\nretries = 9\n[scheduler]\nworker-saturation = inf\n\
                allowed-failures = 8\n[worker.memory]\npause = 0.5\n";
    std::fs::write(folder.path().join("user.toml"), text).unwrap();
    let mut around = surroundings(folder.path());
    around.variables.insert("RDASK_SCHEDULER__WORKER_TTL".into(), "5min".into());
    around.variables.insert("RDASK_LOG_LENGTH".into(), "6".into());
    around.variables.insert("RDASK_JOB_ID".into(), "not ours".into());
    let given = flags(&[("set", "scheduler.allowed-failures=7"), ("validate", "true")]);
    let config = resolve(given, &around).unwrap().config().unwrap();
    assert!(config.worker_saturation.is_infinite() && config.validate);
    assert_eq!((config.allowed_failures, config.default_retries), (7, 9));
    assert_eq!((config.worker_ttl_ns, config.log_length), (300_000_000_000, 6));
    assert!((config.memory_pause - 0.5).abs() < 1e-12);
}

#[test]
fn values_get_their_types() {
    let given = flags(&[
        ("memory-limit", "80%"),
        ("resources", "NVME=0.5, GPU=2"),
        ("events", "e.jsonl"),
        ("scheduler-file", "/abs/s.json"),
        ("startup-timeout", "2min"),
        ("fsync", "each"),
        ("bind", "numa"),
        ("keep-going", "true"),
    ]);
    let options = resolve(given, &surroundings(Path::new("/here"))).unwrap();
    assert_eq!(options.memory_limit, MemoryLimit::Percent(80.0));
    let resources = [("GPU".to_owned(), 2_000_000), ("NVME".to_owned(), 500_000)];
    assert_eq!(options.resources, resources);
    assert_eq!(options.events.as_deref(), Some(Path::new("/here/e.jsonl")));
    assert_eq!(options.scheduler_file.as_deref(), Some(Path::new("/abs/s.json")));
    assert_eq!(options.startup_timeout_ns, 120_000_000_000);
    assert_eq!((options.fsync, options.bind), (Fsync::Each, Bind::Numa));
    assert!(options.keep_going);
}

#[test]
fn options_travel_as_json() {
    let given = flags(&[("set", "scheduler.worker-saturation=inf"), ("memory-limit", "4GiB")]);
    let options = resolve(given, &surroundings(Path::new("/here"))).unwrap();
    let text = serde_json::to_string(&options).unwrap();
    let back: RunOptions = serde_json::from_str(&text).unwrap();
    assert_eq!(back, options);
    assert_eq!(back.memory_limit, MemoryLimit::Bytes(4 << 30));
    assert!(back.config().unwrap().worker_saturation.is_infinite());
}

#[test]
fn bad_values_name_their_place() {
    assert_eq!(
        fault(&[("workers", "0")]),
        "error: '0' is not a whole number, 1 or more (option --workers)"
    );
    assert_eq!(
        fault(&[("bind", "socket")]),
        "error: 'socket' is not one of auto, none, core, numa, package (option --bind)"
    );
    for (name, text) in [
        ("memory-limit", "120%"),
        ("memory-limit", "lots"),
        ("resources", "GPU"),
        ("resources", "GPU=1,GPU=2"),
        ("seed", "-1"),
        ("worker-ttl", "soon"),
        ("startup-timeout", "x"),
        ("set", "scheduler.worker-ttl"),
    ] {
        let text = fault(&[(name, text)]);
        assert!(text.contains(&format!("(option --{name})")), "{text}");
    }
}

#[test]
fn unknown_and_later_names_are_refused_in_every_layer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user.toml");
    for (text, what, help) in [
        ("wrokers = 1", "unknown option 'wrokers'", "did you mean 'workers'?"),
        ("walltime = 60", "option 'walltime' comes with a later version", "leave it out"),
        (
            "[scheduler]\nbandwith = 1",
            "unknown setting 'scheduler.bandwith'",
            "scheduler.bandwidth",
        ),
        ("[schedular]\nx = 1", "unknown option 'schedular'", "help"),
        ("config = 'x'", "a configuration file cannot name another one", ""),
        ("a = = 1", "not TOML", "line 1"),
        ("output = [1]", "'output' takes a string", ""),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = resolve(Flags::new(), &surroundings(folder.path())).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(help), "{error}");
        assert!(error.contains("user.toml"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    for (variable, what) in [
        ("RDASK_RESUME", "option 'resume' comes with a later version"),
        ("RDASK_SCHEDULER__BANDWITH", "unknown setting 'scheduler.bandwith'"),
    ] {
        let mut around = surroundings(folder.path());
        around.variables.insert(variable.into(), "x".into());
        let error = resolve(Flags::new(), &around).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    let missing = resolve(flags(&[("config", "none.toml")]), &surroundings(folder.path()));
    assert!(missing.unwrap_err().to_string().contains("none.toml"));
}

#[test]
fn every_option_can_be_given_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for row in OPTIONS.iter().filter(|row| row.name != "config") {
        let value = match row.kind {
            Kind::Switch => "true",
            Kind::Choice(words) => words[0],
            Kind::List(_) => "log-length=3",
            Kind::Value(_) => match row.name {
                "resources" => "GPU=1",
                "memory-limit" => "none",
                "allow" => "native",
                _ => "7",
            },
        };
        // What only makes sense beside another option.
        let with = if row.name == "record-size" { "record = 'r'\n" } else { "" };
        let text = format!("{with}{} = '{value}'", row.name);
        std::fs::write(folder.path().join("site.toml"), text).unwrap();
        let options = resolve(Flags::new(), &surroundings(folder.path())).unwrap();
        let plain = resolve(Flags::new(), &surroundings(&folder.path().join("x"))).unwrap();
        let moved = RunOptions { output: plain.output.clone(), ..options.clone() };
        let same = RunOptions { working_directory: plain.working_directory.clone(), ..moved };
        let first_word = matches!(row.kind, Kind::Choice(words) if words[0] == row.default);
        assert!(first_word || same != plain || row.name == "output", "{}", row.name);
    }
}
