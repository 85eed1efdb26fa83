//! What is decided about a tunnel, in recorded dialogues and invented time.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use egress_core::api::{Code, Reason};
use egress_core::openvpn::machine::{Action, Farewell, Input, Machine, News, Setup};
use egress_core::openvpn::management::{Command, Message, Parser, Signal};
use egress_core::openvpn::{Address, Login, Protocol, Transport};
use egress_core::secret::Secret;

use crate::dialogues::messages;
use crate::profiles::parsed;

pub const PROFILE: &str = "client\ndev tun\nauth-user-pass\nremote-cert-tls server\n\
                       remote 203.0.113.1\nremote 203.0.113.2\n";

/// A machine, its time, and what it has wanted.
struct Tunnel {
    machine: Machine,
    now: Instant,
    sent: Vec<Command>,
    told: Vec<News>,
    /// The processes that it has started.
    started: Vec<Address>,
    looked_up: usize,
    ended: usize,
}

impl Tunnel {
    fn of(profile: &str, password: Option<&str>, challenge: Option<&str>) -> Self {
        Self::with_flaws(profile, password, challenge, None)
    }

    /// One of whose certificates something is known.
    fn flawed(flaws: &str) -> Self {
        let mut tunnel = Self::with_flaws(PROFILE, Some("pass"), None, Some(flaws));
        tunnel.begin(1);
        tunnel
    }

    fn with_flaws(
        profile: &str,
        password: Option<&str>,
        challenge: Option<&str>,
        flaws: Option<&str>,
    ) -> Self {
        let flaws = flaws.map(str::to_owned);
        let secret = |text: &str| Secret::new(text.to_owned());
        let login = password
            .map(|password| Login { username: "alice".to_owned(), password: secret(password) });
        let setup = Setup { login, challenge: challenge.map(secret), split: false, flaws, seed: 7 };
        let mut tunnel = Self {
            machine: Machine::new(&with_ca(profile), setup),
            now: start(),
            sent: Vec::new(),
            told: Vec::new(),
            started: Vec::new(),
            looked_up: 0,
            ended: 0,
        };
        tunnel.settle();
        tunnel
    }

    fn new() -> Self {
        Self::of(PROFILE, Some("pass"), None)
    }

    /// One whose first process greets, to as many addresses.
    fn begun(addresses: u8) -> Self {
        let mut tunnel = Self::new();
        tunnel.begin(addresses);
        tunnel
    }

    fn begin(&mut self, addresses: u8) {
        self.hear(Input::Resolved((1..=addresses).map(address).collect()));
        self.hear(Input::Started);
    }

    fn hear(&mut self, input: Input) {
        self.machine.handle(input, self.now);
        self.settle();
    }

    fn say(&mut self, lines: &str) {
        for message in Parser::new().feed(lines.as_bytes()) {
            self.hear(Input::Said(message));
        }
    }

    /// Hears a recorded dialogue up to where it stops being of this process.
    fn replay(&mut self, name: &str) {
        for message in messages(name) {
            self.hear(Input::Said(message));
            if self.machine.is_over() || !self.told.is_empty() {
                return;
            }
        }
    }

    fn end(&mut self, words: &str) {
        self.hear(Input::Ended { words: words.to_owned(), by_itself: true });
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.machine.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// Time passes over a connection, and its bytes are counted.
    fn live(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.pass(Duration::from_secs(5).min(until - self.now));
            self.say(">BYTECOUNT:1,1\r\n");
        }
    }

