//! The scheduler's process: listener, graph loader and supervisor feed the driver.

use super::worker::WorkerPlace;
use super::{Request, endpoint, runtime, server_id};
use crate::clock::Clock;
use crate::graph_load::{self, LoadError, Terms};
use crate::observe::record::RecordOptions;
use crate::scheduler::{
    self, Delivery, ExpectedWorker, FolderOptions, Inbox, OnAccepted, SchedulerFileOptions,
    SchedulerOptions, Verdict,
};
use anyhow::Context;
use rdask_launcher::control::{ChildEnd, FromSupervisor, Start};
use rdask_transport::{Connection, Listener, Role};
use std::time::Duration;
use tokio::sync::mpsc;

/// Plays the scheduler (and with `both` also worker `0`) to the end of the job.
pub(super) fn play(
    start: &Start,
    request: &Request,
    end: &ChildEnd,
    both: bool,
) -> anyhow::Result<i32> {
    let clock = Clock::start();
    let (inbox, receiver) = scheduler::inbox();
    watch(end, inbox.clone())?;
    load(request, inbox.clone())?;
    let listener = end.take_listener();
    let mut options = options(start, request)?;
    let teller = end.try_clone()?;
    options.accepted = Some(OnAccepted(Box::new(move |folder| {
        if let Err(error) = teller.accepted(folder) {
            tracing::debug!(%error, "the supervisor does not listen");
        }
    })));
    let runtime = runtime()?;
    let local = tokio::task::LocalSet::new();
    let verdict = local.block_on(&runtime, async {
        let me = endpoint(start, &options.config, Role::Scheduler, server_id()?);
        if let Some(listener) = listener {
            let listener = Listener::from_std(listener, &me)?;
            tokio::task::spawn_local(accept(listener, inbox.clone()));
        }
        if both {
            let page = end.executing_page().context("the page of running tasks")?;
            WorkerPlace::of(start, request)?.join_here(&me, &inbox, clock, page)?;
        }
        end.ready(0, "")?;
        anyhow::Ok(scheduler::run(options, clock, inbox, receiver).await)
    })?;
    tell(&verdict, request.options.json);
    end.verdict(verdict.code, "")?;
    Ok(verdict.code)
}

/// Prints what the user must know: messages to stderr, the summary as the last line on stdout.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the command's output")]
fn tell(verdict: &Verdict, json: bool) {
    if !verdict.message.is_empty() {
        eprintln!("{}", verdict.message);
    }
    if let Some(summary) = &verdict.summary {
        println!("{}", summary.line(json));
    }
}

/// Signals and the end of the supervisor.
fn watch(end: &ChildEnd, inbox: mpsc::Sender<Inbox>) -> anyhow::Result<()> {
    end.watch(move |message| {
        let reason = match message {
            FromSupervisor::Signal(signal) => {
                format!("signal {}", scheduler::signal_name(signal))
            }
            FromSupervisor::Close { reason } => reason,
            FromSupervisor::Gone => "the end of its supervisor".to_owned(),
        };
        // The driver has ended when nobody receives.
        let _ended = inbox.blocking_send(Inbox::Stop(reason));
    })?;
    Ok(())
}

/// Reads the graph on a thread of its own, while workers connect.
fn load(request: &Request, inbox: mpsc::Sender<Inbox>) -> anyhow::Result<()> {
    let path = graph_path(request);
    let terms = Terms {
        working_directory: request.options.working_directory.clone(),
        allowed: request.options.allow.clone(),
    };
    std::thread::Builder::new().name("graph".to_owned()).spawn(move || {
        let loaded = graph_load::load(&path).and_then(|graph| {
            scheduler::loaded(graph, &terms)
                .map_err(|fault| LoadError { origin: path, faults: vec![fault] })
        });
        let _ended = inbox.blocking_send(Inbox::Loaded(loaded.map(Box::new)));
    })?;
    Ok(())
}

fn graph_path(request: &Request) -> String {
    if request.graph == "-" {
        return "-".to_owned();
    }
    request.options.working_directory.join(&request.graph).display().to_string()
}

async fn accept(mut listener: Listener, inbox: mpsc::Sender<Inbox>) {
    while let Some(connection) = listener.accept().await {
        match connection {
            Connection::Control(channel) => {
                if inbox.send(Inbox::Connected(Box::new(channel))).await.is_err() {
                    return;
                }
            }
            Connection::Data(lane) => {
                let peer = &lane.peer().identity.label;
                tracing::warn!(%peer, "the scheduler serves no data");
            }
        }
    }
}

fn options(start: &Start, request: &Request) -> anyhow::Result<SchedulerOptions> {
    let run = &request.options;
    let workers = start
        .plan
        .ranks
        .iter()
        .flat_map(|rank| {
            rank.workers.iter().map(|worker| ExpectedWorker {
                name: worker.name.clone(),
                rank: rank.rank,
                host: rank.host.clone(),
            })
        })
        .collect();
    let nannies =
        start.plan.ranks.iter().filter(|rank| rank.is_nanny()).map(|rank| rank.rank).collect();
    let scheduler_file = run.scheduler_file.as_ref().map(|path| SchedulerFileOptions {
        path: path.clone(),
        addresses: start.addresses.iter().map(ToString::to_string).collect(),
        secret: hex(start.secret.expose()),
    });
    Ok(SchedulerOptions {
        config: run.config()?,
        seed: run.seed,
        keep_going: run.keep_going,
        workers,
        nannies,
        startup_timeout: Duration::from_nanos(run.startup_timeout_ns),
        delivery: Delivery::Folder(FolderOptions {
            path: run.output.clone(),
            results: run.results.clone().unwrap_or_else(|| run.output.clone()),
            overwrite: run.overwrite,
            fsync: run.fsync,
        }),
        scheduler_file,
        events: run.events.clone(),
        record: run
            .record
            .as_ref()
            .map(|path| RecordOptions { path: path.clone(), size: run.record_size }),
        progress: run.progress,
        job_id: start.job_id.clone(),
        graph_path: request.graph.clone(),
        accepted: None,
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
        text
    })
}
