//! An agent in memory: it attaches nothing, and remembers what it was asked.

use std::collections::BTreeMap;
use std::future::pending;
use std::io::{Seek, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use egress_core::api::{
    AccountUse, AffectedSessions, AllWord, ApplyReport, AttachRequest, Code, ConnectionList,
    ConnectionsView, ContainmentProfile, CredentialRecord, GatewayRecord, GatewayView, Health,
    HiddenGateway, HiddenReason, KeyUse, MappingRecord, OfferList, OfferView, OnSessions, PartView,
    ProviderRecord, PushReport, Record, Refusal, Removed, ScopeView, SessionState, SessionView,
    StatusView, Timings, TrafficView, WorkspaceRecord, Written,
};
use egress_core::catalog::{
    Difference, Document, Egress, Expected, ExpectedExit, KeySharing, OnHooks, Owner, ProviderType,
    RecordId, RecordKind, SelectionPolicy, Snapshot, Subject,
};
use egress_core::fault::Finding;
use egress_core::id::{CredentialId, GatewayId, MappingId, ProviderId, SessionId};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{GATEWAY, SLOW_GATEWAY};
use crate::control::agent::{Agent, ApplyMode, Attached, DeleteMode, Fields, StoreCopy};
use crate::control::caller::Caller;

/// Clones are the same agent.
#[derive(Debug, Clone)]
pub struct MemoryAgent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sessions: Mutex<BTreeMap<SessionId, (AttachRequest, SessionView)>>,
    /// What was asked, with the words of the request that matter.
    asked: Mutex<Vec<String>>,
    /// Attaches to the slow gateway wait for one of these.
    slow: Semaphore,
}

impl Default for MemoryAgent {
    fn default() -> Self {
        Self(Arc::new(Inner {
            sessions: Mutex::default(),
            asked: Mutex::default(),
            slow: Semaphore::new(0),
        }))
    }
}

impl MemoryAgent {
    /// What was asked since the last time, in order.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.asked.lock().unwrap())
    }

    /// Lets one attach to the slow gateway through.
    pub fn let_one_through(&self) {
        self.0.slow.add_permits(1);
    }

    async fn find(&self, record: &RecordId) -> Result<Record, Refusal> {
        let found = match record {
            RecordId::Provider(id) => {
                of(self.providers().await?, |it| it.id == *id).map(Record::Provider)
            }
            RecordId::Gateway(id) => {
                of(self.gateways().await?, |it| it.id == *id).map(Record::Gateway)
            }
            RecordId::Mapping(id) => {
                of(self.mappings().await?, |it| it.id == *id).map(Record::Mapping)
            }
            RecordId::Credential(id) => {
                of(self.credentials().await?, |it| it.id == *id).map(Record::Credential)
            }
            RecordId::Workspace(name) => {
                of(self.workspaces().await?, |it| it.name == *name).map(Record::Workspace)
            }
        };
        let detail = || format!("there is no {} {record}", record.kind().as_str());
        found.ok_or_else(|| Refusal::new(Code::NoSuchRecord, detail()))
    }

    fn note(&self, what: String) {
        self.0.asked.lock().unwrap().push(what);
    }
}

/// What the store in memory is copied to.
pub const COPY: &[u8] = &[b'c'; 200_000];

impl Agent for MemoryAgent {
    async fn attach(&self, request: AttachRequest, caller: Caller) -> Result<Attached, Refusal> {
        let id = request.session_id.clone();
        self.note(format!("attach {id} by {}", caller.identity));
        if request.gateway == Some(SLOW_GATEWAY.parse().unwrap()) {
            self.0.slow.acquire().await.unwrap().forget();
        } else if request.gateway.is_some_and(|id| id != GATEWAY.parse().unwrap()) {
            return Err(Refusal::new(Code::NoSuchGateway, "there is no such gateway"));
        }
        let mut sessions = self.0.sessions.lock().unwrap();
        match sessions.get(&id) {
            Some((running, session)) if running.asks_the_same_as(&request) => {
                Ok(Attached { session: session.clone(), created: false })
            }
            Some(_) => Err(Refusal::new(Code::SessionExists, "another request has that id")),
            None => {
                let session = session_view(&request);
                sessions.insert(id, (request, session.clone()));
                Ok(Attached { session, created: true })
            }
        }
    }

