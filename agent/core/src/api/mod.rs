//! What launchers and operators say to the agent and hear back: requests, replies, refusals.

mod attach;
mod catalog;
mod code;
mod event;
mod from_catalog;
mod menu;
mod netns;
mod push;
mod records;
mod refusal;
mod session;
mod status;
mod store;
mod traffic;

pub use attach::{
    AttachRequest, ContainmentProfile, DEADLINE_DEFAULT_MS, DEADLINE_MAX_MS, GROUPS_MAX, NAME_MAX,
};
pub use catalog::{AffectedSessions, ApplyReport, OnSessions, Removed, Written};
pub use code::Code;
pub use event::{Event, TimedEvent};
pub use menu::{
    AccountUse, ConnectionList, ConnectionsView, GatewayRef, GatewayView, Health, HiddenGateway,
    HiddenReason, KeyUse, OfferList, OfferView,
};
pub use netns::{NetnsRef, of_run};
pub use push::PushReport;
pub use records::{
    AllWord, CredentialList, CredentialRecord, GatewayList, GatewayRecord, MappingList,
    MappingRecord, ProviderList, ProviderRecord, Record, ScopeView, WorkspaceList, WorkspaceRecord,
};
pub use refusal::{Problem, Reason, Refusal};
pub use session::{SessionList, SessionState, SessionView, Timings};
pub use status::{PartView, StatusView};
pub use store::KeyRotation;
pub use traffic::{TrafficList, TrafficView};

/// The most bytes a request body may have: 1 MiB.
pub const BODY_MAX: usize = 1 << 20;
/// The most bytes that the document of an apply or a pushed snapshot may have: 64 MiB, for 10,000
/// gateways of 6 KiB each.
pub const CATALOG_BODY_MAX: usize = 64 << 20;
