//! Records in words.

use egress_core::api::{ProviderRecord, Removed, Written};
use egress_core::catalog::RecordKind;
use serde_json::Value;

use super::tables::{affected, blank, finish, table_of};

/// A column's title and the fields of which the first that says something stands in it.
type Column = (&'static str, &'static [&'static str]);

const OWNER: Column = ("OWNER", &["user", "group", "workspace"]);

fn columns(kind: RecordKind) -> &'static [Column] {
    match kind {
        RecordKind::Provider => &[
            ("PROVIDER", &["name"]),
            ("TYPE", &["type"]),
            ("ENABLED", &["enabled"]),
            ("MANAGED", &["managed"]),
            ("ID", &["id"]),
        ],
        RecordKind::Gateway => &[
            ("GATEWAY", &["name"]),
            ("PROVIDER", &["provider_id"]),
            ("COUNTRY", &["country"]),
            ("CITY", &["city"]),
            ("ENABLED", &["enabled"]),
            ("ID", &["id"]),
        ],
        RecordKind::Mapping => &[
            OWNER,
            ("PROVIDER", &["provider_id"]),
            ("GATEWAYS", &["gateways"]),
            ("ENABLED", &["enabled"]),
            ("ID", &["id"]),
        ],
        RecordKind::Credential => &[
            ("CREDENTIAL", &["name"]),
            ("PROVIDER", &["provider_id"]),
            OWNER,
            ("LIMIT", &["active_connection_limit"]),
            ("GATEWAYS", &["gateways"]),
            ("ENABLED", &["enabled"]),
            ("ID", &["id"]),
        ],
        RecordKind::Workspace => &[
            ("WORKSPACE", &["name"]),
            ("EGRESS", &["egress"]),
            ("OWN MAPPINGS ONLY", &["override_egress_gateways"]),
        ],
    }
}

/// Records of one kind, one a line.
pub fn list(kind: RecordKind, list: &Value, providers: &[ProviderRecord]) -> String {
    let columns = columns(kind);
    let mut table = table_of(columns.iter().map(|(title, _)| *title));
    let key = format!("{}s", kind.as_str());
    for record in list[key].as_array().into_iter().flatten() {
        table.add_row(columns.iter().map(|column| cell(record, column, providers)));
    }
    finish(&table)
}

fn cell(record: &Value, (title, fields): &Column, providers: &[ProviderRecord]) -> String {
    let found = fields.iter().find_map(|field| Some((*field, record.get(*field)?)));
    match found {
        None => String::new(),
        Some(("provider_id", id)) => {
            let provider =
                providers.iter().find(|it| Some(it.id.to_string().as_str()) == id.as_str());
            provider.map_or_else(|| words(id), |provider| provider.name.clone())
        }
        Some((field, name)) if *title == OWNER.0 => format!("{field}:{}", words(name)),
        Some(("gateways", Value::Array(ids))) => format!("{} selected", ids.len()),
        Some((_, value)) => words(value),
    }
}

/// One record, one field a line.
pub fn record(record: &Value) -> String {
    let mut table = blank();
    for (field, value) in record.as_object().into_iter().flatten() {
        table.add_row([field.replace('_', " "), words(value)]);
    }
    finish(&table)
}

/// A record that was made or changed, and what became of sessions.
pub fn written(written: &Written<Value>) -> String {
    record(&written.record) + &affected(&written.sessions, "")
}

/// What a deletion did, one record a line.
pub fn removed(removed: &Removed) -> String {
    let gone = removed.removed.iter().map(|record| format!("{record} removed\n"));
    let changed = removed.updated.iter().map(|record| format!("{record} changed\n"));
    gone.chain(changed).collect::<String>() + &affected(&removed.sessions, "")
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use egress_core::api::AffectedSessions;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_shows_names_for_ids_and_owners_with_their_kind() {
        let id = "01010101-0101-0101-0101-010101010101";
        let provider: ProviderRecord = serde_json::from_value(json!({
            "id": id, "name": "nordic", "type": "wireguard", "enabled": true, "managed": false,
            "enable_new_managed_gateways": false, "version": 1, "split": false,
            "on_hooks": "refuse", "key_sharing": "exclusive", "selection": "id",
            "release_delay_s": 0,
        }))
        .unwrap();
        let mappings = json!({"mappings": [
            {"id": "m-1", "provider_id": id, "group": "staff", "gateways": ["a", "b"], "enabled": true},
            {"id": "m-2", "provider_id": "other", "user": "ann", "gateways": "all", "enabled": false},
        ]});
        let text = list(RecordKind::Mapping, &mappings, &[provider]);
        let lines: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["group:staff", "nordic", "2", "selected", "yes", "m-1"]);
        assert_eq!(lines[2], ["user:ann", "other", "all", "no", "m-2"]);
    }

    #[test]
    fn a_deletion_tells_what_went_and_which_sessions_it_ended() {
        let done = Removed {
            removed: vec!["gateway nordic/se-1".into()],
            updated: vec!["mapping nordic user:ann".into()],
            findings: Vec::new(),
            sessions: AffectedSessions { draining: Vec::new(), cut: vec!["c-1".parse().unwrap()] },
        };
        let wanted =
            "gateway nordic/se-1 removed\nmapping nordic user:ann changed\nsession c-1 cut\n";
        assert_eq!(removed(&done), wanted);
    }
}
