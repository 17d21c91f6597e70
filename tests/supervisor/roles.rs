//! The children of the tests: a scheduler that talks to nannies, and workers that live or die as
//! their script says.

use rdask_core::codec;
use rdask_core::messages::{FromNanny, ToNanny};
use rdask_launcher::control::{ChildEnd, FromSupervisor, Start};
use rdask_launcher::roles::Role;
use rdask_transport::{ChannelSender, Connection, Endpoint, Identity, Listener, Secret};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) fn play() -> ExitCode {
    let (start, end) = ChildEnd::from_inherited().unwrap();
    let role = start.role;
    end.watch(move |message| match message {
        FromSupervisor::Signal(signal) => {
            eprintln!("scheduler heard signal {signal}");
            std::process::exit(3);
        }
        FromSupervisor::Close { .. } | FromSupervisor::Gone => std::process::exit(0),
    })
    .unwrap();
    // Launchers must be invisible to everything below a supervisor.
    let leaked =
        std::env::vars().any(|(name, _)| name.starts_with("OMPI_") || name.starts_with("PMI_"));
    assert!(!leaked, "a launcher's variable reached a child");
    assert_eq!(std::env::var("RDASK_JOB_ID").unwrap(), start.job_id);
    let code = match role {
        Role::Scheduler | Role::Both => scheduler(&start, &end),
        Role::Worker => worker(&start, &end),
    };
    ExitCode::from(code)
}

fn worker(start: &Start, end: &ChildEnd) -> u8 {
    let slot = start.worker().unwrap();
    let page = end.executing_page().unwrap();
    end.ready(u128::from(std::process::id()), "tcp://here").unwrap();
    let marker = start.scratch.join(format!("life-{}", start.slot));
    let first_life = !marker.exists();
    std::fs::write(&marker, b"").unwrap();
    let forever = Duration::from_secs(1000);
    match start.options.as_str() {
        "kill" if first_life => {
            page.set(0, 7, 70);
            println!("words of worker {}", start.slot);
            // The shell's signal to its parent, which is this process.
            let kill = format!("kill -9 {}", std::process::id());
            std::process::Command::new("sh").args(["-c", &kill]).status().unwrap();
        }
        "give-up" => {
            eprintln!("cannot work");
            return 9;
        }
        "orphan" => {
            // The shell ends at once; what it started stays behind in a session of its own.
            let left = ["-c", "setsid sleep 1000 &"];
            std::process::Command::new("sh").args(left).status().unwrap();
        }
        "memory" if first_life => {
            let pages = vec![1_u8; usize::try_from(slot.memory_limit_bytes).unwrap()];
            std::thread::sleep(forever);
            drop(pages);
        }
        _ => {}
    }
    std::thread::sleep(forever);
    0
}

fn scheduler(start: &Start, end: &ChildEnd) -> u8 {
    if start.options == "scheduler-dies" {
        let kill = format!("kill -9 {}", std::process::id());
        std::process::Command::new("sh").args(["-c", &kill]).status().unwrap();
    }
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let verdict = built.unwrap().block_on(conduct(start, end));
    let (code, message) = match verdict {
        Ok(code) => (code, String::new()),
        Err(message) => (1, message),
    };
    end.verdict(code, &message).unwrap();
    0
}