    fn settle(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Resolve => self.looked_up += 1,
                Action::Start(address) => self.started.push(address),
                Action::Send(command) => self.sent.push(command),
                Action::End => self.ended += 1,
                Action::Tell(news) => self.told.push(news),
            }
        }
    }

    fn connect(&mut self) {
        self.say(HOLD);
        self.say(&connected());
        assert!(matches!(self.told.pop(), Some(News::Connected { .. })), "{:?}", self.told);
    }

    fn releases(&self) -> usize {
        self.sent.iter().filter(|command| **command == Command::HoldRelease).count()
    }

    fn passwords(&self) -> Vec<&str> {
        let passwords = self.sent.iter().filter_map(|command| match command {
            Command::Password { value, .. } => Some(value.expose().as_str()),
            _ => None,
        });
        passwords.collect()
    }

    fn refused(&self) -> &Reason {
        match self.told.last() {
            Some(News::Refused(reason)) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn down(&self) -> &Reason {
        match self.told.last() {
            Some(News::Down(reason)) => reason,
            other => panic!("not down: {other:?}"),
        }
    }
}

const HOLD: &str = ">HOLD:Waiting for hold release:0\r\n";
const NEED: &str = ">PASSWORD:Need 'Auth' username/password\r\n";

fn connected() -> String {
    ">LOG:1,,PUSH: Received control message: 'PUSH_REPLY,ping-restart 20'\r\n\
     >UPDOWN:UP\r\n>UPDOWN:ENV,ifconfig_local=10.8.0.2\r\n>UPDOWN:ENV,END\r\n\
     >STATE:1,CONNECTED,SUCCESS,10.8.0.2,203.0.113.1,1194,,\r\n"
        .to_owned()
}

pub fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "tests need one instant to count from")]
    Instant::now()
}

pub fn with_ca(profile: &str) -> egress_core::openvpn::OpenvpnConfig {
    parsed(&format!("{profile}<ca>\n{}</ca>\n", include_str!("pki/ca.crt")))
}

pub fn address(last: u8) -> Address {
    let transport = Transport { protocol: Protocol::Udp, family: None };
    let ip = IpAddr::V4(Ipv4Addr::new(203, 0, 113, last));
    Address { ip, port: NonZeroU16::new(1194).unwrap(), transport }
}

#[test]
fn a_recorded_success_is_connected_with_what_the_server_gave() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.replay("01-success");
    let Some(News::Connected { endpoint, pushed }) = tunnel.told.last() else {
        panic!("{:?}", tunnel.told)
    };
    assert_eq!(endpoint.to_string(), "10.77.0.2:1194");
    assert_eq!(pushed.addresses.len(), 2);
    assert_eq!(tunnel.passwords(), ["pass"]);
    // What it says first is that it wants to be told everything.
    assert_eq!(tunnel.sent[0], Command::FollowState);
    assert_eq!(tunnel.releases(), 1);
}

#[test]
fn a_refused_password_is_never_sent_again() {
    for dialogue in ["02-wrong", "03-wrong", "04-wrong", "20-auth"] {
        let mut tunnel = Tunnel::begun(2);
        tunnel.replay(dialogue);
        assert_eq!(tunnel.refused().code, Code::AuthFailed, "{dialogue}");
        assert_eq!((tunnel.passwords().len(), tunnel.ended), (1, 1), "{dialogue}");
        tunnel.say(HOLD);
        tunnel.say(NEED);
        tunnel.end("");
        tunnel.pass(Duration::from_hours(1));
        assert_eq!((tunnel.passwords().len(), tunnel.started.len()), (1, 1), "{dialogue}");
        assert!(tunnel.machine.is_over());
    }
    let mut tunnel = Tunnel::begun(1);
    tunnel.replay("20-auth");
    assert!(tunnel.refused().detail.contains("Account suspended"), "{:?}", tunnel.refused());
}

#[test]
fn a_password_whose_openvpn_died_after_the_refusal_is_not_sent_again_either() {
    let mut tunnel = Tunnel::begun(2);
    tunnel.say(&format!("{HOLD}{NEED}>PASSWORD:Verification Failed: 'Auth'\r\n"));
    tunnel.hear(Input::Ended { words: String::new(), by_itself: false });
    assert_eq!(tunnel.refused().code, Code::AuthFailed);
    assert_eq!(tunnel.passwords(), ["pass"]);
    assert_eq!(tunnel.started, [address(1)]);
    assert!(tunnel.machine.is_over());
}

