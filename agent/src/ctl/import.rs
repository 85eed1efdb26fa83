//! `import`: providers' files as catalog records.

use egress_core::api::{ApplyReport, ProviderRecord};
use egress_core::catalog::Owner;
use egress_core::fault::{Faults, Finding};
use egress_core::openvpn::Login;
use egress_core::wireguard::Rules;
use serde::Serialize;

use super::apply::send;
use super::failure::Failure;
use super::import_arguments::Import;
use super::import_conflicts::Conflicts;
use super::login::login;
use super::screen::Screen;
use super::{subject, tables};
use crate::catalog::import::{self, Batch, Existing, OnDisk, Place, Refused, Target, find, place};
use crate::control::agent::ApplyMode;
use crate::control::client::Client;

/// What became of files.
#[derive(Debug, Serialize)]
struct Imported {
    #[serde(flatten)]
    report: ApplyReport,
    /// How many files were taken.
    files: usize,
    /// Those that were not.
    refused: Vec<Refused>,
}

pub async fn import(client: &Client, arguments: &Import, screen: Screen) -> Result<(), Failure> {
    match (&arguments.provider, &arguments.files[..]) {
        (Some(provider), _) => many(client, provider, arguments, screen).await,
        (None, [file]) if !file.is_dir() => {
            one(client, &OnDisk(file.clone()), arguments, screen).await
        }
        (None, _) => {
            let why = "several files are imported as one provider's: say --provider NAME";
            Err(Failure::Usage(why.to_owned()))
        }
    }
}

/// A provider, a gateway, a mapping and a credential of one file.
async fn one(
    client: &Client,
    source: &OnDisk,
    arguments: &Import,
    screen: Screen,
) -> Result<(), Failure> {
    let name = import::name(source, arguments.name.as_deref())?;
    let settings = import::Import { owner: owner(arguments)?, rules: arguments.rules.rules() };
    let (mut file, findings) = import::read(source, settings.rules).outcome?;
    let existing = existing(client, &name).await?;
    let otherwise = "--name gives what this file makes another name";
    let conflicts = Conflicts { name: &name, existing: &existing, otherwise };
    if !arguments.replace {
        conflicts.of_owner(&settings.owner, std::iter::once(name.as_str()))?;
    }
    let login = login_of(file.login(), file.needs_login(), arguments)?;
    let mut document = file.document(&name, login, &settings);
    for gateway in &mut document.gateways {
        let Place { country, city } = said(arguments).or(place(&name));
        (gateway.country, gateway.city) = (country, city);
    }
    if !arguments.replace {
        conflicts.of_content(client, &document, &file.endpoints()).await?;
    }
    let mut report = send(client, &document, mode(arguments)).await?;
    told_once(&mut report, findings);
    screen.remark(&report.findings);
    screen.show(&report, tables::report)
}

/// Gateways of one provider, a file each.
async fn many(
    client: &Client,
    provider: &str,
    arguments: &Import,
    screen: Screen,
) -> Result<(), Failure> {
    let found = find(&arguments.files).map_err(|fault| Faults(vec![fault]))?;
    let existing = existing(client, provider).await?;
    let of_provider = existing.provider();
    let rules = of_provider.map_or(arguments.rules.rules(), rules_of);
    let settings = import::Import { owner: owner(arguments)?, rules };
    let mut batch = Batch::read(found, &settings, of_provider.map(|provider| provider.kind));
    let refused = std::mem::take(&mut batch.refused);
    if batch.is_empty() {
        return Err(nothing(refused).into());
    }
    let found = batch.login();
    let login = login_of(found, batch.needs_login(), arguments)?;
    let target = Target {
        provider,
        limit: arguments.limit,
        place: said(arguments),
        import: &settings,
        existing: &existing,
    };
    let document = batch.document(&target, login.as_ref());
    if !arguments.replace {
        let otherwise = "--owner says whose files these are, --provider gives another name";
        let credentials = document.credentials.iter().map(|it| it.name.as_str());
        let conflicts = Conflicts { name: provider, existing: &existing, otherwise };
        conflicts.of_owner(&settings.owner, credentials)?;
    }
    let mut report = send(client, &document, mode(arguments)).await?;
    told_once(&mut report, std::mem::take(&mut batch.findings));
    screen.remark(&report.findings);
    let imported = Imported { report, files: batch.len(), refused };
    screen.show(&imported, |imported| words(provider, imported))
}