/// Waits for what the script expects of the nannies, ends them, gives the job's code.
async fn conduct(start: &Start, end: &ChildEnd) -> Result<i32, String> {
    let identity = Identity {
        server_id: 1,
        role: rdask_transport::Role::Scheduler,
        job_id: start.job_id.clone(),
        label: "scheduler".to_owned(),
        machine: start.machine.clone(),
        netns: start.network_namespace,
    };
    let endpoint = Endpoint::new(identity, Secret::from_bytes(*start.secret.expose()));
    let mut listener = Listener::from_std(end.take_listener().unwrap(), &endpoint).unwrap();
    let (sender, mut heard) = mpsc::channel(64);
    let mut nannies = Vec::new();
    for _ in 0..start.nanny_count() {
        let Some(Connection::Control(channel)) = listener.accept().await else {
            return Err("no control connection".to_owned());
        };
        let (to_nanny, mut from_nanny) = channel.split();
        let sender = sender.clone();
        nannies.push(to_nanny);
        tokio::spawn(async move {
            while let Ok(Some(batch)) = from_nanny.recv().await {
                for body in batch.iter() {
                    sender.send(codec::decode::<FromNanny>(body).unwrap()).await.unwrap();
                }
            }
        });
    }
    // Deaths at one nanny may come before the registration of another.
    let (mut registered, mut early) = (0, VecDeque::new());
    while registered < nannies.len() {
        match heard.recv().await {
            Some(FromNanny::Register { slots, .. }) => {
                registered += 1;
                eprintln!("nanny of {}", slots.join(" "));
            }
            Some(message) => early.push_back(message),
            None => return Err("the connections broke".to_owned()),
        }
    }
    let mut heard = Heard { early, later: heard };
    let code = expect(start, &nannies, &mut heard).await?;
    for nanny in &nannies {
        tell(nanny, &ToNanny::Close { reason: "over".to_owned() });
    }
    let mut goodbyes = 0;
    while goodbyes < nannies.len() {
        if let Some(FromNanny::Goodbye) = heard.recv().await {
            goodbyes += 1;
        }
    }
    Ok(code)
}

/// What the nannies say after their registration.
struct Heard {
    early: VecDeque<FromNanny>,
    later: mpsc::Receiver<FromNanny>,
}

impl Heard {
    async fn recv(&mut self) -> Option<FromNanny> {
        match self.early.pop_front() {
            Some(message) => Some(message),
            None => self.later.recv().await,
        }
    }
}

async fn expect(
    start: &Start,
    nannies: &[ChannelSender],
    heard: &mut Heard,
) -> Result<i32, String> {
    let worker_count = start.plan.workers().count();
    match start.options.as_str() {
        "code-1" => return Ok(1),
        "hang" => loop {
            if let Some(FromNanny::Signalled { signal }) = heard.recv().await {
                eprintln!("a nanny heard signal {signal}");
                return Ok(3);
            }
        },
        "kill" => {
            for _ in 0..worker_count {
                check_death(heard.recv().await)?;
            }
        }
        "asked" => {
            let (_, worker) = start.plan.workers().next().unwrap();
            let slot = worker.name.clone();
            tell(
                &nannies[0],
                &ToNanny::KillWorker { slot, reason: "silent".into(), restart: true },
            );
            let Some(FromNanny::WorkerDied { restarts: true, .. }) = heard.recv().await else {
                return Err("no death was reported".to_owned());
            };
        }
        "memory" => {
            let death = heard.recv().await;
            let Some(FromNanny::WorkerDied { cause, restarts: true, .. }) = death else {
                return Err(format!("no death was reported: {death:?}"));
            };
            if !cause.contains("--memory-limit") {
                return Err(format!("the report does not say why: {cause}"));
            }
        }
        "give-up" => loop {
            match heard.recv().await {
                Some(FromNanny::SlotGivenUp { reason, .. }) if reason.contains("cannot work") => {
                    return Ok(3);
                }
                Some(FromNanny::WorkerDied { code: Some(9), .. }) => {}
                other => return Err(format!("unexpected {other:?}")),
            }
        },
        _ => {}
    }
    Ok(0)
}

fn check_death(message: Option<FromNanny>) -> Result<(), String> {
    let Some(FromNanny::WorkerDied { slot, server_id, pid, signal, executing, log_tail, .. }) =
        message
    else {
        return Err(format!("no death was reported: {message:?}"));
    };
    let runs: Vec<(u32, u64)> = executing.iter().map(|(task, run)| (task.0, run.0)).collect();
    let right = signal == Some(9)
        && server_id == u128::from(pid)
        && runs == [(7, 70)]
        && log_tail == format!("words of worker {slot}");
    if right { Ok(()) } else { Err(format!("{slot} {signal:?} {runs:?} {log_tail}")) }
}

fn tell(nanny: &ChannelSender, message: &ToNanny) {
    let body = codec::encode(message).unwrap();
    nanny.push(|buffer| buffer.extend_from_slice(&body)).unwrap();
}