    async fn status(&self) -> Result<StatusView, Refusal> {
        let part = PartView {
            name: "nftables".into(),
            ok: false,
            detail: "they do not answer".into(),
            fix: Some("modprobe nf_tables".into()),
        };
        Ok(StatusView {
            version: "1.2.3".into(),
            started_at: 1_796_000_000,
            ready: false,
            parts: vec![part],
            sessions: [("connected".to_owned(), 2)].into(),
            catalog: [("gateway".to_owned(), 7)].into(),
        })
    }

    async fn detach(
        &self,
        id: SessionId,
        release: bool,
        _: Caller,
    ) -> Result<SessionView, Refusal> {
        self.note(format!("detach {id} release={release}"));
        let session = self.session(&id).await?;
        self.0.sessions.lock().unwrap().remove(&id);
        Ok(SessionView { state: SessionState::Closed, ..session })
    }

    async fn session(&self, id: &SessionId) -> Result<SessionView, Refusal> {
        if id.as_str() == "never" {
            self.note("session never".to_owned());
            return pending().await;
        }
        let sessions = self.0.sessions.lock().unwrap();
        let found = sessions.get(id).map(|(_, session)| session.clone());
        found.ok_or_else(|| Refusal::new(Code::NoSuchSession, format!("there is no session {id}")))
    }

    async fn sessions(&self) -> Result<Vec<SessionView>, Refusal> {
        let sessions = self.0.sessions.lock().unwrap();
        Ok(sessions.values().map(|(_, session)| session.clone()).collect())
    }

    async fn offers(&self, subject: &Subject, explain: bool) -> Result<Bytes, Refusal> {
        self.note(format!("offers {subject:?} explain={explain}"));
        let reason =
            HiddenReason { code: "gateway_disabled".into(), detail: "it is disabled".into() };
        let hidden = HiddenGateway { gateway: gateway_view(), reasons: vec![reason] };
        let list = OfferList {
            offers: vec![OfferView { gateway: gateway_view(), health: Health::Up }],
            hidden: explain.then(|| vec![hidden]),
        };
        Ok(serde_json::to_vec(&list).unwrap().into())
    }

    async fn gateway_by_name(&self, name: &str) -> Result<GatewayId, Refusal> {
        match name {
            "se-1" | "nordic/se-1" => Ok(GATEWAY.parse().unwrap()),
            "twice" => Err(Refusal::new(Code::AmbiguousGateway, "say provider/name")),
            other => Err(Refusal::new(Code::NoSuchGateway, format!("no gateway {other}"))),
        }
    }

    async fn connections(&self) -> Result<ConnectionList, Refusal> {
        let ann = ConnectionsView {
            credential_id: credential_id(),
            name: "ann".into(),
            provider: "nordic".into(),
            in_use: 1,
            limit: Some(5),
            sessions: vec!["c-41".parse().unwrap()],
        };
        let account = AccountUse {
            provider_id: gateway_view().provider_id,
            provider: "nordic".into(),
            account: "team".into(),
            in_use: 1,
            limit: Some(5),
        };
        let key = KeyUse {
            public_key: Some("AAAA".into()),
            credential_ids: vec![credential_id()],
            in_use: 1,
            pairs: vec!["00".into()],
        };
        Ok(ConnectionList { connections: vec![ann], accounts: vec![account], keys: vec![key] })
    }

    async fn traffic(&self) -> Result<Vec<TrafficView>, Refusal> {
        Ok(vec![TrafficView {
            session_id: "c-41".parse().unwrap(),
            handshake_age_s: Some(12.5),
            received_bytes: 4_000,
            sent_bytes: 1_000,
            dropped_packets: 0,
        }])
    }

