//! What the API can ask of the agent, and who asks.

use std::fs::File;

use bytes::Bytes;
use egress_core::api::{
    ApplyReport, AttachRequest, ConnectionList, CredentialRecord, GatewayRecord, MappingRecord,
    OnSessions, ProviderRecord, PushReport, Record, Refusal, Removed, SessionView, StatusView,
    TrafficView, WorkspaceRecord, Written,
};
use egress_core::catalog::{Expected, RecordId, RecordKind, Subject};
use egress_core::id::{GatewayId, ProviderId, SessionId};
use tokio::sync::OwnedSemaphorePermit;

use super::caller::Caller;

/// The fields of a record, as a body has them.
pub type Fields = serde_json::Map<String, serde_json::Value>;

/// What the API can ask of the agent. Every call may be made many times at once, and every one
/// bounds its own time: the server gives up waiting a little later and answers for it.
pub trait Agent: Send + Sync + 'static {
    /// Gives a container its egress, or finds the running session of that id and request.
    ///
    /// The server carries this through when the caller hangs up: what was begun ends as a session
    /// or as a refusal, never half-way.
    fn attach(
        &self,
        request: AttachRequest,
        caller: Caller,
    ) -> impl Future<Output = Result<Attached, Refusal>> + Send;

    /// Health of the agent, its parts and its host.
    fn status(&self) -> impl Future<Output = Result<StatusView, Refusal>> + Send;

    /// Ends a session and says how it stood at the end. The container stays sealed unless
    /// `release`, which also finds the container of a session that has ended. Carried through like [`Agent::attach`].
    fn detach(
        &self,
        id: SessionId,
        release: bool,
        caller: Caller,
    ) -> impl Future<Output = Result<SessionView, Refusal>> + Send;

    /// One session.
    fn session(&self, id: &SessionId) -> impl Future<Output = Result<SessionView, Refusal>> + Send;

    /// Every session, by id.
    fn sessions(&self) -> impl Future<Output = Result<Vec<SessionView>, Refusal>> + Send;

    /// The launch menu; with `explain` also what is hidden, and why. In JSON, as it may be megabytes
    /// long: an [`OfferList`](egress_core::api::OfferList).
    fn offers(
        &self,
        subject: &Subject,
        explain: bool,
    ) -> impl Future<Output = Result<Bytes, Refusal>> + Send;

    /// The gateway meant by an id, `provider/name` or a name that only one provider has.
    fn gateway_by_name(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<GatewayId, Refusal>> + Send;

    /// Live connections of every credential, account and key.
    fn connections(&self) -> impl Future<Output = Result<ConnectionList, Refusal>> + Send;

    /// What every session's tunnel has carried, by session.
    fn traffic(&self) -> impl Future<Output = Result<Vec<TrafficView>, Refusal>> + Send;

    /// Adds and changes the records of an apply document, all or none. Carried through like
    /// [`Agent::attach`], as are the changes of single records.
    fn apply(
        &self,
        document: serde_json::Value,
        mode: ApplyMode,
        caller: Caller,
    ) -> impl Future<Output = Result<ApplyReport, Refusal>> + Send;

    /// Pushes a provider's snapshot, which comes as JSON. Carried through like [`Agent::attach`].
    fn push(
        &self,
        provider: ProviderId,
        snapshot: Bytes,
        dry_run: bool,
        caller: Caller,
    ) -> impl Future<Output = Result<PushReport, Refusal>> + Send;

    /// Every provider, by name.
    fn providers(&self) -> impl Future<Output = Result<Vec<ProviderRecord>, Refusal>> + Send;

    /// Every gateway, by provider and name.
    fn gateways(&self) -> impl Future<Output = Result<Vec<GatewayRecord>, Refusal>> + Send;

    /// Every mapping, by id.
    fn mappings(&self) -> impl Future<Output = Result<Vec<MappingRecord>, Refusal>> + Send;

    /// Every credential, by id.
    fn credentials(&self) -> impl Future<Output = Result<Vec<CredentialRecord>, Refusal>> + Send;

    /// Every workspace, by name.
    fn workspaces(&self) -> impl Future<Output = Result<Vec<WorkspaceRecord>, Refusal>> + Send;

    /// A copy of the store, made now.
    fn backup(&self) -> impl Future<Output = Result<StoreCopy, Refusal>> + Send;

    /// Seals the store's secrets with another master key, and gives that one's id.
    fn rotate_key(&self) -> impl Future<Output = Result<String, Refusal>> + Send;

    /// One record. A plugin sees the providers that are its own.
    fn record(
        &self,
        record: &RecordId,
        caller: &Caller,
    ) -> impl Future<Output = Result<Record, Refusal>> + Send;

    /// Makes a record, and says under which key.
    fn create(
        &self,
        kind: RecordKind,
        fields: Fields,
        caller: Caller,
    ) -> impl Future<Output = Result<(RecordId, Written<Record>), Refusal>> + Send;

    /// Replaces fields of a record.
    fn update(
        &self,
        record: RecordId,
        patch: Fields,
        expected: Expected,
        on_sessions: OnSessions,
        caller: Caller,
    ) -> impl Future<Output = Result<Written<Record>, Refusal>> + Send;

    /// Takes a record away; with `cascade` also what needs it.
    fn delete(
        &self,
        record: RecordId,
        expected: Expected,
        mode: DeleteMode,
        caller: Caller,
    ) -> impl Future<Output = Result<Removed, Refusal>> + Send;
}

/// How a deletion is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeleteMode {
    /// Take what needs the record away as well.
    pub cascade: bool,
    /// What becomes of sessions that run on it.
    pub on_sessions: OnSessions,
}

/// What an attach came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// The session, connected.
    pub session: SessionView,
    /// This call made it; otherwise it was running.
    pub created: bool,
}

/// A copy of the store.
#[derive(Debug)]
pub struct StoreCopy {
    /// Has no name, so it is gone when it is closed. Read from its beginning.
    pub file: File,
    /// No other copy is made while this one is read.
    pub turn: OwnedSemaphorePermit,
}

/// How an apply is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyMode {
    /// Say what would change, and write nothing.
    pub dry_run: bool,
    /// Remove what an earlier apply made and this one does not name.
    pub prune: bool,
    /// What becomes of sessions that run on what is changed or removed.
    pub on_sessions: OnSessions,
}
