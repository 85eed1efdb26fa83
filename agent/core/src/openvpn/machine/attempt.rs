//! What has been seen of one try to connect, and what it says about why it failed.

use std::time::{Duration, Instant};

use crate::api::{Code, Reason};
use crate::openvpn::management::{Rejection, StateName};
use crate::openvpn::pushed::PushReply;
use crate::openvpn::remote::Protocol;
use crate::openvpn::supervision::Address;

/// The most characters of somebody else's words in a reason.
const WORDS_MAX: usize = 200;
/// How the state calls that openvpn did not take what the server sent.
const PUSH_FAILED: &str = "process-push-msg-failed";
/// Datagrams that come back as refused until nobody is believed to be there.
const REFUSED: u32 = 2;
/// Within so long.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// Nothing was heard of the server.
    Nothing,
    /// TCP connected.
    Reached,
    /// TLS has begun.
    Tls,
    /// TLS stands, and the server knows who we are.
    Known,
    Connected,
}

/// One try to connect to one address.
#[derive(Debug)]
pub(super) struct Attempt {
    address: Address,
    progress: Progress,
    pub reply: PushReply,
    /// Datagrams that came back as refused, and when the first of them did.
    refused: Option<(u32, Instant)>,
    /// What is wrong with a certificate.
    verify: Option<String>,
    /// What else openvpn said about TLS.
    tls: Option<String>,
    fatal: Option<String>,
    /// Why openvpn does not take what the server sends.
    push: Option<String>,
    /// What the server said at its end.
    notice: Option<String>,
    /// The server does not take the password, and what it says about it.
    rejected: Option<Rejection>,
    /// It may take the password later.
    denial: Option<String>,
    /// The same server is to be tried again at once, with another answer.
    repeated: bool,
    /// How the state says that it ended.
    ended: Option<String>,
}

impl Attempt {
    pub fn new(address: Address) -> Self {
        Self {
            address,
            progress: Progress::Nothing,
            reply: PushReply::default(),
            refused: None,
            verify: None,
            tls: None,
            fatal: None,
            push: None,
            notice: None,
            rejected: None,
            denial: None,
            repeated: false,
            ended: None,
        }
    }

    pub fn address(&self) -> Address {
        self.address
    }

    /// A new state.
    pub fn take_state(&mut self, name: &StateName, detail: &str) {
        let progress = match name {
            StateName::Wait if self.is_tcp() => Progress::Reached,
            StateName::Auth => Progress::Tls,
            StateName::AuthPending | StateName::GetConfig => Progress::Known,
            StateName::Connected => Progress::Connected,
            StateName::Reconnecting | StateName::Exiting => {
                self.ended = Some(detail.to_owned());
                return;
            }
            StateName::Connecting
            | StateName::Resolve
            | StateName::TcpConnect
            | StateName::Wait
            | StateName::AssignIp
            | StateName::AddRoutes
            | StateName::Other(_) => return,
        };
        self.progress = self.progress.max(progress);
    }

    /// Takes a line of the log. Whether it says, not for the first time, that nobody is there.
    pub fn take_log(&mut self, text: &str, now: Instant) -> bool {
        self.reply.add(text);
        if let Some(why) = verification_error(text) {
            self.verify = Some(why);
        } else if text.starts_with("TLS Error:") || text.starts_with("OpenSSL:") {
            self.tls.get_or_insert_with(|| shortened(text));
        } else if let Some(why) = text.strip_prefix("OPTIONS ERROR: ") {
            self.push = Some(shortened(why));
        } else if let Some(why) = text.strip_prefix("Options error: ") {
            self.push.get_or_insert_with(|| shortened(why));
        }
        text.contains("[ECONNREFUSED]") && self.take_refused(now)
    }

    fn take_refused(&mut self, now: Instant) -> bool {
        let recent = self.refused.filter(|(_, since)| now.duration_since(*since) < REFUSED_WITHIN);
        let (count, since) = recent.unwrap_or((0, now));
        self.refused = Some((count + 1, since));
        count + 1 == REFUSED
    }

    pub fn take_fatal(&mut self, text: &str) {
        self.fatal = Some(shortened(text));
    }

    pub fn take_notice(&mut self, text: &str) {
        self.notice = Some(shortened(text));
    }

    pub fn take_rejected(&mut self, why: Rejection) {
        self.progress = self.progress.max(Progress::Known);
        self.rejected = Some(why);
    }

    pub fn take_denial(&mut self, text: &str) {
        self.denial = Some(shortened(text));
    }

    /// What the server said about the password, once, if it does not take it.
    pub fn take_rejection(&mut self) -> Option<Rejection> {
        self.rejected.take()
    }

    pub fn repeat(&mut self) {
        self.repeated = true;
    }

    pub fn is_to_be_repeated(&self) -> bool {
        self.repeated
    }

    pub fn is_silent(&self) -> bool {
        self.progress == Progress::Nothing
    }

    pub fn is_known(&self) -> bool {
        self.progress >= Progress::Known
    }

