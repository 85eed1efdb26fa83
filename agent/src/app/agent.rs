//! The agent that the API asks: the manager, the catalog, the leases.

use std::sync::Arc;

use bytes::Bytes;
use egress_core::api::{
    ApplyReport, AttachRequest, Code, ConnectionList, CredentialRecord, GatewayRecord,
    HiddenGateway, HiddenReason, MappingRecord, OnSessions, ProviderRecord, PushReport, Record,
    Refusal, Removed, SessionView, StatusView, TrafficView, WorkspaceRecord, Written,
};
use egress_core::catalog::{
    Catalog, Change, Expected, Menu, Named, RecordId, RecordKind, Subject, explain,
};
use egress_core::id::{GatewayId, ProviderId, SessionId};

use super::status::StatusSource;
use super::vault::Vault;
use super::{catalog_view as show, container_resolver, push, records};
use crate::control::agent::{Agent, ApplyMode, Attached, DeleteMode, Fields, StoreCopy};
use crate::control::caller::Caller;
use crate::control::calls::Call;
use crate::session::{Manager, gateway_view};
use crate::store::Store;
use crate::telemetry::chain;

/// This host's agent.
#[derive(Clone)]
pub struct Host {
    /// The sessions.
    pub manager: Manager,
    /// The catalog and the leases.
    pub store: Arc<dyn Store>,
    /// The store's file and key.
    pub vault: Vault,
    /// Health of the agent, its parts and its host.
    pub status: StatusSource,
}

impl Agent for Host {
    async fn attach(&self, request: AttachRequest, caller: Caller) -> Result<Attached, Refusal> {
        let netns = request.netns.clone();
        let mut attached = self.manager.attach(request, caller).await?;
        let warning = container_resolver::warning(&netns, &attached.session.dns).await;
        attached.session.warnings.extend(warning);
        Ok(attached)
    }

    async fn status(&self) -> Result<StatusView, Refusal> {
        Ok(self.status.status(&self.manager.views(), &self.store.catalog()).await)
    }

    async fn detach(
        &self,
        id: SessionId,
        release: bool,
        _caller: Caller,
    ) -> Result<SessionView, Refusal> {
        self.manager.detach(&id, release).await
    }

    async fn session(&self, id: &SessionId) -> Result<SessionView, Refusal> {
        self.manager.session(id)
    }

    async fn sessions(&self) -> Result<Vec<SessionView>, Refusal> {
        Ok(self.manager.views())
    }

    async fn offers(&self, subject: &Subject, explain: bool) -> Result<Bytes, Refusal> {
        let catalog = self.store.catalog();
        let health = self.manager.shell().health.now();
        let hidden = explain.then(|| self.hidden(&catalog, subject));
        let menu = Menu::of(&catalog, &*self.store.in_use(), subject);
        Ok(menu.json(health, hidden.as_deref()).into())
    }

    async fn gateway_by_name(&self, name: &str) -> Result<GatewayId, Refusal> {
        let catalog = self.store.catalog();
        if let Ok(id) = name.parse::<GatewayId>()
            && catalog.gateway(id).is_some()
        {
            return Ok(id);
        }
        match catalog.gateway_named(name) {
            Named::One(gateway) => Ok(gateway.id),
            Named::Nothing => {
                let detail = format!("there is no gateway {name:?}: `egressctl offers` lists them");
                Err(Refusal::new(Code::NoSuchGateway, detail))
            }
            Named::Several(gateways) => {
                let detail = format!(
                    "{} providers have a gateway {name:?}: say PROVIDER/{name}",
                    gateways.len()
                );
                Err(Refusal::new(Code::AmbiguousGateway, detail))
            }
        }
    }

    async fn connections(&self) -> Result<ConnectionList, Refusal> {
        Ok(self.store.connections())
    }

    async fn traffic(&self) -> Result<Vec<TrafficView>, Refusal> {
        let traffic = self.manager.traffic().await;
        traffic.map_err(|error| Refusal::new(Code::DataplaneUnavailable, chain(&error)))
    }

