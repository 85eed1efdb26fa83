//! Commands that read a file: `apply`, `import`, `check`.

use std::path::Path;

use egress_core::catalog::{Document, Owner, Records};
use egress_core::fault::{Checked, Faults, Finding};
use egress_core::wireguard;
use uuid::Uuid;

use super::arguments::{Apply, Check, Import};
use super::failure::Failure;
use super::screen::Screen;
use super::{openvpn_file, subject, tables};
use crate::catalog::{file, import as wg_quick, reading};
use crate::control::agent::ApplyMode;
use crate::control::client::{Client, Error};

pub async fn apply(client: &Client, apply: &Apply, screen: Screen) -> Result<(), Failure> {
    let (document, findings) = file::read(&apply.file)?;
    screen.remark(&findings);
    let on_sessions = apply.sessions.on_sessions();
    let mode = ApplyMode { dry_run: apply.dry_run, prune: apply.prune, on_sessions };
    send(client, &document, mode, screen).await
}

pub async fn import(client: &Client, import: &Import, screen: Screen) -> Result<(), Failure> {
    let settings = wg_quick::Import {
        name: import.name.clone(),
        owner: owner(import)?,
        rules: import.rules.rules(),
    };
    let mut document = if openvpn_file::is_one(&import.file) {
        openvpn_file::document(import, &settings, screen)?
    } else {
        let (document, findings) = wg_quick::read(&import.file, &settings)?;
        screen.remark(&findings);
        document
    };
    for gateway in &mut document.gateways {
        gateway.country.clone_from(&import.country);
        gateway.city.clone_from(&import.city);
    }
    let mode = ApplyMode { dry_run: import.dry_run, ..ApplyMode::default() };
    send(client, &document, mode, screen).await
}

fn owner(import: &Import) -> Result<Owner, Failure> {
    let user = || subject::user_at_keyboard().map(Owner::User);
    let nobody = || Failure::Usage("this user has no name: say --owner user:NAME".to_owned());
    import.owner.clone().or_else(user).ok_or_else(nobody)
}

/// Sends a document, and brings the places in its files to what the agent finds.
async fn send(
    client: &Client,
    document: &Document,
    mode: ApplyMode,
    screen: Screen,
) -> Result<(), Failure> {
    match client.apply(document, mode).await {
        Ok(mut report) => {
            report.findings = document.locate(report.findings);
            screen.remark(&report.findings);
            screen.show(&report, tables::report)
        }
        Err(Error::Refused(mut problem)) => {
            problem.faults = document.locate(problem.faults);
            Err(Failure::Agent(Error::Refused(problem)))
        }
        Err(error) => Err(Failure::Agent(error)),
    }
}

pub fn check(check: &Check, screen: Screen) -> Result<(), Failure> {
    if openvpn_file::is_one(&check.file) {
        return openvpn_file::check(check, screen);
    }
    let (summary, findings) = check_file(check)?;
    screen.remark(&findings);
    screen.show(&findings, |_| summary)
}

fn check_file(check: &Check) -> Checked<String> {
    let is_wg_quick = check.file.extension().is_some_and(|extension| extension == "conf");
    if is_wg_quick { check_wg_quick(check) } else { check_records(&check.file) }
}

fn check_wg_quick(check: &Check) -> Checked<String> {
    let file = check.file.display().to_string();
    let here = |found: Vec<Finding>| -> Vec<Finding> {
        found.into_iter().map(|finding| finding.in_file(&file)).collect()
    };
    let content = reading::read(&check.file)
        .map_err(|why| Faults(vec![Finding::fault(why).in_file(&file)]))?;
    let (config, findings) = wireguard::parse(content.text.expose(), &check.rules.rules())
        .map_err(|Faults(found)| Faults(here(found)))?;
    let peers = config.peers.len();
    let plural = if peers == 1 { "" } else { "s" };
    Ok((format!("{file}: good, {peers} peer{plural}\n"), here(findings)))
}

/// Takes the file alone: what it refers to must be in it.
fn check_records(path: &Path) -> Checked<String> {
    let (document, mut findings) = file::read(path)?;
    match document.against(&Records::default(), Uuid::now_v7) {
        Ok((plan, found)) => {
            findings.extend(found);
            let records = plan.created.len();
            Ok((format!("{}: good, {records} records\n", path.display()), findings))
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

    use super::super::arguments::RuleArguments;
    use super::*;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    fn config(endpoint: &str) -> String {
        format!(
            "[Interface]\nPrivateKey = {KEY}\nAddress = 10.7.0.2/32\n[Peer]\nPublicKey = \
             xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nEndpoint = {endpoint}\n\
             AllowedIPs = 0.0.0.0/0\n"
        )
    }

    fn check_text(name: &str, text: &str) -> Checked<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        let rules = RuleArguments { split: false, drop_hooks: false };
        check_file(&Check { file, rules })
    }

    #[test]
    fn a_good_config_is_good_and_a_broken_one_names_every_line_but_no_key() {
        let (summary, _) = check_text("wg0.conf", &config("192.0.2.1:51820")).unwrap();
        assert!(summary.ends_with("wg0.conf: good, 1 peer\n"), "{summary}");
        let broken = config("192.0.2.1").replace("10.7.0.2", "10.7.0.300");
        let faults = check_text("wg0.conf", &broken).unwrap_err().to_string();
        assert!(faults.contains("wg0.conf:3: "), "{faults}");
        assert!(faults.contains("wg0.conf:6: "), "{faults}");
        assert!(!faults.contains(KEY), "{faults}");
    }

    #[test]
    fn commands_and_split_tunnels_are_taken_when_asked_for() {
        let hooked = config("192.0.2.1:51820").replace("[Peer]", "PostUp = id\n[Peer]");
        let split = hooked.replace("0.0.0.0/0", "10.0.0.0/8");
        assert!(check_text("wg0.conf", &split).is_err());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("wg0.conf");
        fs::write(&file, &split).unwrap();
        let rules = RuleArguments { split: true, drop_hooks: true };
        check_file(&Check { file, rules }).unwrap();
    }

    #[test]
    fn an_apply_file_is_checked_down_to_the_lines_of_its_configs() {
        let config = config("nowhere").replace('\n', "\n  ");
        let text = format!(
            "[[provider]]\nname = \"a\"\ntype = \"wireguard\"\n[[gateway]]\nprovider = \"a\"\n\
             name = \"g\"\nconfig = \"\"\"\n{config}\"\"\"\n"
        );
        let faults = check_text("a.toml", &text).unwrap_err().to_string();
        assert!(faults.contains("a.toml:13: gateway[0].config.Peer.Endpoint"), "{faults}");
    }
}
