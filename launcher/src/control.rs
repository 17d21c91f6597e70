//! What a supervisor and its child say to each other over the inherited socket pair.
//!
//! Messages have a fixed layout with a length before it. The first one to a child is `Start`, with
//! the secret, which so never stands in argv or in the environment. End of file means that the
//! other side is gone: a child ends itself, a supervisor reaps and decides. No network here.

use crate::bootstrap::JobSecret;
use crate::layout::{LayoutError, Put, Take};
use crate::roles::{JobPlan, Role, WorkerSlot};
use crate::spawn::{self, ExecutingPage};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Longest message, bytes: options and the plan of some ten thousand ranks fit.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// The control pipe failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// This process has no supervisor: somebody called the hidden role command by hand.
    #[error("no supervisor is on the other end: this command is started by rdask-hpc itself")]
    NoSupervisor,
    /// The other side broke the layout.
    #[error("control message cannot be read: {0}")]
    Layout(#[from] LayoutError),
    /// A message has an unknown kind or is too long.
    #[error("control message of kind {kind} with {nbytes} bytes is not known")]
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its length.
        nbytes: usize,
    },
    /// The socket failed.
    #[error("control socket: {0}")]
    Io(#[from] io::Error),
}

/// All that a child needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// What it is.
    pub role: Role,
    /// Name of its worker slot; of `Both` `0`, of the scheduler empty.
    pub slot: String,
    /// Rank of its supervisor.
    pub rank: u32,
    /// Ranks of the job.
    pub size: u32,
    /// Id of the job.
    pub job_id: String,
    /// What every connection of the job proves to know.
    pub secret: JobSecret,
    /// The scheduler's addresses, best first.
    pub addresses: Vec<SocketAddr>,
    /// Working directory of rank 0: relative paths mean relative to it.
    pub cwd: PathBuf,
    /// Identity of the supervisor, as it registers as a nanny.
    pub nanny: u128,
    /// Its process id.
    pub nanny_pid: u32,
    /// Host name.
    pub host: String,
    /// Boot id of the kernel: equal means same machine.
    pub machine: String,
    /// Inode of the network namespace.
    pub network_namespace: u64,
    /// Scratch folder of this rank, removed at the end by the supervisor; empty: there is none.
    pub scratch: PathBuf,
    /// The whole plan for the scheduler, for a worker only its own rank's.
    pub plan: JobPlan,
    /// The run options as JSON, as rank 0 read them.
    pub options: String,
}

impl Start {
    /// The plan of this child's worker; none for a scheduler alone.
    #[must_use]
    pub fn worker(&self) -> Option<&WorkerSlot> {
        let rank = self.plan.rank(self.rank)?;
        rank.workers.iter().find(|worker| worker.name == self.slot)
    }

    /// How many nannies the scheduler must hear a goodbye from.
    #[must_use]
    pub fn nanny_count(&self) -> usize {
        self.plan.nanny_count()
    }
}

/// Supervisor to child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToChild {
    /// First message.
    Start(Box<Start>),
    /// A stop signal arrived at the supervisor: end the job.
    Signal(i32),
    /// End this process.
    Close {
        /// Why, for the log.
        reason: String,
    },
}

/// Child to supervisor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromChild {
    /// A worker is registered with the scheduler; a scheduler listens.
    Ready {
        /// Identity of the process, as it registered; 0 for a scheduler.
        server_id: u128,
        /// Where it serves.
        address: String,
    },
    /// The scheduler writes into this folder from now on: it was free, or may be written over.
    Accepted {
        /// The output folder, absolute.
        folder: PathBuf,
    },
    /// The scheduler's last word: the job's exit code.
    Verdict {
        /// Exit code.
        code: i32,
        /// Why, in one line; empty when there is nothing to say beyond what was printed.
        message: String,
    },
}

const START: u8 = 1;
const SIGNAL: u8 = 2;
const CLOSE: u8 = 3;
const READY: u8 = 16;
const VERDICT: u8 = 17;
const ACCEPTED: u8 = 18;

