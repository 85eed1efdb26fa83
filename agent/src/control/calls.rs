//! Every call of the API, once: routes, roles, deadlines and the document all start from here.

use std::time::Duration;

use axum::http::Method;
use egress_core::catalog::RecordKind;

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Give a container an egress.
    Attach,
    /// List sessions.
    Sessions,
    /// Show one session.
    Session,
    /// End a session.
    Detach,
    /// The launch menu.
    Offers,
    /// How the agent stands.
    Status,
    /// Live connections of each credential, account and key.
    Connections,
    /// What each session's tunnel has carried.
    Traffic,
    /// Follow what happens.
    Events,
    /// Add and change catalog records.
    Apply,
    /// Push the gateways that a plugin service has.
    Push,
    /// The gateway meant by a name.
    ResolveGateway,
    /// List providers.
    Providers,
    /// List gateways.
    Gateways,
    /// List mappings.
    Mappings,
    /// List credentials.
    Credentials,
    /// List workspaces.
    Workspaces,
    /// Copy the store.
    BackupStore,
    /// Seal the store's secrets with another master key.
    RotateKey,
    /// Make a record.
    Create(RecordKind),
    /// Show one record.
    Record(RecordKind),
    /// Change fields of a record.
    Update(RecordKind),
    /// Take a record away.
    Delete(RecordKind),
    /// This API's description.
    Openapi,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 40] = [
        Self::Attach,
        Self::Sessions,
        Self::Session,
        Self::Detach,
        Self::Offers,
        Self::Status,
        Self::Connections,
        Self::Traffic,
        Self::Events,
        Self::Apply,
        Self::Push,
        Self::ResolveGateway,
        Self::Providers,
        Self::Gateways,
        Self::Mappings,
        Self::Credentials,
        Self::Workspaces,
        Self::BackupStore,
        Self::RotateKey,
        Self::Create(RecordKind::Provider),
        Self::Record(RecordKind::Provider),
        Self::Update(RecordKind::Provider),
        Self::Delete(RecordKind::Provider),
        Self::Create(RecordKind::Gateway),
        Self::Record(RecordKind::Gateway),
        Self::Update(RecordKind::Gateway),
        Self::Delete(RecordKind::Gateway),
        Self::Create(RecordKind::Mapping),
        Self::Record(RecordKind::Mapping),
        Self::Update(RecordKind::Mapping),
        Self::Delete(RecordKind::Mapping),
        Self::Create(RecordKind::Credential),
        Self::Record(RecordKind::Credential),
        Self::Update(RecordKind::Credential),
        Self::Delete(RecordKind::Credential),
        Self::Create(RecordKind::Workspace),
        Self::Record(RecordKind::Workspace),
        Self::Update(RecordKind::Workspace),
        Self::Delete(RecordKind::Workspace),
        Self::Openapi,
    ];

    /// Its name in the audit log, and its operation id in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Sessions => "sessions",
            Self::Session => "session",
            Self::Detach => "detach",
            Self::Offers => "offers",
            Self::Status => "status",
            Self::Connections => "connections",
            Self::Traffic => "traffic",
            Self::Events => "events",
            Self::Apply => "apply",
            Self::Push => "push_managed_gateways",
            Self::ResolveGateway => "resolve_gateway",
            Self::Providers => "providers",
            Self::Gateways => "gateways",
            Self::Mappings => "mappings",
            Self::Credentials => "credentials",
            Self::Workspaces => "workspaces",
            Self::BackupStore => "backup_store",
            Self::RotateKey => "rotate_key",
            Self::Create(kind) => record_names(kind).create,
            Self::Record(kind) => kind.as_str(),
            Self::Update(kind) => record_names(kind).update,
            Self::Delete(kind) => record_names(kind).delete,
            Self::Openapi => "openapi",
        }
    }

    /// Its HTTP method.
    pub fn method(self) -> Method {
        match self {
            Self::Attach | Self::Apply | Self::Create(_) | Self::BackupStore | Self::RotateKey => {
                Method::POST
            }
            Self::Push => Method::PUT,
            Self::Update(_) => Method::PATCH,
            Self::Detach | Self::Delete(_) => Method::DELETE,
            Self::Sessions
            | Self::Session
            | Self::Offers
            | Self::Status
            | Self::Connections
            | Self::Traffic
            | Self::Events
            | Self::ResolveGateway
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::Record(_)
            | Self::Openapi => Method::GET,
        }
    }

    /// Its path, `{id}` standing for a session's or a record's id.
    pub fn path(self) -> &'static str {
        match self {
            Self::Attach | Self::Sessions => "/v1/sessions",
            Self::Session | Self::Detach => "/v1/sessions/{id}",
            Self::Offers => "/v1/offers",
            Self::Status => "/v1/status",
            Self::Connections => "/v1/connections",
            Self::Traffic => "/v1/traffic",
            Self::Events => "/v1/events",
            Self::Apply => "/v1/catalog:apply",
            Self::Push => "/v1/providers/{id}/managed-gateways",
            Self::ResolveGateway => "/v1/gateways:resolve",
            Self::Providers => "/v1/providers",
            Self::Gateways => "/v1/gateways",
            Self::Mappings => "/v1/mappings",
            Self::Credentials => "/v1/credentials",
            Self::Workspaces => "/v1/workspaces",
            Self::BackupStore => "/v1/store:backup",
            Self::RotateKey => "/v1/store:rotate-key",
            Self::Create(kind) => record_names(kind).list,
            Self::Record(kind) | Self::Update(kind) | Self::Delete(kind) => record_names(kind).one,
            Self::Openapi => "/v1/openapi.json",
        }
    }

    /// Whether it changes anything: such calls stand in the audit log, refused or not.
    pub fn changes_something(self) -> bool {
        self.method() != Method::GET
    }

    /// Whether it waits for a session or for what happens, and the agent does little meanwhile.
    pub fn waits(self) -> bool {
        match self {
            Self::Attach | Self::Detach | Self::Events => true,
            Self::Sessions
            | Self::Session
            | Self::Offers
            | Self::Status
            | Self::Connections
            | Self::Traffic
            | Self::Apply
            | Self::Push
            | Self::ResolveGateway
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::BackupStore
            | Self::RotateKey
            | Self::Create(_)
            | Self::Record(_)
            | Self::Update(_)
            | Self::Delete(_)
            | Self::Openapi => false,
        }
    }

    /// Whether anything may stand behind its path's question mark.
    pub fn takes_a_query(self) -> bool {
        match self {
            Self::Sessions
            | Self::Detach
            | Self::Offers
            | Self::Apply
            | Self::Push
            | Self::ResolveGateway
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::Update(_)
            | Self::Delete(_) => true,
            Self::Attach
            | Self::Session
            | Self::Status
            | Self::Connections
            | Self::Traffic
            | Self::Events
            | Self::BackupStore
            | Self::RotateKey
            | Self::Create(_)
            | Self::Record(_)
            | Self::Openapi => false,
        }
    }

    /// How long the agent may take for its reply to begin. An attach brings its own deadline; this
    /// is what the longest one may come to.
    pub fn deadline(self) -> Duration {
        match self {
            Self::Attach => Duration::from_millis(egress_core::api::DEADLINE_MAX_MS + 15_000),
            Self::Create(_)
            | Self::Update(_)
            | Self::Delete(_)
            | Self::BackupStore
            | Self::RotateKey => Duration::from_mins(1),
            Self::Apply | Self::Push => Duration::from_mins(2),
            Self::Sessions
            | Self::Session
            | Self::Detach
            | Self::Offers
            | Self::Status
            | Self::Connections
            | Self::Traffic
            | Self::Events
            | Self::ResolveGateway
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::Record(_)
            | Self::Openapi => Duration::from_secs(30),
        }
    }
}

