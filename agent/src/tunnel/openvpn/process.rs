//! One openvpn process: started confined, heard, told, ended.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use egress_core::openvpn::management::{Command, Message, Parser, encode};
use egress_core::openvpn::{Address, OpenvpnConfig, Supervision, canonical};
use egress_linux::confined::{Answered, Listener, Program, spawn};
use egress_linux::process::PidFd;
use egress_linux::{memfd, peer, ready};
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::unix::pipe;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use zeroize::Zeroizing;

use super::stops::{Stop, Stops};

/// How long a process that was started has until it connects.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a process may live on that has closed its management interface.
const SILENCE: Duration = Duration::from_secs(1);
/// How long it may leave a command unread that the socket has no room for.
const READ: Duration = Duration::from_secs(5);
/// How long the program may take to be executed.
const EXECUTE: Duration = Duration::from_secs(10);
/// The most bytes of its output's last line that are kept.
const WORDS_MAX: usize = 512;

/// What one process is started with.
pub struct Start {
    /// The program.
    pub binary: PathBuf,
    /// The gateway's.
    pub config: OpenvpnConfig,
    /// How it is held.
    pub supervision: Supervision,
    /// The only server that it knows.
    pub address: Address,
    /// Its user.
    pub uid: u32,
    /// The tunnel's.
    pub device: OwnedFd,
}

/// It is killed when this is dropped.
pub struct Process {
    child: Child,
    end: AsyncFd<OwnedFd>,
    pidfd: PidFd,
    questions: Option<Questions>,
    output: Option<pipe::Receiver>,
    words: Words,
    stream: Option<UnixStream>,
    parser: Parser,
    buffer: Vec<u8>,
    unread: Unread,
    stop: Stop,
    /// When it is killed, because it cannot be told anything any more.
    kill_at: Option<Instant>,
    dead: bool,
}

/// Commands that it has not read, in its words. There are passwords among them.
#[derive(Default)]
struct Unread {
    bytes: Zeroizing<Vec<u8>>,
    /// How many of them the socket has taken.
    sent: usize,
    /// When it is killed for not reading them.
    given_up: Option<Instant>,
}

/// What it asks of its listener.
struct Questions {
    ready: AsyncFd<OwnedFd>,
    listener: Listener,
}

/// The last line of an output, bounded.
#[derive(Default)]
struct Words {
    line: String,
    last: String,
}

/// What a process did.
pub enum Event {
    /// It said something.
    Said(Vec<Message>),
    /// It has ended, and said all that it had to say.
    Ended {
        /// It was not killed.
        by_itself: bool,
    },
}

impl Process {
    /// Starts one, and waits until its management interface is connected to `listener`, or nobody
    /// wants it any more.
    pub async fn start(
        start: Start,
        stops: &Stops,
        listener: &UnixListener,
        stop: &CancellationToken,
    ) -> io::Result<Self> {
        let uid = start.uid;
        let (input, output) = pipe::pipe()?;
        let input = input.into_blocking_fd()?;
        // One that is stopped before it executes has nobody to answer it afterwards, and ends.
        let spawning = spawn_blocking(move || spawn(program(start, input)?));
        let spawned = timeout(EXECUTE, spawning).await.map_err(io::Error::from)?;
        let (child, asked) = spawned.map_err(io::Error::other)??;
        let mut process = Self::new(child, asked, output, stops)?;
        let connection = stop.run_until_cancelled(process.connection(listener, uid));
        match timeout(CONNECT, connection).await {
            Ok(Some(Ok(stream))) => {
                process.stream = Some(stream);
                Ok(process)
            }
            Ok(Some(Err(error))) => Err(error),
            Ok(None) => Err(io::ErrorKind::Interrupted.into()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, process.lament())),
        }
    }

    fn new(
        child: Child,
        listener: Listener,
        output: pipe::Receiver,
        stops: &Stops,
    ) -> io::Result<Self> {
        let pidfd = PidFd::open(child.id())?;
        let stop = stops.watch(PidFd::open(child.id())?);
        let end = ready::register(pidfd.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        let asking = ready::register(listener.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        Ok(Self {
            child,
            end,
            pidfd,
            questions: Some(Questions { ready: asking, listener }),
            output: Some(output),
            words: Words::default(),
            stream: None,
            parser: Parser::new(),
            buffer: vec![0; 8 * 1024],
            unread: Unread::default(),
            stop,
            kill_at: None,
            dead: false,
        })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pidfd.pid()
    }

    /// The last line that it wrote to its output.
    pub fn words(&self) -> String {
        self.words.last.clone()
    }

    fn lament(&self) -> String {
        let mut text = "openvpn does not connect to its management socket".to_owned();
        if !self.words.last.is_empty() {
            let _ = write!(text, ": {}", self.words.last);
        }
        text
    }

    async fn connection(&mut self, listener: &UnixListener, uid: u32) -> io::Result<UnixStream> {
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, _) = accepted?;
                    let other = peer::credentials(&stream)?;
                    if other.uid == uid && other.pid == self.pid() {
                        return Ok(stream);
                    }
                    warn!(uid = other.uid, pid = other.pid, "not openvpn: turned away");
                }
                event = self.next() => match event {
                    Event::Said(_) => {}
                    Event::Ended { .. } => return Err(io::Error::other(self.lament())),
                },
            }
        }
    }

    /// What it does next. Nothing is lost when this is dropped half-way.
    pub async fn next(&mut self) -> Event {
        loop {
            if self.dead && self.stream.is_none() && self.output.is_none() {
                // It has ended, so this does not wait.
                let status = self.child.wait();
                let by_itself = status.is_ok_and(|status| status.code().is_some());
                return Event::Ended { by_itself };
            }
            let given_up = self.unread.given_up;
            tokio::select! {
                count = talk(self.stream.as_ref(), &mut self.unread, &mut self.buffer) => {
                    if count == 0 {
                        self.stream = None;
                        self.kill_at = Some(Instant::now() + SILENCE);
                    }
                    let messages = self.parser.feed(&self.buffer[..count]);
                    if !messages.is_empty() {
                        return Event::Said(messages);
                    }
                }
                () = drain(&mut self.output, &mut self.words) => {}
                () = answer(&mut self.questions) => {}
                _ = self.end.readable(), if !self.dead => self.dead = true,
                () = at(self.kill_at), if !self.dead => {
                    self.kill_at = None;
                    self.signal(Signal::KILL);
                }
                () = at(given_up), if !self.dead => {
                    // It may have read something meanwhile.
                    if self.unread.given_up == given_up {
                        warn!(pid = self.pid(), "openvpn does not listen and is killed");
                        self.unread = Unread::default();
                        self.signal(Signal::KILL);
                    }
                }
                () = self.stop.stopped(), if !self.dead => {
                    warn!(pid = self.pid(), "a signal has stopped openvpn; it is killed");
                    self.signal(Signal::KILL);
                }
            }
        }
    }

    /// Tells it something, which [`Process::next`] sends.
    pub fn tell(&mut self, command: &Command) -> io::Result<()> {
        let line =
            encode(command).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.unread.push(line.expose().as_bytes());
        Ok(())
    }

    /// Asks it to end, or ends it.
    pub fn signal(&self, signal: Signal) {
        // An error means that it has ended already.
        let _ = self.pidfd.send_signal(signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.dead {
            return;
        }
        let _ = self.pidfd.send_signal(Signal::KILL);
        // Only so that no zombie is left: waiting takes as long as the kernel needs.
        let pid = self.pid();
        let reaped = thread::Builder::new().name("openvpn-reaper".to_owned()).spawn(move || {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed());
            let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
        });
        if let Err(error) = reaped {
            warn!(%error, "a process that was killed stays as a zombie");
        }
    }
}