/// Messages of one direction: how each lies in bytes.
trait Message: Sized {
    fn put(&self, put: &mut Put) -> u8;
    fn take(kind: u8, take: &mut Take<'_>) -> Option<Result<Self, LayoutError>>;
}

impl Message for ToChild {
    fn put(&self, put: &mut Put) -> u8 {
        match self {
            Self::Start(start) => {
                start.put(put);
                START
            }
            Self::Signal(signal) => {
                put.i32(*signal);
                SIGNAL
            }
            Self::Close { reason } => {
                put.text(reason);
                CLOSE
            }
        }
    }

    fn take(kind: u8, take: &mut Take<'_>) -> Option<Result<Self, LayoutError>> {
        Some(match kind {
            START => Start::take(take).map(|start| Self::Start(Box::new(start))),
            SIGNAL => take.i32("signal").map(Self::Signal),
            CLOSE => take.text("reason").map(|reason| Self::Close { reason }),
            _ => return None,
        })
    }
}

impl Message for FromChild {
    fn put(&self, put: &mut Put) -> u8 {
        match self {
            Self::Ready { server_id, address } => {
                put.u128(*server_id);
                put.text(address);
                READY
            }
            Self::Accepted { folder } => {
                put.text(&folder.to_string_lossy());
                ACCEPTED
            }
            Self::Verdict { code, message } => {
                put.i32(*code);
                put.text(message);
                VERDICT
            }
        }
    }

    fn take(kind: u8, take: &mut Take<'_>) -> Option<Result<Self, LayoutError>> {
        Some(match kind {
            READY => take.u128("server id").and_then(|server_id| {
                Ok(Self::Ready { server_id, address: take.text("address")? })
            }),
            ACCEPTED => {
                take.text("output folder").map(|folder| Self::Accepted { folder: folder.into() })
            }
            VERDICT => take
                .i32("code")
                .and_then(|code| Ok(Self::Verdict { code, message: take.text("message")? })),
            _ => return None,
        })
    }
}

impl Start {
    fn put(&self, put: &mut Put) {
        put.u8(match self.role {
            Role::Scheduler => 0,
            Role::Worker => 1,
            Role::Both => 2,
        });
        put.text(&self.slot);
        put.u32(self.rank);
        put.u32(self.size);
        put.text(&self.job_id);
        put.raw(self.secret.expose());
        put.addresses(&self.addresses);
        put.text(&self.cwd.to_string_lossy());
        put.u128(self.nanny);
        put.u32(self.nanny_pid);
        put.text(&self.host);
        put.text(&self.machine);
        put.u64(self.network_namespace);
        put.text(&self.scratch.to_string_lossy());
        self.plan.put(put);
        put.text(&self.options);
    }

    fn take(take: &mut Take<'_>) -> Result<Self, LayoutError> {
        Ok(Self {
            role: match take.u8("role")? {
                0 => Role::Scheduler,
                1 => Role::Worker,
                2 => Role::Both,
                _ => return Err(LayoutError::Wrong { field: "role" }),
            },
            slot: take.text("slot")?,
            rank: take.u32("rank")?,
            size: take.u32("size")?,
            job_id: take.text("job id")?,
            secret: JobSecret::new(take.array("secret")?),
            addresses: take.addresses("addresses")?,
            cwd: take.text("working directory")?.into(),
            nanny: take.u128("nanny")?,
            nanny_pid: take.u32("nanny's pid")?,
            host: take.text("host")?,
            machine: take.text("machine")?,
            network_namespace: take.u64("network namespace")?,
            scratch: take.text("scratch folder")?.into(),
            plan: JobPlan::take(take)?,
            options: take.text("options")?,
        })
    }
}

fn encode(message: &impl Message) -> Vec<u8> {
    let mut put = Put(vec![0; 5]);
    let kind = message.put(&mut put);
    let len = u32::try_from(put.0.len() - 5).unwrap_or(u32::MAX);
    put.0[..4].copy_from_slice(&len.to_le_bytes());
    put.0[4] = kind;
    put.0
}

/// Bytes of a message to a child.
#[must_use]
pub fn encode_to_child(message: &ToChild) -> Vec<u8> {
    encode(message)
}

/// Length of what follows (u32) and kind (u8).
const HEAD_BYTES: usize = 5;

/// Puts a stream of bytes together to messages.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Adds what was read from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message of a child.
    ///
    /// # Errors
    /// When the bytes break the layout; the connection is then of no more use.
    pub fn next_from_child(&mut self) -> Result<Option<FromChild>, ControlError> {
        self.next()
    }