#[test]
fn a_providers_words_are_bounded_and_clean() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.say(HOLD);
    let words = format!("\u{1b}[31m{}", "x".repeat(5000));
    tunnel.say(&format!(">PASSWORD:Verification Failed: 'Auth' ['{words}']\r\n"));
    tunnel.say(">STATE:1,RECONNECTING,auth-failure,,,,,\r\n");
    let detail = &tunnel.refused().detail;
    assert!(detail.chars().count() < 300 && !detail.contains('\u{1b}'), "{detail}");
}

#[test]
fn a_wrong_certificate_is_told_with_its_cause_and_not_tried_again() {
    for (dialogue, cause) in [
        ("12-tls-wrong-ca", "self-signed certificate in certificate chain"),
        ("14-server-cert-expired", "certificate has expired"),
        ("16-tls-wrong-server-name", "X509NAME"),
    ] {
        let mut tunnel = Tunnel::begun(1);
        tunnel.replay(dialogue);
        assert_eq!(tunnel.refused().code, Code::TlsFailed, "{dialogue}");
        assert!(tunnel.refused().detail.contains(cause), "{:?}", tunnel.refused());
    }
}

#[test]
fn a_wrong_certificate_of_one_server_leaves_the_others() {
    let mut tunnel = Tunnel::begun(2);
    tunnel.replay("14-server-cert-expired");
    assert!(matches!(&tunnel.told[..], [News::Trouble(reason)] if reason.code == Code::TlsFailed));
    tunnel.told.clear();
    // openvpn waits at its hold, and knows only the first one.
    tunnel.end("");
    assert_eq!(tunnel.started, [address(1), address(2)]);
    tunnel.hear(Input::Started);
    tunnel.connect();
}

#[test]
fn a_server_where_nobody_listens_is_given_up_at_the_second_refusal() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.replay("05-unreachable-port-closed-udp");
    assert_eq!(tunnel.down().code, Code::EndpointUnreachable);
    assert!(tunnel.down().detail.contains("takes no connection"), "{:?}", tunnel.down());
    let mut tunnel = Tunnel::begun(1);
    tunnel.replay("46-tcp-connection-refused");
    assert_eq!(tunnel.down().code, Code::EndpointUnreachable);
}

#[test]
fn silence_is_told_after_three_seconds_and_leads_to_the_next_server() {
    let mut tunnel = Tunnel::begun(2);
    tunnel.say(HOLD);
    tunnel.say(">STATE:1,WAIT,,,,,,\r\n");
    tunnel.pass(Duration::from_millis(2_900));
    assert_eq!(tunnel.told, []);
    tunnel.pass(Duration::from_millis(200));
    assert!(
        matches!(&tunnel.told[..], [News::Trouble(reason)] if reason.code == Code::EndpointUnreachable)
    );
    tunnel.pass(Duration::from_secs(1));
    assert_eq!(tunnel.ended, 1);
    tunnel.end("");
    assert_eq!(tunnel.started, [address(1), address(2)]);
    // The last one of a round has openvpn's own time.
    tunnel.hear(Input::Started);
    tunnel.say(HOLD);
    tunnel.told.clear();
    tunnel.pass(Duration::from_secs(8));
    assert_eq!(tunnel.told.len(), 1);
    tunnel.say(">STATE:1,RECONNECTING,server_poll,,,,,\r\n>HOLD:Waiting for hold release:0\r\n");
    assert_eq!(tunnel.down().code, Code::EndpointUnreachable);
    assert_eq!(tunnel.looked_up, 1);
    tunnel.pass(Duration::from_secs(1));
    assert_eq!(tunnel.looked_up, 2);
}

#[test]
fn a_process_that_was_told_to_end_is_not_connected_any_more() {
    let mut tunnel = Tunnel::begun(2);
    tunnel.say(HOLD);
    tunnel.pass(Duration::from_secs(4));
    assert_eq!(tunnel.ended, 1);
    tunnel.told.clear();
    tunnel.say(&connected());
    assert_eq!(tunnel.told, []);
    tunnel.end("");
    assert_eq!(tunnel.started, [address(1), address(2)]);
    tunnel.hear(Input::Started);
    tunnel.connect();
}

