//! Who is at the other end of a connection.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use egress_core::catalog::Provider;

use super::calls::Call;
use super::roles::{Providers, Role, Standing};
use crate::config::CertificateName;

/// Who is at the other end of a connection, and what it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub identity: Identity,
    /// What it may be.
    pub standing: Standing,
}

/// Who somebody is, proven when they connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A process on this host, by the kernel's word.
    Process {
        /// Its number.
        pid: i32,
        /// Its user.
        uid: u32,
    },
    /// Somebody elsewhere who has a certificate's key.
    Certificate {
        /// The certificate's names.
        names: BTreeSet<CertificateName>,
        /// Its SHA-256, in hexadecimal.
        fingerprint: String,
        /// Where they connected from.
        peer: SocketAddr,
    },
}

impl Caller {
    /// Whether one of its roles may make this call.
    pub fn may(&self, call: Call) -> bool {
        self.standing.roles.iter().any(|role| role.may(call))
    }

    /// Whether it may make this call on this provider: a plugin may on its own.
    pub fn may_on(&self, call: Call, provider: &Provider) -> bool {
        self.standing.roles.iter().filter(|role| role.may(call)).any(|role| match role {
            Role::Launcher | Role::Ops | Role::Admin => true,
            Role::Plugin => self.standing.providers.cover(provider),
        })
    }

    /// Whether it may make this call on each provider there is or might be.
    pub fn may_on_every(&self, call: Call) -> bool {
        let every = self.standing.providers == Providers::Every;
        self.standing.roles.iter().any(|role| role.may(call) && (*role != Role::Plugin || every))
    }

    /// Its roles as the audit log and refusals name them.
    pub fn role_names(&self) -> String {
        let names: Vec<_> = self.standing.roles.iter().map(|role| role.as_str()).collect();
        names.join("+")
    }
}

impl Identity {
    /// The process, of one on this host.
    pub fn pid(&self) -> Option<i32> {
        match self {
            Self::Process { pid, .. } => Some(*pid),
            Self::Certificate { .. } => None,
        }
    }

    /// The user, of a process on this host.
    pub fn uid(&self) -> Option<u32> {
        match self {
            Self::Process { uid, .. } => Some(*uid),
            Self::Certificate { .. } => None,
        }
    }

    /// The certificate's names, of somebody elsewhere.
    pub fn certificate(&self) -> Option<String> {
        match self {
            Self::Process { .. } => None,
            Self::Certificate { names, .. } => Some(listed(names)),
        }
    }

    /// The certificate's SHA-256, of somebody elsewhere.
    pub fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::Process { .. } => None,
            Self::Certificate { fingerprint, .. } => Some(fingerprint),
        }
    }

    /// The address, of somebody elsewhere.
    pub fn peer(&self) -> Option<String> {
        match self {
            Self::Process { .. } => None,
            Self::Certificate { peer, .. } => Some(peer.to_string()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { uid, .. } => write!(f, "uid {uid}"),
            Self::Certificate { names, fingerprint, .. } if names.is_empty() => {
                write!(f, "certificate {fingerprint}, which has no name")
            }
            Self::Certificate { names, .. } => write!(f, "certificate {}", listed(names)),
        }
    }
}

fn listed(names: &BTreeSet<CertificateName>) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}