    /// Bytes that the next message needs to be whole, as far as its head tells.
    fn missing(&self) -> usize {
        match self.bytes.first_chunk::<4>() {
            Some(nbytes) if self.bytes.len() >= HEAD_BYTES => {
                let whole = HEAD_BYTES + u32::from_le_bytes(*nbytes) as usize;
                whole.saturating_sub(self.bytes.len())
            }
            _ => HEAD_BYTES - self.bytes.len(),
        }
    }

    fn next<M: Message>(&mut self) -> Result<Option<M>, ControlError> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<5>() else { return Ok(None) };
        let [a, b, c, d, kind] = *head;
        let nbytes = u32::from_le_bytes([a, b, c, d]) as usize;
        if nbytes > MAX_MESSAGE_BYTES {
            return Err(ControlError::Unknown { kind, nbytes });
        }
        let Some(body) = rest.get(..nbytes) else { return Ok(None) };
        let mut take = Take::new(body);
        let message = M::take(kind, &mut take).ok_or(ControlError::Unknown { kind, nbytes })??;
        take.end()?;
        self.bytes.drain(..5 + nbytes);
        Ok(Some(message))
    }
}

/// What the supervisor tells a running child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromSupervisor {
    /// A stop signal arrived: end the job (schedulers only).
    Signal(i32),
    /// End this process.
    Close {
        /// Why, for the log.
        reason: String,
    },
    /// The supervisor is gone: end this process at once.
    Gone,
}

/// A child's end of the control pipe.
pub struct ChildEnd {
    stream: UnixStream,
    inbox: Inbox,
}

impl ChildEnd {
    /// Takes the inherited socket and waits for `Start`. Call once, first thing in the child.
    ///
    /// # Errors
    /// When there is no supervisor, or it went away or broke the layout.
    pub fn from_inherited() -> Result<(Start, Self), ControlError> {
        let stream = spawn::inherited_control().ok_or(ControlError::NoSupervisor)?;
        Self::receive_start(stream)
    }

    fn receive_start(stream: UnixStream) -> Result<(Start, Self), ControlError> {
        let mut end = Self { stream, inbox: Inbox::default() };
        match end.receive()? {
            Some(ToChild::Start(start)) => Ok((*start, end)),
            Some(_) => Err(LayoutError::Wrong { field: "first message" }.into()),
            None => Err(ControlError::NoSupervisor),
        }
    }

    /// The listening socket that the supervisor bound for the scheduler. Once.
    #[must_use]
    pub fn take_listener(&self) -> Option<TcpListener> {
        spawn::inherited_listener()
    }

    /// The page where executor threads note what they run.
    ///
    /// # Errors
    /// When none was inherited or it cannot be mapped.
    pub fn executing_page(&self) -> io::Result<ExecutingPage> {
        ExecutingPage::open_inherited()
    }

