//! Recorded dialogues are read as they were meant.

use std::collections::BTreeMap;

use egress_core::openvpn::management::{
    InfoMessage, Message, Parser, Rejection, State, StateName, Wanted,
};

use crate::dialogues::{DIALOGUES, messages};

fn states(name: &str) -> Vec<State> {
    let state = |message| match message {
        Message::State(state) => Some(state),
        _ => None,
    };
    messages(name).into_iter().filter_map(state).collect()
}

fn last_state(name: &str) -> (StateName, String) {
    let last = states(name).pop().unwrap();
    (last.name, last.detail)
}

fn rejections(name: &str) -> Vec<(String, Option<Rejection>)> {
    let rejection = |message| match message {
        Message::Rejected { kind, why } => Some((kind, why)),
        _ => None,
    };
    messages(name).into_iter().filter_map(rejection).collect()
}

fn fatal(name: &str) -> String {
    match messages(name).pop() {
        Some(Message::Fatal(text)) => text,
        other => panic!("{name} ends with {other:?}"),
    }
}

#[test]
fn every_line_of_every_dialogue_is_understood() {
    for (name, bytes) in DIALOGUES {
        for message in Parser::new().feed(bytes) {
            let odd = matches!(
                message,
                Message::Unknown { .. } | Message::Malformed { .. } | Message::TooLong
            );
            assert!(!odd, "{name}: {message:?}");
        }
    }
}

/// What the beginning of a line says it is, counted without the parser.
#[test]
fn nothing_is_lost_and_nothing_is_made_up() {
    for (name, bytes) in DIALOGUES {
        let text = String::from_utf8_lossy(bytes);
        let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text.lines().map(|line| line.trim_start_matches("ENTER PASSWORD:")) {
            let variables = line.starts_with(">UPDOWN:ENV");
            *expected.entry(kind_of_line(line)).or_default() += usize::from(!variables);
        }
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        for message in Parser::new().feed(bytes) {
            let prompt = message == Message::PasswordPrompt;
            *counted.entry(kind_of_message(&message)).or_default() += usize::from(!prompt);
        }
        expected.retain(|_, count| *count > 0);
        counted.retain(|_, count| *count > 0);
        assert_eq!(counted, expected, "{name}");
    }
}

fn kind_of_line(line: &str) -> &str {
    const KINDS: [&str; 12] = [
        ">STATE:",
        ">LOG:",
        ">PASSWORD:",
        ">HOLD:",
        ">BYTECOUNT:",
        ">UPDOWN:UP",
        ">UPDOWN:DOWN",
        ">FATAL:",
        ">REMOTE:",
        ">INFO:",
        "SUCCESS: ",
        "ERROR: ",
    ];
    KINDS.into_iter().find(|kind| line.starts_with(kind)).unwrap_or("other")
}

fn kind_of_message(message: &Message) -> &'static str {
    match message {
        Message::State(_) => ">STATE:",
        Message::Log(_) => ">LOG:",
        Message::Need(_) | Message::Rejected { .. } | Message::AuthToken(_) => ">PASSWORD:",
        Message::Hold { .. } => ">HOLD:",
        Message::ByteCount { .. } => ">BYTECOUNT:",
        Message::Up(_) => ">UPDOWN:UP",
        Message::Down(_) => ">UPDOWN:DOWN",
        Message::Fatal(_) => ">FATAL:",
        Message::RemoteQuery { .. } => ">REMOTE:",
        Message::Info(_) => ">INFO:",
        Message::Success(_) => "SUCCESS: ",
        Message::Error(_) => "ERROR: ",
        _ => "other",
    }
}

