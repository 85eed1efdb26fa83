//! What openvpn is told is what was meant.

use std::num::NonZeroU16;

use egress_core::openvpn::Unquotable;
use egress_core::openvpn::management::{
    Command, DynamicChallenge, RemoteAnswer, Signal, dynamic_answer, encode, static_answer,
};
use egress_core::secret::Secret;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn line(command: &Command) -> String {
    encode(command).unwrap().expose().clone()
}

fn password(value: &str) -> Command {
    Command::Password { kind: "Auth".to_owned(), value: secret(value) }
}

#[test]
fn commands_are_openvpns() {
    let port = NonZeroU16::new(443).unwrap();
    let there = |address: &str| {
        Command::Remote(RemoteAnswer::Use { address: address.parse().unwrap(), port })
    };
    for (command, expected) in [
        (Command::FollowState, "state on\n"),
        (Command::FollowLog, "log on\n"),
        (Command::FollowEcho, "echo on\n"),
        (Command::ByteCount { interval_s: 5 }, "bytecount 5\n"),
        (Command::HoldRelease, "hold release\n"),
        (Command::Remote(RemoteAnswer::Accept), "remote ACCEPT\n"),
        (Command::Remote(RemoteAnswer::Skip), "remote SKIP\n"),
        (there("198.51.100.7"), "remote MOD 198.51.100.7 443\n"),
        (there("2001:db8::7"), "remote MOD 2001:db8::7 443\n"),
        (Command::Signal(Signal::Term), "signal SIGTERM\n"),
        (Command::ChallengeAnswer(secret("123456")), "cr-response \"MTIzNDU2\"\n"),
        (password("we\"ird\\pa'ss #1;x"), "password \"Auth\" \"we\\\"ird\\\\pa'ss #1;x\"\n"),
    ] {
        assert_eq!(line(&command), expected);
    }
    let username = Command::Username { kind: "HTTP Proxy".to_owned(), value: "alice".to_owned() };
    assert_eq!(line(&username), "username \"HTTP Proxy\" \"alice\"\n");
}

#[test]
fn answers_to_challenges_are_openvpns() {
    let answer = static_answer(&secret("s3cret pass"), &secret("8675309"));
    assert_eq!(answer.expose(), "SCRV1:czNjcmV0IHBhc3M=:ODY3NTMwOQ==");
    let challenge = DynamicChallenge {
        answer_expected: true,
        echo: true,
        state: secret("Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l"),
        username: "alice".to_owned(),
        text: "PIN".to_owned(),
    };
    let answer = dynamic_answer(&challenge, &secret("123456"));
    assert_eq!(answer.expose(), "CRV1::Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l::123456");
}

#[test]
fn what_would_end_the_line_or_be_skipped_is_refused() {
    for bad in ["a\nsignal SIGTERM", "a\r", "\0", "\t", "\u{7f}", "\u{1b}", "\u{9b}"] {
        assert_eq!(encode(&password(bad)), Err(Unquotable::Control), "{bad:?}");
        let kind = Command::Password { kind: bad.to_owned(), value: secret("x") };
        assert_eq!(encode(&kind), Err(Unquotable::Control), "{bad:?}");
        let name = Command::Username { kind: "Auth".to_owned(), value: bad.to_owned() };
        assert_eq!(encode(&name), Err(Unquotable::Control), "{bad:?}");
    }
}

#[test]
fn a_password_has_at_most_256_bytes() {
    assert!(encode(&password(&"\"".repeat(256))).is_ok());
    assert_eq!(encode(&password(&"x".repeat(257))), Err(Unquotable::TooLong));
    let answer = Command::ChallengeAnswer(secret(&"x".repeat(200)));
    assert_eq!(encode(&answer), Err(Unquotable::TooLong));
}

#[test]
fn no_secret_shows_in_debug_or_errors() {
    let commands = [password("hunter2"), Command::ChallengeAnswer(secret("hunter2"))];
    for command in commands {
        let shown = format!("{command:?}{:?}", encode(&command));
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
    }
    let why = encode(&password("hunter2\n")).unwrap_err();
    assert!(!format!("{why}{why:?}").contains("hunter2"));
}
