//! `[Interface]`: the tunnel's own end.

use std::net::IpAddr;

use ipnet::IpNet;

use super::fields::{self, Dns};
use super::gateway::LIST_MAX;
use super::key;
use super::sections::{InterfaceKey, Key, Pair, Placed, Section, resolve};
use crate::catalog::model::OnHooks;
use crate::fault::{Finding, Report};
use crate::hook::{self, Fate};
use crate::secret::Secret;

/// What an `[Interface]` says, with the lines of what is checked against other sections later.
#[derive(Default)]
pub(super) struct Interface {
    pub private_key: Option<Secret<[u8; 32]>>,
    pub addresses: Vec<Placed<IpNet>>,
    pub dns: Vec<Placed<IpAddr>>,
    pub search: Vec<Placed<String>>,
    pub mtu: Option<Placed<u16>>,
}

/// Reads the one `[Interface]` that a config has.
pub(super) fn read(
    sections: Vec<Section<'_, &str>>,
    on_hooks: OnHooks,
    report: &mut Report,
) -> Interface {
    let mut interface = Interface::default();
    if sections.is_empty() {
        let message = "no [Interface]: a config has exactly one";
        report.push(Finding::fault(message).about("Interface"));
    }
    for (nth, section) in sections.into_iter().enumerate() {
        if nth > 0 {
            let message = "a second [Interface]: a config has exactly one";
            report.push(Finding::fault(message).at_line(section.line).about("Interface"));
        }
        for pair in resolve(section, InterfaceKey::SECTION, report).pairs {
            interface.take(&pair, on_hooks, report);
        }
    }
    interface.check_lengths(report);
    interface
}

fn about(pair: &Pair<'_, InterfaceKey>, finding: Finding) -> Finding {
    finding.at_line(pair.line).about(format!("Interface.{}", pair.key.name()))
}

impl Interface {
    fn take(&mut self, pair: &Pair<'_, InterfaceKey>, on_hooks: OnHooks, report: &mut Report) {
        match pair.key {
            InterfaceKey::PrivateKey => self.take_private_key(pair, report),
            InterfaceKey::Address => self.take_addresses(pair, report),
            InterfaceKey::Dns => self.take_dns(pair, report),
            InterfaceKey::Mtu => self.take_mtu(pair, report),
            InterfaceKey::ListenPort | InterfaceKey::FwMark | InterfaceKey::Table => {
                report.push(about(pair, Finding::note("ignored: the agent sets its own")));
            }
            InterfaceKey::PreUp
            | InterfaceKey::PostUp
            | InterfaceKey::PreDown
            | InterfaceKey::PostDown
            | InterfaceKey::SaveConfig => {
                report.push(about(pair, hook(pair.value, on_hooks)));
            }
            InterfaceKey::Amnezia(parameter) => {
                report.push(about(pair, parameter.judge(pair.value)));
            }
        }
    }

    fn take_private_key(&mut self, pair: &Pair<'_, InterfaceKey>, report: &mut Report) {
        let finding = if let Ok(key) = key::secret_key(pair.value) {
            self.private_key = Some(key);
            Finding::warning("a private key: the credential's replaces it")
        } else {
            Finding::note("not a key, and not needed: the credential's is used")
        };
        report.push(about(pair, finding));
    }

    fn take_addresses(&mut self, pair: &Pair<'_, InterfaceKey>, report: &mut Report) {
        for item in fields::list(pair.value, fields::address) {
            match item {
                Ok(value) => self.addresses.push(Placed { line: pair.line, value }),
                Err(why) => report.push(about(pair, Finding::fault(why))),
            }
        }
    }

    fn take_dns(&mut self, pair: &Pair<'_, InterfaceKey>, report: &mut Report) {
        let line = pair.line;
        for item in fields::list(pair.value, fields::dns) {
            match item {
                Ok(Dns::Server(value)) => self.dns.push(Placed { line, value }),
                Ok(Dns::Search(value)) => self.search.push(Placed { line, value }),
                Err(why) => report.push(about(pair, Finding::fault(why))),
            }
        }
    }

    fn take_mtu(&mut self, pair: &Pair<'_, InterfaceKey>, report: &mut Report) {
        match fields::mtu(pair.value) {
            Ok(value) => self.mtu = Some(Placed { line: pair.line, value }),
            Err(why) => report.push(about(pair, Finding::fault(why))),
        }
    }

    fn check_lengths(&self, report: &mut Report) {
        check_length(&self.addresses, "Interface.Address", report);
        check_length(&self.dns, "Interface.DNS", report);
        check_length(&self.search, "Interface.DNS", report);
    }
}

fn check_length<T>(list: &[Placed<T>], field: &str, report: &mut Report) {
    if let Some(first_too_many) = list.get(LIST_MAX) {
        let message = format!("{} entries: at most {LIST_MAX}", list.len());
        report.push(Finding::fault(message).at_line(first_too_many.line).about(field));
    }
}

fn hook(command: &str, on_hooks: OnHooks) -> Finding {
    match hook::judge(command, on_hooks) {
        Fate::Moot(why) => Finding::note(format!("left out: {why}")),
        Fate::Dropped(why) => Finding::warning(format!("left out: {why}")),
        Fate::Refused(why) => Finding::fault(why),
    }
}