#[test]
fn a_server_that_has_begun_to_answer_is_not_cut_off() {
    let mut tunnel = Tunnel::begun(2);
    tunnel.say(HOLD);
    tunnel.pass(Duration::from_millis(3_500));
    tunnel.say(">STATE:1,AUTH,,,,,,\r\n");
    tunnel.pass(Duration::from_secs(20));
    assert_eq!(tunnel.ended, 0);
}

#[test]
fn rounds_wait_longer_and_longer_but_never_more_than_half_a_minute() {
    let mut tunnel = Tunnel::new();
    let reason = Reason { code: Code::EndpointUnresolved, detail: "no such name".to_owned() };
    let mut waits = Vec::new();
    for _ in 0..12 {
        tunnel.hear(Input::Unresolved(reason.clone()));
        assert_eq!(tunnel.down(), &reason);
        let looked_up = tunnel.looked_up;
        let due = tunnel.machine.poll_timeout().unwrap();
        waits.push(due - tunnel.now);
        tunnel.pass(due - tunnel.now);
        assert_eq!(tunnel.looked_up, looked_up + 1);
    }
    assert!(waits[0] <= Duration::from_millis(500) && waits[11] >= Duration::from_secs(15));
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(30)), "{waits:?}");
}

#[test]
fn a_lost_server_is_tried_first_and_at_once() {
    let mut tunnel = Tunnel::begun(3);
    tunnel.connect();
    tunnel.live(Duration::from_mins(1));
    tunnel.say(">STATE:1,RECONNECTING,ping-restart,,,,,\r\n");
    assert_eq!(tunnel.down().code, Code::TunnelDown);
    tunnel.say(">HOLD:Waiting for hold release:1\r\n");
    // The same process, with the same server.
    assert_eq!((tunnel.releases(), tunnel.started.len(), tunnel.looked_up), (2, 1, 1));
    tunnel.say(">STATE:1,CONNECTED,SUCCESS,10.8.0.2,203.0.113.1,1194,,\r\n");
    // openvpn does not say again what has not changed.
    assert!(matches!(tunnel.told.last(), Some(News::Connected { .. })));
}

#[test]
fn a_connection_that_breaks_at_once_is_not_tried_again_at_once() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.connect();
    tunnel
        .say(">STATE:1,RECONNECTING,connection-reset,,,,,\r\n>HOLD:Waiting for hold release:1\r\n");
    assert_eq!(tunnel.releases(), 1);
    tunnel.pass(Duration::from_secs(1));
    assert_eq!(tunnel.looked_up, 2);
    tunnel.hear(Input::Resolved(vec![address(1)]));
    assert_eq!((tunnel.releases(), tunnel.started.len()), (2, 1));
}

#[test]
fn a_process_that_dies_is_started_again_and_one_that_dies_always_ever_more_slowly() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.connect();
    tunnel.pass(Duration::from_secs(10));
    tunnel.end("");
    assert_eq!(tunnel.down().code, Code::OpenvpnFailed);
    assert_eq!(tunnel.started.len(), 2);
    for started in 2..10 {
        tunnel.hear(Input::Started);
        tunnel.end("Options error: no");
        assert!(tunnel.down().detail.contains("Options error"), "{:?}", tunnel.down());
        assert_eq!(tunnel.started.len(), started);
        let wait = tunnel.machine.poll_timeout().unwrap() - tunnel.now;
        assert!(wait >= Duration::from_millis(250 << (started - 2).min(5)), "{wait:?}");
        tunnel.pass(wait);
        tunnel.hear(Input::Resolved(vec![address(1)]));
    }
}

#[test]
fn a_server_at_which_nobody_listens_any_more_is_left_before_it_is_silent_for_long() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.connect();
    let refused = ">LOG:1,N,read UDPv4 [ECONNREFUSED]: Connection refused (fd=4,code=111)\r\n";
    tunnel.say(refused);
    tunnel.live(Duration::from_mins(5));
    tunnel.say(refused);
    assert!(!tunnel.sent.contains(&Command::Signal(Signal::Usr1)));
    tunnel.pass(Duration::from_secs(1));
    tunnel.say(refused);
    assert!(tunnel.sent.contains(&Command::Signal(Signal::Usr1)));
}

