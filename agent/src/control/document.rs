//! The API's description: an OpenAPI document of every call.

mod about;
mod examples;
mod records;
mod refusals;

use egress_core::api::{
    ApplyReport, AttachRequest, ConnectionList, CredentialList, CredentialRecord, GatewayList,
    GatewayRecord, GatewayRef, KeyRotation, MappingList, MappingRecord, OfferList, Problem,
    ProviderList, ProviderRecord, PushReport, Removed, SessionList, SessionView, StatusView,
    TimedEvent, TrafficList, WorkspaceList, WorkspaceRecord, Written,
};
use egress_core::catalog::{Document, RecordKind, Snapshot};
use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, HttpMethod, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder, Schema,
};
use utoipa::{IntoParams, OpenApi as _};

use super::calls::Call;
use super::queries::{
    ApplyQuery, DetachQuery, GatewaysQuery, OfProviderQuery, OffersQuery, PageQuery, PushQuery,
    ResolveQuery, SessionsQuery,
};
use super::store;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "egress-agent",
        description = "Gives each container on a host its own way out to the internet, through a \
                       VPN gateway somebody chose for it. HTTP/1.1 on a unix socket, where the \
                       caller's user and groups decide what it may do, and over TLS, where its \
                       certificate does.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(),
    ),
    components(schemas(
        ApplyReport,
        AttachRequest,
        ConnectionList,
        CredentialList,
        Document,
        GatewayList,
        GatewayRef,
        KeyRotation,
        MappingList,
        OfferList,
        Problem,
        ProviderList,
        PushReport,
        Removed,
        SessionList,
        SessionView,
        Snapshot,
        StatusView,
        TimedEvent,
        TrafficList,
        WorkspaceList,
        Written<CredentialRecord>,
        Written<GatewayRecord>,
        Written<MappingRecord>,
        Written<ProviderRecord>,
        Written<WorkspaceRecord>,
    ))
)]
struct Components;

/// The whole document.
pub(super) fn openapi() -> OpenApi {
    let mut document = Components::openapi();
    about::describe(&mut document);
    for call in Call::ALL {
        let path = PathItem::new(method(call), operation(call));
        let item = document.paths.paths.entry(call.path().to_owned()).or_default();
        item.merge_operations(path);
    }
    document
}

fn method(call: Call) -> HttpMethod {
    match call {
        Call::Attach | Call::Apply | Call::Create(_) | Call::BackupStore | Call::RotateKey => {
            HttpMethod::Post
        }
        Call::Push => HttpMethod::Put,
        Call::Update(_) => HttpMethod::Patch,
        Call::Detach | Call::Delete(_) => HttpMethod::Delete,
        Call::Sessions
        | Call::Session
        | Call::Offers
        | Call::Status
        | Call::Connections
        | Call::Traffic
        | Call::Events
        | Call::ResolveGateway
        | Call::Providers
        | Call::Gateways
        | Call::Mappings
        | Call::Credentials
        | Call::Workspaces
        | Call::Record(_)
        | Call::Openapi => HttpMethod::Get,
    }
}

fn operation(call: Call) -> Operation {
    let parameters = parameters(call);
    OperationBuilder::new()
        .operation_id(Some(call.name()))
        .tag(about::tag(call))
        .summary(Some(summary(call)))
        .description(description(call))
        .parameters((!parameters.is_empty()).then_some(parameters))
        .request_body(body(call).map(|(media_type, schema)| {
            let required = Some(Required::True);
            let content =
                ContentBuilder::new().schema(Some(schema)).example(examples::body(call)).build();
            RequestBodyBuilder::new().content(media_type, content).required(required).build()
        }))
        .responses(responses(call))
        .build()
}

