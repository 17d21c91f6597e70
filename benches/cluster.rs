//! End to end: the real binary on many tiny tasks and on a chain, beside a bare loop and Dask.
//!
//! Each line is a ratio taken in one run, ours and the anchor in turn, median of five, with the
//! anchor's figure beside it. `cargo bench --bench cluster`; Dask is found through
//! RDASK_BENCH_PYTHON (a python with dask and distributed), else its lines say what to install.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

/// Times that ours and the anchor are run in turn.
const ROUNDS: usize = 5;
/// Tasks that read one array.
const TRIVIAL: usize = 200_000;
/// Links of the chain.
const CHAIN: usize = 10_000;
/// Tasks for Dask, which needs a thousand times longer for each.
const DASK_TRIVIAL: usize = 10_000;
/// Links for Dask.
const DASK_CHAIN: usize = 300;

fn main() {
    let folder = std::env::temp_dir().join(format!("rdask-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the graphs");
    let (trivial, chain) = (make(&folder, "trivial"), make(&folder, "chain"));
    println!("{:<34} {:>16} {:>16} {:>8}  goal", "what", "ours", "anchor", "ratio");
    let (ours, bare): (Vec<f64>, Vec<f64>) =
        (0..ROUNDS).map(|_| (run(&folder, &chain) / CHAIN as f64, bare_loop())).unzip();
    let (ours, bare) = (median(ours), median(bare));
    let ratio = ours / bare;
    println!(
        "{:<34} {:>13.1} us {:>13.1} us {ratio:>8.2}  <= 2 (bare loop)",
        "chain of map(\"a+1\"), one link",
        ours * 1e6,
        bare * 1e6
    );
    dask_line("chain", DASK_CHAIN, ours, "one link");
    let seconds = median((0..ROUNDS).map(|_| run(&folder, &trivial)).collect());
    let rate = TRIVIAL as f64 / seconds;
    println!(
        "{:<34} {rate:>12.0} t/s {:>16} {:>8}  >= 100000 t/s",
        "200,000 identity, 2 ranks", "-", "-"
    );
    dask_line("trivial", DASK_TRIVIAL, 1.0 / rate, "one task");
    // The bench is over; a folder that stays is only untidy.
    let _removed = std::fs::remove_dir_all(&folder);
}

fn dask_line(what: &str, count: usize, ours: f64, unit: &str) {
    let name = format!("{what} beside Dask, {unit}");
    match dask(what, count) {
        Some(seconds) => {
            let theirs = seconds / count as f64;
            println!(
                "{name:<34} {:>13.1} us {:>13.1} us {:>8.4}  (worker-saturation: inf)",
                ours * 1e6,
                theirs * 1e6,
                ours / theirs
            );
        }
        None => {
            println!("{name:<34} {:>16} {:>16} {:>8}  pip install dask distributed", "-", "-", "-");
        }
    }
}

/// Seconds that Dask needs; none when it is not there.
fn dask(what: &str, count: usize) -> Option<f64> {
    let python = std::env::var_os("RDASK_BENCH_PYTHON")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/dask_twin.py");
    let output = Command::new(python).arg(script).args([what, &count.to_string(), "2"]).output();
    let output = output.ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// Writes a graph as graph.bin.
fn make(folder: &Path, what: &str) -> PathBuf {
    let full = r#"{"key":"x","run":{"kernel":"full","shape":[1],"dtype":"f64","value":0}}"#;
    let mut json = format!("{{\"version\":1,\"outputs\":[],\"tasks\":[{full}");
    let mut add = |key: String, run: &str, dep: &str| {
        write!(json, ",{{\"key\":\"{key}\",\"run\":{run},\"deps\":[\"{dep}\"]}}")
            .expect("strings take everything");
    };
    match what {
        "chain" => {
            let run = r#"{"kernel":"map","expr":"a+1"}"#;
            add("t-0".to_owned(), run, "x");
            for i in 1..CHAIN {
                add(format!("t-{i}"), run, &format!("t-{}", i - 1));
            }
        }
        _ => (0..TRIVIAL).for_each(|i| add(format!("i-{i}"), r#"{"kernel":"identity"}"#, "x")),
    }
    json.push_str("]}");
    let (source, graph) = (folder.join(format!("{what}.json")), folder.join(format!("{what}.bin")));
    std::fs::write(&source, json).expect("room for the graph");
    let mut import = Command::new(binary());
    import.args(["graph", "import"]).arg(&source).arg("-o").arg(&graph);
    assert!(import.status().expect("the binary runs").success());
    graph
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_rdask-hpc")
}

/// Seconds from the graph's arrival to its last result, with two ranks where Open MPI is there.
fn run(folder: &Path, graph: &Path) -> f64 {
    let shim = Path::new(binary()).with_file_name("librdask_mpi_openmpi.so");
    let mut command = if shim.exists() {
        let mut command = Command::new("mpirun.openmpi");
        command.args(["--allow-run-as-root", "--oversubscribe", "-n", "2", binary()]);
        command
    } else {
        let mut command = Command::new(binary());
        command.args(["--workers", "1"]);
        command
    };
    command.arg(graph).args(["--json", "--progress", "none", "--output"]).arg(folder.join("out"));
    let output = command.arg("--overwrite").output().expect("the run starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().last().unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_str(line)
        .unwrap_or_else(|_| panic!("no summary: {}", String::from_utf8_lossy(&output.stderr)));
    summary["seconds"].as_f64().expect("seconds are a number")
}

/// Seconds for one turn of the bare loop: a request over loopback TCP, handed over to a thread and
/// back, and the answer.
fn bare_loop() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || serve(&listener));
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let start = Instant::now();
    let mut body = [0; 32];
    for _ in 0..CHAIN {
        stream.write_all(&body).expect("written");
        stream.read_exact(&mut body).expect("read");
    }
    let seconds = start.elapsed().as_secs_f64() / CHAIN as f64;
    drop(stream);
    server.join().expect("the server ends");
    seconds
}

fn serve(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_nodelay(true).expect("no delay");
    let (to_worker, work) = mpsc::channel::<[u8; 32]>();
    let (to_io, done) = mpsc::channel::<[u8; 32]>();
    let worker = std::thread::spawn(move || {
        for body in work {
            if to_io.send(body).is_err() {
                return;
            }
        }
    });
    let mut body = [0; 32];
    while stream.read_exact(&mut body).is_ok() {
        to_worker.send(body).expect("the worker lives");
        body = done.recv().expect("the worker answers");
        if stream.write_all(&body).is_err() {
            break;
        }
    }
    drop(to_worker);
    worker.join().expect("the worker ends");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