#[test]
fn a_connected_tunnel_tells_all_about_itself() {
    let messages = messages("01");
    let up = messages.iter().find_map(|message| match message {
        Message::Up(environment) => Some(environment),
        _ => None,
    });
    let up = up.unwrap();
    for (name, value) in [
        ("ifconfig_local", "10.8.0.2"),
        ("ifconfig_netmask", "255.255.255.0"),
        ("ifconfig_ipv6_local", "fd00:8::1000"),
        ("foreign_option_1", "dhcp-option DNS 10.8.0.1"),
        ("tun_mtu", "1500"),
        ("route_network_1", "192.0.2.0"),
    ] {
        assert_eq!(up.get(name), Some(value), "{name}");
    }
    assert_eq!(up.iter().count(), 43);
    let connected = states("01").into_iter().find(|state| state.name == StateName::Connected);
    let connected = connected.unwrap();
    assert_eq!(connected.detail, "SUCCESS");
    assert_eq!(connected.tunnel_v4, Some([10, 8, 0, 2].into()));
    assert_eq!(connected.tunnel_v6, Some("fd00:8::1000".parse().unwrap()));
    assert_eq!(connected.remote, Some([10, 77, 0, 2].into()));
    assert_eq!(connected.remote_port, Some(1194));
    assert!(messages.contains(&Message::ByteCount { received: 2368, sent: 1290 }));
    assert_eq!(last_state("01"), (StateName::Exiting, "SIGTERM".to_owned()));
}

/// openvpn writes each state into its log before it tells it.
#[test]
fn a_state_inside_a_log_line_is_not_a_state() {
    let names: Vec<_> = states("01").into_iter().map(|state| state.name).collect();
    assert_eq!(names, [StateName::Wait, StateName::Auth, StateName::Connected, StateName::Exiting]);
}

#[test]
fn the_end_of_every_failure_is_told() {
    for (name, state, detail) in [
        ("02", StateName::Exiting, "auth-failure"),
        ("17", StateName::Exiting, "auth-failure"),
        ("20", StateName::Exiting, "auth-failure"),
        ("63", StateName::Exiting, "tls-error"),
        ("64", StateName::Exiting, "ping-exit"),
        ("65", StateName::Exiting, "inactive"),
        ("66", StateName::Exiting, "session-timeout"),
    ] {
        assert_eq!(last_state(name), (state, detail.to_owned()), "{name}");
    }
    for (name, detail) in [
        ("03", "auth-failure"),
        ("05", "tls-error"),
        ("06", "server_poll"),
        ("07", "Could not determine IPv4/IPv6 protocol"),
        ("10-reconnect-persist", "ping-restart"),
        ("12", "tls-error"),
        ("19", "auth-failure (auth-token)"),
        ("24", "no-push-reply"),
        ("25", "server-pushed-connection-reset"),
        ("46", "connection-failed"),
        ("47", "connection-reset"),
    ] {
        let told = states(name)
            .into_iter()
            .any(|state| state.name == StateName::Reconnecting && state.detail == detail);
        assert!(told, "{name}: {detail}");
    }
}

#[test]
fn last_words_are_heard() {
    assert!(fatal("08").starts_with("RESOLVE: Cannot resolve host address"));
    assert!(fatal("30").contains("Operation not permitted"));
    assert!(fatal("62").starts_with("All connections have been connect-retry-max (2) times"));
}

#[test]
fn a_refused_password_comes_with_the_servers_words() {
    let auth = |why| vec![("Auth".to_owned(), why)];
    assert_eq!(rejections("02"), auth(None));
    let words = "Account suspended, pay your bill ('see' https://x.test/?a=1,b=2)";
    assert_eq!(rejections("20"), auth(Some(Rejection::Text(words.to_owned()))));
    assert_eq!(rejections("41")[0].0, "Private Key");
}

#[test]
fn challenges_are_read() {
    let (_, why) = rejections("21").remove(0);
    let Some(Rejection::Challenge(challenge)) = why else { panic!("{why:?}") };
    assert!(challenge.answer_expected && challenge.echo);
    assert_eq!(challenge.username, "alice");
    assert_eq!(challenge.state.expose(), "Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l");
    assert_eq!(challenge.text, "Please enter token PIN: (6 digits)");

    let need = needs("22").remove(0);
    let challenge = need.challenge.unwrap();
    assert_eq!((&challenge.text[..], challenge.echo), ("Please enter token PIN", true));

    let question = InfoMessage::Challenge {
        answer_expected: true,
        echo: true,
        text: "Please enter your TOTP: code".to_owned(),
    };
    assert!(messages("23").contains(&Message::InfoMessage(question)));
    let page = messages("24").into_iter().find_map(|message| match message {
        Message::InfoMessage(InfoMessage::Page(address)) => Some(address),
        _ => None,
    });
    assert_eq!(page.unwrap().expose(), "https://sso.example.test/?s=abc,def");
}

