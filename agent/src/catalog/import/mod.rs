//! Providers' files, wg-quick and `.ovpn`, as `check` and `import` read them, and the apply
//! documents that they become.

mod archive;
mod entries;
mod existing;
mod found;
pub mod kind;
mod many;
mod openvpn;
mod place;
mod source;
#[cfg(test)]
mod tests;
mod wireguard;

use egress_core::catalog::{Document, Owner, ProviderType};
use egress_core::fault::{Checked, Faults, Finding};
use egress_core::openvpn::{Accepted, Login};
use egress_core::secret::Secret;
use egress_core::wireguard::Rules;

pub use self::existing::Existing;
pub use self::found::{Found, find};
use self::kind::{Kind, kind};
pub use self::many::{Batch, Refused, Target};
use self::openvpn::OpenvpnFile;
pub use self::place::{Place, place};
pub use self::source::{OnDisk, Source};
use self::wireguard::WireguardFile;

/// How a file is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Who may use it.
    pub owner: Owner,
    /// Whether a config without a default route is taken, and what becomes of its commands.
    pub rules: Rules,
}

/// A provider's file that is fit to be imported.
#[derive(Debug)]
pub enum ProviderFile {
    /// A wg-quick file.
    Wireguard(Box<WireguardFile>),
    /// An `.ovpn` file.
    Openvpn(OpenvpnFile),
}

/// What there is to say about a file.
pub struct Reading {
    /// The lines of an `.ovpn` file that mean something to the tunnel.
    pub accepted: Vec<Accepted>,
    /// The file, or why it cannot be imported.
    pub outcome: Checked<ProviderFile>,
}

/// Reads a provider's file. What `check` finds good, `import` takes.
pub fn read(source: &dyn Source, rules: Rules) -> Reading {
    let text = match source.text() {
        Ok(text) => text,
        Err(why) => {
            let faults = Faults(vec![Finding::fault(why).in_file(source.name())]);
            return Reading { accepted: Vec::new(), outcome: Err(faults) };
        }
    };
    let (accepted, outcome) = match kind(text.expose(), source.ending()) {
        Some(Kind::Openvpn) => {
            let (accepted, outcome) = openvpn::read(source, &text, rules.on_hooks);
            (accepted, outcome.map(|(file, found)| (ProviderFile::Openvpn(file), found)))
        }
        Some(Kind::Wireguard) | None => {
            let outcome = wireguard::read(text, rules);
            let outcome =
                outcome.map(|(file, found)| (ProviderFile::Wireguard(Box::new(file)), found));
            (Vec::new(), outcome)
        }
    };
    Reading { accepted, outcome: in_file(outcome, &source.name()) }
}

fn in_file<T>(outcome: Checked<T>, file: &str) -> Checked<T> {
    let here = |found: Vec<Finding>| found.into_iter().map(|it| it.in_file(file)).collect();
    match outcome {
        Ok((value, found)) => Ok((value, here(found))),
        Err(Faults(found)) => Err(Faults(here(found))),
    }
}

impl ProviderFile {
    /// The login that stands in it.
    pub fn login(&mut self) -> Option<Login> {
        match self {
            Self::Wireguard(_) => None,
            Self::Openvpn(file) => file.login.take(),
        }
    }

    /// Whether its server wants a login.
    pub fn needs_login(&self) -> bool {
        match self {
            Self::Wireguard(_) => false,
            Self::Openvpn(file) => file.needs_login,
        }
    }

    /// The kind of its gateway's provider.
    pub fn kind(&self) -> ProviderType {
        match self {
            Self::Wireguard(_) => ProviderType::Wireguard,
            Self::Openvpn(_) => ProviderType::Openvpn,
        }
    }

    /// Where its servers are, as the agent shows a gateway's.
    pub fn endpoints(&self) -> Vec<String> {
        match self {
            Self::Wireguard(file) => file.endpoints(),
            Self::Openvpn(file) => file.remotes.clone(),
        }
    }

    fn wireguard(&self) -> Option<&WireguardFile> {
        match self {
            Self::Wireguard(file) => Some(file),
            Self::Openvpn(_) => None,
        }
    }

    /// The gateway's text; with `keeps_preshared_keys` those are in it.
    fn gateway_text(&self, keeps_preshared_keys: bool) -> String {
        match self {
            Self::Wireguard(file) => file.gateway_text(keeps_preshared_keys),
            Self::Openvpn(file) => file.gateway_text(),
        }
    }

    /// What it holds, in words.
    pub fn summary(&self) -> String {
        let (count, what) = match self {
            Self::Wireguard(file) => (file.peers(), "peer"),
            Self::Openvpn(file) => (file.remotes.len(), "remote"),
        };
        format!("{count} {what}{}", if count == 1 { "" } else { "s" })
    }

    /// A provider, a gateway, a mapping and a credential of this name. Where its server wants no
    /// login that is empty.
    pub fn document(&self, name: &str, login: Option<Login>, import: &Import) -> Document {
        let credential = match self {
            Self::Wireguard(file) => file.credential(name, name, import),
            Self::Openvpn(_) => {
                openvpn::credential(login.unwrap_or_else(no_login), name, name, import)
            }
        };
        let mut document = Document::default();
        document.source = Some(format!("import {name}"));
        document.providers.push(entries::provider(name, self.kind(), import.rules));
        document.gateways.push(entries::gateway(name, name, self.gateway_text(false)));
        document.mappings.push(entries::mapping(name, &import.owner));
        document.credentials.push(credential);
        document
    }
}

fn no_login() -> Login {
    Login { username: String::new(), password: Secret::new(String::new()) }
}

/// What a file's provider, gateway and credential are called.
pub fn name(source: &dyn Source, given: Option<&str>) -> Result<String, Faults> {
    let name = given.or_else(|| source.stem()).map(str::to_owned);
    let no_name = || Finding::fault("no name: give one with --name").in_file(source.name());
    name.ok_or_else(|| Faults(vec![no_name()]))
}