    async fn apply(
        &self,
        document: serde_json::Value,
        mode: ApplyMode,
        _caller: Caller,
    ) -> Result<ApplyReport, Refusal> {
        let report = self.apply_document(document, mode).await;
        give_memory_back();
        report
    }

    async fn push(
        &self,
        provider: ProviderId,
        snapshot: Bytes,
        dry_run: bool,
        caller: Caller,
    ) -> Result<PushReport, Refusal> {
        let pushed = push::push(&self.store, provider, snapshot, dry_run, &caller).await;
        self.manager.shell().metrics.pushed(pushed.as_ref());
        give_memory_back();
        pushed
    }

    async fn providers(&self) -> Result<Vec<ProviderRecord>, Refusal> {
        Ok(self.each(show::providers))
    }

    async fn gateways(&self) -> Result<Vec<GatewayRecord>, Refusal> {
        Ok(self.each(show::gateways))
    }

    async fn mappings(&self) -> Result<Vec<MappingRecord>, Refusal> {
        Ok(self.each(show::mappings))
    }

    async fn credentials(&self) -> Result<Vec<CredentialRecord>, Refusal> {
        let rejected = &self.manager.shell().rejected;
        Ok(self.each(|catalog| show::credentials(catalog, rejected)))
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceRecord>, Refusal> {
        Ok(self.each(show::workspaces))
    }

    async fn backup(&self) -> Result<StoreCopy, Refusal> {
        self.vault.backup().await
    }

    async fn rotate_key(&self) -> Result<String, Refusal> {
        self.vault.rotate_key().await.map(|id| id.to_string())
    }

    async fn record(&self, record: &RecordId, caller: &Caller) -> Result<Record, Refusal> {
        let catalog = self.store.catalog();
        if let RecordId::Provider(provider) = record {
            push::may(caller, Call::Record(RecordKind::Provider), *provider, &catalog)?;
        }
        Record::of(&catalog, record).ok_or_else(|| records::no_such(record))
    }

    async fn create(
        &self,
        kind: RecordKind,
        fields: Fields,
        _caller: Caller,
    ) -> Result<(RecordId, Written<Record>), Refusal> {
        self.write(Change::Create { kind, fields }, OnSessions::Drain).await
    }

    async fn update(
        &self,
        record: RecordId,
        patch: Fields,
        expected: Expected,
        on_sessions: OnSessions,
        _caller: Caller,
    ) -> Result<Written<Record>, Refusal> {
        let change = Change::Update { record, patch, expected };
        self.write(change, on_sessions).await.map(|(_, written)| written)
    }

    async fn delete(
        &self,
        record: RecordId,
        expected: Expected,
        mode: DeleteMode,
        _caller: Caller,
    ) -> Result<Removed, Refusal> {
        let DeleteMode { cascade, on_sessions } = mode;
        self.take_away(Change::Remove { record, cascade, expected }, on_sessions).await
    }
}

/// A whole catalog takes many times its size while it is read and compared. No reply waits for it.
fn give_memory_back() {
    drop(tokio::task::spawn_blocking(egress_linux::memory::give_back));
}

impl Host {
    fn each<T>(&self, list: impl FnOnce(&Catalog) -> T) -> T {
        let catalog: Arc<Catalog> = self.store.catalog();
        list(&catalog)
    }

    /// Every gateway that is not offered, with all that stands in the way.
    fn hidden(&self, catalog: &Catalog, subject: &Subject) -> Vec<HiddenGateway> {
        let in_use = self.store.in_use();
        let mut hidden: Vec<_> = catalog
            .gateways()
            .filter_map(|gateway| {
                let reasons = explain(catalog, &*in_use, subject, gateway.id).err()?;
                let reasons = reasons.iter().map(|why| HiddenReason {
                    code: why.as_str().to_owned(),
                    detail: why.to_string(),
                });
                let gateway = gateway_view(catalog, gateway.id)?;
                Some(HiddenGateway { gateway, reasons: reasons.collect() })
            })
            .collect();
        hidden.sort_by(|a, b| a.gateway.name.cmp(&b.gateway.name));
        hidden
    }
}
