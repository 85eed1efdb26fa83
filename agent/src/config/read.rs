//! `agent.toml` becomes settings: every fault is found at once, each with its line.

use std::marker::PhantomData;

use egress_core::fault::{Faults, Finding};
use egress_core::located::read_toml;
use egress_core::suggest::did_you_mean;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads a text whose settings are those of `T`, all of which have defaults. `file` is what findings
/// call it; `faults` says what cannot work though each setting is of its kind.
pub(super) fn read<T: Default + Serialize + DeserializeOwned>(
    text: &str,
    file: &str,
    faults: impl FnOnce(&T) -> Vec<Finding>,
) -> Result<T, Faults> {
    let (value, places, findings) = read_toml(text, file);
    let known = serde_json::to_value(T::default()).expect("settings have text keys only");
    let mut reader = Reader::<T> { known: &known, findings, settings: PhantomData };
    let sound = reader.table(value, &known, &mut Vec::new());
    // What is unsound was left out, so that the faults of the rest are found too.
    let settings: Result<T, _> = serde_json::from_value(Value::Object(sound));
    match &settings {
        Ok(settings) => reader.findings.extend(faults(settings)),
        Err(error) => reader.findings.push(Finding::fault(error.to_string())),
    }
    let findings = places.locate(reader.findings);
    match settings {
        Ok(settings) if findings.is_empty() => Ok(settings),
        Ok(_) | Err(_) => Err(Faults(findings)),
    }
}

struct Reader<'a, T> {
    /// Every setting there is, with its default.
    known: &'a Value,
    findings: Vec<Finding>,
    settings: PhantomData<T>,
}

/// On the way from the file to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

impl<T: DeserializeOwned> Reader<'_, T> {
    /// The settings of a table that can be read, and are known.
    fn table(&mut self, value: Value, known: &Value, path: &mut Vec<Step>) -> Map<String, Value> {
        let (Value::Object(table), Value::Object(known)) = (value, known) else {
            return Map::new();
        };
        let mut sound = Map::new();
        for (key, value) in table {
            path.push(Step::Key(key.clone()));
            // A table without a default has keys of its own choice.
            let of_key = if known.is_empty() { Some(&Value::Null) } else { known.get(&key) };
            match of_key {
                Some(of_key) => {
                    let value = self.value(value, of_key, path);
                    sound.extend(value.map(|value| (key, value)));
                }
                None => self.unknown(&key, &value, known, path),
            }
            path.pop();
        }
        sound
    }

    fn value(&mut self, value: Value, known: &Value, path: &mut Vec<Step>) -> Option<Value> {
        match (value, known) {
            // Its fault was found where the text was read.
            (Value::Null, _) => None,
            (value @ Value::Object(_), Value::Object(_)) => {
                Some(Value::Object(self.table(value, known, path)))
            }
            // Some tables may be written several times: `[[roles.plugin]]`.
            (Value::Array(items), Value::Object(_)) if takes_tables::<T>(path) => {
                Some(self.items(items, path, |reader, item, path| reader.value(item, known, path)))
            }
            (Value::Array(items), Value::Array(_)) => {
                Some(self.items(items, path, |reader, item, path| reader.leaf(item, path)))
            }
            (_, Value::Object(_)) => {
                let name = written(path);
                let message = format!("expected a table, written [{name}]");
                self.findings.push(Finding::fault(message).about(name));
                None
            }
            (value, _) => self.leaf(value, path),
        }
    }

    fn items(
        &mut self,
        items: Vec<Value>,
        path: &mut Vec<Step>,
        read: impl Fn(&mut Self, Value, &mut Vec<Step>) -> Option<Value>,
    ) -> Value {
        let mut sound = Vec::new();
        for (nth, item) in items.into_iter().enumerate() {
            path.push(Step::Item(nth));
            sound.extend(read(self, item, path));
            path.pop();
        }
        Value::Array(sound)
    }

    /// A value, if a file that has nothing else can be read.
    fn leaf(&mut self, value: Value, path: &[Step]) -> Option<Value> {
        match alone::<T>(value.clone(), path) {
            Ok(_) => Some(value),
            Err(error) => {
                let message = expected(&error.to_string(), &value);
                self.findings.push(Finding::fault(message).about(written(path)));
                None
            }
        }
    }

    fn unknown(&mut self, key: &str, value: &Value, siblings: &Map<String, Value>, path: &[Step]) {
        let what = if value.is_object() { "section" } else { "setting" };
        let mut hint = did_you_mean(key, siblings.keys().map(String::as_str));
        if hint.is_empty() {
            hint = section_of(key, self.known)
                .map(|section| format!(" It stands in [{section}]."))
                .unwrap_or_default();
        }
        let fault = Finding::fault(format!("unknown {what}.{hint}"));
        self.findings.push(fault.about(written(path)));
    }
}

/// Reads a file that has nothing but one value.
fn alone<T: DeserializeOwned>(value: Value, path: &[Step]) -> serde_json::Result<T> {
    let file = path.iter().rev().fold(value, |inner, step| match step {
        Step::Key(key) => Value::Object(Map::from_iter([(key.clone(), inner)])),
        Step::Item(_) => Value::Array(vec![inner]),
    });
    serde_json::from_value(file)
}

fn takes_tables<T: DeserializeOwned>(path: &[Step]) -> bool {
    let empty_table = Value::Object(Map::new());
    alone::<T>(Value::Array(vec![empty_table]), path).is_ok()
}

/// The first section that has a setting of this name.
fn section_of(key: &str, known: &Value) -> Option<String> {
    let sections = known.as_object()?.iter().filter_map(|(name, it)| Some((name, it.as_object()?)));
    sections.into_iter().find(|(_, fields)| fields.contains_key(key)).map(|(name, _)| name.clone())
}

/// As findings name it: `roles.plugin[1].users[0]`.
fn written(path: &[Step]) -> String {
    let steps = path.iter().enumerate().map(|(nth, step)| match step {
        Step::Key(key) if nth == 0 => key.clone(),
        Step::Key(key) => format!(".{key}"),
        Step::Item(item) => format!("[{item}]"),
    });
    steps.collect()
}

/// What serde expected, in words for people, with what was probably meant.
fn expected(error: &str, value: &Value) -> String {
    let Some((_, expected)) = error.rsplit_once("expected ") else { return error.to_owned() };
    let plain = match expected {
        "u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        "a string" | "path string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other => other,
    };
    let words: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
    match value.as_str().map(|text| did_you_mean(text, words)) {
        Some(hint) if !hint.is_empty() => format!("expected {plain}.{hint}"),
        Some(_) | None => format!("expected {plain}"),
    }
}
