//! The calls on single records, as the document describes them.

use egress_core::catalog::RecordKind;
use utoipa::IntoParams;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Required, Response, Schema};

use super::super::queries::{DeleteQuery, UpdateQuery};

pub const CREATE: &str = "Takes what an entry of the apply document has. The id is made unless it is given. Secrets are \
     never shown again.";
pub const UPDATE: &str = "A JSON merge patch (RFC 7396) of the fields that creation takes: what is left out stays, \
     `null` gives a field its default, and a secret is replaced or stays. Owner and secret are \
     given as in creation. `If-Match` has the record's ETag, or `*`. Sessions run on (`drain`) or \
     are ended, sealed and blocked (`cut`), where they would not come up the same way again.";
pub const DELETE: &str = "Refused while other records need it, unless `cascade`. `If-Match` has the record's ETag, or \
     `*`. Sessions run on (`drain`) or are ended, sealed and blocked (`cut`).";

/// What each call on a kind of record is called.
pub struct Summary {
    pub create: &'static str,
    pub show: &'static str,
    pub update: &'static str,
    pub delete: &'static str,
}

pub fn summary(kind: RecordKind) -> Summary {
    match kind {
        RecordKind::Provider => Summary {
            create: "Make a provider",
            show: "Show a provider",
            update: "Change a provider",
            delete: "Delete a provider",
        },
        RecordKind::Gateway => Summary {
            create: "Make a gateway",
            show: "Show a gateway",
            update: "Change a gateway",
            delete: "Delete a gateway",
        },
        RecordKind::Mapping => Summary {
            create: "Make a mapping",
            show: "Show a mapping",
            update: "Change a mapping",
            delete: "Delete a mapping",
        },
        RecordKind::Credential => Summary {
            create: "Make a credential",
            show: "Show a credential",
            update: "Change a credential",
            delete: "Delete a credential",
        },
        RecordKind::Workspace => Summary {
            create: "Make a workspace",
            show: "Show a workspace",
            update: "Change a workspace",
            delete: "Delete a workspace",
        },
    }
}

/// The schema of what a record is made of.
pub fn entry(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Provider => "ProviderEntry",
        RecordKind::Gateway => "GatewayEntry",
        RecordKind::Mapping => "MappingEntry",
        RecordKind::Credential => "CredentialEntry",
        RecordKind::Workspace => "WorkspaceEntry",
    }
}

/// The schema of a record.
pub fn record(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Provider => "ProviderRecord",
        RecordKind::Gateway => "GatewayRecord",
        RecordKind::Mapping => "MappingRecord",
        RecordKind::Credential => "CredentialRecord",
        RecordKind::Workspace => "WorkspaceRecord",
    }
}

/// The schema of a record that was written.
pub fn written(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Provider => "Written_ProviderRecord",
        RecordKind::Gateway => "Written_GatewayRecord",
        RecordKind::Mapping => "Written_MappingRecord",
        RecordKind::Credential => "Written_CredentialRecord",
        RecordKind::Workspace => "Written_WorkspaceRecord",
    }
}

/// The schema of a patch.
pub fn patch(kind: RecordKind) -> RefOr<Schema> {
    let fields = format!("Fields of {}, each with its new value or null.", entry(kind));
    ObjectBuilder::new().schema_type(Type::Object).description(Some(fields)).into()
}

pub fn update_parameters(kind: RecordKind) -> Vec<Parameter> {
    let query = UpdateQuery::into_params(|| Some(ParameterIn::Query));
    [vec![key(kind), if_match()], query].concat()
}

pub fn delete_parameters(kind: RecordKind) -> Vec<Parameter> {
    let query = DeleteQuery::into_params(|| Some(ParameterIn::Query));
    [vec![key(kind), if_match()], query].concat()
}

/// A record's key in its path.
pub fn key(kind: RecordKind) -> Parameter {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let uuid = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let (name, what, schema) = match kind {
        RecordKind::Provider => ("id", "The provider's id.", uuid()),
        RecordKind::Gateway => ("id", "The gateway's id.", uuid()),
        RecordKind::Mapping => ("id", "The mapping's id.", uuid()),
        RecordKind::Credential => ("id", "The credential's id.", uuid()),
        RecordKind::Workspace => ("name", "The workspace's name.", text().min_length(Some(1))),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(what))
        .schema(Some(schema))
        .build()
}

fn if_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some("The ETag of the version that was seen, or `*` for any."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some(IF_MATCH))))
        .build()
}

const IF_MATCH: &str = r#"^(\*|"[0-9]{1,19}")$"#;

pub fn with_etag(response: Response) -> Response {
    with_header(response, "ETag", "The record's version.")
}

pub fn with_location(response: Response) -> Response {
    with_header(response, "Location", "The record's path.")
}

fn with_header(mut response: Response, name: &str, what: &str) -> Response {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let header = HeaderBuilder::new().schema(text).description(Some(what)).build();
    response.headers.insert(name.to_owned(), header);
    response
}
