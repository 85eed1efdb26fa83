//! Commands on single records.

use egress_core::api::{CredentialRecord, MappingRecord, ProviderRecord};
use egress_core::catalog::{RecordId, RecordKind};
use egress_core::id::ProviderId;
use serde_json::Value;

use super::ask::gateway;
use super::failure::Failure;
use super::record_arguments::{Delete, ListArguments, RecordCommand, Update};
use super::screen::Screen;
use super::subject::owner_text;
use super::{record_fields, record_tables};
use crate::control::agent::DeleteMode;
use crate::control::client::{Client, Filter};

pub async fn carry_out(
    client: &Client,
    kind: RecordKind,
    command: RecordCommand,
    screen: Screen,
) -> Result<(), Failure> {
    match command {
        RecordCommand::List(arguments) => list(client, kind, &arguments, screen).await,
        RecordCommand::Show { record } => {
            let record = find(client, kind, &record).await?;
            screen.show(&client.record::<Value>(&record).await?, record_tables::record)
        }
        RecordCommand::Create(fields) => {
            let fields = record_fields::gather(&fields)?;
            let written = client.create::<Value>(kind, &fields).await?;
            screen.remark(&written.findings);
            screen.show(&written, record_tables::written)
        }
        RecordCommand::Update(change) => update(client, kind, &change, screen).await,
        RecordCommand::Delete(deletion) => delete(client, kind, &deletion, screen).await,
    }
}

async fn list(
    client: &Client,
    kind: RecordKind,
    arguments: &ListArguments,
    screen: Screen,
) -> Result<(), Failure> {
    let providers = match kind {
        RecordKind::Gateway | RecordKind::Mapping | RecordKind::Credential => {
            client.providers().await?.providers
        }
        RecordKind::Provider | RecordKind::Workspace => Vec::new(),
    };
    let filter = filter(kind, arguments, &providers)?;
    let list: Value = client.records(kind, &filter).await?;
    screen.show(&list, |list| record_tables::list(kind, list, &providers))?;
    screen.more(list["next"].as_str());
    Ok(())
}

fn filter(
    kind: RecordKind,
    arguments: &ListArguments,
    providers: &[ProviderRecord],
) -> Result<Filter, Failure> {
    let ListArguments { provider, country, city, page } = arguments;
    let (has_provider, has_place) = match kind {
        RecordKind::Gateway => (true, true),
        RecordKind::Mapping | RecordKind::Credential => (true, false),
        RecordKind::Provider | RecordKind::Workspace => (false, false),
    };
    for (option, is_given, fits) in [
        ("--provider", provider.is_some(), has_provider),
        ("--country", country.is_some(), has_place),
        ("--city", city.is_some(), has_place),
    ] {
        if is_given && !fits {
            return Err(Failure::Usage(format!("{option} says nothing of {}s", kind.as_str())));
        }
    }
    let provider = provider.as_deref().map(|name| provider_id(name, providers)).transpose()?;
    Ok(Filter::default()
        .with("provider", provider)
        .with("country", country.as_ref())
        .with("city", city.as_ref())
        .with("limit", page.limit)
        .with("after", page.after.as_ref()))
}

fn provider_id(name: &str, providers: &[ProviderRecord]) -> Result<ProviderId, Failure> {
    let is_meant = |it: &&ProviderRecord| it.name == name || name.parse() == Ok(it.id);
    let found = providers.iter().find(is_meant).map(|provider| provider.id);
    found.ok_or_else(|| {
        Failure::Usage(format!("there is no provider {name:?}: `egressctl provider list` has them"))
    })
}

async fn update(
    client: &Client,
    kind: RecordKind,
    change: &Update,
    screen: Screen,
) -> Result<(), Failure> {
    let fields = record_fields::gather(&change.fields)?;
    let record = find(client, kind, &change.record).await?;
    let on_sessions = change.sessions.on_sessions();
    let version = change.version.if_version;
    let written = client.update::<Value>(&record, &fields, version, on_sessions).await?;
    screen.remark(&written.findings);
    screen.show(&written, record_tables::written)
}

async fn delete(
    client: &Client,
    kind: RecordKind,
    deletion: &Delete,
    screen: Screen,
) -> Result<(), Failure> {
    let record = find(client, kind, &deletion.record).await?;
    let on_sessions = deletion.sessions.on_sessions();
    let mode = DeleteMode { cascade: deletion.cascade, on_sessions };
    let removed = client.delete(&record, deletion.version.if_version, mode).await?;
    screen.remark(&removed.findings);
    screen.show(&removed, record_tables::removed)
}

/// The record meant by an id or a name.
async fn find(client: &Client, kind: RecordKind, text: &str) -> Result<RecordId, Failure> {
    if let Ok(record) = kind.key(text) {
        return Ok(record);
    }
    match kind {
        RecordKind::Gateway => Ok(RecordId::Gateway(gateway(client, text).await?)),
        RecordKind::Provider => {
            let providers = client.providers().await?.providers.into_iter();
            let meant = providers.filter(|it| it.name == text);
            one(kind, text, meant.map(|it| RecordId::Provider(it.id)))
        }
        RecordKind::Credential => {
            let names = Names(client.providers().await?.providers);
            let credentials = client.credentials().await?.credentials.into_iter();
            let meant = credentials.filter(|it| names.credential(it, text));
            one(kind, text, meant.map(|it| RecordId::Credential(it.id)))
        }
        RecordKind::Mapping => {
            let names = Names(client.providers().await?.providers);
            let mappings = client.mappings().await?.mappings.into_iter();
            let meant = mappings.filter(|it| names.mapping(it, text));
            one(kind, text, meant.map(|it| RecordId::Mapping(it.id)))
        }
        RecordKind::Workspace => Ok(RecordId::Workspace(text.to_owned())),
    }
}

/// The providers, by which other records are named.
struct Names(Vec<ProviderRecord>);

impl Names {
    fn credential(&self, credential: &CredentialRecord, text: &str) -> bool {
        let of_provider = |it: &ProviderRecord| {
            it.id == credential.provider_id && text == format!("{}/{}", it.name, credential.name)
        };
        text == credential.name || self.0.iter().any(of_provider)
    }

    fn mapping(&self, mapping: &MappingRecord, text: &str) -> bool {
        let owner = owner_text(&mapping.owner);
        let of_provider = |it: &ProviderRecord| {
            it.id == mapping.provider_id && text == format!("{}/{owner}", it.name)
        };
        text == owner || self.0.iter().any(of_provider)
    }
}

fn one(
    kind: RecordKind,
    text: &str,
    mut found: impl Iterator<Item = RecordId>,
) -> Result<RecordId, Failure> {
    let word = kind.as_str();
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        (None, _) => {
            Err(Failure::Usage(format!("there is no {word} {text:?}: egressctl {word} list")))
        }
        (Some(_), Some(_)) => {
            let why = format!("several records are called {text:?}: say PROVIDER/{text} or the id");
            Err(Failure::Usage(why))
        }
    }
}
