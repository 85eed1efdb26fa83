//! What openvpn says.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use crate::openvpn::remote::Transport;
use crate::secret::Secret;

/// One thing that openvpn said. Texts have no control characters; what may be or hold a secret is
/// a [`Secret`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The greeting, with the version of the interface in it.
    Info(String),
    /// It waits for a hold release, and suggests to give it after so many seconds.
    Hold {
        /// 0 at the start.
        wait_s: u32,
    },
    /// It wants a password.
    Need(Need),
    /// A password was wrong.
    Rejected {
        /// Which one, as in [`Need::kind`].
        kind: String,
        /// What the server says about it.
        why: Option<Rejection>,
    },
    /// What the server wants to hear in place of the password from now on.
    AuthToken(Secret<String>),
    /// It is in a new state.
    State(State),
    /// Bytes of the transport since the process was started.
    ByteCount {
        /// From the server.
        received: u64,
        /// To the server.
        sent: u64,
    },
    /// A line of its log.
    Log(Entry),
    /// A line for whoever supervises it, from the config or the server.
    Echo(Entry),
    /// Its last words.
    Fatal(String),
    /// The tunnel's device is open, and these are its addresses, routes and resolvers.
    Up(Environment),
    /// The tunnel's device is about to be closed.
    Down(Environment),
    /// It wants to know where to connect to.
    RemoteQuery {
        /// As in the config.
        host: String,
        /// As in the config.
        port: NonZeroU16,
        /// As in the config.
        transport: Transport,
    },
    /// It wants to know which proxy to use. The rest of the question is left out.
    ProxyQuery,
    /// It wants something signed by a key that it has not got.
    SignQuery,
    /// It wants a certificate.
    CertificateQuery,
    /// It wants a person to do something, such as to insert a token.
    NeedOk {
        /// To be repeated in the answer.
        name: String,
        /// For the person.
        text: String,
    },
    /// It wants a text.
    NeedText {
        /// To be repeated in the answer.
        name: String,
        /// For the person.
        text: String,
    },
    /// A message from the server.
    InfoMessage(InfoMessage),
    /// The server ends or moves the session.
    Notify {
        /// `info`
        severity: String,
        /// `server-pushed-connection-reset`, `server-pushed-halt`, `remote-exit`
        kind: String,
        /// The server's words.
        text: String,
    },
    /// A command was taken; with a value where it asks for one.
    Success(String),
    /// A command was not taken. The text may repeat the command, password and all.
    Error(Secret<String>),
    /// A listing is at its end.
    End,
    /// A line of a listing.
    Text(String),
    /// It wants the password of the interface itself.
    PasswordPrompt,
    /// A kind of message that is not known; what it says may be a secret.
    Unknown {
        /// The word behind `>`.
        source: String,
    },
    /// A known kind of message that cannot be read.
    Malformed {
        /// The word behind `>`.
        source: String,
    },
    /// A line longer than [`super::LINE_MAX`], which was skipped.
    TooLong,
}

/// What openvpn wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// `Auth`, `Private Key`, `HTTP Proxy`: to be repeated in the answer.
    pub kind: String,
    /// Name, password or both.
    pub wanted: Wanted,
    /// The question of `static-challenge`, to be answered with the password.
    pub challenge: Option<Challenge>,
}

/// Name, password or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Both.
    UsernameAndPassword,
    /// The name only, which openvpn asks for since 2.7.
    Username,
    /// The password only.
    Password,
}

/// A question that the config asks beside the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The answer may be seen while it is typed.
    pub echo: bool,
    /// The answer follows the password as it is, not as [`super::static_answer`] makes it.
    pub joined: bool,
    /// To be shown to the user.
    pub text: String,
}

/// Why a password was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It was right, and the server asks something more.
    Challenge(DynamicChallenge),
    /// The server cannot tell now.
    Temporary(String),
    /// The server's words.
    Text(String),
}

/// A question that the server asks after the password, to be answered at the next connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicChallenge {
    /// An answer is expected.
    pub answer_expected: bool,
    /// The answer may be seen while it is typed.
    pub echo: bool,
    /// To be repeated in the answer: it stands for the password.
    pub state: Secret<String>,
    /// The name to answer with.
    pub username: String,
    /// To be shown to the user.
    pub text: String,
}

/// A state of openvpn's, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Seconds since 1970 when it was entered.
    pub since: u64,
    /// Which one.
    pub name: StateName,
    /// Why, or how it ended: `SUCCESS`, `auth-failure`, `tls-error`.
    pub detail: String,
    /// The tunnel's own address.
    pub tunnel_v4: Option<Ipv4Addr>,
    /// The tunnel's own address.
    pub tunnel_v6: Option<Ipv6Addr>,
    /// The server's address.
    pub remote: Option<IpAddr>,
    /// The server's port.
    pub remote_port: Option<u16>,
}

/// openvpn's states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateName {
    /// `CONNECTING`
    Connecting,
    /// `RESOLVE`: it looks a name up, and hears nothing meanwhile.
    Resolve,
    /// `TCP_CONNECT`
    TcpConnect,
    /// `WAIT`: for the server's first packet.
    Wait,
    /// `AUTH`: TLS has begun.
    Auth,
    /// `AUTH_PENDING`: the server waits for a person.
    AuthPending,
    /// `GET_CONFIG`: it asks for addresses and routes.
    GetConfig,
    /// `ASSIGN_IP`
    AssignIp,
    /// `ADD_ROUTES`
    AddRoutes,
    /// `CONNECTED`
    Connected,
    /// `RECONNECTING`
    Reconnecting,
    /// `EXITING`
    Exiting,
    /// One that is not known.
    Other(String),
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Seconds since 1970.
    pub time: u64,
    /// `I`nformation, `F`atal, `N`on-fatal error, `W`arning, `D`ebug; may be empty.
    pub flags: String,
    /// What it says.
    pub text: String,
}

/// What openvpn would tell a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(pub(super) BTreeMap<String, String>);

/// A message from the server to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfoMessage {
    /// A question that waits for its answer now: `CR_TEXT`.
    Challenge {
        /// An answer is expected.
        answer_expected: bool,
        /// The answer may be seen while it is typed.
        echo: bool,
        /// To be shown to the user.
        text: String,
    },
    /// A page to be opened: `WEB_AUTH`, `OPEN_URL`. Its address admits whoever has it.
    Page(Secret<String>),
    /// Something else.
    Other(String),
}

impl Environment {
    /// A variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl StateName {
    pub(super) fn named(text: &str) -> Self {
        match text {
            "CONNECTING" => Self::Connecting,
            "RESOLVE" => Self::Resolve,
            "TCP_CONNECT" => Self::TcpConnect,
            "WAIT" => Self::Wait,
            "AUTH" => Self::Auth,
            "AUTH_PENDING" => Self::AuthPending,
            "GET_CONFIG" => Self::GetConfig,
            "ASSIGN_IP" => Self::AssignIp,
            "ADD_ROUTES" => Self::AddRoutes,
            "CONNECTED" => Self::Connected,
            "RECONNECTING" => Self::Reconnecting,
            "EXITING" => Self::Exiting,
            other => Self::Other(other.to_owned()),
        }
    }
}