#[test]
fn an_openvpn_that_says_nothing_is_asked_and_then_replaced() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.connect();
    let asked = |tunnel: &Tunnel| {
        tunnel.sent.iter().filter(|sent| matches!(sent, Command::ByteCount { .. })).count()
    };
    let before = asked(&tunnel);
    for _ in 0..10 {
        tunnel.pass(Duration::from_secs(9));
        tunnel.say(">BYTECOUNT:1,1\r\n");
    }
    assert_eq!(asked(&tunnel), before, "it counts, and so it lives");
    tunnel.pass(Duration::from_secs(10));
    assert_eq!(asked(&tunnel), before + 1);
    tunnel.say("SUCCESS: bytecount interval changed\r\n");
    tunnel.pass(Duration::from_secs(10));
    assert_eq!((asked(&tunnel), tunnel.ended), (before + 2, 0));
    tunnel.pass(Duration::from_secs(10));
    assert_eq!(tunnel.ended, 1);
    assert_eq!(tunnel.down().detail, "openvpn hangs");
    tunnel.hear(Input::Ended { words: String::new(), by_itself: false });
    assert_eq!(tunnel.started.len(), 2);
}

#[test]
fn a_token_stands_in_for_the_password_until_it_is_refused() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.say(HOLD);
    tunnel.say(NEED);
    tunnel.say(">PASSWORD:Auth-Token:token-1\r\n");
    tunnel.say(&connected());
    tunnel.pass(Duration::from_secs(10));
    // Killed: the next process knows no token.
    tunnel.end("");
    tunnel.hear(Input::Started);
    tunnel.say(HOLD);
    tunnel.say(NEED);
    assert_eq!(tunnel.passwords(), ["pass", "token-1"]);
    tunnel.say(
        ">PASSWORD:Verification Failed: 'Auth'\r\n>STATE:1,RECONNECTING,auth-failure,,,,,\r\n",
    );
    tunnel.say(">HOLD:Waiting for hold release:1\r\n");
    tunnel.say(NEED);
    assert_eq!(tunnel.passwords(), ["pass", "token-1", "pass"]);
    assert!(!tunnel.told.iter().any(|news| matches!(news, News::Refused(_))));
    tunnel.say(
        ">PASSWORD:Verification Failed: 'Auth'\r\n>STATE:1,RECONNECTING,auth-failure,,,,,\r\n",
    );
    assert_eq!(tunnel.refused().code, Code::AuthFailed);
}

#[test]
fn a_token_of_openvpns_own_that_has_expired_is_no_wrong_password() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.connect();
    tunnel.live(Duration::from_mins(1));
    tunnel.say(">STATE:1,RECONNECTING,ping-restart,,,,,\r\n>HOLD:Waiting for hold release:1\r\n");
    tunnel.say(
        ">PASSWORD:Verification Failed: 'Auth'\r\n\
         >STATE:1,RECONNECTING,auth-failure (auth-token),,,,,\r\n\
         >HOLD:Waiting for hold release:1\r\n",
    );
    tunnel.say(NEED);
    assert_eq!((tunnel.releases(), tunnel.passwords().len()), (3, 1));
}

#[test]
fn a_challenge_is_answered_once_or_asked_for() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.replay("21-dynamic-challenge-CRV1");
    assert_eq!(tunnel.refused().code, Code::ChallengeRequired);
    assert!(tunnel.refused().detail.contains("token PIN"), "{:?}", tunnel.refused());

    let mut tunnel = Tunnel::of(PROFILE, Some("pass"), Some("123456"));
    tunnel.begin(1);
    tunnel.replay("21-dynamic-challenge-CRV1");
    let passwords = tunnel.passwords();
    assert_eq!(passwords, ["pass", "CRV1::Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l::123456"]);

    // Again only with another answer.
    tunnel.told.clear();
    tunnel.pass(Duration::from_mins(1));
    tunnel.say(">STATE:1,RECONNECTING,ping-restart,,,,,\r\n>HOLD:Waiting for hold release:1\r\n");
    tunnel.replay("21-dynamic-challenge-CRV1");
    tunnel.replay("21-dynamic-challenge-CRV1");
    assert!(tunnel.passwords().iter().filter(|text| text.starts_with("CRV1")).count() == 1);
}