fn summary(call: Call) -> &'static str {
    match call {
        Call::Attach => "Give a container an egress",
        Call::Sessions => "List sessions",
        Call::Session => "Show a session",
        Call::Detach => "End a session",
        Call::Offers => "The launch menu",
        Call::Status => "How the agent stands",
        Call::Traffic => "What each session's tunnel has carried",
        Call::Connections => "Live connections of each credential, account and key",
        Call::Events => "Follow what happens",
        Call::Apply => "Add and change catalog records",
        Call::Push => "Push the gateways that a plugin service has",
        Call::ResolveGateway => "The gateway meant by a name",
        Call::Providers => "List providers",
        Call::Gateways => "List gateways",
        Call::Mappings => "List mappings",
        Call::Credentials => "List credentials",
        Call::Workspaces => "List workspaces",
        Call::BackupStore => "Copy the store",
        Call::RotateKey => "Seal the store's secrets with another master key",
        Call::Create(kind) => records::summary(kind).create,
        Call::Record(kind) => records::summary(kind).show,
        Call::Update(kind) => records::summary(kind).update,
        Call::Delete(kind) => records::summary(kind).delete,
        Call::Openapi => "This document",
    }
}

fn description(call: Call) -> Option<&'static str> {
    match call {
        Call::Attach => Some(
            "Returns when the container is connected and sealed, or with the reason why not, \
             within `deadline_ms`. The same id and request again finds the running session. \
             Hanging up does not cancel it: what was begun ends as a session or a refusal.",
        ),
        Call::Detach => Some(
            "The container stays sealed unless `release=true`. With that, a session that has ended \
             is found too, as long as its container lives: the seal that it left is taken off, once \
             or again. Hanging up does not cancel it.",
        ),
        Call::Events => Some(
            "Server-sent events. Send the last id back as `Last-Event-ID` to go on after it; 1,024 \
             events are kept, and a `reset` stands for those that are not. A silent stream sends a \
             comment every 15 s; a reader that takes nothing for 10 s is dropped.",
        ),
        Call::Apply => Some(
            "All records or none. A secret that is left out keeps its stored value. The document \
             may name no files: egressctl brings them in.",
        ),
        Call::BackupStore => Some(
            "The whole store as one SQLite file, as it is between two changes. Secrets in it are \
             sealed; the key that opens them is not in it.",
        ),
        Call::RotateKey => Some(
            "The new key is put in the place of the one there was. A copy of the store that was \
             made before needs the former key.",
        ),
        Call::Push => Some(
            "The whole snapshot or nothing, found by `external_id`. Its version must grow: the last \
             one again changes nothing, or is refused where its content differs, as older ones are. \
             New gateways start enabled where the provider's `enable_new_managed_gateways` is on; \
             what somebody enables or disables later stays so. A gateway that is left out is \
             disabled, and enabled again when it comes back; sessions through it run on. A plugin \
             pushes to the providers that are its own.",
        ),
        Call::Create(_) => Some(records::CREATE),
        Call::Update(_) => Some(records::UPDATE),
        Call::Delete(_) => Some(records::DELETE),
        Call::Sessions
        | Call::Session
        | Call::Offers
        | Call::Status
        | Call::Connections
        | Call::Traffic
        | Call::ResolveGateway
        | Call::Providers
        | Call::Gateways
        | Call::Mappings
        | Call::Credentials
        | Call::Workspaces
        | Call::Record(_)
        | Call::Openapi => None,
    }
}

fn parameters(call: Call) -> Vec<Parameter> {
    let in_query = || Some(ParameterIn::Query);
    match call {
        Call::Session => vec![id()],
        Call::Detach => [vec![id()], DetachQuery::into_params(in_query)].concat(),
        Call::Offers => OffersQuery::into_params(in_query),
        Call::Apply => ApplyQuery::into_params(in_query),
        Call::Push => {
            [vec![records::key(RecordKind::Provider)], PushQuery::into_params(in_query)].concat()
        }
        Call::Sessions => SessionsQuery::into_params(in_query),
        Call::Gateways => GatewaysQuery::into_params(in_query),
        Call::Mappings | Call::Credentials => OfProviderQuery::into_params(in_query),
        Call::Providers | Call::Workspaces => PageQuery::into_params(in_query),
        Call::ResolveGateway => ResolveQuery::into_params(in_query),
        Call::Events => vec![last_event_id()],
        Call::Record(kind) => vec![records::key(kind)],
        Call::Update(kind) => records::update_parameters(kind),
        Call::Delete(kind) => records::delete_parameters(kind),
        Call::Create(_)
        | Call::Attach
        | Call::Status
        | Call::Connections
        | Call::Traffic
        | Call::BackupStore
        | Call::RotateKey
        | Call::Openapi => Vec::new(),
    }
}

