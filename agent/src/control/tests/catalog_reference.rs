//! `docs/catalog.md`, which is made of the API's description and must agree with it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::Lab;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/catalog.md");
/// With this in the environment the file is written anew.
const WRITE: &str = "EGRESS_WRITE_DOCS";

const INTRODUCTION: &str = "# Fields of catalog records\n\n\
    Records stand in apply files as `[[provider]]`, `[[gateway]]`, `[[mapping]]`, `[[credential]]` and \
    `[[workspace]]`; the API takes the same fields as JSON. Examples are in \
    [configs/catalog](../configs/catalog). In an apply file `config` and each secret may be in a \
    file of its own: `config_file`, `private_key_file` and so on, relative to the apply file; a \
    secret's file has mode 0600. This page is made from the API's description \
    (`EGRESS_WRITE_DOCS=1 cargo test catalog_reference`).\n";

const ENTRIES: [(&str, &str); 5] = [
    ("provider", "ProviderEntry"),
    ("gateway", "GatewayEntry"),
    ("mapping", "MappingEntry"),
    ("credential", "CredentialEntry"),
    ("workspace", "WorkspaceEntry"),
];

#[tokio::test]
async fn the_reference_of_fields_is_what_the_api_describes() {
    let document = Lab::start().get("/v1/openapi.json").await.json();
    let schemas = Schemas(document.pointer("/components/schemas").unwrap());
    let mut page = INTRODUCTION.to_owned();
    for (kind, entry) in ENTRIES {
        write!(page, "\n## {kind}\n\n| field | value | |\n| --- | --- | --- |\n").unwrap();
        schemas.fields(entry, &mut page);
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::create_dir_all(Path::new(FILE).parent().unwrap()).unwrap();
        std::fs::write(FILE, &page).unwrap();
    }
    let written = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(written == page, "docs/catalog.md is not what the API describes: write it anew");
}

struct Schemas<'a>(&'a Value);

impl<'a> Schemas<'a> {
    /// A line for each field of a schema and of those that it is put together of.
    fn fields(&self, name: &str, page: &mut String) {
        self.lines(&self.0[name], page);
    }

    fn lines(&self, schema: &'a Value, page: &mut String) {
        let schema = self.resolved(schema);
        let required = schema["required"].as_array();
        for (field, about) in schema["properties"].as_object().into_iter().flatten() {
            let must = required.is_some_and(|it| it.iter().any(|name| name == field));
            let must = if must { "**needed.** " } else { "" };
            let what = described(about);
            writeln!(page, "| `{field}` | {} | {must}{what} |", self.kind(about)).unwrap();
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.lines(part, page);
        }
        // One of several fields, as a record's owner is.
        for part in schema["oneOf"].as_array().into_iter().flatten() {
            self.alternatives(part, page);
        }
    }

    fn alternatives(&self, schema: &'a Value, page: &mut String) {
        for (field, about) in schema["properties"].as_object().into_iter().flatten() {
            let what = described(schema);
            writeln!(page, "| `{field}` | {} | one of these. {what} |", self.kind(about)).unwrap();
        }
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => &self.0[reference.rsplit('/').next().unwrap()],
            None => schema,
        }
    }

    /// What a value may be, in a few words.
    fn kind(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<_> = words.iter().map(|word| format!("`{}`", text(word))).collect();
            return words.join(", ");
        }
        for parts in ["oneOf", "anyOf", "allOf"] {
            if let Some(parts) = schema[parts].as_array() {
                let mut kinds: Vec<_> = parts.iter().map(|part| self.kind(part)).collect();
                kinds.retain(|kind| !kind.is_empty());
                kinds.dedup();
                return kinds.join(" or ");
            }
        }
        let kind = &schema["type"];
        let mut kinds: Vec<_> = kind
            .as_array()
            .map_or_else(|| vec![text(kind)], |kinds| kinds.iter().map(text).collect());
        kinds.retain(|kind| kind != "null");
        match kinds.join(" or ").as_str() {
            "array" => format!("list of {}", self.kind(&schema["items"])),
            "string" => match schema["format"].as_str() {
                Some("uuid") => "id".to_owned(),
                Some(format) => format.to_owned(),
                None => "text".to_owned(),
            },
            "integer" => "number".to_owned(),
            "boolean" => "`true`, `false`".to_owned(),
            "object" => self.object(schema),
            other => other.to_owned(),
        }
    }

    fn object(&self, schema: &'a Value) -> String {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields: Vec<_> =
            fields.map(|(name, about)| format!("`{name}` ({})", self.kind(about))).collect();
        format!("table of {}", fields.join(", "))
    }
}

/// A schema's description; that of a value that may be absent stands with one of its forms.
fn described(schema: &Value) -> String {
    let forms = schema["oneOf"].as_array().into_iter().flatten();
    let mut descriptions = [schema].into_iter().chain(forms).map(|form| &form["description"]);
    let found = descriptions.find_map(Value::as_str);
    found.unwrap_or_default().replace('\n', " ")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
