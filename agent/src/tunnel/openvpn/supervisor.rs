//! Keeps one tunnel's openvpn running, as its machine decides.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egress_core::api::{Code, Reason};
use egress_core::openvpn::machine::{Action, Farewell, Input, Machine, News, Setup};
use egress_core::openvpn::management::Message;
use egress_core::openvpn::{Address, Login, OpenvpnConfig, Supervision};
use egress_linux::{ready, tun};
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::lookup::look_up;
use super::place::Place;
use super::process::{Event, Process, Start, at};
use super::stops::Stops;
use super::users::User;
use super::{Counters, OpenvpnError, Order, Traffic};
use crate::certificates;
use crate::telemetry::chain;

/// The most news of one tunnel that wait for its session.
pub const NEWS_MAX: usize = 16;
/// How long openvpn has to say goodbye to its server.
const GOODBYE: Duration = Duration::from_millis(2_500);

/// One tunnel.
pub struct Supervisor {
    machine: Machine,
    start: Starter,
    stops: Stops,
    listener: Arc<UnixListener>,
    /// Held for as long as a process may live.
    place: Place,
    _user: User,
    device_gone: AsyncFd<OwnedFd>,
    process: Option<Box<Process>>,
    starting: Option<JoinHandle<io::Result<Process>>>,
    looking: Option<JoinHandle<Result<Vec<Address>, Reason>>>,
    /// When a process that was asked to end is killed.
    kill_at: Option<Instant>,
    news: VecDeque<News>,
    news_tx: mpsc::Sender<News>,
    counters: Arc<Counters>,
    /// Bytes of former processes.
    former: Traffic,
    stop: CancellationToken,
    stopping: bool,
    /// The namespace that the device was in has ended.
    gone: bool,
}

/// What every process of the tunnel is started with.
struct Starter {
    binary: PathBuf,
    config: OpenvpnConfig,
    supervision: Supervision,
    uid: u32,
    device: OwnedFd,
}

/// What happened next.
enum Next {
    Stop,
    Process(Event),
    Started(io::Result<Box<Process>>),
    Found(Result<Result<Vec<Address>, Reason>, JoinError>),
    Time,
    Kill,
    DeviceGone,
    NewsTaken,
}

/// What is known to be wrong with a config's certificates.
fn flaws(config: &OpenvpnConfig) -> Option<String> {
    let found = certificates::warnings(config, certificates::now());
    let found: Vec<_> = found.into_iter().map(|finding| finding.message).collect();
    (!found.is_empty()).then(|| found.join("; "))
}

impl Supervisor {
    /// Gets everything ready that all processes share.
    pub fn new(
        (binary, stops): (PathBuf, Stops),
        order: Order,
        (place, user): (Place, User),
        (news_tx, counters, stop): (mpsc::Sender<News>, Arc<Counters>, CancellationToken),
    ) -> Result<Self, OpenvpnError> {
        let Order { tunnel, config, login, challenge, split, device, device_name } = order;
        let listener = Arc::new(place.listen(user.uid())?);
        let watch = tun::watch_end(device.as_fd())
            .and_then(|watch| ready::register(watch, Interest::READABLE));
        let device_gone = watch.map_err(OpenvpnError::Device)?;
        let supervision = supervision(&place, &device_name, login.as_ref())?;
        let seed = RandomState::new().hash_one(tunnel);
        let setup = Setup { login, challenge, split, flaws: flaws(&config), seed };
        let machine = Machine::new(&config, setup);
        let start = Starter { binary, config, supervision, uid: user.uid(), device };
        Ok(Self {
            machine,
            start,
            stops,
            listener,
            place,
            _user: user,
            device_gone,
            process: None,
            starting: None,
            looking: None,
            kill_at: None,
            news: VecDeque::new(),
            news_tx,
            counters,
            former: Traffic::default(),
            stop,
            stopping: false,
            gone: false,
        })
    }

    /// Until the tunnel is stopped or given up, no process is left, and all news are told.
    pub async fn run(mut self) -> Farewell {
        loop {
            while let Some(action) = self.machine.poll_action() {
                self.carry_out(action);
            }
            let idle = self.process.is_none() && self.starting.is_none();
            let told = self.news.is_empty() || self.stopping || self.news_tx.is_closed();
            if self.machine.is_over() && idle && told {
                return self.machine.farewell();
            }
            match self.next().await {
                Next::Stop => {
                    self.stopping = true;
                    self.machine.stop();
                }
                Next::Process(Event::Said(messages)) => {
                    for message in messages {
                        self.heard(message);
                    }
                }
                Next::Process(Event::Ended { by_itself }) => self.ended(by_itself),
                Next::Started(started) => self.started(started),
                Next::Found(found) => self.found(found),
                Next::Time => self.machine.handle_timeout(Instant::now()),
                Next::Kill => self.kill(),
                Next::DeviceGone => {
                    self.gone = true;
                    self.tell(News::DeviceGone);
                    self.machine.stop();
                }
                Next::NewsTaken => {}
            }
        }
    }

