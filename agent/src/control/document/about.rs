//! The document as a whole: where the API is, who may call, and which calls belong together.

use egress_core::catalog::RecordKind;
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{OpenApi, Server, Tag};

use super::super::calls::Call;

const CERTIFICATE: &str = "certificate";

const SESSIONS: &str = "sessions";
const MENU: &str = "menu";
const OBSERVING: &str = "observing";
const PROVIDERS: &str = "providers";
const GATEWAYS: &str = "gateways";
const MAPPINGS: &str = "mappings";
const CREDENTIALS: &str = "credentials";
const WORKSPACES: &str = "workspaces";
const CATALOG: &str = "catalog";
const STORE: &str = "store";
const DOCUMENT: &str = "document";

const TAGS: [(&str, &str); 11] = [
    (SESSIONS, "A container's egress, from attach to detach."),
    (MENU, "Which gateways a subject may use."),
    (OBSERVING, "The agent's parts, live connections, traffic and events."),
    (PROVIDERS, "Who runs gateways, and the push of a plugin service."),
    (GATEWAYS, "Ways out."),
    (MAPPINGS, "Who may use which gateways."),
    (CREDENTIALS, "What opens gateways."),
    (WORKSPACES, "What is launched."),
    (CATALOG, "All records at once."),
    (STORE, "The agent's file and its key."),
    (DOCUMENT, "This description."),
];

/// The group that a call belongs to.
pub fn tag(call: Call) -> &'static str {
    match call {
        Call::Attach | Call::Sessions | Call::Session | Call::Detach => SESSIONS,
        Call::Offers | Call::ResolveGateway => MENU,
        Call::Status | Call::Connections | Call::Traffic | Call::Events => OBSERVING,
        Call::Apply => CATALOG,
        Call::Push | Call::Providers => PROVIDERS,
        Call::Gateways => GATEWAYS,
        Call::Mappings => MAPPINGS,
        Call::Credentials => CREDENTIALS,
        Call::Workspaces => WORKSPACES,
        Call::BackupStore | Call::RotateKey => STORE,
        Call::Create(kind) | Call::Record(kind) | Call::Update(kind) | Call::Delete(kind) => {
            match kind {
                RecordKind::Provider => PROVIDERS,
                RecordKind::Gateway => GATEWAYS,
                RecordKind::Mapping => MAPPINGS,
                RecordKind::Credential => CREDENTIALS,
                RecordKind::Workspace => WORKSPACES,
            }
        }
        Call::Openapi => DOCUMENT,
    }
}

/// Says where the API is, how callers prove who they are, and what the groups of calls are.
pub fn describe(document: &mut OpenApi) {
    document.servers = Some(vec![socket(), elsewhere()]);
    document.tags = Some(TAGS.map(|(name, what)| described(name, what)).into());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        CERTIFICATE,
        SecurityScheme::MutualTls {
            description: Some("The names in the certificate have roles in agent.toml.".to_owned()),
            extensions: None,
        },
    );
    // At the socket the kernel says who calls.
    let none = SecurityRequirement::default();
    let certificate = SecurityRequirement::new(CERTIFICATE, Vec::<String>::new());
    document.security = Some(vec![none, certificate]);
}

fn socket() -> Server {
    ServerBuilder::new()
        .url("http://localhost")
        .description(Some(
            "The unix socket /run/egress-agent/agent.sock, whatever the host's name.",
        ))
        .build()
}

fn elsewhere() -> Server {
    let host = ServerVariableBuilder::new().default_value("localhost");
    let port = ServerVariableBuilder::new().default_value("9587");
    ServerBuilder::new()
        .url("https://{host}:{port}")
        .description(Some("From other hosts, where [api.tls] is set."))
        .parameter("host", host)
        .parameter("port", port)
        .build()
}

fn described(name: &str, what: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(what)).build()
}
