//! Which gateways an entry is for.

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// `gateways`: `"all"`, or a list of names or ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// All gateways of the provider, also those to come.
    #[default]
    All,
    /// The listed ones, by name or id.
    Selected(Vec<String>),
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Selected(texts) => texts.serialize(serializer),
        }
    }
}

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let all = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["all"]));
        OneOfBuilder::new().item(all).item(Vec::<String>::schema()).into()
    }
}

impl ToSchema for Scope {}