fn id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The session's id."))
        .schema(Some(Ref::from_schema_name("SessionId")))
        .build()
}

fn last_event_id() -> Parameter {
    ParameterBuilder::new()
        .name("Last-Event-ID")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("Go on after this event; absent: from now."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))))
        .build()
}

/// The media type and the schema of the body that a call takes.
fn body(call: Call) -> Option<(&'static str, RefOr<Schema>)> {
    let json = |schema| ("application/json", Ref::from_schema_name(schema).into());
    match call {
        Call::Attach => Some(json("AttachRequest")),
        Call::Apply => Some(json("CatalogDocument")),
        Call::Create(kind) => Some(json(records::entry(kind))),
        Call::Update(kind) => Some(("application/merge-patch+json", records::patch(kind))),
        Call::Push => Some(json("Snapshot")),
        Call::Sessions
        | Call::Session
        | Call::Detach
        | Call::Offers
        | Call::Status
        | Call::Connections
        | Call::Traffic
        | Call::Events
        | Call::ResolveGateway
        | Call::Providers
        | Call::Gateways
        | Call::Mappings
        | Call::Credentials
        | Call::Workspaces
        | Call::BackupStore
        | Call::RotateKey
        | Call::Record(_)
        | Call::Delete(_)
        | Call::Openapi => None,
    }
}

/// The schema of the reply that a call gives.
fn reply(call: Call) -> Option<&'static str> {
    match call {
        Call::Attach | Call::Session | Call::Detach => Some("SessionView"),
        Call::Sessions => Some("SessionList"),
        Call::Offers => Some("OfferList"),
        Call::Status => Some("StatusView"),
        Call::Connections => Some("ConnectionList"),
        Call::Traffic => Some("TrafficList"),
        Call::Events => Some("TimedEvent"),
        Call::Apply => Some("ApplyReport"),
        Call::Push => Some("PushReport"),
        Call::ResolveGateway => Some("GatewayRef"),
        Call::Providers => Some("ProviderList"),
        Call::Gateways => Some("GatewayList"),
        Call::Mappings => Some("MappingList"),
        Call::Credentials => Some("CredentialList"),
        Call::Workspaces => Some("WorkspaceList"),
        Call::Record(kind) => Some(records::record(kind)),
        Call::Create(kind) | Call::Update(kind) => Some(records::written(kind)),
        Call::Delete(_) => Some("Removed"),
        Call::RotateKey => Some("KeyRotation"),
        Call::BackupStore | Call::Openapi => None,
    }
}

fn media_type(call: Call) -> &'static str {
    if call == Call::Events {
        "text/event-stream"
    } else if call == Call::BackupStore {
        store::MEDIA_TYPE
    } else {
        "application/json"
    }
}

fn responses(call: Call) -> utoipa::openapi::Responses {
    let media_type = media_type(call);
    let content = ContentBuilder::new()
        .schema(reply(call).map(Ref::from_schema_name))
        .example(examples::reply(call))
        .build();
    let done = |what: &str| {
        ResponseBuilder::new().description(what).content(media_type, content.clone()).build()
    };
    let refusals = refusals::responses(call);
    if let Call::Create(_) = call {
        let made = records::with_etag(done("Made; `Location` is where."));
        return refusals.response("201", records::with_location(made)).build();
    }
    let responses = refusals.response("200", done("Done."));
    if let Call::Record(_) | Call::Update(_) = call {
        return responses.response("200", records::with_etag(done("Done."))).build();
    }
    if call == Call::Attach {
        return responses
            .response("200", done("It was running already."))
            .response("201", done("Connected and sealed."))
            .build();
    }
    responses.build()
}