    /// Tells the supervisor that this process serves.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn ready(&self, server_id: u128, address: &str) -> Result<(), ControlError> {
        self.send(&FromChild::Ready { server_id, address: address.to_owned() })
    }

    /// The scheduler has accepted its output folder.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn accepted(&self, folder: &Path) -> Result<(), ControlError> {
        self.send(&FromChild::Accepted { folder: folder.to_owned() })
    }

    /// The scheduler's last word.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn verdict(&self, code: i32, message: &str) -> Result<(), ControlError> {
        self.send(&FromChild::Verdict { code, message: message.to_owned() })
    }

    fn send(&self, message: &FromChild) -> Result<(), ControlError> {
        (&self.stream).write_all(&encode(message))?;
        Ok(())
    }

    /// A second handle, for a thread that has something to say.
    ///
    /// # Errors
    /// When the socket cannot be shared.
    pub fn try_clone(&self) -> Result<Self, ControlError> {
        Ok(Self { stream: self.stream.try_clone()?, inbox: Inbox::default() })
    }

    /// Reads messages on a thread of its own and hands each to `act`; the last is `Gone`.
    ///
    /// # Errors
    /// When the socket cannot be shared or the thread cannot be started.
    pub fn watch(
        &self,
        mut act: impl FnMut(FromSupervisor) + Send + 'static,
    ) -> Result<(), ControlError> {
        let mut end = self.try_clone()?;
        std::thread::Builder::new().name("control".to_owned()).stack_size(256 << 10).spawn(
            move || {
                loop {
                    match end.receive() {
                        Ok(Some(ToChild::Signal(signal))) => act(FromSupervisor::Signal(signal)),
                        Ok(Some(ToChild::Close { reason })) => {
                            act(FromSupervisor::Close { reason });
                        }
                        Ok(Some(ToChild::Start(_))) => {}
                        Ok(None) | Err(_) => return act(FromSupervisor::Gone),
                    }
                }
            },
        )?;
        Ok(())
    }

    /// The next message; `None` at the end of file. Reads no byte behind it: another handle of the
    /// same socket may take the next one.
    fn receive(&mut self) -> Result<Option<ToChild>, ControlError> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(message) = self.inbox.next()? {
                return Ok(Some(message));
            }
            let limit = self.inbox.missing().min(chunk.len());
            match self.stream.read(&mut chunk[..limit]) {
                Ok(0) => return Ok(None),
                Ok(count) => self.inbox.push(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::RankPlan;
    use std::sync::mpsc;

    fn start() -> Start {
        let worker = WorkerSlot { name: "3".into(), bound: true, ..WorkerSlot::default() };
        let rank = RankPlan { rank: 3, workers: vec![worker], ..RankPlan::default() };
        Start {
            role: Role::Worker,
            slot: "3".to_owned(),
            rank: 3,
            size: 4,
            job_id: "job".to_owned(),
            secret: JobSecret::new([9; 32]),
            addresses: vec!["10.1.2.3:4567".parse().unwrap()],
            cwd: "/data".into(),
            nanny: 77,
            nanny_pid: 42,
            host: "node3".to_owned(),
            machine: "boot".to_owned(),
            network_namespace: 4026531840,
            scratch: "/tmp/rdask-job-3".into(),
            plan: JobPlan { ranks: vec![rank], remarks: Vec::new() },
            options: "{\"threads\":2}".to_owned(),
        }
    }

    #[test]
    fn a_child_gets_its_start_and_then_hears_of_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // Both at once: what comes behind the start must not be lost with it.
        let mut both = encode_to_child(&ToChild::Start(Box::new(start())));
        both.extend(encode_to_child(&ToChild::Signal(2)));
        (&ours).write_all(&both).unwrap();
        let (got, end) = ChildEnd::receive_start(theirs).unwrap();
        assert_eq!(got, start());
        assert_eq!(got.worker().unwrap().name, "3");
        let (tx, rx) = mpsc::channel();
        end.watch(move |message| tx.send(message).unwrap()).unwrap();
        let close = ToChild::Close { reason: "over".to_owned() };
        (&ours).write_all(&encode_to_child(&close)).unwrap();
        assert_eq!(rx.recv().unwrap(), FromSupervisor::Signal(2));
        assert_eq!(rx.recv().unwrap(), FromSupervisor::Close { reason: "over".to_owned() });
        drop(ours);
        assert_eq!(rx.recv().unwrap(), FromSupervisor::Gone);
    }

    #[test]
    fn messages_come_whole_however_the_bytes_are_cut() {
        let messages = [
            FromChild::Ready { server_id: 5, address: "tcp://h:1".to_owned() },
            FromChild::Accepted { folder: "/results/a".into() },
            FromChild::Verdict { code: 3, message: "no worker is left".to_owned() },
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(encode).collect();
        let mut inbox = Inbox::default();
        let mut seen = Vec::new();
        for byte in bytes {
            inbox.push(&[byte]);
            seen.extend(inbox.next_from_child().unwrap());
        }
        assert_eq!(seen, messages);
    }

    #[test]
    fn unknown_kinds_and_long_lengths_are_refused() {
        let mut inbox = Inbox::default();
        inbox.push(&[0, 0, 0, 0, 99]);
        assert!(matches!(
            inbox.next_from_child(),
            Err(ControlError::Unknown { kind: 99, nbytes: 0 })
        ));
        let mut inbox = Inbox::default();
        inbox.push(&[0xff, 0xff, 0xff, 0xff, READY]);
        assert!(matches!(inbox.next_from_child(), Err(ControlError::Unknown { kind: READY, .. })));
    }

    #[test]
    fn a_supervisor_that_goes_before_the_start_is_no_supervisor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        assert!(matches!(ChildEnd::receive_start(theirs), Err(ControlError::NoSupervisor)));
    }
}