/// What the calls on one kind of record are named after.
struct RecordNames {
    create: &'static str,
    update: &'static str,
    delete: &'static str,
    list: &'static str,
    one: &'static str,
}

fn record_names(kind: RecordKind) -> RecordNames {
    match kind {
        RecordKind::Provider => RecordNames {
            create: "create_provider",
            update: "update_provider",
            delete: "delete_provider",
            list: "/v1/providers",
            one: "/v1/providers/{id}",
        },
        RecordKind::Gateway => RecordNames {
            create: "create_gateway",
            update: "update_gateway",
            delete: "delete_gateway",
            list: "/v1/gateways",
            one: "/v1/gateways/{id}",
        },
        RecordKind::Mapping => RecordNames {
            create: "create_mapping",
            update: "update_mapping",
            delete: "delete_mapping",
            list: "/v1/mappings",
            one: "/v1/mappings/{id}",
        },
        RecordKind::Credential => RecordNames {
            create: "create_credential",
            update: "update_credential",
            delete: "delete_credential",
            list: "/v1/credentials",
            one: "/v1/credentials/{id}",
        },
        RecordKind::Workspace => RecordNames {
            create: "create_workspace",
            update: "update_workspace",
            delete: "delete_workspace",
            list: "/v1/workspaces",
            one: "/v1/workspaces/{name}",
        },
    }
}
