//! openvpn itself takes what is written for it.
//!
//! It is started with the canonical config of each template, and held by its management interface
//! as the agent will hold it, up to the point where it waits for the server: by then it has read
//! every line, key and certificate. Its packets go to a closed port of this host.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command as Program, Stdio};
use std::thread::sleep;
use std::time::Duration;

use egress_core::openvpn::management::{
    Command, Message, Need, Parser, RemoteAnswer, StateName, Wanted, encode,
};
use egress_core::openvpn::{Address, Family, Login, Supervision, Transport, canonical};
use egress_core::secret::Secret;

use crate::profiles::parsed;
use crate::templates::{one_of_each, parse, sound};

/// How long openvpn may say nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// An openvpn that is killed when the test is over.
struct Openvpn {
    process: Child,
    stream: UnixStream,
    parser: Parser,
    /// The kinds of passwords that it asked for.
    asked: Vec<String>,
}

impl Drop for Openvpn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts it with what is written for a profile, supervised as `more` says.
fn start(text: &str, more: impl FnOnce(Supervision) -> Supervision) -> Openvpn {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let listener = UnixListener::bind(path("management")).unwrap();
    let supervision = more(Supervision::new(&path("management"), "eg0", &path("")).unwrap());
    let mut process = Program::new("/usr/sbin/openvpn")
        .args(["--config", "/dev/stdin"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openvpn is installed");
    let config = canonical(&parsed(text), &supervision);
    process.stdin.take().unwrap().write_all(config.expose().as_bytes()).unwrap();
    let stream = accept(&listener, &mut process);
    Openvpn { process, stream, parser: Parser::new(), asked: Vec::new() }
}

/// A port of this host where nobody listens.
fn closed(transport: Transport) -> Address {
    let ip: IpAddr = match transport.family {
        Some(Family::V6) => Ipv6Addr::LOCALHOST.into(),
        Some(Family::V4) | None => Ipv4Addr::LOCALHOST.into(),
    };
    Address { ip, port: NonZeroU16::new(9).unwrap(), transport }
}

/// The remotes of a profile, all at the closed port.
fn closed_remotes(text: &str) -> Vec<Address> {
    parsed(text).remotes.iter().map(|remote| closed(remote.transport)).collect()
}

fn accept(listener: &UnixListener, process: &mut Child) -> UnixStream {
    listener.set_nonblocking(true).unwrap();
    for _ in 0..2000 {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            return stream;
        }
        if process.try_wait().unwrap().is_some() {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    panic!("openvpn does not take its config: {said}");
}

impl Openvpn {
    /// Answers what it asks until it waits for the server. What went wrong, if it does not.
    fn until_it_waits(&mut self) -> Result<(), String> {
        let mut said = Vec::new();
        loop {
            let mut bytes = [0; 4096];
            let length = self.stream.read(&mut bytes).map_err(|why| format!("{why}: {said:?}"))?;
            if length == 0 {
                return Err(format!("it is gone: {said:?}"));
            }
            for message in self.parser.feed(&bytes[..length]) {
                if self.handle(&message) {
                    return Ok(());
                }
                said.push(message);
            }
        }
    }

    /// True when it waits for the server.
    fn handle(&mut self, message: &Message) -> bool {
        match message {
            Message::Hold { .. } => {
                self.send(&Command::FollowState);
                self.send(&Command::FollowLog);
                self.send(&Command::HoldRelease);
            }
            Message::Need(need) => self.answer(need),
            Message::RemoteQuery { transport, .. } => {
                let Address { ip: address, port, .. } = closed(*transport);
                self.send(&Command::Remote(RemoteAnswer::Use { address, port }));
            }
            Message::State(state) => {
                return matches!(state.name, StateName::Wait | StateName::TcpConnect);
            }
            _ => {}
        }
        false
    }

    fn answer(&mut self, need: &Need) {
        self.asked.push(need.kind.clone());
        if need.wanted != Wanted::Password {
            let value = "alice".to_owned();
            self.send(&Command::Username { kind: need.kind.clone(), value });
        }
        let value = Secret::new("canary".to_owned());
        self.send(&Command::Password { kind: need.kind.clone(), value });
    }

    fn send(&mut self, command: &Command) {
        self.stream.write_all(encode(command).unwrap().expose().as_bytes()).unwrap();
    }
}

#[test]
fn every_accepted_template_is_taken_up_to_the_servers_first_packet() {
    for (name, text) in one_of_each() {
        let mut openvpn = start(&text, |own| own.with_addresses(closed_remotes(&text)));
        if let Err(why) = openvpn.until_it_waits() {
            panic!("{name}: {why}");
        }
        let config = parsed(&text);
        assert_eq!(openvpn.asked.contains(&"Auth".to_owned()), config.needs_login, "{name}");
        let key_asked = openvpn.asked.contains(&"Private Key".to_owned());
        assert_eq!(key_asked, config.key_encrypted(), "{name}");
    }
}

#[test]
fn a_password_between_tags_is_not_asked_for() {
    let login = Login { username: "u".to_owned(), password: Secret::new("p".repeat(1000)) };
    let text = sound();
    let with_login = |own: Supervision| own.with_login(&login).unwrap();
    let mut openvpn = start(&text, |own| with_login(own).with_addresses(closed_remotes(&text)));
    openvpn.until_it_waits().unwrap();
    assert!(openvpn.asked.is_empty(), "{:?}", openvpn.asked);
}

#[test]
fn a_remote_is_asked_for_if_its_address_is_not_given() {
    let mut openvpn = start(&sound(), |own| own);
    openvpn.until_it_waits().unwrap();
}

/// What OpenSSL has and openvpn does not sign packets with.
const NO_DIGESTS: [&str; 6] =
    ["NULL", "MD5-SHA1", "SHAKE128", "SHAKE256", "KECCAK-KMAC-128", "KECCAK-KMAC-256"];

#[test]
fn ciphers_and_digests_that_openvpn_has_are_taken() {
    let taken = |line: String| parse(&sound().replacen("dev tun", &line, 1)).is_ok();
    let ciphers = shown("--show-ciphers");
    assert!(ciphers.len() > 50, "{ciphers:?}");
    for cipher in ciphers {
        assert!(taken(format!("data-ciphers {cipher}")), "{cipher}");
    }
    let digests = shown("--show-digests");
    assert!(digests.len() > 15, "{digests:?}");
    for digest in digests {
        assert_eq!(taken(format!("auth {digest}")), !NO_DIGESTS.contains(&&digest[..]), "{digest}");
    }
}

/// The first words of the lines that openvpn prints of ciphers and digests.
fn shown(what: &str) -> Vec<String> {
    let output =
        Program::new("/usr/sbin/openvpn").arg(what).output().expect("openvpn is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let of_bits = text.lines().filter(|line| line.contains(" bit ") && !line.contains("following"));
    of_bits.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}
