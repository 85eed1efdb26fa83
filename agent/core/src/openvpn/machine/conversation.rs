//! What openvpn says, and what follows from it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::attempt::{Attempt, shortened};
use super::{Action, Machine, News, Phase};
use crate::api::{Code, Reason};
use crate::openvpn::management::{
    Command, Environment, InfoMessage, Message, Rejection, RemoteAnswer, Signal, State, StateName,
};
use crate::openvpn::pushed::Pushed;
use crate::openvpn::supervision::Address;

/// How long a server counts a session that went silent, where it does not say: openvpn's
/// `keepalive 10 60` makes it twice 60 s.
const SILENCE_S: u32 = 60;
/// More than that is not believed, in seconds.
const SILENCE_MOST_S: u32 = 150;

impl Machine {
    pub(super) fn said(&mut self, message: Message, now: Instant) {
        if self.phase == Phase::Over {
            return self.take_last_words(&message);
        }
        match message {
            Message::Hold { .. } => self.holds(now),
            Message::Need(need) => {
                let answer = self.answers.answer(&need);
                self.send_or_refuse(answer);
            }
            Message::Rejected { kind, why } => self.rejected(&kind, why),
            Message::AuthToken(token) => self.answers.take_token(token),
            Message::State(state) => self.state(&state, now),
            Message::Log(entry) => self.log(&entry.text, now),
            Message::Fatal(text) => self.note(|attempt| attempt.take_fatal(&text)),
            Message::Notify { text, .. } => self.note(|attempt| attempt.take_notice(&text)),
            Message::Up(environment) => self.up(&environment),
            Message::Down(_) => self.pushed = None,
            Message::RemoteQuery { .. } => self.send(Command::Remote(RemoteAnswer::Accept)),
            Message::InfoMessage(message) => self.info(message),
            Message::ProxyQuery
            | Message::SignQuery
            | Message::CertificateQuery
            | Message::NeedOk { .. }
            | Message::NeedText { .. }
            | Message::PasswordPrompt => {
                let detail = "openvpn asks for something that the gateway's config does not hold";
                self.refuse(because(Code::ConfigInvalid, detail));
            }
            Message::Info(_)
            | Message::ByteCount { .. }
            | Message::Echo(_)
            | Message::Success(_)
            | Message::Error(_)
            | Message::End
            | Message::Text(_)
            | Message::Unknown { .. }
            | Message::Malformed { .. }
            | Message::TooLong => {}
        }
    }

    fn send_or_refuse(&mut self, answer: Result<Vec<Command>, Reason>) {
        match answer {
            Ok(commands) => commands.into_iter().for_each(|command| self.send(command)),
            Err(reason) => self.refuse(reason),
        }
    }

    fn holds(&mut self, now: Instant) {
        let Some(process) = &mut self.process else { return };
        process.held = true;
        match self.phase {
            Phase::Starting if self.next.is_none() => self.release(now),
            Phase::Trying if self.attempt.as_ref().is_some_and(Attempt::is_to_be_repeated) => {
                self.release(now);
            }
            Phase::Trying => self.failed(self.why(), now),
            Phase::Lost => self.go_on(now),
            Phase::Connected(since) => self.lost(self.why(), since, now),
            Phase::Starting | Phase::Resolving | Phase::Waiting | Phase::Over => {}
        }
    }

    fn state(&mut self, state: &State, now: Instant) {
        self.note(|attempt| attempt.take_state(&state.name, &state.detail));
        match state.name {
            StateName::Connected if self.may_connect() => self.connected(state, now),
            StateName::Reconnecting | StateName::Exiting => self.broke_off(&state.detail, now),
            // It is heard, and has all the time that a try may take.
            StateName::Auth if self.phase == Phase::Trying => {
                self.limit = Some(now + super::ATTEMPT);
            }
            StateName::Connected
            | StateName::Auth
            | StateName::Connecting
            | StateName::Resolve
            | StateName::TcpConnect
            | StateName::Wait
            | StateName::AuthPending
            | StateName::GetConfig
            | StateName::AssignIp
            | StateName::AddRoutes
            | StateName::Other(_) => {}
        }
    }

    fn up(&mut self, environment: &Environment) {
        let Some(attempt) = &self.attempt else { return };
        match Pushed::read(environment, &attempt.reply, &self.terms) {
            Ok(pushed) => self.pushed = Some(pushed),
            Err(why) => self.refuse(because(Code::PushRefused, &why.to_string())),
        }
    }

    /// A process that was told to end may connect before it hears so.
    fn may_connect(&self) -> bool {
        matches!(self.phase, Phase::Trying | Phase::Connected(_))
    }

    fn connected(&mut self, state: &State, now: Instant) {
        let (Some(pushed), Some(attempt)) = (self.pushed.clone(), &self.attempt) else {
            let detail = "openvpn says that it is connected, and no address";
            return self.refuse(because(Code::OpenvpnFailed, detail));
        };
        let Address { ip, port, .. } = attempt.address();
        let (ip, port) = (state.remote.unwrap_or(ip), state.remote_port.unwrap_or(port.get()));
        let silence_s = attempt.reply.ping_restart_s.unwrap_or(SILENCE_S).min(SILENCE_MOST_S);
        self.counted = Some(Duration::from_secs(2 * u64::from(silence_s)));
        self.ever_connected = true;
        self.phase = Phase::Connected(now);
        (self.limit, self.trouble) = (None, None);
        let endpoint = SocketAddr::new(ip, port);
        self.push(Action::Tell(News::Connected { endpoint, pushed }));
    }