    /// The server has sent what openvpn drops.
    pub fn take_dropped(&mut self, why: String) {
        self.push = Some(why);
        self.ended.get_or_insert_with(|| PUSH_FAILED.to_owned());
    }

    /// Whether a certificate is not what it has to be: to be tried again only when somebody has
    /// changed something. `flaws` is what is known to be wrong with the config's.
    pub fn is_certificate_wrong(&self, flaws: Option<&str>) -> bool {
        self.verify.is_some() || (flaws.is_some() && self.has_tls_failed())
    }

    /// Whether it fails where certificates count: openvpn does not load one, or TLS does not come
    /// to its end.
    fn has_tls_failed(&self) -> bool {
        let is_unloaded = self.tls.as_ref().is_some_and(|words| words.starts_with("OpenSSL:"));
        self.progress < Progress::Known && (is_unloaded || self.progress == Progress::Tls)
    }

    /// Whether openvpn has said how it ends.
    pub fn said_why(&self) -> bool {
        self.ended.is_some() || self.fatal.is_some()
    }

    /// Whether the server has had a session of this attempt and knows that it is over, by its own
    /// words or ours.
    pub fn is_server_told(&self) -> bool {
        let by_words = ["exit-with-notification", "server-pushed-halt", "remote-exit"];
        let told = |ended: &String| self.is_tcp() || by_words.contains(&ended.as_str());
        self.progress == Progress::Connected && self.ended.as_ref().is_some_and(told)
    }

    fn is_tcp(&self) -> bool {
        self.address.transport.protocol == Protocol::Tcp
    }

    /// Why it is not connected, as far as can be told.
    pub fn why(&self, flaws: Option<&str>) -> Reason {
        let (code, detail) = self.told(flaws);
        Reason { code, detail }
    }

    fn told(&self, flaws: Option<&str>) -> (Code, String) {
        let server = self.server();
        if let Some(flaws) = flaws.filter(|_| self.has_tls_failed()) {
            return (Code::TlsFailed, format!("TLS with {server} failed: {flaws}"));
        }
        if let Some(fatal) = &self.fatal {
            return (Code::OpenvpnFailed, format!("openvpn: {fatal}"));
        }
        if let Some(verify) = &self.verify {
            return (Code::TlsFailed, format!("the certificate of {server} is refused: {verify}"));
        }
        if let Some(denial) = &self.denial {
            return (Code::AuthFailed, format!("{server} takes no password now: {denial}"));
        }
        let ended = self.ended.as_deref().unwrap_or_default();
        if ended.starts_with("server-pushed") || ended == "remote-exit" {
            let words = self.notice.as_deref().unwrap_or("without a reason");
            return (Code::ServerPushedExit, format!("{server} ended the session: {words}"));
        }
        if ended == PUSH_FAILED {
            let words = self.push.as_deref().unwrap_or("it does not say why");
            let detail = format!("openvpn does not take what {server} sends: {words}");
            return (Code::PushRefused, detail);
        }
        match self.progress {
            Progress::Nothing if self.refused.is_some() || ended == "connection-failed" => {
                (Code::EndpointUnreachable, format!("{server} takes no connection"))
            }
            Progress::Nothing => (
                Code::EndpointUnreachable,
                format!(
                    "no answer from {server}; a wrong tls-auth or tls-crypt key looks the same"
                ),
            ),
            Progress::Reached => (
                Code::TlsFailed,
                format!("{server} does not begin TLS: its tls-auth or tls-crypt key may differ"),
            ),
            Progress::Tls => {
                let words = self.tls.as_deref().unwrap_or("the handshake does not end");
                (Code::TlsFailed, format!("TLS with {server} failed: {words}"))
            }
            Progress::Known => (Code::HandshakeTimeout, format!("{server} gives no addresses")),
            Progress::Connected if self.refused.is_some() => {
                (Code::TunnelDown, format!("{server} takes no packets any more"))
            }
            Progress::Connected => (Code::TunnelDown, lost(&server, ended)),
        }
    }

    fn server(&self) -> String {
        let Address { ip, port, transport } = self.address;
        format!("{} over {transport}", std::net::SocketAddr::new(ip, port.get()))
    }
}

fn lost(server: &str, ended: &str) -> String {
    match ended {
        "ping-restart" | "ping-exit" => format!("{server} stopped answering"),
        "connection-reset" => format!("{server} closed the connection"),
        "" => format!("openvpn ended while it was connected to {server}"),
        other => format!("the connection to {server} ended: {}", shortened(other)),
    }
}

/// What a `VERIFY` line says is wrong, without the server's own words about itself.
fn verification_error(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix("VERIFY ERROR: ") {
        let why = rest.split_once("error=").map_or(rest, |(_, why)| why);
        return Some(shortened(why));
    }
    let wrong = text.strip_prefix("VERIFY ").filter(|rest| rest.contains("ERROR"))?;
    Some(shortened(wrong))
}

/// Somebody else's words, of bounded length.
pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}
