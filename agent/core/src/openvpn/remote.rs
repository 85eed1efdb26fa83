//! Where a gateway's servers are: `remote`, `<connection>`, `proto` and `port`.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::directive::{self, Rule};
use super::lexer::{Block, Statement, TEXT_MAX, statements_within};
use super::taken::{self, Refusal, Taken, Verdict};
use crate::fault::{Finding, Report};
use crate::wireguard::{Host, host};

/// The most remotes that a config may have.
pub const REMOTES_MAX: usize = 256;
/// The most bytes behind `remote`.
const WRITTEN_MAX: usize = TEXT_MAX - "remote ".len();
/// Where servers listen if nothing else is said.
const PORT: NonZeroU16 = NonZeroU16::new(1194).expect("not zero");

/// One server, or one way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its address or name.
    pub host: Host,
    /// Its port.
    pub port: NonZeroU16,
    /// How it is reached.
    pub transport: Transport,
}

/// What carries a tunnel's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// UDP or TCP.
    pub protocol: Protocol,
    /// The only kind of address that may be used, if there is only one.
    pub family: Option<Family>,
}

/// UDP or TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Better in every way but one.
    Udp,
    /// Gets through where UDP does not.
    Tcp,
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Transport {
    /// Reads what `proto` and `remote` call it.
    pub(super) fn named(text: &str) -> Option<Self> {
        let (name, protocol) = match text.strip_prefix("tcp") {
            Some(rest) => (rest.strip_suffix("-client").unwrap_or(rest), Protocol::Tcp),
            None => (text.strip_prefix("udp")?, Protocol::Udp),
        };
        let family = match name {
            "" => None,
            "4" => Some(Family::V4),
            "6" => Some(Family::V6),
            _ => return None,
        };
        Some(Self { protocol, family })
    }

    /// Whether it goes to this address, which may be an answer to a remote's name.
    pub fn goes_to(self, ip: IpAddr) -> bool {
        match self.family {
            None => true,
            Some(Family::V4) => ip.is_ipv4(),
            Some(Family::V6) => ip.is_ipv6(),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            None => "",
            Some(Family::V4) => "4",
            Some(Family::V6) => "6",
        };
        match self.protocol {
            Protocol::Udp => write!(f, "udp{family}"),
            Protocol::Tcp => write!(f, "tcp{family}-client"),
        }
    }
}

impl fmt::Display for Remote {
    /// As `remote` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => write!(f, "{ip} {} {}", self.port, self.transport),
            Host::Name(name) => write!(f, "{name} {} {}", self.port, self.transport),
        }
    }
}

/// A `remote` before it is known what holds where it says nothing.
struct Draft {
    line: u32,
    host: Host,
    port: Option<NonZeroU16>,
    transport: Option<Transport>,
}

/// The remotes of a config while it is read.
#[derive(Default)]
pub(super) struct Remotes {
    plain: Vec<Draft>,
    /// Those of `<connection>`: where there are any, openvpn does not look at the others.
    blocks: Vec<(u32, Remote)>,
    transport: Option<Transport>,
    port: Option<NonZeroU16>,
}

impl Remotes {
    /// Takes a `remote`.
    pub fn take(&mut self, statement: &Statement<'_>) -> Verdict {
        self.plain.push(draft(statement)?);
        Ok(Taken::Kept)
    }

    /// Takes a `proto`.
    pub fn take_transport(&mut self, parameters: &[String]) -> Verdict {
        self.transport = Some(transport(one(parameters)?)?);
        Ok(Taken::Kept)
    }

    /// Takes a `port`.
    pub fn take_port(&mut self, parameters: &[String]) -> Verdict {
        self.port = Some(port(one(parameters)?)?);
        Ok(Taken::Kept)
    }

    /// Takes a `<connection>`. What it does not say is what has been said so far.
    pub fn take_block(&mut self, block: Block<'_>, opened: u32, report: &mut Report) -> Verdict {
        let mut inner = Self { transport: self.transport, port: self.port, ..Self::default() };
        for statement in statements_within(block, report) {
            if let Some(finding) = taken::finding(&inner.take_inner(&statement), statement.line) {
                report.push(finding.about("connection"));
            }
        }
        let Some(draft) = inner.plain.pop() else {
            return Err(Refusal::at(opened, "a connection needs a remote"));
        };
        if !inner.plain.is_empty() {
            return Err(Refusal::at(draft.line, "a connection has one remote only"));
        }
        self.blocks.push((draft.line, inner.complete(draft)));
        Ok(Taken::Kept)
    }