    async fn apply(
        &self,
        document: serde_json::Value,
        mode: ApplyMode,
        _: Caller,
    ) -> Result<ApplyReport, Refusal> {
        self.note(format!("apply {mode:?}"));
        let (_, findings) = Document::from_value(document).map_err(|faults| {
            Refusal::new(Code::InvalidRequest, "nothing was changed").with_faults(faults.0)
        })?;
        Ok(ApplyReport {
            dry_run: mode.dry_run,
            created: vec!["provider nordic".into()],
            updated: Vec::new(),
            removed: Vec::new(),
            unchanged: 2,
            findings: [findings, vec![Finding::note("a note").at_line(3)]].concat(),
            sessions: AffectedSessions::default(),
        })
    }

    async fn push(
        &self,
        provider: ProviderId,
        snapshot: Bytes,
        dry_run: bool,
        _: Caller,
    ) -> Result<PushReport, Refusal> {
        self.note(format!("push {provider} {} bytes dry_run={dry_run}", snapshot.len()));
        let (snapshot, findings) = Snapshot::from_json(&snapshot).map_err(|faults| {
            Refusal::new(Code::InvalidRequest, "it has faults").with_faults(faults.0)
        })?;
        let (gateways, credentials) = (
            Difference { created: vec!["x-1".into()], unchanged: 1, ..Difference::default() },
            Difference::default(),
        );
        Ok(PushReport { dry_run, version: snapshot.version, gateways, credentials, findings })
    }

    async fn providers(&self) -> Result<Vec<ProviderRecord>, Refusal> {
        Ok(vec![ProviderRecord {
            id: provider_id(),
            name: "nordic".into(),
            kind: ProviderType::Wireguard,
            enabled: true,
            managed: false,
            enable_new_managed_gateways: false,
            external_id: None,
            version: 1,
            split: false,
            on_hooks: OnHooks::Refuse,
            key_sharing: KeySharing::Exclusive,
            selection: SelectionPolicy::LeastUsed,
            release_delay_s: 0,
            snapshot_version: Some(7),
        }])
    }

    async fn gateways(&self) -> Result<Vec<GatewayRecord>, Refusal> {
        Ok(vec![GatewayRecord {
            id: GATEWAY.parse().unwrap(),
            provider_id: provider_id(),
            name: "se-1".into(),
            country: "Sweden".into(),
            city: "Malmö".into(),
            enabled: true,
            endpoints: vec!["se-1.example.org:51820".into()],
            dns: vec!["10.64.0.1".parse().unwrap()],
            external_id: Some("x-1".into()),
            version: 7,
            expected_exit: Some(ExpectedExit {
                addresses: vec!["192.0.2.0/24".parse().unwrap()],
                country: Some("SE".into()),
            }),
            withdrawn: true,
        }])
    }

    async fn mappings(&self) -> Result<Vec<MappingRecord>, Refusal> {
        Ok(vec![MappingRecord {
            id: MappingId::from_bytes([3; 16]),
            provider_id: provider_id(),
            enabled: true,
            owner: Owner::Group("All Users".into()),
            gateways: ScopeView::All(AllWord::All),
            version: 1,
        }])
    }

    async fn credentials(&self) -> Result<Vec<CredentialRecord>, Refusal> {
        Ok(vec![CredentialRecord {
            id: credential_id(),
            provider_id: provider_id(),
            name: "ann".into(),
            enabled: true,
            owner: Owner::User("ann@example.org".into()),
            username: None,
            gateways: ScopeView::Selected(vec![GATEWAY.parse().unwrap()]),
            active_connection_limit: Some(5),
            account: None,
            external_id: None,
            address: vec!["10.64.0.2/32".parse().unwrap()],
            dns: vec!["10.64.0.1".parse().unwrap()],
            mtu: Some(1_420),
            has_preshared_key: true,
            refused: None,
            version: 2,
            withdrawn: true,
        }])
    }

    async fn workspaces(&self) -> Result<Vec<WorkspaceRecord>, Refusal> {
        Ok(vec![WorkspaceRecord {
            name: "firefox".into(),
            egress: Egress::Required,
            override_egress_gateways: true,
            version: 1,
        }])
    }

