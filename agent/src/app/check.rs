//! `--check`: whether what a configuration names is there, and as it has to be.

use std::io::ErrorKind::PermissionDenied;
use std::path::Path;

use egress_core::fault::{Checked, Finding, unless_faulty};
use rustix::fs::{Access, access};

use crate::config::Config;
use crate::control::roles::{RoleTable, group_number};
use crate::control::tls;
use crate::report;
use crate::store::{KeyError, MasterKey};
use crate::telemetry::chain;

/// Looks at the files, users and groups that a configuration names, without using them. Says what
/// was looked at.
pub fn check(config: &Config, file: &Path) -> Checked<Vec<String>> {
    let mut look = Look::default();
    look.tls(config);
    look.report(config);
    look.store_key(config);
    look.openvpn(config);
    look.names(config);
    let Look { findings, looked_at } = look;
    let file = file.display().to_string();
    let findings = findings.into_iter().map(|finding| finding.in_file(&file)).collect();
    unless_faulty(findings, || looked_at)
}

#[derive(Default)]
struct Look {
    findings: Vec<Finding>,
    looked_at: Vec<String>,
}

impl Look {
    fn tls(&mut self, config: &Config) {
        if !config.api.tls.is_on() {
            return;
        }
        self.looked_at.push("the files of [api.tls]".to_owned());
        let Err(tls::Faults(faults)) = tls::check(&config.api.tls) else { return };
        self.findings.extend(faults.into_iter().map(|fault| match fault.split_once(": ") {
            Some((setting, why)) => Finding::fault(why).about(setting),
            None => Finding::fault(fault),
        }));
    }

    fn report(&mut self, config: &Config) {
        if !config.report.is_on() {
            return;
        }
        self.looked_at.push("the files of [report]".to_owned());
        if let Err(error) = report::check(&config.report) {
            self.findings.push(Finding::fault(chain(&error)).about("report"));
        }
    }

    /// A key that is not there is made at the first start.
    fn store_key(&mut self, config: &Config) {
        let path = config.store_key_path();
        match MasterKey::load(&path) {
            Ok(None) => {}
            Ok(Some(_)) => self.looked_at.push(path.display().to_string()),
            // Whoever may not look at it may check the rest.
            Err(KeyError::Read { source, .. }) if source.kind() == PermissionDenied => {
                let message = format!("{}: not for this user to look at", path.display());
                self.findings.push(Finding::warning(message).about("state_dir"));
            }
            Err(error) => self.findings.push(Finding::fault(chain(&error)).about("state_dir")),
        }
    }

    fn openvpn(&mut self, config: &Config) {
        let binary = &config.openvpn.binary;
        self.looked_at.push(binary.display().to_string());
        if !is_program(binary) {
            let message = format!(
                "there is no program {}: OpenVPN gateways will be refused. apt-get install openvpn",
                binary.display()
            );
            self.findings.push(Finding::warning(message).about("openvpn.binary"));
        }
    }

    fn names(&mut self, config: &Config) {
        self.looked_at.push("users and groups of [roles]".to_owned());
        let (_, unknown) = RoleTable::resolve(&config.roles);
        self.findings.extend(
            unknown
                .into_iter()
                .map(|name| Finding::warning(format!("this host has no {name}")).about("roles")),
        );
        let group = &config.api.group;
        if group_number(group).is_none() {
            let message = format!("this host has no group {group:?}: the socket is root's alone");
            self.findings.push(Finding::warning(message).about("api.group"));
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}