#[test]
fn a_static_challenge_without_an_answer_is_refused_before_anything_is_started() {
    let profile = format!("{PROFILE}static-challenge \"Please enter token PIN\" 1\n");
    let tunnel = Tunnel::of(&profile, Some("pass"), None);
    assert_eq!(tunnel.refused().code, Code::ChallengeRequired);
    assert!(tunnel.machine.is_over() && tunnel.looked_up == 0);
    let mut tunnel = Tunnel::of(&profile, Some("pass"), Some("1234"));
    tunnel.begin(1);
    tunnel.replay("22-static-challenge-SCRV1");
    assert_eq!(tunnel.passwords(), ["SCRV1:cGFzcw==:MTIzNA=="]);
}

#[test]
fn a_server_that_waits_for_a_person_is_answered_or_given_up() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.replay("23-pending-auth-CR_TEXT");
    assert_eq!(tunnel.refused().code, Code::ChallengeRequired);
    let mut tunnel = Tunnel::of(PROFILE, Some("pass"), Some("1234"));
    tunnel.begin(1);
    tunnel.replay("23-pending-auth-CR_TEXT");
    assert!(tunnel.sent.iter().any(|command| matches!(command, Command::ChallengeAnswer(_))));
    assert!(matches!(tunnel.told.last(), Some(News::Connected { .. })));
    let mut tunnel = Tunnel::begun(1);
    tunnel.replay("24-pending-auth-WEB_AUTH-timeout");
    assert_eq!(tunnel.refused().code, Code::ChallengeRequired);
    assert!(!tunnel.refused().detail.contains("sso.example"), "{:?}", tunnel.refused());
}

#[test]
fn a_login_that_is_missing_is_missed_before_anything_is_started() {
    let tunnel = Tunnel::of(PROFILE, None, None);
    assert_eq!(tunnel.refused().code, Code::ConfigInvalid);
    assert_eq!(tunnel.looked_up, 0);
}

#[test]
fn what_a_server_says_at_the_end_is_passed_on() {
    let mut tunnel = Tunnel::begun(1);
    let mut heard = messages("25-server-pushed-RESTART").into_iter();
    let halted = |message: &Message| matches!(message, Message::Notify { kind, .. } if kind == "server-pushed-halt");
    for message in heard.by_ref().take_while(|message| !halted(message)) {
        let connected = matches!(tunnel.told.last(), Some(News::Connected { .. }));
        tunnel.pass(if connected { Duration::from_secs(6) } else { Duration::ZERO });
        tunnel.hear(Input::Said(message));
        assert_eq!(tunnel.looked_up, 1, "a connection that held is tried again at once");
    }
    let reset = tunnel.told.iter().find_map(|news| match news {
        News::Down(reason) => Some(reason),
        _ => None,
    });
    assert_eq!(reset.unwrap().code, Code::ServerPushedExit);
    assert!(reset.unwrap().detail.contains("maintenance"), "{reset:?}");
    tunnel.say(">NOTIFY:info,server-pushed-halt,quota exceeded\r\n");
    heard.for_each(|message| tunnel.hear(Input::Said(message)));
    assert!(tunnel.down().detail.contains("quota exceeded"), "{:?}", tunnel.down());
    assert_eq!(tunnel.machine.farewell(), Farewell::Told);
}