/// What is found of a config is told by whoever reads the file: the agent finds the same again.
fn told_once(report: &mut ApplyReport, found: Vec<Finding>) {
    let is_of_config = |it: &Finding| it.field.as_ref().is_some_and(|at| at.contains("].config"));
    report.findings.retain(|it| it.is_fault() || !is_of_config(it));
    report.findings.splice(0..0, found);
}

/// The most records of one kind that are named one by one.
const NAMED_MAX: usize = 20;

fn words(provider: &str, imported: &Imported) -> String {
    let Imported { report, files, refused } = imported;
    let would = if report.dry_run { "would be " } else { "" };
    let changed = report.created.len() + report.updated.len();
    let each = if changed <= NAMED_MAX { tables::report(report) } else { String::new() };
    let refused_lines: String = refused.iter().map(refusal).collect();
    each + &refused_lines
        + &format!(
            "provider {provider}: {files} files {would}imported, {} refused; {} records \
             {would}created, {} {would}changed, {} unchanged\n",
            refused.len(),
            report.created.len(),
            report.updated.len(),
            report.unchanged
        )
}

/// A refused file on one line.
fn refusal(refused: &Refused) -> String {
    let more = match refused.faults.len() {
        0 | 1 => String::new(),
        several => format!(" (and {} more)", several - 1),
    };
    let why = refused.faults.first().map_or(refused.file.clone(), ToString::to_string);
    format!("refused: {why}{more}\n")
}

fn nothing(refused: Vec<Refused>) -> Faults {
    let mut faults: Vec<_> = refused.into_iter().flat_map(|it| it.faults).collect();
    if faults.is_empty() {
        faults.push(Finding::fault("there is no *.ovpn and no *.conf file to import"));
    }
    Faults(faults)
}

/// What the agent has of a provider; nothing where there is none of this name.
async fn existing(client: &Client, name: &str) -> Result<Existing, Failure> {
    let providers = client.providers().await?.providers;
    let Some(provider) = providers.into_iter().find(|provider| provider.name == name) else {
        return Ok(Existing::default());
    };
    let gateways = client.gateways().await?.gateways;
    let mappings = client.mappings().await?.mappings;
    let credentials = client.credentials().await?.credentials;
    Ok(Existing::of(provider, gateways, mappings, credentials))
}

fn rules_of(provider: &ProviderRecord) -> Rules {
    Rules { split: provider.split, on_hooks: provider.on_hooks }
}

/// The login that servers are told, if they want one: that of `--login`, else one that was found,
/// else what is typed.
fn login_of(
    found: Option<Login>,
    is_needed: bool,
    arguments: &Import,
) -> Result<Option<Login>, Failure> {
    match found {
        Some(found) if arguments.login.is_none() => Ok(Some(found)),
        Some(_) | None if is_needed => login(arguments.login.as_deref()).map(Some),
        Some(_) | None => Ok(None),
    }
}

fn owner(import: &Import) -> Result<Owner, Failure> {
    let user = || subject::user_at_keyboard().map(Owner::User);
    let nobody = || Failure::Usage("this user has no name: say --owner user:NAME".to_owned());
    import.owner.clone().or_else(user).ok_or_else(nobody)
}

fn said(import: &Import) -> Place {
    Place { country: import.country.clone(), city: import.city.clone() }
}

fn mode(import: &Import) -> ApplyMode {
    ApplyMode { dry_run: import.dry_run, ..ApplyMode::default() }
}
