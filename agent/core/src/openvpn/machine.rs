//! What happens next to an OpenVPN tunnel: which server is tried when, and what openvpn is told.
//!
//! [`Machine`] does no IO. Its supervisor hands in what happened with [`Machine::handle`] and wakes
//! it with [`Machine::handle_timeout`]; after either it carries out [`Machine::poll_action`] until
//! that is empty, in order.
//!
//! One process at a time is given one address. openvpn stops at its hold before each connect, so
//! that nothing is tried that was not decided here. A name and password that a server has refused
//! are never sent again.

mod answers;
mod attempt;
mod conversation;
mod exchange;
mod round;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::answers::Answers;
use self::attempt::Attempt;
pub use self::exchange::{Action, Farewell, Input, News, Setup};
use self::round::Round;
use super::config::OpenvpnConfig;
use super::management::Command;
use super::pushed::{Pushed, Terms};
use super::supervision::Address;
use crate::api::{Code, Reason};
use crate::backoff::Backoff;

/// The first wait after a round in which no server could be connected to.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest one.
const RETRY_MOST: Duration = Duration::from_secs(30);
/// A connection that held less long is not tried again at once.
const STABLE: Duration = Duration::from_secs(5);
/// How long a process that was started has until it asks to go on.
const GREETING: Duration = Duration::from_secs(5);
/// How long one try to connect may take.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Silence after which it is told that a server does not answer.
const TROUBLE: Duration = Duration::from_secs(3);
/// Silence after which the next server is tried, if there is one.
const NEXT: Duration = Duration::from_secs(4);
/// Seconds between two counts of bytes.
const COUNT_S: u32 = 5;
/// How long a process that is connected may say nothing before it is asked for a word, and how long
/// it has for that: counts of bytes alone come more often.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Names are being looked up.
    Resolving,
    /// On the way to a process that waits at its first hold.
    Starting,
    /// openvpn connects.
    Trying,
    /// Since then.
    Connected(Instant),
    /// The connection has broken off; openvpn is on its way to its hold or its end.
    Lost,
    /// Nothing is tried for a while.
    Waiting,
    /// Nothing more is tried.
    Over,
}

/// One tunnel's decisions.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    terms: Terms,
    answers: Answers,
    /// What is known to be wrong with the config's certificates.
    flaws: Option<String>,
    shuffle: Option<u64>,
    round: Round,
    /// The most telling failure of the round, and whether it was a certificate's.
    failure: Option<Failure>,
    ever_connected: bool,
    process: Option<Process>,
    /// To be started once the process has ended.
    next: Option<Address>,
    attempt: Option<Attempt>,
    /// What the process's device is to have.
    pushed: Option<Pushed>,
    /// The process has been asked to end while it was connected.
    taking_leave: bool,
    /// A server counts a session of ours, and for so long if it goes silent.
    counted: Option<Duration>,
    /// When the present step has taken too long.
    limit: Option<Instant>,
    /// When it is told that a server does not answer.
    trouble: Option<Instant>,
    /// When the next round begins.
    wake: Option<Instant>,
    /// When a process that is connected has said nothing for too long.
    quiet: Option<Quiet>,
    backoff: Backoff,
    actions: VecDeque<Action>,
}

/// The process, as it was last heard.
#[derive(Debug)]
struct Process {
    /// The only one that it knows.
    address: Address,
    /// It waits for a release.
    held: bool,
    /// It has been told to end.
    ending: bool,
}

#[derive(Debug, Clone, Copy)]
struct Quiet {
    at: Instant,
    /// It has been asked for a word.
    asked: bool,
}

#[derive(Debug)]
struct Failure {
    certificate: bool,
    reason: Reason,
}