fn program(start: Start, output: OwnedFd) -> io::Result<Program> {
    let Start { binary, config, supervision, address, uid, device } = start;
    let text = canonical(&config, &supervision.with_addresses([address]));
    let input = memfd::sealed("openvpn.conf", text.expose().as_bytes())?;
    let arguments = ["--config", "/proc/self/fd/0"].map(Into::into).to_vec();
    Ok(Program { path: binary, arguments, uid, input, output, device })
}

impl Unread {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.given_up.get_or_insert_with(|| Instant::now() + READ);
    }

    fn is_empty(&self) -> bool {
        self.bytes.len() == self.sent
    }

    fn taken(&mut self, count: usize) {
        self.sent += count;
        self.given_up = Some(Instant::now() + READ);
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// Sends what there is room for until something can be read, and gives how much that was; nothing
/// at the end. Waits for ever where there is nobody to talk with.
async fn talk(stream: Option<&UnixStream>, unread: &mut Unread, buffer: &mut [u8]) -> usize {
    let Some(stream) = stream else { return std::future::pending().await };
    loop {
        while !unread.is_empty()
            && let Ok(count) = stream.try_write(&unread.bytes[unread.sent..])
        {
            unread.taken(count);
        }
        match stream.try_read(buffer) {
            Ok(count) => return count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return 0,
        }
        let mut wanted = Interest::READABLE;
        if !unread.is_empty() {
            wanted |= Interest::WRITABLE;
        }
        if stream.ready(wanted).await.is_err() {
            return 0;
        }
    }
}

/// openvpn writes its log there too, and would wait if nobody read it.
async fn drain(output: &mut Option<pipe::Receiver>, words: &mut Words) {
    let Some(pipe) = output else { return std::future::pending().await };
    let mut buffer = [0; 2048];
    match pipe.read(&mut buffer).await {
        Ok(count) if count > 0 => words.take(&buffer[..count]),
        Ok(_) | Err(_) => *output = None,
    }
}

/// Until then; for ever, if that is never.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

async fn answer(questions: &mut Option<Questions>) {
    let Some(asked) = questions else { return std::future::pending().await };
    let Ok(mut guard) = asked.ready.readable().await else {
        *questions = None;
        return;
    };
    match asked.listener.answer() {
        Ok(Answered::Nothing) => guard.clear_ready(),
        Ok(Answered::Device) => debug!("openvpn has its device"),
        Ok(Answered::Other) => {}
        Ok(Answered::Gone) | Err(_) => {
            drop(guard);
            *questions = None;
        }
    }
}

impl Words {
    fn take(&mut self, bytes: &[u8]) {
        for c in String::from_utf8_lossy(bytes).chars() {
            if c == '\n' {
                self.last = std::mem::take(&mut self.line);
            } else if self.line.len() < WORDS_MAX && !c.is_control() {
                self.line.push(c);
            }
        }
    }
}