#[test]
fn a_server_counts_a_session_until_it_was_told_that_it_is_over() {
    let mut tunnel = Tunnel::begun(1);
    assert_eq!(tunnel.machine.farewell(), Farewell::Told);
    tunnel.connect();
    let cool_for = Duration::from_secs(40);
    assert_eq!(tunnel.machine.farewell(), Farewell::NotTold { cool_for });
    tunnel.machine.stop();
    tunnel.settle();
    assert_eq!(tunnel.ended, 1);
    tunnel.say(">STATE:1,EXITING,exit-with-notification,,,,,\r\n");
    tunnel.end("");
    assert_eq!(tunnel.machine.farewell(), Farewell::Told);
    assert!(tunnel.machine.is_over());
}

#[test]
fn what_ends_at_one_server_tells_another_nothing() {
    let mut tunnel = Tunnel::new();
    let by_tcp = Transport { protocol: Protocol::Tcp, family: None };
    let addresses = vec![address(1), Address { transport: by_tcp, ..address(2) }];
    tunnel.hear(Input::Resolved(addresses));
    tunnel.hear(Input::Started);
    tunnel.connect();
    tunnel.pass(Duration::from_mins(1));
    tunnel.say(">STATE:1,RECONNECTING,ping-restart,,,,,\r\n>HOLD:Waiting for hold release:1\r\n");
    tunnel.say(">STATE:1,RECONNECTING,server_poll,,,,,\r\n>HOLD:Waiting for hold release:1\r\n");
    tunnel.end("");
    tunnel.hear(Input::Started);
    assert_eq!(tunnel.started.len(), 2);
    tunnel.say(HOLD);
    tunnel.say(">STATE:1,RECONNECTING,connection-failed,,,,,\r\n");
    assert_ne!(tunnel.machine.farewell(), Farewell::Told);
}

#[test]
fn an_openvpn_that_was_not_killed_has_said_goodbye_though_we_did_not_hear_it() {
    for by_itself in [true, false] {
        let mut tunnel = Tunnel::begun(1);
        tunnel.connect();
        tunnel.machine.stop();
        tunnel.settle();
        tunnel.hear(Input::Ended { words: String::new(), by_itself });
        assert_eq!(tunnel.machine.farewell() == Farewell::Told, by_itself);
    }
    // One that was not connected when it was asked to end tells nobody.
    let mut tunnel = Tunnel::begun(1);
    tunnel.connect();
    tunnel.pass(Duration::from_mins(1));
    tunnel.say(">STATE:1,RECONNECTING,ping-restart,,,,,\r\n>HOLD:Waiting for hold release:1\r\n");
    tunnel.machine.stop();
    tunnel.end("");
    assert_ne!(tunnel.machine.farewell(), Farewell::Told);
}

#[test]
fn a_device_whose_namespace_has_ended_ends_the_tunnel() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.connect();
    tunnel.say(">LOG:1,N,read from TUN/TAP : File descriptor in bad state (fd=-1,code=77)\r\n");
    assert_eq!(tunnel.told, [News::DeviceGone]);
    assert_eq!(tunnel.ended, 1);
}

#[test]
fn what_cannot_be_answered_is_refused() {
    for line in [
        ">PASSWORD:Need 'Private Key' password\r\n",
        ">PASSWORD:Need 'HTTP Proxy' username/password\r\n",
        ">PROXY:1,UDP,x\r\n",
        ">PK_SIGN:aGFsbG8=,ECDSA\r\n",
        ">NEED-CERTIFICATE:macosx-keychain:x\r\n",
        "ENTER PASSWORD:",
    ] {
        let mut tunnel = Tunnel::begun(1);
        tunnel.say(line);
        assert_eq!(tunnel.refused().code, Code::ConfigInvalid, "{line}");
    }
}

