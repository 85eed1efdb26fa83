//! How an openvpn process is held: its device, its directory, the agent's socket.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::lexer::{CHUNK, TEXT_MAX};
use super::login::Login;
use super::quoting::{Unquotable, word};
use super::remote::{Remote, Transport};
use crate::secret::Secret;
use crate::wireguard::Host;

/// The longest path of a unix socket, in bytes.
const SOCKET_PATH_MAX: usize = 107;
/// The longest name of a network device, in bytes.
const DEVICE_MAX: usize = 15;
/// The longest name or password that openvpn reads from a config, in bytes.
const LOGIN_MAX: usize = 4095;
/// What a name and password stand between.
const TAG: &str = "auth-user-pass";

/// What the agent adds to a gateway's config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    management: String,
    device: String,
    tmp_dir: String,
    dev_node: Option<String>,
    login: Option<InlineLogin>,
    remotes: Vec<Remote>,
}

/// Where a remote is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Of the family that the transport goes to.
    pub ip: IpAddr,
    /// The remote's.
    pub port: NonZeroU16,
    /// The remote's.
    pub transport: Transport,
}

/// Why openvpn cannot be told. It never repeats what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsayable {
    /// A path or name is not one that openvpn can read.
    #[error("write {0} for openvpn")]
    Word(&'static str, #[source] Unquotable),
    /// A path or name is empty or too long.
    #[error("{0} is empty or too long")]
    Length(&'static str),
    /// openvpn would read the password differently.
    #[error(
        "a name or password that openvpn cannot be given: too long, or with a line's end in it"
    )]
    Login,
}

impl Supervision {
    /// The agent listens on the unix socket `management`, the tun's name is `device`, and openvpn's
    /// user may write to `tmp_dir`, which openvpn checks and does not use.
    pub fn new(management: &str, device: &str, tmp_dir: &str) -> Result<Self, Unsayable> {
        let device_name = sayable("the device's name", device, DEVICE_MAX)?;
        Ok(Self {
            management: sayable("the management socket's path", management, SOCKET_PATH_MAX)?,
            device: device_name,
            tmp_dir: sayable("the directory's path", tmp_dir, TEXT_MAX - 16)?,
            dev_node: None,
            login: None,
            remotes: Vec::new(),
        })
    }

    /// openvpn opens this in place of `/dev/net/tun`.
    pub fn with_dev_node(mut self, path: &str) -> Result<Self, Unsayable> {
        self.dev_node = Some(sayable("the device node's path", path, TEXT_MAX - 16)?);
        Ok(self)
    }

    /// Name and password stand in the config: for those that the management interface does not
    /// take, which are longer than 256 bytes.
    pub fn with_login(mut self, login: &Login) -> Result<Self, Unsayable> {
        self.login = Some(InlineLogin::new(login)?);
        Ok(self)
    }

    /// openvpn connects to these addresses in this order, and does not ask.
    ///
    /// Without them it asks for each remote before it connects. It takes the answer only when the
    /// second is over, which makes every connect wait for up to a second.
    #[must_use]
    pub fn with_addresses(mut self, remotes: impl IntoIterator<Item = Address>) -> Self {
        self.remotes.extend(remotes.into_iter().map(|Address { ip, port, transport }| Remote {
            host: Host::Ip(ip),
            port,
            transport,
        }));
        self
    }

    /// Where to connect to, if it is not to be asked.
    pub(super) fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    pub(super) fn login(&self) -> Option<&InlineLogin> {
        self.login.as_ref()
    }

    /// Lines of a config.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let fixed = [
            format!("dev {}", self.device),
            "dev-type tun".to_owned(),
            format!("tmp-dir {}", self.tmp_dir),
            format!("management {} unix", self.management),
        ];
        fixed.into_iter().chain(self.dev_node.iter().map(|node| format!("dev-node {node}")))
    }
}

fn sayable(what: &'static str, text: &str, most: usize) -> Result<String, Unsayable> {
    let written = word(text).map_err(|why| Unsayable::Word(what, why))?;
    if text.is_empty() || text.len() > most || written.len() > most + 2 {
        return Err(Unsayable::Length(what));
    }
    Ok(written)
}

/// A name and a password as they stand between tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InlineLogin(Secret<String>);

impl InlineLogin {
    fn new(login: &Login) -> Result<Self, Unsayable> {
        let Login { username, password } = login;
        let fits = |text: &str| {
            (1..=LOGIN_MAX).contains(&text.len())
                && !text.chars().any(char::is_control)
                && !ends_a_block(text)
        };
        if !fits(username) || !fits(password.expose()) {
            return Err(Unsayable::Login);
        }
        let mut block = String::with_capacity(username.len() + password.expose().len() + 64);
        let lines = ["<", TAG, ">\n", username, "\n", password.expose(), "\n</", TAG, ">\n"];
        block.extend(lines);
        Ok(Self(Secret::new(block)))
    }

    /// With its tags.
    pub fn block(&self) -> &Secret<String> {
        &self.0
    }
}

/// Whether openvpn, which reads a block's long lines in pieces, would take one for the end tag.
fn ends_a_block(text: &str) -> bool {
    let end_tag = format!("</{TAG}>");
    text.as_bytes()
        .chunks(CHUNK)
        .any(|piece| piece.trim_ascii_start().starts_with(end_tag.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(password: &str) -> Login {
        Login { username: "u".to_owned(), password: Secret::new(password.to_owned()) }
    }

    #[test]
    fn a_password_cannot_end_its_block() {
        let supervision = Supervision::new("/run/m.sock", "tun0", "/tmp").unwrap();
        let hidden = format!("{}</auth-user-pass>", "x".repeat(255));
        for bad in ["", "a\nb", "a\0", "</auth-user-pass>", " </auth-user-pass>x", &hidden] {
            assert_eq!(
                supervision.clone().with_login(&login(bad)),
                Err(Unsayable::Login),
                "{bad:?}"
            );
        }
        let long = format!("{}</auth-user-pass>", "x".repeat(500));
        assert!(supervision.clone().with_login(&login(&long)).is_ok());
        assert_eq!(supervision.with_login(&login(&"x".repeat(4096))), Err(Unsayable::Login));
    }

    #[test]
    fn paths_are_what_openvpn_can_read() {
        for (socket, device, dir) in [
            ("", "tun0", "/tmp"),
            ("/a\nb", "tun0", "/tmp"),
            ("/m", "", "/tmp"),
            ("/m", "a-name-too-long-for-it", "/tmp"),
            ("/m", "tun0", ""),
            (&"/x".repeat(54), "tun0", "/tmp"),
        ] {
            assert!(
                Supervision::new(socket, device, dir).is_err(),
                "{socket:?} {device:?} {dir:?}"
            );
        }
    }
}