impl Machine {
    /// A tunnel to a gateway. It begins with looking the gateway up, unless something is missing
    /// that the server will ask for.
    pub fn new(config: &OpenvpnConfig, setup: Setup) -> Self {
        let answers = Answers::new(setup.login, setup.challenge);
        let missing = answers.suffice(config).err();
        let mut machine = Self {
            phase: Phase::Resolving,
            terms: Terms { split: setup.split, hints: config.dns.clone() },
            answers,
            flaws: setup.flaws,
            shuffle: config.random_order().then_some(setup.seed),
            round: Round::default(),
            failure: None,
            ever_connected: false,
            process: None,
            next: None,
            attempt: None,
            pushed: None,
            taking_leave: false,
            counted: None,
            limit: None,
            trouble: None,
            wake: None,
            quiet: None,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST, setup.seed),
            actions: VecDeque::new(),
        };
        match missing {
            Some(reason) => machine.refuse(reason),
            None => machine.push(Action::Resolve),
        }
        machine
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Machine::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let quiet = self.quiet.map(|quiet| quiet.at);
        [self.limit, self.trouble, self.wake, quiet].into_iter().flatten().min()
    }

    /// Whether nothing more is tried, and no process is left.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over && self.process.is_none() && self.actions.is_empty()
    }

    /// Whether a server still counts a session of ours.
    pub fn farewell(&self) -> Farewell {
        self.counted.map_or(Farewell::Told, |cool_for| Farewell::NotTold { cool_for })
    }

    /// Nothing more is to be tried; a process ends.
    pub fn stop(&mut self) {
        self.taking_leave |= matches!(self.phase, Phase::Connected(_));
        self.phase = Phase::Over;
        (self.limit, self.trouble, self.wake, self.next) = (None, None, None, None);
        self.end();
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Resolved(addresses) => self.resolved(addresses, now),
            Input::Unresolved(reason) => self.unresolved(reason, now),
            Input::Started => self.started(now),
            Input::NotStarted(reason) => self.failed(reason, now),
            Input::Said(message) => self.said(message, now),
            Input::Ended { words, by_itself } => self.ended(&words, by_itself, now),
        }
        // Whatever it says, it goes on.
        let connected = matches!(self.phase, Phase::Connected(_));
        self.quiet = connected.then(|| Quiet { at: now + QUIET, asked: false });
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if let Some(quiet) = self.quiet.take_if(|quiet| quiet.at <= now) {
            self.went_quiet(quiet, now);
        }
        if due(&mut self.wake) {
            self.phase = Phase::Resolving;
            self.push(Action::Resolve);
        }
        if due(&mut self.trouble) {
            self.push(Action::Tell(News::Trouble(self.why())));
            if self.round.goes_on() && self.attempt.as_ref().is_some_and(Attempt::is_silent) {
                self.limit = Some(now + NEXT.saturating_sub(TROUBLE));
            }
        }
        if due(&mut self.limit) {
            self.failed(self.why(), now);
        }
    }

    /// A process that is connected has said nothing for a while, or not even when it was asked.
    fn went_quiet(&mut self, quiet: Quiet, now: Instant) {
        let Phase::Connected(since) = self.phase else { return };
        if quiet.asked {
            self.end();
            self.lost(broken("openvpn hangs"), since, now);
        } else {
            self.send(Command::ByteCount { interval_s: COUNT_S });
            self.quiet = Some(Quiet { at: now + QUIET, asked: true });
        }
    }

    fn resolved(&mut self, addresses: Vec<Address>, now: Instant) {
        if self.phase == Phase::Resolving {
            self.round = Round::new(addresses, self.shuffle);
            self.go_on(now);
        }
    }

    fn unresolved(&mut self, reason: Reason, now: Instant) {
        if self.phase == Phase::Resolving {
            self.push(Action::Tell(News::Down(reason)));
            self.wait(now);
        }
    }

    /// To the next server of the round.
    fn go_on(&mut self, now: Instant) {
        self.phase = Phase::Starting;
        (self.limit, self.trouble) = (None, None);
        let Some(address) = self.round.next() else { return self.wait(now) };
        match &self.process {
            None => self.start(address),
            Some(process) if process.held && !process.ending && process.address == address => {
                self.release(now);
            }
            Some(_) => {
                self.next = Some(address);
                self.end();
            }
        }
    }

    fn start(&mut self, address: Address) {
        self.attempt = Some(Attempt::new(address));
        self.push(Action::Start(address));
    }

    fn started(&mut self, now: Instant) {
        let Some(attempt) = &self.attempt else { return };
        let address = attempt.address();
        self.process = Some(Process { address, held: false, ending: false });
        if self.phase == Phase::Over {
            return self.end();
        }
        self.limit = Some(now + GREETING);
        self.send(Command::FollowState);
        self.send(Command::FollowLog);
        self.send(Command::ByteCount { interval_s: COUNT_S });
    }

    fn release(&mut self, now: Instant) {
        let Some(process) = &mut self.process else { return };
        process.held = false;
        self.attempt = Some(Attempt::new(process.address));
        self.phase = Phase::Trying;
        self.limit = Some(now + ATTEMPT);
        self.trouble = Some(now + TROUBLE);
        self.send(Command::HoldRelease);
    }

    /// A try has failed. A process that does not wait at its hold would go on by itself.
    fn failed(&mut self, reason: Reason, now: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        (self.limit, self.trouble) = (None, None);
        if self.process.as_ref().is_some_and(|process| !process.held) {
            self.end();
        }
        let flaws = self.flaws.as_deref();
        let certificate =
            self.attempt.as_ref().is_some_and(|attempt| attempt.is_certificate_wrong(flaws));
        if certificate || self.failure.as_ref().is_none_or(|failure| !failure.certificate) {
            self.failure = Some(Failure { certificate, reason: reason.clone() });
        }
        if self.round.goes_on() {
            self.push(Action::Tell(News::Trouble(reason)));
            return self.go_on(now);
        }
        let Some(Failure { certificate, reason }) = self.failure.take() else { return };
        if certificate && !self.ever_connected {
            return self.refuse(reason);
        }
        self.push(Action::Tell(News::Down(reason)));
        self.wait(now);
    }

    /// A connection has broken off. Its server is tried first, and at once if it held for a while.
    fn lost(&mut self, reason: Reason, since: Instant, now: Instant) {
        self.push(Action::Tell(News::Down(reason)));
        self.failure = None;
        self.round.again_from_here();
        if now.duration_since(since) >= STABLE {
            self.backoff.reset();
            self.phase = Phase::Lost;
            self.limit = Some(now + GREETING);
        } else {
            self.wait(now);
        }
    }

    fn ended(&mut self, words: &str, by_itself: bool, now: Instant) {
        (self.process, self.pushed) = (None, None);
        // It told the server before it ended, even if it could not tell us any more.
        if by_itself && self.taking_leave {
            self.counted = None;
        }
        self.hear_rejection(words);
        match self.phase {
            Phase::Over | Phase::Waiting | Phase::Resolving => {}
            Phase::Starting => match self.next.take() {
                Some(address) => self.start(address),
                None => self.failed(self.died(words), now),
            },
            Phase::Trying => self.failed(self.died(words), now),
            Phase::Connected(since) => {
                self.lost(self.died(words), since, now);
                if self.phase == Phase::Lost {
                    self.go_on(now);
                }
            }
            Phase::Lost => self.go_on(now),
        }
    }

    fn wait(&mut self, now: Instant) {
        self.phase = Phase::Waiting;
        (self.limit, self.trouble) = (None, None);
        self.wake = Some(now + self.backoff.next_wait());
    }

    fn refuse(&mut self, reason: Reason) {
        self.push(Action::Tell(News::Refused(reason)));
        self.stop();
    }

    fn end(&mut self) {
        if let Some(process) = self.process.as_mut().filter(|process| !process.ending) {
            process.ending = true;
            self.push(Action::End);
        }
    }

    /// Why there is no connection, as far as can be told.
    fn why(&self) -> Reason {
        match (&self.attempt, self.phase) {
            (Some(attempt), Phase::Trying | Phase::Connected(_) | Phase::Lost) => {
                attempt.why(self.flaws.as_deref())
            }
            (_, _) => broken("openvpn does not get ready"),
        }
    }

    /// Why the process has ended.
    fn died(&self, words: &str) -> Reason {
        let flaws = self.flaws.as_deref();
        match &self.attempt {
            Some(attempt) if attempt.said_why() || attempt.is_certificate_wrong(flaws) => {
                attempt.why(flaws)
            }
            _ if words.is_empty() => broken("openvpn ended by itself"),
            _ => broken(&format!("openvpn ended by itself: {}", attempt::shortened(words))),
        }
    }

    fn send(&mut self, command: Command) {
        self.push(Action::Send(command));
    }

    fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

fn broken(detail: &str) -> Reason {
    Reason { code: Code::OpenvpnFailed, detail: detail.to_owned() }
}
