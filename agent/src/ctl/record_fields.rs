//! The fields of a record, gathered from a file, the command line and the files of its secrets.

use std::io::{Read, stdin};
use std::path::Path;

use egress_core::api::BODY_MAX;
use egress_core::fault::{Faults, Finding};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::record_arguments::FieldArguments;
use crate::catalog::reading;
use crate::control::agent::Fields;

/// Never on a command line, where every process of the host can read them.
const SECRETS: [&str; 4] = ["private_key", "password", "custom", "preshared_key"];
/// Several lines, and maybe keys in them.
const CONFIG: &str = "config";
/// Lists of texts.
const LISTS: [&str; 4] = ["gateways", "address", "dns", "expected_exit.addresses"];
/// Neither texts nor lists.
const OTHERS: [&str; 10] = [
    "enabled",
    "managed",
    "enable_new_managed_gateways",
    "split",
    "override_egress_gateways",
    "limit_active_connections",
    "active_connection_limit",
    "release_delay_s",
    "mtu",
    "expected_exit",
];

/// All that was given.
pub fn gather(arguments: &FieldArguments) -> Result<Fields, Failure> {
    let mut fields = match &arguments.file {
        Some(file) => from_file(file)?,
        None => Fields::new(),
    };
    for (field, text) in &arguments.set {
        if SECRETS.contains(&field.as_str()) || field == CONFIG {
            let why = format!("a command line is no place for {field}: say --read {field}=FILE");
            return Err(Failure::Usage(why));
        }
        put(&mut fields, field, value(field, text));
    }
    for (field, file) in &arguments.read {
        let text = if file == "-" { standard_input()? } else { from(field, Path::new(file))? };
        put(&mut fields, field, Value::from(text));
    }
    if fields.is_empty() {
        let why = "no fields: say --file FILE, --set FIELD=VALUE or --read FIELD=FILE";
        return Err(Failure::Usage(why.to_owned()));
    }
    Ok(fields)
}

fn from(field: &str, file: &Path) -> Result<String, Failure> {
    let is_secret = SECRETS.contains(&field);
    let text = if is_secret {
        reading::read_secret(file)
    } else {
        reading::read(file).map(|content| content.text)
    };
    let text = text.map_err(|why| faulty(file, why))?;
    Ok(text.expose().clone())
}

fn standard_input() -> Result<String, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = stdin().lock().take(BODY_MAX as u64 + 1).read_to_string(&mut text);
    read.map_err(|source| Failure::system("read standard input", source))?;
    if text.len() > BODY_MAX {
        return Err(Failure::Usage(format!("standard input has over {BODY_MAX} bytes")));
    }
    Ok(text.to_string())
}

/// A file of one record's fields. Those that end in `_file` name files beside it.
fn from_file(file: &Path) -> Result<Fields, Failure> {
    let text = if file == Path::new("-") { standard_input()? } else { from("", file)? };
    let is_json = text.trim_start().starts_with('{');
    let fields: Result<Fields, String> = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.message().to_owned())
    };
    let mut fields = fields.map_err(|why| faulty(file, why))?;
    let dir = file.parent().unwrap_or(Path::new("."));
    for field in SECRETS.into_iter().chain([CONFIG]) {
        let Some(Value::String(path)) = fields.remove(&format!("{field}_file")) else { continue };
        fields.insert(field.to_owned(), Value::from(from(field, &dir.join(path))?));
    }
    Ok(fields)
}

fn faulty(file: &Path, why: String) -> Failure {
    Failure::Faulty(Faults(vec![Finding::fault(why).in_file(file.display().to_string())]))
}

/// What a text on the command line is as the value of a field. What it cannot be the agent tells.
fn value(field: &str, text: &str) -> Value {
    let literal = || serde_json::from_str(text).ok();
    if text == "null" {
        return Value::Null;
    }
    if OTHERS.contains(&field) {
        return literal().unwrap_or_else(|| Value::from(text));
    }
    if LISTS.contains(&field) && text != "all" {
        let words = || text.split(',').filter(|word| !word.is_empty()).map(Value::from).collect();
        return literal().filter(Value::is_array).unwrap_or_else(words);
    }
    Value::from(text)
}

/// Sets a field, or one of a table in it, as in `expected_exit.country`.
fn put(fields: &mut Fields, field: &str, value: Value) {
    match field.split_once('.') {
        None => {
            fields.insert(field.to_owned(), value);
        }
        Some((table, rest)) => {
            let table = fields.entry(table).or_insert_with(|| Value::Object(Map::new()));
            if !table.is_object() {
                *table = Value::Object(Map::new());
            }
            put(table.as_object_mut().expect("it was made one"), rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn words_on_the_command_line_become_what_the_field_is() {
        let set = pairs(&[
            ("name", "7"),
            ("enabled", "false"),
            ("active_connection_limit", "5"),
            ("mtu", "many"),
            ("gateways", "all"),
            ("address", "10.0.0.1,fd00::1"),
            ("dns", r#"["10.0.0.1"]"#),
            ("account", "null"),
            ("expected_exit.country", "SE"),
            ("expected_exit.addresses", "192.0.2.0/24"),
        ]);
        let gathered = gather(&FieldArguments { file: None, set, read: Vec::new() }).unwrap();
        let wanted = json!({
            "name": "7", "enabled": false, "active_connection_limit": 5, "mtu": "many",
            "gateways": "all", "address": ["10.0.0.1", "fd00::1"], "dns": ["10.0.0.1"],
            "account": null,
            "expected_exit": {"country": "SE", "addresses": ["192.0.2.0/24"]},
        });
        assert_eq!(Value::Object(gathered), wanted);
    }

    #[test]
    fn a_secret_on_the_command_line_is_refused_without_being_repeated() {
        for field in SECRETS.into_iter().chain([CONFIG]) {
            let set = pairs(&[(field, "hunter2")]);
            let failure = gather(&FieldArguments { file: None, set, read: Vec::new() });
            let Err(Failure::Usage(why)) = failure else { panic!("{field} was taken") };
            assert!(why.contains("--read") && !why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn secrets_come_from_files_that_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (key, record) = (dir.path().join("key"), dir.path().join("record.toml"));
        fs::write(&key, "hunter2").unwrap();
        fs::write(&record, "name = \"a\"\npassword_file = \"key\"\n").unwrap();
        let from_record =
            || gather(&FieldArguments { file: Some(record.clone()), set: vec![], read: vec![] });
        let read = pairs(&[("password", key.to_str().unwrap())]);
        let read = FieldArguments { file: None, set: Vec::new(), read };
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        for failure in [from_record().unwrap_err(), gather(&read).unwrap_err()] {
            assert!(failure.text().contains("chmod 600"), "{}", failure.text());
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let wanted = json!({"name": "a", "password": "hunter2"});
        assert_eq!(Value::Object(from_record().unwrap()), wanted);
        assert_eq!(Value::Object(gather(&read).unwrap()), json!({"password": "hunter2"}));
    }

    #[test]
    fn a_record_without_any_field_is_a_mistake() {
        let nothing = FieldArguments { file: None, set: Vec::new(), read: Vec::new() };
        assert!(matches!(gather(&nothing), Err(Failure::Usage(_))));
    }
}
