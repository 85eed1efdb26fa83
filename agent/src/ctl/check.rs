//! `check`: what there is to say about a file, without an agent.

use std::path::Path;

use egress_core::catalog::Catalog;
use egress_core::fault::{Checked, Faults, Finding};
use egress_core::openvpn::Accepted;
use serde::Serialize;
use uuid::Uuid;

use super::arguments::Check;
use super::failure::Failure;
use super::screen::Screen;
use crate::catalog::import::kind::kind;
use crate::catalog::import::{self, OnDisk, Reading, Source as _};
use crate::catalog::{file, reading};

/// What there is to say about a file that can be imported or applied.
#[derive(Debug, Serialize)]
struct Verdict {
    file: String,
    /// What it holds.
    holds: String,
    /// The lines of an `.ovpn` file that mean something to the tunnel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accepted: Vec<Accepted>,
    findings: Vec<Finding>,
}

/// Says all that is wrong with a file, or what it holds.
pub fn check(check: &Check, screen: Screen) -> Result<(), Failure> {
    let verdict = judge(check)?;
    screen.remark(&verdict.findings);
    screen.show(&verdict, |verdict| words(verdict, screen.is_verbose()))
}

fn words(verdict: &Verdict, verbose: bool) -> String {
    let Verdict { file, holds, accepted, .. } = verdict;
    let accepted = accepted.iter().filter(|_| verbose);
    let accepted = accepted.map(|it| format!("{file}:{}: {}: accepted\n", it.line, it.directive));
    accepted.collect::<String>() + &format!("{file}: good, {holds}\n")
}

fn judge(check: &Check) -> Result<Verdict, Faults> {
    let file = check.file.display().to_string();
    if is_of_records(&check.file) {
        let (holds, findings) = check_records(&check.file)?;
        return Ok(Verdict { file, holds, accepted: Vec::new(), findings });
    }
    let Reading { accepted, outcome } =
        import::read(&OnDisk(check.file.clone()), check.rules.rules());
    let (read, findings) = outcome?;
    Ok(Verdict { file, holds: read.summary(), accepted, findings })
}

/// Whether it is an apply file or a directory of them.
fn is_of_records(path: &Path) -> bool {
    let file = OnDisk(path.to_owned());
    let looks_like_one = || {
        let text = reading::read(path);
        text.is_ok_and(|content| kind(content.text.expose(), file.ending()).is_none())
    };
    path.is_dir() || file.ending() == "toml" || looks_like_one()
}

/// Takes the file alone: what it refers to must be in it.
fn check_records(path: &Path) -> Checked<String> {
    let (document, mut findings) = file::read(path)?;
    match document.against(&Catalog::default(), Uuid::now_v7) {
        Ok((plan, found)) => {
            findings.extend(found);
            let records = plan.created.len();
            Ok((format!("{records} record{}", if records == 1 { "" } else { "s" }), findings))
        }
        Err(Faults(found)) => {
            findings.extend(found);
            Err(Faults(findings))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::findings;
    use super::super::import_arguments::RuleArguments;
    use super::*;

    const CA: &str = include_str!("../../core/tests/openvpn/pki/ca.crt");

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    fn config(endpoint: &str) -> String {
        format!(
            "[Interface]\nPrivateKey = {KEY}\nAddress = 10.7.0.2/32\nDNS = 10.7.0.1\n[Peer]\nPublicKey = \
             xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nEndpoint = {endpoint}\n\
             AllowedIPs = 0.0.0.0/0\n"
        )
    }

    fn check_text(name: &str, text: &str, rules: RuleArguments) -> Result<Verdict, Faults> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        judge(&Check { file, rules })
    }

    fn strictly(name: &str, text: &str) -> Result<Verdict, Faults> {
        check_text(name, text, RuleArguments { split: false, drop_hooks: false })
    }

    /// What `check` says on both of its outputs.
    fn said(verdict: &Result<Verdict, Faults>) -> String {
        match verdict {
            Ok(verdict) => findings::words(&verdict.findings, false) + &words(verdict, false),
            Err(Faults(found)) => findings::words(found, false),
        }
    }

    #[test]
    fn a_good_config_is_good_and_a_broken_one_names_every_line_but_no_key() {
        let good = said(&strictly("wg0.conf", &config("192.0.2.1:51820")));
        assert!(good.ends_with("wg0.conf: good, 1 peer\n"), "{good}");
        let broken = config("192.0.2.1").replace("10.7.0.2", "10.7.0.300");
        let faults = said(&strictly("wg0.conf", &broken));
        assert!(faults.contains("wg0.conf:3: ") && faults.contains("wg0.conf:7: "), "{faults}");
        assert!(faults.ends_with("\n2 faults\n"), "{faults}");
        assert!(!faults.contains(KEY), "{faults}");
    }

    #[test]
    fn what_an_import_would_refuse_is_not_good() {
        let good = config("192.0.2.1:51820");
        for (text, field) in [
            (good.replace(KEY, "garbage"), "Interface.PrivateKey"),
            (good.replace(&format!("PrivateKey = {KEY}\n"), ""), "Interface.PrivateKey"),
        ] {
            let faults = strictly("wg0.conf", &text).unwrap_err().alone();
            assert_eq!(faults[0].field.as_deref(), Some(field), "{faults:?}");
        }
    }

    #[test]
    fn a_config_without_a_resolver_is_warned_of() {
        let verdict = strictly("wg0.conf", &config("192.0.2.1:51820").replace("DNS = ", "# "));
        assert!(verdict.is_ok());
        assert!(said(&verdict).contains("Interface.DNS: warning: no resolver"), "{verdict:?}");
    }

    #[test]
    fn commands_and_split_tunnels_are_taken_when_asked_for() {
        let hooked = config("192.0.2.1:51820").replace("[Peer]", "PostUp = id\n[Peer]");
        let split = hooked.replace("0.0.0.0/0", "10.0.0.0/8");
        assert!(strictly("wg0.conf", &split).is_err());
        check_text("wg0.conf", &split, RuleArguments { split: true, drop_hooks: true }).unwrap();
    }

    #[test]
    fn an_apply_file_is_checked_down_to_the_lines_of_its_configs() {
        let config = config("nowhere").replace('\n', "\n  ");
        let text = format!(
            "[[provider]]\nname = \"a\"\ntype = \"wireguard\"\n[[gateway]]\nprovider = \"a\"\n\
             name = \"g\"\nconfig = \"\"\"\n{config}\"\"\"\n"
        );
        let faults = said(&strictly("a.toml", &text));
        assert!(faults.contains("a.toml:14: gateway[0].config.Peer.Endpoint"), "{faults}");
    }

    /// The same texts, imported: whatever one finds good the other takes.
    #[test]
    fn check_and_import_read_a_file_alike() {
        let openvpn =
            "client\ndev tun\nremote a.example 1194 udp\nca /etc/openvpn/ca.crt\n".to_owned();
        let texts = [
            ("a.conf", config("192.0.2.1:51820")),
            ("a.conf", config("192.0.2.1:51820").replace(KEY, "x")),
            ("a.ovpn", openvpn.clone()),
            ("a.conf", openvpn),
        ];
        for (name, text) in texts {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(name);
            fs::write(&file, text).unwrap();
            fs::write(dir.path().join("ca.crt"), CA).unwrap();
            let rules = RuleArguments { split: false, drop_hooks: false };
            let imported = import::read(&OnDisk(file.clone()), rules.rules()).outcome;
            let checked = judge(&Check { file, rules }).map(|verdict| verdict.findings);
            assert_eq!(checked, imported.map(|(_, found)| found), "{name}");
        }
    }
}
