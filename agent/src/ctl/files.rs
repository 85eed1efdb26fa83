//! Commands that send what files hold: `apply`, `import`.

use egress_core::catalog::{Document, Owner};
use egress_core::fault::Finding;
use egress_core::openvpn::Login;

use super::arguments::{Apply, Import};
use super::failure::Failure;
use super::login::login;
use super::screen::Screen;
use super::{subject, tables};
use crate::catalog::file;
use crate::catalog::import::{self, OnDisk, ProviderFile};
use crate::control::agent::ApplyMode;
use crate::control::client::{Client, Error};

pub async fn apply(client: &Client, apply: &Apply, screen: Screen) -> Result<(), Failure> {
    let (document, findings) = file::read(&apply.file)?;
    let on_sessions = apply.sessions.on_sessions();
    let mode = ApplyMode { dry_run: apply.dry_run, prune: apply.prune, on_sessions };
    send(client, &document, findings, mode, screen).await
}

pub async fn import(client: &Client, arguments: &Import, screen: Screen) -> Result<(), Failure> {
    let source = OnDisk(&arguments.file);
    let name = import::name(&source, arguments.name.as_deref())?;
    let settings = import::Import { owner: owner(arguments)?, rules: arguments.rules.rules() };
    let (mut file, findings) = import::read(&source, settings.rules).outcome?;
    let login = login_of(&mut file, arguments)?;
    let mut document = file.document(&name, login, &settings);
    for gateway in &mut document.gateways {
        gateway.country.clone_from(&arguments.country);
        gateway.city.clone_from(&arguments.city);
    }
    let mode = ApplyMode { dry_run: arguments.dry_run, ..ApplyMode::default() };
    send(client, &document, findings, mode, screen).await
}

/// The login that the server is told, if it wants one: that of `--login`, else that of the file,
/// else what is typed.
fn login_of(file: &mut ProviderFile, arguments: &Import) -> Result<Option<Login>, Failure> {
    match file.login() {
        Some(found) if arguments.login.is_none() => Ok(Some(found)),
        Some(_) | None if file.needs_login() => login(arguments.login.as_deref()).map(Some),
        Some(_) | None => Ok(None),
    }
}

fn owner(import: &Import) -> Result<Owner, Failure> {
    let user = || subject::user_at_keyboard().map(Owner::User);
    let nobody = || Failure::Usage("this user has no name: say --owner user:NAME".to_owned());
    import.owner.clone().or_else(user).ok_or_else(nobody)
}

/// Sends a document, and brings the places in its files to what the agent finds. `findings` are
/// those that were made on the way to it.
async fn send(
    client: &Client,
    document: &Document,
    mut findings: Vec<Finding>,
    mode: ApplyMode,
    screen: Screen,
) -> Result<(), Failure> {
    match client.apply(document, mode).await {
        Ok(mut report) => {
            findings.extend(document.locate(report.findings));
            report.findings = findings;
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
