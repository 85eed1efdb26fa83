//! What openvpn is told.

use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::openvpn::quoting::{Unquotable, quote};
use crate::secret::Secret;

/// A command. openvpn answers each with one `SUCCESS` or `ERROR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Tell of every new state.
    FollowState,
    /// Tell of every line of the log.
    FollowLog,
    /// Tell of every line that config or server echo.
    FollowEcho,
    /// Tell of the bytes every so many seconds.
    ByteCount {
        /// 0 is never.
        interval_s: u32,
    },
    /// Go on.
    HoldRelease,
    /// A name that was asked for.
    Username {
        /// As in [`super::Need::kind`].
        kind: String,
        /// openvpn writes it into its log.
        value: String,
    },
    /// A password that was asked for.
    Password {
        /// As in [`super::Need::kind`].
        kind: String,
        /// Of at most 256 bytes.
        value: Secret<String>,
    },
    /// Where to connect to, which was asked for.
    Remote(RemoteAnswer),
    /// The answer to a question that waits for it: [`super::InfoMessage::Challenge`].
    ChallengeAnswer(Secret<String>),
    /// As if the process had been sent this signal.
    Signal(Signal),
}

/// Where to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAnswer {
    /// There.
    Accept,
    /// Not there: to the next one, which is asked for anew.
    Skip,
    /// To this address of it.
    Use {
        /// Its address.
        address: IpAddr,
        /// Its port.
        port: NonZeroU16,
    },
}

/// A signal that openvpn understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Reads its config again.
    Hup,
    /// Connects again.
    Usr1,
    /// Ends; says goodbye to the server if it was told to.
    Term,
}

/// Writes a command as one line, with its end. A text that openvpn would read differently is
/// refused.
pub fn encode(command: &Command) -> Result<Secret<String>, Unquotable> {
    let line = match command {
        Command::FollowState => "state on\n".to_owned(),
        Command::FollowLog => "log on\n".to_owned(),
        Command::FollowEcho => "echo on\n".to_owned(),
        Command::ByteCount { interval_s } => format!("bytecount {interval_s}\n"),
        Command::HoldRelease => "hold release\n".to_owned(),
        Command::Username { kind, value } => {
            return joined(&["username", &quote(kind)?, &quote(value)?]);
        }
        Command::Password { kind, value } => {
            let value = Secret::new(quote(value.expose())?);
            return joined(&["password", &quote(kind)?, value.expose()]);
        }
        Command::Remote(RemoteAnswer::Accept) => "remote ACCEPT\n".to_owned(),
        Command::Remote(RemoteAnswer::Skip) => "remote SKIP\n".to_owned(),
        Command::Remote(RemoteAnswer::Use { address, port }) => {
            format!("remote MOD {address} {port}\n")
        }
        Command::ChallengeAnswer(answer) => {
            let answer = super::answer::encoded(answer);
            let answer = Secret::new(quote(answer.expose())?);
            return joined(&["cr-response", answer.expose()]);
        }
        Command::Signal(Signal::Hup) => "signal SIGHUP\n".to_owned(),
        Command::Signal(Signal::Usr1) => "signal SIGUSR1\n".to_owned(),
        Command::Signal(Signal::Term) => "signal SIGTERM\n".to_owned(),
    };
    Ok(Secret::new(line))
}

/// Room is made at once: a buffer that grows leaves copies of a secret behind.
fn joined(words: &[&str]) -> Result<Secret<String>, Unquotable> {
    let mut line = String::with_capacity(words.iter().map(|word| word.len() + 1).sum());
    for (word, number) in words.iter().zip(1..) {
        line.push_str(word);
        line.push(if number == words.len() { '\n' } else { ' ' });
    }
    // openvpn reads a line into 1024 bytes, one of them for the NUL.
    if line.len() > 1023 {
        return Err(Unquotable::TooLong);
    }
    Ok(Secret::new(line))
}