    fn take_inner(&mut self, statement: &Statement<'_>) -> Verdict {
        match statement.name.as_str() {
            "remote" => self.take(statement),
            "proto" => self.take_transport(&statement.parameters),
            "port" | "rport" => self.take_port(&statement.parameters),
            name => match directive::find(name) {
                Some((_, Rule::Drop(why))) => Ok(Taken::Dropped(why.to_owned())),
                Some((_, Rule::Miss(why))) => Ok(Taken::Missed(why.to_owned())),
                Some((_, Rule::Pass(_) | Rule::Read(_) | Rule::Hook | Rule::Refuse(_))) | None => {
                    Err(Refusal::from("inside it only remote, proto and port are supported"))
                }
            },
        }
    }

    /// All of them; a missing or wrong one is a fault.
    pub fn finish(mut self, report: &mut Report) -> Vec<Remote> {
        let mut remotes = std::mem::take(&mut self.blocks);
        let plain = std::mem::take(&mut self.plain);
        if remotes.is_empty() {
            remotes = plain.into_iter().map(|draft| (draft.line, self.complete(draft))).collect();
        } else {
            let ignored = "left out: openvpn ignores it beside <connection>";
            for draft in plain {
                report.push(Finding::note(ignored).at_line(draft.line).about("remote"));
            }
        }
        check(&remotes, report);
        remotes.into_iter().map(|(_, remote)| remote).collect()
    }

    fn complete(&self, draft: Draft) -> Remote {
        let plain_udp = Transport { protocol: Protocol::Udp, family: None };
        Remote {
            host: draft.host,
            port: draft.port.or(self.port).unwrap_or(PORT),
            transport: draft.transport.or(self.transport).unwrap_or(plain_udp),
        }
    }
}

fn check(remotes: &[(u32, Remote)], report: &mut Report) {
    if remotes.is_empty() {
        report.push(Finding::fault("there is no remote: a gateway needs a server").about("remote"));
    }
    if remotes.len() > REMOTES_MAX {
        let message = format!("{} of them: a config has at most {REMOTES_MAX}", remotes.len());
        report.push(Finding::fault(message).about("remote"));
    }
    for (line, remote) in remotes {
        let Remote { host, transport, .. } = remote;
        if remote.to_string().len() > WRITTEN_MAX {
            let message = "the name is too long for openvpn to read beside port and protocol";
            report.push(Finding::fault(message).at_line(*line).about("remote"));
        }
        if matches!(host, Host::Ip(ip) if !transport.goes_to(*ip)) {
            let message = format!("{transport} does not go to such an address");
            report.push(Finding::fault(message).at_line(*line).about("remote"));
        }
    }
}

fn draft(statement: &Statement<'_>) -> Result<Draft, Refusal> {
    let (name, port_text, transport_text) = match statement.parameters.as_slice() {
        [name] => (name, None, None),
        [name, port] => (name, Some(port), None),
        [name, port, transport] => (name, Some(port), Some(transport)),
        _ => return Err(Refusal::from("expected a host, then maybe a port and a protocol")),
    };
    Ok(Draft {
        line: statement.line,
        host: host(name)?,
        port: port_text.map(|text| port(text)).transpose()?,
        transport: transport_text.map(|text| transport(text)).transpose()?,
    })
}

fn one(parameters: &[String]) -> Result<&str, Refusal> {
    match parameters {
        [parameter] => Ok(parameter),
        _ => Err(Refusal::from("expected one parameter")),
    }
}

fn port(text: &str) -> Result<NonZeroU16, Refusal> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or(Refusal::from("expected a port from 1 to 65535"))
}

fn transport(text: &str) -> Result<Transport, Refusal> {
    Transport::named(text).ok_or(Refusal::from("expected udp or tcp, maybe with 4 or 6 behind it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_have_openvpns_names() {
        for (text, written) in [
            ("udp", "udp"),
            ("udp6", "udp6"),
            ("tcp", "tcp-client"),
            ("tcp-client", "tcp-client"),
            ("tcp4", "tcp4-client"),
            ("tcp6-client", "tcp6-client"),
        ] {
            assert_eq!(Transport::named(text).map(|t| t.to_string()).as_deref(), Some(written));
        }
        for text in ["", "tcp-server", "TCP", "udp-client", "udp5", "tcp46", "quic"] {
            assert_eq!(Transport::named(text), None, "{text:?}");
        }
    }
}
