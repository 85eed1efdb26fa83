//! Commands on an `.ovpn` file: what becomes of its lines, and its import.

use std::path::Path;

use egress_core::catalog::Document;
use egress_core::fault::{Faults, Finding};
use egress_core::openvpn::{self, Accepted, Login};
use egress_core::secret::Secret;
use serde::Serialize;

use super::arguments::{Check, Import};
use super::failure::Failure;
use super::login::login;
use super::screen::Screen;
use crate::catalog::{import, reading};

/// Whether commands take it for an `.ovpn` file.
pub fn is_one(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "ovpn")
}

/// The document of an import, and what there is to say about the file.
pub fn document(
    arguments: &Import,
    settings: &import::Import,
    screen: Screen,
) -> Result<Document, Failure> {
    let (mut file, findings) = import::openvpn::read(&arguments.file, settings)?;
    screen.remark(&findings);
    let login = match file.login.take() {
        Some(found) if arguments.login.is_none() => found,
        Some(_) | None if file.needs_login => login(arguments.login.as_deref())?,
        Some(_) | None => Login { username: String::new(), password: Secret::new(String::new()) },
    };
    Ok(file.document(login, settings))
}

/// What became of each line.
#[derive(Debug, Serialize)]
struct Verdict {
    accepted: Vec<Accepted>,
    findings: Vec<Finding>,
}

/// Prints what goes into the tunnel; what is left out or refused is told beside it.
pub fn check(check: &Check, screen: Screen) -> Result<(), Failure> {
    let file = check.file.display().to_string();
    let here = |found: Vec<Finding>| -> Vec<Finding> {
        found.into_iter().map(|finding| finding.in_file(&file)).collect()
    };
    let content =
        reading::read(&check.file).map_err(|why| Faults(here(vec![Finding::fault(why)])))?;
    let openvpn::Check { accepted, outcome } = openvpn::check(content.text.expose());
    let (remotes, findings) = match outcome {
        Ok((config, found)) => (Ok(config.remotes.len()), here(found)),
        Err(Faults(found)) => (Err(()), here(found)),
    };
    let verdict = Verdict { accepted, findings };
    if remotes.is_ok() {
        screen.remark(&verdict.findings);
    }
    screen.show(&verdict, |verdict| words(&file, verdict, remotes.ok()))?;
    remotes.map(drop).map_err(|()| Faults(verdict.findings).into())
}

fn words(file: &str, verdict: &Verdict, remotes: Option<usize>) -> String {
    let accepted = verdict.accepted.iter();
    let accepted = accepted.map(|it| format!("{file}:{}: {}: accepted\n", it.line, it.directive));
    let summary = match remotes {
        Some(1) => format!("{file}: good, 1 remote\n"),
        Some(remotes) => format!("{file}: good, {remotes} remotes\n"),
        None => String::new(),
    };
    accepted.collect::<String>() + &summary
}