#[test]
fn what_is_known_of_the_certificates_is_why_tls_fails() {
    const FLAW: &str = "the client's certificate ended on 2024-01-01";
    let mut dropped = Tunnel::flawed(FLAW);
    dropped.replay("15-client-cert-expired");
    let mut unloaded = Tunnel::flawed(FLAW);
    unloaded.say(HOLD);
    unloaded
        .say(">LOG:1,,OpenSSL: error:05800074:x509 certificate routines::key values mismatch:\r\n");
    unloaded.hear(Input::Ended { words: String::new(), by_itself: true });
    for tunnel in [dropped, unloaded] {
        assert_eq!(tunnel.refused().code, Code::TlsFailed);
        assert!(tunnel.refused().detail.ends_with(FLAW), "{:?}", tunnel.refused());
    }
    // Nobody there is another matter.
    let mut silent = Tunnel::flawed(FLAW);
    silent.say(HOLD);
    silent.say(">LOG:1,,read UDPv4 [ECONNREFUSED]: Connection refused\r\n");
    silent.say(">LOG:1,,read UDPv4 [ECONNREFUSED]: Connection refused\r\n");
    assert_eq!(silent.down().code, Code::EndpointUnreachable);
}

/// openvpn drops such a message whole, shows it in hexadecimal, and waits for another.
#[test]
fn a_denial_with_control_characters_is_a_denial() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.say(HOLD);
    tunnel.say(">STATE:1,AUTH,,,,,,\r\n>STATE:1,GET_CONFIG,,,,,,\r\n");
    let message = hexadecimal("AUTH_FAILED,no\u{1b}[2J\nentry");
    tunnel
        .say(&format!(">LOG:1,N,WARNING: Received control with invalid characters: {message}\r\n"));
    assert_eq!(tunnel.refused().code, Code::AuthFailed);
    assert!(tunnel.refused().detail.ends_with("password: no\\u{1b}[2J\\nentry"));
}

#[test]
fn what_openvpn_does_not_take_of_a_server_is_told_as_that() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.say(HOLD);
    tunnel.say(">STATE:1,AUTH,,,,,,\r\n>STATE:1,GET_CONFIG,,,,,,\r\n");
    let message = hexadecimal("PUSH_REPLY,auth-token SESS_ID_x,echo a\u{1}b,ping 10");
    tunnel
        .say(&format!(">LOG:1,N,WARNING: Received control with invalid characters: {message}\r\n"));
    assert_eq!(tunnel.down().code, Code::PushRefused);
    assert!(tunnel.down().detail.ends_with("echo has control characters"), "{:?}", tunnel.down());
    assert!(!tunnel.down().detail.contains("SESS_ID"), "{:?}", tunnel.down());

    let mut tunnel = Tunnel::begun(1);
    tunnel.say(HOLD);
    tunnel.say(
        ">STATE:1,AUTH,,,,,,\r\n>STATE:1,GET_CONFIG,,,,,,\r\n\
         >LOG:1,N,Options error: --topology must be net30, p2p, or subnet\r\n\
         >LOG:1,N,OPTIONS ERROR: server pushed compression settings that are not allowed\r\n\
         >LOG:1,N,ERROR: Failed to apply push options\r\n\
         >STATE:1,RECONNECTING,process-push-msg-failed,,,,,\r\n",
    );
    tunnel.say(HOLD);
    assert_eq!(tunnel.down().code, Code::PushRefused);
    assert!(tunnel.down().detail.contains("compression settings"), "{:?}", tunnel.down());
}

/// As openvpn's log has it, with spaces between.
fn hexadecimal(text: &str) -> String {
    format!("{:02x?}", text.as_bytes()).trim_matches(['[', ']']).replace(", ", " ")
}

#[test]
fn a_server_that_gives_what_no_device_can_have_is_refused() {
    let mut tunnel = Tunnel::begun(1);
    tunnel.say(HOLD);
    tunnel.say(">UPDOWN:UP\r\n>UPDOWN:ENV,ifconfig_local=127.0.0.1\r\n>UPDOWN:ENV,END\r\n");
    assert_eq!(tunnel.refused().code, Code::PushRefused);
    let mut tunnel = Tunnel::begun(1);
    tunnel.say(HOLD);
    tunnel.say(">STATE:1,CONNECTED,SUCCESS,,203.0.113.1,1194,,\r\n");
    assert_eq!(tunnel.refused().code, Code::OpenvpnFailed);
}