    async fn next(&mut self) -> Next {
        let time = self.machine.poll_timeout();
        tokio::select! {
            () = self.stop.cancelled(), if !self.stopping => Next::Stop,
            event = of_process(&mut self.process) => Next::Process(event),
            started = of_task(&mut self.starting) => {
                Next::Started(started.map_err(io::Error::other).flatten().map(Box::new))
            }
            found = of_task(&mut self.looking) => Next::Found(found),
            () = at(time) => Next::Time,
            () = at(self.kill_at) => Next::Kill,
            _ = self.device_gone.readable(), if !self.gone && !self.stopping => Next::DeviceGone,
            permit = self.news_tx.reserve(), if !self.news.is_empty() => {
                if let (Ok(permit), Some(news)) = (permit, self.news.pop_front()) {
                    permit.send(news);
                }
                Next::NewsTaken
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Resolve => {
                let config = self.start.config.clone();
                self.looking = Some(tokio::spawn(async move { look_up(&config).await }));
            }
            Action::Start(address) => self.start_process(address),
            Action::Send(command) => {
                let Some(process) = &mut self.process else { return };
                if let Err(error) = process.tell(&command) {
                    warn!(%error, "openvpn cannot be told what it has to know and is killed");
                    process.signal(Signal::KILL);
                }
            }
            Action::End => {
                if let Some(process) = &self.process {
                    // Not by management: it may have stopped listening there.
                    process.signal(Signal::TERM);
                    self.kill_at = Some(Instant::now() + GOODBYE);
                }
            }
            Action::Tell(news) => self.tell(news),
        }
    }

    fn start_process(&mut self, address: Address) {
        tun::drain(self.start.device.as_fd());
        let start = match self.start.for_address(address) {
            Ok(start) => start,
            Err(error) => return self.not_started(&error),
        };
        if let Err(error) = self.be_found() {
            return self.not_started(&io::Error::other(error));
        }
        let (listener, stop) = (Arc::clone(&self.listener), self.stop.clone());
        let stops = self.stops.clone();
        let started = async move { Process::start(start, &stops, &listener, &stop).await };
        self.starting = Some(tokio::spawn(started));
    }

    /// Has the process find its socket and directory, also where somebody took them away.
    fn be_found(&mut self) -> Result<(), OpenvpnError> {
        if !self.place.restore(self.start.uid)? {
            self.listener = Arc::new(self.place.listen(self.start.uid)?);
        }
        Ok(())
    }

    fn started(&mut self, started: io::Result<Box<Process>>) {
        self.starting = None;
        match started {
            Ok(process) => {
                debug!(pid = process.pid(), uid = self.start.uid, "openvpn runs");
                if let Err(error) = self.place.note_process(process.pid()) {
                    warn!(%error, "openvpn would not be found after a crash");
                }
                self.process = Some(process);
                self.machine.handle(Input::Started, Instant::now());
            }
            Err(error) => self.not_started(&error),
        }
    }

    fn not_started(&mut self, error: &io::Error) {
        let detail = format!("start openvpn: {}", chain(error));
        let reason = Reason { code: Code::OpenvpnFailed, detail };
        self.machine.handle(Input::NotStarted(reason), Instant::now());
    }

    fn found(&mut self, found: Result<Result<Vec<Address>, Reason>, JoinError>) {
        self.looking = None;
        let broken = |_| Reason {
            code: Code::Internal,
            detail: "looking up the gateway's name broke off".to_owned(),
        };
        let input = match found.map_err(broken).flatten() {
            Ok(addresses) => Input::Resolved(addresses),
            Err(reason) => Input::Unresolved(reason),
        };
        self.machine.handle(input, Instant::now());
    }

    fn heard(&mut self, message: Message) {
        if let Message::ByteCount { received, sent } = &message {
            let Traffic { received: before, sent: sent_before } = self.former;
            self.counters.set(Traffic { received: before + received, sent: sent_before + sent });
        }
        // A command's line repeats the name of a user.
        if let Message::Log(entry) = &message
            && !entry.text.starts_with("MANAGEMENT: ")
        {
            debug!(flags = entry.flags, "openvpn: {}", entry.text);
        }
        self.machine.handle(Input::Said(message), Instant::now());
    }

    fn ended(&mut self, by_itself: bool) {
        let words = self.process.take().map(|process| process.words()).unwrap_or_default();
        self.kill_at = None;
        self.former = self.counters.read();
        self.machine.handle(Input::Ended { words, by_itself }, Instant::now());
    }

    fn kill(&mut self) {
        self.kill_at = None;
        if let Some(process) = &self.process {
            info!(pid = process.pid(), "openvpn does not end and is killed");
            process.signal(Signal::KILL);
        }
    }

    fn tell(&mut self, news: News) {
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
        }
        self.news.push_back(news);
    }
}

impl Starter {
    fn for_address(&self, address: Address) -> io::Result<Start> {
        Ok(Start {
            binary: self.binary.clone(),
            config: self.config.clone(),
            supervision: self.supervision.clone(),
            address,
            uid: self.uid,
            device: self.device.try_clone()?,
        })
    }
}

fn supervision(
    place: &Place,
    device_name: &str,
    login: Option<&Login>,
) -> Result<Supervision, OpenvpnError> {
    let (socket, tmp) = (place.socket_path(), place.tmp_dir());
    let (socket, tmp) = (socket.to_string_lossy(), tmp.to_string_lossy());
    let supervision = Supervision::new(&socket, device_name, &tmp)?;
    // openvpn's management interface does not take a longer one.
    match login.filter(|login| !login.is_answer()) {
        Some(login) => Ok(supervision.with_login(login)?),
        None => Ok(supervision),
    }
}

async fn of_process(process: &mut Option<Box<Process>>) -> Event {
    match process {
        Some(process) => process.next().await,
        None => std::future::pending().await,
    }
}

async fn of_task<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}
