//! Every call of the API, once: routes, roles, deadlines and the document all start from here.

use std::time::Duration;

use axum::http::Method;

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
    /// Live connections of each credential, account and key.
    Connections,
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
    /// This API's description.
    Openapi,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 18] = [
        Self::Attach,
        Self::Sessions,
        Self::Session,
        Self::Detach,
        Self::Offers,
        Self::Connections,
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
            Self::Connections => "connections",
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
            Self::Openapi => "openapi",
        }
    }

    /// Its HTTP method.
    pub fn method(self) -> Method {
        match self {
            Self::Attach | Self::Apply | Self::BackupStore | Self::RotateKey => Method::POST,
            Self::Push => Method::PUT,
            Self::Detach => Method::DELETE,
            Self::Sessions
            | Self::Session
            | Self::Offers
            | Self::Connections
            | Self::Events
            | Self::ResolveGateway
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::Openapi => Method::GET,
        }
    }

    /// Its path, `{id}` standing for a session's id.
    pub fn path(self) -> &'static str {
        match self {
            Self::Attach | Self::Sessions => "/v1/sessions",
            Self::Session | Self::Detach => "/v1/sessions/{id}",
            Self::Offers => "/v1/offers",
            Self::Connections => "/v1/connections",
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
            Self::Openapi => "/v1/openapi.json",
        }
    }

    /// Whether it changes anything: such calls stand in the audit log, refused or not.
    pub fn changes_something(self) -> bool {
        self.method() != Method::GET
    }

    /// Whether anything may stand behind its path's question mark.
    pub fn takes_a_query(self) -> bool {
        match self {
            Self::Detach | Self::Offers | Self::Apply | Self::Push | Self::ResolveGateway => true,
            Self::Attach
            | Self::Sessions
            | Self::Session
            | Self::Connections
            | Self::Events
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::BackupStore
            | Self::RotateKey
            | Self::Openapi => false,
        }
    }

    /// How long the agent may take for its reply to begin. An attach brings its own deadline; this
    /// is what the longest one may come to.
    pub fn deadline(self) -> Duration {
        match self {
            Self::Attach => Duration::from_millis(egress_core::api::DEADLINE_MAX_MS + 15_000),
            Self::Apply | Self::BackupStore | Self::RotateKey => Duration::from_mins(1),
            Self::Push => Duration::from_mins(2),
            Self::Sessions
            | Self::Session
            | Self::Detach
            | Self::Offers
            | Self::Connections
            | Self::Events
            | Self::ResolveGateway
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::Openapi => Duration::from_secs(30),
        }
    }
}
