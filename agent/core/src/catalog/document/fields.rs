//! The fields of one table, taken one by one; every fault is kept, no value is repeated.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::Text;
use crate::fault::Finding;
use crate::secret::Secret;
use crate::suggest::did_you_mean;

/// A table being read. What was not asked for when it is finished is unknown.
pub(in crate::catalog) struct Fields<'r> {
    /// Empty for the document itself.
    path: String,
    table: Map<String, Value>,
    known: Vec<String>,
    /// Whether `*_file` may stand for a text.
    files: bool,
    findings: &'r mut Vec<Finding>,
}

impl<'r> Fields<'r> {
    /// The document's own fields.
    pub fn of_document(value: Value, files: bool, findings: &'r mut Vec<Finding>) -> Option<Self> {
        Self::of(value, String::new(), files, findings)
    }

    /// The fields of the table at `path`.
    pub fn of(
        value: Value,
        path: String,
        files: bool,
        findings: &'r mut Vec<Finding>,
    ) -> Option<Self> {
        let Value::Object(table) = value else {
            // What the source's own reader could not make a value of was reported there.
            if !value.is_null() {
                findings.push(about(&path, Finding::fault("expected a table of fields")));
            }
            return None;
        };
        Some(Self { path, table, known: Vec::new(), files, findings })
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.table.remove(key)
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the field stands here. In a body `null` is as good as nothing; in a file it stands
    /// for what was reported where the file was read.
    pub fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| self.files || !value.is_null())
    }

    /// Whether the field stands here as a text.
    pub fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(Value::is_string)
    }

    /// The field may stand here and means nothing.
    pub fn ignore(&mut self, key: &str) {
        self.take(key);
    }

    /// Keeps a fault of a field.
    pub fn fault(&mut self, key: &str, message: impl Into<String>) {
        let field = self.field(key);
        self.findings.push(Finding::fault(message).about(field));
    }

    /// Keeps a fault of the whole table.
    pub fn fault_here(&mut self, message: impl Into<String>) {
        self.findings.push(about(&self.path, Finding::fault(message)));
    }

    /// A list of tables.
    pub fn entries<T>(&mut self, key: &str, read: impl Fn(&mut Fields<'_>) -> T) -> Vec<T> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.fault(key, format!("expected a list of tables, written [[{key}]] in TOML"));
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (nth, item) in items.into_iter().enumerate() {
            let path = format!("{key}[{nth}]");
            if item.is_null() && !self.files {
                self.fault(&format!("{key}[{nth}]"), "expected a table of fields");
                continue;
            }
            let Some(mut fields) = Fields::of(item, path, self.files, self.findings) else {
                continue;
            };
            entries.push(read(&mut fields));
            fields.finish();
        }
        entries
    }

    /// A table inside this one.
    pub fn table<T>(&mut self, key: &str, read: impl Fn(&mut Fields<'_>) -> T) -> Option<T> {
        let value = self.take(key)?;
        let path = self.field(key);
        let mut fields = Fields::of(value, path, self.files, self.findings)?;
        let table = read(&mut fields);
        fields.finish();
        Some(table)
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            Value::Null => None,
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.fault(key, "expected a text");
                None
            }
        }
    }

    /// A text that is empty when it is left out.
    pub fn text_or_empty(&mut self, key: &str) -> String {
        self.defaulted(key).text(key).unwrap_or_default()
    }

    pub fn required_text(&mut self, key: &str) -> String {
        if !self.has(key) {
            self.fault(key, "missing");
        }
        self.text(key).unwrap_or_default()
    }

    /// The name or id of another record.
    pub fn reference(&mut self, key: &str) -> String {
        if self.table.get(key).and_then(Value::as_str) == Some("") {
            self.fault(key, "expected a name or an id");
        }
        self.required_text(key)
    }

    /// The field is left out for its default: in a body `null` does not stand for that. (In a merge
    /// patch it does; a patch is merged before it is read.)
    pub fn defaulted(&mut self, key: &str) -> &mut Self {
        if !self.files && self.table.get(key).is_some_and(Value::is_null) {
            self.fault(key, "null: leave the field out for its default");
        }
        self
    }

    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.defaulted(key).optional_flag(key).unwrap_or(default)
    }

    pub fn optional_flag(&mut self, key: &str) -> Option<bool> {
        match self.take(key)? {
            Value::Bool(flag) => Some(flag),
            Value::Null => None,
            Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.fault(key, "expected true or false");
                None
            }
        }
    }

    /// A whole number between two, both included.
    pub fn number<T: TryFrom<i64>>(&mut self, key: &str, least: i64, most: i64) -> Option<T> {
        let value = self.take(key).filter(|value| !value.is_null())?;
        let in_range = value.as_i64().filter(|number| (least..=most).contains(number));
        let number = in_range.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.fault(key, format!("expected a number from {least} to {most}"));
        }
        number
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let words = choices.iter().map(|(word, _)| *word);
            let hint = did_you_mean(&text, words.clone());
            let words: Vec<_> = words.collect();
            self.fault(key, format!("expected one of {}.{hint}", words.join(", ")));
        }
        found
    }

    /// One of a few words, or the usual one when it is left out.
    pub fn choice_or_default<T: Copy + Default>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        self.defaulted(key).choice(key, choices).unwrap_or_default()
    }

    /// A text that is parsed.
    pub fn parsed<T: FromStr>(&mut self, key: &str, expected: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(key, format!("expected {expected}"));
        }
        parsed
    }

    /// A list of texts, each read; also one text alone. Left out, it is `None`.
    pub fn list<T, E: Display>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = match self.defaulted(key).take(key)? {
            Value::Array(items) => items,
            text @ Value::String(_) => vec![text],
            Value::Null => return None,
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                self.fault(key, "expected a list of texts");
                return None;
            }
        };
        let mut list = Vec::new();
        for (nth, item) in items.iter().enumerate() {
            match item.as_str().map(&read) {
                Some(Ok(value)) => list.push(value),
                Some(Err(why)) => self.fault(&format!("{key}[{nth}]"), why.to_string()),
                None => self.fault(&format!("{key}[{nth}]"), "expected a text"),
            }
        }
        Some(list)
    }

    /// A text that may be secret: `key` itself, or `key_file`.
    pub fn hidden(&mut self, key: &str) -> Option<Text> {
        let inline = self.text(key).map(Secret::new);
        let file_key = format!("{key}_file");
        let file = self.text(&file_key);
        match (inline, file) {
            (None, None) => None,
            (Some(text), None) => Some(Text::Inline(text)),
            (None, Some(path)) if self.files => Some(Text::File(path)),
            (None, Some(_)) => {
                let message = format!("the agent opens no files for a caller: send {key} itself");
                self.fault(&file_key, message);
                None
            }
            (Some(_), Some(_)) => {
                self.fault(&file_key, format!("{key} stands here as well: only one of them can"));
                None
            }
        }
    }

    pub fn required_hidden(&mut self, key: &str) -> Text {
        let missing = !self.has(key) && !self.has(&format!("{key}_file"));
        if missing {
            self.fault(key, format!("missing: expected {key} or {key}_file"));
        }
        self.hidden(key).unwrap_or_else(|| Text::Inline(Secret::new(String::new())))
    }

    /// Ends the table: fields that nobody asked for are unknown.
    pub fn finish(self) {
        for key in self.table.keys() {
            // A long key may be a value that lost its own.
            let finding = if key.len() > 40 || key.contains(char::is_control) {
                about(&self.path, Finding::fault("unknown field"))
            } else {
                let hint = did_you_mean(key, self.known.iter().map(String::as_str));
                Finding::fault(format!("unknown field.{hint}")).about(self.field(key))
            };
            self.findings.push(finding);
        }
    }
}

fn about(path: &str, finding: Finding) -> Finding {
    if path.is_empty() { finding } else { finding.about(path) }
}