    /// The connection, or the try, is over; openvpn's hold or its end comes next.
    fn broke_off(&mut self, detail: &str, now: Instant) {
        if self.attempt.as_ref().is_some_and(Attempt::is_server_told) {
            self.counted = None;
        }
        self.hear_rejection(detail);
        if let Phase::Connected(since) = self.phase {
            self.lost(self.why(), since, now);
        }
    }

    /// What a server has said about the password counts when the try is over, however it ends.
    pub(super) fn hear_rejection(&mut self, detail: &str) {
        if self.phase == Phase::Over {
            return;
        }
        if let Some(why) = self.attempt.as_mut().and_then(Attempt::take_rejection) {
            self.not_taken(why, detail);
        }
    }

    fn rejected(&mut self, kind: &str, why: Option<Rejection>) {
        if kind == "Auth" {
            let why = why.unwrap_or_else(|| Rejection::Text("it does not say why".to_owned()));
            return self.note(|attempt| attempt.take_rejected(why));
        }
        self.refuse(because(Code::ConfigInvalid, "the private key's password is wrong"));
    }

    /// The server does not take what it was sent in place of a password.
    fn not_taken(&mut self, why: Rejection, detail: &str) {
        if self.answers.drop_token(detail.contains("auth-token")) {
            return self.note(Attempt::repeat);
        }
        match why {
            Rejection::Challenge(question) => match self.answers.take_question(question) {
                Ok(()) => self.note(Attempt::repeat),
                Err(reason) => self.refuse(reason),
            },
            // It may be taken later: a failure as any other.
            Rejection::Temporary(text) => self.note(|attempt| attempt.take_denial(&text)),
            Rejection::Text(text) => {
                let words = shortened(&text);
                let detail = format!("the server does not take the name and password: {words}");
                self.refuse(because(Code::AuthFailed, &detail));
            }
        }
    }

    fn info(&mut self, message: InfoMessage) {
        match message {
            InfoMessage::Challenge { answer_expected: true, text, .. } => {
                let answer = self.answers.answer_now(&text).map(|command| vec![command]);
                self.send_or_refuse(answer);
            }
            InfoMessage::Challenge { text, .. } => {
                let detail = format!("the server waits for a person: {}", shortened(&text));
                self.refuse(because(Code::ChallengeRequired, &detail));
            }
            InfoMessage::Page(_) => {
                let detail = "the server waits for a person to open a web page";
                self.refuse(because(Code::ChallengeRequired, detail));
            }
            InfoMessage::Other(_) => {}
        }
    }

    fn log(&mut self, text: &str, now: Instant) {
        // openvpn would say so for ever, as fast as it can.
        if text.starts_with("read from TUN/TAP") && text.contains("bad state") {
            self.push(Action::Tell(News::DeviceGone));
            return self.stop();
        }
        if let Some(message) =
            text.strip_prefix("WARNING: Received control with invalid characters: ")
        {
            return self.dropped(&readable(message), now);
        }
        let mut nobody_there = false;
        self.note(|attempt| nobody_there = attempt.take_log(text, now));
        match self.phase {
            Phase::Trying if nobody_there => self.failed(self.why(), now),
            // Else it would wait for as long as the server said that it may be silent.
            Phase::Connected(_) if nobody_there => self.send(Command::Signal(Signal::Usr1)),
            Phase::Trying
            | Phase::Connected(_)
            | Phase::Resolving
            | Phase::Starting
            | Phase::Lost
            | Phase::Waiting
            | Phase::Over => {}
        }
    }

    /// The server has sent a message that openvpn drops, and goes on waiting for it.
    fn dropped(&mut self, message: &str, now: Instant) {
        if self.phase != Phase::Trying {
            return;
        }
        if let Some(words) = message.strip_prefix("AUTH_FAILED") {
            let words = shortened(words.trim_start_matches(','));
            let detail = format!("the server does not take the name and password: {words}");
            return self.refuse(because(Code::AuthFailed, &detail));
        }
        if let Some(options) = message.strip_prefix("PUSH_REPLY,") {
            // Only its name: what an option says may be a secret.
            let option = options.split(',').find(|option| option.contains('\\'));
            let name = option.and_then(|option| option.split(' ').next()).unwrap_or("an option");
            let why = format!("{} has control characters", shortened(name));
            self.note(|attempt| attempt.take_dropped(why));
            self.failed(self.why(), now);
        }
    }

    fn note(&mut self, take: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = &mut self.attempt {
            take(attempt);
            if attempt.is_known() {
                self.answers.were_heard();
            }
        }
    }

    /// Of an ending process, only whether the server was told counts.
    fn take_last_words(&mut self, message: &Message) {
        if let Message::State(state) = message {
            self.note(|attempt| attempt.take_state(&state.name, &state.detail));
            if self.attempt.as_ref().is_some_and(Attempt::is_server_told) {
                self.counted = None;
            }
        }
    }
}

/// The text that openvpn's log has in hexadecimal, with its control characters escaped.
fn readable(hexadecimal: &str) -> String {
    let digits: Vec<u8> = hexadecimal
        .chars()
        .filter(|c| *c != ' ')
        .map_while(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    String::from_utf8_lossy(&bytes).escape_debug().to_string()
}

fn because(code: Code, detail: &str) -> Reason {
    Reason { code, detail: detail.to_owned() }
}