fn needs(name: &str) -> Vec<egress_core::openvpn::management::Need> {
    let need = |message| match message {
        Message::Need(need) => Some(need),
        _ => None,
    };
    messages(name).into_iter().filter_map(need).collect()
}

#[test]
fn questions_say_what_they_want() {
    let wanted = |name: &str| -> Vec<(String, Wanted)> {
        needs(name).into_iter().map(|need| (need.kind, need.wanted)).collect()
    };
    let both = |kind: &str| (kind.to_owned(), Wanted::UsernameAndPassword);
    assert_eq!(wanted("01"), [both("Auth")]);
    assert_eq!(wanted("40")[0], ("Private Key".to_owned(), Wanted::Password));
    assert!(wanted("45").contains(&both("HTTP Proxy")));
    let hosts: Vec<_> = messages("44")
        .into_iter()
        .filter_map(|message| match message {
            Message::RemoteQuery { host, port, transport } => {
                Some(format!("{host} {port} {transport}"))
            }
            _ => None,
        })
        .collect();
    assert_eq!(hosts, ["vpn1.example.com 1194 udp", "vpn2.example.com 443 udp"]);
    assert!(messages("45").contains(&Message::ProxyQuery));
    assert!(messages("42").contains(&Message::SignQuery));
    assert!(messages("43").contains(&Message::CertificateQuery));
    assert!(
        messages("54")
            .iter()
            .any(|m| matches!(m, Message::NeedText { name, .. } if name == "pkcs11-id-request"))
    );
    assert!(
        messages("55").iter().any(
            |m| matches!(m, Message::NeedOk { name, .. } if name == "token-insertion-request")
        )
    );
}

#[test]
fn a_server_that_ends_the_session_says_so() {
    let notices: Vec<_> = messages("25")
        .into_iter()
        .filter_map(|message| match message {
            Message::Notify { kind, text, .. } => Some((kind, text)),
            _ => None,
        })
        .collect();
    assert!(notices.contains(&("server-pushed-halt".to_owned(), "quota exceeded".to_owned())));
    let moving = "[N]maintenance, moving you".to_owned();
    assert!(notices.contains(&("server-pushed-connection-reset".to_owned(), moving)));
}

#[test]
fn a_prompt_is_heard_although_no_newline_follows() {
    let messages = messages("57");
    assert_eq!(messages[..2], [Message::PasswordPrompt, Message::PasswordPrompt]);
    assert_eq!(messages[2], Message::Success("password is correct".to_owned()));
    assert_eq!(Parser::new().feed(b"ENTER PASSWORD:"), [Message::PasswordPrompt]);
}

#[test]
fn waits_that_openvpn_suggests_are_read() {
    let waits = |name: &str| -> Vec<u32> {
        let wait = |message| match message {
            Message::Hold { wait_s } => Some(wait_s),
            _ => None,
        };
        messages(name).into_iter().filter_map(wait).collect()
    };
    assert_eq!(waits("01"), [0]);
    assert!(waits("03").contains(&1) && waits("04").contains(&10));
}

/// openvpn repeats a password that is too long in its `ERROR`.
#[test]
fn no_secret_of_a_dialogue_shows_in_debug() {
    const SECRETS: [&str; 4] =
        ["SESS_ID_AT_", "rrrrrrrrrr", "Om01u7Fh4LrGBS7uh0SWmzwabUiGiW6l", "sso.example.test"];
    let mut found = [false; SECRETS.len()];
    for (name, bytes) in DIALOGUES {
        let shown = format!("{:?}", Parser::new().feed(bytes));
        // At another level of verbosity, or to a person, openvpn's log tells some of it by itself.
        let shown: Vec<_> =
            shown.split("Log(Entry").map(|part| part.split("}),").last().unwrap()).collect();
        let shown = shown.concat();
        for (secret, found) in SECRETS.iter().zip(&mut found) {
            *found |= String::from_utf8_lossy(bytes).contains(secret);
            assert!(!shown.contains(secret), "{name}: {secret}");
        }
    }
    assert_eq!(found, [true; SECRETS.len()]);
}
