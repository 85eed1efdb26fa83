//! A text that may be a secret, in place or in a file.

use serde::ser::Error;
use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::secret::Secret;

/// A text that may be a secret: in place, or in a file that the reader of the document can open.
///
/// It serialises as its text; one that still is a file cannot be serialised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The text itself.
    Inline(Secret<String>),
    /// A path as the document has it: relative to the document's own directory.
    File(String),
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(text) => serializer.serialize_str(text.expose()),
            Self::File(_) => Err(S::Error::custom("names a file that was not brought in")),
        }
    }
}

impl PartialSchema for Text {
    fn schema() -> RefOr<Schema> {
        String::schema()
    }
}

impl ToSchema for Text {}