    async fn backup(&self) -> Result<StoreCopy, Refusal> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(COPY).unwrap();
        file.rewind().unwrap();
        let turn = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        Ok(StoreCopy { file, turn })
    }

    async fn rotate_key(&self) -> Result<String, Refusal> {
        self.note(String::from("rotate key"));
        Ok(String::from("0123456789abcdef"))
    }

    async fn record(&self, record: &RecordId, _: &Caller) -> Result<Record, Refusal> {
        self.find(record).await
    }

    async fn create(
        &self,
        kind: RecordKind,
        fields: Fields,
        _: Caller,
    ) -> Result<(RecordId, Written<Record>), Refusal> {
        self.note(format!("create {} {}", kind.as_str(), Value::Object(fields)));
        let record = sample(kind);
        let written = written(self.find(&record).await?);
        Ok((record, written))
    }

    async fn update(
        &self,
        record: RecordId,
        patch: Fields,
        expected: Expected,
        on_sessions: OnSessions,
        _: Caller,
    ) -> Result<Written<Record>, Refusal> {
        let patch = Value::Object(patch);
        self.note(format!("update {record} {patch} {expected:?} {on_sessions:?}"));
        let found = self.find(&record).await?;
        if !meant(&expected, found.version()) {
            return Err(Refusal::new(Code::PreconditionFailed, "it has another version"));
        }
        Ok(written(found))
    }

    async fn delete(
        &self,
        record: RecordId,
        expected: Expected,
        mode: DeleteMode,
        _: Caller,
    ) -> Result<Removed, Refusal> {
        self.note(format!("delete {record} {expected:?} {mode:?}"));
        self.find(&record).await?;
        let Written { findings, sessions, .. } = written(());
        let removed = vec![format!("{} {record}", record.kind().as_str())];
        Ok(Removed { removed, updated: Vec::new(), findings, sessions })
    }
}

fn of<T>(list: Vec<T>, is_meant: impl Fn(&T) -> bool) -> Option<T> {
    list.into_iter().find(is_meant)
}

/// The one record of a kind.
pub fn sample(kind: RecordKind) -> RecordId {
    match kind {
        RecordKind::Provider => RecordId::Provider(provider_id()),
        RecordKind::Gateway => RecordId::Gateway(GATEWAY.parse().unwrap()),
        RecordKind::Mapping => RecordId::Mapping(MappingId::from_bytes([3; 16])),
        RecordKind::Credential => RecordId::Credential(credential_id()),
        RecordKind::Workspace => RecordId::Workspace("firefox".into()),
    }
}

fn meant(expected: &Expected, version: u64) -> bool {
    match expected {
        Expected::Any => true,
        Expected::Versions(versions) => versions.contains(&version),
    }
}

fn written<T>(record: T) -> Written<T> {
    let sessions = AffectedSessions { draining: vec!["c-41".parse().unwrap()], cut: Vec::new() };
    Written { record, findings: vec![Finding::warning("a warning")], sessions }
}

fn provider_id() -> ProviderId {
    ProviderId::from_bytes([1; 16])
}

fn credential_id() -> CredentialId {
    CredentialId::from_bytes([2; 16])
}

fn gateway_view() -> GatewayView {
    GatewayView {
        id: GATEWAY.parse().unwrap(),
        name: "se-1".into(),
        provider_id: provider_id(),
        provider: "nordic".into(),
        country: "Sweden".into(),
        city: "Malmö".into(),
    }
}

fn session_view(request: &AttachRequest) -> SessionView {
    SessionView {
        session_id: request.session_id.clone(),
        state: SessionState::Connected,
        reason: None,
        subject: request.subject.clone(),
        profile: ContainmentProfile::Sealed,
        gateway: request.gateway.map(|_| gateway_view()),
        credential_id: Some(credential_id()),
        credential_name: None,
        stale_credential: false,
        interface: Some("eg0".into()),
        addresses: vec!["10.64.0.2/32".parse().unwrap()],
        dns: vec!["10.64.0.1".parse().unwrap()],
        search: vec!["example.org".into()],
        mtu: Some(1_420),
        environment: BTreeMap::from([("EGRESS_GATEWAY_CITY".into(), "Malmö".into())]),
        timings_ms: Some(Timings { seal: 1.0, total: 9.5, ..Timings::default() }),
        created_at: 1_700_000_000,
        unwritten: None,
        warnings: Vec::new(),
    }
}
